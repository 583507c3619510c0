"""What was delivered, what waits, what is wrong, who changed what, and what was sent to the CRM."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from marshmallow import fields

from connector.api.v1.callers import only_portal, service
from connector.api.v1.pieces import (
    MOST,
    Piece,
    day_place,
    list_of,
    moment_place,
    number_place,
    piece,
    place,
    text_place,
    whole_place,
)
from connector.api.v1.routes import Routes
from connector.api.v1.runs import Written
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
    record,
    text,
    whole,
    words,
)
from connector.jobs import delivering
from connector.jobs.alarm_texts import alarm_text
from connector.scores.report import delivery_report
from connector.store import alerts, letters, listing, portals
from connector.store.listing import ListedLetter, ListedTask
from connector.store.models import AlertRow, AuditRow, Portal, RequestRow

routes = Routes("delivery", url_prefix="/api/v1", description="Delivery, tasks, alerts, audit, requests")
_OF_PORTAL = "/portals/<portal>"
_REQUEST_DAYS = timedelta(days=3)
_TASK_STATES = ("planned", "sending", "created", "refused")


class TasksAsked(Piece):
    """Which tasks."""

    state = choice("Only in this state.", *_TASK_STATES)
    manager = words("Only this manager's: his id in the CRM.", "7")


class ReportAsked(Question):
    """Of which day."""

    day = day("The day of the runs; without it the last one.", allow_none=False)


class AuditAsked(Piece):
    """Which lines."""

    since = moment("Only from this moment on.", allow_none=False)


class Task(Answer):
    """A task for a manager."""

    key = text("Its own key, which the CRM's task has too.", "a1b2c3d4")
    customer = text("Kind and id in the CRM.", "company:45")
    rule = text("The rule that raised it.", "soft_touch")
    title = text("What it is about.", "Say hello")
    manager = text("Id of the manager.", None)
    priority = text("How pressing it is.", "low")
    due_at = moment("Its deadline.")
    raised_on = day("When it was raised.")
    state = text("planned, sending, created or refused.", "created")
    reason = text("Why it was refused.", None)
    crm_id = text("Id of the task in the CRM.", None)
    run_id = text("The run that raised it.", "20261124T030001-4f1c2a")


class Waiting(Answer):
    """A card that could not be written and waits."""

    customer = text("Kind and id in the CRM.", "company:45")
    state = choice("Who stopped it: the CRM refused, or we did not send it.", "refused", "invalid")
    field = text("The field.", None)
    reason = text("Why.", None)
    times = whole("Runs that tried.", 2)
    run_id = text("The last of them.", "20261124T030001-4f1c2a")
    first_at = moment("Since when.")
    last_at = moment("The last try.")


class UnreadRecord(Answer):
    """A record that a webhook spoke of and that could not be read; tried again once a day."""

    record = text("Kind and id in the CRM.", "deal:1001")
    reason = text("Why.", "the record has no time of closing", allow_none=True)
    first_at = moment("Since when.")


class Unread(Answer):
    """Records that could not be read."""

    items = many(UnreadRecord, "Those that wait longest first, up to 500.")


class MoveSum(Answer):
    """Customers who went from one segment to another for one cause."""

    was = text("From which segment.", "loyal", data_key="from")
    now = text("To which.", "at_risk", data_key="to")
    cause = text("Why.", "time")
    customers = whole("How many.", 17)


class MoverOfDay(Answer):
    """One of them."""

    customer = text("Kind and id in the CRM.", "company:45")
    was = text("From which segment.", "loyal", data_key="from")
    now = text("To which.", "at_risk", data_key="to")
    cause = text("Why, null where it was not looked for.", "time", allow_none=True)


class Reason(Answer):
    """Cards that were not written for one reason."""

    field = text("The field.", "segment", allow_none=True)
    reason = text("Why; numbers are blanked.", "the option # does not exist")
    cards = whole("How many.", 3)


class Unrefreshed(Answer):
    """Customers who were not refreshed."""

    days = whole("Older than so many days.", 8)
    scores = whole("Old scores.", 0)
    cards = whole("Old cards.", 0)
    of = whole("Of so many.", 480)


class CoWriter(Answer):
    """A field of ours that somebody else changed in the last week."""

    field = text("Which.", "segment")
    customers = whole("On how many cards.", 2)
    last_at = moment("When last.")


class Quota(Answer):
    """Requests of the last day."""

    requests = whole("Sent.", 120)
    throttled = whole("Answered with “slow down”.", 2)


class Report(Answer):
    """What was delivered on a day."""

    day = day("Which day; null before the first run.", None)
    runs = listed(fields.String(), "Ids of its runs.")
    moved = whole("Customers who changed segment.", 17)
    by_cause = counts("The same by cause.", {"time": 17})
    jumps = whole("Those of them without an event.", 0)
    moves = many(MoveSum, "Where from, where to, and why.")
    customers = many(MoverOfDay, "The first of them, the unexplained ones first.")
    written = whole("Cards written.", 41)
    refused = many(Reason, "Cards that the CRM refused.")
    invalid = many(Reason, "Cards that were not sent.")
    waiting = whole("Cards that wait now.", 0)
    unrefreshed = one(Unrefreshed, "What is old.")
    cowriters = many(CoWriter, "Who else writes.")
    quota = one(Quota, "What it cost.")


class Alert(Answer):
    """Something that is not as it should be."""

    portal = text("Name of the portal; null for the service.", "north", allow_none=True)
    kind = text("What kind.", "refused")
    about = text("About what.", "")
    since = moment("Since when.")
    last_at = moment("Last looked at.")
    detail = record("Figures.", {"refused": 9, "of": 40})
    text = text("In words, in the portal's language.", "the CRM refused 9 of 40 cards")


class Alerts(Answer):
    """What is wrong now."""

    items = many(Alert, "The oldest first.")


class AuditLine(Answer):
    """Who did what."""

    id = whole("Its number.", 812)
    at = moment("When.")
    actor = text("Who: `cli:anna`, `token:warehouse`, `job:run`, `page`.", "token:warehouse")
    action = text("What.", "settings.changed")
    detail = record("What was before and after.", {"daily_budget": [10, 12]})


class RequestSum(Answer):
    """Requests of one operation with one kind of answer in an hour. No payload and no record's id is kept."""

    hour = moment("The hour's beginning.", "2026-11-24T09:00:00Z")
    operation = text("What was called.", "POST /crm/v3/objects/contacts/batch/update")
    status = text("Kind of answer.", "2xx")
    count = whole("How many.", 40)
    mean_ms = whole("How long one took in the mean.", 210)


