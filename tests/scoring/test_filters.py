from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from scoring.features import summarise
from scoring.filters import Filters, Period, Season
from tests.scoring.brute import Row, orders


def number(text):
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def days(*texts):
    return np.array([number(text) for text in texts], dtype=np.int32)


def test_nothing_filtered_keeps_the_very_same_orders():
    given = orders([Row(1, 5, Decimal(1))])
    assert Filters().sift(given) is given
    assert not Filters().of_arrays
    assert not Filters().of_store


def test_period_leaves_out_both_of_its_ends():
    sieve = Filters(without_periods=(Period(date(2026, 3, 1), date(2026, 3, 31)),))
    kept = sieve.keep_days(days("2026-02-28", "2026-03-01", "2026-03-31", "2026-04-01", "2025-03-15"))
    assert kept.tolist() == [True, False, False, True, True]


def test_season_leaves_out_its_days_of_every_year():
    sieve = Filters(without_seasons=(Season((2, 29), (3, 8)),))
    kept = sieve.keep_days(days("2024-02-28", "2024-02-29", "2025-03-01", "2026-03-08", "2026-03-09"))
    assert kept.tolist() == [True, False, False, False, True]


def test_season_may_pass_over_new_year():
    sieve = Filters(without_seasons=(Season((12, 25), (1, 8)),))
    kept = sieve.keep_days(days("2025-12-24", "2025-12-25", "2026-01-08", "2026-01-09", "1969-12-31"))
    assert kept.tolist() == [True, False, False, True, False]


def test_every_day_of_four_years_has_its_calendar_day():
    some = np.arange(number("2023-01-01"), number("2027-01-01"), dtype=np.int32)
    sieve = Filters(without_seasons=(Season((4, 15), (4, 15)),))
    dropped = [date.fromordinal(day + date(1970, 1, 1).toordinal()) for day in some[~sieve.keep_days(some)].tolist()]
    assert dropped == [date(year, 4, 15) for year in (2023, 2024, 2025, 2026)]


def test_amount_limits_concern_orders_with_a_known_amount_and_no_refunds():
    rows = [
        Row(1, 5, Decimal("99.99")),
        Row(1, 5, Decimal(100)),
        Row(1, 5, Decimal(500)),
        Row(1, 5, Decimal("500.01")),
        Row(1, 5, Decimal(-50)),
        Row(1, 5, Decimal(7), known=False),
        Row(1, 5, None),
    ]
    kept = Filters(min_amount=Decimal(100), max_amount=Decimal(500)).keep(orders(rows))
    assert kept.tolist() == [False, True, True, False, True, True, False]


@pytest.mark.parametrize("places", [2, 4])
def test_amount_limits_hold_in_any_unit(places):
    rows = [Row(1, 5, Decimal("10.00")), Row(1, 5, Decimal("10.01"))]
    assert Filters(min_amount=Decimal("10.005")).keep(orders(rows, places)).tolist() == [False, True]


def test_order_that_is_filtered_out_does_not_exist_for_recency_either():
    rows = [Row(1, 100, Decimal(10)), Row(1, 200, Decimal(10)), Row(2, 200, Decimal(10))]
    sieve = Filters(without_periods=(Period(date(1970, 7, 1), date(1970, 8, 1)),))
    summary = summarise(sieve.sift(orders(rows)), as_of=300, window=365)
    assert (summary.number.tolist(), summary.recency.tolist(), summary.frequency.tolist()) == ([1], [200], [1])
