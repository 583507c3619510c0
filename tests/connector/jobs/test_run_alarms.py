"""A run against the runs before it: every kind of alarm trips at its limit, not before, and can be switched off."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from connector.errors import WrongUse
from connector.jobs import health, run_alarms
from connector.jobs.run_alarms import History, checked, of_quota, of_runs
from connector.store.models import FactRow, Portal, RunRow
from connector.store.requests import Traffic
from tests.connector.factories import at, keep_portal

NOW = at("2026-11-24 03:10")
USUAL = {"scored": 1000, "moved": 20, "orders": 5000, "customers": 1200, "written": 990, "refused": 0, "seconds": 60.0}


def portal(**settings):
    return Portal(portal_id=1, name="p", settings=settings, created_at=NOW)


def run(days_ago=0, **counts):
    ended = NOW - timedelta(days=days_ago)
    return RunRow(portal_id=1, run_id=f"r{days_ago}", counts={**USUAL, **counts}, started_at=ended, finished_at=ended)


def history(facts=None, *, past=6, jumps=0, **counts):
    return History(run(**counts), [run(day) for day in range(1, past + 1)], facts or {}, jumps)


def kinds(found, **settings):
    return [(alarm.kind, alarm.about) for alarm in of_runs(portal(**settings), found)]


def test_a_usual_run_is_no_alarm():
    assert kinds(history({("living", ""): 1000, ("written", ""): 990})) == []


@pytest.mark.parametrize(
    ("calm", "alarming", "kind", "about"),
    [
        (history(moved=60), history(moved=61), "moves", ""),
        (history(jumps=1), history(jumps=2), "jumps", ""),
        (history(refused=110, written=990), history(refused=111, written=990), "refused", ""),
        (history(invalid=0), history(invalid=1), "invalid", ""),
        (history(orders=4500), history(orders=4499), "data_drop", "orders"),
        (history(customers=1080), history(customers=1079), "data_drop", "customers"),
        (history(scored=1, moved=0), history(scored=0, moved=0), "zero_rows", ""),
        (history(seconds=180.0), history(seconds=181.0), "slow", ""),
        (history({("cowriter", "hint"): 10}), history({("cowriter", "hint"): 11}), "cowriter", "hint"),
        (
            history({("living", ""): 1000, ("unrefreshed", "scores"): 20, ("unrefreshed", "cards"): 30}),
            history({("living", ""): 1000, ("unrefreshed", "scores"): 20, ("unrefreshed", "cards"): 31}),
            "unrefreshed",
            "",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_kind_trips_just_above_its_limit_and_can_be_switched_off(calm, alarming, kind, about):
    assert kinds(calm) == []
    assert kinds(alarming) == [(kind, about)]
    if kind in run_alarms.LIMITS:
        assert kinds(alarming, alarm_limits={kind: None}) == []


def test_what_is_usual_is_not_known_before_some_runs():
    assert kinds(history(moved=900, seconds=9000.0, past=3)) == []
    assert kinds(history(moved=900, seconds=9000.0, past=4)) == [("moves", ""), ("slow", "")]


def test_a_portal_that_always_moves_a_lot_is_not_told_for_it():
    restless = [run(day, moved=moved) for day, moved in enumerate((10, 300, 20, 280, 40), 1)]
    assert [alarm.kind for alarm in of_runs(portal(), History(run(moved=310), restless))] == []


def test_a_limit_of_the_portal_counts_instead_of_the_default():
    assert kinds(history(refused=60), alarm_limits={"refused": 0.05}) == [("refused", "")]
    assert kinds(history(refused=60), alarm_limits="nonsense") == []


@pytest.mark.parametrize("wrong", [[], {"refused": -1}, {"refused": "much"}, {"unknown": 1}, {"jumps": True}])
def test_limits_that_make_no_sense_are_refused_with_the_names(wrong):
    with pytest.raises(WrongUse, match="unrefreshed"):
        checked(wrong)


@pytest.mark.parametrize(
    ("throttled", "sent", "pace", "wanted"),
    [(20, 3000, 7.0, True), (19, 3000, 7.0, False), (20, 30000, 7.0, False), (20, 3000, None, False)],
)
def test_being_throttled_far_below_our_own_budget_means_that_others_use_it_up(throttled, sent, pace, wanted):
    found = of_quota(portal(), Traffic(1, sent, throttled, 0), run(pace=pace))
    assert (found is not None and found.kind == "quota") is wanted


def test_histories_are_of_the_newest_ended_runs_with_the_last_ones_sums(database):
    kept = keep_portal(database)
    with database.session() as session:
        for day in range(14):
            words = {"kind": "run", "as_of": date(2026, 11, 1), "state": "done", "counts": {"scored": day}}
            moment = NOW - timedelta(days=day)
            session.add(RunRow(portal_id=kept.portal_id, run_id=f"r{day}", started_at=moment, **words))
        open_run = RunRow(portal_id=kept.portal_id, run_id="x", started_at=NOW + timedelta(hours=1), **words)
        open_run.state = "open"
        session.add(open_run)
        for why, count in (("time", 5), ("unknown", 3)):
            fact = {"kind": "moved", "about": "a>b", "why": why, "day": date(2026, 11, 1), "count": count}
            session.add(FactRow(portal_id=kept.portal_id, run_id="r0", **fact))
    with database.session() as session:
        found = run_alarms.histories(session)[kept.portal_id]
    assert (found.last.run_id, len(found.past), found.fact("moved"), found.jumps) == ("r0", 10, 8, 3)


# --- health ----------------------------------------------------------------------------------------------------------


def test_a_portal_without_a_fault_is_wholly_healthy():
    found = health.of_runs(portal(), history(), NOW + timedelta(hours=5))
    assert (found.score, found.band) == (100, "good")
    assert set(found.parts) == {"success", "errors", "latency", "freshness"}
    assert sum(health.WEIGHTS.values()) == 100


def test_each_part_takes_off_its_own_weight():
    later = NOW + timedelta(days=30)
    assert health.of_runs(portal(), history(), later).parts["freshness"] == 0
    assert health.of_runs(portal(), history(), later).score == 80
    assert health.of_runs(portal(schedule={"cycle": "weekly"}), history(), NOW + timedelta(days=7)).score == 100
    assert health.of_runs(portal(), history(seconds=300.0), NOW).parts["latency"] == 0
    worse = health.of_runs(portal(), history(refused=495, written=495), NOW)
    assert (worse.parts["errors"], worse.parts["success"]) == (0, 93)
    nothing = health.of_runs(portal(), History(run(refused=9, written=0, seconds=0), []), later)
    assert (nothing.score, nothing.band) == (20, "bad")


def test_the_view_is_none_before_the_first_run():
    assert health.view(portal(), None, NOW) is None
    assert health.view(portal(), history(), NOW) == {
        "score": 100,
        "band": "good",
        "parts": {"success": 100, "errors": 100, "latency": 100, "freshness": 100},
    }
