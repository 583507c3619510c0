import gzip
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.backtest import Contender, Flag, Group, Outcome, Share, backtest
from scoring.errors import BadFrame
from scoring.features import summarise
from scoring.frames import Orders
from scoring.methods import MethodVersion, apply, fit, load_method
from scoring.scales import Thresholds
from tests.scoring.brute import Row, count, orders

SAMPLE = Path(__file__).parents[1] / "samples" / "data" / "cdnow_sample.csv.gz"
SALES5 = load_method("sales5")
BY_HAND = MethodVersion("sales5", 1, SALES5, Thresholds((10, 20, 30, 60), (1, 2, 3, 4), (1000, 5000, 10_000, 50_000)))
DAY = 1000


def rows(*entries):
    """(customer, day, amount in words)."""
    return [Row(customer, day, Decimal(amount)) for customer, day, amount in entries]


SHOP = rows(
    *((1, DAY - 3 - 5 * k, "200.00") for k in range(5)),  # 555: vip
    *((2, DAY - 15 - k, "20.00") for k in range(4)),  # 4 orders, 80.00: 443, loyal, upsell
    (3, DAY - 5, "8.00"),  # 511: promising
    *((4, DAY - 100 - 30 * k, "150.00") for k in range(3)),  # 134: at risk
    (5, DAY - 300, "5.00"),  # 111: sleeping
    # what followed within 30 days
    (1, DAY + 1, "100.00"),
    (1, DAY + 30, "50.00"),
    (2, DAY + 9, "60.00"),  # 60 is more than the mean of 20
    (5, DAY + 10, "40.00"),  # the sleeping one is back
    (3, DAY + 5, "-8.00"),  # a refund and no order
    # and later, which no one may see
    (4, DAY + 31, "999.00"),
    (3, DAY + 40, "1.00"),
)


def replayed(shop=SHOP, dates=(DAY,), horizon=30, contender=None):
    (found,) = backtest(orders(shop), [contender or Contender.frozen(BY_HAND)], dates=dates, horizon=horizon)
    return found


def as_tuples(groups):
    return [(group.name, group.customers, group.buyers, group.orders, group.revenue) for group in groups]


def test_a_small_shop_one_can_check_by_hand():
    outcome = replayed().snapshots[0].outcome
    assert as_tuples(outcome.segments) == [
        ("vip", 1, 1, 2, 150_00),
        ("loyal", 1, 1, 1, 60_00),
        ("promising", 1, 0, 0, -8_00),
        ("at_risk", 1, 0, 0, 0),
        ("sleeping", 1, 1, 1, 40_00),
    ]
    assert as_tuples(outcome.scores["r"]) == [
        ("5", 2, 1, 2, 142_00), ("4", 1, 1, 1, 60_00), ("3", 0, 0, 0, 0), ("2", 0, 0, 0, 0), ("1", 2, 1, 1, 40_00),
    ]  # fmt: skip
    churn, repeat, upsell = outcome.flags
    # marked are 4, who is at risk, and 2, who orders daily and is silent for 15 days; silent stay 3 and 4
    assert (churn.marked, churn.hits, churn.true, churn.customers) == (2, 1, 2, 5)
    assert (repeat.marked, repeat.hits, repeat.true, repeat.customers) == (2, 1, 1, 3)  # 1, 2 and 4
    assert (upsell.marked, upsell.hits, upsell.true) == (1, 1, 2)  # 2, and 5 who spends more than before
    assert [(v.scale, v.better, v.worse, v.certain) for v in outcome.violations] == [
        ("segment", "at_risk", "sleeping", False), ("r", "5", "4", False), ("f", "3", "1", False),
        ("m", "4", "3", False),
    ]  # fmt: skip
    # buyers vip, loyal, sleeping; others promising, at risk: 4 of 6 pairs stand right
    assert outcome.auc == pytest.approx(4 / 6)


