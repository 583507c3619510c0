"""Where a reading stands between two pages, and the search that follows from it. Pure: nothing is sent here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from adapters.errors import Malformed
from adapters.hubspot.client import SEARCH_PAGE, Batch, Json

LAG_MS = 5 * 60 * 1000
"""The search index follows the records by seconds or more: each reading of changes begins this much earlier."""
INDEX_CAP = 10_000
"""No search goes further than this; pages here are windows of their own, so that none comes near it."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """Our own writes, whose echo need not be read.

    That is: cards that carry a stamp from `first` to `last` and have not changed after `until`, in unix milliseconds.
    """

    until: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a reading: what a cursor says.

    Phase `all` lists by id from the page token `after`. Phase `changes` searches by last change from `since` on;
    with `last_id` it is inside one single millisecond that holds more than a page (bulk writes do that), and goes by
    id there. `began` is when the reading under way began, None between two readings. Moments are unix milliseconds.
    """

    phase: str = "all"
    after: str | None = None
    since: int = 0
    began: int | None = None
    last_id: int | None = None
    quiet: tuple[Quiet, ...] = ()

    @classmethod
    def read(cls, text: str | None) -> Mark:
        """A cursor's text → the place; the beginning when there is none."""
        if text is None:
            return cls()
        stored = json.loads(text)
        return cls(**{**stored, "quiet": tuple(Quiet(*one) for one in stored["quiet"])})

    def text(self) -> str:
        """The cursor's text."""
        return json.dumps({**asdict(self), "quiet": [[one.until, one.first, one.last] for one in self.quiet]})

    def hushed(self, own: Quiet) -> Mark:
        """The same place, with one more window of our own writes; two are kept apart, older ones are joined."""
        kept = [one for one in self.quiet if not own.first <= one.first <= one.last <= own.last]
        windows = sorted([*kept, own], key=lambda one: one.until)
        while len(windows) > 2:
            older, newer = windows[0], windows[1]
            joined = Quiet(newer.until, min(older.first, newer.first), max(older.last, newer.last))
            windows = [joined, *windows[2:]]
        return replace(self, quiet=tuple(windows))

    def listed(self, page: Batch) -> Mark:
        """After a page of a list."""
        going = replace(self, after=page.after, began=self.began or _ms(page.at))
        return going if page.after is not None else going.finished()

    def searched(self, page: Batch, newest: int, highest_id: int) -> Mark:
        """After a page of a search whose last record changed at `newest`; `highest_id` is the highest on it."""
        going = replace(self, began=self.began or _ms(page.at))
        if page.after is None:
            return going.finished() if self.last_id is None else replace(going, since=self.since + 1, last_id=None)
        if self.last_id is not None:
            if highest_id <= self.last_id:
                raise Malformed("HubSpot's search repeats itself", path="results[].id")
            return replace(going, last_id=highest_id)
        return replace(going, since=newest) if newest > self.since else replace(going, last_id=0)

    def finished(self) -> Mark:
        """The reading is over: the next one begins where this one began, less the lag of the index."""
        since = (self.began or 0) - LAG_MS
        return Mark("changes", since=since, quiet=tuple(one for one in self.quiet if one.until >= since))


def changes_body(mark: Mark, modified: str, properties: Sequence[str], stamp: str | None) -> Json:
    """The search for the next page of changes. `stamp` is the property that our own writes carry, where there is one.

    Pages are not asked for by `after`: that is an offset, and records that change meanwhile would slip past it.
    """
    window = [_filter(modified, "GTE", mark.since)]
    key = modified
    if mark.last_id is not None:
        window += [_filter(modified, "LTE", mark.since), _filter("hs_object_id", "GT", mark.last_id)]
        key = "hs_object_id"
    return {
        "filterGroups": [{"filters": [*window, *more]} for more in _not_ours(mark, modified, stamp)],
        "sorts": [{"propertyName": key, "direction": "ASCENDING"}],
        "properties": list(properties),
        "limit": SEARCH_PAGE,
    }


def between(low: int, high: int) -> list[Json]:
    """Filters for a range of record ids, both ends included."""
    return [_filter("hs_object_id", "GTE", low), _filter("hs_object_id", "LTE", high)]


def _not_ours(mark: Mark, modified: str, stamp: str | None) -> list[list[Json]]:
    """Alternatives that together leave out the echo of our own writes: at most 5 groups and 18 filters in all.

    A card is no echo when it has no stamp, a stamp from outside our windows, or changed after its window.
    https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm, read 2026-11.
    """
    quiet = [one for one in mark.quiet if one.until >= mark.since]
    if not quiet or stamp is None:
        return [[]]
    newest = quiet[-1]
    groups = [
        [{"propertyName": stamp, "operator": "NOT_HAS_PROPERTY"}],
        [_filter(stamp, "LT", min(one.first for one in quiet))],
        [_filter(stamp, "GT", max(one.last for one in quiet))],
    ]
    if mark.last_id is None:
        groups.append([_filter(modified, "GT", newest.until)])
    if len(quiet) > 1:
        groups.append([_filter(modified, "GT", quiet[0].until), _filter(stamp, "LT", newest.first)])
    return groups


def _filter(name: str, operator: str, value: int) -> Json:
    return {"propertyName": name, "operator": operator, "value": str(value)}


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
