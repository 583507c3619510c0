"""Rows behind a staged release: whose customers are in it, what customers were before, and scores kept beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from connector.store.binary import copy_arrays_into_temp, read_blocks
from connector.store.models import CustomerRow, ManagerRow
from connector.store.scores import CUSTOMERS_AT_ONCE

_SHADOW_COLUMNS = (
    ("customer", "integer"),
    ("cell", "smallint"),
    ("segment", "smallint"),
    ("churn_risk", "boolean"),
    ("upsell", "boolean"),
)
_BEFORE_COLUMNS = (
    ("customer", "integer"),
    ("cell", "smallint"),
    ("segment", "smallint"),
    ("segment_on", "integer"),
    ("orders_sum", "bigint"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Before:
    """What customers were by the last scores, ascending by number: places in codes and segments, -1 where unknown."""

    customer: NDArray[np.int64]
    cell: NDArray[np.int16]
    segment: NDArray[np.int16]
    segment_on: NDArray[np.int32]
    orders_sum: NDArray[np.int64]


def managers_of_teams(session: Session, portal_id: int, teams: Sequence[str]) -> list[str]:
    """Ids of the managers who are in one of these teams."""
    query = select(ManagerRow.external_id).where(
        ManagerRow.portal_id == portal_id, ManagerRow.team_ids.overlap(list(teams))
    )
    return list(session.scalars(query))


def customers_of_managers(
    session: Session, portal_id: int, managers: Sequence[str], only: Sequence[int] | None = None
) -> NDArray[np.int64]:
    """Numbers of the cards that are with these managers, ascending; `only` names the customers to look at."""
    query = select(CustomerRow.number).where(
        CustomerRow.portal_id == portal_id, CustomerRow.manager_id.in_(list(managers))
    )
    if only is not None:
        query = query.where(CustomerRow.number.in_(list(only)))
    return np.array(session.scalars(query.order_by(CustomerRow.number)).all(), np.int64)


def refs_of(session: Session, portal_id: int, numbers: Sequence[int]) -> dict[int, str]:
    """Number → `company:45`."""
    rows = session.execute(
        select(CustomerRow.number, CustomerRow.kind, CustomerRow.external_id).where(
            CustomerRow.portal_id == portal_id, CustomerRow.number.in_(list(numbers))
        )
    )
    return {number: f"{kind}:{external_id}" for number, kind, external_id in rows}


def contacts_among(session: Session, portal_id: int, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of these customers are contacts; the others are companies."""
    columns = (("number", "integer"), ("contact", "boolean"))
    query = (
        "SELECT number, kind = 'contact' AS contact FROM customers WHERE portal_id = %(portal)s"
        " AND number >= block.low AND number < block.high"
    )
    size = session.scalar(text("SELECT next_number FROM portals WHERE portal_id = :p"), {"p": portal_id}) or 0
    found = np.zeros(size, np.bool_)
    for rows in read_blocks(session, query, {"portal": portal_id}, columns, numbers=size, block=CUSTOMERS_AT_ONCE):
        found[rows["number"].astype(np.int64)] = rows["contact"] == 1
    return found[numbers]


def before(
    session: Session,
    portal_id: int,
    label: str,
    codes: Sequence[str],
    segments: Sequence[str],
    day: int,
    only: Sequence[int] | None = None,
) -> Before:
    """What the last scores say of customers whom this version scored.

    Scores of a later day than `day` are left out: a run as of the past does not know them.
    """
    these = "" if only is None else " AND s.customer = ANY(%(only)s)"
    query = (
        "SELECT s.customer, coalesce(k.at - 1, -1)::smallint AS cell, coalesce(g.at - 1, -1)::smallint AS segment,"
        " s.segment_on, s.orders_sum FROM scores s"
        " LEFT JOIN unnest(%(codes)s::text[]) WITH ORDINALITY k(code, at) ON k.code = s.code"
        " LEFT JOIN unnest(%(segments)s::text[]) WITH ORDINALITY g(segment, at) ON g.segment = s.segment"
        " WHERE s.portal_id = %(portal)s AND s.customer >= block.low AND s.customer < block.high"
        " AND s.method = %(label)s AND s.segment_on <= %(day)s"
        f"{these} ORDER BY s.customer"
    )
    params: dict[str, Any] = {
        "portal": portal_id,
        "label": label,
        "day": day,
        "codes": list(codes),
        "segments": list(segments),
        "only": [] if only is None else list(only),
    }
    numbers = session.scalar(text("SELECT next_number FROM portals WHERE portal_id = :p"), {"p": portal_id}) or 0
    size = CUSTOMERS_AT_ONCE if only is None else max(numbers, 1)
    blocks = list(read_blocks(session, query, params, _BEFORE_COLUMNS, numbers=numbers, block=size))
    rows = np.concatenate(blocks) if blocks else np.empty(0, [(key, ">i8") for key, _ in _BEFORE_COLUMNS])
    return Before(
        rows["customer"].astype(np.int64),
        rows["cell"].astype(np.int16),
        rows["segment"].astype(np.int16),
        rows["segment_on"].astype(np.int32),
        rows["orders_sum"].astype(np.int64),
    )


