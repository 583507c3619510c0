"""The steps of a run and the report they fill: what the main job and its parts have in common.

Scores, plan and tasks are decided in one transaction; what follows are repeatable sends.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy.orm import Session

from adapters.contract import Adapter, FieldMap
from connector import logs
from connector.deadline import NEVER, Deadline
from connector.errors import WrongUse
from connector.jobs import card_fields
from connector.jobs.retention import KEEP_CHANGES_DAYS
from connector.scores import run as scoring_run
from connector.scores.staging import hints_for, versions_out, versions_written
from connector.sla import raising
from connector.store import audit, changes, delivery, letters, mirrored, portals, scores, tasks
from connector.store.models import Portal, RunRow
from connector.wiring import Service
from connector.writeback.apply import apply_plan, check_plan
from scoring.methods import Method, MethodVersion
from scoring.sufficiency import thin, verdicts

PREVIEW_CARDS = 20

_NOT_COUNTED = frozenset({"refused", "invalid", "plan", "pulled"})
_TASK_RUNS = frozenset({"run", "tasks"})
"""Runs that raise tasks; the first of them has no news to tell."""


class Progress(Protocol):
    """Told how long work goes on."""

    def __call__(self, step: str, done: int, total: int | None = None) -> None:
        """`done` more records of `step`; `total` where it is known."""
        ...


def silent(step: str, done: int, total: int | None = None) -> None:
    """No progress wanted."""


@dataclass(slots=True)
class Report:
    """The figures of `run --json` (CONTRACT section 5)."""

    portal: str
    run_id: str
    as_of: str = ""
    method: str = ""
    customers: int = 0
    orders: int = 0
    scored: int = 0
    segments: dict[str, int] = field(default_factory=dict)
    written: int = 0
    unchanged: int = 0
    refused: list[dict[str, str | None]] = field(default_factory=list)
    invalid: list[dict[str, str | None]] = field(default_factory=list)
    tasks_created: int = 0
    requests: int = 0
    throttled: int = 0
    seconds: float = 0.0
    dry_run: bool = False
    moved: int = 0
    published: bool = False
    weak: list[str] = field(default_factory=list)
    thin: list[str] = field(default_factory=list)
    base: dict[str, int] = field(default_factory=dict)
    pulled: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] | None = None
    pace: float | None = None
    """Requests per second that the portal's limits allow, once something was written."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def new_run_id(now: datetime) -> str:
    """Sortable by time to the microsecond, unique by chance: lists page by it."""
    return f"{now:%Y%m%dT%H%M%S}-{now.microsecond:05x}{secrets.token_hex(2)}"


def seconds_since(moment: datetime) -> float:
    """Seconds from a moment to now, to the millisecond."""
    return round((datetime.now(UTC) - moment).total_seconds(), 3)


def method_for(service: Service, portal: Portal, name: str | None) -> Method:
    """The method whose segments the fields must offer."""
    with service.database.session() as session:
        return scoring_run.method_wanted(session, portal, name)[0]


def fields_for(service: Service, portal: Portal, adapter: Adapter, method_name: str | None) -> FieldMap:
    """Where the portal's fields are; made sure of in the CRM unless that was done within the day."""
    method = method_for(service, portal, method_name)
    with service.database.session() as session:
        beside = [version.method for version in versions_out(session, portal)]
    ready = card_fields.fields_ready(portal, method, *beside)
    return ready or card_fields.ensure_fields(service.database, portal, adapter, method)


def with_options(
    service: Service, portal: Portal, adapter: Adapter, version: MethodVersion, fields: FieldMap | None
) -> FieldMap:
    """The fields, or where there are none yet, with the options of the version's segments."""
    if fields is None:
        return card_fields.ensure_fields(service.database, portal, adapter, version.method)
    return fields


