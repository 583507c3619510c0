from __future__ import annotations

from typing import ClassVar

import pytest

from tests.sandbox.amocrm_caller import NOW, add_fields, caller, value

STAMP = int(NOW.timestamp())


def events(call, query=""):
    page = call.ask("events", query)
    return [] if page is None else page["_embedded"]["events"]


def told(call, query=""):
    return [(event["type"], event["entity_type"], event["entity_id"]) for event in events(call, query)]


def test_nothing_is_told_of_what_was_there_before():
    assert caller().send("GET", "events").status == 204


def test_a_won_lead_tells_both_stages():
    call = caller()
    call.portal.win_lead(3)
    (event,) = events(call, "filter[type]=lead_status_changed")
    assert event["value_before"] == [{"lead_status": {"id": 70_011, "pipeline_id": 7001}}]
    assert event["value_after"] == [{"lead_status": {"id": 142, "pipeline_id": 7001}}]
    assert (event["entity_type"], event["_embedded"]["entity"]["id"], event["created_at"]) == ("lead", 3, STAMP)
    assert call.get(f"events/{event['id']}")["id"] == event["id"]


def test_everything_people_do_is_told_newest_first():
    call = caller()
    call.portal.delete_leads([1])
    call.portal.restore_leads([1])
    call.portal.set_attributes("leads", 1, price=5, name="New name", responsible_user_id=2)
    call.portal.merge_contacts(103, 102)
    call.portal.delete_contact(101)
    assert told(call) == [
        ("contact_deleted", "contact", 101),
        ("entity_merged", "contact", 103),
        ("entity_responsible_changed", "lead", 1),
        ("name_field_changed", "lead", 1),
        ("sale_field_changed", "lead", 1),
        ("lead_restored", "lead", 1),
        ("lead_deleted", "lead", 1),
    ]
    merged = events(call, "filter[type]=entity_merged")[0]
    assert (merged["value_before"], merged["value_after"]) == ([], [])


def test_our_own_writes_are_told_too_but_not_what_they_left_as_it_was():
    call = caller()
    ids = add_fields(call)
    body = [{"id": 102, "custom_fields_values": [value("RFM_R", 4), value("RFM_SEGMENT", {"enum_code": "vip"})]}]
    call.write("PATCH", "contacts", body)
    call.write("PATCH", "contacts", body)
    name = f"custom_field_{ids['RFM_SEGMENT']}_value_changed"
    (event,) = events(call, f"filter[type]={name}")
    shown = event["value_after"][0]["custom_field_value"]
    assert (shown["field_id"], shown["text"], event["created_by"]) == (ids["RFM_SEGMENT"], "VIP", 1)
    assert shown["enum_id"] is not None
    assert len(events(call, "filter[type]=custom_field_value_changed")) == 2


def test_tasks_are_told():
    call = caller()
    call.write("POST", "tasks", [{"text": "x", "complete_till": 5}])
    call.portal.complete_task(1, "done", user_id=2)
    assert told(call, "filter[entity]=task") == [
        ("task_completed", "task", 1),
        ("task_result_added", "task", 1),
        ("task_added", "task", 1),
    ]
    assert events(call, "filter[created_by][]=2")[0]["type"] == "task_completed"


def at_stage(side, pipeline_id, status_id):
    stage = f"filter[{side}][leads_statuses][0]"
    return f"{stage}[pipeline_id]={pipeline_id}&{stage}[status_id]={status_id}"


