"""Calls an emulated portal without sockets, as a client would: one request value in, one answer value out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import orjson

from sandbox.bitrix24 import Portal, create_portal
from sandbox.clock import ManualClock
from sandbox.random_shop import random_shop
from sandbox.shop import Company, Contact, Deal, Line, Manager, Product, Shop, Team

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


def send(portal: Portal, path: str, *, verb="POST", body=b"", media="", query="", host="portal.example") -> Reply:
    head: list[Any] = []
    environ = {
        "REQUEST_METHOD": verb,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_TYPE": media,
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": host,
        "wsgi.input": BytesIO(body),
    }
    chunks = portal.app(environ, lambda status, headers: head.extend((status, dict(headers))))
    return Reply(int(head[0].split()[0]), head[1], b"".join(chunks))


def ask(portal: Portal, method: str, **params: Any) -> Reply:
    """A JSON call through the webhook."""
    body = orjson.dumps(params)
    return send(portal, portal.webhook_path + method, body=body, media="application/json")


def result(portal: Portal, method: str, **params: Any) -> Any:
    """The result of a call that must succeed."""
    reply = ask(portal, method, **params)
    assert reply.status == 200, reply.json
    return reply.json["result"]


def error(portal: Portal, method: str, **params: Any) -> tuple[int, Any]:
    """Status and code of a call that must be refused."""
    reply = ask(portal, method, **params)
    return reply.status, reply.json["error"]


def batch(portal: Portal, commands: dict[str, str], halt: int = 0) -> dict[str, Any]:
    return result(portal, "batch", halt=halt, cmd=commands)


def small_shop() -> Shop:
    """One firm, two people, four deals: won, open, lost, won by a person."""
    opened = datetime(2025, 1, 10, 8, 0, tzinfo=UTC)

    def deal(number, status, amount, company, contacts, closed, lines=()):
        return Deal(
            number, f"Deal {number}", status, amount, "USD", company, contacts, contacts[-1] if contacts else None,
            1, opened, closed, lines,
        )  # fmt: skip

    return Shop(
        timezone="Europe/Moscow",
        currency="USD",
        teams=(Team(1, "North", 2),),
        managers=(
            Manager(1, "Anna", "Adler", "anna@shop.example", 1),
            Manager(2, "Boris", "Berg", "boris@shop.example", 1),
            Manager(3, "Chen", "Castro", "chen@shop.example", None, active=False),
        ),
        products=(Product(7, "Tea", "T-7", Decimal(10)),),
        companies=(Company(1, "Firm", 1, opened, phone="+7 495 000-00-01"),),
        contacts=(
            Contact(1, "Dana", "Dvorak", "dana@mail.example", 2, opened, company_id=1),
            Contact(2, "Emil", "Eriksen", None, None, opened, phone="+7 495 000-00-02"),
        ),
        deals=(
            deal(1, "won", Decimal("100.50"), 1, (1, 2), datetime(2026, 2, 1, 21, 30, tzinfo=UTC),
                 (Line(7, Decimal(3), Decimal(10), Decimal(6)),)),
            deal(2, "open", None, None, (1,), None),
            deal(3, "lost", Decimal(70), 1, (), datetime(2026, 2, 3, 10, 0, tzinfo=UTC)),
            deal(5, "won", Decimal(30), None, (2,), datetime(2026, 2, 10, 10, 0, tzinfo=UTC)),
        ),
        rates={"EUR": Decimal("1.0850"), "GBP": Decimal("1.25"), "BRL": None},
    )  # fmt: skip


def portal(shop: Shop | None = None, clock: ManualClock | None = None, **options: Any) -> Portal:
    return create_portal(shop or small_shop(), clock=clock or ManualClock(NOW), **options)


def big_portal(customers: int = 200, deals: int = 600, *, clock: ManualClock | None = None, **options: Any) -> Portal:
    shop = random_shop(7, customers, deals, date(2026, 3, 1), lines=True)
    return create_portal(shop, clock=clock or ManualClock(NOW), limits=False, **options)


def add_enum(target: Portal, word: str, *xml_ids: str) -> dict[str, int]:
    """A segment field; XML_ID → element id."""
    rows = [{"VALUE": one.title(), "XML_ID": one} for one in xml_ids]
    fields = {"FIELD_NAME": "RFM_SEGMENT", "USER_TYPE_ID": "enumeration", "LIST": rows}
    number = result(target, f"crm.{word}.userfield.add", fields=fields)
    found = result(target, f"crm.{word}.userfield.get", id=number)
    return {row["XML_ID"]: int(row["ID"]) for row in found["LIST"]}
