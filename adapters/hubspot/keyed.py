"""Records of ours on customers' cards, tasks and notes: created once, whatever is lost on the way, found by a mark."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from adapters.batches import chunks, settle_each
from adapters.contract import Outcome
from adapters.errors import BatchRefused, Interrupted, Transient, Unavailable
from adapters.hubspot.client import BATCH, Client, Json, results_of
from adapters.hubspot.faults import Complaint, refusals, unsettled
from adapters.hubspot.schemas import OBJECTS, kept, numeric, record_id
from adapters.records import CustomerRef

_TRIES = 4
_MARKER = re.compile(r"RFM#([^\s<>&\"]+)")


class Draft(Protocol):
    """What is to be created."""

    @property
    def key(self) -> str:
        """Ours."""
        ...

    @property
    def customer(self) -> CustomerRef:
        """Whose card it is for."""
        ...


D = TypeVar("D", bound=Draft)


@dataclass(frozen=True, slots=True)
class Keyed(Generic[D]):
    """Creates and finds our records of one kind. `text` is the property that ends with the mark."""

    client: Client
    kind: str
    text: str
    input_of: Callable[[D], Json]

    def create(self, drafts: Sequence[D]) -> list[Outcome]:
        """One outcome for each draft, in order. See `Sink.create_tasks`."""
        return [replace(outcome, field=None) for outcome in settle_each(drafts, self._create_surely)]

    def find(self, drafts: Sequence[D]) -> dict[str, str]:
        """Key → id. Goes by the customers' associations, since the search index lags; newest first."""
        ids: set[str] = set()
        for kind, objects in OBJECTS.items():
            customers = list(dict.fromkeys(one.customer.external_id for one in drafts if one.customer.kind is kind))
            if customers:
                links = self.client.links(objects, [self.kind], customers)[self.kind]
                ids |= {link.to for each in links.values() for link in each}
        wanted = {draft.key for draft in drafts}
        found: dict[str, str] = {}
        for part in chunks(sorted(ids, key=numeric, reverse=True), BATCH):
            for payload in self.client.read(self.kind, part, (self.text,)):
                key = self._key_of(payload)
                if key in wanted:
                    found[key] = record_id(payload, self.kind)
            if len(found) == len(wanted):
                break
        return found

    def _create_surely(self, drafts: Sequence[D]) -> list[Outcome]:
        """Create records; after a lost answer look for them and create only those that are missing.

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
            done.update({key: Outcome(ok=True, external_id=made_id) for key, made_id in found.items()})
            if len(done) == len(drafts):
                break
        return self._rest_settled(drafts, done, told, lost)

    def _create_once(self, drafts: Sequence[D], done: dict[str, Outcome]) -> list[Complaint]:
        """One call. Enters in `done` what it settles, and returns what it complains of."""
        body = self.client.create(self.kind, [self.input_of(draft) for draft in drafts])
        keys = {draft.key for draft in drafts}
        made = {self._key_of(result): kept(result) for result in results_of(body)}
        told = refusals(body)
        for refusal in told:
            if not refusal.is_busy:
                made = {**dict.fromkeys(refusal.traces, Outcome(ok=False, reason=refusal.reason)), **made}
        done.update({key: outcome for key, outcome in made.items() if key in keys})
        return told

    def _rest_settled(
        self,
        drafts: Sequence[D],
        done: dict[str, Outcome],
        told: Sequence[Complaint],
        lost: Transient | None,
    ) -> list[Outcome]:
        """Outcomes of all drafts; those that are still open and do not exist are tried in smaller batches."""
        rest = [draft for draft in drafts if draft.key not in done]
        if rest and lost is not None:
            raise Interrupted(f"HubSpot does not say whether {self.kind} were created") from lost
        if rest and len(rest) == len(drafts):
            raise unsettled(told, len(drafts))
        again = settle_each(rest, self._create_surely)
        done.update({draft.key: one for draft, one in zip(rest, again, strict=True)})
        return [done[draft.key] for draft in drafts]

    def _key_of(self, payload: Json) -> str:
        """Our key: the trace id in the answer to a creation, later the mark in the text; empty for others' records."""
        trace = payload.get("objectWriteTraceId")
        if trace:
            return str(trace)
        found = _MARKER.search(str((payload.get("properties") or {}).get(self.text) or ""))
        return found.group(1) if found else ""
