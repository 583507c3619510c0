"""Serves a WSGI application on loopback over real sockets: HTTP/1.1, connections kept alive, one thread each.

Werkzeug's own server closes the connection after every answer, which hides what a pooled session does; this
one keeps it open, and can also cut it (`sandbox.web.CutConnection`), as a lost answer does.
"""

from __future__ import annotations

import io
import socket
import struct
import sys
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication, WSGIEnvironment

from sandbox.web import CutConnection

LOOPBACK = "127.0.0.1"
IDLE_S = 60.0


class _Sockets(ThreadingHTTPServer):
    """Remembers open connections, so that stopping really stops."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, app: WSGIApplication, port: int) -> None:
        self.app = app
        self._open: set[socket.socket] = set()
        self._open_lock = Lock()
        super().__init__((LOOPBACK, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is a fault of ours and is shown."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def cut_all(self) -> None:
        with self._open_lock:
            for connection in self._open:
                _quietly_shut(connection)


def _quietly_shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # already gone, which is what was wanted
        return


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_S

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        head: list[str] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exc: object = None) -> object:
            head[:] = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
            return None

        app = cast("_Sockets", self.server).app
        try:
            chunks: Iterable[bytes] = app(self._environ(body), start_response)  # type: ignore[arg-type]
            content = b"".join(chunks)
        except CutConnection:
            self._cut()
            return
        lines = "\r\n".join([*head, "", ""]).encode("latin-1")
        self.wfile.write(lines if self.command == "HEAD" else lines + content)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = _serve  # noqa: N815

    def _environ(self, body: bytes) -> WSGIEnvironment:
        path, _, query = self.path.partition("?")
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": self.path,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "SERVER_NAME": LOOPBACK,
            "SERVER_PORT": str(cast("_Sockets", self.server).server_port),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
        return environ

    def _cut(self) -> None:
        """Reset the connection: no answer, not even an orderly end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing: the portal keeps its own log without secrets."""


class Server:
    """A running server. Use it as a context manager, or call `stop`."""

    def __init__(self, app: WSGIApplication, port: int = 0) -> None:
        self._sockets = _Sockets(app, port)
        self.port = self._sockets.server_port
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._thread = Thread(
            target=self._sockets.serve_forever, kwargs={"poll_interval": 0.05}, name="sandbox", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every open connection. Safe to repeat."""
        self._sockets.shutdown()
        self._sockets.server_close()
        self._sockets.cut_all()
        self._thread.join()

    def __enter__(self) -> Self:
        """The server runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()


def serve(app: WSGIApplication, port: int = 0) -> Server:
    """Start serving on loopback; port 0 takes a free one."""
    return Server(app, port)
