"""Every CRM, and the one in memory, keeps the promises of `adapters.contract`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.errors import Unsupported
from tests.contract.stands import NAMES, OVER_HTTP, stand
from tests.contract.suite import ReadingSuite, WireSuite, WritingSuite
from tests.contract.work import ContactSuite, ContactWireSuite, TaskWorkSuite
from tests.fakes.memory import SMALL, MemoryCRM

ADAPTERS = Path(__file__).parents[2] / "adapters"


@pytest.fixture(scope="module", params=NAMES)
def read_only(request):
    size = {"customers": 6500, "deals": 2700} if request.param == "bitrix24" else {}  # its pages have 2500 rows
    with stand(request.param, **size) as opened:
        yield opened


class TestReading(ReadingSuite):
    @pytest.fixture
    def crm(self, read_only):
        return read_only


class TestWriting(WritingSuite):
    @pytest.fixture(params=NAMES)
    def crm(self, request):
        with stand(request.param, customers=90, deals=40) as opened:
            yield opened


class TestTaskWork(TaskWorkSuite):
    @pytest.fixture(params=NAMES)
    def crm(self, request):
        with stand(request.param, customers=30, deals=20) as opened:
            yield opened


class TestContacts(ContactSuite):
    @pytest.fixture(params=NAMES)
    def crm(self, request):
        with stand(request.param, customers=30, deals=20) as opened:
            yield opened


class TestContactWire(ContactWireSuite):
    @pytest.fixture(params=OVER_HTTP)
    def crm(self, request):
        with stand(request.param, customers=20, deals=12) as opened:
            yield opened


def test_contacts_are_unsupported_where_the_capabilities_say_so():
    crm = MemoryCRM(can=replace(SMALL, contacts=False))
    with pytest.raises(Unsupported):
        list(crm.contacts(None))


class TestWire(WireSuite):
    @pytest.fixture(params=OVER_HTTP)
    def crm(self, request):
        with stand(request.param, customers=20, deals=12) as opened:
            yield opened


def test_8_no_adapter_waits_by_itself():
    waiting = [
        str(path.relative_to(ADAPTERS))
        for path in ADAPTERS.rglob("*.py")
        if "sleep(" in path.read_text() and path.name != "transport.py"
    ]
    assert waiting == []
