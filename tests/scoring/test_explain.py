from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.drift import NEVER, foresee, foresee_chunks, path
from scoring.errors import BadFrame, BadMethod
from scoring.explain import NOWHERE, explain
from scoring.features import Summary, summarise
from scoring.methods import MethodVersion, apply, fit, load_method
from scoring.scales import Thresholds
from tests.scoring.brute import Row, orders

AS_OF = 1000
WINDOW = 40
METHODS = ("sales5", "customer360", "octolis6")


def by_hand(r=(10, 20, 30, 60), f=(1, 2, 3, 4), m=(10_00, 50_00, 100_00, 500_00)):
    return MethodVersion("sales5", 1, load_method("sales5"), Thresholds(r, f, m))


def one(version, *rows, as_of=AS_OF):
    """Summary, customers and orders of customer 7."""
    given_orders = orders([Row(7, day, amount if amount is None else Decimal(amount)) for day, amount in rows])
    summary = summarise(given_orders, as_of=as_of, window=version.method.window)
    return summary, apply(version, summary), given_orders


def code(customers):
    return customers.code(0), customers.segment_of(0)


def named(customers, position):
    return None if position == NOWHERE else customers.segments[position]


def test_distances_one_can_check_by_hand():
    version = by_hand()
    _, customers, _ = one(version, (AS_OF - 15, "40.00"), (AS_OF - 100, "30.00"))
    assert code(customers) == ("423", "promising")
    found = explain(version, customers)
    assert [(found.borders[a].better[0], found.borders[a].worse[0]) for a in "rfm"] == [(5, 6), (1, 1), (30_01, 20_00)]
    # one more order alone: 433 is loyal; 30.01 more alone: 424 is loyal; six days later 323 is still promising,
    # 16 days later 223 is sleeping
    assert (found.steps["f"].better[0], named(customers, found.steps["f"].better_segment[0])) == (1, "loyal")
    assert (found.steps["m"].better[0], named(customers, found.steps["m"].better_segment[0])) == (30_01, "loyal")
    assert (found.steps["r"].worse[0], named(customers, found.steps["r"].worse_segment[0])) == (16, "sleeping")
    assert (found.steps["r"].better[0], found.steps["r"].better_segment[0]) == (0, NOWHERE)
    # an order today: 53x is loyal whatever its sum; F is 3 then, so no sum makes a VIP of it
    assert named(customers, found.order.segment[0]) == "loyal"
    assert (found.order.amount[0], found.order.raised[0]) == (0, NOWHERE)


def test_an_order_today_says_the_sum_that_makes_a_vip():
    version = by_hand()
    _, customers, _ = one(version, *((AS_OF - 25 - day, "20.00") for day in range(4)))
    assert code(customers) == ("343", "loyal")
    found = explain(version, customers).order
    assert (named(customers, found.segment[0]), found.amount[0], named(customers, found.raised[0])) == (
        "loyal", 20_01, "vip",
    )  # fmt: skip


def test_silence_alone_and_an_order_that_leaves_the_window():
    version = by_hand(r=(10, 20, 300, 400))
    summary, customers, given_orders = one(version, (AS_OF - 5, "5.00"), (AS_OF - 300, "500.00"))
    assert code(customers) == ("525", "loyal")
    found = foresee(version, summary, customers, given_orders)
    assert (found.in_days[0], named(customers, found.segment[0]), found.leaving[0]) == (65, "promising", True)
    stops = list(path(version, summary, given_orders, 0))
    assert [(stop.in_days, stop.code, stop.segment) for stop in stops] == [
        (0, "525", "loyal"), (6, "425", "loyal"), (16, "325", "loyal"), (65, "311", "promising"),
        (296, "211", "sleeping"), (396, "111", "sleeping"),
    ]  # fmt: skip
    assert (stops[3].f, stops[3].m, stops[-1].f, stops[-1].m) == (1, 5_00, 0, 0)


def test_whoever_sleeps_for_good_never_changes():
    version = by_hand()
    summary, customers, given_orders = one(version, (AS_OF - 900, "5.00"))
    found = foresee(version, summary, customers, given_orders)
    assert (found.in_days[0], found.segment[0], found.overdue_in[0]) == (NEVER, NOWHERE, 0)


def test_a_refund_that_leaves_raises_the_sum():
    version = by_hand(r=(100, 200, 300, 400))
    rows = [Row(7, AS_OF - 360, Decimal("-60.00")), Row(7, AS_OF - 1, Decimal("70.00"))]
    given_orders = orders(rows)
    summary = summarise(given_orders, as_of=AS_OF, window=365)
    customers = apply(version, summary)
    assert code(customers) == ("511", "promising")
    stops = list(path(version, summary, given_orders, 0))
    assert (stops[1].in_days, stops[1].code, stops[1].m) == (5, "513", 70_00)


