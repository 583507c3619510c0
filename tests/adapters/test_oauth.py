from __future__ import annotations

import logging
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.budget import LocalStates, Rolling
from adapters.contract import PortalAccess
from adapters.errors import AccessLost, Interrupted, Malformed, RateLimited, TokenExpired, Transient, Unavailable
from adapters.hosts import HostPolicy, HostRefused
from adapters.oauth import (
    LANE,
    Courier,
    KeptTokens,
    Server,
    challenge_of,
    courier_transport,
    error_code,
    life,
    live_url,
    new_verifier,
    passing_fault,
    words,
)
from adapters.records import CRM
from adapters.transport import Answer, Call
from sandbox.clock import ManualClock
from tests.adapters.keeper import NOW, MemoryKeeper, Vendor, grant

EARLY = timedelta(minutes=5)


class Bench:
    def __init__(self, stored=None, seen=None, *, life=timedelta(hours=1)) -> None:
        self.clock = ManualClock(NOW)
        self.vendor = Vendor(self.clock, life)
        self.keeper = MemoryKeeper(stored or grant(life=life))
        self.tokens = self.another(seen or self.keeper.stored)

    def another(self, seen) -> KeptTokens:
        return KeptTokens(self.keeper, 3, seen, self.vendor.renew, early=EARLY, now=self.clock.now)


# --- when ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minutes", "due"), [(0, False), (54, False), (54.99, False), (55, True), (60, True), (900, True)]
)
def test_a_grant_is_due_so_long_before_its_end(minutes, due):
    assert grant().is_due(NOW + timedelta(minutes=minutes), EARLY) is due


@pytest.mark.parametrize(("seconds", "due"), [(0, False), (44, False), (45, True)])
def test_a_short_lived_grant_is_due_in_its_last_quarter_and_not_all_the_time(seconds, due):
    short = grant(life=timedelta(seconds=60))
    assert short.is_due(NOW + timedelta(seconds=seconds), EARLY) is due


def test_a_token_is_used_until_it_is_due_and_nobody_is_asked():
    bench = Bench()
    bench.clock.advance(54 * 60)
    assert bench.tokens.current() == "access-1"
    assert bench.vendor.used == []


def test_a_due_token_is_renewed_and_stored_before_it_is_given_out():
    bench = Bench()
    bench.clock.advance(55 * 60)
    assert bench.tokens.current() == "access-2"
    assert bench.keeper.stored.access_token == "access-2"
    assert bench.keeper.stored.refresh_token == "refresh-2"


def test_a_token_that_the_crm_refuses_is_renewed_whatever_its_age():
    bench = Bench()
    assert bench.tokens.renew("access-1") == "access-2"
    assert bench.tokens.current() == "access-2"


def test_a_refusal_of_a_token_that_is_old_news_renews_nothing():
    bench = Bench()
    bench.tokens.renew("access-1")
    assert bench.tokens.renew("access-1") == "access-2"
    assert bench.vendor.used == ["refresh-1"]


# --- who -------------------------------------------------------------------------------------------------------


def test_what_another_process_renewed_is_read_not_renewed_again():
    bench = Bench()
    other = bench.another(bench.keeper.stored)
    bench.clock.advance(56 * 60)
    assert other.current() == "access-2"
    assert bench.tokens.current() == "access-2"
    assert bench.vendor.used == ["refresh-1"]


def test_what_another_process_renewed_long_ago_is_renewed_again():
    bench = Bench(stored=grant(5, at=NOW - timedelta(hours=3)), seen=grant(1, at=NOW - timedelta(hours=9)))
    assert bench.tokens.current() == "access-2"
    assert bench.vendor.used == ["refresh-5"]


@pytest.mark.parametrize("shared", [True, False], ids=["one-object", "an-object-each"])
def test_a_hundred_threads_at_the_end_cause_one_renewal(shared):
    bench = Bench()
    bench.clock.advance(60 * 60)
    each = [bench.tokens if shared else bench.another(bench.keeper.stored) for _ in range(100)]
    start, found = threading.Barrier(100), []

    def ask(tokens: KeptTokens) -> None:
        start.wait()
        found.append(tokens.current())

    threads = [threading.Thread(target=ask, args=(tokens,)) for tokens in each]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["access-2"] * 100
    assert bench.vendor.used == ["refresh-1"]


# --- trouble ---------------------------------------------------------------------------------------------------


def test_a_lost_grant_is_said_at_once_even_while_the_old_token_lives():
    bench = Bench()
    bench.clock.advance(56 * 60)
    bench.vendor.errors = [TokenExpired("install it again")]
    with pytest.raises(AccessLost, match="install it again"):
        bench.tokens.current()
    assert bench.keeper.stored == grant()


def test_while_the_old_token_works_a_server_that_is_away_is_asked_again_half_a_minute_later():
    bench = Bench()
    bench.clock.advance(56 * 60)
    bench.vendor.errors = [Unavailable("away"), Unavailable("away")]
    assert [bench.tokens.current() for _ in range(5)] == ["access-1"] * 5
    assert len(bench.vendor.errors) == 1
    bench.clock.advance(31)
    assert bench.tokens.current() == "access-1"
    bench.clock.advance(31)
    assert bench.tokens.current() == "access-2"


def test_when_the_old_token_is_over_a_server_that_is_away_is_no_secret():
    bench = Bench()
    bench.clock.advance(60 * 60)
    bench.vendor.errors = [Interrupted("no answer")]
    with pytest.raises(Transient):
        bench.tokens.current()
    assert bench.tokens.current() == "access-2"


