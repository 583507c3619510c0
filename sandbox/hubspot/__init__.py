"""HubSpot, emulated from its documents: dated paths (2026-03, 2026-09) and the old v3 and v4 ones."""

from sandbox.hubspot.portal import HubSpotPortal, create_portal, documented_limits

__all__ = ["HubSpotPortal", "create_portal", "documented_limits"]
