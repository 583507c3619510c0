"""A list as amoCRM pages it, in memory, counting what is fetched."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from adapters.amocrm.client import PAGE, Json, Listing

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class FakeList:
    """Rows as given, in the order of `key`; a row may be changed until the first reading, dropped at any time."""

    def __init__(self, rows: Iterable[Json], key: str = "id", *, falling: bool = False) -> None:
        self.rows = list(rows)
        self.fetched: list[int] = []
        self._key = key
        self._falling = falling

    def read(self, numbers: Iterable[int]) -> list[Listing]:
        if not self.fetched:
            self.rows.sort(key=lambda row: (row[self._key], row["id"]), reverse=self._falling)
        listings = []
        for number in numbers:
            self.fetched.append(number)
            start = (number - 1) * PAGE
            rows = self.rows[start : start + PAGE]
            listings.append(Listing(rows, more=bool(rows) and len(self.rows) > start + PAGE, at=NOW))
        return listings

    def drop(self, *ids: int) -> None:
        dropped = frozenset(ids)
        self.rows = [row for row in self.rows if row["id"] not in dropped]


def rows(ids: Iterable[int], updated_at: int = 1_700_000_000) -> list[Json]:
    return [{"id": one, "updated_at": updated_at} for one in ids]
