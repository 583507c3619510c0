"""One score run: orders as of a day → R, F, M → a method version → score rows and moves. No network.

Works inside the caller's transaction, so that a dry run can roll everything back and a killed run leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from adapters.fields import zone
from connector.errors import WrongUse
from connector.store import portals, scores
from connector.store.mirror import Weight
from connector.store.models import UNIT_PLACES, MethodRow, Portal, RunRow
from connector.store.score_arrays import ScoreArrays, store_scores
from scoring.errors import ScoringError, UnknownMethod
from scoring.features import Summary, summarise_chunks
from scoring.frames import Customers, Orders
from scoring.hints import hint
from scoring.methods import Fit, Method, MethodVersion, apply, fit, load_method, method_names
from scoring.quality import Facts, Quality, assess
from scoring.scales import Thresholds

EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Scored:
    """What a score run found. `published` is true when this run published the method; `weak` says why the fit is."""

    version: MethodVersion
    published: bool
    weak: tuple[str, ...]
    scored: int
    moved: int
    segments: dict[str, int]


@dataclass(frozen=True, slots=True)
class Moment:
    """The as-of of a run: a day of the portal, and the moment after which orders do not count."""

    day: date
    until: datetime

    @property
    def number(self) -> int:
        """Days since 1970-01-01."""
        return (self.day - EPOCH).days


def as_of_moment(time_zone: str, as_of: date | None, now: datetime) -> Moment:
    """Now, or the end of the named day in the portal's zone; raises `WrongUse` for a day still to come."""
    here = zone(time_zone)
    today = now.astimezone(here).date()
    if as_of is None or as_of == today:
        end = datetime.combine(today + timedelta(days=1), time(), here).astimezone(UTC)
        return Moment(today, now if as_of is None else end - timedelta(microseconds=1))
    if as_of > today:
        raise WrongUse(f"--as-of {as_of} is in the future: the portal's today is {today}")
    end = datetime.combine(as_of + timedelta(days=1), time(), here).astimezone(UTC)
    return Moment(as_of, end - timedelta(microseconds=1))


def check_method(name: str | None) -> None:
    """Raise `WrongUse` for a method that does not exist."""
    if name is not None and name not in method_names():
        raise WrongUse(f"there is no method {name!r} (there are: {', '.join(method_names())})")


def score_portal(session: Session, portal: Portal, run: RunRow, moment: Moment, method_name: str | None) -> Scored:
    """Score every customer of a portal and store the result. Publishes a fit where no version is published yet.

    The portal's row is changed to the method used, so that the next run without a name uses it again.
    """
    method, version = _wanted(session, portal, method_name)
    flags = scores.customer_flags(session, portal.portal_id)
    tally = _Tally(len(flags))
    summary = _summary(session, portal, moment, version.method if version else method, flags, tally)
    weak: tuple[str, ...] = ()
    published = version is None and len(summary) > 0
    if version is None:
        version, weak = _first_version(session, portal, method, summary, run.started_at)
    customers = apply(version, summary)
    quality = assess(tally.facts(summary, flags))
    if version.version:
        portal.method = run.method = version.label
    found = _score_arrays(customers, summary, quality)
    scored, moved = store_scores(session, portal.portal_id, run, version.label, found)
    return Scored(version, published, weak, scored, moved, _sizes(customers))


def score_customers(
    session: Session, portal: Portal, run: RunRow, moment: Moment, version: MethodVersion, customers: Sequence[int]
) -> int:
    """Score some customers again with frozen thresholds; costs what they cost, whatever the size of the portal.

    Equal to what a run over the whole portal would give them. Returns how many have a score now.
    """
    numbers = np.unique(np.asarray(customers, np.int64))
    flags = scores.flags_of(session, portal.portal_id, numbers)
    rows = scores.read_orders(session, portal.portal_id, moment.number, moment.until, only=numbers.tolist())
    tally = _Tally(len(numbers))
    chunks = tally.watch(_scorable(_renumbered(rows, numbers), flags))
    summary = summarise_chunks(chunks, as_of=moment.number, window=version.method.window)
    quality = assess(tally.facts(summary, flags))
    named = replace(summary, number=numbers[summary.number])
    found = _score_arrays(apply(version, named), named, quality)
    run.method = version.label
    scored, _ = store_scores(session, portal.portal_id, run, version.label, found, only=numbers.tolist())
    return scored


