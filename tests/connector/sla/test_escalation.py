from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from adapters.records import CRM, CustomerKind, CustomerRef, Manager, Priority, Team
from connector.sla.calendars import calendar_from
from connector.sla.clock import clock_states
from connector.sla.escalation import (
    EscalationRules,
    Tier,
    Watched,
    digest,
    escalation_rules,
    expired,
    notices,
    raised,
)
from connector.sla.events import Channel, Clock, Contact, Event, Kind, Target
from connector.sla.people import People
from connector.sla.playbook import load_playbook
from connector.sla.policy import Term, Unit, WorkClass
from connector.sla.sequences import Occasion, next_step
from connector.sla.voices import NoticeRules, Sent, may_notify, notice_rules, voices

MOSCOW = ZoneInfo("Europe/Moscow")
OFFICE = calendar_from({}, MOSCOW)
HOUR = Target(Clock.FIRST_CONTACT, Term(60, Unit.MINUTES), "sla@1")
WHO = CustomerRef(CustomerKind.COMPANY, "45")
PEOPLE = People(
    managers={
        name: Manager(name, name.title(), active=name != "retired", team_ids=(team,) if team else ())
        for name, team in (("ann", "a"), ("lead", "a"), ("boss", ""), ("retired", "a"), ("chief", "top"), ("lone", ""))
    },
    teams={"a": Team("a", "A", lead_id="lead", parent_id="top"), "top": Team("top", "All", lead_id="chief")},
    default_manager_id="lone",
)
RULES = EscalationRules(head_of_sales="boss")


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-{text}").replace(tzinfo=MOSCOW).astimezone(UTC)


def watched(now: str, *more: Event, manager="ann", start="02 10:00", key="occasion", target=HOUR, **words) -> Watched:
    log = [Event(at(start), Kind.STARTED, by=manager, targets=(target,)), *more]
    clocks = tuple(clock_states(log, at(now), OFFICE).values())
    return Watched(key, WHO, "left_loyal", WorkClass.AT_RISK, clocks[0].manager_id, clocks, **words)


def told(now: str, *more: Event, rules=RULES, sent=(), **words):
    return notices([watched(now, *more, **words)], PEOPLE, rules, OFFICE, at(now), sent)


def test_the_manager_is_warned_and_the_lead_hears_of_the_breach():
    assert told("02 10:44") == []
    warning, breach = told("02 10:50")[0], told("02 11:10")[0]
    assert (warning.tier, warning.to, warning.said.words("ru")) == (
        Tier.WARNING, "ann", "Срок близко: осталось 10 мин.",
    )  # fmt: skip
    assert (breach.tier, breach.to, breach.said.words("en")) == (
        Tier.BREACH, "lead", "The deadline passed 10 min ago; responsible: Ann.",
    )  # fmt: skip


def test_a_notice_has_one_key_for_ever_and_is_sent_once():
    first = told("02 10:50")[0]
    assert told("02 10:55")[0].key == first.key
    assert told("02 10:55", sent={first.key}) == []
    assert told("02 11:10", sent={first.key})[0].key != first.key
    again = told("02 13:50", Event(at("02 13:00"), Kind.RESET))[0]
    assert (again.tier, again.key != first.key) == (Tier.WARNING, True)


@pytest.mark.parametrize(
    ("manager", "to"), [("ann", "lead"), ("lead", "chief"), ("chief", "boss"), ("lone", "boss"), ("boss", "lone")]
)
def test_a_breach_goes_to_one_person_above_whoever_missed_it(manager, to):
    assert [notice.to for notice in told("02 11:10", manager=manager)] == [to]


def test_whoever_held_it_at_the_due_moment_answers_for_it():
    handed = Event(at("02 11:05"), Kind.REASSIGNED, by="chief", reason="illness")
    breach = told("02 11:10", handed)[0]
    assert (breach.to, breach.said.facts["manager"]) == ("lead", "Ann")


def test_nobody_is_told_where_it_would_come_back_to_whoever_missed_it():
    alone = People(managers={"lone": Manager("lone", "Lone")}, default_manager_id="lone")
    assert notices([watched("02 11:10", manager="lone")], alone, EscalationRules(), OFFICE, at("02 11:10")) == []


