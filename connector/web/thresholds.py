"""What each score takes: the borders of a method version as ranges that people can read. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from connector.web.texts import Texts
from scoring.methods import MethodVersion


@dataclass(frozen=True, slots=True)
class ScoreRange:
    """One score and what R, F and M it stands for; None where no value gets it."""

    score: int
    r: str | None
    f: str | None
    m: str | None


def score_ranges(version: MethodVersion, currency: str, texts: Texts) -> list[ScoreRange]:
    """From the best score down. R counts the other way round: the fewest days have the best score."""
    bins, borders = version.method.bins, version.thresholds

    def money(hundredths: int) -> str:
        return texts.money(Decimal(hundredths).scaleb(-2), currency)

    return [
        ScoreRange(
            score,
            _range(borders.r, bins - score, 0, texts.number, texts),
            _range(borders.f, score - 1, 0, texts.number, texts),
            _range(borders.m, score - 1, None, money, texts),
        )
        for score in range(bins, 0, -1)
    ]


def _range(
    borders: Sequence[int], place: int, lowest: int | None, show: Callable[[int], str], texts: Texts
) -> str | None:
    """The values above border `place` - 1 and up to border `place`; `lowest` None means there is no lowest value."""
    low = borders[place - 1] + 1 if place else lowest
    if place == len(borders):
        return texts("method.over", low=show(low if low is not None else 0))
    high = borders[place]
    if low is None:
        return texts("method.up_to", high=show(high))
    if low > high:
        return None
    return show(low) if low == high else texts("method.between", low=show(low), high=show(high))
