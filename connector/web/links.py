"""Where a customer's card lies in its CRM."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlsplit

from connector.store.models import Portal

_AMOCRM = {"contact": "contacts/detail", "company": "companies/detail"}
_HUBSPOT = {"contact": "0-1", "company": "0-2"}


def card_url(portal: Portal, kind: str, external_id: str) -> str | None:
    """The address a person opens, or None for a CRM we have no addresses of. A sandbox has card pages of its own."""
    card_id = quote(external_id, safe="")
    if is_sandbox(portal):
        return f"http://{portal.host}/sandbox/cards/{quote(kind, safe='')}/{card_id}"
    address = _ADDRESSES.get(portal.crm)
    return address(portal, kind, card_id) if address is not None else None


def is_sandbox(portal: Portal) -> bool:
    """Whether the CRM answers on this computer itself."""
    name = urlsplit(f"//{portal.host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _amocrm(portal: Portal, kind: str, card_id: str) -> str:
    return f"https://{portal.host}/{_AMOCRM[kind]}/{card_id}"


def _bitrix24(portal: Portal, kind: str, card_id: str) -> str:
    return f"https://{portal.host}/crm/{kind}/details/{card_id}/"


def _hubspot(portal: Portal, kind: str, card_id: str) -> str:
    account = quote(portal.account_id, safe="")
    return f"{portal.web_url.rstrip('/')}/contacts/{account}/record/{_HUBSPOT[kind]}/{card_id}"


_ADDRESSES: Mapping[str, Callable[[Portal, str, str], str]] = {
    "amocrm": _amocrm,
    "bitrix24": _bitrix24,
    "hubspot": _hubspot,
}
