"""Installing, with each CRM's sandbox over HTTP."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from adapters.records import CRM
from connector.deadline import NEVER
from connector.jobs import connecting, definitions, loop, schedule, subscribing
from connector.store import hooks
from connector.store.jobs import SERVICE
from connector.store.tokens import to_grant
from tests.connector.factories import rows


def test_an_installed_portal_is_kept_with_its_grant_and_its_first_run_is_asked_for(stage):
    told = stage.install()
    assert told.status == 200, told.text
    portal = stage.kept()
    assert (portal.crm, portal.state) == (stage.crm.value, "active")
    grant = to_grant(stage.service.vault.open(portal.access))
    assert grant is not None
    assert grant.account_id == portal.account_id
    assert "portal.installed" in stage.audit()
    assert rows(stage.database, "SELECT job FROM work WHERE asked_at IS NOT NULL") == ["run"]


def test_no_token_and_no_secret_is_stored_in_the_clear(stage):
    stage.install()
    portal = stage.kept()
    grant = to_grant(stage.service.vault.open(portal.access))
    secret = hooks.secret_of(portal, stage.service.vault)
    everything = "".join(rows(stage.database, "SELECT p::text FROM portals p"))
    everything += "".join(rows(stage.database, "SELECT detail::text FROM audit"))
    for hidden in (grant.access_token, grant.refresh_token, secret):
        assert not hidden or hidden not in everything


def test_an_installed_portal_can_be_worked_on(stage):
    stage.install()
    report = loop.run_portal(stage.service, stage.kept().name)
    assert report.written > 0
    assert report.refused == []


def test_fields_and_webhooks_are_set_up_after_the_answer(stage):
    stage.install()
    portal = stage.kept()
    assert portal.fields is not None
    on = subscribing.ON if stage.crm is not CRM.HUBSPOT else None
    assert portal.settings.get(subscribing.SETTING) == on


def test_setting_up_twice_changes_nothing(stage):
    stage.install()
    before = rows(stage.database, "SELECT fields FROM portals"), stage.audit()
    hooks_before = _hooks(stage)
    found = subscribing.set_up(stage.service, stage.kept().portal_id)
    assert found.fields > 0
    assert (rows(stage.database, "SELECT fields FROM portals"), stage.audit()) == before
    assert _hooks(stage) == hooks_before


def test_installing_twice_is_one_portal_with_its_history(stage):
    stage.install()
    first = stage.kept()
    loop.run_portal(stage.service, first.name)
    scored = rows(stage.database, "SELECT count(*) FROM scores")
    told = stage.install()
    assert told.status == 200, told.text
    assert stage.kept().portal_id == first.portal_id
    assert rows(stage.database, "SELECT count(*) FROM scores") == scored
    assert loop.run_portal(stage.service, first.name).written == 0


def test_hubspot_gets_a_challenge_and_the_verifier_stays_here(hubspot):
    told = hubspot.browser.get(f"{hubspot.url}/oauth/hubspot/start")
    asked = parse_qs(urlsplit(told.headers["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [f"{hubspot.url}/oauth/hubspot/callback"]
    cookie = told.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/oauth/hubspot" in cookie
    assert asked["state"][0] not in cookie


def test_a_person_who_refuses_is_told_so_and_nothing_is_kept(hubspot, amocrm):
    for stage in (hubspot, amocrm):
        stage.portal.oauth.refuses = True
        told = stage.install()
        assert told.status == 403
        assert "not granted" in told.text
        assert stage.is_empty()


def test_an_amocrm_marketplace_installation_is_answered_first_and_exchanged_afterwards(amocrm):
    host = urlsplit(amocrm.crm_url).netloc
    heard = amocrm.portal.oauth.install_widget(host)
    assert heard.status == 200
    assert rows(amocrm.database, "SELECT count(*) FROM portals") == [0]
    assert rows(amocrm.database, "SELECT count(*) FROM install_codes") == [1]
    amocrm.later.do()
    amocrm.set_up()
    assert amocrm.kept().state == "active"
    assert rows(amocrm.database, "SELECT count(*) FROM install_codes") == [0]
    assert amocrm.kept().settings[subscribing.SETTING] == subscribing.ON


def test_a_marketplace_installation_is_finished_by_a_worker_when_the_web_process_dies_after_its_answer(amocrm):
    assert amocrm.portal.oauth.install_widget(urlsplit(amocrm.crm_url).netloc).status == 200
    amocrm.later.waiting.clear()  # dead
    definitions.perform(amocrm.service, schedule.INSTALLS, SERVICE, NEVER)
    assert amocrm.kept().state == "active"
    assert rows(amocrm.database, "SELECT job FROM work WHERE asked_at IS NOT NULL ORDER BY 1") == ["run", "setup"]
    amocrm.set_up()
    definitions.perform(amocrm.service, schedule.RUN, amocrm.kept().portal_id, NEVER)
    assert amocrm.kept().first_run_at is not None


def test_the_daily_look_puts_back_webhooks_that_somebody_has_removed(amocrm):
    amocrm.install()
    before = _hooks(amocrm)
    amocrm.portal.account.hooks.clear()
    definitions.perform(amocrm.service, schedule.SETUP, amocrm.kept().portal_id, NEVER)
    assert _hooks(amocrm) == before


def test_a_bitrix24_page_ends_the_installation_by_a_script_of_ours_and_only_in_the_portals_frame(bitrix24):
    bitrix24.portal.oauth.install()
    told = bitrix24.open_page()
    assert told.status == 200, told.text
    assert "/install/static/finish.js" in told.text
    assert "https://api.bitrix24.com/api/v1/" in told.text
    assert f"frame-ancestors 'self' {bitrix24.crm_url}" in told.headers["Content-Security-Policy"]
    assert "X-Frame-Options" not in told.headers
    bitrix24.portal.oauth.finish()
    again = bitrix24.open_page()
    assert again.status == 200
    assert "finish.js" not in again.text


def test_an_ordinary_user_installs_nothing_and_sees_the_page_afterwards(bitrix24):
    oauth = bitrix24.portal.oauth
    oauth.install()
    user = bitrix24.portal.state.user_id
    oauth.ordinary = {user}
    assert bitrix24.open_page().status == 403
    assert bitrix24.is_empty()
    oauth.ordinary = set()
    assert bitrix24.install().status == 200
    oauth.ordinary = {user}
    before = bitrix24.kept().access
    assert bitrix24.open_page().status == 200
    assert bitrix24.kept().access == before


def test_an_install_event_is_as_good_as_the_page(bitrix24):
    oauth = bitrix24.portal.oauth
    oauth.install()
    heard = oauth.send_event(f"{bitrix24.url}/install/bitrix24", "ONAPPINSTALL")
    assert heard.status == 200, heard.body
    assert bitrix24.kept().account_id == oauth.member_id
    assert hooks.secret_of(bitrix24.kept(), bitrix24.service.vault) == oauth.application_token


def test_an_update_binds_again_what_the_portal_has_forgotten(bitrix24):
    bitrix24.install()
    oauth = bitrix24.portal.oauth
    assert bitrix24.portal.state.handlers
    bitrix24.portal.state.handlers.clear()
    heard = oauth.send_event(f"{bitrix24.url}/install/bitrix24", "ONAPPUPDATE")
    assert heard.status == 200
    bitrix24.set_up()
    assert ("ONAPPUNINSTALL", f"{bitrix24.url}/webhooks/bitrix24") in bitrix24.portal.state.handlers


def test_an_update_may_bring_a_new_token_if_its_access_is_confirmed(bitrix24):
    bitrix24.install()
    oauth = bitrix24.portal.oauth
    oauth.application_token = "a-new-one"
    assert oauth.send_event(f"{bitrix24.url}/install/bitrix24", "ONAPPUPDATE").status == 200
    assert hooks.secret_of(bitrix24.kept(), bitrix24.service.vault) == "a-new-one"


def test_a_webhook_portal_becomes_the_apps_with_its_history(bitrix24):
    url = bitrix24.portal.connect_url(bitrix24.crm_url)
    connecting.connect(bitrix24.service, CRM.BITRIX24, "ours", url=url, token="")
    loop.run_portal(bitrix24.service, "ours")
    assert bitrix24.install().status == 200
    portal = bitrix24.kept()
    assert (portal.name, portal.account_id) == ("ours", bitrix24.portal.oauth.member_id)
    assert loop.run_portal(bitrix24.service, "ours").written == 0


def test_the_address_for_amocrms_events_is_the_portals_own_and_stays(amocrm):
    amocrm.install()
    (first,) = _hooks(amocrm)
    assert first.startswith(f"{amocrm.url}/webhooks/amocrm/")
    amocrm.install()
    assert _hooks(amocrm) == [first]


def _hooks(stage) -> list:
    if stage.crm is CRM.AMOCRM:
        return sorted(hook.destination for hook in stage.portal.account.hooks.values())
    return sorted(stage.portal.state.handlers) if stage.crm is CRM.BITRIX24 else []
