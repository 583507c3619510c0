"""Scores → cards."""
