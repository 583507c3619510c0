"""At what hours the customers of a class answer, from the attempts made so far; and a good hour for the next one.

Pure. An hour is judged by the lower end of Wilson's interval for the share of attempts that reached somebody
(Wilson, JASA 22, 1927): a lucky hour with two attempts does not beat a good one with two hundred.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo

from connector.sla.policy import WorkClass
from connector.sla.worktime import Calendar

_Z = 1.96


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt to reach a customer, and whether it did."""

    at: datetime
    work_class: WorkClass
    reached: bool


@dataclass(frozen=True, slots=True)
class Hour:
    """A local hour of the day. `at_least` is the share reached that can be counted on."""

    hour: int
    tried: int
    reached: int

    @property
    def at_least(self) -> float:
        """The lower end of the 95 % interval of the share."""
        share = self.reached / self.tried
        spread = _Z * math.sqrt(share * (1 - share) / self.tried + _Z**2 / (4 * self.tried**2))
        return max((share + _Z**2 / (2 * self.tried) - spread) / (1 + _Z**2 / self.tried), 0.0)


def best_hours(tries: Iterable[Tried], zone: tzinfo, *, least: int = 20) -> dict[WorkClass, tuple[Hour, ...]]:
    """The hours of each class with at least `least` attempts, best first; classes with none are not there."""
    counts: dict[WorkClass, dict[int, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for tried in tries:
        counts[tried.work_class][tried.at.astimezone(zone).hour].append(tried.reached)
    found = {
        work_class: tuple(
            sorted(
                (Hour(hour, len(seen), sum(seen)) for hour, seen in by_hour.items() if len(seen) >= least),
                key=lambda hour: (-hour.at_least, hour.hour),
            )
        )
        for work_class, by_hour in counts.items()
    }
    return {work_class: hours for work_class, hours in found.items() if hours}


def good_moment(
    begin: datetime,
    due: datetime,
    hours: Mapping[WorkClass, Sequence[Hour]],
    work_class: WorkClass,
    calendar: Calendar,
    *,
    top: int = 3,
) -> datetime:
    """The earliest working moment from `begin` on that lies in one of the class's best hours and is not past `due`.

    Where there is none, or nothing is known of the class, it is `begin` moved into working time: a good hour never
    costs the deadline.
    """
    good = {hour.hour for hour in hours.get(work_class, ())[:top]}
    first = calendar.next_open(begin)
    if not good or first.astimezone(calendar.zone).hour in good:
        return first
    day = first.astimezone(calendar.zone).date()
    while (start := datetime.combine(day, time(), calendar.zone)) <= due:
        for hour in sorted(good):
            moment = (start + timedelta(hours=hour)).astimezone(first.tzinfo)
            if first <= moment <= due and calendar.is_open(moment):
                return moment
        day += timedelta(days=1)
    return first
