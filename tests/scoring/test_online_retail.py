"""Online Retail, a real shop with cancellations: every customer's R, F, M and score against the brute force.

The subset of `sandbox/data/README.md`: Chen, D. (2015). Online Retail [Dataset]. UCI Machine Learning Repository.
https://doi.org/10.24432/C5BW33. CC BY 4.0.
"""

import csv
import gzip
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from scoring.features import summarise
from scoring.methods import MethodVersion, apply, fit, load_method, method_names
from tests.scoring.brute import Row, border, count, orders

LINES = Path(__file__).parents[2] / "sandbox" / "data" / "online_retail" / "invoice_lines.csv.gz"
EPOCH = date(1970, 1, 1)
AS_OF = (date(2011, 12, 9) - EPOCH).days


@pytest.fixture(scope="module")
def rows():
    """One row per invoice: the sum of its lines on its first day; cancellations are negative."""
    totals, days = defaultdict(Decimal), {}
    with gzip.open(LINES, "rt", encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            key = int(line["CustomerID"]), line["InvoiceNo"]
            totals[key] += int(line["Quantity"]) * Decimal(line["UnitPrice"])
            day = (date.fromisoformat(line["InvoiceDate"][:10]) - EPOCH).days
            days[key] = min(day, days.get(key, day))
    return [Row(key[0], days[key], total) for key, total in sorted(totals.items())]


def facts_of(rows, window):
    expected = count(rows, AS_OF, window)
    return {customer: (AS_OF - max(c.days), c.frequency, c.monetary()) for customer, c in sorted(expected.items())}


def test_set_is_the_whole_subset(rows):
    assert len(rows) == 1073 + 123
    assert sum(row.amount < 0 for row in rows) == 123
    assert sum(row.amount for row in rows) == Decimal("152745.55")


@pytest.mark.parametrize("window", [90, 365, 730])
def test_every_customer_has_the_values_of_the_brute_force(rows, window):
    summary = summarise(orders(rows, places=3), as_of=AS_OF, window=window)
    money = [Decimal(cents).scaleb(-2) for cents in summary.monetary.tolist()]
    found = dict(
        zip(summary.number.tolist(), zip(summary.recency.tolist(), summary.frequency.tolist(), money, strict=True),
            strict=True)
    )  # fmt: skip
    assert found == facts_of(rows, window)
    assert len(found) == 523 - 11  # eleven have cancellations only


@pytest.mark.parametrize("name", method_names())
def test_every_customer_has_the_code_and_segment_of_the_definition(rows, name):
    method = load_method(name)
    summary = summarise(orders(rows, places=3), as_of=AS_OF, window=method.window)
    customers = apply(MethodVersion(name, 1, method, fit(method, summary).thresholds), summary)
    facts = list(facts_of(rows, method.window).values())
    borders = []
    for axis, values in zip("rfm", zip(*facts, strict=True), strict=True):
        stated = [Decimal(b) if axis != "m" else Decimal(b).scaleb(-2) for b in method.scales.of(axis).borders]
        borders.append(stated or [border(list(values), k, method.bins) for k in range(1, method.bins)])
    for i, values in enumerate(facts):
        beyond = [sum(value > b for b in of_axis) for value, of_axis in zip(values, borders, strict=True)]
        code = f"{method.bins - beyond[0]}{1 + beyond[1]}{1 + beyond[2]}"
        assert customers.code(i) == code
        assert customers.segment_of(i) == method.segment_of(code).value
