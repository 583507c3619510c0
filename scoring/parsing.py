"""Method files → methods. What is wrong is refused with its key path and what is allowed there.

The reference of keys is docs/scoring-methods.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from scoring import filters, stability, terms
from scoring.axes import AXES, parse_scales
from scoring.errors import BadMethod
from scoring.reading import Entry
from scoring.rules import DIRECTION, Churn, Method, Segment, Work
from scoring.scales import MAX_BINS, MIN_BINS, TWO_BINS
from scoring.schemes import Grid, Rule, claims, settle
from scoring.wording import parse_words

LONGEST_WINDOW = 36_500
MOST_SEGMENTS = 100
KEYS = (
    *("name", "bins", "window", "direction", "upsell", "derived", "limits", "scales", "precedence", "segments"),
    *("filters", *stability.KEYS, "churn", *terms.KEYS),
)
_SEGMENT_KEYS = ("value", "label", "work", "rank", "at_risk", "codes", "ranges", "where", "unless", "words")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MOST_TIMES = 100


@dataclass(frozen=True, slots=True)
class Draft:
    """A file's segment table before it is known to be sound: what each segment claims, and who wins a dispute."""

    grid: Grid
    rules: tuple[Rule, ...]
    precedence: Mapping[str, str]
    ranks: Mapping[str, int]


def parse_method(spec: Mapping[str, Any]) -> Method:
    """A method from a parsed file. Raises `SegmentGap` for a table that is no partition, else `BadMethod`."""
    file = Entry(spec)
    file.only(KEYS)
    if file.need("direction", repr(DIRECTION)) != DIRECTION:
        file.refuse("direction", f"must be {DIRECTION!r}: the best score is the highest")
    bins = file.whole("bins", TWO_BINS, MAX_BINS)
    scales = parse_scales(file, bins)
    if bins < MIN_BINS and scales.limits is None:
        file.refuse("bins", f"must be {MIN_BINS} to {MAX_BINS}; {TWO_BINS} only where limits fix every axis")
    grid = _grid(file, bins)
    table = _draft(file, grid)
    owner = settle(grid, claims(grid, table.rules), table.precedence or None)
    segments = tuple(_segment(part, rank) for rank, part in enumerate(file.entries("segments"), start=1))
    values = [segment.value for segment in segments]
    rules = terms.parse_terms(file)
    return Method(
        name=_name(file),
        window=method_window(file),
        grid=grid,
        segments=segments,
        table=tuple(values.index(owner[code]) for code in grid.codes),
        upsell=_conditions(file, "upsell", grid),
        limits=scales.limits,
        scales=scales,
        filters=filters.parse_filters(file.entry("filters")),
        stability=stability.parse_stability(file),
        churn=_churn(file.entry("churn")),
        terms=rules,
    )


def parse_draft(spec: Mapping[str, Any]) -> Draft:
    """Only the segment table of a file, whole or not; raises `BadMethod` where it cannot be read at all.

    Beside methods this takes bare tables, which say `axes` and the `low` and `high` of their digits.
    """
    file = Entry(spec)
    if "axes" not in file:
        return _draft(file, _grid(file, file.whole("bins", TWO_BINS, MAX_BINS)))
    file.only(("name", "axes", "low", "high", "derived", "precedence", "segments"))
    low = file.whole("low", 0, 1) if "low" in file else 1
    return _draft(file, Grid(file.texts("axes"), low, file.whole("high", low + 1, MAX_BINS), _derived(file)))


def method_window(file: Entry) -> int:
    """Days of F and M: the file's own, else its market's."""
    if "window" in file:
        return file.whole("window", 1, LONGEST_WINDOW)
    market = file.one_of("market", get_args(terms.MarketName)) if "market" in file else None
    return terms.default_window(market)


def _grid(file: Entry, bins: int) -> Grid:
    return Grid(AXES, 1, bins, _derived(file))


