"""What the mirror holds: which records are known, under which numbers, and how many. Reads only; see `mirror`."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

from sqlalchemy import BigInteger, ColumnElement, Text, any_, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute, Session

from adapters.records import CustomerKind, CustomerRef, OrderSource
from connector.store.models import CustomerRow, OrderRow

_NUMBER = r"^\d{1,18}$"
_AT_A_TIME = 50_000


def kinds_by_id(session: Session, portal_id: int) -> dict[str, set[CustomerKind]]:
    """External id → which kinds of card have it, for cards that were read."""
    found: dict[str, set[CustomerKind]] = {}
    rows = session.execute(
        select(CustomerRow.kind, CustomerRow.external_id).where(CustomerRow.portal_id == portal_id, CustomerRow.seen)
    )
    for kind, external_id in rows:
        found.setdefault(external_id, set()).add(CustomerKind(kind))
    return found


def known_customers(session: Session, portal_id: int, kind: CustomerKind) -> array[int]:
    """Ids of the living cards we have read, ascending."""
    living = (CustomerRow.portal_id == portal_id, CustomerRow.kind == kind.value, CustomerRow.gone.is_(False))
    return _ids(session, CustomerRow.external_id, *living, CustomerRow.seen.is_(True))


def known_orders(session: Session, portal_id: int, source: OrderSource) -> array[int]:
    """Ids of the living orders of one source, ascending."""
    living = (OrderRow.portal_id == portal_id, OrderRow.source == source.value, OrderRow.gone.is_(False))
    return _ids(session, OrderRow.external_id, *living)


def _ids(session: Session, column: InstrumentedAttribute[str], *conditions: ColumnElement[bool]) -> array[int]:
    """Numbers, eight bytes each: there may be millions."""
    number = cast(column, BigInteger)
    found = select(number).where(*conditions, column.regexp_match(_NUMBER)).order_by(number)
    return array("q", session.scalars(found.execution_options(yield_per=_AT_A_TIME)))


def orders_to_recheck(session: Session, portal_id: int, source: OrderSource, kind: CustomerKind) -> list[str]:
    """Living orders that name a card which vanished since the last `recheck_done`: it may have been merged."""
    vanished = session.scalars(
        select(CustomerRow.external_id).where(
            CustomerRow.portal_id == portal_id, CustomerRow.kind == kind.value, CustomerRow.recheck
        )
    ).all()
    if not vanished:
        return []
    column = OrderRow.company_id if kind is CustomerKind.COMPANY else OrderRow.contact_id
    return list(
        session.scalars(
            select(OrderRow.external_id).where(
                OrderRow.portal_id == portal_id,
                OrderRow.source == source.value,
                OrderRow.gone.is_(False),
                column == any_(cast(vanished, ARRAY(Text))),
            )
        )
    )


def numbers_of(session: Session, portal_id: int, kind: CustomerKind, ids: Sequence[str]) -> set[int]:
    """Numbers of the cards with these ids."""
    if not ids:
        return set()
    return set(
        session.scalars(
            select(CustomerRow.number).where(
                CustomerRow.portal_id == portal_id, CustomerRow.kind == kind.value, CustomerRow.external_id.in_(ids)
            )
        )
    )


def numbers_by_ref(session: Session, portal_id: int, refs: Iterable[CustomerRef]) -> dict[CustomerRef, int]:
    """Card → number, for those of the cards that are known."""
    found: dict[CustomerRef, int] = {}
    wanted = list(refs)
    for kind in CustomerKind:
        ids = [ref.external_id for ref in wanted if ref.kind is kind]
        if ids:
            rows = session.execute(
                select(CustomerRow.external_id, CustomerRow.number).where(
                    CustomerRow.portal_id == portal_id, CustomerRow.kind == kind.value, CustomerRow.external_id.in_(ids)
                )
            )
            found |= {CustomerRef(kind, external_id): number for external_id, number in rows}
    return found


def customers_of_orders(session: Session, portal_id: int, source: OrderSource, ids: Sequence[str]) -> set[int]:
    """Numbers of the customers to whom these orders count now."""
    if not ids:
        return set()
    found = session.scalars(
        select(OrderRow.customer).where(
            OrderRow.portal_id == portal_id, OrderRow.source == source.value, OrderRow.external_id.in_(ids)
        )
    )
    return {customer for customer in found if customer is not None}


def has_vanished(session: Session, portal_id: int) -> bool:
    """Whether a card of any kind vanished since the last `recheck_done`."""
    vanished = select(CustomerRow.number).where(CustomerRow.portal_id == portal_id, CustomerRow.recheck)
    return session.scalar(vanished.limit(1)) is not None


def count_customers(session: Session, portal_id: int) -> int:
    """Living cards of buyers we have read."""
    return (
        session.scalar(
            select(func.count())
            .select_from(CustomerRow)
            .where(
                CustomerRow.portal_id == portal_id,
                CustomerRow.seen,
                CustomerRow.gone.is_(False),
                CustomerRow.is_buyer,
            )
        )
        or 0
    )


def count_orders(session: Session, portal_id: int) -> int:
    """Living orders that are won, whoever they belong to."""
    return (
        session.scalar(
            select(func.count())
            .select_from(OrderRow)
            .where(OrderRow.portal_id == portal_id, OrderRow.status == "won", OrderRow.gone.is_(False))
        )
        or 0
    )