def store_shadow(
    session: Session,
    portal_id: int,
    label: str,
    day: int,
    columns: Sequence[NDArray[Any]],
    codes: Sequence[str],
    segments: Sequence[str],
    only: Sequence[int] | None = None,
) -> int:
    """Keep what a version would give: customer, cell, segment, churn risk, upsell. Returns how many rows changed.

    What is there of others goes, of all customers or of those that `only` names.
    """
    copy_arrays_into_temp(session, "incoming_shadow", _SHADOW_COLUMNS, columns, np.arange(len(columns[0])))
    keys: dict[str, Any] = {"portal": portal_id, "label": label, "day": day}
    keys |= {"codes": list(codes), "segments": list(segments)}
    these = ""
    if only is not None:
        these, keys["only"] = " AND s.customer = ANY(:only)", list(only)
    session.execute(
        text(
            "DELETE FROM shadow_scores s WHERE s.portal_id = :portal AND NOT EXISTS"
            f" (SELECT FROM incoming_shadow i WHERE i.customer = s.customer){these}"
        ),
        keys,
    )
    found: Any = session.execute(text(_SHADOW), keys)
    return int(found.rowcount)


def drop_shadow(session: Session, portal_id: int) -> None:
    """Forget the scores beside: no version runs as a shadow any more."""
    session.execute(text("DELETE FROM shadow_scores WHERE portal_id = :p"), {"p": portal_id})


def held_segments(session: Session, portal_id: int) -> dict[tuple[str, str], int]:
    """Customers held in a segment against their scores: by the segment, and by the one that scores alone give."""
    rows = session.execute(
        text(
            "SELECT segment, held_segment, count(*) FROM scores WHERE portal_id = :p AND held_segment IS NOT NULL"
            " GROUP BY segment, held_segment"
        ),
        {"p": portal_id},
    )
    return {(segment, by_code): int(count) for segment, by_code, count in rows}


def shadow_flows(session: Session, portal_id: int) -> dict[tuple[str | None, str], int]:
    """Customers by live segment and by the segment that the shadow gives; None where there is no live score."""
    rows = session.execute(
        text(
            "SELECT s.segment, w.segment, count(*) FROM shadow_scores w LEFT JOIN scores s"
            " ON s.portal_id = w.portal_id AND s.customer = w.customer WHERE w.portal_id = :p"
            " GROUP BY s.segment, w.segment"
        ),
        {"p": portal_id},
    )
    return {(live, shadow): int(count) for live, shadow, count in rows}


_SHADOW = """
INSERT INTO shadow_scores AS t (portal_id, customer, method, code, segment, churn_risk, upsell, day)
SELECT :portal, customer, :label, (CAST(:codes AS text[]))[cell + 1], (CAST(:segments AS text[]))[segment + 1],
       churn_risk, upsell, :day
FROM incoming_shadow
ON CONFLICT (portal_id, customer) DO UPDATE SET method = excluded.method, code = excluded.code,
  segment = excluded.segment, churn_risk = excluded.churn_risk, upsell = excluded.upsell, day = excluded.day
WHERE (t.method, t.code, t.segment, t.churn_risk, t.upsell)
      IS DISTINCT FROM (excluded.method, excluded.code, excluded.segment, excluded.churn_risk, excluded.upsell)
"""
