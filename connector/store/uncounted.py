"""Orders that count for nobody, and why: won deals without a date, deals left open, won deals without a customer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from connector.store.database import raw
from connector.store.mirror import order_sources
from connector.store.models import Portal
from connector.store.order_filters import condition
from scoring.filters import Filters
from scoring.quality import LONG_OPEN_DAYS

_RULES = {
    "company_or_contact": "coalesce(cc.number, ct.number)",
    "company": "cc.number",
    "contact": "ct.number",
}
_KINDS = {"company_or_contact": ("company_id", "contact_id"), "company": ("company_id",), "contact": ("contact_id",)}
_UNCOUNTED = (
    "orders.portal_id = %(portal)s AND orders.customer IS NULL AND NOT orders.gone AND orders.status <> 'lost'"
    " AND orders.source = ANY(%(counted_sources)s::text[])"
)
_UNDATED = "orders.status = 'won' AND orders.at IS NULL AND coalesce(orders.created_at <= %(until)s, true)"
_LONG_OPEN = "orders.status = 'open' AND orders.created_at < %(long_ago)s"
_OWNERS = (
    " LEFT JOIN customers cc ON cc.portal_id = %(portal)s AND cc.kind = 'company'"
    " AND cc.external_id = orders.company_id"
    " LEFT JOIN customers ct ON ct.portal_id = %(portal)s AND ct.kind = 'contact'"
    " AND ct.external_id = orders.contact_id"
)


@dataclass(frozen=True, slots=True, eq=False)
class Uncounted:
    """Customers by number with their won deals without a date and their deals that were left open."""

    customer: NDArray[np.int64]
    undated: NDArray[np.int32]
    long_open: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Undated:
    """A won deal without a date, and when it was opened, if that is known."""

    customer: int
    external_id: str
    opened_at: datetime | None
    amount: Decimal | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class Orphans:
    """Won orders that belong to nobody: how many, and the ids of the newest of them."""

    count: int
    ids: tuple[str, ...]


def uncounted(
    session: Session,
    portal: Portal,
    until: datetime,
    filters: Filters | None = None,
    only: Sequence[int] | None = None,
) -> Uncounted:
    """By customer, for all or for the `only` numbers. What is open now is taken as open at `until` as well."""
    which, params = condition(filters)
    sql = (
        f"SELECT {_rule(portal)} AS number, count(*) FILTER (WHERE orders.status = 'won'),"
        " count(*) FILTER (WHERE orders.status = 'open')"
        f" FROM orders{_OWNERS} WHERE {_UNCOUNTED} AND ({_UNDATED} OR {_LONG_OPEN}){_these(portal, only)}{which}"
        " GROUP BY 1"
    )
    with raw(session).cursor() as cursor:
        rows = cursor.execute(sql.encode(), {**_params(portal, until, only), **params}).fetchall()
    found = np.array([row for row in rows if row[0] is not None], np.int64).reshape(-1, 3)
    return Uncounted(found[:, 0], found[:, 1].astype(np.int32), found[:, 2].astype(np.int32))


def undated_of(session: Session, portal: Portal, until: datetime, customers: Sequence[int]) -> list[Undated]:
    """The won deals without a date of some customers."""
    sql = (
        f"SELECT {_rule(portal)} AS number, orders.external_id, orders.created_at, orders.amount, orders.currency"
        f" FROM orders{_OWNERS} WHERE {_UNCOUNTED} AND {_UNDATED}{_these(portal, customers)}"
    )
    with raw(session).cursor() as cursor:
        rows = cursor.execute(sql.encode(), _params(portal, until, customers)).fetchall()
    wanted = set(customers)
    return [Undated(*row) for row in rows if row[0] in wanted]


def orphans(session: Session, portal: Portal, until: datetime, shown: int) -> Orphans:
    """Won orders that name no customer the portal scores."""
    nobody = " AND ".join(f"orders.{column} IS NULL" for column in _KINDS[_setting(portal)])
    where = f"{_UNCOUNTED} AND orders.status = 'won' AND {nobody} AND coalesce(orders.at <= %(until)s, true)"
    newest = "ORDER BY orders.at DESC NULLS LAST, orders.external_id LIMIT %(n)s"
    sql = f"SELECT orders.external_id, count(*) OVER () FROM orders WHERE {where} {newest}"
    with raw(session).cursor() as cursor:
        rows = cursor.execute(sql.encode(), {**_params(portal, until, None), "n": shown}).fetchall()
    return Orphans(int(rows[0][1]) if rows else 0, tuple(str(row[0]) for row in rows))


def _setting(portal: Portal) -> str:
    return str(portal.settings.get("customer", "company_or_contact"))


def _rule(portal: Portal) -> str:
    return _RULES[_setting(portal)]


def _these(portal: Portal, only: Sequence[int] | None) -> str:
    """Found by the cards' ids, which have indexes of their own."""
    if only is None:
        return ""
    ids = "SELECT c.external_id FROM customers c WHERE c.portal_id = %(portal)s AND c.number = ANY(%(only)s)"
    parts = [
        f"orders.{column} = ANY(ARRAY({ids} AND c.kind = '{column.removesuffix('_id')}'))"
        for column in _KINDS[_setting(portal)]
    ]
    return f" AND ({' OR '.join(parts)})"


def _params(portal: Portal, until: datetime, only: Sequence[int] | None) -> dict[str, Any]:
    return {
        "portal": portal.portal_id,
        "counted_sources": order_sources(portal),
        "until": until,
        "long_ago": until - timedelta(days=LONG_OPEN_DAYS),
        "only": list(only or ()),
    }
