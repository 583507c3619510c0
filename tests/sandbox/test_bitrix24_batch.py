"""`batch`: shapes, references, halting, faults inside a 200."""

from __future__ import annotations

import pytest

from sandbox.bitrix24.php import as_array, as_int, as_list, as_map, parse_query
from sandbox.faults import Fault
from tests.sandbox.bitrix24_caller import ask, batch, big_portal, error, portal, send

PAGE = "crm.item.list?entityTypeId=2&order[id]=ASC&start=-1&select[]=id&filter[%3Eid]="


def test_empty_maps_are_lists_and_named_ones_stay_maps():
    answer = batch(portal(), {"k0": "server.time"})
    assert answer["result"] == {"k0": "2026-03-02T12:00:00+03:00"}
    assert answer["result_error"] == answer["result_total"] == answer["result_next"] == []
    assert set(answer["result_time"]) == {"k0"}


def test_keys_that_count_from_zero_turn_maps_into_lists():
    assert batch(portal(), {"0": "user.admin", "1": "user.admin"})["result"] == [True, True]


def test_more_than_fifty_commands_are_refused_as_a_whole():
    commands = {f"k{n}": "server.time" for n in range(51)}
    assert error(portal(), "batch", cmd=commands) == (400, "ERROR_BATCH_LENGTH_EXCEEDED")


def test_a_batch_within_a_batch_and_unknown_methods_fail_alone():
    answer = batch(portal(), {"a": "batch?cmd[x]=profile", "b": "no.such", "c": "user.admin", "d": "event.bind"})
    assert answer["result"] == {"c": True}
    codes = {key: one["error"] for key, one in answer["result_error"].items()}
    assert codes == {"a": "ERROR_BATCH_METHOD_NOT_ALLOWED", "b": "ERROR_METHOD_NOT_FOUND", "d": "WRONG_AUTH_TYPE"}


@pytest.mark.parametrize(("halt", "done"), [(1, []), (0, {"b": True}), ("1", []), (True, []), (False, {"b": True})])
def test_halt_stops_at_the_first_error(halt, done):
    assert ask(portal(), "batch", halt=halt, cmd={"a": "no.such", "b": "user.admin"}).json["result"]["result"] == done


def test_a_chain_of_references_reads_page_after_page():
    target = big_portal(deals=130)
    chain = {"d0": PAGE + "0"} | {f"d{n}": f"{PAGE}$result[d{n - 1}][items][49][id]" for n in range(1, 3)}
    pages = [one["items"] for one in batch(target, chain)["result"].values()]
    assert [len(page) for page in pages] == [50, 50, 30]
    assert [item["id"] for page in pages for item in page] == list(range(1, 131))


def test_a_missing_reference_is_empty_and_brings_the_first_page_again():
    target = big_portal(deals=60)
    chain = {"d0": PAGE + "0", "d1": PAGE + "$result[d0][items][49][id]", "d2": PAGE + "$result[d1][items][49][id]"}
    pages = batch(target, chain)["result"]
    assert [len(page["items"]) for page in pages.values()] == [50, 10, 50]
    assert pages["d2"] == pages["d0"]


def test_references_reach_into_old_lists_and_stand_inside_text():
    commands = {
        "u": "user.get?sort=ID&order=ASC",
        "t": "tasks.task.add?fields[TITLE]=For%20$result[u][0][NAME]!&fields[RESPONSIBLE_ID]=$result[u][1][ID]",
    }
    task = batch(portal(), commands)["result"]["t"]["task"]
    assert (task["title"], task["responsibleId"]) == ("For Anna!", "2")


def test_values_are_decoded_once():
    command = "crm.item.update?entityTypeId=4&id=1&fields[title]=A%26B%20%2B%20%2510%20%23"
    assert batch(portal(), {"k": command})["result"]["k"]["item"]["title"] == "A&B + %10 #"


def test_totals_and_nexts_stand_in_maps_of_their_own():
    answer = batch(big_portal(deals=120), {"a": "crm.deal.list?select[]=ID", "b": "crm.deal.list?start=100", "c": PAGE})
    assert answer["result_total"] == {"a": 120, "b": 120, "c": 0}
    assert answer["result_next"] == {"a": 50}


def test_a_batch_may_come_as_a_form():
    target = portal()
    body = b"halt=0&cmd[a]=user.admin&cmd[b]=crm.item.get%3FentityTypeId%3D4%26id%3D1"
    reply = send(target, target.webhook_path + "batch", body=body, media="application/x-www-form-urlencoded")
    assert reply.json["result"]["result"]["b"]["item"]["title"] == "Firm"


def test_a_dropped_key_was_executed_but_has_no_answer():
    target = portal()
    target.faults.force(Fault.DROP_BATCH_KEYS)
    commands = {f"k{n}": f"crm.item.update?entityTypeId={3 + n}&id=1&fields[comments]=seen" for n in range(2)}
    answer = batch(target, commands)
    told = set(as_map(answer["result"])) | set(as_map(answer["result_error"]))
    assert len(told) == 1
    assert {target.state.contacts.rows[1].comments, target.state.companies.rows[1].comments} == {"seen"}


def test_a_partial_failure_refuses_some_commands_undone():
    target = portal()
    target.faults.force(Fault.PARTIAL)
    commands = {f"k{n}": f"crm.item.update?entityTypeId=3&id={n}&fields[comments]=seen" for n in (1, 2)}
    answer = batch(target, commands)
    (failed,) = answer["result_error"]
    assert answer["result_error"][failed]["error"] == "INTERNAL_SERVER_ERROR"
    assert target.state.contacts.rows[int(failed[1:])].comments is None


@pytest.mark.parametrize(
    ("query", "parsed"),
    [
        ("a=1&b[c][d]=2", {"a": "1", "b": {"c": {"d": "2"}}}),
        ("a[]=1&a[]=2", {"a": ["1", "2"]}),
        ("a[0]=x&a[1]=y", {"a": ["x", "y"]}),
        ("a[1]=x&a[2]=y", {"a": {"1": "x", "2": "y"}}),
        ("filter[%3E%3Did]=5&e=", {"filter": {">=id": "5"}, "e": ""}),
        ("a=1&a[b]=2", {"a": {"b": "2"}}),
        ("a[b=1", {"a[b": "1"}),
        ("", {}),
    ],
)
def test_php_queries(query, parsed):
    assert parse_query(query) == parsed


def test_php_arrays_and_numbers():
    assert as_array({}) == []
    assert as_array({"1": "x"}) == {"1": "x"}
    assert as_list({"a": 1}) == [1]
    assert as_list("") == as_list(None) == []
    assert as_list(5) == [5]
    assert as_map(["x"]) == {"0": "x"}
    assert [as_int(one) for one in ("12abc", "", None, "-3", 4.7, True, [])] == [12, 0, 0, -3, 4, 1, 0]
