from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pytest

from adapters.amocrm.adapter import AmoCRM
from adapters.amocrm.auth import access_from_input
from adapters.budget import LocalStates
from adapters.contract import Choice, FieldSpec, FieldType
from adapters.hosts import HostPolicy
from adapters.records import CustomerKind
from adapters.transport import Transport
from sandbox.amocrm.portal import Portal, create_portal
from sandbox.clock import ManualClock
from sandbox.northwind import northwind_shop
from sandbox.server import Server, serve

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
TODAY = date(2026, 11, 24)
SPECS = (
    FieldSpec("r", FieldType.INTEGER, "RFM: R"),
    FieldSpec("m", FieldType.DECIMAL, "RFM: M"),
    FieldSpec("code", FieldType.TEXT, "RFM: code"),
    FieldSpec("segment", FieldType.CHOICE, "RFM: segment", (Choice("vip", "VIP"), Choice("loyal", "Loyal"))),
    FieldSpec("updated_at", FieldType.TIME, "RFM: updated"),
    FieldSpec("churn_risk", FieldType.FLAG, "RFM: churn"),
    FieldSpec("hint", FieldType.LONG_TEXT, "RFM: hint"),
)


@dataclass
class Bench:
    """An emulated account, an adapter connected to it, and the one clock of both; waiting moves the clock."""

    portal: Portal
    adapter: AmoCRM
    transport: Transport
    clock: ManualClock
    servers: list[Server] = field(default_factory=list)

    def cost(self, action) -> tuple[Any, int]:
        before = self.portal.requests
        result = action()
        return result, self.portal.requests - before

    def ids(self, kind: CustomerKind) -> list[int]:
        return sorted(int(one.ref.external_id) for page in self.adapter.customers(kind, None) for one in page.records)


@pytest.fixture
def open_bench() -> Iterator[Any]:
    benches: list[Bench] = []

    def opened(shop=None, **options) -> Bench:
        clock = ManualClock(START)
        portal = create_portal(shop or northwind_shop(TODAY), clock=clock, **options)
        server = serve(portal.app)
        hosts = HostPolicy(frozenset({f"127.0.0.1:{server.port}"}))
        transport = Transport(hosts, sleep=clock.advance, clock=clock.monotonic)
        access = access_from_input(portal.token, portal.connect_url(server.url))
        adapter = AmoCRM(access, transport, LocalStates(clock.monotonic), now=clock.now)
        benches.append(Bench(portal, adapter, transport, clock, [server]))
        return benches[-1]

    yield opened
    for bench in benches:
        bench.transport.close()
        for server in bench.servers:
            server.stop()


@pytest.fixture
def bench(open_bench) -> Bench:
    return open_bench()
