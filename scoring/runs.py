"""Counting orders that are sorted by customer and day: each customer is one run of neighbouring rows.

Sums over a run are differences of running sums, so nothing is scattered and a row costs a few nanoseconds.
Rows are taken in blocks that end where a customer ends. A block is 0.5 MB of customer numbers: it stays in
the second-level cache while ten or so passes go over it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from scoring.frames import Bool, Int32, Int64
from scoring.sieve import Rows
from scoring.sums import HALF_BITS, Sums

BLOCK_ROWS = 1 << 16

WholeT = TypeVar("WholeT", np.int32, np.int64)
ScalarT = TypeVar("ScalarT", bound=np.generic)


class Growing(Generic[ScalarT]):
    """One array that grows by parts, in place, so that nothing is held twice."""

    def __init__(self, dtype: type[ScalarT]) -> None:
        self._array: NDArray[ScalarT] = np.empty(BLOCK_ROWS, dtype=dtype)
        self._filled = 0

    def __len__(self) -> int:
        """Entries so far."""
        return self._filled

    def add(self, part: NDArray[ScalarT]) -> None:
        """Append."""
        end = self._filled + len(part)
        if end > len(self._array):
            self._array.resize(max(end, len(self._array) * 5 // 4), refcheck=False)
        self._array[self._filled : end] = part
        self._filled = end

    def whole(self) -> NDArray[ScalarT]:
        """All of it, as a view."""
        return self._array[: self._filled]

    def clear(self) -> None:
        """Begin again; what `whole` gave out before is overwritten."""
        self._filled = 0


class NotSorted(Exception):
    """The rows are not sorted by customer and day: features.py counts them in another way."""


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Where the customers of a block begin and end. `opens` marks the first row of each."""

    number: Int64
    opens: Bool
    starts: NDArray[np.intp]
    ends: NDArray[np.intp]


def blocks(customer: Int64) -> Iterator[tuple[int, int]]:
    """Cut rows into blocks of about `BLOCK_ROWS` that never split a customer, if the rows are sorted."""
    start, size = 0, BLOCK_ROWS
    while start < len(customer):
        stop = start + size
        if stop < len(customer):
            stop = start + int(np.searchsorted(customer[start:stop], customer[stop - 1]))
            if stop == start:
                size *= 2
                continue
        stop = min(stop, len(customer))
        yield start, stop
        start, size = stop, BLOCK_ROWS


def find_runs(rows: Rows, after: int) -> Runs:
    """Find the runs of a block; raises `NotSorted` unless all come after the customer `after`, in order."""
    opens = np.empty(len(rows.customer), dtype=np.bool_)
    opens[0] = True
    np.not_equal(rows.customer[1:], rows.customer[:-1], out=opens[1:])
    starts = np.flatnonzero(opens)
    number = rows.customer[starts]
    if number[0] <= after or bool((number[1:] <= number[:-1]).any()):
        raise NotSorted
    earlier = rows.day[1:] < rows.day[:-1]
    if bool((earlier > opens[1:]).any()):
        raise NotSorted
    ends = np.empty_like(starts)
    ends[:-1] = starts[1:] - 1
    ends[-1] = len(opens) - 1
    return Runs(number, opens, starts, ends)


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """Per customer, ascending by number: last day, orders and sums in the window."""

    number: Int64
    last_day: Int32
    frequency: Int32
    sums: Sums


@dataclass(slots=True, eq=False)
class TotalsOfRuns:
    """Collects `Totals` block by block. `since` is the day before the window's first."""

    since: int
    _number: Growing[np.int64] = field(default_factory=lambda: Growing(np.int64))
    _last_day: Growing[np.int32] = field(default_factory=lambda: Growing(np.int32))
    _frequency: Growing[np.int32] = field(default_factory=lambda: Growing(np.int32))
    _low: Growing[np.int64] = field(default_factory=lambda: Growing(np.int64))
    _high: Growing[np.int64] | None = None
    _scratch: Int64 = field(default_factory=lambda: np.empty(BLOCK_ROWS, dtype=np.int64))

    def add(self, rows: Rows, runs: Runs) -> None:
        """Count one block."""
        inside = rows.day > self.since
        already = len(self._number)
        self._number.add(runs.number)
        self._last_day.add(rows.day[runs.ends])
        self._frequency.add(_sums_of_runs(inside.astype(np.int32), runs))
        self._low.add(self._sums(rows.amount, inside, runs))
        if rows.wide and self._high is None:
            self._high = Growing(np.int64)
            self._high.add(np.zeros(already, dtype=np.int64))
        if self._high is not None:
            none = np.zeros(len(runs.number), dtype=np.int64)
            self._high.add(self._sums(rows.amount >> HALF_BITS, inside, runs) if rows.wide else none)

    def _sums(self, amount: Int64, inside: Bool, runs: Runs) -> Int64:
        if len(amount) > len(self._scratch):
            self._scratch = np.empty(len(amount), dtype=np.int64)
        return _sums_of_runs(np.multiply(amount, inside, out=self._scratch[: len(amount)]), runs)

    def totals(self) -> Totals:
        """All that was counted."""
        return Totals(
            self._number.whole(),
            self._last_day.whole(),
            self._frequency.whole(),
            Sums(self._low.whole(), None if self._high is None else self._high.whole()),
        )


def _sums_of_runs(values: NDArray[WholeT], runs: Runs) -> NDArray[WholeT]:
    """Sums over runs, modulo the type's range. Overwrites `values`."""
    running = np.cumsum(values, out=values)[runs.ends]
    running[1:] -= running[:-1].copy()
    return running
