"""What must hold for any orders: of rows, chunks, increments, time zones and machines nothing is left in the scores."""

import os
import time
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.features import summarise, summarise_chunks
from scoring.methods import MethodVersion, apply, fit, load_method, method_names
from scoring.scales import Thresholds
from tests.scoring.brute import Row, orders

AS_OF = 1000
BORDERS = Thresholds((30, 90, 180, 365), (0, 1, 2, 4), (0, 5000, 20000, 90000))
FROZEN = MethodVersion("sales5", 1, load_method("sales5"), BORDERS)

amounts = st.none() | st.decimals(Decimal(-500), Decimal(2000), places=2)
row = st.builds(Row, st.integers(0, 12), st.integers(200, 1040), amounts, st.booleans())
shops = st.lists(row, min_size=1, max_size=60)


def scored(rows, version=FROZEN):
    """What the card shows of each customer."""
    summary = summarise(orders(rows), as_of=AS_OF, window=version.method.window)
    return cards(apply(version, summary))


def cards(customers):
    return {
        number: (
            int(customers.recency[i]), int(customers.frequency[i]), int(customers.monetary[i]), customers.code(i),
            customers.segment_of(i), bool(customers.churn_risk[i]), bool(customers.upsell[i]),
        )
        for i, number in enumerate(customers.number.tolist())
    }  # fmt: skip


def version_of(name, rows):
    """The method fitted on these rows; None where there is nobody to fit on."""
    method = load_method(name)
    summary = summarise(orders(rows), as_of=AS_OF, window=method.window)
    return MethodVersion(name, 1, method, fit(method, summary).thresholds) if len(summary) else None


@given(shops, st.randoms(), st.sampled_from(method_names()))
def test_order_of_rows_changes_neither_fit_nor_scores(rows, random, name):
    shuffled = random.sample(rows, len(rows))
    version = version_of(name, rows)
    assert version_of(name, shuffled) == version
    if version is not None:
        assert scored(shuffled, version) == scored(rows, version)


@given(shops, st.sets(st.integers(1, 12), max_size=4))
def test_one_chunk_or_many_give_the_same_scores(rows, cuts):
    ordered = sorted(rows, key=lambda one: (one.customer, one.day))
    ends = [0, *sorted(cuts), 13]
    parts = [[one for one in ordered if low <= one.customer < high] for low, high in pairwise(ends)]
    chunks = summarise_chunks((orders(part) for part in parts), as_of=AS_OF, window=365)
    assert cards(apply(FROZEN, chunks)) == scored(rows)


@given(shops, row)
def test_incremental_update_of_one_order_equals_the_full_recalculation(rows, new):
    """With frozen thresholds only the order's own customer is counted again."""
    kept = scored(rows)
    again = scored([one for one in (*rows, new) if one.customer == new.customer])
    kept.pop(new.customer, None)
    assert kept | again == scored([*rows, new])


@given(shops)
def test_many_increments_equal_one_run(rows):
    cards_now, seen = {}, []
    for new in rows:
        seen.append(new)
        cards_now.pop(new.customer, None)
        cards_now |= scored([one for one in seen if one.customer == new.customer])
    assert cards_now == scored(rows)


@given(shops)
@settings(max_examples=25)
def test_time_zone_of_the_machine_does_not_matter(rows):
    before = os.environ.get("TZ")
    try:
        found = []
        for zone in ("Pacific/Kiritimati", "America/Los_Angeles", "Europe/Moscow"):
            os.environ["TZ"] = zone
            time.tzset()
            found.append(scored(rows))
    finally:
        os.environ.pop("TZ", None)
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()
    assert found[0] == found[1] == found[2]


@given(shops, st.sampled_from(method_names()))
def test_equal_values_have_equal_scores(rows, name):
    version = version_of(name, rows)
    if version is None:
        return
    customers = apply(version, summarise(orders(rows), as_of=AS_OF, window=version.method.window))
    by_value = {}
    columns = (customers.recency, customers.frequency, customers.monetary)
    for i, values in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        by_value.setdefault(values, set()).add(customers.code(i))
    assert all(len(codes) == 1 for codes in by_value.values())


@given(shops, st.integers(0, 12), st.integers(200, AS_OF), st.sampled_from(method_names()))
def test_a_newer_order_never_lowers_recency(rows, customer, day, name):
    rows = [*rows, Row(customer, day, Decimal(1))]
    version = version_of(name, rows)
    before = scored(rows, version)[customer]
    for later in (day, day + 1, AS_OF):
        if later <= AS_OF:
            after = scored([*rows, Row(customer, later, Decimal(1))], version)[customer]
            assert after[0] <= before[0]
            assert after[3][0] >= before[3][0]
            assert after[3][1] >= before[3][1]


@given(shops, st.lists(st.builds(Row, st.integers(0, 12), st.integers(AS_OF + 1, 1100), amounts), max_size=9))
def test_nothing_after_the_as_of_day_is_seen(rows, future):
    assert scored([*rows, *future]) == scored(rows)


@given(shops, st.sampled_from(method_names()))
def test_every_customer_is_in_exactly_one_segment_of_the_table(rows, name):
    version = version_of(name, rows)
    if version is None:
        return
    for *_, code, segment, _, _ in scored(rows, version).values():
        assert version.method.segment_of(code).value == segment


@pytest.mark.parametrize("factor", [2, 1000])
def test_money_of_another_unit_with_limits_to_match_gives_the_same_codes(factor):
    rows = [Row(i % 40, 700 + 7 * i % 300, Decimal(i * 13 % 977)) for i in range(200)]
    scaled = replace(BORDERS, m=tuple(b * factor for b in BORDERS.m))
    other = scored([replace(one, amount=one.amount * factor) for one in rows], replace(FROZEN, thresholds=scaled))
    assert [card[3] for card in other.values()] == [card[3] for card in scored(rows).values()]
    assert np.unique([card[3] for card in other.values()]).size >= 5
