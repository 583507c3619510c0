"""amoCRM's own customers and their transactions, read only; there only in the right mode of the account.

https://www.amocrm.ru/developers/content/crm_platform/customers-api
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox.amocrm.calls import Call, hal, nothing, page_answer
from sandbox.amocrm.problems import Problem
from sandbox.amocrm.query import numbers, window
from sandbox.amocrm.router import Route
from sandbox.amocrm.routes.cards import get_card, list_cards
from sandbox.amocrm.rows import Transaction
from sandbox.web import Answer


def _is_on(call: Call) -> bool:
    """Whether the module is on; raises `Problem` 402 when the tariff lacks it."""
    mode = call.account.settings.customers_mode
    if mode == "unavailable":
        raise Problem(402, "The tariff does not include customers")
    return mode != "disabled"


def list_customers(call: Call) -> Answer:
    """A page of customers."""
    return list_cards("customers", call) if _is_on(call) else nothing()


def get_customer(call: Call) -> Answer:
    """One customer."""
    return get_card("customers", call) if _is_on(call) else nothing()


def list_transactions(call: Call) -> Answer:
    """All transactions by id; there is no filter by date."""
    return _page(call, call.account.transactions.values()) if _is_on(call) else nothing()


def list_transactions_of(call: Call) -> Answer:
    """The transactions of one customer."""
    customer_id = call.number("id")
    rows = (row for row in call.account.transactions.values() if row.customer_id == customer_id)
    return _page(call, rows) if _is_on(call) else nothing()


def _page(call: Call, rows: Iterable[Transaction]) -> Answer:
    at = window(call.query)
    kept = list(rows)
    if "id" in call.filter:
        ids = frozenset(numbers(call.filter["id"]))
        kept = [row for row in kept if row.id in ids]
    views = [_view(call, row) for row in kept[at.start : at.start + at.limit]]
    return page_answer(call, "transactions", views, at, more=len(kept) > at.start + at.limit)


def get_transaction(call: Call) -> Answer:
    """One transaction."""
    row = call.account.transactions.get(call.number("id")) if _is_on(call) else None
    return hal(_view(call, row)) if row else nothing()


def _view(call: Call, row: Transaction) -> dict[str, Any]:
    return {
        "id": row.id,
        "price": float(row.price) if row.price % 1 else int(row.price),
        "comment": row.comment,
        "completed_at": row.completed_at,
        "customer_id": row.customer_id,
        "created_by": row.created_by,
        "updated_by": row.created_by,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "is_deleted": row.is_deleted,
        "account_id": call.account.settings.id,
        "_links": {"self": {"href": f"{call.base}/customers/transactions/{row.id}"}},
        "_embedded": {"customer": {"id": row.customer_id}},
    }


ROUTES = (
    Route("GET", "customers", list_customers),
    Route("GET", "customers/transactions", list_transactions),
    Route("GET", "customers/transactions/{id:int}", get_transaction),
    Route("GET", "customers/{id:int}", get_customer),
    Route("GET", "customers/{id:int}/transactions", list_transactions_of),
)
