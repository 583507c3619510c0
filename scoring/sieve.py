"""What happens to order rows before they are counted: the future is dropped, refunds are put aside.

Works on blocks of rows, so that the temporary arrays stay in the processor's cache.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from scoring.errors import BadFrame
from scoring.frames import Bool, Int32, Int64, Orders
from scoring.sums import SAFE_AMOUNT, Refunds


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Orders that count, on or before the as-of day; an unknown amount stands as 0.

    `wide` says that some amount is so large that 64-bit sums might wrap.
    """

    customer: Int64
    day: Int32
    amount: Int64
    wide: bool


@dataclass(slots=True, eq=False)
class Sieve:
    """Sorts rows into orders to count, refunds, and the future, which is never looked at again."""

    as_of: int
    window: int
    _refund_customers: list[Int64] = field(default_factory=list)
    _refund_amounts: list[Int64] = field(default_factory=list)
    _unknown_customers: list[Int64] = field(default_factory=list)

    def sift(self, orders: Orders) -> Rows | None:
        """The rows to count; None if there are none. Raises `BadFrame` for an order with a negative amount."""
        if not len(orders):
            return None
        keep = orders.day <= self.as_of if int(orders.day.max()) > self.as_of else None
        if orders.counts is not None and not orders.counts.all():
            self._put_aside(orders, ~orders.counts)
            keep = orders.counts if keep is None else keep & orders.counts
        if keep is not None:
            orders = _compress(orders, keep)
        return self._rows(orders) if len(orders) else None

    def refunds(self, numbers: Int64) -> Refunds:
        """Refunds in the window of the customers in `numbers` (ascending); those of others are forgotten."""
        customers = _joined(self._refund_customers)
        amounts = _joined(self._refund_amounts)
        position = np.searchsorted(numbers, customers)
        position[position == len(numbers)] = 0
        theirs = numbers[position] == customers if len(numbers) else np.zeros(0, dtype=np.bool_)
        return Refunds(position[theirs], amounts[theirs])

    def unknown(self, numbers: Int64) -> Int32:
        """How many orders without a known amount each customer in `numbers` (ascending) has."""
        found = np.searchsorted(numbers, _joined(self._unknown_customers))
        return np.bincount(found, minlength=len(numbers)).astype(np.int32)

    def _rows(self, orders: Orders) -> Rows:
        amount = orders.amount
        if orders.known is not None and not orders.known.all():
            self._unknown_customers.append(orders.customer[~orders.known])
            amount = np.where(orders.known, amount, 0)
        bits = int(np.bitwise_or.reduce(amount))  # below 0 if any is, SAFE_AMOUNT or more if any is: one pass for both
        if bits < 0:
            raise BadFrame("an order's amount is below 0; refunds have counts = False", column="amount")
        return Rows(orders.customer, orders.day, amount, wide=bits >= SAFE_AMOUNT)

    def _put_aside(self, orders: Orders, refunds: Bool) -> None:
        refunds = refunds & (orders.day <= self.as_of) & (orders.day > self.as_of - self.window)
        if orders.known is not None:
            refunds = refunds & orders.known
        amounts = orders.amount[refunds]
        if int(amounts.max(initial=0)) > 0:
            raise BadFrame("a refund's amount is above 0", column="amount")
        self._refund_customers.append(orders.customer[refunds])
        self._refund_amounts.append(amounts)


def _compress(orders: Orders, keep: Bool) -> Orders:
    kept = np.flatnonzero(keep)
    return Orders(
        orders.customer[kept],
        orders.day[kept],
        orders.amount[kept],
        None,
        None if orders.known is None else orders.known[kept],
        orders.places,
    )


def _joined(parts: list[Int64]) -> Int64:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
