"""What is not as it should be: looked at every minute, told once when it begins and once when it is over.

=========  ==============================================================================================
kind       when
=========  ==============================================================================================
schedule   work was due and is neither done nor getting on, or was begun late (about: which work)
failing    work failed three times in a row and is tried again (about: which work)
failed     work was given up until it is asked for anew (about: which work)
paused     the portal waits for a person
stale      no run came to its end for two days, with a weekly schedule for eight and a half
throttled  the CRM told us to slow down at more than a twentieth of the requests of this and the last hour
inbox      an event waits for more than ten minutes
aside      records that webhooks spoke of could not be read; they are tried again once a day
proposal   fresh thresholds were proposed for a method, and nobody has decided about the draft (about: which method)
queue      a job is due for more than ten minutes: there are too few workers
=========  ==============================================================================================

What the last run itself tells, against the runs before it, is in `connector.jobs.run_alarms`. Alerts whose state
changes at the same look are told together (`connector.jobs.telling`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from connector.jobs import run_alarms
from connector.jobs.refit import proposals_waiting
from connector.jobs.run_alarms import History
from connector.jobs.schedule import KINDS, LATE, WEEKLY, settings_of
from connector.store import alerts, inbox, jobs, requests, work
from connector.store.alerts import Alarm
from connector.store.database import Database
from connector.store.jobs import SERVICE
from connector.store.models import Portal, WorkRow

_TRIES = 3
_THROTTLED_SHARE, _FEW = 0.05, 20
_WAITING = timedelta(minutes=10)
_STALE = {WEEKLY: timedelta(days=8, hours=12)}
_STALE_DAILY = timedelta(days=2)


def look(database: Database, now: datetime, channels: Sequence[str] = ()) -> tuple[int, int]:
    """Bring the alerts up to date; returns how many were opened and how many were closed.

    What changed is to be told through these channels, decided in the same transaction.
    """
    with database.session() as session:
        return alerts.settle(session, list(alarms(session, now)), now, channels)


def alarms(session: Session, now: datetime) -> Iterator[Alarm]:
    """Everything that is wrong at a moment."""
    portals = {portal.portal_id: portal for portal in session.scalars(select(Portal))}
    active = {portal_id for portal_id, portal in portals.items() if portal.state == "active"}
    for row in work.all_rows(session):
        if row.portal_id in active or row.portal_id == SERVICE:
            yield from _of_work(row, now)
    known = run_alarms.histories(session)
    for portal in portals.values():
        if portal.state == "paused":
            yield Alarm(portal.portal_id, "paused", detail={"reason": portal.state_reason or ""})
        if portal.portal_id in active:
            yield from _of_runs(portal, known.get(portal.portal_id), now)
    yield from _of_traffic(session, {portal_id: portals[portal_id] for portal_id in active}, known, now)
    yield from _of_waiting(session, active, now)
    yield from proposals_waiting(session)


def late_by(row: WorkRow, now: datetime) -> float:
    """For how many seconds work is overdue, or asked for and not getting on; 0 when it is neither."""
    waits = [row.due_at] if row.due_at is not None else []
    if row.asked_at is not None:
        waits.append(max(row.asked_at, row.progressed_at or row.asked_at))
    return max([0.0, *((now - since).total_seconds() for since in waits)])


def is_late(row: WorkRow, now: datetime) -> bool:
    """Whether it is so for longer than the kind of work may take to begin."""
    return row.job in KINDS and late_by(row, now) > KINDS[row.job].grace.total_seconds()


def _of_work(row: WorkRow, now: datetime) -> Iterator[Alarm]:
    if is_late(row, now):
        since = row.asked_at or row.due_at
        yield Alarm(row.portal_id, LATE, row.job, {"due": since.isoformat(timespec="seconds") if since else ""})
    if row.failures == 0:
        return
    if row.asked_at is None and row.job in KINDS and KINDS[row.job].rhythm is not None:
        yield Alarm(row.portal_id, "failed", row.job, {"reason": row.error or ""})
    elif row.failures >= _TRIES:
        yield Alarm(row.portal_id, "failing", row.job, {"reason": row.error or ""})


def _of_runs(portal: Portal, history: History | None, now: datetime) -> Iterator[Alarm]:
    """A portal that never had a run is stale when its first one does not come."""
    ended = history.last.finished_at if history is not None else None
    since = ended or portal.created_at
    if now - since > _STALE.get(settings_of(portal)["cycle"], _STALE_DAILY):
        yield Alarm(portal.portal_id, "stale", detail={"since": since.isoformat(timespec="seconds")})
    if history is not None:
        yield from run_alarms.of_runs(portal, history)


def _of_traffic(
    session: Session, active: Mapping[int, Portal], known: Mapping[int, History], now: datetime
) -> Iterator[Alarm]:
    hour = now.replace(minute=0, second=0, microsecond=0)
    for traffic in requests.traffic(session, hour - timedelta(hours=1)):
        if traffic.portal_id not in active:
            continue
        if traffic.throttled >= _FEW and traffic.throttled > _THROTTLED_SHARE * traffic.requests:
            detail = {"throttled": traffic.throttled, "requests": traffic.requests}
            yield Alarm(traffic.portal_id, "throttled", detail=detail)
        history = known.get(traffic.portal_id)
        last = history.last if history is not None else None
        if alarm := run_alarms.of_quota(active[traffic.portal_id], traffic, last):
            yield alarm


def _of_waiting(session: Session, active: set[int], now: datetime) -> Iterator[Alarm]:
    for portal_id in inbox.portals_waiting(session):
        since = inbox.oldest(session, portal_id)
        if portal_id in active and since is not None and now - since > _WAITING:
            yield Alarm(portal_id, "inbox", detail={"since": since.isoformat(timespec="seconds")})
    for aside in inbox.aside(session):
        if aside.portal_id in active:
            yield Alarm(aside.portal_id, "aside", detail={"records": aside.count, "reason": aside.reason})
    due = [depth.due_since for depth in jobs.depths(session) if depth.due_since is not None]
    if due and now - min(due) > _WAITING:
        yield Alarm(SERVICE, "queue", detail={"since": min(due).isoformat(timespec="seconds")})
