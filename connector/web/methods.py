"""Pages of methods: a portal's versions and releases, and what a version would change. Changes nothing anywhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import cast

from flask import Blueprint, Flask, abort, current_app, g, render_template, request

from adapters.fields import zone
from connector.errors import WrongUse
from connector.jobs import methods as work
from connector.jobs import whatif
from connector.scores import versions
from connector.store import methods as stored
from connector.store import overview
from connector.web import links
from connector.web.texts import Texts
from connector.web.whatif_view import view
from connector.wiring import Service

_LABEL = 60

methods = Blueprint("methods", __name__, template_folder="templates")


def register(app: Flask, service: Callable[[], Service]) -> None:
    """Add the pages to an application that has the other pages."""
    app.extensions["methods"] = service
    app.register_blueprint(methods)


@methods.get("/portals/<name>/methods")
def versions_page(name: str) -> str:
    """Every version of a portal with its way, and the releases."""
    with _service().database.session() as session:
        portal = overview.portal_named(session, name)
        if portal is None:
            abort(404)
        rows = [
            {"row": row, "view": versions.view(row, portal), "moment": row.published_at or row.drafted_at}
            for row in stored.rows_of(session, portal.portal_id)
        ]
        found = work.releases(session, portal)
        return render_template(
            "methods.html", portal=portal, zone=zone(portal.time_zone), versions=rows, releases=found
        )


@methods.get("/portals/<name>/methods/<label>")
def whatif_page(name: str, label: str) -> str:
    """What a version would change, today or on `?as_of=2026-01-31`."""
    if len(label) > _LABEL or "@" not in label or "\0" in name:
        abort(404)
    service = _service()
    with service.database.session() as session:
        portal = overview.portal_named(session, name)
        if portal is None or stored.row_of(session, portal.portal_id, label) is None:
            abort(404)
    try:
        report = whatif.simulate(service, name, label, as_of=_as_of(), priced=False)
    except WrongUse as error:
        return render_template("whatif_refused.html", portal=portal, label=label, reason=str(error))
    shown = view(report, _texts())
    for mover in shown["movers"]:
        mover["url"] = links.card_url(portal, mover["kind"], mover["external_id"])
    day = _texts().day(date.fromisoformat(report["as_of"]))
    return render_template("whatif.html", portal=portal, currency=portal.currency, day=day, **shown)


def _as_of() -> date | None:
    given = request.args.get("as_of")
    if not given:
        return None
    try:
        return date.fromisoformat(given)
    except ValueError:
        abort(400)


def _service() -> Service:
    made: Callable[[], Service] = current_app.extensions["methods"]
    return made()


def _texts() -> Texts:
    return cast("Texts", g.texts)
