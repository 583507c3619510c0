"""One portal of each CRM on the same shop, and the one in memory: what the suite runs over."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import import_module
from typing import Any, Protocol

from adapters.amocrm.adapter import AmoCRM
from adapters.bitrix24.adapter import Bitrix24
from adapters.budget import LocalStates
from adapters.contract import Adapter
from adapters.hosts import HostPolicy
from adapters.hubspot.adapter import HubSpot
from adapters.records import (
    CRM,
    ContactChannel,
    Contacted,
    CustomerKind,
    CustomerRef,
    Manager,
    Order,
    OrderLine,
    OrderSource,
    OrderStatus,
)
from adapters.registry import access_from_input
from adapters.transport import Transport
from sandbox.clock import ManualClock
from sandbox.faults import Faults
from sandbox.random_shop import random_shop
from sandbox.server import serve
from sandbox.shop import Deal, Shop
from sandbox.staff import Place, Staff
from tests.fakes.memory import MemoryCRM

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
TODAY = date(2026, 11, 22)
SECRET = "contract0suite0secret0token"
NAMES = ("memory", *(crm.value for crm in CRM), "amocrm with the filter option")
OVER_HTTP = NAMES[1:]


class Outside(Protocol):
    """What people do in a CRM while we are not looking."""

    def touch(self, kind: CustomerKind, external_id: int) -> None: ...

    def delete(self, kind: CustomerKind, external_id: int) -> None: ...

    def delete_deal(self, external_id: int) -> None: ...


@dataclass
class Traffic:
    """What goes over the wire. `tamper` changes every JSON answer; `largest` is the longest list of a request."""

    tamper: Callable[[Any], Any] | None = None
    largest: int = 0
    seen: list[str] = field(default_factory=list)

    def around(self, app: Any) -> Any:
        """The same application, watched."""

        def watched(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            body = environ["wsgi.input"].read()
            environ["wsgi.input"] = io.BytesIO(body)
            self.largest = max(self.largest, _items(body))
            held: list[Any] = []

            def hold(status: str, headers: list[tuple[str, str]], error: object = None) -> None:
                held[:] = [status, headers]

            answer = b"".join(app(environ, hold))
            status, headers = held
            if self.tamper is not None and answer[:1] in {b"{", b"["}:
                answer = json.dumps(self.tamper(json.loads(answer))).encode()
                headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
                headers.append(("Content-Length", str(len(answer))))
            start_response(status, headers)
            return [answer]

        return watched


@dataclass
class Stand:
    """A CRM under test."""

    name: str
    adapter: Adapter
    shop: Shop
    outside: Outside
    staff: Staff
    clock: ManualClock
    traffic: Traffic | None = None
    wrong: Callable[[], Adapter] | None = None
    """Opens the same portal with a token it does not know."""
    portal: Any = None
    """The emulated one, None in memory."""

    @property
    def faults(self) -> Faults:
        """What goes wrong in an emulated portal."""
        found: Faults = self.portal.faults
        return found

    def count_notes(self) -> int:
        """How many notes stand on all cards of an emulated portal."""
        if self.name == "amocrm":
            return len(self.portal.account.notes)
        return len(self.portal.state.comments) if self.name == "bitrix24" else len(self.portal.ids("notes"))

    def ids(self, kind: CustomerKind) -> list[str]:
        """The cards that the portal started with."""
        records = self.shop.contacts if kind is CustomerKind.CONTACT else self.shop.companies
        return [str(record.id) for record in records]

    def deals(self) -> list[str]:
        """The deals that the portal started with."""
        return [str(deal.id) for deal in self.shop.deals]


@contextmanager
def stand(name: str, *, customers: int = 800, deals: int = 620, seed: int = 5) -> Iterator[Stand]:
    """One of `NAMES` with a shop inside."""
    shop = random_shop(seed, customers, deals, TODAY, lines=True)
    past = tuple(deal for deal in shop.deals if deal.closed_at is None or deal.closed_at <= START)
    shop = replace(shop, deals=past)
    if name == "memory":
        crm = _loaded(shop)
        clock = ManualClock(START)
        yield Stand(name, crm, shop, _OutsideMemory(crm), _StaffMemory(crm, shop, clock), clock)
        return
    clock = ManualClock(START)
    name, *options = name.split()
    more = {"is_api_filter_enabled": True} if options else {}
    portal = import_module(f"sandbox.{name}").create_portal(
        shop, clock=clock, limits=False, faults=Faults({}, seed=3, sleep=clock.advance), token=SECRET, **more
    )
    traffic = Traffic()
    with serve(traffic.around(portal.app)) as server:
        hosts = HostPolicy(frozenset({"127.0.0.1"}))
        transport = Transport(hosts, sleep=clock.advance, clock=clock.monotonic)

        def opened(secret: str) -> Adapter:
            url = portal.connect_url(server.url).replace(SECRET, secret)
            access = access_from_input(CRM(name), url=url, token=secret)
            states = LocalStates(lambda: clock.now().timestamp())
            if name == "bitrix24":
                return Bitrix24(access, transport, states)
            return {"amocrm": AmoCRM, "hubspot": HubSpot}[name](access, transport, states, now=clock.now)

        try:
            yield Stand(
                name,
                opened(SECRET),
                shop,
                _OUTSIDE[name](portal),
                portal.staff,
                clock,
                traffic,
                lambda: opened(SECRET[:-6] + "000000"),
                portal,
            )
        finally:
            transport.close()


@dataclass
class _OutsideMemory:
    crm: MemoryCRM

    def touch(self, kind: CustomerKind, external_id: int) -> None:
        held = self.crm.cards[kind][str(external_id)].record
        self.crm.add_customer(kind, str(external_id), manager_id=held.manager_id, card=held.card)

    def delete(self, kind: CustomerKind, external_id: int) -> None:
        self.crm.delete_customer(self.crm.cards[kind][str(external_id)].record.ref)

    def delete_deal(self, external_id: int) -> None:
        self.crm.delete_order(OrderSource.DEALS, str(external_id))


@dataclass
class _StaffMemory:
    """See `sandbox.staff.Staff`."""

    crm: MemoryCRM
    shop: Shop
    clock: ManualClock

    def close_task(self, task_id: int, result: str = "") -> None:
        self.crm.close_task(str(task_id), result)

    def move_task(self, task_id: int, due: datetime) -> None:
        self.crm.edit_task(str(task_id), due_at=due)

    def give_task(self, task_id: int, manager_id: int) -> None:
        self.crm.edit_task(str(task_id), manager_id=str(manager_id))

    def delete_task(self, task_id: int) -> None:
        self.crm.delete_task(str(task_id))

    def call(self, kind: Place, card_id: int, seconds: int, *, inbound: bool = False) -> None:
        facts = {"inbound": inbound, "seconds": seconds, "completed": seconds > 0}
        self._add(ContactChannel.CALL, kind, card_id, facts)

    def message(self, kind: Place, card_id: int, *, inbound: bool = False) -> None:
        self._add(ContactChannel.MESSAGE, kind, card_id, {"inbound": inbound, "completed": True})

    def letter(self, kind: Place, card_id: int, *, inbound: bool = False) -> None:
        self._add(ContactChannel.LETTER, kind, card_id, {"inbound": inbound, "completed": True})

    def meet(self, kind: Place, card_id: int, *, held: bool = True) -> None:
        self._add(ContactChannel.MEETING, kind, card_id, {"completed": held})

    def _add(self, channel: ContactChannel, kind: Place, card_id: int, facts: dict[str, Any]) -> None:
        customer, manager_id = self._place(kind, card_id)
        number = str(len(self.crm.contacted) + 1)
        self.crm.add_contact(Contacted(number, channel, self.clock.now(), customer, manager_id, **facts))

    def _place(self, kind: Place, card_id: int) -> tuple[tuple[CustomerRef, ...], str | None]:
        if kind == "deal":
            deal = next(one for one in self.shop.deals if one.id == card_id)
            return (buyer_of(deal),), _text(deal.manager_id)
        ref = CustomerRef(CustomerKind(kind), str(card_id))
        return (ref,), self.crm.cards[ref.kind][ref.external_id].record.manager_id


def buyer_of(deal: Deal) -> CustomerRef:
    """Whose a deal is: its company's, else its main contact's."""
    if deal.company_id is not None:
        return CustomerRef(CustomerKind.COMPANY, str(deal.company_id))
    return CustomerRef(CustomerKind.CONTACT, str(deal.main_contact_id))


@dataclass
class _OutsideAmoCRM:
    portal: Any

    def touch(self, kind: CustomerKind, external_id: int) -> None:
        entity = "contacts" if kind is CustomerKind.CONTACT else "companies"
        self.portal.set_attributes(entity, external_id, name="Renamed")

    def delete(self, kind: CustomerKind, external_id: int) -> None:
        (self.portal.delete_contact if kind is CustomerKind.CONTACT else self.portal.delete_company)(external_id)

    def delete_deal(self, external_id: int) -> None:
        self.portal.delete_leads([external_id])


@dataclass
class _OutsideBitrix24:
    portal: Any

    def touch(self, kind: CustomerKind, external_id: int) -> None:
        name = "NAME" if kind is CustomerKind.CONTACT else "TITLE"
        self.portal.edit_card(kind.value, external_id, {name: "Renamed"})

    def delete(self, kind: CustomerKind, external_id: int) -> None:
        self.portal.delete(kind.value, external_id)

    def delete_deal(self, external_id: int) -> None:
        self.portal.delete_deal(external_id)


@dataclass
class _OutsideHubSpot:
    portal: Any

    def touch(self, kind: CustomerKind, external_id: int) -> None:
        if kind is CustomerKind.CONTACT:
            self.portal.edit("contacts", external_id, firstname="Renamed")
        else:
            self.portal.edit("companies", external_id, name="Renamed")

    def delete(self, kind: CustomerKind, external_id: int) -> None:
        self.portal.delete("contacts" if kind is CustomerKind.CONTACT else "companies", external_id)

    def delete_deal(self, external_id: int) -> None:
        self.portal.delete("deals", external_id)


_OUTSIDE: dict[str, Callable[[Any], Outside]] = {
    "amocrm": _OutsideAmoCRM,
    "bitrix24": _OutsideBitrix24,
    "hubspot": _OutsideHubSpot,
}


def _items(body: bytes) -> int:
    """How many records or commands a JSON request carries."""
    if body[:1] not in {b"{", b"["}:
        return 0
    content = json.loads(body)
    if isinstance(content, list):
        return len(content)
    lists = [content.get("inputs"), content.get("cmd"), content.get("records")]
    return max((len(one) for one in lists if isinstance(one, list | dict)), default=0)


def _loaded(shop: Shop) -> MemoryCRM:
    """The same shop in memory, with pages as long as the others'."""
    crm = MemoryCRM(page_size=50)
    crm.staff = [Manager(str(one.id), one.first_name, one.active) for one in shop.managers]
    for company in shop.companies:
        crm.add_customer(CustomerKind.COMPANY, str(company.id), manager_id=_text(company.manager_id))
    for contact in shop.contacts:
        crm.add_customer(CustomerKind.CONTACT, str(contact.id), manager_id=_text(contact.manager_id))
    for deal in shop.deals:
        crm.add_order(_order(deal))
    return crm


def _order(deal: Deal) -> Order:
    return Order(
        source=OrderSource.DEALS,
        external_id=str(deal.id),
        status=OrderStatus(deal.status),
        at=None if deal.status == "open" else deal.closed_at,
        amount=deal.amount,
        currency=deal.currency,
        company_id=_text(deal.company_id),
        contact_id=_text(deal.main_contact_id),
        created_at=deal.created_at,
        lines=tuple(OrderLine(str(line.product_id), None, line.quantity, Decimal(line.price)) for line in deal.lines),
    )


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)
