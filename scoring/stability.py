"""Keeping customers from flapping between segments: margins at the borders, minimum stay, moves that wait for an event.

Pure arrays, one entry per customer; the outcome of a customer depends on nobody else and on no order of rows. A method
without these rules never comes here, and its scores depend on the orders alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from scoring.errors import BadMethod
from scoring.frames import Bool, Int8, Int32, Int64
from scoring.reading import Entry
from scoring.scales import Axis, Thresholds, exceeded

AXES: tuple[Axis, ...] = ("r", "f", "m")
KEYS = ("hysteresis", "dwell", "hold")
LONGEST_DWELL = 365
NOBODY = -1
_MOST_PERCENT = 100


@dataclass(frozen=True, slots=True)
class Margin:
    """How far beyond a border a value must go to lose the better score.

    `units` are days, orders or hundredths; or a share of the border in whole per cent.
    """

    units: int = 0
    percent: int = 0

    def of(self, border: int) -> int:
        """In units; a share is rounded down, so that whole days and orders stay whole."""
        return self.units + abs(border) * self.percent // 100

    def spec(self, axis: Axis) -> int | str:
        """The written form."""
        if self.percent:
            return f"{self.percent}%"
        return str(Decimal(self.units).scaleb(-2)) if axis == "m" else self.units


@dataclass(frozen=True, slots=True)
class Stability:
    """The rules. At their defaults nothing is held back.

    `hysteresis`: a better score is entered at its border and left only beyond border and margin. `dwell`: days that
    a customer stays in a segment at least, unless an order came. `hold`: a change of segment waits until something
    happened to the customer himself, which is an order or a refund, or a pause so long that R fell.
    """

    hysteresis: Mapping[Axis, Margin] = field(default_factory=dict)
    dwell: int = 0
    hold: bool = False

    @property
    def active(self) -> bool:
        """Whether the rules need the previous scores."""
        return bool(self.hysteresis or self.dwell or self.hold)

    def spec(self) -> dict[str, Any]:
        """The written form; what is at its default is left out."""
        spec: dict[str, Any] = {}
        if self.hysteresis:
            spec["hysteresis"] = {axis: margin.spec(axis) for axis, margin in self.hysteresis.items()}
        if self.dwell:
            spec["dwell"] = self.dwell
        if self.hold:
            spec["hold"] = True
        return spec


@dataclass(frozen=True, slots=True, eq=False)
class Previous:
    """What customers had before, in the order of the summary they are scored with.

    Scores are 0 and `segment` is `NOBODY` where there was none. `segment` points into the method's segments.
    `held_days`: whole days since the customer came into that segment. `new_order`: whether an order or refund of his
    was added, changed or removed since.
    """

    r: Int8
    f: Int8
    m: Int8
    segment: Int8
    held_days: Int32
    new_order: Bool

    @classmethod
    def aligned(cls, numbers: Int64, stored: Int64, previous: Previous) -> Previous:
        """Bring `previous`, which is in the order of `stored` (any order, each once), into the order of `numbers`.

        Customers that are not stored come out as new.
        """
        if not len(stored):
            return cls.none(len(numbers))
        if np.array_equal(numbers, stored):
            return previous
        order = np.argsort(stored, kind="stable")
        place = np.searchsorted(stored[order], numbers)
        taken = order[np.minimum(place, len(stored) - 1)]
        known = stored[taken] == numbers
        return cls(
            r=np.where(known, previous.r[taken], 0).astype(np.int8),
            f=np.where(known, previous.f[taken], 0).astype(np.int8),
            m=np.where(known, previous.m[taken], 0).astype(np.int8),
            segment=np.where(known, previous.segment[taken], NOBODY).astype(np.int8),
            held_days=np.where(known, previous.held_days[taken], 0).astype(np.int32),
            new_order=np.where(known, previous.new_order[taken], True),
        )

    @classmethod
    def none(cls, customers: int) -> Previous:
        """For customers who all are new."""
        zeros = np.zeros(customers, dtype=np.int8)
        return cls(
            zeros, zeros, zeros, zeros + np.int8(NOBODY), np.zeros(customers, np.int32), np.ones(customers, np.bool_)
        )

    def check(self, customers: int, bins: int, segments: int) -> None:
        """Raise `BadMethod` for arrays of another length, scores off the scale, or segments that are not there."""
        columns = (self.r, self.f, self.m, self.segment, self.held_days, self.new_order)
        if any(len(column) != customers for column in columns):
            raise BadMethod(f"the previous scores must have an entry for each of the {customers} customers")
        for scores in (self.r, self.f, self.m):
            if customers and not 0 <= int(scores.min()) <= int(scores.max()) <= bins:
                raise BadMethod(f"a previous score lies outside 0 to {bins}: it was made by another method")
        if customers and not NOBODY <= int(self.segment.min()) <= int(self.segment.max()) < segments:
            raise BadMethod("a previous segment is not one of the method's")


def steady_scores(
    values: tuple[Int32, Int32, Int64], thresholds: Thresholds, bins: int, rules: Stability, previous: Previous
) -> tuple[Int8, Int8, Int8]:
    """Scores of the values of R, F and M, with margins.

    Without a previous score, and on an axis without a margin, they are the plain ones.

    A better score than the plain one is kept only by whom the margin still covers; nobody scores below his plain
    score, and a better value of the same customer never gives a lower score.
    """
    r = _steady_r(values[0], thresholds.r, bins, rules.hysteresis.get("r"), previous.r)
    f = _steady(values[1], thresholds.f, rules.hysteresis.get("f"), previous.f)
    m = _steady(values[2], thresholds.m, rules.hysteresis.get("m"), previous.m)
    return r, f, m


def steady_segments(segment: Int8, r_score: Int8, rules: Stability, previous: Previous) -> tuple[Int8, Bool]:
    """The segments after `dwell` and `hold`, and who is held in his previous one. `segment` is what scores say."""
    held = _moved(segment, previous) & ~previous.new_order & (previous.held_days < rules.dwell)
    if rules.hold:
        held |= moved_without_event(segment, r_score, previous)
    return np.where(held, previous.segment, segment).astype(np.int8), held


def moved_without_event(segment: Int8, r_score: Int8, previous: Previous) -> Bool:
    """Who changes his segment though nothing happened to himself: no order or refund, and no fall of R by silence.

    What is left are orders that went out of the window, and new thresholds or another table.
    """
    quiet: Bool = _moved(segment, previous) & ~previous.new_order & (r_score >= previous.r)
    return quiet


def parse_stability(file: Entry) -> Stability:
    """The keys hysteresis, dwell and hold of a method file."""
    entry = file.entry("hysteresis")
    entry.only(AXES)
    margins = {axis: _margin(entry, axis) for axis in AXES if axis in entry}
    return Stability(
        hysteresis={axis: margin for axis, margin in margins.items() if margin != Margin()},
        dwell=file.whole("dwell", 0, LONGEST_DWELL) if "dwell" in file else 0,
        hold=file.flag("hold"),
    )


def positions(segments: Sequence[str], values: Sequence[str | None]) -> Int8:
    """Segments by value as positions in `segments`; `NOBODY` for None and for values the method does not have."""
    place = {segment: number for number, segment in enumerate(segments)}
    return np.array([NOBODY if value is None else place.get(value, NOBODY) for value in values], dtype=np.int8)


def _moved(segment: Int8, previous: Previous) -> Bool:
    moved: Bool = (previous.segment != NOBODY) & (segment != previous.segment)
    return moved


def _steady(values: Int32 | Int64, borders: Sequence[int], margin: Margin | None, before: Int8) -> Int8:
    plain = exceeded(values, borders) + np.int8(1)
    if margin is None:
        return plain
    kept = exceeded(values, [border - margin.of(border) for border in borders]) + np.int8(1)
    return _between(before, plain, kept)


def _steady_r(values: Int32 | Int64, borders: Sequence[int], bins: int, margin: Margin | None, before: Int8) -> Int8:
    best = np.int8(bins)
    plain = best - exceeded(values, borders)
    if margin is None:
        return plain
    kept = best - exceeded(values, [border + margin.of(border) for border in borders])
    return _between(before, plain, kept)


def _between(before: Int8, plain: Int8, kept: Int8) -> Int8:
    """The previous score where it lies between the plain one and what the margin still covers, else the nearer end."""
    found: Int8 = np.maximum(plain, np.minimum(before, kept))
    return found


def _margin(entry: Entry, axis: Axis) -> Margin:
    value = entry.need(axis, "a margin")
    allowed = {"r": "days such as 3", "f": "orders such as 1", "m": 'an amount such as "50.00"'}[axis]
    if isinstance(value, str) and value.endswith("%"):
        share = value.removesuffix("%").strip()
        if not share.isdecimal() or not int(share) <= _MOST_PERCENT:
            entry.refuse(axis, f"must be {allowed}, or a share of the border from 0% to 100%, not {value!r}")
        return Margin(percent=int(share))
    amount = entry.number(axis)
    units = Fraction(amount) * (100 if axis == "m" else 1)
    if units < 0 or units.denominator != 1:
        entry.refuse(axis, f"must be {allowed}, or a share of the border such as 10%, not {value!r}")
    return Margin(units=int(units))
