"""Accepted webhooks as a set of records to look at again: one row a record, however often it changed.

A notice is a hint and never data, so nothing of a delivery but "this record changed" is kept. Many events of one
record fold into one row; a row is taken out only if nothing arrived for it since it was read. A record that cannot be
read is set aside for a while, so that it does not stand in the way of the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from adapters.records import CRM
from connector.errors import DatabaseAway
from connector.store.database import Database
from connector.store.models import InboxRow, Portal
from webhooks.deliveries import ChangeNotice, Delivery, Kind, Resource
from webhooks.errors import InboxAway

_WATCHED = frozenset({Resource.CONTACT, Resource.COMPANY, Resource.DEAL, Resource.ORDER, Resource.TASK})
_ACCOUNTS_S = 10.0
_NEWS = timedelta(minutes=15)
"""A record that is set aside and changes again is tried after so long: somebody may have put it right."""
_REASON_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record to look at again. `last_at` is when the newest event for it arrived; `erase` as in the notice.

    `was_aside`: it could not be read before.
    """

    resource: Resource
    external_id: str
    last_at: datetime
    erase: bool = False
    was_aside: bool = False


@dataclass(frozen=True, slots=True)
class Aside:
    """Records of a portal that could not be read: how many, since when the oldest waits, and why that one does."""

    portal_id: int
    count: int
    since: datetime
    reason: str


class StoredInbox:
    """`webhooks.deliveries.Inbox` on PostgreSQL: returns once the rows are committed.

    `wake` is told which portals have something new, after the commit; a wake-up that is lost is made good by the
    next one and by the schedule.
    """

    def __init__(self, database: Database, wake: Callable[[int], None]) -> None:
        self._database = database
        self._wake = wake
        self._accounts: Mapping[tuple[str, str], int] = {}
        self._read_at = -_ACCOUNTS_S

    def store(self, delivery: Delivery, *, key: str, notices: Sequence[ChangeNotice]) -> None:  # noqa: ARG002 - rows are keyed by record
        """See `Inbox.store`. Notices of accounts that are not connected, and echoes of our own writes, are dropped."""
        rows: dict[tuple[int, str, str], dict[str, Any]] = {}
        for notice in notices:
            portal_id = self._portal(delivery.crm, notice.account_id)
            if portal_id is None or notice.resource not in _WATCHED or notice.is_echo:
                continue
            for external_id in (notice.external_id, *notice.merged_ids):
                before = rows.get((portal_id, notice.resource.value, external_id))
                rows[portal_id, notice.resource.value, external_id] = {
                    "portal_id": portal_id,
                    "resource": notice.resource.value,
                    "external_id": external_id,
                    "is_deletion": notice.kind is Kind.DELETED,
                    "first_at": delivery.received_at,
                    "last_at": delivery.received_at,
                    "times": 1,
                    "erase": notice.erase or (before is not None and before["erase"]),
                }
        if not rows:
            return
        try:
            with self._database.session() as session:
                # one order for all writers, so that two deliveries about the same records never wait for each other
                _keep(session, [rows[one] for one in sorted(rows)])
        except (DatabaseAway, OperationalError):
            raise InboxAway("the database is away") from None
        for portal_id in {one[0] for one in rows}:
            self._wake(portal_id)

    def _portal(self, crm: CRM, account_id: str) -> int | None:
        """The portal of an account; the list is read again every few seconds."""
        if time.monotonic() - self._read_at > _ACCOUNTS_S:
            try:
                with self._database.session() as session:
                    rows = session.execute(
                        select(Portal.crm, Portal.account_id, Portal.portal_id).where(Portal.state != "disconnected")
                    )
                    self._accounts = {(row[0], row[1]): row[2] for row in rows}
            except (DatabaseAway, OperationalError):
                raise InboxAway("the database is away") from None
            self._read_at = time.monotonic()
        return self._accounts.get((crm.value, account_id))


def waiting(session: Session, portal_id: int, limit: int) -> list[Waiting]:
    """The records that have waited longest, those set aside left out."""
    rows = session.execute(
        select(
            InboxRow.resource, InboxRow.external_id, InboxRow.last_at, InboxRow.erase, InboxRow.not_before.is_not(None)
        )
        .where(InboxRow.portal_id == portal_id, _is_due())
        .order_by(InboxRow.first_at, InboxRow.resource, InboxRow.external_id)
        .limit(limit)
    )
    return [Waiting(Resource(row[0]), row[1], row[2], row[3], row[4]) for row in rows]


