"""Who is told what about a deadline: the manager on warning, his team lead on breach, the head of sales by digest.

Pure. Every notice goes to one person, never to a group, and has a key for ever, so that none is sent twice. Nobody is
told in closed time; what came up meanwhile is told at the next opening. A warning is left to the CRM where its own
reminder of the task comes at about the same time (amoCRM reminds at most five minutes before a task is due:
https://amocrm.ru/support/tasks/setting_reminder_of_tasks).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType

from adapters.records import CRM, CustomerRef, Priority
from connector.sla.clock import OPEN, ClockState, State, Window
from connector.sla.events import Event, Kind
from connector.sla.people import People
from connector.sla.phrases import Said
from connector.sla.plays import Stop
from connector.sla.policy import WorkClass, whole_number
from connector.sla.worktime import Calendar

CRM_REMINDS: Mapping[CRM, timedelta] = MappingProxyType({CRM.AMOCRM: timedelta(minutes=5)})
"""How long before a task is due a CRM reminds the manager by itself; the others are not known to."""

_HIGHER = {Priority.LOW: Priority.NORMAL, Priority.NORMAL: Priority.HIGH, Priority.HIGH: Priority.HIGH}


class Tier(StrEnum):
    """Whom it concerns."""

    WARNING = "warning"
    BREACH = "breach"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class EscalationRules:
    """A portal's rules. `crm_reminds`: how long before the due moment the CRM reminds the manager, None if it does not.

    A warning is only worth sending when it comes at least `worth_minutes` before that reminder. Tasks untouched for
    `stale_days` after their due moment expire. The digest of a working day is ready at its `digest_hour`.
    """

    crm_reminds: timedelta | None = None
    worth_minutes: int = 30
    head_of_sales: str | None = None
    stale_days: int = 30
    digest_hour: int = 17


def escalation_rules(settings: Mapping[str, object], crm: CRM) -> EscalationRules:
    """The rules in a portal's settings: `head_of_sales` (manager id), `stale_days`, `digest_hour`.

    Raises `ValueError` with the word and what is wrong with its value.
    """
    head = settings.get("head_of_sales")
    hour = whole_number("digest_hour", settings.get("digest_hour", 17), least=0)
    if hour > 23:
        raise ValueError(f"digest_hour: {hour} is no hour of the day")
    return EscalationRules(
        crm_reminds=CRM_REMINDS.get(crm),
        head_of_sales=None if head is None else str(head),
        stale_days=whole_number("stale_days", settings.get("stale_days", 30), least=1),
        digest_hour=hour,
    )


@dataclass(frozen=True, slots=True)
class Watched:
    """One occasion under way: its key, whose customer, the rule, who has it, and its clocks.

    `in_crm_until` is the due moment of the task that the CRM holds for it; None where it holds none.
    """

    key: str
    customer: CustomerRef
    rule: str
    work_class: WorkClass
    manager_id: str | None
    clocks: tuple[ClockState, ...]
    in_crm_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to one person. `key` is the same for ever; `said` becomes words where it is sent."""

    key: str
    tier: Tier
    to: str
    occasion: str
    customer: CustomerRef
    said: Said


def notices(
    watched: Iterable[Watched],
    people: People,
    rules: EscalationRules,
    calendar: Calendar,
    now: datetime,
    sent: Collection[str] = (),
) -> list[Notice]:
    """What has to be told now, in the order given; nothing that was sent, nothing in closed time.

    A breach goes to the nearest lead who is not the one who missed it, else to the head of sales, else to the
    portal's default manager; where it would come back to whoever missed it, nobody is told.
    """
    if not calendar.is_open(now):
        return []
    found = []
    for one in watched:
        for clock in one.clocks:
            notice = _warning(one, clock, rules, now) or _breach(one, clock, people, rules)
            if notice is not None and notice.key not in sent:
                found.append(notice)
    return found


def _warning(one: Watched, clock: ClockState, rules: EscalationRules, now: datetime) -> Notice | None:
    if clock.state is not State.AT_RISK or one.manager_id is None or _crm_reminds(one, clock, rules, now):
        return None
    return _notice(one, clock, Tier.WARNING, one.manager_id, Said("notice.warning", {"span": clock.left}))


def _crm_reminds(one: Watched, clock: ClockState, rules: EscalationRules, now: datetime) -> bool:
    """Whether the CRM's reminder of the task makes ours superfluous. Calendar time: that is how CRMs count."""
    if rules.crm_reminds is None or one.in_crm_until is None or one.in_crm_until != clock.due_at:
        return False
    return one.in_crm_until - rules.crm_reminds - now < timedelta(minutes=rules.worth_minutes)


def _breach(one: Watched, clock: ClockState, people: People, rules: EscalationRules) -> Notice | None:
    if clock.state is not State.BREACHED or clock.ended_at is not None:
        return None
    missed_by = clock.windows[-1].manager_id if clock.windows else one.manager_id
    to = _above(missed_by or one.manager_id, people, rules)
    if to is None:
        return None
    said = Said("notice.breach", {"span": clock.by, "manager": _name(missed_by, people)})
    return _notice(one, clock, Tier.BREACH, to, said)


