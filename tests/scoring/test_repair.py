from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.features import summarise
from scoring.frames import Orders
from scoring.quality import Cause
from scoring.repair import Doubts, assumption, copies, repaired


def table(*rows):
    """Rows of (customer, day, amount)."""
    customer, day, amount = (np.array(column) for column in zip(*rows, strict=True))
    return Orders(customer.astype(np.int64), day.astype(np.int32), amount.astype(np.int64))


def doubts(orders, **marked):
    empty = np.zeros(len(orders), np.bool_)
    found = {name: empty.copy() for name in ("absent", "zero", "copies")}
    for name, places in marked.items():
        if name != "undated":
            found[name][places] = True
    return Doubts(found["absent"], found["zero"], found["copies"], marked.get("undated"))


def test_an_absent_amount_becomes_the_customers_median_of_two_middle_ones_the_lower():
    orders = table((1, 10, 300), (1, 11, 100), (1, 12, 0), (1, 13, 200), (1, 14, 900), (2, 10, 7))
    found = repaired(orders, doubts(orders, absent=[2]))
    assert found.amount.tolist() == [300, 100, 200, 200, 900, 7]


def test_an_amount_of_zero_becomes_an_order_of_the_usual_amount():
    orders = table((1, 10, 300), (1, 20, 0))
    counts = np.array([True, False])
    orders = Orders(orders.customer, orders.day, orders.amount, counts)
    found = repaired(orders, doubts(orders, zero=[1]))
    assert (found.amount.tolist(), found.counts.tolist()) == ([300, 300], [True, True])
    before, after = (summarise(some, as_of=30, window=365) for some in (orders, found))
    assert (before.recency[0], before.frequency[0], after.recency[0], after.frequency[0]) == (20, 1, 10, 2)


def test_whoever_has_no_known_amount_stays_as_he_is():
    orders = table((1, 10, 0), (2, 10, 500))
    assert repaired(orders, doubts(orders, absent=[0])).amount.tolist() == [0, 500]


def test_a_copy_goes_and_a_deal_without_a_date_comes():
    orders = table((1, 10, 300), (1, 10, 300), (2, 5, 1))
    found = repaired(orders, doubts(orders, copies=[1], undated=table((2, 9, 40))))
    assert sorted(zip(found.customer.tolist(), found.day.tolist(), found.amount.tolist(), strict=True)) == [
        (1, 10, 300), (2, 5, 1), (2, 9, 40),
    ]  # fmt: skip


def test_an_amount_without_a_rate_is_no_usual_amount():
    orders = table((1, 10, 300), (1, 11, 900), (1, 12, 0))
    orders = Orders(orders.customer, orders.day, orders.amount, None, np.array([False, True, True]))
    assert repaired(orders, doubts(orders, absent=[2])).amount.tolist() == [300, 900, 900]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 3)), max_size=40), st.booleans())
def test_all_but_one_of_equal_orders_are_copies_in_any_order_of_rows(rows, in_order):
    rows = sorted(rows, key=lambda row: row[:2]) if in_order else rows
    columns = [np.array(column, dtype) for column, dtype in zip(
        zip(*rows, strict=True) if rows else ((), (), ()), (np.int64, np.int32, np.int64), strict=True
    )]  # fmt: skip
    marked = copies(*columns)
    kept = Counter(row for row, copy in zip(rows, marked, strict=True) if not copy)
    assert all(count == 1 or row[2] == 0 for row, count in kept.items())
    assert set(kept) == set(rows)


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_says_what_is_assumed(cause):
    assert assumption(cause, "en")
    assert assumption(cause, "ru") != assumption(cause, "en")
