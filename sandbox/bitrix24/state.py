"""Everything one portal knows, and the changes that go through more than one table.

Callers hold the portal's lock. Moments come in as whole seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from decimal import Decimal
from itertools import count
from typing import Any

from sandbox.bitrix24 import objects
from sandbox.bitrix24.fields import Field, Fields
from sandbox.bitrix24.rows import (
    Activity,
    Card,
    Company,
    Contact,
    Deal,
    Department,
    ProductRow,
    Row,
    SaleOrder,
    StageMove,
    Task,
    User,
    UserField,
)
from sandbox.bitrix24.table import Table

DEAL, CONTACT, COMPANY = 2, 3, 4
ENTITY_WORDS = {DEAL: "deal", CONTACT: "contact", COMPANY: "company"}


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a funnel. `semantic` is P, S or F."""

    status_id: str
    name: str
    sort: int
    semantic: str


@dataclass(frozen=True, slots=True)
class Funnel:
    """A pipeline of deals; 0 is the default one."""

    id: int
    name: str
    stages: tuple[Stage, ...]

    @property
    def first(self) -> Stage:
        """Where a deal begins."""
        return self.stages[0]

    def stage(self, semantic: str) -> Stage:
        """The first stage of that meaning."""
        return next(stage for stage in self.stages if stage.semantic == semantic)


@dataclass(frozen=True, slots=True)
class Currency:
    """`amount` of the base currency buys `count` units."""

    code: str
    amount: Decimal
    count: int = 1


def funnel(number: int, name: str) -> Funnel:
    """A funnel with the stages a new portal has; those of other funnels are prefixed."""
    prefix = f"C{number}:" if number else ""
    rows = (("NEW", "New", "P"), ("EXECUTING", "In progress", "P"), ("WON", "Won", "S"), ("LOSE", "Lost", "F"))
    return Funnel(
        number,
        name,
        tuple(Stage(prefix + code, title, 10 * (at + 1), kind) for at, (code, title, kind) in enumerate(rows)),
    )


def _deal_links(row: Deal) -> Iterable[tuple[str, int]]:
    if row.company_id:
        yield "companyId", row.company_id
    for contact in row.contact_ids:
        yield "contactIds", contact


def _contact_links(row: Contact) -> Iterable[tuple[str, int]]:
    return [("companyId", row.company_id)] if row.company_id else ()


def _owner_link(row: Any) -> Iterable[tuple[str, int]]:
    return (("ownerId", row.owner_id),)


