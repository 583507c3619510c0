"""What is kept for how long, and forgetting it: changes, jobs, calls, inboxes of those that left, requests, alerts."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import select

from connector.deadline import NEVER, Deadline
from connector.store import alerts, calls, changes, delivery, inbox, jobs, occasions, requests, score_history
from connector.store.database import Database
from connector.store.models import Portal

KEEP_CHANGES_DAYS = 30
_SUCCEEDED, _FAILED = timedelta(hours=6), timedelta(days=30)
_REQUESTS = timedelta(days=7)
_ALERTS = timedelta(days=90)
_FACTS = timedelta(days=400)
_OCCASIONS = timedelta(days=800)
"""Two years of figures, and some."""
_INBOX = timedelta(days=3)
_HISTORY_HOUR = 2
"""The hour (UTC) in which histories of scores are looked through; they are long, and change by days."""


def forget(database: Database, now: datetime, deadline: Deadline = NEVER) -> bool:
    """Drop what is too old; returns whether all of it was looked at before the deadline. Safe to repeat."""
    with database.session() as session:
        jobs.forget_finished(session, succeeded=_SUCCEEDED, failed=_FAILED)
        requests.fold_older(session, now - _REQUESTS)
        alerts.forget_closed(session, now - _ALERTS)
        alerts.forget_notices(session, now - _ALERTS)
        delivery.forget_older(session, (now - _FACTS).date())
        inbox.forget_left(session, now - _INBOX)
        portals = session.scalars(select(Portal).order_by(Portal.portal_id)).all()
    for portal in portals:
        if deadline.over():
            return False
        kept = timedelta(days=int(portal.settings.get("keep_changes_days", KEEP_CHANGES_DAYS)))
        with database.session() as session:
            changes.forget_older(session, portal.portal_id, now - kept)
            occasions.forget_ended(session, portal.portal_id, now - _OCCASIONS)
            calls.forget_older(session, portal.portal_id, now - calls.KEPT_FOR)
            if now.hour == _HISTORY_HOUR:
                score_history.forget_older(session, portal.portal_id, _first_kept_day(portal, now))
    return True


def _first_kept_day(portal: Portal, now: datetime) -> int:
    kept = int(portal.settings.get("keep_history_days", score_history.KEEP_HISTORY_DAYS))
    return (now.date() - date(1970, 1, 1)).days - kept
