from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from adapters.bitrix24 import events
from adapters.bitrix24.adapter import Bitrix24
from adapters.bitrix24.auth import (
    EARLY,
    Opened,
    access_from_input,
    authorize_url,
    exchange,
    is_admin,
    oauth_app,
    prove,
    read_endpoint,
    read_event,
    read_page,
    refresh,
)
from adapters.budget import LocalStates
from adapters.contract import PortalAccess
from adapters.errors import (
    AccessLost,
    Interrupted,
    Malformed,
    ScopeMissing,
    TokenExpired,
    Unavailable,
    Unpaid,
    Unsupported,
)
from adapters.hosts import HostRefused
from adapters.oauth import Courier, Grant, OAuthApp
from adapters.records import CRM, CustomerKind
from adapters.registry import installed_access
from adapters.transport import Answer
from sandbox.bitrix24 import Portal, create_portal
from sandbox.clock import ManualClock
from sandbox.random_shop import random_shop
from sandbox.server import serve
from tests.adapters.keeper import MemoryKeeper
from tests.adapters.office import courier_to, scripted

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
BACK = "https://rfm.example/install/bitrix24"


@dataclass
class Bench:
    portal: Portal
    clock: ManualClock
    app: OAuthApp
    courier: Courier
    url: str
    auth_url: str

    def page(self, **change: str) -> Opened:
        query = {"DOMAIN": self.portal.oauth.domain, "LANG": "ru", "PROTOCOL": "1"}
        return read_page(query, {**self.portal.oauth.page_form(), **change})

    def grant(self) -> Grant:
        return prove(self.app, self.courier, self.page()).grant

    def adapter(self, grant: Grant) -> tuple[Bitrix24, MemoryKeeper]:
        keeper = MemoryKeeper(grant)
        access = installed_access(CRM.BITRIX24, self.app, self.courier, keeper, 3, grant)
        states = LocalStates(lambda: self.clock.now().timestamp())
        return Bitrix24(access, self.courier.transport, states), keeper


@pytest.fixture
def bench() -> Iterator[Bench]:
    clock = ManualClock(NOW)
    portal = create_portal(random_shop(11, 60, 120, NOW.date(), lines=True), clock=clock)
    with serve(portal.app) as server, serve(portal.oauth.auth_app) as auth:
        portal.oauth.served_at(server.url, auth.url)
        portal.oauth.install()
        app = oauth_app(portal.oauth.client_id, portal.oauth.client_secret, oauth_url=auth.url)
        renamed = server.url.replace("127.0.0.1", "localhost")
        courier = courier_to(server.url, auth.url, renamed, clock=clock)
        yield Bench(portal, clock, app, courier, server.url, auth.url)
        courier.transport.close()


# --- the page --------------------------------------------------------------------------------------------------


def test_a_page_is_read_from_query_and_body(bench: Bench):
    opened = bench.page()
    assert opened.member_id == bench.portal.oauth.member_id
    assert opened.domain == urlsplit(bench.url).netloc
    assert opened.server == f"{bench.auth_url}/rest/"
    assert opened.expires_in == 3600
    assert opened.language == "ru"
    assert opened.placement == "DEFAULT"
    assert opened.application_token == bench.portal.oauth.application_token
    assert opened.access_token not in repr(opened)
    assert opened.refresh_token not in repr(opened)
    assert opened.application_token not in repr(opened)


GARBAGE = {
    "no member": {"member_id": ""},
    "no token": {"AUTH_ID": " "},
    "no refresh token": {"REFRESH_ID": ""},
    "a token with a line break": {"AUTH_ID": "a\r\nb"},
    "a token that is a book": {"AUTH_ID": "a" * 2000},
    "no life time": {"AUTH_EXPIRES": ""},
    "an endless life": {"AUTH_EXPIRES": "9" * 30},
    "a life time in words": {"AUTH_EXPIRES": "²"},
}


