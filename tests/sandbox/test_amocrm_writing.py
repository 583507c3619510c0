from __future__ import annotations

import pytest

from sandbox.amocrm import Rules
from tests.sandbox.amocrm_caller import NOW, add_fields, caller, value

STAMP = int(NOW.timestamp())


def change(card_id, *values, **other):
    return {"id": card_id, "custom_fields_values": list(values)} | other


@pytest.fixture
def call():
    one = caller()
    one.fields = add_fields(one)
    return one


def patch(call, *values, kind="contacts", card_id=102):
    return call.write("PATCH", kind, [change(card_id, *values)])


def flaws(call, *values, card_id=102):
    found = call.flaws("PATCH", "contacts", [change(card_id, *values)])
    assert {request_id for request_id, _, _ in found} == {"0"}
    return {(code, path.removeprefix("custom_fields_values.")) for _, code, path in found}


class TestValues:
    @pytest.mark.parametrize(("given", "read"), [(4, "4"), ("4", "4"), (1.5, "1.5"), ("1500.50", "1500.5"), (0, "0")])
    def test_numbers_read_back_as_strings(self, call, given, read):
        patch(call, value("RFM_R", given))
        assert call.portal.card_values("contacts", 102) == {"RFM_R": read}
        (field,) = call.get("contacts/102")["custom_fields_values"]
        assert field["values"] == [{"value": read}]

    @pytest.mark.parametrize("given", ["four", True, {"value": "NaN"}, {"value": [1]}])
    def test_what_is_no_number_is_refused(self, call, given):
        assert flaws(call, value("RFM_R", given)) == {("InvalidType", "0.values.0.value")}

    def test_moments_come_in_as_seconds_or_rfc_3339_and_read_as_seconds(self, call):
        patch(call, value("RFM_UPDATED_AT", 1_700_000_000))
        assert call.portal.card_values("contacts", 102) == {"RFM_UPDATED_AT": 1_700_000_000}
        patch(call, value("RFM_UPDATED_AT", "2023-11-14T22:13:20+03:00"))
        assert call.portal.card_values("contacts", 102) == {"RFM_UPDATED_AT": 1_700_000_000 - 3 * 3600}

    @pytest.mark.parametrize("given", ["2023-11-14T22:13:20", "yesterday", True])
    def test_moments_without_an_offset_are_refused(self, call, given):
        assert flaws(call, value("RFM_UPDATED_AT", given)) == {("InvalidType", "0.values.0.value")}

    def test_false_is_a_value_and_not_the_same_as_empty(self, call):
        patch(call, value("RFM_CHURN_RISK", given=False))
        assert call.portal.card_values("contacts", 102) == {"RFM_CHURN_RISK": False}

    def test_text_has_256_characters_and_textarea_as_many_as_you_like(self, call):
        patch(call, value("RFM_CODE", "я" * 256), value("RFM_HINT", "я" * 5000))
        assert len(call.portal.card_values("contacts", 102)["RFM_HINT"]) == 5000
        assert flaws(call, value("RFM_CODE", "я" * 257)) == {("TooLong", "0.values.0.value")}
        assert flaws(call, value("RFM_CODE", 545)) == {("InvalidType", "0.values.0.value")}

    @pytest.mark.parametrize("given", [{"enum_code": "vip"}, {"value": "VIP"}])
    def test_an_option_is_chosen_by_code_or_exact_text(self, call, given):
        patch(call, value("RFM_SEGMENT", given))
        assert call.portal.card_values("contacts", 102) == {"RFM_SEGMENT": "vip"}
        (shown,) = call.get("contacts/102")["custom_fields_values"][0]["values"]
        patch(call, value("RFM_SEGMENT", {"enum_code": "loyal"}))
        patch(call, value("RFM_SEGMENT", {"enum_id": shown["enum_id"]}))
        assert call.portal.card_values("contacts", 102) == {"RFM_SEGMENT": "vip"}

    @pytest.mark.parametrize("key", ["enum_id", "enum_code", "value"])
    def test_an_unknown_option_is_refused_with_its_path(self, call, key):
        given = {key: 1 if key == "enum_id" else "vip "}
        assert flaws(call, value("RFM_SEGMENT", given)) == {("NotSupportedChoice", f"0.values.0.{key}")}

    def test_what_was_read_cannot_be_written_back_when_a_code_is_null(self, call):
        assert flaws(call, value("RFM_SEGMENT", {"value": "VIP", "enum_code": None})) == {
            ("InvalidType", "0.values.0.enum_code")
        }

    def test_null_values_empty_a_field_and_an_empty_string_does_not(self, call):
        patch(call, value("RFM_CODE", "545"), value("RFM_R", 1))
        patch(call, value("RFM_CODE", ""))
        assert call.portal.card_values("contacts", 102) == {"RFM_CODE": "545", "RFM_R": "1"}
        patch(call, value("RFM_CODE", None), {"field_code": "RFM_R", "values": [{"value": None}]})
        assert call.get("contacts/102")["custom_fields_values"] is None

    def test_unmentioned_fields_are_left_alone(self, call):
        patch(call, value("RFM_R", 1))
        patch(call, value("RFM_CODE", "545"))
        assert call.portal.card_values("contacts", 102) == {"RFM_R": "1", "RFM_CODE": "545"}

    def test_a_field_is_named_by_id_or_code_and_must_exist(self, call):
        patch(call, {"field_id": call.fields["RFM_R"], "values": [{"value": 7}]})
        assert call.portal.card_values("contacts", 102) == {"RFM_R": "7"}
        assert flaws(call, {"field_id": 1, "values": [{"value": 7}]}) == {("NotSupportedChoice", "0.field_id")}
        assert flaws(call, value("RFM_X", 7)) == {("NotSupportedChoice", "0.field_code")}
        assert flaws(call, {"values": [{"value": 7}]}) == {("FieldMissing", "0.field_id")}

    def test_company_fields_are_other_fields(self, call):
        found = call.flaws("PATCH", "companies", [change(101, {"field_id": call.fields["RFM_R"], "values": None})])
        assert found == {("0", "NotSupportedChoice", "custom_fields_values.0.field_id")}

    def test_every_flaw_is_named(self, call):
        assert flaws(call, value("RFM_R", "x"), value("RFM_CODE", "545"), value("RFM_SEGMENT", "none")) == {
            ("InvalidType", "0.values.0.value"),
            ("NotSupportedChoice", "2.values.0.value"),
        }
        assert call.portal.card_values("contacts", 102) == {}

    def test_a_phone_has_a_kind(self, call):
        patch(call, value("PHONE", {"value": "+7", "enum_code": "MOB"}))
        (shown,) = call.get("contacts/102")["custom_fields_values"][0]["values"]
        assert (shown["value"], shown["enum_code"]) == ("+7", "MOB")

    def test_a_field_that_holds_one_value_takes_no_two(self, call):
        two = {"field_code": "RFM_R", "values": [{"value": 1}, {"value": 2}]}
        assert flaws(call, two) == {("TooMany", "0.values")}
        assert flaws(call, {"field_code": "RFM_R", "values": []}) == {("InvalidType", "0.values")}


