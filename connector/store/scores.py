"""Scores: orders out of the mirror as arrays, scores into it in bulk, moves kept until tasks are made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from adapters.records import CustomerKind, CustomerRef
from connector.store.copying import copy_into_temp
from connector.store.database import raw
from connector.store.models import CustomerRow, MethodRow, RunRow, ScoreRow

_HEADER = 19  # signature 11, flags 4, length of the extension 4
_INT = ">i4"
_ORDER_RECORD = np.dtype(
    [
        ("fields", ">i2"),
        ("l1", _INT),
        ("customer", _INT),
        ("l2", _INT),
        ("day", _INT),
        ("l3", _INT),
        ("units", ">i8"),
        ("l4", _INT),
        ("weight", ">i2"),
    ]
)
_CUSTOMER_RECORD = np.dtype([("fields", ">i2"), ("l1", _INT), ("number", _INT), ("l2", _INT), ("flags", ">i2")])

SCORABLE, MANAGER_MISSING, MANAGER_INACTIVE = 1, 2, 4
"""Bits of `customer_flags`."""

_SCORE_COLUMNS = (
    ("customer", "integer"),
    ("r", "integer"),
    ("f", "integer"),
    ("m", "numeric"),
    ("code", "text"),
    ("segment", "text"),
    ("quality", "smallint"),
    ("causes", "integer"),
    ("churn_risk", "boolean"),
    ("upsell", "boolean"),
    ("orders_total", "integer"),
    ("last_day", "integer"),
)
_VALUES = ("r", "f", "m", "code", "segment", "method", "quality", "churn_risk", "upsell")


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
    chunk_bytes: int = 16 << 20,
) -> Iterator[OrderRows]:
    """Orders up to `last_day` (days since 1970-01-01) and not after a moment, in chunks that never split a customer.

    `only` names the customers to read; None reads all.

    Streams an index-only scan through binary COPY, so memory stays at a chunk however large the portal is.
    """
    these = "" if only is None else " AND customer = ANY(%s)"
    sql = (
        "COPY (SELECT customer, day, units, weight FROM orders WHERE portal_id = %s AND customer IS NOT NULL"
        f" AND day <= %s AND at <= %s{these} ORDER BY customer, day) TO STDOUT (FORMAT BINARY)"
    )
    params: tuple[Any, ...] = (portal_id, last_day, not_after)
    if only is not None:
        params = (*params, list(only))
    rest: NDArray[Any] = np.empty(0, _ORDER_RECORD)
    for records in _binary_records(session, sql, params, _ORDER_RECORD, chunk_bytes):
        joined = np.concatenate([rest, records]) if len(rest) else records
        cut = int(np.searchsorted(joined["customer"], joined["customer"][-1], side="left"))
        if cut:
            yield _order_rows(joined[:cut])
        rest = joined[cut:].copy()
    if len(rest):
        yield _order_rows(rest)


def customer_flags(session: Session, portal_id: int) -> NDArray[np.int16]:
    """For each customer number: `SCORABLE` (living, read, a buyer) and what is wrong with its manager."""
    size = session.scalar(text("SELECT next_number FROM portals WHERE portal_id = :p"), {"p": portal_id}) or 0
    flags = np.zeros(size, np.int16)
    sql = f"COPY (SELECT {_FLAGS} WHERE c.portal_id = %s) TO STDOUT (FORMAT BINARY)"
    for records in _binary_records(session, sql, (portal_id,), _CUSTOMER_RECORD, 4 << 20):
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


def store_scores(
    session: Session,
    portal_id: int,
    run: RunRow,
    method: str,
    rows: Iterable[Sequence[Any]],
    *,
    only: Sequence[int] | None = None,
) -> tuple[int, int]:
    """Replace the portal's scores by `rows` (in `_SCORE_COLUMNS` order); returns (scored, moved between segments).

    `only` names the customers whose scores are replaced; None replaces all.

    Rows whose values did not change are untouched. What moved is kept in `moves`; a customer scored for the first
    time has not moved.
    """
    scored = copy_into_temp(session, "incoming_scores", _SCORE_COLUMNS, rows)
    keys = {"portal": portal_id, "run": run.run_id, "method": method, "now": run.started_at, "as_of": run.as_of}
    moved = _rows(session, _MOVES, keys)
    _rows(session, _UPSELL_TURNED, keys)
    _rows(session, _UPSERT_SCORES, keys)
    these = "" if only is None else " AND s.customer = ANY(:only)"
    _rows(
        session,
        f"DELETE FROM scores s WHERE s.portal_id = :portal{these}"
        " AND NOT EXISTS (SELECT FROM incoming_scores i WHERE i.customer = s.customer)",
        keys if only is None else {**keys, "only": list(only)},
    )
    return scored, moved


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
        .where(MethodRow.portal_id == portal_id, MethodRow.name == name)
        .order_by(MethodRow.version.desc())
        .limit(1)
    )


def published_bodies(session: Session, portal_id: int) -> list[str]:
    """Every published method version of a portal as JSON, newest first."""
    rows = select(MethodRow.body).where(MethodRow.portal_id == portal_id).order_by(MethodRow.published_at.desc())
    return list(session.scalars(rows))


def last_as_of(session: Session, portal_id: int) -> date | None:
    """The as-of day of the last scores."""
    return session.scalar(
        select(RunRow.as_of)
        .where(RunRow.portal_id == portal_id, RunRow.kind.in_(["run", "score"]))
        .order_by(RunRow.started_at.desc())
        .limit(1)
    )


def living_scores(
    session: Session, portal_id: int, only: Sequence[int] | None = None
) -> Iterator[tuple[ScoreRow, CustomerRef, str | None]]:
    """Scores of living cards with card and manager, by customer number, streamed; `only` names the customers."""
    statement = (
        select(ScoreRow, CustomerRow.kind, CustomerRow.external_id, CustomerRow.manager_id)
        .join(
            CustomerRow,
            (CustomerRow.portal_id == ScoreRow.portal_id) & (CustomerRow.number == ScoreRow.customer),
        )
        .where(ScoreRow.portal_id == portal_id, CustomerRow.seen, CustomerRow.gone.is_(False))
        .order_by(ScoreRow.customer)
        .execution_options(yield_per=5000)
    )
    if only is not None:
        statement = statement.where(ScoreRow.customer.in_(only))
    for score, kind, external_id, manager_id in session.execute(statement):
        yield score, CustomerRef(CustomerKind(kind), external_id), manager_id


def published_versions(session: Session, portal_id: int) -> Sequence[MethodRow]:
    """Every published version of every method, oldest first."""
    return session.scalars(
        select(MethodRow).where(MethodRow.portal_id == portal_id).order_by(MethodRow.name, MethodRow.version)
    ).all()


def score_of(session: Session, portal_id: int, customer: int) -> ScoreRow | None:
    """The current score of one customer."""
    return session.get(ScoreRow, (portal_id, customer))


def start_run(session: Session, portal_id: int, run_id: str, kind: str, as_of: date, now: datetime) -> RunRow:
    """A new run; also settles what a killed run left behind.

    Planned changes whose values the cards now hold were written before the kill; the others are superseded.
    """
    session.execute(text(_SETTLE_LEFT_BEHIND), {"portal": portal_id, "now": now})
    session.execute(
        text("UPDATE runs SET state = 'interrupted' WHERE portal_id = :portal AND state = 'running'"),
        {"portal": portal_id},
    )
    run = RunRow(portal_id=portal_id, run_id=run_id, kind=kind, as_of=as_of, state="running", started_at=now)
    session.add(run)
    session.flush()
    return run


def _order_rows(records: NDArray[Any]) -> OrderRows:
    return OrderRows(
        records["customer"].astype(np.int32),
        records["day"].astype(np.int32),
        records["units"].astype(np.int64),
        records["weight"].astype(np.int16),
    )


def _binary_records(
    session: Session, sql: str, params: tuple[Any, ...], dtype: np.dtype[Any], chunk_bytes: int
) -> Iterator[NDArray[Any]]:
    """Fixed-width rows of a binary COPY as structured arrays. No column may be null."""
    buffer = bytearray()
    skip = _HEADER
    with raw(session).cursor() as cursor, cursor.copy(sql.encode(), params) as copy:
        for piece in copy:
            buffer += piece
            if len(buffer) < chunk_bytes:
                continue
            usable = (len(buffer) - skip) // dtype.itemsize * dtype.itemsize
            if usable <= 0:
                continue
            yield np.frombuffer(bytes(buffer[skip : skip + usable]), dtype)
            del buffer[: skip + usable]
            skip = 0
    usable = (len(buffer) - skip) // dtype.itemsize * dtype.itemsize
    if usable > 0:
        yield np.frombuffer(bytes(buffer[skip : skip + usable]), dtype)


def _rows(session: Session, sql: str, keys: dict[str, Any]) -> int:
    return int(session.execute(text(sql), keys).rowcount)  # type: ignore[attr-defined]


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
"""