def test_the_rhythm_says_when_the_flag_turns_on():
    version = by_hand()
    rows = [(AS_OF - day, "5.00") for day in (3, 10, 18)]  # gaps 8 and 7: the median is 7.5, twice is 15
    summary, customers, given_orders = one(version, *rows)
    found = foresee(version, summary, customers, given_orders)
    assert found.overdue_in[0] == 13
    for later, flag in ((12, False), (13, True)):
        assert one(version, *rows, as_of=AS_OF + later)[1].churn_risk[0] == flag


# -- against the brute force: score again, day by day -------------------------------------------------------------


@st.composite
def histories(draw):
    amounts = st.integers(-8000, 30_000).map(lambda units: Decimal(units).scaleb(-3)) | st.none()
    row = st.builds(
        Row,
        customer=st.integers(0, 4),
        day=st.integers(AS_OF - 2 * WINDOW, AS_OF + 3),
        amount=amounts,
        known=st.sampled_from([True, True, True, False]),
    )
    return draw(st.lists(row, min_size=1, max_size=40))


@st.composite
def versions(draw):
    method = load_method(draw(st.sampled_from(METHODS))).with_window(WINDOW)

    def borders(low, high):
        count = method.bins - 1
        return tuple(sorted(draw(st.lists(st.integers(low, high), min_size=count, max_size=count))))

    return MethodVersion(method.name, 1, method, Thresholds(borders(0, 60), borders(0, 6), borders(-500, 3000)))


def scored(version, given_orders, as_of) -> tuple[Summary, object]:
    summary = summarise(given_orders, as_of=as_of, window=WINDOW)
    return summary, apply(version, summary)


def unseen(rows):
    return [row for row in rows if row.day <= AS_OF]


@settings(max_examples=30, deadline=None)
@given(versions(), histories(), st.randoms(use_true_random=False))
def test_a_segment_changes_on_the_day_that_scoring_again_day_by_day_finds(version, rows, random):
    given_orders = orders(unseen(rows), places=3)
    summary, customers = scored(version, given_orders, AS_OF)
    found = foresee(version, summary, customers, given_orders)
    random.shuffle(rows)
    again = foresee(version, summary, customers, orders(rows, places=3))  # what comes later is not looked at
    assert again.in_days.tolist() == found.in_days.tolist()
    horizon = 2 * WINDOW + 10  # R's borders end at 60, and twice a median gap at 84
    days = [scored(version, given_orders, AS_OF + day)[1] for day in range(horizon)]
    for i in range(len(summary)):
        segments = [day.segment_of(i) for day in days]
        changed = next((day for day, segment in enumerate(segments) if segment != segments[0]), NEVER)
        assert found.in_days[i] == changed
        assert named(customers, found.segment[i]) == (segments[changed] if changed else None)
        stops = list(path(version, summary, given_orders, i))
        held = {stop.in_days: stop for stop in stops}
        current = stops[0]
        for day, those in enumerate(days):
            current = held.get(day, current)
            assert (those.code(i), those.segment_of(i)) == (current.code, current.segment)
            if day in held:
                assert (those.recency[i], those.frequency[i], those.monetary[i]) == (current.r, current.f, current.m)
        overdue = next(
            (day for day, those in enumerate(days) if those.recency[i] > 2 * summary.history.median_gap[i]), 0
        )
        assert found.overdue_in[i] == overdue


