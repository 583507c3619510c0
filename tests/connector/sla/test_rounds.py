from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from adapters.records import CustomerKind, CustomerRef, Manager, Priority
from connector.sla.calendars import calendar_from
from connector.sla.clock import State
from connector.sla.events import Channel, Clock, Contact, Event, Kind
from connector.sla.followups import CustomerState, FollowUpSettings, PastTasks, plan_followups
from connector.sla.people import People
from connector.sla.playbook import load_playbook
from connector.sla.plays import Stop
from connector.sla.policy import Policy, WorkClass
from connector.sla.rounds import Opening, look, opened_by_signal, opened_by_task, step_task, superseded
from connector.sla.sequences import End, NextStep, Waiting
from connector.sla.signalling import Signalled
from connector.sla.targets import ClockRules
from connector.sla.texts import Facts
from tests.connector.sla.test_texts import LABELS

MOSCOW = ZoneInfo("Europe/Moscow")
OFFICE = calendar_from({}, MOSCOW)
PLAYBOOK, RULES = load_playbook(), ClockRules()
OPENING = Opening(PLAYBOOK, RULES, "amocrm:1")
WHO = CustomerRef(CustomerKind.COMPANY, "45")


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-{text}").replace(tzinfo=MOSCOW).astimezone(UTC)


NOW = at("02 10:00")


def followup():
    """The task that the first transaction of the contract drafts for a loyal customer who fell silent."""
    state = CustomerState(
        number=7, ref=WHO, manager_id="ann", segment="at_risk", work_class=WorkClass.AT_RISK,
        previous_work_class=WorkClass.LOYAL, move_key="run-1", upsell=False, upsell_turned_on_key=None,
        recency=90, frequency=5, monetary=Decimal(1000), quality=80, churn_risk=True,
    )  # fmt: skip
    people = People(managers={"ann": Manager("ann", "Ann")})
    settings = FollowUpSettings(portal_key="amocrm:1", currency="RUB")
    return plan_followups(
        [state], PastTasks(), people, OFFICE, settings, now=NOW, on=date(2026, 3, 2), first_run=False
    )[0]


def seen(live, now: str):
    return look(PLAYBOOK, live, RULES, OFFICE, at(now))


def test_an_occasion_begins_with_the_task_of_its_rule_and_keeps_its_key():
    task = followup()
    live = opened_by_task(OPENING, task, NOW, big=True, quality=80)
    assert live.occasion.step_key(0, "any") == task.key
    first = seen(live, "02 10:00")
    assert isinstance(first.answer, Waiting)
    clock = first.clocks[Clock.FIRST_CONTACT]
    assert (clock.state, clock.due_at, clock.manager_id) == (State.RUNNING, task.due_at, "ann")
    assert live.log[0].reason == PLAYBOOK.edition


def test_between_two_looks_nothing_changes():
    live = opened_by_task(OPENING, followup(), NOW, big=True, quality=80)
    first = seen(live, "02 10:00")
    assert first.again_at == first.clocks[Clock.FIRST_CONTACT].warn_at
    warned = look(PLAYBOOK, live, RULES, OFFICE, first.again_at)
    assert warned.clocks[Clock.FIRST_CONTACT].state is State.AT_RISK
    assert warned.again_at == first.clocks[Clock.FIRST_CONTACT].due_at
    late = seen(live, "03 10:01")
    assert (late.clocks[Clock.FIRST_CONTACT].state, late.again_at) == (State.BREACHED, None)


def test_the_second_step_has_the_script_a_new_key_and_no_label():
    live = opened_by_task(OPENING, followup(), NOW, big=True, quality=80)
    live = live.with_event(Event(at("02 11:00"), Kind.CONTACT, contact=Contact(Channel.CALL)))
    found = seen(live, "02 12:00")
    assert isinstance(found.answer, NextStep)
    assert found.again_at <= found.answer.begin_at == at("03 09:00")
    facts = Facts(date(2026, 3, 3), 91, 5, Decimal(1000), "RUB", 365, 80)
    task = step_task(
        live.occasion, found.answer, facts, Policy(), OFFICE, at("03 09:00"),
        manager_id="ann", priority=Priority.NORMAL, language="ru", steps=6,
    )  # fmt: skip
    assert task.draft.title == "Постоянный покупатель молчит дольше других: выяснить причину (письмо, попытка 2 из 6)"
    assert task.draft.body.startswith("Чем подтвердить: ")
    assert [label for label in LABELS if label in f"{task.draft.title}\n{task.draft.body}".lower()] == []
    assert task.draft.key != followup().key
    assert task.draft.due_at == at("04 09:00")
    assert task.row()["event_key"] == "run-1/2:letter"
    raised = seen(live.with_event(task.raised), "03 09:30").answer
    assert (raised.why, raised.attempts) == ("raised", 1)


def test_the_first_step_reads_as_its_task_always_did():
    task = followup()
    live = opened_by_task(OPENING, task, NOW, big=True, quality=80)
    answer = seen(live.__class__(live.occasion, live.log[:1]), "02 10:00").answer
    facts = Facts(date(2026, 3, 2), 90, 5, Decimal(1000), "RUB", 365, 80)
    made = step_task(
        live.occasion, answer, facts, Policy(), OFFICE, NOW,
        manager_id="ann", priority=task.priority, language="ru", steps=6,
    )  # fmt: skip
    assert made.draft == task.draft()


def test_a_signal_opens_an_occasion_named_by_the_silence():
    signal = Signalled(7, "last_call", "last_call:2026-01-02", 30, 91)
    live = opened_by_signal(OPENING, signal, WHO, WorkClass.SLEEPING, "ann", NOW, big=False, quality=30)
    assert (live.occasion.event_key, live.occasion.rule) == ("last_call:2026-01-02", "last_call")
    assert Clock.SOFT_TOUCH in seen(live, "02 10:00").clocks


def test_fresher_news_ends_the_older_occasion():
    live = opened_by_task(OPENING, followup(), NOW, big=True, quality=80)
    end = seen(live.with_event(superseded(at("02 12:00"), 2)), "02 12:00")
    assert isinstance(end.answer, End)
    assert (end.answer.stop, end.answer.recorded) == (Stop.SUPERSEDED, True)
    assert end.clocks[Clock.FIRST_CONTACT].state is State.STOPPED
