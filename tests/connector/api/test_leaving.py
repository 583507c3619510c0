"""The app is removed: what stops, what stays, what is erased, and what is believed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from adapters.errors import Interrupted, TokenExpired, Unavailable
from adapters.records import CRM
from connector.errors import PortalPaused, WrongUse
from connector.jobs import connecting, leaving, loop, subscribing
from connector.store.locks import portal_lock
from connector.store.models import Base
from connector.wiring import utc_now
from tests.connector.api.bench import ask
from tests.connector.factories import rows


def uninstall(stage, *, clean=False):
    """As a person in the CRM does it; what we answered."""
    oauth = stage.portal.oauth
    if stage.crm is CRM.BITRIX24:
        return oauth.uninstall(f"{stage.url}/install/bitrix24", clean=clean)
    return oauth.uninstall(f"{stage.url}/uninstall/amocrm")


@pytest.fixture(params=["amocrm", "bitrix24"])
def told(request):
    """The CRMs that tell when the app is removed, with the app installed."""
    stage = request.getfixturevalue(request.param)
    stage.install()
    return stage


def test_a_removed_app_stops_forgets_its_tokens_and_schedules_the_erasure(told):
    assert uninstall(told).status == 200
    portal = told.kept()
    assert (portal.state, portal.access) == ("disconnected", None)
    due = datetime.fromisoformat(portal.settings["erase_at"])
    assert timedelta(days=29) < due - utc_now() <= leaving.KEPT_FOR
    assert "portal.uninstalled" in told.audit()
    with pytest.raises(WrongUse, match="disconnected"):
        loop.run_portal(told.service, portal.name)


def test_a_removal_told_twice_is_one(told):
    uninstall(told)
    before = told.kept().settings["erase_at"]
    if told.crm is CRM.BITRIX24:
        assert uninstall(told).status == 403
    else:
        assert uninstall(told).status == 200
    assert told.kept().settings["erase_at"] == before
    assert told.audit().count("portal.uninstalled") == 1


def test_coming_back_finds_the_history_and_calls_off_the_erasure(told):
    name = told.kept().name
    loop.run_portal(told.service, name)
    uninstall(told)
    told.install()
    portal = told.kept()
    assert (portal.name, portal.state) == (name, "active")
    assert "erase_at" not in portal.settings
    assert leaving.erase_due(told.database, utc_now() + timedelta(days=400))
    assert loop.run_portal(told.service, name).written == 0
    assert "portal.reinstalled" in told.audit()


def test_data_of_who_does_not_come_back_is_erased_when_its_time_has_come(told):
    loop.run_portal(told.service, told.kept().name)
    uninstall(told)
    leaving.erase_due(told.database, utc_now() + timedelta(days=29))
    assert told.kept().state == "disconnected"
    leaving.erase_due(told.database, utc_now() + timedelta(days=31))
    assert not _left(told)


def test_bitrix24_may_ask_to_erase_everything_at_once(bitrix24):
    bitrix24.install()
    loop.run_portal(bitrix24.service, bitrix24.kept().name)
    assert uninstall(bitrix24, clean=True).status == 200
    assert not _left(bitrix24)


def test_erasing_waits_for_whoever_works_on_the_portal(bitrix24):
    bitrix24.install()
    with portal_lock(bitrix24.database, bitrix24.kept().portal_id):
        assert uninstall(bitrix24, clean=True).status == 200
        assert bitrix24.kept().state == "disconnected"
    leaving.erase_due(bitrix24.database, utc_now())
    assert not _left(bitrix24)


def test_a_removal_is_heard_at_the_address_for_events_too(bitrix24):
    bitrix24.install()
    heard = bitrix24.portal.oauth.uninstall(f"{bitrix24.url}/webhooks/bitrix24")
    assert heard.status == 200
    assert bitrix24.kept().state == "disconnected"


def test_amocrms_hook_is_not_believed_while_the_account_lets_us_in(amocrm):
    amocrm.install()
    signed = amocrm.portal.oauth.signed()
    query = "&".join(f"{name}={value}" for name, value in signed.items())
    told = ask("GET", f"{amocrm.url}/uninstall/amocrm?{query}")
    assert told.status == 200
    assert amocrm.kept().state == "active"
    assert amocrm.audit()[-1] == "portal.uninstall_not_confirmed"


def test_amocrms_hook_is_no_matter_of_a_portal_with_a_pasted_token(amocrm):
    portal = amocrm.portal
    connecting.connect(amocrm.service, CRM.AMOCRM, "p", url=amocrm.crm_url, token=portal.token)
    assert uninstall(amocrm).status == 200
    assert amocrm.kept().state == "active"


def test_amocrms_hook_is_put_off_while_the_account_cannot_be_asked(amocrm, monkeypatch):
    amocrm.install()
    query = "&".join(f"{name}={value}" for name, value in amocrm.portal.oauth.signed().items())
    monkeypatch.setattr(leaving, "is_shut_out", _away)
    told = ask("GET", f"{amocrm.url}/uninstall/amocrm?{query}")
    assert (told.status, told.headers["Retry-After"]) == (503, "10")
    assert amocrm.kept().state == "active"


def _away(*_words):
    raise Interrupted("no answer")


@pytest.mark.parametrize("change", [{"signature": "0" * 64}, {"account_id": "1"}, {"client_uuid": "other"}])
def test_a_forged_removal_of_amocrm_is_refused(amocrm, change):
    amocrm.install()
    amocrm.grants.revoke_all()
    signed = {**amocrm.portal.oauth.signed(), **change}
    told = ask("GET", f"{amocrm.url}/uninstall/amocrm?" + "&".join(f"{k}={v}" for k, v in signed.items()))
    assert told.status == 403
    assert amocrm.kept().state == "active"


@pytest.mark.parametrize("change", [{"auth[application_token]": "x"}, {"auth[member_id]": "x"}])
def test_a_forged_removal_of_bitrix24_is_refused(bitrix24, change):
    bitrix24.install()
    form = {**bitrix24.portal.oauth.uninstall_form(clean=True), **change}
    for path in ("/install/bitrix24", "/webhooks/bitrix24"):
        assert bitrix24.post(path, form).status == 403
    assert bitrix24.kept().state == "active"


def test_a_revoked_grant_pauses_the_portal_once_with_the_reason_and_a_return_wakes_it(stage):
    stage.install()
    name = stage.kept().name
    stage.grants.revoke_all()
    with pytest.raises(TokenExpired):
        loop.run_portal(stage.service, name)
    portal = stage.kept()
    assert portal.state == "paused"
    assert portal.state_reason
    asked = stage.portal.requests
    for _ in range(3):
        with pytest.raises(PortalPaused):
            loop.run_portal(stage.service, name)
    assert stage.portal.requests == asked
    assert stage.audit().count("portal.paused") == 1
    assert stage.install().status == 200
    assert stage.kept().state == "active"
    assert loop.run_portal(stage.service, name).written > 0


def test_disconnecting_removes_our_app_where_an_app_may_do_so(stage):
    stage.install()
    found = connecting.disconnect(stage.service, stage.kept().name, purge=False)
    assert found["revoked"] is (stage.crm is CRM.HUBSPOT)
    assert stage.kept().access is None


def test_disconnecting_ends_the_webhooks_where_the_crm_lets_us(stage):
    stage.install()
    connecting.disconnect(stage.service, stage.kept().name, purge=False)
    if stage.crm is CRM.AMOCRM:
        assert stage.portal.account.hooks == {}
    if stage.crm is CRM.BITRIX24:
        assert stage.portal.state.handlers == []


def test_a_crm_that_is_away_does_not_keep_anybody_from_disconnecting(stage, monkeypatch):
    def away(*_words):
        raise Unavailable("away")

    stage.install()
    monkeypatch.setattr(subscribing, "unsubscribe", away)
    connecting.disconnect(stage.service, stage.kept().name, purge=False)
    assert stage.kept().state == "disconnected"


def _left(stage):
    """Tables that still have something of any portal."""
    found = {}
    for table in Base.metadata.tables.values():
        if "portal_id" in table.c:
            count = rows(stage.database, f"SELECT count(*) FROM {table.name} WHERE portal_id > 0")
            found[table.name] = count[0]
    return {name: count for name, count in found.items() if count}
