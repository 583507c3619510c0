"""Each customer's own rhythm: on how many different days he ordered, and the median gap between those days.

Looks at the whole history up to the as-of day, not only at the window of F and M.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from scoring.frames import Bool, Float64, Int32
from scoring.runs import Growing, Runs
from scoring.sieve import Rows

DAYS_FOR_A_RHYTHM = 3
_CELLS = 1 << 18  # of the matrix in which gaps are sorted; 1 MB
_GAPS_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """The whole history per customer, in the order of the summary it belongs to.

    `order_days` counts different days. `median_gap` is in days, NaN below three different days; with an even
    number of gaps it is the mean of the middle two. `unknown_amounts` counts orders whose amount could not
    be converted.
    """

    orders_total: Int32
    order_days: Int32
    first_day: Int32
    median_gap: Float64
    unknown_amounts: Int32


@dataclass(slots=True, eq=False)
class HistoryOfRuns:
    """Collects the history of sorted rows, block by block. Gaps between order days are held for some blocks only."""

    _orders_total: Growing[np.int32] = field(default_factory=lambda: Growing(np.int32))
    _order_days: Growing[np.int32] = field(default_factory=lambda: Growing(np.int32))
    _first_day: Growing[np.int32] = field(default_factory=lambda: Growing(np.int32))
    _medians: Growing[np.float64] = field(default_factory=lambda: Growing(np.float64))
    _gaps: Growing[np.int32] = field(default_factory=lambda: Growing(np.int32))
    _gap_counts: Growing[np.int32] = field(default_factory=lambda: Growing(np.int32))

    def add(self, rows: Rows, runs: Runs) -> None:
        """Take in one block."""
        self._orders_total.add((runs.ends - runs.starts + 1).astype(np.int32))
        self._first_day.add(rows.day[runs.starts])
        gaps = rows.day[1:] - rows.day[:-1]
        real = (gaps != 0) & ~runs.opens[1:]
        counts = _count_inside(real, runs)
        self._order_days.add(1 + counts)
        self._gap_counts.add(counts)
        self._gaps.add(gaps[real])
        if len(self._gaps) >= _GAPS_AT_ONCE:
            self._take_medians()

    def history(self, unknown_amounts: Int32) -> History:
        """The whole of it; `unknown_amounts` was counted elsewhere."""
        self._take_medians()
        return History(
            orders_total=self._orders_total.whole(),
            order_days=self._order_days.whole(),
            first_day=self._first_day.whole(),
            median_gap=self._medians.whole(),
            unknown_amounts=unknown_amounts,
        )

    def _take_medians(self) -> None:
        """Of the customers whose gaps are held; a block splits no customer, so all of theirs are."""
        self._medians.add(_medians(self._gaps.whole(), self._gap_counts.whole()))
        self._gaps.clear()
        self._gap_counts.clear()


def _count_inside(real: Bool, runs: Runs) -> Int32:
    """Marks per run, where mark i stands between rows i and i + 1."""
    running = np.zeros(len(real) + 1, dtype=np.int32)
    running[1:] = real
    np.cumsum(running, out=running)
    counted: Int32 = running[runs.ends] - running[runs.starts]
    return counted


def _medians(gaps: Int32, count: Int32) -> Float64:
    """Medians of neighbouring groups of gaps; `count` are the groups' sizes.

    Groups of one size are sorted together as the rows of a matrix, which sorts ten million gaps in a tenth
    of a second where sorting by (customer, gap) takes half a second.
    """
    medians = np.full(len(count), np.nan)
    first = np.cumsum(count, dtype=np.int64) - count
    for size, groups in _groups_by_size(count):
        per_slice = max(1, _CELLS // size)
        for start in range(0, len(groups), per_slice):
            some = groups[start : start + per_slice]
            ordered = np.sort(sliding_window_view(gaps, size)[first[some]], axis=1)
            medians[some] = (ordered[:, (size - 1) // 2] + ordered[:, size // 2]) / 2
    return medians


def _groups_by_size(count: Int32) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Positions of the groups of each size that is large enough for a rhythm."""
    enough = np.flatnonzero(count >= DAYS_FOR_A_RHYTHM - 1)
    sizes = count[enough]
    narrow = sizes.astype(np.uint16) if int(sizes.max(initial=0)) < 1 << 16 else sizes
    by_size = enough[np.argsort(narrow, kind="stable")]  # 16-bit keys are sorted by radix
    borders = np.flatnonzero(np.diff(count[by_size])) + 1
    for groups in np.split(by_size, borders) if len(by_size) else ():
        yield int(count[groups[0]]), groups
