"""What an occasion needs next: from a playbook, the occasion and its log to the next step and when, or the end and why.

Pure. The answer for the same log is always the same, and every step has one key for ever, so whoever asks twice,
after a crash or beside another worker, makes no second task. Nothing is decided by the clock alone except that the
attempts are exhausted; all other ends are facts of the log. What was decided is written back to it by the caller: a
step that was made as `RAISED`, an end as `STOPPED` with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from adapters.records import CustomerRef
from connector.sla.events import Channel, Contact, Conversation, Event, Kind, in_order, in_utc
from connector.sla.followups import followup_key
from connector.sla.playbook import CadenceRule, Playbook
from connector.sla.plays import Sequence as Steps
from connector.sla.plays import Step, Stop
from connector.sla.policy import Term, Unit, WorkClass, due_after
from connector.sla.worktime import Calendar

_BY_FACT = {Kind.REFUSED: Stop.REFUSAL, Kind.OPTED_OUT: Stop.OPTED_OUT, Kind.GONE: Stop.GONE, Kind.BOUGHT: Stop.BOUGHT}
_KNOWN = frozenset(Stop)


@dataclass(frozen=True, slots=True)
class Occasion:
    """One customer, one rule, one event. `work_class` and `big` are those of its start, frozen.

    `portal_key` names the account for good. `event_key` says which occasion of the rule it is; signals use the day
    of the last order, so that one silence is one occasion.
    """

    portal_key: str
    customer: CustomerRef
    number: int
    rule: str
    event_key: str
    work_class: WorkClass
    big: bool = False

    def step_event_key(self, step_at: int, step_id: str) -> str:
        """Which task of the occasion a step is; the first one is the rule's own task."""
        return self.event_key if step_at == 0 else f"{self.event_key}/{step_at + 1}:{step_id}"

    def step_key(self, step_at: int, step_id: str) -> str:
        """The key of the step's task, the same for ever."""
        return followup_key(self.portal_key, self.customer, self.rule, self.step_event_key(step_at, step_id))


@dataclass(frozen=True, slots=True)
class NextStep:
    """A step to make at `begin_at`, in working time; `attempt` counts from 1. Not before: it may be put off further."""

    sequence: str
    step: Step
    attempt: int
    begin_at: datetime
    key: str
    event_key: str
    work_class: WorkClass

    def due_at(self, term: Term, calendar: Calendar, *, business_hours: bool = False) -> datetime:
        """When the step has to be made, counted from its beginning."""
        return due_after(term, self.begin_at, calendar, business_hours=business_hours)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing to do: the step that was raised has not been made, or a pause lasts, or an answer may still come.

    `until` is when the log will say more by itself; None when only a person or the customer can.
    """

    sequence: str
    why: str
    attempts: int
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The work on the occasion is over since `at`. `recorded`: the log says so already; else it has to be written.

    `result` is the playbook's word for it, `reason` what a person gave as his, empty otherwise.
    """

    stop: Stop
    result: str
    at: datetime
    sequence: str
    attempts: int
    recorded: bool = False
    reason: str = ""

    def event(self, number: int = 0) -> Event:
        """The line for the log."""
        return Event(self.at, Kind.STOPPED, number, reason=self.stop.value)


Answer = NextStep | Waiting | End


def next_step(
    playbook: Playbook,
    occasion: Occasion,
    log: Iterable[Event],
    now: datetime,
    calendar: Calendar,
    *,
    touched_on: Sequence[date] = (),
    least_call_seconds: int = 30,
) -> Answer:
    """What the occasion needs as of `now`; later events are not seen.

    `touched_on` are days of the customer's attempts under other occasions: where his class has a monthly cap, they
    fill it too. A step that would go over the cap, or come sooner than the cadence allows, is put off.
    Raises `ValueError` for an occasion whose rule has no sequence, and for a log without a start.
    """
    walk = _Walk(playbook, occasion, least_call_seconds)
    for event in in_order(log):
        if event.at <= now and walk.end is None:
            walk.take(event, in_utc(event.at))
    return walk.answer(in_utc(now), calendar, touched_on)


