"""amoCRM's leads, transactions and list elements → our orders and their lines. Plain functions, no I/O.

https://www.amocrm.ru/developers/content/crm_platform/leads-api, …/customers-api, …/catalogs-api, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from adapters.amocrm.client import Json
from adapters.amocrm.schemas import id_of, text_of
from adapters.fields import decimal, from_epoch, identifier
from adapters.records import Order, OrderLine, OrderSource, OrderStatus

WON, LOST = 142, 143
"""The same ids in every pipeline, whatever the stages are called."""


@dataclass(frozen=True, slots=True)
class Product:
    """An element of a list, with its prices by field id; `None` has the one of the field PRICE."""

    name: str | None
    prices: Mapping[int | None, Decimal]


Products = Mapping[tuple[Any, Any], Product]
"""(list id, element id) → product."""


def product_of(row: Json) -> Product:
    """A product. Prices may be strings or numbers."""
    prices: dict[int | None, Decimal] = {}
    for item in row.get("custom_fields_values") or ():
        if item.get("field_type") == "price" or item.get("field_code") == "PRICE":
            values = item.get("values") or [{}]
            price = decimal(values[0].get("value"), "elements.custom_fields_values.price")
            if price is not None:
                prices[item.get("field_id")] = price
                if item.get("field_code") == "PRICE":
                    prices[None] = price
    return Product(text_of(row.get("name")), prices)


def elements_of(row: Json) -> list[tuple[int, int]]:
    """(list id, element id) of everything that is linked to a lead or a transaction."""
    return [
        (catalog, int(element["id"]))
        for element in _part(row, "catalog_elements")
        if isinstance(catalog := (element.get("metadata") or {}).get("catalog_id"), int)
    ]


def _part(row: Json, name: str) -> Sequence[Json]:
    part = (row.get("_embedded") or {}).get(name)
    return part if isinstance(part, list) else ()


def _lines(row: Json, products: Products | None) -> tuple[OrderLine, ...] | None:
    """None when lines were not asked for. Quantities may be fractions."""
    if products is None:
        return None
    return tuple(_line(element, products) for element in _part(row, "catalog_elements"))


def _line(element: Json, products: Products) -> OrderLine:
    metadata = element.get("metadata") or {}
    product = products.get((metadata.get("catalog_id"), element["id"])) or Product(None, {})
    return OrderLine(
        product_id=identifier(element["id"]),
        name=product.name,
        quantity=decimal(metadata.get("quantity"), "catalog_elements.metadata.quantity") or Decimal(1),
        price=product.prices.get(metadata.get("price_id")) or product.prices.get(None),
    )


def main_contact(row: Json) -> str | None:
    """The contact marked as main, else the one with the lowest id."""
    contacts = _part(row, "contacts")
    main = next((one for one in contacts if one.get("is_main")), None)
    chosen = main or min(contacts, key=lambda one: int(one["id"]), default=None)
    return None if chosen is None else identifier(chosen["id"])


def company_in(row: Json) -> str | None:
    """The company of a lead or of a customer; there is at most one."""
    companies = _part(row, "companies")
    return identifier(companies[0]["id"]) if companies else None


def lead_of(row: Json, currency: str, products: Products | None) -> Order:
    """A lead in any state. `closed_at` of an open one is left out: it may be that of an earlier closing."""
    status = _STATUSES.get(row.get("status_id"), OrderStatus.OPEN)
    closed_at = from_epoch(row.get("closed_at"), "leads.closed_at")
    return Order(
        OrderSource.DEALS,
        id_of(row, "leads"),
        status,
        at=None if status is OrderStatus.OPEN else closed_at,
        amount=_budget(row),
        currency=currency,
        company_id=company_in(row),
        contact_id=main_contact(row),
        manager_id=identifier(row.get("responsible_user_id")),
        created_at=from_epoch(row.get("created_at"), "leads.created_at"),
        updated_at=from_epoch(row.get("updated_at"), "leads.updated_at"),
        pipeline_id=identifier(row.get("pipeline_id")),
        stage_id=identifier(row.get("status_id")),
        lines=_lines(row, products),
    )


_STATUSES: dict[Any, OrderStatus] = {WON: OrderStatus.WON, LOST: OrderStatus.LOST}


def _budget(row: Json) -> Decimal | None:
    """None when there is none. `price` drops kopecks, so the newer key goes first.

    An empty budget may come as null or as 0; which of them means "none" is the portal's setting
    (https://www.amocrm.ru/developers/content/crm_platform/leads-api, read 2026-11).
    """
    value = row.get("price_with_minor_units")
    return decimal(row.get("price") if value is None else value, "leads.price")


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who stands behind one of amoCRM's own customers."""

    company_id: str | None
    contact_id: str | None
    manager_id: str | None


def buyer_of(row: Json) -> Buyer:
    """One of amoCRM's own customers, read with its contacts and companies."""
    return Buyer(company_in(row), main_contact(row), identifier(row.get("responsible_user_id")))


def transaction_of(row: Json, currency: str, buyers: Mapping[str, Buyer], products: Products | None) -> Order:
    """A purchase of one of amoCRM's own customers. One without a completion time counts when it was entered."""
    customer = (row.get("_embedded") or {}).get("customer") or {}
    buyer = buyers.get(str(row.get("customer_id") or customer.get("id"))) or Buyer(None, None, None)
    created_at = from_epoch(row.get("created_at"), "transactions.created_at")
    return Order(
        OrderSource.ORDERS,
        id_of(row, "transactions"),
        OrderStatus.WON,
        at=from_epoch(row.get("completed_at"), "transactions.completed_at") or created_at,
        amount=decimal(row.get("price"), "transactions.price"),
        currency=currency,
        company_id=buyer.company_id,
        contact_id=buyer.contact_id,
        manager_id=buyer.manager_id,
        created_at=created_at,
        updated_at=from_epoch(row.get("updated_at"), "transactions.updated_at"),
        lines=_lines(row, products),
    )
