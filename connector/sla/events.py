"""What happens in one occasion of a rule, as a log: the facts from which clocks and sequences are computed on read.

Pure words; knows no calendar and no deadline. An occasion is one customer, one rule and one event. Nothing in a
log is ever changed: a correction is a further event. The same facts in another order of arrival are the same log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from connector.sla.policy import Term, Unit, WorkClass


class Clock(StrEnum):
    """What is timed. One occasion may have several at once."""

    FIRST_CONTACT = "first_contact"
    """Met by a contact that counts."""
    QUALIFIED = "qualified"
    """Met when it is said to be done: the need is known."""
    DEMO = "demo"
    """Met when it is said to be done: a showing is appointed."""
    SOFT_TOUCH = "soft_touch"
    """Met by any attempt; opens again after `every_days`, at most `per_month` times a calendar month."""
    RESOLUTION = "resolution"
    """Met when the task is closed, whatever came of it; reopening goes on with what was left."""


class Kind(StrEnum):
    """What happened. The order of the names is the order of events of one and the same moment (see `in_order`)."""

    STARTED = "started"
    POLICY = "policy"
    """Other targets are applied to a running occasion; without this event a new version touches nothing."""
    MOVED = "moved"
    """The customer's class changed to `work_class`. Sequences follow; clocks wait for a `POLICY`."""
    REASSIGNED = "reassigned"
    RAISED = "raised"
    """The task of `step` was made."""
    RESUMED = "resumed"
    """The pause for `reason` ended; without a reason, every pause."""
    CONTACT = "contact"
    """An attempt of either side, reached or not; `contact` says what it was."""
    BOUGHT = "bought"
    REFUSED = "refused"
    OPTED_OUT = "opted_out"
    DONE = "done"
    """The CRM's task was closed, or the goals named in `only` were reached."""
    REOPENED = "reopened"
    RESET = "reset"
    """A new window with the whole term, because something new came in. A pause keeps the remainder; this does not."""
    POSTPONED = "postponed"
    """The next step waits until `until`; clocks do not."""
    PAUSED = "paused"
    STOPPED = "stopped"
    """The verdict that ends the occasion, with its reason."""
    GONE = "gone"
    """The customer's record was deleted or merged into another."""


_ORDER = {kind: rank for rank, kind in enumerate(Kind)}
_RANK = {**_ORDER, Kind.RESUMED: _ORDER[Kind.PAUSED], Kind.REOPENED: _ORDER[Kind.DONE]}
_NEEDS_REASON = {Kind.PAUSED, Kind.REASSIGNED, Kind.POSTPONED, Kind.STOPPED}


class Channel(StrEnum):
    """How a customer is approached."""

    CALL = "call"
    MEETING = "meeting"
    MESSAGE = "message"
    LETTER = "letter"
    TASK = "task"
    """Work without an approach, such as checking the history."""


WRITTEN = frozenset({Channel.MESSAGE, Channel.LETTER})


