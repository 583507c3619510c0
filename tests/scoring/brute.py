"""Scoring once more, row by row in Decimal, straight from the contract: slow, obvious, and independent."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from statistics import median

import numpy as np

from scoring.frames import Orders


@dataclass(frozen=True)
class Row:
    """An order as a CRM has it: no amount is None."""

    customer: int
    day: int
    amount: Decimal | None
    known: bool = True

    @property
    def is_order(self):
        return self.amount is None or self.amount > 0


@dataclass
class Counted:
    days: list[int] = field(default_factory=list)
    frequency: int = 0
    total: Decimal = Decimal(0)
    unknown: int = 0

    def monetary(self):
        return self.total.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)

    def median_gap(self):
        days = sorted(set(self.days))
        return median(b - a for a, b in pairwise(days)) if len(days) > 2 else None


def count(rows: Iterable[Row], as_of: int, window: int) -> dict[int, Counted]:
    found: dict[int, Counted] = defaultdict(Counted)
    for row in rows:
        if row.day > as_of:
            continue
        mine = found[row.customer]
        inside = as_of - row.day < window
        if row.is_order:
            mine.days.append(row.day)
            mine.frequency += inside
            mine.unknown += not row.known
        if inside and row.known:
            mine.total += row.amount or 0
    return {customer: mine for customer, mine in found.items() if mine.days}


def border(values: list, k: int, bins: int):
    for value in sorted(set(values)):
        if sum(other <= value for other in values) * bins >= k * len(values):
            return value
    raise AssertionError("the largest value always qualifies")


def orders(rows: Iterable[Row], places: int = 2) -> Orders:
    rows = list(rows)
    return Orders(
        customer=np.array([row.customer for row in rows], dtype=np.int64),
        day=np.array([row.day for row in rows], dtype=np.int32),
        amount=np.array([int((row.amount or Decimal(0)).scaleb(places)) for row in rows], dtype=np.int64),
        counts=np.array([row.is_order for row in rows], dtype=np.bool_),
        known=np.array([row.known for row in rows], dtype=np.bool_),
        places=places,
    )
