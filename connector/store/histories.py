"""The orders behind one customer's numbers, with what the CRM calls them, and the customer's score as it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from adapters.records import CustomerRef
from connector.store.database import raw
from connector.store.methods import row_of
from connector.store.models import CustomerRow, MethodRow, ScoreRow
from connector.store.order_filters import condition
from scoring.filters import Filters


@dataclass(frozen=True, slots=True)
class HistoryOrder:
    """One order that counts. `day` in days since 1970-01-01, `units` of 10**-6 in the base currency.

    `amount` and `currency` are the CRM's own; an amount of None means there is none. `weight` says what it counts as.
    """

    source: str
    external_id: str
    at: datetime
    day: int
    amount: Decimal | None
    currency: str | None
    units: int
    weight: int
    manager_id: str | None


def customer_of(session: Session, portal_id: int, ref: CustomerRef) -> CustomerRow | None:
    """The card's row, None where no card and no order has named it."""
    return session.scalar(
        select(CustomerRow).where(
            CustomerRow.portal_id == portal_id,
            CustomerRow.kind == ref.kind.value,
            CustomerRow.external_id == ref.external_id,
        )
    )


def orders_of(
    session: Session, portal_id: int, customer: int, last_day: int, not_after: datetime, filters: Filters | None = None
) -> list[HistoryOrder]:
    """What counts for a customer up to a day and a moment, oldest first.

    `filters` leaves out orders by what the store alone knows of them.
    """
    which, wanted = condition(filters)
    sql = (
        "SELECT source, external_id, at, day, amount, currency, units, weight, manager_id FROM orders"
        " WHERE portal_id = %(portal)s AND customer = %(customer)s AND day <= %(day)s AND at <= %(moment)s"
        f"{which} ORDER BY day, at, source, external_id"
    )
    params = {"portal": portal_id, "customer": customer, "day": last_day, "moment": not_after, **wanted}
    with raw(session).cursor() as cursor:
        return [HistoryOrder(*row) for row in cursor.execute(sql.encode(), params).fetchall()]


def score_with_version(session: Session, portal_id: int, customer: int) -> tuple[ScoreRow, MethodRow | None] | None:
    """The stored score of a customer and the version that gave it, None where there is no score."""
    score = session.get(ScoreRow, (portal_id, customer))
    return None if score is None else (score, row_of(session, portal_id, score.method))
