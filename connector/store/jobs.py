"""The queue of background jobs: asked for in the caller's transaction, and what waits, runs or failed there.

A job is a name and a portal's id, nothing else: what there is to do is in rows. procrastinate keeps the queue.

- `lock`: jobs of one portal stand in line and run one after the other. A job that is put off for longer leaves the
  line (`in_line` False), because those behind it would wait as long.
- `queueing_lock`: a job that waits already is not asked for twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import procrastinate
from procrastinate.exceptions import AlreadyEnqueued
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from connector.store.database import raw

QUICK, SLOW = "quick", "slow"
QUEUES = (QUICK, SLOW)
SERVICE = 0
"""Instead of a portal's id: work of the service itself."""


@dataclass(frozen=True, slots=True)
class Healed:
    """A job that a dead worker left behind, and whether it is given up."""

    job: str
    portal_id: int
    is_given_up: bool


@dataclass(frozen=True, slots=True)
class Depth:
    """How many jobs of one name a portal has in one state, and since when the oldest of those due is due."""

    portal_id: int
    job: str
    status: str
    count: int
    due_since: datetime | None


def defer(session: Session, job: str, portal_id: int, *, queue: str, wait_s: float = 0.0, in_line: bool = True) -> bool:
    """Ask for a job `wait_s` seconds from now; it exists once the caller's transaction is committed.

    Returns False when one waits already. Two transactions that ask for the same job wait for each other, so ask last
    and commit soon.
    """
    folded, connection = f"{job}:{portal_id}", raw(session)
    if session.scalar(text(_WAITS), {"folded": folded}):
        return False
    asking = _deferring().configure_task(
        job,
        allow_unknown=True,
        queue=queue,
        lock=line_of(portal_id) if in_line and portal_id != SERVICE else None,
        queueing_lock=folded,
        schedule_in={"seconds": wait_s} if wait_s > 0 else None,
        connection=connection,
    )
    try:
        with connection.transaction():  # a savepoint: the session's own would come only with its next statement
            asking.defer(portal_id=portal_id)
    except AlreadyEnqueued:
        return False
    return True


def line_of(portal_id: int) -> str:
    """The lock that jobs of a portal stand in line for."""
    return f"portal:{portal_id}"


def somebody_waits(session: Session, portal_id: int) -> bool:
    """Whether a job of the portal is due and waits for the one that runs."""
    return bool(session.scalar(text(_IN_LINE), {"line": line_of(portal_id)}))


def exists(session: Session, job: str, portal_id: int) -> bool:
    """Whether such a job waits or runs."""
    return bool(session.scalar(text(_EXISTS), {"job": job, "portal": portal_id}))


def depths(session: Session) -> list[Depth]:
    """What is in the queue, finished jobs aside."""
    return [Depth(*row) for row in session.execute(text(_DEPTHS))]


def living_workers(session: Session, within: timedelta) -> int:
    """Workers (two for each process) that gave a sign of life."""
    return session.scalar(text(_WORKERS), {"seconds": within.total_seconds()}) or 0


def heal(session: Session, silent: timedelta, most_deaths: int) -> list[Healed]:
    """Put jobs back into the queue whose worker gave no sign of life for so long.

    One whose successor waits already is over. One that lost `most_deaths` workers is failed instead: it may be what
    kills them. Several workers may heal at once.
    """
    stalled = session.execute(text(_STALLED), {"silent": silent.total_seconds()}).all()
    return [
        Healed(name, portal_id, is_given_up=_put_back(session, job_id, deaths=attempts + 1, most=most_deaths))
        for job_id, name, portal_id, attempts in stalled
    ]


def _put_back(session: Session, job_id: int, *, deaths: int, most: int) -> bool:
    if deaths >= most:
        session.execute(text(_END), {"id": job_id, "status": "failed"})
        return True
    try:
        with session.begin_nested():
            session.execute(text(_BACK), {"id": job_id})
    except IntegrityError:
        session.execute(text(_END), {"id": job_id, "status": "aborted"})
    return False


def forget_finished(session: Session, *, succeeded: timedelta, failed: timedelta) -> int:
    """Delete jobs that ended so long ago."""
    keys: Mapping[str, Any] = {"succeeded": succeeded, "failed": failed}
    return int(session.execute(text(_FORGET), keys).rowcount)  # type: ignore[attr-defined]


@cache
def _deferring() -> procrastinate.App:
    """Defers on given connections only, so it is never opened and may be shared."""
    return procrastinate.App(connector=procrastinate.SyncPsycopgConnector())


_WAITS = "SELECT 1 FROM procrastinate_jobs WHERE queueing_lock = :folded AND status = 'todo'"

_IN_LINE = """
SELECT EXISTS (SELECT FROM procrastinate_jobs
WHERE lock = :line AND status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now()))
"""

_EXISTS = """
SELECT EXISTS (SELECT FROM procrastinate_jobs
WHERE task_name = :job AND status IN ('todo', 'doing') AND (args ->> 'portal_id')::int = :portal)
"""

_DEPTHS = """
SELECT (j.args ->> 'portal_id')::int, j.task_name, j.status::text, count(*),
  min(coalesce(j.scheduled_at, e.at)) FILTER (WHERE j.status = 'todo' AND coalesce(j.scheduled_at, e.at) <= now())
FROM procrastinate_jobs j
LEFT JOIN procrastinate_events e ON e.job_id = j.id AND e.type = 'deferred'
WHERE j.status IN ('todo', 'doing', 'failed') AND j.args ? 'portal_id'
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""

_WORKERS = """
SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => :seconds)
"""

_FORGET = """
DELETE FROM procrastinate_jobs j
WHERE j.status NOT IN ('todo', 'doing') AND NOT EXISTS (
  SELECT FROM procrastinate_events e WHERE e.job_id = j.id AND e.at > now()
    - CASE WHEN j.status = 'succeeded' THEN CAST(:succeeded AS interval) ELSE CAST(:failed AS interval) END)
"""

_STALLED = """
SELECT j.id, j.task_name, (j.args ->> 'portal_id')::int, j.attempts FROM procrastinate_jobs j
LEFT JOIN procrastinate_workers w ON w.id = j.worker_id
WHERE j.status = 'doing'
  AND (w.id IS NULL OR w.last_heartbeat < now() - make_interval(secs => :silent))
ORDER BY j.id FOR UPDATE OF j SKIP LOCKED
"""

_BACK = """
UPDATE procrastinate_jobs SET status = 'todo', attempts = attempts + 1, scheduled_at = now() WHERE id = :id
"""

_END = "UPDATE procrastinate_jobs SET status = CAST(:status AS procrastinate_job_status) WHERE id = :id"
