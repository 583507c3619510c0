"""Calls of robots and workflow actions: kept once, however often the CRM repeats them, until they are answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from connector.store.models import CallRow
from webhooks.deliveries import Resource

SCORE, SEGMENT = "score", "segment"
"""What is asked for: to score the customer again first, or the present values."""
KEPT_FOR = timedelta(days=7)
"""HubSpot repeats a call for up to three days, and waits a week for an answer."""
_OUTCOME_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Call:
    """A proven call. `sealed` is the CRM's token of it, None where nobody waits for an answer."""

    call_key: str
    action: str
    resource: Resource
    external_id: str
    sealed: bytes | None


def keep(session: Session, portal_id: int, call: Call, now: datetime) -> bool:
    """Keep a call; False for one that is known already, which stays as it is."""
    row = {
        "portal_id": portal_id,
        "call_key": call.call_key,
        "action": call.action,
        "resource": call.resource.value,
        "external_id": call.external_id,
        "sealed": call.sealed,
        "asked_at": now,
    }
    found = session.scalar(insert(CallRow).values(row).on_conflict_do_nothing().returning(CallRow.call_key))
    return found is not None


def is_answered(session: Session, portal_id: int, call_key: str) -> bool:
    """Whether a known call has had its answer."""
    row = session.get(CallRow, (portal_id, call_key))
    return row is not None and row.answered_at is not None


def waiting(session: Session, portal_id: int, limit: int, *, before: datetime | None = None) -> list[Call]:
    """The calls that have waited longest; `before`: asked for until then."""
    query = select(CallRow).where(CallRow.portal_id == portal_id, CallRow.answered_at.is_(None))
    if before is not None:
        query = query.where(CallRow.asked_at <= before)
    rows = session.scalars(query.order_by(CallRow.asked_at, CallRow.call_key).limit(limit))
    return [Call(row.call_key, row.action, Resource(row.resource), row.external_id, row.sealed) for row in rows]


def wants_score(session: Session, portal_id: int) -> bool:
    """Whether any of those that wait asks to score first."""
    query = select(CallRow.call_key).where(
        CallRow.portal_id == portal_id, CallRow.answered_at.is_(None), CallRow.action == SCORE
    )
    return session.scalar(query.limit(1)) is not None


def count_waiting(session: Session, portal_id: int) -> int:
    """How many wait."""
    query = select(func.count()).where(CallRow.portal_id == portal_id, CallRow.answered_at.is_(None))
    return session.scalar(query) or 0


def answered(session: Session, portal_id: int, call_keys: Sequence[str], now: datetime, outcome: str) -> None:
    """Close calls; the CRM's tokens of them are forgotten."""
    session.execute(
        update(CallRow)
        .where(CallRow.portal_id == portal_id, CallRow.call_key.in_(call_keys))
        .values(answered_at=now, outcome=outcome[:_OUTCOME_LONGEST], sealed=None)
    )


def forget_older(session: Session, portal_id: int, before: datetime) -> int:
    """Drop calls asked for before a moment, answered or not: nobody repeats or waits for them any more."""
    statement = delete(CallRow).where(CallRow.portal_id == portal_id, CallRow.asked_at < before)
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined]
