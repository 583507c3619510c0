import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.errors import BadMethod, NothingToFit
from scoring.scales import Thresholds, Weakness, exceeded, quantile_borders, weaknesses
from tests.scoring.brute import border

values = st.lists(st.integers(-20, 20) | st.integers(-(10**12), 10**12), min_size=1, max_size=40)
bins = st.integers(3, 10)


def array(numbers):
    return np.array(numbers, dtype=np.int64)


def test_borders_of_ten_values_by_hand():
    assert quantile_borders(array([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]), 5) == (20, 40, 60, 80)


def test_borders_are_observed_values_even_between_ranks():
    # A fifth of 7 is 1.4 values: the second one is the first that at least a fifth does not exceed.
    assert quantile_borders(array([1, 2, 3, 4, 5, 6, 7]), 5) == (2, 3, 5, 6)


def test_borders_may_coincide():
    assert quantile_borders(array([1, 1, 1, 1, 9]), 5) == (1, 1, 1, 1)


def test_share_of_exactly_k_fifths_is_enough_for_every_number_of_customers():
    for n in range(1, 400):
        assert quantile_borders(array(range(n)), 5) == tuple(-(-k * n // 5) - 1 for k in range(1, 5))


@given(values, bins)
def test_borders_equal_the_definition(numbers, count):
    expected = tuple(border(numbers, k, count) for k in range(1, count))
    assert quantile_borders(array(numbers), count) == expected


@given(st.lists(st.integers(0, 30), min_size=31, max_size=80), bins)
def test_borders_of_small_numbers_equal_the_definition(numbers, count):
    expected = tuple(border(numbers, k, count) for k in range(1, count))
    assert quantile_borders(np.array(numbers, dtype=np.int32), count) == expected


def test_borders_of_values_as_far_apart_as_64_bits_allow():
    ends = [-(2**63), -(2**63) + 1, -1, 0, 2**63 - 2, 2**63 - 1]
    assert quantile_borders(array(ends), 3) == (ends[1], ends[3])


def test_one_enormous_value_does_not_blur_the_borders_of_the_others():
    assert quantile_borders(array([*range(999), 10**18]), 5) == (199, 399, 599, 799)


@given(values, bins)
def test_order_of_values_does_not_move_borders(numbers, count):
    assert quantile_borders(array(numbers), count) == quantile_borders(array(numbers[::-1]), count)


@given(values, bins)
def test_greater_value_never_exceeds_fewer_borders_and_equal_ones_exceed_as_many(numbers, count):
    ordered = array(sorted(numbers))
    beyond = exceeded(ordered, quantile_borders(ordered, count))
    assert (np.diff(beyond) >= 0).all()
    assert (np.diff(beyond)[np.diff(ordered) == 0] == 0).all()
    assert beyond[0] == 0
    assert beyond.max() < count


def test_no_customers_leave_nothing_to_fit():
    with pytest.raises(NothingToFit, match="no customer has an order"):
        quantile_borders(array([]), 5)


SOUND = Thresholds((1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3, 4))


def test_fit_on_fifty_customers_with_three_different_borders_is_sound():
    assert weaknesses(50, Thresholds((1, 2, 3, 3), (1, 1, 2, 3), (0, 1, 2, 2)), 5) == ()


def test_fit_on_fewer_than_fifty_customers_is_weak():
    (weakness,) = weaknesses(49, SOUND, 5)
    assert weakness == Weakness(None, 49)
    assert "only 49 customers" in weakness.text()
    assert "49" in weakness.text("ru")


def test_fit_with_two_different_borders_on_an_axis_is_weak_and_names_the_axis():
    (weakness,) = weaknesses(1000, Thresholds((1, 2, 3, 4), (1, 1, 1, 2), (1, 2, 3, 4)), 5)
    assert weakness == Weakness("f", 2)
    assert weakness.text("en").startswith("F has only 2 different borders")
    assert weakness.text("ru").startswith("у F разных границ: 2")


def test_three_bins_are_not_weak_for_having_two_borders():
    assert weaknesses(1000, Thresholds((1, 2), (1, 2), (1, 2)), 3) == ()


def test_thresholds_survive_being_written():
    thresholds = Thresholds((1, 2), (3, 4), (-5, 123456))
    assert thresholds.spec()["m"] == ["-0.05", "1234.56"]
    assert Thresholds.from_spec(thresholds.spec()) == thresholds


@pytest.mark.parametrize("m", [["1.001"], ["2", "1"]], ids=["finer than cents", "descending"])
def test_senseless_written_borders_are_refused(m):
    with pytest.raises(BadMethod):
        Thresholds.from_spec({"r": [1], "f": [1], "m": m})