class TestBatches:
    def test_answers_are_thin_and_echo_request_ids(self, call):
        body = [change(101, value("RFM_R", 1), request_id="c101"), change(102, value("RFM_R", 2))]
        rows = call.write("PATCH", "contacts", body)["_embedded"]["contacts"]
        assert [(row["id"], row["request_id"], row["updated_at"]) for row in rows] == [
            (101, "c101", STAMP),
            (102, "1", STAMP),
        ]
        assert set(rows[0]) == {"id", "request_id", "updated_at", "_links"}

    def test_a_bad_item_refuses_the_whole_batch_by_default(self, call):
        body = [change(101, value("RFM_R", 1)), change(102, value("RFM_R", "x"), request_id="bad")]
        assert call.flaws("PATCH", "contacts", body) == {
            ("bad", "InvalidType", "custom_fields_values.0.values.0.value")
        }
        assert "RFM_R" not in call.portal.card_values("contacts", 101)

    def test_a_bad_item_refuses_only_itself_when_so_ruled(self, call):
        call.portal.rules.bad_item = "partial"
        body = [change(101, value("RFM_R", 1)), change(102, value("RFM_R", "x"), request_id="bad")]
        assert {request_id for request_id, _, _ in call.flaws("PATCH", "contacts", body)} == {"bad"}
        assert call.portal.card_values("contacts", 101)["RFM_R"] == "1"

    def test_an_unknown_id_refuses_the_batch_by_default(self, call):
        body = [change(101, value("RFM_R", 1)), change(999, value("RFM_R", 1))]
        assert call.flaws("PATCH", "contacts", body) == {("1", "NotSupportedChoice", "id")}
        assert "RFM_R" not in call.portal.card_values("contacts", 101)

    def test_an_unknown_id_is_absent_from_the_answer_when_so_ruled(self):
        call = caller(rules=Rules(unknown_id="absent"))
        add_fields(call)
        body = [change(999, value("RFM_R", 1)), change(101, value("RFM_R", 1))]
        assert [row["id"] for row in call.write("PATCH", "contacts", body)["_embedded"]["contacts"]] == [101]

    def test_at_most_250_items(self, call):
        assert call.problem("PATCH", "contacts", [change(101)] * 251)["status"] == 400
        assert call.send("PATCH", "contacts", [change(101)] * 250).status == 200

    def test_an_object_on_a_collection_is_400_and_an_array_on_a_card_405(self, call):
        assert call.problem("PATCH", "contacts", change(101))["status"] == 400
        assert call.problem("PATCH", "contacts", [])["status"] == 400
        assert call.problem("PATCH", "contacts/101", [change(101)])["status"] == 405

    def test_one_card_is_changed_by_an_object(self, call):
        answer = call.write("PATCH", "contacts/101", {"custom_fields_values": [value("RFM_R", 3)]})
        assert (answer["id"], answer["updated_at"]) == (101, STAMP)
        assert call.problem("PATCH", "contacts/999", {"name": "x"})["status"] == 404


