"""A shop that every emulator can load: who sells, who buys, what was sold. Neutral words, no vendor's format.

Ids are unique per kind only, so a company and a contact may both be 101, as in the CRMs. All times are aware
UTC with whole milliseconds at most; money is `Decimal`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

DealStatus = Literal["won", "lost", "open"]


@dataclass(frozen=True, slots=True)
class Team:
    """A group of managers; `lead_id` is the manager who leads it, `parent_id` the team it is a part of."""

    id: int
    name: str
    lead_id: int | None = None
    parent_id: int | None = None


@dataclass(frozen=True, slots=True)
class Manager:
    """A member of staff. Inactive ones still stand on cards."""

    id: int
    first_name: str
    last_name: str
    email: str
    team_id: int | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class Product:
    """Something sold."""

    id: int
    name: str
    sku: str
    price: Decimal


@dataclass(frozen=True, slots=True)
class Company:
    """A buyer that is a firm."""

    id: int
    name: str
    manager_id: int | None
    created_at: datetime
    phone: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """A buyer that is a person. `company_id` is the employer, who does not take over private orders."""

    id: int
    first_name: str
    last_name: str
    email: str | None
    manager_id: int | None
    created_at: datetime
    company_id: int | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One product of a deal. `price` is for one piece, `discount` is taken off the whole line."""

    product_id: int
    quantity: Decimal
    price: Decimal
    discount: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Deal:
    """A sale in any state. `amount` None means none was entered; 0 and less occur (refunds).

    `contact_ids` is in the order in which they were attached; `main_contact_id` is one of them or None.
    `closed_at` of an open deal is the day it is expected to close, or None.
    """

    id: int
    name: str
    status: DealStatus
    amount: Decimal | None
    currency: str
    company_id: int | None
    contact_ids: tuple[int, ...]
    main_contact_id: int | None
    manager_id: int | None
    created_at: datetime
    closed_at: datetime | None
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Shop:
    """Everything a portal starts with.

    `rates` has for each foreign currency in use what one unit is worth in `currency`, or None when the account
    never set a rate.
    """

    timezone: str
    currency: str
    teams: tuple[Team, ...] = ()
    managers: tuple[Manager, ...] = ()
    products: tuple[Product, ...] = ()
    companies: tuple[Company, ...] = ()
    contacts: tuple[Contact, ...] = ()
    deals: tuple[Deal, ...] = ()
    rates: Mapping[str, Decimal | None] = field(default_factory=dict)
