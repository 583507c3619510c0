"""What scoring refuses, and why.

::

    ScoringError
    ├── BadFrame         orders that cannot be counted; names the column and the first bad row
    ├── NothingToFit     no customer has an order: there is nothing to take thresholds from
    ├── BadMethod        a method file or a stored method version that does not make sense
    ├── UnknownMethod    no method of that name; lists those there are
    └── SegmentGap       a segment table that does not give every code exactly one segment; lists the codes

None of these carries a customer's data beyond a row's position.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class ScoringError(Exception):
    """Base of everything scoring raises on purpose."""


class BadFrame(ScoringError):
    """The orders cannot be counted. `column` is the offending column, `row` the position of its first bad row."""

    def __init__(self, text: str, *, column: str, row: int | None = None) -> None:
        where = column if row is None else f"{column}, row {row}"
        super().__init__(f"{where}: {text}")
        self.column = column
        self.row = row


class NothingToFit(ScoringError):
    """Nobody has an order on or before the as-of day, so there are no values to take thresholds from."""


class BadMethod(ScoringError):
    """A method file or stored version contradicts itself; the text says where.

    `file` and `key` (such as segments[3].codes) are empty where the refusal is not about a place in a file.
    """

    def __init__(self, text: str, *, key: str = "", file: str = "") -> None:
        super().__init__(": ".join(part for part in (file, key, text) if part))
        self.text = text
        self.key = key
        self.file = file

    def inside(self, file: str) -> BadMethod:
        """The same refusal, naming the file."""
        return BadMethod(self.text, key=self.key, file=file)


class UnknownMethod(ScoringError):
    """There is no such method. `known` are those there are."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(f"there is no method {name!r}; known methods: {', '.join(self.known)}")


class SegmentGap(ScoringError):
    """A segment table does not cover every code exactly once.

    `missing` have no segment, `unknown` are no codes of the grid, `overlaps` maps each code with several
    segments to all of them.
    """

    def __init__(
        self, *, missing: tuple[str, ...], overlaps: Mapping[str, tuple[str, ...]], unknown: tuple[str, ...]
    ) -> None:
        self.missing = missing
        self.overlaps = dict(overlaps)
        self.unknown = unknown
        doubled = ", ".join(f"{code} ({' + '.join(owners)})" for code, owners in self.overlaps.items())
        parts = [
            f"without a segment: {', '.join(missing)}" if missing else "",
            f"with several segments: {doubled}" if doubled else "",
            f"not on the grid: {', '.join(unknown)}" if unknown else "",
        ]
        super().__init__("the segment table is refused; codes " + "; ".join(part for part in parts if part))