@pytest.mark.parametrize("change", GARBAGE.values(), ids=GARBAGE)
def test_a_page_that_is_none_is_refused_without_a_call(bench: Bench, change):
    with pytest.raises(ValueError):
        bench.page(**change)
    assert bench.courier.transport.counters.requests == 0


@pytest.mark.parametrize("domain", ["", "a b", "x.bitrix24.ru/path", "user@x.bitrix24.ru", "пример.рф"])
def test_a_page_without_a_portals_host_is_refused(bench: Bench, domain):
    with pytest.raises(ValueError):
        read_page({"DOMAIN": domain}, bench.portal.oauth.page_form())


def test_nothing_at_all_is_no_page_and_no_event():
    with pytest.raises(ValueError):
        read_page({}, {})
    with pytest.raises(ValueError):
        read_event({})


# --- the proof -------------------------------------------------------------------------------------------------


def test_a_page_that_the_authorisation_server_confirms_becomes_a_grant(bench: Bench):
    proof = prove(bench.app, bench.courier, bench.page())
    assert proof.grant.account_id == bench.portal.oauth.member_id
    assert proof.grant.base_url == f"{bench.url}/rest/"
    assert proof.grant.auth_url == bench.auth_url
    assert proof.grant.expires_at == NOW + timedelta(hours=1)
    assert proof.grant.user_id == str(bench.portal.state.user_id)
    assert "crm" in proof.grant.scopes
    assert not proof.is_installed
    bench.portal.oauth.finish()
    assert prove(bench.app, bench.courier, bench.page()).is_installed


def test_an_install_event_is_proven_in_the_same_way(bench: Bench):
    opened = read_event(bench.portal.oauth.event_form("ONAPPINSTALL"))
    proof = prove(bench.app, bench.courier, opened)
    assert proof.grant.account_id == bench.portal.oauth.member_id
    assert refresh(bench.app, bench.courier, proof.grant).account_id == proof.grant.account_id


FORGED = {
    "another portal's id": {"member_id": "deadbeef"},
    "an invented token": {"AUTH_ID": "invented"},
}


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_a_forged_page_proves_nothing(bench: Bench, change):
    with pytest.raises(AccessLost):
        prove(bench.app, bench.courier, bench.page(**change))


def test_a_token_of_another_app_or_portal_proves_nothing(bench: Bench):
    with pytest.raises(AccessLost):
        prove(replace(bench.app, client_id="app.other"), bench.courier, bench.page())
    with pytest.raises(AccessLost):
        prove(bench.app, bench.courier, replace(bench.page(), domain="victim.bitrix24.ru"))


def test_an_expired_token_proves_nothing(bench: Bench):
    opened = bench.page()
    bench.clock.advance(3600)
    with pytest.raises(AccessLost, match="open the app from the portal again"):
        prove(bench.app, bench.courier, opened)


@pytest.mark.parametrize(
    "server",
    [
        "https://evil.example/rest/",
        "http://oauth.bitrix.info/rest/",
        "https://oauth.bitrix.info.evil.example/rest/",
        "https://oauth.bitrix.info@evil.example/rest/",
        "https://oauth.bitrix.info:8443/rest/",
        "https://x.bitrix24.ru/rest/",
        "http://127.0.0.1:1/rest/",
        "not a url",
        "//evil.example",
        "https://[",
    ],
)
def test_no_other_server_is_asked_than_bitrix24s(bench: Bench, server):
    with pytest.raises(HostRefused):
        prove(bench.app, bench.courier, bench.page(SERVER_ENDPOINT=server))
    grant = Grant("a", "r", NOW, NOW, account_id="m", base_url="https://x.bitrix24.ru/rest/", auth_url=server)
    with pytest.raises(HostRefused):
        refresh(bench.app, bench.courier, grant)
    assert bench.courier.transport.counters.requests == 0


