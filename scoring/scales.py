"""Values → scores: where the borders lie, and how many of them a value exceeds. 5 (or 4, or 6) is always best.

Borders are whole numbers like the values: days, orders, hundredths of the currency. Equal values get equal
scores, because a score depends on the value and the borders only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Self, TypedDict

import numpy as np

from scoring.errors import BadMethod, NothingToFit
from scoring.frames import Int8, Int32, Int64

MIN_BINS = 3
MAX_BINS = 10
TWO_BINS = 2  # a question of yes or no: its border must be stated, not fitted
ENOUGH_CUSTOMERS = 50
ENOUGH_BORDERS = 3
_BUCKET_BITS = 16
_SMALL_BASE = 30_000
_LARGE_BASE = 200_000

Axis = Literal["r", "f", "m"]


class ThresholdsSpec(TypedDict):
    """Thresholds as they stand in files: money as text with two decimals."""

    r: list[int]
    f: list[int]
    m: list[str]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Borders per axis, ascending; a value above a border is beyond it. `m` in hundredths of the currency."""

    r: tuple[int, ...]
    f: tuple[int, ...]
    m: tuple[int, ...]

    def spec(self) -> ThresholdsSpec:
        """The written form."""
        return {"r": list(self.r), "f": list(self.f), "m": [str(Decimal(v).scaleb(-2)) for v in self.m]}

    @classmethod
    def from_spec(cls, spec: ThresholdsSpec) -> Self:
        """Read the written form; raises `BadMethod` where borders are not ascending or money is finer than 0.01."""
        money = [Decimal(str(value)).scaleb(2) for value in spec["m"]]
        if any(value != int(value) for value in money):
            raise BadMethod("borders of m have two decimals at most")
        thresholds = cls(tuple(spec["r"]), tuple(spec["f"]), tuple(int(value) for value in money))
        for axis, borders in (("r", thresholds.r), ("f", thresholds.f), ("m", thresholds.m)):
            if list(borders) != sorted(borders):
                raise BadMethod(f"borders of {axis} must ascend")
        return thresholds


@dataclass(frozen=True, slots=True)
class Weakness:
    """Why a fit is weak: too few customers altogether, too few different borders on an axis, or too few intervals."""

    axis: Axis | None
    count: int
    of: Literal["borders", "repeats"] = "borders"

    def text(self, language: Literal["en", "ru"] = "en") -> str:
        """The reason in a sentence."""
        if self.of == "repeats":
            return {
                "en": f"only {self.count} customers bought on two days or more; at least {ENOUGH_CUSTOMERS} are needed",
                "ru": f"клиентов с покупками в разные дни: {self.count}, а нужно хотя бы {ENOUGH_CUSTOMERS}",
            }[language]
        if self.axis is None:
            return {
                "en": f"only {self.count} customers have orders; at least {ENOUGH_CUSTOMERS} are needed",
                "ru": f"клиентов с заказами: {self.count}, а нужно хотя бы {ENOUGH_CUSTOMERS}",
            }[language]
        name = self.axis.upper()
        return {
            "en": f"{name} has only {self.count} different borders: many customers share the same value",
            "ru": f"у {name} разных границ: {self.count}; у многих клиентов одно и то же значение",
        }[language]


def quantile_borders(values: Int32 | Int64, bins: int) -> tuple[int, ...]:
    """Border k of 1..bins-1: the smallest observed v such that at least k/bins of all values are <= v.

    That is the value at rank ceil(k * n / bins) of the sorted values, found in whole numbers. Borders may
    coincide. Raises `NothingToFit` without values.

    Values are counted by their upper bits, and only those that share them with a border are sorted: three
    times faster than selecting among a million sums.
    """
    if not len(values):
        raise NothingToFit("no customer has an order: there is nothing to take thresholds from")
    low, high = int(values.min()), int(values.max())
    shift = max(0, (high - low).bit_length() - _BUCKET_BITS)
    bucket = _upper_bits(values, low, shift)
    up_to = np.cumsum(np.bincount(bucket))
    borders = []
    for k in range(1, bins):
        rank = -(-k * len(values) // bins)
        place = int(np.searchsorted(up_to, rank))
        if shift == 0:
            borders.append(low + place)
            continue
        alike = np.sort(values[bucket == place])
        borders.append(int(alike[rank - 1 - (up_to[place] - len(alike))]))
    return tuple(borders)


def _upper_bits(values: Int32 | Int64, low: int, shift: int) -> Int32 | Int64:
    if shift == 0:
        return values - values.dtype.type(low)
    above_low = (values.astype(np.int64, copy=False) - low).view(np.uint64)  # right even where it wraps
    return (above_low >> np.uint64(shift)).view(np.int64)


def rank_borders(values: Int32 | Int64, percentiles: Sequence[int]) -> tuple[int, ...]:
    """For each percentile p the smallest observed v such that at least p % of all values are <= v."""
    if not len(values):
        raise NothingToFit("nobody bought on two different days: there are no intervals to take thresholds from")
    ordered = np.sort(values)
    return tuple(int(ordered[-(-p * len(ordered) // 100) - 1]) for p in percentiles)


def advise_bins(customers: int) -> int:
    """How many scores a base of this size carries: 3 under 30,000 customers, 4 up to 200,000, 5 above.

    An advice only: the contract's default has 5 for every base, and any scale of 3 to 10 is accepted.
    """
    if customers < _SMALL_BASE:
        return 3
    return 4 if customers <= _LARGE_BASE else 5


def exceeded(values: Int32 | Int64, borders: Sequence[int]) -> Int8:
    """How many borders each value exceeds."""
    count = np.zeros(len(values), dtype=np.int8)
    for border in borders:
        count += values > border
    return count


def weaknesses(customers: int, thresholds: Thresholds, bins: int) -> tuple[Weakness, ...]:
    """What makes a fit weak; three bins have two borders only, which is then enough."""
    found = [Weakness(None, customers)] if customers < ENOUGH_CUSTOMERS else []
    enough = min(ENOUGH_BORDERS, bins - 1)
    axes: tuple[tuple[Axis, tuple[int, ...]], ...] = (("r", thresholds.r), ("f", thresholds.f), ("m", thresholds.m))
    found += [Weakness(axis, len(set(borders))) for axis, borders in axes if len(set(borders)) < enough]
    return tuple(found)
