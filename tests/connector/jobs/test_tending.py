"""A portal's work kept going under a moved clock: read back, told, followed up, expired, each once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from adapters.errors import Interrupted, ScopeMissing
from connector.errors import WrongUse
from connector.jobs import settings, tending
from connector.store import occasions, privacy
from tests.connector.factories import CONTACT, connected, execute, rows
from tests.connector.jobs.tended import MONDAY, Stage, staffed


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def stage(monkeypatch, database, tmp_path):
    crm = staffed()
    with connected(monkeypatch, database, tmp_path, crm) as opened:
        yield Stage(opened, crm, database)


def test_a_warning_goes_to_the_manager_and_a_breach_to_his_lead_each_once(stage):
    stage.tend(MONDAY)
    assert stage.row("due_at") == MONDAY + timedelta(hours=1)
    for minute in (10, 46, 47, 61, 62, 100):
        stage.tend(MONDAY + timedelta(minutes=minute))
    told = rows(stage.database, "SELECT tier, recipient, made_at FROM sla_notices ORDER BY made_at")
    assert told == [
        ("warning", "2", MONDAY + timedelta(minutes=46)),
        ("breach", "9", MONDAY + timedelta(minutes=61)),
    ]
    sent = rows(stage.database, "SELECT rule, manager_id, state FROM tasks WHERE rule LIKE 'sla%' ORDER BY rule")
    assert sent == [("sla_breach", "9", "created"), ("sla_warning", "2", "created")]
    stage.none_twice()


def test_cadences_fill_queues_and_notify_nobody(stage):
    execute(stage.database, "UPDATE occasions SET rule = 'supportive_contact' WHERE ended_at IS NULL")
    for minute in (0, 50, 70):
        stage.tend(MONDAY + timedelta(minutes=minute))
    assert rows(stage.database, "SELECT count(*) FROM sla_notices") == [0]


def test_nobody_is_told_in_closed_time_and_the_opening_makes_good_for_it(stage):
    execute(stage.database, "UPDATE occasion_events SET at = at + interval '7 hours 50 minutes'")
    stage.tend(MONDAY + timedelta(hours=7, minutes=50))
    stage.tend(MONDAY + timedelta(hours=9))
    assert rows(stage.database, "SELECT count(*) FROM sla_notices") == [0]
    morning = MONDAY + timedelta(days=1, minutes=-20)
    stage.tend(morning)
    told = rows(stage.database, "SELECT tier, made_at FROM sla_notices ORDER BY tier")
    assert told == [("breach", morning), ("warning", morning)], "the need is not known in time, the call is due soon"


def test_a_long_enough_call_ends_the_work_in_time_and_is_read_once(stage):
    stage.tend(MONDAY)
    stage.call("c1", MONDAY + timedelta(minutes=20), completed=True, seconds=90)
    stage.read(MONDAY + timedelta(minutes=21))
    stage.read(MONDAY + timedelta(minutes=31))
    assert (stage.row("stop"), stage.row("result")) == ("contact", "reached")
    assert stage.row("ended_at") == MONDAY + timedelta(minutes=20)
    assert stage.log() == ["started", "raised", "contact", "stopped"]
    assert rows(stage.database, "SELECT count(*) FROM task_changes") == [0]


def test_a_task_closed_without_a_contact_leads_to_the_next_step_when_it_is_due_and_once(stage):
    stage.tend(MONDAY)
    stage.crm.close_task(stage.task_id(), "no answer", at=MONDAY + timedelta(minutes=30))
    stage.read(MONDAY + timedelta(minutes=31))
    assert stage.log() == ["started", "raised", "done"]
    for hours in (2, 24, 25, 26):
        stage.tend(MONDAY + timedelta(hours=hours))
    assert stage.none_twice().count("came_back") == 2
    assert stage.row("event_key") + "/2:letter" in rows(stage.database, "SELECT event_key FROM tasks")
    assert stage.log() == ["started", "raised", "done", "raised"]
    assert stage.row("task_key") != stage.key


def test_moved_reassigned_reopened_and_deleted_in_the_crm_are_put_down_once(stage):
    stage.tend(MONDAY)
    task_id = stage.task_id()
    stage.crm.edit_task(task_id, manager_id="1", due_at=MONDAY + timedelta(hours=5))
    for minute in (5, 15):
        stage.read(MONDAY + timedelta(minutes=minute))
    assert stage.log() == ["started", "raised", "reassigned", "postponed"]
    assert (stage.row("manager_id"), stage.row("due_at")) == ("1", MONDAY + timedelta(hours=5))
    stage.crm.close_task(task_id, at=MONDAY + timedelta(minutes=18))
    stage.read(MONDAY + timedelta(minutes=20))
    stage.crm.edit_task(task_id, is_done=False, done_at=None)
    stage.read(MONDAY + timedelta(minutes=25))
    assert stage.log()[4:] == ["done", "reopened"]
    stage.crm.delete_task(task_id)
    stage.read(MONDAY + timedelta(minutes=30))
    stage.read(MONDAY + timedelta(minutes=40))
    assert stage.log()[6:] == ["stopped"]
    assert (stage.row("stop"), stage.row("reason")) == ("manual", "task_deleted")
    assert stage.crm.calls["create_tasks"] == 1


def test_a_stale_task_expires_with_a_reason_and_is_closed_in_the_crm(stage):
    stage.set(sla_notes=True)
    stage.tend(MONDAY)
    task_id = stage.task_id()
    for days in (1, 29, 31, 32):
        stage.tend(MONDAY + timedelta(days=days))
    assert (stage.row("stop"), stage.row("result")) == ("expired", "expired")
    assert stage.crm.task_states[task_id].is_done
    assert [note.text for note in stage.crm.notes.values()] == ["RFM: the task is out of date"]


def test_the_priority_is_raised_as_the_deadline_nears_and_sent_once(stage):
    execute(stage.database, "UPDATE occasions SET priority = 'normal'")
    for minute in (0, 46, 47, 62):
        stage.tend(MONDAY + timedelta(minutes=minute))
    changes = rows(stage.database, "SELECT body ->> 'priority', state FROM task_changes")
    assert changes == [("high", "sent")]


def test_the_head_of_sales_gets_one_digest_a_day_through_the_outbox(stage, monkeypatch):
    monkeypatch.setattr(tending.telling, "channels", lambda _: ["email"])
    stage.set(head_of_sales="1")
    stage.tend(MONDAY)
    for hours in (6, 7.5, 8, 9):
        stage.tend(MONDAY + timedelta(hours=hours))
    assert rows(stage.database, "SELECT changes -> 0 ->> 'kind' FROM alert_notices") == ["deadlines"]
    assert rows(stage.database, "SELECT key FROM sla_notices WHERE tier = 'digest'") == ["digest:2026-03-02"]


def test_a_kill_after_any_answer_of_the_crm_makes_nothing_twice(stage):
    for moment, method in ((0, "create_tasks"), (46, "create_tasks"), (61, "find_tasks")):
        now = MONDAY + timedelta(minutes=moment)
        stage.crm.fail(method, Killed(), done=True)
        with pytest.raises(Killed):
            stage.tend(now)
        stage.tend(now)
    assert stage.none_twice() == ["came_back", "sla_breach", "sla_warning", "soft_touch"]
    stage.crm.close_task(stage.task_id(), at=MONDAY + timedelta(minutes=70))
    stage.crm.fail("tasks_by_id", Interrupted("cut off"))
    with pytest.raises(Interrupted):
        stage.read(MONDAY + timedelta(minutes=71))
    stage.read(MONDAY + timedelta(minutes=72))
    assert stage.log().count("done") == 1


def test_without_the_right_to_read_contacts_the_rest_goes_on(stage):
    stage.tend(MONDAY)
    stage.crm.fail("contacts", ScopeMissing("the token may not read calls", status=403))
    stage.crm.close_task(stage.task_id(), at=MONDAY + timedelta(minutes=10))
    stage.read(MONDAY + timedelta(minutes=12))
    assert "done" in stage.log()
    assert rows(stage.database, "SELECT state FROM portals") == ["active"]


def test_nothing_due_costs_no_request(stage):
    stage.tend(MONDAY)
    before = stage.crm.calls.total()
    stage.tend(MONDAY + timedelta(minutes=5))
    assert stage.crm.calls.total() == before
    with stage.database.session() as session:
        assert session.scalar(text("SELECT min(look_at) FROM occasions WHERE ended_at IS NULL")) > MONDAY


def closed_without_a_contact(stage):
    """The first task was closed on Monday, and on Thursday the next step would have been due."""
    stage.tend(MONDAY)
    stage.crm.close_task(stage.task_id(), at=MONDAY + timedelta(minutes=30))
    stage.read(MONDAY + timedelta(minutes=31))


def test_without_sequences_the_first_task_is_the_only_one(stage):
    stage.set(sequences=False)
    closed_without_a_contact(stage)
    stage.tend(MONDAY + timedelta(days=3))
    assert (stage.row("stop"), stage.row("result")) == ("exhausted", "not_reached")
    assert stage.none_twice().count("came_back") == 1


def test_steps_beyond_a_managers_day_wait_for_the_next_one(stage):
    stage.set(steps_a_day=0)
    closed_without_a_contact(stage)
    stage.tend(MONDAY + timedelta(days=3))
    assert stage.none_twice().count("came_back") == 1
    assert stage.row("look_at") > MONDAY + timedelta(days=3)
    stage.set(steps_a_day=1)
    stage.tend(MONDAY + timedelta(days=4))
    assert stage.none_twice().count("came_back") == 2


def test_in_a_quiet_month_a_customers_silence_is_told_to_nobody(stage):
    execute(stage.database, "UPDATE occasions SET rule = 'left_loyal', work_class = 'at_risk' WHERE ended_at IS NULL")
    stage.set(quiet_months=[3])
    for minute in (0, 50, 70):
        stage.tend(MONDAY + timedelta(minutes=minute))
    assert rows(stage.database, "SELECT count(*) FROM sla_notices") == [0]
    stage.set(quiet_months=[4])
    execute(stage.database, "UPDATE occasions SET look_at = started_at WHERE ended_at IS NULL")
    stage.tend(MONDAY + timedelta(minutes=71))
    assert rows(stage.database, "SELECT tier FROM sla_notices") == ["breach"]


def test_a_day_has_no_more_notices_for_a_person_than_the_portal_allows(stage):
    stage.set(notices={"a_day": 0})
    for minute in (0, 50, 70):
        stage.tend(MONDAY + timedelta(minutes=minute))
    assert rows(stage.database, "SELECT count(*) FROM sla_notices") == [0]


def test_a_newer_occasion_ends_the_older_one_and_closes_its_task(stage):
    stage.tend(MONDAY)
    task_id = stage.task_id()
    execute(
        stage.database,
        "INSERT INTO occasion_events (portal_id, occasion, number, customer, at, kind, source, body)"
        " SELECT portal_id, key, 9, customer, :at, 'stopped', 'superseded:x', '{\"reason\": \"superseded\"}'"
        " FROM occasions WHERE key = :key",
        at=MONDAY + timedelta(minutes=5),
        key=stage.key,
    )
    execute(stage.database, "UPDATE occasions SET look_at = :at WHERE key = :key", at=MONDAY, key=stage.key)
    stage.tend(MONDAY + timedelta(minutes=6))
    assert stage.row("stop") == "superseded"
    assert stage.crm.task_states[task_id].is_done
    assert stage.log() == ["started", "raised", "stopped"]


@pytest.mark.parametrize(
    "wrong",
    [
        'clocks={"lunch": 1}', 'notices={"a_day": -1}', "digest_hour=25", "expire_days=0", "steps_a_day=-1",
        "sequences=perhaps", "sla_notes=1", "quiet_months=[13]",
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_refused_and_nothing_is_kept(stage, wrong):
    before = settings.show(stage.service, "p")
    with pytest.raises(WrongUse):
        settings.change(stage.service, "p", [wrong])
    assert settings.show(stage.service, "p") == before


def test_a_person_who_is_forgotten_leaves_no_log(stage):
    stage.tend(MONDAY)
    with stage.database.session() as session:
        assert privacy.erase_customer(session, stage.portal_id, CONTACT, "1")
    for table in ("occasions", "occasion_events", "sla_notices", "task_changes"):
        number = "SELECT number FROM customers WHERE external_id LIKE 'erased:%'"
        assert rows(stage.database, f"SELECT count(*) FROM {table} WHERE customer IN ({number})") == [0]


def test_what_ended_long_ago_is_forgotten_with_its_log(stage):
    stage.tend(MONDAY)
    with stage.database.session() as session:
        assert occasions.forget_ended(session, stage.portal_id, MONDAY - timedelta(days=1)) > 0
    assert rows(stage.database, "SELECT count(*) FROM occasions WHERE ended_at IS NOT NULL") == [0]
    orphans = "SELECT count(*) FROM occasion_events WHERE occasion NOT IN (SELECT key FROM occasions)"
    assert rows(stage.database, orphans) == [0]
    assert stage.log() == ["started", "raised"]
