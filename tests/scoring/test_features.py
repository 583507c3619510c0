import math
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring import features, rhythm, runs, scatter
from scoring.errors import BadFrame
from scoring.features import Summary, summarise, summarise_chunks
from scoring.frames import Orders
from tests.scoring.brute import Row, count, orders

WINDOW = 30
AS_OF = 1000


def money(text):
    return Decimal(text)


@st.composite
def histories(draw, places=2):
    units = st.integers(-5000, 20000) | st.just(0)
    row = st.builds(
        Row,
        customer=st.integers(0, 6),
        day=st.integers(AS_OF - 60, AS_OF + 5),
        amount=st.none() | units.map(lambda value: Decimal(value).scaleb(-places)),
        known=st.sampled_from([True, True, True, False]),
    )
    return draw(st.lists(row, max_size=60))


def as_dict(summary: Summary):
    history = summary.history
    assert history is not None
    return {
        int(number): (
            int(summary.recency[i]),
            int(summary.frequency[i]),
            Decimal(int(summary.monetary[i])).scaleb(-2),
            int(history.orders_total[i]),
            int(history.order_days[i]),
            int(history.first_day[i]),
            None if math.isnan(history.median_gap[i]) else float(history.median_gap[i]),
            int(history.unknown_amounts[i]),
        )
        for i, number in enumerate(summary.number)
    }


def expected(rows, as_of=AS_OF, window=WINDOW):
    return {
        customer: (
            as_of - max(mine.days),
            mine.frequency,
            mine.monetary(),
            len(mine.days),
            len(set(mine.days)),
            min(mine.days),
            mine.median_gap(),
            mine.unknown,
        )
        for customer, mine in count(rows, as_of, window).items()
    }


def test_table_one_can_check_by_hand():
    rows = [
        Row(7, 1000, money("10.00")),
        Row(7, 971, money("5.50")),  # the window's first day
        Row(7, 970, money("100.00")),  # one day too old for F and M
        Row(7, 971, money("-3.00")),  # a refund on the window's first day
        Row(7, 970, money("-50.00")),  # a refund one day too old, whatever it was for
        Row(7, 1000, money("-0.25")),
        Row(7, 1001, money("999.00")),  # the future
        Row(3, 900, money("80.00")),  # scored with F and M of 0
        Row(5, 1000, money("-1.00")),  # refunds only: not scored
        Row(9, 995, None),  # no amount: an order of 0
        Row(9, 996, money("0.00")),  # an explicit 0 is a refund
        Row(9, 997, money("70.00"), known=False),  # no rate: counts, but not for M
    ]
    assert as_dict(summarise(orders(rows), as_of=1000, window=30)) == {
        3: (100, 0, money("0.00"), 1, 1, 900, None, 0),
        7: (0, 2, money("12.25"), 3, 3, 970, 15.0, 0),
        9: (3, 2, money("0.00"), 2, 2, 995, None, 1),
    }


@given(histories())
def test_any_order_of_rows_equals_the_brute_force(rows):
    assert as_dict(summarise(orders(rows), as_of=AS_OF, window=WINDOW)) == expected(rows)


