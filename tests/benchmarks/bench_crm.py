"""First and repeated run against each sandbox, as a ratio to the least that the vendor's documented limits allow.

The portal is served by a process of its own, so that it does not share the client's interpreter. Least requests:
every page full, every batch full, plus the fixed calls of `FIXED`. Least time: those requests at the documented rate,
with nothing else taking any time. Goals: 1.10 without faults, 1.25 with faults, never one request over a limit.

    python -m tests.benchmarks.bench_crm --crm hubspot --customers 5000 --deals 15000 --calls
"""

from __future__ import annotations

import argparse
import itertools
import math
import multiprocessing
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sandbox.clock import RealClock
from sandbox.faults import Faults
from sandbox.random_shop import random_shop
from sandbox.server import serve
from sandbox.shop import Shop
from tests.acceptance.brute import expected_cards
from tests.acceptance.stage import CRMS, Stage
from tests.benchmarks.database import fresh_database, postgres

GOAL, GOAL_WITH_FAULTS = 1.10, 1.25
QUICK = {"amocrm": (1_000, 3_000), "bitrix24": (2_500, 7_500), "hubspot": (1_000, 3_000)}
FULL = dict.fromkeys(CRMS, (5_000, 15_000))
TOKEN = "sandbox0token0for0benches"
WRITE_COST_S = 0.05
"""Bitrix24: operating seconds of one write, so little that the bucket and not the operating time is the bound."""

FIXED: Mapping[str, Mapping[str, int]] = {
    "amocrm": {
        "account": 1,
        "users": 1,
        "fields and groups of two kinds, read": 4,
        "their group and fields, made": 4,
        "names of products": 1,
        "what vanished while pages were read by number": 3,
    },
    "bitrix24": {
        "rates": 1,
        "users and departments": 1,
        "stages": 1,
        "fields of two kinds, read": 1,
        "fields, made one by one because each may take a minute": 24,
        "card sections of two kinds": 2,
        "names of the fields": 1,
    },
    "hubspot": {
        "account": 1,
        "rates": 1,
        "owners, archived ones": 2,
        "properties and groups of two kinds, read": 4,
        "their group and properties, made": 4,
    },
}


# -- the least -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """What has to be moved, in records."""

    contacts: int
    companies: int
    deals: int
    won: int
    lines: int
    written: tuple[int, int]
    tasks: int


def work_of(crm: str, shop: Shop, now: datetime, tasks: int) -> Work:
    cards = Counter(kind for kind, _ in expected_cards(crm, shop, now))
    won = [deal for deal in shop.deals if deal.status == "won"]
    return Work(
        len(shop.contacts),
        len(shop.companies),
        len(shop.deals),
        len(won),
        sum(len(deal.lines) for deal in won),
        (cards["contact"], cards["company"]),
        tasks,
    )


def least_requests(crm: str, work: Work) -> dict[str, int]:
    """Requests by what they do. HubSpot and Bitrix24 have lines apart; amoCRM advises 50 in a bulk creation."""
    read, write, lines, tasks = {
        "amocrm": (250, 250, 0, 50),
        "bitrix24": (2500, 50, 2500, 50),
        "hubspot": (100, 100, 100, 100),
    }[crm]
    return {
        "contacts": _calls(work.contacts, read),
        "companies": _calls(work.companies, read),
        "deals": _calls(work.deals, read),
        "lines": _calls(work.lines, lines) if lines else 0,
        "cards": sum(_calls(count, write) for count in work.written),
        "tasks": _calls(work.tasks, tasks),
        "fixed": sum(FIXED[crm].values()),
    }


def least_seconds(crm: str, requests: int) -> float:
    """At the documented rate: 7 a second; 50 at once, then 2 a second; 100 in ten seconds."""
    if crm == "bitrix24":
        return max(0.0, (requests - 50) / 2.0)
    return requests / {"amocrm": 7.0, "hubspot": 10.0}[crm]


def _calls(records: int, at_once: int) -> int:
    return math.ceil(records / at_once)


# -- the portal, in a process of its own ---------------------------------------------------------------------


@dataclass(frozen=True)
class Size:
    customers: int
    deals: int
    today: date

    def shop(self) -> Shop:
        return random_shop(11, self.customers, self.deals, self.today, lines=True)


@dataclass
class Figures:
    """What the portal saw since the last look."""

    requests: int
    exceeded: int
    calls: Counter[tuple[str, str, int]]
    pauses: list[tuple[float, str]]
    faults: dict[str, int] = field(default_factory=dict)


def _portal_process(line: Connection, crm: str, size: Size, rate: float) -> None:
    more: dict[str, Any] = {}
    if crm == "bitrix24":
        more["costs"] = import_module("sandbox.bitrix24.service").Costs(write_s=WRITE_COST_S)
    faults = Faults.all(5, rate) if rate else Faults.none()
    portal = import_module(f"sandbox.{crm}").create_portal(
        size.shop(), clock=RealClock(), limits=True, faults=faults, token=TOKEN, **more
    )
    with serve(portal.app, 0) as server:
        line.send((server.url, portal.connect_url(server.url)))
        with suppress(EOFError):  # the bench has closed its end
            while line.recv() == "figures":
                line.send(_figures(portal))
                portal.log.clear()


def _figures(portal: Any) -> Figures:
    entries = list(portal.log.entries)
    calls = Counter((entry.method, _nameless(entry.path), entry.status) for entry in entries)
    pauses = [
        ((after.at - before.at).total_seconds(), f"{_nameless(before.path)} → {_nameless(after.path)}")
        for before, after in itertools.pairwise(entries)
    ]
    counts = {kind.value: count for kind, count in portal.faults.counts.items()}
    return Figures(portal.log.count, portal.exceeded, calls, sorted(pauses, reverse=True)[:8], counts)