@dataclass(frozen=True, slots=True)
class Contact:
    """One attempt. `inbound`: the customer's own. `completed`: a call that was answered, a meeting that took place."""

    channel: Channel
    inbound: bool = False
    completed: bool = False
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """What one clock has to reach, frozen with the event that brought it. `policy` is the version it comes from.

    `warn_left` is the share of working time left at which a clock is at risk. `pauses` are the reasons that stop
    the clock: the other side owes something, or nobody is there; any other reason is put down and changes nothing.
    `grace_minutes` is the least working time that a clock gets which is reopened, or given a shorter term, when its
    time is nearly or already over.
    """

    clock: Clock
    term: Term
    policy: str
    business_hours: bool = False
    warn_left: float = 0.25
    least_call_seconds: int = 30
    pauses: frozenset[str] = frozenset({"customer", "absent"})
    grace_minutes: int = 60
    every_days: int | None = None
    per_month: int | None = None

    def __post_init__(self) -> None:
        """Refuse a share that is none, and a touch that is due again on the same day."""
        if not 0 <= self.warn_left < 1:
            raise ValueError(f"{self.clock}: warn_left is a share of the time, from 0 to below 1")
        if self.every_days is not None and (self.every_days < 1 or self.clock is not Clock.SOFT_TOUCH):
            raise ValueError(f"{self.clock}: only a soft touch is due again, after one day at least")

    def as_row(self) -> dict[str, Any]:
        """Plain values for a JSON column; `from_row` reads them back."""
        return {
            "clock": self.clock.value,
            "amount": self.term.amount,
            "unit": self.term.unit.value,
            "policy": self.policy,
            "business_hours": self.business_hours,
            "warn_left": self.warn_left,
            "least_call_seconds": self.least_call_seconds,
            "pauses": sorted(self.pauses),
            "grace_minutes": self.grace_minutes,
            "every_days": self.every_days,
            "per_month": self.per_month,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Target:
        """A target as `as_row` wrote it. Raises `KeyError` and `ValueError` for anything else."""
        rest = {word: value for word, value in row.items() if word not in {"clock", "amount", "unit", "pauses"}}
        return cls(
            clock=Clock(row["clock"]),
            term=Term(row["amount"], Unit(row["unit"])),
            pauses=frozenset(row["pauses"]),
            **rest,
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the log. `at` is aware; `number` tells apart lines of one kind and moment.

    `by` is the manager who has the occasion from now on (`STARTED`, `REASSIGNED`) or who acted. `only` names the
    clocks meant; without it all are. `targets` come with `STARTED` and `POLICY`. Raises `ValueError` for a moment
    without a zone, and for a pause, a postponement, a reassignment or an end without a reason.
    """

    at: datetime
    kind: Kind
    number: int = 0
    by: str | None = None
    reason: str = ""
    only: frozenset[Clock] = frozenset()
    targets: tuple[Target, ...] = ()
    contact: Contact | None = None
    work_class: WorkClass | None = None
    step: str = ""
    until: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse what no reader could place or explain later."""
        if self.at.tzinfo is None or (self.until is not None and self.until.tzinfo is None):
            raise ValueError(f"{self.kind}: a moment without a time zone cannot be placed")
        if self.kind in _NEEDS_REASON and not self.reason.strip():
            raise ValueError(f"{self.kind}: say why; a reason is needed")
        if (self.contact is None) is (self.kind is Kind.CONTACT):
            raise ValueError(f"{self.kind}: an attempt, and nothing else, says what it was")
        if self.kind is Kind.POSTPONED and self.until is None:
            raise ValueError("postponed: say until when")
        if (self.work_class is None) and self.kind is Kind.MOVED:
            raise ValueError("moved: say to which class")

    def concerns(self, clock: Clock) -> bool:
        """Whether a clock is meant."""
        return not self.only or clock in self.only


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC, in which moments of any zone compare as they were lived."""
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def in_order(log: Iterable[Event]) -> list[Event]:
    """The events by time, then kind, then number; moments of any zone are compared as moments.

    Of one moment, what undoes something (resumed, reopened) stands by its number among what it undoes.
    """
    return sorted(log, key=lambda event: (in_utc(event.at), _RANK[event.kind], event.number, _ORDER[event.kind]))


@dataclass(slots=True)
class Conversation:
    """Tells which attempts are a contact: a call completed and long enough, a meeting, an exchange of messages.

    A message counts when the other side's last message is no older than the last contact, so an answer counts and
    a second letter without an answer does not. Feed it events in order.
    """

    _last: dict[bool, datetime] = field(default_factory=dict)
    _counted_at: datetime | None = None

    def counts(self, at: datetime, contact: Contact, least_call_seconds: int) -> bool:
        """Whether this attempt makes a contact. Every attempt of the log has to be asked about once."""
        counted = self._counts(contact, timedelta(seconds=least_call_seconds))
        if contact.channel in WRITTEN:
            self._last[contact.inbound] = at
        if counted:
            self._counted_at = at
        return counted

    def _counts(self, contact: Contact, least_call: timedelta) -> bool:
        if contact.channel is Channel.MEETING:
            return contact.completed
        if contact.channel is Channel.CALL:
            return contact.completed and timedelta(seconds=contact.seconds) >= least_call
        other = self._last.get(not contact.inbound)
        return (
            contact.channel in WRITTEN and other is not None and (self._counted_at is None or other >= self._counted_at)
        )
