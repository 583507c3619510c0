"""Who was told of which deadline, as rows: made before anything is sent, one for each clock, window and tier."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from connector.store.models import SlaNoticeRow

DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class Told:
    """A notice, and when somebody first did something about its occasion."""

    rule: str
    to: str
    at: datetime
    acted_at: datetime | None


def add(session: Session, row: Mapping[str, Any]) -> bool:
    """Note that somebody is told; returns whether it is the first time."""
    done = session.execute(insert(SlaNoticeRow).values(dict(row)).on_conflict_do_nothing())
    return bool(done.rowcount)  # type: ignore[attr-defined]


def told_about(session: Session, portal_id: int, occasions: Collection[str]) -> set[str]:
    """Keys of the notices about these occasions."""
    found = session.scalars(
        select(SlaNoticeRow.key).where(SlaNoticeRow.portal_id == portal_id, SlaNoticeRow.occasion.in_(occasions))
    )
    return set(found)


def told_since(session: Session, portal_id: int, since: datetime) -> dict[str, int]:
    """How many notices each person got since a moment, digests aside."""
    rows = session.execute(
        select(SlaNoticeRow.recipient, func.count())
        .where(SlaNoticeRow.portal_id == portal_id, SlaNoticeRow.made_at >= since, SlaNoticeRow.tier != DIGEST)
        .group_by(SlaNoticeRow.recipient)
    )
    return {row[0]: row[1] for row in rows}


def history(session: Session, portal_id: int, since: datetime) -> list[Told]:
    """The notices since a moment, each with the first attempt or result after it."""
    found = session.execute(text(_HISTORY), {"portal": portal_id, "since": since})
    return [Told(*row) for row in found]


def last_digest(session: Session, portal_id: int) -> datetime | None:
    """Until when the last digest told."""
    return session.scalar(
        select(func.max(SlaNoticeRow.until)).where(SlaNoticeRow.portal_id == portal_id, SlaNoticeRow.tier == DIGEST)
    )


def newest(session: Session, portal_id: int, limit: int) -> Sequence[SlaNoticeRow]:
    """The last notices, newest first."""
    return session.scalars(
        select(SlaNoticeRow)
        .where(SlaNoticeRow.portal_id == portal_id)
        .order_by(SlaNoticeRow.made_at.desc(), SlaNoticeRow.key)
        .limit(limit)
    ).all()


_HISTORY = """
SELECT n.rule, n.recipient, n.made_at, (
    SELECT min(e.at) FROM occasion_events e
    WHERE e.portal_id = n.portal_id AND e.occasion = n.occasion AND e.at >= n.made_at
      AND e.kind IN ('contact', 'done', 'refused', 'postponed', 'reassigned'))
FROM sla_notices n WHERE n.portal_id = :portal AND n.made_at >= :since AND n.tier <> 'digest'
"""
