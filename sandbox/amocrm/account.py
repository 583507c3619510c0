"""The state of one amoCRM account and the primitives that keep its indexes and history right.

Nothing here knows HTTP. Changes of cards go through `changes.py` and `links.py`, which call these primitives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Literal, cast
from zoneinfo import ZoneInfo

from sandbox.amocrm.events import History
from sandbox.amocrm.fields import CATALOG, FieldBook
from sandbox.amocrm.ordered import Table
from sandbox.amocrm.rows import (
    KINDS,
    SINGULAR,
    Card,
    Catalog,
    Company,
    Contact,
    Customer,
    Element,
    FieldGroup,
    Group,
    Hook,
    Kind,
    Lead,
    LossReason,
    Note,
    Pipeline,
    Tag,
    Task,
    Transaction,
    User,
)
from sandbox.clock import Clock

CustomersMode = Literal["unavailable", "disabled", "segments", "periodicity"]


@dataclass(slots=True)
class Settings:
    """What the account is and which options it has bought."""

    subdomain: str
    currency: str
    timezone: str
    id: int = 31_415_926
    name: str = "Песочница"
    customers_mode: CustomersMode = "unavailable"
    is_api_filter_enabled: bool = False
    is_loss_reason_enabled: bool = True
    has_minor_units: bool = True
    is_paid: bool = True

    @property
    def zone(self) -> ZoneInfo:
        """Where the account's days begin."""
        return ZoneInfo(self.timezone)


@dataclass(slots=True)
class Rules:
    """Behaviour that the documents leave open, settable so that a client can be tried on both readings.

    `bad_item`: a batch with one bad item is refused whole, or the good ones are applied and the answer is 400
    all the same. `unknown_id`: an id that is gone refuses the batch, or is simply absent from the answer.
    `merge_deletes`: webhooks tell of a merge as the deletion of the loser, or nothing at all.
    `block_after`: so many 429 in one minute, and every call gets a 403 page until support lifts it; None never.
    """

    bad_item: Literal["whole", "partial"] = "whole"
    unknown_id: Literal["refuse", "absent"] = "refuse"
    block_after: int | None = 20
    merge_deletes: bool = True


TASK_TYPES = {1: ("Связаться", "FOLLOW_UP"), 2: ("Встреча", "MEETING")}