@pytest.mark.parametrize(
    ("named", "asked"),
    [
        ("https://oauth.bitrix.info/rest/", "https://oauth.bitrix.info"),
        ("https://oauth.bitrix24.tech/rest/", "https://oauth.bitrix24.tech"),
        ("", "https://oauth.bitrix.info"),
    ],
)
def test_the_server_that_the_portal_names_is_asked_if_it_is_one_of_the_two(named, asked):
    pair = {"access_token": "a", "refresh_token": "r", "expires_in": 3600, "member_id": "m"}
    pair["client_endpoint"] = "https://X.bitrix24.ru/rest/"
    courier, line = scripted(ManualClock(NOW), Answer(200, {}, json.dumps(pair).encode()))
    old = Grant("a", "r", NOW, NOW, account_id="m", base_url="https://x.bitrix24.ru/rest/", auth_url=named)
    fresh = refresh(oauth_app("id", "secret"), courier, old)
    assert line.asked[0][0] == f"{asked}/oauth/token/"
    assert fresh.auth_url == asked
    assert fresh.base_url == "https://x.bitrix24.ru/rest/"


def test_a_server_set_by_the_operator_overrules_the_portals_word(bench: Bench):
    opened = replace(bench.page(), server="https://oauth.bitrix.info/rest/")
    assert prove(bench.app, bench.courier, opened).grant.auth_url == bench.auth_url


def test_only_an_administrators_grant_sees_everything(bench: Bench):
    assert is_admin(bench.courier, bench.grant())
    bench.portal.oauth.ordinary = {2}
    query = {"DOMAIN": bench.portal.oauth.domain}
    page = read_page(query, bench.portal.oauth.page_form(user_id=2))
    assert not is_admin(bench.courier, prove(bench.app, bench.courier, page).grant)


# --- codes -----------------------------------------------------------------------------------------------------


def test_from_outside_the_person_is_sent_to_the_portal():
    url = urlsplit(authorize_url(oauth_app("app.1", "secret"), "st ate", portal=" X.bitrix24.ru "))
    assert (url.scheme, url.netloc, url.path) == ("https", "x.bitrix24.ru", "/oauth/authorize/")
    assert parse_qs(url.query) == {"client_id": ["app.1"], "state": ["st ate"]}
    with pytest.raises(ValueError):
        authorize_url(oauth_app("app.1", "secret"), "s", portal="x.bitrix24.ru/evil?")


def test_a_code_becomes_a_grant_once_and_within_thirty_seconds(bench: Bench):
    def code() -> str:
        return bench.portal.oauth.grants.new_code(bench.portal.oauth._consent(None))

    first = code()
    assert exchange(bench.app, bench.courier, first).account_id == bench.portal.oauth.member_id
    late = code()
    bench.clock.advance(30)
    for dead in (first, late, "forged"):
        with pytest.raises(AccessLost, match="start again"):
            exchange(bench.app, bench.courier, dead)


# --- refresh ---------------------------------------------------------------------------------------------------


def test_a_renewal_brings_a_new_pair_and_kills_the_old_one(bench: Bench):
    old = bench.grant()
    fresh = refresh(bench.app, bench.courier, old)
    assert fresh.access_token != old.access_token
    assert fresh.refresh_token != old.refresh_token
    assert fresh.user_id == old.user_id
    with pytest.raises(TokenExpired, match="let an administrator open the app"):
        refresh(bench.app, bench.courier, old)
    assert bench.portal.double_refreshes == 1


def test_a_lost_answer_is_not_asked_for_twice_by_itself(bench: Bench):
    old = bench.grant()
    bench.portal.oauth.grants.loses = 1
    with pytest.raises(Interrupted):
        refresh(bench.app, bench.courier, old)
    assert bench.portal.double_refreshes == 0


def test_a_renewal_knows_a_renamed_portal(bench: Bench):
    old = bench.grant()
    bench.portal.rename(bench.url.replace("127.0.0.1", "localhost"))
    assert refresh(bench.app, bench.courier, old).base_url == bench.url.replace("127.0.0.1", "localhost") + "/rest/"


def test_a_removed_or_unpaid_app_is_told_apart(bench: Bench):
    old = bench.grant()
    bench.portal.oauth.is_paid = False
    with pytest.raises(Unpaid):
        refresh(bench.app, bench.courier, old)
    bench.portal.oauth.uninstall()
    with pytest.raises(AccessLost, match="not installed"):
        refresh(bench.app, bench.courier, old)


