"""Refusals as `application/problem+json` (RFC 9457). What goes wrong on our side is a line in the log, never a trace.

======  ==========================================================================================================
401     no token, or one that is not in force
403     the token lacks the scope that is named
404     not there, or not for this token
409     the portal's state does not allow it now: paused, busy, or a plan that a person has to look at
413     the body is too large
415     the body is not JSON
422     a parameter or the body makes no sense; `errors` has each field
429     too many requests of this token
502     the CRM refused
503     the database or the CRM cannot be reached: ask again after `Retry-After`
======  ==========================================================================================================
"""

from __future__ import annotations

import http
import logging
import math
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from flask import Response
from sqlalchemy import exc
from werkzeug.exceptions import HTTPException

from adapters.errors import CRMError, Transient
from adapters.hosts import HostRefused
from connector.errors import (
    ConnectorError,
    DatabaseAway,
    Misconfigured,
    PortalBusy,
    PortalPaused,
    SchemaBehind,
    UnknownPortal,
    UnsafePlan,
    WrongUse,
)

log = logging.getLogger("rfm.api")

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
_KINDS: Mapping[int, str] = {
    400: "unreadable",
    401: "no-token",
    403: "missing-scope",
    404: "not-found",
    405: "wrong-method",
    409: "conflict",
    413: "too-large",
    415: "not-json",
    421: "wrong-host",
    422: "invalid",
    429: "too-many-requests",
    500: "our-fault",
    502: "crm-refused",
    503: "unavailable",
}


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of the query or the body; `field` is its path, such as `query.limit`."""

    field: str
    message: str


class Refused(Exception):
    """A view gives up with a status and a sentence."""

    def __init__(
        self, status: int, detail: str, *, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, errors, dict(headers or {})


@dataclass(frozen=True, slots=True)
class _Told:
    status: int
    detail: str
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def not_found(what: str) -> Refused:
    """It is not there; the same for what another token may see."""
    return Refused(404, f"there is no such {what}")


def of_error(error: Exception) -> Response:
    """The answer to whatever went wrong."""
    told = _told(error)
    body: dict[str, Any] = {
        "type": f"urn:rfm-connector:problem:{_KINDS.get(told.status, 'refused')}",
        "title": http.HTTPStatus(told.status).phrase,
        "status": told.status,
        "detail": told.detail,
    }
    if told.errors:
        body["errors"] = [{"field": one.field, "message": one.message} for one in told.errors]
    answer = Response(orjson.dumps(body), status=told.status, content_type=MEDIA_TYPE)
    answer.headers.update({"Cache-Control": "no-store", **told.headers})
    if told.status == 503:
        answer.headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    return answer


def _told(error: Exception) -> _Told:
    for kind, tell in _RULES:
        if isinstance(error, kind):
            return tell(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    log.error("the API failed: %s at %s:%s", type(error).__name__, frame.filename, frame.lineno)
    return _Told(500, "this is our fault; it is noted in the log")


def _away(error: Exception) -> _Told:
    """What exactly is away is for the log: whoever asks may be nobody we know."""
    log.warning("the API cannot answer now: %s", error if isinstance(error, ConnectorError) else type(error).__name__)
    return _Told(503, "not at this moment: the service or its database is not ready")


def _later(error: Any) -> _Told:
    wait = RETRY_AFTER_S if error.retry_after is None else max(1, math.ceil(error.retry_after))
    return _Told(503, str(error), headers={"Retry-After": str(wait)})


def _of_http(error: HTTPException) -> _Told:
    status = error.code or 500
    errors = list(_fields(getattr(error, "data", None)))
    detail = "; ".join(f"{one.field}: {one.message}" for one in errors) or _SENTENCES.get(status, error.name)
    allowed = {name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After"}}
    return _Told(status, detail, errors, allowed)


_RULES: Sequence[tuple[Any, Callable[[Any], _Told]]] = (
    (Refused, lambda error: _Told(error.status, error.detail, error.errors, error.headers)),
    (HTTPException, _of_http),
    (UnknownPortal, lambda _: _Told(404, "there is no such portal")),
    ((DatabaseAway, SchemaBehind, Misconfigured), _away),
    ((UnsafePlan, PortalPaused), lambda error: _Told(409, str(error))),
    (PortalBusy, lambda error: _Told(409, str(error), headers={"Retry-After": str(RETRY_AFTER_S)})),
    (WrongUse, lambda error: _Told(422, str(error))),
    (Transient, _later),
    ((CRMError, HostRefused), lambda error: _Told(502, str(error))),
    (exc.DataError, lambda _: _Told(422, "a value is larger than can be stored")),
    ((ConnectorError, exc.OperationalError, exc.InterfaceError, exc.TimeoutError), _away),
)
"""In this order: the first that fits."""
_SENTENCES: Mapping[int, str] = {
    404: "there is no such address",
    405: "this address does not take that method",
    413: "the body is too large",
    415: "the body has to be JSON, with Content-Type: application/json",
    421: "this address is not served under that name",
}


def _fields(data: Any) -> Iterator[FieldError]:
    """What webargs found wrong, flat."""
    messages = data.get("messages") if isinstance(data, Mapping) else None
    if isinstance(messages, Mapping):
        yield from _flat("", messages)


def _flat(path: str, found: Any) -> Iterator[FieldError]:
    if isinstance(found, Mapping):
        for key, value in found.items():
            name = path if key == "_schema" else f"{path}.{key}".lstrip(".")
            yield from _flat(name, value)
    elif isinstance(found, list):
        for one in found:
            yield from _flat(path, one)
    else:
        yield FieldError(path, str(found))
