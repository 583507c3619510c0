import hashlib
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.errors import BadMethod, NothingToFit, SegmentGap, UnknownMethod
from scoring.features import Summary, summarise
from scoring.methods import MethodVersion, apply, fit, load_method, method_names, parse_method, score
from scoring.rhythm import History
from scoring.scales import Thresholds, Weakness
from tests.scoring import published_tables as published
from tests.scoring.brute import Row, border, orders

FIFTHS = Thresholds((10, 20, 30, 40), (1, 2, 3, 4), (100, 200, 300, 400))


def summary(*, r, f, m, days=None, gap=None, window=365):
    """Customers 0, 1, … with these values; no rhythm unless said."""
    n = len(r)
    history = History(
        orders_total=np.array(f, dtype=np.int32),
        order_days=np.array(days or [1] * n, dtype=np.int32),
        first_day=np.zeros(n, dtype=np.int32),
        median_gap=np.array(gap or [np.nan] * n, dtype=np.float64),
        unknown_amounts=np.zeros(n, dtype=np.int32),
    )
    recency = np.array(r, dtype=np.int32)
    return Summary(
        as_of=1000,
        window=window,
        number=np.arange(n),
        last_day=1000 - recency,
        recency=recency,
        frequency=np.array(f, dtype=np.int32),
        monetary=np.array(m, dtype=np.int64),
        history=history,
    )


def version(name, thresholds=None):
    method = load_method(name)
    return MethodVersion(name, 1, method, thresholds or method.limits)


def every_code(thresholds, bins):
    """One customer per code, in the grid's order, for thresholds of whole steps."""
    low_r = [*(border + 1 for border in reversed(thresholds.r)), 0]
    low_f = [0, *(border + 1 for border in thresholds.f)]
    low_m = [0, *(border + 1 for border in thresholds.m)]
    triples = [(r, f, m) for r in low_r for f in low_f for m in low_m]
    r, f, m = (list(column) for column in zip(*triples, strict=True))
    assert len(r) == bins**3
    return summary(r=r, f=f, m=m)


def test_unknown_method_lists_the_known_ones():
    with pytest.raises(UnknownMethod, match="sales5, customer360, octolis6"):
        load_method("rfm9000")
    assert method_names() == ("sales5", "customer360", "octolis6", "eleven5", "six3", "rf_map5", "binary")


def sales5_by_the_contract(r, f, m):
    if r >= 4 and f >= 4 and m >= 4:
        return "vip"
    if r >= 3:
        return "loyal" if f + m >= 6 else "promising"
    return "at_risk" if f + m >= 6 else "sleeping"


def test_sales5_gives_every_code_the_segment_of_the_contract():
    customers = apply(version("sales5", FIFTHS), every_code(FIFTHS, 5))
    for i in range(125):
        r, f, m = map(int, customers.code(i))
        assert (customers.r_score[i], customers.f_score[i], customers.m_score[i]) == (r, f, m)
        assert customers.segment_of(i) == sales5_by_the_contract(r, f, m)
        assert customers.upsell[i] == (r >= 4 and f >= 4 and m <= 3)
        assert customers.churn_risk[i] == (customers.segment_of(i) == "at_risk")
    assert customers.counts() == {"vip": 8, "loyal": 37, "promising": 30, "at_risk": 30, "sleeping": 20}


def test_customer360_gives_the_published_codes_with_the_contracts_precedence():
    method = load_method("customer360")
    sizes = {segment.value: 0 for segment in method.segments}
    winners = {"124": "attention_needed", "131": "price_sensitive", "141": "price_sensitive", "343": "loyal"}
    for code in method.grid.codes:
        segment = method.segment_of(code).value
        assert code in published.CUSTOMER360[segment]
        assert winners.get(code, segment) == segment
        sizes[segment] += 1
    assert list(sizes.values()) == [4, 8, 7, 4, 9, 14, 8, 6, 4]


@pytest.mark.parametrize(
    ("axis", "value", "expected"),
    [
        *(("r", days, s) for days, s in [(0, 4), (30, 4), (31, 3), (61, 3), (62, 2), (91, 2), (92, 1), (999, 1)]),
        *(("f", number, s) for number, s in [(0, 1), (2, 1), (3, 2), (4, 3), (5, 4), (6, 4), (60, 4)]),
        *(("m", cents, s) for cents, s in [(-500, 1), (9000, 1), (9001, 2), (18000, 2), (18001, 3), (27000, 3)]),
        ("m", 27001, 4),
    ],
)
def test_customer360_scores_by_fixed_limits_without_gaps(axis, value, expected):
    values = {"r": [0], "f": [0], "m": [0]} | {axis: [value]}
    assert getattr(score(version("customer360"), summary(**values)), axis).tolist() == [expected]


