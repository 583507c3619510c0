"""Segments → tasks with deadlines."""
