"""Products behind the lines of leads: read from amoCRM's lists, as few times as possible.

https://www.amocrm.ru/developers/content/crm_platform/catalogs-api, read 2026-11.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from adapters.amocrm.client import IDS_IN_URL, Client, Json
from adapters.amocrm.orders import Product, Products, elements_of, product_of


class Catalogs:
    """Products met so far in one reading of orders. Elements that are gone stay without a name and a price."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._products: dict[tuple[int, int], Product] = {}
        self._read_whole: set[int] = set()

    def of(self, rows: Iterable[Json], *, whole_lists: bool = False) -> Products:
        """Products of these leads or transactions and of all before. `whole_lists`: many more are to come."""
        unknown: defaultdict[int, set[int]] = defaultdict(set)
        for row in rows:
            for catalog, element in elements_of(row):
                if (catalog, element) not in self._products and catalog not in self._read_whole:
                    unknown[catalog].add(element)
        for catalog, elements in unknown.items():
            self._learn(catalog, elements, whole=whole_lists or len(elements) > IDS_IN_URL)
        return self._products

    def _learn(self, catalog: int, elements: set[int], *, whole: bool) -> None:
        path = f"catalogs/{catalog}/elements"
        found = None if whole else self._client.by_filter(path, "elements", (), [str(one) for one in sorted(elements)])
        if found is None:
            self._read_whole.add(catalog)
            found = self._client.all(path, "elements")
        for element in elements:
            self._products[catalog, element] = Product(None, {})
        for row in found:
            self._products[catalog, int(row["id"])] = product_of(row)
