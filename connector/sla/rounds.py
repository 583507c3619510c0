"""One occasion under way, seen whole: how it begins, what it needs, when to look again, and what its next task says.

Pure; ties clocks and sequences together for whoever stores logs and makes tasks. An occasion begins with its first
task: `STARTED` with the clocks of its class, frozen, and `RAISED`. It is looked at again when its log grows or at
`again_at`, whichever comes first; between the two nothing about it can change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from adapters.records import CustomerRef, Priority, TaskDraft
from connector.sla.clock import OPEN, ClockState, clock_states
from connector.sla.events import Clock, Event, Kind
from connector.sla.followups import FollowUp
from connector.sla.phrases import phrase
from connector.sla.playbook import Playbook
from connector.sla.plays import Stop
from connector.sla.policy import Policy, WorkClass
from connector.sla.scripts import script_for
from connector.sla.sequences import Answer, NextStep, Occasion, Waiting, next_step
from connector.sla.signalling import Signalled
from connector.sla.targets import ClockRules, targets_for
from connector.sla.texts import Facts, write_text
from connector.sla.worktime import Calendar

FIRST_STEP = "first"
"""The step of the rule's own task, in a log that began with it."""


@dataclass(frozen=True, slots=True)
class Live:
    """An occasion and its log."""

    occasion: Occasion
    log: tuple[Event, ...]

    def with_event(self, event: Event) -> Live:
        """The same with a line more."""
        return Live(self.occasion, (*self.log, event))


@dataclass(frozen=True, slots=True)
class Look:
    """What an occasion needs, how its clocks stand, and when to look again if its log does not grow before."""

    answer: Answer
    clocks: Mapping[Clock, ClockState]
    again_at: datetime | None


def look(
    playbook: Playbook,
    live: Live,
    rules: ClockRules,
    calendar: Calendar,
    now: datetime,
    *,
    touched_on: Sequence[date] = (),
    enforced_from: datetime | None = None,
) -> Look:
    """See an occasion as of `now`. Raises `ValueError` as `next_step` does."""
    answer = next_step(
        playbook,
        live.occasion,
        live.log,
        now,
        calendar,
        touched_on=touched_on,
        least_call_seconds=rules.least_call_seconds,
    )
    clocks = clock_states(live.log, now, calendar, enforced_from=enforced_from)
    return Look(answer, clocks, _again_at(answer, clocks, now))


def _again_at(answer: Answer, clocks: Mapping[Clock, ClockState], now: datetime) -> datetime | None:
    moments: list[datetime | None] = []
    if isinstance(answer, NextStep):
        moments.append(answer.begin_at)
    elif isinstance(answer, Waiting):
        moments.append(answer.until)
    for clock in clocks.values():
        moments += [clock.warn_at, clock.due_at] if clock.state in OPEN else []
        moments.append(clock.next_at)
    return min((moment for moment in moments if moment is not None and moment > now), default=None)


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens an occasion: the frozen rules of its clocks, and whose customer it is."""

    playbook: Playbook
    rules: ClockRules
    portal_key: str
    edition: str = field(init=False)

    def __post_init__(self) -> None:
        """Name the playbook once for all that is opened."""
        object.__setattr__(self, "edition", self.playbook.edition)


def opened_by_task(opening: Opening, task: FollowUp, now: datetime, *, big: bool, quality: int) -> Live:
    """The occasion of a task that `plan_followups` drafted, begun with it. The task's key is the first step's."""
    occasion = Occasion(opening.portal_key, task.customer, task.number, task.rule, task.event_key, task.work_class, big)
    return _opened(opening, occasion, task.manager_id, now, quality)


def opened_by_signal(
    opening: Opening,
    signal: Signalled,
    customer: CustomerRef,
    work_class: WorkClass,
    manager_id: str | None,
    now: datetime,
    *,
    big: bool,
    quality: int,
) -> Live:
    """The occasion of a signal, to be begun when its first task fits into the manager's day."""
    occasion = Occasion(opening.portal_key, customer, signal.number, signal.rule, signal.event_key, work_class, big)
    return _opened(opening, occasion, manager_id, now, quality)


def _opened(opening: Opening, occasion: Occasion, manager_id: str | None, now: datetime, quality: int) -> Live:
    targets = targets_for(occasion.work_class, opening.rules, opening.playbook, quality=quality)
    started = Event(now, Kind.STARTED, by=manager_id, reason=opening.edition, targets=targets)
    return Live(occasion, (started, Event(now, Kind.RAISED, 1, step=FIRST_STEP)))


def superseded(now: datetime, number: int = 0) -> Event:
    """The line that ends an older occasion of a customer when a fresher one begins."""
    return Event(now, Kind.STOPPED, number, reason=Stop.SUPERSEDED.value)


@dataclass(frozen=True, slots=True)
class StepTask:
    """A step as a row and as a task. `event_key` and `key` are unique for ever; `raised` is the line for the log."""

    number: int
    rule: str
    event_key: str
    draft: TaskDraft
    raised: Event

    def row(self) -> dict[str, Any]:
        """The columns of the table of tasks that a step fills in."""
        draft = self.draft
        return {
            "key": draft.key,
            "customer": self.number,
            "rule": self.rule,
            "event_key": self.event_key,
            "manager_id": draft.manager_id,
            "title": draft.title,
            "body": draft.body,
            "priority": draft.priority.value,
            "due_at": draft.due_at,
        }


def step_task(
    occasion: Occasion,
    step: NextStep,
    facts: Facts,
    policy: Policy,
    calendar: Calendar,
    now: datetime,
    *,
    manager_id: str | None,
    priority: Priority,
    language: str,
    steps: int,
) -> StepTask:
    """The task of a step that is raised now. The first one reads as its rule's task always did.

    A later one says which attempt it is and by what way, and adds the part of the class's script that leads.
    """
    text = write_text(occasion.rule, step.work_class, facts, language)
    title, body = text.title, text.body
    if step.attempt > 1:
        channel = phrase(f"step.{step.step.channel}", language)
        title = phrase("step.numbered", language, title=title, channel=channel, attempt=step.attempt, steps=steps)
        words = getattr(script_for(step.work_class, language), step.step.script)
        body = f"{phrase(f'script.{step.step.script}', language)}: {words}\n{body}"
    draft = TaskDraft(
        key=step.key,
        customer=occasion.customer,
        manager_id=manager_id,
        title=title,
        body=body,
        due_at=policy.due_at(step.work_class, max(now, step.begin_at), calendar, quality=facts.quality),
        priority=priority,
    )
    return StepTask(occasion.number, occasion.rule, step.event_key, draft, Event(now, Kind.RAISED, step=step.step.id))
