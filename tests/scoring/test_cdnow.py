"""The CDNOW sample, a real shop: every customer's R, F, M, rhythm and score against the brute force."""

import gzip
from collections import Counter
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scoring.features import summarise
from scoring.frames import Orders
from scoring.methods import MethodVersion, apply, fit, load_method
from tests.scoring.brute import Row, border, count

SAMPLE = Path(__file__).parents[1] / "samples" / "data" / "cdnow_sample.csv.gz"
WINDOW = 365


@pytest.fixture(scope="module")
def sample():
    with gzip.open(SAMPLE) as file:
        frame = pd.read_csv(file, dtype={"date": str, "dollar_value": str})
    return pd.DataFrame({"customer": frame["sample_id"], "day": frame["date"], "amount": frame["dollar_value"]})


@pytest.fixture(scope="module")
def rows(sample):
    epoch = pd.Timestamp("1970-01-01")
    days = (pd.to_datetime(sample["day"]) - epoch).dt.days
    return [
        Row(int(customer), int(day), Decimal(amount))
        for customer, day, amount in zip(sample["customer"], days, sample["amount"], strict=True)
    ]


def day_number(text):
    return int((pd.Timestamp(text) - pd.Timestamp("1970-01-01")).days)


@pytest.fixture(scope="module", params=["1997-06-30", "1998-06-30"])
def as_of(request):
    return day_number(request.param)


@pytest.mark.parametrize("shuffled", [False, True], ids=["as stored", "shuffled"])
def test_every_customer_has_the_values_of_the_brute_force(sample, rows, as_of, shuffled):
    frame = sample.sample(frac=1, random_state=1) if shuffled else sample
    summary = summarise(Orders.from_frame(frame), as_of=as_of, window=WINDOW)
    expected = count(rows, as_of, WINDOW)
    assert summary.number.tolist() == sorted(expected)
    for i, number in enumerate(summary.number.tolist()):
        mine = expected[number]
        assert summary.recency[i] == as_of - max(mine.days)
        assert summary.frequency[i] == mine.frequency
        assert Decimal(int(summary.monetary[i])).scaleb(-2) == mine.monetary()
        assert summary.history.order_days[i] == len(set(mine.days))
        gap = summary.history.median_gap[i]
        assert (None if np.isnan(gap) else gap) == mine.median_gap()


def test_scores_of_sales5_are_those_of_the_definition(sample, rows, as_of):
    method = load_method("sales5")
    summary = summarise(Orders.from_frame(sample), as_of=as_of, window=WINDOW)
    fitted = fit(method, summary)
    customers = apply(MethodVersion("sales5", 1, method, fitted.thresholds), summary)
    expected = count(rows, as_of, WINDOW)
    facts = [(as_of - max(c.days), c.frequency, c.monetary()) for _, c in sorted(expected.items())]
    r_borders, f_borders, m_borders = (
        [border(list(values), k, 5) for k in range(1, 5)] for values in zip(*facts, strict=True)
    )
    codes = [
        f"{5 - sum(r > b for b in r_borders)}{1 + sum(f > b for b in f_borders)}{1 + sum(m > b for b in m_borders)}"
        for r, f, m in facts
    ]
    assert [customers.code(i) for i in range(len(customers))] == codes


def test_whole_sample_is_read_to_the_cent(sample):
    orders = Orders.from_frame(sample)
    assert len(orders) == 6919
    assert orders.places == 2
    assert int((~orders.counts).sum()) == 8
    assert Counter(np.sign(orders.amount).tolist()) == {1: 6911, 0: 8}
