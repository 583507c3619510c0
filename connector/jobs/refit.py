"""The re-fit on a schedule: when a method's term is over, fresh thresholds are proposed as a draft of a new version.

The version in force never changes by this. A proposal waits for a person, with an alarm, until it is published or
retired. When fresh thresholds are the old ones, that is noted, and the next term begins.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy.orm import Session

from connector.scores import run as scoring_run
from connector.scores import versions
from connector.scores.moments import as_of_moment
from connector.scores.shares import score_shares
from connector.scores.versions import Act, Drafted
from connector.store import audit, methods
from connector.store.alerts import Alarm
from connector.store.database import Database
from connector.store.models import MethodRow, Portal
from scoring.methods import MethodVersion

PROPOSAL = "proposal"
_CHECKED = "method.refit_checked"
_SYSTEM = "system"
_OPEN = (methods.DRAFT, methods.REVIEWED)


def propose(database: Database, portal_id: int, now: datetime) -> str | None:
    """Propose a new version if the term of the one in force is over; returns its label. Safe to repeat."""
    with database.session() as session:
        portal = session.get_one(Portal, portal_id)
        live = scoring_run.current_version(session, portal)
        today = as_of_moment(portal.time_zone, None, now).day
        if live is None or not is_due(session, portal, live, today):
            return None
        moment = as_of_moment(portal.time_zone, None, now)
        found, customers = scoring_run.fitted(session, portal, moment, live.method)
        detail: dict[str, Any] = {
            "method": live.label,
            "on": today.isoformat(),
            "customers": customers,
            "before": live.thresholds.spec(),
            "after": found.thresholds.spec(),
            "shares": score_shares(session, portal, moment, live),
        }
        row = None
        if found.thresholds != live.thresholds:
            weak = tuple(weakness.text(scoring_run.spoken(portal.language)) for weakness in found.weak)
            made = Drafted(live.method, found.thresholds, f"re-fit of {live.label}", weak)
            row = versions.draft(session, portal, made, Act(_SYSTEM, now, f"{live.method.terms.refit} re-fit"))
            detail["proposal"] = row.label
        audit.note(session, portal_id, _SYSTEM, _CHECKED, detail)
        return row.label if row is not None else None


def is_due(session: Session, portal: Portal, live: MethodVersion, today: date) -> bool:
    """Whether the term of the version in force is over, and no proposal waits. Fixed borders are never fitted again."""
    row = methods.row_of(session, portal.portal_id, live.label)
    if row is None or row.published_at is None or live.method.limits is not None:
        return False
    waiting = methods.newest(session, portal.portal_id, live.name, _OPEN)
    if waiting is not None and waiting.author == _SYSTEM and waiting.version > live.version:
        return False
    begun = row.published_at.astimezone(UTC).date()
    looked_at = audit.last_day_of(session, portal.portal_id, _CHECKED, live.label)
    due = live.method.terms.refit_on(max(begun, looked_at or begun))
    return due is not None and due <= today


def proposals_waiting(session: Session) -> list[Alarm]:
    """An alarm for each proposal that is newer than what is in force."""
    found = []
    for row in methods.proposals(session):
        portal = session.get(Portal, row.portal_id)
        if portal is not None and portal.state == "active" and _is_news(portal, row):
            found.append(Alarm(row.portal_id, PROPOSAL, row.name, {"method": row.label}))
    return found


def _is_news(portal: Portal, row: MethodRow) -> bool:
    name, _, number = (portal.method or "@0").partition("@")
    return name == row.name and row.version > int(number)
