"""The orders behind one customer's numbers, with what the CRM calls them, and the customer's score as it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from adapters.records import CustomerRef
from connector.store.models import CustomerRow, MethodRow, OrderRow, ScoreRow


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
    session: Session, portal_id: int, customer: int, last_day: int, not_after: datetime
) -> list[HistoryOrder]:
    """Everything that counts for a customer up to a day and a moment, oldest first."""
    rows = session.execute(
        select(
            OrderRow.source,
            OrderRow.external_id,
            OrderRow.at,
            OrderRow.day,
            OrderRow.amount,
            OrderRow.currency,
            OrderRow.units,
            OrderRow.weight,
            OrderRow.manager_id,
        )
        .where(
            OrderRow.portal_id == portal_id,
            OrderRow.customer == customer,
            OrderRow.day <= last_day,
            OrderRow.at <= not_after,
        )
        .order_by(OrderRow.day, OrderRow.at, OrderRow.source, OrderRow.external_id)
    )
    return [
        HistoryOrder(source, external_id, at, day, amount, currency, units, weight, manager_id)
        for source, external_id, at, day, amount, currency, units, weight, manager_id in rows
        if at is not None and day is not None
    ]


def score_with_version(session: Session, portal_id: int, customer: int) -> tuple[ScoreRow, MethodRow | None] | None:
    """The stored score of a customer and the version that gave it, None where there is no score."""
    score = session.get(ScoreRow, (portal_id, customer))
    if score is None:
        return None
    name, _, number = score.method.partition("@")
    version = session.get(MethodRow, (portal_id, name, int(number))) if number.isdigit() else None
    return score, version
