from __future__ import annotations

import random
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from connector.sla.calendars import calendar_from
from connector.sla.clock import BEFORE_ENFORCEMENT, GONE, OPEN, OTHER_POLICY, ClockState, State, clock_states
from connector.sla.events import Channel, Clock, Contact, Event, Kind, Target
from connector.sla.playbook import load_playbook
from connector.sla.policy import Term, Unit, WorkClass
from connector.sla.targets import ClockRules, clock_rules, targets_for

MOSCOW, BERLIN = ZoneInfo("Europe/Moscow"), ZoneInfo("Europe/Berlin")
OFFICE = calendar_from({}, MOSCOW)
HOUR = Target(Clock.FIRST_CONTACT, Term(60, Unit.MINUTES), "sla@1")
TALK = Contact(Channel.CALL, completed=True, seconds=120)


def at(text: str, zone: ZoneInfo = MOSCOW) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def started(text: str, *targets: Target, zone: ZoneInfo = MOSCOW) -> Event:
    return Event(at(text, zone), Kind.STARTED, by="7", targets=targets or (HOUR,))


def event(text: str, kind: Kind, **more) -> Event:
    return Event(at(text), kind, **more)


def first(log, now: str, calendar=OFFICE, clock=Clock.FIRST_CONTACT, **more) -> ClockState:
    return clock_states(log, at(now), calendar, **more)[clock]


def minutes(span: timedelta | None) -> float | None:
    return None if span is None else span / timedelta(minutes=1)


LUNCH = calendar_from({"lunch": "13:00-14:00"}, MOSCOW)
RUSSIA = calendar_from({"country": "RU"}, MOSCOW)
GERMANY = calendar_from({"country": "DE"}, BERLIN)
NIGHT = calendar_from({"work_hours": "00:00-24:00", "work_days": [1, 2, 3, 4, 5, 6, 7]}, BERLIN)


