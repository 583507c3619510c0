from __future__ import annotations

import json

import pytest

from tests.sandbox.hubspot_caller import Caller, new_portal, with_fields

DEALS = "/crm/objects/2026-09/deals"
COMPANIES = "/crm/objects/2026-09/companies"
CONTACTS = "/crm/objects/2026-09/contacts"


@pytest.fixture
def portal():
    return new_portal()


@pytest.fixture
def api(portal):
    return with_fields(portal)


def _walk(api, path, **query):
    ids, after = [], "0"
    while after:
        reply = api.get(path, after=after, **query)
        ids += [int(record["id"]) for record in reply.data["results"]]
        after = reply.data.get("paging", {}).get("next", {}).get("after")
    return ids


def test_pages_of_a_list_are_complete_ascending_and_without_doubles(api, portal):
    assert _walk(api, DEALS, limit=100) == portal.ids("deals")
    assert len(portal.ids("deals")) > 830


def test_a_list_page_has_at_most_100_records_and_50_with_history(api):
    assert api.get(DEALS, limit=101).status == 400
    assert api.get(DEALS, limit=51, propertiesWithHistory="amount").status == 400
    assert len(api.get(DEALS).data["results"]) == 10


def test_without_properties_a_default_handful_comes_back(api):
    names = set(api.get(DEALS, limit=1).data["results"][0]["properties"])
    assert names == {
        "amount",
        "closedate",
        "createdate",
        "dealname",
        "dealstage",
        "hs_lastmodifieddate",
        "hs_object_id",
        "pipeline",
    }


def test_unknown_properties_are_left_out_and_known_empty_ones_are_null(api, portal):
    empty = next(number for number in portal.ids("deals") if "amount" not in portal.card("deals", number))
    found = api.get(f"{DEALS}/{empty}", properties="amount,amuont").data["properties"]
    assert found["amount"] is None
    assert "amuont" not in found


def test_every_value_is_text(api):
    for record in api.get(DEALS, limit=100, properties="amount,hs_is_closed_won,closedate,hubspot_owner_id").data[
        "results"
    ]:
        assert all(value is None or isinstance(value, str) for value in record["properties"].values())


def test_won_lost_and_open_deals_in_both_pipelines_are_told_by_the_stage(api):
    names = "dealstage,hs_is_closed,hs_is_closed_won,hs_closed_amount,hs_closed_won_date,amount,closedate"
    found = {}
    for record in api.get(DEALS, limit=100, properties=names, after="11000").data["results"]:
        found[record["properties"]["dealstage"]] = record["properties"]
    for stage in ("closedwon", "998879"):
        assert (found[stage]["hs_is_closed"], found[stage]["hs_is_closed_won"]) == ("true", "true")
        assert found[stage]["hs_closed_amount"] == found[stage]["amount"]
        assert found[stage]["hs_closed_won_date"] == found[stage]["closedate"]
    for stage in ("appointmentscheduled", "998878"):
        assert found[stage]["hs_is_closed_won"] == "false"
        assert found[stage]["closedate"] is not None
        assert found[stage]["hs_closed_won_date"] is None


def test_home_amounts_use_the_accounts_rates_and_are_empty_without_one(api, portal):
    by_currency = {}
    for number in portal.ids("deals"):
        card = portal.card("deals", number)
        if card.get("amount", "0") != "0":
            by_currency.setdefault(card["deal_currency_code"], card)
    pound = by_currency["GBP"]
    assert float(pound["amount_in_home_currency"]) == pytest.approx(1.25 * float(pound["amount"]))
    assert by_currency["USD"]["amount_in_home_currency"] == by_currency["USD"]["amount"]
    assert "amount_in_home_currency" not in by_currency["BRL"]


