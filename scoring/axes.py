"""How each axis of a method gets its borders: fitted as quantiles, stated, or taken from the customers' own intervals.

The same number of scores on every axis; the kind of scale may differ from axis to axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, cast, get_args

import numpy as np

from scoring.errors import BadMethod
from scoring.features import Summary
from scoring.frames import Int32, Int64
from scoring.reading import Entry
from scoring.scales import ENOUGH_CUSTOMERS, Axis, Thresholds, Weakness, quantile_borders, rank_borders, weaknesses

Kind = Literal["quantile", "fixed", "interval"]
AXES: tuple[Axis, ...] = ("r", "f", "m")
_UNITS: Mapping[Axis, tuple[int, int, str]] = {
    "r": (0, 36_500, "whole days"),
    "f": (0, 1_000_000, "whole numbers of orders"),
    "m": (0, 0, "amounts with two decimals at most"),
}
# Active up to the median interval, at risk from the 75th to the 90th percentile, lost beyond; with other numbers of
# scores the scale is cut coarser or finer at the far end.
_PERCENTILES: Mapping[int, tuple[int, ...]] = {3: (50, 90), 4: (50, 75, 90), 5: (50, 75, 90, 95)}


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale of one axis. `borders` of a fixed one (m in hundredths), `percentiles` of an interval one."""

    kind: Kind = "quantile"
    borders: tuple[int, ...] = ()
    percentiles: tuple[int, ...] = ()

    def spec(self, axis: Axis) -> dict[str, Any]:
        """The written form."""
        if self.kind == "fixed":
            money = axis == "m"
            borders = [str(Decimal(v).scaleb(-2)) for v in self.borders] if money else list(self.borders)
            return {"kind": "fixed", "borders": borders}
        return {"kind": self.kind, "percentiles": list(self.percentiles)}


@dataclass(frozen=True, slots=True)
class Scales:
    """The scale of each axis; quantiles unless said."""

    r: Scale = Scale()
    f: Scale = Scale()
    m: Scale = Scale()

    def of(self, axis: Axis) -> Scale:
        """By the axis' name."""
        return {"r": self.r, "f": self.f, "m": self.m}[axis]

    @property
    def limits(self) -> Thresholds | None:
        """The thresholds, if no axis has to be fitted."""
        if any(self.of(axis).kind != "fixed" for axis in AXES):
            return None
        return Thresholds(self.r.borders, self.f.borders, self.m.borders)

    @classmethod
    def of_limits(cls, limits: Thresholds) -> Scales:
        """All axes fixed."""
        return cls(Scale("fixed", limits.r), Scale("fixed", limits.f), Scale("fixed", limits.m))

    def fit(self, summary: Summary, bins: int) -> tuple[Thresholds, tuple[Weakness, ...]]:
        """Thresholds of all customers together, and what makes the fitted ones weak. Raises `NothingToFit`."""
        columns: dict[Axis, Int32 | Int64] = {"r": summary.recency, "f": summary.frequency, "m": summary.monetary}
        found: dict[Axis, tuple[int, ...]] = {}
        weak: list[Weakness] = []
        for axis in AXES:
            scale = self.of(axis)
            if scale.kind == "fixed":
                found[axis] = scale.borders
            elif scale.kind == "quantile":
                found[axis] = quantile_borders(columns[axis], bins)
            else:
                intervals = own_intervals(summary)
                found[axis] = rank_borders(intervals, scale.percentiles)
                weak += [Weakness("r", len(intervals), "repeats")] if len(intervals) < ENOUGH_CUSTOMERS else []
        thresholds = Thresholds(found["r"], found["f"], found["m"])
        told = weaknesses(len(summary), thresholds, bins)
        fitted = [reason for reason in told if reason.axis is None or self.of(reason.axis).kind != "fixed"]
        return thresholds, (*fitted, *weak)

    def spec(self) -> dict[str, Any]:
        """The written form; nothing where every axis is a quantile, or all are fixed (these stand as limits)."""
        if self.limits is not None:
            return {}
        told = {axis: self.of(axis).spec(axis) for axis in AXES if self.of(axis).kind != "quantile"}
        return {"scales": told} if told else {}


