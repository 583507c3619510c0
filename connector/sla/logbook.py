"""Events of occasions as rows and back, and an occasion as it is kept: between the pure log and the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from connector.sla.events import Channel, Clock, Contact, Event, Kind, Target
from connector.sla.policy import WorkClass
from connector.sla.rounds import Live
from connector.sla.sequences import Occasion
from connector.store.models import OccasionEventRow
from connector.store.occasions import Held, Line


def line_of(occasion: str, customer: int, event: Event, source: str) -> Line:
    """An event as a line to put down."""
    return Line(occasion, customer, event.at, event.kind.value, source, _body(event))


def event_of(row: OccasionEventRow) -> Event:
    """A line of the store as an event."""
    body = row.body
    contact = body.get("contact")
    return Event(
        at=row.at,
        kind=Kind(row.kind),
        number=row.number,
        by=body.get("by"),
        reason=body.get("reason", ""),
        only=frozenset(map(Clock, body.get("only", ()))),
        targets=tuple(map(Target.from_row, body.get("targets", ()))),
        contact=None if contact is None else _contact(contact),
        work_class=WorkClass(body["work_class"]) if "work_class" in body else None,
        step=body.get("step", ""),
        until=datetime.fromisoformat(body["until"]) if "until" in body else None,
    )


def live_of(held: Held, portal_key: str) -> Live:
    """A stored occasion with its log."""
    row = held.row
    occasion = Occasion(portal_key, held.ref, row.customer, row.rule, row.event_key, WorkClass(row.work_class), row.big)
    return Live(occasion, tuple(map(event_of, held.log)))


def class_now(log: Iterable[Event], first: WorkClass) -> WorkClass:
    """The class that the customer is in by the log."""
    found = first
    for event in log:
        if event.kind is Kind.MOVED and event.work_class is not None:
            found = event.work_class
    return found


def attempts_in(log: Iterable[Event]) -> int:
    """How often we have tried to reach the customer."""
    return sum(event.contact is not None and not event.contact.inbound for event in log)


def _body(event: Event) -> dict[str, Any]:
    """What an event has besides its moment and kind; nothing that is empty."""
    found: dict[str, Any] = {
        "by": event.by,
        "reason": event.reason,
        "only": sorted(clock.value for clock in event.only),
        "targets": [target.as_row() for target in event.targets],
        "contact": None
        if event.contact is None
        else {
            "channel": event.contact.channel.value,
            "inbound": event.contact.inbound,
            "completed": event.contact.completed,
            "seconds": event.contact.seconds,
        },
        "work_class": event.work_class.value if event.work_class else None,
        "step": event.step,
        "until": event.until.isoformat() if event.until else None,
    }
    return {word: value for word, value in found.items() if value not in (None, "", [])}


def _contact(body: Mapping[str, Any]) -> Contact:
    return Contact(Channel(body["channel"]), body["inbound"], body["completed"], body["seconds"])
