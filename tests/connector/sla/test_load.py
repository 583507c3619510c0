from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.sla.calendars import calendar_from
from connector.sla.events import Kind
from connector.sla.hours import Hour, Tried, best_hours, good_moment
from connector.sla.load import (
    Away,
    ClassLoad,
    Desk,
    Handover,
    Planned,
    balance,
    desk_calendar,
    forecast,
    plan_load,
    within_budget,
)
from connector.sla.policy import WorkClass

MOSCOW = ZoneInfo("Europe/Moscow")
OFFICE = calendar_from({}, MOSCOW)
MONDAY = date(2026, 3, 2)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-{text}").replace(tzinfo=MOSCOW).astimezone(UTC)


NOW = at("02 09:00")


def task(key: str, minutes: float, due: str, manager="a", **more) -> Planned:
    words = {"work_class": WorkClass.VIP, "begin_at": NOW, "due_at": at(due)}
    return Planned(key=key, manager_id=manager, minutes=minutes, **{**words, **more})


def desk(name="a", touching=1.0, **more) -> Desk:
    return Desk(name, more.pop("calendar", OFFICE), touching, **more)


def late(desks, tasks) -> list[str]:
    return [predicted.task.key for predicted in forecast(desks, tasks, NOW).breaches]


def test_breaches_are_predicted_before_tasks_are_made():
    tasks = [task("one", 30, "02 10:00"), task("two", 30, "02 10:00"), task("three", 1, "02 10:00")]
    assert late([desk()], tasks[:2]) == []
    assert late([desk()], tasks) == ["two"]
    assert late([desk(touching=0.5)], tasks[:2]) == ["two"]


def test_work_is_done_by_deadline_and_not_before_it_begins():
    tasks = [
        task("long", 480, "03 18:00"),
        task("soon", 30, "02 09:30"),
        task("tomorrow", 30, "03 09:30", begin_at=at("03 09:00")),
    ]
    assert late([desk()], tasks) == []
    assert late([desk()], [task("long", 480, "02 17:00"), *tasks[1:]]) == ["long"]


def test_an_absence_is_no_working_time_not_even_on_a_worked_saturday():
    worked = calendar_from({"moved_days": {"2026-03-07": None}}, MOSCOW)
    away = desk_calendar(worked, [Away("a", MONDAY, date(2026, 3, 8), "leave")])
    assert away.hours_on(date(2026, 3, 7)) == ()
    assert away.next_open(NOW) == at("09 09:00")
    assert late([desk(calendar=away)], [task("one", 30, "02 18:00")]) == ["one"]
    assert desk_calendar(OFFICE, []) is OFFICE


def test_a_day_says_what_is_there_and_what_is_needed():
    found = forecast([desk(touching=0.5)], [task("one", 200, "02 18:00"), task("two", 100, "02 18:00")], NOW)
    day = found.days[0]
    assert (day.day, day.minutes, day.needed, day.tasks, day.breaches) == (MONDAY, 270, 300, 2, 1)
    assert day.is_overloaded
    assert found.breaches[0].done_at == at("03 10:00")


def test_tasks_of_people_without_a_desk_are_late():
    assert late([desk()], [task("one", 1, "02 18:00", manager="gone")]) == ["one"]


def test_new_work_on_key_customers_is_shared_among_free_colleagues():
    desks = [
        desk("a", team_ids=("x",)),
        desk("b", team_ids=("x",)),
        desk("c", team_ids=("x",)),
        desk("d", team_ids=("y",)),
    ]
    tasks = [
        task("1", 60, "02 10:00"), task("2", 60, "02 10:00"), task("3", 60, "02 10:00"), task("4", 60, "02 10:00"),
        task("5", 60, "02 10:00", work_class=WorkClass.SLEEPING), task("6", 60, "02 10:00", is_new=False),
        task("busy", 10, "02 18:00", manager="b"),
    ]  # fmt: skip
    found = balance(desks, tasks, NOW, language="ru")
    assert [(one.key, one.from_manager_id, one.to_manager_id) for one in found] == [("2", "a", "c"), ("3", "a", "b")]
    assert found[0].reason == "перегруженный день: a не успевает к сроку"
    event = found[0].event(NOW)
    assert (event.kind, event.by, event.reason) == (Kind.REASSIGNED, "c", found[0].reason)


def test_nobody_is_made_late_by_helping():
    desks = [desk("a"), desk("b")]
    tasks = [task("1", 60, "02 10:00"), task("2", 60, "02 10:00"), task("own", 30, "02 10:00", manager="b")]
    assert balance(desks, tasks, NOW, language="en") == []


def test_a_reassignment_needs_a_reason():
    with pytest.raises(ValueError, match="needs a reason"):
        Handover("1", "a", "b", " ")


def test_a_daily_budget_keeps_the_first_of_each_manager():
    tasks = [task(str(n), 1, "02 18:00", manager="ab"[n % 2]) for n in range(8)]
    found = within_budget(tasks, 3, {"a": 2})
    assert [one.key for one in found.kept] == ["0", "1", "3", "5"]
    assert [one.key for one in found.put_off] == ["2", "4", "6", "7"]


