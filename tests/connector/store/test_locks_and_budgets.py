"""What processes share: the portal's lock and its request budget."""

from __future__ import annotations

import threading

import psycopg
import pytest

from adapters.budget import Budget, Rolling
from connector.errors import DatabaseAway, LockLost, PortalBusy
from connector.store import locks
from connector.store.budgets import SharedStates
from connector.store.database import Database
from tests.connector.factories import execute, rows


def plus_one(state, now):
    count = state.get("count", 0) + 1
    return {**state, "count": count}, count


def test_a_portal_is_held_by_one_and_free_again_afterwards(database):
    with locks.portal_lock(database, 1):
        with database.session() as session:
            assert locks.held_portals(session) == {1}
        with pytest.raises(PortalBusy, match="another process"), locks.portal_lock(database, 1, wait_s=0):
            pytest.fail("two may not hold one portal")
        with locks.portal_lock(database, 2):
            pass
    with locks.portal_lock(database, 1):
        pass
    with database.session() as session:
        assert locks.held_portals(session) == frozenset()


def test_the_lock_waits_a_little_for_the_one_before(database):
    holding, may_leave, waited = threading.Event(), threading.Event(), []

    def hold():
        with locks.portal_lock(database, 1):
            holding.set()
            may_leave.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    holding.wait(10)

    def sleep(seconds):
        waited.append(seconds)
        may_leave.set()
        other.join(10)

    with locks.portal_lock(database, 1, sleep=sleep):
        assert waited


def test_an_error_inside_frees_the_portal(database):
    with pytest.raises(RuntimeError), locks.portal_lock(database, 1):
        raise RuntimeError
    with database.session() as session:
        assert locks.held_portals(session) == frozenset()


def test_a_killed_holder_leaves_no_lock(database):
    url = database.url.replace("postgresql+psycopg://", "postgresql://")
    dead = psycopg.connect(url, autocommit=True)
    dead.execute("SELECT pg_advisory_lock(%s, 1)", (locks._NAMESPACE,))
    with pytest.raises(PortalBusy), locks.portal_lock(database, 1, wait_s=0):
        pass
    dead.close()
    with locks.portal_lock(database, 1, sleep=lambda _: None):
        pass


def test_a_holder_whose_connection_broke_is_told_before_it_sends_anything(database):
    with locks.portal_lock(database, 1) as held:
        held.check()
        execute(
            database,
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = :space",
            space=locks._NAMESPACE,
        )
        with locks.portal_lock(database, 1):
            for _ in range(2):
                with pytest.raises(LockLost, match="work is kept"):
                    held.check()


def test_a_step_is_atomic_between_users_of_one_budget(database):
    users = [SharedStates(database, "hubspot:host:abc") for _ in range(4)]
    counts = []

    def work(user):
        counts.extend(user.change("core", plus_one) for _ in range(15))

    threads = [threading.Thread(target=work, args=(users[n % 4],)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for user in users:
        user.close()
    assert sorted(counts) == list(range(1, 91))
    assert rows(database, "SELECT state FROM budgets") == [{"count": 90}]


def test_holders_and_lanes_are_apart_and_an_unchanged_state_is_not_written(database):
    one, two = SharedStates(database, "a"), SharedStates(database, "b")
    assert [one.change("x", plus_one), one.change("y", plus_one), two.change("x", plus_one)] == [1, 1, 1]
    before = rows(database, "SELECT xmin::text FROM budgets WHERE portal_key = 'a' AND lane = 'x'")
    assert one.change("x", lambda state, now: (state, state["count"])) == 1
    assert rows(database, "SELECT xmin::text FROM budgets WHERE portal_key = 'a' AND lane = 'x'") == before
    one.close()
    two.close()


def test_two_processes_share_a_rolling_limit(database):
    budgets = [Budget({"core": Rolling(5, 60.0)}, SharedStates(database, "k")) for _ in range(2)]
    grants = [budgets[n % 2].ask("core") for n in range(7)]
    assert [grant.wait > 0 for grant in grants] == [False] * 5 + [True] * 2
    for budget in budgets:
        budget.states.close()


def test_a_database_that_goes_away_is_named_and_the_next_call_connects_again(database):
    states = SharedStates(database, "k")
    states.change("core", plus_one)
    pid = states._connection.info.backend_pid
    execute(database, "SELECT pg_terminate_backend(:pid)", pid=pid)
    with pytest.raises(DatabaseAway):
        states.change("core", plus_one)
    assert states.change("core", plus_one) == 2
    states.close()


def test_an_unreachable_database_is_named_without_its_password():
    away = Database("postgresql://user:topsecret@127.0.0.1:1/none")
    with pytest.raises(DatabaseAway) as caught:
        SharedStates(away, "k").change("core", plus_one)
    assert "topsecret" not in str(caught.value)
