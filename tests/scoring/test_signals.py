from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from statistics import median
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.errors import BadFrame
from scoring.frames import Orders
from scoring.signals import (
    LAST_CALL_AT,
    OrderDays,
    Position,
    amount_fell,
    frequency_fell,
    large_from,
    month_weights,
    order_days,
    rhythm,
    season,
    second_order_late,
)

EPOCH = date(1970, 1, 1)


def number(day: date) -> int:
    return (day - EPOCH).days


AS_OF = number(date(2026, 6, 30))


def histories(*customers: list[int] | list[tuple[int, int]], as_of: int = AS_OF) -> OrderDays:
    """Customers as lists of days before as-of, or of (days before, amount in roubles)."""
    rows = [
        (who, as_of - row[0], row[1] * 100) if isinstance(row, tuple) else (who, as_of - row, 1000)
        for who, rows in enumerate(customers)
        for row in rows
    ]
    who, day, amount = (np.array(column) for column in zip(*rows, strict=True))
    return order_days(Orders(who.astype(np.int64), day.astype(np.int32), amount.astype(np.int64)), as_of=as_of)


# Every 60 days, so a silence of 60 is one interval; the last example is "every 6 months, 8 months silent".
@pytest.mark.parametrize(
    ("days_before", "position"),
    [
        ([10], Position.UNKNOWN),
        ([10, 70], Position.UNKNOWN),
        ([10, 10, 70], Position.UNKNOWN),
        ([45, 105, 165], Position.RECENT),
        ([46, 106, 166], Position.SOON),
        ([75, 135, 195], Position.SOON),
        ([76, 136, 196], Position.LATE),
        ([120, 180, 240], Position.LATE),
        ([121, 181, 241], Position.VERY_LATE),
        ([240, 300, 360], Position.VERY_LATE),
        ([241, 301, 361], Position.INACTIVE),
        ([240, 420, 600], Position.LATE),
    ],
)
def test_where_a_customer_stands_in_his_own_cycle(days_before, position):
    assert rhythm(histories(days_before)).position[0] == position


def test_the_last_call_comes_within_very_late():
    calls = {
        silence: bool(rhythm(histories([silence, silence + 60, silence + 120])).last_call[0])
        for silence in (120, 179, 180, 240, 241)
    }
    assert calls == {120: False, 179: False, 180: True, 240: True, 241: False}
    assert LAST_CALL_AT * 60 == 180


@pytest.mark.parametrize(
    ("earlier", "now", "fell"),
    [(6, 1, True), (6, 3, False), (4, 0, True), (3, 0, False), (2, 0, False), (10, 5, False), (20, 10, True)],
)
def test_frequency_falls_when_half_is_lost_and_not_by_accident(earlier, now, fell):
    days = [*range(89, 89 - now, -1), *range(179, 179 - earlier, -1)]
    found = frequency_fell(histories(days))
    assert (found.before[0], found.now[0], bool(found.fell[0])) == (earlier, now, fell)


def test_the_chance_of_a_fall_is_the_binomial_tail():
    found = frequency_fell(histories([*range(100, 104), 10], [*range(100, 103)]))
    assert found.chance == pytest.approx([6 / 32, 1 / 8])


def test_a_dead_month_is_no_fall():
    """Four orders in spring and none in a summer that brings a tenth of the usual."""
    spring = histories([95, 110, 130, 150])
    months = np.ones(12)
    months[3:6] = 0.1
    summer = season(AS_OF - 200, AS_OF, months)
    assert frequency_fell(spring).fell[0]
    assert not frequency_fell(spring, when=summer).fell[0]


@pytest.mark.parametrize(
    ("amounts", "before", "now", "fell"),
    [
        ([100, 100, 100, 60, 60, 60], 100, 60, True),
        ([100, 100, 100, 61, 61, 61], 100, 61, False),
        ([100, 100, 100, 20, 20, 110], 100, 20, False),
        ([100, 100, 900, 60, 50, 55], 100, 55, True),
        ([100, 100, 60, 60, 60], None, None, False),
        ([9000] * 9 + [100] * 12 + [60] * 3, 100, 60, True),
    ],
)
def test_amounts_fall_by_medians_and_one_large_order_changes_nothing(amounts, before, now, fell):
    found = amount_fell(histories([(200 - 5 * at, amount) for at, amount in enumerate(amounts)]))
    assert bool(found.fell[0]) is fell
    if before is not None:
        assert (found.before[0], found.now[0]) == (before, now)
    else:
        assert np.isnan(found.before[0])


def test_days_of_unknown_amount_raise_no_alarm():
    orders = Orders(
        np.zeros(6, np.int64), np.arange(AS_OF - 6, AS_OF, dtype=np.int32), np.array([9, 9, 9, 1, 1, 0], np.int64),
        known=np.array([True] * 5 + [False]),
    )  # fmt: skip
    assert not amount_fell(order_days(orders, as_of=AS_OF)).fell[0]


