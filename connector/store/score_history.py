"""The history of scores: what a customer was on any day, and by which method version. Days since 1970-01-01.

A row stands from its day until the next one, so that a portal grows by what changes and not by its days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

KEEP_HISTORY_DAYS = 1100
"""Three years and a week over, so that a year can be compared with the one before the last."""


@dataclass(frozen=True, slots=True)
class PastScore:
    """A customer's score on `day`. `since` is the day from which F, M, code and segment have been so."""

    day: int
    since: int
    r: int
    f: int
    m: Decimal
    code: str
    segment: str
    method: str
    churn_risk: bool
    upsell: bool


def score_on(session: Session, portal_id: int, customer: int, day: int) -> PastScore | None:
    """What the customer was at the end of a day; None where he had no score then, or it is kept no longer."""
    row = session.execute(
        text(f"SELECT {_COLUMNS} FROM score_history WHERE {_MINE} AND day <= :day ORDER BY day DESC LIMIT 1"),
        {"portal": portal_id, "customer": customer, "day": day},
    ).first()
    return _past(row, day) if row is not None and row.segment is not None else None


def changes_of(session: Session, portal_id: int, customer: int) -> list[PastScore]:
    """Every change of a customer's score, the oldest first, each as it was on its first day."""
    rows = session.execute(
        text(f"SELECT {_COLUMNS} FROM score_history WHERE {_MINE} AND segment IS NOT NULL ORDER BY day"),
        {"portal": portal_id, "customer": customer},
    )
    return [_past(row, row.day) for row in rows]


def segments_on(session: Session, portal_id: int, day: int) -> dict[tuple[str, str], int]:
    """Customers by method version and segment at the end of a day."""
    rows = session.execute(
        text(
            f"SELECT h.method, h.segment, count(*) FROM ({_ON_DAY}) h WHERE h.segment IS NOT NULL"
            " GROUP BY h.method, h.segment ORDER BY h.method, h.segment"
        ),
        {"portal": portal_id, "day": day},
    )
    return {(method, segment): int(count) for method, segment, count in rows}


def totals_on(session: Session, portal_id: int, day: int) -> dict[str, tuple[int, Decimal]]:
    """Customers and the sum of their M by segment at the end of a day."""
    rows = session.execute(
        text(
            f"SELECT h.segment, count(*), sum(h.m) FROM ({_ON_DAY_WITH_M}) h WHERE h.segment IS NOT NULL"
            " GROUP BY h.segment ORDER BY h.segment"
        ),
        {"portal": portal_id, "day": day},
    )
    return {segment: (int(count), money) for segment, count, money in rows}


def flows(session: Session, portal_id: int, first: int, last: int) -> dict[tuple[str | None, str | None], int]:
    """Customers by segment at the end of one day and of a later one; None where they had no score."""
    one, other = _ON_DAY.replace(":day", ":first"), _ON_DAY.replace(":day", ":last")
    rows = session.execute(
        text(
            f"SELECT a.segment, b.segment, count(*) FROM ({other}) b LEFT JOIN ({one}) a ON a.customer = b.customer"
            " WHERE a.segment IS NOT NULL OR b.segment IS NOT NULL GROUP BY a.segment, b.segment"
        ),
        {"portal": portal_id, "first": first, "last": last},
    )
    return {(was, now): int(count) for was, now, count in rows}


@dataclass(frozen=True, slots=True)
class Flapper:
    """A customer who changed segment often; `segments` are those he went through, in order."""

    kind: str
    external_id: str
    changes: int
    segments: Sequence[str]
    tasks: int


@dataclass(frozen=True, slots=True)
class Flapping:
    """Who changed segment at least so many times in a span of days, and what it cost in tasks."""

    customers: int
    changes: int
    tasks: int
    worst: Sequence[Flapper]


def flapping(session: Session, portal_id: int, first: int, last: int, *, least: int, limit: int) -> Flapping:
    """Customers with `least` changes of segment or more from day `first` to `last`, by the history.

    Only changes under one method count: another version's borders are no restlessness of the customer. `tasks` are
    those raised in the span by news of moves, one for each event rule: what restlessness makes managers do for
    nothing.
    """
    keys = {"portal": portal_id, "first": first, "last": last, "least": least, "limit": limit}
    rows = session.execute(text(_FLAPPING), keys).all()
    worst = [Flapper(row.kind, row.external_id, int(row.changes), row.segments, int(row.tasks)) for row in rows]
    total = rows[0] if rows else None
    if total is None:
        return Flapping(0, 0, 0, [])
    return Flapping(int(total.customers), int(total.all_changes), int(total.all_tasks), worst)


def forget_older(session: Session, portal_id: int, before: int) -> int:
    """Drop what was over before a day; what still held on that day stays, so that any later day can be shown."""
    found: Any = session.execute(
        text(
            "DELETE FROM score_history h WHERE h.portal_id = :portal AND h.day < :before AND EXISTS"
            " (SELECT FROM score_history n WHERE n.portal_id = h.portal_id AND n.customer = h.customer"
            " AND n.day > h.day AND n.day <= :before)"
        ),
        {"portal": portal_id, "before": before},
    )
    return int(found.rowcount)


def _past(row: Any, day: int) -> PastScore:
    return PastScore(
        day=day,
        since=row.day,
        r=day - row.last_day,
        f=row.f,
        m=row.m,
        code=row.code,
        segment=row.segment,
        method=row.method,
        churn_risk=row.churn_risk,
        upsell=row.upsell,
    )


_MINE = "portal_id = :portal AND customer = :customer"
_COLUMNS = "day, last_day, f, m, code, segment, method, churn_risk, upsell"
_ON_DAY = """
SELECT DISTINCT ON (customer) customer, segment, method FROM score_history
WHERE portal_id = :portal AND day <= :day ORDER BY customer, day DESC
"""
_ON_DAY_WITH_M = _ON_DAY.replace("method FROM", "m FROM")

_FLAPPING = """
WITH steps AS (
  SELECT customer, day, segment, lag(segment) OVER w AS was, method, lag(method) OVER w AS was_by
  FROM score_history WHERE portal_id = :portal AND day <= :last
    AND customer IN (SELECT customer FROM score_history WHERE portal_id = :portal AND day BETWEEN :first AND :last
                     GROUP BY customer HAVING count(*) >= :least)
  WINDOW w AS (PARTITION BY customer ORDER BY day)
), restless AS (
  SELECT customer, count(*) AS changes, array_agg(segment ORDER BY day) AS segments
  FROM steps
  WHERE day BETWEEN :first AND :last AND segment <> was AND method = was_by
  GROUP BY customer HAVING count(*) >= :least
), costing AS (
  SELECT r.*, (SELECT count(*) FROM tasks t WHERE t.portal_id = :portal AND t.customer = r.customer
                 AND t.raised_on BETWEEN DATE '1970-01-01' + :first AND DATE '1970-01-01' + :last
                 AND EXISTS (SELECT FROM moves m WHERE m.portal_id = :portal AND m.customer = t.customer
                               AND m.run_id = t.event_key AND m.kind = 'segment')) AS tasks
  FROM restless r
)
SELECT c.kind, c.external_id, x.changes, x.segments, x.tasks, count(*) OVER () AS customers,
       sum(x.changes) OVER () AS all_changes, sum(x.tasks) OVER () AS all_tasks
FROM costing x JOIN customers c ON c.portal_id = :portal AND c.number = x.customer
ORDER BY x.changes DESC, x.tasks DESC, x.customer LIMIT :limit
"""
