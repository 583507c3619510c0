"""Custom fields: definition, names, options, values, the traps of writing them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from sandbox.bitrix24.fields import custom_camel
from sandbox.clock import ManualClock
from sandbox.faults import Fault
from tests.sandbox.bitrix24_caller import NOW, add_enum, ask, batch, error, portal, result


def add(target, name, kind, word="contact", **more):
    return result(target, f"crm.{word}.userfield.add", fields={"FIELD_NAME": name, "USER_TYPE_ID": kind, **more})


def write(target, **fields):
    return result(target, "crm.item.update", entityTypeId=3, id=1, fields=fields)["item"]


@pytest.mark.parametrize(
    ("upper", "camel"),
    [
        ("UF_CRM_RFM_SEGMENT", "ufCrmRfmSegment"),
        ("UF_CRM_10_DIGIT", "ufCrm10Digit"),
        ("UF_CRM_3_DIGIT10", "ufCrm_3_DIGIT10"),
        ("UF_CRM_1747309879", "ufCrm_1747309879"),
    ],
)
def test_camel_names_follow_the_documented_rule(upper, camel):
    assert custom_camel(upper) == camel


def test_a_name_whose_camel_form_is_taken_stays_as_it_is():
    target = portal()
    add(target, "A_B", "string")
    add(target, "A__B", "string")
    fields = result(target, "crm.item.fields", entityTypeId=3)["fields"]
    assert fields["ufCrmAB"]["upperName"] == "UF_CRM_A_B"
    assert fields["UF_CRM_A__B"]["upperName"] == "UF_CRM_A__B"


@pytest.mark.parametrize("given", ["rfm_r", "RFM_R", "UF_CRM_RFM_R", "uf_crm_rfm_r"])
def test_names_are_brought_to_their_normal_form(given):
    target = portal()
    number = add(target, given, "integer")
    assert result(target, "crm.contact.userfield.get", id=number)["FIELD_NAME"] == "UF_CRM_RFM_R"


@pytest.mark.parametrize(
    "fields",
    [
        {"USER_TYPE_ID": "string"},
        {"FIELD_NAME": "RFM-R", "USER_TYPE_ID": "string"},
        {"FIELD_NAME": "X" * 44, "USER_TYPE_ID": "string"},
        {"FIELD_NAME": "RFM_R", "USER_TYPE_ID": "number"},
        {"FIELD_NAME": "RFM_R", "USER_TYPE_ID": "boolean", "MULTIPLE": "Y"},
        {
            "FIELD_NAME": "RFM_S",
            "USER_TYPE_ID": "enumeration",
            "LIST": [{"VALUE": "a", "XML_ID": "x"}, {"VALUE": "b", "XML_ID": "x"}],
        },
    ],
)
def test_bad_definitions_are_refused_in_words(fields):
    target = portal()
    reply = ask(target, "crm.contact.userfield.add", fields=fields)
    assert (reply.status, reply.json["error"]) == (400, "ERROR_CORE")
    assert reply.json["error_description"]
    assert result(target, "crm.contact.userfield.list") == []


def test_the_longest_name_is_fifty_characters_with_its_prefix():
    assert add(portal(), "X" * 43, "string") > 0


def test_a_second_field_of_the_same_name_is_refused_but_the_other_object_may_have_it():
    target = portal()
    add(target, "RFM_R", "integer")
    fields = {"FIELD_NAME": "rfm_r", "USER_TYPE_ID": "integer"}
    assert error(target, "crm.contact.userfield.add", fields=fields) == (400, "ERROR_CORE")
    assert add(target, "RFM_R", "integer", word="company") > 0


def test_ordinary_users_may_not_define_fields():
    target = portal()
    target.grant("crm", admin=False)
    fields = {"FIELD_NAME": "RFM_R", "USER_TYPE_ID": "integer"}
    assert error(target, "crm.contact.userfield.add", fields=fields) == (400, "")


def test_labels_come_only_with_a_language_in_the_filter():
    target = portal()
    number = add(target, "RFM_R", "integer", EDIT_FORM_LABEL={"ru": "Р", "en": "R"}, LABEL="common")
    (plain,) = result(target, "crm.contact.userfield.list", filter={"FIELD_NAME": "UF_CRM_RFM_R"})
    assert "EDIT_FORM_LABEL" not in plain
    assert (plain["ID"], plain["USER_TYPE_ID"], plain["MANDATORY"]) == (str(number), "integer", "N")
    (asked,) = result(target, "crm.contact.userfield.list", filter={"LANG": "ru"})
    assert (asked["EDIT_FORM_LABEL"], asked["LIST_COLUMN_LABEL"]) == ("Р", "common")
    assert result(target, "crm.contact.userfield.list", filter={"FIELD_NAME": "UF_CRM_OTHER"}) == []
    got = result(target, "crm.contact.userfield.get", id=number)
    assert got["EDIT_FORM_LABEL"] == {"ru": "Р", "en": "R"}
    assert "LIST" not in got


def test_options_have_other_ids_on_each_object():
    target = portal()
    contact, company = (add_enum(target, word, "vip", "loyal") for word in ("contact", "company"))
    assert set(contact) == set(company) == {"vip", "loyal"}
    assert set(contact.values()).isdisjoint(company.values())


def test_options_are_renamed_added_and_deleted_and_values_of_deleted_ones_vanish():
    target = portal()
    enum = add_enum(target, "contact", "vip", "loyal")
    write(target, ufCrmRfmSegment=enum["loyal"])
    (row,) = result(target, "crm.contact.userfield.list")
    changes = [
        {"ID": enum["vip"], "VALUE": "Best"},
        {"ID": enum["loyal"], "DEL": "Y"},
        {"VALUE": "Sleeping", "XML_ID": "sleeping", "SORT": 5},
    ]
    assert result(target, "crm.contact.userfield.update", id=row["ID"], fields={"LIST": changes}) is True
    found = result(target, "crm.contact.userfield.get", id=row["ID"])["LIST"]
    assert [(one["XML_ID"], one["VALUE"]) for one in found] == [("sleeping", "Sleeping"), ("vip", "Best")]
    assert target.card("contact", 1) == {}
    clash = [{"VALUE": "again", "XML_ID": "vip"}]
    assert error(target, "crm.contact.userfield.update", id=row["ID"], fields={"LIST": clash}) == (400, "ERROR_CORE")


def test_a_label_replaces_all_its_languages():
    target = portal()
    number = add(target, "RFM_R", "integer", EDIT_FORM_LABEL={"ru": "Р", "en": "R"})
    fields = {"EDIT_FORM_LABEL": {"ru": "Давность"}, "SORT": 7, "MANDATORY": "Y", "XML_ID": "r", "SHOW_FILTER": "Y"}
    result(target, "crm.contact.userfield.update", id=number, fields=fields)
    got = result(target, "crm.contact.userfield.get", id=number)
    assert got["EDIT_FORM_LABEL"] == {"ru": "Давность"}
    assert (got["SORT"], got["MANDATORY"], got["XML_ID"], got["SHOW_FILTER"]) == ("7", "Y", "r", "Y")


def test_a_deleted_field_takes_its_values_along():
    target = portal()
    number = add(target, "RFM_R", "integer")
    write(target, ufCrmRfmR=5)
    assert result(target, "crm.contact.userfield.delete", id=number) is True
    assert "ufCrmRfmR" not in result(target, "crm.item.get", entityTypeId=3, id=1)["item"]
    assert target.state.contacts.rows[1].uf == {}
    assert error(target, "crm.contact.userfield.get", id=number) == (400, "")


def test_a_field_whose_creation_timed_out_is_there_nevertheless():
    target = portal()
    target.faults.force(Fault.LOST_ANSWER)
    fields = {"FIELD_NAME": "RFM_R", "USER_TYPE_ID": "integer"}
    assert error(target, "crm.contact.userfield.add", fields=fields) == (500, "INTERNAL_SERVER_ERROR")
    assert [one["FIELD_NAME"] for one in result(target, "crm.contact.userfield.list")] == ["UF_CRM_RFM_R"]


@pytest.mark.parametrize(
    ("kind", "written", "shown", "old", "stored"),
    [
        ("integer", "5", 5, "5", 5),
        ("integer", 0, 0, "0", 0),
        ("double", "1234.50", 1234.5, "1234.50", Decimal("1234.50")),
        ("double", -7, -7, "-7", Decimal(-7)),
        ("string", "sales5@1", "sales5@1", "sales5@1", "sales5@1"),
        ("money", "300|RUB", "300|RUB", "300|RUB", "300|RUB"),
        ("boolean", "Y", "Y", "1", True),
        ("boolean", "N", "N", "0", False),
        ("boolean", 1, "Y", "1", True),
        (
            "datetime",
            "2026-03-01T10:00:00+00:00",
            "2026-03-01T13:00:00+03:00",
            "2026-03-01T13:00:00+03:00",
            datetime(2026, 3, 1, 10, tzinfo=UTC),
        ),
    ],
)
def test_values_by_type(kind, written, shown, old, stored):
    target = portal()
    add(target, "RFM_X", kind)
    assert write(target, ufCrmRfmX=written)["ufCrmRfmX"] == shown
    assert result(target, "crm.contact.get", id=1)["UF_CRM_RFM_X"] == old
    assert target.card("contact", 1) == {"UF_CRM_RFM_X": stored}


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("integer", "five"),
        ("integer", "5.5"),
        ("double", "1,5"),
        ("double", "NaN"),
        ("boolean", "True"),
        ("datetime", "soon"),
        ("string", ["a"]),
    ],
)
def test_values_that_do_not_fit_are_refused_and_nothing_of_the_call_is_saved(kind, wrong):
    target = portal()
    add(target, "RFM_X", kind)
    fields = {"post": "x", "ufCrmRfmX": wrong}
    code = error(target, "crm.item.update", entityTypeId=3, id=1, fields=fields)
    assert code == (400, "CRM_FIELD_ERROR_VALUE_NOT_VALID")
    assert target.card("contact", 1) == {}
    assert target.state.contacts.rows[1].post is None


def test_an_option_is_written_by_its_id_only():
    target = portal()
    enum = add_enum(target, "contact", "vip")
    assert write(target, ufCrmRfmSegment=enum["vip"])["ufCrmRfmSegment"] == enum["vip"]
    for wrong in ("vip", "Vip", 9999):
        fields = {"ufCrmRfmSegment": wrong}
        code = error(target, "crm.item.update", entityTypeId=3, id=1, fields=fields)
        assert code == (400, "CRM_FIELD_ERROR_VALUE_NOT_VALID")
    assert target.card("contact", 1) == {"UF_CRM_RFM_SEGMENT": "vip"}


def test_emptying_an_option_is_shown_but_not_done_by_item_methods():
    target = portal()
    enum = add_enum(target, "contact", "vip")
    write(target, ufCrmRfmSegment=enum["vip"])
    assert write(target, ufCrmRfmSegment=None)["ufCrmRfmSegment"] is None
    assert result(target, "crm.item.get", entityTypeId=3, id=1)["item"]["ufCrmRfmSegment"] == enum["vip"]
    assert result(target, "crm.contact.update", id=1, fields={"UF_CRM_RFM_SEGMENT": ""}) is True
    assert result(target, "crm.item.get", entityTypeId=3, id=1)["item"]["ufCrmRfmSegment"] is None


def test_a_scalar_in_a_multiple_field_is_an_error_100():
    target = portal()
    add(target, "TAGS", "string", MULTIPLE="Y")
    assert error(target, "crm.item.update", entityTypeId=3, id=1, fields={"ufCrmTags": "a"}) == (400, "100")
    assert write(target, ufCrmTags=["a", "b"])["ufCrmTags"] == ["a", "b"]


def test_a_custom_yes_no_is_filtered_by_numbers_and_written_by_numbers_in_old_methods():
    target = portal()
    add(target, "RFM_CHURN", "boolean")
    assert result(target, "crm.item.get", entityTypeId=3, id=1)["item"]["ufCrmRfmChurn"] == "N"
    write(target, ufCrmRfmChurn="Y")

    def found(value):
        asked = {"entityTypeId": 3, "filter": {"ufCrmRfmChurn": value}, "select": ["id"]}
        return [one["id"] for one in result(target, "crm.item.list", **asked)["items"]]

    assert (found(1), found(0), found("Y")) == ([1], [2], [2])
    result(target, "crm.contact.update", id=1, fields={"UF_CRM_RFM_CHURN": "Y"})
    assert target.card("contact", 1) == {"UF_CRM_RFM_CHURN": False}


def test_none_cannot_be_sent_in_a_batch():
    target = portal()
    add(target, "RFM_X", "string")
    batch(target, {"k": f"crm.item.update?entityTypeId=3&id=1&fields[ufCrmRfmX]={None}"})
    assert target.card("contact", 1) == {"UF_CRM_RFM_X": "None"}


def test_many_values_in_one_update_are_one_change():
    clock = ManualClock(NOW)
    target = portal(clock=clock)
    for name in ("RFM_R", "RFM_F"):
        add(target, name, "integer")
    clock.advance(60)
    write(target, ufCrmRfmR=1, ufCrmRfmF=2)
    assert target.changed_at("contact", 1) == clock.now()
    assert target.cards("contact") == {1: {"UF_CRM_RFM_R": 1, "UF_CRM_RFM_F": 2}, 2: {}}
