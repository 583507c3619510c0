"""The three addresses: what is answered, and that it is stored before."""

from __future__ import annotations

import io
import logging
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from adapters.records import CRM
from tests.webhooks.factories import (
    NOW,
    PATHS,
    SECRET,
    MemoryInbox,
    MemoryPortals,
    application,
    sample,
    signed_headers,
)
from webhooks import signatures
from webhooks.deliveries import Endpoint, Resource, Secrets
from webhooks.errors import InboxAway

FORMS = {CRM.BITRIX24: "deal-update", CRM.AMOCRM: "lead-status"}
ALL = [CRM.HUBSPOT, CRM.BITRIX24, CRM.AMOCRM]
URL = "https://app.example.com/webhooks/hubspot"


def authentic(crm: CRM, name: str | None = None) -> tuple[dict[str, str], bytes]:
    if crm is CRM.HUBSPOT:
        _, body = sample(crm, name or "property-change")
        return signed_headers(body, url=URL), body
    return sample(crm, name or FORMS[crm])


def post(inbox: MemoryInbox, crm: CRM, *, portals: MemoryPortals | None = None, **settings: Any) -> TestResponse:
    headers, body = authentic(crm)
    return application(inbox, portals, **settings).test_client().post(PATHS[crm], headers=headers, data=body)


@pytest.mark.parametrize("crm", ALL)
def test_authentic_delivery_is_stored_raw_and_answered_200(crm: CRM) -> None:
    inbox = MemoryInbox()
    assert post(inbox, crm).status_code == 200
    [(delivery, notices)] = inbox.kept.values()
    assert delivery.body == authentic(crm)[1]
    assert (delivery.crm, delivery.endpoint, delivery.method, delivery.received_at) == (
        crm,
        Endpoint.EVENTS,
        "POST",
        NOW,
    )
    assert [each.resource for each in notices] == [Resource.DEAL]


@pytest.mark.parametrize("crm", ALL)
def test_same_delivery_again_is_answered_200_and_folded(crm: CRM) -> None:
    inbox = MemoryInbox()
    assert [post(inbox, crm).status_code for _ in range(3)] == [200, 200, 200]
    assert len(inbox.kept) == 1


@pytest.mark.parametrize("crm", ALL)
def test_forged_delivery_is_refused_and_not_stored(crm: CRM) -> None:
    inbox = MemoryInbox()
    headers, body = authentic(crm)
    forged = body.replace(b"TOKEN", b"WRONG") if crm is CRM.BITRIX24 else body + b" "
    path = PATHS[crm] + ("x" if crm is CRM.AMOCRM else "")
    answer = application(inbox).test_client().post(path, headers=headers, data=forged)
    assert answer.status_code == 403
    assert inbox.kept == {}


@pytest.mark.parametrize("crm", ALL)
def test_portal_that_nobody_knows_is_refused(crm: CRM) -> None:
    inbox = MemoryInbox()
    assert post(inbox, crm, portals=MemoryPortals(known={})).status_code == 403
    assert inbox.kept == {}


@pytest.mark.parametrize("offset", [timedelta(minutes=-6), timedelta(minutes=6)])
def test_hubspot_delivery_of_another_time_is_refused_and_not_stored(offset: timedelta) -> None:
    inbox = MemoryInbox()
    assert post(inbox, CRM.HUBSPOT, at=NOW + offset).status_code == 403
    assert inbox.kept == {}


def test_hubspot_accounts_that_nobody_knows_get_200_all_the_same() -> None:
    inbox = MemoryInbox()
    headers, body = authentic(CRM.HUBSPOT, "mixed-accounts")
    assert application(inbox).test_client().post(PATHS[CRM.HUBSPOT], headers=headers, data=body).status_code == 200
    [(_, notices)] = inbox.kept.values()
    assert {each.account_id for each in notices} == {"101", "202"}