def test_numbers_come_back_in_another_format_and_moments_without_needless_fractions(api):
    written = {"rfm_r": "12.50", "rfm_updated_at": "1790000000000", "rfm_day": "1789948800000"}
    reply = api.patch(f"{COMPANIES}/1001", {"properties": written})
    kept = reply.data["properties"]
    assert (kept["rfm_r"], kept["rfm_updated_at"], kept["rfm_day"]) == ("12.5", "2026-09-21T14:13:20Z", "2026-09-21")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("rfm_r", "1,5", "INVALID_INTEGER"),
        ("rfm_segment", "VIP", "INVALID_OPTION"),
        ("rfm_segment", "vip ", "INVALID_OPTION"),
        ("rfm_segment", "vip;loyal", "INVALID_OPTION"),
        ("rfm_churn_risk", "yes", "INVALID_OPTION"),
        ("rfm_updated_at", "2026-11-22", "INVALID_DATE"),
        ("rfm_updated_at", "2026-11-22T08:00:00", "INVALID_DATE"),
        ("rfm_day", "1789948800001", "INVALID_DATE"),
        ("rfm_code", "x" * 65_537, "INVALID_STRING"),
        ("rfm_x", "1", "PROPERTY_DOESNT_EXIST"),
        ("hs_object_id", "1", "READ_ONLY_VALUE"),
        ("hubspot_owner_id", "7001", "INVALID_OWNER_ID"),  # the user's id, not the owner's
        ("hubspot_owner_id", "4009", "INVALID_OWNER_ID"),  # has left
    ],
)
def test_a_value_that_does_not_fit_is_a_400_with_a_json_list_in_its_message(api, portal, name, value, code):
    before = portal.card("companies", 1001)
    reply = api.patch(f"{COMPANIES}/1001", {"properties": {name: value, "rfm_code": "a"} | {name: value}})
    assert (reply.status, reply.data["category"]) == (400, "VALIDATION_ERROR")
    listed = json.loads(reply.data["message"][reply.data["message"].index("[") :])
    assert [(problem["name"], problem["error"], problem["isValid"]) for problem in listed] == [(name, code, False)]
    assert reply.data["errors"][0]["code"] == code
    assert reply.data["errors"][0]["context"] == {"propertyName": [name]}
    assert portal.card("companies", 1001) == before


def test_good_values_of_every_type_are_kept(api, portal):
    good = {"rfm_segment": "vip", "rfm_churn_risk": "true", "rfm_code": "545", "hubspot_owner_id": "4001"}
    assert api.patch(f"{COMPANIES}/1001", {"properties": good}).status == 200
    assert good.items() <= portal.card("companies", 1001).items()


def test_empty_text_clears_and_a_leading_semicolon_appends(api, portal):
    api.patch(f"{COMPANIES}/1001", {"properties": {"rfm_code": "545", "rfm_tags": "vip"}})
    api.patch(f"{COMPANIES}/1001", {"properties": {"rfm_code": "", "rfm_tags": ";loyal"}})
    card = portal.card("companies", 1001)
    assert "rfm_code" not in card
    assert card["rfm_tags"] == "vip;loyal"


@pytest.mark.parametrize(
    "body",
    [
        {"properties": {"rfm_r": 5}},
        {"properties": {"rfm_r": None}},
        {"properties": {"rfm_r": "5"}, "propertys": {}},
        {"properties": ["rfm_r"]},
        {},
        [],
    ],
)
def test_a_body_that_does_not_fit_the_schema_is_a_400(api, body):
    assert api.patch(f"{COMPANIES}/1001", body).status == 400


def test_own_writes_bump_last_modified_even_when_nothing_changed(api, portal):
    api.patch(f"{COMPANIES}/1001", {"properties": {"rfm_code": "545"}})
    portal.account.clock.advance(60)
    reply = api.patch(f"{COMPANIES}/1001", {"properties": {"rfm_code": "545"}})
    assert reply.data["updatedAt"] == "2026-11-24T09:01:00.000Z"
    history = api.get(f"{COMPANIES}/1001", propertiesWithHistory="rfm_code").data["propertiesWithHistory"]
    assert len(history["rfm_code"]) == 1


def test_history_is_newest_first_and_tells_people_from_apps(api, portal):
    api.patch(f"{COMPANIES}/1001", {"properties": {"rfm_code": "545"}})
    portal.account.clock.advance(60)
    portal.edit("companies", 1001, rfm_code="555")
    versions = api.get(f"{COMPANIES}/1001", propertiesWithHistory="rfm_code").data["propertiesWithHistory"]["rfm_code"]
    assert [(v["value"], v["sourceType"], v["sourceId"]) for v in versions] == [
        ("555", "CRM_UI", "userId:7001"),
        ("545", "INTEGRATION", "55"),
    ]


def test_contacts_have_their_own_last_modified(api):
    names = api.get(CONTACTS, limit=1).data["results"][0]["properties"]
    assert "lastmodifieddate" in names
    assert "hs_lastmodifieddate" not in names


def test_listed_links_name_each_type_and_are_capped_with_a_cursor(api, portal):
    portal.behaviour.list_association_cap = 3
    found = api.get(f"{COMPANIES}/1063", associations="deals").data["associations"]["deals"]
    assert [link["type"] for link in found["results"][:2]] == ["company_to_deal", "company_to_deal_unlabeled"]
    assert len(found["results"]) == 3
    assert int(found["paging"]["next"]["after"]) in portal.linked("companies", 1063, "deals")


