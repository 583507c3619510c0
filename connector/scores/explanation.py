"""One customer explained: the orders behind the code, how far each border is, what changes it, and when by itself.

Counts again from the mirror with the version the customer was scored with, and changes nothing. What it means in
sentences is in `telling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from adapters.records import CustomerRef
from connector.errors import WrongUse
from connector.scores import run as scoring_run
from connector.scores.moments import EPOCH, Moment, as_of_moment
from connector.store import histories, methods, scores
from connector.store.histories import HistoryOrder
from connector.store.mirror import Weight
from connector.store.models import UNIT_PLACES, MethodRow, Portal, ScoreRow
from scoring.drift import Stop, foresee, path
from scoring.explain import Explained, Ladder, explain
from scoring.features import Summary, summarise
from scoring.frames import Customers, Orders
from scoring.methods import AXES, MethodVersion, apply


@dataclass(frozen=True, slots=True)
class Border:
    """The way to another score: how much further, and which score that is. Days, orders, or money."""

    distance: int | Decimal
    score: int


@dataclass(frozen=True, slots=True)
class Axis:
    """One of R, F and M: the value, its score, and the borders next to it (None at the end of the scale).

    `low` and `high` are the values this score takes, None where there is no end.
    """

    name: str
    value: int | Decimal
    score: int
    low: int | Decimal | None
    high: int | Decimal | None
    better: Border | None
    worse: Border | None


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one value alone that leads to another segment. `towards` is better or worse."""

    axis: str
    towards: str
    amount: int | Decimal
    segment: str


@dataclass(frozen=True, slots=True)
class OrderToday:
    """From this sum on an order on the as-of day leads to this segment."""

    amount: Decimal
    code: str
    segment: str


@dataclass(frozen=True, slots=True)
class Future:
    """From a day on, if no order comes."""

    in_days: int
    on: date
    r: int
    f: int
    m: Decimal
    code: str
    segment: str


