import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.errors import BadMethod
from scoring.methods import MethodVersion, Scores, load_method
from scoring.monitoring import measure_flapping, measure_shift, psi, score_shares
from scoring.scales import Thresholds
from scoring.stability import NOBODY

VERSION = MethodVersion("sales5", 2, load_method("sales5"), Thresholds(*[(1, 2, 3, 4)] * 3))
EVEN = np.repeat(np.arange(1, 6, dtype=np.int8), 20)


def scores(r=EVEN, f=EVEN, m=EVEN):
    return Scores(r, f, m, np.zeros(len(r), dtype=np.int16), np.zeros(len(r), dtype=np.int8))


def test_index_by_hand():
    # (0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5) = 0.1 ln 1.5
    assert psi([50, 50], [60, 40]) == pytest.approx(0.1 * np.log(1.5))


@given(st.lists(st.integers(0, 500), min_size=5, max_size=5).filter(any))
def test_index_of_a_distribution_with_itself_is_zero_and_never_negative(counts):
    assert psi(counts, counts) == pytest.approx(0)
    assert psi([1, 1, 1, 1, 1], counts) >= 0


def test_index_of_an_empty_score_is_finite():
    assert 0.25 < psi([0.2] * 5, [0.25, 0.25, 0.25, 0.25, 0]) < 10


def test_index_needs_two_populations_over_the_same_scores():
    with pytest.raises(BadMethod, match="nobody is scored"):
        psi([1, 1], [0, 0])
    with pytest.raises(BadMethod, match="2 shares cannot be compared with 3"):
        psi([1, 1], [1, 1, 1])


def test_unmoved_scores_are_steady():
    shift = measure_shift(VERSION, scores())
    assert (shift.method, shift.customers, shift.verdict) == ("sales5@2", 100, "steady")


def test_top_20_percent_that_became_35_calls_for_a_new_fit_and_says_so():
    m = np.repeat(np.arange(1, 6, dtype=np.int8), [15, 15, 15, 20, 35])
    shift = measure_shift(VERSION, scores(m=m))
    axis = shift.axes[2]
    assert (axis.top, axis.verdict, shift.verdict) == ((0.2, 0.35), "refit", "refit")
    assert axis.text("en") == f"M: the top 20 % have become 35 % (index {axis.psi:.2f}); propose a new fit"
    assert axis.text("ru").startswith("M: верхние 20 % стали 35 %")
    assert [other.verdict for other in shift.axes[:2]] == ["steady", "steady"]


def test_middle_shift_is_told_without_calling_for_a_new_fit():
    f = np.repeat(np.arange(1, 6, dtype=np.int8), [35, 20, 20, 8, 17])
    shift = measure_shift(VERSION, scores(f=f))
    assert (shift.axes[1].verdict, shift.verdict) == ("shifted", "shifted")
    assert shift.axes[1].text("en").startswith("F: has shifted")


def test_shares_kept_at_publication_are_what_is_compared():
    uneven = np.repeat(np.arange(1, 6, dtype=np.int8), [60, 10, 10, 10, 10])
    before = score_shares(scores(f=uneven), 5)
    assert before["f"] == (0.6, 0.1, 0.1, 0.1, 0.1)
    assert measure_shift(VERSION, scores(f=uneven), before).verdict == "steady"
    assert measure_shift(VERSION, scores(f=uneven)).verdict == "refit"


MOVES = [  # customer, day, before, after
    (1, 10, 0, 1), (1, 20, 1, 0),  # back after ten days
    (2, 10, 0, 1), (2, 41, 1, 0),  # back after 31
    (3, 10, 0, 1), (3, 15, 1, 2), (3, 20, 2, 0),  # a round trip over another segment is no flapping
    (4, 10, NOBODY, 0), (4, 11, 0, 1),  # a first score is no move
]  # fmt: skip


def flapping(moves, **words):
    customer, day, before, after = (np.array(column) for column in zip(*moves, strict=True))
    return measure_flapping(
        customer.astype(np.int64), day.astype(np.int32), before.astype(np.int8), after.astype(np.int8), **words
    )


def test_flapping_is_being_back_soon():
    found = flapping(MOVES)
    assert (found.moves, found.customers, found.flapping_customers) == (8, 4, 1)
    assert np.flatnonzero(found.back_and_forth).tolist() == [1]
    assert (found.share, found.wasted_tasks) == (1 / 8, 1)
    assert flapping(MOVES, within=31).flapping_customers == 2


def test_flapping_does_not_depend_on_the_order_of_customers():
    mixed = [MOVES[i] for i in (7, 5, 0, 2, 8, 1, 6, 3, 4)]
    mixed.sort(key=lambda move: move[1])
    assert flapping(mixed).flapping_customers == flapping(MOVES).flapping_customers


def test_moves_without_an_event_are_counted():
    event = np.array([True, False] * 4 + [False])
    assert flapping(MOVES, event=event).eventless == 4


def test_no_moves_no_flapping():
    nothing = flapping([(1, 1, NOBODY, 0)])
    assert (nothing.moves, nothing.share, nothing.customers) == (0, 0.0, 0)
