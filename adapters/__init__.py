"""Speaks CRM. No Flask, no SQL, no pandas."""
