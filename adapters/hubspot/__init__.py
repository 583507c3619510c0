"""HubSpot, date-versioned API."""
