"""Signals out of a customer's own history: rhythm, falling frequency, falling amounts, a second order that is late.

Pure arithmetic over each customer's different order days, many customers at once; what a signal leads to is not
known here. Where each formula comes from:

* Rhythm: silence divided by the customer's own average interval, the position in his cycle as customer-data
  platforms show it ("average 6 months, 8 months silent = late"); the idea of a tripwire per customer on latency is
  Jim Novo's (Drilling Down, 2004). The borders are ours: 8/6 has to be late, and one ordinary gap must not.
* Falling frequency: orders of two neighbouring windows compared by the exact conditional test of two Poisson rates
  (Przyborowski and Wilenski, Biometrika 31, 1940): given their sum, the later count is binomial.
* Falling amounts: median of the last few orders against the median of those before; medians, because one large
  order must neither raise nor hide an alarm.
* Late second order: silence after the only order beyond a quantile of the gaps that the base itself shows between
  first and second orders. Those who have not ordered twice yet are not in it, so the border is a little early.
* Season: time is counted in days of average demand, a day weighing what its month usually brings and a day on which
  customers' firms are closed nothing; so silence hardly grows in a dead month. The classical ratio to the average,
  without a trend.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from scoring.errors import BadFrame
from scoring.frames import Bool, Float64, Int8, Int32, Int64, Orders

DAYS_FOR_A_RHYTHM = 3
_MONTHS = 12
_YEARS_FOR_A_SEASON = 2


@dataclass(frozen=True, slots=True, eq=False)
class OrderDays:
    """Different days with orders, up to an as-of day: customer i has the rows from `first[i]` up to `first[i + 1]`.

    `number` ascends and everybody in it has a day; days ascend within a customer, as days since 1970-01-01.
    `amount` is the sum of the day in units of the currency, NaN where an amount of it is not known. Refunds are no
    orders and are left out.
    """

    as_of: int
    number: Int64
    first: Int64
    day: Int32
    amount: Float64

    @property
    def days(self) -> Int64:
        """How many different days each customer has."""
        counted: Int64 = np.diff(self.first)
        return counted

    @property
    def first_day(self) -> Int32:
        """The day of each customer's first order."""
        return self.day[self.first[:-1]]

    @property
    def last_day(self) -> Int32:
        """The day of each customer's last order."""
        return self.day[self.first[1:] - 1]


