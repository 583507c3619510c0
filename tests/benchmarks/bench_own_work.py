"""One order in a large portal: our own work for an event, beside the commit of one row; memory of the backfill.

The portal is made inside PostgreSQL, scored and its cards counted as written. Then events come one by one, each with a
new order of some customer: it is put down, gathered, its order stored, its customer scored anew, the difference
planned and put in the outbox; the CRM answers at once. The goal is a small multiple of one row's commit, whatever the
size: hence two sizes.

    python -m tests.benchmarks.bench_own_work [--full] [--customers 50000 --orders 250000] [--slow]
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from statistics import median
from typing import Any

import sqlalchemy as sa

from adapters.contract import Found
from adapters.records import CRM, Order, OrderSource, OrderStatus
from connector.jobs.drain import _Drain
from connector.store import inbox
from connector.store.database import Database
from connector.store.intake import StoredInbox
from tests.benchmarks import bench_store
from tests.benchmarks.database import fresh_database, postgres
from tests.fakes.memory import MemoryCRM
from webhooks.deliveries import ChangeNotice, Delivery, Endpoint, Headers, Kind, Resource

GOAL = 3.0
SIZES = ((5_000, 25_000), (50_000, 250_000))
FULL = ((5_000, 25_000), (1_000_000, 5_000_000))
EVENTS, WARMING = 60, 10
AT_ONCE = 500


class OneOrder(MemoryCRM):
    """A CRM that has the order that is asked for, at once."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: tuple[Order, ...] = ()

    def orders_by_id(self, source: OrderSource, ids: Sequence[str], *, lines: bool) -> Found[Order]:
        """What is there."""
        return Found(self.orders, ())


@dataclass
class Costs:
    """Seconds of each event, and of its parts."""

    whole: list[float]
    put_down: list[float]
    statements: dict[str, list[float]]
    counts: list[int]


@contextmanager
def watched(database: Database) -> Iterator[dict[str, list[float]]]:
    """Seconds of each statement by its beginning."""
    took: dict[str, list[float]] = defaultdict(list)

    def before(connection: Any, *_: Any) -> None:
        connection.info["began"] = time.perf_counter()

    def after(connection: Any, _: Any, statement: str, *__: Any) -> None:
        took[" ".join(statement.split())[:150]].append(time.perf_counter() - connection.info["began"])

    sa.event.listen(database.engine, "before_cursor_execute", before)
    sa.event.listen(database.engine, "after_cursor_execute", after)
    try:
        yield took
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", before)
        sa.event.remove(database.engine, "after_cursor_execute", after)


def one_row_commit(database: Database) -> float:
    """Median seconds of an UPDATE of one row and its commit, prepared."""
    times = []
    with database.session() as session:
        session.execute(sa.text("CREATE TABLE one_row AS SELECT 1 AS id, 0 AS n"))
    with database.autocommit() as connection:
        for _ in range(100):
            began = time.perf_counter()
            connection.execute(sa.text("UPDATE one_row SET n = n + 1 WHERE id = 1"))
            times.append(time.perf_counter() - began)
    return median(times)


def events(database: Database, portal_id: int, customers: int) -> Costs:
    """Events one after the other."""
    dice, adapter = Random(5), OneOrder()
    box = StoredInbox(database, lambda _: None)
    drain = _Drain(database, portal_id, adapter)
    costs = Costs([], [], {}, [])
    with watched(database) as took:
        for number in range(WARMING + EVENTS):
            if number == WARMING:
                took.clear()
            seen = sum(map(len, took.values()))
            external_id = str(900_000_000 + number)
            adapter.orders = (_order(external_id, dice.randrange(customers)),)
            began = time.perf_counter()
            box.store(_delivery(), notices=[ChangeNotice("1", Resource.DEAL, external_id, Kind.CREATED)])
            put_down = time.perf_counter() - began
            with database.session() as session:
                inbox.gather(session, portal_id)
                batch = inbox.waiting(session, portal_id, 500)
            run_id = drain._look_at(batch)
            whole = time.perf_counter() - began
            assert len(batch) == 1
            assert run_id is not None
            if number >= WARMING:
                costs.whole.append(whole)
                costs.put_down.append(put_down)
                costs.counts.append(sum(map(len, took.values())) - seen)
            _written(database, run_id)
        costs.statements = dict(took)
    box.close()
    return costs


def _order(external_id: str, customer: int) -> Order:
    moment = datetime.now(UTC) - timedelta(hours=1)
    return Order(
        source=OrderSource.DEALS,
        external_id=external_id,
        status=OrderStatus.WON,
        at=moment,
        amount=Decimal(1234),
        currency="USD",
        contact_id=str(500_000 + customer),
        manager_id="1",
        created_at=moment,
        updated_at=moment,
    )