def test_customer360_is_never_fitted_and_never_weak():
    method = load_method("customer360")
    fitted = fit(method, summary(r=[5], f=[1], m=[100]))
    assert fitted.thresholds == Thresholds((30, 61, 91), (2, 3, 4), (9000, 18000, 27000))
    assert fitted.weak == ()


def test_customer360_flags_churn_in_both_silent_segments():
    method = load_method("customer360")
    assert {s.value for s in method.segments if s.at_risk} == {"at_risk", "attention_needed"}


def test_octolis6_merges_f_and_m_and_keeps_the_published_segment():
    method = load_method("octolis6")
    assert len(method.grid.codes) == 216
    assert len(method.segments) <= 10
    for code in method.grid.codes:
        r, f, m = map(int, code)
        fxm = (f + m + 1) // 2
        assert (method.segment_of(code).value == "best_becoming_passive") == (r in {1, 2} and fxm in {5, 6})
    by_cell = {}
    for code in method.grid.codes:
        r, f, m = map(int, code)
        by_cell.setdefault((r, (f + m + 1) // 2), set()).add(method.segment_of(code).value)
    assert len(by_cell) == 36
    assert all(len(segments) == 1 for segments in by_cell.values())


def test_octolis6_and_customer360_state_their_own_upsell_rule():
    octolis, customer360 = load_method("octolis6"), load_method("customer360")
    assert [c for c, on in zip(octolis.grid.codes, octolis.upsell_table, strict=True) if on][:2] == ["551", "552"]
    assert octolis.upsell_table.sum() == 2 * 2 * 3
    assert customer360.upsell_table.sum() == 2 * 2 * 2


@pytest.mark.parametrize("name", method_names())
def test_segments_have_labels_in_both_languages_and_a_class_of_work(name):
    for segment in load_method(name).segments:
        assert segment.label["ru"]
        assert segment.label["en"]
        assert segment.value == segment.value.lower()
        assert segment.value.isascii()
        assert segment.work in {"vip", "loyal", "promising", "at_risk", "sleeping"}


CHURN_CASES = [
    ("twice the median gap is not exceeded yet", 20, 3, 10.0, False),
    ("one day more than twice the median gap", 21, 3, 10.0, True),
    ("a median with half a day counts exactly", 21, 4, 10.5, False),
    ("no rhythm with two order days", 900, 2, np.nan, False),
]


@pytest.mark.parametrize(("r", "days", "gap", "flag"), [case[1:] for case in CHURN_CASES])
def test_churn_flag_compares_silence_with_the_customers_own_rhythm(r, days, gap, flag):
    lenient = Thresholds((1000, 2000, 3000, 4000), (0, 0, 0, 0), (0, 0, 0, 0))
    customers = apply(version("sales5", lenient), summary(r=[r], f=[3], m=[1], days=[days], gap=[gap]))
    assert customers.segment_of(0) == "vip"
    assert customers.churn_risk.tolist() == [flag]


def test_fit_takes_all_scored_customers_also_those_without_orders_in_the_window():
    counted = summary(r=[1, 2, 3, 4, 500], f=[0, 0, 1, 2, 3], m=[0, 0, 10, 20, -30])
    thresholds = fit(load_method("sales5"), counted).thresholds
    assert thresholds == Thresholds((1, 2, 3, 4), (0, 0, 1, 2), (-30, 0, 0, 10))


def test_weak_fit_is_done_and_says_why():
    fitted = fit(load_method("sales5"), summary(r=[1, 2, 3, 4, 5], f=[1] * 5, m=[1, 2, 3, 4, 5]))
    assert fitted.weak == (Weakness(None, 5), Weakness("f", 1))


def test_fit_without_customers_is_refused():
    with pytest.raises(NothingToFit):
        fit(load_method("sales5"), summary(r=[], f=[], m=[]))


small = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 9), st.integers(-99, 999)), min_size=1, max_size=40)


@given(small)
def test_scores_equal_the_contract_word_for_word(triples):
    r, f, m = (list(column) for column in zip(*triples, strict=True))
    counted = summary(r=r, f=f, m=m)
    method = load_method("sales5")
    customers = apply(MethodVersion("sales5", 1, method, fit(method, counted).thresholds), counted)
    borders = [[border(values, k, 5) for k in range(1, 5)] for values in (r, f, m)]
    for i, (days, number, cents) in enumerate(triples):
        expected = (
            5 - sum(days > b for b in borders[0]),
            1 + sum(number > b for b in borders[1]),
            1 + sum(cents > b for b in borders[2]),
        )
        assert customers.code(i) == "{}{}{}".format(*expected)
        assert customers.segment_of(i) == sales5_by_the_contract(*expected)


