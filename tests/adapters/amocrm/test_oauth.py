from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from adapters.amocrm.adapter import AmoCRM
from adapters.amocrm.auth import (
    EARLY,
    account_url,
    authorize_url,
    exchange,
    oauth_app,
    refresh,
    uninstalled_account,
)
from adapters.budget import LocalStates
from adapters.contract import PortalAccess
from adapters.errors import AccessLost, Blocked, Interrupted, Malformed, RateLimited, TokenExpired, Unavailable
from adapters.hosts import HostPolicy, HostRefused
from adapters.oauth import Courier, Grant, OAuthApp
from adapters.records import CRM
from adapters.registry import installed_access
from adapters.transport import Answer
from sandbox.amocrm import Portal, create_portal
from sandbox.clock import ManualClock
from sandbox.grants import Consent
from sandbox.northwind import northwind_shop
from sandbox.server import serve
from tests.adapters.keeper import MemoryKeeper
from tests.adapters.office import courier_to, follow, scripted

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
BACK = "https://rfm.example/oauth/amocrm/callback"


@dataclass
class Bench:
    portal: Portal
    clock: ManualClock
    app: OAuthApp
    courier: Courier
    url: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def new_host(self) -> str:
        return self.host.replace("127.0.0.1", "localhost")

    def install(self) -> Grant:
        _, query = follow(authorize_url(self.app, "s"))
        return exchange(self.app, self.courier, query["code"], referer=query["referer"])

    def adapter(self, grant: Grant) -> tuple[AmoCRM, MemoryKeeper]:
        keeper = MemoryKeeper(grant)
        access = installed_access(CRM.AMOCRM, self.app, self.courier, keeper, 3, grant)
        return AmoCRM(access, self.courier.transport, LocalStates(self.clock.monotonic), now=self.clock.now), keeper


@pytest.fixture
def bench() -> Iterator[Bench]:
    clock = ManualClock(NOW)
    portal = create_portal(northwind_shop(NOW.date()), clock=clock)
    portal.oauth.redirect_url = BACK
    with serve(portal.app) as server:
        app = oauth_app(portal.oauth.client_id, portal.oauth.client_secret, BACK, oauth_url=server.url)
        courier = courier_to(server.url, server.url.replace("127.0.0.1", "localhost"), clock=clock)
        yield Bench(portal, clock, app, courier, server.url)
        courier.transport.close()


# --- consent and call back -------------------------------------------------------------------------------------


def test_the_consent_page_is_amocrms_own_and_gets_the_state():
    url = urlsplit(authorize_url(oauth_app("uuid", "secret", BACK), "st ate"))
    assert (url.scheme, url.netloc, url.path) == ("https", "www.amocrm.ru", "/oauth")
    assert parse_qs(url.query) == {"client_id": ["uuid"], "state": ["st ate"], "mode": ["popup"]}


def test_the_call_back_has_state_account_and_client(bench: Bench):
    back, query = follow(authorize_url(bench.app, "abc"))
    assert back == BACK
    assert (query["state"], query["referer"], query["client_id"]) == ("abc", bench.host, bench.app.client_id)


@pytest.mark.parametrize(
    ("referer", "url"),
    [
        ("demo.amocrm.ru", "https://demo.amocrm.ru"),
        ("https://demo.amocrm.ru", "https://demo.amocrm.ru"),
        ("http://demo.amocrm.ru/", "https://demo.amocrm.ru"),
        (" Demo.Kommo.com ", "https://demo.kommo.com"),
        ("demo.amocrm.com", "https://demo.amocrm.com"),
        ("127.0.0.1:8101", "http://127.0.0.1:8101"),
    ],
)
def test_the_account_is_read_from_the_referer_with_a_scheme_or_without(referer, url):
    assert account_url(referer, HostPolicy(frozenset({"127.0.0.1:8101"}))) == url


