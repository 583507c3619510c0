"""How much work there is against how much can be done: breaches predicted before tasks are made, and ways out.

Pure interval arithmetic. A desk is one manager's working time with his absences taken out and the share of it that
touches get. Work is done by deadline, the earliest first, one piece at a time; whatever that order cannot save, no
other order of a single desk can, as long as all of it may begin at once.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta

from connector.sla.events import Event, Kind
from connector.sla.phrases import Said
from connector.sla.policy import WorkClass
from connector.sla.worktime import Calendar

_KEY_WORK = frozenset({WorkClass.VIP, WorkClass.LOYAL})


@dataclass(frozen=True, slots=True)
class Away:
    """Days, both included, on which a manager does not work."""

    manager_id: str
    first: date
    last: date
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Desk:
    """One manager's capacity. `touching` is the share of working time that touches get; teams as the CRM has them."""

    manager_id: str
    calendar: Calendar
    touching: float = 0.6
    team_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        if not 0 < self.touching <= 1:
            raise ValueError(f"{self.manager_id}: the share of time for touches is above 0 and at most 1")

    def minutes_on(self, day: date) -> float:
        """Minutes for touches on a local day."""
        start = datetime.combine(day, time(), self.calendar.zone)
        end = datetime.combine(day + timedelta(days=1), time(), self.calendar.zone)
        return self.calendar.minutes_between(start, end) * self.touching


@dataclass(frozen=True, slots=True)
class Planned:
    """A task that is there or would be made. `is_new` ones can still go to somebody else or be left out."""

    key: str
    manager_id: str
    work_class: WorkClass
    minutes: float
    begin_at: datetime
    due_at: datetime
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class Predicted:
    """A task that will not be done in time, unless something changes."""

    task: Planned
    done_at: datetime


@dataclass(frozen=True, slots=True)
class DayLoad:
    """One manager's day: minutes there are and minutes of work due that day, tasks due, and those predicted late."""

    manager_id: str
    day: date
    minutes: float
    needed: float
    tasks: int
    breaches: int

    @property
    def is_overloaded(self) -> bool:
        """Whether more is due than can be done, or something will be late."""
        return self.needed > self.minutes or self.breaches > 0


@dataclass(frozen=True, slots=True)
class Forecast:
    """Days in order of manager and day, predicted breaches in order of their due moments."""

    days: tuple[DayLoad, ...]
    breaches: tuple[Predicted, ...]


def desk_calendar(calendar: Calendar, away: Iterable[Away]) -> Calendar:
    """The portal's calendar with a manager's absences as days off, worked Saturdays included."""
    off = {span.first + timedelta(days=n) for span in away for n in range((span.last - span.first).days + 1)}
    if not off:
        return calendar
    moved = {day: hours for day, hours in calendar.moved.items() if day not in off}
    return replace(calendar, holidays=calendar.holidays | off, moved=moved)


def forecast(desks: Iterable[Desk], tasks: Iterable[Planned], now: datetime) -> Forecast:
    """What the desks will manage, working by deadline from `now` on. Tasks of people without a desk are late."""
    by_manager: dict[str, list[Planned]] = defaultdict(list)
    for task in tasks:
        by_manager[task.manager_id].append(task)
    known = {desk.manager_id: desk for desk in desks}
    breaches: list[Predicted] = []
    days: list[DayLoad] = []
    for manager_id, own in sorted(by_manager.items()):
        desk = known.get(manager_id)
        if desk is None:
            breaches += [Predicted(task, datetime.max.replace(tzinfo=now.tzinfo)) for task in own]
            continue
        late = _late(desk, own, now)
        breaches += late
        days += _days(desk, own, {predicted.task.key for predicted in late})
    breaches.sort(key=lambda predicted: (predicted.task.due_at, predicted.task.key))
    return Forecast(tuple(days), tuple(breaches))