# Every line can be checked with a wall calendar: start, a pause, term → due.
@pytest.mark.parametrize(
    ("what", "calendar", "zone", "start", "pause", "term", "due"),
    [
        ("plain", OFFICE, MOSCOW, "2026-03-02 10:00", None, Term(60, Unit.MINUTES), "2026-03-02 11:00"),
        ("over lunch", LUNCH, MOSCOW, "2026-03-02 12:30", None, Term(60, Unit.MINUTES), "2026-03-02 14:30"),
        ("Friday evening", OFFICE, MOSCOW, "2026-02-27 17:30", None, Term(60, Unit.MINUTES), "2026-03-02 09:30"),
        ("Friday 16:00 + 4 h", OFFICE, MOSCOW, "2026-02-27 16:00", None, Term(240, Unit.MINUTES), "2026-03-02 11:00"),
        ("month end", OFFICE, MOSCOW, "2026-03-31 17:30", None, Term(60, Unit.MINUTES), "2026-04-01 09:30"),
        # 9 March 2026 is a day off (8 March is a Sunday), and 30 April ends an hour sooner than usual.
        ("holiday", RUSSIA, MOSCOW, "2026-03-06 17:30", None, Term(60, Unit.MINUTES), "2026-03-10 09:30"),
        ("short day", RUSSIA, MOSCOW, "2026-04-30 16:30", None, Term(60, Unit.MINUTES), "2026-05-04 09:30"),
        ("short day's end", RUSSIA, MOSCOW, "2026-04-30 10:00", None, Term(1, Unit.WORKING_DAYS), "2026-04-30 17:00"),
        # Saturday 1 November 2025 was worked, an hour less, for Monday the 3rd.
        ("worked Saturday", RUSSIA, MOSCOW, "2025-10-31 17:30", None, Term(60, Unit.MINUTES), "2025-11-01 09:30"),
        ("after it", RUSSIA, MOSCOW, "2025-11-01 16:30", None, Term(60, Unit.MINUTES), "2025-11-05 09:30"),
        # The clock went forward on Sunday 2026-03-29 at 02:00 in Berlin.
        ("spring by day", GERMANY, BERLIN, "2026-03-27 17:30", None, Term(60, Unit.MINUTES), "2026-03-30 09:30"),
        ("spring, day and night", NIGHT, BERLIN, "2026-03-29 01:30", None, Term(60, Unit.MINUTES), "2026-03-29 03:30"),
        ("24 hours on a Friday", OFFICE, MOSCOW, "2026-02-27 17:00", None, Term(24, Unit.HOURS), "2026-03-02 09:00"),
        ("72 hours", OFFICE, MOSCOW, "2026-03-02 10:00", None, Term(72, Unit.HOURS), "2026-03-05 10:00"),
        ("same day", OFFICE, MOSCOW, "2026-03-02 19:00", None, Term(1, Unit.WORKING_DAYS), "2026-03-03 18:00"),
        ("pause by day", OFFICE, MOSCOW, "2026-03-02 10:00", ("2026-03-02 10:30", "2026-03-02 12:00"),
         Term(60, Unit.MINUTES), "2026-03-02 12:30"),
        ("pause over lunch", LUNCH, MOSCOW, "2026-03-02 12:00", ("2026-03-02 12:30", "2026-03-02 14:30"),
         Term(60, Unit.MINUTES), "2026-03-02 15:00"),
        ("pause over a weekend", OFFICE, MOSCOW, "2026-02-27 17:00", ("2026-02-27 17:30", "2026-03-02 09:30"),
         Term(60, Unit.MINUTES), "2026-03-02 10:00"),
        ("pause in closed time", OFFICE, MOSCOW, "2026-02-27 17:00", ("2026-02-28 10:00", "2026-03-01 22:00"),
         Term(120, Unit.MINUTES), "2026-03-02 10:00"),
        ("pause over a holiday", RUSSIA, MOSCOW, "2026-03-06 17:00", ("2026-03-06 17:30", "2026-03-10 10:00"),
         Term(60, Unit.MINUTES), "2026-03-10 10:30"),
        ("pause in spring", NIGHT, BERLIN, "2026-03-29 01:00", ("2026-03-29 01:30", "2026-03-29 03:30"),
         Term(60, Unit.MINUTES), "2026-03-29 04:00"),
        ("24 hours paused", OFFICE, MOSCOW, "2026-02-27 17:00", ("2026-02-28 10:00", "2026-03-02 12:00"),
         Term(24, Unit.HOURS), "2026-03-02 12:00"),
        ("same day paused", OFFICE, MOSCOW, "2026-03-02 10:00", ("2026-03-02 15:00", "2026-03-02 17:00"),
         Term(1, Unit.WORKING_DAYS), "2026-03-03 11:00"),
    ],
)  # fmt: skip
def test_due_moments_that_a_person_can_check(what, calendar, zone, start, pause, term, due):
    log = [started(start, replace(HOUR, term=term), zone=zone)]
    if pause is not None:
        log += [
            Event(at(pause[0], zone), Kind.PAUSED, reason="customer"),
            Event(at(pause[1], zone), Kind.RESUMED, reason="customer"),
        ]
    now = at(pause[1] if pause else start, zone)
    assert clock_states(log, now, calendar)[Clock.FIRST_CONTACT].due_at == at(due, zone), what


