from __future__ import annotations

import pytest

from tests.sandbox.amocrm_caller import SEGMENT_FIELD, add_fields, caller, value

PATH = "contacts/custom_fields"


def field(call, code, kind="contacts"):
    rows = call.get(f"{kind}/custom_fields", limit=250)["_embedded"]["custom_fields"]
    return next((row for row in rows if row["code"] == code), None)


def create(call, *items, kind="contacts"):
    return call.write("POST", f"{kind}/custom_fields", list(items))["_embedded"]["custom_fields"]


def test_a_select_comes_back_with_ids_of_its_options():
    (made,) = create(caller(), SEGMENT_FIELD | {"request_id": "seg", "id": 5})
    assert made["request_id"] == "seg"
    assert made["id"] != 5
    assert [(one["value"], one["code"]) for one in made["enums"]] == [("VIP", "vip"), ("Loyal", "loyal")]
    assert len({one["id"] for one in made["enums"]}) == 2
    assert made["is_api_only"] is True
    assert made["entity_type"] == "contacts"


def test_a_code_is_unique_per_entity_and_free_in_another():
    call = caller()
    create(call, SEGMENT_FIELD)
    assert call.flaws("POST", PATH, [SEGMENT_FIELD]) == {("0", "NotUnique", "code")}
    create(call, SEGMENT_FIELD, kind="companies")
    twice = [{"name": "A", "type": "text", "code": "A"}, {"name": "B", "type": "text", "code": "A"}]
    assert call.flaws("POST", PATH, twice) == {("1", "NotUnique", "code")}


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        ({"type": "integer"}, ("NotSupportedChoice", "type")),
        ({"type": "multitext"}, ("NotSupportedChoice", "type")),
        ({"type": "tracking_data"}, ("NotSupportedChoice", "type")),
        ({"name": ""}, ("FieldMissing", "name")),
        ({"group_id": 5}, ("InvalidType", "group_id")),
        ({"group_id": "contacts_5"}, ("NotSupportedChoice", "group_id")),
        ({"enums": []}, ("InvalidType", "enums")),
        ({"enums": None}, ("FieldMissing", "enums")),
        ({"enums": [{"value": "A", "code": "x"}, {"value": "B", "code": "x"}]}, ("NotUnique", "enums")),
        ({"is_api_only": 1}, ("InvalidType", "is_api_only")),
        ({"colour": "red"}, ("FieldNotExpected", "colour")),
    ],
)
def test_a_wrong_definition_is_refused(change, flaw):
    call = caller()
    assert call.flaws("POST", PATH, [SEGMENT_FIELD | change]) == {("0", *flaw)}
    assert field(call, "RFM_SEGMENT") is None


def test_fifty_fields_hide_the_others():
    call = caller()
    create(call, *({"name": f"F{n}", "type": "text", "code": f"F{n}"} for n in range(60)))
    page = call.get(PATH)
    assert len(page["_embedded"]["custom_fields"]) == 50
    assert (page["_total_items"], page["_page_count"]) == (63, 2)
    assert "next" in page["_links"]
    assert len(call.get(PATH, page=2)["_embedded"]["custom_fields"]) == 13


def test_fields_are_filtered_by_type_and_sorted():
    call = caller()
    create(call, SEGMENT_FIELD | {"sort": 1})
    assert call.ids(PATH, "filter[type][0]=select") == [field(call, "RFM_SEGMENT")["id"]]
    assert call.ids(PATH, "order[sort]=asc")[0] == field(call, "RFM_SEGMENT")["id"]
    assert call.ids(PATH, "order[id]=desc") == sorted(call.ids(PATH), reverse=True)


