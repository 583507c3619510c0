from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.errors import BadMethod
from scoring.features import summarise
from scoring.methods import MethodVersion, apply, load_method, score
from scoring.scales import Thresholds
from scoring.stability import NOBODY, Margin, Previous, Stability, moved_without_event, positions
from tests.scoring.brute import Row, orders
from tests.scoring.test_methods import summary

BORDERS = Thresholds((10, 20, 30, 40), (1, 2, 3, 4), (100, 200, 300, 400))
SEGMENTS = tuple(segment.value for segment in load_method("sales5").segments)


def version(**rules):
    return MethodVersion("sales5", 1, replace(load_method("sales5"), stability=Stability(**rules)), BORDERS)


def before(r, f, m, segment="loyal", held=0, new=False):
    """One customer's previous scores, or several of equal ones."""
    size = np.broadcast(r, f, m, held, new).shape or (1,)
    return Previous(
        r=np.broadcast_to(np.int8(r), size).copy(),
        f=np.broadcast_to(np.int8(f), size).copy(),
        m=np.broadcast_to(np.int8(m), size).copy(),
        segment=np.full(size, NOBODY if segment is None else SEGMENTS.index(segment), dtype=np.int8),
        held_days=np.broadcast_to(np.int32(held), size).copy(),
        new_order=np.broadcast_to(np.bool_(new), size).copy(),
    )


HYSTERESIS = {"r": Margin(units=3), "f": Margin(units=1), "m": Margin(percent=10)}


@pytest.mark.parametrize(
    ("days", "was", "expected"),
    [
        (20, 4, 4),
        (21, 4, 4),  # beyond the border, within the margin
        (23, 4, 4),
        (24, 4, 3),  # beyond border and margin
        (21, 3, 3),  # the better score is entered at its border only
        (20, 3, 4),
        (21, 0, 3),  # who is new has the plain score
        (99, 4, 1),
        (32, 5, 3),  # a fall over two borders: kept is what the margin of the last one covers
    ],
)
def test_better_recency_is_entered_at_the_border_and_left_beyond_the_margin(days, was, expected):
    scored = score(version(hysteresis=HYSTERESIS), summary(r=[days], f=[1], m=[1]), before(was, 1, 1))
    assert scored.r.tolist() == [expected]


@pytest.mark.parametrize(
    ("f", "m", "was", "expected"),
    [
        (3, 301, 4, (3, 4)),
        (2, 271, 4, (2, 4)),
        (4, 270, 4, (4, 3)),  # 300 less a tenth is 270; 270 does not exceed it
        (5, 401, 1, (5, 5)),
    ],
)
def test_margins_of_f_and_m_are_orders_and_shares_of_the_border(f, m, was, expected):
    scored = score(version(hysteresis={"m": Margin(percent=10)}), summary(r=[1], f=[f], m=[m]), before(5, was, was))
    assert (scored.f.tolist(), scored.m.tolist()) == ([expected[0]], [expected[1]])


def test_frequency_margin_keeps_the_score_for_one_order_less():
    rules = version(hysteresis={"f": Margin(units=1)})
    assert score(rules, summary(r=[1, 1], f=[3, 2], m=[1, 1]), before([5, 5], 4, 1)).f.tolist() == [4, 3]


def test_dwell_keeps_the_segment_until_the_days_are_over_or_an_order_comes():
    now = summary(r=[25] * 4, f=[1] * 4, m=[1] * 4)
    previous = before([4] * 4, 4, 4, held=[0, 13, 14, 0], new=[False, False, False, True])
    customers = apply(version(dwell=14), now, previous)
    assert [customers.segment_of(i) for i in range(4)] == ["loyal", "loyal", "promising", "promising"]
    assert customers.held.tolist() == [True, True, False, False]
    assert customers.code(0) == "311"


def test_code_stays_true_and_the_churn_flag_follows_the_segment_that_is_held():
    silent = summary(r=[45], f=[5], m=[500])
    customers = apply(version(dwell=30), silent, before(4, 5, 5, held=2))
    assert (customers.code(0), customers.segment_of(0)) == ("155", "loyal")
    assert customers.churn_risk.tolist() == [False]
    assert apply(version(dwell=30), silent, before(4, 5, 5, held=30)).churn_risk.tolist() == [True]


def test_hold_waits_for_an_event_of_the_customer_himself():
    # Nothing happened, but orders left the window: F and M fell. Then R fell: silence is an event. Then an order came.
    now = summary(r=[15, 25, 15], f=[1, 1, 1], m=[1, 1, 1])
    customers = apply(version(hold=True), now, before([4, 4, 4], 4, 4, held=900, new=[False, False, True]))
    assert [customers.segment_of(i) for i in range(3)] == ["loyal", "promising", "promising"]
    assert customers.held.tolist() == [True, False, False]


def test_moves_without_an_event_are_flagged_also_where_nothing_is_held():
    now = summary(r=[15, 25, 15, 15], f=[1, 1, 1, 5], m=[1, 1, 1, 500])
    previous = before([4] * 4, 4, 4, segment="vip", new=[False, False, True, False])
    scored_now = score(version(), now)
    assert moved_without_event(scored_now.segment, scored_now.r, previous).tolist() == [True, False, False, False]


def test_new_customers_and_unknown_segments_are_scored_plainly():
    customers = apply(
        version(dwell=14, hold=True, hysteresis=HYSTERESIS), summary(r=[25], f=[1], m=[1]), before(0, 0, 0, None)
    )
    assert (customers.code(0), customers.segment_of(0), customers.held.tolist()) == ("311", "promising", [False])


