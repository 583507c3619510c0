"""amoCRM API v4 as its documents and its official client tell: one account with its limits, traps and history."""

from sandbox.amocrm.account import Rules
from sandbox.amocrm.portal import Portal, create_portal

__all__ = ["Portal", "Rules", "create_portal"]
