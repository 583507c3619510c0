from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.records import CustomerKind, CustomerRef
from connector.sla.calendars import calendar_from
from connector.sla.events import Channel, Contact, Event, Kind
from connector.sla.followups import followup_key
from connector.sla.playbook import load_playbook
from connector.sla.plays import Stop
from connector.sla.policy import Term, Unit, WorkClass
from connector.sla.sequences import End, NextStep, Occasion, Waiting, next_step

MOSCOW = ZoneInfo("Europe/Moscow")
OFFICE = calendar_from({}, MOSCOW)
PLAYBOOK = load_playbook()
WHO = CustomerRef(CustomerKind.COMPANY, "45")
MONDAY = "2026-03-02 10:00"
NO_ANSWER = Contact(Channel.CALL)
TALK = Contact(Channel.CALL, completed=True, seconds=90)
LETTER = Contact(Channel.LETTER)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=MOSCOW).astimezone(UTC)


def occasion(rule="last_call", work_class=WorkClass.AT_RISK, *, big=True) -> Occasion:
    return Occasion("amocrm:1", WHO, 7, rule, f"{rule}:2026-01-10", work_class, big)


def event(text: str, kind: Kind, **more) -> Event:
    return Event(at(text), kind, **more)


def attempt(text: str, contact=NO_ANSWER) -> list[Event]:
    """A step raised and made at once."""
    return [event(text, Kind.RAISED), event(text, Kind.CONTACT, contact=contact)]


START = [event(MONDAY, Kind.STARTED)]


def ask(log, now: str, what=None, **more):
    return next_step(PLAYBOOK, what or occasion(), log, at(now), OFFICE, **more)


def test_the_first_step_is_the_rules_own_task_and_begins_at_once():
    found = ask(START, MONDAY)
    assert (found.step.id, found.attempt, found.begin_at) == ("call", 1, at(MONDAY))
    assert found.key == followup_key("amocrm:1", WHO, "last_call", "last_call:2026-01-10")
    assert found.event_key == "last_call:2026-01-10"
    assert found.due_at(Term(60, Unit.MINUTES), OFFICE) == at("2026-03-02 11:00")


def test_a_step_that_was_raised_waits_for_its_attempt():
    log = [*START, event(MONDAY, Kind.RAISED)]
    assert ask(log, "2026-03-20 10:00") == Waiting("win_back_big", "raised", 0)


def test_the_next_step_comes_so_many_working_days_after_the_attempt():
    log = [*START, *attempt("2026-03-06 17:00")]
    found = ask(log, "2026-03-06 18:00")
    assert (found.step.id, found.attempt, found.begin_at) == ("letter", 2, at("2026-03-09 09:00"))
    log += attempt("2026-03-10 12:00", LETTER)
    assert ask(log, "2026-03-10 18:00").begin_at == at("2026-03-13 09:00")


def test_a_closed_task_is_an_attempt_and_no_contact():
    log = [*START, event(MONDAY, Kind.RAISED), event("2026-03-02 11:00", Kind.DONE)]
    assert ask(log, "2026-03-02 12:00").attempt == 2


def test_a_call_and_the_closing_of_its_task_are_one_attempt():
    log = [*START, *attempt(MONDAY), event("2026-03-02 10:05", Kind.DONE)]
    assert ask(log, "2026-03-02 12:00").attempt == 2


def test_all_attempts_without_an_answer_end_the_work_after_some_patience():
    log, steps = list(START), []
    now = at(MONDAY)
    while isinstance(found := next_step(PLAYBOOK, occasion(), log, now, OFFICE), NextStep):
        steps.append((found.step.id, found.key))
        now = found.begin_at + timedelta(hours=1)
        log += [Event(now, Kind.RAISED, step=found.step.id), Event(now, Kind.CONTACT, contact=NO_ANSWER)]
    assert [step for step, _ in steps] == ["call", "letter", "second_call", "message", "third_call", "last_letter"]
    assert len({key for _, key in steps}) == len(steps)
    assert isinstance(found, Waiting)
    assert found.why == "answer"
    end = next_step(PLAYBOOK, occasion(), log, found.until, OFFICE)
    assert (end.stop, end.result, end.attempts, end.at) == (Stop.EXHAUSTED, "not_reached", 6, found.until)
    assert not end.recorded
    written = next_step(PLAYBOOK, occasion(), [*log, end.event()], found.until, OFFICE)
    assert (written.stop, written.recorded) == (Stop.EXHAUSTED, True)


@pytest.mark.parametrize(
    ("fact", "stop", "result"),
    [
        (event("2026-03-02 12:00", Kind.CONTACT, contact=TALK), Stop.CONTACT, "reached"),
        (event("2026-03-02 12:00", Kind.REFUSED), Stop.REFUSAL, "refused"),
        (event("2026-03-02 12:00", Kind.BOUGHT), Stop.BOUGHT, "bought"),
        (event("2026-03-02 12:00", Kind.GONE), Stop.GONE, "record_gone"),
        (event("2026-03-02 12:00", Kind.OPTED_OUT), Stop.OPTED_OUT, "opted_out"),
        (event("2026-03-02 12:00", Kind.STOPPED, reason="expired"), Stop.EXPIRED, "expired"),
        (event("2026-03-02 12:00", Kind.STOPPED, reason="the firm is closed"), Stop.MANUAL, "ended_by_hand"),
    ],
)
def test_every_fact_that_stops_a_sequence_gives_its_result(fact, stop, result):
    found = ask([*START, *attempt("2026-03-02 11:00"), fact], "2026-03-02 13:00")
    assert (found.stop, found.result, found.at, found.attempts) == (stop, result, at("2026-03-02 12:00"), 1)
    assert found.recorded is (fact.kind is Kind.STOPPED)
    assert found.reason == ("the firm is closed" if stop is Stop.MANUAL else "")
    assert isinstance(ask([*START, *attempt("2026-03-02 11:00"), fact], "2026-03-02 11:30"), NextStep)


