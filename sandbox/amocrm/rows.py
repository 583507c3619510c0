"""What an amoCRM account holds, as mutable rows. Stamps are unix seconds, ids are per kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple

Kind = Literal["leads", "contacts", "companies", "customers"]
KINDS: tuple[Kind, ...] = ("leads", "contacts", "companies", "customers")
SINGULAR = {
    "leads": "lead",
    "contacts": "contact",
    "companies": "company",
    "customers": "customer",
    "tasks": "task",
}

WON = 142
LOST = 143
CLOSED = frozenset({WON, LOST})
UNSORTED_STAGE = 1


@dataclass(slots=True)
class Group:
    """A team of users; 0 is the default one."""

    id: int
    name: str


@dataclass(slots=True)
class User:
    """A member of staff."""

    id: int
    name: str
    email: str
    group_id: int = 0
    is_admin: bool = False
    is_active: bool = True


@dataclass(slots=True)
class Stage:
    """A column of a pipeline. `type` 1 is the unsorted stage."""

    id: int
    name: str
    sort: int
    type: int = 0


@dataclass(slots=True)
class Pipeline:
    """Stages in order, the closing pair 142 and 143 last."""

    id: int
    name: str
    sort: int
    stages: list[Stage]
    is_main: bool = False
    is_archive: bool = False


@dataclass(slots=True)
class LossReason:
    """Why a lead was lost."""

    id: int
    name: str
    sort: int


class Stored(NamedTuple):
    """One value of a custom field: a plain one, an option, or both (a phone with its kind)."""

    value: str | int | bool | None = None
    enum_id: int | None = None


@dataclass(slots=True)
class Option:
    """A choice of a list field, or a kind of phone."""

    id: int
    value: str
    sort: int
    code: str | None = None


@dataclass(slots=True)
class Field:
    """A custom field of one entity type. `group_id` is a string, unlike everybody else's."""

    id: int
    name: str
    type: str
    sort: int
    code: str | None = None
    group_id: str | None = None
    is_api_only: bool = False
    is_predefined: bool = False
    options: list[Option] | None = None
    currency: str | None = None


@dataclass(slots=True)
class FieldGroup:
    """A tab of the card."""

    id: str
    name: str
    sort: int
    is_predefined: bool = False


@dataclass(slots=True, kw_only=True)
class Card:
    """What leads, contacts and companies share. `values` has only filled fields."""

    id: int
    name: str
    responsible_user_id: int
    created_at: int
    updated_at: int
    created_by: int = 0
    updated_by: int = 0
    is_deleted: bool = False
    values: dict[int, tuple[Stored, ...]] = field(default_factory=dict)
    tag_ids: list[int] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Company(Card):
    """A firm."""


@dataclass(slots=True, kw_only=True)
class Contact(Card):
    """A person; may belong to several companies."""

    first_name: str = ""
    last_name: str = ""
    company_ids: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ElementLink:
    """A product on a lead."""

    catalog_id: int
    element_id: int
    quantity: Decimal


@dataclass(slots=True, kw_only=True)
class Lead(Card):
    """A deal. `price` None is none entered, which is not 0."""

    price: Decimal | None
    status_id: int
    pipeline_id: int
    closed_at: int | None = None
    loss_reason_id: int | None = None
    company_id: int | None = None
    contact_ids: list[int] = field(default_factory=list)
    main_contact_id: int | None = None
    elements: list[ElementLink] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Customer(Card):
    """amoCRM's own module of regular buyers."""

    contact_ids: list[int] = field(default_factory=list)
    company_id: int | None = None
    next_price: int | None = None
    next_date: int | None = None


@dataclass(slots=True)
class Transaction:
    """A purchase of a customer."""

    id: int
    customer_id: int
    price: Decimal
    completed_at: int
    comment: str
    created_at: int
    updated_at: int
    created_by: int = 0
    is_deleted: bool = False


@dataclass(slots=True)
class Task:
    """A to-do. Without a priority: the CRM has none."""

    id: int
    text: str
    complete_till: int
    task_type_id: int
    responsible_user_id: int
    entity_type: Kind | None
    entity_id: int | None
    created_by: int
    updated_by: int
    created_at: int
    updated_at: int
    duration: int = 0
    is_completed: bool = False
    result: str | None = None


@dataclass(slots=True)
class Note:
    """A line of a card's feed."""

    id: int
    entity_type: Kind
    entity_id: int
    note_type: str
    params: dict[str, object]
    created_by: int
    responsible_user_id: int
    created_at: int
    updated_at: int


@dataclass(slots=True)
class Tag:
    """A label, one set per entity type."""

    id: int
    name: str


@dataclass(slots=True)
class Catalog:
    """A list, of products or other things."""

    id: int
    name: str
    type: str
    sort: int


@dataclass(slots=True)
class Element:
    """One row of a list."""

    id: int
    catalog_id: int
    name: str
    created_at: int
    updated_at: int
    values: dict[int, tuple[Stored, ...]] = field(default_factory=dict)
    is_deleted: bool = False


@dataclass(slots=True)
class Hook:
    """A webhook subscription; `letters` delivers."""

    id: int
    destination: str
    settings: list[str]
    sort: int
    created_by: int
    created_at: int
    updated_at: int
    disabled: bool = False