@settings(max_examples=40, deadline=None)
@given(versions(), histories())
def test_an_order_today_does_what_scoring_with_that_order_does(version, rows):
    rows = unseen(rows)
    given_orders = orders(rows, places=3)
    summary, customers = scored(version, given_orders, AS_OF)
    found = explain(version, customers).order
    ranks = {segment.value: segment.rank for segment in version.method.segments}

    def after(i, hundredths):
        """The segment with that order, by scoring."""
        number = int(summary.number[i])
        made = Summary(
            AS_OF, WINDOW, summary.number[i : i + 1], summary.last_day[i : i + 1], np.zeros(1, np.int32),
            summary.frequency[i : i + 1] + np.int32(1), summary.monetary[i : i + 1] + hundredths,
            summarise(orders([Row(number, AS_OF, Decimal(1))]), as_of=AS_OF, window=WINDOW).history,
        )  # fmt: skip
        return apply(version, made).segment_of(0)

    for i in range(len(summary)):
        least = after(i, 1)
        assert named(customers, found.segment[i]) == least
        amount = int(found.amount[i])
        if amount:
            assert after(i, amount) == named(customers, found.raised[i])
            assert ranks[after(i, amount)] < ranks[least]
            assert all(ranks[after(i, less)] >= ranks[least] for less in {amount - 1, amount // 2 or 1} if less)
        else:
            assert found.raised[i] == NOWHERE
            assert all(ranks[after(i, more)] >= ranks[least] for more in (1, 500, 3000, 10_000))


@settings(max_examples=25, deadline=None)
@given(versions(), histories())
def test_a_single_change_moves_the_segment_and_no_smaller_one_does(version, rows):
    given_orders = orders(unseen(rows), places=3)
    summary, customers = scored(version, given_orders, AS_OF)
    found = explain(version, customers)
    for i in range(len(summary)):
        for axis in "rfm":
            steps = found.steps[axis]
            sign = -1 if axis == "r" else 1
            for change, segment, way in (
                (int(steps.better[i]), int(steps.better_segment[i]), sign),
                (int(steps.worse[i]), int(steps.worse_segment[i]), -sign),
            ):
                moved = [segment_with(version, summary, i, axis, way * step) for step in range(min(change or 1, 400))]
                if change:
                    assert set(moved) <= {customers.segment_of(i)} or change > 400
                    assert segment_with(version, summary, i, axis, way * change) == customers.segments[segment]
                else:
                    assert segment == NOWHERE


def segment_with(version, summary, i, axis, change):
    values = {"r": summary.recency, "f": summary.frequency, "m": summary.monetary}
    r, f, m = (values[name][i : i + 1].copy() + (change if name == axis else 0) for name in "rfm")
    history = summarise(orders([Row(0, AS_OF, Decimal(1))]), as_of=AS_OF, window=WINDOW).history
    made = Summary(
        AS_OF, WINDOW, summary.number[i : i + 1], summary.last_day[i : i + 1],
        r.astype(np.int32), f.astype(np.int32), m.astype(np.int64), history,
    )  # fmt: skip
    return apply(version, made).segment_of(0)


@settings(max_examples=25, deadline=None)
@given(versions(), histories())
def test_a_border_is_where_the_score_changes(version, rows):
    given_orders = orders(unseen(rows), places=3)
    summary, customers = scored(version, given_orders, AS_OF)
    found = explain(version, customers)
    values = {"r": summary.recency, "f": summary.frequency, "m": summary.monetary}
    for i in range(len(summary)):
        for axis in "rfm":
            rising = -1 if axis == "r" else 1
            for distance, way in ((found.borders[axis].better[i], rising), (found.borders[axis].worse[i], -rising)):
                value, borders = int(values[axis][i]), getattr(version.thresholds, axis)
                exceeded = [sum(at > border for border in borders) for at in (value, value + way * (int(distance) - 1))]
                if distance:
                    assert exceeded[0] == exceeded[1]
                    assert sum(value + way * int(distance) > border for border in borders) != exceeded[0]


def test_the_way_of_chunks_gives_the_same():
    version = by_hand()
    random = np.random.default_rng(3)
    rows = [
        Row(int(number), int(day), Decimal(int(amount)))
        for number, day, amount in zip(
            np.sort(random.integers(0, 50, 400)),
            random.integers(0, AS_OF, 400),
            random.integers(1, 99, 400),
            strict=True,
        )
    ]
    rows.sort(key=lambda row: (row.customer, row.day))
    whole = orders(rows)
    summary = summarise(whole, as_of=AS_OF, window=365)
    customers = apply(version, summary)
    cut = next(i for i in range(200, 400) if rows[i].customer != rows[i - 1].customer)
    parts = [whole.rows(0, cut), whole.rows(cut, 400)]
    found, again = foresee(version, summary, customers, whole), foresee_chunks(version, summary, customers, parts)
    assert found.in_days.tolist() == again.in_days.tolist()
    assert found.segment.tolist() == again.segment.tolist()
    with pytest.raises(BadFrame, match="sorted"):
        foresee_chunks(
            version, summary, customers, [orders([Row(0, AS_OF, Decimal(1)), Row(0, AS_OF - 1, Decimal(1))])]
        )


def test_another_window_is_refused():
    version = by_hand()
    summary, customers, given_orders = one(version, (AS_OF, "5.00"))
    other = MethodVersion("sales5", 2, version.method.with_window(30), version.thresholds)
    with pytest.raises(BadMethod, match="says 30"):
        foresee(other, summary, customers, given_orders)


def test_nobody_needs_no_explanation():
    version = by_hand()
    summary = summarise(orders([]), as_of=AS_OF, window=365)
    customers = apply(version, summary)
    assert len(foresee(version, summary, customers, orders([])).in_days) == 0
    assert len(explain(version, customers).order.amount) == 0


def test_the_fit_of_a_shop_is_explained_whole():
    method = load_method("sales5")
    random = np.random.default_rng(1)
    rows = [Row(int(c), int(d), Decimal(int(a))) for c, d, a in zip(
        random.integers(0, 80, 600), random.integers(0, AS_OF, 600), random.integers(1, 900, 600), strict=True
    )]  # fmt: skip
    summary = summarise(orders(rows), as_of=AS_OF, window=365)
    version = MethodVersion("sales5", 1, method, fit(method, summary).thresholds)
    customers = apply(version, summary)
    drift = foresee(version, summary, customers, orders(rows))
    for i in range(len(summary)):
        stops = list(path(version, summary, orders(rows), i))
        other = next((stop for stop in stops if stop.segment != stops[0].segment), None)
        assert drift.in_days[i] == (other.in_days if other else 0)