_MOVES = """
INSERT INTO moves (portal_id, customer, run_id, kind, as_of, was, now, method)
SELECT :portal, s.customer, :run, 'segment', :as_of, s.segment, i.segment, :method
FROM incoming_scores i JOIN scores s ON s.portal_id = :portal AND s.customer = i.customer
WHERE s.segment <> i.segment AND split_part(s.method, '@', 1) = split_part(:method, '@', 1)
ON CONFLICT DO NOTHING
"""

_UPSELL_TURNED = """
INSERT INTO moves (portal_id, customer, run_id, kind, as_of, was, now, method)
SELECT :portal, s.customer, :run, 'upsell', :as_of, 'no', 'yes', :method
FROM incoming_scores i JOIN scores s ON s.portal_id = :portal AND s.customer = i.customer
WHERE i.upsell AND NOT s.upsell AND split_part(s.method, '@', 1) = split_part(:method, '@', 1)
ON CONFLICT DO NOTHING
"""

_NAMES = ", ".join(name for name, _ in _SCORE_COLUMNS)
_INCOMING = ", ".join(f"i.{name}" for name, _ in _SCORE_COLUMNS)
_CHANGED = (
    f"({', '.join(f't.{name}' for name in _VALUES)}) IS DISTINCT FROM"
    f" ({', '.join(f'excluded.{name}' for name in _VALUES)})"
)
_UPSERT_SCORES = f"""
INSERT INTO scores AS t (portal_id, method, changed_at, run_id, {_NAMES})
SELECT :portal, :method, :now, :run, {_INCOMING} FROM incoming_scores i
ON CONFLICT (portal_id, customer) DO UPDATE SET
  segment_previous = CASE WHEN t.segment <> excluded.segment THEN t.segment ELSE t.segment_previous END,
  {", ".join(f"{name} = excluded.{name}" for name, _ in _SCORE_COLUMNS if name != "customer")},
  method = excluded.method,
  changed_at = CASE WHEN {_CHANGED} THEN excluded.changed_at ELSE t.changed_at END,
  run_id = CASE WHEN {_CHANGED} THEN excluded.run_id ELSE t.run_id END
WHERE {_CHANGED} OR (t.causes, t.orders_total, t.last_day)
  IS DISTINCT FROM (excluded.causes, excluded.orders_total, excluded.last_day)
"""
