"""Records of one object type: kept by id, paged in order of id, with the history of every changed value."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from sandbox.hubspot.kinds import Kind

MAX_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Author:
    """Who changed something, in HubSpot's words."""

    source_type: str
    source_id: str
    label: str | None = None


IMPORT = Author("IMPORT", "import:1", "First import")


@dataclass(frozen=True, slots=True)
class Version:
    """One value that a property had, from a moment on."""

    value: str
    at_ms: int
    author: Author


@dataclass(slots=True)
class Record:
    """One record. `values` has no empty values; `history` only properties that changed, newest first."""

    id: int
    values: dict[str, str]
    created_ms: int
    updated_ms: int
    archived_ms: int | None = None
    merged: tuple[int, ...] = ()
    history: dict[str, list[Version]] | None = None

    def snapshot(self) -> Record:
        """As it is now, untouched by later writes."""
        return replace(self, values=dict(self.values))

    def versions(self, name: str) -> list[Version]:
        """Newest first; a value that never changed has one version."""
        if self.history and name in self.history:
            return self.history[name]
        return [Version(self.values[name], self.created_ms, IMPORT)] if name in self.values else []


class Records:
    """The table of one object type. Ids only grow."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.by_id: dict[int, Record] = {}
        self.forward: dict[int, int] = {}  # merged id → the winner's
        self._ids: list[int] = []
        self._last_id = 0
        self._archived: set[int] = set()
        self._unique: dict[str, dict[str, int]] = {}

    def load(self, records: Iterable[Record], unique: Iterable[str] = ()) -> None:
        """Take in many, ids ascending."""
        self._unique = {name: {} for name in unique}
        for record in records:
            self.add(record)

    def next_id(self) -> int:
        """One more than the last."""
        return self._last_id + 1

    def add(self, record: Record) -> None:
        """Append one with an id higher than all."""
        self.by_id[record.id] = record
        self._ids.append(record.id)
        self._last_id = record.id
        for name in self._unique:
            self._claim(record, name)

    def make_unique(self, name: str) -> None:
        """From now on two records may not share a value of this property."""
        self._unique.setdefault(name, {})

    def holder(self, name: str, value: str) -> int | None:
        """The id of the live record that has this unique value."""
        return self._unique.get(name, {}).get(value.lower())

    def is_unique(self, name: str) -> bool:
        """Whether records can be found by this property."""
        return name in self._unique

    def live(self, record_id: str | int) -> Record | None:
        """A record that is not archived, by its own id."""
        record = self.by_id.get(number_of(record_id))
        return None if record is None or record.archived_ms is not None else record

    def resolved(self, record_id: str | int) -> Record | None:
        """The same, but a merged id leads to its winner."""
        number = number_of(record_id)
        while number in self.forward:
            number = self.forward[number]
        return self.live(number)

    def all_live(self) -> Iterator[Record]:
        """Every live record, ids ascending."""
        return (record for record in self.by_id.values() if record.archived_ms is None)

    def page(self, after: int, limit: int, *, archived: bool) -> tuple[list[Record], int | None]:
        """Records with ids from `after` on, and the id at which the next page begins."""
        ids = sorted(self._archived) if archived else self._ids
        start = bisect_left(ids, after)
        wanted = (self.by_id[n] for n in islice(ids, start, None) if (n in self._archived) == archived)
        found = list(islice(wanted, limit + 1))
        return found[:limit], (found[limit].id if len(found) > limit else None)

    def write(self, record: Record, changes: Mapping[str, str], author: Author, now_ms: int) -> None:
        """Set values ("" clears). Equal values make no history, but the record counts as modified."""
        for name, value in changes.items():
            if record.values.get(name, "") == value:
                continue
            history = record.history = record.history if record.history is not None else {}
            history[name] = [Version(value, now_ms, author), *record.versions(name)]
            self._release(record, name)
            if value:
                record.values[name] = value
                self._claim(record, name)
            else:
                del record.values[name]
        record.updated_ms = now_ms

    def archive(self, record: Record, now_ms: int) -> None:
        """Into the recycling bin."""
        record.archived_ms = now_ms
        self._archived.add(record.id)
        for name in self._unique:
            self._release(record, name)

    def restore(self, record: Record, now_ms: int) -> None:
        """Out of it."""
        record.archived_ms = None
        record.updated_ms = now_ms
        self._archived.discard(record.id)
        for name in self._unique:
            self._claim(record, name)

    def erase(self, record: Record) -> None:
        """For good; the id is never used again."""
        for name in self._unique:
            self._release(record, name)
        self._archived.discard(record.id)
        del self.by_id[record.id]
        del self._ids[bisect_left(self._ids, record.id)]

    def _claim(self, record: Record, name: str) -> None:
        if name in self._unique and name in record.values:
            self._unique[name][record.values[name].lower()] = record.id

    def _release(self, record: Record, name: str) -> None:
        held = self._unique.get(name)
        value = record.values.get(name, "").lower()
        if held is not None and held.get(value) == record.id:
            del held[value]


def number_of(record_id: str | int) -> int:
    """-1, which nobody has, for what is no id."""
    if isinstance(record_id, int):
        return record_id
    return int(record_id) if len(record_id) < MAX_DIGITS and record_id.isascii() and record_id.isdigit() else -1
