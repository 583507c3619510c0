from __future__ import annotations

import json

import pytest

from sandbox.amocrm import Rules
from sandbox.faults import Fault, Faults
from sandbox.web import CutConnection, Request
from tests.sandbox.amocrm_caller import caller


def test_a_wrong_token_is_401_as_problem_json():
    call = caller()
    answer = call.send("GET", "account", authorization="Bearer other")
    assert answer.status == 401
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert json.loads(answer.body)["title"] == "Unauthorized"


def test_another_accounts_host_is_401_and_loopback_is_ours():
    call = caller()
    assert call.send("GET", "account", host="other.amocrm.ru").status == 401
    assert call.send("GET", "account", host="127.0.0.1:8080").status == 200


def test_every_answer_has_a_request_id_of_its_own():
    call = caller()
    seen = {call.send("GET", "account").headers["X-Request-Id"] for _ in range(3)}
    assert len(seen) == 3


def test_unknown_path_is_404_and_unknown_method_405():
    call = caller()
    assert call.problem("GET", "nowhere")["status"] == 404
    assert call.problem("DELETE", "tasks/1")["status"] == 405


def test_the_eighth_call_within_a_second_is_429_and_counted():
    call = caller(limits=True)
    assert [call.send("GET", "account").status for _ in range(8)] == [200] * 7 + [429]
    assert call.portal.exceeded == 1
    call.clock.advance(1.0)
    assert call.send("GET", "account").status == 200


def test_the_second_rolls_and_does_not_jump():
    call = caller(limits=True)
    assert [call.send("GET", "account").status for _ in range(4)] == [200] * 4
    call.clock.advance(0.6)
    assert [call.send("GET", "account").status for _ in range(3)] == [200] * 3
    call.clock.advance(0.5)
    assert [call.send("GET", "account").status for _ in range(5)] == [200] * 4 + [429]


def test_too_many_429_end_in_a_403_page_until_support_lifts_it():
    call = caller(limits=True, rules=Rules(block_after=3))
    assert [call.send("GET", "account").status for _ in range(11)] == [200] * 7 + [429] * 3 + [403]
    call.clock.advance(3600)
    blocked = call.send("GET", "account")
    assert blocked.status == 403
    assert blocked.headers["Content-Type"].startswith("text/html")
    call.portal.unblock()
    assert call.send("GET", "account").status == 200


def test_429_far_apart_do_not_block():
    call = caller(limits=True, rules=Rules(block_after=2))
    for _ in range(3):
        assert [call.send("GET", "account").status for _ in range(8)][-1] == 429
        call.clock.advance(61)
    assert call.send("GET", "account").status == 200


def test_an_unpaid_account_reads_and_refuses_writes():
    call = caller()
    call.portal.switch_paid(on=False)
    assert call.send("GET", "leads").status == 200
    assert call.problem("POST", "tasks", [{"text": "x", "complete_till": 1}])["status"] == 402
    assert call.portal.tasks() == []


@pytest.mark.parametrize(
    ("fault", "status"), [(Fault.THROTTLE, 429), (Fault.SERVER_ERROR, 500), (Fault.HTML_ERROR, 502)]
)
def test_a_fault_before_the_work_leaves_nothing_done(fault, status):
    call = caller(faults=Faults.none())
    call.portal.faults.force(fault)
    assert call.send("POST", "tasks", [{"text": "x", "complete_till": 1}]).status == status
    assert call.portal.tasks() == []
    assert call.portal.exceeded == 0


def test_a_lost_answer_is_cut_or_504_and_the_work_is_done():
    faces = set()
    for seed in range(20):
        call = caller(faults=Faults({}, seed=seed))
        call.portal.faults.force(Fault.LOST_ANSWER)
        try:
            faces.add(call.send("POST", "tasks", [{"text": "x", "complete_till": 1}]).status)
        except CutConnection:
            faces.add(0)
        assert len(call.portal.tasks()) == 1
    assert faces == {0, 504}


def test_a_partial_failure_is_504_with_a_part_done():
    call = caller(faults=Faults.none())
    call.portal.faults.force(Fault.PARTIAL)
    tasks = [{"text": str(n), "complete_till": 1} for n in range(9)]
    assert call.send("POST", "tasks", tasks).status == 504
    assert len(call.portal.tasks()) == 6


def test_a_slow_answer_comes_whole():
    waits = []
    call = caller(faults=Faults({}, slow_s=7, sleep=waits.append))
    call.portal.faults.force(Fault.SLOW)
    assert call.get("account")["subdomain"] == "sandbox"
    assert waits == [7]


def test_unknown_query_parameters_are_ignored():
    assert caller().ids("leads", "nonsense=1&order[nonsense]=asc") == [1, 2, 3, 10]


@pytest.mark.parametrize("query", ["limit=251", "limit=0", "limit=x", "page=0", "page=-1"])
def test_paging_that_is_no_paging_is_400(query):
    assert caller().problem("GET", "leads", query=query)["status"] == 400


def test_a_body_that_is_no_json_is_400():
    call = caller()
    given = {"host": "sandbox.amocrm.ru", "authorization": f"Bearer {call.portal.token}"}
    assert call.portal.handle(Request("POST", "/api/v4/tasks", "", given, b"{")).status == 400
