"""A portal leaves: work stops, tokens are dropped, and its data goes at once or after a while."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from adapters.errors import AccessLost
from adapters.records import CustomerKind
from connector.deadline import NEVER, Deadline
from connector.errors import PortalBusy
from connector.jobs.installing import ERASE_AT
from connector.store import inbox, portals, privacy
from connector.store.database import Database
from connector.store.locks import portal_lock
from connector.store.models import Portal
from connector.wiring import Service
from webhooks.deliveries import Resource

log = logging.getLogger("rfm.install")

KEPT_FOR = timedelta(days=30)
"""After the app was removed: so long a portal that comes back finds its history."""


_PEOPLE = {Resource.CONTACT: CustomerKind.CONTACT, Resource.COMPANY: CustomerKind.COMPANY}


def leave(session: Session, portal: Portal, now: datetime, actor: str, *, erase: bool) -> None:
    """The app was removed in the CRM, which is proven. `erase`: its people want the data gone at once. Repeatable."""
    erase_at = now if erase else now + KEPT_FOR
    portal.state, portal.state_reason, portal.access = "disconnected", None, None
    portal.settings = {**portal.settings, ERASE_AT: erase_at.isoformat(timespec="seconds")}
    detail = {"erase_at": portal.settings[ERASE_AT], "at_once": erase}
    portals.note(session, portal.portal_id, actor, "portal.uninstalled", detail)


def is_shut_out(service: Service, portal: Portal) -> bool:
    """Whether the CRM does not let our app in any more; asked with the stored grant. Raises `Transient`, `WrongUse`."""
    try:
        with service.open(service.access_of(portal), attempts=1, patient=False) as opened:
            opened.adapter.portal()
    except AccessLost:
        return True
    return False


def erase_due(database: Database, now: datetime, deadline: Deadline = NEVER) -> bool:
    """Erase portals that left and whose time has come; returns whether all were looked at before the deadline.

    One that somebody still works on is left for the next time.
    """
    with database.session() as session:
        left = session.scalars(select(Portal).where(Portal.state == "disconnected")).all()
    for portal in left:
        if deadline.over():
            return False
        if _is_due(portal, now):
            _erase(database, portal.portal_id, now)
    return True


def forget_people(database: Database) -> int:
    """Erase those whom a portal that nobody works on asked us to forget; returns how many. Its drain does the others.

    A portal that somebody works on at this moment is left for the next time.
    """
    count = 0
    with database.session() as session:
        waiting = inbox.to_erase(session)
        working = set(session.scalars(select(Portal.portal_id).where(Portal.state == "active")))
    for portal_id, one in waiting:
        if portal_id in working or one.resource not in _PEOPLE:
            continue
        try:
            with portal_lock(database, portal_id, wait_s=0.0), database.session() as session:
                privacy.erase_customer(session, portal_id, _PEOPLE[one.resource], one.external_id)
                count += inbox.taken(session, portal_id, [one])
        except PortalBusy:
            log.info("person not forgotten yet, somebody works on the portal portal=%d", portal_id)
    return count


def _is_due(portal: Portal, now: datetime) -> bool:
    told = portal.settings.get(ERASE_AT)
    return isinstance(told, str) and datetime.fromisoformat(told) <= now


def _erase(database: Database, portal_id: int, now: datetime) -> None:
    try:
        with portal_lock(database, portal_id, wait_s=0.0), database.session() as session:
            portal = session.get(Portal, portal_id, with_for_update=True)
            if portal is not None and portal.state == "disconnected" and _is_due(portal, now):
                portals.erase(session, portal, None)
                log.info("portal erased portal=%d", portal_id)
    except PortalBusy:
        log.info("portal not erased yet, somebody works on it portal=%d", portal_id)
