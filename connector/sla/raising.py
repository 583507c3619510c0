"""From stored scores and moves to stored tasks, and from stored tasks to tasks in the CRM.

Planning is one transaction: the tasks and the word "handled" on the moves they answer. Sending marks a batch as
`sending` before the call; after a crash such tasks are looked for in the CRM before they are made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time

from sqlalchemy.orm import Session

from adapters.contract import Adapter
from adapters.fields import zone
from connector.deadline import NEVER, Deadline
from connector.errors import WrongUse
from connector.sla import opening
from connector.sla.calendars import calendar_from
from connector.sla.followups import (
    CustomerState,
    FollowUp,
    FollowUpSettings,
    PastTasks,
    Touch,
    followup_settings,
    plan_followups,
)
from connector.sla.policy import WorkClass
from connector.sla.portal_rules import people_of
from connector.sla.rounds import Opening
from connector.sla.targets import ClockRules, clock_rules
from connector.sla.worktime import Calendar
from connector.store import scores, tasks
from connector.store.database import Database
from connector.store.models import MoveRow, Portal, RunRow
from scoring.methods import MethodVersion

_NOBODY = "nobody works on this customer and the portal has no default manager"


@dataclass(slots=True)
class Raised:
    """Tasks created and refused. Not `finished` when the deadline came first: the others stay planned."""

    created: int = 0
    refused: int = 0
    finished: bool = True


def plan_tasks(
    session: Session,
    portal: Portal,
    run: RunRow,
    version: MethodVersion,
    *,
    now: datetime,
    beside: Sequence[MethodVersion] = (),
) -> int:
    """Plan the tasks of a run and mark its moves as handled. Returns how many tasks are new.

    `version` is the one in force; customers may have been scored by those `beside` it.

    Raises `WrongUse` for a portal setting that makes no sense.
    """
    moves = tasks.unhandled_moves(session, portal.portal_id)
    wanted, calendar = _rules(portal, version)
    budgeted = [rule.rule for rule in wanted.playbook.cadences]
    work = _WorkClasses((version, *beside))
    opening.note_facts(session, portal.portal_id, _classes(moves, work), now)
    followups = plan_followups(
        _states(session, portal.portal_id, work, moves),
        _past(session, portal.portal_id, run.as_of, _day_start(portal, now), budgeted),
        people_of(session, portal),
        calendar,
        wanted,
        now=now,
        on=run.as_of,
        first_run=portal.first_run_at is None,
    )
    tasks.moves_handled(session, portal.portal_id)
    return _plan(session, portal, run, followups, work, wanted, now)


def plan_news(
    session: Session,
    portal: Portal,
    run: RunRow,
    version: MethodVersion,
    customers: Sequence[int],
    *,
    now: datetime,
    beside: Sequence[MethodVersion] = (),
) -> int:
    """Plan the tasks that the moves of some customers ask for; cadences wait for the next whole run."""
    moves = tasks.unhandled_moves(session, portal.portal_id, customers)
    work = _WorkClasses((version, *beside))
    opening.note_facts(session, portal.portal_id, _classes(moves, work), now, customers)
    if not moves:
        return 0
    wanted, calendar = _rules(portal, version)
    followups = plan_followups(
        _states(session, portal.portal_id, work, moves, [move.customer for move in moves]),
        PastTasks(),
        people_of(session, portal),
        calendar,
        replace(wanted, playbook=replace(wanted.playbook, cadences=())),
        now=now,
        on=run.as_of,
        first_run=portal.first_run_at is None,
    )
    tasks.moves_handled(session, portal.portal_id, customers)
    return _plan(session, portal, run, followups, work, wanted, now)


def _plan(
    session: Session,
    portal: Portal,
    run: RunRow,
    followups: Sequence[FollowUp],
    work: _WorkClasses,
    wanted: FollowUpSettings,
    now: datetime,
) -> int:
    """Store tasks, each new one with the occasion that it begins. Returns how many are new."""
    before = tasks.planned_before(session, portal.portal_id, [followup.key for followup in followups])
    added = tasks.add_planned(session, [_row(portal.portal_id, run, followup) for followup in followups])
    begun = [one for one in followups if one.key not in before and one.problem is None]
    numbers = [followup.number for followup in begun]
    states = {state.number: state for state in _states(session, portal.portal_id, work, (), numbers)} if begun else {}
    start = Opening(wanted.playbook, _clocks(portal), wanted.portal_key)
    opening.open_occasions(session, portal.portal_id, begun, states, start, now)
    return added


def _clocks(portal: Portal) -> ClockRules:
    try:
        return clock_rules(portal.settings)
    except ValueError as error:
        raise WrongUse(f"a setting of {portal.name} is not understood: {error}") from None


def _rules(portal: Portal, version: MethodVersion) -> tuple[FollowUpSettings, Calendar]:
    settings = {"language": portal.language, **portal.settings, "window_days": version.method.window}
    try:
        wanted = followup_settings(settings, portal_key=f"{portal.crm}:{portal.account_id}", currency=portal.currency)
        return wanted, calendar_from(settings, zone(portal.time_zone))
    except ValueError as error:
        raise WrongUse(f"a setting of {portal.name} is not understood: {error}") from None


def create_tasks(
    database: Database,
    portal_id: int,
    adapter: Adapter,
    progress: Callable[[int], None],
    *,
    deadline: Deadline = NEVER,
) -> Raised:
    """Create the planned tasks in the CRM until the deadline, those left by a killed run first.

    Each is looked for before it is made: a process may have died before it could note it, the account may have been
    connected before, the database may have been restored from an older day.
    """
    raised = Raised()
    size = adapter.capabilities.task_batch
    while True:
        with database.session() as session:
            batch = tasks.open_tasks(session, portal_id, size)
            tasks.mark_sending(session, portal_id, [task.draft.key for task in batch if not task.sending])
        if not batch:
            return raised
        found = adapter.find_tasks([task.draft for task in batch])
        with database.session() as session:
            for key, external_id in found.items():
                tasks.settle(session, portal_id, key, external_id=external_id, reason=None, now=datetime.now(UTC))
        raised.created += sum(task.sending and task.draft.key in found for task in batch)
        missing = [task.draft for task in batch if task.draft.key not in found]
        outcomes = adapter.create_tasks(missing) if missing else []
        with database.session() as session:
            for draft, outcome in zip(missing, outcomes, strict=True):
                reason = None if outcome.ok else outcome.reason or "refused without a reason"
                tasks.settle(
                    session,
                    portal_id,
                    draft.key,
                    external_id=outcome.external_id,
                    reason=reason,
                    now=datetime.now(UTC),
                )
        raised.created += sum(outcome.ok for outcome in outcomes)
        raised.refused += sum(not outcome.ok for outcome in outcomes)
        progress(len(batch))
        if deadline.over():
            raised.finished = False
            return raised


def _classes(moves: Iterable[MoveRow], work: _WorkClasses) -> dict[MoveRow, WorkClass]:
    """The class that each move of a segment leads to, where it is another one than before."""
    found = {}
    for move in moves:
        if move.kind == "segment":
            was, now = work.of_old(move.method, move.was), work.of_old(move.method, move.now)
            if now is not None and was is not now:
                found[move] = now
    return found


def _states(
    session: Session,
    portal_id: int,
    work: _WorkClasses,
    moves: Sequence[MoveRow],
    only: Sequence[int] | None = None,
) -> Iterator[CustomerState]:
    """Every scored, living customer as the playbook sees it, or those named."""
    moved = {move.customer: move for move in moves if move.kind == "segment"}
    opened = {move.customer: move for move in moves if move.kind == "upsell"}
    for score in scores.living_scores(session, portal_id, only):
        move, window = moved.get(score.customer), opened.get(score.customer)
        yield CustomerState(
            number=score.customer,
            ref=score.ref,
            manager_id=score.manager_id,
            segment=score.segment,
            work_class=work.of(score.method, score.segment),
            previous_work_class=work.of_old(move.method, move.was) if move else None,
            move_key=move.run_id if move else None,
            upsell=score.upsell,
            upsell_turned_on_key=window.run_id if window else None,
            recency=score.r,
            frequency=score.f,
            monetary=score.m,
            quality=score.quality,
            churn_risk=score.churn_risk,
        )


class _WorkClasses:
    """The class of work of each version's segments; a version that is not named here is read as one that is."""

    def __init__(self, versions: Sequence[MethodVersion]) -> None:
        self._exact = {
            (version.label, segment.value): WorkClass(segment.work)
            for version in versions
            for segment in version.method.segments
        }
        self._any = {segment: work for (_, segment), work in reversed(self._exact.items())}

    def of(self, label: str, segment: str) -> WorkClass:
        """Of a segment that somebody is in."""
        return self._exact.get((label, segment)) or self._any[segment]

    def of_old(self, label: str, segment: str) -> WorkClass | None:
        """Of a segment that somebody was in, perhaps by a version that had others."""
        return self._exact.get((label, segment)) or self._any.get(segment)


