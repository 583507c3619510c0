"""A first pull of a large portal: seconds, and the memory of the process that pulls, a quarter at a time.

The CRM makes its pages up while they are read and holds none of them, so what grows is ours. The goal is memory that
does not depend on the portal's size.

    python -m tests.benchmarks.bench_backfill [--full] [--customers 40000 --orders 200000]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psutil

from adapters.contract import Cursor, Drift, Page
from adapters.records import Customer, CustomerKind, CustomerRef, Order, OrderSource, OrderStatus
from connector.store.database import Database
from connector.sync.pull import Pull
from tests.benchmarks import bench_store
from tests.benchmarks.database import fresh_database, postgres
from tests.fakes.memory import MemoryCRM

PAGE = 250
SIZES = ((10_000, 50_000), (40_000, 200_000))
FULL = ((40_000, 200_000), (1_000_000, 5_000_000))
QUARTERS = 4
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class MadeUp(MemoryCRM):
    """Contacts and won deals by number, made when their page is asked for."""

    def __init__(self, customers: int, orders: int) -> None:
        super().__init__()
        self.people, self.deals = customers, orders

    def customers(self, kind: CustomerKind, since: Cursor | None, **_: Any) -> Iterator[Page[Customer]]:
        """Contacts only."""
        count = self.people if kind is CustomerKind.CONTACT else 0
        yield from _pages(count, since, lambda number: Customer(CustomerRef(kind, str(number)), "1", _BEGAN, _BEGAN))

    def customer_drift(self, kind: CustomerKind, known: Sequence[int]) -> Drift:
        """Nothing vanished."""
        assert len(known) == (self.people if kind is CustomerKind.CONTACT else 0)
        return Drift()

    def order_drift(self, source: OrderSource, known: Sequence[int]) -> Drift:
        """Nothing vanished."""
        assert len(known) == (self.deals if source is OrderSource.DEALS else 0)
        return Drift()

    def orders(self, source: OrderSource, since: Cursor | None, *, lines: bool = True) -> Iterator[Page[Order]]:
        """Deals only, a few for each contact."""
        del lines
        count = self.deals if source is OrderSource.DEALS else 0
        yield from _pages(count, since, lambda number: self._order(source, number))

    def _order(self, source: OrderSource, number: int) -> Order:
        at = _BEGAN + timedelta(minutes=number % 400_000)
        contact = str(1 + number * 7_919 % self.people)
        amount = Decimal(100 + number % 9_000)
        return Order(source, str(number), OrderStatus.WON, at, amount, "RUB", contact_id=contact, updated_at=at)


def _pages(count: int, since: Cursor | None, made: Any) -> Iterator[Page[Any]]:
    first = int(since) + 1 if since else 1
    for begin in range(first, count + 1, PAGE):
        end = min(count, begin + PAGE - 1)
        yield Page([made(number) for number in range(begin, end + 1)], Cursor(str(end)))
    if first > count:
        yield Page([], Cursor(str(count)))


def pulled(server: str, customers: int, orders: int) -> float:
    """Pull once; prints seconds and memory by quarter, and returns the last quarter's MB beyond the first's."""
    process = psutil.Process()
    peaks = [0.0] * QUARTERS
    done = 0

    def progress(_: str, count: int) -> None:
        nonlocal done
        done += count
        quarter = min(QUARTERS - 1, done * QUARTERS // (customers + orders + 1))
        peaks[quarter] = max(peaks[quarter], process.memory_info().rss / 1e6)

    with fresh_database(server) as url:
        database = Database(url)
        portal_id = bench_store.new_portal(database)
        before, began = process.memory_info().rss / 1e6, time.perf_counter()
        found = Pull(database, portal_id, MadeUp(customers, orders), progress).run()
        seconds = time.perf_counter() - began
        database.close()
    received = sum(found.received.values())
    assert received >= customers + orders, found
    shown = ", ".join(f"{peak:.0f}" for peak in peaks)
    print(
        f"{customers:>9,} customers, {orders:>9,} orders: {seconds:7.1f} s, {received / seconds:8,.0f} records/s;"
        f" MB before {before:.0f}, by quarter {shown}",
        flush=True,
    )
    return peaks[-1] - peaks[0]


def main(words: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_backfill", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the large sizes")
    parser.add_argument("--customers", type=int)
    parser.add_argument("--orders", type=int)
    wanted = parser.parse_args(words)
    sizes = FULL if wanted.full else SIZES
    if wanted.customers and wanted.orders:
        sizes = ((wanted.customers, wanted.orders),)
    with postgres() as server:
        grown = [pulled(server, *size) for size in sizes]
    print(f"\nfrom the first quarter to the last the largest pull grew by {grown[-1]:.0f} MB (goal: it stays flat)")


if __name__ == "__main__":
    main()
