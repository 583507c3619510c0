from __future__ import annotations

import pytest

from sandbox.faults import Fault
from tests.sandbox.hubspot_caller import new_portal, with_fields

COMPANIES = "/crm/objects/2026-09/companies/batch"
CONTACTS = "/crm/objects/2026-09/contacts/batch"
TASKS = "/crm/objects/2026-09/tasks/batch"


@pytest.fixture
def portal():
    return new_portal()


@pytest.fixture
def api(portal):
    return with_fields(portal)


def _update(*pairs):
    return {"inputs": [{"id": str(number), "properties": values} for number, values in pairs]}


@pytest.mark.parametrize("operation", ["read", "update", "create", "archive", "upsert"])
def test_a_hundred_inputs_are_the_most(api, operation):
    one = {"id": "1001", "properties": {}, "idProperty": "email"}
    keys = {"read": ("id",), "archive": ("id",), "create": ("properties",), "update": ("id", "properties")}
    inputs = [{key: one[key] for key in keys.get(operation, tuple(one))}] * 101
    assert api.post(f"{CONTACTS}/{operation}", {"inputs": inputs}).status == 400


def test_results_do_not_come_in_the_order_of_the_inputs(api):
    reply = api.post(f"{COMPANIES}/update", _update((1001, {"rfm_r": "1"}), (1002, {"rfm_r": "2"})))
    assert reply.status == 200
    assert [record["id"] for record in reply.data["results"]] == ["1002", "1001"]
    assert reply.data["status"] == "COMPLETE"


def test_read_names_all_missing_ids_in_one_error(api):
    inputs = [{"id": "1001"}, {"id": "5"}, {"id": "x"}]
    reply = api.post(f"{COMPANIES}/read", {"inputs": inputs, "properties": ["name"]})
    assert (reply.status, reply.ids, reply.data["numErrors"]) == (207, ["1001"], 1)
    assert reply.data["errors"][0]["category"] == "OBJECT_NOT_FOUND"
    assert reply.data["errors"][0]["context"]["ids"] == ["5", "x"]


def test_read_of_a_merged_id_shows_the_winner(api, portal):
    portal.merge("companies", 1001, 1002)
    assert api.post(f"{COMPANIES}/read", {"inputs": [{"id": "1002"}]}).ids == ["1001"]


def test_read_by_email_and_of_archived_ones(api, portal):
    found = api.post(f"{CONTACTS}/read", {"idProperty": "email", "inputs": [{"id": "orders@alfki.example"}]})
    assert found.ids == ["1001"]
    portal.delete("contacts", 1001)
    assert api("POST", f"{CONTACTS}/read", {"inputs": [{"id": "1001"}]}).ids == []
    assert api("POST", f"{CONTACTS}/read", {"inputs": [{"id": "1001"}]}, archived="true").ids == ["1001"]


def test_update_keeps_what_it_can_when_an_id_is_missing(api, portal):
    reply = api.post(f"{COMPANIES}/update", _update((1001, {"rfm_r": "1"}), (5, {"rfm_r": "2"})))
    assert (reply.status, reply.ids, reply.data["numErrors"]) == (207, ["1001"], 1)
    assert reply.data["errors"][0]["context"]["ids"] == ["5"]
    assert portal.card("companies", 1001)["rfm_r"] == "1"


def test_one_bad_value_rejects_the_whole_update_unless_the_portal_is_set_otherwise(api, portal):
    batch = _update((1001, {"rfm_r": "1"}), (1002, {"rfm_segment": "nobody"}))
    assert api.post(f"{COMPANIES}/update", batch).status == 400
    assert "rfm_r" not in portal.card("companies", 1001)
    portal.behaviour.partial |= {"VALIDATION_ERROR"}
    reply = api.post(f"{COMPANIES}/update", batch)
    assert (reply.status, reply.ids) == (207, ["1001"])
    assert reply.data["errors"][0]["context"]["ids"] == ["1002"]
    assert portal.card("companies", 1001)["rfm_r"] == "1"


def test_a_missing_id_rejects_the_whole_update_when_the_portal_is_set_so(api, portal):
    portal.behaviour.partial = frozenset()
    assert api.post(f"{COMPANIES}/update", _update((1001, {"rfm_r": "1"}), (5, {}))).status == 404
    assert "rfm_r" not in portal.card("companies", 1001)


