"""Scores: orders out of the mirror as arrays, scores into it in bulk, moves kept until tasks are made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from adapters.records import CustomerKind, CustomerRef
from connector.store.binary import read_blocks
from connector.store.models import CustomerRow, MethodRow, RunRow, ScoreRow
from connector.store.order_filters import condition
from scoring.filters import Filters

_ORDER_COLUMNS = (("customer", "integer"), ("day", "integer"), ("units", "bigint"), ("weight", "smallint"))
_FLAG_COLUMNS = (("number", "integer"), ("flags", "smallint"))

CUSTOMERS_AT_ONCE = 10_000
"""So many customers' rows are read in one piece."""

SCORABLE, MANAGER_MISSING, MANAGER_INACTIVE = 1, 2, 4
"""Bits of `customer_flags`."""


@dataclass(frozen=True, slots=True)
class OrderRows:
    """Counted orders of one portal sorted by customer and day: numbers, days, units of 10**-6, weights."""

    customer: NDArray[np.int32]
    day: NDArray[np.int32]
    units: NDArray[np.int64]
    weight: NDArray[np.int16]


def read_orders(
    session: Session,
    portal_id: int,
    last_day: int,
    not_after: datetime,
    *,
    only: Sequence[int] | None = None,
    block: int = 1000,
    filters: Filters | None = None,
) -> Iterator[OrderRows]:
    """Orders up to `last_day` (days since 1970-01-01) and not after a moment, `block` customers at a time.

    `only` names the customers to read; None reads all. An index-only scan is streamed, so memory stays at a block
    however large the portal is. `filters` leaves out orders by what the store alone knows of them, which takes a look
    at each row.
    """
    which, wanted = condition(filters)
    these = "" if only is None else " AND customer = ANY(%(only)s)"
    query = (
        "SELECT customer, day, units, weight FROM orders WHERE portal_id = %(portal)s AND customer IS NOT NULL"
        " AND customer >= block.low AND customer < block.high"
        f" AND day <= %(day)s AND at <= %(moment)s{these}{which} ORDER BY customer, day"
    )
    params = {"portal": portal_id, "day": last_day, "moment": not_after, "only": _listed(only), **wanted}
    numbers = _numbers(session, portal_id) if only is None else max(only, default=0) + 1
    size = block if only is None else numbers
    for records in read_blocks(session, query, params, _ORDER_COLUMNS, numbers=numbers, block=size):
        yield _order_rows(records)


def customer_flags(session: Session, portal_id: int) -> NDArray[np.int16]:
    """For each customer number: `SCORABLE` (living, read, a buyer) and what is wrong with its manager."""
    size = _numbers(session, portal_id)
    flags = np.zeros(size, np.int16)
    query = f"SELECT {_FLAGS} WHERE c.portal_id = %(portal)s AND c.number >= block.low AND c.number < block.high"
    for records in read_blocks(
        session, query, {"portal": portal_id}, _FLAG_COLUMNS, numbers=size, block=CUSTOMERS_AT_ONCE
    ):
        flags[records["number"].astype(np.int64)] = records["flags"]
    return flags


def flags_of(session: Session, portal_id: int, numbers: NDArray[np.int64]) -> NDArray[np.int16]:
    """The same for some customers, in the order of their numbers."""
    rows = session.execute(
        text(f"SELECT {_FLAGS} WHERE c.portal_id = :portal AND c.number = ANY(:numbers)"),
        {"portal": portal_id, "numbers": numbers.tolist()},
    )
    found: dict[int, int] = {row[0]: row[1] for row in rows}
    return np.array([found.get(number, 0) for number in numbers.tolist()], np.int16)


def segment_sizes(session: Session, portal_id: int) -> dict[str, int]:
    """Scored customers by segment."""
    rows = session.execute(
        text("SELECT segment, count(*) FROM scores WHERE portal_id = :p GROUP BY segment ORDER BY segment"),
        {"p": portal_id},
    )
    return {str(segment): int(count) for segment, count in rows}


def published(session: Session, portal_id: int, name: str) -> MethodRow | None:
    """The newest published version of a method."""
    return session.scalar(
        select(MethodRow)
        .where(MethodRow.portal_id == portal_id, MethodRow.name == name, MethodRow.state == "published")
        .order_by(MethodRow.version.desc())
        .limit(1)
    )


def published_bodies(session: Session, portal_id: int) -> list[str]:
    """Every method version that was ever published on a portal as JSON, newest first."""
    rows = (
        select(MethodRow.body)
        .where(MethodRow.portal_id == portal_id, MethodRow.published_at.is_not(None))
        .order_by(MethodRow.published_at.desc())
    )
    return list(session.scalars(rows))


def last_as_of(session: Session, portal_id: int) -> date | None:
    """The as-of day of the last scores."""
    return session.scalar(
        select(RunRow.as_of)
        .where(RunRow.portal_id == portal_id, RunRow.kind.in_(["run", "score"]))
        .order_by(RunRow.started_at.desc())
        .limit(1)
    )


