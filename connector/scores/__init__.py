"""Mirror → scores."""
