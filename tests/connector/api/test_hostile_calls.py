"""What strangers send to robots, workflow actions and cards: the right 4xx, never 5xx, and nothing is stored."""

from __future__ import annotations

import base64
import hmac
import json
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.api.lazily import ServiceWhenNeeded
from connector.app import create_app
from connector.config import Config
from connector.errors import DatabaseAway
from connector.wiring import utc_now
from tests.connector.api.bench import FORM
from tests.connector.factories import KEY, keep_portal, rows

BASE = "https://rfm.example"
SECRET = "hs"
ROUTES = (
    "/robots/bitrix24/rfm_score",
    "/robots/bitrix24/rfm_segment",
    "/actions/hubspot/rfm-score",
    "/actions/hubspot/rfm-segment",
    "/card/hubspot",
    "/card/bitrix24",
    "/card/amocrm",
)
WORDS = (
    "auth[member_id]", "auth[application_token]", "event_token", "use_subscription", "document_id[2]", "code", "ts",
    "member_id", "AUTH_ID", "REFRESH_ID", "AUTH_EXPIRES", "APPLICATION_TOKEN", "PLACEMENT", "PLACEMENT_OPTIONS",
    "SERVER_ENDPOINT", "portalId", "objectId", "objectType", "objectTypeId", "language", "type", "id", "lang",
)  # fmt: skip
PRETTY = st.sampled_from(
    ["m" * 32, "DEAL_7", "CRM_DEAL_DETAIL_TAB", '{"ID":"7"}', "[]", "{", "101", "0-1", "contact", "N", "\x00", "😀",
     "%ff", "9" * 40, "-1", "a" * 5000, "null", "1e9", "../..", "{{7*7}}"]
)  # fmt: skip
PAIRS = st.lists(st.tuples(st.sampled_from(WORDS), PRETTY | st.text(max_size=30)), max_size=14)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | PRETTY,
    lambda deeper: (
        st.lists(deeper, max_size=4)
        | st.dictionaries(
            st.sampled_from([*WORDS, "callbackId", "origin", "object", "inputFields"]) | st.text(max_size=8),
            deeper,
            max_size=6,
        )
    ),
    max_leaves=12,
)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def client(database, tmp_path):
    """All three apps set up and a portal of each kept, with vendors that cannot be reached."""
    config = Config(
        database_url=database.url,
        encryption_keys=(KEY,),
        secret_key="s" * 32,
        var_dir=tmp_path,
        public_url=BASE,
        hubspot_client_id="h",
        hubspot_client_secret=SECRET,
        bitrix24_client_id="b",
        bitrix24_client_secret="bs",
        bitrix24_oauth_url="http://127.0.0.1:9",
        amocrm_client_id="a",
        amocrm_client_secret="as",
    )
    for crm, account in (("hubspot", "101"), ("bitrix24", "m" * 32), ("amocrm", "7")):
        keep_portal(database, crm, crm=crm, account_id=account)
    app = create_app(config, background=lambda work: None)
    yield app.test_client()
    app.extensions["pages"].database().close()


def nothing_stored(database):
    tables = ("calls", "spent_tokens", "inbox", "arrivals", "work", "audit")
    return all(rows(database, f"SELECT count(*) FROM {table}") == [0] for table in tables)


def signed(method, target, body):
    """What only HubSpot can add."""
    stamp = str(round(utc_now().timestamp() * 1000))
    text = f"{method}{BASE}{target}".encode() + body + stamp.encode()
    mac = base64.b64encode(hmac.digest(SECRET.encode(), text, "sha256")).decode()
    return {"X-HubSpot-Signature-v3": mac, "X-HubSpot-Request-Timestamp": stamp}


@FUZZ
@given(
    route=st.sampled_from(ROUTES),
    query=PAIRS,
    body=st.binary(max_size=120) | PAIRS.map(lambda pairs: urlencode(pairs, errors="surrogatepass").encode()),
    kind=st.sampled_from([FORM, "application/json", "", "text/plain", f"{FORM}; charset=cp1251"]),
    token=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60),
)
def test_what_is_not_proven_is_refused_and_not_stored(client, database, route, query, body, kind, token):
    told = client.post(
        f"{route}?{urlencode(query, errors='surrogatepass')}",
        data=body,
        content_type=kind,
        headers={
            "X-Auth-Token": token,
            "X-HubSpot-Signature-v3": token,
            "X-HubSpot-Request-Timestamp": "1790000000000",
        },
        base_url=BASE,
    )
    assert told.status_code in {400, 401, 403}
    assert nothing_stored(database)


@FUZZ
@given(route=st.sampled_from(["/actions/hubspot/rfm-segment", "/card/hubspot"]), body=JSON)
def test_signed_bodies_of_any_shape_are_never_a_fault_of_ours(client, database, route, body):
    raw = json.dumps(body).encode()
    told = client.post(
        route, data=raw, content_type="application/json", headers=signed("POST", route, raw), base_url=BASE
    )
    assert told.status_code in {200, 400, 403}
    assert nothing_stored(database)


@FUZZ
@given(query=PAIRS)
def test_signed_queries_of_any_shape_are_never_a_fault_of_ours(client, query):
    target = f"/card/hubspot?{urlencode(query, errors='surrogatepass')}"
    told = client.get(target, headers=signed("GET", target, b""), base_url=BASE, environ_overrides={"RAW_URI": target})
    assert told.status_code in {200, 400, 403}


@pytest.mark.parametrize("route", ROUTES)
def test_a_body_that_is_too_large_is_refused(client, route):
    told = client.post(route, data=b"a=" + b"b" * 300_000, content_type=FORM, base_url=BASE)
    assert told.status_code == 413


@pytest.mark.parametrize("body", [b"[" * 50_000, b'{"a":' * 10_000, b"a[b]" * 10_000, b"a[b][c][d]=1&" * 4000])
@pytest.mark.parametrize("route", ROUTES)
def test_deep_nesting_is_refused(client, database, route, body):
    headers = signed("POST", route, body)
    for kind in (FORM, "application/json"):
        told = client.post(route, data=body, content_type=kind, headers=headers, base_url=BASE)
        assert told.status_code in {400, 403}
    assert nothing_stored(database)


@pytest.mark.parametrize("route", ROUTES)
def test_looking_whether_an_address_is_there_changes_nothing(client, database, route):
    assert client.head(route, base_url=BASE).status_code == 200
    assert nothing_stored(database)


@pytest.mark.parametrize("route", ROUTES)
def test_strange_host_names_are_refused_here_too(client, route):
    assert client.post(route, base_url="https://evil.example").status_code == 421


def test_missing_settings_are_named(database, tmp_path):
    app = create_app(Config(database_url=database.url, encryption_keys=(KEY,), var_dir=tmp_path))
    for path, name in (
        ("/card/hubspot", "HUBSPOT_CLIENT_SECRET"),
        ("/actions/hubspot/rfm-score", "HUBSPOT_CLIENT_SECRET"),
        ("/card/amocrm", "AMOCRM_CLIENT_SECRET"),
    ):
        told = app.test_client().post(path)
        assert told.status_code == 503
        assert name in told.text
        assert told.headers["Retry-After"]


def test_a_database_that_is_away_is_503_and_no_fault(client, monkeypatch):
    def away(_):
        raise DatabaseAway("the database is away")

    monkeypatch.setattr(ServiceWhenNeeded, "__call__", away)
    for route in ROUTES:
        told = client.post(route, base_url=BASE)
        assert told.status_code == 503, route
