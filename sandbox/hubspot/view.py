"""How a record looks in an answer: which properties, which history, which links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.hubspot import values
from sandbox.hubspot.account import Account, Reading
from sandbox.hubspot.kinds import LINK_BY_ID, Kind
from sandbox.hubspot.records import Record


@dataclass(frozen=True, slots=True)
class View:
    """One way to show records of a type; made once per request."""

    account: Account
    kind: Kind
    readings: tuple[tuple[str, Reading], ...]
    history: tuple[str, ...] = ()
    linked: tuple[Kind, ...] = ()

    def show(self, record: Record) -> dict[str, Any]:
        """The record as JSON. Properties that it lacks are null."""
        body: dict[str, Any] = {
            "id": str(record.id),
            "properties": {name: read(self.account, record) for name, read in self.readings},
            "createdAt": values.iso_full(record.created_ms),
            "updatedAt": values.iso_full(record.updated_ms),
            "archived": record.archived_ms is not None,
        }
        if record.archived_ms is not None:
            body["archivedAt"] = values.iso_full(record.archived_ms)
        if self.history:
            body["propertiesWithHistory"] = {name: self._versions(record, name) for name in self.history}
        if self.linked:
            shown = {target.plural: self._links(record, target) for target in self.linked}
            found = {name: links for name, links in shown.items() if links["results"]}
            if found:
                body["associations"] = found
        return body

    def _versions(self, record: Record, name: str) -> list[dict[str, Any]]:
        return [
            {
                "value": version.value,
                "timestamp": values.iso_full(version.at_ms),
                "sourceType": version.author.source_type,
                "sourceId": version.author.source_id,
                **({"sourceLabel": version.author.label} if version.author.label else {}),
            }
            for version in record.versions(name)
        ]

    def _links(self, record: Record, target: Kind) -> dict[str, Any]:
        """Every link of its own, so a primary company stands there twice; capped per record."""
        linked = self.account.live_links(self.kind, record.id, target)
        every = [(other, number) for other in sorted(linked) for number in linked[other]]
        cap = self.account.behaviour.list_association_cap
        body: dict[str, Any] = {
            "results": [{"id": str(other), "type": LINK_BY_ID[number].name} for other, number in every[:cap]]
        }
        if len(every) > cap:
            body["paging"] = {"next": {"after": str(every[cap][0])}}
        return body


def view(
    account: Account,
    kind: Kind,
    names: Sequence[str],
    *,
    history: Iterable[str] = (),
    linked: Iterable[Kind] = (),
) -> View:
    """A view of the named properties; of the default ones when none is named. Unknown names are left out."""
    wanted = dict.fromkeys([*kind.always, *(names or kind.defaults)])
    readings = [(name, account.reading(kind, name)) for name in wanted]
    known = account.definitions[kind].live
    return View(
        account,
        kind,
        tuple((name, read) for name, read in readings if read is not None),
        tuple(name for name in history if name in known),
        tuple(linked),
    )