@dataclass(slots=True)
class _Walk:
    """Goes through the log once."""

    playbook: Playbook
    occasion: Occasion
    least_call_seconds: int
    end: End | None = None
    _work_class: WorkClass = field(init=False)
    _steps: Steps = field(init=False)
    _started_at: datetime | None = None
    _attempts: list[datetime] = field(default_factory=list)
    _raised: bool = False
    _postponed: datetime | None = None
    _pauses: set[str] = field(default_factory=set)
    _touches: list[datetime] = field(default_factory=list)
    _talk: Conversation = field(default_factory=Conversation)

    def __post_init__(self) -> None:
        occasion = self.occasion
        self._work_class = occasion.work_class
        found = self.playbook.plays.sequence(occasion.rule, occasion.work_class, big=occasion.big)
        if found is None:
            raise ValueError(f"{occasion.rule}: {occasion.work_class} customers have no sequence")
        self._steps = found

    def take(self, event: Event, at: datetime) -> None:
        if event.kind in _BY_FACT:
            self._fact(_BY_FACT[event.kind], at)
        match event.kind:
            case Kind.STARTED if self._started_at is None:
                self._started_at = at
            case Kind.RAISED:
                self._raised, self._postponed = True, None
            case Kind.CONTACT if event.contact is not None:
                self._contact(event.contact, at)
            case Kind.DONE if not event.only:
                self._attempted(at)
            case Kind.MOVED if event.work_class is not None:
                self._move(event.work_class, at)
            case Kind.POSTPONED:
                self._postponed = event.until
            case Kind.PAUSED | Kind.RESUMED:
                self._pause(event)
            case Kind.STOPPED:
                self._ended(event.reason, at)
            case _:
                pass

    def answer(self, now: datetime, calendar: Calendar, touched_on: Sequence[date]) -> Answer:
        if self._started_at is None:
            raise ValueError(f"{self.occasion.rule}: the log of the occasion has no start")
        if self.end is not None:
            return self.end
        name, made = self._steps.name, len(self._attempts)
        if self._raised:
            return Waiting(name, "raised", made)
        if made >= len(self._steps.steps):
            over = _later(self._attempts[-1], self._steps.patience, calendar)
            if now < over:
                return Waiting(name, "answer", made, over)
            return self._end(Stop.EXHAUSTED, over)
        if self._pauses:
            return Waiting(name, min(self._pauses), made)
        return self._step(made, calendar, touched_on)

    def _step(self, made: int, calendar: Calendar, touched_on: Sequence[date]) -> NextStep:
        step = self._steps.steps[made]
        anchor = self._attempts[-1] if self._attempts else self._started_at
        assert anchor is not None  # noqa: S101  # answer() has seen to it
        begin = _later(anchor, step.after, calendar)
        if self._postponed is not None:
            begin = max(begin, calendar.next_open(self._postponed))
        cadence = self.playbook.cadence_by_class().get(self._work_class)
        if cadence is not None and cadence.per_month is not None and step.channel is not Channel.TASK:
            touched = [*touched_on, *(touch.astimezone(calendar.zone).date() for touch in self._touches)]
            begin = _within_cap(begin, cadence, touched, calendar)
        return NextStep(
            sequence=self._steps.name,
            step=step,
            attempt=made + 1,
            begin_at=begin,
            key=self.occasion.step_key(made, step.id),
            event_key=self.occasion.step_event_key(made, step.id),
            work_class=self._work_class,
        )

    def _contact(self, contact: Contact, at: datetime) -> None:
        counted = self._talk.counts(at, contact, self.least_call_seconds)
        if self._started_at is None:
            return
        if not contact.inbound and contact.channel is not Channel.TASK:
            self._touches.append(at)
            self._attempted(at)
        if counted:
            self._fact(Stop.CONTACT, at)

    def _attempted(self, at: datetime) -> None:
        """The step under way has been made; whatever is done without one is a touch and no step."""
        if self._raised:
            self._attempts.append(at)
            self._raised = False

    def _fact(self, stop: Stop, at: datetime) -> None:
        if stop in self._steps.stops and self._started_at is not None:
            self.end = self._end(stop, at)

    def _pause(self, event: Event) -> None:
        if event.kind is Kind.PAUSED:
            self._pauses.add(event.reason)
        else:
            self._pauses = self._pauses - {event.reason} if event.reason else set()

    def _ended(self, why: str, at: datetime) -> None:
        """The verdict in the log: one of ours, or a person's own words."""
        stop, reason = (Stop(why), "") if why in _KNOWN else (Stop.MANUAL, why)
        self.end = self._end(stop, at, recorded=True, reason=reason)

    def _move(self, work_class: WorkClass, at: datetime) -> None:
        """The sequence of the new class goes on with the attempts made so far; without one the work ends."""
        self._work_class = work_class
        found = self.playbook.plays.sequence(self.occasion.rule, work_class, big=self.occasion.big)
        if found is None:
            self.end = self._end(Stop.SEGMENT_LEFT, at)
        else:
            self._steps = found

    def _end(self, stop: Stop, at: datetime, *, recorded: bool = False, reason: str = "") -> End:
        return End(
            stop=stop,
            result=self.playbook.plays.result(stop),
            at=at,
            sequence=self._steps.name,
            attempts=len(self._attempts),
            recorded=recorded,
            reason=reason,
        )


def _later(anchor: datetime, term: Term, calendar: Calendar) -> datetime:
    """The moment a term after another: so many working days on it is that day's opening."""
    if term.unit is not Unit.WORKING_DAYS:
        return due_after(term, anchor, calendar)
    moment = calendar.next_open(anchor) if term.amount == 0 else anchor
    for _ in range(term.amount):
        tomorrow = moment.astimezone(calendar.zone).date() + timedelta(days=1)
        moment = calendar.next_open(datetime.combine(tomorrow, time(), calendar.zone))
    return moment


def _within_cap(begin: datetime, cadence: CadenceRule, touched: Sequence[date], calendar: Calendar) -> datetime:
    """Put off until the cadence allows another touch: far enough from the last, and in a month that is not full."""
    day = begin.astimezone(calendar.zone).date()
    if touched:
        day = max(day, max(touched) + timedelta(days=cadence.every_days))
    while cadence.per_month is not None and _in_month(touched, day) >= cadence.per_month:
        day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    if day == begin.astimezone(calendar.zone).date():
        return begin
    return calendar.next_open(datetime.combine(day, time(), calendar.zone))


def _in_month(touched: Sequence[date], day: date) -> int:
    return sum((one.year, one.month) == (day.year, day.month) for one in touched)