# One day in the life of a clock of an hour, started at 10:00: now → state, minutes left, over or to spare.
@pytest.mark.parametrize(
    ("now", "more", "state", "left", "by", "spare", "why"),
    [
        ("09:59", [], None, None, None, None, ""),
        ("10:00", [], State.RUNNING, 60, None, None, ""),
        ("10:44", [], State.RUNNING, 16, None, None, ""),
        ("10:45", [], State.AT_RISK, 15, None, None, ""),
        ("11:00", [], State.AT_RISK, 0, None, None, ""),
        ("11:20", [], State.BREACHED, None, 20, None, ""),
        ("10:40", [("10:30", Kind.PAUSED, {"reason": "customer"})], State.PAUSED, 30, None, None, "customer"),
        ("10:40", [("10:30", Kind.PAUSED, {"reason": "coffee"})], State.RUNNING, 20, None, None, ""),
        ("11:20", [("11:10", Kind.PAUSED, {"reason": "customer"})], State.BREACHED, None, 20, None, ""),
        ("17:00", [("10:20", Kind.CONTACT, {"contact": TALK})], State.MET, None, None, 40, ""),
        ("17:00", [("11:20", Kind.CONTACT, {"contact": TALK})], State.BREACHED, None, 20, None, ""),
        ("17:00", [("10:20", Kind.STOPPED, {"reason": "refusal"})], State.STOPPED, None, None, None, "refusal"),
        ("17:00", [("11:20", Kind.STOPPED, {"reason": "refusal"})], State.BREACHED, None, 20, None, "refusal"),
        ("17:00", [("10:20", Kind.GONE, {})], State.STOPPED, None, None, None, GONE),
        ("10:30", [("10:20", Kind.RESET, {})], State.RUNNING, 50, None, None, ""),
        ("10:30", [("10:20", Kind.DONE, {})], State.RUNNING, 30, None, None, ""),
    ],
)  # fmt: skip
def test_every_state_of_a_clock(now, more, state, left, by, spare, why):
    log = [started("2026-03-02 10:00"), *(event(f"2026-03-02 {moment}", kind, **words) for moment, kind, words in more)]
    states = clock_states(log, at(f"2026-03-02 {now}"), OFFICE)
    if state is None:
        assert states == {}
        return
    seen = states[Clock.FIRST_CONTACT]
    assert (seen.state, minutes(seen.left), minutes(seen.by), minutes(seen.spare), seen.why) == (
        state, left, by, spare, why,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("contact", "counts"),
    [
        (Contact(Channel.CALL, completed=True, seconds=30), True),
        (Contact(Channel.CALL, completed=True, seconds=29), False),
        (Contact(Channel.CALL, completed=False, seconds=300), False),
        (Contact(Channel.CALL, inbound=True, completed=True, seconds=60), True),
        (Contact(Channel.MEETING, completed=True), True),
        (Contact(Channel.MEETING), False),
        (Contact(Channel.MESSAGE), False),
        (Contact(Channel.LETTER, inbound=True), False),
        (Contact(Channel.TASK, completed=True), False),
    ],
)
def test_what_counts_as_a_contact(contact, counts):
    log = [started("2026-03-02 10:00"), event("2026-03-02 10:10", Kind.CONTACT, contact=contact)]
    assert (first(log, "2026-03-02 10:30").state is State.MET) is counts


@pytest.mark.parametrize(
    ("talk", "met_at"),
    [
        ([("10:10", False), ("10:20", True)], "10:20"),
        ([("10:10", True), ("10:20", False)], "10:20"),
        ([("09:50", True), ("10:20", False)], "10:20"),
        ([("09:40", True), ("09:50", False), ("10:20", False)], None),
        ([("10:10", False), ("10:20", False), ("10:30", False)], None),
        ([("09:40", True), ("09:50", False), ("10:10", True), ("10:20", False)], "10:10"),
    ],
)
def test_messages_are_a_contact_when_one_answers_the_other(talk, met_at):
    log = [started("2026-03-02 10:00")]
    log += [
        event(f"2026-03-02 {moment}", Kind.CONTACT, contact=Contact(Channel.MESSAGE, inbound=inbound))
        for moment, inbound in talk
    ]
    seen = first(log, "2026-03-02 10:40")
    assert seen.ended_at == (None if met_at is None else at(f"2026-03-02 {met_at}"))


def test_a_pause_for_two_reasons_lasts_until_both_are_over():
    log = [
        started("2026-03-02 10:00"),
        event("2026-03-02 10:10", Kind.PAUSED, reason="customer"),
        event("2026-03-02 10:20", Kind.PAUSED, reason="absent"),
        event("2026-03-02 10:40", Kind.RESUMED, reason="customer"),
        event("2026-03-02 11:10", Kind.RESUMED, reason="absent"),
    ]
    assert first(log, "2026-03-02 10:50").why == "absent"
    assert first(log, "2026-03-02 11:10").due_at == at("2026-03-02 12:00")


def test_a_paused_clock_stays_paused_over_closed_time():
    log = [
        started("2026-02-27 17:00", replace(HOUR, term=Term(24, Unit.HOURS))),
        event("2026-02-28 10:00", Kind.PAUSED, reason="customer"),
    ]
    for now in ("2026-03-02 08:00", "2026-03-02 12:00", "2026-03-02 19:00", "2026-03-03 10:00"):
        assert first(log, now).state is State.PAUSED
    resumed = [*log, event("2026-03-02 19:00", Kind.RESUMED)]
    assert first(resumed, "2026-03-02 20:00").due_at == at("2026-03-03 09:00")
    met = [*log, event("2026-03-02 19:00", Kind.CONTACT, contact=TALK)]
    assert first(met, "2026-03-05 12:00").state is State.MET


