from datetime import UTC, datetime
from decimal import Decimal

import pytest

from adapters.contract import Choice, FieldMap, FieldRef, FieldSpec, FieldType
from adapters.errors import Conflict, InvalidValue, TokenExpired, Unavailable, Unsupported
from adapters.records import CustomerKind, CustomerRef, ScoreChange
from tests.adapters.hubspot.wire import Wire, adapter, answer, page, record

CONTACT, COMPANY = CustomerKind.CONTACT, CustomerKind.COMPANY
REFS = {key: FieldRef(f"rfm_{key}", key) for key in ("r", "m", "segment", "upsell")}
FIELDS = FieldMap({CONTACT: REFS, COMPANY: REFS})
CONTACTS, COMPANIES = "contacts/batch/update", "companies/batch/update"
WRITTEN = datetime(2026, 11, 22, 12, 0, 0, 250000, UTC)


@pytest.fixture
def wire():
    return Wire()


def change(record_id, kind=CONTACT, **values):
    return ScoreChange(CustomerRef(kind, str(record_id)), values or {"r": 1})


def kept(call, *but):
    """Results for all inputs of a call except some ids, in another order than asked."""
    ids = [item["id"] for item in call.json["inputs"] if item["id"] not in but]
    return [record(one, updated="2026-11-22T12:00:00.250Z") for one in reversed(ids)]


def accept(call):
    return page(*kept(call), status="COMPLETE")


def refuse(category, *ids, code=None, field=None):
    """A 207 that refuses some ids and keeps the others."""
    details = [{"code": code, "context": {"propertyName": [field]}}] if code else []
    error = {"status": "error", "category": category, "context": {"ids": list(ids)}, "errors": details}

    def given(call):
        asked = {item["id"] for item in call.json["inputs"]} & set(ids)
        errors = [{**error, "context": {"ids": sorted(asked)}}] if asked else []
        return answer(page(*kept(call, *ids), errors=errors), 207 if errors else 200)

    return given


def hold_whole(bad, message):
    """A 400 for the whole batch as long as a bad id is in it."""

    def given(call):
        if any(item["id"] in bad for item in call.json["inputs"]):
            return answer({"category": "VALIDATION_ERROR", "message": message}, 400)
        return accept(call)

    return given


def test_values_are_sent_as_text_and_none_clears(wire):
    wire.on(CONTACTS, accept)
    adapter(wire).write_scores([change(7, r=12, m=Decimal("10.50"), segment=None, upsell=True)], FIELDS)
    properties = {"rfm_r": "12", "rfm_m": "10.50", "rfm_segment": "", "rfm_upsell": "true"}
    assert wire.bodies(CONTACTS) == [{"inputs": [{"id": "7", "properties": properties}]}]


def test_outcomes_stand_in_the_order_of_the_changes_whatever_hubspot_s_order_is(wire):
    wire.on(CONTACTS, accept).on(COMPANIES, accept)
    outcomes = adapter(wire).write_scores([change(7), change(7, COMPANY), change(8), change(9, COMPANY)], FIELDS)
    assert [one.external_id for one in outcomes] == ["7", "7", "8", "9"]
    assert all(one.ok and one.written_at == WRITTEN for one in outcomes)
    assert len(wire.calls) == 2


def test_a_hundred_cards_of_one_kind_are_one_call(wire):
    wire.on(CONTACTS, accept)
    adapter(wire).write_scores([change(n) for n in range(100)], FIELDS)
    assert [len(body["inputs"]) for body in wire.bodies(CONTACTS)] == [100]


def test_a_card_refused_in_a_207_does_not_touch_its_neighbours(wire):
    wire.on(CONTACTS, refuse("VALIDATION_ERROR", "8", code="INVALID_OPTION", field="rfm_segment"))
    outcomes = adapter(wire).write_scores([change(7), change(8), change(9)], FIELDS)
    assert [one.ok for one in outcomes] == [True, False, True]
    assert outcomes[1].field == "segment"
    assert "INVALID_OPTION" in outcomes[1].reason
    assert len(wire.calls) == 1


def test_a_card_that_is_gone_is_refused_as_gone_in_a_207_and_in_a_404(wire):
    whole = answer({"category": "OBJECT_NOT_FOUND", "context": {"ids": ["8"]}}, 404)
    for given in ([refuse("OBJECT_NOT_FOUND", "8")], [whole, accept]):
        outcomes = adapter(wire.on(CONTACTS, *given)).write_scores([change(7), change(8)], FIELDS)
        assert [(one.ok, one.reason) for one in outcomes] == [(True, None), (False, "gone")]


