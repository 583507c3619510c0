"""The sandbox as a child process: started, its portals read, stopped. Knows nothing of what is done with them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any
from urllib.parse import urlsplit

from adapters.records import CRM
from connector.errors import Interruption

FIRST_PORT = 8101
_LOOPBACK = "127.0.0.1"
_STOP_S = 5.0
_CONNECT_S = 0.5


@dataclass(frozen=True, slots=True)
class Offer:
    """A sandbox portal to connect: what `connect` takes."""

    crm: CRM
    url: str
    token: str = field(repr=False)
    app: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What our app needs to know of the portal that tells it of changes, see `sandbox`; empty where it does not."""

    @property
    def host(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc


@contextmanager
def sandbox_portals(app_url: str | None = None, first_port: int = FIRST_PORT) -> Iterator[list[Offer]]:
    """Fresh sandbox portals for a while: on the ports from `first_port` where they are free, else on any free ones.

    They tell the connector at `app_url` of what changes in them.

    The child ends with us however we end, because it reads a pipe that only we hold open. Raises `Interruption`
    when it does not start.
    """
    port = first_port if all(_is_free(first_port + place) for place in range(len(CRM))) else 0
    child = _started(port, app_url)
    try:
        try:
            offers = _offers(child)
        except Interruption:
            if port == 0:
                raise
            _stop(child)  # somebody took one of the ports a moment before
            child = _started(0, app_url)
            offers = _offers(child)
        yield offers
    finally:
        _stop(child)


def _started(port: int, app_url: str | None) -> subprocess.Popen[str]:
    """The portals in a session of their own: Ctrl-C is for us, and we stop them when our work with them is over."""
    return subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "sandbox", "--port", str(port), "--until-eof", *(["--app", app_url] if app_url else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def answers(host: str) -> bool:
    """Whether something listens at host:port on this computer."""
    parts = urlsplit(f"//{host}")
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), _CONNECT_S):
            return True
    except (OSError, ValueError):
        return False


def _offers(child: subprocess.Popen[str]) -> list[Offer]:
    """One line for each portal; they come together, when all of them serve."""
    lines: IO[str] | list[str] = child.stdout if child.stdout is not None else []
    offers: list[Offer] = []
    for line in lines:
        found = json.loads(line)
        offers.append(Offer(CRM(found["crm"]), found["url"], found["token"], found.get("app", {})))
        if len(offers) == len(CRM):
            return offers
    raise Interruption("the sandbox portals did not start: `python -m sandbox` says why")


def _stop(child: subprocess.Popen[str]) -> None:
    child.terminate()
    try:
        child.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, port))
        except OSError:
            return False
        return True
