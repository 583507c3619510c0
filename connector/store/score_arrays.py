"""Scores into the store, from arrays: what is stored already is compared as arrays, and only changes are sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from connector.store.binary import copy_arrays_into_temp, read_blocks
from connector.store.models import RunRow, ScoreRow
from connector.store.move_causes import store_moves
from connector.store.scores import CUSTOMERS_AT_ONCE

_EPOCH = date(1970, 1, 1)
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
    ("version", "smallint"),
    ("held", "smallint"),
)
_INCOMING_COLUMNS = (*_COLUMNS, ("news", "boolean"), ("orders_sum", "bigint"))
_HELD_COLUMNS = (*_COLUMNS, ("settled", "boolean"))
_OF_HISTORY = ("f", "m", "cell", "segment", "churn_risk", "upsell", "last_day", "version")
"""A customer whose score differs in these gets a row of history; R alone is no news, it grows by itself."""
_VALUES = ("r", "f", "m", "code", "segment", "method", "quality", "churn_risk", "upsell")


@dataclass(frozen=True, slots=True, eq=False)
class ScoreArrays:
    """Scores of customers, ascending by number, one entry in every array for each.

    `m` in hundredths; `cell` and `segment` point into `codes` and `segments`, `version` into `versions` (labels such as
    sales5@1; None: all are by the one that the store is told). `held` points into `segments` too, -1 for nothing.
    `orders_sum` is given by methods that hold customers in their segments.
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
    versions: tuple[str, ...] = ()
    version: NDArray[Any] | None = None
    held: NDArray[Any] | None = None
    orders_sum: NDArray[Any] | None = None

    def __len__(self) -> int:
        """Customers."""
        return len(self.customer)

    def columns(self) -> list[NDArray[Any]]:
        """The arrays in the order of the table's columns."""
        found = [getattr(self, one.name) for one in fields(self)[: len(_COLUMNS) - 2]]
        version = np.zeros(len(self), np.int16) if self.version is None else self.version
        return [*found, version, np.full(len(self), -1, np.int16) if self.held is None else self.held]


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
    versions = found.versions or (method,)
    differences = _compare(found, _held(session, portal_id, versions, found, only))
    changed, news, gone = differences.changed, differences.news, differences.gone
    keys: dict[str, Any] = {"portal": portal_id, "run": run.run_id, "now": run.started_at, "as_of": run.as_of}
    keys |= {"method": method, "day": (run.as_of - _EPOCH).days}
    moved = 0
    if len(changed):
        sums = np.zeros(len(found), np.int64) if found.orders_sum is None else found.orders_sum
        copy_arrays_into_temp(session, "incoming_scores", _INCOMING_COLUMNS, [*found.columns(), news, sums], changed)
        keys |= {"versions": list(versions), "codes": list(found.codes), "segments": list(found.segments)}
        if differences.moved:
            moved = store_moves(session, _INCOMING, keys)
        if differences.upsold:
            _rows(session, _UPSELL_TURNED, keys)
        if news.any():
            _rows(session, _HISTORY, keys)
        _rows(session, _UPSERT_SCORES, keys)
    if len(gone):
        keys["gone"] = gone.tolist()
        _rows(session, _HISTORY_ENDS, keys)
        _rows(session, _DELETE, keys)
    return len(found), moved


def _held(
    session: Session, portal_id: int, versions: Sequence[str], found: ScoreArrays, only: Sequence[int] | None
) -> Iterator[NDArray[Any]]:
    """What is stored, ascending by customer, some thousand at a time.

    `cell`, `segment`, `version` and `held` are positions in the codes, segments and versions of `found`, -1 for what
    is not there.
    """
    these = "" if only is None else " AND s.customer = ANY(%(only)s)"
    query = (
        "SELECT s.customer, s.r, s.f, (s.m * 100)::bigint AS m, coalesce(k.at - 1, -1)::smallint AS cell,"
        " coalesce(g.at - 1, -1)::smallint AS segment,"
        " s.quality, s.causes, s.churn_risk, s.upsell, s.orders_total, s.last_day,"
        " coalesce(array_position(%(versions)s::text[], s.method) - 1, -1)::smallint AS version,"
        " coalesce(array_position(%(segments)s::text[], s.held_segment) - 1, -1)::smallint AS held,"
        " (NOT %(sums)s OR s.orders_sum <> 0) AS settled FROM scores s"
        " LEFT JOIN unnest(%(codes)s::text[]) WITH ORDINALITY k(code, at) ON k.code = s.code"
        " LEFT JOIN unnest(%(segments)s::text[]) WITH ORDINALITY g(segment, at) ON g.segment = s.segment"
        " WHERE s.portal_id = %(portal)s AND s.customer >= block.low AND s.customer < block.high"
        f"{these} ORDER BY s.customer"
    )
    params: dict[str, Any] = {
        "portal": portal_id,
        "versions": list(versions),
        "sums": found.orders_sum is not None,
        "codes": list(found.codes),
        "segments": list(found.segments),
        "only": [] if only is None else list(only),
    }
    if only is None:
        last = session.scalar(select(func.max(ScoreRow.customer)).where(ScoreRow.portal_id == portal_id))
        numbers, size = 0 if last is None else last + 1, CUSTOMERS_AT_ONCE
    else:
        numbers = size = max(only, default=0) + 1
    yield from read_blocks(session, query, params, _HELD_COLUMNS, numbers=numbers, block=size)


