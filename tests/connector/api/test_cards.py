"""The card's tab and widgets, with each CRM's sandbox over HTTP: shown after a proof, to whom it may be shown."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

import pytest

from adapters.records import CRM
from connector.jobs import loop
from connector.wiring import utc_now
from sandbox.posting import post_form
from tests.connector.api.bench import ask
from tests.connector.factories import execute, rows

TABS = {
    "contact": "CRM_CONTACT_DETAIL_TAB",
    "company": "CRM_COMPANY_DETAIL_TAB",
    "deal": "CRM_DEAL_DETAIL_TAB",
}


def installed(stage):
    stage.install()
    loop.run_portal(stage.service, stage.kept().name)
    return stage


def scored(stage, kind=None):
    """A customer with a score: kind, id and the score's row."""
    which = "" if kind is None else f"AND c.kind = '{kind}'"
    (found,) = rows(
        stage.database,
        "SELECT c.kind, c.external_id, s.segment, s.code, s.r, s.f, s.m, c.number FROM scores s"
        f" JOIN customers c USING (portal_id) WHERE c.number = s.customer {which} ORDER BY s.m DESC, c.number LIMIT 1",
    )
    return found


def deal_of(stage, number):
    newest = "SELECT external_id FROM orders WHERE customer = :n AND source = 'deals' ORDER BY day DESC LIMIT 1"
    return rows(stage.database, newest, n=number)[0]


def look(stage, kind, external_id, **more):
    """A person opens the card of a record; what the page or widget was told."""
    oauth = stage.portal.oauth
    if stage.crm is CRM.HUBSPOT:
        asked = {"objectType": f"{kind}s" if kind != "company" else "companies", "objectId": external_id, **more}
        return stage.portal.automation.open_card(f"{stage.url}/card/hubspot", **asked)
    if stage.crm is CRM.AMOCRM:
        host = urlsplit(stage.crm_url).netloc
        word = "lead" if kind == "deal" else kind
        return oauth.open_widget(f"{stage.url}/card/amocrm", host=host, **{"type": word, "id": external_id, **more})
    return oauth.open_page(f"{stage.url}/card/bitrix24", placement=TABS[kind], ID=external_id)


@pytest.mark.parametrize("stage", [CRM.HUBSPOT, CRM.AMOCRM], indirect=True, ids=str)
def test_the_widget_is_given_the_score_in_words_and_values(stage):
    installed(stage)
    kind, external_id, segment, code, r, f, m, _ = scored(stage)
    heard = look(stage, kind, external_id)
    assert heard.status == 200, heard.body
    card = json.loads(heard.body)
    assert (card["customer"], card["scored"]) == (f"{kind}:{external_id}", True)
    assert (card["segment"], card["code"], card["r"], card["f"]) == (segment, code, r, f)
    assert card["m"] == f"{m:.2f}"
    assert card["method"] == "sales5@1"
    assert card["orders_total"] >= len(card["orders"]) > 0
    assert card["orders"] == sorted(card["orders"], key=lambda order: order["on"], reverse=True)
    assert card["orders"][0]["on"] == card["last_order_on"]
    assert card["title"]
    assert card["meaning"]
    assert all(line["label"] and line["value"] for line in card["lines"])


def test_the_tab_of_bitrix24_is_a_page_in_the_portals_frame_and_in_no_other(bitrix24):
    installed(bitrix24)
    kind, external_id, _, code, *_ = scored(bitrix24)
    heard = look(bitrix24, kind, external_id)
    assert heard.status == 200, heard.body
    assert f"<dd>{code}</dd>" in heard.body
    assert "Первый шаг" in heard.body
    policy = heard.headers["Content-Security-Policy"]
    assert policy.endswith(f"frame-ancestors 'self' {bitrix24.crm_url}")
    assert "script-src 'self' https://api.bitrix24.com" in policy
    assert "X-Frame-Options" not in heard.headers
    assert heard.headers["Cache-Control"] == "no-store"
    for name in ("card.css", "card.js"):
        assert ask("GET", f"{bitrix24.url}/install/static/{name}").status == 200


def test_a_deals_card_shows_its_customer(stage):
    installed(stage)
    *_, code, _r, _f, _m, number = scored(stage)
    heard = look(stage, "deal", deal_of(stage, number))
    assert heard.status == 200
    assert code in heard.body


def test_a_deal_that_is_not_won_yet_shows_the_customer_it_names(stage):
    installed(stage)
    kind, external_id, *_, code, _r, _f, _m, number = scored(stage)
    deal = deal_of(stage, number)
    other = "company" if kind == "contact" else "contact"
    execute(
        stage.database,
        f"UPDATE orders SET customer = NULL, {other}_id = NULL, {kind}_id = :card WHERE external_id = :deal",
        deal=deal,
        card=external_id,
    )
    assert code in look(stage, "deal", deal).body


