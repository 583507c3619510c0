"""The pages of the work: what every manager does first, and how it goes. They change nothing; the commands do."""

from __future__ import annotations

from datetime import date
from typing import Any, cast

from flask import Blueprint, Flask, abort, current_app, g, render_template, request

from adapters.fields import zone
from adapters.records import CustomerRef
from connector.errors import WrongUse
from connector.jobs import queueing
from connector.sla.figures import Period
from connector.store import overview
from connector.store.models import Portal
from connector.web import links
from connector.web.pages import Sources
from connector.web.texts import Texts

_SHOWN = 25
_LONGEST_ID = 64
_TONES = {"breached": "bad", "at_risk": "warn", "running": "good", "paused": "calm"}

work = Blueprint("work", __name__)


def register(app: Flask) -> None:
    """Add the pages to an application that has the other pages."""
    app.register_blueprint(work)


@work.get("/portals/<name>/queue")
def queue(name: str) -> str:
    """Everybody's list "do first" (`?manager=ID`: one person's), the first of it."""
    manager = request.args.get("manager")
    if manager is not None and ("\0" in manager or len(manager) > _LONGEST_ID):
        abort(400)
    sources = _sources()
    with sources.database().session() as session:
        portal = _portal_named(session, name)
        try:
            found = queueing.queue_of(
                session, portal, sources.clock(), _texts().language.value, manager=manager, top=_SHOWN
            )
        except WrongUse as error:
            found = {"managers": [], "problem": str(error)}
        managers = [{**one, "tasks": [_task(portal, task) for task in one["tasks"]]} for one in found["managers"]]
        return render_template("queue.html", portal=portal, managers=managers, problem=found.get("problem"))


@work.get("/portals/<name>/sla")
def sla(name: str) -> str:
    """Figures by class, manager and week (`?period=month`), and the report cards of the rules."""
    given = request.args.get("period", Period.WEEK.value)
    if given not in {*Period}:
        abort(400)
    sources = _sources()
    with sources.database().session() as session:
        portal = _portal_named(session, name)
        try:
            found = queueing.figures_of(session, portal, sources.clock(), _texts().language.value, Period(given))
        except WrongUse as error:
            found = {"cells": [], "rules": [], "notices": [], "problem": str(error)}
        cells = [{**cell, "start": date.fromisoformat(cell["start"])} for cell in found["cells"]]
        heard = [voice for voice in found["notices"] if voice["sent"]]
        return render_template(
            "sla.html",
            portal=portal,
            period=given,
            cells=cells,
            rules=found["rules"],
            heard=heard,
            problem=found.get("problem"),
        )


def _task(portal: Portal, task: dict[str, Any]) -> dict[str, Any]:
    ref = CustomerRef.parse(task["customer"])
    return {
        **task,
        "kind": ref.kind.value,
        "external_id": ref.external_id,
        "url": links.card_url(portal, ref.kind.value, ref.external_id),
        "tone": _TONES.get(task["state"] or "", "calm"),
        "zone": zone(portal.time_zone),
    }


def _portal_named(session: Any, name: str) -> Portal:
    found = overview.portal_named(session, name)
    if found is None:
        abort(404)
    return found


def _sources() -> Sources:
    return cast("Sources", current_app.extensions["pages"])


def _texts() -> Texts:
    return cast("Texts", g.texts)
