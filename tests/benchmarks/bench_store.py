"""Loading orders and scoring from PostgreSQL, as ratios to bounds measured in the same run.

Loading: orders as records are upserted into a table that already holds them. Bound: COPY of ready bytes of the same
rows into a table without an index. Goal: at most 10 times the bound, rows that did not change untouched.

Scoring: from the stored orders to stored scores and a stored plan. Bound: max(customer), max(day), sum(units) of the
same orders in the server. Goal: at most 6 times the bound when few scores changed, under 200 MB in the client.

    python -m tests.benchmarks.bench_store --full
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from multiprocessing.connection import Connection
from statistics import median

from sqlalchemy import text

from adapters.records import Order, OrderSource, OrderStatus
from connector.scores import run as scoring
from connector.store import changes, mirror, scores
from connector.store.database import Database, raw
from connector.store.models import Portal
from tests.benchmarks.database import fresh_database, postgres

LOAD_GOAL, SCORE_GOAL, MEMORY_GOAL_MB = 10.0, 6.0, 200
CHUNK = 50_000
PAGES = (250, 2_500)
PAGED = 50_000
SPAN_DAYS = 1_000
TODAY = date(2026, 11, 24)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
EPOCH_DAY = (TODAY - date(1970, 1, 1)).days
ZONE = "Europe/Moscow"
HINTS = {segment: f"What {segment} means, and what to do." for segment in ("vip", "loyal", "promising", "at_risk")}


def new_portal(database: Database) -> int:
    with database.session() as session:
        portal = Portal(
            crm="hubspot",
            name="bench",
            account_id="1",
            host="localhost",
            time_zone=ZONE,
            currency="USD",
            language="en",
            rates={"USD": "1", "EUR": "1.0850"},
        )
        session.add(portal)
        session.flush()
        return portal.portal_id


# -- loading -------------------------------------------------------------------------------------------------


def orders_of(numbers: range, *, raised: int = 0) -> list[Order]:
    """Won deals of a tenth as many contacts; each `raised`-th has a cent more than usual (0: none)."""
    return [_order(number, Decimal(bool(raised) and number % raised == 0) / 100) for number in numbers]


def _order(number: int, more: Decimal) -> Order:
    moment = NOON - timedelta(seconds=(number * 7_919) % (SPAN_DAYS * 86_400))
    return Order(
        source=OrderSource.DEALS,
        external_id=str(10_000_000 + number),
        status=OrderStatus.WON,
        at=moment,
        amount=Decimal(100 + number * 31 % 1_000_000) / 100 + more,
        currency="EUR" if number % 50 == 0 else "USD",
        contact_id=str(500_000 + number % 100_003),
        manager_id=str(1 + number % 12),
        pipeline_id="default",
        stage_id="closedwon",
        created_at=moment - timedelta(days=3),
        updated_at=moment,
    )


def bench_loading(server: str, orders: int) -> None:
    with fresh_database(server) as url:
        database = Database(url)
        portal_id = new_portal(database)
        chunks = [range(start, min(orders, start + CHUNK)) for start in range(0, orders, CHUNK)]
        first = _load(database, portal_id, chunks)
        bound = _copy_bound(database)
        _settle_down(database)
        same = _load(database, portal_id, chunks)
        touched = _load(database, portal_id, chunks, raised=50)
        print(f"\nloading {orders:,} orders, {CHUNK:,} in a transaction")
        _line("bound: COPY of ready bytes, no index", bound, bound, "")
        _line("into an empty table", first.seconds, bound, f"{first.changed:,} rows changed")
        _line(f"the same again (goal {LOAD_GOAL:.0f})", same.seconds, bound, f"{same.changed:,} rows changed")
        _line("again, every 50th changed", touched.seconds, bound, f"{touched.changed:,} rows changed")
        for page in PAGES:
            some = min(PAGED, orders)
            paged = _load(database, portal_id, [range(s, s + page) for s in range(0, some - page + 1, page)], raised=50)
            _line(f"unchanged, pages of {page:,}", paged.seconds * orders / some, bound, f"from {some:,} orders")
        database.close()


@dataclass(frozen=True)
class Loaded:
    seconds: float
    changed: int


def _load(database: Database, portal_id: int, chunks: Sequence[range], *, raised: int = 0) -> Loaded:
    """Only storing is timed, not the making of records."""
    seconds, changed = 0.0, 0
    for numbers in chunks:
        records = orders_of(numbers, raised=raised)
        started = time.perf_counter()
        with database.session() as session:
            portal = session.get_one(Portal, portal_id)
            changed += mirror.store_orders(session, portal, OrderSource.DEALS, records).changed
        seconds += time.perf_counter() - started
    return Loaded(seconds, changed)


def _copy_bound(database: Database) -> float:
    """Median of three: the mirror's own rows as COPY's text, into a table without an index."""
    names = ", ".join(name for name, _ in mirror._ORDER_COLUMNS)
    times = []
    with database.session() as session, raw(session).cursor() as cursor:
        with cursor.copy(f"COPY (SELECT {names} FROM orders) TO STDOUT".encode()) as out:
            pieces = [bytes(piece) for piece in out]
        ready = b"".join(pieces)
        for turn in range(3):
            cursor.execute(f"CREATE TABLE bound{turn} AS SELECT {names} FROM orders LIMIT 0".encode())
            started = time.perf_counter()
            with cursor.copy(f"COPY bound{turn} ({names}) FROM STDIN".encode()) as into:
                for start in range(0, len(ready), 1 << 20):
                    into.write(ready[start : start + (1 << 20)])
            times.append(time.perf_counter() - started)
    return median(times)


def _settle_down(database: Database, *tables: str) -> None:
    """What autovacuum does within a minute or so."""
    with database.autocommit() as connection:
        for table in tables or ("orders", "customers"):
            connection.execute(text(f"VACUUM (ANALYZE) {table}"))


# -- scoring -------------------------------------------------------------------------------------------------


def fill(database: Database, portal_id: int, customers: int, orders: int) -> None:
    """Customers and orders with their derived columns, as the mirror keeps them; made inside the server."""
    with _without_indexes(database, "orders"), database.session() as session:
        keys = {"p": portal_id, "customers": customers, "orders": orders, "today": EPOCH_DAY, "span": SPAN_DAYS}
        session.execute(text("SELECT setseed(0.5)"))
        session.execute(
            text(
                "INSERT INTO customers (portal_id, number, kind, external_id, manager_id, seen, is_buyer, card)"
                " SELECT :p, n, 'contact', (500000 + n)::text, (1 + n % 12)::text, true, true, '{}'"
                " FROM generate_series(0, :customers - 1) n"
            ),
            keys,
        )
        session.execute(text("UPDATE portals SET next_number = :customers WHERE portal_id = :p"), keys)
        session.execute(
            text(
                "INSERT INTO orders (portal_id, source, external_id, status, at, amount, currency, contact_id,"
                " manager_id, customer, day, units, weight)"
                " SELECT :p, 'deals', n::text, 'won', to_timestamp((d + 0.4) * 86400), a / 100.0, 'USD',"
                " (500000 + c)::text, (1 + c % 12)::text, c, d, a * 10000, 0"
                " FROM (SELECT n, floor(power(random(), 1.5) * :customers)::int AS c,"
                " (:today - floor(random() * :span))::int AS d, floor(100 + random() * 1000000)::bigint AS a"
                " FROM generate_series(1, :orders) n) made"
            ),
            keys,
        )
    _settle_down(database)


@contextmanager
def _without_indexes(database: Database, table: str) -> Iterator[None]:
    """Built afterwards: many times faster than row by row."""
    with database.session() as session:
        known = session.execute(
            text("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = :t AND indexname NOT LIKE 'pk_%'"),
            {"t": table},
        ).all()
        for name, _ in known:
            session.execute(text(f"DROP INDEX {name}"))
    yield
    with database.session() as session:
        for _, definition in known:
            session.execute(text(definition))


def scan_bound(database: Database, portal_id: int) -> float:
    """Median of five."""
    sql = text("SELECT max(customer), max(day), sum(units) FROM orders WHERE portal_id = :p")
    return median(_timed(database, lambda session: session.execute(sql, {"p": portal_id}).all()) for _ in range(5))


def _timed(database: Database, act: Callable[[object], object]) -> float:
    with database.session() as session:
        session.connection()
        started = time.perf_counter()
        act(session)
        return time.perf_counter() - started


@dataclass(frozen=True)
class ScoreTimes:
    """One score run: seconds until the scores and until the plan are stored; most MB taken, MB before it."""

    scoring_s: float
    plan_s: float
    scored: int
    planned: int
    peak_mb: float
    base_mb: float


def score_once(url: str, portal_id: int, as_of: date, run_id: str) -> ScoreTimes:
    """In a process of its own, so that its memory can be told."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_score_process, args=(there, url, portal_id, as_of, run_id), daemon=True)
    process.start()
    there.close()
    found: ScoreTimes = here.recv()
    process.join()
    return found