def test_a_record_without_a_score_says_so(stage):
    installed(stage)
    kind, external_id, *_, number = scored(stage)
    execute(stage.database, "DELETE FROM scores WHERE customer = :n", n=number)
    heard = look(stage, kind, external_id)
    assert heard.status == 200
    assert ("No score yet" in heard.body) or ("Оценки пока нет" in heard.body)


def test_a_portal_that_left_is_shown_nothing(stage):
    installed(stage)
    kind, external_id, *_ = scored(stage)
    execute(stage.database, "UPDATE portals SET state = 'disconnected'")
    assert look(stage, kind, external_id).status == 403


def test_the_language_asked_for_is_spoken(hubspot):
    installed(hubspot)
    kind, external_id, *_ = scored(hubspot)
    labels = {
        language: json.loads(look(hubspot, kind, external_id, language=language).body)["lines"][0]["label"]
        for language in ("ru", "en", "de")
    }
    assert labels == {"ru": "Код", "en": "Code", "de": "Code"}


# --- HubSpot -------------------------------------------------------------------------------------------------------


def test_hubspot_a_request_that_is_unsigned_or_signed_for_something_else_is_refused(hubspot):
    installed(hubspot)
    kind, external_id, *_ = scored(hubspot)
    account = hubspot.kept().account_id
    asked = urlencode({"portalId": account, "objectType": f"{kind}", "objectId": external_id})
    url = f"{hubspot.url}/card/hubspot?{asked}"
    good = hubspot.portal.automation.signed("GET", url, b"")
    assert ask("GET", url, headers=good).status == 200
    assert ask("GET", url).status == 403
    assert ask("GET", f"{url}&objectId=1", headers=good).status == 403
    assert ask("POST", url, headers=good).status == 403
    old = {**good, "X-HubSpot-Request-Timestamp": "1700000000000"}
    assert ask("GET", url, headers=old).status == 403


def test_hubspot_a_body_serves_as_well_as_a_query(hubspot):
    installed(hubspot)
    kind, external_id, *_ = scored(hubspot)
    body = json.dumps(
        {"portalId": int(hubspot.kept().account_id), "objectType": kind, "objectId": external_id}
    ).encode()
    url = f"{hubspot.url}/card/hubspot"
    signed = hubspot.portal.automation.signed("POST", url, body)
    assert ask("POST", url, body, {**signed, "Content-Type": "application/json"}).status == 200


def test_hubspot_two_accounts_in_one_request_are_refused(hubspot):
    """HubSpot adds the account by itself: one that our card names instead must be the same."""
    installed(hubspot)
    kind, external_id, *_ = scored(hubspot)
    account = hubspot.kept().account_id
    query = [("portalId", account), ("objectType", kind), ("objectId", external_id)]
    for more, status in ((("portalId", account), 200), (("portalId", "999"), 403)):
        url = f"{hubspot.url}/card/hubspot?{urlencode([*query, more])}"
        assert ask("GET", url, headers=hubspot.portal.automation.signed("GET", url, b"")).status == status


# --- Bitrix24 ------------------------------------------------------------------------------------------------------


def test_bitrix24_a_person_who_may_not_read_the_record_is_shown_nothing(bitrix24):
    installed(bitrix24)
    kind, external_id, _, code, *_ = scored(bitrix24)
    bitrix24.portal.oauth.blind = {bitrix24.portal.state.user_id}
    heard = look(bitrix24, kind, external_id)
    assert heard.status == 403
    assert code not in heard.body
    assert "Нет доступа" in heard.body


FORGED = (
    ({"APPLICATION_TOKEN": "guessed"}, 403),
    ({"AUTH_ID": "invented"}, 403),
    ({"AUTH_ID": "invented", "APPLICATION_TOKEN": ""}, 403),
    ({"AUTH_ID": ""}, 400),
    ({"member_id": "0" * 32}, 403),
    ({"member_id": "0" * 32, "APPLICATION_TOKEN": ""}, 403),
    ({"PLACEMENT": "DEFAULT"}, 400),
    ({"PLACEMENT_OPTIONS": "{"}, 400),
    ({"PLACEMENT_OPTIONS": "[]"}, 400),
    ({"PLACEMENT_OPTIONS": '{"ID":"1 OR 1"}'}, 400),
    ({"APPLICATION_TOKEN": "", "SERVER_ENDPOINT": "https://evil.example/rest/"}, 403),
    ({"PLACEMENT_OPTIONS": '{"ID":"99999999"}'}, 403),
)


def test_bitrix24_a_forged_page_is_shown_nothing(bitrix24):
    installed(bitrix24)
    kind, external_id, _, code, *_ = scored(bitrix24)
    oauth = bitrix24.portal.oauth
    query = urlencode({"DOMAIN": oauth.domain, "LANG": "en"})
    for change, status in FORGED:
        form = oauth.page_form(placement=TABS[kind], ID=external_id) | change
        heard = post_form(f"{bitrix24.url}/card/bitrix24?{query}", form, 10)
        assert (change, heard.status) == (change, status), heard.body
        assert code not in heard.body


