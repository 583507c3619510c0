from __future__ import annotations

import pytest

from tests.sandbox.hubspot_caller import new_portal, with_fields

PAIR = "/crm/associations/2026-09"


@pytest.fixture
def portal():
    return new_portal()


@pytest.fixture
def api(portal):
    return with_fields(portal)


def _types(number):
    return [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": number}]


def _read(api, source, target, *inputs):
    return api.post(f"{PAIR}/{source}/{target}/batch/read", {"inputs": list(inputs)})


def test_a_deals_company_carries_the_plain_and_the_primary_number(api):
    [found] = _read(api, "deals", "companies", {"id": "10250"}).data["results"]
    assert found["from"] == {"id": "10250"}
    [to] = found["to"]
    assert isinstance(to["toObjectId"], int)
    assert [(t["typeId"], t["label"], t["category"]) for t in to["associationTypes"]] == [
        (5, "Primary", "HUBSPOT_DEFINED"),
        (341, None, "HUBSPOT_DEFINED"),
    ]


def test_the_old_path_shows_ids_as_text(api):
    reply = api.post("/crm/v4/associations/deals/companies/batch/read", {"inputs": [{"id": "10250"}]})
    assert isinstance(reply.data["results"][0]["to"][0]["toObjectId"], str)


def test_ids_without_links_are_absent_or_an_error_as_the_portal_is_set(api, portal):
    lonely = next(n for n in portal.ids("deals") if not portal.linked("deals", n, "contacts"))
    linked = next(n for n in portal.ids("deals") if portal.linked("deals", n, "contacts"))
    reply = _read(api, "deals", "contacts", {"id": str(lonely)}, {"id": str(linked)}, {"id": "5"})
    assert (reply.status, [found["from"]["id"] for found in reply.data["results"]]) == (200, [str(linked)])
    portal.behaviour.no_links_is_error = True
    reply = _read(api, "deals", "contacts", {"id": str(lonely)}, {"id": str(linked)})
    assert (reply.status, reply.data["errors"][0]["subCategory"]) == (207, "crm.associations.NO_ASSOCIATIONS_FOUND")


def test_what_lies_in_the_recycling_bin_is_linked_to_nothing_until_it_is_restored(api, portal):
    deal = next(n for n in portal.ids("deals") if portal.linked("deals", n, "companies"))
    [company] = portal.linked("deals", deal, "companies")
    before = _read(api, "deals", "companies", {"id": str(deal)}).data["results"]
    portal.delete("companies", company)
    assert _read(api, "deals", "companies", {"id": str(deal)}).data["results"] == []
    reply = api.get(f"/crm/objects/2026-09/deals/{deal}", associations="companies")
    assert "companies" not in reply.data.get("associations", {})
    portal.restore("companies", company)
    assert _read(api, "deals", "companies", {"id": str(deal)}).data["results"] == before


def test_paging_is_per_input_and_complete(api, portal):
    portal.behaviour.association_page = 4
    asked, seen = {"id": "1063"}, []
    [other] = _read(api, "companies", "deals", {"id": "1013"}).data["results"]
    assert "paging" not in other
    while asked:
        [found] = _read(api, "companies", "deals", asked).data["results"]
        seen += [to["toObjectId"] for to in found["to"]]
        after = found.get("paging", {}).get("next", {}).get("after")
        asked = {"id": "1063", "after": after} if after else None
    assert seen == sorted(portal.linked("companies", 1063, "deals"))
    assert len(seen) > 20


def test_a_thousand_ids_are_the_most(api):
    assert _read(api, "deals", "contacts", *[{"id": str(n)} for n in range(1000)]).status == 200
    assert _read(api, "deals", "contacts", *[{"id": str(n)} for n in range(1001)]).status == 400


def test_one_records_links_page_by_up_to_500(api, portal):
    path = "/crm/objects/2026-09/companies/1063/associations/deals"
    first = api.get(path, limit=10)
    second = api.get(path, limit=500, after=first.data["paging"]["next"]["after"])
    ids = [link["toObjectId"] for reply in (first, second) for link in reply.data["results"]]
    assert ids == sorted(portal.linked("companies", 1063, "deals"))
    assert api.get(path, limit=501).status == 400


def test_created_links_are_seen_from_both_sides_and_replace_the_set(api, portal):
    pair = {"from": {"id": "10250"}, "to": {"id": "1001"}}
    create = f"{PAIR}/deals/companies/batch/create"
    assert api.post(create, {"inputs": [{**pair, "types": _types(5)}]}).status == 201
    assert portal.linked("companies", 1001, "deals")[10250] == (6, 342)
    assert portal.card("deals", 10250)["hs_primary_associated_company"] == "1001"
    [old] = [types for company, types in portal.linked("deals", 10250, "companies").items() if company != 1001]
    assert old == (341,)
    assert api.post(create, {"inputs": [{**pair, "types": _types(341)}]}).status == 201
    assert portal.linked("deals", 10250, "companies")[1001] == (341,)


@pytest.mark.parametrize("number", [3, 342, 9999])
def test_a_number_of_another_pair_or_direction_is_a_400(api, number):
    inputs = [{"from": {"id": "10250"}, "to": {"id": "1001"}, "types": _types(number)}]
    assert api.post(f"{PAIR}/deals/companies/batch/create", {"inputs": inputs}).status == 400


def test_default_links_labels_and_removal(api, portal):
    default = f"{PAIR}/deals/contacts/batch/associate/default"
    inputs = [{"from": {"id": "10250"}, "to": {"id": "1001"}}]
    assert api.post(default, {"inputs": inputs}).status == 200
    assert portal.linked("deals", 10250, "contacts")[1001] == (3,)
    labels = api.get(f"{PAIR}/order/deals/labels").status, api.get(f"{PAIR}/contacts/companies/labels").data["results"]
    assert labels[0] == 400  # no orders in this account
    assert {(label["typeId"], label["label"]) for label in labels[1]} == {(279, None), (1, "Primary")}
    gone = [{"from": {"id": "10250"}, "to": [{"id": "1001"}]}]
    assert api.post(f"{PAIR}/deals/contacts/batch/archive", {"inputs": gone}).status == 204
    assert 10250 not in portal.linked("contacts", 1001, "deals")


def test_removing_a_label_keeps_the_link_and_removing_the_link_takes_the_label(api, portal):
    company = int(portal.card("deals", 10250)["hs_primary_associated_company"])
    pair = {"from": {"id": "10250"}, "to": {"id": str(company)}}
    path = f"{PAIR}/deals/companies/batch/labels/archive"
    assert api.post(path, {"inputs": [{**pair, "types": _types(5)}]}).status == 204
    assert portal.linked("deals", 10250, "companies")[company] == (341,)
    portal.link("deals", 10250, "companies", company)
    api.post(path, {"inputs": [{**pair, "types": _types(341)}]})
    assert portal.linked("deals", 10250, "companies") == {}


def test_single_links_are_put_and_deleted(api, portal):
    base = "/crm/objects/2026-09/deals/10250/associations"
    assert api("PUT", f"{base}/default/contacts/1001").status == 200
    assert api("PUT", f"{base}/companies/1001", _types(5)).status == 201
    assert portal.card("deals", 10250)["hs_primary_associated_company"] == "1001"
    assert api("DELETE", f"{base}/companies/1001").status == 204
    assert 1001 not in portal.linked("deals", 10250, "companies")
    assert 1001 in portal.linked("deals", 10250, "contacts")