def test_the_flags_are_measured_against_chance():
    flag = Flag("churn_risk", marked=40, hits=30, true=60, customers=200)
    assert (flag.precision.value, flag.recall.value, flag.base.value, flag.lift) == (0.75, 0.5, 0.3, 2.5)
    assert Flag("upsell", 0, 0, 0, 10).lift is None


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)
def test_wilson_intervals_are_those_of_the_tables(part, whole, low, high):
    """Newcombe 1998, table I, has 81 of 263: 0.2553 to 0.3662."""
    assert Share(part, whole).interval == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_a_certain_violation_is_told_from_chance():
    def outcome(better, worse):
        return Outcome((Group("a", 1000, better, 0, 0), Group("b", 1000, worse, 0, 0)), {}, (), (1, 2))

    assert [one.certain for one in outcome(100, 110).violations] == [False]
    assert [one.certain for one in outcome(100, 300).violations] == [True]
    assert outcome(300, 100).violations == ()


def test_segments_of_one_rank_are_not_compared():
    groups = (Group("a", 10, 1, 0, 0), Group("b", 10, 9, 0, 0), Group("c", 10, 0, 0, 0))
    assert Outcome(groups, {}, (), (6, 6, 7)).violations == ()
    even = Outcome(groups[:2], {}, (), (6, 6))
    assert even.auc == 0.5


def test_the_order_of_segments_is_as_sure_as_hanley_and_mcneil_say():
    outcome = Outcome((Group("a", 10, 7, 0, 0), Group("b", 10, 3, 0, 0)), {}, (), (1, 2))
    assert outcome.auc == pytest.approx(0.70)
    even = Outcome((Group("a", 10, 10, 0, 0), Group("b", 10, 0, 0, 0)), {}, (), (1, 2))
    assert (even.auc, even.auc_interval) == (1.0, (1.0, 1.0))
    low, high = outcome.auc_interval
    q1, q2 = 0.7 / 1.3, 2 * 0.49 / 1.7
    error = ((0.21 + 9 * (q1 - 0.49) + 9 * (q2 - 0.49)) / 100) ** 0.5
    assert (high - low) / 2 == pytest.approx(1.959964 * error, rel=1e-5)


def test_who_could_not_be_scored_yet_is_not_there():
    found = replayed(dates=(DAY - 2000, DAY))
    assert [snapshot.as_of for snapshot in found.snapshots] == [DAY]


def test_days_add_up():
    found = replayed(dates=(DAY - 20, DAY))
    one, two = (snapshot.outcome for snapshot in found.snapshots)
    assert found.together.customers == one.customers + two.customers
    assert found.together.everybody.revenue == one.everybody.revenue + two.everybody.revenue
    assert len(found.stability) == 1
    assert found.stability[0] >= 0


@pytest.mark.parametrize(
    ("dates", "horizon", "words"),
    [((DAY, DAY), 30, "ascend"), ((DAY + 20,), 30, "not over"), ((DAY,), 0, "a day or more")],
)
def test_a_replay_that_would_lie_is_refused(dates, horizon, words):
    with pytest.raises(BadFrame, match=words):
        replayed(dates=dates, horizon=horizon)


# -- no look ahead ---------------------------------------------------------------------------------------------------

entries = st.builds(
    Row,
    customer=st.integers(0, 9),
    day=st.integers(DAY - 120, DAY + 80),
    amount=st.integers(-4000, 90_000).map(lambda units: Decimal(units).scaleb(-2)) | st.none(),
    known=st.sampled_from([True, True, False]),
)
OPEN_END = Row(99, DAY + 81, Decimal(1))  # somebody orders later, so that the horizon is over


@settings(max_examples=60, deadline=None)
@given(
    st.lists(entries, min_size=1, max_size=60), st.lists(entries, max_size=40), st.sampled_from(["sales5", "octolis6"])
)
def test_another_future_changes_nothing_of_what_was_known_before(shop, other, name):
    contender = Contender(name, load_method(name).with_window(90))
    past = [row for row in shop if row.day <= DAY]
    futures = [[row for row in some if row.day > DAY] for some in (shop, other)]
    seen = [replayed([*past, *future, OPEN_END], contender=contender).snapshots for future in futures]
    assert len(seen[0]) == len(seen[1])
    for one, two in zip(*seen, strict=True):
        assert one.thresholds == two.thresholds
        assert [group.customers for group in one.outcome.segments] == [
            group.customers for group in two.outcome.segments
        ]
        assert [flag.marked for flag in one.outcome.flags] == [flag.marked for flag in two.outcome.flags]


