"""What a method is: bins, window, the segment of every code, flags, and whatever else its file may say.

Rules without thresholds of a portal, as values; parsing.py reads them from files, methods.py publishes and applies
them. What is at its default is left out of the written form, so that versions published before a key existed keep
their text and digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np

from scoring.axes import Scales
from scoring.errors import BadMethod
from scoring.filters import Filters
from scoring.frames import Bool, Float64, Int8, Int32
from scoring.rhythm import DAYS_FOR_A_RHYTHM
from scoring.scales import Thresholds
from scoring.schemes import Grid
from scoring.stability import Stability
from scoring.terms import Language, Terms
from scoring.wording import Words, words_spec

DIRECTION = "high_is_best"  # not universal: OroCRM's best is 1. Stored, so that a file of the other kind is refused

Work = Literal["vip", "loyal", "promising", "at_risk", "sleeping"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of a method: the value on the card, who it is for people, and how it is worked with.

    `work` is the class whose SLA and cadence apply. `rank` orders segments from 1, the best. `at_risk` turns
    the churn flag on. `words` are the file's own, by language; see hints.py for who has none.
    """

    value: str
    label: Mapping[Language, str]
    work: Work
    rank: int
    at_risk: bool
    words: Mapping[Language, Words] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Churn:
    """When a customer's own rhythm turns the churn flag on: R exceeds `times` the median gap between his order days.

    Below `days` different days there is no rhythm. `rhythm` False leaves the flag to the segments alone.
    """

    times: float = 2.0
    days: int = DAYS_FOR_A_RHYTHM
    rhythm: bool = True

    def overdue(self, recency: Int32, median_gap: Float64, order_days: Int32) -> Bool:
        """Per customer; False where there is no rhythm yet."""
        if not self.rhythm:
            return np.zeros(len(recency), dtype=np.bool_)
        late: Bool = recency > self.times * median_gap  # NaN below three days compares as False
        return late if self.days <= DAYS_FOR_A_RHYTHM else late & (order_days >= self.days)

    def spec(self) -> dict[str, Any]:
        """The written form; nothing at the defaults."""
        plain = Churn()
        told = {name: getattr(self, name) for name in ("times", "days", "rhythm")}
        changed = {name: value for name, value in told.items() if value != getattr(plain, name)}
        return {"churn": changed} if changed else {}


@dataclass(frozen=True)
class Method:
    """Rules of scoring: bins, window in days, the segment of every code, the upsell rule.

    `limits` are fixed thresholds; None means that at least one axis is fitted to the portal's customers, as `scales`
    says. `table` has a position in `segments` for every cell of `grid`.
    """

    name: str
    window: int
    grid: Grid
    segments: tuple[Segment, ...]
    table: tuple[int, ...]
    upsell: tuple[str, ...]
    limits: Thresholds | None = None
    scales: Scales = field(default_factory=Scales)
    filters: Filters = field(default_factory=Filters)
    stability: Stability = field(default_factory=Stability)
    churn: Churn = field(default_factory=Churn)
    terms: Terms = field(default_factory=Terms)

    @property
    def bins(self) -> int:
        """Scores go from 1 to this."""
        return self.grid.high

    def segment(self, value: str) -> Segment:
        """The segment with this value; `KeyError` if there is none."""
        return {segment.value: segment for segment in self.segments}[value]

    def segment_of(self, code: str) -> Segment:
        """The segment of a code such as 545."""
        return self.segments[self.table[self.grid.codes.index(code)]]

    def with_window(self, days: int) -> Self:
        """The same rules over another window."""
        if days < 1:
            raise BadMethod("the window must be a day or more")
        return replace(self, window=days)

    def with_limits(self, limits: Thresholds) -> Self:
        """The same rules with other fixed limits, say for another currency."""
        check_borders(limits, self.bins)
        return replace(self, limits=limits, scales=Scales.of_limits(limits))

    def spec(self) -> dict[str, Any]:
        """The whole method as plain values; the segment table is spelled out code by code."""
        codes: list[list[str]] = [[] for _ in self.segments]
        for code, owner in zip(self.grid.codes, self.table, strict=True):
            codes[owner].append(code)
        return {
            "name": self.name,
            "bins": self.bins,
            "window": self.window,
            "direction": DIRECTION,
            "upsell": list(self.upsell),
            "derived": {axis: list(parts) for axis, parts in self.grid.derived.items()},
            "limits": None if self.limits is None else self.limits.spec(),
            "segments": [_segment_spec(*pair) for pair in zip(self.segments, codes, strict=True)],
            **self.scales.spec(),
            **self.filters.spec(),
            **self.stability.spec(),
            **self.churn.spec(),
            **self.terms.spec(),
        }

    def digest(self) -> str:
        """SHA-256 of the rules' canonical JSON, in hexadecimal: two files that say the same have the same."""
        text = json.dumps(self.spec(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def segment_table(self) -> Int8:
        """`table` as an array."""
        return np.array(self.table, dtype=np.int8)

    @cached_property
    def at_risk_segments(self) -> Bool:
        """Per segment, whether it turns the churn flag on."""
        return np.array([segment.at_risk for segment in self.segments], dtype=np.bool_)

    @cached_property
    def at_risk_table(self) -> Bool:
        """Per cell, whether its segment turns the churn flag on."""
        return self.at_risk_segments[self.segment_table]

    @cached_property
    def upsell_table(self) -> Bool:
        """Per cell, whether the upsell flag is on; without conditions it never is."""
        if not self.upsell:
            return np.zeros(len(self.grid.cells), dtype=np.bool_)
        return self.grid.where(self.upsell)


def check_borders(thresholds: Thresholds, bins: int) -> None:
    """Raise `BadMethod` unless every axis has one border less than bins."""
    for axis, borders in (("r", thresholds.r), ("f", thresholds.f), ("m", thresholds.m)):
        if len(borders) != bins - 1:
            raise BadMethod(f"{bins} bins have {bins - 1} borders, but {axis} has {len(borders)}")


def _segment_spec(segment: Segment, codes: list[str]) -> dict[str, Any]:
    return {
        "value": segment.value,
        "label": dict(segment.label),
        "work": segment.work,
        "rank": segment.rank,
        "at_risk": segment.at_risk,
        "codes": codes,
        **words_spec(segment.words),
    }