def test_a_reset_gives_the_whole_term_again_and_keeps_what_was_late():
    log = [
        started("2026-03-02 10:00"),
        event("2026-03-02 11:30", Kind.RESET),
        event("2026-03-02 12:00", Kind.CONTACT, contact=TALK),
        event("2026-03-02 13:00", Kind.RESET),
    ]
    seen = first(log, "2026-03-02 13:10")
    assert (seen.state, seen.due_at) == (State.RUNNING, at("2026-03-02 14:00"))
    assert [(window.end, window.late) for window in seen.windows] == [("reset", True), ("met", False), ("", False)]


def test_a_holiday_declared_afterwards_changes_the_past():
    log = [started("2026-03-02 17:30"), event("2026-03-03 14:00", Kind.CONTACT, contact=TALK)]
    assert first(log, "2026-03-10 12:00").state is State.BREACHED
    closed = calendar_from({"extra_holidays": ["2026-03-03"]}, MOSCOW)
    seen = first(log, "2026-03-10 12:00", closed)
    assert (seen.state, seen.due_at) == (State.MET, at("2026-03-04 09:30"))


def test_what_began_before_enforcement_never_breaches():
    log = [started("2026-03-02 10:00")]
    old = {"enforced_from": at("2026-03-02 10:01")}
    seen = first(log, "2026-03-05 10:00", **old)
    assert (seen.state, seen.left, seen.why) == (State.RUNNING, timedelta(0), BEFORE_ENFORCEMENT)
    late = [*log, event("2026-03-05 10:00", Kind.CONTACT, contact=TALK)]
    assert (first(late, "2026-03-05 12:00", **old).state, first(late, "2026-03-05 12:00").state) == (
        State.MET,
        State.BREACHED,
    )
    assert not first(late, "2026-03-05 12:00", **old).windows[0].late
    assert first(log, "2026-03-05 10:00", enforced_from=at("2026-03-02 10:00")).state is State.BREACHED


def test_another_policy_touches_a_running_clock_only_when_it_is_applied():
    log = [started("2026-03-02 10:00"), event("2026-03-02 10:20", Kind.PAUSED, reason="customer")]
    log.append(event("2026-03-02 10:30", Kind.RESUMED))
    longer = replace(HOUR, term=Term(120, Unit.MINUTES), policy="sla@2")
    applied = [*log, event("2026-03-02 10:40", Kind.POLICY, targets=(longer,))]
    assert first(log, "2026-03-02 10:50").target == HOUR
    seen = first(applied, "2026-03-02 10:50")
    assert (seen.target, seen.due_at) == (longer, at("2026-03-02 12:10"))
    assert first(applied, "2026-03-02 10:35").due_at == at("2026-03-02 11:10")


def test_a_shorter_term_never_breaches_at_once():
    long = replace(HOUR, term=Term(5, Unit.WORKING_DAYS))
    log = [started("2026-03-02 10:00", long), event("2026-03-04 12:00", Kind.POLICY, targets=(HOUR,))]
    seen = first(log, "2026-03-04 12:00")
    assert (seen.state, seen.due_at) == (State.AT_RISK, at("2026-03-04 13:00"))


def test_a_breach_is_not_undone_by_a_longer_term():
    longer = replace(HOUR, term=Term(5, Unit.WORKING_DAYS))
    log = [started("2026-03-02 10:00"), event("2026-03-02 12:00", Kind.POLICY, targets=(longer,))]
    assert first(log, "2026-03-02 12:30").state is State.BREACHED


def test_a_policy_without_the_clock_stops_it_and_one_with_another_starts_that():
    demo = Target(Clock.DEMO, Term(72, Unit.HOURS), "sla@2")
    log = [started("2026-03-02 10:00"), event("2026-03-02 10:30", Kind.POLICY, targets=(demo,))]
    states = clock_states(log, at("2026-03-02 12:00"), OFFICE)
    assert (states[Clock.FIRST_CONTACT].state, states[Clock.FIRST_CONTACT].why) == (State.STOPPED, OTHER_POLICY)
    assert states[Clock.DEMO].due_at == at("2026-03-05 10:30")