@routes.offer("GET", f"{_OF_PORTAL}/tasks", scope="read", answer=list_of(Task, "TaskPiece"), query=TasksAsked)
def list_tasks(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """Tasks, those raised last first."""
    before = place(asked, day_place, text_place)
    with service().database.session() as session:
        found = portals.portal_named(session, portal)
        rows = listing.tasks_before(
            session,
            found.portal_id,
            before,
            asked["limit"] + 1,
            state=asked.get("state"),
            manager=asked.get("manager"),
        )
    return piece(rows, asked, _task, lambda row: [row.raised_on, row.key])


@routes.offer("GET", f"{_OF_PORTAL}/refused", scope="read", answer=list_of(Waiting, "WaitingPiece"), query=Piece)
def list_refused(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """Cards that could not be written and wait."""
    after = place(asked, number_place)
    with service().database.session() as session:
        found = portals.portal_named(session, portal)
        rows = listing.letters_after(session, found.portal_id, after, asked["limit"] + 1)
    return piece(rows, asked, _waiting, lambda row: [row.number])


@routes.offer("GET", f"{_OF_PORTAL}/unread", scope="read", answer=Unread)
def list_unread(portal: str) -> dict[str, Any]:
    """Records that webhooks spoke of and that could not be read."""
    with service().database.session() as session:
        found = portals.portal_named(session, portal)
        rows = letters.unread(session, found.portal_id, MOST)
    return {
        "items": [
            {"record": f"{row.resource}:{row.external_id}", "reason": row.reason, "first_at": row.first_at}
            for row in rows
        ]
    }


@routes.offer("POST", f"{_OF_PORTAL}/refused/retry", scope="run", answer=Written, refuses=(409, 422, 502))
def retry_refused(portal: str) -> dict[str, Any]:
    """Try the cards that wait once more, with today's values."""
    return delivering.retry(service(), portal).as_json()


@routes.offer("GET", f"{_OF_PORTAL}/report", scope="read", answer=Report, query=ReportAsked)
def get_report(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """The delivery report of a day: who moved and why, what was refused, what is old, who else writes."""
    opened = service()
    with opened.database.session() as session:
        found = portals.portal_named(session, portal)
        report = delivery_report(session, found, asked.get("day"), opened.now())
    return dict(_NOTHING) if report is None else _plain(report.as_json())


@routes.offer("GET", "/alerts", scope="read", answer=Alerts)
def list_alerts() -> dict[str, Any]:
    """What is wrong now, in all portals that the token is for and, for a token of all, in the service."""
    with service().database.session() as session:
        rows = alerts.open_alerts(session, only_portal())
        names = {portal.portal_id: portal for portal in portals.all_portals(session)} if rows else {}
    return {"items": [_alert(row, names.get(row.portal_id)) for row in rows]}


@routes.offer("GET", f"{_OF_PORTAL}/alerts", scope="read", answer=Alerts)
def list_alerts_of_portal(portal: str) -> dict[str, Any]:
    """What is wrong now in one portal."""
    with service().database.session() as session:
        found = portals.portal_named(session, portal)
        return {"items": [_alert(row, found) for row in alerts.open_alerts(session, found.portal_id)]}


@routes.offer("GET", f"{_OF_PORTAL}/audit", scope="admin", answer=list_of(AuditLine, "AuditPiece"), query=AuditAsked)
def list_audit(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """Who changed settings, methods, cards and tokens, the newest first."""
    before = place(asked, whole_place)
    with service().database.session() as session:
        found = portals.portal_named(session, portal)
        rows = listing.audit_before(session, found.portal_id, before, asked["limit"] + 1, since=asked.get("since"))
    return piece(rows, asked, _audit, lambda row: [row.entry_id])


@routes.offer("GET", f"{_OF_PORTAL}/requests", scope="read", answer=list_of(RequestSum, "RequestPiece"), query=Piece)
def list_requests(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """What was sent to the CRM in the last three days, hour by hour, the newest first."""
    opened, before = service(), place(asked, moment_place, text_place, text_place)
    since = (opened.now() - _REQUEST_DAYS).replace(minute=0, second=0, microsecond=0)
    with opened.database.session() as session:
        found = portals.portal_named(session, portal)
        rows = listing.requests_before(session, found.portal_id, before, asked["limit"] + 1, since=since)
    return piece(rows, asked, _request, lambda row: [row.hour, row.operation, row.status])


def _task(row: ListedTask) -> dict[str, Any]:
    names = ("key", "rule", "title", "priority", "due_at", "raised_on", "state", "reason", "crm_id", "run_id")
    shown = {name: getattr(row, name) for name in names}
    return {"customer": f"{row.kind}:{row.external_id}", "manager": row.manager_id, **shown}


def _waiting(row: ListedLetter) -> dict[str, Any]:
    names = ("state", "field", "reason", "times", "run_id", "first_at", "last_at")
    return {"customer": f"{row.kind}:{row.external_id}", **{name: getattr(row, name) for name in names}}


def _plain(report: dict[str, Any]) -> dict[str, Any]:
    """`from` and `to` are no names of Python."""
    sides = {
        key: [{**one, "was": one["from"], "now": one["to"]} for one in report[key]] for key in ("moves", "customers")
    }
    return {**report, **sides}


def _alert(row: AlertRow, portal: Portal | None) -> dict[str, Any]:
    language = portal.language if portal is not None else "en"
    return {
        **{name: getattr(row, name) for name in ("kind", "about", "since", "last_at", "detail")},
        "portal": portal.name if portal is not None else None,
        "text": alarm_text(row.kind, row.about, row.detail, language),
    }


def _audit(row: AuditRow) -> dict[str, Any]:
    return {"id": row.entry_id, "at": row.at, "actor": row.actor, "action": row.action, "detail": row.detail}


def _request(row: RequestRow) -> dict[str, Any]:
    shown = {name: getattr(row, name) for name in ("hour", "operation", "status", "count")}
    return {**shown, "mean_ms": round(row.ms / row.count) if row.count else 0}


_NOTHING: Mapping[str, Any] = {
    "day": None,
    **dict.fromkeys(("runs", "moves", "customers", "refused", "invalid", "cowriters"), ()),
    **dict.fromkeys(("moved", "jumps", "written", "waiting"), 0),
    "by_cause": {},
    "unrefreshed": {"days": 0, "scores": 0, "cards": 0, "of": 0},
    "quota": {"requests": 0, "throttled": 0},
}
