"""Dead letters: cards that could not be written and wait, each with why, since when and how many runs have tried.

A letter is a marker and holds no values: those are computed anew whenever it is tried again, so that a replay never
puts old figures on a card. Every run tries all of them, because their cards still differ from their scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from connector.store.models import CustomerRow, InboxRow, LetterRow

MOST = 10_000
"""So many are listed or tried again at once; the next call takes what is left."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One card that waits. `state` is `refused` (by the CRM) or `invalid` (stopped by us before it was sent)."""

    customer: int
    kind: str
    external_id: str
    state: str
    field: str | None
    reason: str | None
    first_at: datetime
    last_at: datetime
    times: int


def settle(session: Session, portal_id: int, run_id: str, now: datetime, *, some_wait: bool) -> None:
    """Bring the letters up to date with the outcomes in `incoming_outcomes`. Safe to repeat in a run."""
    keys = {"portal": portal_id, "run": run_id, "now": now}
    session.execute(text(_WRITTEN), keys)
    if some_wait:
        session.execute(text(_WAITING), keys)


def settle_rest(session: Session, portal_id: int, run_id: str) -> int:
    """Drop letters that a run over all cards had no reason to try: their cards are right by now, or are gone."""
    found = session.execute(delete(LetterRow).where(LetterRow.portal_id == portal_id, LetterRow.run_id != run_id))
    return int(found.rowcount)  # type: ignore[attr-defined]


def waiting(session: Session, portal_id: int, limit: int = MOST) -> Sequence[Letter]:
    """What waits, the longest first."""
    rows = session.execute(
        select(
            LetterRow.customer,
            CustomerRow.kind,
            CustomerRow.external_id,
            LetterRow.state,
            LetterRow.field,
            LetterRow.reason,
            LetterRow.first_at,
            LetterRow.last_at,
            LetterRow.times,
        )
        .join(CustomerRow, (CustomerRow.portal_id == portal_id) & (CustomerRow.number == LetterRow.customer))
        .where(LetterRow.portal_id == portal_id)
        .order_by(LetterRow.first_at, LetterRow.customer)
        .limit(limit)
    )
    return [Letter(*row) for row in rows]


def unread(session: Session, portal_id: int, limit: int = MOST) -> Sequence[InboxRow]:
    """Records that webhooks spoke of and that could not be read: set aside, the longest first."""
    return session.scalars(
        select(InboxRow)
        .where(InboxRow.portal_id == portal_id, InboxRow.not_before.is_not(None))
        .order_by(InboxRow.first_at, InboxRow.resource, InboxRow.external_id)
        .limit(limit)
    ).all()


def read_again(session: Session, portal_id: int, now: datetime) -> int:
    """Have the next drain try all of those; returns how many."""
    statement = (
        update(InboxRow).where(InboxRow.portal_id == portal_id, InboxRow.not_before > now).values(not_before=now)
    )
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined]


def depths(session: Session) -> list[tuple[int, str, int]]:
    """(portal, state, how many wait)."""
    rows = session.execute(
        select(LetterRow.portal_id, LetterRow.state, func.count())
        .group_by(LetterRow.portal_id, LetterRow.state)
        .order_by(LetterRow.portal_id, LetterRow.state)
    )
    return [(portal_id, state, int(count)) for portal_id, state, count in rows]


_WRITTEN = """
DELETE FROM dead_letters d USING incoming_outcomes i
WHERE d.portal_id = :portal AND d.customer = i.customer AND i.state = 'written'
"""

_WAITING = """
INSERT INTO dead_letters AS d (portal_id, customer, state, field, reason, run_id, first_at, last_at, times)
SELECT :portal, i.customer, i.state, i.field, i.reason, :run, :now, :now, 1
FROM incoming_outcomes i WHERE i.state <> 'written'
ON CONFLICT (portal_id, customer) DO UPDATE
SET state = excluded.state, field = excluded.field, reason = excluded.reason, last_at = excluded.last_at,
    times = d.times + (d.run_id <> excluded.run_id)::integer, run_id = excluded.run_id
"""
