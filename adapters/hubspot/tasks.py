"""Tasks on customers' cards: created once, whatever is lost on the way, and found again by their mark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from adapters.batches import chunks, settle_each
from adapters.contract import Outcome
from adapters.errors import BatchRefused, Interrupted, Transient, Unavailable
from adapters.hubspot.client import BATCH, TASKS, Client, Json, results_of
from adapters.hubspot.faults import Complaint, refusals, unsettled
from adapters.hubspot.schemas import OBJECTS, iso_ms, kept, numeric, record_id
from adapters.records import CustomerKind, Priority, TaskDraft

_TRIES = 4
_MARKER = re.compile(r"RFM#([^\s<>&\"]+)")
_PRIORITIES = {Priority.HIGH: "HIGH", Priority.NORMAL: "MEDIUM", Priority.LOW: "LOW"}
_TASK_TO: Mapping[CustomerKind, int] = {CustomerKind.CONTACT: 204, CustomerKind.COMPANY: 192}


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
    link = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": _TASK_TO[draft.customer.kind]}
    return {
        "objectWriteTraceId": draft.key,
        "properties": properties,
        "associations": [{"to": {"id": draft.customer.external_id}, "types": [link]}],
    }


class Tasks:
    """Creates and finds our tasks in one account."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, drafts: Sequence[TaskDraft]) -> list[Outcome]:
        """See `Sink.create_tasks`."""
        return [replace(outcome, field=None) for outcome in settle_each(drafts, self._create_surely)]

    def find(self, drafts: Sequence[TaskDraft]) -> dict[str, str]:
        """See `Sink.find_tasks`. Goes by the customers' associations, since the search index lags; newest first."""
        ids: set[str] = set()
        for kind, objects in OBJECTS.items():
            customers = list(dict.fromkeys(one.customer.external_id for one in drafts if one.customer.kind is kind))
            if customers:
                links = self._client.links(objects, [TASKS], customers)[TASKS]
                ids |= {link.to for each in links.values() for link in each}
        wanted = {draft.key for draft in drafts}
        found: dict[str, str] = {}
        for part in chunks(sorted(ids, key=numeric, reverse=True), BATCH):
            for payload in self._client.read(TASKS, part, ("hs_task_body",)):
                key = _key_of(payload)
                if key in wanted:
                    found[key] = record_id(payload, TASKS)
            if len(found) == len(wanted):
                break
        return found

    def _create_surely(self, drafts: Sequence[TaskDraft]) -> list[Outcome]:
        """Create tasks; after a lost answer look for them and create only those that are missing.

        Raises `BatchRefused` only when none of the drafts exists, so that halving makes none twice.
        """
        done: dict[str, Outcome] = {}
        told: list[Complaint] = []
        lost: Transient | None = None
        for _ in range(_TRIES):
            rest = [draft for draft in drafts if draft.key not in done]
            not_made: frozenset[str] = frozenset()
            try:
                told, lost = self._create_once(rest, done), None
                not_made = frozenset(key for refusal in told if refusal.is_busy for key in refusal.traces)
            except (Interrupted, Unavailable) as error:
                lost = error
            except BatchRefused:
                if not done:
                    raise
                lost = None
                break
            doubtful = [draft for draft in rest if draft.key not in done and draft.key not in not_made]
            found = self.find(doubtful) if doubtful else {}
            done.update({key: Outcome(ok=True, external_id=task_id) for key, task_id in found.items()})
            if len(done) == len(drafts):
                break
        return self._rest_settled(drafts, done, told, lost)

    def _create_once(self, drafts: Sequence[TaskDraft], done: dict[str, Outcome]) -> list[Complaint]:
        """One call. Enters in `done` what it settles, and returns what it complains of."""
        body = self._client.create(TASKS, [task(draft) for draft in drafts])
        keys = {draft.key for draft in drafts}
        made = {_key_of(result): kept(result) for result in results_of(body)}
        told = refusals(body)
        for refusal in told:
            if not refusal.is_busy:
                made = {**dict.fromkeys(refusal.traces, Outcome(ok=False, reason=refusal.reason)), **made}
        done.update({key: outcome for key, outcome in made.items() if key in keys})
        return told

    def _rest_settled(
        self,
        drafts: Sequence[TaskDraft],
        done: dict[str, Outcome],
        told: Sequence[Complaint],
        lost: Transient | None,
    ) -> list[Outcome]:
        """Outcomes of all drafts; those that are still open and do not exist are tried in smaller batches."""
        rest = [draft for draft in drafts if draft.key not in done]
        if rest and lost is not None:
            raise Interrupted("HubSpot does not say whether tasks were created") from lost
        if rest and len(rest) == len(drafts):
            raise unsettled(told, len(drafts))
        again = settle_each(rest, self._create_surely)
        done.update({draft.key: one for draft, one in zip(rest, again, strict=True)})
        return [done[draft.key] for draft in drafts]


def _key_of(payload: Json) -> str:
    """Our key of a task: the trace id in the answer to its creation, later the mark in its text; empty for others'."""
    trace = payload.get("objectWriteTraceId")
    if trace:
        return str(trace)
    found = _MARKER.search(str((payload.get("properties") or {}).get("hs_task_body") or ""))
    return found.group(1) if found else ""
