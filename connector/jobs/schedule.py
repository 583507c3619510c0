"""When each kind of background work is due, and the tick that asks for what is due now.

A due moment is a row, so it is not lost while nobody works; what is asked for late raises an alarm (`jobs.watch`).
The portal's setting `schedule` overrides the defaults: `{"cycle": "weekly", "hour": 6, "weekday": 1, "full": false}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from adapters.fields import zone
from connector.errors import WrongUse
from connector.store import alerts, inbox, jobs, work
from connector.store.alerts import Alarm
from connector.store.database import Database
from connector.store.jobs import QUICK, SERVICE, SLOW
from connector.store.models import Portal, WorkRow

RUN, PULL, FULL, DRAIN, SETUP, ANSWERS, REFIT = "run", "pull", "full", "drain", "setup", "answers", "refit"
CLOCKS, READ_BACK = "clocks", "read_back"
TOKENS, RETENTION, WATCH, INSTALLS = "tokens", "retention", "watch", "installs"
LATE = "schedule"
DAILY, WEEKLY = "daily", "weekly"
_HOUR = timedelta(hours=1)
_NIGHT, _FULL_NIGHT, _EVENING, _MORNING = 3, 1, 22, 5
_SUNDAY = 7
_DRAIN_WAIT_S = 1.0
_TICKING = 7_365
Rhythm = Callable[[Portal | None, datetime], datetime | None]
"""The first due moment after a moment; None: not at all. The portal is None for work of the service."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of background work: its queue, its rhythm, and how late or how long without progress is an alarm."""

    name: str
    queue: str
    rhythm: Rhythm | None
    grace: timedelta
    of_service: bool = False


def settings_of(portal: Portal) -> dict[str, Any]:
    """The portal's schedule with the defaults filled in; the default one where it makes no sense."""
    try:
        return checked(portal.settings.get("schedule", {}))
    except WrongUse:
        return checked({})


def checked(given: Any) -> dict[str, Any]:
    """A setting `schedule` with the defaults filled in; raises `WrongUse` naming what is wrong with it."""
    if not isinstance(given, Mapping):
        raise WrongUse('schedule takes {"cycle": "daily" or "weekly", "hour": 0–23, "weekday": 1–7, "full": true}')
    found = {"cycle": DAILY, "hour": _NIGHT, "weekday": 1, "full": True, **given}
    checks: dict[str, Callable[[Any], bool]] = {
        "cycle": lambda value: value in {DAILY, WEEKLY},
        "hour": lambda value: type(value) is int and 0 <= value <= 23,
        "weekday": lambda value: type(value) is int and 1 <= value <= 7,
        "full": lambda value: isinstance(value, bool),
    }
    wrong = [key for key in found if key not in checks or not checks[key](found[key])]
    if wrong:
        raise WrongUse(f"schedule: {', '.join(sorted(wrong))} cannot be so; it takes cycle, hour, weekday and full")
    return found


def _run_rhythm(portal: Portal | None, after: datetime) -> datetime | None:
    """At 03:00 of the portal's day, daily or on the weekday (1 is Monday)."""
    if portal is None:
        return None
    wanted = settings_of(portal)
    weekday = wanted["weekday"] if wanted["cycle"] == WEEKLY else None
    return _local(portal, after, wanted["hour"], weekday)


def _full_rhythm(portal: Portal | None, after: datetime) -> datetime | None:
    """In the night to Sunday: everything is read again, for what a pull of changes cannot see."""
    if portal is None or not settings_of(portal)["full"]:
        return None
    return _local(portal, after, _FULL_NIGHT, _SUNDAY)


def _pull_rhythm(portal: Portal | None, after: datetime) -> datetime | None:
    """Every hour; each portal at a minute of its own, so that they do not all come at once."""
    return _hourly(after, (portal.portal_id * 7) % 60) if portal is not None else None


def _every(minutes: int) -> Rhythm:
    """Every so many minutes once a portal has tasks; each at minutes of its own, so that they do not come at once."""

    def rhythm(portal: Portal | None, after: datetime) -> datetime | None:
        if portal is None or portal.first_run_at is None:
            return None
        at = _next_minute(after)
        return at + timedelta(minutes=(portal.portal_id - at.minute) % minutes)

    return rhythm


def _setup_rhythm(portal: Portal | None, after: datetime) -> datetime | None:
    """Once a day in the evening, at a minute of its own, well before the run of the night."""
    if portal is None:
        return None
    return _local(portal, after, _EVENING, None, minute=(portal.portal_id * 7) % 60)


def _refit_rhythm(portal: Portal | None, after: datetime) -> datetime | None:
    """Looked at once a day in the morning; most days no method's term is over."""
    if portal is None:
        return None
    return _local(portal, after, _MORNING, None, minute=(portal.portal_id * 7) % 60)


