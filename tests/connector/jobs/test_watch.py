"""Alarms by an injected clock: told once when something goes wrong and once when it is over; metrics; retention."""

from __future__ import annotations

import logging
import re
from datetime import timedelta

import pytest

from connector.deadline import Deadline
from connector.jobs import watch
from connector.jobs.metrics import metrics_text
from connector.jobs.retention import forget
from connector.jobs.schedule import KINDS, tick
from connector.store import alerts, jobs, requests, work
from connector.store.alerts import Alarm
from connector.store.models import InboxRow, RunRow
from connector.store.requests import RequestLog, operation_name
from tests.connector.factories import at, execute, keep_portal, rows

NOW = at("2026-11-24 12:00")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def portal(queue):
    return keep_portal(queue, created_at=NOW)


def opened(database, now):
    watch.look(database, now)
    return rows(database, "SELECT kind, about FROM alerts WHERE state = 'open' AND portal_id > 0 ORDER BY 1, 2")


def add_run(database, portal, finished_at, **more):
    with database.session() as session:
        words = {"run_id": f"{finished_at:%H%M}", "kind": "run", "as_of": NOW.date(), "state": "done", "counts": {}}
        words |= {"started_at": finished_at, "finished_at": finished_at, **more}
        session.add(RunRow(portal_id=portal.portal_id, **words))


def add_requests(database, portal, status, count, hour=NOW):
    with database.session() as session:
        requests._add(session, portal.portal_id, {(hour, "deals list", status): (count, 10 * count)})


def add_event(database, portal, first_at):
    with database.session() as session:
        row = InboxRow(portal_id=portal.portal_id, resource="deal", external_id="7", times=1, is_deletion=False)
        row.first_at = row.last_at = first_at
        session.add(row)


# --- alerts ----------------------------------------------------------------------------------------------------------


def test_an_alert_is_told_when_its_state_changes_and_not_while_it_stays(queue, portal, caplog):
    alarm = Alarm(portal.portal_id, "stale", detail={"since": "Monday"})
    told = []
    with caplog.at_level(logging.WARNING, "rfm.alerts"):
        for minute, found in enumerate([[alarm], [alarm], [alarm], [], [], [alarm]]):
            with queue.session() as session:
                told.append(alerts.settle(session, found, NOW + minute * MINUTE))
    assert told == [(1, 0), (0, 0), (0, 0), (0, 1), (0, 0), (1, 0)]
    assert [record.getMessage().split()[1] for record in caplog.records] == ["opened", "closed", "opened"]
    [row] = rows(queue, "SELECT state, since, last_at FROM alerts")
    assert row == ("open", NOW + 5 * MINUTE, NOW + 5 * MINUTE)


def test_an_open_alert_keeps_its_beginning_and_brings_its_detail_up_to_date(queue, portal):
    for minute in range(3):
        with queue.session() as session:
            alerts.settle(session, [Alarm(portal.portal_id, "inbox", detail={"n": minute})], NOW + minute * MINUTE)
    with queue.session() as session:
        [row] = alerts.open_alerts(session, portal.portal_id)
        assert (row.since, row.last_at, row.detail) == (NOW, NOW + 2 * MINUTE, {"n": 2})
        assert alerts.open_alerts(session, portal.portal_id + 1) == []


# --- every schedule that did not run when it should ------------------------------------------------------------------


@pytest.mark.parametrize("job", [name for name, kind in KINDS.items() if kind.rhythm is not None])
def test_every_schedule_that_nobody_asked_for_in_time_raises_an_alarm(queue, portal, job):
    execute(queue, "UPDATE portals SET first_run_at = :now", now=NOW)
    tick(queue, NOW)
    of_service = KINDS[job].of_service
    due_at = rows(queue, "SELECT due_at FROM work WHERE job = :job", job=job)[0]
    grace = KINDS[job].grace
    found = []
    for now in (due_at + grace, due_at + grace + MINUTE):
        with queue.session() as session:
            found.append({alarm.key for alarm in watch.alarms(session, now) if alarm.kind == "schedule"})
    key = (0 if of_service else portal.portal_id, "schedule", job)
    assert (key in found[0], key in found[1]) == (False, True)


def test_work_that_was_asked_for_and_does_not_get_on_raises_an_alarm_until_it_does(queue, portal):
    with queue.session() as session:
        work.ask(session, portal.portal_id, "run", NOW)
    assert opened(queue, NOW + 40 * MINUTE) == []
    assert opened(queue, NOW + 50 * MINUTE) == [("schedule", "run")]
    with queue.session() as session:
        work.progressed(session, portal.portal_id, "run", "open", NOW + 55 * MINUTE)
    assert opened(queue, NOW + 60 * MINUTE) == []
    assert opened(queue, NOW + 101 * MINUTE) == [("schedule", "run")]
    with queue.session() as session:
        work.done(session, portal.portal_id, "run", NOW + 102 * MINUTE)
    assert opened(queue, NOW + 300 * MINUTE) == []