def test_reassigning_keeps_the_clock_and_its_trail():
    log = [
        started("2026-03-02 10:00"),
        event("2026-03-02 10:30", Kind.REASSIGNED, by="8", reason="on leave"),
        event("2026-03-02 11:30", Kind.REASSIGNED, by="9", reason="asked for it"),
    ]
    seen = first(log, "2026-03-02 12:00")
    assert seen.due_at == at("2026-03-02 11:00")
    assert [(holder.manager_id, holder.reason) for holder in seen.holders] == [
        ("7", ""), ("8", "on leave"), ("9", "asked for it"),
    ]  # fmt: skip
    assert (seen.manager_id, seen.windows[0].manager_id) == ("9", "8")


def test_a_reopened_task_goes_on_with_what_was_left_and_counts_both_times():
    task = Target(Clock.RESOLUTION, Term(240, Unit.MINUTES), "sla@1")
    log = [
        started("2026-03-02 10:00", task),
        event("2026-03-02 12:00", Kind.DONE),
        event("2026-03-03 12:00", Kind.REOPENED),
    ]
    seen = first(log, "2026-03-03 13:00", clock=Clock.RESOLUTION)
    assert (seen.due_at, seen.total_worked) == (at("2026-03-03 14:00"), timedelta(hours=3))
    assert seen.windows[0].worked == timedelta(hours=2)
    last_minute = [log[0], event("2026-03-02 13:59", Kind.DONE), event("2026-04-02 12:00", Kind.REOPENED)]
    assert first(last_minute, "2026-04-02 12:10", clock=Clock.RESOLUTION).due_at == at("2026-04-02 13:00")


def test_a_closed_task_meets_its_own_clock_and_no_other():
    rules, playbook = ClockRules(), load_playbook()
    task = Target(Clock.RESOLUTION, Term(240, Unit.MINUTES), "sla@1")
    log = [started("2026-03-02 10:00", *targets_for(WorkClass.PROMISING, rules, playbook), task)]
    log.append(event("2026-03-02 10:30", Kind.DONE))
    states = clock_states(log, at("2026-03-02 10:40"), OFFICE)
    assert {clock: seen.state in OPEN for clock, seen in states.items()} == {
        Clock.FIRST_CONTACT: True, Clock.DEMO: True, Clock.RESOLUTION: False,
    }  # fmt: skip
    said = [*log, event("2026-03-02 10:35", Kind.DONE, only=frozenset({Clock.DEMO, Clock.FIRST_CONTACT}))]
    states = clock_states(said, at("2026-03-02 10:40"), OFFICE)
    assert (states[Clock.DEMO].state, states[Clock.FIRST_CONTACT].state) == (State.MET, State.RUNNING)


def test_a_soft_touch_comes_back_weekly_and_no_more_than_the_month_allows():
    soft = targets_for(WorkClass.SLEEPING, ClockRules(), load_playbook())
    log = [started("2026-03-02 10:00", *soft)]
    letters = ["2026-03-02 11:00", "2026-03-09 11:00", "2026-03-16 11:00", "2026-03-23 11:00"]
    for done, letter in enumerate(letters):
        seen = first(log, letter, clock=Clock.SOFT_TOUCH)
        assert (seen.state, seen.window) == (State.RUNNING, done + 1)
        log.append(event(letter, Kind.CONTACT, contact=Contact(Channel.LETTER)))
    seen = first(log, "2026-03-31 17:00", clock=Clock.SOFT_TOUCH)
    assert (seen.state, seen.next_at) == (State.MET, at("2026-04-01 09:00"))
    assert first(log, "2026-04-01 10:00", clock=Clock.SOFT_TOUCH).state is State.RUNNING
    stopped = [*log, event("2026-03-30 10:00", Kind.STOPPED, reason="opted_out")]
    assert first(stopped, "2026-05-01 10:00", clock=Clock.SOFT_TOUCH).next_at is None


def test_the_clocks_of_each_class_and_a_poor_history_doubles_them():
    playbook, rules = load_playbook(), ClockRules()
    found = {
        name: [(target.clock.value, str(target.term.amount), target.term.unit.value) for target in
               targets_for(name, rules, playbook)]
        for name in WorkClass
    }  # fmt: skip
    key = [("first_contact", "60", "minutes"), ("qualified", "1", "working_days")]
    assert found == {
        "vip": key, "loyal": key,
        "promising": [("first_contact", "1", "working_days"), ("demo", "72", "hours")],
        "at_risk": [("first_contact", "24", "hours")],
        "sleeping": [("soft_touch", "5", "working_days")],
    }  # fmt: skip
    assert targets_for(WorkClass.VIP, rules, playbook, quality=39)[0].term == Term(120, Unit.MINUTES)


