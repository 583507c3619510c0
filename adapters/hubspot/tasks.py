"""Tasks and notes on customers' cards: what HubSpot is told of them, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from adapters.contract import Found, Outcome
from adapters.hubspot.client import NOTES, TASKS, Client, Json
from adapters.hubspot.keyed import Keyed
from adapters.hubspot.schemas import iso_ms, task_state
from adapters.hubspot.updates import update_each
from adapters.records import CustomerKind, Priority, TaskChange, TaskDraft, TaskState, TimelineNote

_PRIORITIES = {Priority.HIGH: "HIGH", Priority.NORMAL: "MEDIUM", Priority.LOW: "LOW"}
_TASK_TO: Mapping[CustomerKind, int] = {CustomerKind.CONTACT: 204, CustomerKind.COMPANY: 192}
_NOTE_TO: Mapping[CustomerKind, int] = {CustomerKind.CONTACT: 202, CustomerKind.COMPANY: 190}
"""https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide, read 2026-11."""
_STATE = ("hs_task_status", "hs_task_completion_date", "hs_timestamp", "hubspot_owner_id", "hs_lastmodifieddate")
_OUR_WORDS = {"hs_timestamp": "due_at", "hubspot_owner_id": "manager_id", "hs_task_priority": "priority"}


def task(draft: TaskDraft) -> Json:
    """The input of a bulk creation. `hs_timestamp` is the due time, not the time of creation.

    https://developers.hubspot.com/docs/api-reference/latest/crm/activities/tasks/guide, read 2026-11.
    """
    properties = {
        "hs_timestamp": iso_ms(draft.due_at),
        "hs_task_subject": draft.title,
        "hs_task_body": f"{draft.body}\n\n{draft.marker}",
        "hs_task_status": "NOT_STARTED",
        "hs_task_priority": _PRIORITIES[draft.priority],
        "hs_task_type": "TODO",
    }
    if draft.manager_id is not None:
        properties["hubspot_owner_id"] = draft.manager_id
    return _input(draft.key, properties, draft.customer.external_id, _TASK_TO[draft.customer.kind])


def note(draft: TimelineNote) -> Json:
    """The input of a bulk creation. `hs_timestamp` is where the note stands in the timeline, and is required.

    https://developers.hubspot.com/docs/api-reference/latest/crm/activities/notes/guide, read 2026-11.
    """
    properties = {"hs_timestamp": iso_ms(draft.at), "hs_note_body": f"{draft.text}\n\n{draft.marker}"}
    return _input(draft.key, properties, draft.customer.external_id, _NOTE_TO[draft.customer.kind])


def _input(key: str, properties: Mapping[str, str], customer_id: str, link_type: int) -> Json:
    link = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": link_type}
    return {
        "objectWriteTraceId": key,
        "properties": dict(properties),
        "associations": [{"to": {"id": customer_id}, "types": [link]}],
    }


def tasks(client: Client) -> Keyed[TaskDraft]:
    """Our tasks in one account."""
    return Keyed(client, TASKS, "hs_task_body", task)


def notes(client: Client) -> Keyed[TimelineNote]:
    """Our notes in one account."""
    return Keyed(client, NOTES, "hs_note_body", note)


def states(client: Client, ids: Sequence[str]) -> Found[TaskState]:
    """See `Source.tasks_by_id`. Tasks in the recycling bin are gone."""
    found = {one.external_id: one for one in map(task_state, client.read(TASKS, list(dict.fromkeys(ids)), _STATE))}
    return Found(list(found.values()), frozenset(ids) - found.keys())


def change(client: Client, changes: Sequence[TaskChange]) -> list[Outcome]:
    """See `Sink.change_tasks`. A result has no place on the task: it becomes a note on the customer's card first.

    Closed tasks take changes as well. The note's moment is the time of the call.
    """
    words = [_result_note(client, one) for one in changes if one.close and one.result]
    told = {draft.key: outcome for draft, outcome in zip(words, _added(client, words), strict=True)}
    inputs = [{"id": one.external_id, "properties": _changed(one)} for one in changes]
    outcomes = update_each(client, TASKS, [one for one in inputs if one["properties"]])
    settled = dict(zip((one["id"] for one in inputs if one["properties"]), outcomes, strict=True))
    return [_joined(one, settled.get(one.external_id), told.get(_result_key(one))) for one in changes]


def _changed(one: TaskChange) -> dict[str, str]:
    properties: dict[str, str] = {}
    if one.due_at is not None:
        properties["hs_timestamp"] = iso_ms(one.due_at)
    if one.manager_id is not None:
        properties["hubspot_owner_id"] = one.manager_id
    if one.priority is not None:
        properties["hs_task_priority"] = _PRIORITIES[one.priority]
    if one.close:
        properties["hs_task_status"] = "COMPLETED"
    return properties


def _result_key(one: TaskChange) -> str:
    return f"result:{one.external_id}"


def _result_note(client: Client, one: TaskChange) -> TimelineNote:
    return TimelineNote(_result_key(one), one.customer, one.result, client.now())


def _added(client: Client, drafts: Sequence[TimelineNote]) -> list[Outcome]:
    """Notes that may have been added before: a change is repeated when its answer was lost."""
    if not drafts:
        return []
    book = notes(client)
    found = book.find(drafts)
    missing = [draft for draft in drafts if draft.key not in found]
    made = dict(zip((draft.key for draft in missing), book.create(missing), strict=True))
    return [made.get(draft.key) or Outcome(ok=True, external_id=found[draft.key]) for draft in drafts]


def _joined(one: TaskChange, changed: Outcome | None, told: Outcome | None) -> Outcome:
    """The task's own outcome counts; a note that was refused is told as the reason of a task that was changed."""
    if changed is None:
        return Outcome(ok=True, external_id=one.external_id)
    if changed.ok and told is not None and not told.ok:
        return replace(changed, reason=f"the result is not on the card: {told.reason}")
    return replace(changed, field=_OUR_WORDS.get(changed.field or ""))
