"""Calls, messages and letters with customers: notes of three kinds of cards, and events of chats.

Notes carry calls with their length, text messages and letters; chats stand in the history only. Of an answer nothing
is taken but type, time, direction, length and people: amoCRM cannot be asked for less, so texts pass by unread.
https://www.amocrm.ru/developers/content/crm_platform/events-and-notes, …/calls-api, read 2026-11.
Meetings are no records of their own in amoCRM (a task of the type "meeting" is a task), so none are told.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from adapters.amocrm import pages
from adapters.amocrm.client import COMPANIES, CONTACTS, IDS_IN_URL, LEADS, Client, Json, Listing
from adapters.amocrm.pages import LAG_S, Place, number
from adapters.amocrm.schemas import id_of
from adapters.batches import chunks
from adapters.contract import Cursor, Page
from adapters.errors import Malformed
from adapters.fields import epoch, from_epoch, identifier
from adapters.records import ContactChannel, Contacted, CustomerKind, CustomerRef

NOTE_TYPES: Mapping[str, tuple[ContactChannel, bool]] = {
    "call_in": (ContactChannel.CALL, True),
    "call_out": (ContactChannel.CALL, False),
    "sms_in": (ContactChannel.MESSAGE, True),
    "sms_out": (ContactChannel.MESSAGE, False),
    "amomail_message": (ContactChannel.LETTER, False),
}
"""Note type → channel, and whether the customer began. A letter says so itself, in a key that is not documented."""
EVENT_TYPES: Mapping[str, bool] = {"incoming_chat_message": True, "outgoing_chat_message": False}
"""Event type → whether the customer began; only those are asked for that the account's own list of types has."""
EVENTS_PAGE = 100
_SPOKE = 4
"""`call_status` of a call in which the two spoke; the others say why they did not."""
_KINDS = {CONTACTS: CustomerKind.CONTACT, COMPANIES: CustomerKind.COMPANY}
_CARDS = (CONTACTS, COMPANIES, LEADS)
_PLURAL = {"contact": CONTACTS, "company": COMPANIES, "lead": LEADS}


@dataclass(frozen=True, slots=True)
class _Stand:
    """Where the reading of one list stands.

    `floor`: only what changed at this unix second or later is read, 0 for everything. `until`: the events of one
    reading end here, so that their pages do not move while they are read; 0 before the first answer. `page`,
    `last_id` and `since`: see `pages.Place`.
    """

    floor: int = 0
    page: int = 1
    last_id: int = 0
    since: int = 0
    until: int = 0


