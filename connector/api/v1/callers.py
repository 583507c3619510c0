"""Whose script calls: the bearer's token, how often it may ask, and what it may see."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import cast

from flask import current_app, g, request

from connector.api.v1.problems import Refused, not_found
from connector.store import api_tokens
from connector.store.api_tokens import Holder
from connector.wiring import Service

RATE, BURST = 20.0, 40
"""Requests per second that a token may send to one web process, and how many at once after a pause."""
LARGEST_BODY = 256 * 1024
_MOST_REMEMBERED = 10_000
_EXTENSION = "api_v1"


class Throttle:
    """A bucket of requests for each token, refilled at a steady rate. Safe to share between threads."""

    def __init__(self, rate: float = RATE, burst: int = BURST, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst = rate, burst
        self._clock = clock
        self._lock = Lock()
        self._levels: dict[str, tuple[float, float]] = {}

    def wait_s(self, key: str) -> float:
        """Take a request out of the bucket; returns 0, or how long to wait until there is one."""
        now = self._clock()
        with self._lock:
            if len(self._levels) > _MOST_REMEMBERED:
                self._levels.clear()
            level, at = self._levels.get(key, (float(self.burst), now))
            level = min(float(self.burst), level + (now - at) * self.rate)
            taken = level >= 1
            self._levels[key] = (level - 1 if taken else level, now)
        return 0.0 if taken else (1 - level) / self.rate


@dataclass(frozen=True, slots=True)
class Api:
    """What the views work with. `service` gives up on a CRM soon, because somebody waits."""

    service: Callable[[], Service]
    throttle: Throttle
    description: Callable[[], bytes]


def keep(extensions: dict[str, object], api: Api) -> None:
    """Make an application's views work with it."""
    extensions[_EXTENSION] = api


def api() -> Api:
    """Of the application that answers."""
    return cast("Api", current_app.extensions[_EXTENSION])


def service() -> Service:
    """The assembled service; raises what `ServiceWhenNeeded` does."""
    return api().service()


def holder() -> Holder:
    """Whose token this request shows."""
    return cast("Holder", g.holder)


def admit(scope: str) -> Holder:
    """Let a request in by its token. Raises `Refused`: 401, 403 or 429."""
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not shown:
        raise _unknown("a token is asked for: Authorization: Bearer rfm_…")
    opened = service()
    with opened.database.session() as session:
        found = api_tokens.holder_of(session, shown.strip(), opened.now())
    if found is None:
        raise _unknown("the token is unknown, revoked or over", error="invalid_token")
    wait_s = api().throttle.wait_s(found.token_id)
    if wait_s:
        again = str(max(1, math.ceil(wait_s)))
        raise Refused(429, f"more than {api().throttle.rate:g} requests per second", headers={"Retry-After": again})
    if scope not in found.scopes:
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        raise Refused(403, f"the token has no scope {scope!r}", headers={"WWW-Authenticate": challenge})
    g.holder = found
    return found


def check_path(path: Mapping[str, str]) -> None:
    """Raise `Refused` (404) for a portal that the token is not for, as for one that is not there."""
    mine = holder().portal
    if any("\0" in part for part in path.values()) or mine not in {None, path.get("portal", mine)}:
        raise not_found("portal" if "portal" in path else "address")


def only_portal() -> int | None:
    """The id of the only portal that the token is for, None for all."""
    return None if holder().portal_id == api_tokens.SERVICE else holder().portal_id


def _unknown(detail: str, error: str = "") -> Refused:
    challenge = 'Bearer realm="rfm-connector"' + (f', error="{error}"' if error else "")
    return Refused(401, detail, headers={"WWW-Authenticate": challenge})
