from __future__ import annotations

import pytest

from tests.sandbox.hubspot_caller import Caller, new_portal, rfm_property, with_fields

BASE = "/crm/properties/2026-09/companies"
VIP = {"label": "VIP", "value": "vip"}


@pytest.fixture
def portal():
    return new_portal()


@pytest.fixture
def api(portal):
    return with_fields(portal)


def test_a_definition_is_shown_as_it_was_made(api):
    found = api.get(f"{BASE}/rfm_segment").data
    assert (found["type"], found["fieldType"], found["groupName"]) == ("enumeration", "select", "rfm")
    assert [option["value"] for option in found["options"]] == ["vip", "loyal"]
    assert found["hubspotDefined"] is False
    assert found["modificationMetadata"]["readOnlyValue"] is False


def test_a_name_that_exists_is_a_409(api):
    reply = api.post(BASE, rfm_property("rfm_r"))
    assert (reply.status, reply.data["category"]) == (409, "OBJECT_ALREADY_EXISTS")
    assert reply.data["subCategory"] == "Properties.PROPERTY_WITH_NAME_EXISTS"
    assert api.post(f"{BASE}/groups", {"name": "rfm", "label": "RFM"}).status == 409


def test_a_batch_makes_what_is_new_and_reports_what_exists(api):
    reply = api.post(f"{BASE}/batch/create", {"inputs": [rfm_property("rfm_r"), rfm_property("rfm_q")]})
    assert (reply.status, [made["name"] for made in reply.data["results"]]) == (207, ["rfm_q"])
    assert reply.data["errors"][0]["category"] == "OBJECT_ALREADY_EXISTS"
    assert reply.data["errors"][0]["context"]["name"] == ["rfm_r"]


@pytest.mark.parametrize(
    "definition",
    [
        rfm_property("Rfm_x"),
        rfm_property("1rfm"),
        rfm_property("rfm-x"),
        rfm_property("rfm_x", "number", "text"),
        rfm_property("rfm_x", "money", "number"),
        rfm_property("rfm_x", "enumeration", "select"),
        rfm_property("rfm_x", "enumeration", "select", options=[VIP, VIP]),
        rfm_property("rfm_x", "enumeration", "select", options=[{"label": "VIP"}]),
        rfm_property("rfm_x", "bool", "booleancheckbox", options=[VIP]),
        rfm_property("rfm_x", "string", "text", options=[VIP]),
        rfm_property("rfm_x") | {"groupName": "nowhere"},
        rfm_property("rfm_x") | {"label": ""},
        rfm_property("rfm_x") | {"readOnlyValue": True},
        {"name": "rfm_x"},
    ],
)
def test_a_definition_that_breaks_a_rule_is_a_400(api, definition):
    assert api.post(BASE, definition).status == 400
    assert api.get(f"{BASE}/rfm_x").status == 404


def test_patch_of_options_replaces_the_whole_list(api, portal):
    portal.edit("companies", 1001, rfm_segment="loyal")
    assert api.patch(f"{BASE}/rfm_segment", {"options": [VIP]}).status == 200
    assert [option["value"] for option in api.get(f"{BASE}/rfm_segment").data["options"]] == ["vip"]
    assert portal.card("companies", 1001)["rfm_segment"] == "loyal"  # an orphan
    reply = api.patch("/crm/objects/2026-09/companies/1001", {"properties": {"rfm_segment": "loyal"}})
    assert reply.data["errors"][0]["code"] == "INVALID_OPTION"


def test_patch_leaves_the_rest_and_knows_no_name(api):
    assert api.patch(f"{BASE}/rfm_r", {"label": "Recency"}).data["type"] == "number"
    assert api.patch(f"{BASE}/rfm_r", {"name": "rfm_z"}).status == 400
    assert api.patch(f"{BASE}/rfm_r", {"type": "string"}).status == 400
    assert api.patch(f"{BASE}/rfm_x", {"label": "x"}).status == 404


def test_an_archived_property_refuses_writes_and_comes_back_with_its_values(api, portal):
    portal.edit("companies", 1001, rfm_r="5")
    assert api("DELETE", f"{BASE}/rfm_r").status == 204
    assert api.get(f"{BASE}/rfm_r").status == 404
    assert "rfm_r" in [found["name"] for found in api.get(BASE, archived="true").data["results"]]
    reply = api.patch("/crm/objects/2026-09/companies/1001", {"properties": {"rfm_r": "6"}})
    assert reply.data["errors"][0]["code"] == "PROPERTY_DOESNT_EXIST"
    assert api.post(BASE, rfm_property("rfm_r")).status == 201
    assert portal.card("companies", 1001)["rfm_r"] == "5"


def test_a_property_in_use_and_a_group_with_properties_stay(api, portal):
    portal.account.definitions[portal.account.kind("companies")].in_use.add("rfm_r")
    assert api("DELETE", f"{BASE}/rfm_r").data["subCategory"] == "Properties.CANNOT_DELETE_PROPERTY_IN_USE"
    assert api("DELETE", f"{BASE}/groups/rfm").data["subCategory"] == "Properties.GROUP_WITH_ACTIVE_PROPERTIES"


def test_groups_are_listed_changed_and_removed(api):
    api.post(f"{BASE}/groups", {"name": "other", "label": "Other"})
    assert api.patch(f"{BASE}/groups/other", {"label": "More"}).data["label"] == "More"
    assert {"rfm", "other", "companyinformation"} == {g["name"] for g in api.get(f"{BASE}/groups").data["results"]}
    assert api("DELETE", f"{BASE}/groups/other").status == 204
    assert api.get(f"{BASE}/groups/other").status == 404


def test_types_have_their_own_properties(api):
    assert api.get("/crm/properties/2026-09/contacts/rfm_r").status == 404


def test_batch_read_and_archive(api):
    reply = api.post(f"{BASE}/batch/read", {"inputs": [{"name": "rfm_r"}, {"name": "nope"}], "archived": False})
    assert (reply.status, [found["name"] for found in reply.data["results"]]) == (207, ["rfm_r"])
    assert api.post(f"{BASE}/batch/archive", {"inputs": [{"name": "rfm_r"}, {"name": "nope"}]}).status == 204
    assert api.get(f"{BASE}/rfm_r").status == 404


def test_unique_values_are_kept_apart_and_found_by(api):
    assert api.post(BASE, rfm_property("erp_id", "string", "text", hasUniqueValue=True)).status == 201
    companies = "/crm/objects/2026-09/companies"
    assert api.patch(f"{companies}/1001", {"properties": {"erp_id": "A-1"}}).status == 200
    assert api.patch(f"{companies}/1002", {"properties": {"erp_id": "a-1"}}).status == 409
    assert api.get(f"{companies}/A-1", idProperty="erp_id").data["id"] == "1001"
    inputs = [{"id": "A-1", "idProperty": "erp_id", "properties": {"rfm_r": "2"}}]
    assert api.post(f"{companies}/batch/update", {"inputs": inputs}).ids == ["1001"]


def test_the_limits_count_custom_properties_only():
    portal = new_portal()
    api = Caller(portal)
    before = api.get("/crm/limits/2026-09/custom-properties").data
    with_fields(portal)
    after = api.get("/crm/limits/2026-09/custom-properties").data
    assert (before["overallUsage"], after["overallUsage"]) == (0, 7)
    used = {entry["objectTypeId"]: (entry["usage"], entry["limit"]) for entry in after["byObjectType"]}
    assert used["0-2"] == (7, 1000)
    assert used["0-1"] == (0, 1000)
