"""queue, sla and load as people and scripts call them."""

from __future__ import annotations

import pytest


@pytest.fixture
def run_once(connected):
    connected("run", "p")
    return connected


@pytest.mark.parametrize(
    "words",
    [("queue", "p"), ("queue", "p", "--top", "1"), ("sla", "p"), ("sla", "p", "--period", "month"), ("load", "p")],
    ids=" ".join,
)
def test_every_command_has_words_and_one_json_object(run_once, words):
    said = run_once(*words)
    assert (said.status, said.out.strip() != "") == (0, True)
    assert len(run_once(*words, "--json").out.splitlines()) == 1


def test_before_the_first_run_nothing_waits_and_the_load_says_what_to_do(connected):
    assert connected("queue", "p").out.strip() == "nothing waits"
    assert "nothing was worked on" in connected("sla", "p").out
    said = connected("load", "p")
    assert (said.status, said.out) == (2, "")


def test_a_task_taken_from_the_queue_is_closed_in_the_crm_and_leaves_it(run_once, crm):
    listed = [task for one in run_once("queue", "p", "--json").json["managers"] for task in one["tasks"]]
    key = listed[0]["task"]
    said = run_once("queue", "p", "done", key, "--result", "not_reached", "--reason", "no answer", "--json")
    assert (said.status, said.json["task"], said.json["done"]) == (0, key, "done")
    assert [state.result for state in crm.task_states.values() if state.is_done] == ["not_reached: no answer"]
    assert key not in run_once("queue", "p", "--json").out
    assert run_once("queue", "p", "done", key, "--result", "reached").status == 2


@pytest.mark.parametrize(
    "more",
    [
        ("done",),
        ("done", "KEY"),
        ("postpone", "KEY", "--until", "2030-01-01"),
        ("reassign", "KEY", "--to", "1"),
        ("eat",),
    ],
    ids=" ".join,
)
def test_an_action_that_misses_something_does_nothing(run_once, crm, more):
    key = run_once("queue", "p", "--json").json["managers"][0]["tasks"][0]["task"]
    said = run_once("queue", "p", *(key if word == "KEY" else word for word in more))
    assert (said.status, said.out) == (2, "")
    assert not any(state.is_done for state in crm.task_states.values())
