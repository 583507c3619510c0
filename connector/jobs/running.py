"""A whole run in chunks: any worker takes it up where the last one left it, and a kill repeats one page or batch.

Where it is stands in its row: `state` is `open` from the first chunk to the last, `counts["stage"]` is one of

1. `pull:<stage>`  the mirror is brought up to date (`connector.sync.pull`)
2. `decide`        scores, plan and tasks, in one transaction
3. `write`         the plan is sent
4. `tasks`         the tasks are created

The caller holds the portal's lock. Somebody else's run marks an open one `interrupted`: it is then not gone on with.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from connector.deadline import Deadline
from connector.errors import UnsafePlan
from connector.jobs.steps import Report, Steps, fields_for, new_run_id, silent
from connector.scores import run as scoring_run
from connector.store import changes, mirrored, scores, tasks
from connector.store.models import Portal, RunRow, WorkRow
from connector.sync.pull import Pull
from connector.wiring import OpenPortal, Service

RUN = "run"
_PULL, _DECIDE, _WRITE, _TASKS = "pull:", "decide", "write", "tasks"
_FRESH = timedelta(hours=36)
_FULFILLED = ("done", "done_with_refusals")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an open run is. `total` and `percent` are of its stage, where they are known; `remaining_s` likewise."""

    run_id: str
    stage: str
    done: int
    total: int | None
    percent: float | None
    remaining_s: float | None


def go_on(service: Service, portal: Portal, opened: OpenPortal, deadline: Deadline) -> bool:
    """Begin the portal's run if one is asked for, or go on with the open one; returns whether nothing is left.

    Raises `CRMError`; `UnsafePlan` and `WrongUse` end the run, see `give_up`.
    """
    now = datetime.now(UTC)
    with service.database.session() as session:
        run = _open_run(session, portal.portal_id, now) or _begun(session, portal, now)
    if run is None:
        return True
    return _Chunk(service, portal, opened, run, now).work(deadline)


def give_up(session: Session, portal_id: int, error: Exception) -> None:
    """End the open run without its end: `stopped` where a person has to look at the plan, else `failed`."""
    run = _open_row(session, portal_id)
    if run is not None:
        run.state = "stopped" if isinstance(error, UnsafePlan) else "failed"
        run.finished_at = datetime.now(UTC)
        run.counts = {**run.counts, "reason": str(error)}


def progress_of(session: Session, portal_id: int, now: datetime) -> Progress | None:
    """How far the portal's open run is, None when there is none.

    How much a pull will read is known of a first one only, and only where the CRM tells totals (amoCRM does not).
    """
    run = _open_row(session, portal_id)
    if run is None:
        return None
    stage = str(run.counts.get("stage", _PULL)).split(":", 1)[0]
    done, total = int(run.counts.get("received", 0)), run.counts.get("expected") if stage == "pull" else None
    if stage == _WRITE:
        states = changes.progress(session, portal_id, run.run_id)
        total = sum(states.values())
        done = total - states.get("planned", 0)
    if total is None:
        return Progress(run.run_id, stage, done, None, None, None)
    total = max(total, done)  # more may have come since it was counted
    began = datetime.fromisoformat(run.counts.get("stage_at", run.started_at.isoformat()))
    spent = (now - began).total_seconds()
    remaining = round(spent * (total - done) / done, 1) if done else None
    return Progress(run.run_id, stage, done, total, round(100 * done / total, 1) if total else 100.0, remaining)


def view(session: Session, portal_id: int, now: datetime) -> dict[str, Any] | None:
    """The same for scripts; None when no run is open. `total`, `percent` and `remaining_s` are null where unknown."""
    found = progress_of(session, portal_id, now)
    return asdict(found) if found is not None else None


def _open_row(session: Session, portal_id: int) -> RunRow | None:
    return session.scalar(select(RunRow).where(RunRow.portal_id == portal_id, RunRow.state == "open"))


def _open_run(session: Session, portal_id: int, now: datetime) -> RunRow | None:
    """The open run, unless it lay so long that its plan is of another day."""
    run = _open_row(session, portal_id)
    if run is None:
        return None
    moved = datetime.fromisoformat(run.counts.get("moved_at", run.started_at.isoformat()))
    if now - moved < _FRESH:
        return run
    run.state, run.finished_at = "interrupted", now
    return None


def _begun(session: Session, portal: Portal, now: datetime) -> RunRow | None:
    """A new open run, if one is asked for and nobody has done it since."""
    asked = session.scalar(select(WorkRow.asked_at).where(WorkRow.portal_id == portal.portal_id, WorkRow.job == RUN))
    if asked is None or _fulfilled(session, portal.portal_id, asked):
        return None
    day = scoring_run.as_of_moment(portal.time_zone, None, now).day
    run = scores.start_run(session, portal.portal_id, new_run_id(now), RUN, day, now)
    run.state, run.counts = "open", {"stage": _PULL, "stage_at": now.isoformat(), "moved_at": now.isoformat()}
    return run


def _fulfilled(session: Session, portal_id: int, asked: datetime) -> bool:
    found = session.scalar(
        select(RunRow.run_id)
        .where(
            RunRow.portal_id == portal_id,
            RunRow.kind == RUN,
            RunRow.started_at >= asked,
            RunRow.state.in_(_FULFILLED),
        )
        .limit(1)
    )
    return found is not None


