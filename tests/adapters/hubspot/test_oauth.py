from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from adapters.budget import LocalStates
from adapters.contract import PortalAccess
from adapters.errors import AccessLost, Interrupted, Malformed, RateLimited, ScopeMissing, TokenExpired, Unavailable
from adapters.hubspot.adapter import HubSpot
from adapters.hubspot.auth import (
    EARLY,
    OPTIONAL_SCOPES,
    SCOPES,
    authorize_url,
    exchange,
    oauth_app,
    refresh,
    revoke,
    uninstall,
)
from adapters.oauth import Courier, Grant, KeptTokens, OAuthApp, new_verifier
from adapters.records import CRM
from adapters.registry import installed_access
from adapters.transport import Answer
from sandbox.clock import ManualClock
from sandbox.faults import Faults
from sandbox.hubspot import HubSpotPortal, create_portal
from sandbox.northwind import northwind_shop
from sandbox.server import serve
from tests.adapters.keeper import MemoryKeeper
from tests.adapters.office import courier_to, follow, scripted

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
BACK = "https://rfm.example/oauth/hubspot/callback"


@dataclass
class Bench:
    portal: HubSpotPortal
    clock: ManualClock
    app: OAuthApp
    courier: Courier
    url: str

    def code(self, verifier: str = "") -> str:
        _, query = follow(authorize_url(self.app, "s", verifier=verifier))
        return query["code"]

    def install(self) -> Grant:
        return exchange(self.app, self.courier, self.code())

    def kept(self, grant: Grant) -> tuple[PortalAccess, MemoryKeeper]:
        keeper = MemoryKeeper(grant)
        return installed_access(CRM.HUBSPOT, self.app, self.courier, keeper, 3, grant), keeper

    def adapter(self, access: PortalAccess) -> HubSpot:
        return HubSpot(access, self.courier.transport, LocalStates(self.clock.monotonic))


@pytest.fixture
def bench() -> Iterator[Bench]:
    clock = ManualClock(NOW)
    portal = create_portal(northwind_shop(NOW.date()), clock=clock, faults=Faults.none(), token="static")
    with serve(portal.app) as server:
        app = oauth_app(
            portal.oauth.client_id, portal.oauth.client_secret, BACK, api_url=server.url, oauth_url=server.url
        )
        courier = courier_to(server.url, clock=clock)
        yield Bench(portal, clock, app, courier, server.url)
        courier.transport.close()


# --- consent ---------------------------------------------------------------------------------------------------


def test_the_consent_page_is_hubspots_own_with_all_scopes_and_the_state():
    url = urlsplit(authorize_url(oauth_app("id", "secret", BACK), "st/ate"))
    query = parse_qs(url.query)
    assert (url.scheme, url.netloc, url.path) == ("https", "app.hubspot.com", "/oauth/authorize")
    assert query["scope"] == [" ".join(SCOPES)]
    assert query["optional_scope"] == [" ".join(OPTIONAL_SCOPES)]
    assert query["state"] == ["st/ate"]
    assert query["redirect_uri"] == [BACK]
    assert "code_challenge" not in query
    assert "secret" not in url.query
    assert "+" not in url.query


def test_tokens_come_from_the_api_host_unless_the_setting_is_no_page_of_hubspots():
    assert oauth_app("i", "s", BACK).token_url == "https://api.hubapi.com"
    assert oauth_app("i", "s", BACK, oauth_url="https://app-eu1.hubspot.com/").token_url == "https://api.hubapi.com"
    own = oauth_app("i", "s", BACK, oauth_url="http://127.0.0.1:9/")
    assert own.token_url == own.site_url == "http://127.0.0.1:9"
    assert "secret" not in repr(oauth_app("i", "secret", BACK))


def test_the_code_comes_back_with_the_state(bench: Bench):
    back, query = follow(authorize_url(bench.app, "abc"))
    assert back == BACK
    assert query["state"] == "abc"


# --- exchange --------------------------------------------------------------------------------------------------


def test_a_code_becomes_a_grant_with_the_accounts_facts(bench: Bench):
    grant = bench.install()
    assert grant.account_id == "101"
    assert grant.base_url == bench.url
    assert set(grant.scopes) == {*SCOPES, *OPTIONAL_SCOPES}
    assert grant.expires_at == NOW + timedelta(minutes=30)
    assert grant.user_id == "7001"
    assert grant.access_token not in repr(grant)


def test_an_answer_without_the_hub_is_completed_by_introspection(bench: Bench):
    bench.portal.oauth.names_hub = False
    grant = bench.install()
    assert grant.account_id == "101"
    assert set(grant.scopes) == {*SCOPES, *OPTIONAL_SCOPES}
    assert bench.portal.log.calls("POST", "/token/introspect") == 1


