from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from scoring.errors import BadFrame
from scoring.frames import Orders


def frame(**columns):
    defaults = {"customer": [1, 2], "day": [10, 11], "amount": pd.Series(["1.50", "2"], dtype=object)}
    return pd.DataFrame(defaults | {k: pd.Series(v, dtype=object) for k, v in columns.items()})


def test_amounts_of_every_exact_kind_are_read_in_the_finest_unit():
    read = Orders.from_frame(
        pd.DataFrame(
            {
                "customer": [1, 1, 2, 2, 3],
                "day": [1, 2, 3, 4, 5],
                "amount": pd.Series([Decimal("1.234"), 5, "7.10", None, "-3"], dtype=object),
            }
        )
    )
    assert read.places == 3
    assert read.amount.tolist() == [1234, 5000, 7100, 0, -3000]
    assert read.counts.tolist() == [True, True, True, True, False]


def test_explicit_zero_is_a_refund_and_an_empty_amount_an_order():
    read = Orders.from_frame(frame(amount=["0.00", None]))
    assert read.counts.tolist() == [False, True]


@pytest.mark.parametrize(
    "days",
    [
        ["1970-01-11", "1970-01-12"],
        [date(1970, 1, 11), date(1970, 1, 12)],
        [datetime(1970, 1, 11, 23, 59), datetime(1970, 1, 12)],  # noqa: DTZ001
        [np.int64(10), 11],
    ],
    ids=["text", "date", "datetime", "number"],
)
def test_days_of_every_kind_are_read(days):
    assert Orders.from_frame(frame(day=days)).day.tolist() == [10, 11]


def test_day_column_of_pandas_own_type_is_read():
    dates = pd.DataFrame({"customer": [1], "day": pd.to_datetime(["1997-01-01"]), "amount": ["1"]})
    assert Orders.from_frame(dates).day.tolist() == [9862]


def test_trailing_zeros_need_no_finer_unit():
    assert Orders.from_frame(frame(amount=["1.5000000000", "1E+3"])).places == 2


def test_unknown_amounts_are_marked():
    assert Orders.from_frame(frame(known=[True, False])).known.tolist() == [True, False]


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("customer", [1, "2"], "whole number"),
        ("customer", [1, 2.0], "whole number"),
        ("customer", [1, True], "whole number"),
        ("customer", [1, -2], "0 or more"),
        ("customer", [1, 2**63], "0 or more"),
        ("day", [1, None], "missing"),
        ("day", [1, pd.NaT], "missing"),
        ("day", [1, "soon"], "a day is a date"),
        ("day", [1, 2.5], "a day is a date"),
        ("day", [1, 10**9], "outside the calendar"),
        ("day", [1, datetime(2024, 1, 1, tzinfo=UTC)], "time zone"),
        ("amount", ["1", 1.5], "Decimal, int, text or empty"),
        ("amount", ["1", True], "Decimal, int, text or empty"),
        ("amount", ["1", "much"], "not a number"),
        ("amount", ["1", "NaN"], "not finite"),
        ("amount", ["1", Decimal("Infinity")], "not finite"),
        ("amount", ["1", "0.123456789"], "more than 8 decimals"),
        ("amount", ["1", "1.0000000000000000000000000000000001"], "more than 8 decimals"),
        ("amount", ["1", "1e999999999"], "too large"),
        ("amount", ["0.00000001", "999999999999"], "too large"),
        ("known", [True, "yes"], "true or false"),
    ],
)
def test_bad_value_is_refused_with_column_and_first_row(column, values, reason):
    with pytest.raises(BadFrame, match=reason) as caught:
        Orders.from_frame(frame(**{column: values}))
    assert (caught.value.column, caught.value.row) == (column, 1)
    assert str(caught.value).startswith(f"{column}, row 1: ")


def test_missing_column_is_named():
    with pytest.raises(BadFrame, match="amount: the column is missing"):
        Orders.from_frame(pd.DataFrame({"customer": [1], "day": [1]}))


def _orders(**changes):
    columns = {
        "customer": np.zeros(2, dtype=np.int64),
        "day": np.zeros(2, dtype=np.int32),
        "amount": np.zeros(2, dtype=np.int64),
    }
    return Orders(**(columns | changes))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("customer", np.zeros(2, dtype=np.float64)),
        ("customer", [0, 0]),
        ("day", np.zeros(2, dtype=np.int64)),
        ("amount", np.zeros(2, dtype=np.float64)),
        ("amount", np.zeros(3, dtype=np.int64)),
        ("amount", np.zeros((2, 1), dtype=np.int64)),
        ("counts", np.zeros(2, dtype=np.int8)),
        ("known", np.zeros(1, dtype=np.bool_)),
    ],
)
def test_array_of_wrong_type_or_length_is_refused(column, values):
    with pytest.raises(BadFrame) as caught:
        _orders(**{column: values})
    assert caught.value.column == column


@pytest.mark.parametrize("places", [1, 9])
def test_places_beyond_two_to_eight_are_refused(places):
    with pytest.raises(BadFrame, match="places must be 2 to 8"):
        _orders(places=places)
