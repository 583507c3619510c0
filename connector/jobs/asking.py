"""What somebody who waits for an answer asks for: a run in the background, its plan beforehand, a small run undone."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy.orm import Session

from connector.errors import UnsafePlan, WrongUse
from connector.jobs import loop, schedule
from connector.jobs.steps import Report, Steps, new_run_id, seconds_since, silent
from connector.scores import run as scoring_run
from connector.store import listing, portals
from connector.wiring import Service

MOST_UNDONE = 2000
"""So many cards are put back while somebody waits; more of them take the command line."""


def ask_for_run(service: Service, name: str) -> None:
    """Have the background run a portal; asking for what waits already changes nothing.

    Raises `PortalPaused` and `WrongUse` for a portal that is not worked on.
    """
    with service.database.session() as session:
        portal = portals.working_portal(session, name)
        portals.note(session, portal.portal_id, "cli", "run.asked", {})
        schedule.ask(session, schedule.RUN, portal.portal_id, service.now())


def preview(service: Service, name: str, *, as_of: date | None = None, method: str | None = None) -> dict[str, Any]:
    """What a run on the stored history would score, write and raise; nothing is stored, nothing in the CRM changes.

    The CRM's records are not read again for it. Raises what a run does.
    """
    started = datetime.now(UTC)
    with service.database.session() as session:
        portal = portals.working_portal(session, name)
        scoring_run.check_method_of(session, portal, method)
        scoring_run.as_of_moment(portal.time_zone, as_of, started)
    with loop.working_on(service, name) as (portal, opened):
        report = Report(portal.name, "", dry_run=True)
        report.run_id = new_run_id(started)
        Steps(service, report, started, silent).preview(portal.portal_id, opened.adapter, as_of, method)
        report.requests, report.throttled = opened.counters.requests, opened.counters.throttled
        report.seconds = seconds_since(started)
        return {**report.as_json(), "run_id": ""}


def undo(service: Service, name: str, run_id: str) -> Report:
    """Put back what a small run replaced. Raises `UnsafePlan` for a run that wrote too many cards to wait for."""
    with service.database.session() as session:
        portal = portals.working_portal(session, name)
        written = _written(session, portal.portal_id, run_id)
    if written > MOST_UNDONE:
        raise UnsafePlan(
            f"run {run_id} wrote {written} cards: more than {MOST_UNDONE} are put back by `undo {name} --run {run_id}`"
        )
    return loop.undo_run(service, name, run_id)


def _written(session: Session, portal_id: int, run_id: str) -> int:
    counted = listing.record_counts(session, portal_id, run_id)
    if counted is None:
        raise WrongUse(f"there is no run {run_id!r}")
    return counted.get("written", 0)