def _delivery() -> Delivery:
    return Delivery(CRM.HUBSPOT, Endpoint.EVENTS, "POST", "", "", Headers(), b"", datetime.now(UTC))


def _written(database: Database, run_id: str) -> None:
    """As if the card had been written: not part of our own work that is measured."""
    with database.session() as session:
        keys = {"run": run_id}
        session.execute(sa.text("UPDATE changes SET state = 'written', settled_at = now() WHERE run_id = :run"), keys)
        session.execute(sa.text("UPDATE runs SET state = 'done' WHERE run_id = :run"), keys)


def together(database: Database, portal_id: int, customers: int) -> float:
    """Seconds for each event of a full drain: as many as one looks at together."""
    dice, adapter = Random(6), OneOrder()
    box = StoredInbox(database, lambda _: None)
    ids = [str(950_000_000 + number) for number in range(AT_ONCE)]
    adapter.orders = tuple(_order(external_id, dice.randrange(customers)) for external_id in ids)
    for external_id in ids:
        box.store(_delivery(), notices=[ChangeNotice("1", Resource.DEAL, external_id, Kind.CREATED)])
    box.close()
    began = time.perf_counter()
    with database.session() as session:
        inbox.gather(session, portal_id)
        batch = inbox.waiting(session, portal_id, AT_ONCE)
    assert len(batch) == AT_ONCE
    assert _Drain(database, portal_id, adapter)._look_at(batch) is not None
    return (time.perf_counter() - began) / AT_ONCE


def bench(server: str, customers: int, orders: int, *, slow: bool) -> float:
    """One size; returns the median of an event."""
    with fresh_database(server) as url:
        database = Database(url)
        portal_id = bench_store.new_portal(database)
        began = time.perf_counter()
        bench_store.fill(database, portal_id, customers, orders)
        filled = time.perf_counter() - began
        today = datetime.now(UTC).date()
        scored = bench_store.score_once(url, portal_id, today, "first")
        bench_store.write_cards(database, "first")
        again = bench_store.score_once(url, portal_id, today, "again")
        bench_store.write_cards(database, "again")
        with database.session() as session:
            session.execute(sa.text("UPDATE portals SET first_run_at = now()"))
            session.execute(sa.text("UPDATE runs SET state = 'done'"))
            session.execute(sa.text("DELETE FROM moves"))
        bound = one_row_commit(database)
        costs = events(database, portal_id, customers)
        print(f"\n{customers:,} customers, {orders:,} orders (made in {filled:.0f} s)")
        for name, one in (("first score run", scored), ("nothing new", again)):
            print(
                f"{name}: {one.scoring_s + one.plan_s:.1f} s for {one.scored:,} customers, {one.planned:,} cards;"
                f" peak {one.peak_mb:.0f} MB"
            )
        whole, put_down = median(costs.whole), median(costs.put_down)
        print(f"one row committed: {bound * 1000:.2f} ms")
        print(f"an event put down: {put_down * 1000:.2f} ms, {put_down / bound:.1f} × the commit")
        print(
            f"an event to its planned change: {whole * 1000:.1f} ms ({max(costs.whole) * 1000:.1f} at most),"
            f" {whole / bound:.0f} × the commit, {median(costs.counts):.0f} statements"
        )
        each = together(database, portal_id, customers)
        print(f"{AT_ONCE} events together: {each * 1000:.2f} ms for each, {each / bound:.1f} × the commit")
        if slow:
            _print_statements(costs)
        database.close()
        return whole


def _print_statements(costs: Costs) -> None:
    for statement, took in sorted(costs.statements.items(), key=lambda item: -sum(item[1]))[:25]:
        print(f"{sum(took) / EVENTS * 1000:>8.2f} ms  {len(took) / EVENTS:>4.1f} ×  {statement}")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="1,000,000 customers with 5,000,000 orders")
    parser.add_argument("--customers", type=int)
    parser.add_argument("--orders", type=int)
    parser.add_argument("--slow", action="store_true", help="what the statements take")
    wanted = parser.parse_args(argv)
    sizes = ((wanted.customers, wanted.orders),) if wanted.customers else FULL if wanted.full else SIZES
    with postgres() as server:
        found = [bench(server, customers, orders, slow=wanted.slow) for customers, orders in sizes]
    if len(found) > 1:
        print(f"\nthe large portal's event takes {found[-1] / found[0]:.2f} of the small one's")


if __name__ == "__main__":
    main()