def _nameless(path: str) -> str:
    return re.sub(r"\d{2,}|/\d+(?=/|$)", "#", path)


class RemotePortal:
    """A portal served elsewhere."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        self.server_url, self.connect_url = line.recv()

    def figures(self) -> Figures:
        self._line.send("figures")
        found: Figures = self._line.recv()
        return found


@contextmanager
def remote_portal(crm: str, size: Size, rate: float) -> Iterator[RemotePortal]:
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_portal_process, args=(there, crm, size, rate), daemon=True)
    process.start()
    there.close()  # so that a portal that dies ends the wait for its word
    try:
        yield RemotePortal(here)
    finally:
        here.close()
        process.join(5)
        process.terminate()


# -- measuring -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """One run as the command line reports it, and as the portal saw it."""

    report: dict[str, Any]
    wall_s: float
    seen: Figures

    @property
    def seconds(self) -> float:
        return float(self.report["seconds"])


def measure(crm: str, size: Size, rate: float, database_url: str, *, log: Path | None = None) -> list[Measured]:
    """The first run and a repeated one."""
    with remote_portal(crm, size, rate) as portal, tempfile.TemporaryDirectory(prefix="rfmbench") as var:
        environ = {
            "DATABASE_URL": database_url,
            "ALLOWED_CRM_HOSTS": portal.server_url.split("//", 1)[1],
            "VAR_DIR": var,
            "PYTHONWARNINGS": "ignore",
            "LOG_LEVEL": "DEBUG" if log else "WARNING",
        }
        staged = Stage(crm, Shop("UTC", "USD"), SimpleNamespace(token=TOKEN), portal.connect_url, environ)
        staged.connect()
        portal.figures()
        found = []
        for turn in ("first", "repeated"):
            started = time.perf_counter()
            report = staged.run()
            found.append(Measured(report, time.perf_counter() - started, portal.figures()))
            if log is not None:
                log.with_suffix(f".{turn}.log").write_text(report["stderr"])
        return found


def report_on(crm: str, size: Size, rate: float, found: list[Measured], *, calls: bool) -> None:
    first, again = found
    goal = GOAL_WITH_FAULTS if rate else GOAL
    least = least_requests(crm, work_of(crm, size.shop(), datetime.now(UTC), first.report["tasks_created"]))
    total = sum(least.values())
    seconds = least_seconds(crm, total)
    faulty = f", every fault at {rate:.0%}" if rate else ""
    print(f"\n{crm}: {size.customers:,} customers, {size.deals:,} deals{faulty}")
    print(f"{'':<22}{'requests':>10}{'seconds':>10}{'exceeded':>10}{'throttled':>11}")
    print(f"{'least':<22}{total:>10}{seconds:>10.1f}")
    for name, one in (("first run", first), ("repeated run", again)):
        print(
            f"{name:<22}{one.seen.requests:>10}{one.seconds:>10.1f}{one.seen.exceeded:>10}{one.report['throttled']:>11}"
        )
    in_time = f"{first.seconds / seconds:.2f} of the least time" if seconds >= 1 else "not bound by the rate"
    share = again.seen.requests / first.seen.requests
    print(
        f"first run: {first.seen.requests / total:.2f} of the least requests, {in_time} (goal {goal:.2f});"
        f" repeated: {share:.1%} of the first run's requests; wrote {first.report['written']}, then"
        f" {again.report['written']}; tasks {first.report['tasks_created']}, then {again.report['tasks_created']}"
    )
    print("least: " + ", ".join(f"{what} {count}" for what, count in least.items()))
    if rate:
        print("faults: " + ", ".join(f"{kind} {count}" for kind, count in first.seen.faults.items()))
    if calls:
        _print_calls("first run", first.seen)
        _print_calls("repeated run", again.seen)


def _print_calls(name: str, seen: Figures) -> None:
    print(f"-- {name}: calls by answer")
    for (method, path, status), count in sorted(seen.calls.items(), key=lambda item: -item[1]):
        print(f"{count:>7} {method:<6} {path} → {status or 'cut'}")
    print(f"-- {name}: longest pauses between two answers")
    for seconds, where in seen.pauses:
        print(f"{seconds:>7.2f} s  {where}")


def bench(crm: str, customers: int, deals: int, rate: float, *, calls: bool = False, log: Path | None = None) -> None:
    size = Size(customers, deals, datetime.now(UTC).date())
    with postgres() as server, fresh_database(server) as url:
        report_on(crm, size, rate, measure(crm, size, rate, url, log=log), calls=calls)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crm", nargs="+", choices=CRMS, default=list(CRMS))
    parser.add_argument("--full", action="store_true", help="5,000 customers and 15,000 deals")
    parser.add_argument("--customers", type=int)
    parser.add_argument("--deals", type=int)
    parser.add_argument("--faults", type=float, nargs="+", default=[0.0, 0.05], help="of each kind, per call")
    parser.add_argument("--calls", action="store_true", help="what the portal was asked, and when it was not")
    parser.add_argument("--log", type=Path, help="keep the client's own log of its requests beside this path")
    wanted = parser.parse_args(argv)
    for crm in wanted.crm:
        customers, deals = (FULL if wanted.full else QUICK)[crm]
        for rate in wanted.faults:
            bench(
                crm,
                wanted.customers or customers,
                wanted.deals or deals,
                rate,
                calls=wanted.calls,
                log=wanted.log and wanted.log.with_name(f"{wanted.log.name}-{crm}-{rate}"),
            )


if __name__ == "__main__":
    main()