def test_a_pause_ends_with_the_old_token():
    bench = Bench()
    bench.clock.advance(3600 - 10)
    bench.vendor.errors = [Unavailable("away")]
    assert bench.tokens.current() == "access-1"
    bench.clock.advance(10)
    assert bench.tokens.current() == "access-2"


def test_a_pair_whose_commit_failed_is_not_used_and_is_stored_at_the_next_try():
    bench = Bench()
    bench.clock.advance(60 * 60)
    bench.keeper.fails = 1
    with pytest.raises(ConnectionError):
        bench.tokens.current()
    assert bench.keeper.stored.access_token == "access-1"
    assert bench.tokens.grant.access_token == "access-1"
    assert bench.tokens.current() == "access-2"
    assert bench.keeper.stored.access_token == "access-2"
    assert bench.vendor.used == ["refresh-1"]


def test_an_unsaved_pair_is_forgotten_when_somebody_else_brought_a_newer_grant():
    bench = Bench()
    bench.clock.advance(60 * 60)
    bench.keeper.fails = 1
    with pytest.raises(ConnectionError):
        bench.tokens.current()
    bench.keeper.stored = grant(9, at=bench.clock.now())
    assert bench.tokens.current() == "access-9"
    bench.clock.advance(60 * 60)
    assert bench.tokens.current() == "access-3"
    assert bench.vendor.used == ["refresh-1", "refresh-9"]


def test_a_grant_of_another_account_is_never_stored():
    bench = Bench()
    stranger = replace(grant(2), account_id="666")
    tokens = KeptTokens(bench.keeper, 3, grant(), lambda _old: stranger, early=EARLY, now=bench.clock.now)
    with pytest.raises(AccessLost, match="another account"):
        tokens.renew("access-1")
    assert bench.keeper.stored == grant()


# --- quiet portals ---------------------------------------------------------------------------------------------


def test_a_quiet_portals_grant_is_renewed_after_its_month_and_not_before():
    bench = Bench(life=timedelta(days=80))
    month = timedelta(days=30)
    bench.clock.advance(29 * 86_400)
    assert not bench.tokens.renew_idle(month)
    bench.clock.advance(86_400)
    assert bench.tokens.renew_idle(month)
    assert bench.keeper.stored.access_token == "access-2"
    assert not bench.tokens.renew_idle(month)


# --- no secret goes out ----------------------------------------------------------------------------------------


def test_neither_a_grant_nor_its_keeper_shows_a_token(caplog):
    bench = Bench()
    with caplog.at_level(logging.DEBUG):
        bench.tokens.renew("access-1")
    shown = f"{bench.tokens!r} {bench.tokens.grant!r} {caplog.text}"
    assert "access-" not in shown
    assert "refresh-" not in shown
    assert "token renewed" in caplog.text


def test_calls_go_where_the_last_renewal_said():
    bench = Bench()
    access = PortalAccess(CRM.AMOCRM, "https://old.amocrm.ru", bench.tokens)
    assert live_url(access) == "https://shop.amocrm.ru"
    assert live_url(PortalAccess(CRM.AMOCRM, "https://old.amocrm.ru")) == "https://old.amocrm.ru"


# --- servers ---------------------------------------------------------------------------------------------------


def test_nothing_is_sent_to_a_host_that_is_none_of_the_vendors():
    clock = ManualClock(NOW)
    transport = courier_transport(HostPolicy())
    courier = Courier(transport, LocalStates(clock.monotonic), clock.now)
    server = Server(CRM.HUBSPOT, "https://evil.example", Rolling(10, 1.0), lambda _call, _answer: None)
    with pytest.raises(HostRefused):
        courier.send(server, Call("POST", "/oauth/2026-09/token", form={"client_secret": "s"}, lane=LANE))
    assert transport.counters.requests == 0
    transport.close()


@pytest.mark.parametrize(
    ("status", "headers", "kind", "wait"),
    [
        (429, {}, RateLimited, 10.0),
        (429, {"Retry-After": "3"}, RateLimited, 3.0),
        (500, {}, Unavailable, None),
        (503, {"Retry-After": "7"}, Unavailable, 7.0),
        (302, {"Location": "https://evil.example"}, Unavailable, None),
    ],
)
def test_what_may_be_over_a_moment_later_is_transient(status, headers, kind, wait):
    fault = passing_fault("HubSpot", Answer(status, headers, b""))
    assert type(fault) is kind
    assert fault.retry_after == wait


def test_a_refusal_is_not_passing():
    assert passing_fault("HubSpot", Answer(400, {}, b"{}")) is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"error":"invalid_grant"}', "invalid_grant"),
        (b'{"error":"a token: xyz"}', ""),
        (b'{"error":{"a":1}}', ""),
        (b"[]", ""),
        (b"<html>", ""),
        (b"{}", ""),
    ],
)
def test_an_error_code_is_a_mere_name_or_nothing(body, code):
    assert error_code(Answer(400, {}, body)) == code


@pytest.mark.parametrize("value", [None, "", True, [], {}, 1.5])
def test_a_missing_word_is_malformed_with_its_name(value):
    with pytest.raises(Malformed) as caught:
        words({"access_token": value}, "access_token")
    assert caught.value.path == "access_token"


@pytest.mark.parametrize("value", [0, -1, "soon", 10**9, None])
def test_a_life_time_that_is_none_is_malformed(value):
    with pytest.raises(Malformed):
        life({"expires_in": value})


def test_life_times_come_as_numbers_and_as_texts():
    assert life({"expires_in": 1800}) == life({"expires_in": "1800"}) == timedelta(minutes=30)


def test_the_challenge_is_the_one_of_rfc_7636_appendix_b():
    assert challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert 43 <= len(new_verifier()) <= 128
    assert new_verifier() != new_verifier()