@dataclass(frozen=True, slots=True, eq=False)
class _Differences:
    """Places in `found` that are new or differ, which of `found` are news of the history, and who is held in vain.

    `moved` and `upsold`: whether anybody who is known has another segment, or is ready for more and was not.
    """

    changed: NDArray[np.int64]
    news: NDArray[np.bool_]
    gone: NDArray[np.int64]
    moved: bool
    upsold: bool


def _compare(found: ScoreArrays, held: Iterable[NDArray[Any]]) -> _Differences:
    """Compare what was found with what is held."""
    moved = upsold = False
    same, known_story = np.zeros(len(found), np.bool_), np.zeros(len(found), np.bool_)
    gone = [np.empty(0, np.int64)]
    columns = found.columns()
    for block in held:
        numbers = block["customer"].astype(np.int64)
        start, stop = np.searchsorted(found.customer, (numbers[0], numbers[-1] + 1))
        at = start + np.searchsorted(found.customer[start:stop], numbers)
        known = at < stop
        known[known] = found.customer[at[known]] == numbers[known]
        gone.append(numbers[~known])
        at, rows = at[known], block[known]
        equal, story = rows["settled"] == 1, np.ones(len(at), np.bool_)
        for (name, _), column in zip(_COLUMNS, columns, strict=True):
            alike = rows[name] == column[at]
            equal &= alike
            if name in _OF_HISTORY:
                story &= alike
        same[at], known_story[at] = equal, story
        moved |= bool((rows["segment"] != found.segment[at]).any())
        upsold |= bool((found.upsell[at].astype(np.bool_) & (rows["upsell"] == 0)).any())
    return _Differences(np.flatnonzero(~same), ~known_story, np.concatenate(gone), moved, upsold)


def _rows(session: Session, sql: str, keys: dict[str, Any]) -> int:
    return int(session.execute(text(sql), keys).rowcount)  # type: ignore[attr-defined]


_INCOMING = """
(SELECT customer, r, f, m * 0.01 AS m, (CAST(:codes AS text[]))[cell + 1] AS code,
        (CAST(:segments AS text[]))[segment + 1] AS segment, quality, causes, churn_risk, upsell, orders_total,
        last_day, (CAST(:versions AS text[]))[version + 1] AS method,
        (CAST(:segments AS text[]))[nullif(held, -1) + 1] AS held_segment, news,
        orders_sum
 FROM incoming_scores) i
"""

_UPSELL_TURNED = f"""
INSERT INTO moves (portal_id, customer, run_id, kind, as_of, was, now, method)
SELECT :portal, s.customer, :run, 'upsell', :as_of, 'no', 'yes', i.method
FROM {_INCOMING} JOIN scores s ON s.portal_id = :portal AND s.customer = i.customer
WHERE i.upsell AND NOT s.upsell AND split_part(s.method, '@', 1) = split_part(i.method, '@', 1)
ON CONFLICT DO NOTHING
"""

_NAMES = [{"cell": "code", "version": "method", "held": "held_segment"}.get(name, name) for name, _ in _COLUMNS]
_CHANGED = (
    f"({', '.join(f't.{name}' for name in _VALUES)}) IS DISTINCT FROM"
    f" ({', '.join(f'excluded.{name}' for name in _VALUES)})"
)
_UPSERT_SCORES = f"""
INSERT INTO scores AS t (portal_id, changed_at, run_id, segment_on, orders_sum, {", ".join(_NAMES)})
SELECT :portal, :now, :run, :day, i.orders_sum, {", ".join(f"i.{name}" for name in _NAMES)} FROM {_INCOMING}
ON CONFLICT (portal_id, customer) DO UPDATE SET
  segment_previous = CASE WHEN t.segment <> excluded.segment THEN t.segment ELSE t.segment_previous END,
  segment_on = CASE WHEN t.segment <> excluded.segment THEN excluded.segment_on ELSE t.segment_on END,
  orders_sum = CASE WHEN t.segment <> excluded.segment OR t.orders_sum = 0 OR excluded.orders_sum = 0
                    THEN excluded.orders_sum ELSE t.orders_sum END,
  {", ".join(f"{name} = excluded.{name}" for name in _NAMES if name != "customer")},
  changed_at = CASE WHEN {_CHANGED} THEN excluded.changed_at ELSE t.changed_at END,
  run_id = CASE WHEN {_CHANGED} THEN excluded.run_id ELSE t.run_id END
"""

_STORY = ("last_day", "f", "m", "code", "segment", "method", "churn_risk", "upsell")
_HISTORY = f"""
INSERT INTO score_history (portal_id, customer, day, {", ".join(_STORY)})
SELECT :portal, i.customer, :day, {", ".join(f"i.{name}" for name in _STORY)} FROM {_INCOMING} WHERE i.news
ON CONFLICT (portal_id, customer, day) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _STORY)}
"""
_HISTORY_ENDS = f"""
INSERT INTO score_history (portal_id, customer, day, {", ".join(_STORY)})
SELECT :portal, s.customer, :day, {", ".join("NULL" if name == "segment" else f"s.{name}" for name in _STORY)}
FROM scores s WHERE s.portal_id = :portal AND s.customer = ANY(:gone)
ON CONFLICT (portal_id, customer, day) DO UPDATE SET segment = NULL
"""
_DELETE = "DELETE FROM scores s WHERE s.portal_id = :portal AND s.customer = ANY(:gone)"
