"""Occasions as scoring opens and feeds them: with their task or not at all, each fact once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from adapters.records import CustomerRef, OrderStatus
from connector.jobs import loop
from connector.sla.events import Kind
from connector.sla.logbook import event_of, live_of
from connector.store import occasions
from tests.connector.factories import CONTACT, DEALS, connected, dump, execute, order, rows, stock
from tests.fakes.memory import MemoryCRM

LOG = "SELECT kind, source FROM occasion_events WHERE occasion = :key ORDER BY number"


@pytest.fixture
def crm():
    portal = MemoryCRM(page_size=30)
    stock(portal)
    return portal


@pytest.fixture
def service(monkeypatch, database, tmp_path, crm):
    with connected(monkeypatch, database, tmp_path, crm) as opened:
        yield opened


def run(service):
    return loop.run_portal(service, "p")


def occasion_of(database, external_id):
    found = rows(
        database,
        "SELECT w.key FROM occasions w JOIN customers c ON c.number = w.customer AND c.portal_id = w.portal_id"
        " WHERE c.external_id = :id AND w.ended_at IS NULL ORDER BY started_at DESC LIMIT 1",
        id=external_id,
    )
    return found[0]


def test_every_task_of_a_run_has_its_occasion_with_clocks_frozen_and_a_second_run_adds_nothing(database, service):
    assert run(service).tasks_created == 12
    begun = rows(database, "SELECT key, rule, manager_id, due_at, task_key FROM occasions ORDER BY key")
    assert begun == rows(database, "SELECT key, rule, manager_id, due_at, key FROM tasks ORDER BY key")
    with database.session() as session:
        for held in occasions.all_open(session, held_portal(database)):
            live = live_of(held, "hubspot:1")
            assert [event.kind for event in live.log] == [Kind.STARTED, Kind.RAISED]
            assert live.log[0].targets
            assert held.row.policy == live.log[0].targets[0].policy
            assert held.row.playbook.startswith("default@")
    before = dump(database, "runs", "audit", "request_log", "budgets", "delivery_facts", "portals", "cursors")
    run(service)
    after = dump(database, "runs", "audit", "request_log", "budgets", "delivery_facts", "portals", "cursors")
    for table in ("occasions", "occasion_events", "tasks"):
        assert after[table] == before[table]


def held_portal(database):
    return rows(database, "SELECT portal_id FROM portals")[0]


def test_an_order_a_reopened_deal_and_a_vanished_card_are_put_down_once(database, service, crm):
    run(service)
    key = occasion_of(database, "1")
    execute(database, "UPDATE occasions SET started_at = started_at - interval '1 hour'")
    crm.add_order(order("900", contact_id="1", amount=Decimal(500), at=datetime.now(UTC) - timedelta(seconds=5)))
    crm.delete_customer(CustomerRef(CONTACT, "2"))
    gone = occasion_of(database, "2")
    run(service)
    assert ("bought", "order:deals:900") in rows(database, LOG, key=key)
    run(service)
    assert [kind for kind, _ in rows(database, LOG, key=key)].count("bought") == 1
    assert [kind for kind, _ in rows(database, LOG, key=gone)] == ["started", "raised", "gone"]
    crm.edit_order(DEALS, "900", status=OrderStatus.OPEN, at=None)
    run(service)
    assert [kind for kind, _ in rows(database, LOG, key=key)].count("bought") == 1


def test_a_move_goes_into_the_log_and_its_news_supersedes_the_older_occasion(database, service, crm):
    run(service)
    execute(database, "UPDATE tasks SET raised_on = raised_on - 1")
    weakest = occasion_of(database, "1")
    number = rows(database, "SELECT customer FROM occasions WHERE key = :key", key=weakest)[0]
    was = rows(database, "SELECT segment FROM scores WHERE customer = :n", n=number)[0]
    assert was == "sleeping"
    for n in range(6):
        moment = datetime.now(UTC) - timedelta(minutes=5, days=n)
        crm.add_order(order(f"9{n}", contact_id="1", amount=Decimal(900), at=moment))
    assert run(service).tasks_created >= 1
    kinds = [kind for kind, _ in rows(database, LOG, key=weakest)]
    assert kinds.count("moved") == 1
    assert kinds[-1] == "stopped"
    assert rows(database, "SELECT rule FROM occasions WHERE customer = :n ORDER BY started_at", n=number) == [
        "soft_touch",
        "came_back",
    ]
    with database.session() as session:
        held = occasions.held(session, held_portal(database), [weakest])[0]
        moved = next(event_of(line) for line in held.log if line.kind == "moved")
    assert moved.work_class == "loyal"
