"""Tasks and notes of ours: what amoCRM is told of them, and what it tells.

https://www.amocrm.ru/developers/content/crm_platform/tasks-api and …/events-and-notes, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo

from adapters.amocrm.changes import Change, Changes
from adapters.amocrm.client import IDS_IN_URL, Client, Json
from adapters.amocrm.keyed import make_each
from adapters.amocrm.schemas import ENTITY, deadline, id_of, markers_in, task_body, text_of
from adapters.batches import chunks
from adapters.contract import Found, Outcome
from adapters.fields import from_epoch, identifier
from adapters.records import CustomerKind, TaskChange, TaskDraft, TaskState, TimelineNote

SERVICE = "service_message"
_GONE = "the task does not exist any more"
_OUR_WORDS = {"responsible_user_id": "manager_id", "complete_till": "due_at"}


# --- tasks -----------------------------------------------------------------------------------------------------


def create(client: Client, drafts: Sequence[TaskDraft], zone: tzinfo) -> list[Outcome]:
    """See `Sink.create_tasks`."""

    def make(items: Sequence[TaskDraft]) -> list[Json]:
        return client.create("tasks", "tasks", [task_body(one, zone) for one in items])

    return make_each(drafts, make, lambda items: find(client, items), "amoCRM did not say that it made the task")


def find(client: Client, drafts: Sequence[TaskDraft]) -> dict[str, str]:
    """Looks through all tasks of the drafts' cards, finished ones too, for the markers."""
    found: dict[str, str] = {}
    for kind in CustomerKind:
        keys = {draft.marker: draft.key for draft in drafts if draft.customer.kind is kind}
        cards = {draft.customer.external_id for draft in drafts if draft.customer.kind is kind}
        for some in chunks(sorted(cards), IDS_IN_URL):
            query = [("filter[entity_type]", ENTITY[kind]), *(("filter[entity_id][]", one) for one in some)]
            for row in client.all("tasks", "tasks", query):
                found |= {keys[marker]: str(row["id"]) for marker in markers_in(row) & keys.keys()}
    return found


def states(client: Client, ids: Sequence[str]) -> Found[TaskState]:
    """See `Source.tasks_by_id`. The filter of tasks is no paid option; what it brings beside is passed over."""
    asked = set(ids)
    found: dict[str, TaskState] = {}
    for some in chunks(sorted(asked), IDS_IN_URL):
        for row in client.all("tasks", "tasks", [("filter[id][]", one) for one in some]):
            if str(row.get("id")) in asked:
                found[str(row["id"])] = state_of(row)
    return Found(list(found.values()), frozenset(asked - found.keys()))


def state_of(row: Json) -> TaskState:
    """A task. amoCRM keeps no moment of closing: `done_at` is the last change. `result` is `[]` when there is none."""
    is_done = row.get("is_completed") is True
    result = row.get("result")
    return TaskState(
        external_id=id_of(row, "tasks"),
        is_done=is_done,
        done_at=from_epoch(row.get("updated_at"), "tasks.updated_at") if is_done else None,
        due_at=from_epoch(row.get("complete_till"), "tasks.complete_till"),
        manager_id=identifier(row.get("responsible_user_id")),
        result=(text_of(result.get("text")) or "") if isinstance(result, Mapping) else "",
    )


def change(client: Client, changes: Sequence[TaskChange], zone: tzinfo) -> list[Outcome]:
    """See `Sink.change_tasks`. Tasks have no priority here. What asks for nothing is sent nothing."""
    items = [Change(at, _body(one, zone)) for at, one in enumerate(changes)]
    asked = [item for item in items if len(item.body) > 1]
    outcomes = Changes(client, "tasks", _GONE).send(asked)
    settled = {item.at: outcome for item, outcome in zip(asked, outcomes, strict=True)}
    nothing = {item.at: Outcome(ok=True, external_id=item.id) for item in items}
    return [_in_our_words((nothing | settled)[item.at]) for item in items]


def _body(one: TaskChange, zone: tzinfo) -> Json:
    body: Json = {"id": int(one.external_id)}
    if one.due_at is not None:
        body["complete_till"] = deadline(one.due_at, zone)
    if one.manager_id is not None:
        body["responsible_user_id"] = int(one.manager_id)
    if one.close:
        body["is_completed"] = True
        body |= {"result": {"text": one.result}} if one.result else {}
    return body


def _in_our_words(outcome: Outcome) -> Outcome:
    return outcome if outcome.field is None else replace(outcome, field=_OUR_WORDS.get(outcome.field))


# --- notes -----------------------------------------------------------------------------------------------------


def add_notes(client: Client, notes: Sequence[TimelineNote]) -> list[Outcome]:
    """See `Sink.add_notes`. Service messages that start no automation of the account's digital pipeline."""
    settled: dict[int, Outcome] = {}
    for kind in CustomerKind:
        places = [at for at, one in enumerate(notes) if one.customer.kind is kind]
        path = f"{ENTITY[kind]}/notes"

        def make(items: Sequence[TimelineNote], path: str = path) -> list[Json]:
            return client.create(path, "notes", [_note_body(one) for one in items])

        outcomes = make_each(
            [notes[at] for at in places],
            make,
            lambda items: find_notes(client, items),
            "amoCRM did not say that it made the note",
        )
        settled |= dict(zip(places, outcomes, strict=True))
    return [settled[at] for at in range(len(notes))]


def _note_body(note: TimelineNote) -> Json:
    return {
        "entity_id": int(note.customer.external_id),
        "note_type": SERVICE,
        "params": {"service": "RFM", "text": f"{note.text}\n{note.marker}"},
        "is_need_to_trigger_digital_pipeline": False,
        "request_id": note.key,
    }


def find_notes(client: Client, notes: Sequence[TimelineNote]) -> dict[str, str]:
    """Looks through the service messages of the notes' cards for the markers."""
    found: dict[str, str] = {}
    for kind in CustomerKind:
        keys = {one.marker: one.key for one in notes if one.customer.kind is kind}
        cards = {one.customer.external_id for one in notes if one.customer.kind is kind}
        for some in chunks(sorted(cards), IDS_IN_URL):
            query = [("filter[note_type][]", SERVICE), *(("filter[entity_id][]", one) for one in some)]
            for row in client.all(f"{ENTITY[kind]}/notes", "notes", query):
                words = set(str((row.get("params") or {}).get("text") or "").split())
                found |= {keys[marker]: str(row["id"]) for marker in words & keys.keys()}
    return found