def test_an_answer_to_a_letter_is_a_contact():
    log = [*START, *attempt("2026-03-02 11:00", LETTER)]
    log.append(event("2026-03-03 11:00", Kind.CONTACT, contact=Contact(Channel.LETTER, inbound=True)))
    assert ask(log, "2026-03-03 12:00").stop is Stop.CONTACT


def test_another_order_does_not_end_the_support_of_a_key_customer():
    log = [*START, event("2026-03-02 12:00", Kind.BOUGHT)]
    assert isinstance(ask(log, "2026-03-02 13:00", occasion("came_back", WorkClass.LOYAL)), NextStep)


def test_the_sequence_of_the_new_class_goes_on_where_the_old_one_stood():
    log = [*START, *attempt(MONDAY), event("2026-03-03 10:00", Kind.MOVED, work_class=WorkClass.SLEEPING)]
    found = ask(log, "2026-03-03 11:00")
    assert (found.sequence, found.step.id, found.attempt, found.work_class) == (
        "wake_big", "message", 2, WorkClass.SLEEPING,
    )  # fmt: skip


def test_where_the_new_class_has_no_sequence_the_work_ends():
    log = [*START, event("2026-03-03 10:00", Kind.MOVED, work_class=WorkClass.SLEEPING)]
    found = ask(log, "2026-03-03 11:00", occasion("return_plan"))
    assert (found.stop, found.result, found.at) == (Stop.SEGMENT_LEFT, "no_longer_needed", at("2026-03-03 10:00"))


def test_a_shorter_sequence_may_be_over_at_once_but_not_before_its_patience():
    log = list(START)
    for day in (2, 3, 9, 16):
        log += attempt(f"2026-03-{day:02} 10:00")
    small = occasion(big=False)
    log.append(event("2026-03-17 10:00", Kind.MOVED, work_class=WorkClass.SLEEPING))
    assert isinstance(ask(log, "2026-03-17 11:00", small), Waiting)
    assert ask(log, "2026-03-30 10:00", small).stop is Stop.EXHAUSTED


def test_a_postponed_step_waits_and_a_paused_sequence_does_too():
    until = at("2026-03-14 12:00")
    log = [*START, event("2026-03-02 11:00", Kind.POSTPONED, reason="on holiday", until=until)]
    assert ask(log, "2026-03-02 12:00").begin_at == at("2026-03-16 09:00")
    log.append(event("2026-03-02 12:00", Kind.PAUSED, reason="customer"))
    assert ask(log, "2026-03-02 13:00") == Waiting("win_back_big", "customer", 0)
    log.append(event("2026-03-02 14:00", Kind.RESUMED, reason="customer"))
    assert isinstance(ask(log, "2026-03-02 15:00"), NextStep)


def test_whoever_sleeps_is_not_touched_more_than_the_cap_allows():
    asleep = occasion(work_class=WorkClass.SLEEPING)
    assert ask(START, MONDAY, asleep, touched_on=[date(2026, 2, 27)]).begin_at == at("2026-03-06 09:00")
    four = [date(2026, 3, day) for day in (2, 9, 16, 23)]
    assert ask(START, "2026-03-24 10:00", asleep, touched_on=four).begin_at == at("2026-04-01 09:00")
    awake = occasion("last_call", WorkClass.LOYAL)
    assert ask(START, MONDAY, awake, touched_on=four).begin_at == at(MONDAY)


def test_an_occasion_needs_a_sequence_and_a_start():
    with pytest.raises(ValueError, match="return_plan: sleeping customers have no sequence"):
        ask(START, MONDAY, occasion("return_plan", WorkClass.SLEEPING))
    with pytest.raises(ValueError, match="has no start"):
        ask(START, "2026-03-02 09:00")


BEGIN = at(MONDAY)
lines = st.lists(
    st.tuples(st.integers(0, 60 * 24 * 30), st.sampled_from([Kind.RAISED, Kind.CONTACT, Kind.DONE, Kind.MOVED,
                                                             Kind.PAUSED, Kind.RESUMED, Kind.BOUGHT])),
    max_size=12,
)  # fmt: skip


@given(lines, st.integers(0, 60 * 24 * 40), st.randoms(use_true_random=False))
@settings(max_examples=120, deadline=None)
def test_the_same_log_gives_the_same_answer_and_an_end_is_for_ever(found, minutes, chance):
    more = {
        Kind.CONTACT: {"contact": LETTER},
        Kind.MOVED: {"work_class": WorkClass.SLEEPING},
        Kind.PAUSED: {"reason": "customer"},
    }
    log = [*START]
    log += [
        Event(BEGIN + timedelta(minutes=after), kind, number, **more.get(kind, {}))
        for number, (after, kind) in enumerate(found)
    ]
    now = BEGIN + timedelta(minutes=minutes)
    answer = next_step(PLAYBOOK, occasion(), log, now, OFFICE)
    assert next_step(PLAYBOOK, occasion(), chance.sample(log, len(log)), now, OFFICE) == answer
    if isinstance(answer, End):
        later = next_step(PLAYBOOK, occasion(), [line for line in log if line.at <= now], now + timedelta(90), OFFICE)
        assert later == answer
    if isinstance(answer, NextStep):
        assert OFFICE.is_open(answer.begin_at)
        assert answer.key == occasion().step_key(answer.attempt - 1, answer.step.id)
