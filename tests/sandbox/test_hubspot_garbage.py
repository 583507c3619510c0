from __future__ import annotations

import itertools

import pytest

from tests.sandbox.hubspot_caller import new_portal, with_fields

ODD = (None, 5, "x", "", [], {}, [None], ["x"], [{}], {"x": 1}, [[]], True, 1.5)
SHAPES = {
    "/crm/objects/2026-09/deals": ["properties", "associations", "objectWriteTraceId"],
    "/crm/objects/2026-09/deals/search": ["filterGroups", "sorts", "query", "properties", "limit", "after"],
    "/crm/objects/2026-09/deals/batch/read": ["inputs", "properties", "propertiesWithHistory", "idProperty"],
    "/crm/objects/2026-09/deals/batch/update": ["inputs"],
    "/crm/objects/2026-09/tasks/batch/create": ["inputs"],
    "/crm/objects/2026-09/contacts/batch/upsert": ["inputs"],
    "/crm/objects/2026-09/contacts/merge": ["primaryObjectId", "objectIdToMerge"],
    "/crm/objects/2026-09/contacts/gdpr-delete": ["objectId", "idProperty"],
    "/crm/associations/2026-09/deals/companies/batch/read": ["inputs"],
    "/crm/associations/2026-09/deals/companies/batch/create": ["inputs"],
    "/crm/associations/2026-09/deals/companies/batch/archive": ["inputs"],
    "/crm/properties/2026-09/deals": ["name", "label", "type", "fieldType", "groupName", "options", "displayOrder"],
    "/crm/properties/2026-09/deals/batch/create": ["inputs"],
    "/crm/properties/2026-09/deals/batch/read": ["inputs"],
    "/crm/properties/2026-09/deals/groups": ["name", "label", "displayOrder"],
}
ITEM_KEYS = (
    "id",
    "properties",
    "from",
    "to",
    "types",
    "name",
    "idProperty",
    "after",
    "associations",
    "label",
    "options",
)


@pytest.fixture(scope="module")
def api():
    return with_fields(new_portal(), "deals")


@pytest.mark.parametrize("path", SHAPES)
def test_nothing_a_client_sends_breaks_the_emulator(api, path):
    valid = {"name": "rfm_q", "label": "Q", "type": "enumeration", "fieldType": "select", "groupName": "rfm"}
    for key, value in itertools.product(SHAPES[path], ODD):
        base = valid if "/properties/" in path else {}
        assert api.post(path, {**base, key: value}).status in range(200, 500), (key, value)
    for key, value in itertools.product(ITEM_KEYS, ODD):
        item = {"id": "10248", "properties": {}, key: value}
        only = {key: value}
        ends = {"from": {"id": "10248"}, "to": {"id": "1001"}, "types": [], key: value}
        archived = {"from": {"id": "10248"}, "to": [{"id": "1001"}], key: value}
        for one in (item, only, ends, archived, {**valid, key: value}):
            assert api.post(path, {"inputs": [one]}).status in range(200, 500), one
    for value in ODD:
        assert api.post(path, value).status in range(200, 500), value


@pytest.mark.parametrize("key", ["propertyName", "operator", "value", "highValue", "values"])
def test_odd_filters_are_refused_not_crashed_on(api, key):
    for operator, value in itertools.product(("EQ", "IN", "BETWEEN", "CONTAINS_TOKEN", "HAS_PROPERTY"), ODD):
        for name in ("amount", "dealname", "associations.company", "hs_lastmodifieddate", "closedate"):
            one = {"propertyName": name, "operator": operator, "value": "1", key: value}
            groups = [{"filters": [one]}]
            status = api.post("/crm/objects/2026-09/deals/search", {"filterGroups": groups}).status
            assert status in {200, 400}, one


@pytest.mark.parametrize("query", ["limit", "after", "properties", "associations", "archived", "propertiesWithHistory"])
def test_odd_queries_are_refused_not_crashed_on(api, query):
    for value in ("", "x", "-1", "0", "99999999999999999999", "²", "true", ",", "deals,deals"):
        for path in ("/crm/objects/2026-09/deals", "/crm/objects/2026-09/deals/10248", "/crm/owners/2026-09"):
            assert api.get(path, **{query: value}).status in {200, 400, 404}, (path, value)


@pytest.mark.parametrize("record_id", ["²", "-1", "x", "%20", "9" * 40, "null"])
def test_odd_ids_are_not_found(api, record_id):
    base = f"/crm/objects/2026-09/deals/{record_id}"
    assert api.get(base).status == 404
    assert api.get(base, archived="true").status == 404
    assert api.get(f"{base}/associations/companies").status == 404
    assert api("DELETE", base).status == 204
    assert api("DELETE", f"/crm/objects/2026-09/deals/10250/associations/companies/{record_id}").status in {204, 404}


def test_a_body_that_is_no_json_is_a_400(api):
    answer = api._client.post("/crm/objects/2026-09/deals", data=b"\xff{", headers=api._headers)
    assert answer.status_code == 400
