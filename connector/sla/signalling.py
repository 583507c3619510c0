"""From the signals of a day to occasions: who has one, which rule comes first, and who is left in peace.

Pure; the arithmetic is in `scoring.signals`. Looks at every customer of a portal at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np

from connector.sla.playbook import Playbook
from connector.sla.plays import Signal, SignalRule
from connector.sla.policy import WorkClass
from scoring.frames import Bool, Float64
from scoring.signals import (
    Fall,
    OrderDays,
    Position,
    Rhythm,
    Season,
    amount_fell,
    frequency_fell,
    rhythm,
    second_order_late,
)

_EPOCH = date(1970, 1, 1)
_SILENCES = frozenset({Signal.LATE, Signal.VERY_LATE, Signal.LAST_CALL, Signal.SECOND_ORDER_LATE})
"""Signals that an off-season explains."""


@dataclass(frozen=True, slots=True)
class Signalled:
    """A customer with a signal. `before` and `now` are what fell, or the usual interval and the silence, in days."""

    number: int
    rule: str
    event_key: str
    before: float
    now: float


@dataclass(frozen=True, slots=True)
class Quiet:
    """Who is left in peace: numbers of customers under work, and the last day of each rule for each customer."""

    at_work: Collection[int] = frozenset()
    last_on: Mapping[tuple[int, str], date] = field(default_factory=dict)


def signalled(
    playbook: Playbook,
    orders: OrderDays,
    classes: Mapping[int, WorkClass],
    quiet: Quiet,
    *,
    when: Season | None = None,
    second_order_border: int | None = None,
) -> list[Signalled]:
    """The signals of the as-of day, at most one for each customer, by his number.

    The event key is the rule with the day of the last order: one silence or one fall is one occasion. With a season
    silence is counted in demand time, and off-season no silence is a signal.
    """
    signs = _Signs(orders, when, second_order_border)
    on = _EPOCH + timedelta(days=orders.as_of)
    last_day = orders.last_day
    is_off = when is not None and when.is_off(orders.as_of)
    found: dict[int, Signalled] = {}
    for rule in playbook.plays.signals:
        if is_off and rule.signal in _SILENCES:
            continue
        for at in np.flatnonzero(signs.mask(rule.signal)):
            number = int(orders.number[at])
            if number in found or number in quiet.at_work or classes.get(number) not in rule.classes:
                continue
            if _is_due(rule, quiet.last_on.get((number, rule.rule)), on, _EPOCH + timedelta(int(last_day[at]))):
                found[number] = signs.signalled(rule, int(at))
    return [found[number] for number in sorted(found)]


def _is_due(rule: SignalRule, last_on: date | None, on: date, ordered_on: date) -> bool:
    """Never for the same silence twice: after an order only, and a rest after the last time."""
    return last_on is None or (last_on <= ordered_on and (on - last_on).days >= rule.rest_days)


class _Signs:
    """The arithmetic, each part done once and only when a rule asks for it."""

    def __init__(self, orders: OrderDays, when: Season | None, second_order_border: int | None) -> None:
        self._orders = orders
        self._when = when
        self._border = second_order_border
        self._rhythm: Rhythm | None = None
        self._falls: dict[Signal, Fall] = {}

    def mask(self, signal: Signal) -> Bool:
        silence: dict[Signal, Callable[[], Bool]] = {
            Signal.LATE: lambda: self._position == Position.LATE,
            Signal.VERY_LATE: lambda: self._position == Position.VERY_LATE,
            Signal.LAST_CALL: lambda: self._own_rhythm.last_call,
            Signal.SECOND_ORDER_LATE: lambda: second_order_late(self._orders, border=self._border).late,
        }
        return silence[signal]() if signal in silence else self._fall(signal).fell

    def signalled(self, rule: SignalRule, at: int) -> Signalled:
        last = _EPOCH + timedelta(days=int(self._orders.last_day[at]))
        before, now = (float(values[at]) for values in self._figures(rule.signal))
        return Signalled(int(self._orders.number[at]), rule.rule, f"{rule.rule}:{last.isoformat()}", before, now)

    def _figures(self, signal: Signal) -> tuple[Float64, Float64]:
        if signal in _SILENCES:
            return self._own_rhythm.interval, self._own_rhythm.silence
        fall = self._fall(signal)
        return fall.before, fall.now

    @property
    def _own_rhythm(self) -> Rhythm:
        if self._rhythm is None:
            self._rhythm = rhythm(self._orders, self._when)
        return self._rhythm

    @property
    def _position(self) -> Float64:
        return self._own_rhythm.position.astype(np.float64)

    def _fall(self, signal: Signal) -> Fall:
        if signal not in self._falls:
            self._falls[signal] = (
                frequency_fell(self._orders, when=self._when)
                if signal is Signal.FREQUENCY_FELL
                else amount_fell(self._orders)
            )
        return self._falls[signal]