@dataclass
class Account:
    """Everything one account holds. `token_user_id` is whose rights the token carries.

    `told` hears of every event of the history: its type, the kind of entity (singular) and its id.
    """

    settings: Settings
    clock: Clock
    token_user_id: int = 0
    rules: Rules = field(default_factory=Rules)
    groups: dict[int, Group] = field(default_factory=dict)
    users: dict[int, User] = field(default_factory=dict)
    pipelines: dict[int, Pipeline] = field(default_factory=dict)
    loss_reasons: dict[int, LossReason] = field(default_factory=dict)
    catalogs: dict[int, Catalog] = field(default_factory=dict)
    elements: dict[int, Table[Element]] = field(default_factory=dict)
    transactions: dict[int, Transaction] = field(default_factory=dict)
    notes: dict[int, Note] = field(default_factory=dict)
    hooks: dict[int, Hook] = field(default_factory=dict)
    tags: dict[Kind, dict[int, Tag]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    history: History = field(default_factory=History)
    told: Callable[[str, str, int], None] | None = None

    def __post_init__(self) -> None:
        """Empty tables, and the fields every account is born with."""
        self.leads: Table[Lead] = Table("created_at", "updated_at")
        self.contacts: Table[Contact] = Table("updated_at")
        self.companies: Table[Company] = Table("updated_at")
        self.customers: Table[Customer] = Table("updated_at")
        self.tasks: Table[Task] = Table("created_at", "complete_till")
        self.found: dict[str, tuple[int, list[int]]] = {}
        self.lead_ids_of: defaultdict[tuple[Kind, int], dict[int, None]] = defaultdict(dict)
        self.contact_ids_of: defaultdict[int, dict[int, None]] = defaultdict(dict)
        self.task_ids_of: defaultdict[tuple[Kind, int], list[int]] = defaultdict(list)
        self.ids: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(1))
        self._field_ids = count(700_001)
        self.books: dict[str, FieldBook] = {kind: FieldBook(kind, self._field_ids) for kind in KINDS}
        self._define_fields()

    def now(self) -> int:
        """Unix seconds."""
        return int(self.clock.now().timestamp())

    def table(self, kind: Kind) -> Table[Card]:
        """The cards of one entity type."""
        tables = {
            "leads": self.leads,
            "contacts": self.contacts,
            "companies": self.companies,
            "customers": self.customers,
        }
        return cast("Table[Card]", tables[kind])

    def card(self, kind: Kind, card_id: int) -> Card | None:
        """A card that is not deleted."""
        return self.table(kind).listed(card_id)

    def token_is_admin(self) -> bool:
        """Whether the token may see users and change fields."""
        user = self.users.get(self.token_user_id)
        return user is not None and user.is_admin

    def can_own(self, user_id: object) -> bool:
        """Whether the user exists and works here."""
        user = self.users.get(user_id) if isinstance(user_id, int) else None
        return user is not None and user.is_active

    def catalog_book(self, catalog_id: int) -> FieldBook:
        """The fields of one list."""
        name = f"{CATALOG}/{catalog_id}"
        if name not in self.books:
            self.books[name] = FieldBook(CATALOG, self._field_ids)
        return self.books[name]

    def touch(self, kind: Kind, card: Card, *, by: int, at: int | None = None) -> None:
        """Set who changed a card and when."""
        card.updated_by = by
        self.table(kind).move(card, "updated_at", self.now() if at is None else at)

    def tell(
        self,
        event: str,
        kind: str,
        entity_id: int,
        by: int,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
    ) -> None:
        """Write an event into the history, with at most one value on each side."""
        self.history.add(
            event,
            (SINGULAR[kind], entity_id),
            by=by,
            at=self.now(),
            before=(before,) if before else (),
            after=(after,) if after else (),
        )
        if self.told is not None:
            self.told(event, SINGULAR[kind], entity_id)

    def tag(self, kind: Kind, name: str) -> Tag:
        """The tag of that name, made when there is none."""
        known = next((tag for tag in self.tags[kind].values() if tag.name == name), None)
        if known is None:
            known = Tag(next(self.ids["tags"]), name)
            self.tags[kind][known.id] = known
        return known

    def closest_task_at(self, kind: Kind, card_id: int) -> int | None:
        """The nearest deadline among a card's open tasks."""
        open_tasks = (self.tasks.rows[task_id] for task_id in self.task_ids_of.get((kind, card_id), ()))
        return min((task.complete_till for task in open_tasks if not task.is_completed), default=None)

    def forget_field(self, kind: Kind, field_id: int) -> None:
        """Remove a field and what cards hold in it."""
        book = self.books[kind]
        book.forget(book.fields[field_id])
        for card in self.table(kind).rows.values():
            card.values.pop(field_id, None)

    def forget_options(self, kind: Kind, field_id: int, gone: frozenset[int]) -> None:
        """Take options that are no more off the cards."""
        if not gone:
            return
        for card in self.table(kind).rows.values():
            left = tuple(one for one in card.values.get(field_id, ()) if one.enum_id not in gone)
            if left:
                card.values[field_id] = left
            else:
                card.values.pop(field_id, None)

    def _define_fields(self) -> None:
        phone, mail = ("WORK", "WORKDD", "MOB", "FAX", "HOME", "OTHER"), ("WORK", "PRIV", "OTHER")
        contacts, companies, leads = (self.books[kind] for kind in ("contacts", "companies", "leads"))
        contacts.define("Должность", "text", "POSITION")
        for book in (contacts, companies):
            book.define("Телефон", "multitext", "PHONE", phone)
            book.define("Email", "multitext", "EMAIL", mail)
        companies.define("Web", "url", "WEB")
        companies.define("Адрес", "textarea", "ADDRESS")
        leads.groups["statistic"] = FieldGroup("statistic", "Статистика", 2, is_predefined=True)
        for code in ("UTM_SOURCE", "UTM_MEDIUM", "UTM_CAMPAIGN", "UTM_TERM", "UTM_CONTENT"):
            leads.define(code.lower(), "tracking_data", code).group_id = "statistic"
