"""From decided changes and notes to the CRM: absolute values, one outcome each, notes looked for before they are made.

A kill between a call and its settling repeats the call, which does nothing further: values are absolute, and a note
is found by its key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from adapters.contract import Adapter, Outcome
from adapters.records import Priority, TaskChange, TimelineNote
from connector.deadline import NEVER, Deadline
from connector.store import task_changes
from connector.store.database import Database
from connector.store.task_changes import CHANGE, NOTE, Waiting

_NO_TASK = "the CRM holds no such task"


def send_changes(database: Database, portal_id: int, adapter: Adapter, *, deadline: Deadline = NEVER) -> bool:
    """Send what waits until the deadline; returns whether all of it was sent. Raises `CRMError`."""
    for what in (CHANGE, NOTE):
        while True:
            with database.session() as session:
                batch = task_changes.waiting(session, portal_id, what, adapter.capabilities.task_batch)
            if not batch:
                break
            if deadline.over():
                return False
            outcomes = _change(adapter, batch) if what == CHANGE else _note(adapter, batch)
            with database.session() as session:
                for one, outcome in zip(batch, outcomes, strict=True):
                    reason = None if outcome.ok else outcome.reason or "refused without a reason"
                    task_changes.settle(
                        session,
                        portal_id,
                        one.change_id,
                        external_id=outcome.external_id,
                        reason=reason,
                        now=datetime.now(UTC),
                    )
    return True


def note_key(source: str) -> str:
    """Sixteen digits by which a note is found again in the CRM.

    The source names the task, whose key names the account: a portal connected anew finds its notes as well.
    """
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def _change(adapter: Adapter, batch: Sequence[Waiting]) -> list[Outcome]:
    known = [one for one in batch if one.task_id is not None]
    answers = iter(adapter.change_tasks([_as_change(one) for one in known]) if known else ())
    return [next(answers) if one.task_id is not None else Outcome(ok=False, reason=_NO_TASK) for one in batch]


def _as_change(one: Waiting) -> TaskChange:
    body = one.body
    return TaskChange(
        external_id=one.task_id or "",
        customer=one.ref,
        due_at=datetime.fromisoformat(body["due_at"]) if "due_at" in body else None,
        manager_id=body.get("manager_id"),
        priority=Priority(body["priority"]) if "priority" in body else None,
        close=bool(body.get("close", False)),
        result=str(body.get("result", "")),
    )


def _note(adapter: Adapter, batch: Sequence[Waiting]) -> list[Outcome]:
    notes = [
        TimelineNote(str(one.body["key"]), one.ref, str(one.body["text"]), datetime.fromisoformat(one.body["at"]))
        for one in batch
    ]
    found = adapter.find_notes(notes)
    missing = [note for note in notes if note.key not in found]
    made = iter(adapter.add_notes(missing) if missing else ())
    return [Outcome(ok=True, external_id=found[note.key]) if note.key in found else next(made) for note in notes]
