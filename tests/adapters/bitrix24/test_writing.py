"""Fields, scores and tasks, against the emulated portal with its documented limits."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import responses

from adapters.bitrix24.adapter import Bitrix24
from adapters.bitrix24.auth import access_from_input
from adapters.budget import LocalStates
from adapters.contract import Choice, FieldMap, FieldRef
from adapters.errors import AccessLost, Conflict, ScopeMissing, Unavailable, Unsupported
from adapters.records import CustomerKind, CustomerRef, ScoreChange, TaskDraft
from sandbox.faults import Fault
from tests.adapters.bitrix24.conftest import NOW, SPECS
from tests.adapters.bitrix24.wire import BASE, TIME, batches, transport

CONTACT, COMPANY = CustomerKind.CONTACT, CustomerKind.COMPANY
SEGMENT = next(spec for spec in SPECS if spec.key == "segment")
VALUES = {
    "r": 5,
    "f": 0,
    "m": Decimal("1234.50"),
    "code": "545",
    "segment": "vip",
    "segment_previous": "at_risk",
    "updated_at": datetime(2026, 11, 24, 8, 30, tzinfo=UTC),
    "method": "sales5@1",
    "quality": 87,
    "churn_risk": False,
    "upsell": True,
    "hint": 'Звонить & спросить: 100% "да"? #1+1=2',
}
STORED = {
    "UF_CRM_RFM_R": 5,
    "UF_CRM_RFM_F": 0,
    "UF_CRM_RFM_M": Decimal("1234.50"),
    "UF_CRM_RFM_CODE": "545",
    "UF_CRM_RFM_SEGMENT": "vip",
    "UF_CRM_RFM_PREVIOUS": "at_risk",
    "UF_CRM_RFM_UPDATED": datetime(2026, 11, 24, 8, 30, tzinfo=UTC),
    "UF_CRM_RFM_METHOD": "sales5@1",
    "UF_CRM_RFM_QUALITY": 87,
    "UF_CRM_RFM_CHURN": False,
    "UF_CRM_RFM_UPSELL": True,
    "UF_CRM_RFM_HINT": 'Звонить & спросить: 100% "да"? #1+1=2',
}


def _contact(number, **values):
    return ScoreChange(CustomerRef(CONTACT, str(number)), values or VALUES)


# ── fields ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_plan_names_what_is_missing_and_changes_nothing(bench):
    steps = bench.adapter.plan_fields(SPECS, None)
    assert [(step.kind, step.key, step.action) for step in steps] == [
        (kind, spec.key, "create") for kind in CustomerKind for spec in SPECS
    ]
    assert bench.portal.requests == 1
    assert bench.adapter.plan_fields(SPECS, None) == steps


def test_fields_are_created_once_with_their_types_and_found_again(bench):
    fields = bench.adapter.ensure_fields(SPECS, None)
    before = bench.portal.requests
    assert bench.another().ensure_fields(SPECS, fields) == fields
    assert bench.another().ensure_fields(SPECS, None) == fields
    assert bench.portal.requests - before == 2
    assert bench.adapter.plan_fields(SPECS, fields) == []
    assert {ref.name for ref in fields.of(CONTACT).values()} == set(STORED)
    assert fields.of(CONTACT)["segment"].choices != fields.of(COMPANY)["segment"].choices
    assert FieldMap.from_json(fields.to_json()) == fields


def test_a_missing_option_is_added_and_the_others_keep_their_ids(bench):
    fields = bench.provisioned()
    grown = replace(SEGMENT, choices=(*SEGMENT.choices, Choice("loyal", "Loyal")))
    specs = [grown if spec.key == "segment" else spec for spec in SPECS]
    assert [(step.action, step.detail) for step in bench.adapter.plan_fields(specs, fields)] == [
        ("extend", "UF_CRM_RFM_SEGMENT: loyal")
    ] * 2
    after = bench.adapter.ensure_fields(specs, fields)
    for kind in CustomerKind:
        choices = after.of(kind)["segment"].choices
        assert set(choices) == {"vip", "at_risk", "loyal"}
        assert choices.items() >= fields.of(kind)["segment"].choices.items()


def test_a_field_of_another_type_in_our_place_is_a_conflict_that_says_what_to_do(bench):
    wrong = replace(SPECS[0], type=SPECS[3].type)
    bench.adapter.ensure_fields([wrong], None)
    with pytest.raises(Conflict) as conflict:
        bench.adapter.ensure_fields(SPECS, None)
    assert "UF_CRM_RFM_R" in str(conflict.value)
    assert "integer" in str(conflict.value)


def test_without_the_right_to_create_fields_a_person_is_told(bench):
    bench.portal.grant("crm", admin=False)
    with pytest.raises(ScopeMissing):
        bench.adapter.ensure_fields(SPECS, None)


@pytest.mark.parametrize("fault", [Fault.LOST_ANSWER, Fault.SERVER_ERROR, Fault.HTML_ERROR, Fault.THROTTLE])
def test_a_field_whose_answer_is_lost_is_not_created_twice(bench, fault):
    bench.portal.faults.switch(fault, 0.4)
    fields = bench.adapter.ensure_fields(SPECS, None)
    bench.portal.faults.switch(fault, 0.0)
    assert bench.portal.faults.counts[fault] > 0
    assert bench.portal.calls["crm.contact.userfield.add"] == len(SPECS)
    assert bench.adapter.plan_fields(SPECS, fields) == []


def test_the_default_layout_of_the_card_is_left_alone(bench):
    bench.provisioned()
    assert bench.portal.state.layouts == {}


def test_a_common_layout_gets_our_section_and_keeps_its_own(bench):
    main = {"name": "main", "title": "About", "type": "section", "elements": [{"name": "NAME"}]}
    bench.portal.state.layouts[(3, "C", 0)] = [main]
    bench.provisioned()
    kept, ours = bench.portal.state.layouts[(3, "C", 0)]
    assert kept == main
    assert (ours["title"], {element["name"] for element in ours["elements"]}) == ("RFM", set(STORED))
    assert set(bench.portal.state.layouts) == {(3, "C", 0)}


def test_a_refused_layout_does_not_stop_provisioning(bench, monkeypatch):
    bench.portal.state.layouts[(3, "C", 0)] = [{"name": "main", "title": "A", "type": "section", "elements": []}]
    monkeypatch.setattr("adapters.bitrix24.provision._with_section", lambda layout, names: [{"type": "nonsense"}])
    assert bench.provisioned().of(CONTACT)["r"].name == "UF_CRM_RFM_R"


# ── scores ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_values_arrive_on_cards_of_both_kinds_in_one_request(bench):
    fields = bench.provisioned()
    bench.adapter.customers_by_id(CONTACT, ["1"], fields=fields)
    before = bench.portal.requests
    changes = [_contact(1), ScoreChange(CustomerRef(COMPANY, "1"), VALUES)]
    outcomes = bench.adapter.write_scores(changes, fields)
    assert [outcome.ok for outcome in outcomes] == [True, True]
    assert bench.portal.card("contact", 1) == bench.portal.card("company", 1) == STORED
    assert bench.portal.requests - before == 1
    assert outcomes[0].written_at == bench.portal.changed_at("contact", 1)


def test_what_was_written_is_read_back_as_it_was(bench):
    fields = bench.provisioned()
    bench.adapter.write_scores([_contact(1)], fields)
    (record,) = bench.another().customers_by_id(CONTACT, ["1"], fields=fields).records
    assert record.card == VALUES


def test_emptying_and_setting_one_card_needs_two_requests_and_holds(bench):
    fields = bench.provisioned()
    bench.adapter.write_scores([_contact(1), _contact(2)], fields)
    emptied = dict.fromkeys(VALUES)
    before = bench.portal.requests
    outcomes = bench.adapter.write_scores([_contact(1, **emptied), _contact(2, hint=None, r=6)], fields)
    assert [outcome.ok for outcome in outcomes] == [True, True]
    assert bench.portal.requests - before == 2
    assert not any(bench.portal.card("contact", 1).values())
    assert bench.portal.card("contact", 2) == {
        **{name: value for name, value in STORED.items() if name != "UF_CRM_RFM_HINT"},
        "UF_CRM_RFM_R": 6,
    }


def test_one_refused_card_does_not_stop_its_neighbours(bench):
    fields = bench.provisioned()
    changes = [_contact(1), _contact(999999), _contact(2, segment="nonsense"), _contact(3), _contact(4, r=None, f=1)]
    outcomes = bench.adapter.write_scores(changes, fields)
    assert [outcome.ok for outcome in outcomes] == [True, False, False, True, True]
    assert [outcome.external_id for outcome in outcomes] == ["1", "999999", "2", "3", "4"]
    assert "gone" in outcomes[1].reason
    assert outcomes[2].field == "segment"
    assert bench.portal.card("contact", 3) == STORED


def test_a_deleted_field_is_refused_by_its_name(bench):
    fields = bench.provisioned()
    refs = {**fields.of(CONTACT), "hint": FieldRef("1", "UF_CRM_RFM_LOST")}
    (outcome,) = bench.adapter.write_scores([_contact(1)], FieldMap({CONTACT: refs}))
    assert (outcome.ok, outcome.field) == (False, "hint")


def test_fields_that_another_process_created_are_found_by_a_running_one(bench):
    running = bench.another()
    first = bench.adapter.ensure_fields(SPECS[:1], None)
    assert running.write_scores([_contact(1, r=5)], first)[0].ok
    assert running.write_scores([_contact(1)], bench.provisioned())[0].ok


def test_under_faults_every_card_holds_its_values_and_no_limit_is_passed(bench):
    fields = bench.provisioned()
    for fault in Fault:
        bench.portal.faults.switch(fault, 0.15)
    for start in range(1, 181, 50):
        changes = [_contact(number) for number in range(start, min(start + 50, 181))]
        assert all(outcome.ok for outcome in bench.adapter.write_scores(changes, fields))
    assert all(card == STORED for card in bench.portal.cards("contact").values())
    assert bench.portal.exceeded == 0


@pytest.fixture
def mock():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as opened:
        yield opened


def _adapter():
    clock = [1000.0]
    return Bitrix24(access_from_input(BASE), transport(clock), LocalStates(lambda: clock[0]))


FIELDS = FieldMap({CONTACT: {"r": FieldRef("1", "UF_CRM_RFM_R"), "hint": FieldRef("2", "UF_CRM_RFM_HINT")}})
ITEM_FIELDS = {"fields": {"ufCrmRfmR": {"upperName": "UF_CRM_RFM_R"}, "ufCrmRfmHint": {"upperName": "UF_CRM_RFM_HINT"}}}


@pytest.mark.parametrize("item", [{"id": 1, "ufCrmRfmR": 4}, {"id": 1}, {"id": 1, "ufCrmRfmR": None}])
def test_a_value_that_did_not_take_is_refused(mock, item):
    batches(mock, lambda method, params: ITEM_FIELDS if method == "crm.item.fields" else {"item": item})
    (outcome,) = _adapter().write_scores([_contact(1, r=5)], FIELDS)
    assert (outcome.ok, outcome.field) == (False, "r")


def test_a_value_that_came_back_under_its_original_name_took(mock):
    item = {"id": 1, "UF_CRM_RFM_R": "5", "updatedTime": "2026-11-24T12:00:00+03:00"}
    batches(mock, lambda method, params: ITEM_FIELDS if method == "crm.item.fields" else {"item": item})
    (outcome,) = _adapter().write_scores([_contact(1, r=5)], FIELDS)
    assert (outcome.ok, outcome.written_at) == (True, datetime(2026, 11, 24, 9, tzinfo=UTC))


def test_the_field_that_the_vendor_names_is_told_by_our_key(mock):
    refusal = {"error": "CRM_FIELD_ERROR_VALUE_NOT_VALID", "error_description": 'The field "UF_CRM_RFM_R" is wrong'}
    batches(mock, lambda method, params: ITEM_FIELDS if method == "crm.item.fields" else refusal)
    (outcome,) = _adapter().write_scores([_contact(1, r=5, hint="x")], FIELDS)
    assert (outcome.ok, outcome.field) == (False, "r")
    assert "CRM_FIELD_ERROR_VALUE_NOT_VALID" in outcome.reason


@pytest.mark.parametrize(
    ("code", "error"), [("insufficient_scope", AccessLost), ("ERROR_METHOD_NOT_FOUND", Unsupported)]
)
def test_what_concerns_the_whole_portal_is_raised(mock, code, error):
    batches(mock, lambda method, params: ITEM_FIELDS if method == "crm.item.fields" else {"error": code})
    with pytest.raises(error):
        _adapter().write_scores([_contact(1, r=5)], FIELDS)


def test_a_batch_that_the_portal_cannot_finish_is_halved(mock):
    sizes = []

    def reply(request):
        cmd = json.loads(request.body)["cmd"]
        if "crm.item.fields" in str(cmd):
            return 200, {}, json.dumps({"result": {"result": dict.fromkeys(cmd, ITEM_FIELDS)}, "time": TIME})
        sizes.append(len(cmd))
        if len(cmd) > 2:
            return 500, {}, "<html></html>"
        return (
            200,
            {},
            json.dumps({"result": {"result": {key: {"item": {"ufCrmRfmR": 5}} for key in cmd}}, "time": TIME}),
        )

    mock.add_callback(responses.POST, BASE + "batch", reply)
    outcomes = _adapter().write_scores([_contact(number, r=5) for number in range(1, 6)], FIELDS)
    assert all(outcome.ok for outcome in outcomes)
    assert set(sizes) == {5, 2, 3, 1}


# ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _draft(number, kind=CONTACT, manager="2"):
    ref = CustomerRef(kind, str(number))
    return TaskDraft(
        f"{kind.value}{number}", ref, manager, "Call back", "Ask & listen: 100 %", NOW + timedelta(hours=5)
    )


def test_a_task_is_a_to_do_on_the_customers_card(bench):
    (outcome,) = bench.adapter.create_tasks([_draft(7, COMPANY)])
    (todo,) = bench.portal.todos("company", 7)
    assert (outcome.ok, outcome.external_id) == (True, str(todo.id))
    assert todo.subject == "Call back"
    assert todo.description == "Ask & listen: 100 %\n\nRFM#company7"
    assert todo.responsible_id == 2
    assert todo.deadline == int((NOW + timedelta(hours=5)).timestamp())


def test_fifty_tasks_are_one_request_and_a_refused_one_stops_nobody(bench):
    drafts = [_draft(number) for number in range(1, 50)] + [_draft(999999)]
    outcomes = bench.adapter.create_tasks(drafts)
    assert [outcome.ok for outcome in outcomes] == [True] * 49 + [False]
    assert bench.portal.requests == 1


def test_tasks_are_found_by_their_whole_marker(bench):
    bench.adapter.create_tasks([_draft(1), replace(_draft(1), key="contact12")])
    assert set(bench.adapter.find_tasks([_draft(1), _draft(2)])) == {"contact1"}
    assert bench.adapter.find_tasks([replace(_draft(1), key="contact123")]) == {}
    assert bench.adapter.find_tasks([]) == {}


def test_a_task_is_found_among_many_older_and_newer_ones(bench):
    drafts = [replace(_draft(1), key=f"k{number}") for number in range(120)]
    bench.adapter.create_tasks(drafts)
    assert len(bench.adapter.find_tasks(drafts)) == 120


@pytest.mark.parametrize("fault", list(Fault))
def test_no_task_is_made_twice_whatever_goes_wrong(bench, fault):
    bench.portal.faults.switch(fault, 0.4)
    drafts = [_draft(number) for number in range(1, 151)]
    outcomes = bench.adapter.create_tasks(drafts)
    assert all(outcome.ok for outcome in outcomes)
    assert sorted(todo.owner_id for todo in bench.portal.todos()) == list(range(1, 151))
    assert {outcome.external_id for outcome in outcomes} == {str(todo.id) for todo in bench.portal.todos()}


def test_tasks_that_stay_unanswered_end_in_an_error(mock):
    batches(mock, lambda method, params: [] if method == "crm.activity.list" else None)
    with pytest.raises(Unavailable):
        _adapter().create_tasks([_draft(1)])


def test_an_answer_without_an_id_is_no_task(mock):
    batches(mock, lambda method, params: [])
    (outcome,) = _adapter().create_tasks([_draft(1)])
    assert not outcome.ok
