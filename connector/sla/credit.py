"""Whose order it was: our sequences are told apart from mailings, by the first or the last significant touch.

Pure. Which touch an order is credited to, and within what time, is agreed with the head of sales before anybody counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum


class Source(StrEnum):
    """Where a touch came from, so that our work and mailings are told apart."""

    SEQUENCE = "sequence"
    MAILING = "mailing"
    INBOUND = "inbound"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Touched:
    """A significant touch: a contact that counts, or a mailing with an answer, a click or a visit behind it."""

    at: datetime
    source: Source
    label: str
    """The rule, or the mailing's own name."""


class Credit(StrEnum):
    """Which touch an order is credited to; agreed with the head of sales beforehand."""

    FIRST = "first"
    LAST = "last"


def credited(
    touches: Iterable[Touched], ordered_at: datetime, credit: Credit, *, within: timedelta = timedelta(days=30)
) -> Touched | None:
    """The touch that an order is credited to: the first or last one within the time before it; None without any."""
    near = sorted(
        (touch for touch in touches if ordered_at - within <= touch.at <= ordered_at),
        key=lambda touch: (touch.at, touch.source, touch.label),
    )
    if not near:
        return None
    return near[0] if credit is Credit.FIRST else near[-1]


@dataclass(frozen=True, slots=True)
class Credited:
    """Orders and their sum by where the credited touch came from; `None` as a source: nobody had touched them."""

    orders: Mapping[Source | None, int] = field(default_factory=dict)
    revenue: Mapping[Source | None, Decimal] = field(default_factory=dict)


def credit_orders(
    orders: Iterable[tuple[datetime, Decimal, Sequence[Touched]]],
    credit: Credit,
    *,
    within: timedelta = timedelta(days=30),
) -> Credited:
    """Tell our sequences' orders from the mailings': each order (time, amount, touches of its customer) counts once."""
    counts: dict[Source | None, int] = defaultdict(int)
    sums: dict[Source | None, Decimal] = defaultdict(Decimal)
    for at, amount, touches in orders:
        touch = credited(touches, at, credit, within=within)
        source = None if touch is None else touch.source
        counts[source] += 1
        sums[source] += amount
    return Credited(dict(counts), dict(sums))
