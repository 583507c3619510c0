"""Strings the services together: what one command or one background job does."""
