"""The API added to an application: its routes, its description, and what it works with."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache, partial
from threading import Lock
from typing import Any

from flask import Flask, Response
from flask_smorest import Api as Description

from connector.api.lazily import ServiceWhenNeeded
from connector.api.v1 import callers, customers, delivery, methods, portals, quality, runs, segments, tokens, words
from connector.api.v1.callers import Throttle
from connector.api.v1.routes import SECURITY, Routes
from connector.wiring import Service

PREFIX = "/api/v1"
_PATIENCE_S, _ATTEMPTS, _LOCK_WAIT_S = 20.0, 2, 2.0
_ABOUT = """
RFM scores of the customers of amoCRM, Bitrix24 and HubSpot, and what is done with them.

**Tokens.** Send `Authorization: Bearer rfm_…`. `rfm-connector token N create --name X --scope read` makes one; it is
for one portal (or with `--all` for all), has scopes, may have an end, and can be revoked. Scopes: `read` sees, `run`
asks for runs, retries and undoes, `methods` drafts and publishes, `settings` changes settings, `admin` sees the audit
trail and handles tokens. None includes another.

**Lists** come in pieces of `limit` rows (up to 500). `next` is the `cursor` of the following piece, null at the end.

**Words.** Money is a decimal text with its currency. Moments are ISO 8601 in UTC, days are days of the portal.

**Refusals** are `application/problem+json` (RFC 9457). 429 and 503 say in `Retry-After` when to ask again.

**Unchanged?** Answers to GET have an ETag; ask with `If-None-Match` and get 304 without a body.
"""


class _Description(Description):  # type: ignore[misc] # the library has no types
    """The description without the library's own pages and error answers: pages of ours have theirs."""

    def _register_error_handlers(self) -> None:
        """Errors are told by `problems`."""


class _PatientService:
    """The service as the API uses it: gives up on a CRM soon, because somebody waits. Made once for all threads."""

    def __init__(self, service: ServiceWhenNeeded) -> None:
        self._service = service
        self._lock = Lock()
        self._made: Service | None = None

    def __call__(self) -> Service:
        """Raises what `ServiceWhenNeeded` does."""
        whole = self._service()
        with self._lock:
            if self._made is None:
                limits = {"patience_s": _PATIENCE_S, "attempts": _ATTEMPTS, "lock_wait_s": _LOCK_WAIT_S}
                self._made = replace(whole, **limits)  # type: ignore[arg-type]
            return self._made


root = Routes("api", url_prefix=PREFIX, description="The description of the API")
PARTS = (
    root,
    portals.routes,
    segments.routes,
    customers.routes,
    runs.routes,
    delivery.routes,
    methods.routes,
    quality.routes,
    tokens.routes,
)


@root.offer("GET", "/openapi.json", scope=None, answer=None)
def describe() -> Response:
    """This description.

    OpenAPI 3.1, open to everybody.
    """
    return Response(callers.api().description(), content_type="application/json")


def add(app: Flask, service: ServiceWhenNeeded, throttle: Throttle | None = None) -> None:
    """Add the API to an application. Its description is made when somebody asks for it."""
    for part in PARTS:
        app.register_blueprint(part)
    made = cache(partial(description, app))
    callers.keep(app.extensions, callers.Api(_PatientService(service), throttle or Throttle(), made))


def description(app: Flask) -> bytes:
    """The whole API as OpenAPI 3.1."""
    about = {"title": "RFM connector", "version": "1", "openapi_version": "3.1.0", "servers": [{"url": "/"}]}
    made = _Description(app, spec_kwargs={**about, "info": {"description": _ABOUT.strip()}})
    for field, format_ in ((words.Moment, "date-time"), (words.Day, "date"), (words.Amount, "decimal")):
        made.register_field(field, "string", format_)
    made.spec.components.security_scheme(
        SECURITY, {"type": "http", "scheme": "bearer", "description": "A token of `rfm-connector token`."}
    )
    for part in PARTS:
        part.register_views_in_doc(made, app, made.spec, name=part.name, parameters=None)
        made.spec.tag({"name": part.tag, "description": part.description})
    return json.dumps(_without_defaults(made.spec.to_dict()), ensure_ascii=False, indent=1).encode()


def _without_defaults(spec: dict[str, Any]) -> dict[str, Any]:
    """The library adds answers that ours never gives."""
    spec.get("components", {}).get("responses", {}).clear()
    for operations in spec["paths"].values():
        for operation in operations.values():
            if isinstance(operation, dict):
                operation.get("responses", {}).pop("default", None)
    return spec
