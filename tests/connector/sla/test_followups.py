from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from time import perf_counter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.records import CustomerKind, CustomerRef, Manager, Priority, TaskDraft, Team
from connector.sla.calendars import calendar_from
from connector.sla.followups import (
    CustomerState,
    FollowUpSettings,
    PastTasks,
    Touch,
    followup_key,
    followup_settings,
    plan_followups,
)
from connector.sla.people import People, people_from
from connector.sla.policy import WorkClass

MOSCOW = ZoneInfo("Europe/Moscow")
CALENDAR = calendar_from({}, MOSCOW)
TODAY = date(2025, 11, 24)
NOW = datetime(2025, 11, 24, 10, tzinfo=MOSCOW).astimezone(UTC)
PEOPLE = people_from({"default_manager": "9"}, [Manager(str(n), f"M{n}") for n in (1, 2, 9)], [])


def customer(number: int = 1, work_class: str = "loyal", *, was: str | None = None, **more) -> CustomerState:
    known = {
        "number": number,
        "ref": CustomerRef(CustomerKind.CONTACT, str(1000 + number)),
        "manager_id": "1",
        "segment": work_class,
        "work_class": WorkClass(work_class),
        "previous_work_class": None if was is None else WorkClass(was),
        "move_key": None if was is None else "run-7",
        "upsell": False,
        "upsell_turned_on_key": None,
        "recency": 100,
        "frequency": 5,
        "monetary": Decimal("500.00"),
        "quality": 90,
        "churn_risk": False,
    }
    return CustomerState(**(known | more))


def plan(*states, past=None, people=PEOPLE, on=TODAY, first_run=False, now=NOW, **words):
    return plan_followups(
        states,
        past or PastTasks(),
        people,
        CALENDAR,
        followup_settings(words, portal_key="hubspot:1", currency="RUB"),
        now=now,
        on=on,
        first_run=first_run,
    )


def rules(found) -> list[tuple[int, str]]:
    return [(followup.number, followup.rule) for followup in found]


def before(rule: str, days: int, in_month: int = 1, number: int = 1) -> PastTasks:
    return PastTasks({(number, rule): Touch(TODAY - timedelta(days=days), in_month)})


@pytest.mark.parametrize(
    ("was", "now_in", "rule"),
    [
        ("loyal", "at_risk", "left_loyal"),
        ("vip", "at_risk", "left_loyal"),
        ("sleeping", "promising", "came_back"),
        ("sleeping", "vip", "came_back"),
        ("promising", "at_risk", "return_plan"),
        ("vip", "loyal", "supportive_contact"),
        ("loyal", "sleeping", "soft_touch"),
        (None, "at_risk", "return_plan"),
    ],
)
def test_three_moves_are_news_and_the_others_wait_for_their_cadence(was, now_in, rule):
    assert rules(plan(customer(work_class=now_in, was=was))) == [(1, rule)]


def test_a_move_without_a_key_has_been_announced_before():
    assert rules(plan(customer(work_class="at_risk", was="loyal", move_key=None))) == [(1, "return_plan")]


def test_the_upsell_window_is_news_only_when_it_opens():
    opened = customer(upsell=True, upsell_turned_on_key="run-7")
    assert rules(plan(opened)) == [(1, "upsell_window")]
    assert rules(plan(customer(upsell=True))) == [(1, "supportive_contact")]


def test_two_news_of_one_customer_are_two_tasks_and_no_cadence():
    found = plan(customer(was="sleeping", upsell=True, upsell_turned_on_key="run-7"))
    assert rules(found) == [(1, "came_back"), (1, "upsell_window")]
    assert len({followup.key for followup in found}) == 2


def test_a_first_run_has_no_news():
    states = [customer(work_class="at_risk", was="loyal", upsell=True, upsell_turned_on_key="run-7")]
    assert rules(plan(*states, first_run=True)) == [(1, "return_plan")]


def test_news_is_not_budgeted_and_cadences_are_per_manager_and_day():
    states = [customer(n, "at_risk", was="loyal") for n in range(1, 31)]
    states += [customer(n, manager_id=str(1 + n % 2)) for n in range(100, 150)]
    found = plan(*states, past=PastTasks(created_today={"1": 7}), daily_budget=10)
    assert sum(followup.rule == "left_loyal" for followup in found) == 30
    given_to = [followup.manager_id for followup in found if followup.rule == "supportive_contact"]
    assert (given_to.count("1"), given_to.count("2")) == (3, 10)


def test_the_default_budget_is_ten_and_a_spent_one_gives_nothing():
    states = [customer(n) for n in range(1, 20)]
    assert len(plan(*states, first_run=True)) == 10
    assert plan(*states, past=PastTasks(created_today={"1": 12})) == []
    assert plan(*states, daily_budget=0) == []


def test_the_budget_is_that_of_whoever_gets_the_task():
    states = [customer(n, manager_id=None) for n in range(1, 10)] + [customer(n, manager_id="9") for n in range(10, 20)]
    found = plan(*states)
    assert len(found) == 10
    assert {followup.manager_id for followup in found} == {"9"}


