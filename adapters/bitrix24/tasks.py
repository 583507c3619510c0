"""To-dos and comments on the customers' cards: what Bitrix24 is told of them, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from adapters.bitrix24.client import Client, Command, Listing
from adapters.bitrix24.keyed import Keyed, refused
from adapters.bitrix24.schemas import ENTITY, required, stamp
from adapters.contract import Found, Outcome
from adapters.fields import aware, flag, identifier
from adapters.records import CustomerKind, CustomerRef, TaskChange, TaskDraft, TaskState, TimelineNote

_WORDS = {CustomerKind.CONTACT: "contact", CustomerKind.COMPANY: "company"}
_TODOS = Listing(
    "crm.activity.list",
    {
        "select": ["ID", "OWNER_ID", "OWNER_TYPE_ID", "COMPLETED", "DEADLINE", "RESPONSIBLE_ID", "LAST_UPDATED"],
        "order": {"ID": "ASC"},
    },
    uncounted=True,
    id_key="ID",
)
_GONE = Outcome(ok=False, reason="the to-do does not exist any more")


def todos(client: Client) -> Keyed[TaskDraft]:
    """Our to-dos in one portal. Bitrix24's to-dos know no priority."""
    return Keyed(client, "to-do", lambda draft: _todo(draft, client.offset), _todos_of, ("SUBJECT", "DESCRIPTION"))


def notes(client: Client) -> Keyed[TimelineNote]:
    """Our comments in the timelines of one portal."""
    return Keyed(client, "comment", _comment, _comments_of, ("COMMENT",))


def _todo(draft: TaskDraft, offset: tzinfo) -> Command:
    """A deadline without a zone, as in the vendor's example, would be read in the portal's: ours says its offset.

    https://apidocs.bitrix24.com/api-reference/crm/timeline/activities/todo/crm-activity-todo-add.html (read 2026-11)
    """
    fields: dict[str, Any] = {
        "ownerTypeId": ENTITY[draft.customer.kind],
        "ownerId": draft.customer.external_id,
        "deadline": stamp(draft.due_at, offset),
        "title": draft.title,
        "description": f"{draft.body}\n\n{draft.marker}",
    }
    if draft.manager_id is not None:
        fields["responsibleId"] = draft.manager_id
    return Command("crm.activity.todo.add", fields)


def _todos_of(customer: CustomerRef) -> Listing:
    owner = {"OWNER_TYPE_ID": ENTITY[customer.kind], "OWNER_ID": customer.external_id, "PROVIDER_ID": "CRM_TODO"}
    params = {"filter": owner, "select": ["ID", "SUBJECT", "DESCRIPTION"], "order": {"ID": "DESC"}}
    return Listing("crm.activity.list", params)


def _comment(note: TimelineNote) -> Command:
    """Keys and words in lower case, or nothing is found.

    https://apidocs.bitrix24.com/api-reference/crm/timeline/comments/crm-timeline-comment-add.html (read 2026-11)
    """
    fields = {
        "ENTITY_ID": note.customer.external_id,
        "ENTITY_TYPE": _WORDS[note.customer.kind],
        "COMMENT": f"{note.text}\n\n{note.marker}",
    }
    return Command("crm.timeline.comment.add", {"fields": fields})


def _comments_of(customer: CustomerRef) -> Listing:
    owner = {"ENTITY_ID": customer.external_id, "ENTITY_TYPE": _WORDS[customer.kind]}
    params = {"filter": owner, "select": ["ID", "COMMENT"], "order": {"ID": "DESC"}}
    return Listing("crm.timeline.comment.list", params)


# ── reading back ─────────────────────────────────────────────────────────────────────────────────────────────────


def states(client: Client, ids: Sequence[str]) -> Found[TaskState]:
    """See `Source.tasks_by_id`; 50 ids a command. A to-do keeps no moment of closing, and no result."""
    found = {one.external_id: one for one in map(state_of, client.rows_by_id(_TODOS, ids))}
    return Found(list(found.values()), frozenset(ids) - found.keys())


def state_of(row: Mapping[str, Any]) -> TaskState:
    """A row of `crm.activity.list`."""
    is_done = flag(row.get("COMPLETED")) is True
    return TaskState(
        external_id=required(row, "ID"),
        is_done=is_done,
        done_at=aware(row.get("LAST_UPDATED"), "crm.activity.list[].LAST_UPDATED") if is_done else None,
        due_at=aware(row.get("DEADLINE"), "crm.activity.list[].DEADLINE"),
        manager_id=identifier(row.get("RESPONSIBLE_ID")),
    )


# ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────────


def change(client: Client, changes: Sequence[TaskChange]) -> list[Outcome]:
    """See `Sink.change_tasks`. To-dos are read first: a finished one takes no change, and each names its owner again.

    A result has no place on the to-do: it becomes a comment on the customer's card before the to-do is closed.
    """
    if not changes:
        return []
    rows = {required(row, "ID"): row for row in client.rows_by_id(_TODOS, [one.external_id for one in changes])}
    said = _say_results(client, [one for one in changes if one.external_id in rows])
    present = [one for one in changes if one.external_id in rows]
    outcomes = _send(client, {one.external_id: _moves(one, rows[one.external_id]) for one in present})
    closing = {one.external_id: _closing(one, rows[one.external_id]) for one in present if outcomes[one.external_id].ok}
    outcomes |= _send(client, closing)
    return [_joined(outcomes.get(one.external_id), said.get(one.external_id)) for one in changes]


def _moves(one: TaskChange, row: Mapping[str, Any]) -> list[Command]:
    """What still differs, closing apart.

    https://apidocs.bitrix24.com/api-reference/crm/timeline/activities/todo/ (read 2026-11)
    """
    state = state_of(row)
    owner = {"id": state.external_id, "ownerTypeId": row.get("OWNER_TYPE_ID"), "ownerId": row.get("OWNER_ID")}
    steps = []
    if one.due_at is not None and _second(one.due_at) != state.due_at:
        value = stamp(one.due_at, UTC)
        steps.append(Command("crm.activity.todo.updateDeadline", {**owner, "value": value}))
    if one.manager_id not in {None, state.manager_id}:
        steps.append(Command("crm.activity.todo.updateResponsibleUser", {**owner, "responsibleId": one.manager_id}))
    return steps


def _closing(one: TaskChange, row: Mapping[str, Any]) -> list[Command]:
    """Closing goes by the old method of all activities, since to-dos have none of their own; after all other steps.

    https://apidocs.bitrix24.com/api-reference/crm/timeline/activities/activity-base/crm-activity-update.html
    (read 2026-11)
    """
    if not one.close or state_of(row).is_done:
        return []
    return [Command("crm.activity.update", {"id": one.external_id, "fields": {"COMPLETED": "Y"}})]


def _second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _send(client: Client, steps: Mapping[str, Sequence[Command]]) -> dict[str, Outcome]:
    """The outcome of each to-do: that of its first step that was refused, else good. Repeats what fails in passing."""
    commands = {f"s{one}x{at}": command for one, each in steps.items() for at, command in enumerate(each)}
    replies = client.batch_all(commands) if commands else {}
    outcomes: dict[str, Outcome] = {}
    for one, each in steps.items():
        outcomes[one] = Outcome(ok=True, external_id=one)
        for at in range(len(each)):
            reply = replies[f"s{one}x{at}"]
            refusal = refused(reply)
            if refusal is not None:
                outcomes[one] = replace(refusal, external_id=one)
                break
            reply.good()
    return outcomes


def _say_results(client: Client, changes: Sequence[TaskChange]) -> dict[str, Outcome]:
    """Comments with results; a change may be repeated, so those that are there already are found first."""
    drafts = {
        one.external_id: TimelineNote(f"result:{one.external_id}", one.customer, one.result, datetime.now(UTC))
        for one in changes
        if one.close and one.result
    }
    if not drafts:
        return {}
    book = notes(client)
    found = book.find(list(drafts.values()))
    missing = {one: draft for one, draft in drafts.items() if draft.key not in found}
    made = dict(zip(missing, book.create(list(missing.values())), strict=True))
    return {one: made.get(one) or Outcome(ok=True, external_id=found[draft.key]) for one, draft in drafts.items()}


def _joined(changed: Outcome | None, said: Outcome | None) -> Outcome:
    """The to-do's own outcome counts; a comment that was refused is told as the reason of a to-do that was changed."""
    if changed is None:
        return _GONE
    if changed.ok and said is not None and not said.ok:
        return replace(changed, reason=f"the result is not on the card: {said.reason}")
    return changed