@pytest.mark.parametrize(
    ("name", "thresholds"),
    [("sales5", FIFTHS), ("customer360", None), ("octolis6", Thresholds(*[(1, 2, 3, 4, 5)] * 3))],
)
def test_version_survives_being_stored_and_keeps_its_digest(name, thresholds):
    first = version(name, thresholds)
    again = MethodVersion.from_json(first.to_json())
    assert again == first
    assert again.to_json() == first.to_json()
    assert first.digest() == hashlib.sha256(first.to_json().encode()).hexdigest()
    assert first.label == f"{name}@1"


def test_any_change_changes_the_digest():
    first = version("sales5", FIFTHS)
    others = [
        replace(first, version=2),
        replace(first, thresholds=replace(FIFTHS, m=(100, 200, 300, 401))),
        replace(first, method=first.method.with_window(364)),
    ]
    assert len({first.digest(), *(other.digest() for other in others)}) == 4


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"high_is_best"', '"low_is_best"'),
        ('"bins":5', '"bins":11'),
        ('"window":365', '"window":0'),
        ('"f":[1,2,3,4]', '"f":[1,2,3]'),
        ('"work":"vip"', '"work":"king"'),
        ('"version":1', '"version":"one"'),
        ('"r >= 4"', '"r >= 4 or 1"'),
        ('"value":"loyal"', '"value":"vip"'),
        ('"thresholds"', '"borders"'),
    ],
)
def test_damaged_version_is_refused(old, new):
    text = version("sales5", FIFTHS).to_json()
    assert old in text
    with pytest.raises(BadMethod):
        MethodVersion.from_json(text.replace(old, new))


def test_stored_table_with_a_code_taken_out_is_refused():
    text = version("sales5", FIFTHS).to_json()
    with pytest.raises(SegmentGap, match="without a segment: 111"):
        MethodVersion.from_json(text.replace('"111",', ""))


def test_summary_over_another_window_is_refused():
    with pytest.raises(BadMethod, match="counted over 90 days, but sales5@1 says 365"):
        score(version("sales5", FIFTHS), summary(r=[1], f=[1], m=[1], window=90))


def test_window_and_limits_can_be_set_per_portal():
    method = load_method("customer360").with_window(92).with_limits(Thresholds((5, 6, 7), (1, 2, 3), (1, 2, 3)))
    assert (method.window, method.limits.r) == (92, (5, 6, 7))
    assert load_method("customer360").window == 365
    with pytest.raises(BadMethod, match="4 bins have 3 borders"):
        method.with_limits(FIFTHS)
    with pytest.raises(BadMethod, match="a day or more"):
        method.with_window(0)


def test_flags_need_the_history():
    bare = summarise(orders([Row(1, 990, Decimal(1))]), as_of=1000, window=365, history=False)
    with pytest.raises(BadMethod, match="history"):
        apply(version("sales5", FIFTHS), bare)


@pytest.mark.parametrize("bins", [3, 7, 10])
def test_own_method_may_have_three_to_ten_bins(bins):
    spec = {
        "name": "mine", "bins": bins, "window": 365, "direction": "high_is_best", "upsell": [],
        "segments": [
            {"value": "good", "label": {"ru": "Х", "en": "G"}, "work": "vip", "where": ["r >= 2"]},
            {"value": "bad", "label": {"ru": "П", "en": "B"}, "work": "sleeping", "where": ["r <= 1"]},
        ],
    }  # fmt: skip
    method = parse_method(spec)
    counted = summary(r=range(bins), f=range(bins), m=range(bins))
    customers = apply(MethodVersion("mine", 1, method, fit(method, counted).thresholds), counted)
    assert customers.r_score.tolist() == list(range(bins, 0, -1))
    assert customers.m_score.tolist() == list(range(1, bins + 1))


def test_frame_for_people_has_texts_and_exact_money():
    customers = apply(version("sales5", FIFTHS), summary(r=[5, 50], f=[9, 0], m=[12345, -50]))
    assert customers.frame().to_dict("records") == [
        {"customer": 0, "r": 5, "f": 9, "m": Decimal("123.45"), "code": "555", "segment": "vip",
         "method": "sales5@1", "churn_risk": False, "upsell": False},
        {"customer": 1, "r": 50, "f": 0, "m": Decimal("-0.50"), "code": "111", "segment": "sleeping",
         "method": "sales5@1", "churn_risk": False, "upsell": False},
    ]  # fmt: skip
    assert customers.money(0) == Decimal("123.45")