def test_scopes_that_the_account_cannot_grant_are_missing_from_the_grant(bench: Bench):
    bench.portal.oauth.missing = frozenset({"crm.objects.orders.read"})
    assert "crm.objects.orders.read" not in bench.install().scopes


def test_a_code_works_once(bench: Bench):
    code = bench.code()
    exchange(bench.app, bench.courier, code)
    with pytest.raises(AccessLost, match="start the installation again"):
        exchange(bench.app, bench.courier, code)


def test_a_code_is_worth_nothing_without_its_verifier(bench: Bench):
    verifier = new_verifier()
    for wrong in ("", new_verifier()):
        with pytest.raises(AccessLost):
            exchange(bench.app, bench.courier, bench.code(verifier), verifier=wrong)
    assert exchange(bench.app, bench.courier, bench.code(verifier), verifier=verifier).account_id == "101"


def test_the_secret_goes_in_a_form_and_in_no_address():
    clock = ManualClock(NOW)
    body = {"access_token": "a", "refresh_token": "r", "expires_in": 1800, "hub_id": 5, "scopes": ["oauth"]}
    courier, line = scripted(clock, Answer(200, {}, json.dumps(body).encode()))
    exchange(oauth_app("i", "s3cret", BACK), courier, "c0de")
    (url, call, headers) = line.asked[0]
    assert url == "https://api.hubapi.com/oauth/2026-09/token"
    assert (call.query, call.json, call.repeatable) == ((), None, False)
    assert call.form == {
        "client_id": "i",
        "client_secret": "s3cret",
        "grant_type": "authorization_code",
        "redirect_uri": BACK,
        "code": "c0de",
    }
    assert "s3cret" not in f"{url}{headers}{call.label}"


# --- refresh ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rotates", [False, True], ids=["same-refresh-token", "new-refresh-token"])
def test_a_renewal_keeps_what_came_back(bench: Bench, rotates):
    bench.portal.oauth.grants.rotates = rotates
    old = bench.install()
    bench.clock.advance(1500)
    fresh = refresh(bench.app, bench.courier, old)
    assert fresh.access_token != old.access_token
    assert (fresh.refresh_token != old.refresh_token) is rotates
    assert fresh.expires_at == bench.clock.now() + timedelta(minutes=30)
    assert (fresh.account_id, fresh.scopes) == (old.account_id, old.scopes)


def test_a_renewal_that_tells_no_hub_keeps_the_known_one(bench: Bench):
    old = bench.install()
    bench.portal.oauth.names_hub = False
    fresh = refresh(bench.app, bench.courier, old)
    assert (fresh.account_id, fresh.scopes, fresh.user_id) == (old.account_id, old.scopes, old.user_id)
    assert bench.portal.log.calls("POST", "/token/introspect") == 0


def test_a_removed_app_is_an_access_lost(bench: Bench):
    old = bench.install()
    bench.portal.oauth.uninstall()
    with pytest.raises(TokenExpired, match="install it again"):
        refresh(bench.app, bench.courier, old)


def test_a_wrong_secret_disconnects_nobody(bench: Bench):
    old = bench.install()
    with pytest.raises(Unavailable, match="HUBSPOT_CLIENT_SECRET"):
        refresh(replace(bench.app, client_secret="wrong"), bench.courier, old)


def test_a_lost_answer_is_not_asked_for_twice_by_itself(bench: Bench):
    old = bench.install()
    bench.portal.oauth.grants.loses = 1
    before = bench.portal.requests
    with pytest.raises(Interrupted):
        refresh(bench.app, bench.courier, old)
    assert bench.portal.requests == before + 1


REFUSED = {
    "bad refresh token by its old name": (400, {"status": "BAD_REFRESH_TOKEN"}, TokenExpired),
    "invalid_grant": (400, {"error": "invalid_grant"}, TokenExpired),
    "bad redirect": (400, {"error": "invalid_request", "status": "BAD_REDIRECT_URI"}, Unavailable),
    "bad scopes": (400, {"error": "invalid_scope"}, Unavailable),
    "unnamed": (404, {}, Unavailable),
    "gateway": (502, None, Unavailable),
    "limit": (429, {"policyName": "TEN_SECONDLY_ROLLING"}, RateLimited),
    "without tokens": (200, {"access_token": "a"}, Malformed),
    "not json": (200, None, Malformed),
}