def order_days(orders: Orders, *, as_of: int) -> OrderDays:
    """The order days up to `as_of`; rows may come in any order."""
    kept = orders.day <= as_of
    if orders.counts is not None:
        kept &= orders.counts
    customer, day = orders.customer[kept], orders.day[kept]
    amount = orders.amount[kept] / 10.0**orders.places
    if orders.known is not None:
        amount = np.where(orders.known[kept], amount, np.nan)
    by = np.lexsort((day, customer))
    customer, day, amount = customer[by], day[by], amount[by]
    opens_day = np.ones(len(day), dtype=np.bool_)
    opens_day[1:] = (customer[1:] != customer[:-1]) | (day[1:] != day[:-1])
    starts = np.flatnonzero(opens_day)
    owner = customer[starts]
    opens = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]]) if len(owner) else np.zeros(0, dtype=np.int64)
    return OrderDays(
        as_of=as_of,
        number=owner[opens],
        first=np.r_[opens, len(owner)].astype(np.int64),
        day=day[starts],
        amount=np.add.reduceat(amount, starts) if len(starts) else amount,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Season:
    """Demand time: `elapsed[i]` is the demand from `start` up to the morning of day `start + i`; a usual day is 1."""

    start: int
    elapsed: Float64

    def between(self, earlier: Int32, later: Int32) -> Float64:
        """Demand days from the evening of one day to the evening of another. Raises `BadFrame` outside the season."""
        low, high = int(earlier.min(initial=self.start)), int(later.max(initial=self.start))
        if low < self.start or high > self._end:
            raise BadFrame(f"the season does not cover days {low} to {high}", column="day")
        passed: Float64 = self.elapsed[later + 1 - self.start] - self.elapsed[earlier + 1 - self.start]
        return passed

    def total(self, earlier: int, later: int) -> float:
        """The same for one pair of days."""
        return float(self.between(np.array([earlier], dtype=np.int32), np.array([later], dtype=np.int32))[0])

    @property
    def _end(self) -> int:
        return self.start + len(self.elapsed) - 2

    def weight_on(self, day: int) -> float:
        """What a day brings against a usual one."""
        return float(self.elapsed[day + 1 - self.start] - self.elapsed[day - self.start])

    def is_off(self, day: int, *, below: float = 0.5) -> bool:
        """Whether it is off-season: silence says little then, and flags of churn should wait."""
        return self.weight_on(day) < below


def season(start: int, end: int, months: Float64 | None = None, closed: Iterable[int] = ()) -> Season:
    """Demand time over the days from `start` to `end`, both included.

    `months` are twelve weights, January first, as `month_weights` finds them; without them every day is usual.
    `closed` are days on which the customers' firms do not work; the other days are not raised for it.
    """
    days = np.arange(start, end + 1)
    weight = np.ones(len(days)) if months is None else months[_month_of(days)]
    weight[np.isin(days, np.fromiter(closed, dtype=np.int64))] = 0.0
    return Season(start, np.r_[0.0, np.cumsum(weight)])


def month_weights(orders: OrderDays) -> Float64 | None:
    """What each month brings against an average one, from the whole years before the as-of day.

    None with fewer than two whole years: one year cannot tell a season from a good month.
    """
    if not len(orders.day):
        return None
    years = (orders.as_of - int(orders.day.min()) + 1) // 365
    if years < _YEARS_FOR_A_SEASON:
        return None
    begin = _years_before(orders.as_of, years)
    days = np.arange(begin + 1, orders.as_of + 1)
    seen = orders.day[orders.day > begin]
    per_day = np.bincount(_month_of(seen), minlength=_MONTHS) / np.bincount(_month_of(days), minlength=_MONTHS)
    weights: Float64 = per_day / (len(seen) / len(days))
    return weights


def _years_before(day: int, years: int) -> int:
    moment = np.datetime64(day, "D")
    month = moment.astype("datetime64[M]")
    return int(((month - 12 * years).astype("datetime64[D]") + (moment - month.astype("datetime64[D]"))).astype(int))


def _month_of(days: NDArray[np.integer]) -> Int64:
    months: Int64 = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % _MONTHS
    return months


class Position(IntEnum):
    """Where a customer stands in his own cycle. Unknown below three different days."""

    UNKNOWN = 0
    RECENT = 1
    SOON = 2
    LATE = 3
    VERY_LATE = 4
    INACTIVE = 5


POSITION_BORDERS = (0.75, 1.25, 2.0, 4.0)
"""Silence over the average interval: recent up to the first, inactive beyond the last."""

LAST_CALL_AT = 3.0
"""In the middle of very late: after the first reminders, before the customer counts as gone."""


@dataclass(frozen=True, slots=True, eq=False)
class Rhythm:
    """Per customer: the average interval (NaN when unknown), the silence, both in days or demand days, their ratio."""

    interval: Float64
    silence: Float64
    ratio: Float64
    position: Int8

    @property
    def last_call(self) -> Bool:
        """Whose last call has come and who is not given up yet."""
        due: Bool = (self.ratio >= LAST_CALL_AT) & (self.position < Position.INACTIVE)
        return due


def rhythm(orders: OrderDays, when: Season | None = None) -> Rhythm:
    """Each customer's position in his own cycle; with a season, in demand time."""
    days, first, last = orders.days, orders.first_day, orders.last_day
    as_of = np.full(len(last), orders.as_of, dtype=np.int32)
    if when is None:
        span, silence = (last - first).astype(np.float64), (as_of - last).astype(np.float64)
    else:
        span, silence = when.between(first, last), when.between(last, as_of)
    known = (days >= DAYS_FOR_A_RHYTHM) & (span > 0)
    interval = np.divide(span, days - 1, out=np.full(len(span), np.nan), where=known)
    ratio = silence / interval
    position = np.where(known, 1 + np.searchsorted(POSITION_BORDERS, ratio, side="left"), 0).astype(np.int8)
    return Rhythm(interval, silence, ratio, position)


@dataclass(frozen=True, slots=True, eq=False)
class Fall:
    """Per customer: the figure before, the figure now, and whether it fell. `chance`: how likely by accident."""

    before: Float64
    now: Float64
    fell: Bool
    chance: Float64


def frequency_fell(
    orders: OrderDays,
    *,
    window: int = 90,
    least_before: int = 3,
    most_left: float = 0.5,
    most_chance: float = 0.1,
    when: Season | None = None,
) -> Fall:
    """Order days in the last `window` days against the window before it.

    Fallen: at least `least_before` days before, at most `most_left` of the rate left, and by accident no more
    likely than `most_chance`. With a season, rates are per demand day, so a dead month is no fall.
    """
    middle, begin = orders.as_of - window, orders.as_of - 2 * window
    now = _count(orders, orders.day > middle)
    before = _count(orders, (orders.day > begin) & (orders.day <= middle))
    late, early = float(window), float(window)
    if when is not None:
        late, early = when.total(middle, orders.as_of), when.total(begin, middle)
    share = late / (late + early) if late + early else 0.5
    pairs, inverse = np.unique(np.stack([now, now + before]), axis=1, return_inverse=True)
    table = np.array([_binomial_tail(int(few), int(all_), share) for few, all_ in pairs.T])
    chance = table[inverse.reshape(-1)] if len(table) else np.zeros(0)
    is_less = now * early <= most_left * before * late
    return Fall(before, now, (before >= least_before) & is_less & (chance <= most_chance), chance)


def _count(orders: OrderDays, chosen: Bool) -> Float64:
    running = np.r_[0, np.cumsum(chosen)]
    counted: Float64 = (running[orders.first[1:]] - running[orders.first[:-1]]).astype(np.float64)
    return counted


@lru_cache(maxsize=4096)
def _binomial_tail(most: int, count: int, share: float) -> float:
    """The chance of at most `most` of `count` falling into a part with this share."""
    return min(1.0, math.fsum(math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(most + 1)))


def amount_fell(
    orders: OrderDays, *, recent: int = 3, least_before: int = 3, most_before: int = 12, most_left: float = 0.6
) -> Fall:
    """The median of the last `recent` order days against the median of up to `most_before` days before them.

    Fallen: at most `most_left` is left, and each of the recent days is below the median before. Days whose amount
    is not known do not take part; `chance` is that of so many days below a median by accident, 2 ** -recent.
    """
    days = orders.days
    now, before = np.full(len(days), np.nan), np.full(len(days), np.nan)
    fell = np.zeros(len(days), dtype=np.bool_)
    some = np.flatnonzero(days >= recent + least_before)
    if len(some):
        width = recent + most_before
        at = orders.first[some + 1, None] - width + np.arange(width)
        is_own = at >= orders.first[some, None]
        table = np.where(is_own, orders.amount[np.maximum(at, 0)], np.nan)
        enough = (np.isfinite(table[:, -recent:]).all(axis=1)) & (
            np.isfinite(table[:, :-recent]).sum(axis=1) >= least_before
        )
        some, table = some[enough], table[enough]
        if len(some):
            now[some] = np.median(table[:, -recent:], axis=1)
            before[some] = np.nanmedian(table[:, :-recent], axis=1)
            all_below = (table[:, -recent:] < before[some, None]).all(axis=1)
            fell[some] = all_below & (now[some] <= most_left * before[some])
    return Fall(before, now, fell, np.full(len(days), 0.5**recent))


@dataclass(frozen=True, slots=True, eq=False)
class SecondOrder:
    """`border`: days within which the given share of second orders came, None when too few did; `late`: who is late."""

    border: int | None
    late: Bool


def second_order_late(
    orders: OrderDays, *, share: float = 0.75, least_seen: int = 50, border: int | None = None
) -> SecondOrder:
    """Who has ordered on one day only and is silent for longer than most others were before their second order.

    The border is the smallest gap that at least `share` of the second orders kept to, or the one given (frozen).
    """
    days = orders.days
    if border is None:
        twice = orders.first[:-1][days >= 2]
        gaps = np.sort(orders.day[twice + 1] - orders.day[twice])
        if len(gaps) < least_seen:
            return SecondOrder(None, np.zeros(len(days), dtype=np.bool_))
        border = int(gaps[math.ceil(share * len(gaps)) - 1])
    return SecondOrder(border, (days == 1) & (orders.as_of - orders.last_day > border))


def large_from(values: Float64, *, share: float = 0.2) -> float:
    """The border above which the largest `share` of the values lie; values equal to it are not large.

    The smallest observed value such that at least 1 - share of all are no larger; 0 for no values.
    """
    if not len(values):
        return 0.0
    return float(np.sort(values)[max(math.ceil((1 - share) * len(values) - 1e-9), 1) - 1])
