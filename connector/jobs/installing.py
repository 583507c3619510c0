"""Our app is installed in a portal: what was granted is looked at, kept, and the first work asked for.

A portal is found again by its account, with all its history, however often the app is removed and installed. Repeating
any of it is safe. Nothing is kept of an installation that the CRM does not let us use.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn
from urllib.parse import urlsplit

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from adapters.contract import PortalAccess, PortalInfo
from adapters.errors import AccessLost, CRMError, TokenExpired, Transient
from adapters.hosts import HostPolicy
from adapters.oauth import Grant, Held, KeptTokens
from adapters.records import CRM
from adapters.registry import EARLY, amocrm_account_url, exchange
from connector.errors import ConnectorError, DatabaseAway, WrongUse
from connector.grants import app_of
from connector.jobs import schedule
from connector.jobs.connecting import LANGUAGES, check_database_zone
from connector.store import codes, hooks, mirror, portals
from connector.store.models import InstallCodeRow, Portal
from connector.store.tokens import to_grant, to_kept
from connector.wiring import Service

log = logging.getLogger("rfm.install")

ERASE_AT = "erase_at"
"""Setting of a portal that has left: when its data goes."""
CODE_LIVES = timedelta(minutes=20)
"""amoCRM's codes; none lives longer."""
_GRANT_WAITS = timedelta(days=1)
_AGAIN = timedelta(seconds=20)
_INSTALLING = 7_366
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")
_LONGEST_STEM = 56


@dataclass(frozen=True, slots=True)
class Installed:
    """A portal that has our app. `is_new` is false where its history was found again."""

    portal_id: int
    name: str
    host: str
    web_url: str
    is_new: bool


def exchange_code(service: Service, crm: CRM, code: str, *, verifier: str = "", referer: str = "") -> Grant:
    """The grant behind a code, which is used up. Raises `CRMError`, `HostRefused` and `Misconfigured`."""
    app = app_of(service.config, crm)
    return exchange(crm, app, service.grants.courier(crm), code, verifier=verifier, referer=referer)


def install(
    service: Service, crm: CRM, grant: Grant, *, language: str | None = None, application_token: str = ""
) -> Installed:
    """Look at the portal with its new grant, keep it, and ask for fields, webhooks and its first run.

    Raises `CRMError` when the grant is not enough, `WrongUse` for a host that may not be called; nothing is kept then.
    """
    info = _look(service, crm, grant)
    now = service.now()
    with service.database.session() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _INSTALLING})
        known = _known(session, crm, grant)
        portal = known or _new(session, crm, grant, info, language)
        _bring_up_to_date(session, portal, grant, info, now, is_new=known is None)
        portal.access = service.vault.seal(to_kept(grant))
        if crm is CRM.AMOCRM:
            hooks.ensure_path_secret(portal, service.vault)
        elif application_token:
            hooks.keep_secret(portal, service.vault, application_token)
        session.flush()
        detail = {"account": grant.account_id, "scopes": list(grant.scopes), "user": grant.user_id}
        action = "portal.installed" if known is None else "portal.reinstalled"
        portals.note(session, portal.portal_id, crm.value, action, detail)
        for name in (schedule.SETUP, schedule.RUN):
            schedule.ask(session, name, portal.portal_id, now)
        return Installed(portal.portal_id, portal.name, portal.host, portal.web_url, known is None)


def keep_code(service: Service, code: str, referer: str) -> bool:
    """Keep the code of an amoCRM installation that was told by amoCRM's server; False when too many wait already.

    Raises `HostRefused` for a referer that is none of amoCRM's hosts, since our secret will go there.
    """
    amocrm_account_url(referer, HostPolicy(service.config.allowed_crm_hosts))
    sealed = service.vault.seal({"code": code, "referer": referer})
    with service.database.session() as session:
        return codes.keep(session, CRM.AMOCRM, code, sealed, service.now())


def install_waiting(service: Service) -> list[Installed]:
    """Exchange the codes that wait and install what they stand for; returns the portals that gave.

    Any number of processes may do it at once. A code's grant is stored before it is used, so a kill afterwards loses
    nothing; what cannot be reached now is tried again until the code is too old.
    """
    found: list[Installed] = []
    while (portal_key := _exchange_next(service)) is not None:
        found += _install_exchanged(service, portal_key)
    return found


def _exchange_next(service: Service) -> str | None:
    """Take the next code as far as its grant; returns its portal_key, None when no more wait."""
    now = service.now()
    with service.database.session() as session:
        row = codes.take(session, now)
        if row is None:
            return None
        kept = service.vault.open(row.sealed)
        is_code = to_grant(kept) is None
        row.not_before = now + _AGAIN
        if now - row.received_at > (CODE_LIVES if is_code else _GRANT_WAITS):
            log.warning("installation given up crm=%s", row.crm)
            session.delete(row)
        elif is_code:
            with _settled(session, row):
                grant = exchange_code(service, CRM(row.crm), kept["code"], referer=kept["referer"])
                row.sealed = service.vault.seal(to_kept(grant))
        return row.portal_key


