"""Lists of products and other things, read only.

https://www.amocrm.ru/developers/content/crm_platform/catalogs-api
"""

from __future__ import annotations

from typing import Any

from sandbox.amocrm.calls import Call, hal, nothing, page_answer
from sandbox.amocrm.query import numbers, window, words
from sandbox.amocrm.router import Route
from sandbox.amocrm.rows import Catalog, Element
from sandbox.amocrm.views import view_element
from sandbox.web import Answer


def list_catalogs(call: Call) -> Answer:
    """The account's lists; `filter[type]` narrows."""
    at = window(call.query)
    rows = list(call.account.catalogs.values())
    if "type" in call.filter:
        rows = [row for row in rows if row.type in words(call.filter["type"])]
    part = rows[at.start : at.start + at.limit]
    return page_answer(call, "catalogs", [_view(call, row) for row in part], at, more=len(rows) > at.start + at.limit)


def get_catalog(call: Call) -> Answer:
    """One list."""
    catalog = call.account.catalogs.get(call.number("id"))
    return hal(_view(call, catalog)) if catalog else nothing()


def _view(call: Call, catalog: Catalog) -> dict[str, Any]:
    return {
        "id": catalog.id,
        "name": catalog.name,
        "type": catalog.type,
        "sort": catalog.sort,
        "can_add_elements": True,
        "can_show_in_cards": False,
        "can_link_multiple": True,
        "can_be_deleted": False,
        "sdk_widget_code": None,
        "account_id": call.account.settings.id,
        "_links": {"self": {"href": f"{call.base}/catalogs/{catalog.id}"}},
    }


def list_elements(call: Call) -> Answer:
    """Rows of a list by id; `filter[id]` (the official client also sends `id`) and `query` by name."""
    at, table = window(call.query), call.account.elements.get(call.number("id"))
    if table is None:
        return nothing()
    asked = call.filter.get("id", call.query.get("id"))
    text = str(call.query.get("query") or "").lower()
    if asked is None and not text:
        rows = table.page("id", at.start, at.limit + 1)
    else:
        ids = None if asked is None else frozenset(numbers(asked))
        found = [one for one in table if (ids is None or one.id in ids) and text in one.name.lower()]
        rows = found[at.start : at.start + at.limit + 1]
    views = [_view_element(call, one) for one in rows[: at.limit]]
    return page_answer(call, "elements", views, at, more=len(rows) > at.limit)


def get_element(call: Call) -> Answer:
    """One row of a list."""
    table = call.account.elements.get(call.number("id"))
    element = table.listed(call.number("element")) if table else None
    return hal(_view_element(call, element)) if element else nothing()


def _view_element(call: Call, element: Element) -> dict[str, Any]:
    return view_element(call.account, element, call.account.catalog_book(element.catalog_id))


ROUTES = (
    Route("GET", "catalogs", list_catalogs),
    Route("GET", "catalogs/{id:int}", get_catalog),
    Route("GET", "catalogs/{id:int}/elements", list_elements),
    Route("GET", "catalogs/{id:int}/elements/{element:int}", get_element),
)
