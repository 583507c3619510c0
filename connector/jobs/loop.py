"""The main job on one portal: fields → pull → score → plan → write → tasks, each step also alone.

Whoever calls holds the portal's lock for the whole of it. Scores, plan and tasks of a run are decided in one
transaction; what follows are repeatable sends. Killing the process anywhere and running again ends in the same state.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy.orm import Session

from adapters.batches import chunks
from adapters.contract import Adapter, FieldMap
from adapters.errors import AccessLost, Blocked, TokenExpired, Unpaid
from adapters.records import CustomerKind
from connector.errors import WrongUse
from connector.jobs import card_fields
from connector.scores import run as scoring_run
from connector.sla import raising
from connector.store import changes, mirror, portals, scores, tasks
from connector.store.database import Database
from connector.store.locks import portal_lock
from connector.store.models import Portal, RunRow
from connector.sync.pull import Pull, Pulled
from connector.wiring import OpenPortal, Service
from connector.writeback.apply import apply_plan, check_plan
from scoring.methods import Method, MethodVersion, load_method, method_names

PREVIEW_CARDS = 20
_KEEP_CHANGES_DAYS = 30
_REREAD = 500
_TASK_RUNS = frozenset({"run", "tasks"})
"""Runs that raise tasks; the first of them has no news to tell."""
_STOPS = (TokenExpired, Blocked, Unpaid)


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
    tasks_created: int = 0
    requests: int = 0
    throttled: int = 0
    seconds: float = 0.0
    dry_run: bool = False
    moved: int = 0
    published: bool = False
    weak: list[str] = field(default_factory=list)
    pulled: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@contextmanager
def working_on(service: Service, name: str) -> Iterator[tuple[Portal, OpenPortal]]:
    """A portal locked for work and open to its CRM. A lost grant pauses the portal before the error goes on."""
    with service.database.session() as session:
        portal = portals.working_portal(session, name)
    access = service.access_of(portal)
    with portal_lock(service.database, portal.portal_id), service.open(access) as opened:
        try:
            yield portal, opened
        except _STOPS as error:
            _note_access(service.database, portal.portal_id, error)
            raise


def _note_access(database: Database, portal_id: int, error: AccessLost) -> None:
    with database.session() as session:
        portals.note(session, portal_id, "system", "portal.access_lost", {"reason": str(error)})


def new_run_id(now: datetime) -> str:
    """Sortable by time, unique by chance."""
    return f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def run_portal(
    service: Service,
    name: str,
    *,
    as_of: date | None = None,
    method: str | None = None,
    dry_run: bool = False,
    force: bool = False,
    progress: Progress = silent,
) -> Report:
    """The whole loop. Raises `WrongUse` before anything is sent when the words make no sense."""
    scoring_run.check_method(method)
    started = datetime.now(UTC)
    with service.database.session() as session:
        scoring_run.as_of_moment(portals.working_portal(session, name).time_zone, as_of, started)
    with working_on(service, name) as (portal, opened):
        report = Report(portal.name, new_run_id(started), dry_run=dry_run)
        adapter = opened.adapter
        fields = None if dry_run else _fields(service, portal, adapter, method)
        _pull(service, portal.portal_id, adapter, report, progress)
        step = _Step(service, report, started, progress)
        if dry_run:
            step.preview(portal.portal_id, adapter, as_of, method)
        else:
            version = step.decide(portal.portal_id, as_of, method, kind="run", force=force)
            step.write(portal.portal_id, adapter, _with_options(service, portal, adapter, version, fields))
            step.tasks(portal.portal_id, adapter)
        _spent(report, opened, started)
        if not dry_run:
            step.finish(portal.portal_id)
        return report


def sync_portal(service: Service, name: str, *, full: bool = False, progress: Progress = silent) -> Report:
    """Pull only."""
    started = datetime.now(UTC)
    with working_on(service, name) as (portal, opened):
        report = Report(portal.name, "")
        _pull(service, portal.portal_id, opened.adapter, report, progress, full=full)
        _spent(report, opened, started)
        return report


def score_portal(
    service: Service, name: str, *, as_of: date | None = None, method: str | None = None, dry_run: bool = False
) -> Report:
    """Score from the mirror; sends nothing."""
    scoring_run.check_method(method)
    started = datetime.now(UTC)
    with service.database.session() as session:
        portal = portals.working_portal(session, name)
        scoring_run.as_of_moment(portal.time_zone, as_of, started)
    with portal_lock(service.database, portal.portal_id):
        report = Report(portal.name, new_run_id(started), dry_run=dry_run)
        step = _Step(service, report, started, silent)
        if dry_run:
            step.preview(portal.portal_id, None, as_of, method)
        else:
            step.decide(portal.portal_id, as_of, method, kind="score", force=True, plan=False)
        report.seconds = _seconds_since(started)
        if not dry_run:
            step.finish(portal.portal_id)
        return report


def fit_method(service: Service, name: str, *, as_of: date | None, method: str | None) -> dict[str, Any]:
    """The thresholds a fit on the mirror would give now; publishes nothing."""
    scoring_run.check_method(method)
    with service.database.rehearsal() as session:
        portal = portals.portal_named(session, name)
        moment = scoring_run.as_of_moment(portal.time_zone, as_of, datetime.now(UTC))
        chosen, fitted, customers = scoring_run.fit_portal(session, portal, moment, method)
    return {
        "portal": name,
        "method": chosen.name,
        "as_of": moment.day.isoformat(),
        "customers": customers,
        "thresholds": fitted.thresholds.spec(),
        "weak": [weakness.text() for weakness in fitted.weak],
    }


def write_portal(
    service: Service, name: str, *, dry_run: bool = False, force: bool = False, progress: Progress = silent
) -> Report:
    """Send the differences between the last scores and the cards."""
    started = datetime.now(UTC)
    with working_on(service, name) as (portal, opened):
        report = Report(portal.name, new_run_id(started), dry_run=dry_run)
        step = _Step(service, report, started, progress)
        version = step.last_scores(portal.portal_id)
        if dry_run:
            step.preview_last(portal.portal_id, opened.adapter, version)
        else:
            fields = _fields(service, portal, opened.adapter, version.name)
            step.plan_last(portal.portal_id, version, force=force)
            step.write(portal.portal_id, opened.adapter, fields)
        _spent(report, opened, started)
        if not dry_run:
            step.finish(portal.portal_id)
        return report


def raise_tasks(service: Service, name: str, *, dry_run: bool = False, progress: Progress = silent) -> Report:
    """Create the tasks that are due."""
    started = datetime.now(UTC)
    with working_on(service, name) as (portal, opened):
        report = Report(portal.name, new_run_id(started), dry_run=dry_run)
        step = _Step(service, report, started, progress)
        version = step.last_scores(portal.portal_id)
        if dry_run:
            report.plan = {"tasks": step.preview_tasks(portal.portal_id, version)}
        else:
            step.plan_tasks(portal.portal_id, version)
            step.tasks(portal.portal_id, opened.adapter)
        _spent(report, opened, started)
        if not dry_run:
            step.finish(portal.portal_id)
        return report


def undo_run(service: Service, name: str, run_id: str, *, progress: Progress = silent) -> Report:
    """Put back what a run replaced, where the card still holds what it wrote."""
    started = datetime.now(UTC)
    with service.database.session() as session:
        portal = portals.working_portal(session, name)
        if session.get(RunRow, (portal.portal_id, run_id)) is None:
            raise WrongUse(f"{name} has no run {run_id!r}: the runs are on the portal's page and in `run --json`")
    with working_on(service, name) as (portal, opened):
        report = Report(portal.name, new_run_id(started))
        step = _Step(service, report, started, progress)
        _reread_cards(service.database, portal, opened.adapter, run_id)
        with service.database.session() as session:
            as_of = scoring_run.as_of_moment(portal.time_zone, None, started).day
            scores.start_run(session, portal.portal_id, report.run_id, "undo", as_of, started)
            restored, left = changes.plan_undo(session, portal.portal_id, run_id, report.run_id)
            portals.note(session, portal.portal_id, "cli", "run.undone", {"run": run_id, "cards": restored})
        report.plan = {"cards": restored, "left_alone": left, "run": run_id}
        if restored and portal.fields is not None:
            step.write(portal.portal_id, opened.adapter, FieldMap.from_json(portal.fields))
        _spent(report, opened, started)
        step.finish(portal.portal_id)
        return report


def _reread_cards(database: Database, portal: Portal, adapter: Adapter, run_id: str) -> None:
    """Read again the cards that a run wrote: what a person has typed since must be known before it is put back."""
    fields = FieldMap.from_json(portal.fields) if portal.fields is not None else None
    for kind in CustomerKind:
        with database.session() as session:
            written = changes.written_cards(session, portal.portal_id, run_id, kind)
        for ids in chunks(written, _REREAD):
            found = adapter.customers_by_id(kind, list(ids), fields=fields)
            with database.session() as session:
                mirror.store_customers(session, portal.portal_id, kind, found.records)
                mirror.mark_customers_gone(session, portal.portal_id, kind, found.gone)


def method_for(service: Service, portal: Portal, name: str | None) -> Method:
    """The method whose segments the fields must offer."""
    with service.database.session() as session:
        if name is None and (version := scoring_run.current_version(session, portal)) is not None:
            return version.method
    return load_method(name or str(portal.settings.get("method", method_names()[0])))


def _fields(service: Service, portal: Portal, adapter: Adapter, method_name: str | None) -> FieldMap:
    method = method_for(service, portal, method_name)
    ready = card_fields.fields_ready(portal, method)
    return ready or card_fields.ensure_fields(service.database, portal, adapter, method)


def _with_options(
    service: Service, portal: Portal, adapter: Adapter, version: MethodVersion, fields: FieldMap | None
) -> FieldMap:
    if fields is None:
        return card_fields.ensure_fields(service.database, portal, adapter, version.method)
    return fields


def _pull(
    service: Service, portal_id: int, adapter: Adapter, report: Report, progress: Progress, *, full: bool = False
) -> None:
    pulled: Pulled = Pull(service.database, portal_id, adapter, progress).run(full=full)
    report.pulled = {"received": pulled.received, "changed": pulled.changed, "gone": pulled.gone}
    with service.database.session() as session:
        report.customers = mirror.count_customers(session, portal_id)
        report.orders = mirror.count_orders(session, portal_id)


def _spent(report: Report, opened: OpenPortal, started: datetime) -> None:
    """What the run has cost so far; noted before its row is closed, so that the row has it too."""
    report.requests, report.throttled = opened.counters.requests, opened.counters.throttled
    report.seconds = _seconds_since(started)


def _seconds_since(moment: datetime) -> float:
    return round((datetime.now(UTC) - moment).total_seconds(), 3)


class _Step:
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
                self._plan(session, portal, scored.version, force=force)
                raising.plan_tasks(session, portal, run, scored.version, now=self._now)
            return scored.version

    def preview(self, portal_id: int, adapter: Adapter | None, as_of: date | None, method: str | None) -> None:
        """The same, shown and rolled back; `adapter` None leaves out the plan."""
        with self._database.rehearsal() as session:
            portal, run, scored = self._score(session, portal_id, as_of, method, "dry-run")
            if adapter is not None:
                self._report.plan = self._plan_view(session, portal, adapter, scored.version)
                self._report.plan["tasks"] = raising.plan_tasks(session, portal, run, scored.version, now=self._now)

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
            self._report.customers = mirror.count_customers(session, portal_id)
            self._report.orders = mirror.count_orders(session, portal_id)
            self._report.as_of = str(scores.last_as_of(session, portal_id) or "")
            return version

    def preview_last(self, portal_id: int, adapter: Adapter, version: MethodVersion) -> None:
        """The plan that the last scores would make."""
        with self._database.session() as session:
            self._report.plan = self._plan_view(session, session.get_one(Portal, portal_id), adapter, version)

    def plan_last(self, portal_id: int, version: MethodVersion, *, force: bool) -> None:
        """Store the plan of the last scores."""
        with self._database.session() as session:
            portal = session.get_one(Portal, portal_id)
            self._start(session, portal, "writeback", version)
            self._plan(session, portal, version, force=force)

    def plan_tasks(self, portal_id: int, version: MethodVersion) -> None:
        """Store the tasks that are due."""
        with self._database.session() as session:
            portal = session.get_one(Portal, portal_id)
            run = self._start(session, portal, "tasks", version)
            raising.plan_tasks(session, portal, run, version, now=self._now)

    def preview_tasks(self, portal_id: int, version: MethodVersion) -> int:
        """How many tasks would be created."""
        with self._database.rehearsal() as session:
            portal = session.get_one(Portal, portal_id)
            run = self._start(session, portal, "dry-run", version)
            return raising.plan_tasks(session, portal, run, version, now=self._now)

    def write(self, portal_id: int, adapter: Adapter, fields: FieldMap) -> None:
        """Send the stored plan."""
        report = self._report
        done: Callable[[int], None] = lambda count: self._progress("cards", count)  # noqa: E731
        try:
            applied = apply_plan(self._database, portal_id, report.run_id, adapter, fields, done)
            report.written = applied.written
        finally:
            with self._database.session() as session:
                report.refused = changes.refusals(session, portal_id, report.run_id)

    def tasks(self, portal_id: int, adapter: Adapter) -> None:
        """Create the stored tasks."""
        raised = raising.create_tasks(self._database, portal_id, adapter, lambda count: self._progress("tasks", count))
        self._report.tasks_created = raised.created
        with self._database.session() as session:
            self._report.refused += tasks.refusals(session, portal_id, self._report.run_id)

    def finish(self, portal_id: int) -> None:
        """Close the run's row with its figures."""
        with self._database.session() as session:
            run = session.get_one(RunRow, (portal_id, self._report.run_id))
            run.state = "done" if not self._report.refused else "done_with_refusals"
            run.finished_at = datetime.now(UTC)
            run.counts = {
                key: value for key, value in self._report.as_json().items() if key not in {"refused", "plan", "pulled"}
            } | {"refused": len(self._report.refused)}
            portal = session.get_one(Portal, portal_id)
            if portal.first_run_at is None and run.kind in _TASK_RUNS:
                portal.first_run_at = run.finished_at
            kept = timedelta(days=int(portal.settings.get("keep_changes_days", _KEEP_CHANGES_DAYS)))
            changes.forget_older(session, portal_id, run.finished_at - kept)

    def _start(self, session: Session, portal: Portal, kind: str, version: MethodVersion) -> RunRow:
        day = scoring_run.as_of_moment(portal.time_zone, None, self._now).day
        run = scores.start_run(session, portal.portal_id, self._report.run_id, kind, day, self._now)
        run.method = version.label
        return run

    def _score(
        self, session: Session, portal_id: int, as_of: date | None, method: str | None, kind: str
    ) -> tuple[Portal, RunRow, scoring_run.Scored]:
        report = self._report
        portal = session.get_one(Portal, portal_id)
        moment = scoring_run.as_of_moment(portal.time_zone, as_of, self._now)
        run = scores.start_run(session, portal_id, report.run_id, kind, moment.day, self._now)
        scored = scoring_run.score_portal(session, portal, run, moment, method)
        report.as_of, report.method = moment.day.isoformat(), scored.version.label
        report.scored, report.segments, report.moved = scored.scored, scored.segments, scored.moved
        report.published, report.weak = scored.published, list(scored.weak)
        report.customers = mirror.count_customers(session, portal_id)
        report.orders = mirror.count_orders(session, portal_id)
        return portal, run, scored

    def _plan(self, session: Session, portal: Portal, version: MethodVersion, *, force: bool) -> None:
        hints = scoring_run.hints_of(version, portal.language)
        check_plan(portal, changes.plan_size(session, portal.portal_id, hints), force=force)
        planned = changes.make_plan(session, portal.portal_id, self._report.run_id, hints, self._now)
        self._report.unchanged = changes.scored_living(session, portal.portal_id) - planned
        self._progress("cards", 0, planned)

    def _plan_view(self, session: Session, portal: Portal, adapter: Adapter, version: MethodVersion) -> dict[str, Any]:
        hints = scoring_run.hints_of(version, portal.language)
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
                asdict(step) for step in card_fields.plan_fields(self._database, portal, adapter, version.method)
            ],
            "sample": [
                {"customer": str(ref), "change": {key: [before.get(key), value] for key, value in values.items()}}
                for ref, values, before in changes.preview(session, portal.portal_id, hints, PREVIEW_CARDS)
            ],
        }
