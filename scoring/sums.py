"""Exact sums of money in 64-bit integers, and their rounding to hundredths. No floats anywhere.

A 64-bit sum wraps around silently. Amounts below 2**31 cannot make it wrap within 2**32 rows, so for them
`low` alone is the sum. Where larger amounts occur, `high` holds the sum of their upper halves as well, which
tells how often `low` has wrapped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scoring.errors import BadFrame
from scoring.frames import MIN_PLACES, Bool, Int64

HALF_BITS = 32
SAFE_AMOUNT = 1 << 31  # a power of two: sieve.py recognises larger amounts by their bits
_SAFE_HIGH = 1 << 29  # an upper half below it leaves the whole sum below 2**62, given fewer than 2**29 rows


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums of amounts that are 0 or more: `low` modulo 2**64, `high` of amount >> 32 or None where not needed."""

    low: Int64
    high: Int64 | None


@dataclass(frozen=True, slots=True, eq=False)
class Refunds:
    """Amounts of 0 or less with the position of the sum that each lowers."""

    position: Int64
    amount: Int64


def hundredths(sums: Sums, refunds: Refunds, places: int) -> Int64:
    """Take the refunds off and round from 10**-places to 10**-2, halves away from zero.

    Raises `BadFrame` when a result does not fit into 64 bits.
    """
    scale = int(10 ** (places - MIN_PLACES))
    low = sums.low.copy()
    np.add.at(low, refunds.position, refunds.amount)
    rounded = _round(low, scale)
    wide = _maybe_wrapped(sums, refunds)
    if wide is not None and wide.any():
        rounded[wide] = _round_wide(sums, refunds, wide, scale)
    return rounded


def _round(units: Int64, scale: int) -> Int64:
    if scale == 1:
        return units
    rounded: Int64 = np.abs(units)
    rounded += scale // 2
    rounded //= scale
    np.negative(rounded, out=rounded, where=units < 0)
    return rounded


def _maybe_wrapped(sums: Sums, refunds: Refunds) -> Bool | None:
    """Mark the sums that might not fit; None when none can be."""
    returned = -int(refunds.amount.min(initial=0))
    if sums.high is None and returned < SAFE_AMOUNT:
        return None
    upper = np.zeros_like(sums.low) if sums.high is None else sums.high
    lowered = np.zeros_like(sums.low)
    np.add.at(lowered, refunds.position, refunds.amount >> HALF_BITS)
    marked: Bool = (upper >= _SAFE_HIGH) | (lowered <= -_SAFE_HIGH)
    return marked


def _round_wide(sums: Sums, refunds: Refunds, wide: Bool, scale: int) -> Int64:
    """The same for the marked sums, in Python's unbounded integers."""
    taken: dict[int, int] = dict.fromkeys(np.flatnonzero(wide).tolist(), 0)
    for position, amount in zip(refunds.position.tolist(), refunds.amount.tolist(), strict=True):
        if position in taken:
            taken[position] += amount
    exact = [_whole(sums, position) + amount for position, amount in taken.items()]
    rounded = [(abs(value) + scale // 2) // scale * (1 if value > 0 else -1) for value in exact]
    if max(map(abs, rounded)) >= 1 << 63:
        raise BadFrame("the sum of a customer's amounts is too large", column="amount")
    return np.array(rounded, dtype=np.int64)


def _whole(sums: Sums, position: int) -> int:
    low = int(sums.low[position])
    if sums.high is None:
        return low
    upper = int(sums.high[position]) << HALF_BITS
    return upper + ((low - upper) & ((1 << 64) - 1))
