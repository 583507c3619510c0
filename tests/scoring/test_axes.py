"""Scales by hand: fixed borders, quantiles with ties, intervals from the customers' own pauses."""

from decimal import Decimal

import numpy as np
import pytest

from scoring.axes import Scale, Scales, own_intervals
from scoring.errors import BadMethod, NothingToFit
from scoring.features import summarise
from scoring.methods import MethodVersion, fit, parse_method, score
from scoring.scales import Thresholds, Weakness, advise_bins, rank_borders
from tests.scoring.brute import Row, orders


def bought_every(gaps, as_of=1000):
    """Customer i bought three times, `gaps[i]` days apart, the last time on day 500."""
    rows = [Row(i, 500 - gap * k, Decimal(1)) for i, gap in enumerate(gaps) for k in range(3)]
    return summarise(orders(rows), as_of=as_of, window=365)


def test_interval_borders_by_hand():
    # Ten customers with pauses of 1 to 10 days: half pause 5 days or less, three quarters 8, nine tenths 9.
    thresholds, weak = Scales(r=Scale("interval", percentiles=(50, 75, 90))).fit(bought_every(range(1, 11)), 4)
    assert thresholds.r == (5, 8, 9)
    assert Weakness("r", 10, "repeats") in weak
    assert "10" in Weakness("r", 10, "repeats").text("ru")
    assert "only 10 customers bought on two days or more" in Weakness("r", 10, "repeats").text()


def test_interval_of_two_days_is_their_gap_and_of_one_day_is_none():
    rows = [Row(1, 10, Decimal(1)), Row(1, 40, Decimal(1)), Row(2, 10, Decimal(1)), Row(2, 10, Decimal(5))]
    rows += [Row(3, day, Decimal(1)) for day in (10, 11, 16)]
    assert own_intervals(summarise(orders(rows), as_of=100, window=365)).tolist() == [30, 3]


def test_frequent_buyer_counts_once_among_the_intervals():
    rows = [Row(1, day, Decimal(1)) for day in range(0, 400, 2)] + [Row(2, 0, Decimal(1)), Row(2, 90, Decimal(1))]
    assert sorted(own_intervals(summarise(orders(rows), as_of=500, window=365)).tolist()) == [2, 90]


def test_interval_scale_without_repeat_buyers_has_nothing_to_fit():
    lonely = summarise(orders([Row(1, 10, Decimal(1))]), as_of=100, window=365)
    with pytest.raises(NothingToFit, match="two different days"):
        Scales(r=Scale("interval", percentiles=(50, 75, 90))).fit(lonely, 4)


def test_interval_scale_needs_the_history():
    bare = summarise(orders([Row(1, 10, Decimal(1))]), as_of=100, window=365, history=False)
    with pytest.raises(BadMethod, match="history"):
        own_intervals(bare)


def test_mixed_scales_fit_only_what_is_not_stated():
    spec = {
        "name": "mixed", "bins": 3, "window": 365, "direction": "high_is_best",
        "scales": {"r": {"kind": "fixed", "borders": [180, 365]}},
        "segments": [{"value": "all", "label": {"ru": "В", "en": "A"}, "work": "vip", "where": ["r >= 1"]}],
    }  # fmt: skip
    method = parse_method(spec)
    rows = [Row(i, 990, Decimal(10 * (i + 1))) for i in range(60)]
    summary = summarise(orders(rows), as_of=1000, window=365)
    fitted = fit(method, summary)
    assert fitted.thresholds == Thresholds((180, 365), (1, 1), (20000, 40000))
    assert fitted.weak == (Weakness("f", 1),)
    scores = score(MethodVersion("mixed", 1, method, fitted.thresholds), summary)
    assert set(scores.r.tolist()) == {3}
    assert np.bincount(scores.m).tolist() == [0, 20, 20, 20]


def test_percentiles_are_observed_values():
    assert rank_borders(np.array([3, 1, 2], dtype=np.int32), (50, 67, 99)) == (2, 3, 3)
    assert rank_borders(np.array([7, 7, 7, 100], dtype=np.int32), (50, 75, 76)) == (7, 7, 100)


@pytest.mark.parametrize(("customers", "bins"), [(0, 3), (29_999, 3), (30_000, 4), (200_000, 4), (200_001, 5)])
def test_scale_is_advised_by_the_size_of_the_base(customers, bins):
    assert advise_bins(customers) == bins


FIXED_BY_HAND = [(0, 3), (180, 3), (181, 2), (365, 2), (366, 1), (2000, 1)]


@pytest.mark.parametrize(("days", "expected"), FIXED_BY_HAND)
def test_fixed_borders_belong_to_the_better_score(days, expected):
    spec = {
        "name": "fixed", "bins": 3, "window": 730, "direction": "high_is_best",
        "limits": {"r": [180, 365], "f": [1, 2], "m": ["0", "1"]},
        "segments": [{"value": "all", "label": {"ru": "В", "en": "A"}, "work": "vip", "where": ["r >= 1"]}],
    }  # fmt: skip
    method = parse_method(spec)
    summary = summarise(orders([Row(1, 3000 - days, Decimal(1))]), as_of=3000, window=730)
    assert score(MethodVersion("fixed", 1, method, method.limits), summary).r.tolist() == [expected]