def _late(desk: Desk, tasks: Sequence[Planned], now: datetime) -> list[Predicted]:
    """Go through the desk's work: of what may begin, the earliest due is next."""
    coming = sorted(tasks, key=lambda task: (task.begin_at, task.due_at, task.key), reverse=True)
    ready: list[tuple[datetime, str, Planned]] = []
    free_at, late = now, []
    while coming or ready:
        if not ready:
            free_at = max(free_at, coming[-1].begin_at)
        while coming and coming[-1].begin_at <= free_at:
            task = coming.pop()
            heapq.heappush(ready, (task.due_at, task.key, task))
        _, _, task = heapq.heappop(ready)
        free_at = desk.calendar.add_minutes(free_at, task.minutes / desk.touching)
        if free_at > task.due_at:
            late.append(Predicted(task, free_at))
    return late


def _days(desk: Desk, tasks: Sequence[Planned], late: set[str]) -> list[DayLoad]:
    by_day: dict[date, list[Planned]] = defaultdict(list)
    for task in tasks:
        by_day[task.due_at.astimezone(desk.calendar.zone).date()].append(task)
    return [
        DayLoad(
            manager_id=desk.manager_id,
            day=day,
            minutes=desk.minutes_on(day),
            needed=sum(task.minutes for task in own),
            tasks=len(own),
            breaches=sum(task.key in late for task in own),
        )
        for day, own in sorted(by_day.items())
    ]


@dataclass(frozen=True, slots=True)
class Handover:
    """Work that goes to somebody else, and why; without a reason there is none."""

    key: str
    from_manager_id: str | None
    to_manager_id: str
    reason: str

    def __post_init__(self) -> None:
        """Refuse a silent reassignment: the reason explains a missed deadline later."""
        if not self.reason.strip():
            raise ValueError(f"{self.key}: a reassignment needs a reason")

    def event(self, at: datetime, number: int = 0) -> Event:
        """The line for the occasion's log."""
        return Event(at, Kind.REASSIGNED, number, by=self.to_manager_id, reason=self.reason)


def balance(desks: Sequence[Desk], tasks: Sequence[Planned], now: datetime, *, language: str) -> list[Handover]:
    """Share out new work on key customers that its desk cannot do in time among the free desks of the same teams.

    Each goes to the desk with the least work that does it in time without making anything else late. What nobody
    can take stays where it is.
    """
    known = {desk.manager_id: desk for desk in desks}
    by_manager: dict[str, list[Planned]] = defaultdict(list)
    for task in tasks:
        by_manager[task.manager_id].append(task)
    handovers = []
    for predicted in forecast(desks, tasks, now).breaches:
        task = predicted.task
        if not task.is_new or task.work_class not in _KEY_WORK:
            continue
        free = [desk for desk in desks if _can_take(desk, known.get(task.manager_id), by_manager, task, now)]
        if not free:
            continue
        desk = min(free, key=lambda one: (sum(own.minutes for own in by_manager[one.manager_id]), one.manager_id))
        by_manager[task.manager_id].remove(task)
        by_manager[desk.manager_id].append(replace(task, manager_id=desk.manager_id))
        reason = Said("plan.overloaded", {"manager": task.manager_id}).words(language)
        handovers.append(Handover(task.key, task.manager_id, desk.manager_id, reason))
    return handovers


def _can_take(
    desk: Desk, own: Desk | None, by_manager: Mapping[str, list[Planned]], task: Planned, now: datetime
) -> bool:
    if desk.manager_id == task.manager_id or (own is not None and not _is_colleague(desk, own)):
        return False
    theirs = by_manager.get(desk.manager_id, [])
    before = {predicted.task.key for predicted in _late(desk, theirs, now)}
    after = {predicted.task.key for predicted in _late(desk, [*theirs, task], now)}
    return task.key not in after and after <= before


def _is_colleague(desk: Desk, own: Desk) -> bool:
    """Of one team; where nobody has a team, everybody is."""
    return bool(set(desk.team_ids) & set(own.team_ids)) or not (desk.team_ids or own.team_ids)


@dataclass(frozen=True, slots=True)
class Kept:
    """Tasks of a day within everybody's budget, and those to put off, each in the order given."""

    kept: tuple[Planned, ...]
    put_off: tuple[Planned, ...]