def test_a_portals_rules_have_a_version_that_changes_with_them():
    usual, same, other = clock_rules({}), clock_rules({"clocks": {}}), clock_rules({"clocks": {"demo": {"hours": 48}}})
    assert usual == ClockRules()
    assert usual.version == same.version != other.version
    assert clock_rules({"sla": {"vip": {"minutes": 30}}}).version != usual.version


@pytest.mark.parametrize(
    ("clocks", "sentence"),
    [
        ([1], "clocks: a mapping"),
        ({"first": {}}, "nothing is known of first"),
        ({"demo": 72}, "clocks: demo needs one of"),
        ({"demo": {"hours": 0}}, "clocks: demo hours"),
        ({"warn_left": 1}, "clocks: warn_left: 1 is no share"),
        ({"pauses": "customer"}, "clocks: pauses is a list"),
        ({"least_call_seconds": -1}, "clocks: least_call_seconds"),
    ],
)
def test_rules_that_make_no_sense_are_named(clocks, sentence):
    with pytest.raises(ValueError, match=sentence):
        clock_rules({"clocks": clocks})


@pytest.mark.parametrize("kind", [Kind.PAUSED, Kind.REASSIGNED, Kind.STOPPED, Kind.POSTPONED])
def test_what_has_to_be_explained_needs_a_reason(kind):
    with pytest.raises(ValueError, match="say why"):
        Event(at("2026-03-02 10:00"), kind, until=at("2026-03-03 10:00"), reason="  ")


def test_a_line_of_the_log_that_no_reader_could_place_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        Event(datetime(2026, 3, 2, 10), Kind.STARTED)  # noqa: DTZ001
    with pytest.raises(ValueError, match="says what it was"):
        Event(at("2026-03-02 10:00"), Kind.CONTACT)
    with pytest.raises(ValueError, match="to which class"):
        Event(at("2026-03-02 10:00"), Kind.MOVED)
    with pytest.raises(ValueError, match="until when"):
        Event(at("2026-03-02 10:00"), Kind.POSTPONED, reason="asked to")
    with pytest.raises(ValueError, match="only a soft touch"):
        replace(HOUR, every_days=7)


def test_a_target_survives_its_row():
    soft = targets_for(WorkClass.SLEEPING, ClockRules(), load_playbook())[0]
    assert Target.from_row(soft.as_row()) == soft


START = datetime(2026, 3, 26, tzinfo=UTC)
moments = st.integers(0, 12 * 24 * 12).map(lambda n: START + timedelta(minutes=5 * n))
calendars = st.sampled_from([OFFICE, LUNCH, RUSSIA, GERMANY, NIGHT])
terms = st.sampled_from(
    [Term(60, Unit.MINUTES), Term(600, Unit.MINUTES), Term(24, Unit.HOURS), Term(72, Unit.HOURS),
     Term(1, Unit.WORKING_DAYS), Term(3, Unit.WORKING_DAYS)]
)  # fmt: skip
contacts = st.sampled_from(
    [TALK, Contact(Channel.CALL), Contact(Channel.LETTER), Contact(Channel.MESSAGE, inbound=True)]
)


@st.composite
def logs(draw) -> list[Event]:
    target = replace(HOUR, term=draw(terms))
    soft = Target(Clock.SOFT_TOUCH, Term(2, Unit.WORKING_DAYS), "sla@1", every_days=2, per_month=3)
    task = Target(Clock.RESOLUTION, draw(terms), "sla@1")
    log = [Event(draw(moments), Kind.STARTED, by="7", targets=(target, soft, task))]
    for number in range(draw(st.integers(0, 8))):
        moment = draw(moments)
        kind = draw(st.sampled_from([Kind.PAUSED, Kind.RESUMED, Kind.CONTACT, Kind.RESET, Kind.REASSIGNED,
                                     Kind.DONE, Kind.REOPENED, Kind.POLICY, Kind.STOPPED]))  # fmt: skip
        more = {
            Kind.PAUSED: {"reason": draw(st.sampled_from(["customer", "absent"]))},
            Kind.RESUMED: {"reason": draw(st.sampled_from(["customer", ""]))},
            Kind.CONTACT: {"contact": draw(contacts)},
            Kind.REASSIGNED: {"reason": "asked to", "by": "8"},
            Kind.POLICY: {"targets": (replace(target, term=draw(terms)), task)},
            Kind.STOPPED: {"reason": "refusal"},
        }
        log.append(Event(moment, kind, number, **more.get(kind, {})))
    return log