def test_a_backfill_of_many_hours_that_gets_on_is_no_alarm(queue, portal):
    with queue.session() as session:
        work.ask(session, portal.portal_id, "run", NOW)
    for hour in range(1, 20):
        now = NOW + timedelta(hours=hour)
        with queue.session() as session:
            work.progressed(session, portal.portal_id, "run", "open", now - 10 * MINUTE)
        assert opened(queue, now) == []


# --- the other kinds -------------------------------------------------------------------------------------------------


def test_work_that_keeps_failing_is_told_and_work_that_was_given_up_too(queue, portal):
    with queue.session() as session:
        work.ask(session, portal.portal_id, "pull", NOW)
        work.ask(session, portal.portal_id, "run", NOW)
        for _ in range(2):
            work.failed(session, portal.portal_id, "pull", "no answer", NOW)
    assert opened(queue, NOW) == []
    with queue.session() as session:
        work.failed(session, portal.portal_id, "pull", "no answer", NOW)
        work.given_up(session, portal.portal_id, "run", "cannot be scored yet", NOW)
    assert opened(queue, NOW) == [("failed", "run"), ("failing", "pull")]
    assert rows(queue, "SELECT detail ->> 'reason' FROM alerts WHERE kind = 'failed'") == ["cannot be scored yet"]


@pytest.mark.parametrize(("cycle", "fresh", "stale"), [("daily", 1.9, 2.1), ("weekly", 8, 9)])
def test_old_figures_are_told_by_the_portals_rhythm(queue, portal, cycle, fresh, stale):
    execute(
        queue,
        "UPDATE portals SET settings = jsonb_build_object('schedule', jsonb_build_object('cycle', CAST(:c AS text)))",
        c=cycle,
    )
    add_run(queue, portal, NOW)
    assert opened(queue, NOW + timedelta(days=fresh)) == []
    assert opened(queue, NOW + timedelta(days=stale)) == [("stale", "")]
    add_run(queue, portal, NOW + timedelta(days=stale, hours=1))
    assert opened(queue, NOW + timedelta(days=stale, hours=2)) == []


def test_a_portal_whose_first_run_does_not_come_is_stale_too(queue, portal):
    assert opened(queue, NOW + timedelta(days=2, hours=1)) == [("stale", "")]


@pytest.mark.parametrize(
    ("refused", "written", "wanted"), [(10, 90, []), (11, 89, [("refused", "")]), (1, 0, [("refused", "")]), (0, 0, [])]
)
def test_a_large_share_of_refused_cards_is_told(queue, portal, refused, written, wanted):
    add_run(queue, portal, NOW, counts={"refused": refused, "written": written})
    assert opened(queue, NOW) == wanted


@pytest.mark.parametrize(
    ("throttled", "good", "hours_ago", "wanted"),
    [
        (20, 300, 0, [("throttled", "")]),
        (20, 300, 1, [("throttled", "")]),
        (20, 300, 2, []),
        (20, 400, 0, []),
        (19, 1, 0, []),
    ],
)
def test_being_told_to_slow_down_too_often_is_told(queue, portal, throttled, good, hours_ago, wanted):
    add_requests(queue, portal, "429", throttled, NOW - timedelta(hours=hours_ago))
    add_requests(queue, portal, "2xx", good, NOW - timedelta(hours=hours_ago))
    assert opened(queue, NOW + 30 * MINUTE) == wanted


def test_an_event_that_waits_too_long_is_told(queue, portal):
    add_event(queue, portal, NOW)
    assert opened(queue, NOW + 9 * MINUTE) == []
    assert opened(queue, NOW + 11 * MINUTE) == [("inbox", "")]


def test_a_job_that_nobody_takes_is_told(queue, portal):
    with queue.session() as session:
        jobs.defer(session, "run", portal.portal_id, queue="slow")
    execute(queue, "UPDATE procrastinate_events SET at = :at", at=NOW)
    watch.look(queue, NOW + 9 * MINUTE)
    assert rows(queue, "SELECT kind FROM alerts WHERE state = 'open'") == []
    watch.look(queue, NOW + 11 * MINUTE)
    assert rows(queue, "SELECT portal_id, kind FROM alerts WHERE state = 'open'") == [(0, "queue")]


def test_a_disconnected_portal_is_wrong_about_nothing(queue, portal):
    execute(queue, "UPDATE portals SET state = 'disconnected'")
    add_event(queue, portal, NOW)
    with queue.session() as session:
        work.ask(session, portal.portal_id, "run", NOW)
    assert opened(queue, NOW + timedelta(days=9)) == []


# --- the request log -------------------------------------------------------------------------------------------------


def test_requests_are_counted_by_operation_and_answer_without_any_record(queue, portal):
    log = RequestLog(queue, portal.portal_id)
    for _ in range(3):
        log.note("PATCH contacts/4711?with=x", "2xx", 0.25)
    log.note("batch of 50: crm.item.list, crm.item.update", "429", 0.1)
    log.close()
    log.note("PATCH contacts/12", "2xx", 0.25)
    log.close()
    assert rows(queue, "SELECT operation, status, count, ms FROM request_log ORDER BY 3") == [
        ("batch of #", "429", 1, 100),
        ("PATCH contacts/#", "2xx", 4, 1000),
    ]