def _score_process(line: Connection, url: str, portal_id: int, as_of: date, run_id: str) -> None:
    database = Database(url)
    with database.session() as session:
        session.execute(text("SELECT 1"))
    base = _peak_mb()
    now = datetime.combine(as_of, NOON.timetz())
    with database.session() as session:
        portal = session.get_one(Portal, portal_id)
        run = scores.start_run(session, portal_id, run_id, "run", as_of, now)
        moment = scoring.as_of_moment(ZONE, as_of, datetime.now(UTC))
        started = time.perf_counter()
        scored = scoring.score_portal(session, portal, run, moment, None)
        session.flush()
        stored = time.perf_counter()
        planned = changes.make_plan(session, portal_id, run_id, HINTS, now)
        ended = time.perf_counter()
    line.send(ScoreTimes(stored - started, ended - stored, scored.scored, planned, _peak_mb(), base))
    database.close()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write_cards(database: Database, run_id: str) -> None:
    """As if every planned card had been written."""
    with database.session() as session:
        session.execute(
            text(
                "UPDATE customers c SET card = jsonb_strip_nulls(c.card || h.values) FROM changes h"
                " WHERE h.run_id = :run AND c.portal_id = h.portal_id AND c.number = h.customer"
            ),
            {"run": run_id},
        )
        session.execute(text("UPDATE changes SET state = 'written' WHERE run_id = :run"), {"run": run_id})
    _settle_down(database, "customers", "changes", "scores")


