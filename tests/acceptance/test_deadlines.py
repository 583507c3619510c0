"""A week of deadlines in each sandbox CRM over HTTP, under a moved clock: what managers do there is played by hand.

The process dies after one of its commits every few rounds and begins anew, as after a kill.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from importlib import import_module
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from adapters.amocrm.adapter import AmoCRM
from adapters.bitrix24.adapter import Bitrix24
from adapters.hubspot.adapter import HubSpot
from adapters.records import CRM
from connector import wiring
from connector.config import Config
from connector.jobs import connecting, loop, steps, tending
from connector.secrets import Vault
from connector.sla.portal_rules import portal_rules
from connector.store.database import Database
from connector.store.models import Portal
from connector.wiring import Service
from sandbox.clock import ManualClock
from sandbox.faults import Faults
from sandbox.random_shop import random_shop
from sandbox.server import serve
from tests.acceptance.stage import CRMS, Stage
from tests.connector.factories import rows

KEY = "an encryption key for tests only"
TOKEN = "sandbox0token0for0tests"
PAST = timedelta(days=70)
"""How long before the week the portal is scored first, so that the week begins with moves."""


class Killed(BaseException):
    """The process ends here."""


class Week:
    """A portal in the middle of its life: on Monday at ten some loyal customers have become customers at risk."""

    def __init__(self, crm, portal, service, clock):
        self.crm, self.portal, self.service, self.clock = crm, portal, service, clock
        self.database = service.database
        self.monday = clock.now()
        self.portal_id = rows(self.database, "SELECT portal_id FROM portals")[0]
        loop.sync_portal(service, "p")
        self._team_leads()
        self._score(self.monday - PAST)
        with self.database.session() as session:
            session.execute(text("UPDATE portals SET first_run_at = now()"))
            session.execute(text("UPDATE occasions SET ended_at = started_at, look_at = NULL"))
            session.execute(text("UPDATE tasks SET state = 'refused'"))
        self._score(self.monday)
        self.deaths = 0

    def _team_leads(self):
        """Where the CRM knows no heads, the portal's settings name one: the first of the staff."""
        with self.database.session() as session:
            portal = session.get_one(Portal, self.portal_id)
            people = portal_rules(session, portal).people
            first = min(people.managers, key=int)
            teams = {team for one in people.managers.values() for team in one.team_ids}
            portal.settings = {**portal.settings, "team_leads": dict.fromkeys(sorted(teams), first), "steps_a_day": 50}

    def _score(self, now):
        report = steps.Report("p", steps.new_run_id(now))
        made = steps.Steps(self.service, report, now, steps.silent)
        made.decide(self.portal_id, None, None, kind="run", force=True)

    def news(self):
        """(occasion, task's id in the CRM, card, manager) of the news that the week begins with."""
        return rows(
            self.database,
            "SELECT w.key, t.external_id, c.kind, c.external_id, w.manager_id FROM occasions w"
            " JOIN tasks t ON t.portal_id = w.portal_id AND t.key = w.key AND t.state = 'created'"
            " JOIN customers c ON c.portal_id = w.portal_id AND c.number = w.customer"
            " WHERE w.rule = 'left_loyal' AND w.ended_at IS NULL ORDER BY w.key",
        )

    def to(self, day, hour, minute=0):
        """Move the clock to a time of a day of the week, 0 being Monday, in the portal's zone (UTC+3)."""
        wanted = datetime.combine(self.monday.date() + timedelta(days=day), time(hour, minute), UTC) - timedelta(
            hours=3
        )
        self.clock.advance((wanted - self.clock.now()).total_seconds())

    def work(self, monkeypatch, die_after=None):
        """One round of the worker; `die_after` so many commits the process ends, and another one goes on."""
        if die_after is not None:
            with _dying(monkeypatch, self.database, die_after), pytest.raises(Killed):
                self._round()
            self.deaths += 1
        self._round()

    def _round(self):
        tending.read_back(self.service, self.portal_id)
        tending.tend_portal(self.service, self.portal_id)

    def log(self, key):
        return rows(self.database, "SELECT kind FROM occasion_events WHERE occasion = :k ORDER BY number", k=key)

    def one(self, column, key):
        return rows(self.database, f"SELECT {column} FROM occasions WHERE key = :k", k=key)[0]


@contextmanager
def _dying(monkeypatch, database, commits):
    """After so many transactions nothing is done any more."""
    real, left = Database.session, [commits]

    @contextmanager
    def session(self):
        if left[0] <= 0:
            raise Killed
        with real(self) as opened:
            yield opened
        left[0] -= 1

    with monkeypatch.context() as patched:
        patched.setattr(Database, "session", session)
        yield


def _by_clock(clock):
    """Adapters that read the moved clock; Bitrix24's reads none."""

    def opened(access, transport, states):
        if access.crm is CRM.BITRIX24:
            return Bitrix24(access, transport, states)
        return {CRM.AMOCRM: AmoCRM, CRM.HUBSPOT: HubSpot}[access.crm](access, transport, states, now=clock.now)

    return opened