@pytest.mark.parametrize(
    "referer",
    [
        "",
        "evil.example",
        "demo.amocrm.ru.evil.example",
        "evil.example/demo.amocrm.ru",
        "evil.example#.amocrm.ru",
        "evil.example?.amocrm.ru",
        "evil@demo.amocrm.ru",
        "demo.amocrm.ru@evil.example",
        "demo.amocrm.ru:8080",
        "demo.amocrm.ru:99999",
        "amocrm.ru",
        "a.b.amocrm.ru",
        "demo.amocrm.ru\n.evil.example",
        "demo.amocrm.ru\\evil.example",
        "169.254.169.254",
        "127.0.0.1:22",
        "localhost",
        "[::1]",
        "ftp://demo.amocrm.ru",
        "дemo.amocrm.ru",
        "x" * 300 + ".amocrm.ru",
    ],
)
def test_our_secret_goes_to_no_other_host_than_amocrms(referer):
    with pytest.raises(HostRefused):
        account_url(referer, HostPolicy(frozenset({"127.0.0.1:8101"})))
    courier = courier_to("http://127.0.0.1:8101", clock=ManualClock(NOW))
    with pytest.raises(HostRefused):
        exchange(oauth_app("uuid", "secret", BACK), courier, "code", referer=referer)
    assert courier.transport.counters.requests == 0
    courier.transport.close()


# --- exchange --------------------------------------------------------------------------------------------------


def test_a_code_becomes_a_grant_whose_facts_are_in_the_token(bench: Bench):
    grant = bench.install()
    assert grant.account_id == str(bench.portal.account.settings.id)
    assert grant.base_url == bench.url
    assert grant.auth_url == bench.url
    assert grant.scopes == ("crm",)
    assert grant.expires_at == NOW + timedelta(days=1)


def test_an_install_from_the_market_has_no_state_and_is_proven_by_its_code(bench: Bench):
    code = bench.portal.oauth.grants.new_code(Consent(0, ("crm",)))
    assert exchange(bench.app, bench.courier, code, referer=bench.host).account_id
    with pytest.raises(AccessLost):
        exchange(bench.app, bench.courier, "forged", referer=bench.host)


def test_a_code_works_once_and_for_twenty_minutes(bench: Bench):
    _, query = follow(authorize_url(bench.app, "s"))
    exchange(bench.app, bench.courier, query["code"], referer=query["referer"])
    with pytest.raises(AccessLost, match="install the integration again"):
        exchange(bench.app, bench.courier, query["code"], referer=query["referer"])
    _, query = follow(authorize_url(bench.app, "s"))
    bench.clock.advance(20 * 60)
    with pytest.raises(AccessLost):
        exchange(bench.app, bench.courier, query["code"], referer=query["referer"])


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a.e30.c", "a.W10.c", "a.!.c"])
def test_a_token_that_does_not_tell_its_account_is_asked_for_it(token):
    pair = {"access_token": token, "refresh_token": "r", "expires_in": 86400}
    answers = (Answer(200, {}, json.dumps(pair).encode()), Answer(200, {}, b'{"id":31}'))
    courier, line = scripted(ManualClock(NOW), *answers)
    grant = exchange(oauth_app("uuid", "secret", BACK), courier, "code", referer="demo.amocrm.ru")
    assert grant.account_id == "31"
    url, _call, headers = line.asked[1]
    assert url == "https://demo.amocrm.ru/api/v4/account"
    assert headers["Authorization"] == f"Bearer {token}"


def test_the_secret_goes_in_a_json_body_and_in_no_address():
    pair = {"access_token": "a", "refresh_token": "r", "expires_in": 86400}
    courier, line = scripted(
        ManualClock(NOW), Answer(200, {}, json.dumps(pair).encode()), Answer(200, {}, b'{"id":31}')
    )
    exchange(oauth_app("uuid", "s3cret", BACK), courier, "c0de", referer="demo.amocrm.ru")
    url, call, headers = line.asked[0]
    assert url == "https://demo.amocrm.ru/oauth2/access_token"
    assert call.json == {
        "client_id": "uuid",
        "client_secret": "s3cret",
        "redirect_uri": BACK,
        "grant_type": "authorization_code",
        "code": "c0de",
    }
    assert (call.query, call.repeatable) == ((), False)
    assert "s3cret" not in f"{headers}{call.label}"


# --- refresh ---------------------------------------------------------------------------------------------------


