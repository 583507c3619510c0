"""SLA clocks computed on read from an occasion's log: nothing counts on in the background, nothing can drift.

Pure interval arithmetic over a `Calendar`; a holiday that is changed afterwards changes the past with it. What a
clock does:

* It starts with the occasion. Its due moment is start + term, and every pause moves it on by the working time of
  the pause, never by wall time, and never back. A pause that begins after the due moment undoes no breach.
* It is at risk when the given share of its working time is left, breached when the due moment has passed.
* A reset ends the window and opens another with the whole term; what the first came to stays on record.
* It keeps the target that came with the occasion; only a `POLICY` event brings another. A shorter term never
  breaches at once: there is always the grace of the target.
* It stops with the verdict on the occasion. What was late by then stays late.
* Who holds the occasion does not matter to it, but is on record, with the reason of every change.
* Windows that started before enforcement began are shown and may be met; they are never at risk nor breached.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from connector.sla.events import Channel, Clock, Contact, Conversation, Event, Kind, Target, in_order, in_utc
from connector.sla.policy import due_after
from connector.sla.worktime import Calendar

_NOTHING = timedelta(0)
GONE = "gone"
BEFORE_ENFORCEMENT = "before_enforcement"
OTHER_POLICY = "policy"
_GOALS = frozenset({Clock.QUALIFIED, Clock.DEMO, Clock.RESOLUTION})


class State(StrEnum):
    """What a page shows."""

    NOT_STARTED = "not_started"
    RUNNING = "running"
    AT_RISK = "at_risk"
    PAUSED = "paused"
    MET = "met"
    BREACHED = "breached"
    STOPPED = "stopped"


OPEN = frozenset({State.RUNNING, State.AT_RISK, State.PAUSED})


@dataclass(frozen=True, slots=True)
class Window:
    """One run of a clock from its start to its end, or until now while it is open.

    `late`: the due moment passed before the end (or before now). `worked`: working time without the pauses. `end`
    says what ended it: `met`, `reset`, or the reason it was stopped for; empty while it is open. `manager_id` is
    who held the occasion at its end or, if it was late, at the due moment.
    """

    number: int
    started_at: datetime
    due_at: datetime
    ended_at: datetime | None
    end: str
    late: bool
    worked: timedelta
    paused: timedelta
    manager_id: str | None


@dataclass(frozen=True, slots=True)
class Holder:
    """Who had the occasion since when, and why it came to him; the first has it from the start, without a reason."""

    manager_id: str | None
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class ClockState:
    """One clock at one moment, of its last window; earlier windows are in `windows`, the last one included.

    Times are working time. `left` (running, at risk, paused), `by` (breached) and `spare` (met) fit the state and
    are None otherwise. `why` says what paused or stopped it; a breached clock that was stopped later has it too.
    `ended_at` is None while the clock is open; a breached one without it still waits for what it times.
    `warn_at` is when it gets, or got, at risk. `next_at` is when a touch is due to begin again.
    """

    clock: Clock
    state: State
    target: Target | None = None
    started_at: datetime | None = None
    due_at: datetime | None = None
    warn_at: datetime | None = None
    ended_at: datetime | None = None
    next_at: datetime | None = None
    left: timedelta | None = None
    by: timedelta | None = None
    spare: timedelta | None = None
    why: str = ""
    windows: tuple[Window, ...] = ()
    holders: tuple[Holder, ...] = ()

    @property
    def window(self) -> int:
        """Which window this is, from 1; 0 before the start. Together with the clock it names a notice for good."""
        return len(self.windows)

    @property
    def manager_id(self) -> str | None:
        """Who has the occasion now."""
        return self.holders[-1].manager_id if self.holders else None

    @property
    def total_worked(self) -> timedelta:
        """Working time of all windows, so reopened work counts in; the first window's alone is in `windows[0]`."""
        return sum((window.worked for window in self.windows), _NOTHING)


def clock_states(
    log: Iterable[Event], now: datetime, calendar: Calendar, *, enforced_from: datetime | None = None
) -> dict[Clock, ClockState]:
    """Every clock that the log gives a target to, as of `now`; later events are not seen.

    The result depends on nothing but the arguments, and not on the order of the events.
    """
    events = [event for event in in_order(log) if event.at <= now]
    clocks = {target.clock for event in events for target in event.targets}
    return {
        clock: _Walk(clock, calendar, enforced_from).read(events, in_utc(now)) for clock in Clock if clock in clocks
    }


@dataclass(slots=True)
class _Open:
    """A window under way. `paused` is working time of pauses that are over and moved the due moment."""

    started_at: datetime
    due_at: datetime
    warn_at: datetime
    paused: timedelta = _NOTHING
    ended_at: datetime | None = None
    end: str = ""


