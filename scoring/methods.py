"""Methods by name, their published versions, and scoring with them: sales5@1 on a summary gives customers.

A method is rules without thresholds of a portal. A version is a method with thresholds, frozen: its JSON is
stored once and never changed, and its digest proves it. Methods ship as tables/*.toml.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from typing import Any, Literal, Self, cast, get_args

import numpy as np
from numpy.typing import NDArray

from scoring.errors import BadMethod, UnknownMethod
from scoring.features import Summary
from scoring.frames import Bool, Customers, Int8
from scoring.scales import (
    MAX_BINS,
    MIN_BINS,
    Thresholds,
    Weakness,
    exceeded,
    quantile_borders,
    weaknesses,
)
from scoring.schemes import Grid, Rule, claims, settle

DIRECTION = "high_is_best"  # not universal: OroCRM's best is 1. Stored, so that a file of the other kind is refused
AXES = ("r", "f", "m")
SHIPPED = ("sales5", "customer360", "octolis6")

Work = Literal["vip", "loyal", "promising", "at_risk", "sleeping"]
Language = Literal["ru", "en"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of a method: the value on the card, who it is for people, and how it is worked with.

    `work` is the class whose SLA and cadence apply. `rank` orders segments from 1, the best. `at_risk` turns
    the churn flag on.
    """

    value: str
    label: Mapping[Language, str]
    work: Work
    rank: int
    at_risk: bool


@dataclass(frozen=True)
class Method:
    """Rules of scoring: bins, window in days, the segment of every code, the upsell rule.

    `limits` are fixed thresholds; None means thresholds are fitted to the portal's customers. `table` has a
    position in `segments` for every cell of `grid`.
    """

    name: str
    window: int
    grid: Grid
    segments: tuple[Segment, ...]
    table: tuple[int, ...]
    upsell: tuple[str, ...]
    limits: Thresholds | None = None

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
        _check_borders(limits, self.bins)
        return replace(self, limits=limits)

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
        }

    @cached_property
    def segment_table(self) -> Int8:
        """`table` as an array."""
        return np.array(self.table, dtype=np.int8)

    @cached_property
    def at_risk_table(self) -> Bool:
        """Per cell, whether its segment turns the churn flag on."""
        return np.array([self.segments[owner].at_risk for owner in self.table], dtype=np.bool_)

    @cached_property
    def upsell_table(self) -> Bool:
        """Per cell, whether the upsell flag is on."""
        return self.grid.where(self.upsell)


