"""The page "Delivery" of a portal: health, alarms, who moved and why, what waits, who else writes. Changes nothing."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any, Literal, cast

from flask import Blueprint, Flask, abort, current_app, g, render_template, request
from sqlalchemy.orm import Session

from adapters.fields import zone
from connector.jobs import health, run_alarms
from connector.jobs.alarm_texts import alarm_text
from connector.scores.report import DeliveryReport, delivery_report
from connector.store import alerts, audit, letters, overview, requests
from connector.store.models import Portal
from connector.web import links
from connector.web.pages import Sources
from connector.web.texts import Texts
from connector.wording import Language
from scoring.methods import MethodVersion

_WAITING, _AUDIT, _REQUESTS = 50, 30, 60
_REQUEST_DAYS = 3
_TONES = {"good": "good", "fair": "info", "poor": "warn", "bad": "bad"}

delivery = Blueprint("delivery", __name__)


def register(app: Flask) -> None:
    """Add the page to an application that has the other pages."""
    app.register_blueprint(delivery)


@delivery.get("/portals/<name>/delivery")
def page(name: str) -> str:
    """The delivery report of a day (`?day=2026-11-24`), of the last one with runs by default."""
    sources = cast("Sources", current_app.extensions["pages"])
    day, now = _day(), sources.clock()
    with sources.database().session() as session:
        portal = overview.portal_named(session, name)
        if portal is None:
            abort(404)
        report = delivery_report(session, portal, day, now)
        shown = {
            **_standing(session, portal, now),
            **_figures(session, portal, report),
            **_trail(session, portal, now),
        }
        return render_template("delivery.html", **shown)


def _standing(session: Session, portal: Portal, now: datetime) -> dict[str, Any]:
    history = run_alarms.histories(session, [portal.portal_id]).get(portal.portal_id)
    found = health.of_runs(portal, history, now) if history is not None else None
    language = _texts().language.value
    return {
        "portal": portal,
        "zone": zone(portal.time_zone),
        "health": found,
        "tone": _TONES[found.band] if found is not None else "calm",
        "alarms": [
            {"text": alarm_text(row.kind, row.about, row.detail, language), "since": row.since}
            for row in alerts.open_alerts(session, portal.portal_id)
        ],
    }


def _figures(session: Session, portal: Portal, report: DeliveryReport | None) -> dict[str, Any]:
    labels = _labels(session, portal)
    waiting = letters.waiting(session, portal.portal_id, _WAITING)
    return {
        "report": report,
        "label": lambda segment: labels.get(segment, segment),
        "before": report.day - timedelta(days=1) if report is not None and report.day > date.min else None,
        "after": report.day + timedelta(days=1) if report is not None and report.day < date.max else None,
        "movers": [
            {"row": row, "url": links.card_url(portal, row.kind, row.external_id)}
            for row in (report.movers if report is not None else ())
        ],
        "waiting": [{"row": row, "url": links.card_url(portal, row.kind, row.external_id)} for row in waiting],
    }


def _trail(session: Session, portal: Portal, now: datetime) -> dict[str, Any]:
    return {
        "entries": [
            {"row": entry, "detail": json.dumps(entry.detail, ensure_ascii=False, default=str)}
            for entry in audit.entries(session, portal.portal_id, limit=_AUDIT)
        ],
        "requests": requests.hourly(session, portal.portal_id, now - timedelta(days=_REQUEST_DAYS), _REQUESTS),
    }


def _labels(session: Session, portal: Portal) -> dict[str, str]:
    """Segment → its name in the language of the page, as far as the method in force knows it."""
    row = overview.methods_in_force(session, [portal.portal_id]).get(portal.portal_id)
    if row is None:
        return {}
    language: Literal["ru", "en"] = "ru" if _texts().language is Language.RU else "en"
    return {segment.value: segment.label[language] for segment in MethodVersion.from_json(row.body).method.segments}


def _day() -> date | None:
    """The day of the query, None when it is not given; anything that is no day is a wrong address."""
    given = request.args.get("day")
    if not given:
        return None
    try:
        day = date.fromisoformat(given)
    except ValueError:
        abort(400)
    if day.isoformat() != given:
        abort(400)
    return day


def _texts() -> Texts:
    return cast("Texts", g.texts)
