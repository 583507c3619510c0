import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.errors import BadFrame
from scoring.quality import SOFTEN_BELOW, Cause, Facts, assess, causes_in


def ints(*values):
    return np.array(values, dtype=np.int32)


def facts(total=10, first=400, **touched):
    arrays = {name: np.array([value], dtype=np.bool_ if name.startswith("manager") else np.int32)
              for name, value in touched.items()}  # fmt: skip
    return Facts(orders_total=ints(total), days_since_first=ints(first), **arrays)


def test_clean_history_has_a_hundred_and_no_causes():
    quality = assess(
        facts(amounts_absent=0, amounts_zero=0, without_rate=0, without_manager=0, on_bulk_day=0,
              manager_missing=False, manager_inactive=False)
    )  # fmt: skip
    assert (quality.score.tolist(), quality.causes.tolist()) == ([100], [0])


def test_what_was_not_looked_at_takes_nothing_off():
    assert assess(facts()).score.tolist() == [100]


@pytest.mark.parametrize("column", ["amounts_absent", "without_rate"])
def test_history_without_any_known_amount_falls_below_the_softening_border(column):
    assert assess(facts(total=7, **{column: 7})).score[0] < SOFTEN_BELOW


@pytest.mark.parametrize(
    ("touched", "score", "cause"),
    [
        ({"amounts_absent": 5}, 67, Cause.AMOUNT_ABSENT),  # 65 * 5 / 10 = 32.5, rounded up
        ({"amounts_zero": 10}, 85, Cause.AMOUNT_ZERO),  # half of twenty deals
        ({"without_rate": 10}, 35, Cause.NO_RATE),
        ({"without_manager": 1}, 99, Cause.ORDER_WITHOUT_MANAGER),
        ({"on_bulk_day": 10}, 70, Cause.BULK_DAY),
        ({"duplicates": 4}, 90, Cause.DUPLICATE),
        ({"dates_missing": 10}, 80, Cause.DATE_MISSING),  # half of twenty won deals
        ({"long_open": 1}, 99, Cause.LONG_OPEN),  # 10 / 11, rounded up
        ({"total": 1, "first": 89}, 90, Cause.SHORT_HISTORY),
        ({"manager_missing": True}, 85, Cause.MANAGER_MISSING),
        ({"manager_inactive": True}, 90, Cause.MANAGER_INACTIVE),
    ],
)
def test_each_cause_takes_off_its_weight_by_share(touched, score, cause):
    quality = assess(facts(**touched))
    assert quality.score.tolist() == [score]
    assert causes_in(int(quality.causes[0])) == (cause,)


@pytest.mark.parametrize(("total", "first"), [(1, 90), (2, 5)], ids=["old enough", "two orders"])
def test_history_is_short_only_with_one_order_and_less_than_ninety_days(total, first):
    assert assess(facts(total=total, first=first)).score.tolist() == [100]


def test_score_never_falls_below_zero():
    quality = assess(facts(total=1, first=0, amounts_absent=1, without_rate=1, manager_missing=True))
    assert quality.score.tolist() == [0]


def test_one_touched_order_of_a_million_is_seen():
    assert assess(facts(total=1_000_000, without_manager=1)).score.tolist() == [99]


@given(st.integers(1, 50), st.data())
def test_more_touched_orders_never_raise_the_score(total, data):
    few = data.draw(st.integers(0, total))
    more = data.draw(st.integers(few, total))
    scores = [assess(facts(total=total, amounts_absent=count)).score[0] for count in (few, more)]
    assert scores[0] >= scores[1]


def test_numbers_of_causes_are_stored_and_never_change():
    assert {cause.name: cause.value for cause in Cause} == {
        "AMOUNT_ABSENT": 1, "AMOUNT_ZERO": 2, "NO_RATE": 4, "ORDER_WITHOUT_MANAGER": 8, "BULK_DAY": 16,
        "SHORT_HISTORY": 32, "MANAGER_MISSING": 64, "MANAGER_INACTIVE": 128, "DATE_MISSING": 256, "DUPLICATE": 512,
        "LONG_OPEN": 1024,
    }  # fmt: skip


def test_causes_come_heaviest_first():
    mask = Cause.MANAGER_MISSING | Cause.AMOUNT_ABSENT | Cause.SHORT_HISTORY
    assert causes_in(mask) == (Cause.AMOUNT_ABSENT, Cause.MANAGER_MISSING, Cause.SHORT_HISTORY)


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_a_weight_and_a_sentence_in_both_languages(cause):
    assert cause.weight > 0
    assert cause.text("ru").endswith(".")
    assert cause.text("en").endswith(".")


@pytest.mark.parametrize("wrong", [{"amounts_absent": 11}, {"without_rate": -1}, {"total": 0}])
def test_contradicting_counts_are_refused(wrong):
    with pytest.raises(BadFrame):
        assess(facts(**wrong))


def test_counts_of_another_length_are_refused():
    with pytest.raises(BadFrame, match="AMOUNT_ABSENT"):
        assess(Facts(orders_total=ints(1), days_since_first=ints(500), amounts_absent=ints(0, 0)))


def test_no_customers_have_no_quality():
    assert len(assess(Facts(orders_total=ints(), days_since_first=ints())).score) == 0
