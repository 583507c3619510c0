"""All benches, one after the other, in one readable report: `make bench`; with `--full` at the large sizes.

Machines differ, and this one may be busy: read the ratios, each taken within one run.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time

from tests.benchmarks import bench_analysis, bench_crm, bench_scoring, bench_store

TITLES = {
    "scoring": "Scoring from memory: goal 1.3 × the best plain numpy of the same run",
    "analysis": "Explanation, quality and backtest from memory, beside scoring",
    "store": "Loading and scoring from PostgreSQL: goals 10 × COPY of ready bytes, 6 × the scan",
    "crm": "Against the sandboxes at documented limits: goal 1.10 × the least, 1.25 × with faults, none exceeded",
}


def run(name: str, *, full: bool) -> None:
    print(f"\n{'═' * 100}\n{TITLES[name]}\n{'═' * 100}", flush=True)
    size = ["--full"] if full else []
    if name == "scoring":
        bench_scoring.main([] if full else ["--orders", "1000000", "10000000", "--rounds", "3"])
    elif name == "analysis":
        bench_analysis.main(size)
    elif name == "store":
        bench_store.main(size)
    else:
        bench_crm.main(size)


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