def test_nothing_is_told_in_closed_time_and_it_is_at_the_next_opening():
    late = {"start": "02 17:30", "target": replace(HOUR, term=Term(20, Unit.MINUTES))}
    assert told("02 19:00", **late) == []
    assert [notice.tier for notice in told("03 09:00", **late)] == [Tier.BREACH]


def test_what_is_paused_met_or_ended_is_no_news():
    talk = Contact(Channel.CALL, completed=True, seconds=60)
    for event in (
        Event(at("02 10:20"), Kind.PAUSED, reason="customer"),
        Event(at("02 10:20"), Kind.CONTACT, contact=talk),
        Event(at("02 11:05"), Kind.CONTACT, contact=talk),
        Event(at("02 11:05"), Kind.STOPPED, reason="refusal"),
    ):
        assert told("02 11:10", event) == []


@pytest.mark.parametrize(
    ("term", "now", "crm_task", "warned"),
    [
        (60, "02 10:46", "02 11:00", False),
        (60, "02 10:46", "02 12:00", True),
        (60, "02 10:46", None, True),
        (480, "02 16:10", "02 18:00", True),
        (480, "02 17:30", "02 18:00", False),
    ],
)
def test_a_warning_is_left_to_the_crm_where_its_own_reminder_comes_soon(term, now, crm_task, warned):
    rules = replace(RULES, crm_reminds=timedelta(minutes=5))
    target = replace(HOUR, term=Term(term, Unit.MINUTES))
    until = None if crm_task is None else at(crm_task)
    assert bool(told(now, rules=rules, target=target, in_crm_until=until)) is warned
    assert told(now, target=target, in_crm_until=until)


def test_only_amocrm_is_known_to_remind_by_itself():
    assert {crm: escalation_rules({}, crm).crm_reminds is not None for crm in CRM} == {
        CRM.AMOCRM: True, CRM.BITRIX24: False, CRM.HUBSPOT: False,
    }  # fmt: skip


def test_the_head_of_sales_gets_a_digest_of_the_day():
    work = [
        watched("03 17:00", start="03 10:00", key="late"),
        watched("03 17:00", start="02 16:30", key="late since yesterday"),
        watched("03 17:00", start="03 16:30", key="not yet"),
        watched("03 17:00", start="02 10:00", key="in yesterday's"),
        watched("03 17:00", start="03 11:00", key="of the lead", manager="lead"),
    ]
    found = digest(work, PEOPLE, RULES, OFFICE, at("03 17:00"))
    assert [one.occasion for one in found.missed] == ["late since yesterday", "late", "of the lead"]
    assert (found.to, found.by_manager(), found.said.words("ru")) == (
        "boss", {"ann": 2, "lead": 1}, "За день сроков нарушено: 3.",
    )  # fmt: skip
    assert all(one.is_open for one in found.missed)
    assert digest(work, PEOPLE, RULES, OFFICE, at("03 16:59")) is None
    assert digest(work, PEOPLE, RULES, OFFICE, at("03 18:00"), last=found.until) is None
    assert digest(work, PEOPLE, EscalationRules(), OFFICE, at("03 17:00")) is None


def test_a_digest_makes_good_the_days_on_which_there_was_none():
    friday = watched("09 17:00", start="06 17:30", key="Friday")
    assert [one.occasion for one in digest([friday], PEOPLE, RULES, OFFICE, at("09 17:00")).missed] == ["Friday"]
    assert digest([friday], PEOPLE, RULES, OFFICE, at("08 17:00")) is None
    old = watched("09 17:00", start="03 12:00", key="old")
    assert digest([old], PEOPLE, RULES, OFFICE, at("09 17:00")) is None
    assert digest([old], PEOPLE, RULES, OFFICE, at("09 17:00"), last=at("02 17:00")).missed[0].occasion == "old"


def test_priority_rises_as_the_deadline_nears():
    def at_moment(now: str) -> list[Priority]:
        return [raised(priority, watched(now).clocks) for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH)]

    assert at_moment("02 10:10") == [Priority.LOW, Priority.NORMAL, Priority.HIGH]
    assert at_moment("02 10:50") == [Priority.NORMAL, Priority.HIGH, Priority.HIGH]
    assert at_moment("02 12:00") == [Priority.HIGH] * 3


