"""Records page by page, each page with the cursor from which to go on, and what they are associated with.

First reading: plain lists by id. Changes: searches by last change, since HubSpot's lists cannot be filtered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from adapters.errors import InvalidValue
from adapters.hubspot import schemas
from adapters.hubspot.client import COMPANIES, CONTACTS, DEALS, LINE_ITEMS, Client, Json, Link
from adapters.hubspot.places import Mark, changes_body
from adapters.hubspot.schemas import MODIFIED, Ties


class Pages:
    """Readings of one account."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def read(
        self,
        kind: str,
        mark: Mark,
        properties: Sequence[str],
        *,
        associations: Sequence[str] = (),
        together: int = 1,
        stamp: str | None = None,
    ) -> Iterator[tuple[list[Json], Mark]]:
        """Payloads, and the place after them. Lists embed `associations`, and go `together` pages at once.

        `stamp` is the property that our own writes carry, where there is one: their echo is left out.
        """
        if mark.phase == "all":
            return self._listed(kind, mark, properties, associations, together)
        return self._changed(kind, mark, properties, stamp)

    def _listed(
        self, kind: str, mark: Mark, properties: Sequence[str], associations: Sequence[str], together: int
    ) -> Iterator[tuple[list[Json], Mark]]:
        payloads: list[Json] = []
        held = 0
        while mark.phase == "all":
            page = self._client.list_page(kind, mark.after, properties, associations)
            mark = mark.listed(page)
            payloads += page.results
            held += 1
            if held == together or mark.phase != "all":
                yield payloads, mark
                payloads, held = [], 0

    def _changed(
        self, kind: str, mark: Mark, properties: Sequence[str], stamp: str | None
    ) -> Iterator[tuple[list[Json], Mark]]:
        while True:
            try:
                page = self._client.search(kind, changes_body(mark, MODIFIED[kind], properties, stamp))
            except InvalidValue:
                if stamp is None:
                    raise
                stamp = None  # a person has removed the field: the echo is read then, which is slower and as right
                continue
            newest = schemas.ms(schemas.changed_at(page.results[-1], kind)) if page.results else mark.since
            highest = max((int(schemas.record_id(one, kind)) for one in page.results), default=0)
            mark = mark.searched(page, newest, highest)
            yield page.results, mark
            if mark.began is None:
                return

    # --- associations ------------------------------------------------------------------------------------------

    def ties(self, kind: str, payloads: Sequence[Json], ends: Sequence[str], *, listing: bool) -> dict[str, Ties]:
        """What each record is associated with, by its id; `listing`: the payloads have it embedded."""
        if listing:
            return self._embedded_ties(kind, payloads, ends)
        return self.ties_by_id(kind, [schemas.record_id(payload, kind) for payload in payloads], ends)

    def ties_by_id(self, kind: str, ids: Sequence[str], ends: Sequence[str]) -> dict[str, Ties]:
        """Searches and reads by id carry no associations: they are read for the whole page at once."""
        links = self._client.links(kind, ends, ids)
        return {one: _ties({end: links[end].get(one, []) for end in ends}) for one in ids}

    def _embedded_ties(self, kind: str, payloads: Sequence[Json], ends: Sequence[str]) -> dict[str, Ties]:
        """Associations that came with a list. Of records with more of them than are embedded, all are read."""
        found: dict[str, dict[str, list[Link]]] = {}
        partly: dict[str, list[str]] = {end: [] for end in ends}
        for payload in payloads:
            record_id = schemas.record_id(payload, kind)
            found[record_id], partial_ends = schemas.embedded(payload)
            for end in partial_ends & partly.keys():
                partly[end].append(record_id)
        for end, ids in partly.items():
            if ids:
                for record_id, links in self._client.links(kind, [end], ids)[end].items():
                    found[record_id][end] = links
        return {record_id: _ties(links) for record_id, links in found.items()}


def _ties(links: Mapping[str, Sequence[Link]]) -> Ties:
    return Ties(
        contacts=links.get(CONTACTS, ()),
        companies=links.get(COMPANIES, ()),
        line_items=links.get(LINE_ITEMS, ()),
        deals=links.get(DEALS, ()),
    )
