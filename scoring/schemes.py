"""Codes → segments: rules are laid out over the whole grid of codes, and proven to cover each exactly once.

A code is a row of digits, one per axis, such as 545. A rule claims codes by listing them, by ranges, or by
conditions such as "f + m >= 6". Two segments claiming one code are refused unless the table says who wins.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from scoring.errors import BadMethod, SegmentGap
from scoring.frames import Bool

_CONDITION = re.compile(r"(?P<sum>[a-z]+(?: \+ [a-z]+)*) (?P<sign>>=|<=|==|>|<) (?P<bound>\d+)")
_SIGNS = {
    ">=": np.greater_equal,
    "<=": np.less_equal,
    "==": np.equal,
    ">": np.greater,
    "<": np.less,
}


@dataclass(frozen=True)
class Grid:
    """All codes of `axes`, each digit from `low` to `high`. `derived` axes are means of others, rounded up."""

    axes: tuple[str, ...]
    low: int
    high: int
    derived: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def cells(self) -> tuple[tuple[int, ...], ...]:
        """The digits of every code, ascending; the position is the cell's number."""
        return tuple(product(range(self.low, self.high + 1), repeat=len(self.axes)))

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """The code of every cell. Digits stand together, or between dashes where 10 is a digit."""
        dash = "-" if self.high > 9 else ""
        return tuple(dash.join(map(str, digits)) for digits in self.cells)

    def digits(self, axis: str) -> NDArray[np.int64]:
        """The digit of an axis, or the value of a derived one, in every cell."""
        if axis in self.axes:
            return np.array(self.cells, dtype=np.int64)[:, self.axes.index(axis)]
        if axis in self.derived:
            parts = self.derived[axis]
            total = np.sum([self.digits(part) for part in parts], axis=0)
            mean: NDArray[np.int64] = -(-total // len(parts))
            return mean
        raise BadMethod(f"there is no axis {axis!r}; axes are {', '.join([*self.axes, *self.derived])}")

    def holds(self, condition: str) -> Bool:
        """In which cells a condition such as "r >= 4" or "f + m <= 5" holds."""
        match = _CONDITION.fullmatch(condition)
        if match is None:
            raise BadMethod(f"{condition!r} is not a condition such as 'r >= 4' or 'f + m <= 5'")
        total = sum(self.digits(axis) for axis in match["sum"].split(" + "))
        held: Bool = _SIGNS[match["sign"]](total, int(match["bound"]))
        return held

    def where(self, conditions: Sequence[str]) -> Bool:
        """In which cells all conditions hold."""
        held = np.ones(len(self.cells), dtype=np.bool_)
        for condition in conditions:
            held &= self.holds(condition)
        return held


@dataclass(frozen=True, slots=True)
class Rule:
    """What a segment claims: the listed codes, and the cells where ranges and conditions all hold.

    `ranges` are inclusive. `unless` names segments whose claims are left to them.
    """

    segment: str
    codes: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    where: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()

    def claim(self, grid: Grid) -> set[str]:
        """The codes it claims, without regard to `unless`; listed ones may lie outside the grid."""
        claimed = set(self.codes)
        if self.ranges or self.where:
            bounds = [f"{axis} >= {low}" for axis, (low, _) in self.ranges.items()]
            bounds += [f"{axis} <= {high}" for axis, (_, high) in self.ranges.items()]
            held = grid.where([*bounds, *self.where])
            claimed |= {grid.codes[cell] for cell in np.flatnonzero(held)}
        return claimed


@dataclass(frozen=True, slots=True)
class Inversion:
    """A code that is one step better than another, but whose segment ranks lower."""

    code: str
    segment: str
    lower_code: str
    lower_segment: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What is wrong with a table. Inversions are odd but not refused: published tables have them."""

    missing: tuple[str, ...]
    overlaps: Mapping[str, tuple[str, ...]]
    unknown: tuple[str, ...]
    inversions: tuple[Inversion, ...]

    @property
    def partition(self) -> bool:
        """Whether every code has exactly one segment."""
        return not (self.missing or self.overlaps or self.unknown)


def claims(grid: Grid, rules: Sequence[Rule]) -> dict[str, set[str]]:
    """The codes each segment claims; several rules of one segment add up."""
    raw: dict[str, set[str]] = {}
    for rule in rules:
        raw.setdefault(rule.segment, set()).update(rule.claim(grid))
    left = {segment: set(codes) for segment, codes in raw.items()}
    for rule in rules:
        for other in rule.unless:
            if other not in raw:
                raise BadMethod(f"segment {rule.segment!r} names an unknown segment {other!r}")
            left[rule.segment] -= raw[other]
    return left


def prove(
    grid: Grid,
    claimed: Mapping[str, Collection[str]],
    *,
    precedence: Mapping[str, str] | None = None,
    ranks: Mapping[str, int] | None = None,
) -> Proof:
    """Look for gaps, overlaps, codes outside the grid, and inversions.

    `precedence` says which segment gets a code that several claim; `BadMethod` if it settles what is not in
    dispute. `ranks`: 1 is best; by default the order of `claimed`. Equal ranks never make an inversion.
    """
    owners: dict[str, list[str]] = {code: [] for code in grid.codes}
    for segment, codes in claimed.items():
        for code in codes:
            owners.setdefault(code, []).append(segment)
    for code, winner in (precedence or {}).items():
        if len(owners.get(code, ())) < 2 or winner not in owners[code]:
            raise BadMethod(f"precedence gives {code} to {winner!r}, but the code is not in dispute with it")
        owners[code] = [winner]
    ranks = ranks or {segment: rank for rank, segment in enumerate(claimed)}
    on_grid = {code: tuple(owners[code]) for code in grid.codes}
    return Proof(
        missing=tuple(code for code, found in on_grid.items() if not found),
        overlaps={code: found for code, found in on_grid.items() if len(found) > 1},
        unknown=tuple(sorted(set(owners) - set(on_grid))),
        inversions=tuple(_inversions(grid, on_grid, ranks)),
    )


def settle(
    grid: Grid, claimed: Mapping[str, Collection[str]], precedence: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Every code's segment, in the grid's order. Raises `SegmentGap` unless each has exactly one."""
    proof = prove(grid, claimed, precedence=precedence)
    if not proof.partition:
        raise SegmentGap(missing=proof.missing, overlaps=proof.overlaps, unknown=proof.unknown)
    owner = {code: segment for segment, codes in claimed.items() for code in codes}
    owner.update(precedence or {})
    return {code: owner[code] for code in grid.codes}


def _inversions(grid: Grid, owners: Mapping[str, tuple[str, ...]], ranks: Mapping[str, int]) -> list[Inversion]:
    """Neighbouring codes suffice: between two codes far apart, some single step already goes the wrong way."""
    code_of = dict(zip(grid.cells, grid.codes, strict=True))
    found = []
    for digits, lower in code_of.items():
        for axis in range(len(digits)):
            code = code_of.get((*digits[:axis], digits[axis] + 1, *digits[axis + 1 :]))
            if code is None or len(owners[code]) != 1 or len(owners[lower]) != 1:
                continue
            (segment,), (lower_segment,) = owners[code], owners[lower]
            if ranks[segment] > ranks[lower_segment]:
                found.append(Inversion(code, segment, lower, lower_segment))
    return found