@pytest.fixture(params=CRMS)
def week(request, database_url, tmp_path, monkeypatch):
    today = datetime.now(UTC).date()
    monday = datetime.combine(today - timedelta(days=today.weekday() + 14), time(7), UTC)
    shop = random_shop(4, 220, 1500, monday.date())
    clock = ManualClock(monday)
    create = import_module(f"sandbox.{request.param}").create_portal
    portal = create(shop, clock=clock, limits=False, faults=Faults.none(), token=TOKEN)
    monkeypatch.setattr(wiring, "open_portal", _by_clock(clock))
    database = Database(database_url)
    with serve(portal.app, 0) as server:
        hosts = frozenset({urlsplit(server.url).netloc})
        config = Config(database_url=database_url, encryption_keys=(KEY,), var_dir=tmp_path, allowed_crm_hosts=hosts)
        service = Service(config, database, Vault((KEY,)), sleep=lambda _: None, now=clock.now)
        url = portal.connect_url(server.url)
        connecting.connect(service, CRM(request.param), "p", url=url, token=TOKEN)
        yield Week(request.param, portal, service, clock)
    database.close()


def test_a_week_of_deadlines(week, monkeypatch):
    staff = week.portal.staff
    week.work(monkeypatch, die_after=4)
    news = week.news()
    assert len(news) >= 7, "the shop has too few moves to play with"
    called, closed, moved, given, deleted, short, left = news[:7]
    week.to(0, 11)
    staff.call(called[2], int(called[3]), 95)
    staff.call(short[2], int(short[3]), 5)
    staff.close_task(int(closed[1]), "no answer")
    due = week.one("due_at", moved[0]) + timedelta(days=2)
    staff.move_task(int(moved[1]), due)
    colleague = next(one for one in sorted({one[4] for one in news}) if one != given[4])
    staff.give_task(int(given[1]), int(colleague))
    staff.delete_task(int(deleted[1]))
    week.work(monkeypatch, die_after=7)
    assert (week.one("stop", called[0]), week.one("result", called[0])) == ("contact", "reached")
    assert week.log(short[0]) == ["started", "raised", "contact"]
    assert week.one("ended_at", short[0]) is None
    assert week.log(closed[0]) == ["started", "raised", "done"]
    assert (week.log(moved[0]), week.one("due_at", moved[0])) == (["started", "raised", "postponed"], due)
    assert (week.log(given[0]), week.one("manager_id", given[0])) == (["started", "raised", "reassigned"], colleague)
    assert (week.one("stop", deleted[0]), week.one("reason", deleted[0])) == ("manual", "task_deleted")
    for day, hour, minute, deaths in (
        (0, 15, 0, None), (1, 3, 0, None), (1, 9, 5, 5), (1, 10, 10, 6), (1, 16, 0, None), (2, 11, 0, 9),
        (3, 11, 0, None), (4, 11, 0, 3), (4, 17, 30, None), (5, 12, 0, None),
    ):  # fmt: skip
        week.to(day, hour, minute)
        week.work(monkeypatch, die_after=deaths)
    _told_to_the_right_person(week, left)
    assert "/2:" in "".join(rows(week.database, "SELECT event_key FROM tasks WHERE rule = 'left_loyal'"))
    assert week.log(closed[0]).count("raised") >= 2
    assert week.log(given[0]).count("reassigned") == 1
    assert week.log(deleted[0]).count("stopped") == 1
    assert week.deaths == 6
    _no_task_twice(week)


def _told_to_the_right_person(week, left):
    """The untouched one's manager was warned and then, once, his lead told; nobody in closed time, nobody else."""
    with week.database.session() as session:
        portal = session.get_one(Portal, week.portal_id)
        rules = portal_rules(session, portal)
    told = rows(
        week.database,
        "SELECT n.tier, n.recipient, n.made_at, w.manager_id FROM sla_notices n JOIN occasions w ON w.key = n.occasion"
        " WHERE n.occasion = :k ORDER BY n.made_at",
        k=left[0],
    )
    above = rules.people.lead_above(left[4]) or rules.people.default_manager_id
    expected = [("warning", left[4])] if above == left[4] else [("warning", left[4]), ("breach", above)]
    assert [(tier, to) for tier, to, _, _ in told] == expected
    assert all(rules.calendar.is_open(at) for at in rows(week.database, "SELECT made_at FROM sla_notices"))


def _no_task_twice(week):
    """The CRM holds every task of ours once, but for the one that was deleted there."""
    keys = rows(week.database, "SELECT key FROM tasks WHERE state = 'created'")
    gone = rows(week.database, "SELECT task_key FROM occasions WHERE task_state = 'gone'")
    markers = Stage(week.crm, None, week.portal, "", {}).markers()
    assert sorted(markers) == sorted(set(keys) - set(gone))
    assert rows(week.database, "SELECT count(*) FROM tasks WHERE state IN ('planned', 'sending')") == [0]
    ids = rows(week.database, "SELECT external_id FROM tasks WHERE state = 'created'")
    assert len(set(ids)) == len(ids) == len(keys)
    assert rows(week.database, "SELECT count(*) FROM task_changes WHERE state = 'planned'") == [0]