class TestFilters:
    @pytest.fixture
    def call(self):
        """One event each at 0, 10, 20 seconds."""
        one = caller()
        one.portal.win_lead(3)
        one.clock.advance(10)
        one.portal.delete_leads([1])
        one.clock.advance(10)
        one.portal.delete_contact(101)
        return one

    @pytest.mark.parametrize(
        ("query", "types"),
        [
            ("filter[type]=lead_status_changed,contact_deleted", ["contact_deleted", "lead_status_changed"]),
            ("filter[type][]=lead_deleted&filter[type][]=lead_status_changed", ["lead_deleted", "lead_status_changed"]),
            (f"filter[created_at]={STAMP + 10}", ["contact_deleted", "lead_deleted"]),
            (f"filter[created_at]={STAMP},{STAMP + 10}", ["lead_deleted", "lead_status_changed"]),
            (f"filter[created_at][from]={STAMP + 11}", ["contact_deleted"]),
            (f"filter[created_at][to]={STAMP + 9}", ["lead_status_changed"]),
            ("filter[entity]=contact", ["contact_deleted"]),
            (
                "filter[entity]=lead&filter[entity_id][]=1&filter[entity_id][]=3",
                ["lead_deleted", "lead_status_changed"],
            ),
            (at_stage("value_after", 7001, 142), ["lead_status_changed"]),
            (at_stage("value_before", 7001, 142), []),
            ("limit=2&page=2", ["lead_status_changed"]),
        ],
    )
    def test_arrays_and_commas_mean_the_same(self, call, query, types):
        assert [event["type"] for event in events(call, query)] == types

    @pytest.mark.parametrize(
        "query",
        [
            "filter[entity_id][]=1",
            "filter[entity]=lead,contact&filter[entity_id][]=1",
            "limit=101",
            "filter[entity]=lead&filter[entity_id]=" + ",".join(map(str, range(11))),
        ],
    )
    def test_what_the_vendor_refuses_is_400(self, call, query):
        assert call.problem("GET", "events", query=query)["status"] == 400


def test_ids_are_ulids_in_order_of_time():
    call = caller()
    call.portal.delete_leads([1, 2, 3])
    ids = [event["id"] for event in events(call)]
    assert all(len(one) == 26 for one in ids)
    assert ids == sorted(ids, reverse=True)


def test_types_are_listed():
    rows = caller().get("events/types")["_embedded"]["events_types"]
    assert {"lead_status_changed", "entity_merged", "task_completed"} <= {row["key"] for row in rows}


class TestNotes:
    def test_a_service_note_needs_its_service(self):
        call = caller()
        note = {"entity_id": 101, "note_type": "service_message", "params": {"service": "RFM", "text": "Moved"}}
        (made,) = call.write("POST", "contacts/notes", [note])["_embedded"]["notes"]
        assert call.get(f"contacts/notes/{made['id']}")["params"] == {"service": "RFM", "text": "Moved"}
        broken = note | {"params": {"text": "Moved"}}
        assert call.flaws("POST", "contacts/notes", [broken]) == {("0", "FieldMissing", "params.service")}

    def test_notes_are_found_by_card_and_type(self):
        call = caller()
        call.write("POST", "contacts/101/notes", [{"note_type": "common", "params": {"text": "x"}}])
        assert call.ids("contacts/101/notes", "filter[note_type][]=common") == [1]
        assert call.ids("contacts/notes", "filter[entity_id][]=102") == []
        assert call.ids("companies/101/notes") == []
        assert told(call) == [("common_note_added", "contact", 101)]


class TestHooks:
    HOOK: ClassVar = {"destination": "https://app.example/hook", "settings": ["status_lead"]}

    def test_the_same_destination_again_changes_the_settings(self):
        call = caller()
        assert call.send("POST", "webhooks", self.HOOK).status == 201
        changed = self.HOOK | {"settings": ["status_lead", "add_lead"]}
        assert call.send("POST", "webhooks", changed).status == 200
        (row,) = call.ask("webhooks", "filter[destination]=https://app.example/hook")["_embedded"]["webhooks"]
        assert (row["settings"], row["disabled"]) == (["status_lead", "add_lead"], False)

    def test_they_are_deleted_by_destination(self):
        call = caller()
        call.write("POST", "webhooks", self.HOOK)
        assert call.send("DELETE", "webhooks", {"destination": self.HOOK["destination"]}).status == 204
        assert call.send("GET", "webhooks").status == 204
        assert call.problem("DELETE", "webhooks", {"destination": self.HOOK["destination"]})["status"] == 404

    def test_unknown_settings_and_ordinary_users_are_refused(self):
        call = caller()
        wrong = self.HOOK | {"settings": ["status_lead", "status_contact"]}
        assert call.flaws("POST", "webhooks", wrong) == {("0", "NotSupportedChoice", "settings.1")}
        call.portal.give_token_to(2)
        assert call.problem("POST", "webhooks", self.HOOK)["status"] == 403
