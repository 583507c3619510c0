"""Addresses, credentials, bodies, envelope, limits, faults, renaming."""

from __future__ import annotations

import orjson
import pytest

from sandbox.bitrix24 import Costs
from sandbox.clock import ManualClock
from sandbox.faults import Fault, Faults
from sandbox.limits import LeakyBucket, Limits, OperatingTime
from sandbox.web import CutConnection
from tests.sandbox.bitrix24_caller import NOW, ask, batch, error, portal, result, send

FORM = "application/x-www-form-urlencoded"


def test_json_form_and_query_say_the_same():
    target = portal()
    asked = {"entityTypeId": 2, "filter": {">id": 1, "@stageSemanticId": ["S", "F"]}, "select": ["id"]}
    by_json = ask(target, "crm.item.list", **asked).json["result"]
    query = "entityTypeId=2&filter[%3Eid]=1&filter[@stageSemanticId][]=S&filter[@stageSemanticId][1]=F&select[0]=id"
    path = target.webhook_path + "crm.item.list.json"
    by_form = send(target, path, body=query.encode(), media=FORM).json["result"]
    by_get = send(target, path, verb="GET", query=query).json["result"]
    assert by_json == by_form == by_get == {"items": [{"id": 3}, {"id": 5}]}


def test_a_body_without_its_type_is_not_read():
    target = portal()
    body = orjson.dumps({"entityTypeId": 2})
    reply = send(target, target.webhook_path + "crm.item.list", body=body)
    assert (reply.status, reply.json["error"]) == (400, "100")


def test_method_names_are_case_insensitive():
    assert result(portal(), "PROFILE")["ID"] == "1"


def test_the_envelope_has_the_offset_of_the_portal():
    time = ask(portal(), "server.time").json["time"]
    assert time["date_start"] == "2026-03-02T12:00:00+03:00"
    assert set(time) == {
        "start", "finish", "duration", "processing", "date_start", "date_finish", "operating", "operating_reset_at",
    }  # fmt: skip


def test_a_portal_without_limits_tells_no_operating_time():
    assert "operating" not in ask(portal(limits=False), "server.time").json["time"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/rest/1/wrong/profile", 401, "INVALID_CREDENTIALS"),
        ("/rest/2/sandbox-bitrix24-token/profile", 401, "INVALID_CREDENTIALS"),
        ("/rest/profile", 401, "NO_AUTH_FOUND"),
        ("/rest/1/sandbox-bitrix24-token/crm.itme.list", 404, "ERROR_METHOD_NOT_FOUND"),
        ("/rest/1/sandbox-bitrix24-token/", 404, "ERROR_METHOD_NOT_FOUND"),
        ("/rest/1/sandbox-bitrix24-token/crm.item.list.xml", 404, "ERROR_METHOD_NOT_FOUND"),
        ("/elsewhere", 404, "ERROR_METHOD_NOT_FOUND"),
        ("/rest/1/sandbox-bitrix24-token/event.bind", 403, "WRONG_AUTH_TYPE"),
        ("/rest/1/sandbox-bitrix24-token/placement.bind", 403, "WRONG_AUTH_TYPE"),
        ("/rest/1/sandbox-bitrix24-token/bizproc.robot.add", 403, "WRONG_AUTH_TYPE"),
        ("/rest/1/sandbox-bitrix24-token/crm.automation.trigger.add", 403, "WRONG_AUTH_TYPE"),
    ],
)
def test_refusals_have_the_documented_status_and_code(path, status, code):
    reply = send(portal(), path)
    assert (reply.status, reply.json["error"]) == (status, code)
    assert reply.json["error_description"]


def test_a_missing_scope_is_told_apart_from_missing_rights():
    target = portal()
    target.grant("crm", admin=False)
    assert error(target, "tasks.task.list") == (403, "insufficient_scope")
    assert error(target, "sale.order.list") == (403, "insufficient_scope")
    target.grant("crm", "sale", admin=False)
    assert error(target, "sale.order.list") == (403, "ACCESS_DENIED")
    assert result(target, "user.admin") is False
    assert result(target, "scope") == ["crm", "sale"]


def test_a_blocked_portal_refuses_everything_until_it_is_unblocked():
    target = portal()
    target.block("OVERLOAD_LIMIT", 503)
    assert error(target, "profile") == (503, "OVERLOAD_LIMIT")
    target.unblock()
    assert result(target, "profile")["ADMIN"] is True


def test_the_bucket_takes_fifty_and_leaks_two_a_second():
    clock = ManualClock(NOW)
    target = portal(clock=clock)
    assert {ask(target, "server.time").status for _ in range(50)} == {200}
    assert error(target, "server.time") == (503, "QUERY_LIMIT_EXCEEDED")
    assert target.exceeded == 1
    clock.advance(0.5)
    assert ask(target, "server.time").status == 200
    assert ask(target, "server.time").status == 503
    assert (target.requests, target.exceeded) == (53, 2)


