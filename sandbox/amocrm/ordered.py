"""A table whose rows can be paged in any documented order without sorting anything per request."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Generic, Protocol, TypeVar

_ID_BITS = 40
_ID_MASK = (1 << _ID_BITS) - 1


class Stamped(Protocol):
    """A row with an id; the orders name further whole-number attributes of it."""

    id: int


Row = TypeVar("Row", bound=Stamped)


class Table(Generic[Row]):
    """Rows by id, with one sorted list of keys for each order.

    A key packs the ordered attribute above the id, so equal stamps stay in id order. Only listed rows are in
    the orders: `hide` takes a row out of every list and keeps it in `rows` (the CRM's trash).
    Change an ordered attribute only through `move`.
    """

    def __init__(self, *orders: str) -> None:
        self.rows: dict[int, Row] = {}
        self.version = 0
        self._hidden: set[int] = set()
        self._orders: dict[str, list[int]] = {name: [] for name in (*orders, "id")}

    def load(self, rows: Mapping[int, Row]) -> None:
        """Fill an empty table at once."""
        self.rows = dict(rows)
        for name in self._orders:
            self._orders[name] = sorted(self._key(row, name) for row in rows.values())
        self.version += 1

    def add(self, row: Row) -> None:
        """Put a new row, or a hidden one back, into every order."""
        self.rows[row.id] = row
        self._hidden.discard(row.id)
        for name, keys in self._orders.items():
            key = self._key(row, name)
            keys.insert(bisect_left(keys, key), key)
        self.version += 1

    def hide(self, row: Row) -> None:
        """Take a listed row out of every order; `rows` keeps it."""
        for name, keys in self._orders.items():
            del keys[self._position(keys, self._key(row, name))]
        self._hidden.add(row.id)
        self.version += 1

    def drop(self, row: Row) -> None:
        """Forget a listed row for good."""
        self.hide(row)
        self._hidden.discard(row.id)
        del self.rows[row.id]

    def move(self, row: Row, name: str, stamp: int) -> None:
        """Set the attribute `name` of a row and its place in that order."""
        self.version += 1
        keys = self._orders.get(name)
        if keys is None:
            setattr(row, name, stamp)
            return
        del keys[self._position(keys, self._key(row, name))]
        setattr(row, name, stamp)
        key = self._key(row, name)
        keys.insert(bisect_left(keys, key), key)

    def orderable(self, name: str) -> bool:
        """Whether lists can be asked in this order."""
        return name in self._orders

    def page(self, name: str, start: int, count: int, *, falling: bool = False) -> list[Row]:
        """`count` listed rows from position `start`."""
        keys = self._orders[name]
        if falling:
            stop = len(keys) - start
            part = keys[max(0, stop - count) : max(0, stop)][::-1]
        else:
            part = keys[start : start + count]
        return [self.rows[key & _ID_MASK] for key in part]

    def between(self, name: str, low: int | None, high: int | None) -> Iterator[Row]:
        """Listed rows whose attribute lies in the closed range, rising."""
        keys = self._orders[name]
        start = 0 if low is None else bisect_left(keys, low << _ID_BITS)
        stop = len(keys) if high is None else bisect_left(keys, (high + 1) << _ID_BITS)
        return (self.rows[key & _ID_MASK] for key in islice(keys, start, stop))

    def listed(self, row_id: int) -> Row | None:
        """The row, unless it is hidden or unknown."""
        return None if row_id in self._hidden else self.rows.get(row_id)

    def hidden(self) -> list[Row]:
        """The rows in the trash, by id."""
        return [self.rows[row_id] for row_id in sorted(self._hidden)]

    def __len__(self) -> int:
        """Listed rows."""
        return len(self._orders["id"])

    def __iter__(self) -> Iterator[Row]:
        """Listed rows by id."""
        return (self.rows[key & _ID_MASK] for key in self._orders["id"])

    @staticmethod
    def _key(row: Row, name: str) -> int:
        stamp = row.id if name == "id" else int(getattr(row, name))
        return stamp << _ID_BITS | row.id

    @staticmethod
    def _position(keys: list[int], key: int) -> int:
        at = bisect_left(keys, key)
        if at == len(keys) or keys[at] != key:
            raise LookupError("the row is not in this order: an ordered attribute was set past `move`")
        return at
