"""Replay: score as of past days without looking ahead, and see what those customers did in the time that followed.

Thresholds are fitted on what was known on each day, or are those of a version given, frozen. What came later decides
nothing; it is only counted. A method with rules of stability is replayed without them: nobody has a score before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scoring.errors import BadFrame, NothingToFit
from scoring.features import Summary, summarise
from scoring.frames import MIN_PLACES, Bool, Customers, Int32, Int64, Orders
from scoring.methods import AXES, Method, MethodVersion, apply, fit
from scoring.monitoring import psi
from scoring.scales import Thresholds

_Z95 = 1.959963984540054
FlagName = Literal["churn_risk", "churn_risk_repeat", "upsell"]


@dataclass(frozen=True, slots=True)
class Contender:
    """What is replayed: a method, fitted anew on each day, or with `thresholds` that stay as they are."""

    label: str
    method: Method
    thresholds: Thresholds | None = None

    @classmethod
    def frozen(cls, version: MethodVersion) -> Contender:
        """A published version, thresholds and all."""
        return cls(version.label, version.method, version.thresholds)


@dataclass(frozen=True, slots=True)
class Share:
    """Some out of many, with the Wilson interval that holds the true share in 95 of 100 cases."""

    part: int
    whole: int

    @property
    def value(self) -> float | None:
        """None where there is nothing to take a share of."""
        return self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float]:
        """Never outside 0 to 1; all of it where nothing is known."""
        if not self.whole:
            return 0.0, 1.0
        z2 = _Z95 * _Z95 / self.whole
        p = self.part / self.whole
        middle, reach = p + z2 / 2, _Z95 * sqrt(p * (1 - p) / self.whole + z2 / (4 * self.whole))
        return max(0.0, (middle - reach) / (1 + z2)), min(1.0, (middle + reach) / (1 + z2))

    def __add__(self, other: Share) -> Share:
        """Both together."""
        return Share(self.part + other.part, self.whole + other.whole)


@dataclass(frozen=True, slots=True)
class Group:
    """Customers of one segment or score and what they did in the horizon.

    `revenue` in hundredths, refunds taken off, so that it may be below 0.
    """

    name: str
    customers: int
    buyers: int
    orders: int
    revenue: int

    @property
    def bought(self) -> Share:
        """Who ordered at least once; the rest is the churn of the horizon."""
        return Share(self.buyers, self.customers)

    @property
    def churned(self) -> Share:
        """Who did not order."""
        return Share(self.customers - self.buyers, self.customers)

    def __add__(self, other: Group) -> Group:
        """Both together, under the first name."""
        return Group(
            self.name,
            self.customers + other.customers,
            self.buyers + other.buyers,
            self.orders + other.orders,
            self.revenue + other.revenue,
        )


@dataclass(frozen=True, slots=True)
class Flag:
    """How well a flag foretold. `hits` are marked customers of whom it came true, `true` all of whom it did.

    churn_risk comes true when no order follows in the horizon. Those who bought once and fell asleep are the least
    likely to come back and are not what the flag is for, so that churn_risk_repeat looks at customers with two order
    days or more only. upsell comes true when the customer orders at a larger mean amount than in the window before.
    """

    name: FlagName
    marked: int
    hits: int
    true: int
    customers: int

    @property
    def precision(self) -> Share:
        """Of those marked."""
        return Share(self.hits, self.marked)

    @property
    def recall(self) -> Share:
        """Of those of whom it came true."""
        return Share(self.hits, self.true)

    @property
    def base(self) -> Share:
        """Of everybody: what marking by lot would reach."""
        return Share(self.true, self.customers)

    @property
    def lift(self) -> float | None:
        """Precision over base; 1 is no better than chance."""
        precision, base = self.precision.value, self.base.value
        return precision / base if precision is not None and base else None

    def __add__(self, other: Flag) -> Flag:
        """Both together."""
        return Flag(
            self.name,
            self.marked + other.marked,
            self.hits + other.hits,
            self.true + other.true,
            self.customers + other.customers,
        )


@dataclass(frozen=True, slots=True)
class Violation:
    """A worse group that bought more often than a better one beside it. `certain`: their intervals do not overlap."""

    scale: str
    better: str
    worse: str
    certain: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """Segments (best rank first), scores by axis (best first) and flags, with what followed."""

    segments: tuple[Group, ...]
    scores: Mapping[str, tuple[Group, ...]]
    flags: tuple[Flag, ...]
    ranks: tuple[int, ...]

    @property
    def customers(self) -> int:
        """Scored."""
        return sum(group.customers for group in self.segments)

    @property
    def everybody(self) -> Group:
        """All segments as one group."""
        first, *rest = self.segments
        return sum(rest, Group("", first.customers, first.buyers, first.orders, first.revenue))

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Where a worse segment or score bought more often than the next better one; empty groups say nothing."""
        return (
            *_violations("segment", self.segments, self.ranks),
            *(found for axis, groups in self.scores.items() for found in _violations(axis, groups)),
        )

    @property
    def auc(self) -> float | None:
        """How likely a customer who bought stood in a better segment than one who did not; 0.5 is chance.

        Segments of one rank are even. None where all bought or nobody did.
        """
        worse_not, pairs = 0, 0.0
        for rank in sorted(set(self.ranks), reverse=True):
            here = [group for group, of in zip(self.segments, self.ranks, strict=True) if of == rank]
            buyers = sum(group.buyers for group in here)
            others = sum(group.customers - group.buyers for group in here)
            pairs += buyers * (worse_not + others / 2)
            worse_not += others
        bought = sum(group.buyers for group in self.segments)
        return pairs / (bought * worse_not) if bought and worse_not else None

    @property
    def auc_interval(self) -> tuple[float, float] | None:
        """Where the true `auc` lies in 95 of 100 cases, by Hanley and McNeil (1982); within 0 to 1."""
        area = self.auc
        if area is None:
            return None
        bought = sum(group.buyers for group in self.segments)
        others = self.customers - bought
        one, two = area / (2 - area), 2 * area * area / (1 + area)
        spread = area * (1 - area) + (bought - 1) * (one - area * area) + (others - 1) * (two - area * area)
        reach = _Z95 * sqrt(max(0.0, spread) / (bought * others))
        return max(0.0, area - reach), min(1.0, area + reach)

    def __add__(self, other: Outcome) -> Outcome:
        """Both together, group by group."""
        return Outcome(
            tuple(one + two for one, two in zip(self.segments, other.segments, strict=True)),
            {
                axis: tuple(one + two for one, two in zip(groups, other.scores[axis], strict=True))
                for axis, groups in self.scores.items()
            },
            tuple(one + two for one, two in zip(self.flags, other.flags, strict=True)),
            self.ranks,
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One day: the thresholds of that day, and what followed."""

    as_of: int
    thresholds: Thresholds
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Replay:
    """One contender over all days on which somebody could be scored.

    `stability` has the PSI of segment shares between each day and the next. `together` adds the days up: a customer
    scored on three days counts three times, so its intervals are narrower than they should be.
    """

    contender: Contender
    snapshots: tuple[Snapshot, ...]

    @property
    def together(self) -> Outcome | None:
        """All days as one, None without any."""
        if not self.snapshots:
            return None
        found = self.snapshots[0].outcome
        for snapshot in self.snapshots[1:]:
            found = found + snapshot.outcome
        return found

    @property
    def stability(self) -> tuple[float, ...]:
        """PSI from each day to the next; one less than there are days."""
        sizes = [[group.customers for group in snapshot.outcome.segments] for snapshot in self.snapshots]
        return tuple(psi(before, after) for before, after in pairwise(sizes))


def backtest(
    orders: Orders, contenders: Sequence[Contender], *, dates: Sequence[int], horizon: int
) -> tuple[Replay, ...]:
    """Replay each contender as of each day (days since 1970-01-01, ascending), `horizon` days ahead.

    Rows sorted by customer and day are fastest. Raises `BadFrame` for days that do not ascend, a horizon below a day,
    or a day whose horizon is not over by the last order: what has not happened yet would look like churn.
    """
    _check(orders, dates, horizon)
    found: list[list[Snapshot]] = [[] for _ in contenders]
    for as_of in dates:
        ahead = _Ahead(orders, as_of, horizon)
        counted: dict[object, Summary] = {}
        for place, contender in enumerate(contenders):
            key = (contender.method.window, contender.method.filters)
            if key not in counted:
                counted[key] = _known(orders, contender.method, as_of)
            found[place] += _snapshot(contender, counted[key], ahead)
    return tuple(Replay(contender, tuple(days)) for contender, days in zip(contenders, found, strict=True))


def _check(orders: Orders, dates: Sequence[int], horizon: int) -> None:
    if horizon < 1:
        raise BadFrame("the horizon must be a day or more", column="horizon")
    if list(dates) != sorted(set(dates)):
        raise BadFrame("days must ascend and differ", column="dates")
    last = int(orders.day.max(initial=-1))
    late = [day for day in dates if day + horizon > last]
    if late:
        raise BadFrame(
            f"the last order is of day {last}, so {horizon} days after day {late[0]} are not over", column="dates"
        )


def _known(orders: Orders, method: Method, as_of: int) -> Summary:
    """What was known on that day. The sieve drops what came later before anything is counted."""
    return summarise(method.filters.sift(orders), as_of=as_of, window=method.window)


def _snapshot(contender: Contender, summary: Summary, ahead: _Ahead) -> Iterator[Snapshot]:
    """Nothing, where nobody could be scored on that day."""
    try:
        thresholds = contender.thresholds or fit(contender.method, summary).thresholds
    except NothingToFit:
        return
    if len(summary):
        version = MethodVersion(contender.method.name, 1, contender.method, thresholds)
        outcome = _outcome(contender.method, apply(version, summary), _repeat(summary), ahead)
        yield Snapshot(summary.as_of, thresholds, outcome)


def _repeat(summary: Summary) -> Bool:
    if summary.history is None:
        raise BadFrame("repeat buyers are told by the history", column="history")
    return summary.history.order_days >= 2


class _Ahead:
    """What followed: orders and money of each customer in the horizon, all orders, whatever a method filters."""

    def __init__(self, orders: Orders, as_of: int, horizon: int) -> None:
        later = np.flatnonzero((orders.day > as_of) & (orders.day <= as_of + horizon))
        part = Orders(
            orders.customer[later],
            orders.day[later],
            orders.amount[later],
            None if orders.counts is None else orders.counts[later],
            None if orders.known is None else orders.known[later],
            orders.places,
        )
        self._found = summarise(part, as_of=as_of + horizon, window=horizon, history=False)
        self._returned = _returned(part)

    def of(self, numbers: Int64) -> tuple[Int32, Int64]:
        """Orders and money (hundredths) of these customers, ascending by number; 0 where there was no order."""
        found = self._found
        frequency, money = np.zeros(len(numbers), np.int32), np.zeros(len(numbers), np.int64)
        if len(found) and len(numbers):
            at = np.minimum(np.searchsorted(numbers, found.number), len(numbers) - 1)
            known = numbers[at] == found.number
            frequency[at[known]], money[at[known]] = found.frequency[known], found.monetary[known]
        returned, refunds = self._returned
        at = np.searchsorted(returned, numbers)
        known = at < len(returned)
        known[known] = returned[at[known]] == numbers[known]
        only = known & (frequency == 0)  # refunds of those who order are in their sums already
        money[only] = refunds[at[only]]
        return frequency, money


def _returned(orders: Orders) -> tuple[Int64, Int64]:
    """Customers with refunds, ascending, and the sum of these in hundredths, halves away from zero."""
    if orders.counts is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows = ~orders.counts if orders.known is None else ~orders.counts & orders.known
    numbers, place = np.unique(orders.customer[rows], return_inverse=True)
    units = np.zeros(len(numbers), np.int64)
    np.add.at(units, place, -orders.amount[rows])
    scale = int(10 ** (orders.places - MIN_PLACES))
    return numbers, -((units + scale // 2) // scale)


def _outcome(method: Method, customers: Customers, repeat: Bool, ahead: _Ahead) -> Outcome:
    count, money = ahead.of(customers.number)
    churn, silent = customers.churn_risk, count == 0
    best_first = sorted(range(len(method.segments)), key=lambda at: (method.segments[at].rank, at))
    by_segment = _groups(customers.segment, customers.segments, count, money)
    scores: dict[str, tuple[Group, ...]] = {
        axis: tuple(reversed(_groups(column - 1, [str(score + 1) for score in range(method.bins)], count, money)))
        for axis, column in zip(AXES, (customers.r_score, customers.f_score, customers.m_score), strict=True)
    }
    return Outcome(
        tuple(by_segment[at] for at in best_first),
        scores,
        (
            _flag("churn_risk", churn, silent),
            _flag("churn_risk_repeat", churn[repeat], silent[repeat]),
            _flag("upsell", customers.upsell, _spends_more(customers, count, money)),
        ),
        tuple(method.segments[at].rank for at in best_first),
    )


def _groups(place: NDArray[np.int8], names: Sequence[str], count: Int32, money: Int64) -> list[Group]:
    found = []
    for at, name in enumerate(names):
        mine = np.flatnonzero(place == at)
        orders = count[mine]
        found.append(
            Group(name, len(mine), int((orders > 0).sum()), int(orders.sum(dtype=np.int64)), int(money[mine].sum()))
        )
    return found


def _spends_more(customers: Customers, count: Int32, money: Int64) -> Bool:
    """Ordered, and at a larger mean amount than in the window; without an order there, at any."""
    before, after = customers.frequency.astype(np.float64), count.astype(np.float64)
    more: Bool = (count > 0) & (money * before > customers.monetary * after)
    return more


def _flag(name: FlagName, marked: Bool, true: Bool) -> Flag:
    return Flag(name, int(marked.sum()), int((marked & true).sum()), int(true.sum()), len(marked))


def _violations(scale: str, groups: Sequence[Group], ranks: Sequence[int] | None = None) -> Iterator[Violation]:
    """Between neighbours of different rank; groups of one rank are not compared with each other."""
    filled = [(group, at if ranks is None else ranks[at]) for at, group in enumerate(groups) if group.customers]
    for (better, rank), (worse, lower) in pairwise(filled):
        if rank < lower and better.buyers * worse.customers < worse.buyers * better.customers:
            certain = better.bought.interval[1] < worse.bought.interval[0]
            yield Violation(scale, better.name, worse.name, certain)
