"""All benches, one after the other, in one readable report: `make bench`; with `--full` at the large sizes.

Machines differ, and this one may be busy: read the ratios, each taken within one run.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time

from tests.benchmarks import (
    bench_analysis,
    bench_backfill,
    bench_crm,
    bench_latency,
    bench_own_work,
    bench_scoring,
    bench_store,
    bench_webhooks,
)

TITLES = {
    "scoring": "Scoring from memory: goal 1.3 × the best plain numpy of the same run",
    "analysis": "Explanation, quality and backtest from memory, beside scoring",
    "store": "Loading and scoring from PostgreSQL: goals 10 × COPY of ready bytes, 6 × the scan",
    "backfill": "A first pull: goal memory that does not depend on the portal's size",
    "webhooks": "Webhooks put down: goal 55 % of a Flask endpoint that only reads; twice that within vendors' limits",
    "latency": "One order from the CRM to the card, over HTTP with real processes",
    "own-work": "One order in a large portal: the same as in a small one; goal 3 × a one-row commit",
    "crm": "Against the sandboxes at documented limits: goal 1.10 × the least, 1.25 × with faults, none exceeded",
}
BENCHES = {
    "analysis": bench_analysis.main,
    "store": bench_store.main,
    "backfill": bench_backfill.main,
    "webhooks": bench_webhooks.main,
    "latency": bench_latency.main,
    "own-work": bench_own_work.main,
    "crm": bench_crm.main,
}


def run(name: str, *, full: bool) -> None:
    print(f"\n{'═' * 100}\n{TITLES[name]}\n{'═' * 100}", flush=True)
    size = ["--full"] if full else []
    if name == "scoring":
        bench_scoring.main([] if full else ["--orders", "1000000", "10000000", "--rounds", "3"])
    else:
        BENCHES[name](size)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the large sizes")
    parser.add_argument("--only", nargs="+", choices=tuple(TITLES), default=list(TITLES))
    wanted = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f} at the start")
    started = time.perf_counter()
    for name in wanted.only:
        run(name, full=wanted.full)
    print(f"\n{time.perf_counter() - started:.0f} s in all", file=sys.stderr)


if __name__ == "__main__":
    main()
