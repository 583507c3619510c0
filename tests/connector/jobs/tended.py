"""A portal under a moved clock with one customer who came back, for tests of work that goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from adapters.records import ContactChannel, Contacted, CustomerRef, Manager, Team
from connector.jobs import loop, steps, tending
from connector.store.models import Portal
from tests.connector.factories import CONTACT, at, execute, order, rows, stock
from tests.fakes.memory import MemoryCRM

MONDAY = at("2026-03-02 07:00")
"""10:00 in Moscow."""
LOG = "SELECT kind FROM occasion_events WHERE occasion = :key ORDER BY number"


class Stage:
    """A portal with one customer who came back on Monday: an occasion with a task of manager 2, due in an hour."""

    def __init__(self, service, crm, database):
        self.service, self.crm, self.database = service, crm, database
        self.portal_id = rows(database, "SELECT portal_id FROM portals")[0]
        self.decide(MONDAY - timedelta(days=3))
        execute(database, "UPDATE portals SET first_run_at = now()")
        execute(database, "UPDATE occasions SET ended_at = started_at, look_at = NULL")
        execute(database, "UPDATE tasks SET state = 'refused'")
        for n in range(6):
            crm.add_order(order(f"9{n}", contact_id="1", amount=Decimal(900), at=MONDAY - timedelta(hours=1, days=n)))
        self.decide(MONDAY)
        self.key = rows(database, "SELECT key FROM occasions WHERE rule = 'came_back'")[0]

    def decide(self, now):
        loop.sync_portal(self.service, "p")
        report = steps.Report("p", steps.new_run_id(now))
        steps.Steps(self.service, report, now, steps.silent).decide(self.portal_id, None, None, kind="run", force=True)

    def at(self, now):
        return replace(self.service, now=lambda: now)

    def tend(self, now):
        return tending.tend_portal(self.at(now), self.portal_id)

    def read(self, now):
        return tending.read_back(self.at(now), self.portal_id)

    def task_id(self, key=None):
        return rows(self.database, "SELECT external_id FROM tasks WHERE key = :key", key=key or self.row("task_key"))[0]

    def row(self, column):
        return rows(self.database, f"SELECT {column} FROM occasions WHERE key = :key", key=self.key)[0]

    def log(self):
        return rows(self.database, LOG, key=self.key)

    def none_twice(self):
        """The rules of the tasks that the CRM holds; each of our rows is there once."""
        markers = [task.marker for task in self.crm.tasks.values()]
        assert len(set(markers)) == len(markers)
        made = rows(self.database, "SELECT rule, 'RFM#' || key FROM tasks WHERE state = 'created' ORDER BY rule")
        assert sorted(markers) == sorted(marker for _, marker in made)
        return [rule for rule, _ in made]

    def set(self, **settings):
        with self.database.session() as session:
            portal = session.get_one(Portal, self.portal_id)
            portal.settings = {**portal.settings, **settings}

    def call(self, external_id, now, **more):
        words = {"channel": ContactChannel.CALL, "customer": (CustomerRef(CONTACT, "1"),), "manager_id": "2"}
        self.crm.add_contact(Contacted(external_id, at=now, **{**words, **more}))


def staffed():
    """The CRM: managers 1 and 2 of one team, 9 is their lead, and the customer is 2's."""
    portal = MemoryCRM(page_size=30)
    stock(portal, last=MONDAY - timedelta(days=3, hours=2))
    portal.staff = [Manager(one, name, team_ids=("a",)) for one, name in (("1", "Anna"), ("2", "Boris"), ("9", "Lead"))]
    portal.groups = [Team("a", "A", lead_id="9")]
    portal.cards[CONTACT]["1"].record = replace(portal.cards[CONTACT]["1"].record, manager_id="2")
    return portal
