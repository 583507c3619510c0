"""Webhooks through the web process, beside a Flask endpoint that only reads the body, served in the same way.

Bodies are HubSpot's: 1 to 100 events, signed with HMAC v3, of accounts that are connected; every answer 2xx stands
for rows that are committed. `--fresh` draws another record for each event, the worst case; usually one record's
change comes as some events, of its properties. The server, the load and PostgreSQL share this machine.

    python -m tests.benchmarks.bench_webhooks [--seconds 5] [--rounds 3] [--fresh] [--crm hubspot]
"""

from __future__ import annotations

import argparse
import base64
import hmac
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import orjson
from flask import Flask, request
from sqlalchemy import text

from connector import server
from connector.config import Config
from connector.store.database import Database
from connector.store.models import Portal
from tests.benchmarks.database import fresh_database, postgres
from tests.benchmarks.load import Heard, Load
from tests.benchmarks.load import request as request_bytes

GOAL = 0.55
LIMITS_S = {"amocrm": 2.0, "bitrix24": 1.0, "hubspot": 5.0}
SECRET = "a-client-secret-for-benches-only"
ACCOUNTS = (62515, 62516, 62517)
RECORDS = 200_000
CONNECTIONS = 16
BODIES = 2_000
PATH = "/webhooks/hubspot"
PROPERTIES = ("dealstage", "amount", "closedate", "hubspot_owner_id", "hs_is_closed_won")


# -- what is sent --------------------------------------------------------------------------------------------


def bodies(count: int, *, fresh: bool, seed: int = 3) -> list[list[dict[str, Any]]]:
    """Arrays of 1 to 100 events of one account each."""
    dice = Random(seed)
    return [_events(dice, dice.choice(ACCOUNTS), dice.randint(1, 100), fresh=fresh) for _ in range(count)]


