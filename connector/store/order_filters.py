"""Which stored orders a method counts, as a condition in SQL: what arrays of days and amounts do not tell.

Days and amounts are sifted by `scoring.filters` itself, for every way of reading alike.
"""

from __future__ import annotations

from typing import Any

from scoring.filters import Filters

_PLAIN = {"sources": "source", "pipelines": "pipeline_id", "stages": "stage_id"}
_LINES = (
    "SELECT FROM order_lines l WHERE l.portal_id = orders.portal_id AND l.source = orders.source"
    " AND l.external_id = orders.external_id"
)
_PRODUCTS = f" AND EXISTS ({_LINES} AND l.product_id = ANY(%(products)s::text[]))"
_OTHERS = f"{_LINES} AND (l.product_id = ANY(%(without_products)s::text[])) IS NOT TRUE"
_WITHOUT_PRODUCTS = f" AND (NOT EXISTS ({_LINES}) OR EXISTS ({_OTHERS}))"


def condition(filters: Filters | None) -> tuple[str, dict[str, Any]]:
    """A condition on rows of `orders`, beginning with AND, and its parameters; empty where every order counts.

    An order without lines has none of the products, and is not made of unwanted ones only.
    """
    if filters is None or not filters.of_store:
        return "", {}
    sql, params = "", {}
    for name, column in _PLAIN.items():
        if wanted := getattr(filters, name):
            sql += f" AND {column} = ANY(%({name})s::text[])"
            params[name] = list(wanted)
    if filters.products:
        sql += _PRODUCTS
        params["products"] = list(filters.products)
    if filters.without_products:
        sql += _WITHOUT_PRODUCTS
        params["without_products"] = list(filters.without_products)
    return sql, params