def test_a_batch_refused_as_a_whole_is_halved_until_the_bad_card_stands_alone(wire):
    message = 'Property values were not valid: [{"isValid":false,"error":"INVALID_LONG","name":"rfm_r"}]'
    wire.on(CONTACTS, hold_whole({"13"}, message))
    outcomes = adapter(wire).write_scores([change(n) for n in range(100)], FIELDS)
    assert [n for n, one in enumerate(outcomes) if not one.ok] == [13]
    assert (outcomes[13].field, outcomes[13].reason) == ("r", "HubSpot refuses rfm_r (VALIDATION_ERROR INVALID_LONG)")
    assert len(wire.calls) < 16


def test_a_field_that_was_removed_refuses_its_cards_without_halving(wire):
    message = '[{"isValid":false,"error":"PROPERTY_DOESNT_EXIST","name":"rfm_m"}]'

    def given(call):
        if any("rfm_m" in item["properties"] for item in call.json["inputs"]):
            return answer({"category": "VALIDATION_ERROR", "message": message}, 400)
        return accept(call)

    changes = [change(n, m=Decimal(1)) if n % 2 else change(n) for n in range(100)]
    outcomes = adapter(wire.on(CONTACTS, given)).write_scores(changes, FIELDS)
    assert [one.ok for one in outcomes] == [n % 2 == 0 for n in range(100)]
    assert {one.field for one in outcomes if not one.ok} == {"m"}
    assert len(wire.calls) == 2


def test_a_rule_about_somebody_else_s_property_is_told_in_the_reason(wire):
    wire.on(CONTACTS, refuse("VALIDATION_ERROR", "8", code="MISSING_CONDITIONAL_REQUIRED_PROPERTY", field="industry"))
    (_, refused) = adapter(wire).write_scores([change(7), change(8)], FIELDS)
    assert refused.field is None
    assert "industry" in refused.reason


def test_a_card_that_another_writer_holds_is_sent_again_alone(wire):
    wire.on(CONTACTS, refuse("CONFLICT", "8"), refuse("CONFLICT", "8"), accept)
    outcomes = adapter(wire).write_scores([change(7), change(8)], FIELDS)
    assert all(one.ok for one in outcomes)
    assert [[item["id"] for item in body["inputs"]] for body in wire.bodies(CONTACTS)] == [["7", "8"], ["8"], ["8"]]


def test_a_card_that_stays_held_is_refused_in_the_end(wire):
    wire.on(CONTACTS, refuse("CONFLICT", "8"))
    outcomes = adapter(wire).write_scores([change(7), change(8)], FIELDS)
    assert [one.ok for one in outcomes] == [True, False]
    assert len(wire.calls) == 5


def test_cards_of_which_the_answer_says_nothing_are_asked_about_again(wire):
    def forgetful(call):
        return answer(page(*kept(call, "8"), errors=[{"category": "VALIDATION_ERROR"}]), 207)

    wire.on(CONTACTS, forgetful)
    outcomes = adapter(wire).write_scores([change(7), change(8), change(9)], FIELDS)
    assert [(one.ok, one.reason) for one in outcomes] == [
        (True, None),
        (False, "HubSpot refuses the record (VALIDATION_ERROR)"),
        (True, None),
    ]


def test_trouble_with_the_whole_passes_through(wire):
    for fault, status in ((Unavailable, 503), (TokenExpired, 401)):
        with pytest.raises(fault):
            adapter(wire.on(CONTACTS, answer({}, status))).write_scores([change(7)], FIELDS)


def test_a_field_that_was_never_provisioned_is_our_own_mistake(wire):
    with pytest.raises(Unsupported, match="quality"):
        adapter(wire).write_scores([change(7, quality=5)], FIELDS)


SEGMENT = FieldSpec("segment", FieldType.CHOICE, "RFM: сегмент", (Choice("vip", "VIP"), Choice("loyal", "Лояльный")))
SPECS = (FieldSpec("r", FieldType.INTEGER, "RFM: R"), SEGMENT)


class Definitions:
    """Properties of both kinds, kept like HubSpot keeps them."""

    def __init__(self, wire, *, batch_works=True, **existing):
        self.live = {"contacts": {}, "companies": {}}
        self.hidden = set()
        self.batch_works = batch_works
        self.live["contacts"].update(existing)
        self.groups = {"contacts": [], "companies": []}
        for objects in self.live:
            wire.on(f"{objects}", lambda call, objects=objects: self._all(call, objects))
            wire.on(f"{objects}/groups", lambda call, objects=objects: self._group(call, objects))
            wire.on(f"{objects}/batch/create", lambda call, objects=objects: self._batch(call, objects))
            for name in ("rfm_r", "rfm_segment"):
                wire.on(f"{objects}/{name}", lambda call, objects=objects: self._change(call, objects))

    def _all(self, call, objects):
        if call.method == "GET":
            return page(*(one for name, one in self.live[objects].items() if name not in self.hidden))
        if call.json["name"] in self.live[objects]:
            return answer({"category": "OBJECT_ALREADY_EXISTS"}, 409)
        self.live[objects][call.json["name"]] = call.json
        return answer(call.json, 201)

    def _group(self, call, objects):
        if call.method == "GET":
            return page(*self.groups[objects])
        self.groups[objects].append(call.json)
        return answer(call.json, 201)

    def _batch(self, call, objects):
        if not self.batch_works:
            return answer({"category": "OBJECT_ALREADY_EXISTS"}, 409)
        self.live[objects].update({one["name"]: one for one in call.json["inputs"]})
        return answer(page(*call.json["inputs"]), 201)

    def _change(self, call, objects):
        name = call.path.rsplit("/", 1)[1]
        self.live[objects][name] = {**self.live[objects][name], **call.json}
        return self.live[objects][name]


