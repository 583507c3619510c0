"""What people did in the CRM, put down in the logs: tasks done, moved, reassigned or deleted there, calls and letters.

Each batch of tasks, and each page of contacts with its cursor, is one transaction. Every fact has a name of its own,
so reading again puts nothing down twice. A task whose changes we have not sent yet is left for the next time: what
the CRM holds of it is older than what was decided here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from adapters.batches import chunks
from adapters.contract import Adapter, Cursor, Page
from adapters.errors import ScopeMissing
from adapters.records import ContactChannel, Contacted, TaskState
from connector.deadline import NEVER, Deadline
from connector.sla.events import Channel, Contact, Event, Kind
from connector.sla.logbook import line_of
from connector.sla.opening import TASK_DONE, TASK_GONE, TASK_OPEN
from connector.store import mirror, mirrored, occasions, task_changes
from connector.store.database import Database
from connector.store.occasions import Held, Line

log = logging.getLogger("rfm.sla")
STREAM = "contacts"
IN_THE_CRM = "changed_in_crm"
DELETED = "task_deleted"
_NEAR = timedelta(seconds=60)
"""CRMs keep moments to the second or the minute: a due moment so near is the same."""
_CHANNELS = {
    ContactChannel.CALL: Channel.CALL,
    ContactChannel.MESSAGE: Channel.MESSAGE,
    ContactChannel.LETTER: Channel.LETTER,
    ContactChannel.MEETING: Channel.MEETING,
}


def read_tasks(database: Database, portal_id: int, adapter: Adapter, now: datetime, deadline: Deadline = NEVER) -> bool:
    """Read the tasks of all open occasions; returns whether all were read before the deadline. Raises `CRMError`."""
    with database.session() as session:
        unsent = task_changes.tasks_waiting(session, portal_id)
        found = occasions.all_open(session, portal_id)
        ids = {one.row.key: one.task_id for one in found if one.task_id and one.row.task_key not in unsent}
    for part in chunks(sorted(ids), adapter.capabilities.read_batch):
        if deadline.over():
            return False
        wanted = {key: str(ids[key]) for key in part}
        answer = adapter.tasks_by_id(list(wanted.values()))
        states = {state.external_id: state for state in answer.records}
        with database.session() as session:
            held = {one.row.key: one for one in occasions.held(session, portal_id, list(wanted))}
            lines = [
                line
                for key, task_id in wanted.items()
                if key in held and (task_id in states or task_id in answer.gone)
                for line in _of_task(session, held[key], states.get(task_id), now)
            ]
            occasions.put_down(session, portal_id, lines)
    return True


def _of_task(session: Session, held: Held, state: TaskState | None, now: datetime) -> Iterable[Line]:
    """What happened to a task since it was last read; the occasion's row then holds it as the CRM does."""
    row, events = held.row, list[tuple[Event, str]]()
    if state is None and row.task_state != TASK_GONE:
        row.task_state = TASK_GONE
        events.append((Event(now, Kind.STOPPED, reason=DELETED), f"task:{row.task_key}:gone"))
        task_changes.give_up_closed(session, row.portal_id, [row.task_key], now)
    elif state is not None:
        events += _of_state(held, state, now)
    return [line_of(row.key, row.customer, event, source) for event, source in events]


def _of_state(held: Held, state: TaskState, now: datetime) -> Iterable[tuple[Event, str]]:
    row, number = held.row, len(held.log)
    if state.manager_id is not None and state.manager_id != row.manager_id:
        source = f"task:{row.task_key}:manager:{state.manager_id}:{number}"
        yield Event(now, Kind.REASSIGNED, by=state.manager_id, reason=IN_THE_CRM), source
        row.manager_id = state.manager_id
    if state.is_done and row.task_state == TASK_OPEN:
        at = _after_raised(held, state.done_at or now, now)
        yield Event(at, Kind.DONE, by=row.manager_id, reason=state.result), f"task:{row.task_key}:done:{number}"
        row.task_state = TASK_DONE
    elif not state.is_done and row.task_state == TASK_DONE:
        yield Event(now, Kind.REOPENED), f"task:{row.task_key}:open:{number}"
        row.task_state = TASK_OPEN
    if not state.is_done and state.due_at is not None and abs(state.due_at - row.due_at) > _NEAR:
        source = f"task:{row.task_key}:due:{number}"
        yield Event(now, Kind.POSTPONED, reason=IN_THE_CRM, until=state.due_at), source
        row.due_at = state.due_at


def _after_raised(held: Held, at: datetime, now: datetime) -> datetime:
    """The CRM's clock may be a little behind ours: nothing is done before it was raised."""
    raised = max((line.at for line in held.log if line.kind == Kind.RAISED.value), default=at)
    return min(max(at, raised), max(now, raised))


def read_contacts(
    database: Database, portal_id: int, adapter: Adapter, now: datetime, deadline: Deadline = NEVER
) -> bool:
    """Read contacts since the cursor; returns whether all were read before the deadline. Raises `CRMError`.

    Where the portal or its token does not show them, there are none: clocks then run until somebody says otherwise.
    """
    if not adapter.capabilities.contacts:
        return True
    with database.session() as session:
        kept = mirror.cursor_of(session, portal_id, STREAM)
        earliest = occasions.oldest_open(session, portal_id) or now
    pages = adapter.contacts(Cursor(kept) if kept else None, earliest=earliest)
    try:
        for page in pages:
            with database.session() as session:
                _put_down(session, portal_id, page, now)
                mirror.move_cursor(session, portal_id, STREAM, page.cursor)
            if deadline.over():
                return False
    except ScopeMissing as error:
        log.warning("contacts are not read portal=%d reason=%s", portal_id, error)
    return True


def _put_down(session: Session, portal_id: int, page: Page[Contacted], now: datetime) -> None:
    seen = [one for one in page.records if one.at <= now and _is_told(one)]
    numbers = mirrored.numbers_by_ref(session, portal_id, {ref for one in seen for ref in one.customer})
    under_work = occasions.begun(session, portal_id, set(numbers.values()))
    lines: list[Line] = []
    for one in seen:
        for number in {numbers[ref] for ref in one.customer if ref in numbers}:
            lines += [
                line_of(key, number, _event(one), _source(one))
                for key, started_at in under_work.get(number, ())
                if one.at >= started_at
            ]
    occasions.put_down(session, portal_id, lines)


def _is_told(one: Contacted) -> bool:
    """A meeting that did not take place is no attempt."""
    return one.completed or one.channel is not ContactChannel.MEETING


def _event(one: Contacted) -> Event:
    contact = Contact(_CHANNELS[one.channel], one.inbound, one.completed, one.seconds)
    return Event(one.at, Kind.CONTACT, by=one.manager_id, contact=contact)


def _source(one: Contacted) -> str:
    """A contact comes again when it changes: what it became is another fact than what it was."""
    return f"contact:{one.external_id}:{'done' if one.completed else 'tried'}"