def test_hubspot_second_secret_passes_during_rotation() -> None:
    portals = MemoryPortals(known={(CRM.HUBSPOT, ""): Secrets(("new", SECRET))})
    assert post(MemoryInbox(), CRM.HUBSPOT, portals=portals).status_code == 200


@pytest.mark.parametrize("body", [b"{}", b"[1]", b"\xff\xfe", b"", b"[" * 5000, b'[{"a":"\xc3"}]'])
def test_hubspot_body_that_is_authentic_but_unreadable_gets_400(body: bytes) -> None:
    inbox = MemoryInbox()
    headers = signed_headers(body, url=URL)
    assert application(inbox).test_client().post(PATHS[CRM.HUBSPOT], headers=headers, data=body).status_code == 400
    assert inbox.kept == {}


@pytest.mark.parametrize("crm", [CRM.BITRIX24, CRM.AMOCRM])
@pytest.mark.parametrize("body", [b"%ff=1", b"\xff", b"a" + b"[b]" * 50 + b"=1", b"k" * 600, b"&" * 200_000])
def test_form_that_no_crm_sends_gets_400(crm: CRM, body: bytes) -> None:
    inbox = MemoryInbox()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert application(inbox).test_client().post(PATHS[crm], headers=headers, data=body).status_code == 400
    assert inbox.kept == {}


@pytest.mark.parametrize("crm", ALL)
def test_body_beyond_the_limit_gets_413_and_at_the_limit_it_passes(crm: CRM) -> None:
    _, body = authentic(crm)
    inbox = MemoryInbox()
    assert post(inbox, crm, max_body=len(body) - 1).status_code == 413
    assert inbox.kept == {}
    assert post(inbox, crm, max_body=len(body)).status_code == 200


def test_endless_body_without_a_length_gets_413() -> None:
    answer = (
        application(MemoryInbox(), max_body=1000)
        .test_client()
        .post(
            PATHS[CRM.HUBSPOT],
            input_stream=io.BytesIO(b"x" * 100_000),
            environ_overrides={"wsgi.input_terminated": True},
        )
    )
    assert answer.status_code == 413


@pytest.mark.parametrize("crm", ALL)
def test_inbox_that_is_away_gets_503_with_the_time_to_wait(crm: CRM) -> None:
    answer = post(MemoryInbox(trouble=InboxAway("no database", retry_after=9)), crm)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "9")
    answer = post(MemoryInbox(), crm, portals=MemoryPortals(away=True))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")


@pytest.mark.parametrize("crm", ALL)
def test_fault_of_our_own_asks_for_the_event_again_and_logs_nothing_of_it(
    crm: CRM, caplog: pytest.LogCaptureFixture
) -> None:
    answer = post(MemoryInbox(trouble=RuntimeError("Ivan, +7 900 000-00-00")), crm)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "RuntimeError" in caplog.text
    assert "Ivan" not in caplog.text + answer.text


