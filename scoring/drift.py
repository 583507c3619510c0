"""What time alone does: when a customer's segment changes if no order comes, to the day, and into which.

Days pass, so R grows; orders leave the window one day after another, so F falls and M changes with them (a refund
that leaves raises it). Everything is exact: the sums are those of scoring, borders are whole numbers. A method with
rules of stability may hold a change back longer; it never comes earlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.errors import BadFrame, BadMethod
from scoring.explain import NOWHERE, Ladder
from scoring.features import Summary
from scoring.frames import MIN_PLACES, Bool, Customers, Int8, Int32, Int64, Orders
from scoring.methods import MethodVersion
from scoring.runs import blocks

NEVER = 0
_LATER_THAN_ALL = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """Per customer, in the customers' order: in how many days the segment changes without an order, and into what.

    `in_days` is 1 or more, `NEVER` (0) where it stays as it is forever; `segment` is then `NOWHERE`. `leaving` is
    True where on that day an order leaves the window, so that it is not the silence alone. `overdue_in` says in how
    many days R first exceeds the customer's own rhythm, as the churn rule says; 0 where there is none, or it is now.
    """

    in_days: Int32
    segment: Int8
    leaving: Bool
    overdue_in: Int32


def foresee(version: MethodVersion, summary: Summary, customers: Customers, orders: Orders) -> Drift:
    """The drift of all customers of a summary; `orders` are those it was made of, in any order."""
    if not _is_sorted(orders):
        at = np.lexsort((orders.day, orders.customer))
        orders = Orders(
            orders.customer[at],
            orders.day[at],
            orders.amount[at],
            None if orders.counts is None else orders.counts[at],
            None if orders.known is None else orders.known[at],
            orders.places,
        )
    return foresee_chunks(version, summary, customers, [orders])


def foresee_chunks(version: MethodVersion, summary: Summary, customers: Customers, chunks: Iterable[Orders]) -> Drift:
    """The same from chunks sorted by customer and day that split no customer. Raises `BadMethod`, `BadFrame`."""
    if summary.window != version.method.window:
        raise BadMethod(f"counted over {summary.window} days, but {version.label} says {version.method.window}")
    walk = _Walk(version, summary, customers)
    for chunk in chunks:
        for start, stop in blocks(chunk.customer):
            walk.take(chunk.rows(start, stop))
    return walk.drift(_overdue_in(version, summary))


@dataclass(frozen=True, slots=True, eq=False)
class _Leaving:
    """Rows of the window, and what is left when each has gone: positions of F and M among the borders."""

    customer: NDArray[np.intp]
    day: Int64
    f: NDArray[np.intp]
    m: NDArray[np.intp]


class _Walk:
    """Goes through the orders that will leave the window, oldest first for each customer."""

    def __init__(self, version: MethodVersion, summary: Summary, customers: Customers) -> None:
        self._ladder = Ladder(version)
        self._summary = summary
        self._segment = customers.segment
        self._recency = summary.recency.astype(np.int64)
        self._r, self._f, self._m = (np.array(self._ladder.borders(axis), np.int64) for axis in ("r", "f", "m"))
        self._next = _next_worse(self._ladder)
        count = len(summary)
        self._first_leaving = np.full(count, _LATER_THAN_ALL, np.int64)
        self._at = np.zeros(count, np.int64)
        self._into = np.full(count, NOWHERE, np.int8)
        self._by_leaving = np.zeros(count, np.bool_)

    def take(self, orders: Orders) -> None:
        """One block of whole customers, sorted."""
        rows = self._rows(orders)
        if rows is None:
            return
        opens = np.flatnonzero(np.diff(rows.customer, prepend=-1))
        self._first_leaving[rows.customer[opens]] = rows.day[opens]
        following = np.full(len(rows.day), _LATER_THAN_ALL, np.int64)
        following[:-1] = np.where(rows.customer[1:] == rows.customer[:-1], rows.day[1:], _LATER_THAN_ALL)
        day, into = self._change(rows.customer, rows.day, rows.f, rows.m)
        holds = np.flatnonzero((into != NOWHERE) & (day < following))
        who = rows.customer[holds]
        first = holds[np.flatnonzero(np.diff(who, prepend=-1))]
        who = rows.customer[first]
        self._at[who], self._into[who] = day[first], into[first]
        self._by_leaving[who] = day[first] == rows.day[first]

    def drift(self, overdue_in: Int32) -> Drift:
        """With what silence alone changes before the first order leaves."""
        summary = self._summary
        everyone = np.arange(len(summary))
        f = np.searchsorted(self._f, summary.frequency)
        m = np.searchsorted(self._m, summary.monetary)
        day, into = self._change(everyone, np.zeros(len(summary), np.int64), f, m)
        earlier = (into != NOWHERE) & (day < self._first_leaving)
        return Drift(
            np.where(earlier, day, self._at).astype(np.int32),
            np.where(earlier, into, self._into),
            self._by_leaving & ~earlier,
            overdue_in,
        )

    def _change(
        self, who: NDArray[np.intp], since: Int64, f: NDArray[np.intp], m: NDArray[np.intp]
    ) -> tuple[Int64, Int8]:
        """The first day from `since` on when the segment is another one, as long as F and M stay at these positions."""
        bins = self._ladder.bins
        r = np.searchsorted(self._r, self._recency[who] + since)
        beyond = self._next[self._segment[who], f, m, r]
        ends = np.array([0, *(self._r + 1), 0], np.int64)
        day = np.where(beyond == r, since, ends[beyond] - self._recency[who])
        cube = np.concatenate([self._ladder.cube[::-1], np.full((1, bins, bins), NOWHERE, np.int8)])
        return day, cube[beyond, f, m]

    def _rows(self, orders: Orders) -> _Leaving | None:
        window, as_of = self._summary.window, self._summary.as_of
        inside = np.flatnonzero((orders.day <= as_of) & (orders.day > as_of - window))
        if not len(inside):
            return None
        numbers = orders.customer[inside]
        opens = np.flatnonzero(np.diff(numbers, prepend=-1))
        scored = self._summary.number
        if not len(scored):
            return None
        at = np.minimum(np.searchsorted(scored, numbers[opens]), len(scored) - 1)
        known = scored[at] == numbers[opens]
        sizes = np.diff(opens, append=len(numbers))
        kept = np.repeat(known, sizes)
        if not known.all():
            inside, at, sizes = inside[kept], at[known], sizes[known]
        if not len(inside):
            return None
        day = orders.day[inside].astype(np.int64)
        if bool(((np.diff(day) < 0) & (np.diff(np.repeat(at, sizes)) == 0)).any()):
            raise BadFrame("chunks must be sorted by customer and day", column="day")
        ends = np.repeat(np.cumsum(sizes) - 1, sizes)
        counts = np.ones(len(inside), np.int64) if orders.counts is None else orders.counts[inside].astype(np.int64)
        return _Leaving(
            np.repeat(at, sizes),
            day + (window - as_of),
            np.searchsorted(self._f, _left(counts, ends)),
            np.searchsorted(self._m, _money_left(orders, inside, ends)),
        )


def _left(values: Int64, ends: NDArray[np.intp]) -> Int64:
    """The sum of what comes after each row within its customer."""
    running = np.cumsum(values)
    left: Int64 = running[ends] - running
    return left


def _money_left(orders: Orders, inside: NDArray[np.intp], ends: NDArray[np.intp]) -> Int64:
    """The same for amounts, in hundredths, rounded like M: halves away from zero. No sum passes 64 bits that M fits."""
    amount = orders.amount[inside]
    if orders.known is not None:
        amount = np.where(orders.known[inside], amount, 0)
    scale = int(10 ** (orders.places - MIN_PLACES))
    if scale == 1:
        return _left(amount, ends)
    whole = amount // scale
    rest = _left(amount - whole * scale, ends)
    left = _left(whole, ends) + rest // scale
    rest %= scale
    left += np.where(left >= 0, 2 * rest >= scale, 2 * rest > scale)
    return left


def _next_worse(ladder: Ladder) -> NDArray[np.intp]:
    """By segment, F and M position and R borders exceeded: how many are exceeded when the segment is another one.

    The same number where it is another one already, one more than there are borders where that never happens.
    """
    bins, never = ladder.bins, ladder.bins
    by_r = ladder.cube[::-1]  # position: how many borders R exceeds
    reached = ladder.reached("r")[::-1]
    segments = len(ladder.version.method.segments)
    found = np.full((segments, bins, bins, bins), never, np.intp)
    for segment in range(segments):
        other = by_r != segment
        for r in range(bins):
            for later in range(bins - 1, r, -1):
                if reached[later]:
                    found[segment, :, :, r][other[later]] = later
            found[segment, :, :, r][other[r]] = r
    return found


def _overdue_in(version: MethodVersion, summary: Summary) -> Int32:
    """R must exceed some times the median gap; the first whole number that does is one more than its floor."""
    rule, history = version.method.churn, summary.history
    if history is None or not rule.rhythm:
        return np.zeros(len(summary), np.int32)
    rhythm = ~np.isnan(history.median_gap) & (history.order_days >= rule.days)
    limit = np.floor(np.where(rhythm, rule.times * history.median_gap, -1.0)).astype(np.int64) + 1
    found: Int32 = np.maximum(0, limit - summary.recency).astype(np.int32)
    return found


def _is_sorted(orders: Orders) -> bool:
    same = orders.customer[1:] == orders.customer[:-1]
    rises = orders.customer[1:] > orders.customer[:-1]
    return bool((rises | (same & (orders.day[1:] >= orders.day[:-1]))).all())


@dataclass(frozen=True, slots=True)
class Stop:
    """What a customer looks like from a day on, if no order comes. `m` in hundredths."""

    in_days: int
    r: int
    f: int
    m: int
    code: str
    segment: str


def path(version: MethodVersion, summary: Summary, orders: Orders, position: int) -> Iterator[Stop]:
    """Every change of one customer's code from now until nothing can change any more, the present first."""
    ladder, method = Ladder(version), version.method
    number, recency = int(summary.number[position]), int(summary.recency[position])
    mine = (orders.customer == number) & (orders.day <= summary.as_of) & (orders.day > summary.as_of - summary.window)
    days = orders.day[mine].astype(np.int64)
    counts = np.ones(len(days), np.int64) if orders.counts is None else orders.counts[mine].astype(np.int64)
    amounts = orders.amount[mine] if orders.known is None else np.where(orders.known[mine], orders.amount[mine], 0)
    leave = days + (summary.window - summary.as_of)
    silence = {border + 1 - recency for border in ladder.borders("r") if border >= recency}
    before = ""
    for day in sorted({0, *silence, *leave.tolist()}):
        stays = leave > day
        f, m = int(counts[stays].sum()), _hundredths(amounts[stays].tolist(), orders.places)
        scores = [ladder.score(axis, value) - 1 for axis, value in (("r", recency + day), ("f", f), ("m", m))]
        cell = (scores[0] * ladder.bins + scores[1]) * ladder.bins + scores[2]
        code = method.grid.codes[cell]
        if code != before:
            yield Stop(day, recency + day, f, m, code, method.segments[method.table[cell]].value)
        before = code


def _hundredths(amounts: list[int], places: int) -> int:
    total, scale = sum(amounts), int(10 ** (places - MIN_PLACES))
    return (abs(total) + scale // 2) // scale * (1 if total > 0 else -1)