def test_the_budget_is_filled_in_the_order_of_work():
    states = [
        customer(1, "sleeping"),
        customer(2, "at_risk"),
        customer(3, "promising"),
        customer(4, "loyal"),
        customer(5, "vip", monetary=Decimal(10)),
        customer(6, "vip", monetary=Decimal(90)),
        customer(7, "vip", monetary=Decimal(1), churn_risk=True),
        customer(8, "loyal", recency=3),
        customer(9, "loyal", recency=3),
    ]
    order = [7, 6, 5, 8, 9, 4, 3, 2, 1]
    assert [number for number, _ in rules(plan(*states))] == order
    assert [number for number, _ in rules(plan(*reversed(states), daily_budget=5))] == order[:5]


@pytest.mark.parametrize(
    ("work_class", "rule", "days", "is_due"),
    [
        ("vip", "supportive_contact", 29, False),
        ("vip", "supportive_contact", 30, True),
        ("loyal", "supportive_contact", 29, False),
        ("loyal", "upsell_window", 29, False),
        ("promising", "promising_contact", 13, False),
        ("promising", "promising_contact", 14, True),
        ("promising", "came_back", 13, False),
        ("at_risk", "return_plan", 29, False),
        ("at_risk", "return_plan", 30, True),
        ("at_risk", "left_loyal", 29, False),
        ("at_risk", "left_loyal", 30, True),
        ("at_risk", "supportive_contact", 1, True),
        ("sleeping", "soft_touch", 0, False),
        ("sleeping", "soft_touch", 6, False),
        ("sleeping", "soft_touch", 7, True),
    ],
)
def test_a_cadence_is_due_again_when_its_days_are_over(work_class, rule, days, is_due):
    assert bool(plan(customer(work_class=work_class), past=before(rule, days))) is is_due


def test_a_fifth_soft_touch_in_a_month_waits_for_the_next():
    assert plan(customer(work_class="sleeping"), past=before("soft_touch", 7, in_month=4)) == []
    assert len(plan(customer(work_class="sleeping"), past=before("soft_touch", 7, in_month=3))) == 1


def test_a_year_of_daily_runs_keeps_every_limit():
    raised: list[date] = []
    for day in (TODAY + timedelta(days=n) for n in range(365)):
        in_month = sum((one.year, one.month) == (day.year, day.month) for one in raised)
        touches = {(1, "soft_touch"): Touch(raised[-1], in_month)} if raised else {}
        raised += [day for _ in plan(customer(work_class="sleeping"), past=PastTasks(touches), on=day)]
    weeks = [day.isocalendar()[:2] for day in raised]
    months = [(day.year, day.month) for day in raised]
    assert len(set(weeks)) == len(weeks)
    assert max(months.count(month) for month in months) == 4
    assert len(raised) >= 45


def test_planning_again_gives_the_same_keys_and_another_occasion_another():
    states = [customer(1, "at_risk", was="loyal"), customer(2, "sleeping"), customer(3)]
    first, again = plan(*states), plan(*reversed(states), now=NOW + timedelta(hours=3))
    assert [followup.key for followup in first] == [followup.key for followup in again]
    assert len({followup.key for followup in first}) == 3
    next_move = plan(customer(1, "at_risk", was="loyal", move_key="run-8"))
    assert next_move[0].key != first[0].key


def test_a_key_is_sixteen_hexadecimal_digits_that_stay_for_ever():
    ref = CustomerRef(CustomerKind.COMPANY, "45")
    assert followup_key("hubspot:1", ref, "left_loyal", "run-7") == "787ce566ad877d76"
    others = {
        followup_key("hubspot:2", ref, "left_loyal", "run-7"),
        followup_key("hubspot:1", CustomerRef(CustomerKind.CONTACT, "45"), "left_loyal", "run-7"),
        followup_key("hubspot:1", ref, "came_back", "run-7"),
        followup_key("hubspot:1", ref, "left_loyal", "run-8"),
    }
    assert len(others | {"787ce566ad877d76"}) == 5


def test_a_follow_up_says_who_when_and_why():
    (found,) = plan(customer(work_class="at_risk", was="vip", quality=30))
    assert found.customer == CustomerRef(CustomerKind.CONTACT, "1001")
    assert (found.rule, found.event_key, found.work_class) == ("left_loyal", "run-7", "at_risk")
    assert (found.manager_id, found.original_manager_id, found.routed_because) == ("1", "1", "manager")
    assert found.priority is Priority.HIGH
    # Poor history: 48 hours instead of 24.
    assert found.due_at == datetime(2025, 11, 26, 10, tzinfo=MOSCOW)
    assert "Сначала проверьте историю" in found.body
    assert found.problem is None
    assert found.draft() == TaskDraft(
        key=found.key,
        customer=found.customer,
        manager_id="1",
        title=found.title,
        body=found.body,
        due_at=found.due_at,
        priority=Priority.HIGH,
    )