def test_a_second_order_is_late_when_most_others_had_come_by_then():
    base = [[300, 300 - gap] for gap in range(1, 101)]
    found = second_order_late(histories([75], [76], *base))
    assert found.border == 75
    assert found.late[:2].tolist() == [False, True]
    assert not found.late[2:].any()
    assert second_order_late(histories([200], *base[:49])).border is None
    assert second_order_late(histories([76]), border=75).late.tolist() == [True]


def test_refunds_and_later_orders_are_not_seen():
    orders = Orders(
        np.array([3, 3, 3, 1], np.int64), np.array([5, 5, 9, 7], np.int32), np.array([100, 250, 100, -50], np.int64),
        counts=np.array([True, True, True, False]),
    )  # fmt: skip
    days = order_days(orders, as_of=8)
    assert (days.number.tolist(), days.day.tolist(), days.amount.tolist()) == ([3], [5], [3.5])
    empty = order_days(orders, as_of=4)
    assert len(empty.number) == len(empty.days) == 0
    assert not len(rhythm(empty).ratio)
    assert not len(frequency_fell(empty).fell)
    assert second_order_late(empty).border is None
    assert month_weights(empty) is None


def test_a_season_is_found_in_whole_years_and_stills_the_clock():
    """Orders every day except in July; customer 0 last bought on 30 June after buying every ten days."""
    end = number(date(2026, 7, 31))
    base = [end - day for day in range(end - 3 * 365, end + 1) if (EPOCH + timedelta(day)).month != 7]
    own = [31 + 10 * n for n in range(5)]
    found = histories(own, base, as_of=end)
    months = month_weights(found)
    assert months is not None
    assert months[6] == 0
    assert months[[0, 3, 11]] == pytest.approx(365 / 334, rel=0.03)
    when = season(end - 4 * 365, end, months)
    assert rhythm(found).position[0] == Position.VERY_LATE
    assert rhythm(found, when).position[0] == Position.RECENT
    assert (when.is_off(end), when.is_off(end - 40)) == (True, False)


def test_days_on_which_customers_are_closed_do_not_count():
    when = season(0, 20, closed=range(11, 18))
    assert when.total(10, 20) == 3
    with pytest.raises(BadFrame, match="does not cover"):
        when.total(10, 21)


def test_one_year_tells_no_season():
    assert month_weights(histories([*range(400)])) is None


@pytest.mark.parametrize(
    ("values", "border"), [([], 0), ([5], 5), ([1, 2, 3, 4, 5], 4), ([1, 1, 1, 1, 9, 9], 9), (range(1, 11), 8)]
)
def test_the_border_of_the_largest_fifth(values, border):
    assert large_from(np.array(list(values), dtype=float)) == border


def _plain(days: list[int]) -> int:
    days = sorted(set(days))
    if len(days) < 3:
        return 0
    gaps = [later - earlier for earlier, later in pairwise(days)]
    ratio = (AS_OF - days[-1]) / (sum(gaps) / len(gaps))
    return 1 + sum(ratio > border for border in (0.75, 1.25, 2.0, 4.0))


@given(st.lists(st.lists(st.integers(0, 400), min_size=1, max_size=20), min_size=1, max_size=8), st.randoms())
@settings(max_examples=80, deadline=None)
def test_many_customers_at_once_are_each_by_himself(customers, chance):
    whole = histories(*customers)
    shuffled = [chance.sample(days, len(days)) for days in customers]
    again = histories(*shuffled)
    assert rhythm(whole).position.tolist() == rhythm(again).position.tolist()
    assert rhythm(whole).position.tolist() == [_plain([AS_OF - day for day in days]) for days in customers]
    flat = season(AS_OF - 500, AS_OF)
    assert rhythm(whole, flat).ratio == pytest.approx(rhythm(whole).ratio, nan_ok=True)
    for at, days in enumerate(customers):
        alone = histories(days)
        assert frequency_fell(alone).fell[0] == frequency_fell(whole).fell[at]
        assert amount_fell(alone).fell[0] == amount_fell(whole).fell[at]


@given(st.lists(st.integers(1, 1000), min_size=6, max_size=15))
@settings(max_examples=80, deadline=None)
def test_falling_amounts_agree_with_the_plain_definition(amounts):
    found = amount_fell(histories([(2 * at, amount) for at, amount in enumerate(reversed(amounts))]))
    before, now = median(amounts[-15:-3]), median(amounts[-3:])
    assert bool(found.fell[0]) is (now <= 0.6 * before and all(amount < before for amount in amounts[-3:]))


def test_a_million_order_days_take_no_time():
    chance = np.random.default_rng(7)
    who = chance.integers(0, 100_000, 1_000_000)
    day = chance.integers(AS_OF - 700, AS_OF, len(who)).astype(np.int32)
    begun = perf_counter()
    found = order_days(Orders(who, day, chance.integers(1, 9999, len(who))), as_of=AS_OF)
    known = rhythm(found).position > 0
    falls = frequency_fell(found).fell, amount_fell(found).fell
    assert perf_counter() - begun < 10
    assert known.mean() > 0.9
    assert all(0 < fell.mean() < 0.2 for fell in falls)
