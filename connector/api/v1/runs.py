"""Runs: what they did card by card, asking for one, its plan beforehand, and putting one back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, jsonify, url_for
from marshmallow import fields

from connector.api.v1.callers import service
from connector.api.v1.pieces import Piece, list_of, number_place, piece, place, text_place
from connector.api.v1.portals import Progress, RunInShort, Work, work_view
from connector.api.v1.problems import not_found
from connector.api.v1.routes import Routes
from connector.api.v1.words import (
    Answer,
    Question,
    choice,
    counts,
    day,
    listed,
    many,
    moment,
    one,
    optional,
    record,
    share,
    text,
    whole,
    words,
)
from connector.jobs import asking, running, schedule
from connector.store import listing, portals
from connector.store.listing import ListedRecord
from connector.store.models import RunRow

routes = Routes("runs", url_prefix="/api/v1/portals/<portal>", description="Runs, their plans and undoing")
_STATES = ("written", "refused", "invalid", "planned", "superseded")
_FIGURES = (
    *("customers", "orders", "scored", "moved", "written", "unchanged", "refused", "invalid", "tasks_created"),
    *("requests", "throttled"),
)


class RunsAsked(Piece):
    """Which runs."""

    kind = words("Only of this kind: run, score, writeback, tasks, retry, undo.", "run")


class RecordsAsked(Piece):
    """Which cards of a run."""

    state = choice("Only with this end.", *_STATES)


class RunView(RunInShort):
    """A run."""

    as_of = day("As of which day it scored.")
    method = text("With which version.", "sales5@1", allow_none=True)
    figures = counts("What it did.", {"scored": 500, "written": 41, "refused": 0, "requests": 12})
    segments = counts("Scored customers by segment.", {"vip": 60, "loyal": 120})
    seconds = share("How long it took.", 12.3, allow_none=True)
    reason = text("Why it was stopped or failed.", None)


class RunWhole(RunView):
    """A run with what became of its cards."""

    records = counts("Cards of its plan by what became of them, while changes are kept.", {"written": 41})
    progress = one(Progress, "Null when it is not under way.", allow_none=True)


class Record(Answer):
    """A card of a run's plan."""

    customer = text("Kind and id in the CRM.", "company:45")
    state = text("What became of it.", "written")
    field = text("The field that was refused.", None)
    reason = text("Why.", None)
    values = record("What it was to hold.", {"segment": "vip"})
    before = record("What it held.", {"segment": "loyal"})
    settled_at = moment("When it was written or refused.", None)


class Asked(Answer):
    """What was asked for, and where it is."""

    work = one(Work, "The background work.")
    progress = one(Progress, "Of the run that is open.", allow_none=True)


class PlanAsked(Question):
    """What to plan."""

    as_of = day("Score as of the end of this day; without it now.", allow_none=False)
    method = words("With this method; without it the one in force.", "sales5")


class NewField(Answer):
    """A field, option or group that would be made in the CRM."""

    kind = choice("On which cards.", "contact", "company")
    key = text("Which field.", "segment")
    action = text("What would be done.", "create")
    detail = text("How.", "rfm_segment")


class PlannedCard(Answer):
    """A card that would change."""

    customer = text("Kind and id in the CRM.", "company:45")
    change = record("Field → what it holds and what it would hold.", {"segment": ["loyal", "vip"]})


class Plan(Answer):
    """What would be written and raised."""

    cards = whole("Cards to write.", 41)
    contacts = whole("Contacts among them.", 30)
    companies = whole("Companies among them.", 11)
    values = whole("Values on them.", 160, attribute="fields", data_key="fields")
    segments_changing = whole("Cards whose segment becomes another.", 12)
    requests = whole("Requests that take.", 3)
    minutes_of_quota = share("Minutes of the portal's quota.", 0.1)
    new_fields = many(NewField, "What is missing in the CRM.")
    sample = many(PlannedCard, "The first cards.")
    tasks = whole("Tasks that would be created.", 9)


class DryRun(Answer):
    """A run that was only thought through, on the history stored so far."""

    portal = text("Name of the portal.", "north")
    as_of = day("As of which day.")
    method = text("With which version; a name alone is one that would be published first.", "sales5@1")
    customers = whole("Known customers.", 500)
    orders = whole("Known orders.", 2100)
    scored = whole("Scored customers.", 480)
    moved = whole("Customers who would change segment.", 12)
    unchanged = whole("Scored cards that hold the values already.", 439)
    segments = counts("Scored customers by segment.", {"vip": 60})
    weak = listed(fields.String(), "What is weak about the fit.")
    thin = listed(fields.String(), "What data are too thin for.")
    plan = one(Plan, "What would be written and raised.")
    requests = whole("Requests sent to the CRM for it; none changed anything.", 1)
    seconds = share("How long it took.", 0.8)


class Refusal(Answer):
    """A record that was not written."""

    customer = text("Kind and id in the CRM.", "company:45", allow_none=True)
    field = text("Which field.", "segment", allow_none=True)
    reason = text("Why.", "the option does not exist", allow_none=True)


