"""What the work brought: figures by class, manager and week or month, personal minimums, a report card of each rule.

Pure. Times are working time. Money is summed exactly. Every figure comes with its count, and `is_enough` says whether
there are enough cases to speak of it; figures of nothing are None, never 0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from connector.sla.clock import ClockState
from connector.sla.phrases import Said
from connector.sla.policy import WorkClass

_ENOUGH = 20
_HOUR = timedelta(hours=1)


class Period(StrEnum):
    """How time is cut. Weeks are ISO weeks and are named by their Monday, months by their first."""

    WEEK = "week"
    MONTH = "month"

    def start(self, moment: datetime, zone: tzinfo) -> date:
        """The first local day of the period that a moment falls in."""
        day = moment.astimezone(zone).date()
        return day.replace(day=1) if self is Period.MONTH else day - timedelta(days=day.weekday())


@dataclass(frozen=True, slots=True)
class Case:
    """One occasion as it stands: who worked it, how long the first contact took, what it came to.

    `response` and `spare` are of the first-contact clock: working time until the contact (None while there is none)
    and what was left of the term then (negative when it was late). `met` None: nothing to judge yet. `done`: its
    task was closed with a result; `postponed`: how often it was put off. `stage` is how far the funnel went, 0 to the
    count of stages. `won` is a won order credited to it, with `revenue` and `margin` (None where not known).
    `spent` is working time on it, preparation included.
    """

    number: int
    rule: str
    work_class: WorkClass
    manager_id: str | None
    started_at: datetime
    attempts: int = 0
    contacted: bool = False
    response: timedelta | None = None
    spare: timedelta | None = None
    met: bool | None = None
    done: bool = False
    postponed: int = 0
    refused: bool = False
    stage: int = 0
    closed: bool = False
    won: bool = False
    revenue: Decimal = Decimal(0)
    margin: Decimal | None = None
    spent: timedelta = timedelta(0)


def answer_of(clock: ClockState) -> tuple[timedelta | None, timedelta | None, bool | None]:
    """Response, spare and met of a `Case`, from its first window: a later one is another answer.

    A window that was reset or stopped in time has nothing to judge; one that is late counts as missed at once.
    """
    if not clock.windows:
        return None, None, None
    first = clock.windows[0]
    if first.end == "met":
        spare = clock.spare if len(clock.windows) == 1 and clock.spare is not None else None
        late = -clock.by if len(clock.windows) == 1 and clock.by is not None else None
        return first.worked, spare if spare is not None else late, not first.late
    return None, None, False if first.late else None


@dataclass(frozen=True, slots=True)
class Figures:
    """One cell of the report. Shares are 0 to 1; means and medians are over the cases that have the value."""

    cases: int
    customers: int
    contact_share: float
    mean_attempts: float
    mean_response: timedelta | None
    median_response: timedelta | None
    met_share: float | None
    judged: int
    conversion: float
    win_rate: float | None
    average_order: Decimal | None
    revenue: Decimal
    revenue_per_customer: Decimal
    margin: Decimal | None
    margin_per_customer: Decimal | None
    spent: timedelta
    revenue_per_hour: Decimal | None
    margin_per_hour: Decimal | None
    stages: tuple[float, ...] = ()

    @property
    def is_enough(self) -> bool:
        """Whether there are enough cases to compare with others."""
        return self.cases >= _ENOUGH


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """What a cell of the report is about; an empty word is all of them together."""

    start: date
    work_class: str = ""
    manager_id: str = ""


def figures(cases: Sequence[Case], *, stages: int = 0) -> Figures | None:
    """The figures of some cases; None for none. `stages` is how many stages the funnel has.

    Conversion is won of all cases, win rate won of those that were closed. Margin is only there when that of every
    won order is known.
    """
    if not cases:
        return None
    won = [case for case in cases if case.won]
    closed = sum(case.closed for case in cases)
    judged = [case.met for case in cases if case.met is not None]
    responses = [case.response for case in cases if case.response is not None]
    customers = len({case.number for case in cases})
    revenue = sum((case.revenue for case in won), Decimal(0))
    margins = [case.margin for case in won]
    known = [margin for margin in margins if margin is not None]
    margin = sum(known, Decimal(0)) if len(known) == len(margins) else None
    spent = sum((case.spent for case in cases), timedelta(0))
    return Figures(
        cases=len(cases),
        customers=customers,
        contact_share=sum(case.contacted for case in cases) / len(cases),
        mean_attempts=sum(case.attempts for case in cases) / len(cases),
        mean_response=sum(responses, timedelta(0)) / len(responses) if responses else None,
        median_response=_median(responses),
        met_share=sum(judged) / len(judged) if judged else None,
        judged=len(judged),
        conversion=len(won) / len(cases),
        win_rate=len(won) / closed if closed else None,
        average_order=_money(revenue / len(won)) if won else None,
        revenue=_money(revenue),
        revenue_per_customer=_money(revenue / customers),
        margin=None if margin is None else _money(margin),
        margin_per_customer=None if margin is None else _money(margin / customers),
        spent=spent,
        revenue_per_hour=_per_hour(revenue, spent),
        margin_per_hour=None if margin is None else _per_hour(margin, spent),
        stages=tuple(sum(case.stage >= stage for case in cases) / len(cases) for stage in range(1, stages + 1)),
    )


def report(cases: Iterable[Case], zone: tzinfo, period: Period, *, stages: int = 0) -> dict[Cell, Figures]:
    """Figures by period × class × manager, with the totals of each: a cell for every combination that has cases.

    A case belongs to the period in which it started.
    """
    groups: dict[Cell, list[Case]] = defaultdict(list)
    for case in cases:
        start = period.start(case.started_at, zone)
        for work_class in ("", case.work_class.value):
            for manager_id in {"", case.manager_id or "—"}:
                groups[Cell(start, work_class, manager_id)].append(case)
    found = ((cell, figures(own, stages=stages)) for cell, own in sorted(groups.items()))
    return {cell: seen for cell, seen in found if seen is not None}


@dataclass(frozen=True, slots=True)
class Minimum:
    """What a portal expects of everybody, by class: shares from 0 to 1, and how much the class weighs in the mark."""

    met_share: float
    contact_share: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a manager kept to the minimum: 1 is all of it. `short` names the classes where something is missing."""

    mark: float
    short: tuple[WorkClass, ...]
    is_enough: bool


