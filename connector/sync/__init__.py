"""CRM → mirror."""
