"""The web application: settings → Flask, with health checks, security headers and errors in words.

Nothing happens at import; the database is opened by the first request that needs it. For gunicorn:
`connector.app:create_app()`. Who is let in to which address stands in `connector.api.doors`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from threading import Lock

from flask import Flask, Response, g, jsonify, make_response, render_template, request
from sqlalchemy import exc
from werkzeug.exceptions import HTTPException

from connector.api import actions, bitrix24_page, cards, doors, install, robots
from connector.api.background import Background, in_thread
from connector.api.hooks import Arrivals, StoredSecrets
from connector.api.lazily import ServiceWhenNeeded
from connector.api.v1 import mount, problems
from connector.config import Config, from_environment
from connector.errors import ConnectorError, DatabaseAway
from connector.store.database import Database, open_database
from connector.web import analysis_pages, delivery_pages, methods, plotly_script, view, work_pages
from connector.web.pages import Sources, register
from connector.wiring import utc_now
from webhooks import blueprint
from webhooks.lane import Lane
from webhooks.receiving import Reception

_POLICY = (
    "default-src 'none'; script-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self';"
    " style-src 'self' 'unsafe-inline';"  # plotly.js places its labels with style attributes
    " form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}


class DatabaseWhenNeeded:
    """Opens the configured database at the first call, once for all threads, and checks its schema.

    A failure is not kept: the next call tries again.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = Lock()
        self._database: Database | None = None
        self._checked = False

    def __call__(self) -> Database:
        """The database with the right schema; raises `DatabaseAway` or `SchemaBehind`."""
        database = self.opened()
        with self._lock:
            if not self._checked:
                database.ensure_schema()
                self._checked = True
        return database

    def opened(self) -> Database:
        """The database, whatever its schema; raises `DatabaseAway`."""
        with self._lock:
            if self._database is None:
                self._database = open_database(self._config)
            return self._database


def create_app(
    config: Config | None = None,
    *,
    clock: Callable[[], datetime] = utc_now,
    background: Background = in_thread,
) -> Flask:
    """The application. Without a config, the settings of the environment; raises `Misconfigured`.

    `background` is what does the work that nobody waits for.
    """
    config = config if config is not None else from_environment(os.environ)
    config.require_secrets()
    app = Flask(__name__, static_folder=None)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    database = DatabaseWhenNeeded(config)
    doors.add_guard(app, config)
    _add_headers(app)
    view.add_language(app)
    register(app, Sources(database, clock))
    delivery_pages.register(app)
    work_pages.register(app)
    analysis_pages.register(app)
    plotly_script.register(app)
    service = ServiceWhenNeeded(config, database, clock)
    methods.register(app, service)
    _add_routes_of_crms(app, service, clock, background)
    mount.add(app, service)
    app.register_blueprint(doors.create_metrics(config, database, clock))
    _add_health(app, database)
    _add_errors(app)
    return app


def _add_routes_of_crms(
    app: Flask, service: ServiceWhenNeeded, clock: Callable[[], datetime], background: Background
) -> None:
    """What CRMs call. Each proves who calls; none has a page of ours."""
    public_url = service.config.public_url
    app.register_blueprint(install.create_blueprint(service, background=background))
    app.register_blueprint(bitrix24_page.create_blueprint(service))
    arrivals = Arrivals(service)
    reception = Reception(arrivals, StoredSecrets(service), clock)
    app.register_blueprint(blueprint.create_blueprint(reception, public_url=public_url))
    if public_url is not None:
        _add_lane(app, reception, public_url)
    app.register_blueprint(robots.create_blueprint(service, arrivals))
    app.register_blueprint(actions.create_blueprint(service, arrivals))
    app.register_blueprint(cards.create_blueprint(service))


def _add_lane(app: Flask, reception: Reception, public_url: str) -> None:
    """Events are answered before Flask sees them: its work would be most of theirs."""
    is_public = doors.public_name(public_url)
    lane = Lane(
        app.wsgi_app,
        reception,
        public_url,
        max_body=blueprint.MAX_BODY,
        is_expected=is_public,
        headers=tuple(_HEADERS.items()),
    )
    app.wsgi_app = lane  # type: ignore[method-assign]


def _add_headers(app: Flask) -> None:
    @app.after_request
    def add_headers(response: Response) -> Response:
        there = {name.lower() for name, _ in response.headers}
        if "content-security-policy" in there:
            there.add("x-frame-options")  # that page says itself who may frame it
        response.headers.extend(pair for pair in _HEADERS.items() if pair[0].lower() not in there)
        return response


def _add_health(app: Flask, database: DatabaseWhenNeeded) -> None:
    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok", mimetype="text/plain")

    @app.get("/readyz")
    def readyz() -> Response:
        try:
            opened = database.opened()
            found, wanted = opened.schema_version(), opened.wanted_version()
        except DatabaseAway as error:
            return _not_ready(str(error))
        except exc.SQLAlchemyError as error:
            return _not_ready(f"the database cannot be used: {type(error).__name__}")
        if found != wanted:
            return _not_ready(f"the database has schema {found or 'none'}, wanted is {wanted}: run migrate")
        return jsonify(ready=True, schema=found)


def _not_ready(reason: str) -> Response:
    response = jsonify(ready=False, reason=reason)
    response.status_code = 503
    return response


def _add_errors(app: Flask) -> None:
    """Every failure is a page in words; a stack trace goes to the log only."""

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        if request.path.startswith(mount.PREFIX):
            return problems.of_error(error)
        kinds = {400: "bad", 404: "missing", 405: "method", 421: "host"}
        status = error.code or 500
        kind = kinds.get(status, "broken" if status >= 500 else "other")
        response = _page(status, kind)
        allowed = error.get_headers()
        response.headers.extend([(name, value) for name, value in allowed if name == "Allow"])
        return response

    @app.errorhandler(ConnectorError)
    def away(error: ConnectorError) -> Response:
        return _page(503, "away", str(error).rstrip("."))

    @app.errorhandler(exc.OperationalError)
    @app.errorhandler(exc.InterfaceError)
    @app.errorhandler(exc.TimeoutError)
    def failing(error: exc.SQLAlchemyError) -> Response:
        app.logger.error("the database failed a page: %s", type(error).__name__)
        return _page(503, "away", type(error).__name__)


def _page(status: int, kind: str, reason: str = "") -> Response:
    if "texts" not in g:
        g.texts = view.texts_of_request()
    page = render_template("error.html", kind=kind, status=status, reason=reason)
    return make_response(page, status)
