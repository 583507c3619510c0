"""report, refused, audit, card, requests: what was delivered, what waits, who changed what, and what it cost."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime, time, timedelta
from typing import Any

from adapters.fields import zone
from connector.cli.output import describe, emit, progress, table
from connector.config import Config
from connector.jobs import delivering
from connector.scores.report import delivery_report
from connector.scores.report_texts import report_text
from connector.store import audit as trail
from connector.store import portals
from connector.store import requests as request_log
from connector.wiring import assemble

REQUEST_DAYS = 3
_AUDIT_LINES = 200


def report(config: Config, words: argparse.Namespace) -> int:
    """The delivery report of a day."""
    with assemble(config) as service, service.database.session() as session:
        portal = portals.portal_named(session, words.portal)
        found = delivery_report(session, portal, words.day, datetime.now(UTC))
        text = report_text(portal.name, found, portal.language)
    result = {"portal": words.portal, **(found.as_json() if found is not None else {"day": None, "runs": []})}
    emit(result, as_json=words.json, text=text)
    return 0


def refused(config: Config, words: argparse.Namespace) -> int:
    """What waits, or one more try at it."""
    with assemble(config) as service:
        if words.retry or words.dry_run:
            with progress() as bars:
                tried = delivering.retry(service, words.portal, dry_run=words.dry_run, progress=bars)
            emit(tried.as_json(), as_json=words.json, text=_retried(tried.as_json()) + "\n" + describe(tried))
            return 1 if tried.refused or tried.invalid else 0
        found = delivering.refused(service, words.portal)
    rows = [
        [row["customer"], row["state"], row["field"] or "–", row["reason"] or "–", str(row["times"]), row["first_at"]]
        for row in found["waiting"]
    ]
    rows += [[one["record"], "unread", "–", one["reason"] or "–", "–", one["first_at"]] for one in found["unread"]]
    header = ("record", "state", "field", "reason", "tries", "since")
    emit(found, as_json=words.json, text=table(rows, header) if rows else "nothing waits")
    return 0


def audit(config: Config, words: argparse.Namespace) -> int:
    """Who changed what, newest first."""
    with assemble(config) as service, service.database.session() as session:
        portal = portals.portal_named(session, words.portal)
        here = zone(portal.time_zone)
        since = datetime.combine(words.since, time(), here).astimezone(UTC) if words.since else None
        entries = trail.entries(session, portal.portal_id, since=since, limit=_AUDIT_LINES if since is None else 10_000)
    found = [
        {"at": one.at.isoformat(timespec="seconds"), "actor": one.actor, "action": one.action, "detail": one.detail}
        for one in entries
    ]
    lines = [f"{row['at']}  {row['actor']}  {row['action']}  {_json(row['detail'])}" for row in found]
    emit(
        {"portal": words.portal, "entries": found}, as_json=words.json, text="\n".join(lines) or "nothing is noted yet"
    )
    return 0


def card(config: Config, words: argparse.Namespace) -> int:
    """One card, each value with where it is from."""
    with assemble(config) as service:
        found = delivering.card(service, words.portal, words.customer)
    header = ("field", "value", "by", "run", "method", "written at", "previous")
    keys = ("field", "value", "by", "run", "method", "written_at", "previous")
    rows = [[_shown(value.get(key)) for key in keys] for value in found["values"]]
    emit(found, as_json=words.json, text=table(rows, header) if rows else "the card holds none of our fields")
    return 0


def requests(config: Config, words: argparse.Namespace) -> int:
    """What was sent to the portal, hour by hour. No payload and no record's id is kept."""
    with assemble(config) as service, service.database.session() as session:
        portal = portals.portal_named(session, words.portal)
        since = datetime.now(UTC) - timedelta(days=REQUEST_DAYS)
        hours = request_log.hourly(session, portal.portal_id, since)
    found = [
        {
            "hour": one.hour.isoformat(timespec="minutes"),
            "operation": one.operation,
            "status": one.status,
            "count": one.count,
            "mean_ms": one.mean_ms,
        }
        for one in hours
    ]
    rows = [[str(value) for value in row.values()] for row in found]
    header = ("hour", "operation", "status", "count", "mean ms")
    emit(
        {"portal": words.portal, "days": REQUEST_DAYS, "requests": found},
        as_json=words.json,
        text=table(rows, header) if rows else "nothing was sent in the last days",
    )
    return 0


def _retried(found: dict[str, Any]) -> str:
    if found["dry_run"]:
        lines = [f"would try again: {found['plan']['cards']} cards"]
        for one in found["plan"]["sample"]:
            lines.append(f"  {one['customer']}")
            lines += [f"    {key}: {_shown(old)} → {_shown(new)}" for key, (old, new) in one["change"].items()]
        return "\n".join(lines)
    return "tried again" if found["run_id"] else "nothing waits"


def _shown(value: Any) -> str:
    return "–" if value is None else str(value)


def _json(detail: Any) -> str:
    return json.dumps(detail, ensure_ascii=False, default=str)
