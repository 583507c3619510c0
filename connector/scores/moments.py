"""The as-of of a run: a day of the portal, and the moment after which orders do not count."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from adapters.fields import zone
from connector.errors import WrongUse

EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Moment:
    """The as-of of a run: a day of the portal, and the moment after which orders do not count."""

    day: date
    until: datetime

    @property
    def number(self) -> int:
        """Days since 1970-01-01."""
        return day_number(self.day)


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - EPOCH).days


def as_of_moment(time_zone: str, as_of: date | None, now: datetime) -> Moment:
    """Now, or the end of the named day in the portal's zone; raises `WrongUse` for a day still to come."""
    here = zone(time_zone)
    today = now.astimezone(here).date()
    if as_of is None or as_of == today:
        end = datetime.combine(today + timedelta(days=1), time(), here).astimezone(UTC)
        return Moment(today, now if as_of is None else end - timedelta(microseconds=1))
    if as_of > today:
        raise WrongUse(f"--as-of {as_of} is in the future: the portal's today is {today}")
    end = datetime.combine(as_of + timedelta(days=1), time(), here).astimezone(UTC)
    return Moment(as_of, end - timedelta(microseconds=1))