class TestOptions:
    @pytest.fixture
    def call(self):
        one = caller()
        add_fields(one)
        one.portal.edit_card("contacts", 101, {"RFM_SEGMENT": "VIP"})
        one.portal.edit_card("contacts", 102, {"RFM_SEGMENT": "Loyal"})
        return one

    def segments(self, call):
        return [call.portal.card_values("contacts", one).get("RFM_SEGMENT") for one in (101, 102)]

    def test_all_options_with_their_ids_keep_the_cards(self, call):
        made = field(call, "RFM_SEGMENT")
        enums = [*made["enums"], {"value": "Sleeping", "code": "sleeping", "sort": 3}]
        answer = call.write("PATCH", f"{PATH}/{made['id']}", {"enums": enums})
        assert [one["code"] for one in answer["enums"].values()] == ["vip", "loyal", "sleeping"]
        assert self.segments(call) == ["vip", "loyal"]

    def test_an_omitted_option_is_gone_from_the_cards(self, call):
        made = field(call, "RFM_SEGMENT")
        call.write("PATCH", f"{PATH}/{made['id']}", {"enums": made["enums"][:1]})
        assert self.segments(call) == ["vip", None]

    def test_options_without_ids_are_new_ones_and_the_cards_are_empty(self, call):
        made = field(call, "RFM_SEGMENT")
        bare = [{"value": one["value"], "code": one["code"]} for one in made["enums"]]
        answer = call.write("PATCH", f"{PATH}/{made['id']}", {"enums": bare})
        assert not {one["id"] for one in answer["enums"].values()} & {one["id"] for one in made["enums"]}
        assert self.segments(call) == [None, None]

    def test_a_renamed_option_keeps_its_id_and_its_cards(self, call):
        before = field(call, "RFM_SEGMENT")["enums"][0]["id"]
        call.portal.rename_option("contacts", "RFM_SEGMENT", "VIP", "Лучшие")
        renamed = field(call, "RFM_SEGMENT")["enums"][0]
        assert (renamed["id"], renamed["value"]) == (before, "Лучшие")
        assert self.segments(call) == ["vip", "loyal"]

    def test_an_unknown_id_of_an_option_is_refused(self, call):
        made = field(call, "RFM_SEGMENT")
        body = {"enums": [{"id": 1, "value": "VIP"}]}
        assert call.flaws("PATCH", f"{PATH}/{made['id']}", body) == {("0", "NotSupportedChoice", "enums.0.id")}
        assert self.segments(call) == ["vip", "loyal"]


def test_a_patch_without_options_leaves_them():
    call = caller()
    (made,) = create(call, SEGMENT_FIELD)
    call.write("PATCH", PATH, [{"id": made["id"], "name": "Сегмент", "is_api_only": False}])
    changed = call.get(f"{PATH}/{made['id']}")
    assert (changed["name"], changed["is_api_only"], changed["enums"]) == ("Сегмент", False, made["enums"])


def test_a_type_cannot_change():
    call = caller()
    (made,) = create(call, SEGMENT_FIELD)
    assert call.flaws("PATCH", f"{PATH}/{made['id']}", {"type": "text"}) == {("0", "FieldNotExpected", "type")}


def test_a_deleted_field_takes_its_values_and_refuses_writes():
    call = caller()
    ids = add_fields(call)
    call.portal.edit_card("contacts", 102, {"RFM_R": 1})
    assert call.send("DELETE", f"{PATH}/{ids['RFM_R']}").status == 204
    assert call.get("contacts/102")["custom_fields_values"] is None
    body = [{"id": 102, "custom_fields_values": [value("RFM_R", 1)]}]
    assert call.flaws("PATCH", "contacts", body) == {("0", "NotSupportedChoice", "custom_fields_values.0.field_code")}
    create(call, {"name": "R", "type": "numeric", "code": "RFM_R"})


def test_predefined_fields_stay():
    call = caller()
    assert call.problem("DELETE", f"{PATH}/{field(call, 'PHONE')['id']}")["status"] == 400


def test_only_administrators_change_fields_and_everybody_reads_them():
    call = caller()
    call.portal.give_token_to(2)
    assert call.problem("POST", PATH, [SEGMENT_FIELD])["status"] == 403
    assert call.problem("POST", f"{PATH}/groups", [{"name": "RFM"}])["status"] == 403
    assert field(call, "PHONE") is not None


class TestGroups:
    def test_a_group_has_a_string_id_and_gathers_fields(self):
        call = caller()
        phone = field(call, "PHONE")["id"]
        body = [{"name": "RFM", "sort": 5, "fields": [phone]}]
        (made,) = call.write("POST", f"{PATH}/groups", body)["_embedded"]["custom_field_groups"]
        assert made["id"].startswith("contacts_")
        assert field(call, "PHONE")["group_id"] == made["id"]
        (own,) = create(call, SEGMENT_FIELD | {"group_id": made["id"]})
        assert own["group_id"] == made["id"]
        names = [group["name"] for group in call.get(f"{PATH}/groups")["_embedded"]["custom_field_groups"]]
        assert names == ["Основное", "RFM"]

    def test_a_deleted_group_returns_its_fields(self):
        call = caller()
        (made,) = call.write("POST", f"{PATH}/groups", [{"name": "RFM"}])["_embedded"]["custom_field_groups"]
        create(call, SEGMENT_FIELD | {"group_id": made["id"]})
        assert call.write("PATCH", f"{PATH}/groups/{made['id']}", {"name": "R F M"})["name"] == "R F M"
        assert call.send("DELETE", f"{PATH}/groups/{made['id']}").status == 204
        assert field(call, "RFM_SEGMENT")["group_id"] is None
        assert call.problem("DELETE", f"{PATH}/groups/default")["status"] == 400


def test_fields_of_a_list_are_read():
    rows = caller().get("catalogs/2001/custom_fields")["_embedded"]["custom_fields"]
    assert [row["code"] for row in rows] == ["SKU", "PRICE"]
