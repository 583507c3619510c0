"""People, to-dos, tasks, timeline, funnels, currencies, orders, layouts, duplicates."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sandbox.bitrix24 import create_portal
from sandbox.clock import ManualClock
from sandbox.shop import Manager, Shop, Team
from tests.sandbox.bitrix24_caller import NOW, ask, big_portal, error, portal, result

DEADLINE = "2026-03-05T15:00:00+03:00"


def todo(target, **more):
    asked = {"ownerTypeId": 3, "ownerId": 1, "deadline": DEADLINE, "title": "Call", "responsibleId": 2, **more}
    return result(target, "crm.activity.todo.add", **asked)["id"]


def test_users_are_text_ids_and_dismissed_ones_are_there_unless_filtered():
    target = portal()
    users = result(target, "user.get", sort="ID", order="ASC")
    assert [(one["ID"], one["ACTIVE"]) for one in users] == [("1", True), ("2", True), ("3", False)]
    assert users[0]["UF_DEPARTMENT"] == [1]
    assert [one["ID"] for one in result(target, "user.get", FILTER={"ACTIVE": True})] == ["1", "2"]
    assert [one["ID"] for one in result(target, "user.get", FILTER={"ACTIVE": "N"})] == ["3"]
    assert [one["ID"] for one in result(target, "user.get", ID=[2, 3])] == ["2", "3"]
    assert [one["ID"] for one in result(target, "user.get", FILTER={"UF_DEPARTMENT": 1, ">ID": 1})] == ["2"]


def test_users_come_in_pages_of_fifty_whatever_start_says():
    managers = tuple(Manager(n, "N", "L", f"m{n}@shop.example", 1) for n in range(1, 121))
    target = create_portal(Shop("UTC", "USD", (Team(1, "All"),), managers), clock=ManualClock(NOW))
    first = ask(target, "user.get", start=-1).json
    assert (len(first["result"]), first["total"], first["next"]) == (50, 120, 50)
    assert "next" not in ask(target, "user.get", start=100).json


def test_mail_addresses_need_more_than_the_brief_scope():
    target = portal()
    assert result(target, "user.current")["EMAIL"] == "anna@shop.example"
    target.grant("crm", "user_brief")
    assert "EMAIL" not in result(target, "user.current")


def test_departments_name_a_head_only_where_there_is_one():
    target = portal()
    north, root = result(target, "department.get", sort="ID")
    assert (north["ID"], north["PARENT"], north["UF_HEAD"]) == ("1", "2", "2")
    assert set(root) == {"ID", "NAME", "SORT"}
    assert result(target, "department.get", UF_HEAD=2) == [north]
    assert result(target, "department.get", ID=[2]) == [root]


def test_an_empty_shop_still_has_an_administrator():
    target = create_portal(Shop("UTC", "USD"), clock=ManualClock(NOW))
    assert result(target, "profile")["ADMIN"] is True


def test_a_todo_stands_on_its_card_and_can_be_found():
    target = portal()
    number = todo(target, description="Why [rfm:1]")
    asked = {"PROVIDER_ID": "CRM_TODO", "OWNER_TYPE_ID": 3, "OWNER_ID": 1, "COMPLETED": "N", "%DESCRIPTION": "rfm:1"}
    (row,) = result(target, "crm.activity.list", filter=asked, select=["ID", "SUBJECT", "DEADLINE", "RESPONSIBLE_ID"])
    assert row == {"ID": str(number), "SUBJECT": "Call", "DEADLINE": DEADLINE, "RESPONSIBLE_ID": "2"}
    assert result(target, "crm.activity.list", filter={**asked, "OWNER_ID": 2}) == []
    assert [one.subject for one in target.todos("contact", 1)] == ["Call"]
    assert target.todos("company") == []


def test_a_todo_is_work_on_the_card_but_no_change_of_it():
    target = portal()
    before = target.changed_at("contact", 1)
    todo(target)
    assert target.changed_at("contact", 1) == before
    assert target.state.contacts.rows[1].last_activity == NOW.timestamp()


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"ownerId": 77}, "OWNER_NOT_FOUND"),
        ({"ownerTypeId": 31}, "OWNER_NOT_FOUND"),
        ({"deadline": "on Friday"}, "WRONG_DATETIME_FORMAT"),
        ({"deadline": ""}, "100"),
        ({"responsibleId": 77}, "100"),
    ],
)
def test_bad_todos_are_refused(wrong, code):
    target = portal()
    asked = {"ownerTypeId": 3, "ownerId": 1, "deadline": DEADLINE, **wrong}
    assert error(target, "crm.activity.todo.add", **asked) == (400, code)
    assert target.todos() == []


def test_a_finished_todo_cannot_be_changed():
    target = portal()
    number = todo(target)
    asked = {"id": number, "ownerTypeId": 3, "ownerId": 1, "deadline": "2026-03-06T10:00:00", "title": "Visit"}
    assert result(target, "crm.activity.todo.update", **asked) == {"id": number}
    shown = result(target, "crm.activity.get", id=number)
    assert (shown["SUBJECT"], shown["DEADLINE"]) == ("Visit", "2026-03-06T10:00:00+03:00")
    assert result(target, "crm.activity.update", id=number, fields={"COMPLETED": "Y"}) is True
    assert error(target, "crm.activity.todo.update", **asked) == (400, "CAN_NOT_UPDATE_COMPLETED_TODO")
    assert error(target, "crm.activity.todo.update", **{**asked, "id": 9}) == (400, "NOT_FOUND")
    assert result(target, "crm.activity.delete", id=number) is True
    assert error(target, "crm.activity.get", id=number) == (400, "")


def test_a_task_is_text_and_names_its_cards_only_when_asked():
    target = portal()
    fields = {
        "TITLE": "Return client",
        "RESPONSIBLE_ID": 2,
        "DEADLINE": DEADLINE,
        "PRIORITY": 2,
        "UF_CRM_TASK": ["C_1"],
        "XML_ID": "rfm:1",
    }
    task = result(target, "tasks.task.add", fields=fields)["task"]
    assert (task["id"], task["status"], task["priority"], task["createdBy"]) == ("1", "2", "2", "1")
    assert "ufCrmTask" not in task
    got = result(target, "tasks.task.get", taskId=1, select=["ID", "UF_CRM_TASK", "XML_ID"])["task"]
    assert got == {"id": "1", "xmlId": "rfm:1", "ufCrmTask": ["C_1"]}
    found = ask(target, "tasks.task.list", filter={"UF_CRM_TASK": "C_1", "REAL_STATUS": 2}, select=["ID"]).json
    assert (found["result"], found["total"]) == ({"tasks": [{"id": "1"}]}, 1)
    assert result(target, "tasks.task.list", filter={"=UF_CRM_TASK": ["C_2"]}) == {"tasks": []}
    assert result(target, "tasks.task.list", filter={"XML_ID": "rfm:2"}) == {"tasks": []}


def test_a_missing_task_is_an_empty_list_with_status_200():
    target = portal()
    assert ask(target, "tasks.task.get", taskId=5).json["result"] == []
    assert error(target, "tasks.task.update", taskId=5, fields={"TITLE": "x"})[0] == 400


def test_tasks_are_changed_and_completed():
    target = portal()
    result(target, "tasks.task.add", fields={"TITLE": "A", "RESPONSIBLE_ID": 2})
    changes = {"TITLE": "B", "UF_CRM_TASK": ["CO_1"]}
    assert result(target, "tasks.task.update", taskId=1, fields=changes)["task"]["title"] == "B"
    assert result(target, "tasks.task.complete", taskId=1)["task"]["status"] == "5"
    assert [(one.title, one.crm, one.status) for one in target.tasks()] == [("B", ("CO_1",), 5)]


@pytest.mark.parametrize("fields", [{"TITLE": "x"}, {"RESPONSIBLE_ID": 1}, {"TITLE": "x", "RESPONSIBLE_ID": 77}])
def test_a_task_needs_a_title_and_somebody(fields):
    assert error(portal(), "tasks.task.add", fields=fields) == (400, "ERROR_CORE")


def test_timeline_lines():
    target = portal()
    comment = {"ENTITY_ID": 1, "ENTITY_TYPE": "contact", "COMMENT": "hello"}
    assert result(target, "crm.timeline.comment.add", fields=comment) == 1
    assert error(target, "crm.timeline.comment.add", fields={**comment, "ENTITY_TYPE": "CONTACT"}) == (400, "")
    assert error(target, "crm.timeline.comment.add", FIELDS=comment) == (400, "100")
    message = {"entityTypeId": 4, "entityId": 1, "title": "RFM", "text": "loyal to at risk", "iconCode": "info"}
    assert result(target, "crm.timeline.logmessage.add", fields=message)["logMessage"]["id"] == 1
    assert error(target, "crm.timeline.logmessage.add", fields={**message, "entityId": 9})[1] == "OWNER_NOT_FOUND"
    assert error(target, "crm.timeline.logmessage.add", fields={**message, "text": ""})[1] == "100"


def test_funnels_and_stages():
    target = portal()
    funnels = result(target, "crm.category.list", entityTypeId=2)["categories"]
    assert [(one["id"], one["isDefault"]) for one in funnels] == [(0, "Y"), (1, "N")]
    stages = result(target, "crm.status.list", filter={"ENTITY_ID": "DEAL_STAGE"})
    assert [(one["STATUS_ID"], one["SEMANTICS"]) for one in stages] == [
        ("NEW", None),
        ("EXECUTING", None),
        ("WON", "S"),
        ("LOSE", "F"),
    ]
    assert stages[2]["EXTRA"]["SEMANTICS"] == "success"
    other = result(target, "crm.status.list", filter={"ENTITY_ID": "DEAL_STAGE_1"})
    assert other[0]["STATUS_ID"] == "C1:NEW"
    assert error(target, "crm.category.list", entityTypeId=3) == (400, "NOT_FOUND")


def test_stage_history_is_paged_by_id():
    target = big_portal(deals=60)
    first = ask(target, "crm.stagehistory.list", entityTypeId=2, order={"ID": "ASC"}, start=-1).json["result"]["items"]
    assert len(first) == 50
    asked = {"entityTypeId": 2, "filter": {">ID": first[-1]["ID"]}, "order": {"ID": "ASC"}, "select": ["OWNER_ID"]}
    rest = result(target, "crm.stagehistory.list", **asked)["items"]
    assert set(rest[0]) == {"ID", "OWNER_ID"}
    assert rest[0]["ID"] == first[-1]["ID"] + 1


def test_currencies_are_text_with_a_count_and_the_total_is_always_zero():
    target = portal()
    body = ask(target, "crm.currency.list").json
    rows = {one["CURRENCY"]: (one["AMOUNT"], one["AMOUNT_CNT"], one["BASE"]) for one in body["result"]}
    assert rows == {"USD": ("1.0000", "1", "Y"), "EUR": ("108.5000", "100", "N"), "GBP": ("1.2500", "1", "N")}
    assert body["total"] == 0
    assert result(target, "crm.currency.base.get") == "USD"


def test_orders_of_the_store_and_the_deals_they_are_tied_to():
    target = portal()
    first = target.add_order(Decimal("99.50"), contact_id=1, deal_id=1, responsible_id=2)
    second = target.add_order(Decimal(5), company_id=1, canceled=True)
    listed = result(target, "sale.order.list", select=["id", "price"], filter={"canceled": "N"}, order={"id": "ASC"})
    assert listed == {"orders": [{"id": first, "price": 99.5}]}
    order = result(target, "sale.order.get", id=first)["order"]
    assert [(one["entityTypeId"], one["entityId"]) for one in order["clients"]] == [(3, 1)]
    assert [(one["sum"], one["paid"], one["isReturn"]) for one in order["payments"]] == [(99.5, "Y", "N")]
    assert result(target, "sale.order.get", id=second)["order"]["canceled"] == "Y"
    tied = {"orderEntity": [{"orderId": first, "ownerId": 1, "ownerTypeId": 2}]}
    assert result(target, "crm.orderentity.list", filter={"ownerTypeId": 2}) == tied
    assert result(target, "crm.orderentity.list", filter={"@ownerId": [2, 3]}) == {"orderEntity": []}


def test_order_ties_come_all_at_once_behind_minus_one():
    target = portal()
    for _ in range(60):
        target.add_order(Decimal(1), deal_id=1)
    assert len(result(target, "crm.orderentity.list", start=-1)["orderEntity"]) == 60
    assert len(result(target, "crm.orderentity.list")["orderEntity"]) == 50


def test_a_layout_is_null_until_somebody_sets_it_and_is_replaced_whole():
    target = portal()
    section = {"name": "rfm", "title": "RFM", "type": "section", "elements": [{"name": "UF_CRM_RFM_R"}]}
    place = {"entityTypeId": 3, "scope": "C"}
    assert result(target, "crm.item.details.configuration.get", **place) is None
    assert result(target, "crm.item.details.configuration.set", **place, data=[section]) is True
    assert result(target, "crm.item.details.configuration.get", **place) == [section]
    assert result(target, "crm.item.details.configuration.get", entityTypeId=3, scope="P") is None
    assert error(target, "crm.item.details.configuration.set", **place, data=[]) == (400, "100")
    target.grant("crm", admin=False)
    assert error(target, "crm.item.details.configuration.set", **place, data=[section]) == (403, "ACCESS_DENIED")


def test_duplicates_are_found_by_phone_and_mail():
    target = portal()
    twin = target.add_contact("Twin", phones=("8 495 0000002",), emails=("DANA@mail.example",))
    found = {"type": "EMAIL", "values": ["dana@mail.example"], "entity_type": "CONTACT"}
    assert result(target, "crm.duplicate.findbycomm", **found) == {"CONTACT": [1, twin]}
    assert result(target, "crm.duplicate.findbycomm", type="PHONE", values=["+7 (495) 0000001"]) == {"COMPANY": [1]}
    assert result(target, "crm.duplicate.findbycomm", type="PHONE", values=["+7 000"]) == []
    assert error(target, "crm.duplicate.findbycomm", type="FAX", values=["1"]) == (400, "")