def test_stale_tasks_expire_with_a_reason_that_ends_their_sequence():
    limit = replace(RULES, stale_days=10)
    assert expired([watched("12 10:59")], {}, limit, at("12 10:59")) == []
    found = expired([watched("12 11:00")], {}, limit, at("12 11:00"))[0]
    assert found.said.words("en") == "Closed automatically: nothing happened for 10 days."
    occasion = Occasion("amocrm:1", WHO, 1, "left_loyal", "run", WorkClass.AT_RISK)
    end = next_step(
        load_playbook(), occasion, [Event(at("02 10:00"), Kind.STARTED), found.event()], at("13 10:00"), OFFICE
    )
    assert end.result == "expired"


def test_what_somebody_works_on_or_waits_for_does_not_expire():
    limit = replace(RULES, stale_days=10)
    assert expired([watched("12 12:00")], {"occasion": at("10 12:00")}, limit, at("12 12:00")) == []
    paused = watched("22 12:00", Event(at("02 10:10"), Kind.PAUSED, reason="customer"))
    assert expired([paused], {}, limit, at("22 12:00")) == []
    done = watched("22 12:00", Event(at("02 10:10"), Kind.STOPPED, reason="refusal"))
    assert expired([done], {}, limit, at("22 12:00")) == []


@pytest.mark.parametrize(
    ("settings", "sentence"), [({"digest_hour": 24}, "24 is no hour"), ({"stale_days": 0}, "stale_days: 0")]
)
def test_rules_that_make_no_sense_are_named(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        escalation_rules(settings, CRM.HUBSPOT)


PLAYBOOK = load_playbook()
BUDGET = NoticeRules(least=10, acted_share=0.2, span_days=30, a_day=3)
DAY = timedelta(days=1)


def sent(count: int, acted: int, rule="left_loyal", ago=2) -> list[Sent]:
    moment = at("20 10:00") - ago * DAY
    return [Sent(rule, "ann", moment, moment + timedelta(hours=1) if n < acted else None) for n in range(count)]


def heard(*history: Sent) -> dict:
    return voices(PLAYBOOK, history, BUDGET, at("20 10:00"), time_to_act=DAY)


def test_a_noisy_rule_mutes_itself_and_says_so():
    voice = heard(*sent(20, 3))["left_loyal"]
    assert (voice.is_muted, voice.share) == (True, 0.15)
    assert voice.said.words("ru") == (
        "Правило left_loyal больше не уведомляет: за 30 дн. отправлено 20, отработано 3 (15 %)."
    )
    assert not heard(*sent(20, 4))["left_loyal"].is_muted


def test_a_rule_is_judged_on_enough_notices_old_enough_and_not_too_old():
    assert not heard(*sent(9, 0))["left_loyal"].is_muted
    assert not heard(*sent(30, 0, ago=0))["left_loyal"].is_muted
    assert not heard(*sent(30, 0, ago=31))["left_loyal"].is_muted
    late = [replace(one, acted_at=one.at + 3 * DAY) for one in sent(20, 0)]
    assert heard(*late)["left_loyal"].is_muted


def test_only_listed_rules_notify_and_only_so_many_a_day():
    voices_ = heard()
    assert set(voices_) == {"left_loyal", "came_back", "upsell_window"}

    def answer(rule="left_loyal", count=0, found=voices_, **more):
        said = may_notify(rule, "ann", found, {"ann": count}, BUDGET, **{"off_season": False, **more})
        return None if said is None else said.code

    assert answer() is None
    assert answer("rhythm_late") == "notice.unlisted"
    assert answer(count=3) == "notice.full"
    assert answer(off_season=True) == "notice.quiet"
    assert answer("came_back", off_season=True) is None
    assert answer(found=heard(*sent(20, 0))) == "notice.muted"


@pytest.mark.parametrize(
    ("notices_", "sentence"),
    [
        ([1], "a mapping"),
        ({"most": 1}, "a mapping"),
        ({"acted_percent": 101}, "no percentage"),
        ({"least": 0}, "least"),
    ],
)
def test_a_budget_that_makes_no_sense_is_named(notices_, sentence):
    with pytest.raises(ValueError, match=sentence):
        notice_rules({"notices": notices_})


def test_the_usual_budget():
    assert notice_rules({}) == NoticeRules()
    assert notice_rules({"notices": {"acted_percent": 30}}).acted_share == 0.3
