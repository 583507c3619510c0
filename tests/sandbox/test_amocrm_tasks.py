from __future__ import annotations

import pytest

from tests.sandbox.amocrm_caller import NOW, caller

STAMP = int(NOW.timestamp())
CALL_BACK = {"text": "Call", "complete_till": STAMP + 3600, "entity_id": 101, "entity_type": "contacts"}


def create(call, *items):
    return [row["id"] for row in call.write("POST", "tasks", list(items))["_embedded"]["tasks"]]


def test_a_task_is_made_for_the_tokens_user_by_default():
    call = caller()
    (row,) = call.write("POST", "tasks", [CALL_BACK | {"request_id": "k"}])["_embedded"]["tasks"]
    assert row["request_id"] == "k"
    (task,) = call.portal.tasks("contacts", 101)
    assert (task["responsible_user_id"], task["task_type_id"], task["is_completed"]) == (1, 1, False)
    assert task["result"] == []
    assert call.get("contacts/101")["closest_task_at"] == STAMP + 3600
    assert call.get("companies/101")["closest_task_at"] is None


def test_the_same_request_id_makes_another_task():
    call = caller()
    assert len(set(create(call, CALL_BACK | {"request_id": "k"}) + create(call, CALL_BACK | {"request_id": "k"}))) == 2


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        ({"text": ""}, ("FieldMissing", "text")),
        ({"complete_till": None}, ("FieldMissing", "complete_till")),
        ({"complete_till": "2026-01-01"}, ("InvalidType", "complete_till")),
        ({"complete_till": 0}, ("TooLow", "complete_till")),
        ({"entity_type": None}, ("FieldMissing", "entity_type")),
        ({"entity_id": None}, ("FieldMissing", "entity_id")),
        ({"entity_type": "contact"}, ("NotSupportedChoice", "entity_type")),
        ({"entity_id": 999}, ("NotSupportedChoice", "entity_id")),
        ({"responsible_user_id": 9}, ("NotSupportedChoice", "responsible_user_id")),
        ({"responsible_user_id": 77}, ("NotSupportedChoice", "responsible_user_id")),
        ({"task_type_id": 7}, ("NotSupportedChoice", "task_type_id")),
        ({"priority": 1}, ("FieldNotExpected", "priority")),
        ({"is_completed": 1}, ("InvalidType", "is_completed")),
    ],
)
def test_a_wrong_task_is_refused(change, flaw):
    call = caller()
    assert call.flaws("POST", "tasks", [CALL_BACK, CALL_BACK | change]) == {("1", *flaw)}
    assert call.portal.tasks() == []


def test_a_task_without_an_entity_is_fine():
    call = caller()
    create(call, {"text": "x", "complete_till": 1})
    assert call.portal.tasks()[0]["entity_type"] is None


def test_a_user_deactivated_meanwhile_gets_nothing_new():
    call = caller()
    create(call, CALL_BACK | {"responsible_user_id": 2})
    call.portal.deactivate_user(2)
    found = call.flaws("POST", "tasks", [CALL_BACK | {"responsible_user_id": 2}])
    assert found == {("0", "NotSupportedChoice", "responsible_user_id")}


def test_completing_sets_the_result_and_frees_the_card():
    call = caller()
    (made,) = create(call, CALL_BACK)
    call.clock.advance(5)
    answer = call.write("PATCH", f"tasks/{made}", {"is_completed": True, "result": {"text": "done"}})
    assert answer["updated_at"] == STAMP + 5
    task = call.get(f"tasks/{made}")
    assert (task["is_completed"], task["result"]) == (True, {"text": "done"})
    assert call.get("contacts/101")["closest_task_at"] is None


def test_many_tasks_are_changed_at_once_and_none_can_be_deleted():
    call = caller()
    first, second = create(call, CALL_BACK, CALL_BACK)
    call.write("PATCH", "tasks", [{"id": first, "complete_till": 5}, {"id": second, "text": "Write"}])
    assert [(task["complete_till"], task["text"]) for task in call.portal.tasks()] == [
        (5, "Call"),
        (STAMP + 3600, "Write"),
    ]
    assert call.problem("DELETE", f"tasks/{first}")["status"] == 405
    assert call.flaws("PATCH", "tasks", [{"id": 99, "text": "x"}]) == {("0", "NotSupportedChoice", "id")}


class TestFinding:
    @pytest.fixture
    def call(self):
        one = caller()
        create(
            one,
            CALL_BACK,
            CALL_BACK | {"entity_id": 102, "complete_till": 100, "responsible_user_id": 2},
            CALL_BACK | {"entity_type": "companies", "task_type_id": 2},
            CALL_BACK | {"is_completed": True},
        )
        return one

    @pytest.mark.parametrize(
        ("query", "ids"),
        [
            ("filter[entity_type]=contacts&filter[entity_id][]=101", [1, 4]),
            ("filter[entity_type]=contacts&filter[entity_id][]=101&filter[entity_id][]=102", [1, 2, 4]),
            ("filter[entity_type]=contacts&filter[entity_id]=101&filter[is_completed]=0", [1]),
            ("filter[entity_type]=companies", [3]),
            ("filter[is_completed]=1", [4]),
            ("filter[responsible_user_id][]=2", [2]),
            ("filter[task_type][]=2", [3]),
            ("filter[id][]=3&filter[id][]=1", [1, 3]),
            (f"filter[updated_at][from]={STAMP + 1}", []),
            ("order[complete_till]=asc", [2, 1, 3, 4]),
            ("order[id]=desc&limit=2", [4, 3]),
            ("filter[nonsense]=1", [1, 2, 3, 4]),
        ],
    )
    def test_filters_work_without_the_paid_option(self, call, query, ids):
        assert call.ids("tasks", query) == ids

    def test_ids_of_entities_need_their_type(self, call):
        assert call.problem("GET", "tasks", query="filter[entity_id][]=101")["status"] == 400
