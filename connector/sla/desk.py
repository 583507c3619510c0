"""What is to be done first, out of the store: open tasks with their clocks as work for queues, and forecasts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from adapters.records import CustomerRef
from connector.sla.events import Kind
from connector.sla.load import ClassLoad, Desk, Forecast, LoadPlan, Planned, forecast, plan_load
from connector.sla.logbook import attempts_in, class_now, live_of
from connector.sla.opening import TASK_OPEN
from connector.sla.policy import WorkClass
from connector.sla.portal_rules import PortalRules
from connector.sla.queue import Place, Work, queues
from connector.sla.rounds import Live, look
from connector.sla.sequences import Waiting
from connector.store import occasions, scores, tasks
from connector.store.models import Portal
from connector.store.occasions import Held
from connector.store.scores import LivingScore
from scoring.methods import MethodVersion

TASK_MINUTES = 15
LOAD_DAYS = 30


@dataclass(frozen=True, slots=True)
class Item:
    """A place in a queue with what a person wants to see of it."""

    place: Place
    ref: CustomerRef
    title: str
    started_at: datetime
    due_at: datetime
    occasion: str


def queue(
    session: Session, portal: Portal, rules: PortalRules, now: datetime, *, top: int | None = None
) -> dict[str | None, list[Item]]:
    """Every manager's open work in the order in which to do it; what was put off is not there until then."""
    minutes = float(portal.settings.get("task_minutes", TASK_MINUTES))
    held = {one.row.task_key: one for one in occasions.all_open(session, portal.portal_id)}
    known = _scores(session, portal.portal_id, [one.row.customer for one in held.values()])
    works = [
        work
        for one in held.values()
        if (work := _work(one, known.get(one.row.customer), rules, now, minutes)) is not None
    ]
    titles = tasks.titles(session, portal.portal_id, [work.key for work in works])
    return {
        manager_id: [_item(place, held[place.work.key], titles.get(place.work.key, "")) for place in places]
        for manager_id, places in queues(works, top=top).items()
    }


def load_forecast(session: Session, portal: Portal, rules: PortalRules, now: datetime) -> Forecast:
    """What the desks will manage of the open work, with the breaches that are foreseen."""
    minutes = float(portal.settings.get("task_minutes", TASK_MINUTES))
    planned = [
        Planned(
            key=item.place.work.key,
            manager_id=manager_id or "",
            work_class=item.place.work.work_class,
            minutes=minutes,
            begin_at=now,
            due_at=item.due_at,
            is_new=False,
        )
        for manager_id, items in queue(session, portal, rules, now).items()
        for item in items
    ]
    return forecast(_desks(rules), planned, now)


def month_plan(session: Session, portal: Portal, rules: PortalRules, version: MethodVersion, now: datetime) -> LoadPlan:
    """Everybody's touches over the next month against the time there is, with ways to make it fit."""
    minutes = float(portal.settings.get("task_minutes", TASK_MINUTES))
    classes = {segment.value: WorkClass(segment.work) for segment in version.method.segments}
    records: dict[WorkClass, int] = {}
    for segment, count in scores.segment_sizes(session, portal.portal_id).items():
        if segment in classes:
            records[classes[segment]] = records.get(classes[segment], 0) + count
    loads = [
        ClassLoad(work_class, records.get(work_class, 0), cadence.every_days, 1.0, minutes)
        for work_class, cadence in rules.playbook.cadence_by_class().items()
    ]
    return plan_load(loads, _desks(rules), now.astimezone(rules.calendar.zone).date(), LOAD_DAYS)


def _desks(rules: PortalRules) -> list[Desk]:
    return [
        Desk(manager.external_id, rules.calendar, team_ids=manager.team_ids)
        for manager in sorted(rules.people.managers.values(), key=lambda one: one.external_id)
        if manager.active
    ]


def _scores(session: Session, portal_id: int, numbers: list[int]) -> dict[int, LivingScore]:
    return {score.customer: score for score in scores.living_scores(session, portal_id, numbers)} if numbers else {}


def _work(held: Held, score: LivingScore | None, rules: PortalRules, now: datetime, minutes: float) -> Work | None:
    """None where there is nothing to do now: no open task, put off, made already, or a customer without a score."""
    row = held.row
    live = live_of(held, rules.portal_key)
    if score is None or row.task_state != TASK_OPEN or _put_off(live, now):
        return None
    try:
        seen = look(rules.playbook, live, rules.clocks, rules.calendar, now)
    except ValueError:
        return None
    if not isinstance(seen.answer, Waiting) or seen.answer.why != "raised":
        return None
    return Work(
        key=row.task_key,
        number=row.customer,
        manager_id=rules.people.route(row.manager_id).manager_id,
        rule=row.rule,
        work_class=class_now(live.log, WorkClass(row.work_class)),
        monetary=score.m,
        frequency=score.f,
        since=row.started_at,
        clocks=tuple(seen.clocks.values()),
        churn_risk=score.churn_risk,
        attempts=attempts_in(live.log),
        minutes=minutes,
    )


def _put_off(live: Live, now: datetime) -> bool:
    """Whether the last postponement, if no step was raised since, is for later than now."""
    until = None
    for event in live.log:
        if event.kind is Kind.POSTPONED:
            until = event.until
        elif event.kind is Kind.RAISED:
            until = None
    return until is not None and until > now


def _item(place: Place, held: Held, title: str) -> Item:
    return Item(place, held.ref, title, held.row.started_at, held.row.due_at, held.row.key)
