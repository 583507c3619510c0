"""From a portal's settings to its `Calendar`: working week, lunch, national holidays, moved and short days.

The settings are the portal's own mapping; words that do not speak of working time are left to others:

==================  ==========================================================================  =============
word                value                                                                       default
==================  ==========================================================================  =============
``work_days``       ISO weekdays, Monday is 1                                                   [1,2,3,4,5]
``work_hours``      "09:00-18:00"; several parts are separated by commas                        "09:00-18:00"
``day_hours``       {"5": "09:00-16:45"}: weekdays with hours of their own                      {}
``lunch``           "13:00-14:00" or None; taken out of the hours of every day                  None
``country``         two letters; its public holidays are days off                               None
``extra_holidays``  ["2026-03-02"]: further days off; stronger than the country's working days  []
``moved_days``      {"2026-03-07": "10:00-15:00"}; None stands for the usual hours              {}
``short_days``      {"2026-03-06": 60}: minutes taken off the end of the day                    {}
==================  ==========================================================================  =============
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, tzinfo
from functools import cache
from importlib.resources import files
from itertools import pairwise

import holidays

from connector.sla.worktime import DAY_MINUTES, Calendar, Hours, Interval

_YEARS = range(2010, 2041)
"""National holidays are known to the calendar for these years."""

_BEFORE_A_HOLIDAY = 60
"""Minutes by which a Russian pre-holiday day is shorter (Labour Code, art. 95)."""

_USUAL_DAYS = (1, 2, 3, 4, 5)
_USUAL_HOURS = "09:00-18:00"


@dataclass(frozen=True, slots=True)
class NationalDays:
    """What a country's calendar says: days off, days off that are worked, and short days with their minutes."""

    off: frozenset[date]
    worked: frozenset[date]
    shortened: Mapping[date, int]


def calendar_from(settings: Mapping[str, object], zone: tzinfo) -> Calendar:
    """The working calendar that a portal's settings describe, in its time zone.

    Raises `ValueError` with the word and what is wrong with its value.
    """
    lunch = _lunch(settings.get("lunch"))
    week = _week(settings, lunch)
    usual = _usual_hours(settings, lunch)
    country = settings.get("country")
    national = national_days(None if country is None else str(country))
    off = frozenset(_dates("extra_holidays", settings.get("extra_holidays")))
    moved = dict.fromkeys((day for day in national.worked - off if not week[day.weekday()]), usual)
    own = {
        day: usual if text is None else _hours("moved_days", text, lunch)
        for day, text in _by_date("moved_days", settings.get("moved_days")).items()
    }
    if both := sorted(off & own.keys()):
        raise ValueError(f"{both[0]} is named in extra_holidays and in moved_days: it cannot be both")
    short = {day: _minutes(value) for day, value in _by_date("short_days", settings.get("short_days")).items()}
    return Calendar(
        zone=zone,
        week=week,
        holidays=national.off | off,
        moved=moved | own,
        shortened={**national.shortened, **short},
    )


@cache
def national_days(country: str | None) -> NationalDays:
    """A country's public holidays and, where they are known, its worked Saturdays and short days.

    None is a country without any. Raises `ValueError` for a country that nobody here knows.
    """
    if country is None:
        return NationalDays(frozenset(), frozenset(), {})
    try:
        found = holidays.country_holidays(country, years=_YEARS)
    except NotImplementedError:
        raise ValueError(f"country: the holidays of {country!r} are not known; use two letters such as RU") from None
    off = frozenset(found)
    worked, shortened = _production_calendar(country)
    worked |= {day for day in found.weekend_workdays if day.year in _YEARS}
    return NationalDays(off, worked - off, dict.fromkeys(shortened, _BEFORE_A_HOLIDAY))


def _production_calendar(country: str) -> tuple[frozenset[date], frozenset[date]]:
    """Worked and shortened days from our own data; both empty for a country without a file."""
    file = files("connector.sla") / "data" / f"moved_days_{country.lower()}.toml"
    if not file.is_file():
        return frozenset(), frozenset()
    years = tomllib.loads(file.read_text(encoding="utf-8")).values()
    worked, shortened = ({day for year in years for day in year[word]} for word in ("worked", "shortened"))
    return frozenset(worked), frozenset(shortened)


def _week(settings: Mapping[str, object], lunch: Interval | None) -> tuple[Hours, ...]:
    days = settings.get("work_days", _USUAL_DAYS)
    if not isinstance(days, list | tuple) or not days:
        raise ValueError("work_days: name at least one weekday, as a list of numbers from 1 (Monday) to 7 (Sunday)")
    working = {_weekday("work_days", day) for day in days}
    hours = dict.fromkeys(working, _usual_hours(settings, lunch))
    for day, text in _mapping("day_hours", settings.get("day_hours")).items():
        number = _weekday("day_hours", day)
        if number not in working:
            raise ValueError(f"day_hours: weekday {number} is not one of work_days")
        hours[number] = _hours("day_hours", text, lunch)
    return tuple(hours.get(weekday, ()) for weekday in range(1, 8))


def _usual_hours(settings: Mapping[str, object], lunch: Interval | None) -> Hours:
    return _hours("work_hours", settings.get("work_hours", _USUAL_HOURS), lunch)


def _weekday(word: str, value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or text not in set("1234567"):
        raise ValueError(f"{word}: {value!r} is no weekday; they are numbered from 1 (Monday) to 7 (Sunday)")
    return int(text)


def _lunch(value: object) -> Interval | None:
    return None if value is None else _interval("lunch", value)


def _hours(word: str, value: object, lunch: Interval | None) -> Hours:
    parts = sorted(_interval(word, part) for part in str(value).split(","))
    if lunch is not None:
        parts = [left for part in parts for left in part.without(lunch)]
    if not parts:
        raise ValueError(f"{word}: lunch leaves nothing of {value!r}")
    if any(later.start < earlier.end for earlier, later in pairwise(parts)):
        raise ValueError(f"{word}: the parts of {value!r} overlap")
    return tuple(parts)


def _interval(word: str, value: object) -> Interval:
    try:
        start, end = (_minute_of_day(text) for text in str(value).split("-"))
        return Interval(start, end)
    except ValueError:
        example = "write it like 09:00-18:00, within one day"
        raise ValueError(f"{word}: {value!r} is no working time; {example}") from None


def _minute_of_day(text: str) -> int:
    """Minutes of "09:30" since midnight; "24:00" is the end of the day."""
    hours, minutes = text.strip().split(":")
    if len(minutes) != 2 or not (hours + minutes).isdecimal() or int(minutes) > 59:
        raise ValueError(text)
    minute = int(hours) * 60 + int(minutes)
    if minute > DAY_MINUTES:
        raise ValueError(text)
    return minute


def _dates(word: str, value: object) -> Iterable[date]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise ValueError(f"{word}: a list of dates such as 2026-03-07 is expected")  # noqa: TRY004  # wrong input
    return [_date(word, item) for item in value]


def _by_date(word: str, value: object) -> dict[date, object]:
    return {_date(word, day): item for day, item in _mapping(word, value).items()}


def _mapping(word: str, value: object) -> Mapping[object, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{word}: a mapping is expected, such as a date with its hours")  # noqa: TRY004  # wrong input
    return value


def _date(word: str, value: object) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{word}: {value!r} is no date; write it like 2026-03-07") from None


def _minutes(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= DAY_MINUTES:
        raise ValueError(f"short_days: {value!r} is no number of minutes")
    return value
