"""Handlers by subject. Each module offers `ROUTES`; a handler is a function from a call to an answer."""
