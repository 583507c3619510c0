"""Tasks in the store: one per customer, rule and event, and a final word for each."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from connector.store import tasks
from connector.store.models import MoveRow, RunRow
from tests.connector.factories import at, contact, keep_portal, put_customers, rows

DUE = at("2026-03-02 10:00")


def task(portal, key, customer=0, **more):
    return {
        "portal_id": portal.portal_id,
        "key": key,
        "customer": customer,
        "rule": "sleeping",
        "event_key": key,
        "run_id": "r1",
        "manager_id": "1",
        "title": "Call",
        "body": "Why",
        "priority": "normal",
        "due_at": DUE,
        "raised_on": date(2026, 3, 1),
        "state": "planned",
        "reason": None,
        **more,
    }


def add(database, *found):
    with database.session() as session:
        return tasks.add_planned(session, list(found))


@pytest.fixture
def portal(database):
    kept = keep_portal(database)
    put_customers(database, kept, contact("1"), contact("2"))
    return kept


def test_a_task_is_planned_once_by_key_and_by_customer_rule_and_event(database, portal):
    assert add(database, task(portal, "a"), task(portal, "b")) == 2
    assert add(database, task(portal, "a"), task(portal, "c")) == 1
    assert add(database, task(portal, "other key", event_key="a")) == 0
    assert add(database, task(portal, "d", 1, event_key="a"), task(portal, "e", rule="vip", event_key="a")) == 2
    assert add(database) == 0


def test_open_tasks_come_those_in_doubt_first_then_the_most_pressing(database, portal):
    soon = DUE - timedelta(hours=5)
    add(
        database,
        task(portal, "a"),
        task(portal, "b", due_at=soon),
        task(portal, "c"),
        task(portal, "no", state="refused"),
    )
    with database.session() as session:
        tasks.mark_sending(session, portal.portal_id, ["c"])
        found = tasks.open_tasks(session, portal.portal_id, 10)
        assert [(one.draft.key, one.sending) for one in found] == [("c", True), ("b", False), ("a", False)]
        assert [one.draft.key for one in tasks.open_tasks(session, portal.portal_id, 1)] == ["c"]
    assert (str(found[0].draft.customer), found[0].draft.due_at) == ("contact:1", DUE)


def test_a_settled_task_is_open_no_more(database, portal):
    add(database, task(portal, "a"), task(portal, "b", 1))
    with database.session() as session:
        tasks.settle(session, portal.portal_id, "a", external_id="77", reason=None, now=DUE)
        tasks.settle(session, portal.portal_id, "b", external_id=None, reason="no such manager", now=DUE)
        assert tasks.open_tasks(session, portal.portal_id, 10) == []
        assert tasks.created_in(session, portal.portal_id, "r1") == 1
        assert tasks.refusals(session, portal.portal_id, "r1") == [
            {"customer": "contact:2", "field": "task", "reason": "no such manager"}
        ]
    assert rows(database, "SELECT state, external_id FROM tasks ORDER BY key") == [("created", "77"), ("refused", None)]


def test_what_was_raised_is_counted_by_day_month_customer_and_manager(database, portal):
    add(
        database,
        task(portal, "a", raised_on=date(2026, 2, 28)),
        task(portal, "b"),
        task(portal, "c", raised_on=date(2026, 3, 31)),
        task(portal, "d", 1, manager_id="2", rule="vip"),
        task(portal, "e", 1, manager_id=None),
    )
    with database.session() as session:
        assert tasks.last_raised(session, portal.portal_id) == {
            (0, "sleeping"): date(2026, 3, 31),
            (1, "vip"): date(2026, 3, 1),
            (1, "sleeping"): date(2026, 3, 1),
        }
        month = tasks.raised_in_month(session, portal.portal_id, date(2026, 3, 15))
        assert month == {(0, "sleeping"): 2, (1, "vip"): 1, (1, "sleeping"): 1}
        long_after = datetime(2030, 1, 1, tzinfo=UTC)
        today = tasks.raised_today(session, portal.portal_id, date(2026, 3, 1), long_after, ["sleeping"])
        assert today == {"1": 1, None: 1}


def test_tasks_of_the_real_day_count_whatever_day_their_run_scored_as_of(database, portal):
    add(database, task(portal, "a", raised_on=date(2026, 1, 1), run_id="r9"))
    with database.session() as session:
        session.add(
            RunRow(
                portal_id=portal.portal_id,
                run_id="r9",
                kind="run",
                as_of=date(2026, 1, 1),
                state="done",
                started_at=datetime(2026, 3, 1, 9, tzinfo=UTC),
            )
        )
    for since, counted in ((datetime(2026, 3, 1, tzinfo=UTC), {"1": 1}), (datetime(2026, 3, 2, tzinfo=UTC), {})):
        with database.session() as session:
            found = tasks.raised_today(session, portal.portal_id, date(2026, 3, 1), since, ["sleeping"])
        assert found == counted


def test_moves_are_handled_once(database, portal):
    with database.session() as session:
        for run_id in ("r2", "r1"):
            session.add(
                MoveRow(
                    portal_id=portal.portal_id,
                    customer=0,
                    run_id=run_id,
                    kind="segment",
                    as_of=date(2026, 3, 1),
                    was="vip",
                    now="at_risk",
                    method="sales5@1",
                )
            )
    with database.session() as session:
        assert [move.run_id for move in tasks.unhandled_moves(session, portal.portal_id)] == ["r1", "r2"]
        tasks.moves_handled(session, portal.portal_id)
        assert tasks.unhandled_moves(session, portal.portal_id) == []
