"""Calls, e-mails, meetings and messages with customers: four kinds of records read one after another.

No text, subject, number or address is asked for. Properties and their values, read 2026-11:
https://developers.hubspot.com/docs/api-reference/latest/crm/activities/calls/guide, …/emails/guide, …/meetings/guide,
…/communications/guide.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapters.contract import Cursor, Page
from adapters.errors import CRMError, Malformed, Rejected, ScopeMissing, Unpaid
from adapters.fields import decimal, identifier
from adapters.hubspot.client import (
    CALLS,
    COMMUNICATIONS,
    COMPANIES,
    CONTACTS,
    DEALS,
    EMAILS,
    MEETINGS,
    Json,
)
from adapters.hubspot.pages import Pages
from adapters.hubspot.places import Mark
from adapters.hubspot.schemas import Ties, buyer_of, moment_of, ms, record_of
from adapters.records import ContactChannel, Contacted, CustomerKind, CustomerRef

log = logging.getLogger("rfm.hubspot")

_ENDS = (CONTACTS, COMPANIES, DEALS)
_NOT_HERE = (ScopeMissing, Unpaid, Rejected)
_SENT = "SENT"
_INBOUND_LETTER = "INCOMING_EMAIL"


@dataclass(frozen=True, slots=True)
class _Kind:
    channel: ContactChannel
    properties: tuple[str, ...]


_COMMON = ("hs_timestamp", "hubspot_owner_id", "hs_lastmodifieddate")
_KINDS: Mapping[str, _Kind] = {
    CALLS: _Kind(ContactChannel.CALL, (*_COMMON, "hs_call_direction", "hs_call_duration", "hs_call_status")),
    EMAILS: _Kind(ContactChannel.LETTER, (*_COMMON, "hs_email_direction", "hs_email_status")),
    MEETINGS: _Kind(ContactChannel.MEETING, (*_COMMON, "hs_meeting_start_time", "hs_meeting_outcome")),
    COMMUNICATIONS: _Kind(ContactChannel.MESSAGE, (*_COMMON, "hs_communication_channel_type")),
}


class Conversations:
    """Contacts with customers in one account."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def read(self, since: Cursor | None, earliest: datetime | None) -> Iterator[Page[Contacted]]:
        """See `Source.contacts`.

        The cursor has a place for each kind. A kind that the token or the account has not (e-mails need a scope of
        their own) keeps its place, so that all of it is read once it is allowed. Raises when none may be read.
        """
        marks = _marks_in(since, earliest)
        refusal: CRMError | None = None
        read_any = False
        for kind in _KINDS:
            try:
                for payloads, mark in self._pages_of(kind, marks[kind]):
                    marks[kind] = mark
                    yield Page(payloads, _cursor(marks))
                read_any = True
            except _NOT_HERE as error:
                log.warning("%s are not read: %s", kind, error)
                refusal = error
        if refusal is not None and not read_any:
            raise refusal

    def _pages_of(self, kind: str, mark: Mark) -> Iterator[tuple[list[Contacted], Mark]]:
        listing = mark.phase == "all"
        properties = _KINDS[kind].properties
        for payloads, reached in self._pages.read(kind, mark, properties, associations=_ENDS if listing else ()):
            yield self._contacts(kind, payloads, listing=listing), reached

    def _contacts(self, kind: str, payloads: Sequence[Json], *, listing: bool) -> list[Contacted]:
        if not payloads:
            return []
        ties = self._pages.ties(kind, payloads, _ENDS, listing=listing)
        deals = sorted({link.to for each in ties.values() for link in each.deals})
        owners = self._pages.ties_by_id(DEALS, deals, (CONTACTS, COMPANIES)) if deals else {}
        return [contacted(kind, payload, _customers(ties[record_of(payload, kind)[0]], owners)) for payload in payloads]


def contacted(kind: str, payload: Json, customers: tuple[CustomerRef, ...]) -> Contacted:
    """One record. A call counts as spoken when its status is COMPLETED, a meeting when its outcome is.

    Durations are milliseconds. Communications (SMS, WhatsApp, LinkedIn) do not tell who wrote: they count as ours.
    """
    record_id, values = record_of(payload, kind)
    inbound, completed = _facts(kind, values)
    return Contacted(
        external_id=f"{kind}:{record_id}",
        channel=_KINDS[kind].channel,
        at=_at(kind, payload, values),
        customer=customers,
        manager_id=identifier(values.get("hubspot_owner_id")),
        inbound=inbound,
        completed=completed,
        seconds=int((decimal(values.get("hs_call_duration"), "calls.hs_call_duration") or 0) // 1000),
    )


def _facts(kind: str, values: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether the customer began, and whether it came to something."""
    if kind == CALLS:
        return values.get("hs_call_direction") == "INBOUND", values.get("hs_call_status") == "COMPLETED"
    if kind == EMAILS:
        inbound = values.get("hs_email_direction") == _INBOUND_LETTER
        return inbound, inbound or values.get("hs_email_status") in {_SENT, None, ""}
    if kind == MEETINGS:
        return False, values.get("hs_meeting_outcome") == "COMPLETED"
    return False, True


def _at(kind: str, payload: Json, values: Mapping[str, Any]) -> datetime:
    """When it took place. `hs_timestamp` is required on all of them; a meeting has a beginning of its own."""
    told = values.get("hs_meeting_start_time") or values.get("hs_timestamp") or payload.get("createdAt")
    moment = moment_of(told, f"{kind}.hs_timestamp")
    if moment is None:
        raise Malformed("a contact does not tell when it was", path=f"{kind}.hs_timestamp")
    return moment


def _customers(ties: Ties, deals: Mapping[str, Ties]) -> tuple[CustomerRef, ...]:
    found = {CustomerRef(CustomerKind.CONTACT, link.to) for link in ties.contacts}
    found |= {CustomerRef(CustomerKind.COMPANY, link.to) for link in ties.companies}
    buyers = (buyer_of(deals[link.to]) for link in ties.deals if link.to in deals)
    return tuple(sorted(found | {buyer for buyer in buyers if buyer is not None}))


def _marks_in(since: Cursor | None, earliest: datetime | None) -> dict[str, Mark]:
    if since is not None:
        stored = json.loads(since)
        return {kind: Mark.read(stored.get(kind)) for kind in _KINDS}
    start = Mark() if earliest is None else Mark("changes", since=ms(earliest))
    return dict.fromkeys(_KINDS, start)


def _cursor(marks: Mapping[str, Mark]) -> Cursor:
    return Cursor(json.dumps({kind: mark.text() for kind, mark in marks.items()}))