REFUSED = {
    "invalid_grant": (400, {"error": "invalid_grant"}, TokenExpired),
    "invalid_client": (400, {"error": "invalid_client"}, AccessLost),
    "wrong client in a good answer": (200, {"error": "WRONG_CLIENT"}, AccessLost),
    "not installed": (401, {"error": "NOT_INSTALLED"}, AccessLost),
    "not paid": (401, {"error": "PAYMENT_REQUIRED"}, Unpaid),
    "scope": (403, {"error": "insufficient_scope"}, ScopeMissing),
    "our mistake": (400, {"error": "invalid_request"}, Unavailable),
    "gateway": (502, None, Unavailable),
    "a page": (200, None, Malformed),
    "no portal": (
        200,
        {"access_token": "a", "refresh_token": "r", "expires_in": 1, "member_id": "m", "client_endpoint": "/rest/"},
        Malformed,
    ),
}


@pytest.mark.parametrize(("status", "body", "kind"), REFUSED.values(), ids=REFUSED)
def test_what_a_refusal_means(status, body, kind):
    content = b"<html>" if body is None else json.dumps(body).encode()
    courier, _line = scripted(ManualClock(NOW), Answer(status, {}, content))
    old = Grant("a", "r", NOW, NOW, account_id="m", base_url="https://x.bitrix24.ru/rest/")
    with pytest.raises(kind) as caught:
        refresh(oauth_app("id", "secret"), courier, old)
    assert type(caught.value) is kind


# --- the adapter -----------------------------------------------------------------------------------------------


def test_the_adapter_reads_and_names_the_portal_by_its_lasting_id(bench: Bench):
    adapter, _keeper = bench.adapter(bench.grant())
    info = adapter.portal()
    assert info.account_id == bench.portal.oauth.member_id
    assert info.name == urlsplit(bench.url).netloc
    pages = list(adapter.customers(CustomerKind.CONTACT, None))
    assert sum(len(page.records) for page in pages) == len(bench.portal.state.contacts.ids)


def test_the_token_goes_in_the_body_and_in_no_address(bench: Bench):
    grant = bench.grant()
    clock = ManualClock(NOW)
    body = {"result": {"result": {}, "result_error": {}}, "time": {}}
    courier, line = scripted(clock, *[Answer(200, {}, json.dumps(body).encode())] * 6)
    access = installed_access(CRM.BITRIX24, bench.app, courier, MemoryKeeper(grant), 3, grant)
    adapter = Bitrix24(access, _Tokened(line), LocalStates(clock.monotonic))
    with pytest.raises(Unavailable):
        adapter.portal()
    assert line.bodies[0]["auth"] == grant.access_token
    assert all(grant.access_token not in f"{url}{headers}{call.label}" for url, call, headers in line.asked)


class _Tokened:
    """A scripted line that signs with the dialect's own token, as the transport does."""

    def __init__(self, line) -> None:
        self.line = line
        line.bodies = []

    def send(self, call, dialect):
        self.line.bodies.append(dialect.sign(call, dialect.token()).json)
        return self.line.send(call, dialect)

    def send_all(self, calls, dialect):
        return [self.send(call, dialect) for call in calls]


def test_the_adapter_renews_five_minutes_early(bench: Bench):
    adapter, keeper = bench.adapter(bench.grant())
    bench.clock.advance((timedelta(hours=1) - EARLY).total_seconds())
    adapter.portal()
    assert bench.portal.oauth.grants.refreshes == 1
    assert keeper.stored.refresh_token != ""
    assert bench.portal.log.answered(401) == 0


def test_the_adapter_survives_a_token_that_died_before_its_time(bench: Bench):
    adapter, _keeper = bench.adapter(bench.grant())
    bench.portal.oauth.grants.expire()
    adapter.portal()
    assert bench.portal.oauth.grants.refreshes == 1


