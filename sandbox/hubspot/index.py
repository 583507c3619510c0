"""What search sees of one object type: records in order of their last change, later than it happened.

A change is seen `lag_s` seconds after the record's last write; until then search answers with the old values.
Archived and erased records vanish at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict, deque
from collections.abc import Iterator

from sandbox.hubspot.kinds import Kind
from sandbox.hubspot.records import Record, Records

REMEMBERED = 8


class Index:
    """Append-only order of changes; entries that a later change overtook are skipped and swept sometimes."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._order: list[tuple[int, int]] = []  # (last-modified ms, id)
        self._waiting: deque[tuple[float, int]] = deque()  # (seen from, id)
        self._old: dict[int, tuple[float, Record | None]] = {}  # id → (seen from, as search still sees it)

    def build(self) -> None:
        """From everything that search sees."""
        self._order = sorted((record.updated_ms, record.id) for record in self.everything())

    def before_write(self, record_id: int, seen_from: float) -> None:
        """Keep what search shows of a record (or that it shows none) until `seen_from`."""
        if record_id in self._old:
            old = self._old[record_id][1]
        else:
            found = self._records.by_id.get(record_id)
            old = None if found is None else found.snapshot()
        self._old[record_id] = (seen_from, old)
        self._waiting.append((seen_from, record_id))

    def after_write(self, record: Record) -> None:
        """Enter a change that is seen at once."""
        self._order.append((record.updated_ms, record.id))
        if len(self._order) > 2 * len(self._records.by_id) + 10_000:
            self.build()

    def refresh(self, now: float) -> bool:
        """Let in what is due; tells whether anything was."""
        due = False
        while self._waiting and self._waiting[0][0] <= now:
            seen_from, record_id = self._waiting.popleft()
            if self._old.get(record_id, (None, None))[0] == seen_from:
                del self._old[record_id]
                due = True
                if record_id in self._records.by_id:
                    self.after_write(self._records.by_id[record_id])
        return due

    def seen(self, record_id: int) -> Record | None:
        """A record as search sees it."""
        record = self._records.live(record_id)
        if record is not None and record_id in self._old:
            return self._old[record_id][1]
        return record

    def changed_since(self, ms: int) -> Iterator[Record]:
        """Records as search sees them with a last change at `ms` or later, each once."""
        given: set[int] = set()
        for changed_ms, record_id in self._order[bisect_left(self._order, (ms, 0)) :]:
            record = self.seen(record_id)
            if record is not None and record.updated_ms == changed_ms and record_id not in given:
                given.add(record_id)
                yield record

    def everything(self) -> Iterator[Record]:
        """All records as search sees them, ids ascending."""
        for record in self._records.all_live():
            seen = self.seen(record.id) if self._old else record
            if seen is not None:
                yield seen


class SearchMemory:
    """The last few lists of matching ids, each valid for one version of the account."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[Kind, bytes], tuple[int, list[int]]] = OrderedDict()

    def get(self, key: tuple[Kind, bytes], version: int) -> list[int] | None:
        """The ids, unless something changed since."""
        kept = self._found.get(key)
        return kept[1] if kept is not None and kept[0] == version else None

    def put(self, key: tuple[Kind, bytes], version: int, ids: list[int]) -> None:
        """Remember, forgetting the oldest."""
        self._found[key] = (version, ids)
        self._found.move_to_end(key)
        if len(self._found) > REMEMBERED:
            self._found.popitem(last=False)
