"""Orders as they would be if a doubtful history were repaired, so that one can see which segment would follow.

Every repair is an assumption, and each is named: an amount that is absent or 0 becomes the customer's usual amount, a
repeated order goes, a won deal without a date is dated when it was opened. What only a person can know stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scoring.frames import Bool, Int32, Int64, Orders
from scoring.quality import Cause


@dataclass(frozen=True, slots=True, eq=False)
class Doubts:
    """Which rows of the orders are doubtful: no amount, an amount of 0, a copy of another row.

    `undated` are won deals without a date, as orders on the day that is assumed for them; None where there are none.
    """

    absent: Bool
    zero: Bool
    copies: Bool
    undated: Orders | None = None


def copies(customer: Int64 | Int32, day: Int32, amount: Int64) -> Bool:
    """Marks orders that repeat customer, day and amount of another; of each group all but one. 0 is no amount.

    Rows sorted by customer and day are looked at fastest; others are found as well.
    """
    marked = np.zeros(len(customer), np.bool_)
    if len(customer) < 2:
        return marked
    some = _neighbours(customer, day)
    order = some[np.lexsort((amount[some], day[some], customer[some]))]
    same = (np.diff(customer[order]) == 0) & (np.diff(day[order]) == 0) & (np.diff(amount[order]) == 0)
    marked[order[1:][same & (amount[order[1:]] > 0)]] = True
    return marked


def repaired(orders: Orders, doubts: Doubts) -> Orders:
    """The orders under all assumptions. A customer without one known amount has no usual one: his stay as they are."""
    amount = orders.amount.copy()
    counts = np.ones(len(orders), np.bool_) if orders.counts is None else orders.counts.copy()
    known = np.ones(len(orders), np.bool_) if orders.known is None else orders.known
    fill, usual = usual_amounts(orders, doubts)
    amount[fill], counts[fill] = usual, True
    kept = np.flatnonzero(~doubts.copies)
    found = Orders(orders.customer[kept], orders.day[kept], amount[kept], counts[kept], known[kept], orders.places)
    return found if doubts.undated is None else _joined(found, doubts.undated)


def usual_amounts(orders: Orders, doubts: Doubts) -> tuple[NDArray[np.intp], Int64]:
    """The rows without an amount that can be given one, and the customer's usual amount for each of them.

    That is the median of his known amounts above 0, of two middle ones the lower.
    """
    doubtful = np.flatnonzero(doubts.absent | doubts.zero)
    sound = (orders.amount > 0) & ~doubts.absent & ~doubts.copies
    for flags in (orders.known, orders.counts):
        if flags is not None:
            sound &= flags
    rows = np.flatnonzero(sound & np.isin(orders.customer, np.unique(orders.customer[doubtful])))
    rows = rows[np.lexsort((orders.amount[rows], orders.customer[rows]))]
    if not len(rows):
        return rows, np.zeros(0, np.int64)
    starts = np.flatnonzero(np.diff(orders.customer[rows], prepend=-1))
    sizes = np.diff(starts, append=len(rows))
    numbers, medians = orders.customer[rows[starts]], orders.amount[rows[starts + (sizes - 1) // 2]]
    at = np.minimum(np.searchsorted(numbers, orders.customer[doubtful]), len(numbers) - 1)
    found = numbers[at] == orders.customer[doubtful]
    return doubtful[found], medians[at[found]]


def assumption(cause: Cause, language: Literal["ru", "en"]) -> str:
    """What is assumed when this cause is repaired, or why nothing is."""
    return _ASSUMED[cause][language]


def _neighbours(customer: Int64 | Int32, day: Int32) -> NDArray[np.intp]:
    """Rows that share customer and day with a row beside them; all rows, where they are not sorted."""
    rises = (customer[1:] > customer[:-1]) | ((customer[1:] == customer[:-1]) & (day[1:] >= day[:-1]))
    if not bool(rises.all()):
        return np.arange(len(customer))
    alike = (customer[1:] == customer[:-1]) & (day[1:] == day[:-1])
    touched = np.zeros(len(customer), np.bool_)
    touched[1:] |= alike
    touched[:-1] |= alike
    return np.flatnonzero(touched)


def _joined(one: Orders, other: Orders) -> Orders:
    def flags(given: Bool | None, count: int) -> Bool:
        return np.ones(count, np.bool_) if given is None else given

    return Orders(
        np.concatenate([one.customer, other.customer]),
        np.concatenate([one.day, other.day]),
        np.concatenate([one.amount, other.amount]),
        np.concatenate([flags(one.counts, len(one)), flags(other.counts, len(other))]),
        np.concatenate([flags(one.known, len(one)), flags(other.known, len(other))]),
        one.places,
    )


_USUAL: dict[Literal["ru", "en"], str] = {
    "ru": "принята обычная сумма клиента: медиана его известных сумм",
    "en": "assumed: the customer's usual amount, the median of the known ones",
}
_SAME: dict[Literal["ru", "en"], str] = {
    "ru": "на R, F и M не влияет, сегмент тот же",
    "en": "does not touch R, F and M: the segment stays",
}
_ASSUMED: dict[Cause, dict[Literal["ru", "en"], str]] = {
    Cause.AMOUNT_ABSENT: _USUAL,
    Cause.AMOUNT_ZERO: _USUAL,
    Cause.NO_RATE: {
        "ru": "без курса сумму не узнать: задайте курс, сегмент покажет расчёт",
        "en": "not assumed: only a rate tells the sum; set it and score again",
    },
    Cause.ORDER_WITHOUT_MANAGER: _SAME,
    Cause.BULK_DAY: {
        "ru": "настоящие даты знает только человек: сегмент не предполагается",
        "en": "not assumed: only a person knows the real dates",
    },
    Cause.SHORT_HISTORY: {
        "ru": "исправит только время: сегмент тот же",
        "en": "only time repairs it: the segment stays",
    },
    Cause.MANAGER_MISSING: _SAME,
    Cause.MANAGER_INACTIVE: _SAME,
    Cause.DATE_MISSING: {
        "ru": "принято, что сделка выиграна в день, когда её завели",
        "en": "assumed: won on the day it was opened",
    },
    Cause.DUPLICATE: {
        "ru": "принято, что покупка была одна",
        "en": "assumed: it was one purchase",
    },
    Cause.LONG_OPEN: {
        "ru": "чем кончилась сделка, знает только человек: сегмент не предполагается",
        "en": "not assumed: only a person knows how the deal ended",
    },
}
