"""The list "do first" of every manager: deadlines first, then what the work is worth, with the reasons in words.

Pure. The order: breached, at risk, running, without a deadline, paused. Within one of these, where the expected
margin of every piece of work is known, the margin a minute of the manager's time brings; else the order of the work
classes, whoever may be lost, and value × orders. Then fewer attempts, then first come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from connector.sla.clock import ClockState, State
from connector.sla.phrases import Said, age, counted, phrase
from connector.sla.policy import WorkClass
from connector.wording import money

_TIERS = {State.BREACHED: 0, State.AT_RISK: 1, State.RUNNING: 2, State.PAUSED: 4}
_NO_CLOCK = 3
_RANK = {work_class: rank for rank, work_class in enumerate(WorkClass)}


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of open work. `key` is its task's; `clocks` are those of its occasion.

    `expected_margin` is what one touch is expected to bring, None where margins are not known; `minutes` is how
    long a touch of its class takes, preparation included. `since` is when it came up.
    """

    key: str
    number: int
    manager_id: str | None
    rule: str
    work_class: WorkClass
    monetary: Decimal
    frequency: int
    since: datetime
    clocks: tuple[ClockState, ...] = ()
    churn_risk: bool = False
    attempts: int = 0
    expected_margin: Decimal | None = None
    minutes: float = 15.0

    def __post_init__(self) -> None:
        """Refuse work that takes no time: nothing could be weighed against it."""
        if self.minutes <= 0:
            raise ValueError("a touch takes more than no time")

    @property
    def value(self) -> Decimal:
        """Value × orders, as phone queues weigh customers; a negative sum weighs nothing."""
        return max(self.monetary, Decimal(0)) * self.frequency

    @property
    def margin_per_minute(self) -> Decimal | None:
        """Expected margin of a minute on it."""
        return None if self.expected_margin is None else self.expected_margin / Decimal(str(self.minutes))


@dataclass(frozen=True, slots=True)
class Place:
    """Work at its place in a queue, from 1. `clock` is the one that put it there; `reasons` are codes with figures."""

    position: int
    work: Work
    clock: ClockState | None
    by_margin: bool

    def reasons(self, now: datetime, language: str, currency: str) -> list[str]:
        """Why it stands here, the strongest reason first, in words."""
        work, clock = self.work, self.clock
        said = [_clock_said(clock, language).words(language)]
        if work.churn_risk:
            said.append(phrase("queue.churn_risk", language))
        if self.by_margin and work.margin_per_minute is not None:
            said.append(phrase("queue.margin", language, sum=money(_cents(work.margin_per_minute), currency, language)))
        else:
            said.append(phrase("queue.class_rank", language, rank=_RANK[work.work_class] + 1))
            orders = counted("orders", work.frequency, language)
            said.append(phrase("queue.value", language, sum=money(work.monetary, currency, language), orders=orders))
        if work.attempts:
            said.append(phrase("queue.attempts", language, count=work.attempts))
        said.append(phrase("queue.age", language, span=age(now - work.since, language)))
        return said


def queues(works: Iterable[Work], *, top: int | None = None) -> dict[str | None, list[Place]]:
    """Every manager's work in the order in which to do it, the first `top` of it."""
    by_manager: dict[str | None, list[Work]] = defaultdict(list)
    for work in works:
        by_manager[work.manager_id].append(work)
    return {manager_id: ordered(own)[:top] for manager_id, own in by_manager.items()}


def ordered(works: Sequence[Work]) -> list[Place]:
    """One queue. Which measure weighs is settled for the whole of it, so that like is compared with like."""
    by_margin = bool(works) and all(work.expected_margin is not None for work in works)
    pressing = [(work, pressing_clock(work.clocks)) for work in works]
    pressing.sort(key=lambda pair: (tier(pair[1]), *_worth(pair[0], by_margin=by_margin), *_turn(*pair)))
    return [Place(at, work, clock, by_margin) for at, (work, clock) in enumerate(pressing, start=1)]


def pressing_clock(clocks: Iterable[ClockState]) -> ClockState | None:
    """The clock that presses most: an open one, by its state and then its due moment."""
    waiting = [clock for clock in clocks if clock.state in _TIERS and clock.ended_at is None and clock.due_at]
    return min(waiting, key=lambda clock: (_TIERS[clock.state], clock.due_at, clock.clock), default=None)


def tier(clock: ClockState | None) -> int:
    """Where its deadline puts a piece of work; 0 is first."""
    return _NO_CLOCK if clock is None else _TIERS[clock.state]


def expected_margin(average_order: Decimal, margin_share: Decimal, order_chance: float) -> Decimal:
    """What a touch is expected to bring: the average order, the share of it that stays, how often a touch sells.

    Incremental where `order_chance` is an uplift against customers who were left alone; else an upper bound.
    """
    return average_order * margin_share * Decimal(str(order_chance))


def _worth(work: Work, *, by_margin: bool) -> tuple[object, ...]:
    if by_margin:
        return (-(work.margin_per_minute or Decimal(0)),)
    return (_RANK[work.work_class], not work.churn_risk, -work.value)


def _turn(work: Work, clock: ClockState | None) -> tuple[object, ...]:
    due = clock.due_at if clock is not None and clock.due_at is not None else work.since
    return (work.attempts, due, work.since, work.key)


def _clock_said(clock: ClockState | None, language: str) -> Said:
    if clock is None:
        return Said("queue.no_clock")
    if clock.state is State.PAUSED:
        return Said("queue.paused", {"why": _why(clock.why, language)})
    length = clock.by if clock.state is State.BREACHED else clock.left
    return Said(f"queue.{clock.state}", {"span": length})


def _why(reason: str, language: str) -> str:
    """The words of a pause; a portal's own reason speaks for itself."""
    return phrase(f"pause.{reason}", language) if reason in {"customer", "absent"} else reason


def _cents(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
