"""Cards through item methods and old ones: shapes, filters, order, writing."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sandbox.clock import ManualClock
from tests.sandbox.bitrix24_caller import NOW, add_enum, ask, big_portal, error, portal, result


def item(target, entity, number):
    return result(target, "crm.item.get", entityTypeId=entity, id=number)["item"]


def ids(target, entity=2, **params):
    return [one["id"] for one in result(target, "crm.item.list", entityTypeId=entity, **params)["items"]]


def test_a_deal_is_typed_and_camel_case():
    deal = item(portal(), 2, 1)
    assert deal["id"] == 1
    assert deal["opportunity"] == 100.5
    assert deal["stageSemanticId"] == "S"
    assert deal["closed"] == "Y"
    assert deal["isRecurring"] == "N"
    assert deal["contactId"] == 2
    assert deal["contactIds"] == [2, 1]
    assert deal["companyId"] == 1
    assert deal["assignedById"] == 1
    assert deal["movedTime"] == "2026-02-02T00:30:00+03:00"
    assert deal["closedate"] == "2026-02-02T02:00:00+03:00"
    assert deal["entityTypeId"] == 2
    assert "fm" not in deal


def test_the_planned_day_may_differ_from_the_day_of_the_move():
    deal = item(portal(), 2, 5)
    assert deal["closedate"][:10] == "2026-02-08"
    assert deal["movedTime"][:10] == "2026-02-10"


def test_a_missing_link_is_null_or_zero_and_a_missing_amount_is_no_zero():
    target = portal()
    assert item(target, 2, 5)["companyId"] is None
    assert item(target, 2, 2)["companyId"] == 0
    assert item(target, 2, 2)["opportunity"] is None
    assert item(target, 2, 3)["contactIds"] == []


def test_an_old_deal_is_text_under_upper_names_and_has_no_contact_list():
    deal = result(portal(), "crm.deal.get", id=1)
    assert (deal["ID"], deal["OPPORTUNITY"], deal["CONTACT_ID"]) == ("1", "100.50", "2")
    assert deal["CLOSED"] == "Y"
    assert deal["DATE_CREATE"] == "2025-01-10T11:00:00+03:00"
    assert "CONTACT_IDS" not in deal


def test_phones_and_mails_come_only_with_everything():
    target = portal()
    whole = result(target, "crm.item.list", entityTypeId=3, select=["*"])["items"][0]
    assert [(one["typeId"], one["value"]) for one in whole["fm"]] == [("EMAIL", "dana@mail.example")]
    part = result(target, "crm.item.list", entityTypeId=3, select=["id", "fm", "name", "nonsense"])["items"][0]
    assert part == {"id": 1, "name": "Dana"}


def test_old_lists_show_phones_and_custom_fields_only_when_asked():
    target = portal()
    add_enum(target, "contact", "vip")
    (_, plain) = result(target, "crm.contact.list")
    assert "PHONE" not in plain
    assert "UF_CRM_RFM_SEGMENT" not in plain
    (_, asked) = result(target, "crm.contact.list", SELECT=["ID", "PHONE", "UF_*"])
    assert set(asked) == {"ID", "PHONE", "UF_CRM_RFM_SEGMENT"}
    assert asked["PHONE"][0]["VALUE"] == "+7 495 000-00-02"


def test_pages_have_fifty_rows_a_total_and_a_next_but_not_behind_minus_one():
    target = big_portal(deals=120)
    body = ask(target, "crm.item.list", entityTypeId=2, select=["id"]).json
    assert (body["total"], body["next"], len(body["result"]["items"])) == (120, 50, 50)
    last = ask(target, "crm.item.list", entityTypeId=2, start=100).json
    assert (last["total"], len(last["result"]["items"])) == (120, 20)
    assert "next" not in last
    uncounted = ask(target, "crm.item.list", entityTypeId=2, start=-1).json
    assert (uncounted["total"], len(uncounted["result"]["items"])) == (0, 50)
    assert "next" not in uncounted


@pytest.mark.parametrize("method", ["filter", "order"])
def test_upper_case_names_are_an_error_100_for_item_methods(method):
    assert error(portal(), "crm.item.list", entityTypeId=2, **{method: {"ID": "ASC"}}) == (400, "100")


def test_old_lists_pass_over_names_they_do_not_know():
    rows = result(portal(), "crm.deal.list", filter={"NONSENSE": 1, ">ID": 2}, order={"id": "ASC"})
    assert [row["ID"] for row in rows] == ["3", "5"]


@pytest.mark.parametrize("number", [1, 7, 31, 128])
def test_objects_without_items_here_are_not_found(number):
    assert error(portal(), "crm.item.list", entityTypeId=number) == (400, "NOT_FOUND")


def test_an_object_type_is_needed():
    assert error(portal(), "crm.item.list") == (400, "100")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"id": 3}, [3]),
        ({"=id": [1, 5, 9]}, [1, 5]),
        ({"@id": ["5", "2"]}, [2, 5]),
        ({"!id": 1}, [2, 3, 5]),
        ({"!@id": [1, 2]}, [3, 5]),
        ({">id": 1, "<=id": 3}, [2, 3]),
        ({"<id": 2}, [1]),
        ({">=id": 5}, [5]),
        ({">id": ""}, [1, 2, 3, 5]),
        ({"stageSemanticId": "S"}, [1, 5]),
        ({"!=stageSemanticId": "S"}, [2, 3]),
        ({"closed": "Y"}, [1, 3, 5]),
        ({"%title": "EAL 3"}, [3]),
        ({"!%title": "3"}, [1, 2, 5]),
        ({"=%title": "deal%"}, [1, 2, 3, 5]),
        ({"%=title": "%5"}, [5]),
        ({"!%=title": "%5"}, [1, 2, 3]),
        ({"!=%title": "%5"}, [1, 2, 3]),
        ({">opportunity": 50}, [1, 3]),
        ({"<opportunity": "70.5"}, [3, 5]),
        ({"contactId": 2}, [1, 5]),
        ({"@contactIds": [1]}, [1, 2]),
        ({"companyId": 1}, [1, 3]),
        ({"companyId": 0}, [2, 5]),
        ({"companyId": ""}, [2, 5]),
        ({">=movedTime": "2026-02-03T10:00:00+00:00"}, [3, 5]),
        ({">movedTime": "2026-02-03 13:00:00"}, [5]),
        ({"<movedTime": "2026-02-02"}, [2]),
        ({">=updatedTime": "2026-02-03T13:00:00+03:00"}, [3, 5]),
        ({"closedate": "2026-02-02"}, [1]),
        ({"0": {"logic": "OR", "0": {"id": 1}, "1": {"id": 5}}}, [1, 5]),
        ({"0": {"logic": "OR", "0": {"id": 1}, "1": {"companyId": 1, ">id": 2}}, "<id": 4}, [1, 3]),
        ({"logic": "OR", "id": 2, "=stageId": "LOSE"}, [2, 3]),
    ],
)
def test_filters(given, found):
    assert ids(portal(), filter=given) == found


def test_a_filter_value_that_does_not_fit_is_refused():
    assert error(portal(), "crm.item.list", entityTypeId=2, filter={">updatedTime": "yesterday"}) == (400, "100")


def test_order_by_anything_in_both_directions():
    target = portal()
    assert ids(target, order={"id": "DESC"}) == [5, 3, 2, 1]
    assert ids(target, order={"opportunity": "ASC", "id": "ASC"}) == [2, 5, 3, 1]
    assert ids(target, order={"stageSemanticId": "DESC", "id": "DESC"}) == [5, 1, 2, 3]
    assert ids(target, order={"opportunity": "DESC"}, start=-1) == [1, 3, 5, 2]


def test_an_update_brings_the_whole_item_and_moves_the_time_of_change():
    clock = ManualClock(NOW)
    target = portal(clock=clock)
    before = item(target, 3, 1)["updatedTime"]
    reply = result(target, "crm.item.update", entityTypeId=3, id=1, fields={"post": "Buyer"})["item"]
    assert (reply["post"], reply["name"]) == ("Buyer", "Dana")
    assert reply["updatedTime"] == "2026-03-02T12:00:00+03:00" != before
    assert ids(target, 3, filter={">=updatedTime": "2026-03-01T00:00:00+03:00"}) == [1]


def test_nothing_is_saved_when_nothing_changes():
    clock = ManualClock(NOW)
    target = portal(clock=clock)
    result(target, "crm.item.update", entityTypeId=3, id=1, fields={"post": "Buyer"})
    clock.advance(60)
    reply = result(target, "crm.item.update", entityTypeId=3, id=1, fields={"post": "Buyer"})["item"]
    assert reply["updatedTime"] == "2026-03-02T12:00:00+03:00"


def test_unknown_names_and_upper_names_are_passed_over_in_silence():
    target = portal()
    add_enum(target, "contact", "vip")
    fields = {"ufCrmRfmSegmnet": 1, "UF_CRM_RFM_SEGMENT": 1, "NAME": "X", "updatedTime": "2020-01-01", "id": 9}
    reply = result(target, "crm.item.update", entityTypeId=3, id=1, fields=fields)["item"]
    assert (reply["name"], reply["ufCrmRfmSegment"]) == ("Dana", None)
    assert reply["updatedTime"] == "2025-01-10T11:00:00+03:00"


def test_updates_without_an_item_or_fields_are_refused():
    target = portal()
    assert error(target, "crm.item.update", entityTypeId=3, id=77, fields={"post": "x"}) == (400, "NOT_FOUND")
    assert error(target, "crm.item.update", entityTypeId=3, id=1) == (400, "100")
    assert error(target, "crm.item.update", entityTypeId=3, fields={"post": "x"}) == (400, "100")
    assert error(target, "crm.contact.update", id=77, fields={"POST": "x"}) == (400, "")


def test_an_item_can_be_added_and_deleted_and_its_id_is_never_used_again():
    target = portal()
    fields = {"title": "New", "opportunity": "12.30", "contactIds": [1], "fm": []}
    added = result(target, "crm.item.add", entityTypeId=2, fields=fields)["item"]
    assert (added["id"], added["stageId"], added["opportunity"]) == (6, "NEW", 12.3)
    assert result(target, "crm.item.delete", entityTypeId=2, id=6) == []
    assert error(target, "crm.item.get", entityTypeId=2, id=6) == (400, "NOT_FOUND")
    assert 6 not in ids(target)
    assert result(target, "crm.deal.add", fields={"TITLE": "Next"}) == 7
    assert result(target, "crm.deal.delete", id=7) is True


def test_a_new_contact_brings_its_phones():
    target = portal()
    phone = {"typeId": "PHONE", "valueType": "WORK", "value": "+1"}
    new = result(target, "crm.item.add", entityTypeId=3, fields={"name": "Z", "fm": [phone]})
    assert new["item"]["fm"][0]["value"] == "+1"
    old = result(target, "crm.contact.add", fields={"NAME": "Y", "EMAIL": [{"VALUE": "y@mail.example"}]})
    assert item(target, 3, old)["fm"][0]["value"] == "y@mail.example"


def test_the_stage_decides_the_meaning_and_leaves_a_line_in_the_history():
    target = portal()
    won = result(target, "crm.item.update", entityTypeId=2, id=2, fields={"stageId": "WON"})["item"]
    assert (won["stageSemanticId"], won["closed"], won["movedTime"]) == ("S", "Y", "2026-03-02T12:00:00+03:00")
    lines = result(target, "crm.stagehistory.list", entityTypeId=2, filter={"OWNER_ID": 2}, order={"ID": "ASC"})
    assert [(one["TYPE_ID"], one["STAGE_ID"], one["STAGE_SEMANTIC_ID"]) for one in lines["items"]] == [
        (1, "NEW", "P"),
        (3, "WON", "S"),
    ]


def test_field_lists_name_every_field_by_its_upper_name():
    target = portal()
    add_enum(target, "company", "vip", "loyal")
    fields = result(target, "crm.item.fields", entityTypeId=4)["fields"]
    assert fields["createdTime"]["upperName"] == "CREATED_TIME"
    assert fields["createdTime"]["isReadOnly"] is True
    segment = fields["ufCrmRfmSegment"]
    assert (segment["type"], segment["upperName"]) == ("enumeration", "UF_CRM_RFM_SEGMENT")
    assert [one["VALUE"] for one in segment["items"]] == ["Vip", "Loyal"]
    assert result(target, "crm.company.fields")["UF_CRM_RFM_SEGMENT"]["type"] == "enumeration"


def test_product_rows_need_both_owner_keys_and_nothing_more():
    target = portal()
    right = {"=ownerType": "D", "=ownerId": [1, 2]}
    (row,) = result(target, "crm.item.productrow.list", filter=right, order={"id": "ASC"}, start=-1)["productRows"]
    assert (row["ownerId"], row["price"], row["discountSum"], row["quantity"]) == (1, 8, 2, 3)
    assert (row["productId"], row["productName"], row["taxRate"]) == (7, "Tea", None)
    for broken in ({"=ownerType": "D"}, {"=ownerId": 1}, {"ownerType": "D", "ownerId": 1}):
        assert error(target, "crm.item.productrow.list", filter=broken) == (400, 0)
    assert error(target, "crm.item.productrow.list", filter=right, select=["id"]) == (400, 0)


def test_original_names_are_used_when_asked_for():
    target = portal()
    enum = add_enum(target, "contact", "vip")
    values = {"entityTypeId": 3, "id": 1, "useOriginalUfNames": "Y", "fields": {"UF_CRM_RFM_SEGMENT": enum["vip"]}}
    reply = result(target, "crm.item.update", **values)["item"]
    assert reply["UF_CRM_RFM_SEGMENT"] == enum["vip"]
    assert "ufCrmRfmSegment" not in reply
    assert target.card("contact", 1) == {"UF_CRM_RFM_SEGMENT": "vip"}


def test_exact_amounts_survive_an_update():
    target = portal()
    result(target, "crm.item.update", entityTypeId=2, id=2, fields={"opportunity": "0.10"})
    assert target.state.deals.rows[2].opportunity == Decimal("0.10")