def test_a_renewal_brings_a_new_pair_and_kills_the_old_one(bench: Bench):
    old = bench.install()
    fresh = refresh(bench.app, bench.courier, old)
    assert fresh.access_token != old.access_token
    assert fresh.refresh_token != old.refresh_token
    with pytest.raises(TokenExpired, match="install the integration again"):
        refresh(bench.app, bench.courier, old)
    assert bench.portal.double_refreshes == 1
    assert refresh(bench.app, bench.courier, fresh).account_id == old.account_id


def test_a_changed_redirect_address_disconnects_nobody(bench: Bench):
    old = bench.install()
    for wrong in (replace(bench.app, redirect_url="https://other.example"), replace(bench.app, client_secret="no")):
        with pytest.raises(Unavailable, match="AMOCRM_CLIENT_SECRET"):
            refresh(wrong, bench.courier, old)


def test_a_renamed_account_is_found_again_without_using_its_token_twice(bench: Bench):
    old = bench.install()
    bench.portal.rename(bench.new_host)
    fresh = refresh(bench.app, bench.courier, old)
    assert fresh.base_url == f"http://{bench.new_host}"
    assert fresh.account_id == old.account_id
    assert bench.portal.double_refreshes == 0


def test_a_removed_integration_at_its_old_address_is_an_access_lost(bench: Bench):
    old = bench.install()
    bench.portal.oauth.uninstall()
    with pytest.raises(TokenExpired):
        refresh(bench.app, bench.courier, old)


def test_a_renamed_account_is_never_followed_to_a_strange_host():
    answers = (
        Answer(401, {}, b"{}"),
        Answer(200, {}, b'{"id":1,"domain":"evil.example"}'),
    )
    courier, line = scripted(ManualClock(NOW), *answers)
    strict = replace(courier, transport=_Checked(line))
    old = Grant("a", "r", NOW, NOW, account_id="1", base_url="https://x.amocrm.ru", auth_url="https://api-b.amocrm.ru")
    with pytest.raises(HostRefused):
        refresh(oauth_app("uuid", "secret", BACK), strict, old)
    assert [urlsplit(url).netloc for url, _call, _headers in line.asked] == ["x.amocrm.ru", "api-b.amocrm.ru"]


class _Checked:
    """A scripted line behind the policy that the real transport asks before each call."""

    def __init__(self, line) -> None:
        self.line = line

    def send(self, call, dialect):
        HostPolicy().check(dialect.crm, dialect.sign(call, None).url)
        return self.line.send(call, dialect)


def test_a_lost_answer_is_not_asked_for_twice_by_itself(bench: Bench):
    old = bench.install()
    bench.portal.oauth.grants.loses = 1
    with pytest.raises(Interrupted):
        refresh(bench.app, bench.courier, old)
    assert bench.portal.double_refreshes == 0
    with pytest.raises(TokenExpired):
        refresh(bench.app, bench.courier, old)
    assert bench.portal.double_refreshes == 1


def test_a_block_is_a_block_and_no_dead_token(bench: Bench):
    old = bench.install()
    bench.portal.block()
    with pytest.raises(Blocked):
        refresh(bench.app, bench.courier, old)
    bench.portal.unblock()
    assert refresh(bench.app, bench.courier, old).account_id == old.account_id


def _hint(text: str) -> dict[str, str]:
    return {"hint": text, "title": "Bad request", "detail": "-"}


REFUSED = {
    "revoked": (401, _hint("Token has been revoked"), TokenExpired),
    "cannot decrypt": (400, _hint("Cannot decrypt the refresh token"), TokenExpired),
    "expired": (400, _hint("Token has expired"), TokenExpired),
    "no account here": (404, None, TokenExpired),
    "wrong client": (401, {"detail": "Client authentication failed"}, Unavailable),
    "wrong request": (400, _hint("Check the grant_type parameter"), Unavailable),
    "limit": (429, None, RateLimited),
    "gateway": (502, None, Unavailable),
    "block": (403, None, Blocked),
    "without tokens": (200, {"access_token": "a"}, Malformed),
    "without a life time": (200, {"access_token": "a", "refresh_token": "r"}, Malformed),
}