def _install_exchanged(service: Service, portal_key: str) -> list[Installed]:
    with service.database.session() as session:
        row = session.get(InstallCodeRow, portal_key)
        grant = to_grant(service.vault.open(row.sealed)) if row is not None else None
        if row is None or grant is None:
            return []
        found: list[Installed] = []
        with _settled(session, row):
            found.append(install(service, CRM(row.crm), grant))
            session.delete(row)
        return found


@contextmanager
def _settled(session: Session, row: InstallCodeRow) -> Iterator[None]:
    """What may pass is left for the next try, what will not is dropped."""
    try:
        yield
    except (Transient, DatabaseAway) as error:
        log.warning("installation put off crm=%s reason=%s", row.crm, error)
    except (CRMError, ConnectorError) as error:
        log.warning("installation refused crm=%s reason=%s", row.crm, error)
        session.delete(row)


def _look(service: Service, crm: CRM, grant: Grant) -> PortalInfo:
    """The account as it shows itself to the new grant."""
    tokens = KeptTokens(_NotYetKept(), 0, grant, _never, early=EARLY[crm], now=service.now)
    with service.open(PortalAccess(crm, grant.base_url, tokens), attempts=2, patient=False) as opened:
        info = opened.adapter.portal()
    if info.account_id != grant.account_id:
        raise AccessLost("the CRM answers for another account than the one that was granted")
    return info


class _NotYetKept:
    """A keeper of a grant that is minutes old and not stored: it cannot be renewed, and need not be."""

    def locked(self, portal_id: int) -> AbstractContextManager[Held]:  # noqa: ARG002 - the Protocol's word
        """Raise `TokenExpired`."""
        raise TokenExpired("the CRM does not accept the token that it has just issued: start the installation again")


def _never(grant: Grant) -> NoReturn:
    raise TokenExpired(f"the grant of {grant.account_id} is not stored yet")


def _known(session: Session, crm: CRM, grant: Grant) -> Portal | None:
    """The account's portal. A Bitrix24 portal that was reached by a webhook was known by its host only."""
    found = select(Portal).where(Portal.crm == crm.value).with_for_update()
    known = session.scalar(found.where(Portal.account_id == grant.account_id))
    if known is None and crm is CRM.BITRIX24:
        host = urlsplit(grant.base_url).netloc
        known = session.scalar(found.where(Portal.account_id == host))
        if known is not None:
            known.account_id = grant.account_id
    return known


def _new(session: Session, crm: CRM, grant: Grant, info: PortalInfo, language: str | None) -> Portal:
    portal = Portal(
        crm=crm.value,
        name=_free_name(session, crm, grant),
        account_id=grant.account_id,
        language=language or LANGUAGES[crm],
        time_zone=_zone_or_utc(session, info.time_zone),
        settings={},
    )
    session.add(portal)
    return portal


def _bring_up_to_date(
    session: Session, portal: Portal, grant: Grant, info: PortalInfo, now: datetime, *, is_new: bool
) -> None:
    before = (portal.time_zone, portal.currency)
    portal.state, portal.state_reason = "active", None
    portal.settings = {key: value for key, value in portal.settings.items() if key != ERASE_AT}
    portal.host, portal.web_url = urlsplit(grant.base_url).netloc, info.web_url
    portal.currency, portal.info_at = info.currency, now
    portal.time_zone = str(portal.settings.get("time_zone") or _zone_or_utc(session, info.time_zone))
    portal.fields_checked_at = None
    if not is_new and before != (portal.time_zone, portal.currency):
        session.flush()
        mirror.derive_all(session, portal)


def _zone_or_utc(session: Session, name: str) -> str:
    """Nobody can be asked during an installation: a zone unknown here is UTC until the setting says else."""
    try:
        check_database_zone(session, name)
    except WrongUse:
        log.warning("time zone unknown here, UTC is taken instead")
        return "UTC"
    return name


def _free_name(session: Session, crm: CRM, grant: Grant) -> str:
    """The account's host, or where all accounts share one, the account's number; with a count if that is taken."""
    stem = f"hubspot-{grant.account_id}" if crm is CRM.HUBSPOT else urlsplit(grant.base_url).netloc
    stem = _NOT_IN_NAMES.sub("-", stem)[:_LONGEST_STEM]
    taken = set(session.scalars(select(Portal.name).where(Portal.name.startswith(stem, autoescape=True))))
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}-{count}"
    return name
