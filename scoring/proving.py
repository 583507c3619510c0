"""The prover: what is wrong with a segment table, as a value and as lines for people.

Takes method files and bare tables (code lists, ranges, conditions, grids of R and a derived axis), sound or not. A
finding is a fact about the table: gaps and overlaps make it unusable, inversions and codes that no customer can ever
have are odd but allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scoring.axes import AXES, Scales, parse_scales
from scoring.errors import BadMethod
from scoring.files import read_spec
from scoring.parsing import Draft, method_window, parse_draft
from scoring.reading import Entry
from scoring.scales import Axis
from scoring.schemes import Proof, claims, prove
from scoring.terms import Language

_SHOWN = 12
_NO_END = 1 << 62


@dataclass(frozen=True, slots=True)
class TableReport:
    """What the prover found. `sizes`: how many codes each segment has, those in dispute counted for each.

    `disputes` are all codes that several segments claim, settled by precedence or not; `proof.overlaps` are the
    unsettled ones. `unreachable` are codes that no customer can have, because the method's fixed limits and window
    exclude each other there; fitted axes exclude nothing.
    """

    name: str
    codes: int
    sizes: Mapping[str, int]
    proof: Proof
    disputes: Mapping[str, tuple[str, ...]]
    settled: Mapping[str, str]
    unreachable: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether every code has exactly one segment, so that the table may be used."""
        return self.proof.partition

    def lines(self, language: Language) -> list[str]:
        """The report for people, verdict first."""
        return list(_lines(self, _WORDS[language]))

    def spec(self) -> dict[str, Any]:
        """The report as plain values, for --json."""
        return {
            "name": self.name,
            "sound": self.sound,
            "codes": self.codes,
            "sizes": dict(self.sizes),
            "missing": list(self.proof.missing),
            "overlaps": {code: list(owners) for code, owners in self.proof.overlaps.items()},
            "settled": dict(self.settled),
            "unknown": list(self.proof.unknown),
            "inversions": [
                {"code": i.code, "segment": i.segment, "lower_code": i.lower_code, "lower_segment": i.lower_segment}
                for i in self.proof.inversions
            ],
            "unreachable": list(self.unreachable),
        }


def prove_file(path: Path) -> TableReport:
    """Prove a method file or a bare table. Raises `BadMethod`, naming file and key, only if it cannot be read."""
    try:
        return prove_spec(read_spec(path))
    except BadMethod as error:
        raise (error if error.file else error.inside(path.name)) from None


def prove_spec(spec: Mapping[str, Any]) -> TableReport:
    """The same for a parsed file, or for `Method.spec()`."""
    file, draft = Entry(spec), parse_draft(spec)
    unreachable: tuple[str, ...] = ()
    if "axes" not in file:
        unreachable = find_unreachable(draft, parse_scales(file, draft.grid.high), method_window(file))
    name = spec.get("name")
    return prove_draft(draft, name=name if isinstance(name, str) else "", unreachable=unreachable)


def prove_draft(draft: Draft, *, name: str = "", unreachable: Sequence[str] = ()) -> TableReport:
    """Prove a table given as rules. Raises `BadMethod` where precedence settles what is not in dispute."""
    claimed = claims(draft.grid, draft.rules)
    raw = prove(draft.grid, claimed, ranks=draft.ranks)
    proof = prove(draft.grid, claimed, precedence=draft.precedence, ranks=draft.ranks)
    return TableReport(
        name=name,
        codes=len(draft.grid.codes),
        sizes={segment: len(codes) for segment, codes in claimed.items()},
        proof=proof,
        disputes=raw.overlaps,
        settled=draft.precedence,
        unreachable=tuple(unreachable),
    )


def find_unreachable(draft: Draft, scales: Scales, window: int) -> tuple[str, ...]:
    """Codes that no customer can have, whatever he does.

    R is 0 or more, F is 0 or more. Whoever ordered within the window has F of 1 or more; whoever did not has F = 0
    and an M of 0 or less. A fitted axis may have its borders anywhere, except that F = 0 always has score 1.
    """
    return tuple(
        code
        for digits, code in zip(draft.grid.cells, draft.grid.codes, strict=True)
        if not _reachable(dict(zip(AXES, digits, strict=True)), scales, draft.grid.high, window)
    )


