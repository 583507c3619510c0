"""Accepted webhooks as a set of records to look at again: one row a record, however often it changed.

Webhooks arrive in `connector.store.intake`, from where they are gathered here when their portal is drained. A notice
is a hint and never data, so nothing of a delivery but "this record changed" is kept. Many events of one record fold
into one row; a row is taken out only if nothing arrived for it since it was read. A record that cannot be read is set
aside for a while, so that it does not stand in the way of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, literal, or_, select, text, tuple_, union_all, update
from sqlalchemy.orm import Session

from connector.store.models import ArrivalRow, InboxRow, Portal
from webhooks.deliveries import Resource

_GATHERED = 1000
"""Deliveries at once: up to a hundred thousand records."""
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


def gather(session: Session, portal_id: int) -> int:
    """Bring what has arrived (`connector.store.intake`) into the inbox; returns how many records it told of.

    For whoever holds the portal's lock, or for a portal that nobody works on: one at a time.
    """
    keys = {"portal": portal_id, "most": _GATHERED, "news": _NEWS}
    found, taken = 0, _GATHERED
    while taken == _GATHERED:
        told, taken = session.execute(text(_GATHER), keys).one()
        found += told
    return found


def gather_left(session: Session) -> None:
    """The same for portals that nobody works on."""
    left = select(Portal.portal_id).where(Portal.state == "active")
    for portal_id in session.scalars(select(ArrivalRow.portal_id).where(ArrivalRow.portal_id.not_in(left)).distinct()):
        gather(session, portal_id)


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
    gather_left(session)
    rows = session.execute(
        select(InboxRow.portal_id, InboxRow.resource, InboxRow.external_id, InboxRow.last_at).where(InboxRow.erase)
    )
    return [(row[0], Waiting(Resource(row[1]), row[2], row[3], erase=True)) for row in rows]


def oldest(session: Session, portal_id: int) -> datetime | None:
    """Since when the oldest record waits to be read, None when nothing does."""
    gathered = select(func.min(_waits_since())).where(InboxRow.portal_id == portal_id, _is_due())
    arrived = select(func.min(ArrivalRow.arrived_at)).where(ArrivalRow.portal_id == portal_id)
    return session.scalar(select(func.least(gathered.scalar_subquery(), arrived.scalar_subquery())))


def portals_waiting(session: Session) -> list[int]:
    """Portals that have something to read in the inbox."""
    return list(session.scalars(select(InboxRow.portal_id).where(_is_due()).union(select(ArrivalRow.portal_id))))


def _is_due() -> ColumnElement[bool]:
    return or_(InboxRow.not_before.is_(None), InboxRow.not_before <= func.now())


def _waits_since() -> ColumnElement[datetime]:
    """One that was set aside waits since its time has come. PostgreSQL's `greatest` passes over what is empty."""
    return func.greatest(InboxRow.first_at, InboxRow.not_before)


def depths(session: Session) -> list[tuple[int, int, datetime]]:
    """(portal, records, since when the oldest waits) of portals that have something to read.

    A record that has arrived several times since the last drain counts as often.
    """
    gathered = select(InboxRow.portal_id, literal(1).label("count"), _waits_since().label("since")).where(_is_due())
    arrived = select(ArrivalRow.portal_id, ArrivalRow.count, ArrivalRow.arrived_at)
    each = union_all(gathered, arrived).subquery()
    rows = session.execute(
        select(each.c.portal_id, func.sum(each.c.count), func.min(each.c.since))
        .group_by(each.c.portal_id)
        .order_by(each.c.portal_id)
    )
    return [(portal_id, int(count), first) for portal_id, count, first in rows]


def forget_left(session: Session, before: datetime) -> int:
    """Drop what waits since before a moment in portals that nobody works on: coming back, they are read anew.

    What has to be erased stays until it is.
    """
    gather_left(session)
    left = select(Portal.portal_id).where(Portal.state == "active")
    statement = delete(InboxRow).where(
        InboxRow.first_at < before, InboxRow.portal_id.not_in(left), InboxRow.erase.is_(False)
    )
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined]


_GATHER = """
WITH taken AS (
  DELETE FROM arrivals WHERE portal_id = :portal AND arrival_id IN (
    SELECT arrival_id FROM arrivals WHERE portal_id = :portal ORDER BY arrival_id LIMIT :most)
  RETURNING arrived_at, records
), told AS (
  SELECT split_part(word, ':', 1) AS resource, split_part(word, ':', 2) AS external_id,
         split_part(word, ':', 3) AS more, arrived_at
  FROM taken CROSS JOIN LATERAL string_to_table(records, ' ') word
), folded AS (
  INSERT INTO inbox AS i (portal_id, resource, external_id, is_deletion, first_at, last_at, times, erase)
  SELECT :portal, resource, external_id, bool_or(more LIKE '%d%'), min(arrived_at), max(arrived_at), count(*),
         bool_or(more LIKE '%e%')
  FROM told GROUP BY resource, external_id ORDER BY resource, external_id
  ON CONFLICT (portal_id, resource, external_id) DO UPDATE SET
    is_deletion = excluded.is_deletion,
    last_at = greatest(i.last_at, excluded.last_at, now()),
    times = i.times + excluded.times,
    erase = i.erase OR excluded.erase,
    not_before = CASE WHEN i.not_before IS NOT NULL THEN least(i.not_before, now() + :news) END
)
SELECT (SELECT count(*) FROM told), (SELECT count(*) FROM taken)
"""