@pytest.mark.parametrize("crm", ALL)
def test_refusal_tells_and_logs_no_secret(crm: CRM, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answer = post(MemoryInbox(), crm, portals=MemoryPortals(known={}))
    for secret in ("path-secret", "TOKEN", SECRET, "demo"):
        assert secret not in caplog.text + answer.text


@pytest.mark.parametrize("crm", ALL)
def test_moderators_probe_gets_200_and_other_methods_405(crm: CRM) -> None:
    client = application(MemoryInbox()).test_client()
    assert client.head(PATHS[crm]).status_code == 200
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        assert client.open(PATHS[crm], method=method).status_code == 405


def test_path_without_a_secret_or_with_more_is_not_found() -> None:
    client = application(MemoryInbox()).test_client()
    for path in ("/webhooks/amocrm", "/webhooks/amocrm/", "/webhooks/amocrm/path-secret/x", "/webhooks/hubspot/"):
        assert client.post(path).status_code == 404


@pytest.mark.parametrize(
    ("public_url", "raw", "called"),
    [
        (
            "https://app.example.com",
            "/webhooks/hubspot?a=%3A%20b",
            "https://app.example.com/webhooks/hubspot?a=%3A%20b",
        ),
        ("https://app.example.com/", "/webhooks/hubspot", "https://app.example.com/webhooks/hubspot"),
        ("https://example.com/rfm", "/webhooks/hubspot", "https://example.com/rfm/webhooks/hubspot"),
        ("https://example.com/rfm", "/rfm/webhooks/hubspot", "https://example.com/rfm/webhooks/hubspot"),
        ("https://example.com/web", "/webhooks/hubspot", "https://example.com/web/webhooks/hubspot"),
        ("https://app.example.com", "//webhooks/hubspot", "https://app.example.com//webhooks/hubspot"),
    ],
)
def test_signature_counts_the_public_url_with_the_raw_path(public_url: str, raw: str, called: str) -> None:
    _, body = sample(CRM.HUBSPOT, "property-change")
    answer = (
        application(MemoryInbox(), public_url=public_url)
        .test_client()
        .post(
            "/webhooks/hubspot",
            headers=signed_headers(body, url=called.replace("%3A", ":")),
            data=body,
            environ_overrides={"RAW_URI": raw, "REQUEST_URI": raw},
        )
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("raw", ["", "http://other.example.com/webhooks/hubspot?a=b%20c"])
def test_url_is_put_together_where_the_server_gives_no_raw_one(raw: str) -> None:
    _, body = sample(CRM.HUBSPOT, "property-change")
    answer = (
        application(MemoryInbox())
        .test_client()
        .post(
            "/webhooks/hubspot?a=b%20c",
            headers=signed_headers(body, url=f"{URL}?a=b%20c"),
            data=body,
            environ_overrides={"RAW_URI": raw, "REQUEST_URI": raw},
        )
    )
    assert answer.status_code == 200


def test_without_a_public_url_the_host_that_was_called_counts() -> None:
    _, body = sample(CRM.HUBSPOT, "property-change")
    client = application(MemoryInbox(), public_url=None).test_client()
    headers = signed_headers(body, url="http://localhost/webhooks/hubspot")
    assert client.post(PATHS[CRM.HUBSPOT], headers=headers, data=body).status_code == 200
    elsewhere = {**headers, "Host": "evil.example.com"}
    assert client.post(PATHS[CRM.HUBSPOT], headers=elsewhere, data=body).status_code == 403


def test_only_headers_that_prove_or_describe_are_kept() -> None:
    inbox = MemoryInbox()
    headers, body = authentic(CRM.HUBSPOT)
    answer = (
        application(inbox)
        .test_client()
        .post(
            PATHS[CRM.HUBSPOT], headers={**headers, "Cookie": "session=1", "X-Forwarded-For": "203.0.113.1"}, data=body
        )
    )
    assert answer.status_code == 200
    [(delivery, _)] = inbox.kept.values()
    assert set(delivery.headers) == {"content-type", "x-hubspot-signature-v3", "x-hubspot-request-timestamp"}


def test_header_sent_twice_proves_nothing() -> None:
    headers, body = authentic(CRM.HUBSPOT)
    twice = [*headers.items(), ("X-HubSpot-Signature-v3", headers["X-HubSpot-Signature-v3"])]
    assert (
        application(MemoryInbox()).test_client().post(PATHS[CRM.HUBSPOT], headers=twice, data=body).status_code == 403
    )


def test_older_signature_alone_is_refused() -> None:
    _, body = sample(CRM.HUBSPOT, "property-change")
    headers = {"X-HubSpot-Signature": signatures.hubspot_v1(SECRET, body), "X-HubSpot-Signature-Version": "v1"}
    assert (
        application(MemoryInbox()).test_client().post(PATHS[CRM.HUBSPOT], headers=headers, data=body).status_code == 403
    )