def _local(portal: Portal, after: datetime, hour: int, weekday: int | None, minute: int = 0) -> datetime:
    here = zone(portal.time_zone)
    day = after.astimezone(here).date()
    while True:
        moment = datetime.combine(day, time(hour, minute), here).astimezone(UTC)
        if moment > after and weekday in {None, day.isoweekday()}:
            return moment
        day += timedelta(days=1)


def _hourly(after: datetime, minute: int) -> datetime:
    moment = after.replace(minute=minute, second=0, microsecond=0)
    return moment if moment > after else moment + _HOUR


def _next_minute(after: datetime) -> datetime:
    return after.replace(second=0, microsecond=0) + timedelta(minutes=1)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(DRAIN, QUICK, None, timedelta(minutes=10)),
        Kind(ANSWERS, QUICK, None, timedelta(minutes=10)),
        Kind(PULL, SLOW, _pull_rhythm, timedelta(minutes=45)),
        Kind(CLOCKS, QUICK, _every(5), timedelta(minutes=20)),
        Kind(READ_BACK, QUICK, _every(10), timedelta(minutes=40)),
        Kind(RUN, SLOW, _run_rhythm, timedelta(minutes=45)),
        Kind(FULL, SLOW, _full_rhythm, timedelta(hours=2)),
        Kind(SETUP, SLOW, _setup_rhythm, timedelta(hours=2)),
        Kind(REFIT, SLOW, _refit_rhythm, timedelta(hours=12)),
        Kind(TOKENS, QUICK, lambda _, after: _hourly(after, 17), timedelta(minutes=30), of_service=True),
        Kind(RETENTION, QUICK, lambda _, after: _hourly(after, 41), timedelta(hours=2), of_service=True),
        Kind(INSTALLS, QUICK, lambda _, after: _next_minute(after), timedelta(minutes=5), of_service=True),
        Kind(WATCH, QUICK, lambda _, after: _next_minute(after), timedelta(minutes=5), of_service=True),
    )
}


def ask(session: Session, name: str, portal_id: int, now: datetime) -> None:
    """Ask for work of a portal from the caller's transaction; a person's request or an install is as good as a due one.

    Asking for what waits already changes nothing.
    """
    work.ask(session, portal_id, name, now)
    jobs.defer(session, name, portal_id, queue=KINDS[name].queue)


def wake(database: Database, portal_id: int, *, wait_s: float = _DRAIN_WAIT_S) -> None:
    """Something is in the portal's inbox: have it drained in a moment, so that what comes together is one drain.

    Call it after the inbox is committed. A wake-up that is lost is made good by the next tick.
    """
    with database.session() as session:
        jobs.defer(session, DRAIN, portal_id, queue=KINDS[DRAIN].queue, wait_s=wait_s)


def tick(database: Database, now: datetime) -> int:
    """Ask for everything that is due, and for what was asked for and lost its job. Returns how much was due.

    Every worker ticks; one at a time does it. Safe to repeat.
    """
    with database.session() as session:
        if not session.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _TICKING}):
            return 0
        due = _ask_due(session, now)
        for portal_id, name in work.without_job(session):
            if name in KINDS:
                jobs.defer(session, name, portal_id, queue=KINDS[name].queue)
        waiting = inbox.portals_waiting(session)
        active = set(session.scalars(select(Portal.portal_id).where(Portal.state == "active")))
    for portal_id in waiting:
        if portal_id in active:
            wake(database, portal_id, wait_s=0)
    return due


def _ask_due(session: Session, now: datetime) -> int:
    portals: list[Portal | None] = [None, *session.scalars(select(Portal).order_by(Portal.portal_id))]
    known = {(row.portal_id, row.job): row for row in work.all_rows(session)}
    due = 0
    for portal in portals:
        portal_id = portal.portal_id if portal is not None else SERVICE
        for kind in KINDS.values():
            if kind.rhythm is None or kind.of_service != (portal is None):
                continue
            row = known.get((portal_id, kind.name)) or work.row_of(session, portal_id, kind.name)
            due += _look(session, kind, portal, row, now)
    return due


def _look(session: Session, kind: Kind, portal: Portal | None, row: WorkRow, now: datetime) -> bool:
    """Bring a row's due moment up to date, and ask if it has come."""
    following = _following(kind, portal, now)
    if following is None or row.due_at is None or row.due_at > now:
        row.due_at = following
        return False
    if now - row.due_at > kind.grace:
        detail = {"due": row.due_at.isoformat(timespec="seconds"), "asked": now.isoformat(timespec="seconds")}
        alerts.raise_one(session, Alarm(row.portal_id, LATE, kind.name, detail), now)
    work.ask(session, row.portal_id, kind.name, row.due_at)
    row.due_at = following
    session.flush()
    jobs.defer(session, kind.name, row.portal_id, queue=kind.queue)
    return True


def _following(kind: Kind, portal: Portal | None, now: datetime) -> datetime | None:
    """None where the portal is not worked on."""
    if kind.rhythm is None or (portal is not None and portal.state != "active"):
        return None
    return kind.rhythm(portal, now)
