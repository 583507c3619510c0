"""Counts. Pure: frames in, frames out."""
