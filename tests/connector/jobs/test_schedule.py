"""When work is due, that it is asked for then, and what is told when it was not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from connector.errors import WrongUse
from connector.jobs import schedule, settings
from connector.jobs.schedule import KINDS, checked, tick
from connector.secrets import Vault
from connector.store import jobs, work
from connector.store.locks import portal_lock
from connector.store.models import InboxRow, Portal, WorkRow
from connector.wiring import Service
from tests.connector.factories import KEY, at, config_for, execute, keep_portal, rows

NOW = at("2026-11-24 12:00")  # a Tuesday, 15:00 in Moscow
ASKED = "SELECT task_name, (args ->> 'portal_id')::int FROM procrastinate_jobs WHERE status = 'todo' ORDER BY 1, 2"


def portal(zone="Europe/Moscow", **schedule_words):
    return Portal(portal_id=5, time_zone=zone, settings={"schedule": schedule_words} if schedule_words else {})


def due(name, one, after):
    return KINDS[name].rhythm(one, after)


def row_of(database, portal_id, job):
    with database.session() as session:
        return session.get_one(WorkRow, (portal_id, job))


def open_alerts(database):
    return rows(database, "SELECT portal_id, kind, about FROM alerts WHERE state = 'open' ORDER BY 1, 2, 3")


# --- when ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "after", "wanted"),
    [
        (portal(), "2026-11-24 12:00", "2026-11-25 00:00"),
        (portal(), "2026-11-24 23:59", "2026-11-25 00:00"),
        (portal(), "2026-11-25 00:00", "2026-11-26 00:00"),
        (portal("UTC+05:30"), "2026-11-24 12:00", "2026-11-24 21:30"),
        (portal(hour=21), "2026-11-24 12:00", "2026-11-24 18:00"),
        (portal(cycle="weekly"), "2026-11-24 12:00", "2026-11-30 00:00"),
        (portal(cycle="weekly", weekday=3, hour=6), "2026-11-24 12:00", "2026-11-25 03:00"),
        (portal(cycle="weekly", weekday=3, hour=6), "2026-11-25 03:00", "2026-12-02 03:00"),
        (portal(cycle="monthly"), "2026-11-24 12:00", "2026-11-25 00:00"),
    ],
)
def test_a_run_is_due_at_three_of_the_portals_night_unless_its_setting_says_otherwise(one, after, wanted):
    assert due("run", one, at(after)) == at(wanted)


def test_across_the_change_of_the_clocks_a_run_is_due_once_a_day_at_the_same_local_time():
    berlin = portal("Europe/Berlin")
    moments = [at("2026-10-23 12:00")]
    for _ in range(5):
        moments.append(due("run", berlin, moments[-1]))
    assert moments[1:] == [
        at("2026-10-24 01:00"),
        at("2026-10-25 02:00"),
        at("2026-10-26 02:00"),
        at("2026-10-27 02:00"),
        at("2026-10-28 02:00"),
    ]


def test_a_local_time_that_does_not_exist_or_comes_twice_is_one_due_moment():
    early = portal("Europe/Berlin", hour=2)
    assert due("run", early, at("2026-03-28 12:00")) == at("2026-03-29 01:00")
    assert due("run", early, at("2026-03-29 01:00")) == at("2026-03-30 00:00")
    assert due("run", early, at("2026-10-24 12:00")) == at("2026-10-25 00:00")
    assert due("run", early, at("2026-10-25 00:00")) == at("2026-10-26 01:00")


def test_pulls_come_hourly_and_each_portal_has_its_own_minute():
    minutes = {due("pull", Portal(portal_id=n, settings={}), NOW).minute for n in range(1, 30)}
    assert len(minutes) > 20
    first = due("pull", portal(), NOW)
    assert due("pull", portal(), first) - first == timedelta(hours=1)


def test_everything_is_read_again_in_the_night_to_sunday_unless_that_is_switched_off():
    assert due("full", portal(), NOW) == at("2026-11-28 22:00")
    assert due("full", portal(full=False), NOW) is None


@pytest.mark.parametrize(
    "given",
    [
        "daily",
        7,
        {"cycle": "monthly"},
        {"hour": 24},
        {"hour": "3"},
        {"hour": True},
        {"weekday": 0},
        {"day": 1},
        {"full": 1},
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(given):
    with pytest.raises(WrongUse, match="schedule"):
        checked(given)


def test_the_setting_is_checked_when_it_is_changed(queue, tmp_path):
    keep_portal(queue)
    service = Service(config_for(queue, tmp_path), queue, Vault((KEY,)))
    settings.change(service, "p", ['schedule={"cycle": "weekly", "weekday": 5}'])
    with pytest.raises(WrongUse, match="hour"):
        settings.change(service, "p", ['schedule={"hour": 99}'])
    assert rows(queue, "SELECT settings -> 'schedule' ->> 'weekday' FROM portals") == ["5"]


# --- the tick --------------------------------------------------------------------------------------------------------


def test_what_is_due_is_asked_for_once_and_then_at_its_next_moment(queue):
    one = keep_portal(queue)
    assert tick(queue, NOW) == 0
    assert rows(queue, ASKED) == []
    night = at("2026-11-25 00:00")
    for later in (0, 5, 10):
        tick(queue, night + timedelta(seconds=later))
    asked = [name for name, portal_id in rows(queue, ASKED) if portal_id == one.portal_id]
    assert asked == ["pull", "run", "setup"]
    assert row_of(queue, one.portal_id, "run").asked_at == night
    assert row_of(queue, one.portal_id, "run").due_at == at("2026-11-26 00:00")
    assert [row for row in open_alerts(queue) if row[2] == "run"] == []


def test_the_services_own_work_is_asked_for_too(queue):
    tick(queue, NOW)
    tick(queue, NOW + timedelta(hours=1))
    assert rows(queue, ASKED) == [("installs", 0), ("retention", 0), ("tokens", 0), ("watch", 0)]


def test_what_came_due_while_nobody_worked_is_caught_up_once_and_told(queue):
    one = keep_portal(queue)
    tick(queue, NOW)
    tick(queue, at("2026-11-27 06:30"))
    found = [name for name, portal_id in rows(queue, ASKED) if portal_id == one.portal_id]
    assert found == ["pull", "refit", "run", "setup"]
    assert (one.portal_id, "schedule", "run") in open_alerts(queue)
    assert row_of(queue, one.portal_id, "run").due_at == at("2026-11-28 00:00")


def test_a_changed_schedule_counts_from_the_next_tick_on(queue):
    one = keep_portal(queue)
    tick(queue, NOW)
    execute(queue, """UPDATE portals SET settings = '{"schedule": {"hour": 20}}'""")
    tick(queue, NOW + timedelta(seconds=5))
    assert row_of(queue, one.portal_id, "run").due_at == at("2026-11-24 17:00")


def test_a_paused_portal_is_left_alone_and_not_scolded_for_it_when_it_comes_back(queue):
    one = keep_portal(queue)
    tick(queue, NOW)
    execute(queue, "UPDATE portals SET state = 'paused'")
    tick(queue, at("2026-11-26 06:30"))
    assert row_of(queue, one.portal_id, "run").due_at is None
    execute(queue, "UPDATE portals SET state = 'active'")
    tick(queue, at("2026-11-26 07:00"))
    assert [portal_id for _, portal_id in rows(queue, ASKED) if portal_id == one.portal_id] == []
    assert [row for row in open_alerts(queue) if row[0] == one.portal_id] == []


def test_work_that_lost_its_job_gets_another_one(queue):
    one = keep_portal(queue)
    with queue.session() as session:
        schedule.ask(session, "run", one.portal_id, NOW)
    execute(queue, "UPDATE procrastinate_jobs SET status = 'failed'")
    tick(queue, NOW)
    assert rows(queue, ASKED) == [("run", one.portal_id)]
    tick(queue, NOW)
    assert rows(queue, ASKED) == [("run", one.portal_id)]


def test_an_event_whose_wake_up_was_lost_is_found(queue):
    one, idle = keep_portal(queue), keep_portal(queue, "idle", state="paused")
    with queue.session() as session:
        for portal_id in (one.portal_id, idle.portal_id):
            row = InboxRow(portal_id=portal_id, resource="deal", external_id="7", first_at=NOW, last_at=NOW, times=1)
            row.is_deletion = False
            session.add(row)
    tick(queue, NOW)
    assert rows(queue, ASKED) == [("drain", one.portal_id)]


def test_many_wake_ups_are_one_drain_a_moment_later(queue):
    one = keep_portal(queue)
    for _ in range(20):
        schedule.wake(queue, one.portal_id)
    waits = "SELECT extract(epoch FROM scheduled_at - now()) FROM procrastinate_jobs"
    [seconds] = rows(queue, waits)
    assert 0 < seconds <= 1


def test_of_two_who_tick_at_once_one_does_it(queue):
    keep_portal(queue)
    tick(queue, NOW)
    with queue.session() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(7365)"))
        assert tick(queue, at("2026-11-25 00:00")) == 0
    assert tick(queue, at("2026-11-25 00:00")) > 0


def test_the_tick_does_not_wait_for_whoever_works_on_a_portal(queue):
    one = keep_portal(queue)
    tick(queue, NOW)
    with portal_lock(queue, one.portal_id):
        assert tick(queue, at("2026-11-25 00:00")) > 0


# --- what is asked for -----------------------------------------------------------------------------------------------


def test_work_stays_asked_for_since_it_was_first_asked_for(queue):
    for hour in (1, 2, 3):
        with queue.session() as session:
            work.ask(session, 1, "run", NOW + timedelta(hours=hour))
    assert row_of(queue, 1, "run").asked_at == NOW + timedelta(hours=1)


def test_failures_are_counted_in_a_row_and_forgotten_by_success(queue):
    with queue.session() as session:
        assert [work.failed(session, 1, "run", "no answer", NOW) for _ in range(3)] == [1, 2, 3]
        work.progressed(session, 1, "run", "open", NOW)
    row = row_of(queue, 1, "run")
    assert (row.failures, row.error, row.stage, row.progressed_at) == (0, None, "open", NOW)


def test_jobs_of_other_names_are_not_taken_for_lost_work(queue):
    with queue.session() as session:
        work.ask(session, 1, "run", NOW)
        jobs.defer(session, "pull", 1, queue="slow")
        assert work.without_job(session) == [(1, "run")]
        jobs.defer(session, "run", 1, queue="slow")
        assert work.without_job(session) == []
