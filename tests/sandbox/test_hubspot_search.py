from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from sandbox.random_shop import random_shop
from tests.sandbox.hubspot_caller import TODAY, Caller, new_portal, with_fields


@pytest.fixture
def portal():
    return new_portal()


@pytest.fixture
def api(portal):
    return with_fields(portal)


def _search(api, kind, *groups, **more):
    filters = [{"filters": [_filter(*one) for one in group]} for group in groups]
    return api.post(f"/crm/objects/2026-09/{kind}/search", {"filterGroups": filters, "limit": 200, **more})


def _filter(name, operator, value=None, high=None):
    if isinstance(value, list):
        return {"propertyName": name, "operator": operator, "values": value}
    body = {"propertyName": name, "operator": operator, "value": value, "highValue": high}
    return {key: part for key, part in body.items() if part is not None}


def _all(api, kind, *groups, **more):
    ids, after = [], "0"
    while after:
        reply = _search(api, kind, *groups, after=after, **more)
        assert reply.status == 200, reply.text
        ids += [int(record["id"]) for record in reply.data["results"]]
        after = reply.data.get("paging", {}).get("next", {}).get("after")
    assert reply.data["total"] == len(ids)
    return ids


def _expected(portal, kind, test):
    return [number for number in portal.ids(kind) if test(portal.card(kind, number))]


AMOUNT_TESTS = [
    (("amount", "GT", "1000"), lambda amount: amount is not None and amount > 1000),
    (("amount", "GTE", "440"), lambda amount: amount is not None and amount >= 440),
    (("amount", "LT", "0"), lambda amount: amount is not None and amount < 0),
    (("amount", "LTE", "0.0"), lambda amount: amount is not None and amount <= 0),
    (("amount", "EQ", "440.00"), lambda amount: amount == 440),
    (("amount", "NEQ", "440"), lambda amount: amount is not None and amount != 440),
    (("amount", "BETWEEN", "100", "440"), lambda amount: amount is not None and 100 <= amount <= 440),
    (("amount", "IN", ["440", "1863.4"]), lambda amount: amount in {440, Decimal("1863.4")}),
    (("amount", "NOT_IN", ["440"]), lambda amount: amount is not None and amount != 440),
    (("amount", "HAS_PROPERTY"), lambda amount: amount is not None),
    (("amount", "NOT_HAS_PROPERTY"), lambda amount: amount is None),
]


@pytest.mark.parametrize(("one", "test"), AMOUNT_TESTS, ids=[one[1] for one, _ in AMOUNT_TESTS])
def test_operators_on_numbers_find_exactly_what_they_should(api, portal, one, test):
    def wanted(card):
        return test(Decimal(card["amount"]) if "amount" in card else None)

    found = _all(api, "deals", [one])
    assert found == _expected(portal, "deals", wanted)
    assert found


def test_filters_of_a_group_must_all_hold_and_groups_are_alternatives(api, portal):
    found = _all(
        api,
        "deals",
        [("hs_is_closed_won", "EQ", "true"), ("amount", "GT", "5000")],
        [("dealstage", "IN", ["closedlost", "998880"])],
    )

    def wanted(card):
        rich = card["hs_is_closed_won"] == "true" and Decimal(card.get("amount", "0")) > 5000
        return rich or card["dealstage"] in {"closedlost", "998880"}

    assert found == _expected(portal, "deals", wanted)


def test_text_is_compared_without_case_but_in_wants_lower_case_and_enumerations_their_own(api):
    assert _all(api, "companies", [("name", "EQ", "ALFREDS futterkiste")]) == [1001]
    assert _all(api, "companies", [("name", "IN", ["alfreds futterkiste"])]) == [1001]
    assert _all(api, "companies", [("name", "IN", ["Alfreds Futterkiste"])]) == []
    assert _all(api, "companies", [("name", "CONTAINS_TOKEN", "alfreds")]) == [1001]
    assert _all(api, "companies", [("name", "CONTAINS_TOKEN", "alfr*")]) == [1001]
    assert _all(api, "companies", [("name", "CONTAINS_TOKEN", "alfr")]) == []
    assert _all(api, "deals", [("dealstage", "EQ", "ClosedWon")]) == []


def test_changed_since_finds_the_changed_in_order(api, portal):
    portal.account.clock.advance(60)
    since = "2026-11-24T09:00:30Z"
    for number in (1007, 1003, 1001):
        portal.edit("companies", number, rfm_code="1")
        portal.account.clock.advance(1)
    sorts = [{"propertyName": "hs_lastmodifieddate", "direction": "ASCENDING"}]
    assert _all(api, "companies", [("hs_lastmodifieddate", "GTE", since)], sorts=sorts) == [1007, 1003, 1001]
    sorts[0]["direction"] = "DESCENDING"
    assert _all(api, "companies", [("hs_lastmodifieddate", "GTE", since)], sorts=sorts) == [1001, 1003, 1007]
    assert _all(api, "companies", [("hs_lastmodifieddate", "GT", "1795510863000")]) == []


def test_last_modified_has_another_name_on_contacts_and_the_wrong_one_is_a_400(api, portal):
    assert len(_all(api, "contacts", [("lastmodifieddate", "GTE", "1")])) == len(portal.ids("contacts"))
    assert _search(api, "contacts", [("hs_lastmodifieddate", "GTE", "1")]).status == 400
    assert _search(api, "deals", [("lastmodifieddate", "GTE", "1")]).status == 400


