"""Stored orders → R, F, M, history and quality of customers, as a method counts them: its window and its filters.

The same for all customers of a portal and for a few of them, so that an event gives what a whole run would give.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from connector.scores.moments import Moment
from connector.store import scores
from connector.store.mirror import Weight
from connector.store.models import UNIT_PLACES, Portal
from connector.store.uncounted import Uncounted, uncounted
from scoring.errors import BadFrame
from scoring.features import Summary, summarise_chunks
from scoring.filters import Filters
from scoring.frames import Orders
from scoring.methods import Method
from scoring.quality import Facts, Quality, assess
from scoring.repair import copies
from scoring.sufficiency import Base

_MIX = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)
_SHIFT = np.uint64(29)


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """Scored customers, ascending by number, with their quality.

    `orders_sum` is a sum over all orders of each (never 0), for methods that hold customers in their segments. `base`
    says whether there are data enough for more than a provisional score.
    """

    summary: Summary
    quality: Quality
    orders_sum: NDArray[np.int64] | None
    base: Base


def counts_alike(one: Method, other: Method) -> bool:
    """Whether what was counted for one method can be scored by the other as well."""
    return (one.window, one.filters, one.stability.active) == (other.window, other.filters, other.stability.active)


def count_portal(session: Session, portal_id: int, moment: Moment, method: Method, flags: NDArray[np.int16]) -> Counted:
    """Count everybody. `flags` are those of `scores.customer_flags`. Orders are streamed, never all in memory."""
    rows = scores.read_orders(session, portal_id, moment.number, moment.until, filters=method.filters)
    found = uncounted(session, session.get_one(Portal, portal_id), moment.until, method.filters)
    return _counted(rows, moment, method, flags, found)


def count_customers(
    session: Session, portal_id: int, moment: Moment, method: Method, numbers: NDArray[np.int64]
) -> Counted:
    """Count some customers, by their numbers, ascending; costs what they cost."""
    flags = scores.flags_of(session, portal_id, numbers)
    rows = scores.read_orders(
        session, portal_id, moment.number, moment.until, only=numbers.tolist(), filters=method.filters
    )
    beside = uncounted(session, session.get_one(Portal, portal_id), moment.until, method.filters, numbers.tolist())
    here = np.isin(beside.customer, numbers)
    places = np.searchsorted(numbers, beside.customer[here])
    few = Uncounted(places, beside.undated[here], beside.long_open[here])
    found = _counted(_renumbered(rows, numbers), moment, method, flags, few)
    return replace(found, summary=replace(found.summary, number=numbers[found.summary.number]))


def _counted(
    rows: Iterator[scores.OrderRows],
    moment: Moment,
    method: Method,
    flags: NDArray[np.int16],
    beside: Uncounted,
) -> Counted:
    tally = _Tally(len(flags), beside, with_sums=method.stability.active)
    chunks = tally.watch(_scorable(rows, flags), method.filters)
    summary = summarise_chunks(chunks, as_of=moment.number, window=method.window)
    base = Base.of(summary, without_amount=tally.without_amount)
    return Counted(summary, assess(tally.facts(summary, flags)), tally.sums(summary), base)


def _renumbered(chunks: Iterator[scores.OrderRows], numbers: NDArray[np.int64]) -> Iterator[scores.OrderRows]:
    """Customers by their place in `numbers` (ascending), so that arrays stay as small as the question."""
    for rows in chunks:
        yield replace(rows, customer=np.searchsorted(numbers, rows.customer).astype(np.int32))


def _scorable(chunks: Iterator[scores.OrderRows], flags: NDArray[np.int16]) -> Iterator[scores.OrderRows]:
    """Only orders of living, read cards of buyers."""
    for rows in chunks:
        keep = (flags[rows.customer] & scores.SCORABLE) > 0
        if keep.all():
            yield rows
        elif keep.any():
            yield _kept(rows, keep)


def _kept(rows: scores.OrderRows, keep: NDArray[np.bool_]) -> scores.OrderRows:
    return scores.OrderRows(rows.customer[keep], rows.day[keep], rows.units[keep], rows.weight[keep])


def _orders(rows: scores.OrderRows) -> Orders:
    """The rows as scoring wants them."""
    refunds = rows.weight >= Weight.REFUND
    unknown = (rows.weight == Weight.NO_RATE) | (rows.weight == Weight.REFUND_NO_RATE)
    return Orders(rows.customer.astype(np.int64), rows.day, rows.units, ~refunds, ~unknown, UNIT_PLACES)


class _Tally:
    """Counts per customer, on the way, what quality and stability want to know of single orders."""

    def __init__(self, size: int, beside: Uncounted, *, with_sums: bool) -> None:
        self._absent = np.zeros(size, np.int32)
        self._zero = np.zeros(size, np.int32)
        self._no_rate = np.zeros(size, np.int32)
        self._copies = np.zeros(size, np.int32)
        self._undated = np.zeros(size, np.int32)
        self._long_open = np.zeros(size, np.int32)
        met = beside.customer < size  # a card that came meanwhile has no place here yet
        self._undated[beside.customer[met]] = beside.undated[met]
        self._long_open[beside.customer[met]] = beside.long_open[met]
        self._sums = np.zeros(size, np.uint64) if with_sums else None

    def watch(self, chunks: Iterator[scores.OrderRows], filters: Filters) -> Iterator[Orders]:
        """Pass on the orders that count for the method."""
        for rows in chunks:
            orders = _orders(rows)
            if filters.of_arrays:
                keep = filters.keep(orders)
                if not keep.any():
                    continue
                rows = _kept(rows, keep)  # noqa: PLW2901 - what is filtered out does not exist from here on
                orders = _orders(rows)
            self._count(self._absent, rows.customer[rows.weight == Weight.NO_AMOUNT])
            self._count(self._no_rate, rows.customer[rows.weight == Weight.NO_RATE])
            self._count(self._zero, rows.customer[(rows.weight == Weight.REFUND) & (rows.units == 0)])
            self._count(self._copies, rows.customer[copies(rows.customer, rows.day, rows.units)])
            if self._sums is not None:
                _add_sums(self._sums, rows)
            yield orders

    def facts(self, summary: Summary, flags: NDArray[np.int16]) -> Facts:
        """What was counted, in the summary's order."""
        history = summary.history
        if history is None:
            raise BadFrame("quality needs the history of the summary", column="history")
        at = summary.number
        return Facts(
            orders_total=history.orders_total,
            days_since_first=(summary.as_of - history.first_day).astype(np.int32),
            amounts_absent=self._absent[at],
            amounts_zero=self._zero[at],
            without_rate=self._no_rate[at],
            duplicates=self._copies[at],
            dates_missing=self._undated[at],
            long_open=self._long_open[at],
            manager_missing=(flags[at] & scores.MANAGER_MISSING) > 0,
            manager_inactive=(flags[at] & scores.MANAGER_INACTIVE) > 0,
        )

    @property
    def without_amount(self) -> int:
        """Orders that say nothing of money."""
        return int(self._absent.sum(dtype=np.int64) + self._no_rate.sum(dtype=np.int64))

    def sums(self, summary: Summary) -> NDArray[np.int64] | None:
        """The sums over orders, in the summary's order."""
        if self._sums is None:
            return None
        found: NDArray[np.int64] = self._sums[summary.number].view(np.int64)
        return np.where(found == 0, 1, found)

    @staticmethod
    def _count(into: NDArray[np.int32], customers: NDArray[np.int32]) -> None:
        if len(customers):
            numbers, counts = np.unique(customers, return_counts=True)
            into[numbers] += counts.astype(np.int32)


def _add_sums(into: NDArray[np.uint64], rows: scores.OrderRows) -> None:
    """Add a number for each order that any change of it changes; the sum does not depend on their order."""
    one, two, three, four = (np.uint64(number) for number in _MIX)
    mixed = rows.day.astype(np.int64).view(np.uint64) * one
    mixed ^= rows.units.view(np.uint64) * two + rows.weight.astype(np.uint64) * three
    mixed ^= mixed >> _SHIFT
    mixed *= four
    mixed ^= mixed >> _SHIFT
    np.add.at(into, rows.customer, mixed)


def numbers_array(customers: Sequence[int]) -> NDArray[np.int64]:
    """Each customer's number once, ascending."""
    return np.unique(np.asarray(customers, np.int64))