class Conversations:
    """Contacts with customers in one account."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._types: list[str] | None = None

    def read(self, since: Cursor | None, earliest: datetime | None) -> Iterator[Page[Contacted]]:
        """See `Source.contacts`. The cursor has a place for the notes of each kind of card and one for the events."""
        stands = _stands_in(since, earliest)
        for cards in _CARDS:
            for rows, stand in self._notes(cards, stands[cards]):
                stands[cards] = stand
                yield Page(self._contacts(rows, lambda row, cards=cards: _note(row, cards)), _cursor(stands))
        for rows, stand in self._events(stands["events"]):
            stands["events"] = stand
            yield Page(self._contacts(rows, _event), _cursor(stands))

    # --- lists -------------------------------------------------------------------------------------------------

    def _notes(self, cards: str, stand: _Stand) -> Iterator[tuple[list[Json], _Stand]]:
        """Ascending by id: what changes meanwhile comes twice rather than never."""
        query = [*(("filter[note_type][]", one) for one in NOTE_TYPES), ("order[id]", "asc")]
        if stand.floor:
            query.append(("filter[updated_at][from]", str(stand.floor)))

        def read(numbers: Iterable[int]) -> list[Listing]:
            return self._client.pages(f"{cards}/notes", "notes", query, numbers)

        for rows, place in pages.read_all(read, Place(stand.page, stand.last_id, stand.since)):
            wanted = [row for row in rows if row.get("note_type") in NOTE_TYPES]
            if place.is_backfill:
                yield wanted, replace(stand, page=place.page, last_id=place.last_id, since=place.since)
            else:
                yield wanted, _Stand(floor=max(0, place.since - LAG_S))

    def _events(self, stand: _Stand) -> Iterator[tuple[list[Json], _Stand]]:
        types = self._known_types()
        more = bool(types)
        while more:
            query = [("filter[type]", ",".join(types)), ("filter[created_at][from]", str(stand.floor))]
            query += [("filter[created_at][to]", str(stand.until))] if stand.until else []
            (listing,) = self._client.pages("events", "events", query, [stand.page], limit=EVENTS_PAGE)
            until = stand.until or epoch(listing.at)
            more = listing.more
            stand = replace(stand, page=stand.page + 1, until=until) if more else _Stand(floor=max(0, until - LAG_S))
            yield [row for row in listing.rows if row.get("type") in EVENT_TYPES], stand

    def _known_types(self) -> list[str]:
        if self._types is None:
            known = {str(row.get("key")) for row in self._client.all("events/types", "events_types")}
            self._types = [one for one in EVENT_TYPES if one in known]
        return self._types

    # --- customers ---------------------------------------------------------------------------------------------

    def _contacts(self, rows: Sequence[Json], read: Any) -> list[Contacted]:
        found: list[tuple[str, str, Contacted]] = [read(row) for row in rows]
        buyers = self._buyers(sorted({card_id for cards, card_id, _ in found if cards == LEADS}))
        return [replace(one, customer=_customer(cards, card_id, buyers)) for cards, card_id, one in found]

    def _buyers(self, lead_ids: Sequence[str]) -> dict[str, CustomerRef]:
        """Lead → its company, else its main contact (CONTRACT 2.2). Links are no paid option, unlike lead filters."""
        companies: dict[str, str] = {}
        people: defaultdict[str, list[tuple[bool, int]]] = defaultdict(list)
        for some in chunks(lead_ids, IDS_IN_URL):
            for row in self._client.all("leads/links", "links", [("filter[entity_id][]", one) for one in some]):
                lead, other = str(row.get("entity_id")), identifier(row.get("to_entity_id"))
                if other is not None and row.get("to_entity_type") == COMPANIES:
                    companies[lead] = other
                elif other is not None and row.get("to_entity_type") == CONTACTS:
                    is_main = bool((row.get("metadata") or {}).get("main_contact"))
                    people[lead].append((not is_main, int(other)))
        main = {lead: CustomerRef(CustomerKind.CONTACT, str(min(ranked)[1])) for lead, ranked in people.items()}
        return main | {lead: CustomerRef(CustomerKind.COMPANY, one) for lead, one in companies.items()}


def _customer(cards: str, card_id: str, buyers: Mapping[str, CustomerRef]) -> tuple[CustomerRef, ...]:
    if cards in _KINDS:
        return (CustomerRef(_KINDS[cards], card_id),)
    return (buyers[card_id],) if card_id in buyers else ()


def _note(row: Json, cards: str) -> tuple[str, str, Contacted]:
    """A note: the kind of its card, the card's id, and what it tells."""
    channel, inbound = NOTE_TYPES[row["note_type"]]
    params = row.get("params")
    params = params if isinstance(params, Mapping) else {}
    seconds, completed = 0, True
    if channel is ContactChannel.CALL:
        seconds = _whole(params.get("duration"))
        status = params.get("call_status")
        completed = seconds > 0 if status in (None, "") else str(status) == str(_SPOKE)
    elif channel is ContactChannel.LETTER:
        inbound = params.get("income") is True
    people = map(_whole, (params.get("call_responsible"), row.get("responsible_user_id"), row.get("created_by")))
    contacted = Contacted(
        external_id=f"note:{cards}:{id_of(row, 'notes')}",
        channel=channel,
        at=_at(row, "notes"),
        customer=(),
        manager_id=next((str(one) for one in people if one), None),
        inbound=inbound,
        completed=completed,
        seconds=seconds,
    )
    return cards, str(number(row, "entity_id")), contacted


def _event(row: Json) -> tuple[str, str, Contacted]:
    """A chat's message. Nobody of ours is named on the customer's own."""
    event_id = identifier(row.get("id"))
    if event_id is None:
        raise Malformed("an event of amoCRM has no id", path="events.id")
    contacted = Contacted(
        external_id=f"event:{event_id}",
        channel=ContactChannel.MESSAGE,
        at=_at(row, "events"),
        customer=(),
        manager_id=identifier(row.get("created_by")),
        inbound=EVENT_TYPES[row["type"]],
        completed=True,
    )
    return _PLURAL.get(str(row.get("entity_type")), ""), str(row.get("entity_id")), contacted


def _at(row: Json, path: str) -> datetime:
    moment = from_epoch(row.get("created_at"), f"{path}.created_at")
    if moment is None:
        raise Malformed("a contact does not tell when it was", path=f"{path}.created_at")
    return moment


def _whole(value: Any) -> int:
    return int(value) if str(value or "").isdigit() else 0


def _stands_in(since: Cursor | None, earliest: datetime | None) -> dict[str, _Stand]:
    names = (*_CARDS, "events")
    if since is None:
        return dict.fromkeys(names, _Stand(floor=0 if earliest is None else epoch(earliest)))
    stored = json.loads(since)
    return {name: _Stand(**stored.get(name, {})) for name in names}


def _cursor(stands: Mapping[str, _Stand]) -> Cursor:
    return Cursor(json.dumps({name: asdict(stand) for name, stand in stands.items()}))
