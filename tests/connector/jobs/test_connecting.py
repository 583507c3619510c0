"""Connecting, connecting again and leaving: nothing half kept, and no secret in sight."""

from __future__ import annotations

import pytest

from adapters.contract import PortalInfo
from adapters.errors import Interrupted, TokenExpired
from adapters.records import CRM
from connector.errors import WrongUse
from connector.jobs import connecting
from connector.secrets import Vault
from connector.store.models import Portal
from connector.wiring import Service
from tests.connector.factories import (
    KEY,
    TOKEN,
    config_for,
    connected,
    dump,
    execute,
    keep_portal,
    order,
    plug,
    put_orders,
    rows,
)
from tests.fakes.memory import MemoryCRM

URL = "https://api.hubapi.com"


@pytest.fixture
def crm():
    return MemoryCRM(info=PortalInfo("acc-1", "Memory", "UTC+03:00", "RUB", "https://crm.example"))


@pytest.fixture
def service(monkeypatch, database, tmp_path, crm):
    plug(monkeypatch, crm)
    return Service(config_for(database, tmp_path), database, Vault((KEY,)))


def connect(service, name="p", *, crm=CRM.HUBSPOT, url=URL, token=TOKEN, **more):
    return connecting.connect(service, crm, name, url=url, token=token, **more)


def test_a_portal_is_kept_with_what_the_account_says(database, service):
    found = connect(service)
    assert (found["portal"], found["crm"], found["account"], found["host"]) == (
        "p",
        "hubspot",
        "acc-1",
        "api.hubapi.com",
    )
    assert (found["time_zone"], found["currency"], found["language"]) == ("UTC+03:00", "RUB", "en")
    assert (found["state"], found["method"], found["last_sync"]) == ("active", None, None)
    assert rows(database, "SELECT action FROM audit") == ["portal.connected"]


def test_the_token_is_kept_encrypted_and_shown_nowhere(database, service):
    found = connect(service, token=f"  {TOKEN}\n")
    assert TOKEN not in repr(found)
    assert TOKEN not in repr(dump(database))
    sealed = rows(database, "SELECT access FROM portals")[0]
    assert TOKEN.encode() not in sealed
    assert service.vault.open(sealed) == {"url": URL, "token": TOKEN}


@pytest.mark.parametrize("error", [TokenExpired("refused"), Interrupted("no answer")])
def test_what_the_crm_refuses_leaves_no_portal_behind(database, service, crm, error):
    crm.fail("portal", error)
    before = dump(database)
    with pytest.raises(type(error)):
        connect(service)
    assert dump(database) == before


@pytest.mark.parametrize(
    "words",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "x" * 65},
        {"name": "a/b"},
        {"token": " "},
        {"token": "two words"},
        {"url": "not a url"},
        {"url": "https://evil.example"},
        {"url": "http://api.hubapi.com"},
        {"url": "https://user:pass@api.hubapi.com"},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "UTC+3"},
        {"crm": CRM.BITRIX24, "url": "https://p.bitrix24.ru/"},
        {"crm": CRM.AMOCRM, "url": "https://amocrm.example"},
    ],
)
def test_words_that_make_no_sense_are_refused_before_anything_is_asked(database, service, crm, words):
    before = dump(database)
    with pytest.raises(WrongUse) as caught:
        connect(service, **words)
    assert TOKEN not in str(caught.value)
    assert (dump(database), crm.calls.total()) == (before, 0)


def test_a_zone_that_only_python_knows_is_refused(database, service, crm):
    crm.info = PortalInfo("acc-1", "Memory", "UTC+99:00", "RUB", "https://crm.example")
    with pytest.raises(WrongUse, match="--time-zone"):
        connect(service)
    assert rows(database, "SELECT count(*) FROM portals") == [0]


