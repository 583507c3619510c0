"""Each customer's own rhythm: on how many different days he ordered, and the median gap between those days.

Looks at the whole history up to the as-of day, not only at the window of F and M.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from scoring.frames import Bool, Float64, Int32, Int64
from scoring.runs import Runs, joined
from scoring.sieve import Rows

DAYS_FOR_A_RHYTHM = 3
_CELLS = 1 << 18  # of the matrix in which gaps are sorted; 1 MB


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
    """Collects the history of sorted rows, block by block. Holds 4 bytes for every gap between order days."""

    _number: list[Int64] = field(default_factory=list)
    _orders_total: list[Int32] = field(default_factory=list)
    _order_days: list[Int32] = field(default_factory=list)
    _first_day: list[Int32] = field(default_factory=list)
    _gaps: list[Int32] = field(default_factory=list)

    def add(self, rows: Rows, runs: Runs) -> None:
        """Take in one block."""
        self._number.append(runs.number)
        self._orders_total.append((runs.ends - runs.starts + 1).astype(np.int32))
        self._first_day.append(rows.day[runs.starts])
        gaps = rows.day[1:] - rows.day[:-1]
        real = (gaps != 0) & ~runs.opens[1:]
        self._gaps.append(gaps[real])
        self._order_days.append(1 + _count_inside(real, runs))

    def history(self, unknown_amounts: Int32) -> History:
        """The whole of it; `unknown_amounts` was counted elsewhere."""
        order_days = joined(self._order_days, np.int32)
        gaps = joined(self._gaps, np.int32)
        self._gaps.clear()
        return History(
            orders_total=joined(self._orders_total, np.int32),
            order_days=order_days,
            first_day=joined(self._first_day, np.int32),
            median_gap=_medians(gaps, order_days - 1),
            unknown_amounts=unknown_amounts,
        )


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
