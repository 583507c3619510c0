"""Who may call which address: CRMs and scripts theirs under the public name, people and monitors ours from here only.

Our pages have no sign-in yet, so they are shown to nobody else: a name of this computer must be asked for, and from
this computer, because anybody can send any name. `/metrics` is open to others with the bearer of METRICS_TOKEN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Request, Response, abort, request

from connector.api.answers import plain
from connector.config import Config
from connector.jobs.metrics import metrics_text
from connector.store.database import Database
from webhooks.signatures import matches

METRICS = "/metrics"
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_OF_ANY_NAME = frozenset({"/healthz", "/readyz", METRICS})
_OF_SCRIPTS = "/api/"
"""With tokens of their own (`connector.api.v1`)."""
_OF_CRMS = ("/oauth/", "/install/", "/webhooks/", "/uninstall/", "/robots/", "/actions/", "/card/")
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def add_guard(app: Flask, config: Config) -> None:
    """Refuse with 421 what was asked for under a name, or from a place, that it is not shown to."""
    is_public = public_name(config.public_url)

    @app.before_request
    def check_name() -> None:
        if request.path in _OF_ANY_NAME:
            return
        is_for_others = request.path.startswith((*_OF_CRMS, _OF_SCRIPTS)) and is_public(request.environ)
        if not is_for_others and not is_from_here(request):
            abort(421)


def public_name(public_url: str | None) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a request, by its WSGI environment, asked for us by the name of the public address."""
    public = urlsplit(public_url or "").hostname
    return lambda environ: public is not None and _name_in(environ.get("HTTP_HOST", "")) == public


def is_from_here(asked: Request) -> bool:
    """Whether the request came from this computer and asked for it: not through a proxy, not for another name."""
    if _name_asked_for(asked) not in _LOOPBACK_NAMES or any(name in asked.headers for name in _FORWARDED):
        return False
    try:
        return ip_address(asked.remote_addr or "").is_loopback
    except ValueError:
        return False


def create_metrics(config: Config, database: Callable[[], Database], clock: Callable[[], datetime]) -> Blueprint:
    """Route `GET /metrics`, figures of all portals for Prometheus."""
    blueprint = Blueprint("metrics", __name__)

    @blueprint.get(METRICS)
    def metrics() -> Response:
        if not is_from_here(request) and not _has_token(config, request):
            return plain(401, "METRICS_TOKEN is asked for", **{"WWW-Authenticate": "Bearer"})
        with database().session() as session:
            return Response(metrics_text(session, clock()), content_type=_TEXT)

    return blueprint


def _has_token(config: Config, asked: Request) -> bool:
    scheme, _, token = asked.headers.get("Authorization", "").partition(" ")
    return config.metrics_token is not None and scheme == "Bearer" and matches(token, [config.metrics_token])


def _name_asked_for(asked: Request) -> str | None:
    return _name_in(asked.environ.get("HTTP_HOST", ""))


@lru_cache(maxsize=64)
def _name_in(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
