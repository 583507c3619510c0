"""What background work is asked for, how far it is, when it is due again, and how often it failed in a row.

Says nothing of who does it: jobs are in `store.jobs`, and are asked for in the same transactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from connector.store.models import WorkRow

_ERROR_LONGEST = 500


def ask(session: Session, portal_id: int, job: str, at: datetime) -> None:
    """Work is wanted since `at`; what was asked before stays asked since then."""
    statement = insert(WorkRow).values(portal_id=portal_id, job=job, asked_at=at)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["portal_id", "job"], set_={"asked_at": func.coalesce(WorkRow.asked_at, at)}
        )
    )


def row_of(session: Session, portal_id: int, job: str) -> WorkRow:
    """The row of one kind of work, made if there is none."""
    session.execute(insert(WorkRow).values(portal_id=portal_id, job=job).on_conflict_do_nothing())
    return session.get_one(WorkRow, (portal_id, job))


def all_rows(session: Session) -> Sequence[WorkRow]:
    """Every kind of work of every portal."""
    return session.scalars(select(WorkRow).order_by(WorkRow.portal_id, WorkRow.job)).all()


def progressed(session: Session, portal_id: int, job: str, stage: str | None, now: datetime) -> None:
    """Some of it is done, and the next worker goes on from `stage`."""
    row = row_of(session, portal_id, job)
    row.stage, row.progressed_at = stage, now
    _forget_failures(row)


def done(session: Session, portal_id: int, job: str, now: datetime) -> None:
    """All of it is done."""
    row = row_of(session, portal_id, job)
    row.stage = row.asked_at = None
    row.progressed_at = row.done_at = now
    _forget_failures(row)


def got_on(session: Session, portal_id: int, since: datetime) -> bool:
    """Whether anything of the portal was read or written since a moment."""
    return bool(session.scalar(text(_GOT_ON), {"portal": portal_id, "since": since}))


def failed(session: Session, portal_id: int, job: str, error: str, now: datetime, *, got_on: bool = False) -> int:
    """It failed and will be tried again; returns how often in a row it did without getting on."""
    row = row_of(session, portal_id, job)
    if got_on:
        row.failures, row.progressed_at = 0, now
    row.failures += 1
    row.failed_at, row.error = now, error[:_ERROR_LONGEST]
    return row.failures


def given_up(session: Session, portal_id: int, job: str, error: str, now: datetime) -> None:
    """It failed and is not tried again before it is asked for anew, which begins it anew."""
    failed(session, portal_id, job, error, now)
    row = session.get_one(WorkRow, (portal_id, job))
    row.asked_at = row.stage = None


def put_away(session: Session, portal_id: int, job: str) -> None:
    """Nobody wants it any more: the portal is paused or gone."""
    row = row_of(session, portal_id, job)
    row.asked_at = row.stage = None


def without_job(session: Session) -> list[tuple[int, str]]:
    """(portal, job) of work that is asked for and that no job in the queue will do."""
    return [(row[0], row[1]) for row in session.execute(text(_WITHOUT_JOB))]


def _forget_failures(row: WorkRow) -> None:
    row.failures, row.failed_at, row.error = 0, None, None


_GOT_ON = """
SELECT EXISTS (SELECT FROM cursors WHERE portal_id = :portal AND moved_at >= :since)
    OR EXISTS (SELECT FROM changes WHERE portal_id = :portal AND settled_at >= :since)
"""

_WITHOUT_JOB = """
SELECT w.portal_id, w.job FROM work w
WHERE w.asked_at IS NOT NULL AND NOT EXISTS (
  SELECT FROM procrastinate_jobs j
  WHERE j.queueing_lock = w.job || ':' || w.portal_id AND j.status IN ('todo', 'doing'))
ORDER BY w.portal_id, w.job
"""
