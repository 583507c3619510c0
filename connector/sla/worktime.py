"""Pure calendar arithmetic: when a portal works, and how long it works between two moments.

Knows no settings, no country and no task. Moments come in and go out as aware UTC datetimes. Working
hours are wall time of the portal's zone, day by day; durations are real minutes, so a clock that jumps
at night or by day is counted as it was lived.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import islice, pairwise

DAY_MINUTES = 24 * 60
_WEEK = timedelta(days=7)
_DAY = timedelta(days=1)
_NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """Working time within one day, in minutes from local midnight: `start` belongs to it, `end` does not."""

    start: int
    end: int

    def __post_init__(self) -> None:
        """Refuse what is empty, backward or not within one day."""
        if not 0 <= self.start < self.end <= DAY_MINUTES:
            raise ValueError(f"working time from minute {self.start} to minute {self.end} does not fit into one day")

    def without(self, pause: Interval) -> tuple[Interval, ...]:
        """What is left before and after `pause`."""
        before = (self.start, min(self.end, pause.start))
        after = (max(self.start, pause.end), self.end)
        return tuple(Interval(*part) for part in (before, after) if part[0] < part[1])


Hours = tuple[Interval, ...]
Spans = tuple[tuple[datetime, datetime], ...]


@dataclass(frozen=True, slots=True)
class Calendar:
    """The working hours of one portal.

    `week` has the hours of Monday to Sunday. `moved` names days with hours of their own and wins over
    `holidays`, days on which nobody works. `shortened` takes minutes off the end of a day, whatever gave
    the day its hours. Raises `ValueError` for hours that overlap and for a week without any.
    """

    zone: tzinfo
    week: tuple[Hours, ...]
    holidays: frozenset[date] = frozenset()
    moved: Mapping[date, Hours] = field(default_factory=dict)
    shortened: Mapping[date, int] = field(default_factory=dict)
    _special: tuple[date, ...] = field(init=False, repr=False, compare=False)
    _week_time: timedelta = field(init=False, repr=False, compare=False)
    _known: dict[date, Spans] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Check the hours and note what lets whole weeks be skipped."""
        if len(self.week) != 7 or not any(self.week):
            raise ValueError("a calendar needs the hours of seven days, and at least one of them with work")
        for hours in (*self.week, *self.moved.values()):
            if any(later.start < earlier.end for earlier, later in pairwise(hours)):
                raise ValueError("the working hours of one day overlap or are out of order")
        minutes = sum(part.end - part.start for hours in self.week for part in hours)
        object.__setattr__(self, "_week_time", timedelta(minutes=minutes))
        object.__setattr__(self, "_special", tuple(sorted({*self.holidays, *self.moved, *self.shortened})))

    def hours_on(self, day: date) -> Hours:
        """The working hours of a local day, in order; empty when nobody works."""
        hours = self.moved.get(day)
        if hours is None:
            hours = () if day in self.holidays else self.week[day.weekday()]
        cut = self.shortened.get(day, 0)
        return _cut_end(hours, cut) if cut else hours

    def is_open(self, moment: datetime) -> bool:
        """Whether somebody works at that moment. The closing minute itself is closed."""
        moment = _as_utc(moment)
        return any(start <= moment < end for start, end in self._spans(self._local_day(moment)))

    def next_open(self, moment: datetime) -> datetime:
        """The moment itself when it is open, else the next opening."""
        moment = _as_utc(moment)
        return next(max(start, moment) for start, end in self._spans_from(moment) if moment < end)

    def add_minutes(self, moment: datetime, minutes: float) -> datetime:
        """Count working minutes on from a moment; one outside working time counts from the next opening.

        The answer may be exactly a closing minute (17:00 + 60 is 18:00), never later in closed time. Zero
        minutes move a moment out of closed time and leave all others alone. Raises `ValueError` for less.
        """
        return self.add_worked(moment, timedelta(minutes=minutes))

    def add_worked(self, moment: datetime, work: timedelta) -> datetime:
        """The same as `add_minutes`, exact to the microsecond."""
        left = work
        if left < _NOTHING:
            raise ValueError("working minutes are counted forward only")
        moment = _as_utc(moment)
        day = self._local_day(moment)
        while True:
            for start, end in self._spans(day):
                begin = max(start, moment)
                if begin <= end and left <= end - begin:
                    return begin + left
                left -= max(end - begin, _NOTHING)
            day += _DAY
            while left > self._week_time and self._is_plain_week(day):
                left -= self._week_time
                day += _WEEK

    def minutes_between(self, earlier: datetime, later: datetime) -> float:
        """Working minutes from one moment to another; negative when they are the other way round."""
        return self.worked_between(earlier, later) / timedelta(minutes=1)

    def worked_between(self, earlier: datetime, later: datetime) -> timedelta:
        """The same as `minutes_between`, exact to the microsecond."""
        earlier, later = _as_utc(earlier), _as_utc(later)
        if later < earlier:
            return -self.worked_between(later, earlier)
        day, last = self._local_day(earlier), self._local_day(later)
        total = self._overlap(day, earlier, later)
        day += _DAY
        while day <= last:
            if last - day >= _WEEK and self._is_plain_week(day):
                total += self._week_time
                day += _WEEK
            else:
                total += self._overlap(day, earlier, later)
                day += _DAY
        return total

    def end_of_working_day(self, moment: datetime, *, days_later: int = 0) -> datetime:
        """When the working day of that moment ends; the next one's end on a day off or after hours.

        `days_later` counts working days on from there. Raises `ValueError` when it is negative.
        """
        if days_later < 0:
            raise ValueError("working days are counted forward only")
        moment = _as_utc(moment)
        ends = (end for end in self._day_ends(self._local_day(moment)) if moment < end)
        return next(islice(ends, days_later, None))

    def _day_ends(self, day: date) -> Iterator[datetime]:
        while True:
            spans = self._spans(day)
            if spans:
                yield spans[-1][1]
            day += _DAY

    def _spans_from(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        day = self._local_day(moment)
        while True:
            yield from self._spans(day)
            day += _DAY

    def _spans(self, day: date) -> Spans:
        """The hours of a day as UTC moments, worked out once. Hours that the clock skips altogether are not there."""
        known = self._known.get(day)
        if known is None:
            known = self._known[day] = self._spans_of(day)
        return known

    def _spans_of(self, day: date) -> Spans:
        zone = self.zone
        spans = ((_moment(day, part.start, zone), _moment(day, part.end, zone)) for part in self.hours_on(day))
        return tuple((start, end) for start, end in spans if start < end)

    def _overlap(self, day: date, earlier: datetime, later: datetime) -> timedelta:
        total = _NOTHING
        for start, end in self._spans(day):
            part = min(end, later) - max(start, earlier)
            if part > _NOTHING:
                total += part
        return total

    def _is_plain_week(self, day: date) -> bool:
        """Whether the seven days from `day` have no special day and no change of the clock."""
        at = bisect_left(self._special, day)
        if at < len(self._special) and self._special[at] < day + _WEEK:
            return False
        first = datetime.combine(day, time(), self.zone).utcoffset()
        return first == datetime.combine(day + _WEEK, time(), self.zone).utcoffset()

    def _local_day(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()


def whole_days(days: Iterable[int], hours: Hours) -> tuple[Hours, ...]:
    """A week with the same `hours` on the given ISO weekdays (Monday is 1)."""
    working = frozenset(days)
    return tuple(hours if weekday in working else () for weekday in range(1, 8))


def _cut_end(hours: Hours, minutes: int) -> Hours:
    kept = list(hours)
    while kept and minutes > 0:
        last = kept.pop()
        if last.end - last.start > minutes:
            kept.append(Interval(last.start, last.end - minutes))
        minutes -= last.end - last.start
    return tuple(kept)


def _moment(day: date, minute: int, zone: tzinfo) -> datetime:
    """A wall time as a UTC moment: the first of two equal ones, the jump itself for one the clock skips."""
    wall = datetime.combine(day, time()) + timedelta(minutes=minute)
    found = wall.replace(tzinfo=zone).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == wall:
        return found
    before, after = sorted((wall.replace(tzinfo=zone, fold=1).astimezone(UTC), found))
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        middle -= timedelta(microseconds=middle.microsecond)
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            before = middle
        else:
            after = middle
    return after


def _as_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone cannot be placed in a calendar")
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
