from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from time import perf_counter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.sla.worktime import Calendar, Hours, Interval, whole_days

MOSCOW = ZoneInfo("Europe/Moscow")
BERLIN = ZoneInfo("Europe/Berlin")
NINE_TO_FIVE = (Interval(9 * 60, 17 * 60),)
NINE_TO_SIX = (Interval(9 * 60, 18 * 60),)
WITH_LUNCH = (Interval(9 * 60, 13 * 60), Interval(14 * 60, 18 * 60))
ROUND_THE_CLOCK = (Interval(0, 24 * 60),)
WEEKDAYS = range(1, 6)


def office(hours: Hours = NINE_TO_SIX, zone: ZoneInfo = MOSCOW, days=WEEKDAYS, **more) -> Calendar:
    return Calendar(zone=zone, week=whole_days(days, hours), **more)


def at(text: str, zone: ZoneInfo = MOSCOW, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


# 2025-11-21 is a Friday, 2025-11-28 the last Friday of its month.
@pytest.mark.parametrize(
    ("calendar", "start", "minutes", "end"),
    [
        (office(NINE_TO_FIVE), "2025-11-21 16:00", 240, "2025-11-24 12:00"),
        (office(), "2025-11-24 10:15", 60, "2025-11-24 11:15"),
        (office(), "2025-11-24 17:00", 60, "2025-11-24 18:00"),
        (office(), "2025-11-24 17:00", 61, "2025-11-25 09:01"),
        (office(), "2025-11-24 18:00", 60, "2025-11-25 10:00"),
        (office(), "2025-11-24 07:30", 60, "2025-11-24 10:00"),
        (office(), "2025-11-22 12:00", 60, "2025-11-24 10:00"),
        (office(), "2025-11-24 18:00", 5 * 540, "2025-12-01 18:00"),
        (office(), "2025-11-24 18:00", 5 * 540 + 1, "2025-12-02 09:01"),
        (office(), "2025-11-28 17:30", 60, "2025-12-01 09:30"),
        (office(WITH_LUNCH), "2025-11-24 12:30", 60, "2025-11-24 14:30"),
        (office(WITH_LUNCH), "2025-11-24 12:30", 30, "2025-11-24 13:00"),
        (office(WITH_LUNCH), "2025-11-24 13:20", 15, "2025-11-24 14:15"),
        (office(WITH_LUNCH), "2025-11-24 09:00", 480, "2025-11-24 18:00"),
        (office(holidays=frozenset({date(2025, 11, 25)})), "2025-11-24 17:30", 60, "2025-11-26 09:30"),
        (office(moved={date(2025, 11, 22): NINE_TO_SIX}), "2025-11-21 17:30", 60, "2025-11-22 09:30"),
        (
            office(holidays=frozenset({date(2025, 11, 25)}), moved={date(2025, 11, 25): (Interval(600, 660),)}),
            "2025-11-24 17:30",
            60,
            "2025-11-25 10:30",
        ),
        (office(shortened={date(2025, 11, 24): 60}), "2025-11-24 16:30", 60, "2025-11-25 09:30"),
        (office(WITH_LUNCH, shortened={date(2025, 11, 24): 300}), "2025-11-24 11:30", 60, "2025-11-25 09:30"),
        (office(moved={date(2025, 11, 24): ()}), "2025-11-24 10:00", 60, "2025-11-25 10:00"),
        (office(), "2025-11-24 20:00", 0, "2025-11-25 09:00"),
        (office(), "2025-11-24 18:00", 0, "2025-11-24 18:00"),
        (office(), "2025-11-24 10:00", 0.5, "2025-11-24 10:00:30"),
    ],
)
def test_a_deadline_counts_working_minutes_only(calendar, start, minutes, end):
    assert calendar.add_minutes(at(start), minutes) == at(end)


# Berlin turned the clock forward on 2025-03-30 at 02:00 and back on 2025-10-26 at 03:00, both Sundays.
@pytest.mark.parametrize(
    ("calendar", "start", "minutes", "end"),
    [
        (office(zone=BERLIN), "2025-03-28 17:00", 120, "2025-03-31 10:00"),
        (office(zone=BERLIN), "2025-10-24 17:00", 120, "2025-10-27 10:00"),
        (office(ROUND_THE_CLOCK, BERLIN, range(1, 8)), "2025-03-30 01:00", 120, "2025-03-30 04:00"),
        (office(ROUND_THE_CLOCK, BERLIN, range(1, 8)), "2025-10-26 01:00", 180, "2025-10-26 03:00"),
        (
            office((Interval(0, 150), Interval(180, 300)), BERLIN, range(1, 8)),
            "2025-03-30 01:30",
            60,
            "2025-03-30 03:30",
        ),
        (office((Interval(150, 240),), BERLIN, range(1, 8)), "2025-03-30 00:00", 45, "2025-03-30 03:45"),
    ],
)
def test_a_clock_that_jumps_is_counted_in_real_minutes(calendar, start, minutes, end):
    assert calendar.add_minutes(at(start, BERLIN), minutes) == at(end, BERLIN)


def test_the_second_of_two_equal_hours_is_working_time_too():
    calendar = office(ROUND_THE_CLOCK, BERLIN, range(1, 8))
    first, second = (at("2025-10-26 02:30", BERLIN, fold=fold) for fold in (0, 1))
    assert calendar.minutes_between(first, second) == 60


def test_a_clock_that_jumps_at_midnight_keeps_the_day_whole():
    cairo = ZoneInfo("Africa/Cairo")  # forward at midnight of 2025-04-25
    calendar = office(ROUND_THE_CLOCK, cairo, range(1, 8))
    assert calendar.minutes_between(at("2025-04-24 12:00", cairo), at("2025-04-25 12:00", cairo)) == 23 * 60


@pytest.mark.parametrize(
    ("moment", "is_open", "opening"),
    [
        ("2025-11-24 08:59:59", False, "2025-11-24 09:00"),
        ("2025-11-24 09:00", True, "2025-11-24 09:00"),
        ("2025-11-24 12:59", True, "2025-11-24 12:59"),
        ("2025-11-24 13:00", False, "2025-11-24 14:00"),
        ("2025-11-24 18:00", False, "2025-11-25 09:00"),
        ("2025-11-21 18:30", False, "2025-11-24 09:00"),
    ],
)
def test_opening_belongs_to_working_time_and_closing_does_not(moment, is_open, opening):
    calendar = office(WITH_LUNCH)
    assert calendar.is_open(at(moment)) is is_open
    assert calendar.next_open(at(moment)) == at(opening)


@pytest.mark.parametrize(
    ("moment", "days_later", "end"),
    [
        ("2025-11-24 06:00", 0, "2025-11-24 18:00"),
        ("2025-11-24 17:59", 0, "2025-11-24 18:00"),
        ("2025-11-24 18:00", 0, "2025-11-25 18:00"),
        ("2025-11-21 19:00", 0, "2025-11-24 18:00"),
        ("2025-11-22 10:00", 0, "2025-11-24 18:00"),
        ("2025-11-24 10:00", 1, "2025-11-25 18:00"),
        ("2025-11-21 10:00", 1, "2025-11-24 18:00"),
        ("2025-11-24 10:00", 4, "2025-11-28 18:00"),
        ("2025-11-28 19:00", 4, "2025-12-05 18:00"),
    ],
)
def test_the_end_of_the_working_day_is_todays_until_it_has_passed(moment, days_later, end):
    assert office(WITH_LUNCH).end_of_working_day(at(moment), days_later=days_later) == at(end)


def test_minutes_between_are_negative_backwards():
    calendar = office()
    friday, monday = at("2025-11-21 17:00"), at("2025-11-24 10:00")
    assert calendar.minutes_between(friday, monday) == 120
    assert calendar.minutes_between(monday, friday) == -120


def test_a_span_over_years_is_quick_and_equal_to_its_days():
    off = frozenset({date(2018, 5, 1), date(2020, 1, 3)})
    calendar = office(WITH_LUNCH, BERLIN, holidays=off)
    start, end = at("2016-01-04 09:00", BERLIN), at("2025-11-24 11:00", BERLIN)
    days = (date(2016, 1, 4) + timedelta(days=n) for n in range((date(2025, 11, 24) - date(2016, 1, 4)).days))
    expected = sum(480 for day in days if day.weekday() < 5 and day not in off) + 120
    started = perf_counter()
    for _ in range(20):
        assert calendar.minutes_between(start, end) == expected
        assert calendar.add_minutes(start, expected) == end
    assert (perf_counter() - started) / 40 < 0.05


@pytest.mark.parametrize(
    ("week", "moved"),
    [
        (((),) * 7, {}),
        ((NINE_TO_SIX,) * 5, {}),
        (((Interval(540, 700), Interval(600, 800)),) * 7, {}),
        ((NINE_TO_SIX,) * 7, {date(2025, 11, 22): (Interval(800, 900), Interval(540, 600))}),
    ],
)
def test_a_calendar_without_work_or_with_overlapping_hours_is_refused(week, moved):
    with pytest.raises(ValueError, match="hours"):
        Calendar(zone=MOSCOW, week=week, moved=moved)


@pytest.mark.parametrize(("start", "end"), [(60, 60), (120, 60), (-1, 60), (60, 1441)])
def test_an_interval_lies_within_one_day(start, end):
    with pytest.raises(ValueError, match="one day"):
        Interval(start, end)


def test_what_cannot_be_counted_is_refused():
    calendar = office()
    with pytest.raises(ValueError, match="time zone"):
        calendar.is_open(datetime(2025, 11, 24, 10, 0))  # noqa: DTZ001
    with pytest.raises(ValueError, match="forward"):
        calendar.add_minutes(at("2025-11-24 10:00"), -1)
    with pytest.raises(ValueError, match="forward"):
        calendar.end_of_working_day(at("2025-11-24 10:00"), days_later=-1)


def _day_hours() -> st.SearchStrategy[Hours]:
    borders = st.lists(st.integers(0, 48).map(lambda half: half * 30), min_size=2, max_size=6, unique=True)
    return borders.map(sorted).map(
        lambda found: tuple(Interval(*pair) for pair in zip(found[::2], found[1::2], strict=False))
    )


FIRST_DAY = date(2025, 3, 20)
days = st.integers(0, 30).map(lambda n: FIRST_DAY + timedelta(days=n))
calendars = st.builds(
    Calendar,
    zone=st.sampled_from([UTC, MOSCOW, BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Africa/Cairo")]),
    week=st.lists(st.one_of(st.just(()), _day_hours()), min_size=7, max_size=7).filter(any).map(tuple),
    holidays=st.frozensets(days, max_size=4),
    moved=st.dictionaries(days, _day_hours(), max_size=2),
    shortened=st.dictionaries(days, st.integers(1, 200), max_size=3),
)
moments = st.integers(0, 20 * 24 * 60 * 60).map(
    lambda seconds: datetime.combine(FIRST_DAY, time(), UTC) + timedelta(seconds=seconds)
)
amounts = st.integers(0, 6000)


@given(calendars, moments, amounts)
@settings(max_examples=150, deadline=None)
def test_what_is_added_is_what_lies_between(calendar, moment, minutes):
    end = calendar.add_minutes(moment, minutes)
    assert end >= moment
    assert calendar.worked_between(moment, end) == timedelta(minutes=minutes)


@given(calendars, moments, amounts, amounts)
@settings(max_examples=150, deadline=None)
def test_adding_in_two_steps_is_adding_at_once(calendar, moment, first, second):
    stepwise = calendar.add_minutes(calendar.add_minutes(moment, first), second)
    assert stepwise == calendar.add_minutes(moment, first + second)


@given(calendars, moments, moments, amounts)
@settings(max_examples=150, deadline=None)
def test_a_later_start_is_never_due_earlier(calendar, one, other, minutes):
    earlier, later = sorted((one, other))
    assert calendar.add_minutes(earlier, minutes) <= calendar.add_minutes(later, minutes)


@given(calendars, moments, amounts)
@settings(max_examples=150, deadline=None)
def test_a_deadline_is_open_or_exactly_at_closing(calendar, moment, minutes):
    end = calendar.add_minutes(moment, minutes)
    assert calendar.is_open(end) or calendar.is_open(end - timedelta(microseconds=1))


@given(calendars, moments, moments, moments)
@settings(max_examples=150, deadline=None)
def test_parts_of_a_span_add_up(calendar, one, two, three):
    first, middle, last = sorted((one, two, three))
    parts = calendar.worked_between(first, middle) + calendar.worked_between(middle, last)
    assert parts == calendar.worked_between(first, last)


@given(calendars, moments, st.integers(1, 3 * 24 * 60))
@settings(max_examples=25, deadline=None)
def test_arithmetic_agrees_with_a_watch_that_looks_every_minute(calendar, moment, minutes):
    start = moment.replace(second=0)
    open_minutes = sum(calendar.is_open(start + timedelta(minutes=n)) for n in range(minutes))
    assert calendar.minutes_between(start, start + timedelta(minutes=minutes)) == open_minutes


@given(calendars, moments)
@settings(max_examples=100, deadline=None)
def test_the_next_opening_is_open_and_nothing_is_before_it(calendar, moment):
    opening = calendar.next_open(moment)
    assert calendar.is_open(opening)
    assert calendar.worked_between(moment, opening) == timedelta(0)


@given(calendars, moments)
@settings(max_examples=100, deadline=None)
def test_the_end_of_a_working_day_is_a_closing_ahead(calendar, moment):
    end = calendar.end_of_working_day(moment)
    assert end > moment
    assert not calendar.is_open(end) or end.astimezone(calendar.zone).time() == time()
    assert calendar.is_open(end - timedelta(microseconds=1))
