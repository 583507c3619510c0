"""Ways through amoCRM's numbered pages: everything by id, newest changes first, and what vanished, by rank.

Lists give no totals and no cursors, only `page=n` of 250. So a row's rank tells its page, and three things follow:
a walk can be resumed at a page, the echo of our own writes can be stepped over, and a missing record is found by
probing. Pure: pages come through a callable, nothing here knows HTTP.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from adapters.amocrm.client import PAGE, Json, Listing
from adapters.contract import Cursor, Drift, OwnWrites
from adapters.errors import Malformed
from adapters.fields import epoch

Read = Callable[[Iterable[int]], list[Listing]]
"""The pages with these numbers, fetched at once."""

LAG_S = 120
"""How far changes are read again behind the moment the last reading began."""
_AHEAD = 4
_PAGES_PER_STEP = 16


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reading stands, and what its cursor says.

    `page` and `last_id` count while everything is read (`page` 0: not any more). `since`: unix seconds by amoCRM's
    clock at which the reading began, so from which on changes are to be read; 0 before the first answer.
    """

    page: int = 1
    last_id: int = 0
    since: int = 0

    @property
    def is_backfill(self) -> bool:
        """Whether everything is being read."""
        return self.page > 0

    @property
    def threshold(self) -> int:
        """Unix seconds from which on changes have to be read."""
        return self.since - LAG_S

    def cursor(self) -> Cursor:
        """The stored form."""
        state = {"phase": "all", "page": self.page, "last_id": self.last_id, "since": self.since}
        return Cursor(orjson.dumps(state if self.is_backfill else {"phase": "changes", "since": self.since}).decode())

    @classmethod
    def of(cls, cursor: Cursor | None) -> Place:
        """Read what `cursor` wrote; the beginning when there is none."""
        if cursor is None:
            return cls()
        state = orjson.loads(cursor)
        if state["phase"] == "changes":
            return cls(0, 0, state["since"])
        return cls(state["page"], state["last_id"], state["since"])


def number(row: Json, key: str) -> int:
    """A whole number that every row has; raises `Malformed` with its path."""
    value = row.get(key)
    if not isinstance(value, int):
        raise Malformed(f"a row of amoCRM has no {key}", path=key)
    return value


# --- everything ------------------------------------------------------------------------------------------------


