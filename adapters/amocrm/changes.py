"""Bulk changes of cards and tasks with an outcome for each, whatever of a batch amoCRM refuses or passes over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from adapters.amocrm.client import Client, Json
from adapters.batches import settle_each
from adapters.contract import Outcome
from adapters.errors import BatchRefused
from adapters.fields import from_epoch


@dataclass(frozen=True, slots=True)
class Change:
    """One item of a bulk change: its place among all changes, its body, and our keys in the order of its values."""

    at: int
    body: Json
    keys: Sequence[str] = ()

    @property
    def id(self) -> str:
        """The card or task."""
        return str(self.body["id"])


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes of one kind of row. `gone` is the reason of one that does not exist any more."""

    client: Client
    entity: str
    gone: str

    def send(self, items: Sequence[Change]) -> list[Outcome]:
        """One outcome for each item, in order. Absolute values: repeating is harmless."""
        return settle_each(items, self._change)

    def _change(self, items: Sequence[Change], *, is_repeat: bool = False) -> list[Outcome]:
        """What became of an id that does not exist any more is not documented: absent from the answer, or a refusal."""
        bodies = [{**item.body, "request_id": str(at)} for at, item in enumerate(items)]
        try:
            rows = self.client.change(self.entity, self.entity, bodies)
        except BatchRefused as refusal:
            bad = {at: self._named(items[at], path, reason) for at, (path, reason) in refusal.bad.items()}
            raise BatchRefused(str(refusal), status=refusal.status, bad=bad) from refusal
        written = {str(row.get("id")): row for row in rows}
        outcomes = {
            item.id: Outcome(
                ok=True, external_id=item.id, written_at=from_epoch(written[item.id].get("updated_at"), "updated_at")
            )
            for item in items
            if item.id in written
        }
        left = [item for item in items if item.id not in written]
        if left:
            outcomes |= self._unanswered(left, is_repeat=is_repeat)
        return [outcomes[item.id] for item in items]

    def _unanswered(self, items: Sequence[Change], *, is_repeat: bool) -> dict[str, Outcome]:
        """Rows the answer did not name: those that are gone are settled, the others sent once more."""
        found = self.client.one_by_one(self.entity, (), [item.id for item in items])
        present = [item for item, row in zip(items, found, strict=True) if row is not None]
        outcomes = {item.id: Outcome(ok=False, external_id=item.id, reason=self.gone) for item in items}
        if is_repeat:
            unsaid = Outcome(ok=False, reason="amoCRM did not say that it made the change")
            return outcomes | {item.id: unsaid for item in present}
        again = settle_each(present, partial(self._change, is_repeat=True))
        return outcomes | {item.id: outcome for item, outcome in zip(present, again, strict=True)}

    def _named(self, item: Change, path: str | None, reason: str) -> tuple[str | None, str]:
        """A refusal with our key in place of the vendor's path, such as `custom_fields_values.2.values.0.enum_id`."""
        if path == "id":
            return None, self.gone
        parts = (path or "").split(".")
        after = parts[parts.index("custom_fields_values") + 1 :] if "custom_fields_values" in parts else []
        at = int(after[0]) if after and after[0].isdigit() else len(item.keys)
        return (item.keys[at] if at < len(item.keys) else path), reason