def within_budget(tasks: Iterable[Planned], budget: int, made_today: Mapping[str, int]) -> Kept:
    """The first tasks of each manager up to the daily budget, those made today counted in."""
    left = defaultdict(lambda: budget, {manager_id: budget - made for manager_id, made in made_today.items()})
    kept, put_off = [], []
    for task in tasks:
        if left[task.manager_id] > 0:
            left[task.manager_id] -= 1
            kept.append(task)
        else:
            put_off.append(task)
    return Kept(tuple(kept), tuple(put_off))


@dataclass(frozen=True, slots=True)
class ClassLoad:
    """A class's records and how they are worked: a touch every so many days, attempts it takes, minutes of each."""

    work_class: WorkClass
    records: int
    every_days: int
    attempts: float
    minutes: float

    def attempts_a_day(self, working_days: int, days: int) -> float:
        """Attempts needed every working day, over a span of days with so many working days."""
        return self.records * self.attempts * days / self.every_days / working_days

    def minutes_over(self, days: int) -> float:
        """Minutes of touches over so many calendar days."""
        return self.records * self.attempts * self.minutes * days / self.every_days


@dataclass(frozen=True, slots=True)
class Proposal:
    """A way to make the work fit: `automate`, `thin_out` (with the new rhythm) or `share`, and minutes it saves.

    `share` saves nothing by itself: so many minutes have to be done by somebody else.
    """

    what: str
    work_class: WorkClass
    minutes: float
    every_days: int | None = None
    usual: int | None = None

    def said(self) -> Said:
        """The proposal as a phrase."""
        facts = {"work_class": self.work_class.value, "hours": round(self.minutes / 60)}
        return Said(f"plan.{self.what}", {**facts, "days": self.every_days or 0, "usual": self.usual or 0})


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Minutes needed and there over the span, attempts a working day by class, and proposals in order of trying."""

    needed: float
    there: float
    attempts_a_day: Mapping[WorkClass, float] = field(default_factory=dict)
    proposals: tuple[Proposal, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether all of it can be done as it is."""
        return self.needed <= self.there


_THIN_OUT_AT_MOST = 3
"""A class that would have to be touched more seldom than a third of its rhythm is not thinned out further."""


def plan_load(loads: Sequence[ClassLoad], desks: Sequence[Desk], first: date, days: int = 30) -> LoadPlan:
    """Records × touch time against the desks' time over a span of days, with proposals until the rest fits.

    The soft touches of those who sleep are automated first; then customers at risk and promising ones are seen
    less often; what key customers need is never cut and has to be shared.
    """
    span = [first + timedelta(days=n) for n in range(days)]
    there = sum(desk.minutes_on(day) for desk in desks for day in span)
    working_days = max((sum(desk.minutes_on(day) > 0 for day in span) for desk in desks), default=0)
    needed = sum(load.minutes_over(days) for load in loads)
    a_day = {load.work_class: load.attempts_a_day(working_days, days) for load in loads} if working_days else {}
    return LoadPlan(needed, there, a_day, tuple(_proposals(loads, needed - there, days)))


def _proposals(loads: Sequence[ClassLoad], over: float, days: int) -> Iterable[Proposal]:
    by_class = {load.work_class: load for load in loads if load.minutes_over(days) > 0}
    for work_class in (WorkClass.SLEEPING, WorkClass.AT_RISK, WorkClass.PROMISING, WorkClass.LOYAL, WorkClass.VIP):
        load = by_class.get(work_class)
        if load is None or over <= 0:
            continue
        minutes = load.minutes_over(days)
        if work_class is WorkClass.SLEEPING:
            proposal = Proposal("automate", work_class, minutes)
        elif work_class not in _KEY_WORK:
            factor = min(minutes / (minutes - over), _THIN_OUT_AT_MOST) if over < minutes else _THIN_OUT_AT_MOST
            every_days = math.ceil(load.every_days * factor)
            saved = minutes * (1 - load.every_days / every_days)
            proposal = Proposal("thin_out", work_class, saved, every_days, load.every_days)
        else:
            proposal = Proposal("share", work_class, min(over, minutes))
        over -= proposal.minutes
        yield proposal
