"""explain, quality and backtest as people and scripts call them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.connector.factories import dump, order


@pytest.fixture
def scored(connected, crm):
    """Contact 8 orders for years, contact 3 has an order without an amount; all of it is scored."""
    now = datetime.now(UTC) - timedelta(hours=3)
    for k in range(60):
        crm.add_order(order(f"9{k}", contact_id="8", amount=Decimal(5 + k), at=now - timedelta(days=9 * k)))
    crm.add_order(order("700", contact_id="3", amount=None, at=now))
    assert connected("sync", "p").status == 0
    assert connected("score", "p").status == 0
    return connected


def test_a_customer_is_explained_in_words_and_in_json(scored):
    shown = scored("explain", "p", "contact:8")
    assert shown.status == 0
    assert shown.out.startswith("p, contact:8, as of ")
    assert "That is the segment" in shown.out
    assert "without an order" in shown.out
    said = scored("explain", "p", "contact:8", "--json", "--language", "ru")
    assert len(said.out.splitlines()) == 1
    assert said.json["customer"] == "contact:8"
    assert any("Это сегмент" in sentence for sentence in said.json["sentences"])
    assert [axis["name"] for axis in said.json["axes"]] == ["r", "f", "m"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("explain", "p", "deal:8"), "deal"),
        (("explain", "p", "contact:77"), "knows no contact:77"),
        (("explain", "q", "contact:8"), "there is no portal named 'q'"),
        (("quality", "q"), "there is no portal named 'q'"),
        (("quality", "p", "--cause", "luck"), "invalid choice"),
        (("quality", "p", "--worst", "1001"), "no number from 0 to 1000"),
        (("backtest", "p", "--methods", "rfm9"), "there is no method 'rfm9'"),
        (("backtest", "p", "--methods", "a,a"), "different names"),
        (("backtest", "p", "--horizon", "0"), "no number of days"),
        (("backtest", "p", "--dates", "2025-02-30"), "is no date"),
        (("backtest", "p", "--horizon", "600"), "too short"),
        (("backtest", "p", "--horizon", "30", "--out", "/nowhere/at/all.html"), "cannot be written"),
    ],
)
def test_wrong_words_are_one_line_and_status_2(scored, words, reason):
    said = scored(*words)
    assert (said.status, said.out) == (2, "")
    assert reason in said.err
    assert said.err.count("\n") == 1


def test_quality_lists_causes_and_whom_they_concern(scored):
    shown = scored("quality", "p")
    assert (shown.status, "amount_absent: 1 customers" in shown.out, "contact:3" in shown.out) == (0, True, True)
    said = scored("quality", "p", "--json", "--cause", "amount_absent", "--worst", "5").json
    assert [row["customer"] for row in said["worst"]] == ["contact:3"]
    assert said["worst"][0]["segment_if_repaired"] is not None
    assert said["base"]["customers"] == 8
    assert any("500 are needed" in sentence for sentence in said["thin"]["segments"])


def test_a_run_on_few_customers_says_that_the_data_are_thin(connected, crm):
    said = connected("run", "p", "--json").json
    assert said["thin"][0].startswith("Segments are computed and shown, but the data are thin")
    assert said["written"] == 8  # and nothing is held back for that
    assert "thin data: 8 customers with orders; 500 are needed" in connected("run", "p").out


def test_a_backtest_writes_a_report_and_nothing_else(scored, database, tmp_path):
    before = dump(database)
    out = tmp_path / "report.html"
    shown = scored("backtest", "p", "--methods", "sales5,customer360", "--horizon", "30", "--out", str(out))
    assert shown.status == 0
    assert f"report: {out}" in shown.out
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    said = scored("backtest", "p", "--horizon", "30", "--every", "quarter", "--json").json
    assert (said["horizon"], len(said["methods"]), said["report"]) == (30, 1, None)
    assert dump(database) == before
