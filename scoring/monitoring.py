"""Is a published method still what it was when it was published? Shifts of the scores, and flapping of customers.

Scores shift because thresholds are frozen while prices and habits are not: the "top 20 %" become 35 %. Flapping is a
customer who leaves a segment and is back soon. Both are measured on arrays; nothing here changes a score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scoring.errors import BadMethod
from scoring.frames import Bool, Int8, Int32, Int64
from scoring.methods import MethodVersion, Scores
from scoring.scales import Axis
from scoring.stability import NOBODY
from scoring.terms import Language

STEADY_BELOW = 0.1
SHIFTED_FROM = 0.25
_TOP_GROWS = 1.5  # a top share this many times its size, or its inverse, calls for a new fit whatever the index says
_LEAST_SHARE = 1e-4  # stands for an empty score, whose logarithm would be infinite
_AXES: tuple[Axis, ...] = ("r", "f", "m")

Verdict = Literal["steady", "shifted", "refit"]


def psi(before: Sequence[float], now: Sequence[float]) -> float:
    """Population stability index of two distributions over the same scores, given as counts or shares.

    0 is no change; by common usage below 0.1 is steady and 0.25 or more is another population. Raises `BadMethod`
    when the lengths differ or a side is empty.
    """
    if len(before) != len(now):
        raise BadMethod(f"{len(before)} shares cannot be compared with {len(now)}")
    old, new = _shares(before), _shares(now)
    return float(np.sum((new - old) * np.log(new / old)))


@dataclass(frozen=True, slots=True)
class AxisShift:
    """One axis: the share of customers with each score, 1 first, at publication and now."""

    axis: Axis
    before: tuple[float, ...]
    now: tuple[float, ...]
    psi: float

    @property
    def top(self) -> tuple[float, float]:
        """The share with the best score, then and now."""
        return self.before[-1], self.now[-1]

    @property
    def verdict(self) -> Verdict:
        """`refit` when the index, or the top share alone, says that the thresholds no longer part the base."""
        then, now = self.top
        grown = then > 0 and not then / _TOP_GROWS < now < then * _TOP_GROWS
        if self.psi >= SHIFTED_FROM or grown:
            return "refit"
        return "steady" if self.psi < STEADY_BELOW else "shifted"

    def text(self, language: Language) -> str:
        """The shift in a sentence."""
        then, now = (round(100 * share) for share in self.top)
        return _SENTENCES[language][self.verdict].format(axis=self.axis.upper(), then=then, now=now, psi=self.psi)


_SENTENCES: Mapping[Language, Mapping[Verdict, str]] = {
    "en": {
        "steady": "{axis}: steady (the top {then} % are {now} % now, index {psi:.2f})",
        "shifted": "{axis}: has shifted (the top {then} % are {now} % now, index {psi:.2f}); look again soon",
        "refit": "{axis}: the top {then} % have become {now} % (index {psi:.2f}); propose a new fit",
    },
    "ru": {
        "steady": "{axis}: без изменений (верхние {then} % теперь {now} %, индекс {psi:.2f})",
        "shifted": "{axis}: границы сдвинулись (верхние {then} % теперь {now} %, индекс {psi:.2f}); проверьте позже",
        "refit": "{axis}: верхние {then} % стали {now} % (индекс {psi:.2f}); предложите новую подгонку",
    },
}


@dataclass(frozen=True, slots=True)
class Shift:
    """All axes of a method version."""

    method: str
    customers: int
    axes: tuple[AxisShift, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of the axes."""
        found = {axis.verdict for axis in self.axes}
        return "refit" if "refit" in found else "shifted" if "shifted" in found else "steady"


def score_shares(scores: Scores, bins: int) -> dict[Axis, tuple[float, ...]]:
    """The share of customers with each score 1 to `bins`, by axis; kept at publication, compared later."""
    return {
        axis: tuple((np.bincount(column, minlength=bins + 1)[1:] / max(1, len(column))).tolist())
        for axis, column in zip(_AXES, (scores.r, scores.f, scores.m), strict=True)
    }


def measure_shift(
    version: MethodVersion, scores: Scores, before: Mapping[Axis, Sequence[float]] | None = None
) -> Shift:
    """Compare today's scores with the shares at publication; without these, with even shares.

    Even shares are what quantiles aim at; with many equal values, or with fixed limits, they are not what was
    published, so keep `score_shares` then. Raises `BadMethod` without any customer.
    """
    bins = version.method.bins
    now = score_shares(scores, bins)
    even = (1 / bins,) * bins
    pairs = [(axis, tuple((before or {}).get(axis, even)), now[axis]) for axis in _AXES]
    axes = tuple(AxisShift(axis, then, shares, psi(then, shares)) for axis, then, shares in pairs)
    return Shift(version.label, len(scores.r), axes)


@dataclass(frozen=True, slots=True, eq=False)
class Flapping:
    """Moves of a portal in some period. `back_and_forth` marks the moves that undo an earlier one soon.

    `eventless` marks moves of customers who did nothing themselves, where that was given.
    """

    moves: int
    customers: int
    flapping_customers: int
    back_and_forth: Bool
    eventless: int

    @property
    def share(self) -> float:
        """Of all moves, how many only undo an earlier one: 0 to 1."""
        return float(self.back_and_forth.sum()) / self.moves if self.moves else 0.0

    @property
    def wasted_tasks(self) -> int:
        """At most so many tasks came of moves that were soon undone, one for each: the cost of flapping."""
        return int(self.back_and_forth.sum())


def measure_flapping(
    customer: Int64, day: Int32, before: Int8, after: Int8, *, within: int = 30, event: Bool | None = None
) -> Flapping:
    """Look for customers who are back in a segment within `within` days of leaving it.

    One row per move, in any order; first scores (`before` is `NOBODY`) are no moves. Two moves of a customer on one
    day are taken in the order given. `event` says whether something happened to the customer himself.
    """
    real = before != NOBODY
    back = np.zeros(len(customer), dtype=np.bool_)
    at = np.flatnonzero(real)
    at = at[np.lexsort((day[at], customer[at]))]
    here, ahead = at[:-1], at[1:]
    same = customer[here] == customer[ahead]
    back[ahead] = same & (after[ahead] == before[here]) & (day[ahead] - day[here] <= within)
    return Flapping(
        moves=int(real.sum()),
        customers=len(np.unique(customer[real])),
        flapping_customers=len(np.unique(customer[back])),
        back_and_forth=back,
        eventless=0 if event is None else int((real & ~event).sum()),
    )


def _shares(counts: Sequence[float]) -> NDArray[np.float64]:
    found = np.asarray(counts, dtype=np.float64)
    if found.sum() <= 0:
        raise BadMethod("nobody is scored: there are no shares to compare")
    shares: NDArray[np.float64] = np.maximum(found / found.sum(), _LEAST_SHARE)
    return shares
