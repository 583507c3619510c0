"""Product rows of deals, and the online store's orders."""

from __future__ import annotations

from typing import Any

from sandbox.bitrix24.calls import Call, Method, Result, page
from sandbox.bitrix24.errors import RestError
from sandbox.bitrix24.php import as_int, as_list, as_map
from sandbox.bitrix24.query import find, page_of, parse_filter, parse_order, start_of
from sandbox.bitrix24.rows import ProductRow, SaleOrder
from sandbox.bitrix24.state import COMPANY, CONTACT, DEAL
from sandbox.bitrix24.values import iso, number

_ROW_PARAMS = {"filter", "order", "start"}


def product_rows(call: Call) -> Result:
    """`crm.item.productrow.list`: both owner conditions are needed, and any parameter too many breaks it."""
    unknown = set(call.params) - _ROW_PARAMS
    if unknown:
        raise RestError(0, f"Unknown parameter: {min(unknown)}")
    given = as_map(call.params.get("filter"))
    for name in ("=ownerType", "=ownerId"):
        if given.get(name) in (None, "", []):
            raise RestError(0, f"Required filter field is missing: {name}")
    table = call.state.product_rows
    names = table.fields.by_camel
    wanted = parse_filter(table, given, names, strict=True)
    order = parse_order(call.params.get("order"), names, strict=True)
    found = find(table, wanted, order, start_of(call.params.get("start")))
    readers = table.fields.item_readers()
    return page({"productRows": [{name: reader(row) for name, reader in readers} for row in found.rows]}, found)


def _need_store(call: Call) -> None:
    """Orders are the administrator's."""
    call.need_admin()


def order_list(call: Call) -> Result:
    """`sale.order.list`: no clients in it."""
    _need_store(call)
    table = call.state.orders
    names = table.fields.by_camel
    wanted = parse_filter(table, call.params.get("filter"), names, strict=True)
    order = parse_order(call.params.get("order"), names, strict=True)
    found = find(table, wanted, order, start_of(call.params.get("start")))
    asked = [str(name) for name in as_list(call.params.get("select"))]
    readers = table.fields.item_readers(None if not asked or "*" in asked else asked)
    return page({"orders": [{name: reader(row) for name, reader in readers} for row in found.rows]}, found)


def order_get(call: Call) -> Result:
    """`sale.order.get`: with clients, basket and payments."""
    _need_store(call)
    row = call.state.orders.rows.get(call.whole("id"))
    if row is None:
        raise RestError("200540400001", "order is not exists", 400)
    shown = {name: reader(row) for name, reader in call.state.orders.fields.item_readers()}
    shown |= {
        "clients": _clients(row),
        "basketItems": [_basket_item(one) for one in row.lines],
        "payments": [
            {
                "id": row.id * 10 + place,
                "orderId": row.id,
                "sum": number(one.sum),
                "paid": "Y" if one.paid_at is not None else "N",
                "datePaid": None if one.paid_at is None else iso(one.paid_at, call.state.zone),
                "isReturn": "Y" if one.is_return else "N",
                "currency": row.currency,
            }
            for place, one in enumerate(row.payments)
        ],
        "shipments": [],
        "propertyValues": [],
    }
    return Result({"order": shown})


def _clients(row: SaleOrder) -> list[dict[str, Any]]:
    found = [(COMPANY, row.company_id), (CONTACT, row.contact_id)]
    return [
        {"entityTypeId": kind, "entityId": one, "isPrimary": "Y", "orderId": row.id}
        for kind, one in found
        if one is not None
    ]


def _basket_item(one: ProductRow) -> dict[str, Any]:
    return {
        "id": one.id,
        "productId": one.product_id,
        "name": one.product_name,
        "price": number(one.price),
        "discountPrice": number(one.discount_sum),
        "quantity": number(one.quantity),
    }


def order_entities(call: Call) -> Result:
    """`crm.orderentity.list`: which deal an order is tied to. `start` -1 brings everything at once."""
    given = as_map(call.params.get("filter"))
    wanted = {key.lstrip("=@"): {as_int(one) for one in as_list(value)} for key, value in given.items()}
    rows = [row for row in call.state.orders.rows.values() if row.deal_id is not None and _is_asked(row, wanted)]
    rows.sort(key=lambda row: row.id)
    start = start_of(call.params.get("start"))
    found = page_of(rows, start) if start >= 0 else None
    shown = [
        {"orderId": row.id, "ownerId": row.deal_id, "ownerTypeId": DEAL}
        for row in (rows if found is None else found.rows)
    ]
    return Result({"orderEntity": shown}, 0) if found is None else page({"orderEntity": shown}, found)


def _is_asked(row: SaleOrder, wanted: dict[str, set[int]]) -> bool:
    held = {"orderId": row.id, "ownerId": row.deal_id, "ownerTypeId": DEAL}
    return all(name not in held or held[name] in values for name, values in wanted.items())


METHODS = (
    Method("crm.item.productrow.list", product_rows, "crm"),
    Method("sale.order.list", order_list, "sale"),
    Method("sale.order.get", order_get, "sale"),
    Method("crm.orderentity.list", order_entities, "crm"),
)