class Steps:
    """The steps of one run, filling one report."""

    def __init__(self, service: Service, report: Report, now: datetime, progress: Progress) -> None:
        self._database = service.database
        self._report = report
        self._now = now
        self._progress = progress

    def decide(
        self, portal_id: int, as_of: date | None, method: str | None, *, kind: str, force: bool, plan: bool = True
    ) -> MethodVersion:
        """Scores, plan and tasks in one transaction: either all of them are decided or none."""
        with self._database.session() as session:
            portal, run, scored = self._score(session, portal_id, as_of, method, kind)
            if plan:
                self._plan(session, portal, scored.versions, force=force)
                self._raise(session, portal, run, scored.versions)
            return scored.version

    def decide_open(self, session: Session, portal_id: int) -> MethodVersion:
        """The same as of now for a run that is open already, in the caller's transaction."""
        portal = session.get_one(Portal, portal_id)
        run = session.get_one(RunRow, (portal_id, self._report.run_id))
        moment = scoring_run.as_of_moment(portal.time_zone, None, self._now)
        run.as_of = moment.day
        scored = self._scored(session, portal, run, moment, None)
        self._plan(session, portal, scored.versions, force=False)
        self._raise(session, portal, run, scored.versions)
        return scored.version

    def preview(self, portal_id: int, adapter: Adapter | None, as_of: date | None, method: str | None) -> None:
        """The same, shown and rolled back; `adapter` None leaves out the plan."""
        with self._database.rehearsal() as session:
            portal, run, scored = self._score(session, portal_id, as_of, method, "dry-run")
            if adapter is not None:
                self._report.plan = self._plan_view(session, portal, adapter, scored.versions)
                self._report.plan["tasks"] = self._raise(session, portal, run, scored.versions)

    def last_scores(self, portal_id: int) -> MethodVersion:
        """The version of the last scores; raises `WrongUse` when nothing was scored yet."""
        with self._database.session() as session:
            portal = session.get_one(Portal, portal_id)
            version = scoring_run.current_version(session, portal)
            if version is None:
                raise WrongUse(f"{portal.name} has no scores yet: run `score {portal.name}` first")
            self._report.method = version.label
            self._report.segments = scores.segment_sizes(session, portal_id)
            self._report.scored = sum(self._report.segments.values())
            self._report.customers = mirrored.count_customers(session, portal_id)
            self._report.orders = mirrored.count_orders(session, portal_id)
            self._report.as_of = str(scores.last_as_of(session, portal_id) or "")
            return version

    def preview_last(self, portal_id: int, adapter: Adapter, version: MethodVersion) -> None:
        """The plan that the last scores would make."""
        with self._database.session() as session:
            portal = session.get_one(Portal, portal_id)
            self._report.plan = self._plan_view(session, portal, adapter, versions_written(session, portal, version))

    def plan_last(self, portal_id: int, version: MethodVersion, *, force: bool) -> None:
        """Store the plan of the last scores."""
        with self._database.session() as session:
            portal = session.get_one(Portal, portal_id)
            self._start(session, portal, "writeback", version)
            self._plan(session, portal, versions_written(session, portal, version), force=force)

    def plan_tasks(self, portal_id: int, version: MethodVersion) -> None:
        """Store the tasks that are due."""
        with self._database.session() as session:
            portal = session.get_one(Portal, portal_id)
            run = self._start(session, portal, "tasks", version)
            self._raise(session, portal, run, versions_written(session, portal, version))

    def preview_tasks(self, portal_id: int, version: MethodVersion) -> int:
        """How many tasks would be created."""
        with self._database.rehearsal() as session:
            portal = session.get_one(Portal, portal_id)
            run = self._start(session, portal, "dry-run", version)
            return self._raise(session, portal, run, versions_written(session, portal, version))

    def write(self, portal_id: int, adapter: Adapter, fields: FieldMap, *, deadline: Deadline = NEVER) -> bool:
        """Send the stored plan; returns whether all of it was sent before the deadline."""
        report = self._report
        done: Callable[[int], None] = lambda count: self._progress("cards", count)  # noqa: E731
        try:
            with logs.about(run=report.run_id):
                applied = apply_plan(self._database, portal_id, report.run_id, adapter, fields, done, deadline=deadline)
            report.written = applied.written
            return applied.finished
        finally:
            with self._database.session() as session:
                report.refused = changes.refusals(session, portal_id, report.run_id)
                report.invalid = changes.invalid(session, portal_id, report.run_id)
            report.pace = adapter.capabilities.requests_per_second

    def tasks(self, portal_id: int, adapter: Adapter, *, deadline: Deadline = NEVER) -> bool:
        """Create the stored tasks; returns whether all were created before the deadline."""
        done: Callable[[int], None] = lambda count: self._progress("tasks", count)  # noqa: E731
        with logs.about(run=self._report.run_id):
            raised = raising.create_tasks(self._database, portal_id, adapter, done, deadline=deadline)
        self._report.tasks_created = raised.created
        with self._database.session() as session:
            self._report.refused += tasks.refusals(session, portal_id, self._report.run_id)
        return raised.finished

    def finish(self, portal_id: int) -> None:
        """Close the run's row with its figures."""
        with self._database.session() as session:
            run = session.get_one(RunRow, (portal_id, self._report.run_id))
            run.state = "done" if not (self._report.refused or self._report.invalid) else "done_with_refusals"
            run.finished_at = datetime.now(UTC)
            run.counts = {key: value for key, value in self._report.as_json().items() if key not in _NOT_COUNTED} | {
                "refused": len(self._report.refused),
                "invalid": len(self._report.invalid),
            }
            portal = session.get_one(Portal, portal_id)
            if portal.first_run_at is None and run.kind in _TASK_RUNS:
                portal.first_run_at = run.finished_at
            self._sum_up(session, portal, run)
            if any(row["field"] in card_fields.KEYS for row in (*self._report.refused, *self._report.invalid)):
                portal.fields_checked_at = None  # somebody may have changed or deleted a field: look at the next run
            kept = timedelta(days=int(portal.settings.get("keep_changes_days", KEEP_CHANGES_DAYS)))
            changes.forget_older(session, portal_id, run.finished_at - kept)

    def _sum_up(self, session: Session, portal: Portal, run: RunRow) -> None:
        """What the run delivered: for the report, the alarms and the audit trail."""
        now = run.finished_at or self._now
        today = scoring_run.as_of_moment(portal.time_zone, None, now).day
        stale_days = int(portal.settings.get("stale_days", delivery.STALE_DAYS))
        delivery.sum_up(session, run, today=today, stale_days=stale_days, now=now)
        if run.kind in {"run", "writeback"}:
            letters.settle_rest(session, portal.portal_id, run.run_id)
        if self._report.written:
            detail = {"run": run.run_id, "cards": self._report.written, "method": run.method}
            portals.note(session, portal.portal_id, audit.SYSTEM, "cards.written", detail)

    def _start(self, session: Session, portal: Portal, kind: str, version: MethodVersion) -> RunRow:
        day = scoring_run.as_of_moment(portal.time_zone, None, self._now).day
        run = scores.start_run(session, portal.portal_id, self._report.run_id, kind, day, self._now)
        run.method = version.label
        return run

    def _score(
        self, session: Session, portal_id: int, as_of: date | None, method: str | None, kind: str
    ) -> tuple[Portal, RunRow, scoring_run.Scored]:
        portal = session.get_one(Portal, portal_id)
        moment = scoring_run.as_of_moment(portal.time_zone, as_of, self._now)
        run = scores.start_run(session, portal_id, self._report.run_id, kind, moment.day, self._now)
        return portal, run, self._scored(session, portal, run, moment, method)

    def _scored(
        self, session: Session, portal: Portal, run: RunRow, moment: scoring_run.Moment, method: str | None
    ) -> scoring_run.Scored:
        report = self._report
        scored = scoring_run.score_portal(session, portal, run, moment, method)
        version = scored.version
        report.as_of, report.method = moment.day.isoformat(), version.label if version.version else version.name
        report.scored, report.segments, report.moved = scored.scored, scored.segments, scored.moved
        report.published, report.weak = scored.published, list(scored.weak)
        report.base = asdict(scored.base)
        report.thin = thin(verdicts(scored.base), scoring_run.spoken(portal.language))
        report.customers = mirrored.count_customers(session, portal.portal_id)
        report.orders = mirrored.count_orders(session, portal.portal_id)
        return scored

    def _raise(self, session: Session, portal: Portal, run: RunRow, versions: Sequence[MethodVersion]) -> int:
        return raising.plan_tasks(session, portal, run, versions[0], now=self._now, beside=versions[1:])

    def _plan(self, session: Session, portal: Portal, versions: Sequence[MethodVersion], *, force: bool) -> None:
        hints = hints_for(versions, portal.language)
        planned = changes.make_plan(session, portal.portal_id, self._report.run_id, hints, self._now)
        check_plan(portal, changes.stored_size(session, portal.portal_id, self._report.run_id), force=force)
        self._report.unchanged = changes.scored_living(session, portal.portal_id) - planned
        self._progress("cards", 0, planned)

    def _plan_view(
        self, session: Session, portal: Portal, adapter: Adapter, versions: Sequence[MethodVersion]
    ) -> dict[str, Any]:
        hints = hints_for(versions, portal.language)
        size = changes.plan_size(session, portal.portal_id, hints)
        can = adapter.capabilities
        requests = sum(-(-count // can.write_batch) for count in (size.contacts, size.companies))
        self._report.unchanged = changes.scored_living(session, portal.portal_id) - size.cards
        return {
            "cards": size.cards,
            "contacts": size.contacts,
            "companies": size.companies,
            "fields": size.fields,
            "segments_changing": size.resegmented,
            "requests": requests,
            "minutes_of_quota": round(requests / can.requests_per_second / 60, 2),
            "new_fields": [
                asdict(step) for step in card_fields.plan_fields(self._database, portal, adapter, versions[0].method)
            ],
            "sample": [
                {"customer": str(ref), "change": {key: [before.get(key), value] for key, value in values.items()}}
                for ref, values, before in changes.preview(session, portal.portal_id, hints, PREVIEW_CARDS)
            ],
        }