def test_the_adapter_follows_a_renamed_portal_and_then_the_renewed_grant(bench: Bench):
    adapter, keeper = bench.adapter(bench.grant())
    adapter.portal()
    bench.portal.rename(bench.url.replace("127.0.0.1", "localhost"))
    assert adapter.portal().name == urlsplit(bench.url).netloc.replace("127.0.0.1", "localhost")
    bench.clock.advance(3600)
    adapter.portal()
    assert keeper.stored.base_url.startswith("http://localhost:")


def test_after_a_removal_the_adapter_says_who_has_to_act(bench: Bench):
    adapter, _keeper = bench.adapter(bench.grant())
    bench.portal.oauth.uninstall()
    with pytest.raises(AccessLost):
        adapter.portal()


def test_a_portal_without_its_grant_says_who_has_to_act(bench: Bench):
    adapter, _keeper = bench.adapter(bench.grant())
    bench.portal.oauth.grants.revoke_all()
    with pytest.raises(TokenExpired, match="administrator"):
        adapter.portal()


def test_the_webhook_works_beside_the_app(bench: Bench):
    bench.portal.oauth.uninstall()
    access = PortalAccess(CRM.BITRIX24, bench.portal.connect_url(bench.url))
    adapter = Bitrix24(access, bench.courier.transport, LocalStates(lambda: bench.clock.now().timestamp()))
    assert adapter.portal().account_id == urlsplit(bench.url).netloc


@pytest.mark.parametrize("text", ["", "https://x.bitrix24.ru/", "x.bitrix24.ru/rest/", "ftp://x.bitrix24.ru/rest/"])
def test_an_endpoint_that_is_none_is_malformed(text):
    with pytest.raises(Malformed):
        read_endpoint(text, "1")


# --- events --------------------------------------------------------------------------------------------------------

HANDLER = "https://rfm.example/webhooks/bitrix24"


def bound(bench: Bench) -> list[str]:
    return sorted(event for event, handler in bench.portal.state.handlers if handler == HANDLER)


def test_what_is_missing_is_bound_in_one_batch_and_then_only_looked_at(bench):
    adapter, _ = bench.adapter(bench.grant())
    assert adapter.capabilities.subscribes
    adapter.subscribe(HANDLER)
    assert bound(bench) == sorted(events.EVENTS)
    asked = bench.portal.requests
    adapter.subscribe(HANDLER)
    assert bench.portal.requests == asked + 1
    bench.portal.state.handlers.remove(("ONCRMDEALDELETE", HANDLER))
    adapter.subscribe(HANDLER)
    assert bound(bench) == sorted(events.EVENTS)
    assert len(bench.portal.state.handlers) == len(events.EVENTS)


def test_a_portal_without_the_online_store_gets_the_other_events(bench):
    bench.portal.grant("crm", "task", "user")
    adapter, _ = bench.adapter(bench.grant())
    adapter.subscribe(HANDLER)
    assert "ONCRMDEALUPDATE" in bound(bench)
    assert "ONSALEORDERSAVED" not in bound(bench)


def test_who_may_not_bind_events_hears_so(bench):
    adapter, _ = bench.adapter(bench.grant())
    bench.portal.grant("crm", "task", "user", admin=False)
    with pytest.raises(ScopeMissing):
        adapter.subscribe(HANDLER)


def test_only_our_own_address_is_unbound(bench):
    adapter, _ = bench.adapter(bench.grant())
    adapter.subscribe("https://other.example/hook")
    adapter.subscribe(HANDLER)
    adapter.unsubscribe(HANDLER)
    adapter.unsubscribe(HANDLER)
    assert bound(bench) == []
    assert len(bench.portal.state.handlers) == len(events.EVENTS)


def test_a_webhook_may_not_bind_events(bench):
    access = access_from_input(bench.portal.connect_url(bench.url))
    adapter = Bitrix24(access, bench.courier.transport, LocalStates(lambda: bench.clock.now().timestamp()))
    assert not adapter.capabilities.subscribes
    with pytest.raises(Unsupported):
        adapter.subscribe(HANDLER)