@pytest.mark.parametrize(("status", "body", "kind"), REFUSED.values(), ids=REFUSED)
def test_only_a_dead_grant_is_lost_everything_else_is_asked_again(status, body, kind):
    clock = ManualClock(NOW)
    content = b"<html>" if body is None else json.dumps(body).encode()
    courier, _line = scripted(clock, Answer(status, {}, content))
    old = Grant("a", "r", NOW, NOW, account_id="5", base_url="https://api.hubapi.com")
    with pytest.raises(kind) as caught:
        refresh(oauth_app("i", "s", BACK), courier, old)
    assert type(caught.value) is kind


# --- the end ---------------------------------------------------------------------------------------------------


def test_a_revoked_grant_cannot_be_renewed_but_its_access_token_lives_on(bench: Bench):
    grant = bench.install()
    revoke(bench.app, bench.courier, grant)
    assert bench.portal.oauth.grants.is_live(grant.access_token)
    with pytest.raises(TokenExpired):
        refresh(bench.app, bench.courier, grant)


def test_uninstalling_ends_all_access_and_needs_a_living_token(bench: Bench):
    grant = bench.install()
    bench.clock.advance(1800)
    with pytest.raises(TokenExpired):
        uninstall(bench.app, bench.courier, grant)
    fresh = refresh(bench.app, bench.courier, grant)
    uninstall(bench.app, bench.courier, fresh)
    assert not bench.portal.oauth.grants.is_live(fresh.access_token)


@pytest.mark.parametrize(("status", "kind"), [(403, AccessLost), (500, Unavailable), (400, Unavailable)])
def test_an_uninstallation_that_is_refused_says_so(status, kind):
    courier, _line = scripted(ManualClock(NOW), Answer(status, {}, b"{}"))
    with pytest.raises(kind):
        uninstall(oauth_app("i", "s", BACK), courier, Grant("a", "r", NOW, NOW, account_id="5", base_url="https://x"))


def test_an_app_that_is_gone_already_is_uninstalled():
    courier, line = scripted(ManualClock(NOW), Answer(404, {}, b"{}"))
    uninstall(oauth_app("i", "s", BACK), courier, Grant("a", "r", NOW, NOW, account_id="5", base_url=""))
    (url, call, headers) = line.asked[0]
    assert (call.method, url) == ("DELETE", "https://api.hubapi.com/appinstalls/2026-09/external-install")
    assert headers["Authorization"] == "Bearer a"


# --- the adapter -----------------------------------------------------------------------------------------------


def test_the_adapter_works_with_a_grant_and_renews_it_early(bench: Bench):
    access, keeper = bench.kept(bench.install())
    adapter = bench.adapter(access)
    assert adapter.portal().account_id == "101"
    bench.clock.advance((timedelta(minutes=30) - EARLY).total_seconds())
    adapter.portal()
    assert bench.portal.oauth.grants.refreshes == 1
    assert isinstance(access.tokens, KeptTokens)
    assert keeper.stored == access.tokens.grant
    assert bench.portal.log.answered(401) == 0


def test_the_adapter_survives_a_token_that_died_before_its_time(bench: Bench):
    access, _keeper = bench.kept(bench.install())
    adapter = bench.adapter(access)
    bench.portal.oauth.grants.expire()
    assert adapter.portal().account_id == "101"
    assert bench.portal.oauth.grants.refreshes == 1
    assert bench.portal.log.answered(401) == 1


def test_after_a_removal_the_adapter_says_who_has_to_act(bench: Bench):
    access, _keeper = bench.kept(bench.install())
    bench.portal.oauth.uninstall()
    with pytest.raises(AccessLost, match="install it again"):
        bench.adapter(access).portal()


def test_an_installed_app_may_call_110_times_in_ten_seconds(bench: Bench):
    access, _keeper = bench.kept(bench.install())
    adapter = bench.adapter(access)
    assert adapter.capabilities.requests_per_second == 11.0
    began = bench.clock.monotonic()
    for _ in range(110):
        adapter.portal()
    assert bench.clock.monotonic() - began < 10
    assert bench.portal.exceeded == 0


def test_a_scope_that_was_not_granted_is_named(bench: Bench):
    scopes = tuple(one for one in SCOPES if "owners" not in one)
    bench.app = replace(bench.app, scopes=scopes, optional_scopes=())  # `automation` lets owners be read, too
    access, _keeper = bench.kept(bench.install())
    with pytest.raises(ScopeMissing, match="owners"):
        bench.adapter(access).managers()


def test_the_static_token_works_beside_the_app(bench: Bench):
    bench.install()
    access = PortalAccess(CRM.HUBSPOT, bench.url, _Static())
    assert bench.adapter(access).portal().account_id == "101"


class _Static:
    def current(self) -> str:
        return "static"

    def renew(self, stale: str) -> str:
        raise TokenExpired("static")
