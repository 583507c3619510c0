"""The list "do first" and what people do to it, written through to the CRM; figures and load over the same work."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.errors import Interrupted
from connector.errors import WrongUse
from connector.jobs import queueing
from connector.sla.acting import Action, Result
from connector.sla.figures import Period
from tests.connector.factories import connected, execute, rows
from tests.connector.jobs.tended import MONDAY, Stage, staffed

SOON = MONDAY + timedelta(minutes=50)


@pytest.fixture
def stage(monkeypatch, database, tmp_path):
    crm = staffed()
    with connected(monkeypatch, database, tmp_path, crm) as opened:
        made = Stage(opened, crm, database)
        made.tend(MONDAY)
        yield made


def of_manager(found, manager_id):
    return next((one["tasks"] for one in found["managers"] if one["manager"] == manager_id), [])


def act(stage, now, what, **more):
    return queueing.act(stage.at(now), "p", Action(what, stage.row("task_key"), **more))


def test_the_nearest_deadline_is_first_with_its_reasons_in_the_portals_language(stage):
    execute(stage.database, "UPDATE occasions SET manager_id = '2'")
    tasks = of_manager(queueing.queue(stage.at(SOON), "p"), "2")
    assert [task["rule"] for task in tasks] == ["came_back", "soft_touch"]
    first = tasks[0]
    assert (first["task"], first["customer"], first["state"], first["minutes_left"]) == (
        stage.key,
        "contact:1",
        "at_risk",
        10,
    )
    assert "10 min" in first["reasons"][0]
    assert of_manager(queueing.queue(stage.at(SOON), "p", top=1), "2") == tasks[:1]
    assert queueing.queue(stage.at(SOON), "p", manager="77")["managers"] == [
        {"manager": "77", "name": "77", "tasks": []}
    ]


def test_done_closes_the_task_in_the_crm_with_its_result_and_cannot_be_said_twice(stage):
    task_id = stage.task_id()
    act(stage, SOON, "done", result=Result.NOT_REACHED, reason="no answer")
    state = stage.crm.task_states[task_id]
    assert (state.is_done, state.result) == (True, "not_reached: no answer")
    assert stage.log()[-1] == "done"
    assert stage.key not in str(queueing.queue(stage.at(SOON), "p"))
    with pytest.raises(WrongUse, match="closed already"):
        act(stage, SOON, "done", result=Result.REACHED)
    stage.read(SOON + timedelta(minutes=5))
    assert stage.log().count("done") == 1


def test_a_refusal_ends_the_work_with_its_result(stage):
    act(stage, SOON, "done", result=Result.REFUSED, reason="bought elsewhere")
    assert (stage.row("stop"), stage.row("result")) == ("refusal", "refused")


def test_the_word_reached_counts_only_where_calls_cannot_be_read(stage):
    act(stage, SOON, "done", result=Result.REACHED)
    assert stage.row("ended_at") is None
    assert "contact" not in stage.log()


def test_put_off_moves_the_task_and_hides_it_until_then(stage):
    until = MONDAY + timedelta(days=2)
    act(stage, SOON, "postpone", reason="asked to call later", until=until)
    assert stage.crm.task_states[stage.task_id()].due_at == until
    assert stage.key not in str(queueing.queue(stage.at(SOON), "p"))
    assert stage.key in str(queueing.queue(stage.at(until + timedelta(minutes=1)), "p"))
    stage.read(SOON + timedelta(minutes=5))
    assert stage.log().count("postponed") == 1


def test_given_away_with_a_reason_that_stays_on_its_trail(stage):
    act(stage, SOON, "reassign", reason="knows the customer", to="1")
    assert stage.crm.task_states[stage.task_id()].manager_id == "1"
    assert of_manager(queueing.queue(stage.at(SOON), "p"), "1")[0]["task"] == stage.key
    body = rows(stage.database, "SELECT body FROM occasion_events WHERE kind = 'reassigned'")
    assert body == [{"by": "1", "reason": "knows the customer"}]
    stage.read(SOON + timedelta(minutes=5))
    assert stage.log().count("reassigned") == 1
    trail = rows(stage.database, "SELECT detail FROM audit WHERE action = 'task.reassign'")
    assert trail == [{"task": stage.key, "to": "1"}]


@pytest.mark.parametrize(
    ("what", "more"),
    [
        ("done", {}),
        ("postpone", {"until": MONDAY + timedelta(days=1)}),
        ("postpone", {"reason": "later"}),
        ("postpone", {"reason": "later", "until": MONDAY - timedelta(days=1)}),
        ("reassign", {"to": "1"}),
        ("reassign", {"reason": "why", "to": "77"}),
        ("erase", {"reason": "why"}),
    ],
)
def test_without_what_is_needed_nothing_is_put_down(stage, what, more):
    with pytest.raises(WrongUse):
        act(stage, SOON, what, **more)
    assert stage.log() == ["started", "raised"]
    with pytest.raises(WrongUse, match="no open task"):
        queueing.act(stage.at(SOON), "p", Action("done", "nothing", result=Result.REACHED))


def test_what_the_crm_did_not_answer_is_sent_later_and_not_taken_for_somebody_elses_word(stage):
    stage.crm.fail("change_tasks", Interrupted("cut off"))
    with pytest.raises(Interrupted):
        act(stage, SOON, "reassign", reason="knows the customer", to="1")
    assert stage.crm.task_states[stage.task_id()].manager_id == "2"
    stage.tend(SOON + timedelta(minutes=1))
    assert stage.crm.task_states[stage.task_id()].manager_id == "1"
    stage.read(SOON + timedelta(minutes=2))
    assert stage.log().count("reassigned") == 1
    assert stage.row("manager_id") == "1"


def test_the_figures_tell_who_answered_in_time_and_what_was_bought(stage):
    stage.call("c1", MONDAY + timedelta(minutes=20), completed=True, seconds=90)
    stage.read(MONDAY + timedelta(minutes=25))
    found = queueing.figures(stage.at(SOON), "p", period=Period.WEEK)
    cells = {(one["start"], one["manager"], one["class"]): one for one in found["cells"]}
    cell = cells["2026-03-02", "2", "loyal"]
    assert (cell["name"], cell["cases"]) == ("Boris", 1)
    assert cells["2026-03-02", None, None]["cases"] == 2
    assert (cell["contact_share"], cell["met_share"], cell["median_response"]) == (1.0, 1.0, 20.0)
    cards = {card["rule"]: card for card in found["rules"]}
    assert (cards["came_back"]["created"], cards["came_back"]["contact"]) == (1, 1)
    assert {voice["rule"] for voice in found["notices"]} == {"left_loyal", "came_back", "upsell_window"}


def test_a_rule_on_whose_notices_nobody_acts_falls_silent_and_says_so(stage):
    stage.set(notices={"least": 1, "acted_percent": 50})
    execute(
        stage.database,
        "INSERT INTO sla_notices (portal_id, key, tier, recipient, rule, occasion, customer, made_at)"
        " SELECT portal_id, 'old', 'warning', '2', 'came_back', 'gone', 1, :at FROM portals",
        at=MONDAY - timedelta(days=5),
    )
    stage.tend(SOON)
    assert rows(stage.database, "SELECT key FROM sla_notices") == ["old"]
    voice = next(one for one in queueing.figures(stage.at(SOON), "p")["notices"] if one["rule"] == "came_back")
    assert voice["muted"]
    assert "came_back" in voice["said"]


def test_the_load_tells_what_will_be_late_and_whether_a_month_fits(stage):
    execute(stage.database, "UPDATE portals SET first_run_at = now()")
    found = queueing.load(stage.at(MONDAY + timedelta(minutes=55)), "p")
    assert stage.key in [one["task"] for one in found["late"]]
    assert found["month"]["fits"]
    assert found["month"]["hours_there"] > found["month"]["hours_needed"] > 0
