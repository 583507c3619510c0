"""The words every CRM is translated into, and each vendor's own word for them.

=============  ==========================  =======================  ==========================
ours           amoCRM                      Bitrix24                 HubSpot
=============  ==========================  =======================  ==========================
portal         account                     portal (member_id)       account (hub id)
customer       contact, company            contact, company         contact, company
order          lead in status 142,         deal in a stage of       deal with
               customer's transaction      semantics S, sale.order  hs_is_closed_won, order
manager        user (responsible)          user (assigned)          owner
team           group of users              department               team
=============  ==========================  =======================  ==========================

Beware amoCRM's own "customer" (покупатель): it is a module of its own, not ours.
All times are aware UTC, all money is `Decimal` with its currency beside it, all ids are the CRM's, as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class CRM(StrEnum):
    """A CRM we speak."""

    AMOCRM = "amocrm"
    BITRIX24 = "bitrix24"
    HUBSPOT = "hubspot"


class CustomerKind(StrEnum):
    """Who can be scored."""

    COMPANY = "company"
    CONTACT = "contact"


class OrderSource(StrEnum):
    """Where an order comes from; one portal counts one source (CONTRACT 2.1)."""

    DEALS = "deals"
    ORDERS = "orders"
    IMPORT = "import"


class OrderStatus(StrEnum):
    """Only `WON` orders are counted; the others are mirrored so that a reopened deal leaves the history."""

    WON = "won"
    LOST = "lost"
    OPEN = "open"


FieldValue = int | Decimal | str | bool | datetime | None


@dataclass(frozen=True, slots=True, order=True)
class CustomerRef:
    """One customer of a portal, written `company:45` or `contact:123`."""

    kind: CustomerKind
    external_id: str

    def __str__(self) -> str:
        """The written form that logs, tables and JSON use."""
        return f"{self.kind.value}:{self.external_id}"

    @classmethod
    def parse(cls, text: str) -> CustomerRef:
        """Read `company:45`; raises `ValueError` for anything else."""
        kind, colon, external_id = text.partition(":")
        if not colon or not external_id:
            raise ValueError(f"{text!r} is not written like company:45 or contact:123")
        return cls(CustomerKind(kind), external_id)


@dataclass(frozen=True, slots=True)
class Customer:
    """A card as the CRM holds it now.

    `card` has our own fields by key (`r`, `f`, …) as the card holds them, in our types; a key that is absent
    or None is empty on the card. A value that does not fit our type stays the CRM's text, so that it differs
    from anything we would write. `merged_ids` are ids of the same kind that were merged into this one.
    `is_buyer` is false for cards that are no customers at all (Bitrix24's own companies).
    """

    ref: CustomerRef
    manager_id: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    card: Mapping[str, FieldValue] = field(default_factory=dict)
    merged_ids: tuple[str, ...] = ()
    is_buyer: bool = True


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One product of an order. `price` is the net unit price, `discount` the sum taken off the whole line."""

    product_id: str | None
    name: str | None
    quantity: Decimal
    price: Decimal | None
    discount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A deal or an order object in any state.

    `at` is when it counts (won, paid), None while it is open. `amount` None means the CRM holds no amount,
    which is not zero. `lines` None means the lines were not read. `deal_id` ties an order object to a deal,
    so that the pair counts once.
    """

    source: OrderSource
    external_id: str
    status: OrderStatus
    at: datetime | None
    amount: Decimal | None
    currency: str | None
    company_id: str | None = None
    contact_id: str | None = None
    manager_id: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    pipeline_id: str | None = None
    stage_id: str | None = None
    deal_id: str | None = None
    lines: tuple[OrderLine, ...] | None = None


@dataclass(frozen=True, slots=True)
class Team:
    """A group of managers. `lead_id` only where the CRM knows one (Bitrix24's department head)."""

    external_id: str
    name: str
    lead_id: str | None = None
    parent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Manager:
    """A member of staff who can be responsible for a customer."""

    external_id: str
    name: str
    active: bool = True
    team_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """Values to put on one card: only those that differ, by key. None empties a field."""

    customer: CustomerRef
    values: Mapping[str, FieldValue]


class Priority(StrEnum):
    """How pressing a task is."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class TaskDraft:
    """A task to create on a customer's card.

    `key` is ours, short and stable; adapters put it where they can find the task by it again (`marker`).
    `manager_id` None leaves the CRM's own default. `due_at` is aware UTC.
    """

    key: str
    customer: CustomerRef
    manager_id: str | None
    title: str
    body: str
    due_at: datetime
    priority: Priority = Priority.NORMAL

    @property
    def marker(self) -> str:
        """The text by which a lost task is recognised in the CRM."""
        return f"RFM#{self.key}"


@dataclass(frozen=True, slots=True)
class TaskState:
    """One of our tasks as the CRM holds it now.

    `done_at` is when it was closed as exactly as the CRM tells it: HubSpot keeps the moment, elsewhere it is the
    task's last change, which is not before the closing. `result` is what the person wrote on closing; only amoCRM
    keeps such a text with the task, elsewhere it is empty.
    """

    external_id: str
    is_done: bool
    done_at: datetime | None = None
    due_at: datetime | None = None
    manager_id: str | None = None
    result: str = ""


@dataclass(frozen=True, slots=True)
class TaskChange:
    """What one of our tasks has to become. None leaves as it is; values are absolute, so repeating is harmless.

    `customer` is whose card the task was made on. `close` ticks it off with `result`: kept with the task in amoCRM,
    as a note on the customer's card elsewhere. `priority` is passed over where tasks have none (amoCRM, Bitrix24).
    """

    external_id: str
    customer: CustomerRef
    due_at: datetime | None = None
    manager_id: str | None = None
    priority: Priority | None = None
    close: bool = False
    result: str = ""


@dataclass(frozen=True, slots=True)
class TimelineNote:
    """A few words of ours on a customer's card.

    `key` is ours, short and stable; adapters put it where they can find the note by it again (`marker`). `at` is the
    aware moment at which it stands in a timeline that may be written out of order (HubSpot); elsewhere it stands
    where it was made.
    """

    key: str
    customer: CustomerRef
    text: str
    at: datetime

    @property
    def marker(self) -> str:
        """The text by which a lost note is recognised in the CRM."""
        return f"RFM#{self.key}"


class ContactChannel(StrEnum):
    """How the two sides met."""

    CALL = "call"
    MESSAGE = "message"
    LETTER = "letter"
    MEETING = "meeting"


@dataclass(frozen=True, slots=True)
class Contacted:
    """One attempt of either side to reach the other, as the CRM has it; no text, no number, no address.

    `external_id` is unique among all contacts of a portal. `customer` names all whom it counts for, in ascending
    order: those it stands on, and the customer of a deal it stands on (empty: nobody we know). `completed`: a call in
    which they spoke, a meeting that took place, a message or letter that was sent. `seconds`: the length of a call,
    0 for anything else or when it is not told. `manager_id` is who had it on our side, where that is known.
    """

    external_id: str
    channel: ContactChannel
    at: datetime
    customer: tuple[CustomerRef, ...]
    manager_id: str | None = None
    inbound: bool = False
    completed: bool = False
    seconds: int = 0
