from __future__ import annotations

from decimal import Decimal

from connector.store.overview import SegmentTotal
from connector.web import segments
from connector.web.texts import texts_in
from connector.web.thresholds import score_ranges
from connector.wording import Language
from scoring.methods import load_method
from tests.connector.web.shop import version

EN, RU = texts_in(Language.EN), texts_in(Language.RU)
SALES5 = load_method("sales5")


def total(segment: str, customers: int, money: int, **flags: int) -> SegmentTotal:
    return SegmentTotal(
        segment, customers, Decimal(money), Decimal(30), Decimal(2), Decimal(90), flags.get("churn_risk", 0), 0
    )


NORTHWIND = [
    total("vip", 13, 500),
    total("loyal", 20, 210),
    total("at_risk", 6, 90, churn_risk=6),
    total("sleeping", 50, 200),
]


def test_all_segments_of_the_method_are_shown_the_best_first():
    view = segments.segments_of(NORTHWIND, SALES5, "USD", EN)
    assert [row.total.segment for row in view.rows] == ["vip", "loyal", "promising", "at_risk", "sleeping"]
    assert [row.total.customers for row in view.rows] == [13, 20, 0, 6, 50]
    assert (view.customers, view.money, view.count_of("churn_risk")) == (89, 1000, 6)


def test_the_sentence_says_who_brings_the_sum_and_who_may_leave():
    view = segments.segments_of(NORTHWIND, SALES5, "USD", EN)
    assert segments.sentence(view, EN).replace("\u00a0", " ") == (
        "VIP and Loyal are 33 of 89 customers (37%) and bring 71% of the sum."
        " At risk of leaving: 6 customers, with 9% of the sum."
    )
    view = segments.segments_of(NORTHWIND, SALES5, "USD", RU)
    assert segments.sentence(view, RU).replace("\u00a0", " ") == (
        "VIP и Лояльные — это 33 из 89 клиентов (37 %), они приносят 71 % суммы."
        " Могут уйти: 6 клиентов, на них 9 % суммы."
    )


def test_shares_of_a_sum_below_nothing_are_not_shown():
    view = segments.segments_of([total("vip", 1, -50), total("sleeping", 1, 20)], SALES5, "USD", EN)
    assert not view.money_counts
    assert all(row.money_share is None for row in view.rows)
    assert segments.sentence(view, EN).replace("\u00a0", " ") == "VIP are 1 of 2 customers (50%)."
    assert len(segments.shares_chart(view, EN)["series"]) == 1


def test_it_is_said_when_there_is_no_regular_buyer():
    view = segments.segments_of([total("sleeping", 3, 9)], SALES5, "USD", EN)
    assert segments.sentence(view, EN).replace("\u00a0", " ") == "None of 3 customers is in VIP and Loyal."


def test_without_scores_there_is_nothing_to_say():
    view = segments.segments_of([], SALES5, "USD", EN)
    assert segments.sentence(view, EN) == ""
    assert view.mean_of("quality") == view.mean_money == 0


def test_a_segment_the_method_does_not_know_comes_last_under_its_own_value():
    view = segments.segments_of([total("odd", 2, 2), total("vip", 1, 1)], SALES5, "USD", EN)
    assert (view.rows[-1].label, view.rows[-1].work) == ("odd", "other")
    assert view.label_of("gone_for_good") == "gone_for_good"


def test_segments_of_one_class_of_work_have_shades_of_one_colour():
    view = segments.segments_of([], load_method("customer360"), "USD", EN)
    shades = [(row.work, row.shade) for row in view.rows]
    assert len(set(shades)) == len(shades)
    assert shades[:2] == [("vip", 0), ("loyal", 0)]


def test_the_bar_leaves_out_empty_segments():
    chart = segments.bar_chart(segments.segments_of(NORTHWIND, SALES5, "USD", EN), EN)
    assert chart["labels"] == ["VIP", "Loyal", "At risk", "Sleeping"]
    assert abs(sum(chart["shares"]) - 1) < 1e-12


def test_means_weigh_every_customer_alike():
    few, many = total("vip", 1, 1), SegmentTotal("loyal", 3, Decimal(1), Decimal(50), Decimal(1), Decimal(10), 0, 0)
    view = segments.segments_of([few, many], SALES5, "USD", EN)
    assert view.mean_of("quality") == Decimal(30)  # (90 + 3 * 10) / 4


def test_every_value_lies_in_the_range_of_one_score():
    ranges = score_ranges(version(), "USD", EN)
    assert [(row.score, row.r) for row in ranges] == [
        (5, "0 – 10"), (4, "11 – 30"), (3, "31 – 60"), (2, "61 – 120"), (1, "121 and more"),
    ]  # fmt: skip
    assert [row.f for row in ranges] == ["5 and more", None, "3 – 4", "2", "0 – 1"]
    assert [row.m for row in ranges][0::4] == ["$5,000.01 and more", "up to $100.00"]
