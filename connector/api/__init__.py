"""Addresses that CRMs and their people call: installing, leaving, webhooks. Pages of ours are in `connector.web`."""
