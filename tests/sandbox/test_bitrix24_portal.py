"""What people do inside the portal, as a client sees it afterwards; and the shop as the portal's first day."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from sandbox.clock import ManualClock
from sandbox.northwind import northwind_shop
from sandbox.portal import Portal as PortalProtocol
from tests.sandbox.bitrix24_caller import NOW, add_enum, error, portal, result


def deal(target, number):
    return result(target, "crm.item.get", entityTypeId=2, id=number)["item"]


def test_the_portal_is_what_the_sandbox_promises():
    offered: PortalProtocol = portal()
    assert offered.crm == "bitrix24"
    assert offered.connect_url("http://127.0.0.1:8000/") == "http://127.0.0.1:8000/rest/1/sandbox-bitrix24-token/"


def test_a_deleted_deal_is_simply_absent():
    target = portal()
    target.delete_deal(3)
    found = result(target, "crm.item.list", entityTypeId=2, filter={"@id": [1, 3]}, select=["id"])
    assert found == {"items": [{"id": 1}]}
    assert result(target, "crm.stagehistory.list", entityTypeId=2, filter={"OWNER_ID": 3}) == {"items": []}
    with pytest.raises(KeyError):
        target.delete_deal(3)


def test_a_reopened_deal_is_in_work_again_and_counts_as_changed():
    target = portal()
    target.reopen_deal(1)
    assert (deal(target, 1)["stageSemanticId"], deal(target, 1)["closed"]) == ("P", "N")
    assert deal(target, 1)["updatedTime"] == "2026-03-02T12:00:00+03:00"
    assert deal(target, 1)["updatedBy"] == target.BY_HAND


def test_a_deal_can_be_won_lost_and_won_again_and_the_last_move_counts():
    clock = ManualClock(NOW)
    target = portal(clock=clock)
    for act in (target.win_deal, target.lose_deal, target.win_deal):
        clock.advance(3600)
        act(2)
    assert deal(target, 2)["movedTime"] == "2026-03-02T15:00:00+03:00"
    moves = result(target, "crm.stagehistory.list", entityTypeId=2, filter={"OWNER_ID": 2})["items"]
    assert [one["STAGE_ID"] for one in moves] == ["NEW", "WON", "LOSE", "WON"]


def test_moving_to_another_funnel_keeps_the_meaning_and_is_told_by_the_history():
    target = portal()
    target.move_deal_to_funnel(1, 1)
    assert (deal(target, 1)["categoryId"], deal(target, 1)["stageId"]) == (1, "C1:WON")
    assert deal(target, 1)["stageSemanticId"] == "S"
    moves = result(target, "crm.stagehistory.list", entityTypeId=2, filter={"OWNER_ID": 1})["items"]
    assert [one["TYPE_ID"] for one in moves] == [1, 3, 5]


def test_a_deal_can_be_given_to_another_customer():
    target = portal()
    target.move_deal(1, company_id=None, contact_ids=(1,))
    assert (deal(target, 1)["companyId"], deal(target, 1)["contactId"]) == (None, 1)
    found = result(target, "crm.item.list", entityTypeId=2, filter={"contactId": 2}, select=["id"])
    assert found == {"items": [{"id": 5}]}


def test_merged_contacts_leave_one_whose_deals_and_todos_are_those_of_both():
    target = portal()
    todo = {"ownerTypeId": 3, "ownerId": 1, "deadline": "2026-03-05T15:00:00+03:00"}
    result(target, "crm.activity.todo.add", **todo)
    target.merge_contacts(2, 1)
    assert error(target, "crm.item.get", entityTypeId=3, id=1) == (400, "NOT_FOUND")
    assert deal(target, 1)["contactIds"] == [2]
    assert deal(target, 2)["contactId"] == 2
    assert deal(target, 2)["updatedTime"] == "2026-03-02T12:00:00+03:00"
    assert [one.owner_id for one in target.todos()] == [2]
    found = result(target, "crm.item.list", entityTypeId=2, filter={"contactId": 2}, select=["id"])
    assert [one["id"] for one in found["items"]] == [1, 2, 5]


def test_merged_companies_share_deals_and_people():
    target = portal()
    winner = target.add_company("Winner")
    target.merge_companies(winner, 1)
    assert deal(target, 1)["companyId"] == winner
    people = result(target, "crm.item.list", entityTypeId=3, filter={"companyId": winner}, select=["companyId"])
    assert people == {"items": [{"id": 1, "companyId": winner}]}


def test_merging_by_a_client_is_the_same():
    target = portal()
    merged = result(target, "crm.entity.mergeBatch", params={"entityTypeId": 3, "entityIds": [1, 2]})
    assert merged == {"STATUS": "SUCCESS", "ENTITY_IDS": [1, 2]}
    assert deal(target, 5)["contactId"] == 1
    again = result(target, "crm.entity.mergeBatch", params={"entityTypeId": 3, "entityIds": [1, 2]})
    assert again["STATUS"] == "ERROR"


def test_a_deleted_card_leaves_no_links():
    target = portal()
    target.delete("company", 1)
    target.delete("contact", 2)
    assert (deal(target, 1)["companyId"], deal(target, 1)["contactIds"]) == (None, [1])
    assert deal(target, 5)["contactId"] is None
    contact = result(target, "crm.item.get", entityTypeId=3, id=1)["item"]
    assert contact["companyId"] is None


def test_a_person_edits_our_field_and_the_change_is_seen():
    clock = ManualClock(NOW)
    target = portal(clock=clock)
    enum = add_enum(target, "contact", "vip", "loyal")
    clock.advance(60)
    target.edit_card("contact", 1, {"UF_CRM_RFM_SEGMENT": "loyal", "POST": "Boss"})
    item = result(target, "crm.item.get", entityTypeId=3, id=1)["item"]
    assert (item["ufCrmRfmSegment"], item["post"]) == (enum["loyal"], "Boss")
    assert target.changed_at("contact", 1) == datetime(2026, 3, 2, 9, 1, tzinfo=UTC)
    target.edit_card("contact", 1, {"UF_CRM_RFM_SEGMENT": None})
    assert target.card("contact", 1) == {}


def test_dismissed_people_stay_on_their_cards():
    target = portal()
    target.deactivate_user(1)
    assert [one["ID"] for one in result(target, "user.get", FILTER={"ACTIVE": "Y"})] == ["2"]
    assert deal(target, 1)["assignedById"] == 1


def test_new_records_get_new_ids():
    target = portal()
    company = target.add_company("Own", is_my_company=True)
    contact = target.add_contact("New", company_id=company)
    won = target.add_deal(amount=Decimal(9), won=True, contact_ids=(contact,), title="T")
    template = target.add_deal(amount=Decimal(9), won=False, is_recurring=True)
    assert (company, contact, won, template) == (2, 3, 6, 7)
    assert result(target, "crm.item.get", entityTypeId=4, id=2)["item"]["isMyCompany"] == "Y"
    assert deal(target, 6)["stageSemanticId"] == "S"
    assert deal(target, 7)["isRecurring"] == "Y"


def test_a_todo_is_ticked_off():
    target = portal()
    todo = {"ownerTypeId": 3, "ownerId": 1, "deadline": "2026-03-05T15:00:00+03:00"}
    number = result(target, "crm.activity.todo.add", **todo)["id"]
    target.finish_todo(number)
    assert result(target, "crm.activity.list", filter={"COMPLETED": "Y"})[0]["ID"] == str(number)


def test_the_northwind_shop_is_there_whole():
    shop = northwind_shop(date(2026, 3, 2))
    target = portal(shop)
    assert len(target.state.deals.rows) == len(shop.deals)
    assert len(target.state.product_rows.rows) == sum(len(one.lines) for one in shop.deals)
    for one in shop.deals[:60]:
        row = target.state.deals.rows[one.id]
        main = one.main_contact_id or (one.contact_ids[0] if one.contact_ids else None)
        assert (row.contact_ids[0] if row.contact_ids else None) == main
        assert row.opportunity == one.amount
        if one.status == "won":
            assert row.moved == int(one.closed_at.timestamp())
            assert row.semantic == "S"


def test_nothing_on_the_first_day_was_changed_in_the_future():
    target = portal(northwind_shop(date(2026, 3, 20)))
    assert max(row.updated for row in target.state.deals.rows.values()) <= NOW.timestamp()
