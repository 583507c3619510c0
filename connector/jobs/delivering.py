"""Trying again what could not be written, and the card of one customer with where its values are from."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from adapters.records import CustomerRef
from connector.errors import WrongUse
from connector.jobs.loop import working_on
from connector.jobs.steps import Progress, Report, Steps, fields_for, new_run_id, seconds_since, silent
from connector.scores import run as scoring_run
from connector.scores.staging import hints_for, versions_written
from connector.store import changes, delivery, letters, portals, scores
from connector.store.models import CustomerRow, Portal
from connector.wiring import Service
from scoring.methods import MethodVersion

RETRY = "retry"


def refused(service: Service, name: str) -> dict[str, Any]:
    """What waits because it could not be written, the longest first, and how much it is in all.

    `unread` are records that webhooks spoke of and that could not be read.
    """
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
        found = letters.waiting(session, portal.portal_id)
        depth = {state: count for one, state, count in letters.depths(session) if one == portal.portal_id}
        unread = [
            {
                "record": f"{row.resource}:{row.external_id}",
                "reason": row.reason,
                "first_at": row.first_at.isoformat(timespec="seconds"),
            }
            for row in letters.unread(session, portal.portal_id)
        ]
    return {
        "portal": name,
        "depth": sum(depth.values()),
        "refused": depth.get("refused", 0),
        "invalid": depth.get("invalid", 0),
        "waiting": [
            {
                "customer": f"{letter.kind}:{letter.external_id}",
                **{key: value for key, value in asdict(letter).items() if key in {"state", "field", "reason", "times"}},
                "first_at": letter.first_at.isoformat(timespec="seconds"),
                "last_at": letter.last_at.isoformat(timespec="seconds"),
            }
            for letter in found
        ],
        "unread": unread,
    }


def retry(service: Service, name: str, *, dry_run: bool = False, progress: Progress = silent) -> Report:
    """Try again what waits, with today's values and nothing else. Sends nothing when nothing waits or in a dry run.

    Records that could not be read are left to the worker, which is to look at them at once.

    A run that is under way leaves these cards to this one. Raises `CRMError`; what is not settled then stays planned.
    """
    started = datetime.now(UTC)
    with working_on(service, name) as (portal, opened):
        report = Report(portal.name, "" if dry_run else new_run_id(started), dry_run=dry_run)
        steps = Steps(service, report, started, progress)
        version = steps.last_scores(portal.portal_id)
        with service.database.session() as session:
            waiting = [letter.customer for letter in letters.waiting(session, portal.portal_id)]
            if not dry_run:
                letters.read_again(session, portal.portal_id, started)
            else:
                report.plan = _plan(session, portal, version, waiting)
        if waiting and not dry_run:
            fields = fields_for(service, portal, opened.adapter, version.name)
            with service.database.session() as session:
                _start(session, portal, report.run_id, version, waiting, started)
            steps.write(portal.portal_id, opened.adapter, fields)
        report.requests, report.throttled = opened.counters.requests, opened.counters.throttled
        report.seconds = seconds_since(started)
        if waiting and not dry_run:
            steps.finish(portal.portal_id)
        return report


def card(service: Service, name: str, customer: str) -> dict[str, Any]:
    """What one card holds, and of each value the run, method version and moment that wrote it, and what it replaced.

    Raises `WrongUse` for words that are no customer, and for one that is not known.
    """
    try:
        ref = CustomerRef.parse(customer)
    except ValueError:
        raise WrongUse(f"{customer!r} is no customer: write it like company:45 or contact:123") from None
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
        row = session.scalar(
            select(CustomerRow).where(
                CustomerRow.portal_id == portal.portal_id,
                CustomerRow.kind == ref.kind.value,
                CustomerRow.external_id == ref.external_id,
            )
        )
        if row is None:
            raise WrongUse(f"{name} knows no {ref}")
        written = delivery.values_of(session, portal.portal_id, row.number)
        return {
            "portal": name,
            "customer": str(ref),
            "values": [_value(key, row.card.get(key), written.get(key)) for key in sorted({*row.card, *written})],
        }


def _value(key: str, held: Any, written: dict[str, Any] | None) -> dict[str, Any]:
    """`by` is `us` where the card holds what we wrote, `others` where it does not, `unknown` where nothing is kept."""
    if written is None:
        return {"field": key, "value": held, "by": "unknown"}
    at = written["written_at"]
    return {
        "field": key,
        "value": held,
        "by": "us" if held == written["value"] else "others",
        "written": written["value"],
        "previous": written["previous"],
        "run": written["run"],
        "method": written["method"],
        "written_at": at.isoformat(timespec="seconds") if at else None,
    }


def _plan(session: Session, portal: Portal, version: MethodVersion, waiting: list[int]) -> dict[str, Any]:
    hints = hints_for(versions_written(session, portal, version), portal.language)
    found = changes.preview(session, portal.portal_id, hints, letters.MOST, only=waiting)
    return {
        "cards": len(found),
        "sample": [
            {"customer": str(ref), "change": {key: [before.get(key), value] for key, value in values.items()}}
            for ref, values, before in found
        ],
    }


def _start(
    session: Session, portal: Portal, run_id: str, version: MethodVersion, waiting: list[int], now: datetime
) -> None:
    day = scoring_run.as_of_moment(portal.time_zone, None, now).day
    run = scores.start_run(session, portal.portal_id, run_id, RETRY, day, now, beside=waiting)
    run.method = version.label
    hints = hints_for(versions_written(session, portal, version), portal.language)
    changes.make_plan(session, portal.portal_id, run_id, hints, now, only=waiting)
