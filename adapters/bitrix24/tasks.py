"""To-dos on the customers' cards, each found again by the marker at its end."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any

from adapters.batches import chunks
from adapters.bitrix24.client import COMMANDS, Client, Command, Listing, Reply
from adapters.bitrix24.schemas import ENTITY, stamp
from adapters.contract import Outcome
from adapters.errors import Interrupted, Rejected, ScopeMissing, Transient, Unavailable
from adapters.fields import identifier
from adapters.records import CustomerRef, TaskDraft

_TRIES = 8


class Tasks:
    """Creates to-dos, and finds those whose answer was lost."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, drafts: Sequence[TaskDraft]) -> list[Outcome]:
        """To-dos on the customers' cards, 50 in one request. Bitrix24's to-dos know no priority.

        What a lost answer leaves open is looked for by its marker before it is sent again.
        """
        return [outcome for part in chunks(drafts, COMMANDS) for outcome in self._create(part)]

    def _create(self, drafts: Sequence[TaskDraft]) -> list[Outcome]:
        made: dict[int, Outcome] = {}
        trouble: Transient | None = None
        for left in reversed(range(_TRIES + 1)):
            pending = {at: draft for at, draft in enumerate(drafts) if at not in made}
            if trouble is not None:
                found = self.find(list(pending.values()))
                made |= {at: Outcome(ok=True, external_id=found[d.key]) for at, d in pending.items() if d.key in found}
                pending = {at: draft for at, draft in pending.items() if at not in made}
            if not pending:
                return [made[at] for at in range(len(drafts))]
            if left:
                trouble = self._send(pending, made)
        raise trouble or Unavailable("Bitrix24 leaves new to-dos unanswered")

    def _send(self, pending: Mapping[int, TaskDraft], made: dict[int, Outcome]) -> Transient | None:
        """One attempt. Puts what is settled into `made`; returns the trouble that leaves the others open."""
        commands = {f"t{at}": _todo(draft, self._client.offset) for at, draft in pending.items()}
        try:
            replies = self._client.batch(commands, repeatable=False).replies
        except (Interrupted, Unavailable) as lost:
            return lost
        trouble: Transient | None = None
        for at in pending:
            reply = replies.get(f"t{at}")
            if reply is None or self._client.worth_repeating(reply):
                error = reply.error if reply is not None else None
                trouble = error if isinstance(error, Transient) else Unavailable("Bitrix24 left a to-do unanswered")
            else:
                made[at] = _task_outcome(reply)
        return trouble

    def find(self, drafts: Sequence[TaskDraft]) -> dict[str, str]:
        """To-dos that carry the drafts' markers; one command for each customer, finished ones included."""
        customers = sorted({draft.customer for draft in drafts})
        names = {customer: f"a{at}" for at, customer in enumerate(customers)}
        read = self._client.read_all({name: _todos_of(customer) for customer, name in names.items()})
        return {
            draft.key: task_id
            for draft in drafts
            if (task_id := _marked(read[names[draft.customer]].good(), draft.marker)) is not None
        }


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


def _task_outcome(reply: Reply) -> Outcome:
    if isinstance(reply.error, Rejected | ScopeMissing) and getattr(reply.error, "scope", None) is None:
        return Outcome(ok=False, reason=str(reply.error))
    result = reply.good()
    made = identifier(result.get("id") if isinstance(result, dict) else result or None)
    if made is None:
        return Outcome(ok=False, reason="Bitrix24 did not create the to-do and did not say why")
    return Outcome(ok=True, external_id=made)


def _todos_of(customer: CustomerRef) -> Listing:
    owner = {"OWNER_TYPE_ID": ENTITY[customer.kind], "OWNER_ID": customer.external_id, "PROVIDER_ID": "CRM_TODO"}
    params = {"filter": owner, "select": ["ID", "SUBJECT", "DESCRIPTION"], "order": {"ID": "DESC"}}
    return Listing("crm.activity.list", params)


def _marked(rows: Sequence[Mapping[str, Any]], marker: str) -> str | None:
    """The to-do whose text has the marker itself, not a longer one that begins like it."""
    pattern = re.compile(re.escape(marker) + r"(?![\w:./-])")
    for row in rows:
        if pattern.search(f"{row.get('SUBJECT') or ''}\n{row.get('DESCRIPTION') or ''}"):
            return identifier(row.get("ID"))
    return None
