"""Occasions and their logs as rows: opened with their task, looked at when due, ended once. Lines are only added.

Knows no rule and no calendar: what a line means is `connector.sla.logbook`'s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from adapters.records import CustomerKind, CustomerRef
from connector.store.models import UNIT_PLACES, CustomerRow, OccasionEventRow, OccasionRow, TaskRow


@dataclass(frozen=True, slots=True)
class Line:
    """A line to put down. `source` names the fact; an occasion takes each source once."""

    occasion: str
    customer: int
    at: datetime
    kind: str
    source: str
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Held:
    """An occasion with its log, its customer's card, and the CRM's id of its task, if the CRM has it."""

    row: OccasionRow
    ref: CustomerRef
    log: tuple[OccasionEventRow, ...]
    task_id: str | None
    gone: bool


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened to an open occasion's customer: `source` names it for good."""

    occasion: str
    customer: int
    at: datetime
    source: str


def add(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Open occasions; one that is there stays as it is."""
    if rows:
        session.execute(insert(OccasionRow).on_conflict_do_nothing(), list(rows))


def put_down(session: Session, portal_id: int, lines: Iterable[Line]) -> set[str]:
    """Add lines; what was put down before is left out. Returns the occasions that grew; they are to be looked at."""
    by_occasion: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by_occasion[line.occasion].append(line)
    if not by_occasion:
        return set()
    counts, known = _known(session, portal_id, by_occasion)
    rows = []
    for occasion, own in by_occasion.items():
        number = counts.get(occasion, 0)
        for line in own:
            if (occasion, line.source) in known:
                continue
            known.add((occasion, line.source))
            rows.append(_line_row(portal_id, line, number))
            number += 1
    if not rows:
        return set()
    session.execute(insert(OccasionEventRow), rows)
    grown = {row["occasion"] for row in rows}
    session.execute(
        update(OccasionRow)
        .where(OccasionRow.portal_id == portal_id, OccasionRow.key.in_(grown), OccasionRow.ended_at.is_(None))
        .values(look_at=func.least(OccasionRow.look_at, min(row["at"] for row in rows)))
        .execution_options(synchronize_session="fetch")
    )
    return grown


def _known(session: Session, portal_id: int, occasions: Collection[str]) -> tuple[dict[str, int], set[tuple[str, str]]]:
    found = session.execute(
        select(OccasionEventRow.occasion, OccasionEventRow.number, OccasionEventRow.source).where(
            OccasionEventRow.portal_id == portal_id, OccasionEventRow.occasion.in_(occasions)
        )
    ).all()
    counts: dict[str, int] = {}
    for occasion, number, _ in found:
        counts[occasion] = max(counts.get(occasion, 0), number + 1)
    return counts, {(occasion, source) for occasion, _, source in found}


def _line_row(portal_id: int, line: Line, number: int) -> dict[str, Any]:
    return {
        "portal_id": portal_id,
        "occasion": line.occasion,
        "number": number,
        "customer": line.customer,
        "at": line.at,
        "kind": line.kind,
        "source": line.source,
        "body": dict(line.body),
    }


def due(session: Session, portal_id: int, now: datetime, limit: int) -> list[Held]:
    """Open occasions that are to be looked at, the longest due first."""
    keys = session.scalars(
        select(OccasionRow.key)
        .where(OccasionRow.portal_id == portal_id, OccasionRow.ended_at.is_(None), OccasionRow.look_at <= now)
        .order_by(OccasionRow.look_at, OccasionRow.key)
        .limit(limit)
    ).all()
    return held(session, portal_id, keys)


def open_keys(session: Session, portal_id: int, customers: Collection[int] | None = None) -> dict[int, list[str]]:
    """The open occasions by customer, the oldest first; of these customers, or of all."""
    statement = (
        select(OccasionRow.customer, OccasionRow.key)
        .where(OccasionRow.portal_id == portal_id, OccasionRow.ended_at.is_(None))
        .order_by(OccasionRow.started_at, OccasionRow.key)
    )
    if customers is not None:
        statement = statement.where(OccasionRow.customer.in_(customers))
    found: dict[int, list[str]] = defaultdict(list)
    for customer, key in session.execute(statement):
        found[customer].append(key)
    return dict(found)


def begun(session: Session, portal_id: int, customers: Collection[int]) -> dict[int, list[tuple[str, datetime]]]:
    """(occasion, when it began) of the open occasions of some customers."""
    found: dict[int, list[tuple[str, datetime]]] = defaultdict(list)
    for customer, key, started_at in session.execute(
        select(OccasionRow.customer, OccasionRow.key, OccasionRow.started_at).where(
            OccasionRow.portal_id == portal_id, OccasionRow.ended_at.is_(None), OccasionRow.customer.in_(customers)
        )
    ):
        found[customer].append((key, started_at))
    return dict(found)


def held(session: Session, portal_id: int, keys: Collection[str]) -> list[Held]:
    """The named occasions with their logs, by key."""
    if not keys:
        return []
    logs: dict[str, list[OccasionEventRow]] = defaultdict(list)
    for line in session.scalars(
        select(OccasionEventRow)
        .where(OccasionEventRow.portal_id == portal_id, OccasionEventRow.occasion.in_(keys))
        .order_by(OccasionEventRow.occasion, OccasionEventRow.number)
    ):
        logs[line.occasion].append(line)
    rows = session.execute(
        select(OccasionRow, CustomerRow.kind, CustomerRow.external_id, CustomerRow.gone, TaskRow.external_id)
        .join(
            CustomerRow, (CustomerRow.portal_id == OccasionRow.portal_id) & (CustomerRow.number == OccasionRow.customer)
        )
        .outerjoin(TaskRow, (TaskRow.portal_id == OccasionRow.portal_id) & (TaskRow.key == OccasionRow.task_key))
        .where(OccasionRow.portal_id == portal_id, OccasionRow.key.in_(keys))
        .order_by(OccasionRow.key)
    )
    return [
        Held(row, CustomerRef(CustomerKind(kind), external_id), tuple(logs[row.key]), task_id, gone)
        for row, kind, external_id, gone, task_id in rows
    ]


def all_open(session: Session, portal_id: int) -> list[Held]:
    """Every open occasion with its log."""
    found = open_keys(session, portal_id)
    return held(session, portal_id, [key for keys in found.values() for key in keys])


def since(session: Session, portal_id: int, moment: datetime) -> list[Held]:
    """The occasions that began at or after a moment, or ended at or after it, with their logs."""
    keys = session.scalars(
        select(OccasionRow.key).where(
            OccasionRow.portal_id == portal_id,
            or_(OccasionRow.started_at >= moment, OccasionRow.ended_at >= moment),
        )
    ).all()
    return held(session, portal_id, keys)


def of_task(session: Session, portal_id: int, task_key: str) -> str | None:
    """The open occasion whose task this is."""
    return session.scalar(
        select(OccasionRow.key).where(
            OccasionRow.portal_id == portal_id, OccasionRow.ended_at.is_(None), OccasionRow.task_key == task_key
        )
    )


def any_open(session: Session, portal_id: int) -> bool:
    """Whether anybody is being worked on."""
    return bool(
        session.scalar(
            select(OccasionRow.key).where(OccasionRow.portal_id == portal_id, OccasionRow.ended_at.is_(None)).limit(1)
        )
    )


def any_due(session: Session, portal_id: int, now: datetime) -> bool:
    """Whether an open occasion is to be looked at."""
    return bool(
        session.scalar(
            select(OccasionRow.key)
            .where(OccasionRow.portal_id == portal_id, OccasionRow.ended_at.is_(None), OccasionRow.look_at <= now)
            .limit(1)
        )
    )


def oldest_open(session: Session, portal_id: int) -> datetime | None:
    """When the oldest open occasion began."""
    return session.scalar(
        select(func.min(OccasionRow.started_at)).where(
            OccasionRow.portal_id == portal_id, OccasionRow.ended_at.is_(None)
        )
    )


def bought(session: Session, portal_id: int, customers: Collection[int] | None, now: datetime) -> list[Fact]:
    """Orders of customers under work that are later than its beginning and not later than now."""
    return _facts(session, _BOUGHT, portal_id, customers, now)


def gone(session: Session, portal_id: int, customers: Collection[int] | None, now: datetime) -> list[Fact]:
    """Customers under work whose card vanished, as of now."""
    return _facts(session, _GONE, portal_id, customers, now)


def touched_on(session: Session, portal_id: int, customers: Collection[int]) -> dict[int, list[tuple[str, datetime]]]:
    """(occasion, moment) of our attempts, by customer."""
    found: dict[int, list[tuple[str, datetime]]] = defaultdict(list)
    rows = session.execute(
        select(OccasionEventRow.customer, OccasionEventRow.occasion, OccasionEventRow.at).where(
            OccasionEventRow.portal_id == portal_id,
            OccasionEventRow.customer.in_(customers),
            OccasionEventRow.kind == "contact",
            OccasionEventRow.body["contact"]["inbound"].as_boolean().is_(False),
        )
    )
    for customer, occasion, at in rows:
        found[customer].append((occasion, at))
    return dict(found)


def order_sums(session: Session, portal_id: int, sources: Collection[str]) -> dict[str, Decimal]:
    """The sums, in the base currency, of orders named as `bought` names them; refunds and gone orders are left out."""
    names = "'order:' || source || ':' || external_id"
    found = session.execute(
        text(
            f"SELECT {names}, units FROM orders WHERE portal_id = :portal AND {names} = ANY(:sources)"
            " AND weight < 3 AND customer IS NOT NULL"
        ),
        {"portal": portal_id, "sources": list(sources)},
    )
    return {name: Decimal(units).scaleb(-UNIT_PLACES) for name, units in found}


def steps_today(session: Session, portal_id: int, run_id: str, on: date) -> dict[str | None, int]:
    """How many follow-up steps each manager got on a day."""
    rows = session.execute(
        select(TaskRow.manager_id, func.count())
        .where(
            TaskRow.portal_id == portal_id,
            TaskRow.run_id == run_id,
            TaskRow.raised_on == on,
            TaskRow.event_key.like("%/%"),
        )
        .group_by(TaskRow.manager_id)
    )
    return {row[0]: row[1] for row in rows}


def big_from(session: Session, portal_id: int) -> float:
    """The border above which the largest fifth of the portal's sums lie."""
    found = session.scalar(
        text("SELECT percentile_disc(0.8) WITHIN GROUP (ORDER BY m) FROM scores WHERE portal_id = :portal"),
        {"portal": portal_id},
    )
    return float(found or 0)


def forget_ended(session: Session, portal_id: int, before: datetime) -> int:
    """Drop occasions that ended before a moment, with their logs; returns how many."""
    keys = {"portal": portal_id, "before": before}
    for sql in _FORGET:
        session.execute(text(sql), keys)
    return int(session.execute(text(_FORGET_OCCASIONS), keys).rowcount)  # type: ignore[attr-defined]


def _facts(session: Session, sql: str, portal_id: int, customers: Collection[int] | None, now: datetime) -> list[Fact]:
    keys = {"portal": portal_id, "all": customers is None, "only": list(customers or ()), "now": now}
    return [Fact(*row) for row in session.execute(text(sql), keys)]


_BOUGHT = """
SELECT w.key, w.customer, o.at, 'order:' || o.source || ':' || o.external_id
FROM occasions w
JOIN orders o ON o.portal_id = w.portal_id AND o.customer = w.customer AND o.at > w.started_at
WHERE w.portal_id = :portal AND w.ended_at IS NULL AND o.at <= :now AND o.weight < 3
  AND (:all OR w.customer = ANY(:only))
ORDER BY o.at, o.external_id
"""

_GONE = """
SELECT w.key, w.customer, CAST(:now AS timestamptz), 'gone'
FROM occasions w JOIN customers c ON c.portal_id = w.portal_id AND c.number = w.customer
WHERE w.portal_id = :portal AND w.ended_at IS NULL AND c.gone AND (:all OR w.customer = ANY(:only))
"""

_FORGET = (
    """
DELETE FROM occasion_events e USING occasions w
WHERE w.portal_id = :portal AND w.ended_at < :before AND e.portal_id = w.portal_id AND e.occasion = w.key
""",
    "DELETE FROM sla_notices WHERE portal_id = :portal AND made_at < :before",
    "DELETE FROM task_changes WHERE portal_id = :portal AND settled_at < :before",
)
_FORGET_OCCASIONS = "DELETE FROM occasions WHERE portal_id = :portal AND ended_at < :before"
