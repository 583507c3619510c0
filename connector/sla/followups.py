"""Plan the tasks of one run: news first, then as many cadence contacts as each manager's day still holds.

Pure: what is known comes in, what should exist comes out. Nothing is stored or sent, so planning the same
day again, after a crash or by a second worker, gives tasks with the same keys; the store keeps one of each.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cache

from adapters.records import CustomerRef, Priority, TaskDraft
from connector.sla.people import People, Routing
from connector.sla.playbook import CadenceRule, EventRule, Playbook, load_playbook
from connector.sla.policy import Policy, WorkClass, policy_from, whole_number
from connector.sla.texts import Facts, write_text
from connector.sla.worktime import Calendar
from connector.wording import Language

_RANK = {work_class: rank for rank, work_class in enumerate(WorkClass)}


@dataclass(frozen=True, slots=True)
class CustomerState:
    """One scored customer as a run sees him. `number` is his number within the portal.

    `work_class` is the class that the method gives to his segment. `move_key` names the move from
    `previous_work_class` for good (the run that saw it, say) and is None when there is nothing to announce;
    `upsell_turned_on_key` likewise names the turning on of the flag.
    """

    number: int
    ref: CustomerRef
    manager_id: str | None
    segment: str
    work_class: WorkClass
    previous_work_class: WorkClass | None
    move_key: str | None
    upsell: bool
    upsell_turned_on_key: str | None
    recency: int
    frequency: int
    monetary: Decimal
    quality: int
    churn_risk: bool


@dataclass(frozen=True, slots=True)
class Touch:
    """Tasks of one rule for one customer: the day of the last one, and how many in the calendar month of the run."""

    last_on: date
    in_month: int


@dataclass(frozen=True, slots=True)
class PastTasks:
    """What was raised before: by customer number and rule, and the cadence tasks each manager got that day."""

    touches: Mapping[tuple[int, str], Touch] = field(default_factory=dict)
    created_today: Mapping[str | None, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A task to raise. `key` is short and stable; `event_key` says which occasion of the rule it is.

    `manager_id` is who gets it, `original_manager_id` whose customer it is, `routed_because` why they differ.
    With a `problem` there is nobody to give it to: it is reported and not created.
    """

    customer: CustomerRef
    number: int
    rule: str
    event_key: str
    work_class: WorkClass
    manager_id: str | None
    original_manager_id: str | None
    routed_because: str
    title: str
    body: str
    due_at: datetime
    priority: Priority
    key: str
    problem: str | None = None

    def draft(self) -> TaskDraft:
        """The task as adapters take it. Raises `ValueError` for a follow-up with a problem."""
        if self.problem is not None:
            raise ValueError(self.problem)
        return TaskDraft(
            key=self.key,
            customer=self.customer,
            manager_id=self.manager_id,
            title=self.title,
            body=self.body,
            due_at=self.due_at,
            priority=self.priority,
        )


@dataclass(frozen=True, slots=True)
class FollowUpSettings:
    """What a portal decides about its tasks.

    `portal_key` names the account for good and is part of every key, so that a portal connected anew finds its tasks.
    """

    portal_key: str
    currency: str
    language: Language = Language.RU
    window_days: int = 365
    daily_budget: int = 10
    policy: Policy = field(default_factory=Policy)
    playbook: Playbook = field(default_factory=load_playbook)


def followup_settings(settings: Mapping[str, object], *, portal_key: str, currency: str) -> FollowUpSettings:
    """Read `language`, `window_days`, `daily_budget`, `sla` and `cadence`; other words are not ours.

    Raises `ValueError` with the word and what is wrong with its value.
    """
    language = settings.get("language", Language.RU)
    if language not in {*Language}:
        raise ValueError(f"language: {language!r} is not one of {', '.join(Language)}")
    return FollowUpSettings(
        portal_key=portal_key,
        currency=currency,
        language=Language(str(language)),
        window_days=whole_number("window_days", settings.get("window_days", 365), least=1),
        daily_budget=whole_number("daily_budget", settings.get("daily_budget", 10), least=0),
        policy=policy_from(settings),
        playbook=load_playbook().with_settings(settings),
    )


def plan_followups(
    states: Iterable[CustomerState],
    past: PastTasks,
    people: People,
    calendar: Calendar,
    settings: FollowUpSettings,
    *,
    now: datetime,
    on: date,
    first_run: bool,
) -> list[FollowUp]:
    """The tasks to raise for a portal on day `on`: news in the order of rules, then cadences in the order of work.

    `states` may hold the candidates only or everybody, each customer once. A first run has no news. News is not
    budgeted; cadence tasks are, per manager who gets them and together with those created that day. Who has
    news in this run gets no cadence task in it. The due times count from `now`.
    """
    desk = _Desk(calendar, settings, people, now=now, on=on)
    due = _Due(past, settings.playbook, on)
    queues = _Queues(past, settings.daily_budget)
    news: list[tuple[int, int, CustomerState, str]] = []
    events = settings.playbook.events
    for state in states:
        found = () if first_run else tuple(_news(state, events))
        if found:
            news.extend((at, state.number, state, key) for at, key in found)
        elif due.cadence_of(state) is not None:
            queues.offer(state, desk.route(state.manager_id).manager_id)
    news.sort(key=lambda item: item[:2])
    raised = [desk.follow_up(state, events[at].rule, key, events[at].priority) for at, _, state, key in news]
    for state in queues.chosen():
        cadence = due.by_class[state.work_class]
        raised.append(desk.follow_up(state, cadence.rule, cadence.event_key(on), cadence.priority))
    return raised


