"""What a person does to a task from the queue: done with a result, put off, given away. Each with its reason.

Decides rows only: lines of the log and changes to be sent. A task that is not under way any more is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from connector.errors import WrongUse
from connector.sla.events import Channel, Clock, Contact, Event, Kind
from connector.sla.logbook import line_of
from connector.sla.opening import TASK_DONE, TASK_OPEN
from connector.sla.portal_rules import PortalRules
from connector.store import audit, occasions, portals, task_changes
from connector.store.models import OccasionRow, Portal
from connector.store.occasions import Held

DONE, POSTPONE, REASSIGN = "done", "postpone", "reassign"
ACTIONS = (DONE, POSTPONE, REASSIGN)


class Result(StrEnum):
    """What came of a task."""

    REACHED = "reached"
    NOT_REACHED = "not_reached"
    QUALIFIED = "qualified"
    """The need is known."""
    DEMO = "demo"
    """A showing is appointed."""
    REFUSED = "refused"
    OPTED_OUT = "opted_out"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing done to the task of a key. `until` is for a postponement, `to` for a reassignment."""

    what: str
    key: str
    reason: str = ""
    result: Result | None = None
    until: datetime | None = None
    to: str | None = None


def check(action: Action, rules: PortalRules, now: datetime) -> None:
    """Raise `WrongUse` where something is missing or makes no sense."""
    if action.what not in ACTIONS:
        raise WrongUse(f"{action.what!r} cannot be done to a task: it is one of {', '.join(ACTIONS)}")
    if action.what == DONE and action.result is None:
        raise WrongUse(f"say what came of it: --result with one of {', '.join(Result)}")
    if action.what != DONE and not action.reason.strip():
        raise WrongUse("say why: --reason; it explains a missed deadline later")
    if action.what == POSTPONE and (action.until is None or action.until <= now):
        raise WrongUse("say until when: --until with a day to come, such as 2026-12-01")
    if action.what == REASSIGN and not rules.people.works(action.to):
        raise WrongUse("say to whom: --to with the CRM's id of somebody who works")


def act(
    session: Session, portal: Portal, action: Action, rules: PortalRules, now: datetime, *, reads_contacts: bool
) -> OccasionRow:
    """Put down what was done, and plan what the CRM's task becomes. Raises `WrongUse`.

    `reads_contacts`: calls and letters are read from the CRM. Where they are not, the word "reached" counts as one.
    """
    check(action, rules, now)
    held = _held(session, portal, action.key)
    row, number = held.row, len(held.log)
    events = list(_events(held, action, now, reads_contacts=reads_contacts))
    lines = [
        line_of(row.key, row.customer, event, f"queue:{action.what}:{number + at}") for at, event in enumerate(events)
    ]
    occasions.put_down(session, portal.portal_id, lines)
    body: dict[str, object] = {}
    if action.what == DONE:
        row.task_state = TASK_DONE
        body = {"close": True, "result": _words(action)}
    elif action.what == POSTPONE and action.until is not None:
        row.due_at = action.until
        body = {"due_at": action.until.isoformat()}
    elif action.to is not None:
        row.manager_id = action.to
        body = {"manager_id": action.to}
    task_changes.plan(
        session,
        portal.portal_id,
        task_changes.CHANGE,
        f"queue:{row.task_key}:{number}",
        task_key=row.task_key,
        customer=row.customer,
        body=body,
        now=now,
    )
    told = {"result": action.result, "until": action.until and action.until.isoformat(), "to": action.to}
    detail = {"task": row.task_key, **{word: value for word, value in told.items() if value}}
    portals.note(session, portal.portal_id, audit.PERSON, f"task.{action.what}", detail)
    return row


def _held(session: Session, portal: Portal, key: str) -> Held:
    occasion = occasions.of_task(session, portal.portal_id, key)
    held = occasions.held(session, portal.portal_id, [occasion]) if occasion is not None else []
    if not held:
        raise WrongUse(f"{portal.name} has no open task {key!r}: the keys are in `queue {portal.name}`")
    if held[0].row.task_state != TASK_OPEN:
        raise WrongUse(f"the task {key} was closed already")
    return held[0]


def _events(held: Held, action: Action, now: datetime, *, reads_contacts: bool) -> Iterable[Event]:
    by = held.row.manager_id
    if action.what == POSTPONE:
        yield Event(now, Kind.POSTPONED, by=by, reason=action.reason, until=action.until)
    elif action.what == REASSIGN:
        yield Event(now, Kind.REASSIGNED, by=action.to, reason=action.reason)
    else:
        yield Event(now, Kind.DONE, by=by, reason=_words(action))
        if action.result is Result.QUALIFIED:
            yield Event(now, Kind.DONE, by=by, only=frozenset({Clock.QUALIFIED}))
        elif action.result is Result.DEMO:
            yield Event(now, Kind.DONE, by=by, only=frozenset({Clock.DEMO}))
        elif action.result is Result.REFUSED:
            yield Event(now, Kind.REFUSED, by=by, reason=action.reason)
        elif action.result is Result.OPTED_OUT:
            yield Event(now, Kind.OPTED_OUT, by=by, reason=action.reason)
        if action.result not in {Result.NOT_REACHED, None} and not reads_contacts:
            yield Event(now, Kind.CONTACT, by=by, contact=Contact(Channel.MEETING, completed=True))


def _words(action: Action) -> str:
    return f"{action.result}: {action.reason}" if action.reason else str(action.result or "")
