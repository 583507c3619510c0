from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.errors import BadFrame
from scoring.features import summarise
from scoring.frames import Orders

LARGEST = 2**63 - 1
amounts = st.integers(0, 2**20) | st.integers(0, LARGEST) | st.integers(2**31 - 2, 2**31 + 2)


def _summed(rows, places, *, ordered):
    rows = sorted(rows, key=lambda row: row[0], reverse=not ordered)
    customer, amount = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    day = np.zeros(len(rows), dtype=np.int32)
    # The second customer only makes descending rows unsorted.
    orders = Orders(customer, day, amount, counts=amount > 0, places=places)
    return summarise(orders, as_of=0, window=1).monetary.tolist()


def _exact(units, places):
    return int(Decimal(units).scaleb(2 - places).quantize(Decimal(1), rounding=ROUND_HALF_UP))


@given(
    st.lists(amounts, min_size=1, max_size=20),
    st.lists(amounts, max_size=5),
    st.integers(3, 8),
    st.booleans(),
)
def test_sums_beyond_64_bits_stay_exact(orders, refunds, places, ordered):
    mine = [(0, 1)] + [(0, value) for value in orders if value] + [(0, -value) for value in refunds]
    total = _exact(sum(value for _, value in mine), places)
    if abs(total) > LARGEST:
        with pytest.raises(BadFrame, match="too large"):
            _summed([*mine, (1, 5)], places, ordered=ordered)
    else:
        assert _summed([*mine, (1, 5)], places, ordered=ordered) == [total, _exact(5, places)]


@pytest.mark.parametrize("ordered", [True, False], ids=["sorted", "unsorted"])
def test_sum_that_wraps_more_than_once_is_seen(ordered):
    rows = [(0, LARGEST)] * 9 + [(1, 1)]
    assert _summed(rows, 8, ordered=ordered) == [_exact(9 * LARGEST, 8), 0]


@pytest.mark.parametrize("ordered", [True, False], ids=["sorted", "unsorted"])
def test_sum_too_large_for_the_result_is_refused_and_not_wrapped(ordered):
    with pytest.raises(BadFrame, match="too large"):
        _summed([(0, LARGEST), (0, 1), (1, 1)], 2, ordered=ordered)


@pytest.mark.parametrize(
    ("units", "cents"),
    [(5, 1), (4, 0), (15, 2), (14, 1)],
)
def test_halves_are_rounded_up(units, cents):
    assert _summed([(0, units)], 3, ordered=True) == [cents]


def test_halves_below_zero_are_rounded_away_from_zero_like_decimal_half_up():
    assert _summed([(0, 10), (0, -15)], 3, ordered=True) == [-1]
    assert _summed([(0, 10), (0, -14)], 3, ordered=True) == [0]