def _derived(file: Entry) -> dict[str, tuple[str, ...]]:
    entry = file.entry("derived")
    found = {name: entry.texts(name) for name in entry.values}
    for name, parts in found.items():
        if not parts or not set(parts) <= set(AXES) or name in AXES:
            entry.refuse(name, f"must be a new name for the mean of some of {', '.join(AXES)}, not {list(parts)}")
    return found


def _draft(file: Entry, grid: Grid) -> Draft:
    parts = file.entries("segments")
    if not 1 <= len(parts) <= MOST_SEGMENTS:
        file.refuse("segments", f"there must be 1 to {MOST_SEGMENTS} segments, not {len(parts)}")
    values = [part.text("value") for part in parts]
    for place, value in enumerate(values):
        if value in values[:place]:
            parts[place].refuse("value", f"two segments have the value {value!r}")
    won = file.entry("precedence")
    precedence = {code: won.one_of(code, values) for code in won.values}
    ranks = {value: _rank(part, number) for number, (value, part) in enumerate(zip(values, parts, strict=True), 1)}
    return Draft(grid, tuple(_rule(part, grid, values) for part in parts), precedence, ranks)


def _rule(part: Entry, grid: Grid, values: Sequence[str]) -> Rule:
    part.only(_SEGMENT_KEYS)
    for place, other in enumerate(part.texts("unless")):
        if other not in values:
            part.refuse(f"unless[{place}]", f"there is no segment {other!r}; there are {', '.join(values)}")
    return Rule(
        segment=part.text("value"),
        codes=part.texts("codes"),
        ranges=_ranges(part.entry("ranges"), grid),
        where=_conditions(part, "where", grid),
        unless=part.texts("unless"),
    )


def _ranges(entry: Entry, grid: Grid) -> dict[str, tuple[int, int]]:
    entry.only((*grid.axes, *grid.derived))
    found: dict[str, tuple[int, int]] = {}
    for axis in entry.values:
        ends = entry.wholes(axis, grid.low, grid.high)
        if len(ends) != 2 or ends[0] > ends[1]:
            entry.refuse(axis, f"must be the lowest and the highest digit, such as [{grid.low}, {grid.high}]")
        found[axis] = (ends[0], ends[1])
    return found


def _conditions(part: Entry, key: str, grid: Grid) -> tuple[str, ...]:
    found = part.texts(key)
    for place, condition in enumerate(found):
        try:
            grid.holds(condition)
        except BadMethod as error:
            part.refuse(f"{key}[{place}]", error.text)
    return found


def _segment(part: Entry, position: int) -> Segment:
    value = part.text("value")
    if not _NAME.fullmatch(value):
        part.refuse("value", f"must be lower-case latin letters, digits and _, at most 40, not {value!r}")
    label = part.entry("label")
    label.only(get_args(terms.Language))
    return Segment(
        value=value,
        label={language: label.text(language) for language in get_args(terms.Language)},
        work=cast("Work", part.one_of("work", get_args(Work))),
        rank=_rank(part, position),
        at_risk=part.flag("at_risk"),
        words=parse_words(part),
    )


def _rank(part: Entry, position: int) -> int:
    return part.whole("rank", 1, MOST_SEGMENTS) if "rank" in part else position


def _name(file: Entry) -> str:
    name = file.text("name")
    if not _NAME.fullmatch(name):
        file.refuse("name", f"must be lower-case latin letters, digits and _, at most 40, not {name!r}")
    return name


def _churn(entry: Entry) -> Churn:
    entry.only(("times", "days", "rhythm"))
    plain = Churn()
    times = float(entry.number("times")) if "times" in entry else plain.times
    if not 1 <= times <= _MOST_TIMES:
        entry.refuse("times", f"must be a number from 1 to {_MOST_TIMES}, not {times:g}")
    return Churn(
        times=times,
        days=entry.whole("days", plain.days, 100) if "days" in entry else plain.days,
        rhythm=entry.flag("rhythm") if "rhythm" in entry else plain.rhythm,
    )
