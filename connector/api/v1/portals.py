"""Portals: how they stand, their settings, their background work, staff."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate
from sqlalchemy.orm import Session

from connector.api.v1.callers import only_portal, service
from connector.api.v1.pieces import Piece, list_of, piece, place, text_place
from connector.api.v1.routes import Routes
from connector.api.v1.words import Answer, Question, choice, flag, listed, many, moment, one, record, share, text, whole
from connector.jobs import connecting, health, run_alarms, running
from connector.jobs import settings as portal_settings
from connector.store import listing, overview
from connector.store import portals as stored
from connector.store.models import ManagerRow, Portal, TeamRow, WorkRow

routes = Routes("portals", url_prefix="/api/v1/portals", description="Portals, their settings and staff")
STATES = ("active", "paused", "disconnected")


class HealthParts(Answer):
    """Each part 0–100."""

    success = whole("Cards that could be written.", 100)
    errors = whole("Refusals, against the runs before.", 100)
    latency = whole("Time of the last run, against the runs before.", 100)
    freshness = whole("Age of the last run, against the portal's rhythm.", 100)


class Health(Answer):
    """How well the portal is kept up to date."""

    score = whole("0–100.", 97)
    band = choice("In one word.", "good", "fair", "poor", "bad")
    parts = one(HealthParts, "What it is made of.")


class RunInShort(Answer):
    """A run in short."""

    run_id = text("Id of the run.", "20261124T030001-4f1c2a")
    kind = text("What kind of run.", "run")
    state = text("running, open, done, done_with_refusals, stopped, failed or interrupted.", "done")
    started_at = moment("When it began.")
    finished_at = moment("When it ended, null while it goes on.", None)


class Progress(Answer):
    """How far an open run is."""

    run_id = text("Id of the run.", "20261124T030001-4f1c2a")
    stage = choice("Where it is.", "pull", "decide", "write", "tasks")
    done = whole("Records done in this stage.", 1200)
    total = whole("Records of this stage, where it is known.", None)
    percent = share("Share of this stage in per cent, where it is known.", None)
    remaining_s = share("Seconds that this stage will still take, where it is known.", None)


class PortalView(Answer):
    """A portal and how it stands."""

    portal = text("Its name.", "north")
    crm = choice("Its CRM.", "hubspot", "bitrix24", "amocrm")
    account = text("Id of the account in the CRM.", "4455667")
    host = text("Where its API is called.", "api.hubapi.com")
    state = choice("Whether it is worked on.", *STATES)
    state_reason = text("Why it is paused.", None)
    time_zone = text("Its time zone.", "Europe/Moscow")
    currency = text("Its base currency.", "RUB")
    language = choice("Of labels, hints and tasks.", "ru", "en")
    method = text("The method version in force.", "sales5@1", allow_none=True)
    last_sync = moment("When it was last read.", None)
    working = flag("Whether somebody works on it at this moment.")
    health = one(Health, "Null before the first run.", allow_none=True)
    last_run = one(RunInShort, "The newest run.", allow_none=True)


class PortalWhole(PortalView):
    """A portal with the progress of its run."""

    progress = one(Progress, "Of the run that is open.", allow_none=True)


class Settings(Answer):
    """A portal's settings; what is not there has its default."""

    portal = text("Name of the portal.", "north")
    settings = record("By name.", {"language": "ru", "daily_budget": 10})


class SettingsChange(Question):
    """What to change. All of it, or nothing where one value makes no sense."""

    settings = fields.Dict(
        keys=fields.String(validate=validate.OneOf(sorted(portal_settings.KNOWN))),
        values=fields.Raw(allow_none=True),
        required=True,
        validate=validate.Length(1, 50),
        metadata={"description": "By name; null takes a value back to its default.", "example": {"daily_budget": 12}},
    )


class Work(Answer):
    """One kind of background work."""

    job = text("What it is: run, pull, full, drain, setup, answers.", "run")
    state = choice("Whether it is wanted.", "idle", "asked", "failing")
    due_at = moment("When it is next due.", None)
    asked_at = moment("Since when it is wanted.", None)
    progressed_at = moment("When some of it was last done.", None)
    done_at = moment("When all of it was last done.", None)
    failures = whole("Failures in a row.", 0)
    error = text("The last failure.", None)


class WorkOfPortal(Answer):
    """Background work of a portal."""

    items = many(Work, "By name.")