def _above(manager_id: str | None, people: People, rules: EscalationRules) -> str | None:
    steps = (people.lead_above(manager_id), rules.head_of_sales, people.default_manager_id)
    return next((to for to in steps if to is not None and to != manager_id and people.works(to)), None)


def _name(manager_id: str | None, people: People) -> str:
    manager = None if manager_id is None else people.managers.get(manager_id)
    return "—" if manager is None else manager.name


def _notice(one: Watched, clock: ClockState, tier: Tier, to: str, said: Said) -> Notice:
    words = json.dumps([one.key, clock.clock.value, clock.window, tier.value]).encode()
    return Notice(hashlib.sha256(words).hexdigest()[:16], tier, to, one.key, one.customer, said)


@dataclass(frozen=True, slots=True)
class Missed:
    """A missed deadline in a digest: whose, of which class, which window, and whether it is still open."""

    occasion: str
    customer: CustomerRef
    rule: str
    work_class: WorkClass
    manager_id: str | None
    window: Window

    @property
    def is_open(self) -> bool:
        """Whether what was timed has still not happened."""
        return self.window.ended_at is None


@dataclass(frozen=True, slots=True)
class Digest:
    """One day's missed deadlines for the head of sales. One for each day, by its key."""

    key: str
    to: str
    until: datetime
    missed: tuple[Missed, ...]
    said: Said

    def by_manager(self) -> dict[str | None, int]:
        """How many each manager missed."""
        return {
            who: sum(one.manager_id == who for one in self.missed) for who in {one.manager_id for one in self.missed}
        }


def digest(
    watched: Iterable[Watched],
    people: People,
    rules: EscalationRules,
    calendar: Calendar,
    now: datetime,
    last: datetime | None = None,
) -> Digest | None:
    """The digest of the deadlines that passed between two digest hours; None before its hour or without any.

    `last` is the `until` of the digest sent last, so that a day on which nothing ran is made good; without it the
    digest looks back to the working day before. A day off has none of its own.
    """
    day = now.astimezone(calendar.zone).date()
    hour = time(rules.digest_hour)
    until = datetime.combine(day, hour, calendar.zone)
    since = last or datetime.combine(_working_day_before(day, calendar), hour, calendar.zone)
    if now < until or since >= until or not calendar.hours_on(day) or not people.works(rules.head_of_sales):
        return None
    missed = [
        Missed(one.key, one.customer, one.rule, one.work_class, window.manager_id, window)
        for one in watched
        for clock in one.clocks
        for window in clock.windows
        if window.late and since <= window.due_at < until
    ]
    if not missed or rules.head_of_sales is None:
        return None
    missed.sort(key=lambda one: (one.window.due_at, one.occasion))
    said = Said("notice.digest", {"count": len(missed)})
    return Digest(f"digest:{day.isoformat()}", rules.head_of_sales, until, tuple(missed), said)


def _working_day_before(day: date, calendar: Calendar) -> date:
    before = day - timedelta(days=1)
    while not calendar.hours_on(before):
        before -= timedelta(days=1)
    return before


def raised(priority: Priority, clocks: Iterable[ClockState]) -> Priority:
    """The priority as the deadline nears: one step up at risk, the highest once breached."""
    states = {clock.state for clock in clocks if clock.ended_at is None}
    if State.BREACHED in states:
        return Priority.HIGH
    return _HIGHER[priority] if State.AT_RISK in states else priority


@dataclass(frozen=True, slots=True)
class Expired:
    """An automatic task that lay untouched for too long: to be closed with the reason."""

    occasion: str
    at: datetime
    said: Said

    def event(self, number: int = 0) -> Event:
        """The line for the occasion's log."""
        return Event(self.at, Kind.STOPPED, number, reason=Stop.EXPIRED.value)


def expired(
    watched: Iterable[Watched], last_touched: Mapping[str, datetime], rules: EscalationRules, now: datetime
) -> list[Expired]:
    """Occasions whose every open clock is long over and on which nobody has done anything since.

    `last_touched` is by occasion: its last attempt, postponement or reassignment. A paused clock keeps its occasion.
    """
    limit = timedelta(days=rules.stale_days)
    found = []
    for one in watched:
        waiting = [clock for clock in one.clocks if clock.state in OPEN or clock.state is State.BREACHED]
        waiting = [clock for clock in waiting if clock.ended_at is None]
        if not waiting or any(clock.state is not State.BREACHED for clock in waiting):
            continue
        moments = _moments(waiting, last_touched.get(one.key))
        if now - max(moments) >= limit:
            found.append(Expired(one.key, now, Said("notice.expired", {"days": rules.stale_days})))
    return found


def _moments(clocks: Sequence[ClockState], touched: datetime | None) -> list[datetime]:
    moments = [clock.due_at for clock in clocks if clock.due_at is not None]
    return moments if touched is None else [*moments, touched]
