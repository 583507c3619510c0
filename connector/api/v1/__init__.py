"""The API for scripts, `/api/v1`: what pages show and do, proven by a token. Reading and answering, no decisions."""