def fit_portal(session: Session, portal: Portal, moment: Moment, name: str | None) -> tuple[Method, Fit, int]:
    """A fresh fit of a method on a portal's customers, and on how many; stores nothing.

    Raises `WrongUse` when there is nobody to fit on.
    """
    method, _ = _wanted(session, portal, name)
    flags = scores.customer_flags(session, portal.portal_id)
    summary = _summary(session, portal, moment, method, flags, _Tally(len(flags)))
    return method, _fitted(portal, method, summary), len(summary)


def hints_of(version: MethodVersion, language: str) -> dict[str, str]:
    """Segment → hint for the card, in the portal's language."""
    spoken = _spoken(language)
    return {segment.value: hint(version.method, segment.value, spoken) for segment in version.method.segments}


def current_version(session: Session, portal: Portal) -> MethodVersion | None:
    """The version in force on a portal, None before the first."""
    if portal.method is None:
        return None
    name, _, number = portal.method.partition("@")
    row = session.get_one(MethodRow, (portal.portal_id, name, int(number)))
    return MethodVersion.from_json(row.body)


def _spoken(language: str) -> Literal["ru", "en"]:
    return "ru" if language == "ru" else "en"


def _wanted(session: Session, portal: Portal, name: str | None) -> tuple[Method, MethodVersion | None]:
    """The method asked for, else the one in force, else the default; with its newest published version, if any."""
    if name is None and (version := current_version(session, portal)) is not None:
        return version.method, version
    chosen = name or str(portal.settings.get("method", method_names()[0]))
    row = scores.published(session, portal.portal_id, chosen)
    if row is not None:
        version = MethodVersion.from_json(row.body)
        return version.method, version
    try:
        method = load_method(chosen)
    except UnknownMethod as error:
        raise WrongUse(str(error)) from None
    window = portal.settings.get("window")
    return (method.with_window(int(window)) if window else method), None


def _summary(
    session: Session, portal: Portal, moment: Moment, method: Method, flags: NDArray[np.int16], tally: _Tally
) -> Summary:
    rows = scores.read_orders(session, portal.portal_id, moment.number, moment.until)
    return summarise_chunks(tally.watch(_scorable(rows, flags)), as_of=moment.number, window=method.window)


def _fitted(portal: Portal, method: Method, summary: Summary) -> Fit:
    try:
        return fit(method, summary)
    except ScoringError as error:
        raise WrongUse(f"{portal.name} cannot be scored yet: {error}") from None


def _first_version(
    session: Session, portal: Portal, method: Method, summary: Summary, now: datetime
) -> tuple[MethodVersion, tuple[str, ...]]:
    """The fit, published; where nobody can be scored yet, a version 0 that is kept nowhere."""
    if len(summary):
        return _publish(session, portal, method, summary, now)
    nothing = method.limits or Thresholds(*((0,) * (method.bins - 1) for _ in range(3)))
    return MethodVersion(method.name, 0, method, nothing), ()


def _publish(
    session: Session, portal: Portal, method: Method, summary: Summary, now: datetime
) -> tuple[MethodVersion, tuple[str, ...]]:
    """Freeze the fit as version 1. Raises `WrongUse` when there is nobody to fit on."""
    fitted = _fitted(portal, method, summary)
    version = MethodVersion(method.name, 1, method, fitted.thresholds)
    weak = tuple(weakness.text(_spoken(portal.language)) for weakness in fitted.weak)
    session.add(
        MethodRow(
            portal_id=portal.portal_id,
            name=method.name,
            version=1,
            body=version.to_json(),
            digest=version.digest(),
            weak=list(weak),
            published_at=now,
        )
    )
    portals.note(session, portal.portal_id, "system", "method.published", {"method": version.label, "weak": list(weak)})
    return version, weak


