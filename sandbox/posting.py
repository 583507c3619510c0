"""Calls that a CRM makes to the connector: hooks, events, opened pages. One attempt, with the vendor's patience."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlencode, urlsplit


@dataclass(frozen=True, slots=True)
class Heard:
    """What the connector answered. Status 0: nothing within the time."""

    status: int
    body: str = ""
    headers: Mapping[str, str] | None = None


def get(url: str, query: Mapping[str, str], timeout_s: float, headers: Mapping[str, str] | None = None) -> Heard:
    """GET with a query, redirects not followed."""
    joint = "&" if urlsplit(url).query else "?"
    return _send("GET", f"{url}{joint}{urlencode(query)}", b"", headers or {}, timeout_s)


def post_form(url: str, form: Mapping[str, str], timeout_s: float) -> Heard:
    """POST of an urlencoded form."""
    return _send(
        "POST", url, urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"}, timeout_s
    )


def post_bytes(url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Heard:
    """POST of a body as it is."""
    return _send("POST", url, body, headers, timeout_s)


def _send(method: str, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Heard:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request(method, parts._replace(scheme="", netloc="").geturl() or "/", body, dict(headers))
        answer = connection.getresponse()
        return Heard(answer.status, answer.read().decode("utf-8", "replace"), dict(answer.headers))
    except (OSError, HTTPException):
        return Heard(0)
    finally:
        connection.close()