def _reachable(digits: Mapping[Axis, int], scales: Scales, bins: int, window: int) -> bool:
    r_low, r_high = _values(scales, "r", bins + 1 - digits["r"], lowest=0)
    f_low, f_high = _values(scales, "f", digits["f"], lowest=0)
    m_low, m_high = _values(scales, "m", digits["m"], lowest=-_NO_END)
    if r_low > r_high or f_low > f_high or m_low > m_high:
        return False
    silent = r_high >= window and f_low <= 0 <= f_high and m_low <= 0
    buying = r_low < window and f_high >= 1
    return silent or buying


def _values(scales: Scales, axis: Axis, place: int, *, lowest: int) -> tuple[int, int]:
    """The values that lie above border `place` - 1 and up to border `place`, counted from 1."""
    scale = scales.of(axis)
    if scale.kind != "fixed":
        return (1 if axis == "f" and place > 1 else lowest), _NO_END
    low = lowest if place == 1 else scale.borders[place - 2] + 1
    return max(low, lowest), _NO_END if place > len(scale.borders) else scale.borders[place - 1]


_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "sound": "{name}: sound, each of the {codes} codes has exactly one segment",
        "unsound": "{name}: refused, of {codes} codes {missing} have no segment and {overlaps} have several",
        "sizes": "codes by segment: {list}",
        "missing": "without a segment ({n}): {list}",
        "overlap": "{code} is claimed by {list}",
        "overlaps": "claimed by several segments ({n}):",
        "settled": "claimed by several, settled by precedence ({n}): {list}",
        "unknown": "not a code of this grid ({n}): {list}",
        "inversions": "a better code in a worse segment ({n}):",
        "inversion": "{code} is {segment}, though the lower {lower_code} is {lower_segment}",
        "no_inversions": "no better code lies in a worse segment",
        "unreachable": "no customer can ever have, by limits and window ({n}): {list}",
        "more": "and {n} more",
        "table": "the table",
    },
    "ru": {
        "sound": "{name}: таблица верна, у каждого из кодов ({codes}) ровно один сегмент",
        "unsound": "{name}: таблица не принята; кодов {codes}, без сегмента {missing}, с несколькими {overlaps}",
        "sizes": "кодов по сегментам: {list}",
        "missing": "без сегмента ({n}): {list}",
        "overlap": "{code} указан в сегментах {list}",
        "overlaps": "в нескольких сегментах ({n}):",
        "settled": "указаны дважды, решено старшинством ({n}): {list}",
        "unknown": "таких кодов в сетке нет ({n}): {list}",
        "inversions": "лучший код в худшем сегменте ({n}):",
        "inversion": "{code} — {segment}, хотя более низкий {lower_code} — {lower_segment}",
        "no_inversions": "лучших кодов в худших сегментах нет",
        "unreachable": "не может получить ни один клиент при этих границах и окне ({n}): {list}",
        "more": "и ещё {n}",
        "table": "таблица",
    },
}


def _lines(report: TableReport, words: Mapping[str, str]) -> Iterator[str]:
    proof, name = report.proof, report.name or words["table"]
    verdict = words["sound" if report.sound else "unsound"]
    yield verdict.format(name=name, codes=report.codes, missing=len(proof.missing), overlaps=len(proof.overlaps))
    yield words["sizes"].format(list=", ".join(f"{segment} {size}" for segment, size in report.sizes.items()))
    for key, codes in (("missing", proof.missing), ("unknown", proof.unknown)):
        if codes:
            yield words[key].format(n=len(codes), list=", ".join(codes))
    if proof.overlaps:
        yield words["overlaps"].format(n=len(proof.overlaps))
        yield from _some(
            [words["overlap"].format(code=code, list=", ".join(own)) for code, own in proof.overlaps.items()], words
        )
    if report.settled:
        won = ", ".join(f"{code} → {segment}" for code, segment in report.settled.items())
        yield words["settled"].format(n=len(report.settled), list=won)
    yield words["inversions" if proof.inversions else "no_inversions"].format(n=len(proof.inversions))
    yield from _some(
        [
            words["inversion"].format(
                code=i.code, segment=i.segment, lower_code=i.lower_code, lower_segment=i.lower_segment
            )
            for i in proof.inversions
        ],
        words,
    )
    if report.unreachable:
        yield words["unreachable"].format(n=len(report.unreachable), list=", ".join(report.unreachable))


def _some(lines: Sequence[str], words: Mapping[str, str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield "  " + words["more"].format(n=len(lines) - _SHOWN)
