"""Runs: the service that composes the other packages."""