def test_requests_are_stored_now_and_then_and_not_one_by_one(queue, portal):
    clock = [0.0]
    log = RequestLog(queue, portal.portal_id, clock=lambda: clock[0])
    log.note("owners", "2xx", 0.1)
    assert rows(queue, "SELECT count FROM request_log") == []
    clock[0] = 11.0
    log.note("owners", "2xx", 0.1)
    assert rows(queue, "SELECT count FROM request_log") == [2]


@pytest.mark.parametrize(("label", "wanted"), [("GET leads/12/links", "GET leads/#/links"), ("x" * 99, "x" * 60)])
def test_the_name_of_an_operation_has_no_record_in_it(label, wanted):
    assert operation_name(label) == wanted


def test_old_hours_become_one_sum_and_the_totals_never_fall(queue, portal):
    for days in (0, 3, 8, 9, 10):
        add_requests(queue, portal, "2xx", 5, NOW - timedelta(days=days))
    for _ in range(3):
        with queue.session() as session:
            requests.fold_older(session, NOW - timedelta(days=7))
    assert rows(queue, "SELECT hour, operation, count FROM request_log ORDER BY 1")[1:] == [
        (NOW - timedelta(days=3), "deals list", 5),
        (NOW, "deals list", 5),
    ]
    with queue.session() as session:
        assert requests.totals(session) == [(portal.portal_id, "2xx", 25)]


# --- metrics and retention -------------------------------------------------------------------------------------------


def test_metrics_are_well_formed_and_name_what_was_promised(queue, portal):
    other = keep_portal(queue, 'a "quoted" name', last_sync_at=NOW - timedelta(hours=2))
    add_requests(queue, portal, "429", 3)
    add_event(queue, portal, NOW - timedelta(seconds=90))
    add_run(queue, portal, NOW, counts={"refused": 4, "written": 6})
    with queue.session() as session:
        work.ask(session, other.portal_id, "run", NOW - timedelta(seconds=30))
        jobs.defer(session, "run", other.portal_id, queue="slow")
    watch.look(queue, NOW)
    with queue.session() as session:
        text = metrics_text(session, NOW)
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r'[a-z_]+(\{([a-z]+="(\\.|[^"\\])*",?)*\})? [-+.e\d]+', line) for line in samples), samples
    assert text.endswith("\n")
    for line in (
        'rfm_portal_active{portal="p",crm="hubspot"} 1',
        'rfm_sync_age_seconds{portal="a \\"quoted\\" name"} 7200',
        'rfm_refused_records{portal="p"} 4',
        'rfm_requests_total{portal="p",status="429"} 3',
        'rfm_inbox_oldest_seconds{portal="p"} 90',
        'rfm_inbox_records{portal="p"} 1',
        'rfm_schedule_late_seconds{portal="a \\"quoted\\" name",job="run"} 30',
        'rfm_jobs{job="run",status="todo"} 1',
        'rfm_alert_open{portal="p",kind="refused",about=""} 1',
        "rfm_workers_alive 0",
    ):
        assert line in samples
    assert len(re.findall("^# TYPE", text, re.MULTILINE)) == len(set(re.findall("^# TYPE (.*) ", text, re.MULTILINE)))


def test_an_empty_service_has_metrics_too(queue):
    with queue.session() as session:
        assert "rfm_workers_alive 0" in metrics_text(session, NOW)


def test_what_is_too_old_is_forgotten_and_the_rest_is_kept(queue, portal):
    left = keep_portal(queue, "left", state="disconnected")
    for one in (portal, left):
        add_event(queue, one, NOW - timedelta(days=4))
        change = (
            "INSERT INTO changes (portal_id, run_id, customer, values, before, state, settled_at)"
            " SELECT :portal, 'r', n, '{}', '{}', 'written', CAST(:now AS timestamptz) - make_interval(days => n)"
            " FROM generate_series(1, 60) n"
        )
        execute(queue, change, portal=one.portal_id, now=NOW)
    execute(queue, """UPDATE portals SET settings = '{"keep_changes_days": 10}' WHERE name = 'left'""")
    with queue.session() as session:
        alerts.settle(session, [Alarm(1, "stale"), Alarm(2, "stale")], NOW - timedelta(days=200))
        alerts.settle(session, [Alarm(2, "stale")], NOW - timedelta(days=100))
    assert not forget(queue, NOW, Deadline(0.0))
    assert forget(queue, NOW)
    assert rows(queue, "SELECT portal_id FROM inbox") == [portal.portal_id]
    kept = rows(queue, "SELECT portal_id, count(*) FROM changes GROUP BY 1 ORDER BY 1")
    assert kept == [(portal.portal_id, 30), (left.portal_id, 10)]
    assert rows(queue, "SELECT portal_id FROM alerts") == [2]
