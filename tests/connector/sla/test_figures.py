from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.sla.calendars import calendar_from
from connector.sla.clock import clock_states
from connector.sla.credit import Credit, Source, Touched, credit_orders, credited
from connector.sla.events import Channel, Clock, Contact, Event, Kind, Target
from connector.sla.figures import (
    Case,
    Cell,
    Left,
    Minimum,
    Period,
    answer_of,
    cards,
    figures,
    mark,
    report,
)
from connector.sla.policy import Term, Unit, WorkClass

MOSCOW = ZoneInfo("Europe/Moscow")
OFFICE = calendar_from({}, MOSCOW)
MINUTE = timedelta(minutes=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=MOSCOW).astimezone(UTC)


def case(number=1, **more) -> Case:
    words = {
        "rule": "left_loyal", "work_class": WorkClass.VIP, "manager_id": "7", "started_at": at("2026-03-02 10:00"),
    }  # fmt: skip
    return Case(number=number, **{**words, **more})


# Four cases of three customers that can be added up by hand.
TABLE = [
    case(1, attempts=1, contacted=True, response=10 * MINUTE, met=True, done=True, stage=2, closed=True, won=True,
         revenue=Decimal(1000), margin=Decimal(300), spent=30 * MINUTE),
    case(2, attempts=3, contacted=True, response=90 * MINUTE, met=False, done=True, stage=1, closed=True,
         spent=30 * MINUTE),
    case(2, attempts=2, response=None, met=False, done=True, refused=True),
    case(3, attempts=0, met=None, won=True, closed=True, stage=2, revenue=Decimal("500.50"), margin=Decimal(100)),
]  # fmt: skip


def test_figures_that_can_be_added_up_by_hand():
    seen = figures(TABLE, stages=2)
    assert (seen.cases, seen.customers, seen.contact_share, seen.mean_attempts) == (4, 3, 0.5, 1.5)
    assert (seen.mean_response, seen.median_response) == (50 * MINUTE, 50 * MINUTE)
    assert (seen.met_share, seen.judged) == (1 / 3, 3)
    assert (seen.conversion, seen.win_rate, seen.stages) == (0.5, 2 / 3, (0.75, 0.5))
    assert (seen.average_order, seen.revenue, seen.revenue_per_customer) == (
        Decimal("750.25"), Decimal("1500.50"), Decimal("500.17"),
    )  # fmt: skip
    assert (seen.margin, seen.margin_per_customer, seen.margin_per_hour) == (
        Decimal("400.00"), Decimal("133.33"), Decimal("400.00"),
    )  # fmt: skip
    assert (seen.spent, seen.revenue_per_hour, seen.is_enough) == (60 * MINUTE, Decimal("1500.50"), False)


def test_a_median_does_not_follow_one_slow_answer():
    slow = [case(n, response=minutes * MINUTE, met=True) for n, minutes in enumerate((5, 6, 7, 600))]
    seen = figures(slow)
    assert (seen.mean_response, seen.median_response) == (154.5 * MINUTE, 6.5 * MINUTE)


def test_figures_of_nothing_are_none():
    assert figures([]) is None
    seen = figures([case()])
    assert {seen.mean_response, seen.median_response, seen.met_share, seen.win_rate} == {None}
    assert {seen.average_order, seen.revenue_per_hour} == {None}
    unknown = figures([case(won=True, revenue=Decimal(5), spent=60 * MINUTE)])
    assert (unknown.margin, unknown.margin_per_customer, unknown.margin_per_hour) == (None, None, None)


def test_a_report_has_every_cell_and_its_totals():
    cases = [
        case(1),
        case(2, manager_id="8"),
        case(3, work_class=WorkClass.LOYAL, manager_id=None),
        case(4, started_at=at("2026-03-09 00:30")),
    ]
    found = report(cases, MOSCOW, Period.WEEK)
    first, second = date(2026, 3, 2), date(2026, 3, 9)
    assert {cell: seen.cases for cell, seen in found.items()} == {
        Cell(first): 3, Cell(first, "", "7"): 1, Cell(first, "", "8"): 1, Cell(first, "", "—"): 1,
        Cell(first, "vip"): 2, Cell(first, "vip", "7"): 1, Cell(first, "vip", "8"): 1,
        Cell(first, "loyal"): 1, Cell(first, "loyal", "—"): 1,
        Cell(second): 1, Cell(second, "", "7"): 1, Cell(second, "vip"): 1, Cell(second, "vip", "7"): 1,
    }  # fmt: skip
    assert {cell.start for cell in report(cases, MOSCOW, Period.MONTH)} == {date(2026, 3, 1)}


@given(st.lists(st.builds(case, number=st.integers(1, 5), manager_id=st.sampled_from(["7", "8", None]),
                          work_class=st.sampled_from(WorkClass), won=st.booleans(),
                          revenue=st.decimals(0, 10000, places=2))))  # fmt: skip
def test_managers_add_up_to_the_class_and_classes_to_the_whole(cases):
    found = report(cases, MOSCOW, Period.MONTH)
    total = sum(seen.cases for cell, seen in found.items() if cell.work_class and cell.manager_id)
    assert total == sum(seen.cases for cell, seen in found.items() if not cell.work_class and not cell.manager_id)
    assert total == len(cases)
    revenue = sum(seen.revenue for cell, seen in found.items() if cell.work_class and cell.manager_id)
    assert revenue == sum(one.revenue for one in cases if one.won)