def _past(session: Session, portal_id: int, on: date, since: datetime, budgeted: Sequence[str]) -> PastTasks:
    month = tasks.raised_in_month(session, portal_id, on)
    return PastTasks(
        touches={
            key: Touch(last_on, month.get(key, 0)) for key, last_on in tasks.last_raised(session, portal_id).items()
        },
        created_today=dict(tasks.raised_today(session, portal_id, on, since, budgeted)),
    )


def _day_start(portal: Portal, now: datetime) -> datetime:
    """The portal's last midnight: managers work in real days, whatever day a run scores as of."""
    here = zone(portal.time_zone)
    return datetime.combine(now.astimezone(here).date(), time(), here)


def _row(portal_id: int, run: RunRow, followup: FollowUp) -> dict[str, object]:
    return {
        "portal_id": portal_id,
        "key": followup.key,
        "customer": followup.number,
        "rule": followup.rule,
        "event_key": followup.event_key,
        "run_id": run.run_id,
        "manager_id": followup.manager_id,
        "title": followup.title,
        "body": followup.body,
        "priority": followup.priority.value,
        "due_at": followup.due_at,
        "raised_on": run.as_of,
        "state": "planned" if followup.problem is None else "refused",
        "reason": None if followup.problem is None else _NOBODY,
    }