def _events(dice: Random, account: int, count: int, *, fresh: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        record, user = 10_000_000_000 + dice.randrange(1, RECORDS), dice.randrange(1, 200)
        names = PROPERTIES[: 1 if fresh else dice.randint(1, len(PROPERTIES))]
        found += [_event(dice, account, record, user, name) for name in names]
    return found[:count]


def _event(dice: Random, account: int, record: int, user: int, name: str) -> dict[str, Any]:
    return {
        "eventId": dice.randrange(1 << 31),
        "subscriptionId": 3_958_427,
        "portalId": account,
        "appId": 1_160_452,
        "occurredAt": 1_790_000_000_000 + dice.randrange(1 << 30),
        "subscriptionType": "object.propertyChange",
        "attemptNumber": 0,
        "objectId": record,
        "objectTypeId": "0-3",
        "propertyName": name,
        "propertyValue": str(dice.randrange(1_000_000)),
        "changeSource": "CRM_UI",
        "sourceId": f"userId:{user}",
    }


def signed(base: str, arrays: Sequence[list[dict[str, Any]]]) -> list[bytes]:
    """The requests, good for five minutes."""
    return [_signed(base, orjson.dumps(array)) for array in arrays]


def _signed(base: str, body: bytes) -> bytes:
    stamp = str(round(time.time() * 1000))
    message = f"POST{base}{PATH}".encode() + body + stamp.encode()
    mac = base64.b64encode(hmac.digest(SECRET.encode(), message, "sha256")).decode()
    headers = [
        ("Content-Type", "application/json"),
        ("X-HubSpot-Signature-v3", mac),
        ("X-HubSpot-Request-Timestamp", stamp),
    ]
    return request_bytes("POST", PATH, headers, body)


# -- the two servers -----------------------------------------------------------------------------------------


def bare() -> Flask:
    """Reads the body and does nothing with it."""
    app = Flask("bare")

    @app.post(PATH)
    def read() -> str:
        request.get_data()
        return "ok"

    return app


def _serve(line: Connection, what: str, settings: dict[str, Any]) -> None:
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    config = Config(**settings)
    if what == "bare":
        listener = server.listen(config)
        server._Server(bare(), listener.detach(), lambda: line.send("ready")).run()
    else:
        server.serve(config, ready=line.send)


@contextmanager
def serving(what: str, port: int, **more: Any) -> Iterator[None]:
    """One of the two, in processes of its own, with the settings of the product."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(there, what, {"port": port, **more}))
    process.start()
    there.close()
    try:
        here.recv()
        yield
    finally:
        process.terminate()
        process.join(15)


def _free_port() -> int:
    with server.listen(Config(port=0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def connected(database_url: str) -> Iterator[Database]:
    """The accounts of the events, connected."""
    database = Database(database_url)
    with database.session() as session:
        for account in ACCOUNTS:
            session.add(
                Portal(
                    crm="hubspot",
                    name=f"portal-{account}",
                    account_id=str(account),
                    host="api.hubapi.com",
                    time_zone="UTC",
                    currency="USD",
                    language="en",
                    rates={"USD": "1"},
                )
            )
    yield database
    database.close()


# -- measuring -----------------------------------------------------------------------------------------------


@dataclass
class Ratio:
    """Both in turns, so that a busy moment hits both."""

    bare: list[Heard]
    ours: list[Heard]

    def rates(self) -> tuple[float, float]:
        """Medians, requests a second."""
        return median(one.a_second() for one in self.bare), median(one.a_second() for one in self.ours)


def bench(url: str, seconds: float, rounds: int, *, fresh: bool) -> None:
    arrays = bodies(BODIES, fresh=fresh)
    ports = _free_port(), _free_port()
    base = f"http://127.0.0.1:{ports[1]}"
    with ExitStack() as running:
        database = running.enter_context(connected(url))
        running.enter_context(serving("bare", ports[0]))
        var = running.enter_context(tempfile.TemporaryDirectory(prefix="rfmbench"))
        running.enter_context(
            serving(
                "ours",
                ports[1],
                database_url=url,
                public_url=base,
                encryption_keys=("a key for benches only, of 32 bytes",),
                hubspot_client_id="bench",
                hubspot_client_secret=SECRET,
                var_dir=Path(var),
            )
        )
        loads = [Load(port) for port in (*ports, ports[1])]
        for load in loads:
            running.callback(load.close)
        events = sum(map(len, arrays)) / len(arrays)
        folded = sum(len({event["objectId"] for event in array}) for array in arrays) / len(arrays)
        print(f"\nHubSpot's bodies, {events:.0f} events of {folded:.0f} records on average, {CONNECTIONS} connections")
        found = _in_turns(loads, base, arrays, seconds, rounds)
        _print_flat_out(found, events)
        _check_durable(database, found)
        _print_twice(loads[1], loads[2], base, arrays, seconds, rate=2 * found.rates()[1])


def _in_turns(
    loads: Sequence[Load], base: str, arrays: list[list[dict[str, Any]]], seconds: float, rounds: int
) -> Ratio:
    found = Ratio([], [])
    for turn in range(rounds + 1):
        requests = signed(base, arrays)
        one = loads[0].flat_out(requests, seconds, CONNECTIONS)
        two = loads[1].flat_out(requests, seconds, CONNECTIONS)
        if turn:  # the first one warms up
            found.bare.append(one)
            found.ours.append(two)
    return found


def _print_flat_out(found: Ratio, events: float) -> None:
    least, ours = found.rates()
    print(f"{'':<40}{'requests/s':>12}{'events/s':>10}{'p50, ms':>10}{'p99, ms':>10}")
    for name, rate, turns in (("Flask reads the body", least, found.bare), ("ours, rows committed", ours, found.ours)):
        p50, p99 = (median(one.part(share) * 1000 for one in turns) for share in (0.5, 0.99))
        others = sum((one.statuses for one in turns), start=type(turns[0].statuses)())
        more = ", ".join(f"{count} × {status or 'cut'}" for status, count in others.items() if status != 200)
        print(f"{name:<40}{rate:>12,.0f}{rate * events:>10,.0f}{p50:>10.1f}{p99:>10.1f}  {more}")
    print(f"ours: {ours / least:.0%} of the endpoint that only reads (goal {GOAL:.0%})")


def _check_durable(database: Database, found: Ratio) -> None:
    """What was answered 200 is in the table."""
    with database.session() as session:
        records, events = session.execute(text("SELECT count(*), coalesce(sum(count), 0) FROM arrivals")).one()
    answered = sum(one.statuses[200] for one in found.ours)
    print(f"stored: {records:,} deliveries with {events:,} records, for {answered:,} answers and the warming up")


def _print_twice(
    load: Load, pages: Load, base: str, arrays: list[list[dict[str, Any]]], seconds: float, rate: float
) -> None:
    quiet = _page_times(pages, base, seconds / 2)
    load.begin(signed(base, arrays), seconds, rate)
    during = _page_times(pages, base, seconds - 0.5)
    heard = load.heard()
    print(f"\ntwice the load: {rate:,.0f} requests/s offered for {seconds:.0f} s")
    for status, count in sorted(heard.statuses.items()):
        hint = f", {heard.hinted} with Retry-After" if status == 503 else ""
        took = f"p50 {heard.part(0.5, status) * 1000:.0f} ms, p99 {heard.part(0.99, status) * 1000:.0f} ms"
        print(f"  {status or 'cut'}: {count / heard.seconds:,.0f}/s, {took}{hint}")
    worst = heard.part(0.99)
    verdicts = ", ".join(
        f"{crm} {limit:.0f} s {'kept' if worst < limit else 'BROKEN'}" for crm, limit in LIMITS_S.items()
    )
    print(f"  p99 of all answers {worst * 1000:.0f} ms: {verdicts}")
    print(
        f"  the portals' page: median {during.part(0.5) * 1000:.0f} ms, p99 {during.part(0.99) * 1000:.0f} ms,"
        f" {dict(during.statuses)}; without load median {quiet.part(0.5) * 1000:.0f} ms"
    )


def _page_times(pages: Load, base: str, seconds: float) -> Heard:
    return pages.paced([request_bytes("GET", "/")], seconds, 10.0)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="longer turns")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fresh", action="store_true", help="another record for each event")
    wanted = parser.parse_args(argv)
    with postgres() as running, fresh_database(running) as url:
        bench(url, wanted.seconds or (10.0 if wanted.full else 3.0), wanted.rounds, fresh=wanted.fresh)


if __name__ == "__main__":
    main()
