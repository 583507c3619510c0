"""The web process: gunicorn around the application, until SIGINT or SIGTERM.

Heard on this computer only, unless PUBLIC_URL is set: then CRMs reach their addresses (`connector.api.doors`).
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from connector.app import create_app
from connector.config import Config
from connector.errors import WrongUse
from connector.overload import Worker
from connector.store.database import open_database

_LOOPBACK, _EVERYWHERE = "127.0.0.1", "0.0.0.0"  # noqa: S104 - only with PUBLIC_URL
_HERE = (None, "localhost", "127.0.0.1", "::1")
_THREADS = 4
"""Few threads, as they take turns in a process: eight answer no more than four, and a burst waits longer."""
_BACKLOG = 256
_GRACE_S = 10


def serve(config: Config, *, ready: Callable[[str], None] | None = None) -> int:
    """Serve the pages until stopped; requests under way are finished first. Returns the exit status.

    `ready` is told the address once the port answers; without it the address is printed to standard error. Raises
    `WrongUse` for a port that is taken, `Misconfigured`, `DatabaseAway` and `SchemaBehind` before anything starts.
    """
    app = create_app(config)
    _check_database(config)
    listener = listen(config)
    announce = ready if ready is not None else _say
    address = address_of(listener)
    try:
        _Server(app, listener.detach(), lambda: announce(address)).run()
    except SystemExit as ending:  # gunicorn's way of returning
        return ending.code if isinstance(ending.code, int) else 0
    return 0


def listen(config: Config) -> socket.socket:
    """The listening socket; raises `WrongUse` when the port is taken or may not be used."""
    public = urlsplit(config.public_url or "").hostname
    host = _LOOPBACK if public in _HERE else _EVERYWHERE
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, config.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        reason = (
            "is taken by another process" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        )
        raise WrongUse(f"port {config.port} {reason}: choose another with PORT=8001") from None
    return listener


def address_of(listener: socket.socket) -> str:
    """Where people on this computer open the pages."""
    return f"http://{_LOOPBACK}:{listener.getsockname()[1]}/"


def _check_database(config: Config) -> None:
    """Start and set up the database before a worker is forked; a started embedded one stays with this process."""
    database = open_database(config)
    try:
        database.ensure_schema()
    finally:
        database.close()


class _Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn with our settings instead of its command line. `listener` is a descriptor, which it takes over."""

    def __init__(self, app: Flask, listener: int, ready: Callable[[], None]) -> None:
        self._app = app
        self._listener = listener
        self._ready = ready
        super().__init__()

    def load_config(self) -> None:
        settings: dict[str, Any] = {
            "bind": [f"fd://{self._listener}"],
            "workers": 1,
            "worker_class": Worker,
            "threads": _THREADS,
            "graceful_timeout": _GRACE_S,
            "loglevel": "error",
            "when_ready": lambda _arbiter: self._ready(),
            "post_worker_init": _leave_interrupts_to_the_parent,
            "worker_exit": _leave_at_once,
            "control_socket_disable": True,
        }
        for name, value in settings.items():
            if name in self.cfg.settings:  # control sockets came with gunicorn 25
                self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._app

    def run(self) -> None:
        _Arbiter(self).run()


class _Arbiter(Arbiter):  # type: ignore[misc]
    """Ctrl-C stops as gently as SIGTERM does: requests under way are finished."""

    def handle_int(self) -> None:
        self.handle_term()


def _leave_interrupts_to_the_parent(_worker: object) -> None:
    """Ctrl-C reaches every process of a terminal; the parent alone decides how to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _leave_at_once(_arbiter: object, _worker: object) -> None:
    """End the forked worker here: unwinding would run the clean-up of whoever called `serve`, twice."""
    ending = sys.exception()
    code = ending.code if isinstance(ending, SystemExit) and isinstance(ending.code, int) else 1
    sys.stderr.flush()
    os._exit(code)


def _say(address: str) -> None:
    print(f"serving at {address} (Ctrl-C stops)", file=sys.stderr, flush=True)  # noqa: T201 - a line for people
