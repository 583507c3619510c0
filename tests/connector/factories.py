"""Portals, cards and orders for tests of the connector: say only what matters to the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import text

from adapters.records import Customer, CustomerKind, CustomerRef, Manager, Order, OrderSource, OrderStatus
from connector import wiring
from connector.config import Config
from connector.jobs import connecting
from connector.secrets import Vault
from connector.store import mirror
from connector.store.database import Database
from connector.store.models import Base, Portal
from tests.fakes.memory import MemoryCRM

TOKEN = "token-that-nobody-may-see-0123456789"
KEY = "an encryption key for tests only"
COMPANY, CONTACT = CustomerKind.COMPANY, CustomerKind.CONTACT
DEALS, ORDERS, IMPORT = OrderSource.DEALS, OrderSource.ORDERS, OrderSource.IMPORT


def at(words: str) -> datetime:
    """`2026-03-01 10:00`, in UTC."""
    return datetime.fromisoformat(words).replace(tzinfo=UTC)


def company(external_id: str, **more: Any) -> Customer:
    """A firm's card."""
    return Customer(CustomerRef(COMPANY, external_id), **more)


def contact(external_id: str, **more: Any) -> Customer:
    """A person's card."""
    return Customer(CustomerRef(CONTACT, external_id), **more)


def order(external_id: str, **more: Any) -> Order:
    """A won deal of contact 1 for 10 roubles at noon of 2026-03-01, unless said otherwise."""
    words: dict[str, Any] = {
        "source": DEALS,
        "external_id": external_id,
        "status": OrderStatus.WON,
        "at": at("2026-03-01 12:00"),
        "amount": Decimal(10),
        "currency": "RUB",
        "contact_id": None if "company_id" in more else "1",
    }
    return Order(**{**words, **more})


def keep_portal(database: Database, name: str = "p", **more: Any) -> Portal:
    """A stored portal in Moscow that counts roubles."""
    words: dict[str, Any] = {
        "crm": "hubspot",
        "name": name,
        "account_id": f"account of {name}",
        "host": "api.hubapi.com",
        "time_zone": "Europe/Moscow",
        "currency": "RUB",
        "language": "en",
        "settings": {},
        "rates": {"RUB": "1"},
    }
    with database.session() as session:
        portal = Portal(**{**words, **more})
        session.add(portal)
    return portal


def put_orders(database: Database, portal: Portal, *orders: Order, source: OrderSource = DEALS) -> mirror.Stored:
    """Store a page of orders."""
    with database.session() as session:
        return mirror.store_orders(session, session.get_one(Portal, portal.portal_id), source, orders)


def put_customers(database: Database, portal: Portal, *cards: Customer) -> mirror.Stored:
    """Store a page of cards of one kind."""
    with database.session() as session:
        return mirror.store_customers(session, portal.portal_id, cards[0].ref.kind, cards)


def rows(database: Database, sql: str, **keys: Any) -> list[Any]:
    """What a query finds: plain values for one column, tuples for several."""
    with database.session() as session:
        found = [tuple(row) for row in session.execute(text(sql), keys)]
    return [row[0] for row in found] if found and len(found[0]) == 1 else found


def execute(database: Database, sql: str, **keys: Any) -> None:
    """Change something behind the code's back."""
    with database.session() as session:
        session.execute(text(sql), keys)


def dump(database: Database, *without: str) -> dict[str, list[str]]:
    """Every row of every table as text, but for some tables."""
    found = {}
    with database.session() as session:
        for name in Base.metadata.tables:
            if name not in without:
                lines = session.execute(text(f"SELECT t::text FROM {name} t")).scalars()
                found[name] = sorted(lines)
    return found


def config_for(database: Database, tmp_path: Path) -> Config:
    """Settings of a service on a test's database."""
    return Config(database_url=database.url, encryption_keys=(KEY,), var_dir=tmp_path)


def plug(monkeypatch: Any, crm: MemoryCRM) -> None:
    """Whatever portal is opened, it is this one; its calls are counted by the transport that was opened for it."""

    def open_portal(access: Any, transport: Any, states: Any) -> MemoryCRM:
        crm.counters = transport.counters
        crm.presented = access.tokens.current() if access.tokens else None
        return crm

    monkeypatch.setattr(wiring, "open_portal", open_portal)


@contextmanager
def connected(monkeypatch: Any, database: Database, tmp_path: Path, crm: MemoryCRM) -> Iterator[wiring.Service]:
    """A service that has this portal connected under the name p."""
    plug(monkeypatch, crm)
    service = wiring.Service(config_for(database, tmp_path), database, Vault((KEY,)))
    connecting.connect(service, MemoryCRM.crm, "p", url="https://api.hubapi.com", token=TOKEN)
    yield service


def stock(crm: MemoryCRM, customers: int = 12, *, last: datetime | None = None) -> None:
    """Contact n has n orders, a day apart, of n roubles each; the newest of all, at `last`, is the last contact's."""
    newest = last or datetime.now(UTC) - timedelta(seconds=5)
    crm.staff = [Manager("1", "Anna"), Manager("2", "Boris")]
    number = 0
    for n in range(1, customers + 1):
        crm.add_customer(CONTACT, str(n), manager_id="1" if n % 2 else "2")
        for k in range(n):
            number += 1
            moment = newest - timedelta(days=k + 10 * (customers - n))
            crm.add_order(order(str(number), contact_id=str(n), amount=Decimal(n), at=moment, currency="RUB"))
