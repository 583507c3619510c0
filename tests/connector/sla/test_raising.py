"""Stored tasks → tasks in the CRM: each exactly once, whatever is lost, killed or refused on the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from adapters.errors import Interrupted, RateLimited
from connector.deadline import Deadline
from connector.sla import raising
from connector.store import tasks
from tests.connector.factories import CONTACT, at, contact, execute, keep_portal, put_customers, rows
from tests.fakes.memory import SMALL, MemoryCRM

DUE = at("2026-03-02 10:00")
STATES = "SELECT state, count(*) FROM tasks GROUP BY state ORDER BY state"


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def portal(database):
    kept = keep_portal(database, first_run_at=DUE)
    put_customers(database, kept, *(contact(str(n)) for n in range(7)))
    with database.session() as session:
        tasks.add_planned(
            session,
            [
                {
                    "portal_id": kept.portal_id,
                    "key": f"{n:016x}",
                    "customer": n,
                    "rule": "sleeping",
                    "event_key": "w1",
                    "run_id": "r1",
                    "manager_id": "1",
                    "title": "Call",
                    "body": "Why",
                    "priority": "high" if n else "low",
                    "due_at": DUE + timedelta(hours=n),
                    "raised_on": date(2026, 3, 1),
                    "state": "planned",
                    "reason": None,
                }
                for n in range(7)
            ],
        )
    return kept


@pytest.fixture
def crm():
    made = MemoryCRM()
    for n in range(7):
        made.add_customer(CONTACT, str(n))
    return made


def create(database, portal, crm, **more):
    return raising.create_tasks(database, portal.portal_id, crm, lambda _: None, **more)


def markers(crm):
    return sorted(task.marker for task in crm.tasks.values())


def test_every_planned_task_is_created_once_in_the_order_of_its_deadline(database, portal, crm):
    raised = create(database, portal, crm)
    assert (raised.created, raised.refused, raised.finished) == (7, 0, True)
    assert [task.due_at for task in crm.tasks.values()] == sorted(task.due_at for task in crm.tasks.values())
    assert rows(database, "SELECT external_id FROM tasks ORDER BY due_at") == [str(n) for n in range(1, 8)]
    assert create(database, portal, crm).created == 0
    assert len(crm.tasks) == 7


def test_an_account_that_was_connected_before_or_a_restored_database_gets_no_task_twice(database, portal, crm):
    create(database, portal, crm)
    execute(database, "UPDATE tasks SET state = 'planned', external_id = NULL")
    assert create(database, portal, crm).created == 0
    assert len(crm.tasks) == 7
    assert rows(database, STATES) == [("created", 7)]


def test_a_call_carries_no_more_than_the_portal_takes(database, portal, crm):
    crm.can = replace(SMALL, task_batch=3)
    create(database, portal, crm)
    assert crm.calls["create_tasks"] == 3


@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("lost", [False, True], ids=["not carried out", "answer lost"])
@pytest.mark.parametrize("error", [Interrupted("cut"), RateLimited("slow")])
def test_a_cut_call_makes_no_second_task(database, portal, crm, after, lost, error):
    crm.fail("create_tasks", error, done=lost, after=after)
    with pytest.raises(type(error)):
        create(database, portal, crm)
    create(database, portal, crm)
    assert len(markers(crm)) == len(set(markers(crm))) == 7
    assert rows(database, STATES) == [("created", 7)]


def test_a_process_killed_between_creating_and_settling_makes_no_second_task(database, portal, crm, monkeypatch):
    def dies(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("connector.store.tasks.settle", dies)
        with pytest.raises(Killed):
            create(database, portal, crm)
    assert (len(crm.tasks), rows(database, STATES)) == (2, [("planned", 5), ("sending", 2)])
    assert create(database, portal, crm).created == 7
    assert len(set(markers(crm))) == len(crm.tasks) == 7


def test_a_process_killed_before_creating_creates_afterwards(database, portal, crm):
    def dies(_):
        raise Killed

    create_in_crm, crm.create_tasks = crm.create_tasks, dies
    with pytest.raises(Killed):
        create(database, portal, crm)
    crm.create_tasks = create_in_crm
    assert create(database, portal, crm).created == 7
    assert len(crm.tasks) == 7


def test_a_search_that_fails_leaves_the_doubtful_ones_in_doubt(database, portal, crm):
    crm.fail("create_tasks", Interrupted("cut"), done=True)
    crm.fail("find_tasks", Interrupted("cut"))
    for _ in range(2):
        with pytest.raises(Interrupted):
            create(database, portal, crm)
    assert rows(database, STATES) == [("planned", 5), ("sending", 2)]
    create(database, portal, crm)
    assert len(crm.tasks) == 7


def test_a_refused_task_has_its_reason_and_is_not_sent_again(database, portal, crm):
    crm.task_refusals = {"contact:3": "the manager is blocked"}
    raised = create(database, portal, crm)
    assert (raised.created, raised.refused) == (6, 1)
    assert rows(database, "SELECT customer, reason FROM tasks WHERE state = 'refused'") == [
        (3, "the manager is blocked")
    ]
    calls = crm.calls["create_tasks"]
    create(database, portal, crm)
    assert crm.calls["create_tasks"] == calls


def test_a_deadline_ends_between_two_batches_and_the_next_call_goes_on(database, portal, crm):
    first = create(database, portal, crm, deadline=Deadline(0.0))
    assert (first.created, first.finished) == (2, False)
    rest = create(database, portal, crm)
    assert (rest.created, rest.finished) == (5, True)
    assert len(crm.tasks) == 7