def bench_scoring(server: str, customers: int, orders: int) -> None:
    with fresh_database(server) as url:
        database = Database(url)
        portal_id = new_portal(database)
        fill(database, portal_id, customers, orders)
        bound = scan_bound(database, portal_id)
        print(f"\nscoring {customers:,} customers with {orders:,} orders")
        _line("bound: max, max, sum in the server", bound, bound, "")
        days = {"first": 0, "nothing new": 0, "nothing new, again": 0, "a day later": 1}
        for name, later in days.items():
            gc.collect()
            run_id = name.replace(" ", "-")
            found = score_once(url, portal_id, TODAY - timedelta(days=2 - later), run_id)
            goal = f" (goal {SCORE_GOAL:.0f})" if name.startswith("nothing") else ""
            _line(f"{name}: scores{goal}", found.scoring_s, bound, f"{found.scored:,} scored")
            _line(f"{name}: plan", found.plan_s, bound, f"{found.planned:,} cards")
            _line(f"{name}: together", found.scoring_s + found.plan_s, bound, _memory(found))
            write_cards(database, run_id)
        database.close()


def _memory(found: ScoreTimes) -> str:
    return f"peak {found.peak_mb:.0f} MB, of which {found.base_mb:.0f} before (goal {MEMORY_GOAL_MB})"


def _line(name: str, seconds: float, bound: float, more: str) -> None:
    print(f"{name:<44}{seconds:>9.2f} s{seconds / bound:>9.1f} ×  {more}")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="1,000,000 customers with 10,000,000 orders")
    parser.add_argument("--only", choices=("loading", "scoring"))
    wanted = parser.parse_args(argv)
    with postgres() as server:
        if wanted.only != "scoring":
            bench_loading(server, 1_000_000 if wanted.full else 200_000)
        if wanted.only != "loading":
            bench_scoring(server, *((1_000_000, 10_000_000) if wanted.full else (100_000, 1_000_000)))


if __name__ == "__main__":
    main()