def taken(session: Session, portal_id: int, done: Sequence[Waiting]) -> int:
    """Take records out that were looked at; one for which something arrived meanwhile stays. Returns how many went."""
    if not done:
        return 0
    statement = delete(InboxRow).where(
        InboxRow.portal_id == portal_id,
        tuple_(InboxRow.resource, InboxRow.external_id, InboxRow.last_at).in_(
            [(one.resource.value, one.external_id, one.last_at) for one in done]
        ),
    )
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined]


def set_aside(session: Session, portal_id: int, one: Waiting, reason: str, until: datetime) -> None:
    """Leave a record alone until a moment, because of a reason that names no person."""
    session.execute(
        update(InboxRow)
        .where(
            InboxRow.portal_id == portal_id,
            InboxRow.resource == one.resource.value,
            InboxRow.external_id == one.external_id,
        )
        .values(not_before=until, reason=reason[:_REASON_LONGEST])
    )


def aside(session: Session) -> list[Aside]:
    """What is set aside, by portal; a record counts until it was read, also while it is being tried again."""
    rows = session.execute(
        select(
            InboxRow.portal_id,
            func.count(),
            func.min(InboxRow.first_at),
            func.min(InboxRow.reason),
        )
        .where(InboxRow.not_before.is_not(None))
        .group_by(InboxRow.portal_id)
        .order_by(InboxRow.portal_id)
    )
    return [Aside(portal_id, count, since, reason or "") for portal_id, count, since, reason in rows]


def to_erase(session: Session) -> list[tuple[int, Waiting]]:
    """(portal, record) of everything that a CRM asked to forget and that is not forgotten yet."""
    rows = session.execute(
        select(InboxRow.portal_id, InboxRow.resource, InboxRow.external_id, InboxRow.last_at).where(InboxRow.erase)
    )
    return [(row[0], Waiting(Resource(row[1]), row[2], row[3], erase=True)) for row in rows]


def oldest(session: Session, portal_id: int) -> datetime | None:
    """Since when the oldest record waits to be read, None when nothing does."""
    return session.scalar(select(func.min(_waits_since())).where(InboxRow.portal_id == portal_id, _is_due()))


def portals_waiting(session: Session) -> list[int]:
    """Portals that have something to read in the inbox."""
    return list(session.scalars(select(InboxRow.portal_id).where(_is_due()).distinct()))


def _is_due() -> ColumnElement[bool]:
    return or_(InboxRow.not_before.is_(None), InboxRow.not_before <= func.now())


def _waits_since() -> ColumnElement[datetime]:
    """One that was set aside waits since its time has come. PostgreSQL's `greatest` passes over what is empty."""
    return func.greatest(InboxRow.first_at, InboxRow.not_before)


def _keep(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    statement = insert(InboxRow)
    now = datetime.now(UTC)
    sooner = func.least(InboxRow.not_before, now + _NEWS)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["portal_id", "resource", "external_id"],
            set_={
                "is_deletion": statement.excluded.is_deletion,
                "last_at": func.greatest(InboxRow.last_at, statement.excluded.last_at, now),
                "times": InboxRow.times + 1,
                "erase": or_(InboxRow.erase, statement.excluded.erase),
                "not_before": case((InboxRow.not_before.is_not(None), sooner)),
            },
        ),
        list(rows),
    )


def depths(session: Session) -> list[tuple[int, int, datetime]]:
    """(portal, records, since when the oldest waits) of portals that have something to read in the inbox."""
    rows = session.execute(
        select(InboxRow.portal_id, func.count(), func.min(_waits_since()))
        .where(_is_due())
        .group_by(InboxRow.portal_id)
        .order_by(InboxRow.portal_id)
    )
    return [(portal_id, count, first) for portal_id, count, first in rows]


def forget_left(session: Session, before: datetime) -> int:
    """Drop what waits since before a moment in portals that nobody works on: coming back, they are read anew.

    What has to be erased stays until it is.
    """
    left = select(Portal.portal_id).where(Portal.state == "active")
    statement = delete(InboxRow).where(
        InboxRow.first_at < before, InboxRow.portal_id.not_in(left), InboxRow.erase.is_(False)
    )
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined]