@dataclass(frozen=True)
class MethodVersion:
    """A published method: rules and thresholds that never change again. The card shows `label`."""

    name: str
    version: int
    method: Method
    thresholds: Thresholds

    @property
    def label(self) -> str:
        """Such as sales5@1."""
        return f"{self.name}@{self.version}"

    def to_json(self) -> str:
        """Canonical JSON: the same version is always the same text."""
        spec = {
            "name": self.name,
            "version": self.version,
            "method": self.method.spec(),
            "thresholds": self.thresholds.spec(),
        }
        return json.dumps(spec, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read it back. Raises `BadMethod` or `SegmentGap` when the text was tampered with into nonsense."""
        try:
            spec = json.loads(text)
            method = parse_method(spec["method"])
            thresholds = Thresholds.from_spec(spec["thresholds"])
            version = cls(str(spec["name"]), int(spec["version"]), method, thresholds)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise BadMethod(f"the stored method version is damaged: {error!r}") from error
        _check_borders(thresholds, method.bins)
        return version

    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Fit:
    """Thresholds for a portal, and what makes them weak; nothing, if they are sound."""

    thresholds: Thresholds
    weak: tuple[Weakness, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of the customers of a summary, in its order. `cell` and `segment` point into the method's tables."""

    r: Int8
    f: Int8
    m: Int8
    cell: NDArray[np.int16]
    segment: Int8


def method_names() -> tuple[str, ...]:
    """The methods that ship, the default first."""
    return SHIPPED


def load_method(name: str) -> Method:
    """A method that ships, by name. Raises `UnknownMethod`, which lists those there are."""
    if name not in SHIPPED:
        raise UnknownMethod(name, SHIPPED)
    text = files("scoring").joinpath("tables", f"{name}.toml").read_text(encoding="utf-8")
    return parse_method(tomllib.loads(text))


def parse_method(spec: Mapping[str, Any]) -> Method:
    """A method from a parsed file. Raises `SegmentGap` for a table that is no partition, else `BadMethod`."""
    try:
        return _parse(spec)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise BadMethod(f"the method file is not understood: {error!r}") from error


def fit(method: Method, summary: Summary) -> Fit:
    """Thresholds of all scored customers together. Fixed limits are taken as they are and are never weak.

    Raises `NothingToFit` when a fitted method meets no customer.
    """
    if method.limits is not None:
        return Fit(method.limits, ())
    thresholds = Thresholds(
        quantile_borders(summary.recency, method.bins),
        quantile_borders(summary.frequency, method.bins),
        quantile_borders(summary.monetary, method.bins),
    )
    return Fit(thresholds, weaknesses(len(summary), thresholds, method.bins))


def score(version: MethodVersion, summary: Summary) -> Scores:
    """Scores and segments. Raises `BadMethod` when the summary was counted over another window."""
    method, borders = version.method, version.thresholds
    if summary.window != method.window:
        raise BadMethod(f"counted over {summary.window} days, but {version.label} says {method.window}")
    bins = method.bins
    best = np.int8(bins)
    r = best - exceeded(summary.recency, borders.r)
    f = exceeded(summary.frequency, borders.f) + np.int8(1)
    m = exceeded(summary.monetary, borders.m) + np.int8(1)
    cell = ((r - 1) * np.int16(bins) + (f - 1)) * np.int16(bins) + (m - 1)
    return Scores(r, f, m, cell, method.segment_table[cell])


def apply(version: MethodVersion, summary: Summary) -> Customers:
    """Scores, segments and flags. The summary must have its history; raises `BadMethod` if it does not fit."""
    history = summary.history
    if history is None:
        raise BadMethod("the churn flag needs the history: summarise with history=True")
    method, scores = version.method, score(version, summary)
    overdue = summary.recency > 2 * history.median_gap  # False where there is no rhythm yet: NaN
    return Customers(
        method=version.label,
        codes=method.grid.codes,
        segments=tuple(segment.value for segment in method.segments),
        number=summary.number,
        recency=summary.recency,
        frequency=summary.frequency,
        monetary=summary.monetary,
        r_score=scores.r,
        f_score=scores.f,
        m_score=scores.m,
        cell=scores.cell,
        segment=scores.segment,
        churn_risk=method.at_risk_table[scores.cell] | overdue,
        upsell=method.upsell_table[scores.cell],
    )


def _parse(spec: Mapping[str, Any]) -> Method:
    if spec["direction"] != DIRECTION:
        raise BadMethod(f"direction must be {DIRECTION!r}: the best score is the highest")
    bins = int(spec["bins"])
    if not MIN_BINS <= bins <= MAX_BINS:
        raise BadMethod(f"bins must be {MIN_BINS} to {MAX_BINS}, not {bins}")
    grid = Grid(AXES, 1, bins, {axis: tuple(parts) for axis, parts in spec.get("derived", {}).items()})
    rules = [_rule(entry) for entry in spec["segments"]]
    owner = settle(grid, claims(grid, rules), spec.get("precedence"))
    segments = tuple(_segment(entry, rank) for rank, entry in enumerate(spec["segments"], start=1))
    values = [segment.value for segment in segments]
    if len(set(values)) != len(values):
        raise BadMethod("two segments have the same value")
    grid.where(spec["upsell"])
    limits = Thresholds.from_spec(spec["limits"]) if spec.get("limits") else None
    if limits is not None:
        _check_borders(limits, bins)
    table = tuple(values.index(owner[code]) for code in grid.codes)
    method = Method(str(spec["name"]), 1, grid, segments, table, tuple(spec["upsell"]), limits)
    return method.with_window(int(spec["window"]))


def _rule(entry: Mapping[str, Any]) -> Rule:
    return Rule(
        segment=str(entry["value"]),
        codes=tuple(entry.get("codes", ())),
        ranges={axis: (int(low), int(high)) for axis, (low, high) in entry.get("ranges", {}).items()},
        where=tuple(entry.get("where", ())),
        unless=tuple(entry.get("unless", ())),
    )


def _segment(entry: Mapping[str, Any], position: int) -> Segment:
    if entry["work"] not in get_args(Work):
        raise BadMethod(f"work of {entry['value']!r} must be one of {', '.join(get_args(Work))}")
    return Segment(
        value=str(entry["value"]),
        label={language: str(entry["label"][language]) for language in get_args(Language)},
        work=cast("Work", entry["work"]),
        rank=int(entry.get("rank", position)),
        at_risk=bool(entry.get("at_risk", False)),
    )


def _segment_spec(segment: Segment, codes: list[str]) -> dict[str, Any]:
    return {
        "value": segment.value,
        "label": dict(segment.label),
        "work": segment.work,
        "rank": segment.rank,
        "at_risk": segment.at_risk,
        "codes": codes,
    }


def _check_borders(thresholds: Thresholds, bins: int) -> None:
    for axis, borders in (("r", thresholds.r), ("f", thresholds.f), ("m", thresholds.m)):
        if len(borders) != bins - 1:
            raise BadMethod(f"{bins} bins have {bins - 1} borders, but {axis} has {len(borders)}")