@dataclass(frozen=True, slots=True)
class Contribution:
    """One order of the history. `counted` is what it adds to M, None where it adds nothing for want of a rate.

    `kind`: order, no_amount, no_rate, refund. `leaves_on` is the day on which it counts no more.
    """

    source: str
    external_id: str
    on: date
    kind: str
    counted: Decimal | None
    amount: Decimal | None
    currency: str | None
    in_window: bool
    leaves_on: date


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole of it. Money is in `currency`; `axes` are r, f and m in this order."""

    portal: str
    customer: str
    as_of: date
    method: str
    bins: int
    currency: str
    window: int
    code: str
    segment: str
    labels: dict[str, dict[str, str]]
    churn_risk: bool
    upsell: bool
    axes: tuple[Axis, ...]
    orders: tuple[Contribution, ...]
    changes: tuple[Change, ...]
    order_today: tuple[OrderToday, ...]
    future: tuple[Future, ...]
    usual_gap: float | None
    overdue: bool
    overdue_in: int | None
    quality: int | None
    causes: int
    stored_code: str | None
    stored_segment: str | None
    may_hold: bool

    @property
    def by_itself(self) -> Future | None:
        """When another segment comes without an order, None if never."""
        return next((stop for stop in self.future if stop.segment != self.segment), None)

    @property
    def in_window(self) -> list[Contribution]:
        """The orders and refunds that F and M are made of, oldest first."""
        return [one for one in self.orders if one.in_window]

    def label(self, segment: str, language: str) -> str:
        """The segment for people."""
        return self.labels[segment][language]

    def as_json(self) -> dict[str, Any]:
        """Plain values; money as text with two decimals, days as YYYY-MM-DD."""
        found = _plain(asdict(self))
        by_itself = self.by_itself
        return {**found, "by_itself": None if by_itself is None else _plain(asdict(by_itself))}


def explain_customer(
    session: Session, portal: Portal, ref: CustomerRef, *, now: datetime, as_of: date | None = None
) -> Explanation:
    """Explain a customer as of a day; without one as of the last scoring, so that it is what the card shows.

    Raises `WrongUse` for somebody unknown, without an order up to that day, or where nothing was scored yet.
    """
    row = histories.customer_of(session, portal.portal_id, ref)
    if row is None:
        raise WrongUse(f"{portal.name} knows no {ref}: see `sync`, and write it like company:45 or contact:123")
    stored = histories.score_with_version(session, portal.portal_id, row.number)
    version = _version(session, portal, stored)
    day = as_of or scores.last_as_of(session, portal.portal_id)
    moment = as_of_moment(portal.time_zone, min(day, _today(portal, now)) if day and not as_of else day, now)
    filters = version.method.filters
    found = histories.orders_of(session, portal.portal_id, row.number, moment.number, moment.until, filters)
    if filters.of_arrays:
        found = [order for order, kept in zip(found, filters.keep(as_orders(found)), strict=True) if kept]
    orders = as_orders(found)
    summary = summarise(orders, as_of=moment.number, window=version.method.window)
    if not len(summary):
        raise WrongUse(f"{ref} has no order up to {moment.day}, so it has no score")
    return _put_together(portal, ref, version, moment, found, orders, summary, stored[0] if stored else None)


def as_orders(found: Sequence[HistoryOrder]) -> Orders:
    """The history of one customer as scoring wants it, with the number 0."""
    weights = np.array([order.weight for order in found], np.int16)
    return Orders(
        customer=np.zeros(len(found), np.int64),
        day=np.array([order.day for order in found], np.int32),
        amount=np.array([order.units for order in found], np.int64),
        counts=weights < Weight.REFUND,
        known=(weights != Weight.NO_RATE) & (weights != Weight.REFUND_NO_RATE),
        places=UNIT_PLACES,
    )


def _today(portal: Portal, now: datetime) -> date:
    return as_of_moment(portal.time_zone, None, now).day


def _version(session: Session, portal: Portal, stored: tuple[ScoreRow, MethodRow | None] | None) -> MethodVersion:
    """The version that scored the customer, else the one in force."""
    if stored is not None and stored[1] is not None:
        return methods.opened(stored[1])
    version = scoring_run.current_version(session, portal)
    if version is None:
        raise WrongUse(f"{portal.name} has no scores yet: run `score {portal.name}` first")
    return version


def _put_together(
    portal: Portal,
    ref: CustomerRef,
    version: MethodVersion,
    moment: Moment,
    found: Sequence[HistoryOrder],
    orders: Orders,
    summary: Summary,
    stored: ScoreRow | None,
) -> Explanation:
    customers = apply(version, summary)
    explained = explain(version, customers)
    drift = foresee(version, summary, customers, orders)
    gap = float(summary.history.median_gap[0]) if summary.history is not None else float("nan")
    overdue_in = int(drift.overdue_in[0])
    rhythm = gap == gap and version.method.churn.rhythm  # noqa: PLR0124 - not NaN
    segments = version.method.segments
    return Explanation(
        portal=portal.name,
        customer=str(ref),
        as_of=moment.day,
        method=version.label,
        bins=version.method.bins,
        currency=portal.currency,
        window=version.method.window,
        code=customers.code(0),
        segment=customers.segment_of(0),
        labels={segment.value: {"ru": segment.label["ru"], "en": segment.label["en"]} for segment in segments},
        churn_risk=bool(customers.churn_risk[0]),
        upsell=bool(customers.upsell[0]),
        axes=tuple(_axis(version, axis, customers, explained) for axis in AXES),
        orders=tuple(_contribution(order, moment, version.method.window) for order in found),
        changes=_changes(customers, explained),
        order_today=_order_today(version, customers),
        future=tuple(_future(stop, moment) for stop in path(version, summary, orders, 0)),
        usual_gap=gap if rhythm else None,
        overdue=rhythm and overdue_in == 0,
        overdue_in=overdue_in or None,
        quality=stored.quality if stored else None,
        causes=stored.causes if stored else 0,
        stored_code=stored.code if stored else None,
        stored_segment=stored.segment if stored else None,
        may_hold=version.method.stability.active,
    )


def _axis(version: MethodVersion, axis: str, customers: Customers, explained: Explained) -> Axis:
    value, score = _value(customers, axis), _score(customers, axis)
    ways, ladder = explained.borders[axis], Ladder(version)
    better, worse = int(ways.better[0]), int(ways.worse[0])
    towards = -1 if axis == "r" else 1
    exceeded = version.method.bins - score if axis == "r" else score - 1
    borders = ladder.borders(axis)
    low = borders[exceeded - 1] + 1 if exceeded else (None if axis == "m" else 0)
    high = borders[exceeded] if exceeded < len(borders) else None
    return Axis(
        axis,
        _shown(axis, value),
        score,
        None if low is None else _shown(axis, low),
        None if high is None else _shown(axis, high),
        Border(_shown(axis, better), ladder.score(axis, value + towards * better)) if better else None,
        Border(_shown(axis, worse), ladder.score(axis, value - towards * worse)) if worse else None,
    )


def _changes(customers: Customers, explained: Explained) -> tuple[Change, ...]:
    found = []
    for axis in AXES:
        steps = explained.steps[axis]
        for towards, amount, segment in (
            ("better", int(steps.better[0]), int(steps.better_segment[0])),
            ("worse", int(steps.worse[0]), int(steps.worse_segment[0])),
        ):
            if amount:
                found.append(Change(axis, towards, _shown(axis, amount), customers.segments[segment]))
    return tuple(found)


def _order_today(version: MethodVersion, customers: Customers) -> tuple[OrderToday, ...]:
    """Every sum at which an order today leads to another segment than a smaller one, the smallest first."""
    ladder, now = Ladder(version), _value(customers, "m")
    r, f = ladder.score("r", 0), ladder.score("f", _value(customers, "f") + 1)
    sums = sorted({1, *(border + 1 - now for border in ladder.borders("m") if border >= now)})
    found: list[OrderToday] = []
    for amount in sums:
        m = ladder.score("m", now + amount)
        segment = customers.segments[ladder.cube[r - 1, f - 1, m - 1]]
        if not found or segment != found[-1].segment:
            cell = ((r - 1) * ladder.bins + f - 1) * ladder.bins + m - 1
            found.append(OrderToday(_money(amount), version.method.grid.codes[cell], segment))
    return tuple(found)


def _future(stop: Stop, moment: Moment) -> Future:
    on = moment.day + timedelta(days=stop.in_days)
    return Future(stop.in_days, on, stop.r, stop.f, _money(stop.m), stop.code, stop.segment)


_KINDS = {
    Weight.ORDER: "order",
    Weight.NO_RATE: "no_rate",
    Weight.NO_AMOUNT: "no_amount",
    Weight.REFUND: "refund",
    Weight.REFUND_NO_RATE: "refund",
}


def _contribution(order: HistoryOrder, moment: Moment, window: int) -> Contribution:
    known = order.weight not in {Weight.NO_RATE, Weight.REFUND_NO_RATE}
    return Contribution(
        order.source,
        order.external_id,
        EPOCH + timedelta(days=order.day),
        _KINDS[order.weight],
        Decimal(order.units).scaleb(-UNIT_PLACES).quantize(Decimal("0.01")) if known else None,
        order.amount,
        order.currency,
        moment.number - order.day < window,
        EPOCH + timedelta(days=order.day + window),
    )


def _value(customers: Customers, axis: str) -> int:
    r, f, m = int(customers.recency[0]), int(customers.frequency[0]), int(customers.monetary[0])
    return {"r": r, "f": f, "m": m}[axis]


def _score(customers: Customers, axis: str) -> int:
    column = {"r": customers.r_score, "f": customers.f_score, "m": customers.m_score}[axis]
    return int(column[0])


def _shown(axis: str, value: int) -> int | Decimal:
    return _money(value) if axis == "m" else value


def _money(hundredths: int) -> Decimal:
    return Decimal(hundredths).scaleb(-2)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value) if isinstance(value, Decimal | date) else value
