"""Connecting and leaving a portal."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import text
from sqlalchemy.exc import DataError, ProgrammingError
from sqlalchemy.orm import Session

from adapters.contract import PortalInfo
from adapters.errors import CRMError, Malformed
from adapters.fields import zone
from adapters.hosts import HostRefused
from adapters.oauth import KeptTokens
from adapters.records import CRM
from adapters.registry import access_from_input, uninstall
from connector.errors import ConnectorError, UnknownPortal, WrongUse
from connector.grants import app_of
from connector.jobs import subscribing
from connector.store import hooks, mirror, portals
from connector.store.models import Portal
from connector.wiring import Service, budget_key

log = logging.getLogger("rfm.install")
_NAME = re.compile(r"[\w.-]{1,64}")
LANGUAGES: Mapping[CRM, str] = {CRM.AMOCRM: "ru", CRM.BITRIX24: "ru", CRM.HUBSPOT: "en"}


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

    Where PUBLIC_URL is set, the answer has an amoCRM portal's `webhook_url` for its settings; it is a secret.

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
        portal.language = language or portal.language or LANGUAGES[crm]
        if time_zone is not None:
            portal.settings = {**portal.settings, "time_zone": time_zone}
        zoned = portal.settings.get("time_zone") or info.time_zone
        if portal.time_zone != zoned:
            portal.time_zone = str(zoned)
            check_database_zone(session, portal.time_zone)
        session.flush()
        if not is_new:
            mirror.derive_all(session, portal)
        portals.note(session, portal.portal_id, "cli", "portal.connected", {"account": info.account_id})
        return {**view(portal), **_webhook(service, portal)}


def _webhook(service: Service, portal: Portal) -> dict[str, str]:
    """The address that amoCRM is to post events to. The others have theirs from our app."""
    if portal.crm != CRM.AMOCRM:
        return {}
    path = hooks.path_of(portal, service.vault)
    public_url = service.config.public_url
    return {"webhook_url": f"{public_url.rstrip('/')}{path}"} if public_url else {}


def disconnect(service: Service, name: str, *, purge: bool) -> dict[str, Any]:
    """Forget the token, so that nothing can be sent any more; with `purge` erase everything stored of the portal.

    Our app is removed from the account where the CRM lets an app do so; `revoked` says whether that was done.
    """
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
    _end_webhooks(service, portal)
    revoked = _revoke(service, portal)
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
        key = _budget_of(service, portal)
        answer = {**view(portal), "state": "erased" if purge else "disconnected", "revoked": revoked}
        if purge:
            portals.erase(session, portal, key)
        else:
            portal.state, portal.state_reason, portal.access = "disconnected", None, None
            portals.note(session, portal.portal_id, "cli", "portal.disconnected", {})
        return answer


def _budget_of(service: Service, portal: Portal) -> str | None:
    """Whose quota the portal used; None where that cannot be told any more, as our app's settings are gone."""
    try:
        return budget_key(service.access_of(portal)) if portal.access is not None else None
    except ConnectorError:
        return None


def _end_webhooks(service: Service, portal: Portal) -> None:
    """Have no more events posted to us. Where the CRM is away they come on, and are refused."""
    if portal.access is None or portal.settings.get(subscribing.SETTING) != subscribing.ON:
        return
    try:
        with service.open(service.access_of(portal), attempts=2, patient=False) as opened:
            subscribing.unsubscribe(service, portal, opened.adapter)
    except (CRMError, ConnectorError, HostRefused) as error:
        log.warning("webhooks not ended portal=%d reason=%s", portal.portal_id, error)


def _revoke(service: Service, portal: Portal) -> bool:
    """Ask the vendor to remove our app. A pasted token is its owner's to revoke, and a dead grant is gone already."""
    if not service.has_grant(portal):
        return False
    crm = CRM(portal.crm)
    try:
        access = service.access_of(portal)
        if not isinstance(access.tokens, KeptTokens):
            return False
        access.tokens.current()
        return uninstall(crm, app_of(service.config, crm), service.grants.courier(crm), access.tokens.grant)
    except (CRMError, ConnectorError) as error:
        log.warning("app not removed portal=%d reason=%s", portal.portal_id, error)
        return False


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
        check_database_zone(session, info.time_zone)
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


def check_database_zone(session: Session, name: str) -> None:
    """Python and the database must both know the zone: both cut times to days."""
    try:
        zone(name)
        with session.begin_nested():
            session.execute(text(f"SELECT now() AT TIME ZONE {mirror.sql_zone(name)}"))
    except (Malformed, DataError, ProgrammingError):
        raise WrongUse(f"the time zone {name} is unknown here: give another with --time-zone") from None
