"""A simulated quarter, judged by plain re-implementations that share no arithmetic with the product."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import median
from time import process_time

import pytest

from connector.sla.escalation import Tier
from connector.sla.events import Channel, Clock, Event, Kind
from connector.sla.plays import Stop
from connector.sla.policy import WorkClass
from connector.sla.rounds import Live
from connector.sla.sequences import End
from tests.acceptance import quarter
from tests.acceptance.quarter import FIRST, LAST, LEADS, ZONE, Quarter, Record, number_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
MINUTE = timedelta(minutes=1)
DAYS_OFF = {date(2026, 5, 1), date(2026, 5, 11), date(2026, 6, 12)}
SHORT = {date(2026, 4, 30), date(2026, 5, 8), date(2026, 6, 11)}
BETTER = (WorkClass.VIP, WorkClass.LOYAL, WorkClass.PROMISING, WorkClass.AT_RISK)


@pytest.fixture(scope="module")
def played() -> tuple[Quarter, Record, float]:
    begun = process_time()
    found = Quarter()
    record = found.run()
    return found, record, process_time() - begun


@pytest.fixture(scope="module")
def plain(played) -> Plain:
    return Plain(played[0])


class Plain:
    """The rules once more, in the slowest and most obvious way that is bearable."""

    def __init__(self, found: Quarter) -> None:
        self.days = [sorted(day for day, _ in own) for own in found.shop.orders]
        self.sums = []
        for own in found.shop.orders:
            running = [0]
            for _, amount in sorted(own):
                running.append(running[-1] + amount)
            self.sums.append(running)
        self.amounts = [self._by_day(own) for own in found.shop.orders]
        scored = [self.rfm(who, number_of(FIRST) - 1) for who in range(len(self.days))]
        values = [one for one in scored if one]
        self.borders = [self._borders([one[axis] for one in values]) for axis in range(3)]
        gaps = self._second_gaps()
        self.second_border = next(gap for at, gap in enumerate(gaps, 1) if 4 * at >= 3 * len(gaps))

    def _second_gaps(self) -> list[int]:
        found = []
        for days in self.days:
            known = sorted({day for day in days if day < number_of(FIRST)})
            if len(known) > 1:
                found.append(known[1] - known[0])
        return sorted(found)

    @staticmethod
    def _by_day(own: list[tuple[int, int]]) -> dict[int, int]:
        found: dict[int, int] = defaultdict(int)
        for day, amount in own:
            found[day] += amount
        return found

    @staticmethod
    def _borders(values: list[int]) -> list[int]:
        values = sorted(values)
        return [next(v for at, v in enumerate(values, 1) if 5 * at >= k * len(values)) for k in range(1, 5)]

    def rfm(self, who: int, as_of: int) -> tuple[int, int, int] | None:
        days = self.days[who]
        until, since = bisect_right(days, as_of), bisect_right(days, as_of - 365)
        if not until:
            return None
        return as_of - days[until - 1], until - since, self.sums[who][until] - self.sums[who][since]

    def segment(self, who: int, as_of: int) -> tuple[WorkClass, bool] | None:
        found = self.rfm(who, as_of)
        if found is None:
            return None
        r = 5 - sum(found[0] > border for border in self.borders[0])
        f, m = (1 + sum(found[axis] > border for border in self.borders[axis]) for axis in (1, 2))
        upsell = r >= 4 and f >= 4 and m <= 3
        if r >= 4 and f >= 4 and m >= 4:
            return WorkClass.VIP, upsell
        if r >= 3:
            return (WorkClass.LOYAL if f + m >= 6 else WorkClass.PROMISING), upsell
        return (WorkClass.AT_RISK if f + m >= 6 else WorkClass.SLEEPING), upsell

    def signals(self, who: int, as_of: int) -> set[str]:
        """Every signal that a customer's history gives."""
        days = sorted(day for day in self.amounts[who] if day <= as_of)
        found = set()
        if len(days) >= 3:
            ratio = (as_of - days[-1]) / ((days[-1] - days[0]) / (len(days) - 1))
            found |= {"rhythm_late"} if 1.25 < ratio <= 2 else set()
            found |= {"rhythm_very_late"} if 2 < ratio <= 4 else set()
            found |= {"last_call"} if 3 <= ratio <= 4 else set()
        if len(days) == 1 and as_of - days[0] > self.second_border:
            found.add("second_order_late")
        now = len(days) - bisect_right(days, as_of - 90)
        before = bisect_right(days, as_of - 90) - bisect_right(days, as_of - 180)
        if before >= 3 and now <= before / 2 and self._coin(now, now + before) <= 0.1:
            found.add("frequency_fell")
        if len(days) >= 6:
            amounts = [self.amounts[who][day] for day in days[-15:]]
            usual, last = median(amounts[:-3]), amounts[-3:]
            if max(last) < usual and median(last) <= 0.6 * usual:
                found.add("amount_fell")
        return found

    @staticmethod
    def _coin(heads: int, tosses: int) -> float:
        """The chance of at most so many heads, by Pascal's triangle."""
        row = [1]
        for _ in range(tosses):
            row = [1, *(one + other for one, other in pairwise(row)), 1]
        return sum(row[: heads + 1]) / 2**tosses