def test_method_without_rules_does_not_look_at_the_previous_scores():
    now = summary(r=[21], f=[1], m=[1])
    plain = MethodVersion("sales5", 1, load_method("sales5"), BORDERS)
    assert score(plain, now, before(5, 5, 5)).r.tolist() == [3]
    assert apply(plain, now, before(5, 5, 5)).held is None


def test_rules_without_previous_scores_score_as_new():
    now = summary(r=[21], f=[1], m=[1])
    assert score(version(hysteresis=HYSTERESIS), now).r.tolist() == [3]


@pytest.mark.parametrize(
    ("previous", "message"),
    [
        (before([4, 4], 4, 4), "an entry for each of the 1 customers"),
        (before(6, 4, 4), "outside 0 to 5"),
        (replace(before(4, 4, 4), segment=np.array([9], dtype=np.int8)), "not one of the method's"),
    ],
)
def test_previous_scores_of_something_else_are_refused(previous, message):
    with pytest.raises(BadMethod, match=message):
        score(version(dwell=1), summary(r=[1], f=[1], m=[1]), previous)


def test_previous_scores_are_brought_into_the_order_of_the_summary():
    stored = np.array([7, 3, 5])
    previous = before([1, 2, 3], 4, 4, held=[10, 20, 30])
    found = Previous.aligned(np.array([3, 4, 5, 7, 9]), stored, previous)
    assert found.r.tolist() == [2, 0, 3, 1, 0]
    assert found.held_days.tolist() == [20, 0, 30, 10, 0]
    assert found.segment.tolist() == [1, NOBODY, 1, 1, NOBODY]
    assert found.new_order.tolist() == [False, True, False, False, True]
    nobody = Previous.aligned(np.array([3]), stored[:0], before([], 4, 4))
    assert nobody.r.tolist() == [0]


def test_segments_by_value_are_positions_and_strangers_nobody():
    assert positions(SEGMENTS, ["vip", None, "sleeping", "champion"]).tolist() == [0, NOBODY, 4, NOBODY]


digits = st.integers(0, 5)
customer = st.tuples(
    *(st.integers(0, 60), st.integers(0, 7), st.integers(-50, 600)),
    *(digits, digits, digits, st.integers(-1, 4), st.integers(0, 40), st.booleans()),
)
rules = st.builds(
    Stability,
    hysteresis=st.dictionaries(
        st.sampled_from("rfm"),
        st.builds(Margin, units=st.integers(0, 9)) | st.builds(Margin, percent=st.integers(0, 50)),
    ),
    dwell=st.integers(0, 30),
    hold=st.booleans(),
)


def scored(stability, rows):
    r, f, m, *was, segment, held, new = (list(column) for column in zip(*rows, strict=True))
    previous = Previous(
        *(np.array(column, dtype=np.int8) for column in (*was, segment)),
        held_days=np.array(held, dtype=np.int32),
        new_order=np.array(new, dtype=np.bool_),
    )
    found = score(version(**{name: getattr(stability, name) for name in ("hysteresis", "dwell", "hold")}),
                  summary(r=r, f=f, m=m), previous)  # fmt: skip
    return list(zip(found.r.tolist(), found.f.tolist(), found.m.tolist(), found.segment.tolist(), strict=True))


@given(rules, st.lists(customer, min_size=1, max_size=12), st.randoms())
def test_outcome_of_a_customer_depends_on_nobody_else_and_on_no_order(stability, rows, random):
    together = scored(stability, rows)
    assert together == [scored(stability, [row])[0] for row in rows]
    places = list(range(len(rows)))
    random.shuffle(places)
    assert scored(stability, [rows[i] for i in places]) == [together[i] for i in places]


@given(rules, customer)
def test_nobody_scores_below_the_plain_score_and_the_second_look_changes_nothing(stability, row):
    (r, f, m, segment), = scored(stability, [row])  # fmt: skip
    plain, = scored(Stability(), [row])  # fmt: skip
    assert (r >= plain[0], f >= plain[1], m >= plain[2]) == (True, True, True)
    again = (*row[:3], r, f, m, segment, 0, False)
    assert scored(stability, [again]) == [(r, f, m, segment)]


@given(rules, customer, st.integers(0, 60))
def test_more_recent_never_scores_lower_whatever_was_before(stability, row, sooner):
    (older,), (newer,) = scored(stability, [row]), scored(stability, [(min(row[0], sooner), *row[1:])])
    assert newer[0] >= older[0]


def test_hysteresis_stops_a_customer_at_the_border_from_flapping():
    """One order every 22 days: R passes the border of 20 on the last day of each round."""
    plain, steady = version(), version(hysteresis={"r": Margin(units=3)})
    days = range(100, 200)
    for rules_version, expected in ((plain, 4), (steady, 0)):
        falls, previous, last = 0, None, None
        for as_of in days:
            rows = [Row(1, day, Decimal(1)) for day in range(99, as_of + 1, 22)]
            now = summarise(orders(rows), as_of=as_of, window=365)
            found = score(rules_version, now, previous)
            falls += last is not None and int(found.r[0]) < last and last == 4
            last = int(found.r[0])
            previous = Previous(found.r, found.f, found.m, found.segment, np.zeros(1, np.int32), np.zeros(1, np.bool_))
        assert falls == expected