@dataclass(frozen=True, slots=True)
class LivingScore:
    """What tasks are planned from: a score with its card and manager."""

    customer: int
    r: int
    f: int
    m: Decimal
    segment: str
    quality: int
    churn_risk: bool
    upsell: bool
    ref: CustomerRef
    manager_id: str | None
    method: str


def living_scores(session: Session, portal_id: int, only: Sequence[int] | None = None) -> Iterator[LivingScore]:
    """Scores of living cards, by customer number, streamed; `only` names the customers."""
    score = ScoreRow
    statement = (
        select(
            score.customer,
            score.r,
            score.f,
            score.m,
            score.segment,
            score.quality,
            score.churn_risk,
            score.upsell,
            CustomerRow.kind,
            CustomerRow.external_id,
            CustomerRow.manager_id,
            score.method,
        )
        .join(CustomerRow, (CustomerRow.portal_id == score.portal_id) & (CustomerRow.number == score.customer))
        .where(score.portal_id == portal_id, CustomerRow.seen, CustomerRow.gone.is_(False))
        .order_by(score.customer)
        .execution_options(yield_per=5000)
    )
    if only is not None:
        statement = statement.where(score.customer.in_(only))
    kinds = {kind.value: kind for kind in CustomerKind}
    for row in session.execute(statement):
        number, r, f, m, segment, quality, churn_risk, upsell, kind, external_id, manager_id, method = row
        ref = CustomerRef(kinds[kind], external_id)
        yield LivingScore(number, r, f, m, segment, quality, churn_risk, upsell, ref, manager_id, method)


def published_versions(session: Session, portal_id: int) -> Sequence[MethodRow]:
    """Every published version of every method, oldest first."""
    return session.scalars(
        select(MethodRow).where(MethodRow.portal_id == portal_id).order_by(MethodRow.name, MethodRow.version)
    ).all()


def score_of(session: Session, portal_id: int, customer: int) -> ScoreRow | None:
    """The current score of one customer."""
    return session.get(ScoreRow, (portal_id, customer))


def start_run(
    session: Session,
    portal_id: int,
    run_id: str,
    kind: str,
    as_of: date,
    now: datetime,
    *,
    beside: Sequence[int] | None = None,
    method: str | None = None,
) -> RunRow:
    """A new run; also settles what a killed run left behind. `method` is its version, where it is known already.

    Planned changes whose values the cards now hold were written before the kill; the others are superseded.
    `beside` has the customers of a small run that leaves an `open` one, done in chunks, alone: of that one's plan
    only the changes to these customers are superseded.
    """
    keys = {"portal": portal_id, "now": now, "alone": beside is None, "beside": list(beside or ())}
    session.execute(text(_SETTLE_LEFT_BEHIND), keys)
    session.execute(
        text(
            "UPDATE runs SET state = 'interrupted'"
            " WHERE portal_id = :portal AND (state = 'running' OR (state = 'open' AND :alone))"
        ),
        keys,
    )
    run = RunRow(
        portal_id=portal_id, run_id=run_id, kind=kind, as_of=as_of, method=method, state="running", started_at=now
    )
    session.add(run)
    session.flush()
    return run


def _numbers(session: Session, portal_id: int) -> int:
    """How many customer numbers have been given."""
    return session.scalar(text("SELECT next_number FROM portals WHERE portal_id = :p"), {"p": portal_id}) or 0


def _listed(only: Sequence[int] | None) -> list[int]:
    return [] if only is None else list(only)


def _order_rows(records: NDArray[Any]) -> OrderRows:
    return OrderRows(
        records["customer"].astype(np.int32),
        records["day"].astype(np.int32),
        records["units"].astype(np.int64),
        records["weight"].astype(np.int16),
    )


_FLAGS = """
c.number, ((c.seen AND NOT c.gone AND c.is_buyer)::int * 1 + (c.manager_id IS NULL)::int * 2
 + (c.manager_id IS NOT NULL AND m.active IS NOT TRUE)::int * 4)::smallint AS flags
FROM customers c LEFT JOIN managers m ON m.portal_id = c.portal_id AND m.external_id = c.manager_id
"""

_SETTLE_LEFT_BEHIND = """
UPDATE changes h
SET settled_at = :now,
    state = CASE WHEN NOT EXISTS (
        SELECT FROM jsonb_each(h.values) v
        WHERE NULLIF(v.value, 'null'::jsonb) IS DISTINCT FROM NULLIF(c.card -> v.key, 'null'::jsonb)
    ) THEN 'written' ELSE 'superseded' END
FROM customers c
WHERE h.portal_id = :portal AND h.state = 'planned' AND c.portal_id = :portal AND c.number = h.customer
  AND (:alone OR h.customer = ANY(:beside) OR NOT EXISTS (
    SELECT FROM runs r WHERE r.portal_id = h.portal_id AND r.run_id = h.run_id AND r.state = 'open'))
"""