def is_worked(minute: datetime) -> bool:
    """Whether the minute that begins then is worked, by the wall calendar."""
    local = minute.astimezone(ZONE)
    if local.weekday() > 4 or local.date() in DAYS_OFF:
        return False
    end = 17 if local.date() in SHORT else 18
    return 9 <= local.hour < end and local.hour != 13


def plain_due(start: datetime, minutes: int, pauses: list[tuple[datetime, datetime]]) -> datetime:
    """Minute by minute."""
    at, left = start, minutes
    while left > 0:
        if is_worked(at) and not any(begin <= at < end for begin, end in pauses):
            left -= 1
        at += MINUTE
    return at


def test_the_classes_of_every_day_are_those_of_the_plain_rules(played, plain):
    _, record, _ = played
    for day, classes in record.classes.items():
        for who, work_class in classes.items():
            assert plain.segment(who, number_of(day) - 1) == (work_class, who in record.upsells[day])


def test_news_is_raised_when_it_happens_and_only_then(played, plain):
    _, record, _ = played
    expected = set()
    for before, day in pairwise(sorted(record.classes)):
        for who, now in record.classes[day].items():
            was = record.classes[before].get(who)
            if was is None:
                continue
            if was in (WorkClass.VIP, WorkClass.LOYAL) and now is WorkClass.AT_RISK:
                expected.add((who, "left_loyal", f"run:{day}"))
            if was is WorkClass.SLEEPING and now in BETTER:
                expected.add((who, "came_back", f"run:{day}"))
            if who in record.upsells[day] and who not in record.upsells[before]:
                expected.add((who, "upsell_window", f"run:{day}"))
    assert {(task.number, task.rule, task.event_key) for task in record.tasks if task.kind == "news"} == expected
    assert not [task for task in record.tasks if task.kind == "news" and task.at.astimezone(ZONE).date() == FIRST]


def test_signals_are_found_when_history_gives_them_and_only_then(played, plain):
    """Every second week of the quarter, every customer."""
    found, record, _ = played
    rules = found.playbook.plays.signals
    compared = 0
    for day in sorted(record.asked)[::10]:
        quiet, classes, given = record.asked[day]
        said = {one.number: one.rule for one in given}
        for who, work_class in classes.items():
            signs = plain.signals(who, number_of(day) - 1)
            first = next(
                (
                    rule.rule
                    for rule in rules
                    if rule.rule in signs
                    and work_class in rule.classes
                    and who not in quiet.at_work
                    and _is_rested(quiet.last_on.get((who, rule.rule)), day, rule.rest_days, plain.days[who])
                ),
                None,
            )
            assert said.get(who) == first, (day, who)
            compared += 1
    assert compared > 20_000


def _is_rested(last: date | None, day: date, rest_days: int, orders: list[int]) -> bool:
    """Rested up to the evening before, which is the as-of day, and an order has come since the last time."""
    known = [order for order in orders if order < number_of(day)]
    return last is None or (number_of(day) - 1 - number_of(last) >= rest_days and known[-1] >= number_of(last))


def test_every_rule_fires(played):
    found, record, _ = played
    assert {task.rule for task in record.tasks} == {rule for rule, _ in found.playbook.occasions()}


def test_no_task_is_made_twice_and_a_second_worker_makes_the_same(played):
    _, record, _ = played
    assert not [key for key, count in Counter(task.key for task in record.tasks).items() if count > 1]
    occasions = Counter((task.number, task.rule, task.event_key) for task in record.tasks)
    assert max(occasions.values()) == 1
    assert record.second_worker_differs == 0


def test_budgets_and_rhythms_are_kept(played):
    found, record, _ = played
    by_day = Counter(
        (task.at.astimezone(ZONE).date(), task.manager_id, task.kind == "cadence")
        for task in record.tasks
        if task.kind != "news"
    )
    assert max(count for (_, _, cadence), count in by_day.items() if cadence) == quarter.CADENCE_A_DAY
    assert max(count for (_, _, cadence), count in by_day.items() if not cadence) == quarter.STEPS_A_DAY
    every = {rule.rule: rule.every_days for rule in found.playbook.cadences}
    days = defaultdict(list)
    for task in record.tasks:
        if task.kind == "cadence":
            days[(task.number, task.rule)].append(task.at.astimezone(ZONE).date())
    assert all(
        (later - earlier).days >= every[rule] for (_, rule), own in days.items() for earlier, later in pairwise(own)
    )
    soft = Counter((number, day.month) for (number, rule), own in days.items() if rule == "soft_touch" for day in own)
    assert max(soft.values()) <= 4