@settings(max_examples=40, deadline=None)
@given(st.lists(entries, min_size=1, max_size=60))
def test_what_comes_after_the_horizon_changes_nothing_at_all(shop):
    within = [row for row in shop if row.day <= DAY + 30]
    one, two = (replayed([*some, OPEN_END]).snapshots for some in (shop, within))
    assert [snapshot.outcome for snapshot in one] == [snapshot.outcome for snapshot in two]


@settings(max_examples=40, deadline=None)
@given(st.lists(entries, min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_what_followed_is_what_the_brute_force_counts(shop, random):
    shop = [*shop, OPEN_END]
    found = replayed(shop).snapshots
    shuffled = list(shop)
    random.shuffle(shuffled)
    assert [one.outcome for one in replayed(shuffled).snapshots] == [one.outcome for one in found]
    known = count(shop, DAY, SALES5.window)
    assert sum(one.outcome.customers for one in found) == len(known)
    if found:
        later = [row for row in shop if DAY < row.day <= DAY + 30 and row.customer in known]
        everybody = found[0].outcome.everybody
        assert everybody.orders == sum(row.is_order for row in later)
        assert everybody.buyers == len({row.customer for row in later if row.is_order})
        assert Decimal(everybody.revenue).scaleb(-2) == sum((row.amount or 0) for row in later if row.known)


# -- a real shop -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cdnow():
    with gzip.open(SAMPLE) as file:
        frame = pd.read_csv(file, dtype={"date": str, "dollar_value": str})
    return Orders.from_frame(
        pd.DataFrame({"customer": frame["sample_id"], "day": frame["date"], "amount": frame["dollar_value"]})
    )


def day_number(text):
    return (pd.Timestamp(text) - pd.Timestamp("1970-01-01")).days


def test_cdnow_replayed_gives_what_each_day_gave_and_what_then_came(cdnow):
    dates = [day_number(f"1997-{month:02}-30") for month in (6, 9, 12)]
    (found,) = backtest(cdnow, [Contender("sales5", SALES5)], dates=dates, horizon=90)
    for as_of, snapshot in zip(dates, found.snapshots, strict=True):
        past = cdnow.day <= as_of
        seen = Orders(cdnow.customer[past], cdnow.day[past], cdnow.amount[past], cdnow.counts[past], None, cdnow.places)
        summary = summarise(seen, as_of=as_of, window=365)
        customers = apply(MethodVersion("sales5", 1, SALES5, fit(SALES5, summary).thresholds), summary)
        later = (cdnow.day > as_of) & (cdnow.day <= as_of + 90) & cdnow.counts
        bought = np.isin(customers.number, np.unique(cdnow.customer[later]))
        for group in snapshot.outcome.segments:
            mine = customers.segment == customers.segments.index(group.name)
            assert (group.customers, group.buyers) == (int(mine.sum()), int((mine & bought).sum()))
            his = later & np.isin(cdnow.customer, customers.number[mine])
            assert (group.orders, group.revenue) == (int(his.sum()), int(cdnow.amount[his].sum()))


def test_cdnow_shows_that_better_segments_buy_more(cdnow):
    dates = [day_number(f"1997-{month:02}-28") for month in range(6, 13)]
    names = ("sales5", "customer360", "octolis6")
    found = backtest(cdnow, [Contender(name, load_method(name)) for name in names], dates=dates, horizon=90)
    sales5 = found[0].together
    rates = [group.bought.value for group in sales5.segments]
    assert rates[0] > rates[1] > rates[-1]
    assert all(replay.together.auc > 0.65 for replay in found)
    everybody, repeat, _ = sales5.flags
    assert everybody.lift < 1  # most sleep after one order, and are surer not to come than whoever is at risk
    assert repeat.lift > 1
    assert repeat.precision.interval[0] > repeat.base.value
    f = [group.bought.value for group in sales5.scores["f"] if group.customers]
    assert all(better > worse for better, worse in pairwise(f))
