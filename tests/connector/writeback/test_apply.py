"""Sending a plan: batches in flight, each card settled on its own, errors that stop the rest and nothing more."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from adapters.contract import Choice, FieldSpec, FieldType
from adapters.errors import Interrupted, RateLimited, TokenExpired
from adapters.records import CustomerRef
from connector.errors import UnsafePlan
from connector.store.changes import PlanSize
from connector.store.models import ChangeRow
from connector.writeback.apply import apply_plan, check_plan
from tests.connector.factories import COMPANY, CONTACT, company, contact, keep_portal, put_customers, rows
from tests.fakes.memory import SMALL, MemoryCRM

SPECS = [FieldSpec("r", FieldType.INTEGER, "R"), FieldSpec("segment", FieldType.CHOICE, "S", (Choice("vip", "VIP"),))]
STATES = "SELECT state, count(*) FROM changes GROUP BY state ORDER BY state"


class Stage:
    """Ten contacts and two companies in a portal and in its mirror, each with a planned change."""

    def __init__(self, database):
        self.database = database
        self.portal = keep_portal(database)
        self.crm = MemoryCRM()
        self.fields = self.crm.ensure_fields(SPECS, None)
        self.refs = [CustomerRef(CONTACT, str(n)) for n in range(10)] + [CustomerRef(COMPANY, str(n)) for n in range(2)]
        for ref in self.refs:
            self.crm.add_customer(ref.kind, ref.external_id)
        put_customers(database, self.portal, *(contact(str(n)) for n in range(10)))
        put_customers(database, self.portal, *(company(str(n)) for n in range(2)))
        with database.session() as session:
            for number in range(12):
                session.add(
                    ChangeRow(
                        portal_id=self.portal.portal_id,
                        run_id="r1",
                        customer=number,
                        values={"r": number, "segment": "vip"},
                        before={},
                    )
                )
        self.steps = []

    def apply(self):
        return apply_plan(self.database, self.portal.portal_id, "r1", self.crm, self.fields, self.steps.append)

    def states(self):
        return dict(rows(self.database, STATES))


@pytest.fixture
def stage(database):
    return Stage(database)


def test_every_card_is_written_and_settled(stage):
    applied = stage.apply()
    assert (applied.written, applied.refused, sum(stage.steps)) == (12, 0, 12)
    assert stage.states() == {"written": 12}
    assert stage.crm.card(stage.refs[11]) == {"r": 11, "segment": "vip"}
    assert rows(stage.database, "SELECT card FROM customers WHERE number = 11") == [{"r": 11, "segment": "vip"}]


def test_batches_are_full_and_of_one_kind(stage):
    seen = []
    write = stage.crm.write_scores
    stage.crm.write_scores = lambda changes, fields: (
        seen.append([c.customer.kind for c in changes]) or write(changes, fields)
    )
    stage.apply()
    assert sorted(map(len, seen)) == [1, 2, 3, 3, 3]
    assert all(len(set(kinds)) == 1 for kinds in seen)


def test_a_plan_longer_than_one_look_is_sent_whole(stage):
    stage.crm.can = replace(SMALL, write_batch=1)
    assert stage.apply().written == 12


def test_as_many_batches_are_under_way_as_the_portal_wants(stage):
    together, meeting = [], threading.Barrier(2, timeout=10)
    write = stage.crm.write_scores

    def slow(changes, fields):
        if len(together) < 2:
            together.append(1)
            meeting.wait()
        return write(changes, fields)

    stage.crm.write_scores = slow
    assert stage.apply().written == 12


def test_a_refused_card_stops_no_other(stage):
    stage.crm.refusals = {"contact:4": ("r", "read only"), "company:1": (None, "archived")}
    applied = stage.apply()
    assert (applied.written, applied.refused) == (10, 2)
    refused = rows(stage.database, "SELECT customer, field, reason FROM changes WHERE state = 'refused' ORDER BY 1")
    assert refused == [(4, "r", "read only"), (11, None, "archived")]


@pytest.mark.parametrize("error", [Interrupted("cut"), RateLimited("slow", retry_after=9.0), TokenExpired("refused")])
def test_an_error_about_a_whole_batch_is_raised_and_the_others_under_way_are_settled(stage, error):
    stage.crm.fail("write_scores", error, after=1)
    with pytest.raises(type(error)) as caught:
        stage.apply()
    assert caught.value is error
    states = stage.states()
    written = sum(bool(stage.crm.card(ref)) for ref in stage.refs)
    assert states["written"] == written >= 3
    assert states["planned"] == 12 - written >= 3


def test_of_several_errors_the_first_is_raised_and_every_good_answer_is_settled(stage):
    stage.crm.can = replace(SMALL, in_flight=4)
    meeting = threading.Barrier(4, timeout=10)
    write, lock, calls = stage.crm.write_scores, threading.Lock(), []

    def four_at_once(changes, fields):
        with lock:
            calls.append(1)
            turn = len(calls)
        if turn <= 4:
            meeting.wait()
        if turn in {1, 3}:
            raise Interrupted(f"cut {turn}")
        return write(changes, fields)

    stage.crm.write_scores = four_at_once
    with pytest.raises(Interrupted):
        stage.apply()
    written = sum(bool(stage.crm.card(ref)) for ref in stage.refs)
    assert stage.states()["written"] == written > 0


def test_after_a_lost_answer_the_next_call_writes_the_rest(stage):
    stage.crm.fail("write_scores", Interrupted("lost"), done=True)
    with pytest.raises(Interrupted):
        stage.apply()
    assert stage.apply().written + stage.states().get("written", 0) >= 12
    assert stage.states() == {"written": 12}


def test_a_plan_without_cards_sends_nothing(database):
    crm = MemoryCRM()
    applied = apply_plan(database, 1, "none", crm, crm.ensure_fields(SPECS, None), lambda _: None)
    assert (applied.written, applied.refused, crm.calls["write_scores"]) == (0, 0, 0)


def size(resegmented, labelled):
    return PlanSize(9999, 9999, 0, 0, resegmented, labelled, 9999)


def portal_with(first_run_at="once", **settings):
    return SimpleNamespace(first_run_at=first_run_at, settings=settings)


@pytest.mark.parametrize(
    ("portal", "plan", "force"),
    [
        (portal_with(), size(49, 49), False),
        (portal_with(), size(90, 100), False),
        (portal_with(), size(100, 100), True),
        (portal_with(first_run_at=None), size(100, 100), False),
        (portal_with(max_share=1), size(100, 100), False),
        (portal_with(), size(0, 0), False),
    ],
)
def test_small_first_forced_and_usual_plans_pass(portal, plan, force):
    check_plan(portal, plan, force=force)


@pytest.mark.parametrize(
    ("portal", "plan"), [(portal_with(), size(91, 100)), (portal_with(max_share=0.5), size(51, 100))]
)
def test_a_plan_that_moves_too_many_cards_is_refused_and_says_how_to_go_on(portal, plan):
    with pytest.raises(UnsafePlan, match="--force"):
        check_plan(portal, plan, force=False)