def test_archived_records_are_listed_only_when_asked_for_and_come_back(api, portal):
    assert api("DELETE", f"{DEALS}/10248").status == 204
    assert api.get(f"{DEALS}/10248").status == 404
    assert api.get(f"{DEALS}/10248", archived="true").data["archived"] is True
    assert api.get(DEALS, archived="true").ids == ["10248"]
    assert 10248 not in _walk(api, DEALS, limit=100)
    portal.restore("deals", 10248)
    assert api.get(f"{DEALS}/10248").status == 200


def test_a_merged_id_leads_to_the_winner(api, portal):
    portal.edit("contacts", 1002, country="Mexico")
    deals = set(portal.linked("contacts", 1001, "deals")) | set(portal.linked("contacts", 1002, "deals"))
    merged = api.post(f"{CONTACTS}/merge", {"primaryObjectId": "1001", "objectIdToMerge": "1002"})
    assert (merged.status, merged.data["id"]) == (200, "1001")
    found = api.get(f"{CONTACTS}/1002", properties="hs_merged_object_ids,country,email").data
    assert found["id"] == "1001"
    assert found["properties"]["hs_merged_object_ids"] == "1002"
    assert found["properties"]["country"] == "Mexico"
    assert found["properties"]["email"] == "orders@alfki.example"
    assert set(portal.linked("contacts", 1001, "deals")) == deals
    assert portal.card("contacts", 1001)["associatedcompanyid"] == "1001"


def test_gdpr_delete_leaves_nothing(api, portal):
    assert (
        api.post(f"{CONTACTS}/gdpr-delete", {"objectId": "orders@alfki.example", "idProperty": "email"}).status == 204
    )
    assert 1001 not in portal.ids("contacts")
    assert api.get(f"{CONTACTS}/1001", archived="true").status == 404
    assert 1001 not in portal.linked("companies", 1001, "contacts")


def test_an_id_may_stand_for_a_contact_and_a_company(api):
    assert api.get(f"{CONTACTS}/1001").data["properties"]["lastname"] == "Anders"
    assert api.get(f"{COMPANIES}/1001").data["properties"]["name"] == "Alfreds Futterkiste"


def test_a_contact_is_found_by_email_and_a_second_one_with_it_is_refused(api):
    found = api.get(f"{CONTACTS}/ORDERS@alfki.example", idProperty="email")
    assert found.data["id"] == "1001"
    taken = api.post(CONTACTS, {"properties": {"email": "orders@ALFKI.example"}})
    assert (taken.status, taken.data["category"]) == (409, "CONFLICT")
    assert "1001" in taken.data["message"]


def test_a_stage_of_another_pipeline_is_refused(api):
    reply = api.patch(f"{DEALS}/10249", {"properties": {"dealstage": "998879"}})
    assert reply.data["errors"][0]["code"] == "INVALID_OPTION"
    assert api.patch(f"{DEALS}/10249", {"properties": {"dealstage": "998879", "pipeline": "998877"}}).status == 200


def test_a_person_wins_and_reopens_a_deal(portal):
    portal.reopen(10249)
    assert portal.card("deals", 10249)["hs_is_closed_won"] == "false"
    portal.win(10249)
    assert portal.card("deals", 10249)["closedate"] == "2026-11-24T09:00:00Z"
    assert portal.card("deals", 10249)["hs_is_closed_won"] == "true"


def test_types_answer_to_plural_singular_and_number_and_unknown_ones_do_not(api):
    seen = {api.get(f"/crm/objects/2026-09/{name}/10248").data["id"] for name in ("deals", "deal", "0-3")}
    assert seen == {"10248"}
    assert api.get("/crm/objects/2026-09/dales").status == 400
    assert api.get("/crm/objects/2026-09/orders").status == 400  # not switched on in this account


def test_orders_exist_when_switched_on_and_are_tied_to_their_deals():
    portal = new_portal(orders=5)
    api = Caller(portal)
    found = api.get(
        "/crm/objects/2026-09/orders", properties="hs_total_price,hs_external_created_date,hs_homecurrency_amount"
    )
    assert len(found.data["results"]) == 5
    for record in found.data["results"]:
        [(deal, numbers)] = portal.linked("orders", int(record["id"]), "deals").items()
        assert numbers == (512,)
        assert portal.card("deals", deal)["amount"] == record["properties"]["hs_total_price"]


def test_line_items_hold_net_amounts(api, portal):
    cards = [portal.card("line_items", number) for number in portal.linked("deals", 10250, "line_items")]
    assert len(cards) == 3
    total = sum(float(card["amount"]) for card in cards)
    assert total == pytest.approx(float(portal.card("deals", 10250)["amount"]))
    assert any(float(card["hs_total_discount"]) > 0 for card in cards)
