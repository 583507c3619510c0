from __future__ import annotations

import pytest

from tests.sandbox.hubspot_caller import Caller, new_portal

TASKS = "/crm/objects/2026-09/tasks"


@pytest.fixture
def portal():
    return new_portal()


@pytest.fixture
def api(portal):
    return Caller(portal)


def test_account_details_tell_zone_currency_and_offset(api):
    found = api.get("/account-info/2026-09/details").data
    assert (found["portalId"], found["timeZone"], found["companyCurrency"]) == (101, "Europe/Moscow", "USD")
    assert found["additionalCurrencies"] == ["GBP"]
    assert (found["utcOffset"], found["utcOffsetMilliseconds"]) == ("+03:00", 10_800_000)


def test_owners_page_and_those_who_left_are_listed_apart(api, portal):
    first = api.get("/crm/owners/2026-09", limit=5)
    rest = api.get("/crm/owners/2026-09", limit=5, after=first.data["paging"]["next"]["after"])
    ids = [owner["id"] for reply in (first, rest) for owner in reply.data["results"]]
    assert ids == [str(4000 + n) for n in range(1, 9)]
    [left] = api.get("/crm/owners/2026-09", archived="true").data["results"]
    assert (left["id"], left["userId"], left["userIdIncludingInactive"], left["archived"]) == ("4009", None, 7009, True)
    portal.deactivate_owner(4001)
    assert "4001" not in api.get("/crm/owners/2026-09").ids


def test_owners_have_teams_and_are_found_by_id_user_and_email(api):
    nancy = api.get("/crm/owners/2026-09/4001").data
    assert nancy["teams"] == [{"id": "2", "name": "Americas", "primary": True}]
    assert api.get("/crm/owners/2026-09/7001", idProperty="userId").data == nancy
    assert api.get("/crm/owners/2026-09", email="nancy.davolio@northwind.example").data["results"] == [nancy]
    assert api.get("/crm/owners/2026-09/7001").status == 404
    assert api.get("/crm/owners/2026-09/4009").status == 404


def test_pipelines_tell_by_text_which_stage_is_won(api):
    lines = api.get("/crm/pipelines/2026-09/deals").data["results"]
    won = {
        line["id"]: [s["id"] for s in line["stages"] if s["metadata"] == {"isClosed": "true", "probability": "1.0"}]
        for line in lines
    }
    assert won == {"default": ["closedwon"], "998877": ["998879"]}
    assert api.get("/crm/pipelines/2026-09/deals/998877").data == lines[1]
    assert api.get("/crm/pipelines/2026-09/deals/998877/stages").data["results"] == lines[1]["stages"]
    assert api.get("/crm/pipelines/2026-09/contacts").status == 404


def test_order_pipelines_speak_of_a_state():
    found = Caller(new_portal(orders=3)).get("/crm/pipelines/2026-09/orders").data["results"]
    assert [stage["metadata"] for stage in found[0]["stages"]] == [{"state": "OPEN"}, {"state": "CLOSED"}]


def test_current_rates_are_of_the_currencies_that_have_one(api):
    [rate] = api.get("/settings/currencies/2026-09/exchange-rates/current").data["results"]
    assert (rate["fromCurrencyCode"], rate["toCurrencyCode"], rate["conversionRate"]) == ("GBP", "USD", 1.25)
    assert api.get("/settings/currencies/2026-09/company-currency").data["currencyCode"] == "USD"


def test_a_currency_that_is_not_enabled_is_refused(api):
    path = "/crm/objects/2026-09/deals/10249"
    assert api.patch(path, {"properties": {"deal_currency_code": "GBP"}}).status == 200
    assert api.patch(path, {"properties": {"deal_currency_code": "BRL"}}).status == 400


def _task(type_id=204, to="1001", **values):
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}]
    return {"properties": values, "associations": [{"to": {"id": to}, "types": types}]}


def test_a_task_needs_a_due_date(api, portal):
    reply = api.post(TASKS, _task(hs_task_subject="Call"))
    assert (reply.status, reply.data["context"]["properties"]) == (400, ["hs_timestamp"])
    assert reply.data["errors"][0]["code"] == "MISSING_REQUIRED_PROPERTY"
    assert portal.tasks() == []


@pytest.mark.parametrize(
    ("type_id", "kind", "to"), [(204, "contacts", 1001), (192, "companies", 1001), (216, "deals", 10250)]
)
def test_a_task_is_tied_to_its_card(api, portal, type_id, kind, to):
    body = _task(type_id, str(to), hs_timestamp="1795510863000", hs_task_subject="Call", hubspot_owner_id="4001")
    reply = api.post(TASKS, {**body, "objectWriteTraceId": "key-1"})
    assert (reply.status, reply.data["objectWriteTraceId"]) == (201, "key-1")
    [card] = portal.tasks()
    assert (card["hs_task_subject"], card["hs_timestamp"]) == ("Call", "2026-11-24T09:01:03Z")
    assert portal.linked("tasks", int(reply.data["id"]), kind) == {to: (type_id,)}


@pytest.mark.parametrize(("type_id", "to", "status"), [(203, "1001", 400), (279, "1001", 400), (204, "5", 404)])
def test_a_task_tied_the_wrong_way_is_not_made(api, portal, type_id, to, status):
    assert api.post(TASKS, _task(type_id, to, hs_timestamp="1795510863000")).status == status
    assert portal.tasks() == []


@pytest.mark.parametrize("wrong", [{"hs_task_status": "DONE"}, {"hs_task_type": "call"}, {"hubspot_owner_id": "4009"}])
def test_task_values_are_checked(api, wrong):
    assert api.post(TASKS, {"properties": {"hs_timestamp": "1795510863000", **wrong}}).status == 400


def test_a_completed_task_says_when(api, portal):
    number = portal.add("tasks", hs_timestamp="1795510863000", hs_task_status="NOT_STARTED")
    portal.account.clock.advance(3600)
    portal.edit("tasks", number, hs_task_status="COMPLETED")
    assert portal.card("tasks", number)["hs_task_completion_date"] == "2026-11-24T10:00:00Z"


def test_a_deal_needs_a_name_and_a_stage(api):
    assert api.post("/crm/objects/2026-09/deals", {"properties": {"dealname": "x"}}).status == 400
    made = api.post("/crm/objects/2026-09/deals", {"properties": {"dealname": "x", "dealstage": "closedwon"}})
    assert made.status == 201
    assert api.get(f"/crm/objects/2026-09/deals/{made.data['id']}").data["properties"]["pipeline"] == "default"


def test_a_company_needs_a_name_or_a_domain(api):
    companies = "/crm/objects/2026-09/companies"
    assert api.post(companies, {"properties": {"phone": "1"}}).status == 400
    assert api.post(companies, {"properties": {"domain": "a.example"}}).status == 201
