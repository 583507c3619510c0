"""What a scoring decides about occasions, in its own transaction: facts for those under way, and new ones with tasks.

An occasion is opened with the row of its task, so neither is ever without the other. Facts have names of their own
(the order, the move), so that scoring the same day again puts nothing down twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from connector.sla.events import Event, Kind
from connector.sla.followups import CustomerState, FollowUp
from connector.sla.logbook import line_of
from connector.sla.policy import WorkClass
from connector.sla.rounds import Live, Opening, opened_by_task, superseded
from connector.store import occasions
from connector.store.models import MoveRow
from connector.store.occasions import Line

TASK_OPEN, TASK_DONE, TASK_GONE = "open", "done", "gone"


def note_facts(
    session: Session,
    portal_id: int,
    moves: Mapping[MoveRow, WorkClass],
    now: datetime,
    customers: Collection[int] | None = None,
) -> None:
    """Put down what happened to customers under work: orders, cards that vanished, and moves to another class.

    `customers` None looks at all of them. Safe to repeat.
    """
    under_work = occasions.open_keys(session, portal_id, customers)
    if not under_work:
        return
    lines = [
        line_of(fact.occasion, fact.customer, Event(fact.at, Kind.BOUGHT), fact.source)
        for fact in occasions.bought(session, portal_id, customers, now)
    ]
    lines += [
        line_of(fact.occasion, fact.customer, Event(fact.at, Kind.GONE), fact.source)
        for fact in occasions.gone(session, portal_id, customers, now)
    ]
    lines += [
        line_of(key, move.customer, Event(now, Kind.MOVED, work_class=work_class), f"move:{move.run_id}")
        for move, work_class in moves.items()
        for key in under_work.get(move.customer, ())
    ]
    occasions.put_down(session, portal_id, lines)


def open_occasions(
    session: Session,
    portal_id: int,
    raised: Sequence[FollowUp],
    states: Mapping[int, CustomerState],
    start: Opening,
    now: datetime,
) -> None:
    """Open the occasions of tasks that were just planned; each ends the older ones of its customer.

    `states` has the customers of the tasks.
    """
    if not raised:
        return
    border = occasions.big_from(session, portal_id)
    older = occasions.open_keys(session, portal_id, {task.number for task in raised})
    lines: list[Line] = []
    rows: list[dict[str, Any]] = []
    for task in raised:
        lines += [
            line_of(key, task.number, superseded(now), f"superseded:{task.key}") for key in older.get(task.number, ())
        ]
        state = states[task.number]
        live = opened_by_task(start, task, now, big=float(state.monetary) > border, quality=state.quality)
        rows.append(_row(portal_id, task, live, start, state, now))
        lines += _first_lines(task, live.log)
        older.setdefault(task.number, []).append(task.key)
    occasions.add(session, rows)
    occasions.put_down(session, portal_id, lines)


def _first_lines(task: FollowUp, log: Iterable[Event]) -> list[Line]:
    return [line_of(task.key, task.number, event, event.kind.value) for event in log]


def _row(
    portal_id: int, task: FollowUp, live: Live, start: Opening, state: CustomerState, now: datetime
) -> dict[str, Any]:
    return {
        "portal_id": portal_id,
        "key": task.key,
        "customer": task.number,
        "rule": task.rule,
        "event_key": task.event_key,
        "work_class": task.work_class.value,
        "big": live.occasion.big,
        "quality": state.quality,
        "playbook": start.edition,
        "policy": start.rules.version,
        "priority": task.priority.value,
        "manager_id": task.manager_id,
        "task_key": task.key,
        "due_at": task.due_at,
        "task_state": TASK_OPEN,
        "started_at": now,
        "look_at": now,
    }
