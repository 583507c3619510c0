"""CRM → how to open it. The only module that names the three."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from adapters.amocrm.adapter import AmoCRM
from adapters.bitrix24.adapter import Bitrix24
from adapters.budget import States
from adapters.contract import Adapter, PortalAccess
from adapters.hubspot.adapter import HubSpot
from adapters.records import CRM
from adapters.transport import Transport

Opener = Callable[[PortalAccess, Transport, States], Adapter]

OPENERS: Mapping[CRM, Opener] = {
    CRM.AMOCRM: AmoCRM,
    CRM.BITRIX24: Bitrix24,
    CRM.HUBSPOT: HubSpot,
}


def open_portal(access: PortalAccess, transport: Transport, states: States) -> Adapter:
    """The adapter of one portal. Sends nothing yet."""
    return OPENERS[access.crm](access, transport, states)
