from __future__ import annotations

import pytest
import requests

from sandbox.faults import Fault, Faults
from sandbox.server import serve
from tests.sandbox.hubspot_caller import TOKEN, Caller, new_clock, new_portal

DEALS = "/crm/objects/2026-09/deals"
RATE = "X-HubSpot-RateLimit-Remaining"


@pytest.fixture
def clock():
    return new_clock()


@pytest.fixture
def portal(clock):
    return new_portal(clock=clock, limits=True)


@pytest.fixture
def api(portal):
    return Caller(portal)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/crm/objects/2026-09/deals", 200),
        ("/crm/objects/2026-03/deals", 200),
        ("/crm/v3/objects/deals", 200),
        ("/crm/objects/2026-06/deals", 404),
        ("/crm/2026-09/objects/deals", 404),
        ("/crm/v1/objects/deals", 404),
        ("/crm/objects/2026-09", 404),
        ("/crm/v3/owners/", 200),
        ("/crm/owners/2026-09", 200),
        ("/account-info/v3/details", 200),
        ("/account-info/2026-09", 404),
    ],
)
def test_the_version_stands_in_its_place_or_it_is_a_404(api, path, status):
    assert api.get(path).status == status


def test_without_the_token_nothing_is_answered(portal):
    reply = Caller(portal, "another").get(DEALS)
    assert (reply.status, reply.data["category"]) == (401, "INVALID_AUTHENTICATION")
    portal.refusing = "EXPIRED_AUTHENTICATION"
    assert Caller(portal).get(DEALS).data["category"] == "EXPIRED_AUTHENTICATION"


def test_a_missing_scope_is_a_403_that_names_it(portal, api):
    portal.scopes -= {"crm.objects.deals.read", "crm.schemas.companies.write", "crm.objects.contacts.write"}
    reply = api.get(DEALS)
    assert (reply.status, reply.data["category"]) == (403, "MISSING_SCOPES")
    assert reply.data["errors"][0]["context"]["requiredGranularScopes"] == ["crm.objects.deals.read"]
    assert api.post(f"{DEALS}/search", {}).status == 403
    assert api.get("/crm/properties/2026-09/companies").status == 200
    assert api.post("/crm/properties/2026-09/companies/groups", {"name": "rfm", "label": "R"}).status == 403
    assert api.post("/crm/objects/2026-09/tasks", {"properties": {}}).status == 403  # tasks go by contacts


def test_the_101st_call_within_ten_seconds_is_refused_until_the_window_rolls_on(portal, api, clock):
    for _ in range(100):
        assert api.get(DEALS, limit=1).status == 200
    refused = api.get(DEALS, limit=1)
    assert refused.status == 429
    assert refused.data["errorType"] == "RATE_LIMIT"
    assert refused.data["policyName"] == "TEN_SECONDLY_ROLLING"
    assert "Retry-After" not in refused.headers
    assert (portal.exceeded, portal.limits.exceeded, portal.requests) == (1, 1, 101)
    clock.advance(10)
    assert api.get(DEALS, limit=1).headers[RATE] == "99"


def test_retry_after_in_seconds_when_the_portal_is_set_to_send_it(portal, api, clock):
    portal.behaviour.retry_after = True
    for _ in range(100):
        api.get(DEALS, limit=1)
    clock.advance(3)
    assert api.get(DEALS, limit=1).headers["Retry-After"] == "8"


def test_search_has_its_own_limit_and_no_rate_headers(portal, api, clock):
    for _ in range(5):
        reply = api.post(f"{DEALS}/search", {"limit": 1})
        assert reply.status == 200
        assert RATE not in reply.headers
    refused = api.post(f"{DEALS}/search", {"limit": 1})
    assert (refused.status, refused.data["policyName"]) == (429, "SECONDLY")
    assert RATE not in refused.headers
    assert api.get(DEALS, limit=1).headers[RATE] == "99"
    clock.advance(1)
    assert api.post(f"{DEALS}/search", {"limit": 1}).status == 200
    assert portal.exceeded == 1


def test_errors_count_against_the_limit_and_carry_a_correlation_id(api):
    reply = api.get(f"{DEALS}/5")
    assert reply.status == 404
    assert reply.headers[RATE] == "99"
    assert reply.headers["X-HubSpot-Correlation-Id"] == reply.data["correlationId"]


def test_a_portal_without_limits_refuses_nothing():
    portal = new_portal(limits=False)
    api = Caller(portal)
    assert all(api.get(DEALS, limit=1).status == 200 for _ in range(150))
    assert portal.exceeded == 0


def test_an_url_that_is_too_long_is_a_414(api):
    assert api.get(DEALS, properties=",".join(f"property_{n}" for n in range(800))).status == 414


def test_an_account_that_is_being_moved_answers_477_in_seconds(portal, api):
    portal.behaviour.moving_s = 120
    reply = api.get(DEALS)
    assert (reply.status, reply.headers["Retry-After"]) == (477, "120")


def test_a_throttle_fault_looks_like_the_real_thing_but_counts_as_no_excess(portal, api):
    portal.faults.force(Fault.THROTTLE)
    assert (api.get(DEALS).status, portal.exceeded) == (429, 0)


@pytest.mark.parametrize(("fault", "json"), [(Fault.SERVER_ERROR, True), (Fault.HTML_ERROR, False)])
def test_a_server_error_does_nothing(portal, api, fault, json):
    portal.faults.force(fault)
    reply = api.patch("/crm/objects/2026-09/companies/1001", {"properties": {"name": "New"}})
    assert reply.status >= 500
    assert (reply.data is not None) == json
    assert portal.card("companies", 1001)["name"] == "Alfreds Futterkiste"


def test_a_lost_answer_has_done_the_work_over_a_real_connection():
    portal = new_portal()
    seen = set()
    with serve(portal.app) as server, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        for number in range(20):
            portal.faults.force(Fault.LOST_ANSWER)
            body = {"properties": {"phone": str(number)}}
            try:
                answer = session.patch(f"{server.url}/crm/objects/2026-09/companies/1001", json=body)
                seen.add(answer.status_code)
            except requests.ConnectionError:
                seen.add("cut")
            assert portal.card("companies", 1001)["phone"] == str(number)
            session.get(f"{server.url}{DEALS}/10248")
    assert seen == {"cut", 504}


def test_slow_answers_are_right_answers(portal, api):
    slept = []
    portal.faults = Faults({Fault.SLOW: 1.0}, slow_s=7, sleep=slept.append)
    assert api.get(DEALS).status == 200
    assert slept == [7]


def test_with_every_fault_on_a_patient_client_still_gets_everywhere_and_nothing_breaks():
    portal = new_portal(faults=Faults(dict.fromkeys(Fault, 0.15), seed=3, sleep=lambda _: None))
    with serve(portal.app) as server, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        ids, after = [], "0"
        while after:
            page = _patiently(session, f"{server.url}{DEALS}?limit=50&after={after}")
            ids += [int(record["id"]) for record in page["results"]]
            after = page.get("paging", {}).get("next", {}).get("after")
    assert ids == portal.ids("deals")
    assert sum(portal.faults.counts.values()) > 5


def _patiently(session, url):
    for _ in range(10):
        try:
            answer = session.get(url)
        except requests.ConnectionError:
            continue
        if answer.status_code == 200:
            return answer.json()
    raise AssertionError("ten failures in a row")


def test_the_connect_address_is_the_servers():
    assert new_portal().connect_url("http://127.0.0.1:1") == "http://127.0.0.1:1"
