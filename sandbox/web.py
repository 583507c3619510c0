"""A request and an answer as plain values, so that an emulator is a function from one to the other.

`as_wsgi` is the only place that knows WSGI; it also keeps the request log (method, path, status, time; no
bodies, no query, no headers). An emulator that cuts the connection raises `CutConnection`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import orjson

from sandbox.clock import Clock

KEPT_ENTRIES = 100_000


class CutConnection(Exception):
    """The work may be done, but no answer will come: `sandbox.server` resets the TCP connection."""


@dataclass(frozen=True, slots=True)
class Request:
    """What came in. Header names are lower case; `path` is decoded, without the query."""

    method: str
    path: str
    query_string: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def query(self) -> dict[str, list[str]]:
        """Query parameters with all their values, empty ones kept."""
        return parse_qs(self.query_string, keep_blank_values=True) if self.query_string else {}

    def json(self) -> Any:
        """The body as JSON; raises `ValueError` when it is none."""
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out. `Content-Length` is added for you."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(
    data: object, status: int = 200, headers: Mapping[str, str] | None = None, media: str = "application/json"
) -> Answer:
    """An answer in JSON (UTF-8, not escaped)."""
    return Answer(status, orjson.dumps(data), {"Content-Type": f"{media};charset=utf-8", **(headers or {})})


def html_answer(status: int, title: str) -> Answer:
    """What a proxy in front of the CRM would send."""
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Answer(status, page.encode(), {"Content-Type": "text/html; charset=utf-8"})


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One call. `status` 0 means that the connection was cut."""

    method: str
    path: str
    status: int
    at: datetime


class RequestLog:
    """The last calls, and the number of all of them."""

    def __init__(self) -> None:
        self.count = 0
        self.entries: deque[LogEntry] = deque(maxlen=KEPT_ENTRIES)

    def add(self, entry: LogEntry) -> None:
        """Append one."""
        self.count += 1
        self.entries.append(entry)

    def clear(self) -> None:
        """Start counting again from 0."""
        self.count = 0
        self.entries.clear()

    def answered(self, status: int) -> int:
        """How many of the kept calls were answered with this status."""
        return sum(entry.status == status for entry in self.entries)

    def calls(self, method: str, path_end: str = "") -> int:
        """How many of the kept calls had this method and a path that ends so."""
        return sum(entry.method == method and entry.path.endswith(path_end) for entry in self.entries)


def read_request(environ: WSGIEnvironment) -> Request:
    """The WSGI environment as a value; the body is read whole."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    return Request(
        method=environ["REQUEST_METHOD"],
        path=environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace"),
        query_string=environ.get("QUERY_STRING", ""),
        headers=headers,
        body=environ["wsgi.input"].read(length) if length else b"",
    )


def as_wsgi(handle: Callable[[Request], Answer], log: RequestLog, clock: Clock) -> WSGIApplication:
    """A WSGI application around `handle`; every call is logged when its answer is known."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = read_request(environ)
        try:
            answer = handle(request)
        except CutConnection:
            log.add(LogEntry(request.method, request.path, 0, clock.now()))
            raise
        log.add(LogEntry(request.method, request.path, answer.status, clock.now()))
        headers = {**answer.headers, "Content-Length": str(len(answer.body))}
        start_response(status_line(answer.status), list(headers.items()))
        return [answer.body]

    return app


def status_line(status: int) -> str:
    """`404 Not Found`, as WSGI wants it."""
    return f"{status} {_reason(status)}"


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Vendor Status"