def _renumbered(chunks: Iterator[scores.OrderRows], numbers: NDArray[np.int64]) -> Iterator[scores.OrderRows]:
    """Customers by their place in `numbers` (ascending), so that arrays stay as small as the question."""
    for rows in chunks:
        places = np.searchsorted(numbers, rows.customer).astype(np.int32)
        yield scores.OrderRows(places, rows.day, rows.units, rows.weight)


def _scorable(chunks: Iterator[scores.OrderRows], flags: NDArray[np.int16]) -> Iterator[scores.OrderRows]:
    """Only orders of living, read cards of buyers."""
    for rows in chunks:
        keep = (flags[rows.customer] & scores.SCORABLE) > 0
        if keep.all():
            yield rows
        elif keep.any():
            yield scores.OrderRows(rows.customer[keep], rows.day[keep], rows.units[keep], rows.weight[keep])


class _Tally:
    """Counts per customer, on the way, what quality wants to know of single orders."""

    def __init__(self, size: int) -> None:
        self._absent = np.zeros(size, np.int32)
        self._zero = np.zeros(size, np.int32)
        self._no_rate = np.zeros(size, np.int32)

    def watch(self, chunks: Iterator[scores.OrderRows]) -> Iterator[Orders]:
        """Pass the rows on as scoring wants them."""
        for rows in chunks:
            self._count(self._absent, rows.customer[rows.weight == Weight.NO_AMOUNT])
            self._count(self._no_rate, rows.customer[rows.weight == Weight.NO_RATE])
            self._count(self._zero, rows.customer[(rows.weight == Weight.REFUND) & (rows.units == 0)])
            refunds = rows.weight >= Weight.REFUND
            unknown = (rows.weight == Weight.NO_RATE) | (rows.weight == Weight.REFUND_NO_RATE)
            yield Orders(rows.customer.astype(np.int64), rows.day, rows.units, ~refunds, ~unknown, UNIT_PLACES)

    def facts(self, summary: Summary, flags: NDArray[np.int16]) -> Facts:
        """What was counted, in the summary's order."""
        history = summary.history
        if history is None:
            raise WrongUse("quality needs the history of the summary")
        at = summary.number
        return Facts(
            orders_total=history.orders_total,
            days_since_first=(summary.as_of - history.first_day).astype(np.int32),
            amounts_absent=self._absent[at],
            amounts_zero=self._zero[at],
            without_rate=self._no_rate[at],
            manager_missing=(flags[at] & scores.MANAGER_MISSING) > 0,
            manager_inactive=(flags[at] & scores.MANAGER_INACTIVE) > 0,
        )

    @staticmethod
    def _count(into: NDArray[np.int32], customers: NDArray[np.int32]) -> None:
        if len(customers):
            numbers, counts = np.unique(customers, return_counts=True)
            into[numbers] += counts.astype(np.int32)


def _score_arrays(customers: Customers, summary: Summary, quality: Quality) -> ScoreArrays:
    """The same for the store."""
    history = summary.history
    if history is None:
        raise WrongUse("the store keeps totals of the summary's history")
    return ScoreArrays(
        customer=customers.number,
        r=customers.recency,
        f=customers.frequency,
        m=customers.monetary,
        cell=customers.cell,
        segment=customers.segment,
        quality=quality.score,
        causes=quality.causes,
        churn_risk=customers.churn_risk,
        upsell=customers.upsell,
        orders_total=history.orders_total,
        last_day=summary.last_day,
        codes=customers.codes,
        segments=customers.segments,
    )


def _sizes(customers: Customers) -> dict[str, int]:
    counts = np.bincount(customers.segment, minlength=len(customers.segments)).tolist()
    return dict(zip(customers.segments, counts, strict=True))
