"""Things of ours that Bitrix24 lets be made twice, to-dos and comments: a lost one is looked for by its mark."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from adapters.batches import chunks
from adapters.bitrix24.client import COMMANDS, Client, Command, Listing, Reply
from adapters.contract import Outcome
from adapters.errors import Interrupted, Rejected, ScopeMissing, Transient, Unavailable
from adapters.fields import identifier
from adapters.records import CustomerRef

_TRIES = 8


class Draft(Protocol):
    """What is to be made."""

    @property
    def key(self) -> str:
        """Ours."""
        ...

    @property
    def marker(self) -> str:
        """The key as it stands at the end of the text."""
        ...

    @property
    def customer(self) -> CustomerRef:
        """Whose card it is for."""
        ...


D = TypeVar("D", bound=Draft)


@dataclass(frozen=True, slots=True)
class Keyed(Generic[D]):
    """Makes and finds things of one kind. `texts` are the fields of a listed row that may end with the mark."""

    client: Client
    what: str
    command_of: Callable[[D], Command]
    listing_of: Callable[[CustomerRef], Listing]
    texts: tuple[str, ...]

    def create(self, drafts: Sequence[D]) -> list[Outcome]:
        """50 in one request. What a lost answer leaves open is looked for by its mark before it is sent again."""
        return [outcome for part in chunks(drafts, COMMANDS) for outcome in self._create(part)]

    def find(self, drafts: Sequence[D]) -> dict[str, str]:
        """Key → id; one command for each customer."""
        customers = sorted({draft.customer for draft in drafts})
        names = {customer: f"a{at}" for at, customer in enumerate(customers)}
        read = self.client.read_all({name: self.listing_of(customer) for customer, name in names.items()})
        return {
            draft.key: made
            for draft in drafts
            if (made := self._marked(read[names[draft.customer]].good(), draft.marker)) is not None
        }

    def _create(self, drafts: Sequence[D]) -> list[Outcome]:
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
        raise trouble or Unavailable(f"Bitrix24 leaves a new {self.what} unanswered")

    def _send(self, pending: Mapping[int, D], made: dict[int, Outcome]) -> Transient | None:
        """One attempt. Puts what is settled into `made`; returns the trouble that leaves the others open."""
        commands = {f"t{at}": self.command_of(draft) for at, draft in pending.items()}
        try:
            replies = self.client.batch(commands, repeatable=False).replies
        except (Interrupted, Unavailable) as lost:
            return lost
        trouble: Transient | None = None
        for at in pending:
            reply = replies.get(f"t{at}")
            if reply is None or self.client.worth_repeating(reply):
                error = reply.error if reply is not None else None
                trouble = error if isinstance(error, Transient) else Unavailable(f"Bitrix24 left a {self.what} open")
            else:
                made[at] = self._outcome(reply)
        return trouble

    def _outcome(self, reply: Reply) -> Outcome:
        refusal = refused(reply)
        if refusal is not None:
            return refusal
        result = reply.good()
        made = identifier(result.get("id") if isinstance(result, dict) else result or None)
        if made is None:
            return Outcome(ok=False, reason=f"Bitrix24 did not create the {self.what} and did not say why")
        return Outcome(ok=True, external_id=made)

    def _marked(self, rows: Sequence[Mapping[str, Any]], marker: str) -> str | None:
        """The row whose text has the mark itself, not a longer one that begins like it."""
        pattern = re.compile(re.escape(marker) + r"(?![\w:./-])")
        for row in rows:
            if pattern.search("\n".join(str(row.get(name) or "") for name in self.texts)):
                return identifier(row.get("ID"))
        return None


def refused(reply: Reply) -> Outcome | None:
    """The outcome of a command that was refused for its own sake; None for a good one. Other errors are left alone."""
    if isinstance(reply.error, Rejected | ScopeMissing) and getattr(reply.error, "scope", None) is None:
        return Outcome(ok=False, reason=str(reply.error))
    return None