def read_all(read: Read, start: Place) -> Iterator[tuple[list[Json], Place]]:
    """Every row, by id, each page with the place from which to go on; the last one's place is "changes since".

    Pages are fetched ahead, more of them the longer the list has proved to be: so at most a sixteenth is
    fetched in vain behind the end.
    """
    place, ahead, done = _resumed(read, start), 1, 0
    while True:
        for listing in read(range(place.page, place.page + ahead)):
            place = Place(
                place.page + 1,
                number(listing.rows[-1], "id") if listing.rows else place.last_id,
                place.since or epoch(listing.at),
            )
            if not listing.more:
                yield listing.rows, Place(0, 0, place.since)
                return
            yield listing.rows, place
        done += ahead
        ahead = min(_AHEAD, 1 + done // _PAGES_PER_STEP)


def _resumed(read: Read, start: Place) -> Place:
    """The place, moved back by as many pages as records were deleted before it since it was stored."""
    page = start.page
    while page > 1:
        (before,) = read([page - 1])
        if before.rows and number(before.rows[0], "id") <= start.last_id:
            is_unmoved = number(before.rows[-1], "id") <= start.last_id
            return Place(page if is_unmoved else page - 1, start.last_id, start.since)
        page -= 1
    return Place(page, start.last_id, start.since)


# --- changes ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Echo:
    """Our own writes among the changes: `count` rows changed from `first` to `last`, unix seconds."""

    first: int
    last: int
    count: int

    @classmethod
    def of(cls, writes: OwnWrites | None) -> Echo | None:
        """Whole seconds, as amoCRM keeps them."""
        return None if writes is None else cls(epoch(writes.first_at), epoch(writes.last_at), writes.count)


@dataclass(frozen=True, slots=True)
class _Landing:
    """Rows on the far side of the echo, and the last page read to see them."""

    rows: list[Json]
    page: int
    more: bool


class Changes:
    """Rows changed at `threshold` or later, newest first. `at` is amoCRM's moment at which the reading began.

    The echo is stepped over when the rank at which it has to end is seen to be its end: the row before was
    changed while we wrote, the row after earlier. Otherwise it is read like everything else. `is_ours` tells of a
    row changed after we wrote whether we had written it before: it is then missing in the echo.
    """

    def __init__(self, read: Read, threshold: int, echo: Echo | None, is_ours: Callable[[Json], bool]) -> None:
        self._read = read
        self._threshold = threshold
        self._echo = echo
        self._is_ours = is_ours
        self._newer = 0
        self._ours = 0
        self._known_until = 0
        self.at = 0

    def pages(self) -> Iterator[tuple[list[Json], bool]]:
        """Rows, and whether they are the last ones."""
        page, more = 1, True
        while more:
            upto = max(page, min(page + _AHEAD - 1, self._known_until))
            for listing in self._read(range(page, upto + 1)):
                self.at = self.at or epoch(listing.at)
                more = listing.more and not self._is_past(listing.rows)
                yield self._wanted(listing.rows), not more
                if not more:
                    return
                page += 1
                landing = self._step_over(listing.rows, page)
                if landing is not None:
                    more = landing.more and not self._is_past(landing.rows)
                    yield self._wanted(landing.rows), not more
                    page = landing.page + 1

    def _is_past(self, rows: Sequence[Json]) -> bool:
        return not rows or number(rows[-1], "updated_at") < self._threshold

    def _wanted(self, rows: Sequence[Json]) -> list[Json]:
        return [row for row in rows if number(row, "updated_at") >= self._threshold]

    def _step_over(self, rows: Sequence[Json], page: int) -> _Landing | None:
        """Count what is newer than the echo; on the page where the echo begins, look at where it should end.

        `page` is the next one to read.
        """
        echo = self._echo
        if echo is None:
            return None
        newer = [row for row in rows if number(row, "updated_at") > echo.last]
        self._newer += len(newer)
        self._ours += sum(map(self._is_ours, newer))
        if len(newer) == len(rows):
            return None
        self._echo = None
        end = self._newer + echo.count - self._ours
        last_page = end // PAGE + 1
        if last_page <= page:
            return None
        landing = self._land(end, last_page, echo)
        self._known_until = 0 if landing else last_page
        return landing

    def _land(self, end: int, page: int, echo: Echo) -> _Landing | None:
        first_page = page if end % PAGE else page - 1
        listings = self._read(range(first_page, page + 1))
        rows = [row for listing in listings for row in listing.rows]
        at = end - (first_page - 1) * PAGE
        if not 0 < at <= len(rows) or not echo.first <= number(rows[at - 1], "updated_at") <= echo.last:
            return None
        is_end = number(rows[at], "updated_at") < echo.first if at < len(rows) else not listings[-1].more
        return _Landing(rows, page, listings[-1].more) if is_end else None


# --- what vanished ---------------------------------------------------------------------------------------------


def drift_of(known: Sequence[int], read: Read) -> Drift:
    """Which records vanished or were never seen; `known` ascending, `read` gives pages by id, ascending.

    Where nothing vanished this costs one page, with a vanished one about the logarithm of the pages. What is deleted
    while we look may stay unnoticed until the next look, but nothing that exists is called gone. Ranks cannot tell
    that as many records vanished as old ones came back between two pages looked at.
    """
    gone, unseen = _Ranks(known, read).differences()
    return Drift(frozenset(map(str, gone)), frozenset(map(str, unseen)))


@dataclass(slots=True)
class _Ranks:
    """One comparison of what we know with the list.

    A stretch of pages holds as many rows as we know ids there, or something differs in it: such a stretch is halved
    until the page itself is read. Every page is fetched at most once, but for `_confirmed`.
    """

    known: Sequence[int]
    read: Read
    ids: dict[int, list[int]] = field(default_factory=dict)
    more: dict[int, bool] = field(default_factory=dict)
    look: dict[int, int] = field(default_factory=dict)
    looks: int = 0
    last: int = 0

    def differences(self) -> tuple[set[int], set[int]]:
        """Ids gone and ids unseen."""
        self.last = self._find_last(max(1, -(-len(self.known) // PAGE)))
        open_stretches = [(1, self.last + 1)] if self.last else []
        while open_stretches:
            differing = [stretch for stretch in open_stretches if self._differs(*stretch)]
            halves = {(low, high): (low + high) // 2 for low, high in differing}
            self._fetch(halves.values())
            open_stretches = [
                half
                for (low, high), middle in halves.items()
                if high - low > 1
                for half in ((low, middle), (middle, high))
            ]
        gone, unseen = self._in_pages_read()
        return (gone if self.last else set(self.known)), unseen

    def _fetch(self, pages: Iterable[int]) -> None:
        wanted = sorted(set(pages) - self.ids.keys())
        self.looks += 1
        for page, listing in zip(wanted, self.read(wanted) if wanted else [], strict=True):
            self.ids[page] = [number(row, "id") for row in listing.rows]
            self.more[page] = listing.more
            self.look[page] = self.looks

    def _find_last(self, guess: int) -> int:
        """The last page that begins with an id up to the highest we know, 0 when there is none.

        Looks at the expected page first, and reads all pages behind: they have new records.
        """
        self._fetch([guess])
        last = self._find_before(guess) if self._is_beyond(guess) else guess
        page = max(last, 1)
        self._fetch([page])
        while self.more[page]:
            page += 1
            self._fetch([page])
            if not self._is_beyond(page):
                last = page
        return last

    def _is_beyond(self, page: int) -> bool:
        ids = self.ids[page]
        return not ids or not self.known or ids[0] > self.known[-1]

    def _find_before(self, beyond: int) -> int:
        within, step = 0, 1
        while beyond - within > 1:
            page = max(1, beyond - step) if within == 0 else (within + beyond) // 2
            self._fetch([page])
            if self._is_beyond(page):
                beyond, step = page, step * 2
            elif not self.more[page]:
                return page
            else:
                within = page
        return within

    def _start(self, page: int) -> int:
        """How many known ids lie before the page."""
        if page == 1:
            return 0
        ids = self.ids[page] if page <= self.last else []
        return bisect_left(self.known, ids[0]) if ids else len(self.known)

    def _differs(self, low: int, high: int) -> bool:
        rows = (high - low) * PAGE
        if high > self.last:
            rows += bisect_right(self.ids[self.last], self.known[-1]) - PAGE
        return self._start(high) - self._start(low) != rows

    def _in_pages_read(self) -> tuple[set[int], set[int]]:
        """Compare the pages looked at. Inside one page a missing id is certain, behind its end it is not."""
        seen = {one for ids in self.ids.values() for one in ids}
        gone: set[int] = set()
        unsure: dict[int, list[int]] = {}
        for page, ids in self.ids.items():
            if not ids:
                continue
            absent = [one for one in self._expected(page) if one not in seen]
            gone.update(one for one in absent if one < ids[-1] or self._is_safe(page))
            unsure[page] = [one for one in absent if one not in gone]
        gone |= self._confirmed({page: ids for page, ids in unsure.items() if ids})
        return gone, {one for one in seen if not self._knows(one)}

    def _expected(self, page: int) -> Sequence[int]:
        """Known ids that belong on a page, up to the next page where that was looked at, else up to its end."""
        is_closed = page == self.last or page + 1 in self.ids
        end = self._start(page + 1) if is_closed else bisect_right(self.known, self.ids[page][-1])
        return self.known[self._start(page) : end]

    def _is_safe(self, page: int) -> bool:
        """Whether the page was looked at after the next one: deleting moves rows to lower pages only."""
        return not self.more[page] or self.look[page] > self.look.get(page + 1, self.look[page])

    def _confirmed(self, unsure: Mapping[int, list[int]]) -> set[int]:
        """Of ids missing between two pages, those that a later look at the first page does not show either."""
        gone: set[int] = set()
        pages = list(unsure)
        for page, listing in zip(pages, self.read(pages) if pages else [], strict=True):
            ids = {number(row, "id") for row in listing.rows}
            gone.update(one for one in unsure[page] if ids and one > min(ids) and one not in ids)
        return gone

    def _knows(self, one: int) -> bool:
        at = bisect_left(self.known, one)
        return at < len(self.known) and self.known[at] == one
