"""An emulated Bitrix24 portal with an inbound webhook: the application to serve, and what people do inside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal
from wsgiref.types import WSGIApplication

from sandbox.bitrix24.calls import Call
from sandbox.bitrix24.cards import Bitrix24Cards
from sandbox.bitrix24.errors import RestError
from sandbox.bitrix24.fields import Field
from sandbox.bitrix24.letters import Letters
from sandbox.bitrix24.methods.items import read_value
from sandbox.bitrix24.oauth import Bitrix24OAuth
from sandbox.bitrix24.rows import Activity, Card, Company, Contact, Deal, Payment, SaleOrder, Task
from sandbox.bitrix24.service import MaskedLog, Service
from sandbox.bitrix24.staff import Bitrix24Staff
from sandbox.bitrix24.state import COMPANY, CONTACT, DEAL, State
from sandbox.bitrix24.values import Kind
from sandbox.cards.site import with_cards
from sandbox.deliveries import Postman
from sandbox.faults import Faults
from sandbox.limits import Limits
from sandbox.web import RequestLog, as_wsgi

CardKind = Literal["contact", "company", "deal"]
_TYPES: Mapping[str, int] = {"contact": CONTACT, "company": COMPANY, "deal": DEAL}


class Portal:
    """One portal. Methods named after people's deeds count as changes by user `BY_HAND`, not by the webhook."""

    crm = "bitrix24"
    BY_HAND = 999

    def __init__(self, service: Service) -> None:
        self._service = service
        self._log = MaskedLog(service.secret)
        self.postman = Postman()
        service.state.told = Letters(service.state, service.oauth, self.postman).tell
        api = as_wsgi(service.handle, self._log, service.clock)
        self._app = with_cards(api, Bitrix24Cards(self, service.lock, service.clock.now))

    @property
    def app(self) -> WSGIApplication:
        """Give it to `sandbox.server.serve`."""
        return self._app

    @property
    def token(self) -> str:
        """The secret of the webhook."""
        return self._service.secret

    @property
    def webhook_path(self) -> str:
        """`/rest/{user}/{secret}/`."""
        return f"/rest/{self.state.user_id}/{self.token}/"

    def connect_url(self, server_url: str) -> str:
        """The webhook's address for a portal served at `server_url`."""
        return server_url.rstrip("/") + self.webhook_path

    @property
    def requests(self) -> int:
        """HTTP requests so far, refused ones included; a batch is one."""
        return self._log.count

    @property
    def exceeded(self) -> int:
        """Requests and commands refused by the bucket or by the operating time."""
        return self._service.limits.exceeded

    @property
    def calls(self) -> Counter[str]:
        """Methods executed, those inside batches too."""
        return self._service.calls

    @property
    def limits(self) -> Limits:
        """`bucket` and `operating`."""
        return self._service.limits

    @property
    def faults(self) -> Faults:
        """What goes wrong here."""
        return self._service.faults

    @property
    def log(self) -> RequestLog:
        """The requests received, the secret starred."""
        return self._log

    @property
    def oauth(self) -> Bitrix24OAuth:
        """The app that can be installed here, beside the webhook."""
        return self._service.oauth

    @property
    def double_refreshes(self) -> int:
        """Refresh tokens that were used again after their death."""
        return self.oauth.grants.double_refreshes

    @property
    def state(self) -> State:
        """Everything the portal knows. To be looked at; change it through the methods."""
        return self._service.state

    # --- looking -------------------------------------------------------------------------------------------

    def card(self, kind: CardKind, card_id: int) -> dict[str, Any]:
        """The custom values that stand on a card, by `UF_CRM_…` name; empty ones are left out.

        An enumeration is its option's XML_ID, a moment an aware datetime, a decimal exact.
        """
        with self._service.lock:
            row = self._card(kind, card_id)
            fields = self._table(kind).fields
            shown = {one.upper: _seen(one, one.get(row)) for one in fields if one.custom is not None}
            return {name: value for name, value in shown.items() if value is not None}

    def cards(self, kind: CardKind) -> dict[int, dict[str, Any]]:
        """The same for every card of that kind."""
        return {card_id: self.card(kind, card_id) for card_id in list(self._table(kind).ids)}

    def changed_at(self, kind: CardKind, card_id: int) -> datetime:
        """The moment of a card's last change."""
        return datetime.fromtimestamp(self._card(kind, card_id).updated, UTC)

    def todos(self, kind: CardKind | None = None, card_id: int | None = None) -> list[Activity]:
        """To-dos by id: all, of one kind of card, or of one card."""
        with self._service.lock:
            return [
                row
                for row in self.state.activities.rows.values()
                if row.provider_id == "CRM_TODO"
                and (kind is None or row.owner_type_id == _TYPES[kind])
                and card_id in (None, row.owner_id)
            ]

    def tasks(self) -> list[Task]:
        """Tasks by id."""
        with self._service.lock:
            return list(self.state.tasks.rows.values())

    # --- what people do ------------------------------------------------------------------------------------

    def edit_card(self, kind: CardKind, card_id: int, values: Mapping[str, Any]) -> None:
        """Save fields, standard or custom by their UPPER names, as a person would; XML_IDs stand for options."""
        with self._service.lock:
            row, fields = self._card(kind, card_id), self._table(kind).fields
            call = self._call()
            given = {fields.by_upper[name]: value for name, value in values.items()}
            stored = {one: read_value(call, one, _option(one, value)) for one, value in given.items()}
            self.state.write_card(_TYPES[kind], row, stored, call.now, self.BY_HAND)

    def delete(self, kind: CardKind, card_id: int) -> None:
        """Remove a card for good."""
        with self._service.lock:
            self.state.delete_card(_TYPES[kind], self._card(kind, card_id))

    def delete_deal(self, deal_id: int) -> None:
        """Remove a deal for good."""
        self.delete("deal", deal_id)

    def reopen_deal(self, deal_id: int) -> None:
        """Take a closed deal back to the first stage of its funnel."""
        self._stage(deal_id, "P")

    def win_deal(self, deal_id: int) -> None:
        """Move a deal to the won stage of its funnel."""
        self._stage(deal_id, "S")

    def lose_deal(self, deal_id: int) -> None:
        """Move a deal to the lost stage of its funnel."""
        self._stage(deal_id, "F")

    def _stage(self, deal_id: int, semantic: str) -> None:
        deal = self.state.deals.rows[deal_id]
        self.edit_card("deal", deal_id, {"STAGE_ID": self.state.funnels[deal.category_id].stage(semantic).status_id})

    def move_deal_to_funnel(self, deal_id: int, funnel_id: int) -> None:
        """Move a deal to the stage of the same meaning in another funnel."""
        semantic = self.state.deals.rows[deal_id].semantic
        stage = self.state.funnels[funnel_id].stage(semantic)
        self.edit_card("deal", deal_id, {"CATEGORY_ID": funnel_id, "STAGE_ID": stage.status_id})

    def move_deal(self, deal_id: int, *, company_id: int | None, contact_ids: tuple[int, ...]) -> None:
        """Give a deal to another customer; the first contact is the primary one."""
        self.edit_card("deal", deal_id, {"COMPANY_ID": company_id, "CONTACT_IDS": list(contact_ids)})

    def add_deal(self, *, amount: Decimal | None, won: bool, **values: Any) -> int:
        """A new deal; other values by the attributes of `rows.Deal`. Returns its id."""
        with self._service.lock:
            deal = Deal(
                id=self.state.deals.next_id(),
                opportunity=amount,
                **{"currency_id": self.state.base_currency, "created_by": self.BY_HAND, **values},
            )
            self.state.add_card(DEAL, deal, self._call().now)
        if won:
            self.win_deal(deal.id)
        return deal.id

    def add_contact(self, name: str, **values: Any) -> int:
        """A new contact; other values by the attributes of `rows.Contact`. Returns its id."""
        return self._add(CONTACT, Contact(id=self.state.contacts.next_id(), name=name, **values))

    def add_company(self, title: str, **values: Any) -> int:
        """A new company; `is_my_company=True` makes it one of the portal's own. Returns its id."""
        return self._add(COMPANY, Company(id=self.state.companies.next_id(), title=title, **values))

    def _add(self, entity_type: int, card: Card) -> int:
        with self._service.lock:
            self.state.add_card(entity_type, card, self._call().now)
        return card.id

    def merge_contacts(self, winner: int, *losers: int) -> None:
        """Merge contacts: the losers disappear, their deals go to the winner."""
        self._merge("contact", winner, losers)

    def merge_companies(self, winner: int, *losers: int) -> None:
        """Merge companies in the same way."""
        self._merge("company", winner, losers)

    def _merge(self, kind: CardKind, winner: int, losers: tuple[int, ...]) -> None:
        with self._service.lock:
            cards = [self._card(kind, one) for one in losers]
            self.state.merge(_TYPES[kind], self._card(kind, winner), cards, self._call().now)

    @property
    def staff(self) -> Bitrix24Staff:
        """What people do with to-dos and customers; see `sandbox.staff`."""
        return Bitrix24Staff(self.state, self._service.lock, self._service.clock.now)

    def finish_todo(self, activity_id: int) -> None:
        """Tick off a to-do."""
        with self._service.lock:
            table = self.state.activities
            table.write(table.rows[activity_id], {table.fields.by_old["COMPLETED"]: True}, self._call().now)

    def finish_task(self, task_id: int) -> None:
        """Complete a task."""
        with self._service.lock:
            table = self.state.tasks
            table.write(table.rows[task_id], {table.fields.by_old["STATUS"]: 5}, self._call().now)

    def deactivate_user(self, user_id: int) -> None:
        """Dismiss an employee; cards and deals keep naming him."""
        with self._service.lock:
            self.state.users[user_id].active = False

    def add_order(self, price: Decimal, **values: Any) -> int:
        """An order of the online store, paid now unless `payments` says else. Returns its id."""
        with self._service.lock:
            now, table = self._call().now, self.state.orders
            usual = {"currency": self.state.base_currency, "payed": True, "created": now, "updated": now}
            paid = (Payment(sum=price, paid_at=now),)
            order = SaleOrder(id=table.next_id(), price=price, **{**usual, "payments": paid, **values})
            table.add(order)
            if self.state.told is not None:
                self.state.told("ONSALEORDERSAVED", order.id)
            return order.id

    # --- what administrators and the vendor do -------------------------------------------------------------

    def rename(self, new_url: str) -> None:
        """Move the portal to another address: calls to the old one are redirected with 302."""
        self._service.moved_to = new_url.rstrip("/")
        self.oauth.renamed(new_url)

    def block(self, code: str, status: int, description: str = "") -> None:
        """Answer every call with this refusal (`OVERLOAD_LIMIT` 503, `ACCESS_DENIED` 403…)."""
        self._service.block = RestError(code, description or code, status)

    def unblock(self) -> None:
        """Answer again."""
        self._service.block = None

    def grant(self, *scopes: str, admin: bool = True) -> None:
        """Set what the webhook may do, and whether its user is an administrator."""
        with self._service.lock:
            self.state.scopes = set(scopes)
            self.state.admin = admin

    # --- inside --------------------------------------------------------------------------------------------

    def _table(self, kind: CardKind) -> Any:
        return self.state.table(_TYPES[kind])

    def _card(self, kind: CardKind, card_id: int) -> Card:
        """Raises `KeyError` when there is none."""
        found: Card = self._table(kind).rows[card_id]
        return found

    def _call(self) -> Call:
        return Call(self.state, "", {}, int(self._service.clock.now().timestamp()))


def _seen(field: Field, value: Any) -> Any:
    if value is None or field.custom is None:
        return None
    if field.kind is Kind.DATETIME:
        return datetime.fromtimestamp(value, UTC)
    if field.kind is Kind.ENUM:
        return next((one.xml_id for one in field.custom.elements if one.id == value), None)
    return value


def _option(field: Field, value: Any) -> Any:
    if field.kind is not Kind.ENUM or field.custom is None or not isinstance(value, str):
        return value
    return next(one.id for one in field.custom.elements if one.xml_id == value)
