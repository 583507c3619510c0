"""Segments as a picture, a table and a sentence. Pure: totals and a method in, words and shares out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from connector.store.overview import SegmentTotal
from connector.web.texts import Texts
from scoring.methods import Method

_REGULARS = ("vip", "loyal")
_LEAVING = ("at_risk",)


@dataclass(frozen=True, slots=True)
class Row:
    """One segment. Its class of work gives the colour; `shade`, from 0, tells segments of one colour apart."""

    total: SegmentTotal
    label: str
    work: str
    shade: int
    share: Decimal
    money_share: Decimal | None

    @property
    def mean(self) -> Decimal:
        """The sum per customer."""
        return self.total.money / self.total.customers if self.total.customers else Decimal(0)


@dataclass(frozen=True, slots=True)
class Segments:
    """The segments of a portal, the best first. `money_counts` is false where the sum is no base for shares."""

    rows: tuple[Row, ...]
    customers: int
    money: Decimal
    money_counts: bool
    currency: str

    def row_of(self, segment: str) -> Row | None:
        """The row of a segment's value."""
        return next((row for row in self.rows if row.total.segment == segment), None)

    def label_of(self, segment: str) -> str:
        """What a segment is called; one the method does not know is called by its value."""
        row = self.row_of(segment)
        return row.label if row is not None else segment

    def mean_of(self, name: str) -> Decimal:
        """The mean of `recency`, `frequency` or `quality` over all scored customers."""
        weighted = sum((getattr(row.total, name) * row.total.customers for row in self.rows), Decimal(0))
        return weighted / self.customers if self.customers else Decimal(0)

    def count_of(self, name: str) -> int:
        """How many customers have the flag `churn_risk` or `upsell`."""
        return sum(getattr(row.total, name) for row in self.rows)

    @property
    def mean_money(self) -> Decimal:
        """The sum per customer, over all."""
        return self.money / self.customers if self.customers else Decimal(0)


def segments_of(totals: Sequence[SegmentTotal], method: Method | None, currency: str, texts: Texts) -> Segments:
    """All segments of the method, empty ones too; without a method those that were found."""
    found = {total.segment: total for total in totals}
    customers = sum(total.customers for total in totals)
    money = sum((total.money for total in totals), Decimal(0))
    counts = money > 0 and all(total.money >= 0 for total in totals)
    rows: list[Row] = []
    for value, label, work in _order(found, method, texts):
        total = found.get(value) or SegmentTotal(value, 0, Decimal(0), Decimal(0), Decimal(0), Decimal(0), 0, 0)
        shade = sum(row.work == work for row in rows)
        share = Decimal(total.customers) / customers if customers else Decimal(0)
        rows.append(Row(total, label, work, shade, share, total.money / money if counts else None))
    return Segments(tuple(rows), customers, money, counts, currency)


def sentence(segments: Segments, texts: Texts) -> str:
    """What the picture shows: how many regular buyers there are and what they bring, and how many may leave."""
    regulars = [row for row in segments.rows if row.work in _REGULARS]
    if not regulars or not segments.customers:
        return ""
    leaving = [row for row in segments.rows if row.work in _LEAVING and row.total.customers]
    return " ".join(part for part in (_regulars(regulars, segments, texts), _leaving(leaving, segments, texts)) if part)


def shares_chart(segments: Segments, texts: Texts) -> dict[str, Any]:
    """Data of the chart that sets the share of customers beside the share of the sum."""
    return {
        "kind": "shares",
        "labels": [row.label for row in segments.rows],
        "colours": [[row.work, row.shade] for row in segments.rows],
        "series": [
            {
                "name": texts("segments.legend_customers"),
                "shares": [float(row.share) for row in segments.rows],
                "texts": [
                    f"{texts.number(row.total.customers)} · {texts.percent(row.total.customers, segments.customers)}"
                    for row in segments.rows
                ],
            },
            *_money_series(segments, texts),
        ],
    }


def bar_chart(segments: Segments, texts: Texts) -> dict[str, Any]:
    """Data of the one bar that is divided among the segments."""
    rows = [row for row in segments.rows if row.total.customers]
    return {
        "kind": "bar",
        "labels": [row.label for row in rows],
        "colours": [[row.work, row.shade] for row in rows],
        "shares": [float(row.share) for row in rows],
        "texts": [texts.percent(row.total.customers, segments.customers) for row in rows],
        "details": [f"{row.label}: {texts.counted('customers', row.total.customers)}" for row in rows],
    }


def _money_series(segments: Segments, texts: Texts) -> list[dict[str, Any]]:
    if not segments.money_counts:
        return []
    return [
        {
            "name": texts("segments.legend_money"),
            "shares": [float(row.money_share or 0) for row in segments.rows],
            "texts": [texts.percent(row.total.money, segments.money) for row in segments.rows],
        }
    ]


def _order(found: Mapping[str, SegmentTotal], method: Method | None, texts: Texts) -> list[tuple[str, str, str]]:
    """(value, label, class of work) by rank; segments the method does not know come last."""
    known = sorted(method.segments, key=lambda segment: segment.rank) if method is not None else []
    listed = [(segment.value, segment.label[texts.language.value], segment.work) for segment in known]
    values = {value for value, _, _ in listed}
    return [*listed, *((value, value, "other") for value in sorted(found) if value not in values)]


def _regulars(rows: Sequence[Row], segments: Segments, texts: Texts) -> str:
    people = sum(row.total.customers for row in rows)
    names = texts.listed([row.label for row in rows if row.total.customers or not people])
    customers = texts.counted("of_customers", segments.customers)
    if not people:
        return texts("segments.sentence_nobody", names=names, customers=customers)
    part, share = texts.number(people), texts.percent(people, segments.customers)
    if not segments.money_counts:
        return texts("segments.sentence_no_money", names=names, part=part, customers=customers, share=share)
    money = texts.percent(sum((row.total.money for row in rows), Decimal(0)), segments.money)
    return texts("segments.sentence", names=names, part=part, customers=customers, share=share, money_share=money)


def _leaving(rows: Sequence[Row], segments: Segments, texts: Texts) -> str:
    people = sum(row.total.customers for row in rows)
    if not people:
        return ""
    customers = texts.counted("customers", people)
    if not segments.money_counts:
        return texts("segments.risk_no_money", customers=customers)
    money = texts.percent(sum((row.total.money for row in rows), Decimal(0)), segments.money)
    return texts("segments.risk", customers=customers, money_share=money)
