"""`python -m sandbox [--faults RATE] [--port N] [--shop NAME] [--app URL]`: the emulated CRMs, until interrupted.

One JSON line per portal on standard output: `crm`, `url` (what `connect` takes), `token`. With `--app` the portals know
a connector at that address: HubSpot posts its events there, in Bitrix24 the app was just added. `app` then says what
the connector needs for it: `client_id`, `client_secret`, `oauth_url`, and for Bitrix24 the `query` and the `form` of
the app's page as its administrator opens it. amoCRM posts to whoever subscribes.
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
from typing import Any, cast

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
    parser.add_argument("--app", metavar="URL", help="the connector that the portals tell of what changes")
    parser.add_argument("--until-eof", action="store_true", help="end as soon as standard input does")
    options = parser.parse_args(arguments)
    stop = stop if stop is not None else Event()
    if options.until_eof:
        Thread(target=_set_at_eof, args=(stop,), name="standard input", daemon=True).start()
    shops = demo_shops(RealClock().now().date(), options.shop)
    with ExitStack() as running:
        for place, portal in enumerate(portals(shops, options.faults)):
            server = running.enter_context(serve(portal.app, options.port and options.port + place))
            line: dict[str, Any] = {"crm": portal.crm, "url": portal.connect_url(server.url), "token": portal.token}
            if options.app and portal.crm in _APPS:
                line["app"] = _APPS[portal.crm](portal, options.app.rstrip("/"), server.url, running)
            sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        try:
            stop.wait()
        except KeyboardInterrupt:
            return 0
    return 0


def _hubspot_app(portal: Any, app_url: str, url: str, _: ExitStack) -> dict[str, Any]:
    """The app's files name its address."""
    portal.letters.target_url = f"{app_url}/webhooks/hubspot"
    return {"client_id": portal.oauth.client_id, "client_secret": portal.oauth.client_secret, "oauth_url": url}


def _bitrix24_app(portal: Any, _: str, url: str, running: ExitStack) -> dict[str, Any]:
    """An administrator has added the app and opens its page."""
    oauth = portal.oauth
    auth_url = running.enter_context(serve(oauth.auth_app)).url
    oauth.served_at(url, auth_url)
    oauth.install()
    oauth.finish()
    return {
        "client_id": oauth.client_id,
        "client_secret": oauth.client_secret,
        "oauth_url": auth_url,
        "query": {"DOMAIN": oauth.domain, "PROTOCOL": "1", "LANG": "ru"},
        "form": oauth.page_form(),
    }


_APPS = {"hubspot": _hubspot_app, "bitrix24": _bitrix24_app}


def _set_at_eof(stop: Event) -> None:
    """Whoever started us holds the other end: it closes with that process, however it ends."""
    while sys.stdin.buffer.read(4096):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