def test_a_losing_id_is_good_for_a_single_patch_but_not_for_a_batch(api, portal):
    portal.merge("companies", 1001, 1002)
    assert api.patch("/crm/objects/2026-09/companies/1002", {"properties": {"rfm_r": "3"}}).data["id"] == "1001"
    reply = api.post(f"{COMPANIES}/update", _update((1002, {"rfm_r": "4"})))
    assert (reply.status, reply.data["errors"][0]["category"]) == (207, "OBJECT_NOT_FOUND")
    assert portal.card("companies", 1001)["rfm_r"] == "3"


def test_an_id_twice_in_one_update_is_refused(api):
    assert api.post(f"{COMPANIES}/update", _update((1001, {}), (1001, {}))).status == 400


def test_an_administrators_rule_refuses_one_record(api, portal):
    portal.guard("companies", 1001)
    reply = api.post(f"{COMPANIES}/update", _update((1001, {"rfm_r": "1"})))
    assert reply.data["errors"][0]["code"] == "MISSING_CONDITIONAL_REQUIRED_PROPERTY"


def _task(trace=None, **more):
    values = {"hs_timestamp": "2026-11-25T09:00:00Z", "hs_task_subject": "Call", **more}
    return {"properties": values, **({"objectWriteTraceId": trace} if trace else {})}


def test_create_is_partial_only_with_a_trace_id_on_every_input(api, portal):
    bad = _task(hs_task_priority="URGENT")
    assert api.post(f"{TASKS}/create", {"inputs": [_task(), bad]}).status == 400
    assert portal.tasks() == []
    traced = [_task("a"), {**bad, "objectWriteTraceId": "b"}]
    reply = api.post(f"{TASKS}/create", {"inputs": traced})
    assert (reply.status, reply.data["numErrors"]) == (207, 1)
    assert reply.data["errors"][0]["context"]["objectWriteTraceId"] == ["b"]
    assert [record["objectWriteTraceId"] for record in reply.data["results"]] == ["a"]
    assert len(portal.tasks()) == 1


def test_create_without_trace_ids_keeps_nothing_when_a_required_value_or_a_link_is_wrong(api, portal):
    lost = {
        **_task(),
        "associations": [
            {"to": {"id": "5"}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}]}
        ],
    }
    assert api.post(f"{TASKS}/create", {"inputs": [_task(), {"properties": {}}]}).status == 400
    assert api.post(f"{TASKS}/create", {"inputs": [_task(), lost]}).status == 404
    assert portal.tasks() == []


def test_all_created_is_a_201(api):
    assert api.post(f"{TASKS}/create", {"inputs": [_task("a"), _task("b")]}).status == 201


def test_upsert_by_email_tells_new_from_old(api, portal):
    inputs = [
        {"id": "orders@alfki.example", "idProperty": "email", "properties": {"country": "Germany"}},
        {"id": "new@shop.example", "idProperty": "email", "properties": {}},
    ]
    reply = api.post(f"{CONTACTS}/upsert", {"inputs": inputs})
    told = {record["id"]: record["new"] for record in reply.data["results"]}
    assert told["1001"] is False
    assert sorted(told.values()) == [False, True]
    assert portal.card("contacts", 1001)["country"] == "Germany"


def test_upsert_is_never_partial(api, portal):
    inputs = [
        {"id": "orders@alfki.example", "idProperty": "email", "properties": {"country": "Germany"}},
        {"id": "new@shop.example", "idProperty": "email", "properties": {"nope": "1"}},
    ]
    assert api.post(f"{CONTACTS}/upsert", {"inputs": inputs}).status == 400
    assert "country" not in portal.card("contacts", 1001)


def test_upsert_needs_a_unique_property(api):
    inputs = [{"id": "Anders", "idProperty": "lastname", "properties": {}}]
    assert api.post(f"{CONTACTS}/upsert", {"inputs": inputs}).status == 400


def test_archive_is_silent_about_what_is_gone(api, portal):
    assert api.post(f"{COMPANIES}/archive", {"inputs": [{"id": "1001"}, {"id": "5"}]}).status == 204
    assert 1001 not in portal.ids("companies")


def test_a_partial_fault_refuses_some_and_keeps_the_rest(api, portal):
    portal.faults.force(Fault.PARTIAL)
    numbers = portal.ids("companies")[:9]
    reply = api.post(f"{COMPANIES}/update", _update(*((number, {"rfm_r": "1"}) for number in numbers)))
    refused = {error["context"]["ids"][0] for error in reply.data["errors"]}
    assert (reply.status, reply.data["numErrors"], len(refused)) == (207, 3, 3)
    for number in numbers:
        assert ("rfm_r" in portal.card("companies", number)) != (str(number) in refused)