class Written(Answer):
    """A run of a retry or an undo."""

    portal = text("Name of the portal.", "north")
    run_id = text("Id of this run; empty where there was nothing to do.", "20261124T093000-0a1b2c")
    written = whole("Cards written.", 3)
    refused = many(Refusal, "Cards that the CRM refused.")
    invalid = many(Refusal, "Cards that were not sent.")
    requests = whole("Requests sent to the CRM.", 2)
    seconds = share("How long it took.", 0.8)
    left_alone = optional(whole("Cards that somebody has changed since, left as they are.", 0))


@routes.offer("GET", "/runs", scope="read", answer=list_of(RunView, "RunPiece"), query=RunsAsked)
def list_runs(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """Runs, the newest first."""
    before = place(asked, text_place)
    with service().database.session() as session:
        found = portals.portal_named(session, portal)
        rows = listing.runs_before(session, found.portal_id, before, asked["limit"] + 1, kind=asked.get("kind"))
    return piece(rows, asked, run_view, lambda row: [row.run_id])


@routes.offer("POST", "/runs", scope="run", answer=Asked, status=202, refuses=(409, 422))
def ask_for_run(portal: str) -> Response:
    """Ask for a run in the background.

    Asking twice for what waits changes nothing. `Location` is the portal's background work.
    """
    opened = service()
    asking.ask_for_run(opened, portal)
    with opened.database.session() as session:
        found = portals.portal_named(session, portal)
        row = next(row for row in listing.work_of(session, found.portal_id) if row.job == schedule.RUN)
        progress = running.progress_of(session, found.portal_id, opened.now())
        answer = jsonify(Asked().dump({"work": work_view(row), "progress": progress}))
    answer.status_code = 202
    answer.headers["Location"] = url_for("api-portals.list_work", portal=portal)
    return answer


@routes.offer("GET", "/runs/<run>", scope="read", answer=RunWhole)
def get_run(portal: str, run: str) -> dict[str, Any]:
    """One run with its figures and how far it is."""
    opened = service()
    with opened.database.session() as session:
        found = portals.portal_named(session, portal)
        row = listing.run_of(session, found.portal_id, run)
        records = listing.record_counts(session, found.portal_id, run)
        if row is None or records is None:
            raise not_found("run")
        progress = running.progress_of(session, found.portal_id, opened.now())
    mine = progress if progress is not None and progress.run_id == run else None
    return {**run_view(row), "records": records, "progress": mine}


@routes.offer("GET", "/runs/<run>/records", scope="read", answer=list_of(Record, "RecordPiece"), query=RecordsAsked)
def list_records(asked: Mapping[str, Any], portal: str, run: str) -> dict[str, Any]:
    """The cards of a run, one by one, with what stood there before; while changes are kept."""
    after = place(asked, number_place)
    with service().database.session() as session:
        found = portals.portal_named(session, portal)
        if listing.run_of(session, found.portal_id, run) is None:
            raise not_found("run")
        rows = listing.records_after(session, found.portal_id, run, after, asked["limit"] + 1, state=asked.get("state"))
    return piece(rows, asked, _record, lambda row: [row.number])


@routes.offer("POST", "/runs/<run>/undo", scope="run", answer=Written, refuses=(409, 422, 502))
def undo_run(portal: str, run: str) -> dict[str, Any]:
    """Put back what a run replaced, where the card still holds what it wrote.

    For runs of up to 2,000 cards; 409 for larger ones, which take the command line.
    """
    with service().database.session() as session:
        found = portals.portal_named(session, portal)
        if listing.run_of(session, found.portal_id, run) is None:
            raise not_found("run")
    report = asking.undo(service(), portal, run).as_json()
    return {**report, "left_alone": (report["plan"] or {}).get("left_alone", 0)}


@routes.offer("POST", "/plan", scope="run", answer=DryRun, body=PlanAsked, refuses=(409, 502))
def plan_run(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """What a run would score, write and raise, on the history stored so far. Changes nothing, here or in the CRM."""
    return asking.preview(service(), portal, as_of=asked.get("as_of"), method=asked.get("method"))


def run_view(row: RunRow) -> dict[str, Any]:
    """A run for `RunView`."""
    figures = row.counts
    return {
        **{name: getattr(row, name) for name in ("run_id", "kind", "state", "started_at", "finished_at", "as_of")},
        "method": row.method,
        "figures": {name: int(figures[name]) for name in _FIGURES if isinstance(figures.get(name), int | float)},
        "segments": figures.get("segments") or {},
        "seconds": figures.get("seconds"),
        "reason": figures.get("reason"),
    }


def _record(row: ListedRecord) -> dict[str, Any]:
    names = ("state", "field", "reason", "values", "before", "settled_at")
    return {"customer": f"{row.kind}:{row.external_id}", **{name: getattr(row, name) for name in names}}