def test_escalations_reach_the_right_person_once(played):
    _, record, _ = played
    keys = [notice.key for _, notice, _ in record.notices]
    assert len(set(keys)) == len(keys)
    for at, notice, holder in record.notices:
        assert is_worked(at)
        if notice.tier is Tier.WARNING:
            assert notice.to == holder
        else:
            missed_by = notice.said.facts["manager"]
            assert notice.to == LEADS[missed_by]
    assert {notice.to for _, notice, _ in record.notices if notice.tier is Tier.BREACH} == {"la", "lb", "boss"}
    assert {one.to for one in record.digests} == {"boss"}
    assert len({one.key for one in record.digests}) == len(record.digests) > 50


def test_every_stop_condition_is_seen_with_its_result(played):
    found, record, _ = played
    assert {end.stop for _, end in record.ends} == set(Stop)
    assert all(end.result == found.playbook.plays.result(end.stop) for _, end in record.ends)
    written = [[line for line in live.log if line.kind is Kind.STOPPED] for live, _ in record.ends]
    assert all(len(lines) == 1 for lines in written)
    assert {end.reason for _, end in record.ends if end.stop is Stop.MANUAL} == {quarter.ON_WORDS}


def test_an_end_has_its_cause_in_the_log(played, plain):
    _, record, _ = played
    causes = {
        Stop.BOUGHT: Kind.BOUGHT, Stop.GONE: Kind.GONE, Stop.REFUSAL: Kind.REFUSED, Stop.OPTED_OUT: Kind.OPTED_OUT,
        Stop.SEGMENT_LEFT: Kind.MOVED,
    }  # fmt: skip
    for live, end in record.ends:
        if end.stop in causes:
            assert any(line.kind is causes[end.stop] and line.at == end.at for line in live.log)
        if end.stop is Stop.CONTACT:
            assert _was_reached(live, end.at)
        if end.stop is Stop.EXHAUSTED:
            assert end.attempts >= 1
            assert not _was_reached(live, end.at)
        assert not [line for line in live.log if line.kind is Kind.RAISED and line.at > end.at]


def _was_reached(live: Live, until: datetime) -> bool:
    """By the plain reading: a long enough call, or an answer to something written."""
    lines = [line for line in live.log if line.contact is not None and line.at <= until]
    calls = [line for line in lines if line.contact.channel is Channel.CALL and line.contact.completed]
    answers = [line for line in lines if line.contact.inbound]
    return any(line.contact.seconds >= 30 for line in calls) or bool(answers)


def test_deadlines_agree_with_a_watch_that_looks_every_minute(played):
    """First contacts due in working minutes, of every seventh occasion, paused or not."""
    found, record, _ = played
    compared = 0
    for (live, end), seen in list(zip(record.ends, found.last_looks, strict=True))[::7]:
        clock = seen.clocks.get(Clock.FIRST_CONTACT)
        target = next((one for one in live.log[0].targets if one.clock is Clock.FIRST_CONTACT), None)
        if clock is None or target is None or target.term.unit.value != "minutes":
            continue
        pauses = _pauses(live, end)
        due = plain_due(live.log[0].at, target.term.amount, [])
        if any(begin < due for begin, _ in pauses):
            due = plain_due(live.log[0].at, target.term.amount, pauses)
        assert clock.windows[0].due_at == due, live
        if (ended := clock.windows[0].ended_at) is not None:
            assert clock.windows[0].late is (ended > due)
        compared += 1
    assert compared > 300


def _pauses(live: Live, end: End) -> list[tuple[datetime, datetime]]:
    found: list[tuple[datetime, datetime]] = []
    begun: Event | None = None
    for line in sorted(live.log, key=lambda one: one.at):
        if line.kind is Kind.PAUSED and begun is None:
            begun = line
        elif line.kind is Kind.RESUMED and begun is not None:
            found.append((begun.at, line.at))
            begun = None
    return found + ([(begun.at, end.at)] if begun is not None else [])


def test_the_quarter_takes_seconds_and_is_reported(played):
    found, record, seconds = played
    assert seconds < 240
    tasks = Counter(task.rule for task in record.tasks)
    stops = Counter(end.stop.value for _, end in record.ends)
    tiers = Counter(notice.tier.value for _, notice, _ in record.notices)
    missed = Counter(one.manager_id for day in record.digests for one in day.missed)
    lines = [
        f"{FIRST} to {LAST}: {len(found.shop.orders)} customers, 10 managers, {seconds:.1f} s of processor time",
        f"tasks: {len(record.tasks)} ({', '.join(f'{rule} {count}' for rule, count in tasks.most_common())})",
        f"ends: {len(record.ends)} ({', '.join(f'{stop} {count}' for stop, count in stops.most_common())})",
        f"still under way: {len(found.desks)}; looks: {record.looks}",
        f"notices: {dict(tiers)}; digests: {len(record.digests)}; missed by: {dict(missed.most_common())}",
    ]
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    left = Counter(live.log[0].by for live, end in record.ends if end.stop is Stop.EXPIRED)
    assert left[quarter.ILL] == max(left.values())
    assert bisect_left(sorted(tasks.values()), 1) == 0