@pytest.mark.parametrize(("status", "body", "kind"), REFUSED.values(), ids=REFUSED)
def test_what_a_refusal_means(status, body, kind):
    content = b"<html>" if body is None else json.dumps(body).encode()
    courier, _line = scripted(ManualClock(NOW), Answer(status, {}, content))
    old = Grant("a", "r", NOW, NOW, account_id="5", base_url="https://demo.amocrm.ru")
    with pytest.raises(kind) as caught:
        refresh(oauth_app("uuid", "secret", BACK), courier, old)
    assert type(caught.value) is kind


# --- the adapter -----------------------------------------------------------------------------------------------


def test_the_adapter_works_with_a_grant_and_renews_it_an_hour_early(bench: Bench):
    adapter, keeper = bench.adapter(bench.install())
    account_id = adapter.portal().account_id
    bench.clock.advance((timedelta(days=1) - EARLY).total_seconds())
    assert adapter.portal().account_id == account_id == keeper.stored.account_id
    assert bench.portal.oauth.grants.refreshes == 1
    assert bench.portal.log.answered(401) == 0


def test_the_adapter_follows_a_renamed_account_while_it_works(bench: Bench):
    adapter, keeper = bench.adapter(bench.install())
    adapter.portal()
    bench.portal.rename(bench.new_host)
    adapter.portal()
    assert keeper.stored.base_url == f"http://{bench.new_host}"
    assert bench.portal.double_refreshes == 0


def test_after_a_removal_the_adapter_says_who_has_to_act(bench: Bench):
    adapter, _keeper = bench.adapter(bench.install())
    bench.portal.oauth.uninstall()
    with pytest.raises(AccessLost, match="install the integration again"):
        adapter.portal()


@pytest.mark.parametrize("answer", [Answer(404, {}, b"<html>"), Answer(302, {"Location": "/"}, b"")])
def test_an_address_without_an_account_makes_an_installed_one_look_for_it(answer):
    old = Grant("a", "r", NOW, NOW + timedelta(days=1), account_id="1", base_url="https://x.amocrm.ru")
    clock = ManualClock(NOW)
    courier, line = scripted(clock, answer)
    access = installed_access(CRM.AMOCRM, oauth_app("u", "s", BACK), courier, MemoryKeeper(old), 3, old)
    with pytest.raises(TokenExpired):
        AmoCRM(access, line, LocalStates(clock.monotonic), now=clock.now).portal()
    pasted = PortalAccess(CRM.AMOCRM, "https://x.amocrm.ru")
    line.answers = [answer]
    with pytest.raises(AccessLost) as caught:
        AmoCRM(pasted, line, LocalStates(clock.monotonic), now=clock.now).portal()
    assert type(caught.value) is AccessLost


# --- uninstalling ----------------------------------------------------------------------------------------------


def test_a_signed_call_of_the_uninstall_hook_names_its_account(bench: Bench):
    assert uninstalled_account(bench.app, bench.portal.oauth.signed()) == str(bench.portal.account.settings.id)


def test_the_signature_is_the_documented_one():
    signature = "8571130bfe0f895539dab206e1c5129ce4c58c068c338fa5ea96871664b78b70"  # openssl dgst -sha256 -hmac secret
    query = {"account_id": "123", "client_uuid": "uuid", "signature": signature}
    app = oauth_app("uuid", "secret", BACK)
    assert uninstalled_account(app, query) == "123"
    assert uninstalled_account(app, {**query, "signature": signature.upper()}) == "123"


@pytest.mark.parametrize(
    "change",
    [
        {"account_id": "1"},
        {"account_id": ""},
        {"client_uuid": "other"},
        {"signature": ""},
        {"signature": "0" * 64},
        {"signature": "é"},
    ],
)
def test_a_forged_call_of_the_uninstall_hook_is_nothing(bench: Bench, change):
    assert uninstalled_account(bench.app, {**bench.portal.oauth.signed(), **change}) is None


def test_a_call_of_the_uninstall_hook_without_words_is_nothing(bench: Bench):
    assert uninstalled_account(bench.app, {}) is None
