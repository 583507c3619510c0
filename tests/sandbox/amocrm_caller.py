"""A small shop in an amoCRM portal, and a caller that needs no socket."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode

from sandbox.amocrm import Portal, create_portal
from sandbox.clock import ManualClock
from sandbox.shop import Company, Contact, Deal, Line, Manager, Product, Shop, Team
from sandbox.web import Answer, Request

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
OPENED = NOW - timedelta(days=400)


def deal(number: int, status="won", **other) -> Deal:
    facts = {
        "id": number,
        "name": f"Deal {number}",
        "status": status,
        "amount": Decimal("1500.50"),
        "currency": "RUB",
        "company_id": None,
        "contact_ids": (),
        "main_contact_id": None,
        "manager_id": 1,
        "created_at": OPENED + timedelta(days=number),
        "closed_at": None if status == "open" else OPENED + timedelta(days=number, hours=5),
    }
    return Deal(**(facts | other))


SHOP = Shop(
    timezone="Europe/Moscow",
    currency="RUB",
    teams=(Team(3, "North", 1),),
    managers=(
        Manager(1, "Anna", "Adler", "anna@shop.example", 3),
        Manager(2, "Boris", "Berg", "boris@shop.example", 3),
        Manager(9, "Chen", "Castro", "chen@shop.example", None, active=False),
    ),
    products=(Product(5, "Tea", "TEA-1", Decimal("12.50")), Product(6, "Cup", "CUP-1", Decimal(3))),
    companies=(Company(101, "Firm", 2, OPENED, "+70000000001", "Norway"), Company(102, "Other", None, OPENED)),
    contacts=(
        Contact(101, "Dana", "Dvorak", "dana@mail.example", 1, OPENED, 101, "+70000000002"),
        Contact(102, "Emil", "Eriksen", None, 1, OPENED),
        Contact(103, "Emil", "Eriksen", None, 1, OPENED),
    ),
    deals=(
        deal(
            1,
            company_id=101,
            contact_ids=(102, 101),
            main_contact_id=101,
            lines=(
                Line(5, Decimal("1.5"), Decimal(12)),
                Line(6, Decimal(2), Decimal(3)),
                Line(5, Decimal(1), Decimal(12)),
            ),
        ),
        deal(2, "lost", contact_ids=(102,), main_contact_id=102),
        deal(3, "open", amount=None, contact_ids=(103,), main_contact_id=103),
        deal(10, contact_ids=(102,), main_contact_id=102),
    ),
)


@dataclass
class Caller:
    """Sends calls straight into the portal."""

    portal: Portal
    clock: ManualClock

    def send(self, method, path, body=None, query=None, **headers) -> Answer:
        given = {"host": "sandbox.amocrm.ru", "authorization": f"Bearer {self.portal.token}"} | headers
        content = b"" if body is None else json.dumps(body).encode()
        pairs = query if isinstance(query, str) else urlencode(query or {})
        return self.portal.handle(Request(method, f"/api/v4/{path}", pairs, given, content))

    def get(self, path, **query):
        answer = self.send("GET", path, query={name.replace("with_", "with"): value for name, value in query.items()})
        return None if answer.status == 204 else self.read(answer)

    def ask(self, path, query=""):
        """GET with a query in words, such as `filter[id][]=1&filter[id][]=2`."""
        answer = self.send("GET", path, query=query)
        return None if answer.status == 204 else self.read(answer)

    def write(self, method, path, body):
        return self.read(self.send(method, path, body))

    @staticmethod
    def read(answer: Answer):
        assert answer.status < 300, (answer.status, answer.body)
        return json.loads(answer.body) if answer.body else None

    def problem(self, method, path, body=None, query=None):
        """A refusal as its JSON."""
        answer = self.send(method, path, body, query)
        assert answer.status >= 400, answer.body
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        return json.loads(answer.body)

    def flaws(self, method, path, body):
        """Validation errors as {(request_id, code, path)}."""
        problem = self.problem(method, path, body)
        assert problem["status"] == 400
        return {
            (item["request_id"], flaw["code"], flaw["path"])
            for item in problem["validation-errors"]
            for flaw in item["errors"]
        }

    def ids(self, path, query="", name=None):
        page = self.ask(path, query)
        return [] if page is None else [row["id"] for row in page["_embedded"][name or path.rsplit("/", 1)[-1]]]


def caller(shop: Shop = SHOP, *, limits=False, **options) -> Caller:
    clock = ManualClock(NOW)
    return Caller(create_portal(shop, clock=clock, limits=limits, **options), clock)


SEGMENT_FIELD = {
    "name": "RFM segment",
    "type": "select",
    "code": "RFM_SEGMENT",
    "is_api_only": True,
    "enums": [{"value": "VIP", "code": "vip", "sort": 1}, {"value": "Loyal", "code": "loyal", "sort": 2}],
}


def add_fields(call: Caller, kind="contacts") -> dict[str, int]:
    """One field of every type that the connector writes; ids by code."""
    wanted = [
        {"name": "R", "type": "numeric", "code": "RFM_R", "is_api_only": True},
        {"name": "Code", "type": "text", "code": "RFM_CODE"},
        {"name": "Hint", "type": "textarea", "code": "RFM_HINT"},
        {"name": "Updated", "type": "date_time", "code": "RFM_UPDATED_AT"},
        {"name": "Risk", "type": "checkbox", "code": "RFM_CHURN_RISK"},
        SEGMENT_FIELD,
    ]
    made = call.write("POST", f"{kind}/custom_fields", wanted)["_embedded"]["custom_fields"]
    return {field["code"]: field["id"] for field in made}


def value(code, given):
    """One field of a card's PATCH."""
    return {
        "field_code": code,
        "values": None if given is None else [given if isinstance(given, dict) else {"value": given}],
    }