@given(histories(), st.integers(1, 9), st.integers(1, 9))
def test_sorted_rows_in_any_blocks_equal_the_brute_force(rows, block, cells):
    ordered = orders(sorted(rows, key=lambda row: (row.customer, row.day)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "BLOCK_ROWS", block)
        patch.setattr(rhythm, "_CELLS", cells)
        assert as_dict(summarise(ordered, as_of=AS_OF, window=WINDOW)) == expected(rows)


@given(histories(), st.integers(1, 9))
def test_unsorted_rows_in_any_blocks_equal_the_brute_force(rows, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scatter, "SCATTER_ROWS", block)
        patch.setattr(scatter, "BLOCK_ROWS", block)
        patch.setattr(features, "BLOCK_ROWS", block)
        assert as_dict(summarise(orders(rows), as_of=AS_OF, window=WINDOW)) == expected(rows)


@given(histories(places=5))
def test_finer_amounts_are_summed_exactly_and_rounded_once(rows):
    assert as_dict(summarise(orders(rows, places=5), as_of=AS_OF, window=WINDOW)) == expected(rows)


@given(histories(), st.randoms())
def test_order_of_rows_does_not_matter(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    one, other = (as_dict(summarise(orders(r), as_of=AS_OF, window=WINDOW)) for r in (rows, shuffled))
    assert one == other


@given(histories())
def test_sparse_numbers_give_the_same_as_dense_ones(rows):
    sparse = [replace(row, customer=row.customer * 10**17 + 3) for row in rows]
    dense = as_dict(summarise(orders(rows), as_of=AS_OF, window=WINDOW))
    expected_sparse = {customer * 10**17 + 3: facts for customer, facts in dense.items()}
    assert as_dict(summarise(orders(sparse), as_of=AS_OF, window=WINDOW)) == expected_sparse


@given(histories())
def test_nothing_after_as_of_is_seen(rows):
    past = [row for row in rows if row.day <= AS_OF]
    one, other = (as_dict(summarise(orders(r), as_of=AS_OF, window=WINDOW)) for r in (rows, past))
    assert one == other


@given(histories(), st.integers(AS_OF - 60, AS_OF))
def test_one_more_order_never_makes_a_customer_less_recent(rows, day):
    before = as_dict(summarise(orders(rows), as_of=AS_OF, window=WINDOW))
    more = [*rows, Row(2, day, money("1.00"))]
    after = as_dict(summarise(orders(more), as_of=AS_OF, window=WINDOW))
    assert after[2][0] == min(AS_OF - day, before[2][0] if 2 in before else AS_OF)
    assert {k: v for k, v in after.items() if k != 2} == {k: v for k, v in before.items() if k != 2}


@given(histories(), st.data())
def test_chunks_give_the_same_as_the_whole(rows, data):
    rows = sorted(rows, key=lambda row: (row.customer, row.day))
    cuts = [i for i in range(1, len(rows)) if rows[i].customer != rows[i - 1].customer]
    chosen = sorted(data.draw(st.sets(st.sampled_from(cuts)))) if cuts else []
    edges = [0, *chosen, len(rows)]
    chunks = [orders(rows[a:b]) for a, b in pairwise(edges)]
    assert as_dict(summarise_chunks(chunks, as_of=AS_OF, window=WINDOW)) == expected(rows)


@given(histories())
def test_leaving_out_the_history_changes_nothing_else(rows):
    full = summarise(orders(rows), as_of=AS_OF, window=WINDOW)
    bare = summarise(orders(rows), as_of=AS_OF, window=WINDOW, history=False)
    assert bare.history is None
    for name in ("number", "last_day", "recency", "frequency", "monetary"):
        assert np.array_equal(getattr(full, name), getattr(bare, name))


def test_chunk_that_goes_on_with_the_last_customer_is_refused():
    chunk = orders([Row(1, 990, money("1.00"))])
    with pytest.raises(BadFrame, match="split no customer"):
        summarise_chunks([chunk, chunk], as_of=AS_OF, window=WINDOW)


def test_chunks_of_different_places_are_refused():
    chunks = [orders([Row(1, 990, money("1"))]), orders([Row(2, 990, money("1"))], places=3)]
    with pytest.raises(BadFrame, match="same places"):
        summarise_chunks(chunks, as_of=AS_OF, window=WINDOW)


def test_no_orders_give_an_empty_summary():
    assert len(summarise(orders([]), as_of=AS_OF, window=WINDOW)) == 0
    assert len(summarise_chunks([], as_of=AS_OF, window=WINDOW)) == 0


def test_only_future_orders_give_an_empty_summary_in_both_ways_of_counting():
    rows = [Row(2, 2000, money("1")), Row(1, 2000, money("1"))]
    assert len(summarise(orders(rows), as_of=AS_OF, window=WINDOW)) == 0
    assert len(summarise(orders(rows[::-1]), as_of=AS_OF, window=WINDOW)) == 0


@pytest.mark.parametrize("reverse", [False, True], ids=["sorted", "unsorted"])
def test_negative_customer_number_is_refused(reverse):
    rows = sorted([Row(-1, 990, money("1")), Row(4, 990, money("1"))], key=lambda r: r.customer, reverse=reverse)
    with pytest.raises(BadFrame, match="customer: a customer's number must be 0 or more"):
        summarise(orders(rows), as_of=AS_OF, window=WINDOW)


def _one(amount, *, counts):
    flags = np.array([counts])
    return Orders(np.array([1]), np.array([990], dtype=np.int32), np.array([amount]), counts=flags)


def test_order_with_a_negative_amount_is_refused():
    with pytest.raises(BadFrame, match="below 0"):
        summarise(_one(-1, counts=True), as_of=AS_OF, window=WINDOW)


def test_refund_with_a_positive_amount_is_refused():
    with pytest.raises(BadFrame, match="above 0"):
        summarise(_one(1, counts=False), as_of=AS_OF, window=WINDOW)


def test_customer_with_more_rows_than_a_block_is_one_customer():
    n = 3 * runs.BLOCK_ROWS
    big = Orders(
        np.concatenate([np.zeros(n, np.int64), np.ones(2, np.int64)]),
        np.full(n + 2, 990, dtype=np.int32),
        np.full(n + 2, 7, dtype=np.int64),
    )
    summary = summarise(big, as_of=AS_OF, window=WINDOW)
    assert summary.frequency.tolist() == [n, 2]
    assert summary.monetary.tolist() == [7 * n, 14]
