"""Hostile requests at every route for some time: `make fuzz`, or `python -m tests.fuzz --seconds 600`.

Ends with 1 and the smallest request that does harm as soon as one is found; each turn draws from a new seed.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom

from hypothesis import HealthCheck, Phase, given, seed, settings

from connector.store.database import Database
from tests.benchmarks.database import fresh_database, postgres
from tests.fuzz.target import Request, Target, requests, rules_of, target_on

TURN = 200
PHASES = (Phase.generate, Phase.shrink)


def turn(target: Target, number: int) -> None:
    """Some hundred requests from a seed."""

    @seed(number)
    @settings(max_examples=TURN, deadline=None, database=None, phases=PHASES, suppress_health_check=list(HealthCheck))
    @given(request=requests(target.app))
    def attack(request: Request) -> None:
        target.fire(request)

    attack()


def report(target: Target, seconds: float) -> None:
    print(f"{target.seen.total():,} requests in {seconds:.0f} s")
    for rule in rules_of(target.app):
        found = {status: count for (path, status), count in sorted(target.seen.items()) if path == rule.rule}
        print(f"  {rule.rule:<34}" + "  ".join(f"{status}×{count}" for status, count in found.items()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, help="one turn from this seed, to see a finding again")
    wanted = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with postgres() as server, fresh_database(server) as url, tempfile.TemporaryDirectory() as var:
        target, began = target_on(Database(url), Path(var)), time.monotonic()
        while time.monotonic() - began < wanted.seconds:
            number = SystemRandom().randrange(1 << 32) if wanted.seed is None else wanted.seed
            try:
                turn(target, number)
            except Exception as found:  # noqa: BLE001 - whatever it is, it is a finding
                report(target, time.monotonic() - began)
                print(f"\nfound with --seed {number}:\n{type(found).__name__}: {found}", file=sys.stderr)
                return 1
            if wanted.seed is not None:
                break
        report(target, time.monotonic() - began)
    return 0


if __name__ == "__main__":
    sys.exit(main())