class Manager(Answer):
    """A member of staff."""

    id = text("Id in the CRM.", "7")
    name = text("Name.", "Anna Petrova")
    active = flag("Whether he still works there.", example=True)
    teams = listed(fields.String(), "Ids of his teams.")


class Team(Answer):
    """A group of staff."""

    id = text("Id in the CRM.", "3")
    name = text("Name.", "North")
    lead = text("Id of its lead.", None)
    parent = text("Id of the team above it.", None)


@routes.offer("GET", "", scope="read", answer=list_of(PortalView, "PortalPiece"), query=Piece)
def list_portals(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The portals that the token is for, by name."""
    with service().database.session() as session:
        after = place(asked, text_place)
        rows = listing.portals_after(session, after, asked["limit"] + 1, only=only_portal())
        views = views_of(session, rows)
    return piece(rows, asked, lambda portal: views[portal.portal_id], lambda portal: [portal.name])


@routes.offer("GET", "/<portal>", scope="read", answer=PortalWhole)
def get_portal(portal: str) -> dict[str, Any]:
    """One portal: state, health, last run, progress."""
    with service().database.session() as session:
        found = stored.portal_named(session, portal)
        progress = running.progress_of(session, found.portal_id, service().now())
        return {**views_of(session, [found])[found.portal_id], "progress": progress}


@routes.offer("GET", "/<portal>/settings", scope="read", answer=Settings)
def get_settings(portal: str) -> dict[str, Any]:
    """A portal's settings."""
    return portal_settings.show(service(), portal)


@routes.offer("PATCH", "/<portal>/settings", scope="settings", answer=Settings, body=SettingsChange, refuses=(409,))
def change_settings(change: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """Change settings, with the checks of the command line; noted in the audit trail."""
    return portal_settings.put(service(), portal, change["settings"])


@routes.offer("GET", "/<portal>/work", scope="read", answer=WorkOfPortal)
def list_work(portal: str) -> dict[str, Any]:
    """Background work: what is wanted, due and failing."""
    with service().database.session() as session:
        found = stored.portal_named(session, portal)
        return {"items": [work_view(row) for row in listing.work_of(session, found.portal_id)]}


@routes.offer("GET", "/<portal>/managers", scope="read", answer=list_of(Manager, "ManagerPiece"), query=Piece)
def list_managers(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """Staff, by id."""
    with service().database.session() as session:
        found = stored.portal_named(session, portal)
        rows = listing.managers_after(session, found.portal_id, place(asked, text_place), asked["limit"] + 1)
    return piece(rows, asked, _manager, lambda row: [row.external_id])


@routes.offer("GET", "/<portal>/teams", scope="read", answer=list_of(Team, "TeamPiece"), query=Piece)
def list_teams(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """Teams, by id."""
    with service().database.session() as session:
        found = stored.portal_named(session, portal)
        rows = listing.teams_after(session, found.portal_id, place(asked, text_place), asked["limit"] + 1)
    return piece(rows, asked, _team, lambda row: [row.external_id])


def views_of(session: Session, portals: Any) -> dict[int, dict[str, Any]]:
    """Portals by id for `PortalView`, in as many queries for many as for one."""
    ids = [portal.portal_id for portal in portals]
    activity, histories, now = overview.activity(session, ids), run_alarms.histories(session, ids), service().now()

    def view(portal: Portal) -> dict[str, Any]:
        return {
            **connecting.view(portal),
            "working": portal.portal_id in activity.working,
            "health": health.view(portal, histories.get(portal.portal_id), now),
            "last_run": activity.last_run.get(portal.portal_id),
        }

    return {portal.portal_id: view(portal) for portal in portals}


def work_view(row: WorkRow) -> dict[str, Any]:
    """A row of work for `Work`."""
    state = "failing" if row.failures else "asked" if row.asked_at is not None else "idle"
    names = ("job", "due_at", "asked_at", "progressed_at", "done_at", "failures", "error")
    return {"state": state, **{name: getattr(row, name) for name in names}}


def _manager(row: ManagerRow) -> dict[str, Any]:
    return {"id": row.external_id, "name": row.name, "active": row.active, "teams": row.team_ids}


def _team(row: TeamRow) -> dict[str, Any]:
    return {"id": row.external_id, "name": row.name, "lead": row.lead_id, "parent": row.parent_id}