def test_a_cadence_task_carries_its_period_and_its_priority():
    (found,) = plan(customer(work_class="sleeping"))
    assert (found.event_key, found.priority) == ("soft_touch:2025-11-24", Priority.LOW)
    assert found.due_at == datetime(2025, 11, 28, 18, tzinfo=MOSCOW)


def test_an_inactive_managers_task_goes_to_the_lead_who_is_told_why():
    people = people_from(
        {},
        [Manager("1", "Gone", active=False, team_ids=("10",)), Manager("3", "Head")],
        [Team("10", "Sales", lead_id="3")],
    )
    (found,) = plan(customer(work_class="at_risk", was="vip"), people=people, language="en")
    assert (found.manager_id, found.original_manager_id) == ("3", "1")
    assert found.routed_because == "team_lead:inactive"
    assert found.body.endswith("not active in the CRM.")


def test_a_task_nobody_can_take_is_reported_and_makes_no_draft():
    states = [customer(n) for n in range(1, 1000)]
    found = plan(*states, people=People())
    assert len(found) == 10
    assert all(followup.problem and followup.manager_id is None for followup in found)
    with pytest.raises(ValueError, match="nobody can take the task"):
        found[0].draft()


def test_language_currency_and_window_come_from_the_settings():
    (found,) = plan_followups(
        [customer(work_class="at_risk", was="vip")],
        PastTasks(),
        PEOPLE,
        CALENDAR,
        followup_settings({"language": "en", "window_days": 180}, portal_key="hubspot:1", currency="USD"),
        now=NOW,
        on=TODAY,
        first_run=False,
    )
    assert "In the last 180 days: 5 orders worth $500.00." in found.body


def test_the_terms_and_cadences_of_the_settings_are_used():
    states = [customer(work_class="vip")]
    (found,) = plan(*states, sla={"vip": {"minutes": 15}}, cadence={"supportive_contact": {"every_days": 5}})
    assert found.due_at == NOW + timedelta(minutes=15)
    past = before("supportive_contact", 5)
    assert plan(*states, past=past) == []
    assert len(plan(*states, past=past, cadence={"supportive_contact": {"every_days": 5}})) == 1


def test_defaults_are_those_of_the_contract():
    assert followup_settings({}, portal_key="hubspot:1", currency="RUB") == FollowUpSettings(
        portal_key="hubspot:1", currency="RUB"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"language": "de"}, "language: 'de' is not one of ru, en"),
        ({"daily_budget": -1}, "daily_budget: -1 is no whole number of at least 0"),
        ({"window_days": 0}, "window_days: 0 is no whole number of at least 1"),
        ({"sla": {"gold": {}}}, "sla: nothing is known of gold"),
        ({"cadence": {"gold": {}}}, "cadence: no rule is called gold"),
    ],
)
def test_settings_that_make_no_sense_are_named_in_a_sentence(words, sentence):
    with pytest.raises(ValueError, match=sentence):
        followup_settings(words, portal_key="hubspot:1", currency="RUB")


states_of_a_portal = st.lists(
    st.builds(
        customer,
        number=st.just(0),
        work_class=st.sampled_from(list(WorkClass)),
        was=st.one_of(st.none(), st.sampled_from(list(WorkClass))),
        manager_id=st.sampled_from(["1", "2", "9", "77", None]),
        monetary=st.integers(-5, 5).map(Decimal),
        recency=st.integers(0, 5),
        churn_risk=st.booleans(),
    ),
    max_size=40,
).map(lambda found: [customer(n, **_without(state)) for n, state in enumerate(found)])


def _without(state: CustomerState) -> dict:
    words = ("work_class", "manager_id", "monetary", "recency", "churn_risk")
    return {word: getattr(state, word) for word in words} | {"was": state.previous_work_class}


@given(states_of_a_portal, st.integers(0, 4), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_states_changes_nothing_and_no_budget_is_passed(states, budget, random):
    found = plan(*states, daily_budget=budget)
    random.shuffle(states)
    assert plan(*states, daily_budget=budget) == found
    news = {followup.number for followup in found if followup.rule in ("left_loyal", "came_back")}
    cadences = [followup for followup in found if followup.number not in news]
    for manager_id in {followup.manager_id for followup in cadences}:
        assert sum(followup.manager_id == manager_id for followup in cadences) <= budget
    assert len({followup.key for followup in found}) == len(found)


def test_the_plan_grows_no_faster_than_the_number_of_customers():
    def seconds(count: int) -> float:
        states = [customer(n, manager_id=str(1 + n % 2), monetary=Decimal(n * 7919 % 1000)) for n in range(count)]
        started = perf_counter()
        assert len(plan(*states)) == 20
        return perf_counter() - started

    seconds(1000)
    assert seconds(60_000) < 40 * max(seconds(6_000), 0.005)
