"""Methods by name, their published versions, and scoring with them: sales5@1 on a summary gives customers.

A method is rules without thresholds of a portal. A version is a method with thresholds, frozen: its JSON is
stored once and never changed, and its digest proves it. Methods ship as tables/*.toml.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Self

import numpy as np
from numpy.typing import NDArray

from scoring.axes import AXES, Scales
from scoring.errors import BadMethod, UnknownMethod
from scoring.features import Summary
from scoring.files import parse_toml
from scoring.frames import Bool, Customers, Int8
from scoring.parsing import parse_method
from scoring.rules import DIRECTION, Churn, Method, Segment, Work, check_borders
from scoring.scales import Thresholds, Weakness, exceeded
from scoring.stability import Previous, steady_scores, steady_segments
from scoring.terms import Language

__all__ = [
    "AXES", "DIRECTION", "SHIPPED", "Churn", "Fit", "Language", "Method", "MethodVersion", "Previous", "Scales",
    "Scores", "Segment", "Work", "apply", "fit", "load_method", "method_names", "parse_method", "score",
]  # fmt: skip

SHIPPED = ("sales5", "customer360", "octolis6", "eleven5", "six3", "rf_map5", "binary")


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
        check_borders(thresholds, method.bins)
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
    """Scores of the customers of a summary, in its order. `cell` and `segment` point into the method's tables.

    `held` marks those who keep their previous segment, against their code, for the method's rules of stability;
    None where nobody could be.
    """

    r: Int8
    f: Int8
    m: Int8
    cell: NDArray[np.int16]
    segment: Int8
    held: Bool | None = None


def method_names() -> tuple[str, ...]:
    """The methods that ship, the default first."""
    return SHIPPED


def load_method(name: str) -> Method:
    """A method that ships, by name. Raises `UnknownMethod`, which lists those there are."""
    if name not in SHIPPED:
        raise UnknownMethod(name, SHIPPED)
    return _shipped(name)


@cache
def _shipped(name: str) -> Method:
    text = files("scoring").joinpath("tables", f"{name}.toml").read_text(encoding="utf-8")
    return parse_method(parse_toml(text))


def fit(method: Method, summary: Summary) -> Fit:
    """Thresholds of all scored customers together. Fixed limits are taken as they are and are never weak.

    Raises `NothingToFit` when a fitted method meets no customer, or an interval scale nobody who bought twice.
    """
    if method.limits is not None:
        return Fit(method.limits, ())
    return Fit(*method.scales.fit(summary, method.bins))


def score(version: MethodVersion, summary: Summary, previous: Previous | None = None) -> Scores:
    """Scores and segments. Raises `BadMethod` when the summary was counted over another window.

    `previous` matters only to a method with rules of stability; without it everybody is scored as new.
    """
    method, borders = version.method, version.thresholds
    if summary.window != method.window:
        raise BadMethod(f"counted over {summary.window} days, but {version.label} says {method.window}")
    bins = method.bins
    if previous is not None and method.stability.active:
        previous.check(len(summary), bins, len(method.segments))
        values = (summary.recency, summary.frequency, summary.monetary)
        r, f, m = steady_scores(values, borders, bins, method.stability, previous)
        cell = _cells(r, f, m, bins)
        segment, held = steady_segments(method.segment_table[cell], r, method.stability, previous)
        return Scores(r, f, m, cell, segment, held)
    r = np.int8(bins) - exceeded(summary.recency, borders.r)
    f = exceeded(summary.frequency, borders.f) + np.int8(1)
    m = exceeded(summary.monetary, borders.m) + np.int8(1)
    cell = _cells(r, f, m, bins)
    return Scores(r, f, m, cell, method.segment_table[cell])


def _cells(r: Int8, f: Int8, m: Int8, bins: int) -> NDArray[np.int16]:
    cell: NDArray[np.int16] = ((r - 1) * np.int16(bins) + (f - 1)) * np.int16(bins) + (m - 1)
    return cell


def apply(version: MethodVersion, summary: Summary, previous: Previous | None = None) -> Customers:
    """Scores, segments and flags. The summary must have its history; raises `BadMethod` if it does not fit.

    `previous` are the scores before, in the summary's order, for methods with rules of stability: see `score`.
    """
    history = summary.history
    if history is None:
        raise BadMethod("the churn flag needs the history: summarise with history=True")
    method, scores = version.method, score(version, summary, previous)
    overdue = method.churn.overdue(summary.recency, history.median_gap, history.order_days)
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
        churn_risk=method.at_risk_segments[scores.segment] | overdue,
        upsell=method.upsell_table[scores.cell],
        held=scores.held,
    )