class _Walk:
    """Goes through a log once for one clock."""

    def __init__(self, clock: Clock, calendar: Calendar, enforced_from: datetime | None) -> None:
        self._clock = clock
        self._calendar = calendar
        self._enforced_from = enforced_from
        self._target: Target | None = None
        self._talk = Conversation()
        self._closed: list[Window] = []
        self._window: _Open | None = None
        self._reasons: dict[str, datetime] = {}
        self._touches: list[datetime] = []
        self._holders: list[Holder] = []
        self._verdict = ""

    def read(self, events: Sequence[Event], now: datetime) -> ClockState:
        for event in events:
            at = in_utc(event.at)
            self._open_again(at)
            if event.kind in (Kind.STARTED, Kind.REASSIGNED):
                self._holders.append(Holder(event.by, at, event.reason))
            if not self._verdict and event.concerns(self._clock):
                self._take(event, at)
        self._open_again(now)
        return self._state(now)

    def _take(self, event: Event, at: datetime) -> None:
        match event.kind:
            case Kind.STARTED | Kind.POLICY:
                self._apply(event, at)
            case Kind.PAUSED if self._target is not None and event.reason in self._target.pauses:
                self._reasons.setdefault(event.reason, at)
            case Kind.RESUMED:
                self._resume(event.reason, at)
            case Kind.CONTACT if event.contact is not None:
                self._contact(event.contact, at)
            case Kind.DONE if self._is_goal(event):
                self._end(at, "met")
            case Kind.REOPENED:
                self._reopen(at)
            case Kind.RESET if self._window is not None and self._window.end in {"", "met"}:
                self._end(at, "reset")
                self._begin(at)
            case Kind.STOPPED | Kind.GONE:
                self._verdict = event.reason if event.kind is Kind.STOPPED else GONE
                self._end(at, self._verdict)
            case _:
                pass

    def _apply(self, event: Event, at: datetime) -> None:
        target = next((target for target in event.targets if target.clock is self._clock), None)
        window = self._window
        if target is None:
            if self._target is not None and event.kind is Kind.POLICY:
                self._end(at, OTHER_POLICY)
        elif window is None:
            self._target = target
            self._begin(at)
        elif window.ended_at is None and not self._is_late(at):
            self._target = target
            self._judge_anew(window, at)
        elif target.every_days is not None:
            self._target = target

    def _begin(self, at: datetime) -> None:
        """Open a window; whatever paused the last one goes on pausing this one."""
        self._close()
        due = self._due_of(at)
        self._reasons = dict.fromkeys(self._reasons, at)
        self._window = _Open(at, due, self._warning(at, due))

    def _judge_anew(self, window: _Open, at: datetime) -> None:
        """Another term counts from the window's start, with its pauses; it never breaches at once."""
        self._settle_pause(at)
        due = self._shifted(self._due_of(window.started_at), window.paused)
        warn = self._shifted(self._warning(window.started_at, self._due_of(window.started_at)), window.paused)
        least = self._grace(at)
        window.due_at, window.warn_at = (due, warn) if due >= least or due >= window.due_at else (least, at)

    def _reopen(self, at: datetime) -> None:
        window = self._window
        if window is None or window.end != "met" or self._clock not in _GOALS:
            return
        ended = window.ended_at or at
        left = max(self._calendar.worked_between(ended, window.due_at), _NOTHING)
        self._close()
        self._reasons.clear()
        due = max(self._calendar.add_worked(at, left), self._grace(at))
        self._window = _Open(at, due, self._warning(at, due))

    def _contact(self, contact: Contact, at: datetime) -> None:
        counted = self._talk.counts(at, contact, self._target.least_call_seconds if self._target else 0)
        is_touch = counted or (not contact.inbound and contact.channel is not Channel.TASK)
        if is_touch:
            self._touches.append(at)
        if (self._clock is Clock.FIRST_CONTACT and counted) or (self._clock is Clock.SOFT_TOUCH and is_touch):
            self._end(at, "met")

    def _is_goal(self, event: Event) -> bool:
        """Said goals have to be named; a task that was merely closed reaches none but its own end."""
        is_meant = self._clock in event.only if event.only else self._clock is Clock.RESOLUTION
        return is_meant and self._clock in _GOALS

    def _resume(self, reason: str, at: datetime) -> None:
        self._settle_pause(at)
        self._reasons = {why: since for why, since in self._reasons.items() if reason and why != reason}

    def _settle_pause(self, at: datetime) -> None:
        """Move the due moment on by the working time of the pause so far; the pause, if it lasts, counts from here."""
        window = self._window
        if not self._reasons or window is None or window.ended_at is not None:
            return
        if self._is_held_up(window):
            since = min(self._reasons.values())
            work = self._calendar.worked_between(since, at)
            window.paused += work
            if since < window.warn_at:
                window.warn_at = self._shifted(window.warn_at, work)
            window.due_at = self._shifted(window.due_at, work)
            if window.due_at < at:  # nothing was left to work, and the pause ended in closed time
                window.due_at = self._calendar.next_open(at)
        self._reasons = dict.fromkeys(self._reasons, at)

    def _end(self, at: datetime, end: str) -> None:
        if self._window is not None and self._window.ended_at is None:
            self._settle_pause(at)
            self._window.ended_at, self._window.end = at, end

    def _open_again(self, at: datetime) -> None:
        """A touch that was made is due again some days later, in the next month where the month is full."""
        if self._clock is Clock.SOFT_TOUCH and (begin := self._next_touch()) is not None and begin <= at:
            self._begin(begin)

    def _next_touch(self) -> datetime | None:
        target, window = self._target, self._window
        if target is None or target.every_days is None or window is None or window.end != "met" or self._verdict:
            return None
        zone = self._calendar.zone
        days = [touch.astimezone(zone).date() for touch in self._touches]
        day = days[-1] + timedelta(days=target.every_days)
        if target.per_month is not None and sum(_month(day) == _month(other) for other in days) >= target.per_month:
            day = _first_of_next_month(day)
        return self._calendar.next_open(datetime.combine(day, time(), zone))

    def _is_late(self, at: datetime) -> bool:
        """Whether the due moment has passed, no pause that began before it holding it up."""
        window = self._window
        return window is not None and at > window.due_at and not self._is_held_up(window)

    def _is_held_up(self, window: _Open) -> bool:
        return bool(self._reasons) and min(self._reasons.values()) < window.due_at

    def _due_of(self, start: datetime) -> datetime:
        assert self._target is not None  # noqa: S101  # windows are opened under a target only
        target = self._target
        return due_after(target.term, start, self._calendar, business_hours=target.business_hours)

    def _warning(self, start: datetime, due: datetime) -> datetime:
        share = self._target.warn_left if self._target else 0.0
        return min(due, self._calendar.add_worked(start, self._calendar.worked_between(start, due) * (1 - share)))

    def _grace(self, at: datetime) -> datetime:
        return self._calendar.add_minutes(at, self._target.grace_minutes if self._target else 0)

    def _shifted(self, moment: datetime, work: timedelta) -> datetime:
        """A moment moved on by working time; by none it stays, even in closed time."""
        return self._calendar.add_worked(moment, work) if work else moment

    def _close(self) -> None:
        if self._window is not None:
            self._closed.append(self._as_window(self._window, self._window.ended_at or self._window.started_at))
            self._window = None

    def _as_window(self, window: _Open, until: datetime) -> Window:
        late = self._is_enforced(window) and until > window.due_at
        held_at = window.due_at if late else until
        holders = [holder.manager_id for holder in self._holders if holder.since <= held_at]
        return Window(
            number=len(self._closed) + 1,
            started_at=window.started_at,
            due_at=window.due_at,
            ended_at=window.ended_at,
            end=window.end,
            late=late,
            worked=max(self._calendar.worked_between(window.started_at, until) - window.paused, _NOTHING),
            paused=window.paused,
            manager_id=holders[-1] if holders else None,
        )

    def _is_enforced(self, window: _Open) -> bool:
        return self._enforced_from is None or window.started_at >= self._enforced_from

    def _state(self, now: datetime) -> ClockState:
        window, holders = self._window, tuple(self._holders)
        if window is None:
            return ClockState(self._clock, State.NOT_STARTED, self._target, why=self._verdict, holders=holders)
        why = min(self._reasons, key=lambda reason: (self._reasons[reason], reason), default="")
        is_paused = window.ended_at is None and self._is_held_up(window)
        self._settle_pause(now)
        seen = self._as_window(window, window.ended_at or now)
        base = ClockState(
            self._clock,
            State.RUNNING,
            target=self._target,
            started_at=window.started_at,
            due_at=window.due_at,
            warn_at=window.warn_at,
            ended_at=window.ended_at,
            next_at=self._next_touch(),
            windows=(*self._closed, seen),
            holders=holders,
        )
        return self._judged(base, window, seen, now, why if is_paused else "")

    def _judged(self, base: ClockState, window: _Open, seen: Window, now: datetime, paused_for: str) -> ClockState:
        until = window.ended_at or now
        margin = self._calendar.worked_between(until, window.due_at)
        stopped = "" if window.end in {"met", ""} else window.end
        if seen.late:
            return replace(base, state=State.BREACHED, by=-margin, why=stopped)
        if stopped:
            return replace(base, state=State.STOPPED, why=stopped)
        if window.end == "met":
            is_old = until > window.due_at
            return replace(base, state=State.MET, spare=max(margin, _NOTHING), why=BEFORE_ENFORCEMENT if is_old else "")
        if paused_for:
            return replace(base, state=State.PAUSED, left=margin, why=paused_for)
        if not self._is_enforced(window):
            return replace(base, left=max(margin, _NOTHING), why=BEFORE_ENFORCEMENT)
        return replace(base, state=State.AT_RISK if now >= window.warn_at else State.RUNNING, left=margin)


def _month(day: date) -> tuple[int, int]:
    return day.year, day.month


def _first_of_next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
