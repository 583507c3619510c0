from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from zoneinfo import ZoneInfo

import holidays
import pytest

from connector.sla.calendars import calendar_from, national_days
from connector.sla.worktime import Interval

MOSCOW = ZoneInfo("Europe/Moscow")
FULL_DAY = (Interval(540, 1080),)
MONDAY, FRIDAY, SATURDAY = date(2025, 11, 24), date(2025, 11, 28), date(2025, 11, 29)


def production_calendar() -> dict[str, dict[str, list[date]]]:
    text = (files("connector.sla") / "data" / "moved_days_ru.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def russian(**more):
    return calendar_from({"country": "RU", **more}, MOSCOW)


def test_without_settings_work_is_monday_to_friday_nine_to_six_with_no_lunch_and_no_holidays():
    calendar = calendar_from({}, MOSCOW)
    assert [calendar.hours_on(MONDAY + timedelta(days=n)) for n in range(7)] == [FULL_DAY] * 5 + [(), ()]
    assert calendar.hours_on(date(2025, 1, 1)) == FULL_DAY


def test_words_of_others_in_the_settings_are_left_alone():
    assert calendar_from({"daily_budget": 3, "customer": "contact"}, MOSCOW) == calendar_from({}, MOSCOW)


def test_lunch_is_taken_out_of_every_day():
    calendar = calendar_from({"lunch": "13:00-14:00", "day_hours": {"5": "09:00-16:45"}}, MOSCOW)
    assert calendar.hours_on(MONDAY) == (Interval(540, 780), Interval(840, 1080))
    assert calendar.hours_on(FRIDAY) == (Interval(540, 780), Interval(840, 1005))


def test_hours_may_have_parts_and_last_round_the_clock():
    parts = calendar_from({"work_hours": "14:00-18:30, 8:00-12:00", "work_days": [6]}, MOSCOW)
    assert parts.hours_on(SATURDAY) == (Interval(480, 720), Interval(840, 1110))
    assert parts.hours_on(MONDAY) == ()
    always = calendar_from({"work_hours": "00:00-24:00", "work_days": [1, 2, 3, 4, 5, 6, 7]}, MOSCOW)
    start = datetime(2025, 11, 22, 1, tzinfo=UTC)
    assert always.add_minutes(start, 3 * 24 * 60) == start + timedelta(days=3)


def test_extra_holidays_moved_and_short_days_are_the_portals_own():
    calendar = calendar_from(
        {
            "extra_holidays": ["2025-11-24"],
            "moved_days": {"2025-11-29": None, "2025-11-30": "10:00-12:00"},
            "short_days": {"2025-11-28": 90},
        },
        MOSCOW,
    )
    assert calendar.hours_on(MONDAY) == ()
    assert calendar.hours_on(FRIDAY) == (Interval(540, 990),)
    assert calendar.hours_on(SATURDAY) == FULL_DAY
    assert calendar.hours_on(date(2025, 11, 30)) == (Interval(600, 720),)


# The production calendars of 2024 to 2026, five-day week: None is a day off, else the hour of closing.
@pytest.mark.parametrize(
    ("day", "closes"),
    [
        ("2024-01-08", None),
        ("2024-04-27", 18),
        ("2024-04-29", None),
        ("2024-04-30", None),
        ("2024-05-08", 17),
        ("2024-11-02", 17),
        ("2024-11-04", None),
        ("2024-12-28", 18),
        ("2024-12-30", None),
        ("2025-03-07", 17),
        ("2025-05-02", None),
        ("2025-05-07", 18),
        ("2025-11-01", 17),
        ("2025-11-03", None),
        ("2025-11-05", 18),
        ("2025-11-08", None),
        ("2025-12-30", 18),
        ("2025-12-31", None),
        ("2026-01-09", None),
        ("2026-11-03", 17),
    ],
)
def test_the_russian_production_calendar_is_kept(day, closes):
    hours = russian().hours_on(date.fromisoformat(day))
    assert (hours[-1].end // 60 if hours else None) == closes


def test_the_published_norms_of_working_days_and_hours_are_met():
    # Working days of the five-day week, and hours of a forty-hour week: 2024, 2025, 2026.
    calendar = russian(lunch="13:00-14:00")
    norms = {}
    for year in (2024, 2025, 2026):
        days = [calendar.hours_on(date(year, 1, 1) + timedelta(days=n)) for n in range(366 if year == 2024 else 365)]
        worked = [hours for hours in days if hours]
        norms[year] = (len(worked), sum(part.end - part.start for hours in worked for part in hours) // 60)
    assert norms == {2024: (248, 1979), 2025: (247, 1972), 2026: (247, 1972)}


def test_every_shortened_day_is_worked_and_comes_before_a_holiday():
    off = holidays.country_holidays("RU", years=range(2022, 2028))
    calendar = russian()
    for year, days in production_calendar().items():
        for day in days["shortened"]:
            assert str(day.year) == year
            assert calendar.hours_on(day), day
            assert day + timedelta(days=1) in off or day in days["worked"], day


def test_every_worked_day_off_is_a_weekend_exchanged_for_a_day_off():
    for year, days in production_calendar().items():
        for day in days["worked"]:
            assert str(day.year) == year
            assert day.weekday() >= 5
            assert day in holidays.country_holidays("RU", years=day.year).weekend_workdays


def test_a_portals_own_day_off_is_stronger_than_the_countrys_worked_saturday():
    assert russian(extra_holidays=["2025-11-01"]).hours_on(date(2025, 11, 1)) == ()


def test_a_portal_may_work_on_a_national_holiday():
    calendar = russian(moved_days={"2025-11-04": "10:00-14:00"})
    assert calendar.hours_on(date(2025, 11, 4)) == (Interval(600, 840),)


def test_a_worked_saturday_keeps_the_hours_of_a_portal_that_works_on_saturdays():
    calendar = russian(work_days=[1, 2, 3, 4, 5, 6], day_hours={"6": "10:00-14:00"})
    assert calendar.hours_on(date(2024, 4, 27)) == (Interval(600, 840),)


def test_a_country_without_data_of_ours_has_its_holidays():
    calendar = calendar_from({"country": "DE"}, ZoneInfo("Europe/Berlin"))
    assert calendar.hours_on(date(2025, 10, 3)) == ()
    assert calendar.hours_on(date(2025, 10, 2)) == FULL_DAY
    assert national_days("DE").shortened == {}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"work_days": []}, "work_days: name at least one weekday"),
        ({"work_days": "1,2"}, "work_days: name at least one weekday"),
        ({"work_days": [0]}, "work_days: 0 is no weekday"),
        ({"work_days": [True]}, "work_days: True is no weekday"),
        ({"work_hours": "nine to five"}, "work_hours: 'nine to five' is no working time"),
        ({"work_hours": "18:00-09:00"}, "work_hours: '18:00-09:00' is no working time"),
        ({"work_hours": "09:00-25:00"}, "work_hours: '09:00-25:00' is no working time"),
        ({"work_hours": "09:70-18:00"}, "work_hours: '09:70-18:00' is no working time"),
        ({"work_hours": "09:5-18:00"}, "work_hours: '09:5-18:00' is no working time"),
        ({"work_hours": "09:00-13:00,12:00-18:00"}, "work_hours: the parts of .* overlap"),
        ({"lunch": "13:00"}, "lunch: '13:00' is no working time"),
        ({"lunch": "08:00-19:00"}, "work_hours: lunch leaves nothing"),
        ({"day_hours": {"6": "10:00-14:00"}}, "day_hours: weekday 6 is not one of work_days"),
        ({"day_hours": "5"}, "day_hours: a mapping is expected"),
        ({"country": "XX"}, "country: the holidays of 'XX' are not known"),
        ({"extra_holidays": "2025-11-24"}, "extra_holidays: a list of dates"),
        ({"extra_holidays": ["24.11.2025"]}, "extra_holidays: '24.11.2025' is no date"),
        ({"moved_days": ["2025-11-29"]}, "moved_days: a mapping is expected"),
        ({"moved_days": {"2025-11-29": "all day"}}, "moved_days: 'all day' is no working time"),
        ({"short_days": {"2025-11-28": "60"}}, "short_days: '60' is no number of minutes"),
        ({"short_days": {"2025-11-28": -5}}, "short_days: -5 is no number of minutes"),
        (
            {"extra_holidays": ["2025-11-29"], "moved_days": {"2025-11-29": None}},
            "2025-11-29 is named in extra_holidays and in moved_days",
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_named_in_a_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        calendar_from(settings, MOSCOW)
