"""Connecting and leaving a portal."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import text
from sqlalchemy.exc import DataError, ProgrammingError
from sqlalchemy.orm import Session

from adapters.contract import PortalInfo
from adapters.errors import Malformed
from adapters.fields import zone
from adapters.hosts import HostRefused
from adapters.records import CRM
from adapters.registry import access_from_input
from connector.errors import UnknownPortal, WrongUse
from connector.store import mirror, portals
from connector.store.models import Portal
from connector.wiring import Service, budget_key

_NAME = re.compile(r"[\w.-]{1,64}")
_LANGUAGES = {CRM.AMOCRM: "ru", CRM.BITRIX24: "ru", CRM.HUBSPOT: "en"}


def connect(
    service: Service,
    crm: CRM,
    name: str,
    *,
    url: str,
    token: str,
    language: str | None = None,
    time_zone: str | None = None,
) -> dict[str, Any]:
    """Check the token with the CRM and keep the portal; connecting the same account again renews its token.

    Raises `WrongUse` for words that make no sense and `CRMError` when the CRM refuses; nothing is left behind then.
    """
    if not _NAME.fullmatch(name):
        raise WrongUse("--name takes up to 64 letters, digits, dots, dashes and underscores")
    if time_zone is not None:
        _check_zone(time_zone)
    try:
        access = access_from_input(crm, url=url, token=token)
    except ValueError as error:
        raise WrongUse(str(error)) from None
    with service.database.session() as session:
        _check_name(session, name, crm, urlsplit(access.base_url).netloc)
    try:
        with service.open(access, attempts=4, patient=False) as opened:
            info = opened.adapter.portal()
    except HostRefused as error:
        raise WrongUse(str(error)) from None
    with service.database.session() as session:
        portal, is_new = _keep(session, crm, name, info, urlsplit(access.base_url).netloc)
        portal.access = service.vault.seal({"url": access.base_url, "token": token.strip()})
        portal.language = language or portal.language or _LANGUAGES[crm]
        if time_zone is not None:
            portal.settings = {**portal.settings, "time_zone": time_zone}
        zoned = portal.settings.get("time_zone") or info.time_zone
        if portal.time_zone != zoned:
            portal.time_zone = str(zoned)
            _check_database_zone(session, portal.time_zone)
        session.flush()
        if not is_new:
            mirror.derive_all(session, portal)
        portals.note(session, portal.portal_id, "cli", "portal.connected", {"account": info.account_id})
        return view(portal)


def disconnect(service: Service, name: str, *, purge: bool) -> dict[str, Any]:
    """Forget the token, so that nothing can be sent any more; with `purge` erase everything stored of the portal."""
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
        key = budget_key(service.access_of(portal)) if portal.access is not None else None
        answer = {**view(portal), "state": "erased" if purge else "disconnected"}
        if purge:
            portals.erase(session, portal, key)
        else:
            portal.state, portal.state_reason, portal.access = "disconnected", None, None
            portals.note(session, portal.portal_id, "cli", "portal.disconnected", {})
        return answer


def view(portal: Portal) -> dict[str, Any]:
    """A portal for people and scripts, without secrets."""
    return {
        "portal": portal.name,
        "crm": portal.crm,
        "account": portal.account_id,
        "host": portal.host,
        "state": portal.state,
        "state_reason": portal.state_reason,
        "time_zone": portal.time_zone,
        "currency": portal.currency,
        "language": portal.language,
        "method": portal.method,
        "last_sync": portal.last_sync_at.isoformat() if portal.last_sync_at else None,
    }


def _check_name(session: Session, name: str, crm: CRM, host: str) -> None:
    try:
        portal = portals.portal_named(session, name)
    except UnknownPortal:
        return
    if portal.crm != crm.value:
        raise WrongUse(f"the name {name} is taken by a {portal.crm} portal ({portal.host}): choose another, not {host}")


def _keep(session: Session, crm: CRM, name: str, info: PortalInfo, host: str) -> tuple[Portal, bool]:
    """The account's portal, and whether it is a new one."""
    known = portals.portal_of_account(session, crm.value, info.account_id)
    if known is not None and known.name != name:
        raise WrongUse(f"this account is connected already, as {known.name}: use that name, or disconnect it first")
    is_new = known is None
    if known is None:
        try:
            taken = portals.portal_named(session, name)
        except UnknownPortal:
            taken = None
        if taken is not None:
            raise WrongUse(f"the name {name} is taken by another account ({taken.host}): choose another name")
        _check_database_zone(session, info.time_zone)
        known = Portal(crm=crm.value, name=name, account_id=info.account_id, language="", settings={})
        known.time_zone = info.time_zone
        session.add(known)
    known.state, known.state_reason = "active", None
    known.host, known.web_url = host, info.web_url
    known.currency, known.info_at = info.currency, datetime.now(UTC)
    return known, is_new


def _check_zone(name: str) -> None:
    try:
        zone(name)
    except Malformed:
        raise WrongUse(f"--time-zone {name!r} is unknown: write it like Europe/Moscow or UTC+03:00") from None


def _check_database_zone(session: Session, name: str) -> None:
    """Python and the database must both know the zone: both cut times to days."""
    try:
        zone(name)
        with session.begin_nested():
            session.execute(text(f"SELECT now() AT TIME ZONE {mirror.sql_zone(name)}"))
    except (Malformed, DataError, ProgrammingError):
        raise WrongUse(f"the time zone {name} is unknown here: give another with --time-zone") from None
