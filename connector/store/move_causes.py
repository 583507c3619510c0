"""Moves between segments with the cause of each, stored in the transaction of the scores they follow from.

=========  =====================================================================================================
cause      when
=========  =====================================================================================================
method     another version of the method: F and M are relative, so a fit moves customers who did nothing
time       today's orders, counted as of the day of the score before, give that score: only days have passed
order      an order of the customer is new, changed or gone since then
data       orders count otherwise since then: settings, rates of exchange, an imported history, a new installation
unknown    none of these: a jump without an event, which somebody should look at
=========  =====================================================================================================

The first that fits, from the top. What a person moved by hand on a card is no move of ours, see `store.delivery`.
Between methods of different names nobody moves: their segments cannot be compared. They are only counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from connector.store.models import AuditRow

METHOD, TIME, ORDER, DATA, UNKNOWN = "method", "time", "order", "data", "unknown"
MOVED = "moved"
REPAIRS = ("orders.derived", "orders.imported")
"""Actions of the audit trail after which orders may count otherwise."""
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


def store_moves(session: Session, incoming: str, keys: Mapping[str, Any]) -> int:
    """Keep who changes segment and why, and the sums of it; returns how many do. Before the scores are replaced.

    `incoming` is SQL of the new scores, named `i`; `keys` are `portal`, `run`, `as_of` and its own. A
    customer scored for the first time does not move. Safe to repeat in a run.
    """
    known = {**keys, "repaired": _repaired(session, int(keys["portal"]))}
    session.execute(text(_RELABELLED.format(incoming=incoming)), known)
    return sum(session.execute(text(_MOVES.format(incoming=incoming)), known).scalars())


def _repaired(session: Session, portal_id: int) -> datetime:
    """When orders last came to count otherwise."""
    last = session.scalar(
        select(func.max(AuditRow.at)).where(AuditRow.portal_id == portal_id, AuditRow.action.in_(REPAIRS))
    )
    return last or _NEVER


_RELABELLED = """
INSERT INTO delivery_facts AS d (portal_id, run_id, kind, about, why, day, count)
SELECT :portal, :run, 'moved', s.segment || '>' || i.segment, 'method', :as_of, count(*)
FROM {incoming} JOIN scores s ON s.portal_id = :portal AND s.customer = i.customer
WHERE s.segment <> i.segment AND split_part(s.method, '@', 1) <> split_part(i.method, '@', 1)
GROUP BY s.segment, i.segment
ON CONFLICT (portal_id, run_id, kind, about, why) DO NOTHING
"""

_MOVES = """
WITH versions AS MATERIALIZED (
  SELECT name || '@' || version AS label, (body::json -> 'method' ->> 'window')::integer AS days
  FROM methods WHERE portal_id = :portal
), pairs AS MATERIALIZED (
  SELECT s.customer, s.segment AS was, i.segment AS now, s.method AS method_was, i.method, s.r, s.f, s.m,
         s.last_day + s.r AS day, (s.orders_total, s.last_day) <> (i.orders_total, i.last_day) AS others,
         s.changed_at, coalesce(v.days, 0) AS days
  FROM {incoming} JOIN scores s ON s.portal_id = :portal AND s.customer = i.customer
  LEFT JOIN versions v ON v.label = i.method
  WHERE s.segment <> i.segment AND split_part(s.method, '@', 1) = split_part(i.method, '@', 1)
), caused AS (
  SELECT x.customer, x.was, x.now, x.method, CASE
    WHEN x.method_was <> x.method THEN 'method'
    WHEN (a.r, a.f, a.m) IS NOT DISTINCT FROM (x.r, x.f, x.m) AND x.day <> CAST(:as_of AS date) - DATE '1970-01-01'
      THEN 'time'
    WHEN a.fresh THEN 'order'
    WHEN :repaired >= x.changed_at AND :repaired < '9999-01-01' THEN 'data'
    WHEN x.others THEN 'order'
    ELSE 'unknown' END AS cause
  FROM pairs x
  CROSS JOIN LATERAL (
    SELECT x.day - max(o.day) FILTER (WHERE o.weight < 3 AND o.day <= x.day) AS r,
           count(*) FILTER (WHERE o.weight < 3 AND o.day <= x.day AND o.day > x.day - x.days) AS f,
           round(coalesce(sum(o.units) FILTER (WHERE o.day <= x.day AND o.day > x.day - x.days), 0) / 1e6, 2) AS m,
           coalesce(bool_or(coalesce(o.crm_updated_at, o.created_at) >= x.changed_at - interval '1 hour'
                            AND o.source <> 'import'), false) AS fresh
    FROM orders o WHERE o.portal_id = :portal AND o.customer = x.customer
  ) a
), kept AS (
  INSERT INTO moves (portal_id, customer, run_id, kind, as_of, was, now, method, cause)
  SELECT :portal, customer, :run, 'segment', :as_of, was, now, method, cause FROM caused
  ON CONFLICT DO NOTHING
  RETURNING was, now, cause
)
INSERT INTO delivery_facts AS d (portal_id, run_id, kind, about, why, day, count)
SELECT :portal, :run, 'moved', was || '>' || now, cause, :as_of, count(*) FROM kept GROUP BY was, now, cause
ON CONFLICT (portal_id, run_id, kind, about, why) DO UPDATE SET count = d.count + excluded.count
RETURNING count
"""
