"""Scores in the store: orders out as arrays, scores in, moves only where something moved."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from adapters.records import Manager
from connector.store import mirror, scores
from connector.store.models import RunRow
from connector.store.score_arrays import ScoreArrays, store_scores
from tests.connector.factories import (
    at,
    company,
    contact,
    execute,
    keep_portal,
    order,
    put_customers,
    put_orders,
    rows,
)

NOW = at("2026-03-01 10:00")
LAST_DAY = 20_513  # 2026-03-01
SEGMENTS = ("vip", "loyal", "at_risk", "sleeping", "champion", "lost")
MOVES = "SELECT customer, kind, was, now FROM moves WHERE run_id = :run ORDER BY customer, kind"


def row(customer, segment="vip", *, r=5, upsell=False, causes=0):
    return (customer, r, 2, 1250, 0, SEGMENTS.index(segment), 90, causes, False, upsell, 2, LAST_DAY)


def arrays(*found):
    columns = np.array(found, np.int64).reshape(-1, 12).T
    return ScoreArrays(*columns, codes=("555",), segments=SEGMENTS)


def run_of(session, portal, run_id, at_=NOW):
    return scores.start_run(session, portal.portal_id, run_id, "run", at_.date(), at_)


def store(database, portal, run_id, *found, method="sales5@1", at_=NOW):
    with database.session() as session:
        run = run_of(session, portal, run_id, at_)
        return store_scores(session, portal.portal_id, run, method, arrays(*found))


def read(database, portal, last_day=LAST_DAY, not_after=NOW, **more):
    with database.session() as session:
        return list(scores.read_orders(session, portal.portal_id, last_day, not_after, **more))


@pytest.fixture
def portal(database):
    return keep_portal(database)


# --- orders out ----------------------------------------------------------------------------------------------------


def test_an_empty_portal_has_no_orders_and_no_flags(database, portal):
    assert read(database, portal) == read(database, portal, block=1) == []
    with database.session() as session:
        assert scores.customer_flags(session, portal.portal_id).tolist() == []


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1000])
def test_orders_come_sorted_and_no_chunk_splits_a_customer(database, portal, block):
    many = [
        order(str(n), contact_id=str(n % 7), at=NOW - timedelta(days=n % 11), amount=Decimal(n) / 100 - 1)
        for n in range(150)
    ]
    put_orders(database, portal, *many, order("lost", at=None))
    chunks = read(database, portal, block=block)
    found = [tuple(map(int, one)) for c in chunks for one in zip(c.customer, c.day, c.units, c.weight, strict=True)]
    sql = "SELECT customer, day, units, weight FROM orders WHERE customer IS NOT NULL"
    assert sorted(found) == sorted(rows(database, sql))
    assert [one[:2] for one in found] == sorted(one[:2] for one in found)
    owners = [set(c.customer.tolist()) for c in chunks]
    assert sum(map(len, owners)) == len(set().union(*owners)) == 7
    assert all(len(chunk.customer) for chunk in chunks)


def test_nothing_after_the_as_of_moment_is_read(database, portal):
    put_orders(
        database,
        portal,
        order("now", at=NOW),
        order("later", at=NOW + timedelta(microseconds=1)),
        order("tomorrow", at=NOW + timedelta(days=1)),
    )
    assert [chunk.customer.size for chunk in read(database, portal)] == [1]
    assert [chunk.customer.size for chunk in read(database, portal, LAST_DAY - 1)] == []
    assert [chunk.customer.size for chunk in read(database, portal, LAST_DAY + 1, NOW + timedelta(days=2))] == [3]


def test_another_portals_orders_are_not_read(database, portal):
    other = keep_portal(database, "other")
    put_orders(database, other, order("1"))
    assert read(database, portal) == []


def test_flags_say_who_can_be_scored_and_what_is_wrong_with_his_manager(database, portal):
    with database.session() as session:
        mirror.store_staff(session, portal.portal_id, [Manager("1", "A"), Manager("2", "B", active=False)], [])
    cards = [contact(str(n), manager_id=manager) for n, manager in enumerate(["1", "2", None, "unknown", "1"])]
    put_customers(database, portal, *cards)
    put_customers(database, portal, company("9", manager_id="1", is_buyer=False))
    put_orders(database, portal, order("1", contact_id="only named"))
    execute(database, "UPDATE customers SET gone = true WHERE external_id = '4'")
    with database.session() as session:
        flags = scores.customer_flags(session, portal.portal_id)
    yes, missing, inactive = scores.SCORABLE, scores.MANAGER_MISSING, scores.MANAGER_INACTIVE
    assert flags.tolist() == [yes, yes | inactive, yes | missing, yes | inactive, 0, 0, missing]
    assert flags.dtype == np.int16


# --- scores in -----------------------------------------------------------------------------------------------------


def test_a_first_score_is_no_move_and_has_no_segment_before(database, portal):
    assert store(database, portal, "r1", row(0), row(1, "loyal", upsell=True)) == (2, 0)
    assert rows(database, "SELECT segment, segment_previous FROM scores ORDER BY customer") == [
        ("vip", None),
        ("loyal", None),
    ]
    assert rows(database, MOVES, run="r1") == []


def test_a_change_of_segment_is_a_move_and_is_remembered_through_quiet_runs(database, portal):
    store(database, portal, "r1", row(0), row(1))
    assert store(database, portal, "r2", row(0, "at_risk"), row(1)) == (2, 1)
    assert rows(database, MOVES, run="r2") == [(0, "segment", "vip", "at_risk")]
    assert store(database, portal, "r3", row(0, "at_risk"), row(1)) == (2, 0)
    assert rows(database, "SELECT segment_previous FROM scores ORDER BY customer") == ["vip", None]
    assert store(database, portal, "r4", row(0, "vip"), row(1)) == (2, 1)
    assert rows(database, "SELECT segment_previous FROM scores ORDER BY customer") == ["at_risk", None]


def test_the_upsell_window_opens_once_and_closing_it_is_no_move(database, portal):
    store(database, portal, "r1", row(0))
    store(database, portal, "r2", row(0, upsell=True))
    store(database, portal, "r3", row(0, upsell=True))
    store(database, portal, "r4", row(0))
    store(database, portal, "r5", row(0, upsell=True))
    assert rows(database, "SELECT run_id, kind, was, now FROM moves ORDER BY run_id") == [
        ("r2", "upsell", "no", "yes"),
        ("r5", "upsell", "no", "yes"),
    ]


def test_another_method_moves_nobody_but_a_new_version_of_the_same_may(database, portal):
    store(database, portal, "r1", row(0))
    assert store(database, portal, "r2", row(0, "champion", upsell=True), method="customer360@1") == (1, 0)
    assert rows(database, "SELECT count(*) FROM moves") == [0]
    assert store(database, portal, "r3", row(0, "lost"), method="customer360@2") == (1, 1)
    assert rows(database, MOVES, run="r3") == [(0, "segment", "champion", "lost")]


def test_storing_the_same_scores_twice_touches_no_row(database, portal):
    with database.session() as session:
        run = run_of(session, portal, "r1")
        for _ in range(2):
            assert store_scores(session, portal.portal_id, run, "sales5@1", arrays(row(0), row(1))) == (2, 0)
    before = rows(database, "SELECT xmin::text, changed_at, run_id FROM scores ORDER BY customer")
    store(database, portal, "r2", row(0), row(1), at_=NOW + timedelta(days=1))
    assert rows(database, "SELECT xmin::text, changed_at, run_id FROM scores ORDER BY customer") == before


def test_a_score_that_changed_says_when_and_in_which_run(database, portal):
    later = NOW + timedelta(days=1)
    store(database, portal, "r1", row(0), row(1))
    store(database, portal, "r2", row(0, r=6), row(1, causes=64), at_=later)
    assert rows(database, "SELECT run_id, changed_at, causes FROM scores ORDER BY customer") == [
        ("r2", later, 0),
        ("r1", NOW, 64),
    ]


def test_who_is_scored_no_more_has_no_score_and_starts_afresh_when_he_returns(database, portal):
    store(database, portal, "r1", row(0), row(1))
    assert store(database, portal, "r2", row(1)) == (1, 0)
    assert rows(database, "SELECT customer FROM scores") == [1]
    assert store(database, portal, "r3") == (0, 0)
    assert rows(database, "SELECT count(*) FROM scores") == [0]
    assert store(database, portal, "r4", row(0, "sleeping")) == (1, 0)


def test_the_sizes_of_segments_count_this_portal_only(database, portal):
    other = keep_portal(database, "other")
    store(database, portal, "r1", row(0), row(1), row(2, "loyal"))
    store(database, other, "r1", row(0, "sleeping"))
    with database.session() as session:
        assert scores.segment_sizes(session, portal.portal_id) == {"loyal": 1, "vip": 2}
        assert scores.score_of(session, portal.portal_id, 2).segment == "loyal"
        assert scores.score_of(session, portal.portal_id, 3) is None


def test_the_last_as_of_is_that_of_the_last_scoring(database, portal):
    with database.session() as session:
        assert scores.last_as_of(session, portal.portal_id) is None
        run_of(session, portal, "r1")
        undo = scores.start_run(session, portal.portal_id, "u1", "undo", NOW.date() + timedelta(days=1), NOW)
        session.flush()
        assert scores.last_as_of(session, portal.portal_id) == NOW.date()
        assert session.get_one(RunRow, (portal.portal_id, "u1")) is undo