@given(logs(), moments, calendars, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_the_order_in_which_a_log_arrives_is_no_matter(log, now, calendar, chance: random.Random):
    shuffled = list(log)
    chance.shuffle(shuffled)
    assert clock_states(shuffled, now, calendar) == clock_states(log, now, calendar)


@given(logs(), moments, calendars)
@settings(max_examples=60, deadline=None)
def test_zones_of_the_log_and_of_the_machine_are_no_matter(log, now, calendar):
    far = ZoneInfo("Pacific/Auckland")
    elsewhere = [replace(line, at=line.at.astimezone(far)) for line in log]
    found = {}
    with pytest.MonkeyPatch.context() as machine:
        for name in ("UTC", "America/New_York", "Asia/Kolkata"):
            machine.setenv("TZ", name)
            time.tzset()
            found[name] = clock_states(elsewhere, now.astimezone(far), calendar)
    time.tzset()
    assert all(states == clock_states(log, now, calendar) for states in found.values())


@given(calendars, terms, moments, moments, moments, moments)
@settings(max_examples=200, deadline=None)
def test_a_pause_never_shortens_and_gives_back_exactly_its_working_time(calendar, term, start, one, other, now):
    begin, end = sorted((one, other))
    log = [Event(start, Kind.STARTED, targets=(replace(HOUR, term=term),))]
    plain = clock_states(log, max(now, start), calendar)[Clock.FIRST_CONTACT].due_at
    assume(start <= begin)
    paused = [*log, Event(begin, Kind.PAUSED, reason="customer"), Event(end, Kind.RESUMED, 1)]
    seen = clock_states(paused, max(end, now), calendar)[Clock.FIRST_CONTACT]
    assert seen.due_at >= plain
    lost = calendar.worked_between(plain, seen.due_at)
    assert lost == (calendar.worked_between(begin, end) if begin < plain else timedelta(0))


@given(logs(), calendars, moments, moments)
@settings(max_examples=150, deadline=None)
def test_a_breach_is_for_ever_and_what_is_ahead_is_not_seen(log, calendar, one, other):
    earlier, later = sorted((one, other))
    known = [line for line in log if line.at <= earlier]
    before = clock_states(log, earlier, calendar)
    assert before == clock_states(known, earlier, calendar)
    after = clock_states(log, later, calendar)
    for clock, state in before.items():
        if state.state is State.BREACHED:
            assert after[clock].windows[state.window - 1].late


@given(logs(), calendars, moments)
@settings(max_examples=150, deadline=None)
def test_figures_fit_the_state(log, calendar, now):
    for state in clock_states(log, now, calendar).values():
        figures = [name for name in ("left", "by", "spare") if getattr(state, name) is not None]
        expected = {
            State.RUNNING: ["left"], State.AT_RISK: ["left"], State.PAUSED: ["left"],
            State.BREACHED: ["by"], State.MET: ["spare"], State.STOPPED: [], State.NOT_STARTED: [],
        }  # fmt: skip
        assert figures == expected[state.state]
        assert all(getattr(state, name) >= timedelta(0) for name in figures)
        assert (state.state in OPEN) <= (state.ended_at is None)
        if state.state is State.PAUSED:
            assert state.why in {"customer", "absent"}


def test_a_clock_of_years_is_read_at_once():
    log = [started("2016-01-04 10:00", replace(HOUR, term=Term(10**6, Unit.MINUTES)))]
    for year in range(2016, 2026):
        log += [
            event(f"{year}-06-01 10:00", Kind.PAUSED, reason="customer"),
            event(f"{year}-09-01 10:00", Kind.RESUMED),
        ]
    begun = time.perf_counter()
    for _ in range(10):
        assert first(log, "2026-03-02 10:00").state is State.BREACHED
    assert time.perf_counter() - begun < 2


def test_the_day_of_a_holiday_is_not_worked():
    assert RUSSIA.hours_on(date(2026, 3, 9)) == ()
