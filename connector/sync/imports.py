"""Order history from a file → orders of the source `import`, counted from the next score run on.

The same file again changes nothing: an order without a number gets one from its customer, moment, amount and its
place among equal rows. An order that names a deal counts once with it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from adapters.batches import chunks
from adapters.fields import zone
from adapters.records import CustomerKind, CustomerRef, Order, OrderLine, OrderSource, OrderStatus
from connector.store import mirror, mirrored, portals
from connector.store.database import Database
from connector.store.locks import portal_lock
from connector.store.models import Portal
from connector.sync.history_file import BadRow, History, HistoryRow, read_history

__all__ = ["import_history", "read_history"]

_CHUNK = 5000


def import_history(
    database: Database, name: str, history: History, *, only: bool = False, dry_run: bool = False
) -> dict[str, Any]:
    """Store a history and let it count: beside the CRM's own orders, or alone with `only`."""
    with database.session() as session:
        portal = portals.working_portal(session, name)
    with portal_lock(database, portal.portal_id):
        with database.session() as session:
            orders, bad = _orders(session, portal, history.rows)
        problems = sorted((*history.bad, *bad), key=lambda row: row.number)
        changed = 0
        if orders and not dry_run:
            changed = _store(database, portal.portal_id, orders, only=only)
    return {
        "portal": name,
        "orders": len(orders),
        "customers": len({(order.company_id, order.contact_id) for order in orders}),
        "changed": changed,
        "dry_run": dry_run,
        "refused": [{"row": row.number, "reason": row.reason} for row in problems],
    }


def _store(database: Database, portal_id: int, orders: Sequence[Order], *, only: bool) -> int:
    with database.session() as session:
        portal = session.get_one(Portal, portal_id)
        before = mirror.order_sources(portal)
        after = [OrderSource.IMPORT.value] if only else list(dict.fromkeys([*before, OrderSource.IMPORT.value]))
        if after != before:
            portal.settings = {**portal.settings, "order_sources": after}
            session.flush()
            mirror.derive_all(session, portal)
        changed = sum(
            mirror.store_orders(session, portal, OrderSource.IMPORT, chunk).changed for chunk in chunks(orders, _CHUNK)
        )
        mirror.untie(session, portal)
        if changed:
            portals.note(session, portal_id, "cli", "orders.imported", {"orders": len(orders), "changed": changed})
        return changed


def _orders(session: Session, portal: Portal, rows: Iterable[HistoryRow]) -> tuple[list[Order], list[BadRow]]:
    here = zone(portal.time_zone)
    known = mirrored.kinds_by_id(session, portal.portal_id)
    grouped: dict[str, list[HistoryRow]] = {}
    customers: dict[str, CustomerRef] = {}
    bad: list[BadRow] = []
    repeats: Counter[str] = Counter()
    for row in rows:
        try:
            customer = _customer(row, known)
        except ValueError as error:
            bad.append(BadRow(row.number, str(error)))
            continue
        key = row.order or _own_number(row, customer, repeats)
        if customers.setdefault(key, customer) != customer:
            bad.append(BadRow(row.number, "this order number belongs to another customer in an earlier row"))
            continue
        grouped.setdefault(key, []).append(row)

    def local(moment: datetime) -> datetime:
        return moment if moment.tzinfo else moment.replace(tzinfo=here)

    return [_order(key, customers[key], lines, local(lines[0].moment)) for key, lines in grouped.items()], bad


def _order(key: str, customer: CustomerRef, rows: Sequence[HistoryRow], moment: datetime) -> Order:
    first = rows[0]
    amounts = [row.amount for row in rows if row.amount is not None]
    is_company = customer.kind is CustomerKind.COMPANY
    return Order(
        source=OrderSource.IMPORT,
        external_id=key,
        status=OrderStatus.WON,
        at=moment,
        amount=sum(amounts, Decimal(0)) if amounts else None,
        currency=first.currency,
        company_id=customer.external_id if is_company else None,
        contact_id=None if is_company else customer.external_id,
        manager_id=first.manager,
        deal_id=first.deal,
        lines=tuple(
            OrderLine(row.product, None, row.quantity, _unit_price(row)) for row in rows if row.product is not None
        ),
    )


def _unit_price(row: HistoryRow) -> Decimal | None:
    if row.amount is None or row.quantity == 0:
        return None
    return row.amount / row.quantity


def _customer(row: HistoryRow, known: dict[str, set[CustomerKind]]) -> CustomerRef:
    if row.company:
        return CustomerRef(CustomerKind.COMPANY, row.company)
    if row.contact:
        return CustomerRef(CustomerKind.CONTACT, row.contact)
    text = row.customer or ""
    if text.startswith(tuple(f"{kind.value}:" for kind in CustomerKind)):
        return CustomerRef.parse(text)
    if ":" in text:
        raise ValueError("a customer is written like company:45, contact:123 or as a bare id")
    kinds = known.get(text, set())
    if len(kinds) > 1:
        raise ValueError("a company and a contact have this id: write company:ID or contact:ID")
    return CustomerRef(next(iter(kinds), CustomerKind.CONTACT), text)


def _own_number(row: HistoryRow, customer: CustomerRef, repeats: Counter[str]) -> str:
    words = f"{customer}|{row.moment.isoformat()}|{row.amount}|{row.product}"
    repeats[words] += 1
    return "row-" + hashlib.sha256(f"{words}|{repeats[words]}".encode()).hexdigest()[:20]