def mark(by_class: Mapping[WorkClass, Figures], minimums: Mapping[WorkClass, Minimum]) -> Mark | None:
    """A manager's mark from his figures by class; classes without cases or a minimum do not count, None without any.

    In each class the share met and the share contacted count alike, each up to what is asked: excess in one does not
    make up for another.
    """
    judged = [(name, by_class[name], least) for name, least in minimums.items() if name in by_class]
    weight = sum(least.weight for _, _, least in judged)
    if not weight:
        return None
    reached = {
        name: (_reached(seen.met_share, least.met_share) + _reached(seen.contact_share, least.contact_share)) / 2
        for name, seen, least in judged
    }
    total = sum(reached[name] * least.weight for name, _, least in judged) / weight
    short = tuple(name for name, share in reached.items() if share < 1)
    return Mark(total, short, all(seen.is_enough for _, seen, _ in judged))


def _reached(share: float | None, least: float) -> float:
    return 1.0 if share is None or least == 0 else min(share / least, 1.0)


@dataclass(frozen=True, slots=True)
class Left:
    """Customers a rule would have found and who were left alone, and how many of them bought: what an uplift needs."""

    customers: int
    bought: int


@dataclass(frozen=True, slots=True)
class Card:
    """A rule's report card. `uplift` is the conversion minus that of customers left alone; None without such.

    `verdict` is what to do with the rule, `keep` or a proposal to retire it, with the figures it rests on.
    """

    rule: str
    created: int
    done: int
    postponed: int
    contact: int
    refusal: int
    won: int
    uplift: float | None
    minutes: float
    verdict: Said

    @property
    def retire(self) -> bool:
        """Whether it is proposed to retire the rule."""
        return self.verdict.code not in {"card.keep", "card.few"}


def cards(cases: Iterable[Case], left: Mapping[str, Left] | None = None) -> dict[str, Card]:
    """The report card of every rule that has cases, by rule."""
    by_rule: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_rule[case.rule].append(case)
    return {rule: _card(rule, own, (left or {}).get(rule)) for rule, own in sorted(by_rule.items())}


def _card(rule: str, cases: Sequence[Case], left: Left | None) -> Card:
    def count(which: Callable[[Case], bool]) -> int:
        return sum(map(which, cases))

    done, contact, won = count(lambda case: case.done), count(lambda case: case.contacted), count(lambda case: case.won)
    uplift = None
    if left is not None and left.customers:
        uplift = won / len(cases) - left.bought / left.customers
    enough_left = left is not None and left.customers >= _ENOUGH
    return Card(
        rule=rule,
        created=len(cases),
        done=done,
        postponed=sum(case.postponed for case in cases),
        contact=contact,
        refusal=count(lambda case: case.refused),
        won=won,
        uplift=uplift,
        minutes=sum((case.spent for case in cases), timedelta(0)) / timedelta(minutes=1),
        verdict=_verdict(len(cases), done, contact, won, uplift if enough_left else None),
    )


def _verdict(created: int, done: int, contact: int, won: int, uplift: float | None) -> Said:
    """Retire what is not done, what reaches nobody into buying, and what does no better than leaving alone."""
    if created < _ENOUGH:
        return Said("card.few", {"created": created})
    if done < created / 5:
        return Said("card.unseen", {"created": created, "done": done})
    if uplift is not None and uplift <= 0:
        return Said("card.harmful", {"uplift": round(100 * uplift, 1)})
    if done >= _ENOUGH and not won:
        return Said("card.fruitless", {"contact": contact, "done": done})
    return Said("card.keep")


def _median(values: Sequence[timedelta]) -> timedelta | None:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2 if ordered else None


def _money(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def _per_hour(value: Decimal, spent: timedelta) -> Decimal | None:
    """By the working hour; None when no time was put down."""
    if not spent:
        return None
    return _money(value * (_HOUR // timedelta(microseconds=1)) / (spent // timedelta(microseconds=1)))
