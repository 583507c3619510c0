"""Why a customer has this segment, and what would change it: distances to borders, single changes, an order today.

For all customers at once, arrays in and arrays out. What time alone changes is in `drift`. Whole numbers only, as in
the borders: days, orders, hundredths of the base currency. 0 stands for "there is none".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scoring.frames import Bool, Customers, Int8, Int64
from scoring.methods import AXES, MethodVersion

NOWHERE = -1
SMALLEST = 1
"""The least an order can bring: a hundredth of the currency."""


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """How far a value is from something better and from something worse on one axis; 0 where there is none."""

    better: Int64
    worse: Int64


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """The smallest change of one value, the others kept, that changes the segment, and which segment follows.

    `better` goes towards the best score and `worse` away from it; for R better means fewer days. A segment is a
    position in `Customers.segments`, `NOWHERE` where no change of this value alone leads to another one.
    """

    better: Int64
    better_segment: Int8
    worse: Int64
    worse_segment: Int8


@dataclass(frozen=True, slots=True, eq=False)
class NewOrder:
    """What an order on the as-of day would do.

    `segment` follows from an order of the smallest sum. `amount` is the smallest sum, in hundredths, that leads to a
    segment of a better rank than that, `raised` is that segment; 0 and `NOWHERE` where no sum does.
    """

    segment: Int8
    amount: Int64
    raised: Int8


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """The whole of it, in the order of the customers. `borders` and `steps` by axis: r, f, m."""

    borders: dict[str, Ways]
    steps: dict[str, Steps]
    order: NewOrder


@dataclass(frozen=True)
class Ladder:
    """A version's borders and table, laid out for walking: on every axis score 1 is worst.

    `reached` says per axis which scores some value gets: borders that coincide leave scores out.
    """

    version: MethodVersion

    @property
    def bins(self) -> int:
        """Scores go from 1 to this."""
        return self.version.method.bins

    def borders(self, axis: str) -> tuple[int, ...]:
        """Ascending."""
        found: tuple[int, ...] = getattr(self.version.thresholds, axis)
        return found

    @cached_property
    def cube(self) -> Int8:
        """Segments by r, f and m score, each from position 0."""
        return self.version.method.segment_table.reshape((self.bins,) * len(AXES))

    @cached_property
    def ranks(self) -> NDArray[np.int64]:
        """Rank by segment, 1 the best."""
        return np.array([segment.rank for segment in self.version.method.segments])

    def reached(self, axis: str) -> list[bool]:
        """By score, from position 0."""
        exceeded = [True, *(low < high for low, high in zip(self.borders(axis), self._above(axis), strict=True))]
        return exceeded[::-1] if axis == "r" else exceeded

    def score(self, axis: str, value: int) -> int:
        """The score of one value."""
        beyond = sum(value > border for border in self.borders(axis))
        return self.bins - beyond if axis == "r" else beyond + 1

    def nearest(self, axis: str, score: int) -> int:
        """The value with that score that is nearest to a worse one (`better` steps arrive there)."""
        return self.borders(axis)[self.bins - score] if axis == "r" else self.borders(axis)[score - 2] + 1

    def farthest(self, axis: str, score: int) -> int:
        """The value with that score that is nearest to a better one (`worse` steps arrive there)."""
        return self.borders(axis)[self.bins - score - 1] + 1 if axis == "r" else self.borders(axis)[score - 1]

    def _above(self, axis: str) -> Sequence[float]:
        return [*self.borders(axis)[1:], np.inf]


def explain(version: MethodVersion, customers: Customers) -> Explained:
    """Distances, single changes and an order today, for customers that were scored with this version.

    By borders and table alone: rules of stability, which look at the scores before, may hold a change back for a time.
    """
    ladder = Ladder(version)
    values: dict[str, Int64] = {
        "r": customers.recency.astype(np.int64),
        "f": customers.frequency.astype(np.int64),
        "m": customers.monetary,
    }
    scores = {"r": customers.r_score, "f": customers.f_score, "m": customers.m_score}
    return Explained(
        {axis: _borders(ladder, axis, values[axis], scores[axis]) for axis in AXES},
        {axis: _steps(ladder, axis, values[axis], customers.cell) for axis in AXES},
        _new_order(ladder, customers),
    )


def _borders(ladder: Ladder, axis: str, values: Int64, scores: Int8) -> Ways:
    """To the next score that some value gets, whatever segment it belongs to."""
    reached = ladder.reached(axis)
    better = [0] * ladder.bins
    worse = [0] * ladder.bins
    for at in range(ladder.bins):
        better[at] = next((up for up in range(at + 1, ladder.bins) if reached[up]), -1) + 1
        worse[at] = next((down for down in range(at - 1, -1, -1) if reached[down]), -1) + 1
    place = scores - 1
    return Ways(
        _distance(ladder, axis, values, np.array(better)[place], towards_better=True),
        _distance(ladder, axis, values, np.array(worse)[place], towards_better=False),
    )


def _steps(ladder: Ladder, axis: str, values: Int64, cell: NDArray[np.int16]) -> Steps:
    up, up_segment = _other_segments(ladder, axis, towards_better=True)
    down, down_segment = _other_segments(ladder, axis, towards_better=False)
    return Steps(
        _distance(ladder, axis, values, up[cell], towards_better=True),
        up_segment[cell],
        _distance(ladder, axis, values, down[cell], towards_better=False),
        down_segment[cell],
    )


def _other_segments(ladder: Ladder, axis: str, *, towards_better: bool) -> tuple[NDArray[np.int64], Int8]:
    """Per cell, the nearest score on the axis with another segment, 0 if there is none, and that segment."""
    cube = np.moveaxis(ladder.cube, AXES.index(axis), 0)
    reached = ladder.reached(axis)
    score = np.zeros(cube.shape, dtype=np.int64)
    segment = np.full(cube.shape, NOWHERE, dtype=np.int8)
    for at in range(ladder.bins):
        ahead = range(at + 1, ladder.bins) if towards_better else range(at - 1, -1, -1)
        for other in (place for place in ahead if reached[place]):
            found = (score[at] == 0) & (cube[other] != cube[at])
            score[at][found] = other + 1
            segment[at][found] = cube[other][found]
    back = AXES.index(axis)
    return np.moveaxis(score, 0, back).ravel(), np.moveaxis(segment, 0, back).ravel()


def _distance(ladder: Ladder, axis: str, values: Int64, target: NDArray[np.int64], *, towards_better: bool) -> Int64:
    """From each value to the target score, 0 where the target is 0."""
    scores = range(1, ladder.bins + 1)
    edge = ladder.nearest if towards_better else ladder.farthest
    ends = [0] + [
        edge(axis, score) if _has_edge(ladder, score, towards_better=towards_better) else 0 for score in scores
    ]
    rising = towards_better != (axis == "r")
    found = np.array(ends, dtype=np.int64)[target]
    found -= values
    if not rising:
        np.negative(found, out=found)
    found[target == 0] = 0
    return found


def _has_edge(ladder: Ladder, score: int, *, towards_better: bool) -> bool:
    return score > 1 if towards_better else score < ladder.bins


def _new_order(ladder: Ladder, customers: Customers) -> NewOrder:
    """An order on the as-of day: R becomes 0, F one more, M more by its sum."""
    fresh = ladder.cube[ladder.score("r", 0) - 1]
    f = _one_more(ladder, customers)
    m_now = customers.m_score - 1
    limits = np.array([*ladder.borders("m"), np.iinfo(np.int64).max], dtype=np.int64)
    m = np.where(customers.monetary >= limits[m_now], m_now + _gap(ladder)[m_now], m_now)
    target, raised = _raises(ladder, fresh)
    wanted = target[f, m]
    floors = np.array([0, 0, *(border + 1 for border in ladder.borders("m"))], dtype=np.int64)
    amount = floors[wanted] - customers.monetary
    amount[wanted == 0] = 0
    return NewOrder(fresh[f, m], amount, raised[f, m])


def _one_more(ladder: Ladder, customers: Customers) -> NDArray[np.int64]:
    """The position of the F score after one more order."""
    limits = np.array([*ladder.borders("f"), np.iinfo(np.int64).max], dtype=np.int64)
    place = (customers.f_score - 1).astype(np.int64)
    leaves: Bool = customers.frequency >= limits[place]
    counted = [ladder.score("f", border + 1) - 1 for border in ladder.borders("f")]
    after = np.array([*counted, ladder.bins - 1])
    return np.where(leaves, after[place], place)


def _gap(ladder: Ladder) -> NDArray[np.int64]:
    """From a position of the M score to the position that its upper border plus a hundredth has."""
    places = [ladder.score("m", border + SMALLEST) - 1 for border in ladder.borders("m")]
    return np.array([*(after - at for at, after in enumerate(places)), 0])


def _raises(ladder: Ladder, fresh: Int8) -> tuple[NDArray[np.int64], Int8]:
    """By F and M position: the lowest M score with a better rank, 0 if there is none, and its segment."""
    reached = ladder.reached("m")
    target = np.zeros(fresh.shape, dtype=np.int64)
    segment = np.full(fresh.shape, NOWHERE, dtype=np.int8)
    ranks = ladder.ranks[fresh]
    for m in range(ladder.bins):
        for other in (place for place in range(m + 1, ladder.bins) if reached[place]):
            found = (target[:, m] == 0) & (ranks[:, other] < ranks[:, m])
            target[found, m] = other + 1
            segment[found, m] = fresh[found, other]
    return target, segment