def test_connecting_the_same_account_again_renews_the_token_and_wakes_the_portal(database, service):
    connect(service)
    execute(database, "UPDATE portals SET state = 'paused', state_reason = 'expired', method = 'sales5@1'")
    found = connect(service, token="another-token-0987654321")
    assert (found["state"], found["state_reason"], found["method"]) == ("active", None, "sales5@1")
    assert service.vault.open(rows(database, "SELECT access FROM portals")[0])["token"] == "another-token-0987654321"
    assert rows(database, "SELECT count(*) FROM portals") == [1]


def test_one_account_has_one_name_and_one_name_one_account(database, service, crm):
    connect(service)
    with pytest.raises(WrongUse, match="connected already, as p"):
        connect(service, "q")
    crm.info = PortalInfo("acc-2", "Other", "UTC", "RUB", "https://crm.example")
    with pytest.raises(WrongUse, match="taken"):
        connect(service)
    with pytest.raises(WrongUse, match="taken"):
        connect(service, crm=CRM.AMOCRM, url="https://a.amocrm.ru")
    assert connect(service, "q")["account"] == "acc-2"


def test_a_zone_of_ones_own_wins_and_moves_the_days_of_orders_already_there(database, service):
    connect(service)
    put_orders(database, _portal(database), order("1"))
    first = rows(database, "SELECT day FROM orders")[0]
    found = connect(service, time_zone="Pacific/Kiritimati")
    assert found["time_zone"] == "Pacific/Kiritimati"
    assert rows(database, "SELECT day FROM orders") == [first + 1]
    assert connect(service)["time_zone"] == "Pacific/Kiritimati"


def test_an_account_that_moved_to_another_zone_moves_the_days_when_it_is_connected_again(database, service, crm):
    connect(service)
    put_orders(database, _portal(database), order("1"))
    first = rows(database, "SELECT day FROM orders")[0]
    crm.info = PortalInfo("acc-1", "Memory", "Pacific/Kiritimati", "RUB", "https://crm.example")
    connect(service)
    assert rows(database, "SELECT day FROM orders") == [first + 1]


@pytest.mark.parametrize(("crm_", "language"), [(CRM.HUBSPOT, "en"), (CRM.AMOCRM, "ru"), (CRM.BITRIX24, "ru")])
def test_the_language_is_the_crms_usual_one_unless_said(service, crm_, language):
    url = {CRM.HUBSPOT: URL, CRM.AMOCRM: "https://a.amocrm.ru", CRM.BITRIX24: "https://p.bitrix24.ru/rest/1/abc0abc/"}[
        crm_
    ]
    assert connect(service, crm=crm_, url=url)["language"] == language
    assert connect(service, crm=crm_, url=url, language="en")["language"] == "en"
    assert connect(service, crm=crm_, url=url)["language"] == "en"


def test_a_disconnected_portal_keeps_its_data_and_not_its_token(database, service):
    connect(service)
    assert connecting.disconnect(service, "p", purge=False)["state"] == "disconnected"
    assert rows(database, "SELECT state, access FROM portals") == [("disconnected", None)]
    with pytest.raises(WrongUse, match="connect it again"):
        service.access_of(_portal(database))
    assert connect(service)["state"] == "active"


def test_a_purge_erases_everything_of_the_portal(monkeypatch, database, tmp_path, crm):
    other = keep_portal(database, "other")
    put_orders(database, other, order("1"))
    kept = dump(database)
    with connected(monkeypatch, database, tmp_path, crm) as service:
        put_orders(database, _portal(database), order("1"), order("2"))
        assert connecting.disconnect(service, "p", purge=True)["state"] == "erased"
    assert dump(database) == kept


def test_a_purge_after_a_disconnect_works_without_the_token(database, service):
    connect(service)
    connecting.disconnect(service, "p", purge=False)
    connecting.disconnect(service, "p", purge=True)
    assert rows(database, "SELECT count(*) FROM portals") == [0]


def _portal(database):
    with database.session() as session:
        return session.query(Portal).filter_by(name="p").one()
