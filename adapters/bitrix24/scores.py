"""Putting values on cards: commands for each card, and whether its answer shows that they took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from adapters.batches import settle_each
from adapters.bitrix24.client import Client, Command, Pace, Reply, as_map
from adapters.bitrix24.schemas import ENTITY, FAMILY, NAMES, Card, same
from adapters.contract import FieldMap, Outcome
from adapters.errors import Rejected, ScopeMissing, Unavailable, Unsupported
from adapters.fields import aware
from adapters.records import CustomerKind, ScoreChange


class Scores:
    """Writes cards. `card_of` tells where our fields are on one kind of card."""

    def __init__(self, client: Client, card_of: Callable[[CustomerKind, FieldMap], Card]) -> None:
        self._client = client
        self._card_of = card_of
        self._pace = Pace()

    def write(self, changes: Sequence[ScoreChange], fields: FieldMap) -> list[Outcome]:
        """Put values on up to 50 cards in one request; emptying fields costs a second one.

        Bitrix24 ignores unknown names silently, so each card's answer is compared with what was sent.
        """
        return settle_each(changes, lambda part: self._write(part, fields))

    def _write(self, changes: Sequence[ScoreChange], fields: FieldMap) -> list[Outcome]:
        writes = {at: self._planned(change, fields) for at, change in enumerate(changes)}
        good = {at: write for at, write in writes.items() if isinstance(write, _Write)}
        try:
            replies = self._client.batch_all({f"c{at}": write.clear for at, write in good.items() if write.clear})
            sent = {f"w{at}": write.update for at, write in good.items() if _is_good(replies.get(f"c{at}"))}
            replies.update(self._client.batch_all(sent, self._pace))
        except Unavailable as trouble:
            raise _cut(trouble) from trouble
        return [
            write if isinstance(write, Outcome) else write.outcome(replies.get(f"w{at}") or replies[f"c{at}"])
            for at, write in writes.items()
        ]

    def _planned(self, change: ScoreChange, fields: FieldMap) -> _Write | Outcome:
        card = self._card_of(change.customer.kind, fields)
        for key in change.values:
            if key not in card.camel:
                reason = f"the field {NAMES.get(key, key)} is not on the card: provision the portal again"
                return Outcome(ok=False, external_id=change.customer.external_id, field=key, reason=reason)
        try:
            return _Write(change, card, *_commands(change, card, self._client.offset))
        except Unsupported as gap:
            return Outcome(ok=False, external_id=change.customer.external_id, field="segment", reason=str(gap))


@dataclass(frozen=True, slots=True)
class _Write:
    """One card's write: `clear` empties fields, `update` sets values or, where there are none, reads the card back."""

    change: ScoreChange
    card: Card
    clear: Command | None
    update: Command

    def outcome(self, reply: Reply) -> Outcome:
        card_id = self.change.customer.external_id
        error = reply.error
        if isinstance(error, Rejected | ScopeMissing) and getattr(error, "scope", None) is None:
            return Outcome(ok=False, external_id=card_id, field=self._named_in(str(error)), reason=str(error))
        row = as_map(as_map(reply.good(), "crm.item.update").get("item"), "item")
        held = self.card.read(row)
        for key, value in self.change.values.items():
            if not self.card.shows(row, key) or not same(value, held.get(key)):
                reason = f"Bitrix24 did not take the value of {self.card.upper[key]}"
                return Outcome(ok=False, external_id=card_id, field=key, reason=reason)
        return Outcome(ok=True, external_id=card_id, written_at=aware(row.get("updatedTime"), "item.updatedTime"))

    def _named_in(self, text: str) -> str | None:
        names = ((key, name) for key in self.change.values for name in (self.card.camel[key], self.card.upper[key]))
        found = max((pair for pair in names if pair[1] in text), key=lambda pair: len(pair[1]), default=None)
        return found[0] if found else None


def _commands(change: ScoreChange, card: Card, offset: tzinfo) -> tuple[Command | None, Command]:
    """Emptying goes through the old method with "": `crm.item.update` shows null and keeps the value.

    https://github.com/bitrix-tools/b24-rest-docs/issues/145 and 269 (read 2026-11). The old method's answer is a
    bare true, so the card is read back.
    """
    kind, card_id = change.customer.kind, change.customer.external_id
    emptied = {card.upper[key]: "" for key, value in change.values.items() if value is None}
    values = {
        card.camel[key]: card.text(key, value, offset) for key, value in change.values.items() if value is not None
    }
    params = {"entityTypeId": ENTITY[kind], "id": card_id}
    quiet = {"REGISTER_SONET_EVENT": "N"}
    clear = Command(f"{FAMILY[kind]}.update", {"id": card_id, "fields": emptied, "params": quiet}) if emptied else None
    if not values:
        return clear, Command("crm.item.get", params)
    return clear, Command("crm.item.update", {**params, "fields": values})


def _is_good(reply: Reply | None) -> bool:
    return reply is None or reply.error is None


def _cut(trouble: Unavailable) -> Unavailable:
    """A batch cut off at 60 s ends in a 500: told as 504, so that it is halved.

    https://apidocs.bitrix24.com/limits.html (read 2026-11)
    """
    if trouble.status != 500:
        return trouble
    return Unavailable(str(trouble), status=504, retry_after=trouble.retry_after)
