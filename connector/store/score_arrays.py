"""Scores into the store, from arrays: what is stored already is compared as arrays, and only changes are sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from connector.store.binary import copy_arrays_into_temp, read_blocks
from connector.store.models import RunRow, ScoreRow
from connector.store.scores import CUSTOMERS_AT_ONCE

_COLUMNS = (
    ("customer", "integer"),
    ("r", "integer"),
    ("f", "integer"),
    ("m", "bigint"),
    ("cell", "smallint"),
    ("segment", "smallint"),
    ("quality", "smallint"),
    ("causes", "integer"),
    ("churn_risk", "boolean"),
    ("upsell", "boolean"),
    ("orders_total", "integer"),
    ("last_day", "integer"),
)
_VALUES = ("r", "f", "m", "code", "segment", "method", "quality", "churn_risk", "upsell")


@dataclass(frozen=True, slots=True, eq=False)
class ScoreArrays:
    """Scores of customers, ascending by number, one entry in every array for each.

    `m` in hundredths; `cell` and `segment` point into `codes` and `segments`.
    """

    customer: NDArray[Any]
    r: NDArray[Any]
    f: NDArray[Any]
    m: NDArray[Any]
    cell: NDArray[Any]
    segment: NDArray[Any]
    quality: NDArray[Any]
    causes: NDArray[Any]
    churn_risk: NDArray[Any]
    upsell: NDArray[Any]
    orders_total: NDArray[Any]
    last_day: NDArray[Any]
    codes: tuple[str, ...]
    segments: tuple[str, ...]

    def __len__(self) -> int:
        """Customers."""
        return len(self.customer)

    def columns(self) -> list[NDArray[Any]]:
        """The arrays in the order of the table's columns."""
        return [getattr(self, one.name) for one in fields(self)[: len(_COLUMNS)]]


def store_scores(
    session: Session,
    portal_id: int,
    run: RunRow,
    method: str,
    found: ScoreArrays,
    *,
    only: Sequence[int] | None = None,
) -> tuple[int, int]:
    """Replace the portal's scores by `found`; returns (scored, moved between segments).

    `only` names the customers whose scores are replaced; None replaces all.

    Rows whose values did not change are untouched. What moved is kept in `moves`; a customer scored for the first
    time has not moved.
    """
    changed, gone = _compare(found, _held(session, portal_id, method, found, only))
    moved = 0
    if len(changed):
        copy_arrays_into_temp(session, "incoming_scores", _COLUMNS, found.columns(), changed)
        keys = {
            "portal": portal_id,
            "run": run.run_id,
            "method": method,
            "now": run.started_at,
            "as_of": run.as_of,
            "codes": list(found.codes),
            "segments": list(found.segments),
        }
        moved = _rows(session, _MOVES, keys)
        _rows(session, _UPSELL_TURNED, keys)
        _rows(session, _UPSERT_SCORES, keys)
    if len(gone):
        _rows(session, _DELETE, {"portal": portal_id, "gone": gone.tolist()})
    return len(found), moved


def _held(
    session: Session, portal_id: int, method: str, found: ScoreArrays, only: Sequence[int] | None
) -> Iterator[NDArray[Any]]:
    """What is stored, ascending by customer, some thousand at a time.

    `cell` and `segment` are positions in the codes and segments of `found`. Scores by another method have cell -1,
    so that they are replaced.
    """
    these = "" if only is None else " AND s.customer = ANY(%(only)s)"
    query = (
        "SELECT s.customer, s.r, s.f, (s.m * 100)::bigint AS m, CASE WHEN s.method = %(method)s"
        " THEN coalesce(k.at - 1, -1) ELSE -1 END::smallint AS cell, coalesce(g.at - 1, -1)::smallint AS segment,"
        " s.quality, s.causes, s.churn_risk, s.upsell, s.orders_total, s.last_day FROM scores s"
        " LEFT JOIN unnest(%(codes)s::text[]) WITH ORDINALITY k(code, at) ON k.code = s.code"
        " LEFT JOIN unnest(%(segments)s::text[]) WITH ORDINALITY g(segment, at) ON g.segment = s.segment"
        " WHERE s.portal_id = %(portal)s AND s.customer >= block.low AND s.customer < block.high"
        f"{these} ORDER BY s.customer"
    )
    params: dict[str, Any] = {
        "portal": portal_id,
        "method": method,
        "codes": list(found.codes),
        "segments": list(found.segments),
        "only": [] if only is None else list(only),
    }
    numbers = session.scalar(select(func.max(ScoreRow.customer) + 1).where(ScoreRow.portal_id == portal_id)) or 0
    size = CUSTOMERS_AT_ONCE if only is None else max(numbers, 1)
    yield from read_blocks(session, query, params, _COLUMNS, numbers=numbers, block=size)


def _compare(found: ScoreArrays, held: Iterable[NDArray[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places in `found` that are new or differ, and the customers that are held but not found."""
    same = np.zeros(len(found), np.bool_)
    gone = [np.empty(0, np.int64)]
    for block in held:
        numbers = block["customer"].astype(np.int64)
        start, stop = np.searchsorted(found.customer, (numbers[0], numbers[-1] + 1))
        at = start + np.searchsorted(found.customer[start:stop], numbers)
        known = at < stop
        known[known] = found.customer[at[known]] == numbers[known]
        gone.append(numbers[~known])
        at, rows = at[known], block[known]
        equal = np.ones(len(at), np.bool_)
        for (name, _), column in zip(_COLUMNS, found.columns(), strict=True):
            equal &= rows[name] == column[at]
        same[at] = equal
    return np.flatnonzero(~same), np.concatenate(gone)


def _rows(session: Session, sql: str, keys: dict[str, Any]) -> int:
    return int(session.execute(text(sql), keys).rowcount)  # type: ignore[attr-defined]


_INCOMING = """
(SELECT customer, r, f, m * 0.01 AS m, (CAST(:codes AS text[]))[cell + 1] AS code,
        (CAST(:segments AS text[]))[segment + 1] AS segment, quality, causes, churn_risk, upsell, orders_total, last_day
 FROM incoming_scores) i
"""

_MOVES = f"""
INSERT INTO moves (portal_id, customer, run_id, kind, as_of, was, now, method)
SELECT :portal, s.customer, :run, 'segment', :as_of, s.segment, i.segment, :method
FROM {_INCOMING} JOIN scores s ON s.portal_id = :portal AND s.customer = i.customer
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

_NAMES = [name if name != "cell" else "code" for name, _ in _COLUMNS]
_CHANGED = (
    f"({', '.join(f't.{name}' for name in _VALUES)}) IS DISTINCT FROM"
    f" ({', '.join(f'excluded.{name}' for name in _VALUES)})"
)
_UPSERT_SCORES = f"""
INSERT INTO scores AS t (portal_id, method, changed_at, run_id, {", ".join(_NAMES)})
SELECT :portal, :method, :now, :run, {", ".join(f"i.{name}" for name in _NAMES)} FROM {_INCOMING}
ON CONFLICT (portal_id, customer) DO UPDATE SET
  segment_previous = CASE WHEN t.segment <> excluded.segment THEN t.segment ELSE t.segment_previous END,
  {", ".join(f"{name} = excluded.{name}" for name in _NAMES if name != "customer")},
  method = excluded.method,
  changed_at = CASE WHEN {_CHANGED} THEN excluded.changed_at ELSE t.changed_at END,
  run_id = CASE WHEN {_CHANGED} THEN excluded.run_id ELSE t.run_id END
"""
_DELETE = "DELETE FROM scores s WHERE s.portal_id = :portal AND s.customer = ANY(:gone)"
