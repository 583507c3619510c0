import numpy as np
import pytest

from scoring.errors import BadFrame
from scoring.features import summarise
from scoring.frames import Orders
from scoring.sufficiency import Base, thin, verdicts

PLENTY = Base(customers=5000, days=1000, recent=900, repeat=3000, often=2000, orders=20_000, without_amount=0)


def base(**values):
    known = {name: getattr(PLENTY, name) for name in PLENTY.__slots__}
    return Base(**{**known, **values})


def verdict(about, given):
    return next(one for one in verdicts(given) if one.about == about)


def test_a_large_shop_has_enough_for_everything():
    assert all(one.enough for one in verdicts(PLENTY))
    assert thin(verdicts(PLENTY), "en") == []


@pytest.mark.parametrize(
    ("about", "values", "gate"),
    [
        ("segments", {"customers": 499}, "customers"),
        ("segments", {"days": 179}, "days"),
        ("segments", {"recent": 0}, "recent"),
        ("segments", {"often": 0}, "often"),
        ("lifetime", {"customers": 999}, "customers"),
        ("lifetime", {"days": 546}, "days"),
        ("lifetime", {"without_amount": 4001}, "amounts"),  # 20.005 % is told as 21
        ("churn", {"customers": 499}, "customers"),
        ("churn", {"days": 179}, "days"),
        ("churn", {"repeat": 2400}, "repeat"),
    ],
)
def test_one_unmet_need_closes_the_gate_and_is_told(about, values, gate):
    found = verdict(about, base(**values))
    assert [one.name for one in found.missing] == [gate]
    told = found.told("en")
    assert told[0] == found.instead("en")
    assert told[1] == found.missing[0].text("en")
    assert found.told("ru") != told


@pytest.mark.parametrize(
    ("about", "values"),
    [
        ("segments", {"customers": 500, "days": 180, "recent": 1, "often": 1}),
        ("lifetime", {"customers": 1000, "days": 547, "without_amount": 4000}),
        ("churn", {"customers": 500, "days": 180, "repeat": 250}),
    ],
)
def test_needs_that_are_just_met_are_met(about, values):
    assert verdict(about, base(**values)).enough


def test_a_shop_is_measured_as_it_is():
    customer = np.array([1, 1, 1, 2, 3], np.int64)
    day = np.array([100, 150, 200, 171, 170], np.int32)
    orders = Orders(customer, day, np.full(5, 100, np.int64))
    found = Base.of(summarise(orders, as_of=200, window=30), without_amount=2)
    assert found == Base(customers=3, days=101, recent=2, repeat=1, often=1, orders=5, without_amount=2)


def test_an_empty_shop_has_too_little_of_everything():
    nothing = Orders(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64))
    found = Base.of(summarise(nothing, as_of=200, window=30), without_amount=0)
    assert not any(one.enough for one in verdicts(found))


def test_without_the_history_nothing_is_measured():
    orders = Orders(np.array([1]), np.array([5], np.int32), np.array([1]))
    with pytest.raises(BadFrame, match="history"):
        Base.of(summarise(orders, as_of=9, window=30, history=False), 0)
