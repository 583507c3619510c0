"""How a method sits on a portal's customers: each criterion with its reason and share, and what looks unhealthy.

For the person who approves a fit: scores nobody has, segments that hold half the base or nobody, a window too narrow
for how rarely people buy. Findings advise; they refuse nothing and change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from scoring.axes import AXES
from scoring.errors import BadMethod
from scoring.features import Summary
from scoring.methods import MethodVersion, Scores
from scoring.scales import Axis, advise_bins
from scoring.terms import Language

CROWDED = 0.6
_CROWDED_SCORE = 0.7
_IDLE_WINDOW = 0.5

Kind = Literal["score_empty", "score_crowded", "segment_empty", "segment_crowded", "window_narrow"]


@dataclass(frozen=True, slots=True)
class Criterion:
    """Who gets a score on an axis: values from `low` to `high`, both included, None without an end (m in hundredths).

    `low` above `high` means that no value gets it, because borders coincide. `share` is of all scored customers.
    """

    axis: Axis
    score: int
    low: int | None
    high: int | None
    customers: int
    share: float
    why: str
    percent: int = 0

    def reason(self, language: Language) -> str:
        """Why its border lies there, in a sentence: `high`, which the outermost score does not have."""
        return _REASONS[language][self.why].format(percent=self.percent)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something unhealthy: `subject` is an axis with its score (F2), a segment's value, or the window in days."""

    kind: Kind
    subject: str
    share: float

    def text(self, language: Language) -> str:
        """The finding in a sentence, with what to do."""
        return _FINDINGS[language][self.kind].format(subject=self.subject, share=round(100 * self.share))


@dataclass(frozen=True, slots=True)
class Fitness:
    """All criteria, best score first on each axis; what is unhealthy; the number of scores the base's size carries."""

    method: str
    customers: int
    criteria: tuple[Criterion, ...]
    findings: tuple[Finding, ...]
    advised_bins: int

    @property
    def healthy(self) -> bool:
        """Whether there is nothing to look at."""
        return not self.findings


def examine(version: MethodVersion, summary: Summary, scores: Scores) -> Fitness:
    """Look at a version on the customers it was scored with; raises `BadMethod` where there are none."""
    size = len(summary)
    if not size:
        raise BadMethod("nobody is scored: there is nothing to examine")
    criteria = tuple(_criteria(version, scores, size))
    findings = (*_odd_scores(criteria), *_odd_segments(version, scores, size), *_odd_window(summary, size))
    return Fitness(version.label, size, criteria, findings, advise_bins(size))


def _criteria(version: MethodVersion, scores: Scores, size: int) -> Iterator[Criterion]:
    bins, thresholds = version.method.bins, version.thresholds
    columns = {"r": (scores.r, thresholds.r), "f": (scores.f, thresholds.f), "m": (scores.m, thresholds.m)}
    for axis in AXES:
        column, borders = columns[axis]
        counts = np.bincount(column, minlength=bins + 1).tolist()
        lowest = None if axis == "m" else 0
        for score in range(bins, 0, -1):
            place = bins - score if axis == "r" else score - 1
            low = borders[place - 1] + 1 if place else lowest
            high = borders[place] if place < len(borders) else None
            why, percent = _why(version, axis, place)
            yield Criterion(axis, score, low, high, counts[score], counts[score] / size, why, percent)


def _why(version: MethodVersion, axis: Axis, place: int) -> tuple[str, int]:
    scale, bins = version.method.scales.of(axis), version.method.bins
    if place == bins - 1:
        return "outermost", 0
    if version.method.limits is not None or scale.kind == "fixed":
        return "fixed", 0
    if scale.kind == "interval":
        return "interval", scale.percentiles[place]
    return "quantile", round(100 * (place + 1) / bins)


def _odd_scores(criteria: Sequence[Criterion]) -> Iterator[Finding]:
    for one in criteria:
        subject = f"{one.axis.upper()}{one.score}"
        if not one.customers:
            yield Finding("score_empty", subject, 0.0)
        elif one.share > _CROWDED_SCORE:
            yield Finding("score_crowded", subject, one.share)


def _odd_segments(version: MethodVersion, scores: Scores, size: int) -> Iterator[Finding]:
    counts = np.bincount(scores.segment, minlength=len(version.method.segments)).tolist()
    for segment, count in zip(version.method.segments, counts, strict=True):
        if not count:
            yield Finding("segment_empty", segment.value, 0.0)
        elif count / size > CROWDED:
            yield Finding("segment_crowded", segment.value, count / size)


def _odd_window(summary: Summary, size: int) -> Iterator[Finding]:
    idle = int((summary.frequency == 0).sum()) / size
    if idle > _IDLE_WINDOW:
        yield Finding("window_narrow", str(summary.window), idle)


_REASONS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "fixed": "the border is stated in the method",
        "quantile": "the smallest value that at least {percent} % of the customers do not exceed",
        "interval": "at least {percent} % of the repeat buyers have an own interval not longer than this",
        "outermost": "everything beyond the last border",
    },
    "ru": {
        "fixed": "граница задана в методике",
        "quantile": "наименьшее значение, которое не превышают хотя бы {percent} % клиентов",
        "interval": "хотя бы у {percent} % повторных покупателей свой интервал не длиннее",
        "outermost": "всё за последней границей",
    },
}
_FINDINGS: Mapping[Language, Mapping[Kind, str]] = {
    "en": {
        "score_empty": "nobody has {subject}: take fewer scores or other borders",
        "score_crowded": "{share} % of the customers have {subject}: the axis hardly parts them",
        "segment_empty": "the segment {subject} is empty on this base",
        "segment_crowded": "the segment {subject} holds {share} % of the customers: it says little about any of them",
        "window_narrow": "{share} % of the customers have no order in {subject} days: take a longer window",
    },
    "ru": {
        "score_empty": "балла {subject} нет ни у кого: возьмите меньше баллов или другие границы",
        "score_crowded": "балл {subject} у {share} % клиентов: ось их почти не различает",
        "segment_empty": "сегмент {subject} на этой базе пуст",
        "segment_crowded": "в сегменте {subject} {share} % клиентов: он мало говорит о каждом",
        "window_narrow": "у {share} % клиентов нет заказов за {subject} дней: возьмите окно длиннее",
    },
}
