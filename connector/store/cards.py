"""What a card's own page shows of one customer, in a fixed number of queries. Nothing here changes a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from adapters.records import CustomerKind, CustomerRef, OrderSource
from connector.store.mirror import Weight
from connector.store.models import CustomerRow, MethodRow, OrderRow, Portal, ScoreRow, SpentTokenRow
from webhooks.deliveries import Resource

RECENT = 5
_EPOCH = date(1970, 1, 1)
_SOURCES = {Resource.DEAL: OrderSource.DEALS, Resource.ORDER: OrderSource.ORDERS}
_KINDS = {Resource.CONTACT: CustomerKind.CONTACT, Resource.COMPANY: CustomerKind.COMPANY}


@dataclass(frozen=True, slots=True)
class RecentOrder:
    """One of the newest orders that count; the amount as the CRM has it."""

    on: date
    amount: Decimal | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class Card:
    """A customer with its score; `body` is the method version that gave it, as stored. No score: nothing to show."""

    ref: CustomerRef
    score: ScoreRow | None = None
    body: str | None = None
    orders: Sequence[RecentOrder] = ()

    @property
    def last_order_on(self) -> date | None:
        """The day of the last order."""
        return _day(self.score.last_day) if self.score is not None else None


def customer_of(session: Session, portal: Portal, resource: Resource, external_id: str) -> int | None:
    """The number of the customer that a record is, or whose deal it is; also of a deal that does not count (yet)."""
    if resource in _KINDS:
        return _number(session, portal, _KINDS[resource], external_id)
    if resource not in _SOURCES:
        return None
    order = session.get(OrderRow, (portal.portal_id, _SOURCES[resource].value, external_id))
    if order is None or order.customer is not None:
        return order.customer if order is not None else None
    wanted = str(portal.settings.get("customer", "company_or_contact"))
    named = [
        (CustomerKind.COMPANY, order.company_id if "company" in wanted else None),
        (CustomerKind.CONTACT, order.contact_id if "contact" in wanted else None),
    ]
    found = (_number(session, portal, kind, card) for kind, card in named if card is not None)
    return next((number for number in found if number is not None), None)


def score_of(session: Session, portal_id: int, number: int) -> ScoreRow | None:
    """A customer's present score."""
    return session.get(ScoreRow, (portal_id, number))


def card_of(session: Session, portal: Portal, number: int) -> Card:
    """A customer's card."""
    customer = session.get_one(CustomerRow, (portal.portal_id, number))
    ref = CustomerRef(CustomerKind(customer.kind), customer.external_id)
    score = score_of(session, portal.portal_id, number)
    if score is None:
        return Card(ref)
    name, _, version = score.method.partition("@")
    method = session.get_one(MethodRow, (portal.portal_id, name, int(version)))
    return Card(ref, score, method.body, _recent(session, portal.portal_id, number))


def spend(session: Session, portal_id: int, token_key: str, until: datetime, now: datetime) -> bool:
    """Whether a one-time token is used for the first time; from then on it is not. Forgets those that have ended."""
    session.execute(delete(SpentTokenRow).where(SpentTokenRow.portal_id == portal_id, SpentTokenRow.until < now))
    row = {"portal_id": portal_id, "token_key": token_key, "until": until}
    kept = session.scalar(insert(SpentTokenRow).values(row).on_conflict_do_nothing().returning(SpentTokenRow.token_key))
    return kept is not None


def _number(session: Session, portal: Portal, kind: CustomerKind, external_id: str) -> int | None:
    return session.scalar(
        select(CustomerRow.number).where(
            CustomerRow.portal_id == portal.portal_id,
            CustomerRow.kind == kind.value,
            CustomerRow.external_id == external_id,
            CustomerRow.gone.is_(False),
        )
    )


def _recent(session: Session, portal_id: int, number: int) -> list[RecentOrder]:
    rows = session.execute(
        select(OrderRow.day, OrderRow.amount, OrderRow.currency)
        .where(OrderRow.portal_id == portal_id, OrderRow.customer == number, OrderRow.weight < Weight.REFUND)
        .order_by(OrderRow.day.desc(), OrderRow.at.desc(), OrderRow.external_id)
        .limit(RECENT)
    )
    return [RecentOrder(_day(day), amount, currency) for day, amount, currency in rows if day is not None]


def _day(number: int) -> date:
    return _EPOCH + timedelta(days=number)
