"""`python -m sandbox [--faults RATE] [--port N] [--shop NAME]`: the emulated CRMs, until interrupted.

One JSON line per portal on standard output: `crm`, `url` (what `connect` takes), `token`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from threading import Event, Thread
from typing import cast

from sandbox.clock import RealClock
from sandbox.faults import Faults
from sandbox.portal import Portal
from sandbox.server import serve
from sandbox.shop import Shop
from sandbox.shops import EVERYWHERE, demo_shops

CRMS = ("amocrm", "bitrix24", "hubspot")


def portals(shop: Shop | Mapping[str, Shop], fault_rate: float, seed: int = 1) -> Iterator[Portal]:
    """A fresh portal of every CRM whose emulator is installed: with the same shop in each, or with its own."""
    for crm in CRMS:
        if find_spec(f"sandbox.{crm}") is not None:
            faults = Faults.all(seed, fault_rate) if fault_rate else Faults.none()
            create = import_module(f"sandbox.{crm}").create_portal
            token = f"sandbox-{crm}-token"
            inside = shop if isinstance(shop, Shop) else shop[crm]
            yield cast("Portal", create(inside, clock=RealClock(), limits=True, faults=faults, token=token))


def main(arguments: Sequence[str] | None = None, stop: Event | None = None) -> int:
    """Serve until `stop` is set or the process is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--faults", type=float, default=0.0, metavar="RATE", help="0.05 = each kind, 5 %% of calls")
    parser.add_argument("--port", type=int, default=0, help="first port; the others follow. 0 takes free ones")
    parser.add_argument("--shop", choices=sorted(EVERYWHERE), help="one shop for all; otherwise each CRM has its own")
    parser.add_argument("--until-eof", action="store_true", help="end as soon as standard input does")
    options = parser.parse_args(arguments)
    stop = stop if stop is not None else Event()
    if options.until_eof:
        Thread(target=_set_at_eof, args=(stop,), name="standard input", daemon=True).start()
    shops = demo_shops(RealClock().now().date(), options.shop)
    with ExitStack() as running:
        for place, portal in enumerate(portals(shops, options.faults)):
            server = running.enter_context(serve(portal.app, options.port and options.port + place))
            line = {"crm": portal.crm, "url": portal.connect_url(server.url), "token": portal.token}
            sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        try:
            stop.wait()
        except KeyboardInterrupt:
            return 0
    return 0


def _set_at_eof(stop: Event) -> None:
    """Whoever started us holds the other end: it closes with that process, however it ends."""
    while sys.stdin.buffer.read(4096):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