class TestCards:
    @pytest.mark.parametrize("key", ["account_id", "closest_task_at", "is_deleted", "group_id", "_links", "score"])
    def test_what_is_only_read_is_not_expected(self, call, key):
        assert call.flaws("PATCH", "leads", [{"id": 1, key: 1}]) == {("0", "FieldNotExpected", key)}

    def test_leads_words_are_no_words_of_contacts(self, call):
        assert call.flaws("PATCH", "contacts", [{"id": 101, "price": 1}]) == {("0", "FieldNotExpected", "price")}

    def test_an_author_who_is_gone_is_refused(self, call):
        assert call.flaws("PATCH", "leads", [{"id": 1, "created_by": 77}]) == {
            ("0", "NotSupportedChoice", "created_by")
        }

    @pytest.mark.parametrize("user_id", [9, 77])
    def test_an_inactive_or_unknown_owner_is_refused(self, call, user_id):
        found = call.flaws("PATCH", "contacts", [{"id": 101, "responsible_user_id": user_id}])
        assert found == {("0", "NotSupportedChoice", "responsible_user_id")}

    def test_our_own_write_moves_the_stamp_even_when_nothing_changes(self, call):
        patch(call, value("RFM_R", 1), card_id=101)
        call.clock.advance(10)
        patch(call, value("RFM_R", 1), card_id=101)
        shown = call.get("contacts/101")
        assert (shown["updated_at"], shown["updated_by"]) == (STAMP + 10, 1)
        assert call.ids("contacts", "order[updated_at]=desc")[0] == 101

    def test_the_stamp_may_be_given(self, call):
        call.write("PATCH", "contacts", [{"id": 101, "name": "x", "updated_at": 1_600_000_000}])
        assert call.get("contacts/101")["updated_at"] == 1_600_000_000
        assert call.ids("contacts", "order[updated_at]=asc")[0] == 101

    def test_closing_sets_the_moment_and_reopening_clears_it(self, call):
        call.portal.win_lead(3)
        assert (call.get("leads/3")["status_id"], call.get("leads/3")["closed_at"]) == (142, STAMP)
        call.portal.reopen_lead(3)
        assert call.get("leads/3")["closed_at"] is None
        call.write("PATCH", "leads", [{"id": 3, "status_id": 143, "loss_reason_id": 2, "closed_at": 1_600_000_000}])
        lost = call.get("leads/3")
        assert (lost["closed_at"], lost["loss_reason_id"]) == (1_600_000_000, 2)

    def test_a_won_lead_moved_to_another_pipeline_keeps_its_moment(self, call):
        before = call.get("leads/1")["closed_at"]
        call.write("PATCH", "leads", [{"id": 1, "pipeline_id": 7002, "status_id": 142}])
        assert (call.get("leads/1")["pipeline_id"], call.get("leads/1")["closed_at"]) == (7002, before)

    def test_a_stage_must_be_of_the_pipeline(self, call):
        assert call.flaws("PATCH", "leads", [{"id": 3, "status_id": 70_021}]) == {
            ("0", "NotSupportedChoice", "status_id")
        }
        call.write("PATCH", "leads", [{"id": 3, "status_id": 70_021, "pipeline_id": 7002}])
        assert call.get("leads/3")["pipeline_id"] == 7002

    def test_a_price_is_a_whole_number(self, call):
        assert call.flaws("PATCH", "leads", [{"id": 1, "price": 1.5}]) == {("0", "InvalidType", "price")}

    def test_cards_are_made_with_their_links(self, call):
        embedded = {"contacts": [{"id": 101, "is_main": True}], "companies": [{"id": 102}]}
        body = [{"name": "New", "price": 300, "status_id": 142, "_embedded": embedded, "request_id": "n"}]
        (row,) = call.write("POST", "leads", body)["_embedded"]["leads"]
        assert (row["id"], row["request_id"]) == (11, "n")
        lead = call.get("leads/11", with_="contacts")
        assert lead["_embedded"]["contacts"] == [{"id": 101, "is_main": True}]
        assert (lead["closed_at"], lead["price"], lead["created_by"]) == (STAMP, 300, 1)
        assert call.ids("leads") == [1, 2, 3, 10, 11]
        (contact,) = call.write("POST", "contacts", [{"first_name": "A", "last_name": "B"}])["_embedded"]["contacts"]
        assert call.get(f"contacts/{contact['id']}")["name"] == "A B"
        assert call.flaws("POST", "companies", [{}]) == {("0", "FieldMissing", "name")}

    def test_tags_are_added_deleted_or_replaced(self, call):
        def tags():
            return [tag["name"] for tag in call.get("leads/1")["_embedded"]["tags"]]

        call.write("PATCH", "leads", [{"id": 1, "tags_to_add": [{"name": "vip"}, {"name": "old"}]}])
        call.write("PATCH", "leads", [{"id": 1, "tags_to_delete": [{"name": "old"}]}])
        assert tags() == ["vip"]
        call.write("PATCH", "leads", [{"id": 1, "_embedded": {"tags": [{"name": "other"}]}}])
        assert tags() == ["other"]
        assert [tag["name"] for tag in call.get("leads/tags")["_embedded"]["tags"]] == ["old", "vip", "other"]


class TestOthersWrite:
    def test_a_person_cannot_type_into_a_field_for_the_api_only(self, call):
        with pytest.raises(PermissionError):
            call.portal.edit_card("contacts", 101, {"RFM_R": 9}, user_id=2)
        call.portal.edit_card("contacts", 101, {"RFM_CODE": "111"}, user_id=2)
        assert call.portal.card_values("contacts", 101)["RFM_CODE"] == "111"
        assert call.get("contacts/101")["updated_by"] == 2

    def test_another_integration_can(self, call):
        call.portal.edit_card("contacts", 101, {"RFM_R": 9, "RFM_SEGMENT": "Loyal"})
        values = call.portal.card_values("contacts", 101)
        assert (values["RFM_R"], values["RFM_SEGMENT"]) == ("9", "loyal")

    def test_kopecks_are_typed_by_people(self, call):
        call.portal.set_attributes("leads", 1, price="99.99", user_id=2)
        assert call.get("leads/1")["price_with_minor_units"] == 99.99
        made = call.portal.add_card("leads", name="N", price="0.50", status_id=142, closed_at=1_700_000_000)
        assert call.get(f"leads/{made}")["price_with_minor_units"] == 0.5