def test_a_batch_is_one_hit_however_many_commands_it_has():
    target = portal(limits=Limits(bucket=LeakyBucket(2, 1.0)))
    batch(target, {f"k{n}": "server.time" for n in range(50)})
    assert ask(target, "server.time").status == 200
    assert ask(target, "server.time").status == 503
    assert target.calls["server.time"] == 51


def test_a_wrong_secret_costs_the_portal_nothing():
    target = portal(limits=Limits(bucket=LeakyBucket(1, 1.0)))
    send(target, "/rest/1/wrong/profile")
    assert ask(target, "profile").status == 200


def test_operating_time_is_booked_for_each_method_and_stops_only_that_one():
    clock = ManualClock(NOW)
    limits = Limits(operating=OperatingTime(1.0, 600.0))
    target = portal(clock=clock, limits=limits, costs=Costs(read_s=0.4, methods={"profile": 0.1}))
    seen = [ask(target, "server.time").json["time"]["operating"] for _ in range(3)]
    assert seen == pytest.approx([0.4, 0.8, 1.2])
    assert error(target, "server.time") == (429, "OPERATION_TIME_LIMIT")
    assert ask(target, "profile").json["time"]["operating"] == pytest.approx(0.1)
    clock.advance(600.5)
    assert ask(target, "server.time").json["time"]["operating"] == pytest.approx(0.4)
    assert target.exceeded == 1


def test_reset_names_the_moment_at_which_the_oldest_work_leaves():
    clock = ManualClock(NOW)
    target = portal(clock=clock)
    ask(target, "profile")
    clock.advance(100)
    time = ask(target, "profile").json["time"]
    assert time["operating_reset_at"] == pytest.approx(NOW.timestamp() + 600, abs=1)


def test_commands_in_a_batch_book_their_own_methods_and_are_stopped_one_by_one():
    target = portal(limits=Limits(operating=OperatingTime(1.0, 600.0)), costs=Costs(write_s=0.6))
    fields = "entityTypeId=3&id=1&fields[post]="
    answer = batch(target, {f"u{n}": f"crm.item.update?{fields}{n}" for n in range(3)})
    assert [one["operating"] for one in answer["result_time"].values()] == pytest.approx([0.6, 1.2])
    assert answer["result_error"] == {
        "u2": {
            "error": "OPERATION_TIME_LIMIT",
            "error_description": "Method is blocked due to operation time limit.",
        }
    }
    assert target.state.contacts.rows[1].post == "1"


def test_a_renamed_portal_redirects_every_call_to_its_new_address():
    target = portal()
    target.rename("https://new.example")
    moved = ask(target, "profile")
    assert (moved.status, moved.headers["Location"]) == (302, f"https://new.example{target.webhook_path}profile")
    assert b"<html>" in moved.body
    assert send(target, target.webhook_path + "profile", host="new.example").status == 200


def test_the_log_keeps_no_secret():
    target = portal()
    ask(target, "profile")
    assert [entry.path for entry in target.log.entries] == ["/rest/1/***/profile"]


@pytest.mark.parametrize(("fault", "status"), [(Fault.THROTTLE, 503), (Fault.SERVER_ERROR, 500)])
def test_a_fault_before_the_work_changes_nothing_and_is_no_excess(fault, status):
    target = portal(faults=Faults.none())
    target.faults.force(fault)
    assert ask(target, "crm.item.update", entityTypeId=3, id=1, fields={"post": "x"}).status == status
    assert target.state.contacts.rows[1].post is None
    assert target.exceeded == 0


def test_an_html_error_is_no_json():
    target = portal()
    target.faults.force(Fault.HTML_ERROR)
    reply = ask(target, "profile")
    assert reply.status in {403, 502}
    assert reply.headers["Content-Type"].startswith("text/html")


def test_a_lost_answer_has_done_the_work():
    target = portal(faults=Faults({}, seed=2))
    seen = set()
    for number in range(12):
        target.faults.force(Fault.LOST_ANSWER)
        try:
            reply = ask(target, "crm.item.update", entityTypeId=3, id=1, fields={"post": f"p{number}"})
            seen.add(reply.status)
        except CutConnection:
            seen.add(0)
        if target.faults.counts[Fault.LOST_ANSWER] == number + 1:
            assert target.state.contacts.rows[1].post == f"p{number}"
    assert {0, 504} <= seen


def test_a_slow_answer_is_still_an_answer():
    waits = []
    target = portal(faults=Faults({Fault.SLOW: 1.0}, sleep=waits.append))
    assert ask(target, "profile").status == 200
    assert waits == [0.05]


def test_the_portal_knows_its_methods():
    target = portal()
    assert "crm.item.list" in result(target, "methods")
    assert result(target, "method.get", name="crm.item.list") == {"isExisting": True, "isAvailable": True}
    assert result(target, "method.get", name="event.bind") == {"isExisting": True, "isAvailable": False}
    assert result(target, "method.get", name="crm.nothing") == {"isExisting": False, "isAvailable": False}
    assert result(target, "feature.get", CODE="rest_offline_extended") == {"value": "N"}
    assert result(target, "app.info")["LICENSE_FAMILY"] == "pro"
