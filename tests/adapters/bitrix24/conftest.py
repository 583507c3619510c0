"""An emulated portal over real sockets, on one clock that only moves when somebody waits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pytest

from adapters.bitrix24.adapter import Bitrix24
from adapters.bitrix24.auth import access_from_input
from adapters.budget import LocalStates
from adapters.contract import Choice, FieldMap, FieldSpec, FieldType
from adapters.hosts import HostPolicy
from adapters.transport import Transport
from sandbox.bitrix24 import Portal, create_portal
from sandbox.clock import ManualClock
from sandbox.faults import Faults
from sandbox.random_shop import random_shop
from sandbox.server import serve

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)

SPECS = (
    FieldSpec("r", FieldType.INTEGER, "RFM: days since last order"),
    FieldSpec("f", FieldType.INTEGER, "RFM: orders"),
    FieldSpec("m", FieldType.DECIMAL, "RFM: sum"),
    FieldSpec("code", FieldType.TEXT, "RFM: code"),
    FieldSpec("segment", FieldType.CHOICE, "RFM: segment", (Choice("vip", "VIP"), Choice("at_risk", "At risk"))),
    FieldSpec("segment_previous", FieldType.TEXT, "RFM: segment before"),
    FieldSpec("updated_at", FieldType.TIME, "RFM: changed"),
    FieldSpec("method", FieldType.TEXT, "RFM: method"),
    FieldSpec("quality", FieldType.INTEGER, "RFM: data quality"),
    FieldSpec("churn_risk", FieldType.FLAG, "RFM: may leave"),
    FieldSpec("upsell", FieldType.FLAG, "RFM: may buy more"),
    FieldSpec("hint", FieldType.LONG_TEXT, "RFM: hint"),
)


@dataclass
class Bench:
    portal: Portal
    adapter: Bitrix24
    clock: ManualClock
    transport: Transport
    url: str

    def another(self) -> Bitrix24:
        """A second process: nothing remembered."""
        return Bitrix24(access_from_input(self.url), self.transport, LocalStates(lambda: self.clock.now().timestamp()))

    def provisioned(self) -> FieldMap:
        return self.adapter.ensure_fields(SPECS, None)


def open_bench(portal: Portal, clock: ManualClock, server_url: str) -> Bench:
    hosts = HostPolicy(frozenset({server_url.removeprefix("http://")}))
    transport = Transport(hosts, sleep=clock.advance, clock=clock.monotonic, patience=7200.0)
    url = portal.connect_url(server_url)
    adapter = Bitrix24(access_from_input(url), transport, LocalStates(lambda: clock.now().timestamp()))
    return Bench(portal, adapter, clock, transport, url)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def faults(clock: ManualClock) -> Faults:
    return Faults({}, seed=7, sleep=clock.advance)


@pytest.fixture
def bench(clock: ManualClock, faults: Faults) -> Iterator[Bench]:
    """300 customers, 700 deals with lines, documented limits."""
    shop = random_shop(11, 300, 700, date(2026, 11, 24), lines=True)
    portal = create_portal(shop, clock=clock, faults=faults)
    with serve(portal.app) as server:
        opened = open_bench(portal, clock, server.url)
        yield opened
        opened.transport.close()
