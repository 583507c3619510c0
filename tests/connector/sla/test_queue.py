from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from connector.sla.clock import ClockState, State
from connector.sla.events import Clock
from connector.sla.phrases import Said, age, phrase, span
from connector.sla.policy import WorkClass
from connector.sla.queue import Work, expected_margin, ordered, pressing_clock, queues
from connector.wording import Language

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def clock(state: State, minutes: int = 30, **more) -> ClockState:
    figure = {State.BREACHED: "by", State.MET: "spare"}.get(state, "left")
    due = NOW - timedelta(minutes=minutes) if state is State.BREACHED else NOW + timedelta(minutes=minutes)
    return ClockState(
        Clock.FIRST_CONTACT, state, due_at=due, **{figure: timedelta(minutes=minutes)}, **more
    )  # fmt: skip


def work(key: str, *clocks: ClockState, **more) -> Work:
    words = {
        "number": 1, "manager_id": "7", "rule": "left_loyal", "work_class": WorkClass.LOYAL,
        "monetary": Decimal(1000), "frequency": 2, "since": NOW - timedelta(hours=1),
    }  # fmt: skip
    return Work(key=key, clocks=clocks, **{**words, **more})


def keys(works) -> list[str]:
    return [place.work.key for place in ordered(works)]


def test_deadlines_come_before_everything_else():
    works = [
        work("paused", clock(State.PAUSED, why="customer"), work_class=WorkClass.VIP),
        work("none", work_class=WorkClass.VIP),
        work("running", clock(State.RUNNING), work_class=WorkClass.VIP),
        work("at risk", clock(State.AT_RISK), work_class=WorkClass.PROMISING),
        work("breached", clock(State.BREACHED), work_class=WorkClass.SLEEPING),
    ]
    assert keys(works) == ["breached", "at risk", "running", "none", "paused"]


def test_then_the_order_of_work_then_risk_then_value_times_orders():
    works = [
        work("sleeping", work_class=WorkClass.SLEEPING, monetary=Decimal(10**6)),
        work("small", monetary=Decimal(100), frequency=50),
        work("large", monetary=Decimal(3000), frequency=2),
        work("may leave", monetary=Decimal(1), churn_risk=True),
        work("vip", work_class=WorkClass.VIP, monetary=Decimal(1)),
    ]
    assert keys(works) == ["vip", "may leave", "large", "small", "sleeping"]


def test_where_every_margin_is_known_a_minute_is_spent_where_it_brings_most():
    works = [
        work("vip", work_class=WorkClass.VIP, expected_margin=Decimal(100), minutes=20),
        work("quick", work_class=WorkClass.SLEEPING, expected_margin=Decimal(30), minutes=2),
        work("pressing", clock(State.AT_RISK), expected_margin=Decimal(1)),
    ]
    assert keys(works) == ["pressing", "quick", "vip"]
    unknown = replace(works[0], expected_margin=None)
    assert keys([unknown, *works[1:]]) == ["pressing", "vip", "quick"]


def test_fewer_attempts_and_first_come_settle_the_rest_whatever_the_order_of_rows():
    works = [
        work("tried", attempts=1, since=NOW - timedelta(days=3)),
        work("late come", since=NOW - timedelta(hours=1)),
        work("first come", since=NOW - timedelta(days=2)),
    ]
    expected = ["first come", "late come", "tried"]
    for seed in range(5):
        random.Random(seed).shuffle(works)
        assert keys(works) == expected


def test_the_clock_that_presses_most_is_the_works():
    ended = clock(State.BREACHED, ended_at=NOW)
    late, early = clock(State.RUNNING, 50), replace(clock(State.RUNNING, 10), clock=Clock.QUALIFIED)
    assert pressing_clock([ended, late, early]) is early
    assert pressing_clock([ended, clock(State.MET)]) is None


def test_each_manager_has_his_own_list_and_the_top_of_it():
    works = [work(str(n), manager_id=str(n % 2), monetary=Decimal(n)) for n in range(10)]
    found = queues(works, top=3)
    assert {who: [place.work.key for place in own] for who, own in found.items()} == {
        "0": ["8", "6", "4"], "1": ["9", "7", "5"],
    }  # fmt: skip
    assert [place.position for place in found["0"]] == [1, 2, 3]


def test_the_reasons_are_in_words():
    at_risk = ordered([work("a", clock(State.AT_RISK, 20), churn_risk=True, attempts=2)])[0]
    assert at_risk.reasons(NOW, "ru", "RUB") == [
        "осталось 20 мин", "может уйти", "порядок работы: 2-я очередь", "1 000,00 ₽ × 2 заказа", "попыток: 2",
        "в очереди 1 ч 00 мин",
    ]  # fmt: skip
    late = ordered([work("a", clock(State.BREACHED, 125), expected_margin=Decimal(50), since=NOW - timedelta(3))])[0]
    assert late.reasons(NOW, "en", "USD") == [
        "due 2 h 05 min ago", "expected margin $3.33 a minute", "in the queue for 3 days",
    ]  # fmt: skip
    paused = ordered([work("a", clock(State.PAUSED, why="customer"))])[0]
    assert paused.reasons(NOW, "en", "USD")[0] == "waiting: the customer's answer"
    own = ordered([work("a", clock(State.PAUSED, why="inventory"))])[0]
    assert own.reasons(NOW, "ru", "RUB")[0] == "ждём: inventory"
    assert ordered([work("a")])[0].reasons(NOW, "ru", "RUB")[0] == "без срока"


def test_an_expected_margin_is_order_times_share_times_chance():
    assert expected_margin(Decimal(10000), Decimal("0.3"), 0.05) == Decimal(150)


def test_work_that_takes_no_time_is_refused():
    with pytest.raises(ValueError, match="no time"):
        work("a", minutes=0)


@pytest.mark.parametrize(
    ("length", "russian", "english"),
    [
        (timedelta(seconds=59), "0 мин", "0 min"),
        (timedelta(minutes=59), "59 мин", "59 min"),
        (timedelta(hours=30), "30 ч 00 мин", "30 h 00 min"),
        (-timedelta(minutes=5), "0 мин", "0 min"),
    ],
)
def test_spans_of_working_time(length, russian, english):
    assert (span(length, "ru"), span(length, "en")) == (russian, english)


def test_an_age_is_in_days_from_a_day_on():
    assert age(timedelta(hours=23), "en") == "23 h 00 min"
    assert age(timedelta(days=21, hours=5), "ru") == "21 день"


@pytest.mark.parametrize("language", Language)
def test_a_code_without_a_phrase_is_refused(language):
    assert Said("queue.no_clock").words(language)
    for code in ("queue.nothing", "nothing.at_all", "span.days"):
        with pytest.raises(ValueError, match="no phrase"):
            phrase(code, language)


def test_both_languages_have_the_same_phrases():
    from connector.sla.phrases import _book  # noqa: PLC0415

    russian, english = (_book(language) for language in (Language.RU, Language.EN))
    assert {part: set(words) for part, words in russian.items()} == {
        part: set(words) for part, words in english.items()
    }
