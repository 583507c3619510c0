"""Changes tables."""
