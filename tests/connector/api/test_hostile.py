"""What strangers send: the right 4xx, never 5xx, and nothing is stored."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.records import CRM
from connector.api import starts
from connector.app import create_app
from connector.config import Config
from connector.secrets import Vault
from connector.store import codes
from connector.wiring import utc_now
from tests.connector.api.bench import FORM, ask
from tests.connector.factories import KEY, rows
from tests.fuzz.hostile import QUERY

ROUTES = (
    ("GET", "/oauth/hubspot/start"),
    ("GET", "/oauth/hubspot/callback"),
    ("GET", "/oauth/amocrm/start"),
    ("GET", "/oauth/amocrm/callback"),
    ("GET", "/uninstall/amocrm"),
    ("POST", "/install/bitrix24"),
)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def client(database, tmp_path):
    """All three apps set up, with vendors that cannot be reached: whatever needs them must be refused before."""
    config = Config(
        database_url=database.url,
        encryption_keys=(KEY,),
        secret_key="s" * 32,
        var_dir=tmp_path,
        public_url="https://rfm.example",
        hubspot_client_id="h",
        hubspot_client_secret="hs",
        bitrix24_client_id="b",
        bitrix24_client_secret="bs",
        bitrix24_oauth_url="http://127.0.0.1:9",
        amocrm_client_id="a",
        amocrm_client_secret="as",
    )
    app = create_app(config, background=lambda work: None)
    yield app.test_client()
    app.extensions["pages"].database().close()


def nothing_stored(database):
    tables = ("portals", "audit", "arrivals", "inbox", "work")
    return all(rows(database, f"SELECT count(*) FROM {table}") == [0] for table in tables)


@FUZZ
@given(pairs=QUERY, route=st.sampled_from(ROUTES))
def test_random_queries_are_never_a_fault_of_ours(client, database, pairs, route):
    method, path = route
    told = client.open(
        f"{path}?{urlencode(pairs, errors='surrogatepass')}", method=method, base_url="https://rfm.example"
    )
    starts_now = path.endswith("/start")
    kept = path == "/oauth/amocrm/callback" and told.status_code == 200
    assert told.status_code == 302 if starts_now else told.status_code in {400, 403} or kept
    assert nothing_stored(database)


@FUZZ
@given(pairs=QUERY, noise=st.binary(max_size=60), kind=st.sampled_from([FORM, "application/json", "", "text/plain"]))
def test_random_bodies_are_never_a_fault_of_ours(client, database, pairs, noise, kind):
    body = urlencode(pairs, errors="surrogatepass").encode() + noise
    told = client.post(
        "/install/bitrix24?DOMAIN=x.bitrix24.ru", data=body, content_type=kind, base_url="https://rfm.example"
    )
    assert told.status_code in {400, 403}
    assert nothing_stored(database)


@pytest.mark.parametrize("path", ["/webhooks/hubspot", "/webhooks/bitrix24", "/webhooks/amocrm/guess"])
@FUZZ
@given(body=st.binary(max_size=200) | QUERY.map(lambda pairs: urlencode(pairs, errors="surrogatepass").encode()))
def test_unproven_events_are_refused_and_not_stored(client, database, path, body):
    told = client.post(path, data=body, content_type=FORM, base_url="https://rfm.example")
    assert told.status_code in {400, 401, 403}
    assert nothing_stored(database)


def test_a_body_that_is_too_large_is_refused(client):
    told = client.post(
        "/install/bitrix24", data=b"a=" + b"b" * 100_000, content_type=FORM, base_url="https://rfm.example"
    )
    assert told.status_code == 413


def test_a_form_with_too_many_fields_is_refused(client):
    told = client.post("/install/bitrix24", data=b"a=1&" * 300, content_type=FORM, base_url="https://rfm.example")
    assert told.status_code == 400


@pytest.mark.parametrize("path", [path for _, path in ROUTES])
def test_looking_whether_an_address_is_there_changes_nothing(client, database, path):
    told = client.head(f"{path}?code=c&referer=shop.amocrm.ru", base_url="https://rfm.example")
    assert told.status_code in {200, 302}
    assert nothing_stored(database)
    assert rows(database, "SELECT count(*) FROM install_codes") == [0]


def test_the_page_for_bitrix24_says_where_it_opens(client):
    told = client.get("/install/bitrix24", base_url="https://rfm.example", headers={"Accept-Language": "ru"})
    assert told.status_code == 200
    assert "внутри портала" in told.text


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/oauth/hubspot/start", ["HUBSPOT_CLIENT_ID", "HUBSPOT_CLIENT_SECRET", "PUBLIC_URL"]),
        ("/oauth/hubspot/callback?code=1&state=2", ["HUBSPOT_CLIENT_ID"]),
        ("/oauth/amocrm/start", ["AMOCRM_CLIENT_ID", "AMOCRM_CLIENT_SECRET", "PUBLIC_URL"]),
        ("/oauth/amocrm/callback?code=1", ["AMOCRM_CLIENT_ID"]),
        ("/uninstall/amocrm?account_id=1", ["AMOCRM_CLIENT_SECRET"]),
    ],
)
def test_missing_settings_are_named(database, tmp_path, path, names):
    app = create_app(Config(database_url=database.url, encryption_keys=(KEY,), var_dir=tmp_path))
    told = app.test_client().get(path)
    assert told.status_code == 503
    assert all(name in told.text for name in names)


def test_missing_settings_of_bitrix24_are_named(database, tmp_path):
    app = create_app(Config(database_url=database.url, encryption_keys=(KEY,), var_dir=tmp_path))
    told = app.test_client().post("/install/bitrix24", data={"member_id": "m"})
    assert told.status_code == 503
    assert "BITRIX24_CLIENT_ID, BITRIX24_CLIENT_SECRET" in told.text


@pytest.mark.parametrize("path", ["/oauth/hubspot/start", "/install/bitrix24", "/webhooks/hubspot"])
def test_strange_host_names_are_refused_here_too(client, path):
    assert client.get(path, base_url="https://evil.example").status_code == 421


# --- the state -----------------------------------------------------------------------------------------------------


def test_a_code_without_our_cookie_or_with_another_state_is_not_exchanged(hubspot):
    told = hubspot.browser.get(f"{hubspot.url}/oauth/hubspot/start")
    back = hubspot.browser.get(told.headers["Location"]).headers["Location"]
    without = ask("GET", back)
    assert without.status == 403
    state = parse_qs(urlsplit(back).query)["state"][0]
    assert hubspot.browser.get(back.replace(state, "x" + state[1:])).status == 403
    assert hubspot.is_empty()
    assert hubspot.browser.get(back).status == 200


@pytest.mark.parametrize("stage", [CRM.HUBSPOT, CRM.AMOCRM], indirect=True, ids=str)
def test_a_way_back_that_was_used_works_no_second_time(stage):
    told = stage.browser.get(f"{stage.url}/oauth/{stage.crm.value}/start")
    kept = dict(stage.browser.cookies)
    back = stage.browser.get(told.headers["Location"]).headers["Location"]
    assert stage.browser.get(back).status == 200
    assert stage.browser.get(back).status == 403
    stage.browser.cookies = kept
    assert stage.browser.get(back).status == 403
    assert stage.audit().count("portal.installed") == 1
    assert "portal.reinstalled" not in stage.audit()


@pytest.mark.parametrize(
    ("after", "good"), [(timedelta(0), True), (starts.LIVES, True), (starts.LIVES + timedelta(seconds=1), False)]
)
def test_a_start_is_good_for_ten_minutes(client, after, good):
    vault, now = Vault((KEY,)), utc_now()
    begun = starts.begun(CRM.HUBSPOT)
    cookie = vault.seal(
        {"kind": "install", "crm": "hubspot", "state": begun.state, "verifier": "v", "at": now.isoformat()}
    ).decode()
    found = starts.recalled(cookie, vault, CRM.HUBSPOT, begun.state, now + after)
    assert (found is not None) is good
    assert starts.recalled(cookie, vault, CRM.AMOCRM, begun.state, now) is None
    assert starts.recalled(cookie, vault, CRM.HUBSPOT, "", now) is None


def test_a_sealed_text_of_another_kind_is_no_start():
    vault, now = Vault((KEY,)), utc_now()
    cookie = vault.seal({"secret": "s", "state": "s", "crm": "hubspot", "at": now.isoformat()}).decode()
    assert starts.recalled(cookie, vault, CRM.HUBSPOT, "s", now) is None


# --- amoCRM's marketplace ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1:1",
        "amocrm.ru.evil.example",
        "shop.amocrm.ru@evil.example",
        "169.254.169.254",
        "",
        "shop.amocrm.ru/x",
        "[::1]:1",
    ],
)
def test_our_secret_goes_to_amocrms_hosts_only(amocrm, host):
    told = ask("GET", f"{amocrm.url}/oauth/amocrm/callback?" + urlencode({"code": "c", "referer": host}))
    assert told.status == 403
    assert amocrm.is_empty()
    assert amocrm.portal.requests == 0


def test_an_invented_code_leaves_nothing_behind(amocrm):
    host = urlsplit(amocrm.crm_url).netloc
    asked = urlencode({"code": "invented", "referer": host, "from_widget": "1"})
    assert ask("GET", f"{amocrm.url}/oauth/amocrm/callback?{asked}").status == 200
    amocrm.later.do()
    assert amocrm.is_empty()


def test_a_code_told_twice_is_one_and_a_used_one_is_nothing(amocrm):
    host = urlsplit(amocrm.crm_url).netloc
    amocrm.portal.oauth.install_widget(host)
    url = f"{amocrm.url}/oauth/amocrm/callback?" + urlencode({"code": "again", "referer": host})
    assert ask("GET", url).status == ask("GET", url).status == 200
    assert rows(amocrm.database, "SELECT count(*) FROM install_codes") == [2]
    amocrm.later.do()
    assert amocrm.audit().count("portal.installed") == 1
    assert ask("GET", url).status == 200
    amocrm.later.do()
    assert amocrm.audit().count("portal.reinstalled") == 0


def test_strangers_cannot_fill_the_table_of_codes(amocrm, monkeypatch):
    monkeypatch.setattr(codes, "MOST", 2)
    host = urlsplit(amocrm.crm_url).netloc
    status = [
        ask("GET", f"{amocrm.url}/oauth/amocrm/callback?" + urlencode({"code": str(n), "referer": host})).status
        for n in range(4)
    ]
    assert status == [200, 200, 429, 429]
    assert rows(amocrm.database, "SELECT count(*) FROM install_codes") == [2]


def test_a_code_for_another_integration_is_refused(amocrm):
    told = ask("GET", f"{amocrm.url}/oauth/amocrm/callback?code=c&referer=shop.amocrm.ru&client_id=other")
    assert told.status == 403
    assert amocrm.is_empty()


# --- Bitrix24's page -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"AUTH_ID": "invented"}, 403),
        ({"member_id": "0" * 32}, 403),
        ({"SERVER_ENDPOINT": "https://evil.example/rest/"}, 403),
        ({"SERVER_ENDPOINT": "http://127.0.0.1:1/rest/"}, 403),
        ({"AUTH_EXPIRES": "soon"}, 400),
        ({"AUTH_ID": ""}, 400),
    ],
)
def test_a_forged_page_installs_nothing(bitrix24, change, status):
    bitrix24.portal.oauth.install()
    assert bitrix24.open_page(**change).status == status
    assert bitrix24.is_empty()


def test_a_page_of_another_domain_installs_nothing(bitrix24):
    bitrix24.portal.oauth.install()
    assert bitrix24.open_page(query={"DOMAIN": "other.bitrix24.ru"}).status == 403
    assert bitrix24.is_empty()


def test_a_token_of_another_app_installs_nothing(bitrix24):
    oauth = bitrix24.portal.oauth
    oauth.install()
    oauth.client_id = "app.other"
    assert bitrix24.open_page().status == 403
    assert bitrix24.is_empty()


def test_a_forged_page_cannot_change_a_portal_that_is_there(bitrix24):
    bitrix24.install()
    before = rows(bitrix24.database, "SELECT p::text FROM portals p")
    assert bitrix24.open_page(AUTH_ID="invented", APPLICATION_TOKEN="mine").status == 403
    assert rows(bitrix24.database, "SELECT p::text FROM portals p") == before


def test_a_refused_page_is_shown_in_the_frame_of_a_bitrix24_portal_and_of_nobody_else(client):
    for domain, ancestors in (
        ("x.bitrix24.ru", "'self' https://x.bitrix24.ru"),
        ("evil.example", "'none'"),
        ("", "'none'"),
    ):
        told = client.post(f"/install/bitrix24?DOMAIN={domain}", data={"a": "b"}, base_url="https://rfm.example")
        assert told.status_code == 400
        assert told.headers["Content-Security-Policy"].endswith(f"frame-ancestors {ancestors}")


def test_events_of_the_app_that_are_unknown_or_unproven_are_refused(bitrix24):
    bitrix24.install()
    form = bitrix24.portal.oauth.event_form("ONAPPTEST")
    assert bitrix24.post("/install/bitrix24", form).status == 400
    forged = {**bitrix24.portal.oauth.event_form("ONAPPINSTALL"), "auth[access_token]": "x"}
    assert bitrix24.post("/install/bitrix24", forged).status == 403
