"""Rows with the indexes that keep a big portal quick: ids in order, ids by moment of change, ids by link."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from sandbox.bitrix24.fields import Field, Fields
from sandbox.bitrix24.rows import Row

R = TypeVar("R", bound=Row)
Links = Callable[[Any], Iterable[tuple[str, int]]]


def _no_links(_row: Row) -> Iterable[tuple[str, int]]:
    return ()


class Table(Generic[R]):
    """All rows of one object.

    `links` names for each row the (camel field, id) pairs under which equality filters find it.
    """

    def __init__(self, fields: Fields, links: Links = _no_links) -> None:
        self.fields = fields
        self.rows: dict[int, R] = {}
        self.ids: list[int] = []
        self.stamps: list[tuple[int, int]] = []
        self.by_link: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
        self._links = links
        self._last_id = 0

    def next_id(self) -> int:
        """An id never used before, also not by a row that is gone."""
        self._last_id += 1
        return self._last_id

    def load(self, rows: Iterable[R]) -> None:
        """Take in many at once."""
        for row in rows:
            self.rows[row.id] = row
            for link in self._links(row):
                self.by_link[link].add(row.id)
        self.ids = sorted(self.rows)
        self.stamps = sorted((row.updated, row.id) for row in self.rows.values())
        self._last_id = max(self._last_id, self.ids[-1] if self.ids else 0)

    def add(self, row: R) -> R:
        """Take in one."""
        self.rows[row.id] = row
        insort(self.ids, row.id)
        insort(self.stamps, (row.updated, row.id))
        for link in self._links(row):
            self.by_link[link].add(row.id)
        self._last_id = max(self._last_id, row.id)
        return row

    def remove(self, row: R) -> None:
        """Forget one; no trace of it remains in any list."""
        del self.rows[row.id]
        del self.ids[bisect_left(self.ids, row.id)]
        del self.stamps[bisect_left(self.stamps, (row.updated, row.id))]
        for link in self._links(row):
            self.by_link[link].discard(row.id)

    def write(self, row: R, values: Mapping[Field, Any], now: int) -> bool:
        """Set what differs. Only then the row counts as changed, and the answer is True."""
        changed = {field: value for field, value in values.items() if field.get(row) != value}
        if not changed:
            return False
        for link in self._links(row):
            self.by_link[link].discard(row.id)
        for field, value in changed.items():
            field.put(row, value)
        for link in self._links(row):
            self.by_link[link].add(row.id)
        self.touch(row, now)
        return True

    def touch(self, row: R, now: int) -> None:
        """Move the row's last change to `now`."""
        del self.stamps[bisect_left(self.stamps, (row.updated, row.id))]
        row.updated = now
        insort(self.stamps, (now, row.id))

    def place_after(self, row_id: int) -> int:
        """How many ids are ≤ `row_id`."""
        return bisect_right(self.ids, row_id)

    def place_of(self, row_id: int) -> int:
        """How many ids are < `row_id`."""
        return bisect_left(self.ids, row_id)

    def changed_from(self, moment: int) -> int:
        """The place in `stamps` where changes at or after `moment` begin."""
        return bisect_left(self.stamps, (moment, 0))