# One desk over the 30 days from 2 March 2026: 22 working days of 540 minutes, half of them for touches, 5,940 minutes.
def test_records_times_touch_time_is_held_against_the_desks():
    desks = [desk(touching=0.5)]
    plan = plan_load([ClassLoad(WorkClass.VIP, 200, 30, 1, 20)], desks, MONDAY)
    assert (plan.needed, plan.there, plan.fits, plan.proposals) == (4000, 5940, True, ())
    assert plan.attempts_a_day[WorkClass.VIP] == pytest.approx(200 / 22)


def test_too_much_work_is_automated_thinned_out_and_shared_in_that_order():
    desks = [desk(touching=0.5)]
    sleeping = ClassLoad(WorkClass.SLEEPING, 100, 7, 1, 2)
    at_risk = ClassLoad(WorkClass.AT_RISK, 400, 30, 2, 10)
    vip = ClassLoad(WorkClass.VIP, 300, 30, 1, 15)
    plan = plan_load([vip, at_risk, sleeping], desks, MONDAY)
    found = [(one.what, one.work_class.value, one.every_days, round(one.minutes)) for one in plan.proposals]
    assert found == [
        ("automate", "sleeping", None, 857),
        ("thin_out", "at_risk", 90, 5333),
        ("share", "vip", None, 4500 + 8000 + 857 - 5940 - 857 - 5333),
    ]
    assert plan.proposals[1].said().words("ru").startswith("Реже: at_risk, раз в ")
    only_vip = plan_load([replace(vip, records=500)], desks, MONDAY)
    assert [(one.what, one.minutes) for one in only_vip.proposals] == [("share", 7500 - 5940)]


def test_nobody_is_thinned_out_beyond_a_third():
    plan = plan_load([ClassLoad(WorkClass.AT_RISK, 5000, 30, 1, 10)], [desk(touching=0.5)], MONDAY)
    assert plan.proposals[0].every_days == 90


def test_a_portal_without_desks_has_no_time():
    plan = plan_load([ClassLoad(WorkClass.VIP, 1, 30, 1, 15)], [], MONDAY)
    assert (plan.there, plan.fits, dict(plan.attempts_a_day)) == (0, False, {})


@pytest.mark.parametrize("touching", [0, 1.1, -1])
def test_a_share_of_time_is_a_share(touching):
    with pytest.raises(ValueError, match="share of time"):
        desk(touching=touching)


minutes = st.integers(1, 200)
dues = st.integers(0, 1500).map(lambda n: OFFICE.add_minutes(NOW, n))


@given(st.lists(st.tuples(minutes, dues), min_size=1, max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_no_order_of_one_desk_saves_everything_where_ours_does_not(found, chance):
    tasks = [Planned(str(n), "a", WorkClass.VIP, took, NOW, due) for n, (took, due) in enumerate(found)]
    ours = late([desk()], tasks)
    for _ in range(20):
        chance.shuffle(tasks)
        free, missed = NOW, 0
        for one in tasks:
            free = OFFICE.add_minutes(free, one.minutes)
            missed += free > one.due_at
        assert not ours or missed
    assert late([desk()], tasks) == ours


def tries(hour: int, reached: int, tried: int, work_class=WorkClass.LOYAL) -> list[Tried]:
    return [Tried(at(f"02 {hour:02}:30"), work_class, n < reached) for n in range(tried)]


def test_the_best_hours_are_those_that_can_be_counted_on():
    found = best_hours([*tries(10, 120, 200), *tries(11, 18, 20), *tries(15, 40, 200), *tries(16, 19, 19)], MOSCOW)
    assert [hour.hour for hour in found[WorkClass.LOYAL]] == [11, 10, 15]
    assert found[WorkClass.LOYAL][1].at_least == pytest.approx(0.531, abs=0.001)
    assert best_hours(tries(10, 2, 19), MOSCOW) == {}
    assert Hour(9, 30, 0).at_least == 0


def test_a_task_is_placed_into_a_good_hour_and_never_past_its_deadline():
    hours = {WorkClass.LOYAL: (Hour(11, 50, 40), Hour(10, 50, 30))}

    def placed(begin: str, due: str, work_class=WorkClass.LOYAL) -> datetime:
        return good_moment(at(begin), at(due), hours, work_class, OFFICE)

    assert placed("02 09:20", "02 18:00") == at("02 10:00")
    assert placed("02 10:40", "02 18:00") == at("02 10:40")
    assert placed("02 15:00", "02 18:00") == at("02 15:00")
    assert placed("02 15:00", "03 18:00") == at("03 10:00")
    assert placed("06 15:00", "09 18:00") == at("09 10:00")
    assert placed("07 15:00", "07 18:00") == at("09 09:00")
    assert placed("02 09:20", "02 18:00", WorkClass.VIP) == at("02 09:20")


def test_a_thousand_tasks_of_ten_desks_are_forecast_at_once():
    tasks = [
        Planned(str(n), str(n % 10), WorkClass.VIP, 20, NOW + timedelta(hours=n % 50), NOW + timedelta(days=1 + n % 30))
        for n in range(1000)
    ]
    found = forecast([desk(str(n)) for n in range(10)], tasks, NOW)
    assert sum(day.tasks for day in found.days) == 1000
