"""CRM → how to open it. The only module that names the three."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from adapters.amocrm import auth as amocrm_auth
from adapters.amocrm.adapter import AmoCRM
from adapters.bitrix24 import auth as bitrix24_auth
from adapters.bitrix24.adapter import Bitrix24
from adapters.budget import States
from adapters.contract import Adapter, PortalAccess
from adapters.hubspot import auth as hubspot_auth
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


def access_from_input(crm: CRM, *, url: str, token: str) -> PortalAccess:
    """What a person pasted, checked for form. Raises `ValueError` with a sentence for that person.

    A Bitrix24 webhook URL is the token itself, so `token` stays empty there.
    """
    if crm is CRM.BITRIX24:
        return bitrix24_auth.access_from_input(url)
    if crm is CRM.AMOCRM:
        return amocrm_auth.access_from_input(token, url)
    return hubspot_auth.access_from_input(token, url)
