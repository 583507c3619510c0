"""The short way in front of the web framework: the same answers, the same headers, the same deliveries."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client, TestResponse

from adapters.records import CRM
from tests.webhooks.factories import NOW, PATHS, MemoryInbox, MemoryPortals, sample, signed_headers
from webhooks.blueprint import create_blueprint
from webhooks.errors import InboxAway
from webhooks.lane import Lane
from webhooks.receiving import Reception

ALL = [CRM.HUBSPOT, CRM.BITRIX24, CRM.AMOCRM]
BASE = "https://app.example.com"
LARGEST = 20_000
HEADERS = (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "private, no-cache"))
SAMPLES = {CRM.HUBSPOT: "property-change", CRM.BITRIX24: "deal-update", CRM.AMOCRM: "lead-status"}


class Ways:
    """The same application with the lane and without, each with an inbox of its own."""

    def __init__(self, portals: MemoryPortals | None = None, trouble: Exception | None = None) -> None:
        self.inboxes = MemoryInbox(trouble=trouble), MemoryInbox(trouble=trouble)
        self.passed_on = 0
        portals = portals or MemoryPortals()
        receptions = [Reception(inbox, portals, lambda: NOW) for inbox in self.inboxes]
        self.short = Client(self._lane(self._flask(receptions[0]), receptions[0]), TestResponse)
        self.long = Client(self._flask(receptions[1]), TestResponse)

    def both(self, path: str, **words: Any) -> tuple[TestResponse, TestResponse]:
        return self.short.post(path, **words), self.long.post(path, **words)

    def _lane(self, app: Flask, reception: Reception) -> Lane:
        def passed_on(environ: dict[str, Any], start_response: Any) -> Any:
            self.passed_on += 1
            return app(environ, start_response)

        return Lane(passed_on, reception, BASE, max_body=LARGEST, is_expected=_is_expected, headers=HEADERS)

    def _flask(self, reception: Reception) -> Flask:
        app = Flask("test")
        app.register_blueprint(create_blueprint(reception, public_url=BASE, max_body=LARGEST))
        app.after_request(lambda response: (response.headers.extend(HEADERS), response)[1])
        return app


def _is_expected(environ: dict[str, Any]) -> bool:
    return environ["HTTP_HOST"] != "evil.example.com"


def authentic(crm: CRM) -> tuple[dict[str, str], bytes]:
    headers, body = sample(crm, SAMPLES[crm])
    return (signed_headers(body, url=BASE + PATHS[crm]), body) if crm is CRM.HUBSPOT else (headers, body)


def assert_alike(one: TestResponse, other: TestResponse) -> None:
    assert (one.status, one.data) == (other.status, other.data)
    assert sorted(one.headers) == sorted(other.headers)


@pytest.mark.parametrize("crm", ALL)
def test_an_authentic_delivery_is_taken_before_flask_and_kept_alike(crm: CRM) -> None:
    ways = Ways()
    headers, body = authentic(crm)
    short, long = ways.both(PATHS[crm], headers=headers, data=body)
    assert_alike(short, long)
    assert (short.status_code, ways.passed_on) == (200, 0)
    assert ways.inboxes[0].kept == ways.inboxes[1].kept
    assert len(ways.inboxes[0].kept) == 1


@pytest.mark.parametrize("crm", ALL)
def test_forged_deliveries_are_refused_alike(crm: CRM) -> None:
    ways = Ways(MemoryPortals(known={}))
    headers, body = authentic(crm)
    short, long = ways.both(PATHS[crm], headers=headers, data=body)
    assert_alike(short, long)
    assert (short.status_code, ways.passed_on) == (403, 0)


@pytest.mark.parametrize("body", [b"{}", b"[1]", b"\xff\xfe", b"[" * 5000])
def test_unreadable_bodies_are_refused_alike(body: bytes) -> None:
    ways = Ways()
    short, long = ways.both(PATHS[CRM.HUBSPOT], headers=signed_headers(body, url=BASE + PATHS[CRM.HUBSPOT]), data=body)
    assert_alike(short, long)
    assert (short.status_code, ways.passed_on) == (400, 0)


@pytest.mark.parametrize("trouble", [InboxAway("no database", retry_after=9), RuntimeError("a fault")])
@pytest.mark.parametrize("crm", ALL)
def test_our_own_faults_ask_for_the_event_again_alike(crm: CRM, trouble: Exception) -> None:
    ways = Ways(trouble=trouble)
    headers, body = authentic(crm)
    short, long = ways.both(PATHS[crm], headers=headers, data=body)
    assert_alike(short, long)
    assert (short.status_code, ways.passed_on) == (503, 0)
    assert "Retry-After" in short.headers


def test_a_body_that_ends_early_is_refused_and_not_stored() -> None:
    ways = Ways()
    headers, body = authentic(CRM.HUBSPOT)
    cut = {"input_stream": io.BytesIO(body[:-1]), "environ_overrides": {"CONTENT_LENGTH": str(len(body))}}
    short = ways.short.post(PATHS[CRM.HUBSPOT], headers=headers, **cut)
    assert (short.status_code, short.text, ways.passed_on) == (400, "Bad Request\n", 0)
    assert ways.inboxes[0].kept == {}


@pytest.mark.parametrize("fault", [ConnectionResetError(), ValueError()])
def test_a_wire_that_breaks_is_answered_and_not_stored(fault: Exception) -> None:
    class Broken(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise fault

    ways = Ways()
    more = {"input_stream": Broken(), "environ_overrides": {"CONTENT_LENGTH": "10"}}
    assert ways.short.post(PATHS[CRM.HUBSPOT], **more).status_code == 400
    assert (ways.inboxes[0].kept, ways.passed_on) == ({}, 0)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/webhooks/amocrm/", 404),
        ("/webhooks/amocrm", 404),
        ("/webhooks/amocrm/path-secret/x", 404),
        ("/webhooks/hubspot/", 404),
        ("/webhooks/hubspot/x", 404),
        ("/pages", 404),
    ],
)
def test_other_addresses_go_the_long_way(path: str, status: int) -> None:
    ways = Ways()
    short, long = ways.both(path, data=b"x")
    assert (short.status_code, long.status_code, ways.passed_on) == (status, status, 1)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_go_the_long_way(method: str) -> None:
    ways = Ways()
    ways.short.open(PATHS[CRM.BITRIX24], method=method, data=b"x")
    assert ways.passed_on == 1


@pytest.mark.parametrize(
    "overrides",
    [
        {"CONTENT_LENGTH": "0"},
        {"CONTENT_LENGTH": ""},
        {"CONTENT_LENGTH": "-1"},
        {"CONTENT_LENGTH": "٣"},  # a digit, but no ASCII
        {"CONTENT_LENGTH": str(LARGEST + 1)},
        {"CONTENT_LENGTH": "9" * 30},
        {"HTTP_TRANSFER_ENCODING": "chunked"},
        {"HTTP_HOST": "evil.example.com"},
        {"SCRIPT_NAME": "/rfm"},
        {"RAW_URI": "http://app.example.com/webhooks/hubspot"},
    ],
)
def test_whatever_is_out_of_the_ordinary_goes_the_long_way(overrides: dict[str, str]) -> None:
    ways = Ways()
    headers, body = authentic(CRM.HUBSPOT)
    ways.short.post(PATHS[CRM.HUBSPOT], headers=headers, data=body, environ_overrides=overrides)
    assert ways.passed_on == 1


def test_the_raw_path_and_query_are_signed() -> None:
    ways = Ways()
    _, body = sample(CRM.HUBSPOT, "property-change")
    target = "/webhooks/hubspot?a=%3A%20b"
    headers = signed_headers(body, url=BASE + target.replace("%3A", ":"))
    raw = {"RAW_URI": target, "REQUEST_URI": target}
    short, long = ways.both("/webhooks/hubspot?a=b", headers=headers, data=body, environ_overrides=raw)
    assert_alike(short, long)
    assert (short.status_code, ways.passed_on) == (200, 0)


def test_a_header_sent_twice_proves_nothing() -> None:
    ways = Ways()
    headers, body = authentic(CRM.HUBSPOT)
    twice = [*headers.items(), ("X-HubSpot-Signature-v3", headers["X-HubSpot-Signature-v3"])]
    short, long = ways.both(PATHS[CRM.HUBSPOT], headers=twice, data=body)
    assert_alike(short, long)
    assert short.status_code == 403
