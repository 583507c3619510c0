"""What a portal keeps, one class per object. Moments are whole seconds since 1970 UTC, empty links are None.

Custom values stand in `uf` by their upper-case names; a card without any has no such map.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any


@dataclass(slots=True, kw_only=True)
class Row:
    """Anything with an id and a moment of its last change."""

    id: int
    created: int = 0
    updated: int = 0
    uf: dict[str, Any] | None = None


@dataclass(slots=True, kw_only=True)
class Card(Row):
    """What contacts, companies and deals share."""

    assigned_by_id: int | None = None
    created_by: int | None = None
    updated_by: int | None = None
    last_activity: int = 0
    opened: bool = True
    source_id: str | None = None
    type_id: str | None = None
    comments: str | None = None
    originator_id: str | None = None
    origin_id: str | None = None


@dataclass(slots=True, kw_only=True)
class Contact(Card):
    """A person."""

    name: str | None = None
    last_name: str | None = None
    second_name: str | None = None
    post: str | None = None
    birthdate: date | None = None
    company_id: int | None = None
    export: bool = True
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Company(Card):
    """A firm; `is_my_company` marks the portal's own requisites."""

    title: str | None = None
    industry: str | None = None
    revenue: Decimal | None = None
    currency_id: str | None = None
    employees: str | None = None
    is_my_company: bool = False
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Deal(Card):
    """A sale. The primary contact is the first of `contact_ids`. `semantic` is P, S or F."""

    title: str | None = None
    category_id: int = 0
    stage_id: str = "NEW"
    semantic: str = "P"
    opportunity: Decimal | None = None
    is_manual_opportunity: bool = False
    tax_value: Decimal | None = None
    currency_id: str | None = None
    company_id: int | None = None
    contact_ids: tuple[int, ...] = ()
    begindate: date | None = None
    closedate: date | None = None
    moved: int = 0
    moved_by: int | None = None
    is_recurring: bool = False
    is_return_customer: bool = False
    is_repeated_approach: bool = False
    lead_id: int | None = None


@dataclass(slots=True, kw_only=True)
class ProductRow(Row):
    """One line of a deal. `price` is after the discount, `discount_sum` is per piece."""

    owner_id: int
    product_id: int
    product_name: str
    price: Decimal
    discount_sum: Decimal
    quantity: Decimal


@dataclass(slots=True, kw_only=True)
class StageMove(Row):
    """A line of the stage history. `kind`: 1 created, 2 moved on, 3 reached a final stage, 5 changed the funnel."""

    kind: int
    owner_id: int
    category_id: int
    semantic: str
    stage_id: str


@dataclass(slots=True, kw_only=True)
class Activity(Row):
    """Something done or to be done on a card: a to-do, unless `provider_id` says else.

    `type_id`: 1 a meeting, 2 a call, 4 a letter, 6 what a provider makes. `direction`: 1 from the customer, 2 to him,
    0 neither. `bound` are cards beside the owner, as (type of object, id).
    """

    owner_type_id: int
    owner_id: int
    subject: str
    description: str
    deadline: int
    responsible_id: int
    author_id: int
    completed: bool = False
    provider_id: str = "CRM_TODO"
    provider_type_id: str = "TODO"
    type_id: int = 6
    direction: int = 0
    start: int | None = None
    end: int | None = None
    bound: tuple[tuple[int, int], ...] = ()

    @property
    def bindings(self) -> tuple[tuple[int, int], ...]:
        """All cards it stands on, the owner first."""
        return ((self.owner_type_id, self.owner_id), *self.bound)


@dataclass(slots=True, kw_only=True)
class Task(Row):
    """A task. `status`: 2 pending, 3 in progress, 4 waiting for control, 5 completed, 6 deferred."""

    title: str
    description: str = ""
    responsible_id: int = 0
    created_by: int = 0
    deadline: int | None = None
    priority: int = 1
    status: int = 2
    xml_id: str | None = None
    group_id: int = 0
    crm: tuple[str, ...] = ()
    auditors: tuple[int, ...] = ()


@dataclass(slots=True, kw_only=True)
class User(Row):
    """A member of staff."""

    name: str
    last_name: str
    email: str
    departments: tuple[int, ...] = ()
    active: bool = True
    position: str = ""


@dataclass(slots=True, kw_only=True)
class Department(Row):
    """A part of the firm; only the root has no parent."""

    name: str
    parent: int | None = None
    head: int | None = None


@dataclass(slots=True, kw_only=True)
class Payment:
    """Money of an order; a return takes it back."""

    sum: Decimal
    paid_at: int | None
    is_return: bool = False


@dataclass(slots=True, kw_only=True)
class SaleOrder(Row):
    """An order of the online store; `deal_id` when it is tied to a deal."""

    price: Decimal
    currency: str
    payed: bool
    canceled: bool = False
    responsible_id: int | None = None
    company_id: int | None = None
    contact_id: int | None = None
    deal_id: int | None = None
    payments: tuple[Payment, ...] = ()
    lines: tuple[ProductRow, ...] = ()


@dataclass(slots=True, kw_only=True)
class Element:
    """An option of an enumeration."""

    id: int
    value: str
    sort: int
    is_default: bool
    xml_id: str


@dataclass(slots=True, kw_only=True)
class UserField(Row):
    """A custom field. `labels` has every label key that was given, each by language or as one text."""

    entity: str
    name: str
    type: str
    xml_id: str | None = None
    sort: int = 100
    multiple: bool = False
    mandatory: bool = False
    show_filter: str = "N"
    edit_in_list: str = "Y"
    settings: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)
    elements: list[Element] = field(default_factory=list)
