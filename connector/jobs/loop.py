"""The main job on one portal: fields → pull → score → plan → write → tasks, each step also alone.

Whoever calls holds the portal's lock for the whole of it. Scores, plan and tasks of a run are decided in one
transaction; what follows are repeatable sends. Killing the process anywhere and running again ends in the same state.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

from adapters.batches import chunks
from adapters.contract import Adapter, FieldMap
from adapters.errors import AccessLost, Blocked, ScopeMissing, TokenExpired, Unpaid
from adapters.oauth import KeptTokens
from adapters.records import CustomerKind
from connector import logs
from connector.errors import WrongUse
from connector.jobs.steps import (
    Progress,
    Report,
    Steps,
    fields_for,
    new_run_id,
    seconds_since,
    silent,
    with_options,
)
from connector.scores import run as scoring_run
from connector.store import changes, mirror, mirrored, portals, scores
from connector.store.database import Database
from connector.store.locks import portal_lock
from connector.store.models import Portal, RunRow
from connector.sync.pull import Pull, Pulled
from connector.wiring import OpenPortal, Service

_REREAD = 500
_STOPS = (TokenExpired, Blocked, Unpaid)


@contextmanager
def working_on(service: Service, name: str) -> Iterator[tuple[Portal, OpenPortal]]:
    """A portal locked for work and open to its CRM.

    A lost grant pauses the portal before the error goes on. A pasted token that is refused is only noted: the next
    command may find it accepted again, and says so itself if not.
    """
    with service.database.session() as session:
        portal = portals.working_portal(session, name)
    access = service.access_of(portal)
    locking = portal_lock(service.database, portal.portal_id, wait_s=service.lock_wait_s)
    with locking as held, service.open(access, portal_id=portal.portal_id, guard=held.check) as opened:
        try:
            with logs.about(portal=portal.name):
                yield portal, opened
        except AccessLost as error:
            _note_access(service.database, portal.portal_id, error, is_grant=isinstance(access.tokens, KeptTokens))
            raise


def _note_access(database: Database, portal_id: int, error: AccessLost, *, is_grant: bool) -> None:
    with database.session() as session:
        if is_grant and not isinstance(error, ScopeMissing):
            portals.pause(session, portal_id, str(error))
        elif isinstance(error, _STOPS):
            portals.note(session, portal_id, "system", "portal.access_lost", {"reason": str(error)})


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
    started = datetime.now(UTC)
    with service.database.session() as session:
        portal = portals.working_portal(session, name)
        scoring_run.check_method_of(session, portal, method)
        scoring_run.as_of_moment(portal.time_zone, as_of, started)
    with working_on(service, name) as (portal, opened):
        report = Report(portal.name, new_run_id(started), dry_run=dry_run)
        adapter = opened.adapter
        fields = None if dry_run else fields_for(service, portal, adapter, method)
        _pull(service, portal.portal_id, adapter, report, progress)
        step = Steps(service, report, started, progress)
        if dry_run:
            step.preview(portal.portal_id, adapter, as_of, method)
        else:
            version = step.decide(portal.portal_id, as_of, method, kind="run", force=force)
            step.write(portal.portal_id, adapter, with_options(service, portal, adapter, version, fields))
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
    started = datetime.now(UTC)
    with service.database.session() as session:
        portal = portals.working_portal(session, name)
        scoring_run.check_method_of(session, portal, method)
        scoring_run.as_of_moment(portal.time_zone, as_of, started)
    with portal_lock(service.database, portal.portal_id):
        report = Report(portal.name, new_run_id(started), dry_run=dry_run)
        step = Steps(service, report, started, silent)
        if dry_run:
            step.preview(portal.portal_id, None, as_of, method)
        else:
            step.decide(portal.portal_id, as_of, method, kind="score", force=True, plan=False)
        report.seconds = seconds_since(started)
        if not dry_run:
            step.finish(portal.portal_id)
        return report


def fit_method(service: Service, name: str, *, as_of: date | None, method: str | None) -> dict[str, Any]:
    """The thresholds a fit on the mirror would give now; publishes nothing."""
    with service.database.rehearsal() as session:
        portal = portals.portal_named(session, name)
        scoring_run.check_method_of(session, portal, method)
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
        step = Steps(service, report, started, progress)
        version = step.last_scores(portal.portal_id)
        if dry_run:
            step.preview_last(portal.portal_id, opened.adapter, version)
        else:
            fields = fields_for(service, portal, opened.adapter, version.name)
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
        step = Steps(service, report, started, progress)
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
        step = Steps(service, report, started, progress)
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


def _pull(
    service: Service, portal_id: int, adapter: Adapter, report: Report, progress: Progress, *, full: bool = False
) -> None:
    pulled: Pulled = Pull(service.database, portal_id, adapter, progress).run(full=full)
    report.pulled = {"received": pulled.received, "changed": pulled.changed, "gone": pulled.gone}
    with service.database.session() as session:
        report.customers = mirrored.count_customers(session, portal_id)
        report.orders = mirrored.count_orders(session, portal_id)


def _spent(report: Report, opened: OpenPortal, started: datetime) -> None:
    """What the run has cost so far; noted before its row is closed, so that the row has it too."""
    report.requests, report.throttled = opened.counters.requests, opened.counters.throttled
    report.seconds = seconds_since(started)