def first_contact(*more: Event, now: str):
    target = Target(Clock.FIRST_CONTACT, Term(60, Unit.MINUTES), "sla@1")
    log = [Event(at("2026-03-02 10:00"), Kind.STARTED, by="7", targets=(target,)), *more]
    return answer_of(clock_states(log, at(now), OFFICE)[Clock.FIRST_CONTACT])


def test_an_answer_is_measured_in_working_time_without_pauses():
    talk = Contact(Channel.CALL, completed=True, seconds=60)
    met = Event(at("2026-03-02 10:50"), Kind.CONTACT, contact=talk)
    late = Event(at("2026-03-03 09:10"), Kind.CONTACT, contact=talk)
    pause = [Event(at("2026-03-02 10:20"), Kind.PAUSED, reason="customer"), Event(at("2026-03-02 10:40"), Kind.RESUMED)]
    assert first_contact(met, now="2026-03-05 10:00") == (50 * MINUTE, 10 * MINUTE, True)
    assert first_contact(met, *pause, now="2026-03-05 10:00") == (30 * MINUTE, 30 * MINUTE, True)
    assert first_contact(late, now="2026-03-05 10:00") == (490 * MINUTE, -430 * MINUTE, False)
    assert first_contact(now="2026-03-02 10:30") == (None, None, None)
    assert first_contact(now="2026-03-02 12:00") == (None, None, False)
    ended = Event(at("2026-03-02 10:30"), Kind.STOPPED, reason="gone")
    assert first_contact(ended, now="2026-03-05 10:00") == (None, None, None)
    reset = Event(at("2026-03-02 12:00"), Kind.RESET)
    assert first_contact(met, reset, now="2026-03-05 10:00") == (50 * MINUTE, None, True)


def test_a_personal_minimum_is_a_mark_by_the_weight_of_classes():
    vip = figures([case(n, contacted=True, met=n < 15) for n in range(20)])
    loyal = figures([case(n, contacted=n < 10, met=True) for n in range(20)])
    least = {
        WorkClass.VIP: Minimum(0.9, 0.8, weight=3),
        WorkClass.LOYAL: Minimum(0.9, 0.5),
        WorkClass.SLEEPING: Minimum(1, 1, weight=9),
    }
    found = mark({WorkClass.VIP: vip, WorkClass.LOYAL: loyal}, least)
    assert found.mark == pytest.approx((3 * (0.75 / 0.9 + 1) / 2 + 1) / 4)
    assert (found.short, found.is_enough) == ((WorkClass.VIP,), True)
    assert mark({WorkClass.VIP: vip}, {}) is None


@pytest.mark.parametrize(
    ("cases", "left", "code"),
    [
        ([case(n, done=True, won=True) for n in range(19)], None, "card.few"),
        ([case(n, done=n < 4, won=True) for n in range(25)], None, "card.unseen"),
        ([case(n, done=True, contacted=True) for n in range(25)], None, "card.fruitless"),
        ([case(n, done=True, won=n < 5) for n in range(25)], None, "card.keep"),
        ([case(n, done=True, won=n < 5) for n in range(25)], Left(50, 5), "card.keep"),
        ([case(n, done=True, won=n < 5) for n in range(25)], Left(50, 10), "card.harmful"),
        ([case(n, done=True, won=n < 5) for n in range(25)], Left(19, 19), "card.keep"),
    ],
)
def test_a_rule_keeps_its_place_by_its_report_card(cases, left, code):
    card = cards(cases, None if left is None else {"left_loyal": left})["left_loyal"]
    assert card.verdict.code == code
    assert card.retire is (code not in {"card.keep", "card.few"})
    assert card.verdict.words("ru")


def test_a_report_card_counts_what_happened():
    found = cards(
        [*TABLE, case(9, rule="soft_touch", postponed=2)], {"left_loyal": Left(100, 10), "soft_touch": Left(0, 0)}
    )
    card = found["left_loyal"]
    assert (card.created, card.done, card.contact, card.refusal, card.won, card.minutes) == (4, 3, 2, 1, 2, 60)
    assert card.uplift == pytest.approx(0.4)
    assert (found["soft_touch"].postponed, found["soft_touch"].uplift) == (2, None)


def test_an_order_is_credited_to_the_first_or_last_touch_before_it():
    order = at("2026-03-31 12:00")
    touches = [
        Touched(at("2026-02-01 12:00"), Source.SEQUENCE, "old"),
        Touched(at("2026-03-10 12:00"), Source.MAILING, "spring"),
        Touched(at("2026-03-20 12:00"), Source.SEQUENCE, "last_call"),
        Touched(at("2026-04-01 12:00"), Source.INBOUND, "later"),
    ]
    assert credited(touches, order, Credit.FIRST).label == "spring"
    assert credited(reversed(touches), order, Credit.LAST).label == "last_call"
    assert credited(touches, order, Credit.LAST, within=timedelta(days=1)) is None
    split = credit_orders([(order, Decimal(100), touches), (order, Decimal(7), [])], Credit.LAST)
    assert (split.orders, split.revenue) == (
        {Source.SEQUENCE: 1, None: 1}, {Source.SEQUENCE: Decimal(100), None: Decimal(7)},
    )  # fmt: skip