def followup_key(portal_key: str, customer: CustomerRef, rule: str, event_key: str) -> str:
    """Sixteen hexadecimal digits that stand for one occasion of a rule for one customer, the same for ever."""
    words = json.dumps([portal_key, str(customer), rule, event_key]).encode()
    return hashlib.sha256(words).hexdigest()[:16]


def _news(state: CustomerState, events: tuple[EventRule, ...]) -> Iterator[tuple[int, str]]:
    """The event rules that apply, as position in the playbook and the key of the occasion."""
    if state.move_key is None and state.upsell_turned_on_key is None:
        return
    for at, event in enumerate(events):
        if event.flag is not None:
            if state.upsell and state.upsell_turned_on_key is not None:
                yield at, state.upsell_turned_on_key
        elif state.move_key is not None and event.is_move(state.previous_work_class, state.work_class):
            yield at, state.move_key


class _Due:
    """Which cadence a customer is due for on one day."""

    def __init__(self, past: PastTasks, playbook: Playbook, on: date) -> None:
        self.by_class = playbook.cadence_by_class()
        self._touches = past.touches
        self._on = on

    def cadence_of(self, state: CustomerState) -> CadenceRule | None:
        cadence = self.by_class.get(state.work_class)
        if cadence is None:
            return None
        own = self._touches.get((state.number, cadence.rule))
        if own is not None and (
            self._is_recent(own, cadence) or (cadence.per_month is not None and own.in_month >= cadence.per_month)
        ):
            return None
        others = (self._touches.get((state.number, rule)) for rule in cadence.after)
        recent = any(touch is not None and self._is_recent(touch, cadence) for touch in others)
        return None if recent else cadence

    def _is_recent(self, touch: Touch, cadence: CadenceRule) -> bool:
        return (self._on - touch.last_on).days < cadence.every_days


class _Queues:
    """The best customers for what is left of each manager's daily budget, in one pass over all of them.

    Best is: the order of work, then whoever may be lost, then the larger sum, the later order, the lower number.
    """

    def __init__(self, past: PastTasks, daily_budget: int) -> None:
        self._created_today = past.created_today
        self._budget = daily_budget
        self._heaps: dict[str | None, list[tuple[_Worth, CustomerState]]] = {}

    def offer(self, state: CustomerState, manager_id: str | None) -> None:
        heap = self._heaps.setdefault(manager_id, [])
        entry = (_worth(state), state)
        if len(heap) < self._budget - self._created_today.get(manager_id, 0):
            heapq.heappush(heap, entry)
        elif heap and entry[0] > heap[0][0]:
            heapq.heapreplace(heap, entry)

    def chosen(self) -> list[CustomerState]:
        """All chosen customers, best first."""
        entries = sorted((entry for heap in self._heaps.values() for entry in heap), reverse=True)
        return [state for _, state in entries]


_Worth = tuple[int, bool, Decimal, int, int]


def _worth(state: CustomerState) -> _Worth:
    """Larger is sooner. The number makes it unique, so that two customers are never compared."""
    return (-_RANK[state.work_class], state.churn_risk, state.monetary, -state.recency, -state.number)


class _Desk:
    """Writes follow-ups; remembers routes and due times, of which a run has few."""

    def __init__(
        self, calendar: Calendar, settings: FollowUpSettings, people: People, *, now: datetime, on: date
    ) -> None:
        self.route: Callable[[str | None], Routing] = cache(people.route)
        self._settings = settings
        self._on = on
        self._due_at = cache(
            lambda work_class, quality: settings.policy.due_at(work_class, now, calendar, quality=quality)
        )

    def follow_up(self, state: CustomerState, rule: str, event_key: str, priority: Priority) -> FollowUp:
        settings = self._settings
        routing = self.route(state.manager_id)
        text = write_text(rule, state.work_class, self._facts(state, routing), settings.language)
        problem = None
        if routing.manager_id is None:
            problem = "nobody can take the task: no active manager, team lead or default manager"
        return FollowUp(
            customer=state.ref,
            number=state.number,
            rule=rule,
            event_key=event_key,
            work_class=WorkClass(state.work_class),
            manager_id=routing.manager_id,
            original_manager_id=state.manager_id,
            routed_because=routing.because,
            title=text.title,
            body=text.body,
            due_at=self._due_at(state.work_class, state.quality),
            priority=priority,
            key=followup_key(settings.portal_key, state.ref, rule, event_key),
            problem=problem,
        )

    def _facts(self, state: CustomerState, routing: Routing) -> Facts:
        return Facts(
            on=self._on,
            recency=state.recency,
            frequency=state.frequency,
            monetary=state.monetary,
            currency=self._settings.currency,
            window_days=self._settings.window_days,
            quality=state.quality,
            softened=self._settings.policy.is_softened(state.quality),
            absence=routing.absence,
        )