def changing(wire):
    return [(call.method, call.path.split("2026-09/")[1]) for call in wire.calls if call.method != "GET"]


def test_fields_are_made_in_one_call_for_each_kind_and_a_second_time_not_at_all(wire):
    Definitions(wire)
    crm = adapter(wire)
    fields = crm.ensure_fields(SPECS, None)
    made = changing(wire)
    assert made == [
        ("POST", "contacts/groups"),
        ("POST", "contacts/batch/create"),
        ("POST", "companies/groups"),
        ("POST", "companies/batch/create"),
    ]
    assert fields.of(COMPANY)["segment"] == FieldRef("rfm_segment", "RFM: сегмент", {"vip": "vip", "loyal": "loyal"})
    assert crm.ensure_fields(SPECS, fields) == fields
    assert changing(wire) == made
    assert crm.plan_fields(SPECS, fields) == []


def test_a_plan_says_what_would_be_made_and_changes_nothing(wire):
    Definitions(wire, rfm_segment={"name": "rfm_segment", "type": "enumeration", "fieldType": "select", "options": []})
    steps = adapter(wire).plan_fields(SPECS, None)
    assert [(one.kind, one.key, one.action) for one in steps] == [
        (CONTACT, "group", "create"),
        (CONTACT, "r", "create"),
        (CONTACT, "segment", "extend"),
        (COMPANY, "group", "create"),
        (COMPANY, "r", "create"),
        (COMPANY, "segment", "create"),
    ]
    assert changing(wire) == []


def test_missing_options_are_added_and_those_of_a_person_sent_along(wire):
    mine = {"label": "Mine", "value": "mine", "displayOrder": 5, "hidden": True, "description": "kept"}
    vip = {"label": "Best", "value": "vip", "displayOrder": 0, "hidden": False}
    existing = {
        "name": "rfm_segment",
        "label": "S",
        "type": "enumeration",
        "fieldType": "select",
        "options": [mine, vip],
    }
    kept_by_hubspot = Definitions(wire, rfm_segment=existing)
    adapter(wire).ensure_fields(SPECS, None)
    options = kept_by_hubspot.live["contacts"]["rfm_segment"]["options"]
    assert options[:2] == [mine, vip]
    assert [one["value"] for one in options[2:]] == ["loyal"]


def test_what_another_run_made_meanwhile_is_taken_and_the_rest_made_one_by_one(wire):
    hubspot = Definitions(wire, batch_works=False)
    fields = adapter(wire).ensure_fields(SPECS, None)
    assert set(hubspot.live["contacts"]) == {"rfm_r", "rfm_segment"}
    assert set(fields.of(CONTACT)) == {"r", "segment"}


def test_a_field_of_another_type_stops_before_anything_is_made(wire):
    Definitions(wire, rfm_r={"name": "rfm_r", "label": "R", "type": "string", "fieldType": "text"})
    for step in (adapter(wire).plan_fields, adapter(wire).ensure_fields):
        with pytest.raises(Conflict, match="rfm_r"):
            step(SPECS, None)
    assert changing(wire) == []


def test_a_name_that_is_taken_but_not_listed_is_a_conflict(wire):
    hubspot = Definitions(wire, batch_works=False, rfm_r={"name": "rfm_r", "type": "number"})
    hubspot.hidden = {"rfm_r"}
    with pytest.raises(Conflict, match="rfm_r"):
        adapter(wire).ensure_fields(SPECS, None)


def test_a_refused_definition_is_told(wire):
    Definitions(wire, batch_works=False)
    wire.on("contacts", lambda call: page() if call.method == "GET" else answer({"category": "LIMIT"}, 400))
    with pytest.raises(InvalidValue, match="LIMIT"):
        adapter(wire).ensure_fields(SPECS, None)


def test_a_field_is_found_again_by_the_stored_name(wire):
    other = {"name": "shop_rfm_r", "label": "R", "type": "number", "fieldType": "number"}
    Definitions(wire, shop_rfm_r=other)
    known = FieldMap({CONTACT: {"r": FieldRef("shop_rfm_r", "R")}})
    fields = adapter(wire).ensure_fields(SPECS[:1], known)
    assert fields.of(CONTACT)["r"].external_id == "shop_rfm_r"
    assert fields.of(COMPANY)["r"].external_id == "rfm_r"