class _Chunk:
    """One chunk of an open run."""

    def __init__(self, service: Service, portal: Portal, opened: OpenPortal, run: RunRow, now: datetime) -> None:
        self._service = service
        self._database = service.database
        self._portal = portal
        self._id = portal.portal_id
        self._opened = opened
        self._run_id = run.run_id
        self._counts: dict[str, Any] = dict(run.counts)
        self._report = Report(portal.name, run.run_id)
        self._steps = Steps(service, self._report, now, silent)
        self._started = now
        self._seen: dict[str, int] = {}

    def work(self, deadline: Deadline) -> bool:
        """Stage after stage until the deadline; returns whether the run is done."""
        stages = {_DECIDE: self._decide, _WRITE: self._write, _TASKS: self._tasks}
        while True:
            stage = str(self._counts["stage"])
            following = self._pull(stage, deadline) if stage.startswith(_PULL) else stages[stage](deadline)
            if following is None:
                self._finish()
                return True
            if stage != _DECIDE:
                self._stand_at(following)
            if deadline.over():
                return False

    def _pull(self, stage: str, deadline: Deadline) -> str:
        fields_for(self._service, self._portal, self._opened.adapter, None)
        pull = Pull(self._database, self._id, self._opened.adapter, silent)
        if "expected" not in self._counts:
            self._counts["expected"] = pull.expected()
            self._stand_at(stage)
        try:
            left = pull.go_on(stage.removeprefix(_PULL) or None, deadline=deadline)
        finally:
            counted = [count for stream, count in pull.pulled.received.items() if ":" in stream]
            self._count("received", sum(counted))
        return f"{_PULL}{left}" if left is not None else _DECIDE

    def _decide(self, _: Deadline) -> str:
        """What follows is noted in the same transaction, so that it is decided once."""
        with self._database.session() as session:
            self._steps.decide_open(session, self._id)
            report = self._report
            self._counts |= {
                "as_of": report.as_of,
                "method": report.method,
                "scored": report.scored,
                "segments": report.segments,
                "moved": report.moved,
                "published": report.published,
                "weak": report.weak,
                "thin": report.thin,
                "base": report.base,
                "customers": report.customers,
                "orders": report.orders,
                "unchanged": report.unchanged,
            }
            self._store(session, _WRITE)
        return _WRITE

    def _write(self, deadline: Deadline) -> str:
        with self._database.session() as session:
            portal = session.get_one(Portal, self._id)
        fields = fields_for(self._service, portal, self._opened.adapter, None)
        done = self._steps.write(self._id, self._opened.adapter, fields, deadline=deadline)
        return _TASKS if done else _WRITE

    def _tasks(self, deadline: Deadline) -> str | None:
        return None if self._steps.tasks(self._id, self._opened.adapter, deadline=deadline) else _TASKS

    def _finish(self) -> None:
        """Close the run with figures that are counted in the database, where no kill can lose them."""
        self._spend()
        report = self._report
        with self._database.session() as session:
            report.written = changes.progress(session, self._id, self._run_id).get("written", 0)
            report.tasks_created = tasks.created_in(session, self._id, self._run_id)
            report.refused = changes.refusals(session, self._id, self._run_id)
            report.refused += tasks.refusals(session, self._id, self._run_id)
            report.invalid = changes.invalid(session, self._id, self._run_id)
            report.customers = mirrored.count_customers(session, self._id)
            report.orders = mirrored.count_orders(session, self._id)
        for key in ("as_of", "method", "scored", "segments", "moved", "published", "weak", "unchanged"):
            setattr(report, key, self._counts[key])
        for key in ("thin", "base"):  # not there in a run that was begun by an earlier version
            setattr(report, key, self._counts.get(key, getattr(report, key)))
        report.requests, report.throttled = self._counts["requests"], self._counts["throttled"]
        report.seconds = round(self._counts["seconds"], 3)
        report.pace = self._opened.adapter.capabilities.requests_per_second
        self._steps.finish(self._id)

    def _stand_at(self, stage: str) -> None:
        with self._database.session() as session:
            self._store(session, stage)

    def _store(self, session: Session, stage: str) -> None:
        now = datetime.now(UTC)
        self._spend()
        if stage.split(":", 1)[0] != str(self._counts["stage"]).split(":", 1)[0]:
            self._counts["stage_at"] = now.isoformat()
        self._counts |= {"stage": stage, "moved_at": now.isoformat()}
        run = session.get_one(RunRow, (self._id, self._run_id))
        run.counts = dict(self._counts)

    def _spend(self) -> None:
        """Add what this chunk has cost since the last time."""
        now, counters = datetime.now(UTC), self._opened.counters
        spent = {"requests": counters.requests, "throttled": counters.throttled}
        for key, value in spent.items():
            self._count(key, value - self._seen.get(key, 0))
        self._seen = spent
        self._counts["seconds"] = self._counts.get("seconds", 0.0) + (now - self._started).total_seconds()
        self._started = now

    def _count(self, key: str, more: int) -> None:
        self._counts[key] = self._counts.get(key, 0) + more