def test_bitrix24_without_the_installations_token_the_authorisation_server_vouches(bitrix24):
    installed(bitrix24)
    kind, external_id, _, code, *_ = scored(bitrix24)
    oauth = bitrix24.portal.oauth
    form = oauth.page_form(placement=TABS[kind], ID=external_id) | {"APPLICATION_TOKEN": ""}
    query = urlencode({"DOMAIN": oauth.domain, "LANG": "en"})
    heard = post_form(f"{bitrix24.url}/card/bitrix24?{query}", form, 10)
    assert heard.status == 200
    assert code in heard.body


def test_bitrix24_an_address_opened_outside_a_portal_says_where_it_opens(bitrix24):
    told = ask("GET", f"{bitrix24.url}/card/bitrix24", headers={"Accept-Language": "en"})
    assert told.status == 200
    assert "inside a portal" in told.text


# --- amoCRM --------------------------------------------------------------------------------------------------------


def test_amocrm_a_token_is_good_once(amocrm):
    installed(amocrm)
    kind, external_id, *_ = scored(amocrm)
    token = amocrm.portal.oauth.widget_token()
    assert look(amocrm, kind, external_id).status == 200
    host = urlsplit(amocrm.crm_url).netloc
    asked = {"type": kind, "id": external_id}
    first, second = (
        amocrm.portal.oauth.open_widget(f"{amocrm.url}/card/amocrm", host=host, token=token, **asked) for _ in range(2)
    )
    assert (first.status, second.status) == (200, 403)
    assert "used already" in second.body


def test_amocrm_used_tokens_are_forgotten_once_they_have_ended(amocrm):
    installed(amocrm)
    kind, external_id, *_ = scored(amocrm)
    look(amocrm, kind, external_id)
    execute(amocrm.database, "UPDATE spent_tokens SET until = :t", t=utc_now() - timedelta(seconds=1))
    look(amocrm, kind, external_id)
    assert rows(amocrm.database, "SELECT count(*) FROM spent_tokens") == [1]


WRONG_CLAIMS = (
    {"aud": "https://evil.example"},
    {"client_uuid": "00000000-0000-4000-8000-000000000000"},
    {"account_id": 999},
    {"account_id": None},
    {"exp": 1_700_000_000},
    {"exp": None},
    {"nbf": 4_000_000_000},
    {"jti": ""},
    {"jti": None},
    {"user_id": None},
)


def test_amocrm_a_token_for_somebody_or_something_else_is_refused(amocrm):
    installed(amocrm)
    kind, external_id, *_ = scored(amocrm)
    oauth, host = amocrm.portal.oauth, urlsplit(amocrm.crm_url).netloc
    asked = {"type": kind, "id": external_id}
    for claims in WRONG_CLAIMS:
        token = oauth.widget_token(**claims)
        heard = oauth.open_widget(f"{amocrm.url}/card/amocrm", host=host, token=token, **asked)
        assert (claims, heard.status) == (claims, 403)
    assert rows(amocrm.database, "SELECT count(*) FROM spent_tokens") == [0]


def test_amocrm_a_token_that_nobody_signed_is_refused(amocrm):
    installed(amocrm)
    kind, external_id, *_ = scored(amocrm)
    head, claims, mac = amocrm.portal.oauth.widget_token().split(".")
    none_alg, hs512 = "eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0", "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMiJ9"
    url = f"{amocrm.url}/card/amocrm?{urlencode({'type': kind, 'id': external_id})}"
    forged = ("", f"{head}.{claims}.{mac[::-1]}", f"{none_alg}.{claims}.", f"{hs512}.{claims}.{mac}")
    for token in forged:
        assert ask("GET", url, headers={"X-Auth-Token": token}).status == 403
    assert ask("GET", url, headers={"X-Auth-Token": f"{head}.{claims}.{mac}"}).status == 200


def test_amocrm_only_pages_of_its_accounts_may_read_the_answer(amocrm):
    installed(amocrm)
    url = f"{amocrm.url}/card/amocrm"
    for origin, allowed in (
        ("https://shop.amocrm.ru", True),
        ("https://shop.kommo.com", True),
        ("https://evil.example", False),
        ("https://shop.amocrm.ru.evil.example", False),
        ("null", False),
    ):
        told = ask("OPTIONS", url, headers={"Origin": origin, "Access-Control-Request-Headers": "x-auth-token"})
        assert told.status == 204
        assert (told.headers.get("Access-Control-Allow-Origin") == origin) is allowed
        assert ("X-Auth-Token" in told.headers.get("Access-Control-Allow-Headers", "")) is allowed
    refused = ask("GET", url, headers={"Origin": "https://shop.amocrm.ru"})
    assert refused.status == 403
    assert refused.headers["Access-Control-Allow-Origin"] == "https://shop.amocrm.ru"