@dataclass
class State:
    """The tables. `scopes` and `admin` are what the webhook and its user may do.

    `handlers`, `robots` and `placements` are what the app has registered; `waiting_robots` are the tokens of calls
    that wait for an answer.
    """

    zone: tzinfo
    user_id: int
    scopes: set[str]
    admin: bool = True
    base_currency: str = "RUB"
    currencies: list[Currency] = field(default_factory=list)
    funnels: dict[int, Funnel] = field(default_factory=lambda: {0: funnel(0, "General")})
    user_fields: dict[str, dict[int, UserField]] = field(
        default_factory=lambda: {"CRM_DEAL": {}, "CRM_CONTACT": {}, "CRM_COMPANY": {}}
    )
    layouts: dict[tuple[int, str, int], Any] = field(default_factory=dict)
    comments: list[dict[str, Any]] = field(default_factory=list)
    log_messages: list[dict[str, Any]] = field(default_factory=list)
    handlers: list[tuple[str, str]] = field(default_factory=list)
    robots: dict[str, dict[str, Any]] = field(default_factory=dict)
    waiting_robots: set[str] = field(default_factory=set)
    robot_answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    placements: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    told: Callable[[str, int], None] | None = None

    def __post_init__(self) -> None:
        """Empty tables."""
        zone = self.zone
        self.deals: Table[Deal] = Table(Fields(objects.deal_fields(), zone), _deal_links)
        self.contacts: Table[Contact] = Table(Fields(objects.contact_fields(), zone), _contact_links)
        self.companies: Table[Company] = Table(Fields(objects.company_fields(), zone))
        self.activities: Table[Activity] = Table(Fields(objects.activity_fields(), zone), _owner_link)
        self.tasks: Table[Task] = Table(Fields(objects.task_fields(), zone))
        self.moves: Table[StageMove] = Table(Fields(objects.move_fields(), zone), _owner_link)
        self.product_rows: Table[ProductRow] = Table(Fields(objects.product_row_fields(), zone), _owner_link)
        self.orders: Table[SaleOrder] = Table(Fields(objects.order_fields(), zone))
        self.users: dict[int, User] = {}
        self.departments: dict[int, Department] = {}
        self.field_ids = count(101)
        self.element_ids = count(41)

    def forget_app(self) -> None:
        """An app that is updated or removed loses all that it has registered."""
        self.handlers.clear()
        self.robots.clear()
        self.placements.clear()

    def table(self, entity_type: int) -> Table[Any] | None:
        """Deals, contacts or companies; nothing else has items here."""
        tables: dict[int, Table[Any]] = {DEAL: self.deals, CONTACT: self.contacts, COMPANY: self.companies}
        return tables.get(entity_type)

    def card(self, entity_type: int, row_id: int) -> Card | None:
        """The deal, contact or company, if it exists."""
        table = self.table(entity_type)
        return table.rows.get(row_id) if table is not None else None

    def write_card(self, entity_type: int, row: Card, values: Mapping[Field, Any], now: int, user: int) -> bool:
        """Save a card; a deal whose stage or funnel changes gets its history line. False when nothing differs."""
        table = self.table(entity_type)
        if table is None or not table.write(row, values, now):
            return False
        row.updated_by = user
        row.last_activity = max(row.last_activity, now)
        written = {item.camel for item in values}
        if isinstance(row, Deal) and written & {"stageId", "categoryId"}:
            self._settle_stage(row, now, user)
        self._tell(entity_type, row.id, "MOVETOCATEGORY" if "categoryId" in written else "UPDATE")
        return True

    def _tell(self, entity_type: int, row_id: int, verb: str) -> None:
        """Moving a deal to another funnel raises no update beside it."""
        if self.told is not None:
            self.told(f"ONCRM{ENTITY_WORDS[entity_type].upper()}{verb}", row_id)

    def _settle_stage(self, deal: Deal, now: int, user: int) -> None:
        """Bring stage, funnel and meaning together after one of them was set."""
        stages = self.funnels[deal.category_id].stages
        stage = next((one for one in stages if one.status_id == deal.stage_id), stages[0])
        last = max(self.moves.by_link.get(("ownerId", deal.id), ()), default=None)
        before = self.moves.rows[last] if last is not None else None
        if before is not None and (before.stage_id, before.category_id) == (stage.status_id, deal.category_id):
            return
        deal.stage_id, deal.semantic = stage.status_id, stage.semantic
        deal.moved, deal.moved_by = now, user
        new_funnel = before is not None and before.category_id != deal.category_id
        self.note_move(deal, 5 if new_funnel else 2 if stage.semantic == "P" else 3, now)

    def note_move(self, deal: Deal, kind: int, now: int) -> None:
        """Add a line to the stage history."""
        self.moves.add(
            StageMove(
                id=self.moves.next_id(),
                created=now,
                updated=now,
                kind=kind,
                owner_id=deal.id,
                category_id=deal.category_id,
                semantic=deal.semantic,
                stage_id=deal.stage_id,
            )
        )

    def add_card(self, entity_type: int, row: Card, now: int) -> None:
        """Take in a new card."""
        table = self.table(entity_type)
        if table is None:
            raise KeyError(entity_type)
        row.created = row.updated = row.last_activity = now
        table.add(row)
        if isinstance(row, Deal):
            row.moved = now
            self.note_move(row, 1, now)
        self._tell(entity_type, row.id, "ADD")

    def delete_card(self, entity_type: int, row: Card) -> None:
        """Remove a card with what hangs on it; links to it become empty without touching their owners' change time."""
        table = self.table(entity_type)
        if table is None:
            raise KeyError(entity_type)
        table.remove(row)
        if entity_type == DEAL:
            self._drop_owned(self.moves, row.id)
            self._drop_owned(self.product_rows, row.id)
        for activity in self._owned(self.activities, row.id):
            if activity.owner_type_id == entity_type:
                self.activities.remove(activity)
        self._unlink(entity_type, row.id)
        self._tell(entity_type, row.id, "DELETE")

    def _owned(self, table: Table[Any], owner_id: int) -> list[Any]:
        return [table.rows[one] for one in table.by_link.get(("ownerId", owner_id), ())]

    def _drop_owned(self, table: Table[Any], owner_id: int) -> None:
        for row in self._owned(table, owner_id):
            table.remove(row)

    def _unlink(self, entity_type: int, gone: int) -> None:
        if entity_type == CONTACT:
            self.relink_deals(("contactIds", gone), lambda deal: _without(deal, gone))
        elif entity_type == COMPANY:
            self.relink_deals(("companyId", gone), lambda _deal: {"company_id": None})
            self._employ(gone, None)

    def _employ(self, company: int, new: int | None) -> None:
        """Give the people of one company to another, or to none."""
        people = self.contacts.by_link.pop(("companyId", company), set())
        for one in people:
            self.contacts.rows[one].company_id = new
        if new is not None:
            self.contacts.by_link["companyId", new] |= people

    def relink_deals(self, link: tuple[str, int], change: Any, now: int | None = None) -> None:
        """Set other links on the deals that `link` finds; with `now` the deals count as changed."""
        for deal_id in list(self.deals.by_link.get(link, ())):
            deal = self.deals.rows[deal_id]
            for old in _deal_links(deal):
                self.deals.by_link[old].discard(deal_id)
            for name, value in change(deal).items():
                setattr(deal, name, value)
            for new in _deal_links(deal):
                self.deals.by_link[new].add(deal_id)
            if now is not None:
                self.deals.touch(deal, now)

    def merge(self, entity_type: int, winner: Row, losers: Iterable[Row], now: int) -> None:
        """The losers disappear, their deals and to-dos go to the winner, which counts as changed."""
        for loser in losers:
            self._hand_over(entity_type, winner.id, loser.id, now)
            card = self.card(entity_type, loser.id)
            if card is not None:
                self.delete_card(entity_type, card)
        table = self.table(entity_type)
        if table is not None:
            table.touch(winner, now)
        self._tell(entity_type, winner.id, "UPDATE")

    def _hand_over(self, entity_type: int, winner: int, loser: int, now: int) -> None:
        if entity_type == COMPANY:
            self.relink_deals(("companyId", loser), lambda _deal: {"company_id": winner}, now)
            self._employ(loser, winner)
        else:
            self.relink_deals(("contactIds", loser), lambda deal: _instead(deal, loser, winner), now)
        for activity in self._owned(self.activities, loser):
            if activity.owner_type_id == entity_type:
                self.activities.remove(activity)
                activity.owner_id = winner
                self.activities.add(activity)
        for activity in self.activities.rows.values():
            if (entity_type, loser) in activity.bound:
                moved = ((entity_type, winner) if one == (entity_type, loser) else one for one in activity.bound)
                activity.bound = tuple(dict.fromkeys(moved))


def _without(deal: Deal, gone: int) -> dict[str, Any]:
    return {"contact_ids": tuple(one for one in deal.contact_ids if one != gone)}


def _instead(deal: Deal, gone: int, new: int) -> dict[str, Any]:
    return {"contact_ids": tuple(dict.fromkeys(new if one == gone else one for one in deal.contact_ids))}
