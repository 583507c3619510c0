"""Orders → recency, frequency, monetary and history of every customer, as of a day, never looking past it.

Whole days only: `as_of` and the orders' days are days since 1970-01-01 in the portal's time zone. Day d is in
the window when 0 <= as_of - d < window (CONTRACT 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from scoring.errors import BadFrame
from scoring.frames import MIN_PLACES, Int32, Int64, Orders
from scoring.rhythm import History, HistoryOfRuns
from scoring.runs import BLOCK_ROWS, NotSorted, Totals, TotalsOfRuns, blocks, find_runs
from scoring.scatter import make_dense, scatter_totals, sifted_blocks
from scoring.sieve import Rows, Sieve
from scoring.sums import hundredths


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """Customers with at least one order on or before `as_of`, ascending by number.

    `recency` in days, `frequency` in orders, `monetary` in hundredths of the base currency; it may be below 0.
    `history` is None where it was not asked for.
    """

    as_of: int
    window: int
    number: Int64
    last_day: Int32
    recency: Int32
    frequency: Int32
    monetary: Int64
    history: History | None

    def __len__(self) -> int:
        """Customers."""
        return len(self.number)


def summarise(orders: Orders, *, as_of: int, window: int, history: bool = True) -> Summary:
    """Summarise a portal's orders; the order of rows does not matter, sorted by customer and day is fastest.

    `history=False` leaves out what churn risk and data quality need and scores do not. Raises `BadFrame`.
    """
    try:
        return _summarise_sorted([orders], as_of=as_of, window=window, history=history)
    except NotSorted:
        return _summarise_unsorted(orders, as_of=as_of, window=window, history=history)


def summarise_chunks(chunks: Iterable[Orders], *, as_of: int, window: int, history: bool = True) -> Summary:
    """The same from chunks, so that a portal's orders never have to be in memory at once.

    The chunks together must be sorted by customer and day, a chunk must not split a customer, and all have
    the same `places`. Raises `BadFrame` if they are not.
    """
    try:
        return _summarise_sorted(chunks, as_of=as_of, window=window, history=history)
    except NotSorted as error:
        raise BadFrame("chunks must be sorted by customer and day, and split no customer", column="customer") from error


def _summarise_sorted(chunks: Iterable[Orders], *, as_of: int, window: int, history: bool) -> Summary:
    sieve = Sieve(as_of, window)
    totals = TotalsOfRuns(as_of - window)
    past = HistoryOfRuns() if history else None
    last, places = -1, None
    for chunk in chunks:
        if chunk.places != (places or chunk.places):
            raise BadFrame("all chunks must have the same places", column="amount")
        places = chunk.places
        for start, stop in blocks(chunk.customer):
            rows = sieve.sift(chunk.rows(start, stop))
            if rows is None:
                continue
            runs = find_runs(rows, after=last)
            last = int(runs.number[-1])
            totals.add(rows, runs)
            if past is not None:
                past.add(rows, runs)
    return _summary(totals.totals(), past, sieve, places or MIN_PLACES)


def _summarise_unsorted(orders: Orders, *, as_of: int, window: int, history: bool) -> Summary:
    orders, labels = make_dense(orders)
    sieve = Sieve(as_of, window)
    totals = scatter_totals(orders, sieve)
    past = _history_of_unsorted(orders, as_of=as_of, window=window) if history else None
    return _summary(totals, past, sieve, orders.places, labels)


def _history_of_unsorted(orders: Orders, *, as_of: int, window: int) -> HistoryOfRuns:
    """Sorts (customer, day) as one whole number; amounts play no part in the history."""
    earliest = int(orders.day.min())
    bits = (int(orders.day.max()) - earliest).bit_length()
    keys = np.empty(len(orders), dtype=np.int64)
    filled = 0
    for rows in sifted_blocks(orders, Sieve(as_of, window)):
        keys[filled : filled + len(rows.day)] = rows.customer << bits | (rows.day - earliest)
        filled += len(rows.day)
    keys = keys[:filled]
    keys.sort()
    past, last = HistoryOfRuns(), -1
    for rows in _unpacked(keys, bits, earliest):
        runs = find_runs(rows, after=last)
        last = int(runs.number[-1])
        past.add(rows, runs)
    return past


def _unpacked(keys: Int64, bits: int, earliest: int) -> Iterator[Rows]:
    """Sorted keys as rows again, in blocks that split no customer."""
    start, size = 0, BLOCK_ROWS
    while start < len(keys):
        stop = start + size
        if stop < len(keys):
            stop = start + int(np.searchsorted(keys[start:stop], keys[stop - 1] >> bits << bits))
            if stop == start:
                size *= 2
                continue
        part = keys[start:stop]
        day = ((part & ((1 << bits) - 1)) + earliest).astype(np.int32)
        yield Rows(part >> bits, day, np.zeros(0, dtype=np.int64), wide=False)
        start, size = start + len(part), BLOCK_ROWS


def _summary(
    totals: Totals, past: HistoryOfRuns | None, sieve: Sieve, places: int, labels: Int64 | None = None
) -> Summary:
    return Summary(
        as_of=sieve.as_of,
        window=sieve.window,
        number=totals.number if labels is None else labels[totals.number],
        last_day=totals.last_day,
        recency=(sieve.as_of - totals.last_day).astype(np.int32, copy=False),
        frequency=totals.frequency,
        monetary=hundredths(totals.sums, sieve.refunds(totals.number), places),
        history=None if past is None else past.history(sieve.unknown(totals.number)),
    )