def own_intervals(summary: Summary) -> Int32:
    """Each repeat buyer's own usual interval in whole days: the median gap between the days he bought on.

    One customer counts once, however often he buys; those who bought on one day only have no interval. Half days
    are cut off, which is exact, because R is in whole days. Raises `BadMethod` without the history.
    """
    history = summary.history
    if history is None:
        raise BadMethod("an interval scale needs the history: summarise with history=True")
    repeats = history.order_days >= 2
    only_gap = (summary.last_day - history.first_day).astype(np.float64)
    gaps = np.where(history.order_days == 2, only_gap, history.median_gap)[repeats]
    whole: Int32 = np.floor(gaps).astype(np.int32)
    return whole


def parse_scales(file: Entry, bins: int) -> Scales:
    """[limits] for all axes at once, or [scales] by axis, or neither: quantiles. Raises `BadMethod`."""
    if "limits" in file and "scales" in file:
        file.refuse("scales", "limits already fixes all three axes; leave one of the two")
    if "limits" in file:
        entry = file.entry("limits")
        entry.only(AXES)
        found = {axis: Scale("fixed", _borders(entry, axis, axis, bins)) for axis in AXES}
    else:
        entry = file.entry("scales")
        entry.only(AXES)
        found = {axis: _scale(entry.entry(axis), axis, bins) for axis in AXES}
    return Scales(found["r"], found["f"], found["m"])


def _scale(entry: Entry, axis: Axis, bins: int) -> Scale:
    entry.only(("kind", "borders", "percentiles"))
    kind = cast("Kind", entry.one_of("kind", get_args(Kind)) if "kind" in entry else "quantile")
    if kind != "fixed" and "borders" in entry:
        entry.refuse("borders", "only a scale of kind 'fixed' has borders")
    if kind != "interval" and "percentiles" in entry:
        entry.refuse("percentiles", "only a scale of kind 'interval' has percentiles")
    if kind == "fixed":
        return Scale(kind, _borders(entry, "borders", axis, bins))
    if kind == "interval":
        return Scale(kind, percentiles=_percentiles(entry, axis, bins))
    return Scale()


def _borders(entry: Entry, key: str, axis: Axis, bins: int) -> tuple[int, ...]:
    low, high, unit = _UNITS[axis]
    if axis == "m":
        raw = entry.listed(key, f"a list of {bins - 1} {unit}")
        borders = tuple(_hundredths(entry, key, place, value) for place, value in enumerate(raw))
    else:
        borders = entry.wholes(key, low, high)
    if len(borders) != bins - 1:
        entry.refuse(key, f"{bins} bins have {bins - 1} borders, but there are {len(borders)}; in {unit}")
    if list(borders) != sorted(borders):
        entry.refuse(key, "borders must ascend")
    return borders


def _hundredths(entry: Entry, key: str, place: int, value: Any) -> int:
    part = Entry({f"{key}[{place}]": value}, entry.path)
    amount = part.number(f"{key}[{place}]").scaleb(2)
    if amount != amount.to_integral_value():
        part.refuse(f"{key}[{place}]", f"has more than two decimals: {value}")
    return int(amount)


def _percentiles(entry: Entry, axis: Axis, bins: int) -> tuple[int, ...]:
    if axis != "r":
        entry.refuse("kind", "an interval scale is for r: how long a customer's own pauses are says nothing of f and m")
    if "percentiles" not in entry:
        if bins not in _PERCENTILES:
            entry.refuse("percentiles", f"is missing; {bins} bins need {bins - 1} of them, such as 50 for the median")
        return _PERCENTILES[bins]
    found = entry.wholes("percentiles", 1, 99)
    if len(found) != bins - 1 or list(found) != sorted(set(found)):
        entry.refuse("percentiles", f"must be {bins - 1} different percentiles, ascending, not {list(found)}")
    return found