def test_links_can_be_asked_for(api, portal):
    assert _all(api, "deals", [("associations.company", "EQ", "1063")]) == sorted(
        portal.linked("companies", 1063, "deals")
    )


def test_the_index_lags_behind_by_as_much_as_was_set(api, portal):
    portal.behaviour.index_lag_s = 3
    portal.account.clock.advance(60)
    portal.edit("companies", 1001, rfm_code="777")
    task = portal.add("tasks", hs_timestamp="1795510863000", hs_task_subject="Marker")
    wanted = [("rfm_code", "EQ", "777")]
    assert _all(api, "companies", wanted) == []
    assert _all(api, "tasks", [("hs_task_subject", "CONTAINS_TOKEN", "marker")]) == []
    assert 1001 in _all(api, "companies", [("rfm_code", "NOT_HAS_PROPERTY")])
    portal.account.clock.advance(2)
    portal.edit("companies", 1001, rfm_r="1")  # a further write puts it off
    portal.account.clock.advance(2)
    assert _all(api, "companies", wanted) == []
    assert _all(api, "tasks", [("hs_task_subject", "CONTAINS_TOKEN", "marker")]) == [task]
    portal.account.clock.advance(1)
    assert _all(api, "companies", wanted) == [1001]
    assert _all(api, "companies", [("hs_lastmodifieddate", "GTE", "2026-11-24T09:01:00Z")]) == [1001]


def test_archived_records_never_appear(api, portal):
    before = _all(api, "deals", [("amount", "GT", "5000")])
    portal.delete("deals", before[0])
    assert _all(api, "deals", [("amount", "GT", "5000")]) == before[1:]


def test_a_write_between_two_pages_is_seen(api, portal):
    first = _search(api, "deals", [("amount", "GT", "0")])
    portal.edit("deals", 10249, amount="0")
    assert _search(api, "deals", [("amount", "GT", "0")]).data["total"] == first.data["total"] - 1


BAD_BODIES = {
    "limit over 200": {"limit": 201},
    "two sorts": {"sorts": ["amount", "closedate"]},
    "unknown direction": {"sorts": [{"propertyName": "amount", "direction": "UP"}]},
    "unknown key": {"filters": []},
    "after is no number": {"after": "x"},
    "over 3000 characters": {"query": "x" * 3000},
    "six groups": {"filterGroups": [{"filters": []}] * 6},
    "seven filters": {"filterGroups": [{"filters": [{"propertyName": "amount", "operator": "HAS_PROPERTY"}] * 7}]},
    "nineteen filters": {
        "filterGroups": [{"filters": [{"propertyName": "amount", "operator": "HAS_PROPERTY"}] * 5}] * 4
    },
    "unknown operator": {"filterGroups": [{"filters": [{"propertyName": "amount", "operator": "LIKE", "value": "1"}]}]},
    "unknown property": {"filterGroups": [{"filters": [{"propertyName": "amuont", "operator": "HAS_PROPERTY"}]}]},
    "in without values": {"filterGroups": [{"filters": [{"propertyName": "amount", "operator": "IN", "value": "1"}]}]},
    "no value": {"filterGroups": [{"filters": [{"propertyName": "amount", "operator": "EQ"}]}]},
    "between without the high end": {
        "filterGroups": [{"filters": [{"propertyName": "amount", "operator": "BETWEEN", "value": "1"}]}]
    },
    "value of another type": {
        "filterGroups": [{"filters": [{"propertyName": "amount", "operator": "GT", "value": "much"}]}]
    },
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_what_the_documents_forbid_is_a_400(api, name):
    assert api.post("/crm/objects/2026-09/deals/search", BAD_BODIES[name]).status == 400


def test_eighteen_filters_in_three_groups_are_allowed(api):
    group = {"filters": [{"propertyName": "amount", "operator": "HAS_PROPERTY"}] * 6}
    assert api.post("/crm/objects/2026-09/deals/search", {"filterGroups": [group] * 3}).status == 200


def test_ten_thousand_results_are_the_end_and_the_cursor_does_not_say_so():
    portal = new_portal(random_shop(1, 50, 10_100, TODAY))
    api = Caller(portal)
    last = api.post("/crm/objects/2026-09/deals/search", {"limit": 200, "after": "9800"})
    assert (last.status, last.data["total"], len(last.data["results"])) == (200, 10_100, 200)
    assert last.data["paging"]["next"]["after"] == "10000"
    assert api.post("/crm/objects/2026-09/deals/search", {"limit": 100, "after": "10000"}).status == 400
    assert api.post("/crm/objects/2026-09/deals/search", {"limit": 200, "after": "9900"}).status == 400


def test_sorting_puts_records_without_the_value_last(api, portal):
    found = _all(api, "deals", sorts=["-amount"])
    amounts = [portal.card("deals", number).get("amount") for number in found]
    having = [Decimal(amount) for amount in amounts if amount is not None]
    assert having == sorted(having, reverse=True)
    assert None not in amounts[: len(having)]
    assert None in amounts


def test_free_text_looks_into_the_default_properties(api):
    assert _all(api, "companies", query="futterkiste") == [1001]


def test_the_shop_of_another_day_is_searched_the_same():
    portal = new_portal(random_shop(4, 30, 200, date(2026, 1, 1)))
    found = _all(Caller(portal), "deals", [("closedate", "LT", "2025-06-01T00:00:00Z")])
    assert found == _expected(portal, "deals", lambda card: card.get("closedate", "9") < "2025-06-01")
