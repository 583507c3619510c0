"""Two shops, tokens for one of them or for both, and a client that shows a token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from connector.api.v1 import callers
from connector.api.v1.callers import Throttle
from connector.app import create_app
from connector.config import Config
from connector.secrets import vault_of
from connector.store import alerts, api_tokens, portals
from connector.store.alerts import Alarm
from connector.store.database import Database
from connector.store.models import (
    ChangeRow,
    CustomerRow,
    HistoryRow,
    LetterRow,
    OrderRow,
    RequestRow,
    TeamRow,
)
from connector.wiring import Service
from tests.connector.factories import KEY
from tests.connector.web import shop
from tests.connector.web.shop import NOW

SCOPES = api_tokens.SCOPES
TODAY = 20_781
"""2026-11-24 as a day since 1970."""


class Caller:
    """Asks as a script does."""

    def __init__(self, app: Flask, token: str) -> None:
        self._client = app.test_client()
        self.token = token

    def __call__(self, method: str, path: str, **more: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return self._client.open(f"/api/v1{path}", method=method, headers=headers, **more)

    def get(self, path: str, query: Mapping[str, Any] | None = None, **more: Any) -> TestResponse:
        return self("GET", path, query_string=query, **more)

    def post(self, path: str, body: Any = None) -> TestResponse:
        return self("POST", path, json=body) if body is not None else self("POST", path)


@pytest.fixture
def app(database: Database, tmp_path: Path) -> Iterator[Flask]:
    config = Config(database_url=database.url, var_dir=tmp_path, encryption_keys=(KEY,))
    made = create_app(config, clock=lambda: NOW)
    yield made
    made.extensions["pages"].database().close()


@pytest.fixture
def unhurried(app: Flask) -> None:
    """No limit to how often a token asks."""
    mine = callers.Api(
        **{name: getattr(app.extensions["api_v1"], name) for name in ("service", "description")},
        throttle=Throttle(1e9, 10**9),
    )
    callers.keep(app.extensions, mine)


@pytest.fixture
def service(database: Database, tmp_path: Path) -> Service:
    config = Config(database_url=database.url, var_dir=tmp_path, encryption_keys=(KEY,))
    return Service(config, database, vault_of(config), now=lambda: NOW)


@pytest.fixture
def shops(database: Database) -> tuple[int, int]:
    """Portals `north` and `south`, each with everything that the API shows."""
    with database.session() as session:
        found = [add_shop(session, name) for name in ("north", "south")]
    return found[0], found[1]


def add_shop(session: Any, name: str, customers: int = 12) -> int:
    """A portal with scores, orders, runs, what waits, alerts and staff."""
    portal = shop.whole_shop(session, name, customers=customers)
    portal_id, portal.next_number = portal.portal_id, customers
    session.add(TeamRow(portal_id=portal_id, external_id="3", name="North", lead_id="7", parent_id=None))
    for number in range(customers):
        row = session.get(CustomerRow, (portal_id, number))
        row.manager_id, row.card = ("7" if number % 2 else "8"), {"segment": "vip", "m": "1"}
        for at in range(2):
            session.add(
                OrderRow(
                    portal_id=portal_id,
                    source="deals",
                    external_id=f"{number}-{at}",
                    status="won",
                    at=NOW - timedelta(days=number + 200 * at),
                    amount=Decimal(100),
                    currency="USD",
                    contact_id=str(number),
                    customer=number,
                    day=TODAY - number - 200 * at,
                    units=100_000_000,
                    weight=0,
                )
            )
        session.add(
            HistoryRow(
                portal_id=portal_id,
                customer=number,
                day=TODAY - 60,
                last_day=TODAY - 80,
                f=1,
                m=Decimal(50),
                code="111",
                segment="sleeping",
                method="sales5@1",
                churn_risk=False,
                upsell=False,
            )
        )
    session.add(
        ChangeRow(
            portal_id=portal_id,
            run_id="r1",
            customer=1,
            values={"segment": "vip"},
            before={"segment": "loyal"},
            state="written",
            settled_at=NOW,
        )
    )
    shop.add_refusal(session, portal, 2, "the option does not exist")
    session.add(
        LetterRow(
            portal_id=portal_id,
            customer=2,
            state="refused",
            field="segment",
            reason="no such option",
            run_id="r1",
            first_at=NOW,
            last_at=NOW,
            times=1,
        )
    )
    hour = NOW.replace(minute=0)
    for operation in ("read", "write"):
        session.add(RequestRow(portal_id=portal_id, hour=hour, operation=operation, status="2xx", count=4, ms=400))
    alerts.raise_one(session, Alarm(portal_id, "refused", "", {"refused": 1, "of": 2}), NOW)
    portals.note(session, portal_id, "cli:anna", "settings.changed", {"daily_budget": [10, 12]})
    return portal_id


@pytest.fixture
def token_for(database: Database) -> Callable[..., str]:
    """Makes a token of a portal, or with 0 of all."""

    def make(portal_id: int, scopes: Sequence[str] = SCOPES, **more: Any) -> str:
        with database.session() as session:
            words = {"expires_at": None, "now": NOW, **more}
            return api_tokens.issue(session, portal_id, "tests", scopes, **words).secret

    return make


@pytest.fixture
def north(app: Flask, shops: tuple[int, int], token_for: Callable[..., str], unhurried: None) -> Caller:
    """May do everything on `north`."""
    return Caller(app, token_for(shops[0]))


@pytest.fixture
def everything(app: Flask, shops: tuple[int, int], token_for: Callable[..., str], unhurried: None) -> Caller:
    """May do everything everywhere."""
    return Caller(app, token_for(api_tokens.SERVICE))
