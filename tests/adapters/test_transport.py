"""The one way out: what is repeated, how long it waits, what is counted, and that no secret is logged."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from io import BytesIO

import pytest
import requests
from urllib3 import HTTPResponse

from adapters.budget import Budget, LocalStates, Rolling
from adapters.errors import (
    CRMError,
    Gone,
    Interrupted,
    Malformed,
    RateLimited,
    TokenExpired,
    Unavailable,
)
from adapters.hosts import HostPolicy, HostRefused
from adapters.records import CRM
from adapters.transport import Answer, Call, Signed, Transport

SECRET = "secret0token0in0the0url"
READ = Call("GET", "/things", label="things")
WRITE = Call("POST", "/things", json={"a": 1}, repeatable=False)


@dataclass
class Clock:
    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Vendor:
    """A dialect whose answers are given in advance: a status, an error of the network, or a ready fault."""

    clock: Clock
    script: list[object] = field(default_factory=list)
    limit: int = 100
    tokens: list[str] = field(default_factory=lambda: ["old"])
    crm: CRM = CRM.HUBSPOT
    url: str = f"https://api.hubapi.com/{SECRET}"
    sent: list[tuple[str, str, dict]] = field(default_factory=list)
    learned: int = 0
    body: bytes = b'{"ok": true}'

    def __post_init__(self):
        self.budget = Budget({"core": Rolling(self.limit, 1.0)}, LocalStates(self.clock))

    def token(self):
        return self.tokens[-1]

    def renew(self, stale):
        if stale == "dead":
            raise TokenExpired("cannot be renewed")
        self.tokens.append("new")

    def sign(self, call, token):
        return Signed(self.url, {"Authorization": f"Bearer {token}"}, json=call.json)

    def learn(self, call, answer):
        self.learned += 1

    def fault(self, call, answer):
        return {
            200: None,
            401: TokenExpired("refused", status=401),
            404: Gone("gone", status=404),
            429: RateLimited("slow", status=429, retry_after=7.0),
            430: RateLimited("slow", status=430),
            500: Unavailable("down", status=500),
            503: Unavailable("down", status=503, retry_after=33.0),
        }[answer.status]

    def request(self, method, url, **words):
        self.sent.append((method, url, words))
        turn = self.script.pop(0) if self.script else 200
        if isinstance(turn, Exception):
            raise turn
        response = requests.Response()
        response.status_code = turn
        response.raw = HTTPResponse(BytesIO(self.body), preload_content=False)
        return response


def bench(*script, **words):
    clock = Clock()
    vendor = Vendor(clock, list(script), **words)
    transport = Transport(HostPolicy(), sleep=clock.sleep, clock=clock)
    transport._session.request = vendor.request
    return transport, vendor, clock


# --- what is repeated ----------------------------------------------------------------------------------------------


def test_a_good_call_is_sent_once_and_counted():
    transport, vendor, clock = bench()
    assert transport.send(READ, vendor).json() == {"ok": True}
    assert (transport.counters.requests, transport.counters.throttled, clock.slept) == (1, 0, [])
    method, url, words = vendor.sent[0]
    assert (method, url, words["allow_redirects"]) == ("GET", vendor.url, False)
    assert words["timeout"][1] > words["timeout"][0] > 0


@pytest.mark.parametrize("trouble", [500, 503, requests.ConnectionError(), requests.Timeout()])
def test_trouble_is_repeated_until_it_passes(trouble):
    transport, vendor, _ = bench(trouble, trouble)
    transport.send(READ, vendor)
    assert transport.counters.requests == 3


@pytest.mark.parametrize("trouble", [500, 503, requests.ConnectionError(), requests.exceptions.ChunkedEncodingError()])
def test_an_unanswered_call_that_may_not_be_repeated_is_not(trouble):
    transport, vendor, _ = bench(trouble)
    with pytest.raises((Unavailable, Interrupted)):
        transport.send(WRITE, vendor)
    assert transport.counters.requests == 1


def test_a_call_that_was_told_to_slow_down_was_not_carried_out_and_is_always_repeated():
    transport, vendor, clock = bench(429, 430)
    transport.send(WRITE, vendor)
    assert (transport.counters.requests, transport.counters.throttled) == (3, 2)
    waits = [seconds for seconds in clock.slept if seconds]
    assert waits == [pytest.approx(7.0), pytest.approx(1.0)], "as long as the CRM asked, else a second"


def test_what_is_final_is_raised_at_once():
    transport, vendor, clock = bench(404)
    with pytest.raises(Gone):
        transport.send(READ, vendor)
    assert (transport.counters.requests, clock.slept) == (1, [])


def test_after_enough_tries_the_last_error_is_raised():
    transport, vendor, _ = bench(*[500] * 20)
    with pytest.raises(Unavailable):
        transport.send(READ, vendor)
    assert 3 <= transport.counters.requests <= 10


def test_waits_grow_with_jitter_and_the_crms_own_wait_wins():
    transport, vendor, clock = bench(500, 500, 500, 503)
    transport.send(READ, vendor)
    first, second, third, told = clock.slept
    assert 0 < first < 1
    assert first / 2 < second < 2
    assert 1 <= third <= 2
    assert told == 33.0


def test_patience_ends_a_call_that_would_wait_too_long():
    clock = Clock()
    vendor = Vendor(clock, [503] * 9)
    transport = Transport(HostPolicy(), patience=40.0, sleep=clock.sleep, clock=clock)
    transport._session.request = vendor.request
    with pytest.raises(Unavailable):
        transport.send(READ, vendor)
    assert (transport.counters.requests, clock.slept) == (2, [33.0])


def test_a_limit_that_leaves_no_room_within_the_patience_says_how_long_to_wait():
    clock = Clock()
    vendor = Vendor(clock, limit=1)
    transport = Transport(HostPolicy(), patience=0.5, sleep=clock.sleep, clock=clock)
    transport._session.request = vendor.request
    transport.send(READ, vendor)
    with pytest.raises(RateLimited) as caught:
        transport.send(READ, vendor)
    assert caught.value.retry_after == pytest.approx(1.03, abs=0.01)
    assert transport.counters.requests == 1


# --- limits, tokens, hosts -----------------------------------------------------------------------------------------


def test_calls_keep_within_the_budget():
    transport, vendor, clock = bench(limit=3)
    moments = []
    for _ in range(7):
        transport.send(READ, vendor)
        moments.append(clock.now)
    assert all(later - first >= 1.0 for first, later in zip(moments, moments[3:], strict=False))


def test_several_calls_are_answered_in_their_order():
    transport, vendor, _ = bench()
    answers = transport.send_all([READ] * 5, vendor)
    assert [answer.status for answer in answers] == [200] * 5
    assert transport.counters.requests == 5
    transport.close()


def test_a_stale_token_is_renewed_once():
    transport, vendor, _ = bench(401)
    transport.send(READ, vendor)
    assert [words["headers"]["Authorization"] for _, _, words in vendor.sent] == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize("tokens", [["old"], ["dead"]])
def test_a_token_that_stays_refused_is_lost(tokens):
    transport, vendor, _ = bench(401, 401, 401, tokens=tokens)
    with pytest.raises(TokenExpired):
        transport.send(READ, vendor)
    assert transport.counters.requests <= 2


def test_no_request_leaves_for_a_host_that_is_not_the_vendors():
    transport, vendor, _ = bench(url="https://evil.example/")
    with pytest.raises(HostRefused):
        transport.send(READ, vendor)
    assert vendor.sent == []
    assert transport.counters.requests == 0


def test_a_body_is_json_and_a_form_stays_a_form():
    transport, vendor, _ = bench()
    transport.send(WRITE, vendor)
    transport.send(Call("POST", "/x", form={"a": "1"}, query=[("b", "2")]), vendor)
    assert vendor.sent[0][2]["data"] == b'{"a":1}'
    assert vendor.sent[0][2]["headers"]["Content-Type"] == "application/json"
    assert (vendor.sent[1][2]["data"], vendor.sent[1][2]["params"]) == ({"a": "1"}, [("b", "2")])


def test_an_answer_that_is_not_json_is_malformed():
    with pytest.raises(Malformed):
        Answer(200, {}, b"<html>").json()


class Dripping(BytesIO):
    """A body that comes byte by byte, ten seconds apart."""

    passed = 0.0

    def read1(self, size=-1, /):
        """The next byte."""
        Dripping.passed += 10
        return super().read1(1)


def test_an_endless_answer_is_given_up_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr("adapters.transport._LARGEST", 1000)
    transport, vendor, _ = bench(body=b"[" * 100_000)
    with pytest.raises(Malformed, match="larger"):
        transport.send(READ, vendor)
    assert transport.counters.requests == 1


def test_an_answer_that_drips_is_given_up(monkeypatch):
    monkeypatch.setattr("tests.adapters.test_transport.BytesIO", Dripping)
    monkeypatch.setattr("adapters.transport.time.monotonic", lambda: Dripping.passed)
    transport, vendor, _ = bench(body=b"[" * 100)
    with pytest.raises(Interrupted, match="did not answer"):
        transport.send(WRITE, vendor)
    assert len(vendor.sent) == 1
    assert Dripping.passed < 200


# --- who watches, who forbids --------------------------------------------------------------------------------------


def test_each_request_is_told_with_its_label_and_the_kind_of_its_answer():
    transport, vendor, _ = bench(429, 503, requests.Timeout(), 404)
    told = []
    transport._watch = lambda label, status, seconds: told.append((label, status, seconds >= 0))
    with pytest.raises(Gone):
        transport.send(READ, vendor)
    assert told == [("things", kind, True) for kind in ("429", "5xx", "none", "4xx")]


def test_once_sending_is_forbidden_nothing_is_sent_any_more():
    transport, vendor, _ = bench()

    def forbid():
        raise KeyError("lost")

    transport.send(READ, vendor)
    transport._guard = forbid
    with pytest.raises(KeyError):
        transport.send(READ, vendor)
    assert (len(vendor.sent), transport.counters.requests) == (1, 1)


# --- secrets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "turn", [200, 404, 500, requests.ConnectionError(f"https://h/{SECRET}"), requests.exceptions.InvalidURL(SECRET)]
)
def test_neither_log_nor_error_has_the_url_or_the_token(caplog, turn):
    transport, vendor, _ = bench(turn, tokens=["bearer0token"])
    text = ""
    with caplog.at_level(logging.DEBUG):
        try:
            transport.send(WRITE, vendor)
        except CRMError as error:
            text = f"{error!r} {error.__cause__!r} {error.__suppress_context__}"
    assert SECRET not in caplog.text + text
    assert "bearer0token" not in caplog.text + text
    if text:
        assert text.endswith("None True") or turn in {404, 500}


def test_a_line_in_the_log_has_the_label_the_status_and_no_body(caplog):
    transport, vendor, _ = bench()
    with caplog.at_level(logging.DEBUG, logger="rfm.http"):
        transport.send(READ, vendor)
    assert "hubspot things → 200" in caplog.text
    assert "ok" not in caplog.text
