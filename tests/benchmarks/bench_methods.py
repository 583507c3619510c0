"""What an analyst waits for on a large portal: a what-if, a shadow, a staged release, any day's segments, flapping.

Bounds: the scan of the orders in the server, and one plain score run, both of the same portal in the same run.

    python -m tests.benchmarks.bench_methods --full
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import text

from adapters.records import Manager
from connector.jobs import whatif
from connector.scores import run as scoring
from connector.scores import versions
from connector.scores.versions import Act, Drafted, Reach
from connector.secrets import Vault
from connector.store import mirror, score_history, scores
from connector.store.database import Database
from connector.store.models import Portal
from connector.wiring import Service
from tests.benchmarks.bench_store import EPOCH_DAY, NOON, fill, new_portal, scan_bound
from tests.benchmarks.database import fresh_database, postgres


def score(database: Database, portal_id: int, run_id: str, now: datetime) -> scoring.Scored:
    with database.session() as session:
        portal = session.get_one(Portal, portal_id)
        moment = scoring.as_of_moment(portal.time_zone, None, now)
        run = scores.start_run(session, portal_id, run_id, "run", moment.day, now)
        return scoring.score_portal(session, portal, run, moment, None)


def timed(name: str, bound: float, act: Callable[[], object]) -> None:
    began = time.perf_counter()
    act()
    spent = time.perf_counter() - began
    print(f"{name:52} {spent:8.2f} s  {spent / bound:7.1f} × the scan", flush=True)


def bench(server: str, customers: int, orders: int) -> None:
    with fresh_database(server) as url:
        database = Database(url)
        portal_id = new_portal(database)
        fill(database, portal_id, customers, orders)
        with database.session() as session:
            mirror.store_staff(session, portal_id, [Manager(str(n), "M", active=True) for n in range(1, 13)], [])
        bound = scan_bound(database, portal_id)
        print(f"\n{customers:,} customers with {orders:,} orders; the scan takes {bound:.2f} s")
        found: list[scoring.Scored] = []
        timed("first score run", bound, lambda: found.append(score(database, portal_id, "r1", NOON)))
        timed("a day later", bound, lambda: score(database, portal_id, "r2", NOON + timedelta(days=1)))
        live = found[0].version
        moved = replace(live.thresholds, r=tuple(days * 2 for days in live.thresholds.r))
        act = Act("bench", NOON)
        with database.session() as session:
            portal = session.get_one(Portal, portal_id)
            label = versions.draft(session, portal, Drafted(live.method, moved, "bench"), act).label
        service = Service(None, database, Vault(("a key of this bench only",)), now=lambda: NOON + timedelta(days=1))
        timed("what-if today", bound, lambda: whatif.simulate(service, "bench", label, priced=False))
        past = (NOON - timedelta(days=200)).date()
        timed(
            "what-if on a past day", bound, lambda: whatif.simulate(service, "bench", label, as_of=past, priced=False)
        )
        timed("what-if of another window", bound, lambda: whatif.simulate(service, "bench", "octolis6", priced=False))
        reach = Reach("managers", ("1", "2", "3"))
        with database.session() as session:
            portal = session.get_one(Portal, portal_id)
            versions.publish(session, portal, label, Reach("shadow"), act, (NOON + timedelta(days=1)).date())
        timed("score run with a shadow", bound, lambda: score(database, portal_id, "r3", NOON + timedelta(days=2)))
        with database.session() as session:
            portal = session.get_one(Portal, portal_id)
            versions.rollback(session, portal, act)
            versions.publish(session, portal, label, reach, act, (NOON + timedelta(days=1)).date())
        timed(
            "score run, a quarter of the managers staged",
            bound,
            lambda: score(database, portal_id, "r4", NOON + timedelta(days=3)),
        )
        with database.session() as session:
            timed("segments on a day", bound, lambda: score_history.segments_on(session, portal_id, EPOCH_DAY + 1))
            timed(
                "flows between two days",
                bound,
                lambda: score_history.flows(session, portal_id, EPOCH_DAY, EPOCH_DAY + 3),
            )
            timed(
                "flapping of 30 days",
                bound,
                lambda: score_history.flapping(session, portal_id, EPOCH_DAY - 27, EPOCH_DAY + 3, least=3, limit=20),
            )
            rows, size = session.execute(
                text("SELECT count(*), pg_total_relation_size('score_history') FROM score_history")
            ).one()
        print(f"history: {rows:,} rows after four runs, {size / rows:.0f} bytes each with the index")
        database.close()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="1,000,000 customers with 5,000,000 orders")
    words = parser.parse_args(argv)
    with postgres() as server:
        bench(server, *((1_000_000, 5_000_000) if words.full else (100_000, 500_000)))


if __name__ == "__main__":
    main()
