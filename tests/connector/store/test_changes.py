"""The plan of a write-back: what differs, what it would touch, how it is settled and undone."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from adapters.contract import Outcome
from adapters.records import CustomerKind
from connector.store import changes, mirror, scores
from connector.store.models import CustomerRow, ScoreRow
from tests.connector.factories import (
    COMPANY,
    CONTACT,
    at,
    company,
    contact,
    execute,
    keep_portal,
    put_customers,
    rows,
)

STAMP = at("2026-03-01 10:00")
HINTS = {"vip": "Call.", "loyal": "Write."}
HELD = {
    "r": 5,
    "f": 2,
    "m": Decimal("12.50"),
    "code": "555",
    "segment": "vip",
    "method": "sales5@1",
    "quality": 90,
    "churn_risk": False,
    "upsell": True,
    "hint": "Call.",
    "updated_at": at("2026-02-01 10:00"),
}
STATES = "SELECT customer, state, field, reason FROM changes WHERE run_id = :run ORDER BY customer"


def score(database, portal, customer=0, **more):
    words = {
        "r": 5,
        "f": 2,
        "m": Decimal("12.50"),
        "code": "555",
        "segment": "vip",
        "segment_previous": None,
        "method": "sales5@1",
        "quality": 90,
        "causes": 0,
        "churn_risk": False,
        "upsell": True,
        "changed_at": STAMP,
        "run_id": "r",
        "orders_total": 2,
        "last_day": 20000,
    }
    with database.session() as session:
        session.merge(ScoreRow(portal_id=portal.portal_id, customer=customer, **{**words, **more}))


def plan(database, portal, run="r1", stamp=STAMP):
    with database.session() as session:
        return changes.make_plan(session, portal.portal_id, run, HINTS, stamp)


def planned(database, portal, run="r1", kind=CONTACT):
    with database.session() as session:
        return changes.next_planned(session, portal.portal_id, run, kind, -1, 100)


def settle(database, portal, *outcomes, run="r1", kind=CONTACT, now=STAMP):
    items = planned(database, portal, run, kind)
    with database.session() as session:
        return changes.settle(session, portal.portal_id, run, items, list(outcomes), now)


def undo(database, portal, run="r1", undo_run="u1"):
    with database.session() as session:
        return changes.plan_undo(session, portal.portal_id, run, undo_run)


@pytest.fixture
def portal(database):
    return keep_portal(database)


# --- what differs --------------------------------------------------------------------------------------------------


def test_a_card_that_holds_the_values_is_not_planned_whatever_its_updated_at(database, portal):
    put_customers(database, portal, contact("1", card=HELD))
    score(database, portal)
    assert plan(database, portal, stamp=STAMP + timedelta(days=9)) == 0


@pytest.mark.parametrize(
    "same", [{"m": Decimal("12.5")}, {"m": Decimal("12.500")}, {"r": 5.0}, {"segment_previous": None}]
)
def test_equal_values_in_another_spelling_are_no_difference(database, portal, same):
    put_customers(database, portal, contact("1", card={**HELD, **same}))
    score(database, portal)
    assert plan(database, portal) == 0


@pytest.mark.parametrize("m", ["0", "0.00", "100", "100.00", "0.10", "-5.00", "12345678901234.56"])
def test_a_sum_that_was_written_is_no_difference_afterwards(database, portal, m):
    put_customers(database, portal, contact("1", card={**HELD, "m": Decimal(m)}))
    score(database, portal, m=Decimal(m))
    assert plan(database, portal) == 0


@pytest.mark.parametrize(
    ("held", "values", "before"),
    [
        ({"r": 6}, {"r": 5}, {"r": 6}),
        ({"r": "six"}, {"r": 5}, {"r": "six"}),
        ({"r": None}, {"r": 5}, {"r": None}),
        ({"m": Decimal("12.51")}, {"m": "12.5"}, {"m": "12.51"}),
        ({"segment_previous": "loyal"}, {"segment_previous": None}, {"segment_previous": "loyal"}),
        ({"churn_risk": True}, {"churn_risk": False}, {"churn_risk": True}),
        ({"upsell": "yes!"}, {"upsell": True}, {"upsell": "yes!"}),
        ({"hint": "Old."}, {"hint": "Call."}, {"hint": "Old."}),
        (
            {"method": "sales5@0", "code": "111"},
            {"method": "sales5@1", "code": "555"},
            {"method": "sales5@0", "code": "111"},
        ),
    ],
)
def test_only_what_differs_is_planned_with_what_stood_there(database, portal, held, values, before):
    put_customers(database, portal, contact("1", card={**HELD, **held}))
    score(database, portal)
    assert plan(database, portal) == 1
    stamp, old = "2026-03-01T10:00:00+00:00", "2026-02-01T10:00:00+00:00"
    assert rows(database, "SELECT values, before FROM changes") == [
        ({**values, "updated_at": stamp}, {**before, "updated_at": old})
    ]


def test_an_empty_card_gets_every_value_but_the_empty_ones(database, portal):
    put_customers(database, portal, contact("1"))
    score(database, portal)
    assert plan(database, portal) == 1
    change = planned(database, portal)[0].change
    assert dict(change.values) == {**HELD, "updated_at": STAMP}
    assert isinstance(change.values["m"], Decimal)


def test_cards_that_cannot_be_written_are_not_planned(database, portal):
    put_customers(database, portal, contact("1"), contact("2"), contact("3"), contact("4", is_buyer=False))
    execute(database, "UPDATE customers SET gone = true WHERE external_id = '2'")
    execute(database, "UPDATE customers SET seen = false WHERE external_id = '3'")
    for number in range(4):
        score(database, portal, number)
    assert plan(database, portal) == 1
    with database.session() as session:
        assert changes.scored_living(session, portal.portal_id) == 1


def test_the_same_plan_again_plans_nothing(database, portal):
    put_customers(database, portal, contact("1"))
    score(database, portal)
    assert plan(database, portal) == 1
    assert plan(database, portal) == 0
    assert rows(database, "SELECT count(*) FROM changes") == [1]


def test_the_preview_and_the_size_tell_what_the_plan_will_do(database, portal):
    put_customers(
        database, portal, contact("1", card={**HELD, "segment": "loyal", "r": 1}), contact("2"), contact("3", card=HELD)
    )
    put_customers(database, portal, company("1"))
    for number in range(4):
        score(database, portal, number)
    with database.session() as session:
        size = changes.plan_size(session, portal.portal_id, HINTS)
        shown = changes.preview(session, portal.portal_id, HINTS, 2)
    assert (size.cards, size.contacts, size.companies) == (3, 2, 1)
    assert (size.fields, size.resegmented, size.labelled, size.scored) == (2 + 10 + 10, 1, 2, 4)
    assert next((str(ref), sorted(values)) for ref, values, _ in shown) == ("contact:1", ["r", "segment"])
    assert len(shown) == 2
    assert plan(database, portal) == size.cards
    with database.session() as session:
        assert changes.stored_size(session, portal.portal_id, "r1") == size


def test_an_empty_plan_has_a_size_too(database, portal):
    with database.session() as session:
        assert changes.plan_size(session, portal.portal_id, HINTS) == changes.PlanSize(0, 0, 0, 0, 0, 0, 0)


# --- settling ------------------------------------------------------------------------------------------------------


def test_each_change_is_settled_on_its_own_and_the_mirror_knows_what_was_written(database, portal):
    put_customers(database, portal, contact("1", card={"segment_previous": "x"}), contact("2"), contact("3"))
    for number in range(3):
        score(database, portal, number)
    plan(database, portal)
    later = STAMP + timedelta(minutes=1)
    bad = Outcome(ok=False, field="hint", reason="too long")
    assert settle(database, portal, Outcome(ok=True, written_at=later), bad, Outcome(ok=True)) == (2, 1)
    assert rows(database, STATES, run="r1") == [
        (0, "written", None, None),
        (1, "refused", "hint", "too long"),
        (2, "written", None, None),
    ]
    cards = rows(database, "SELECT card FROM customers ORDER BY number")
    assert cards[0]["m"] == "12.5"
    assert "segment_previous" not in cards[0]
    assert cards[1] == {}
    assert rows(database, "SELECT crm_updated_at FROM customers ORDER BY number") == [later, None, None]
    with database.session() as session:
        assert changes.refusals(session, portal.portal_id, "r1") == [
            {"customer": "contact:2", "field": "hint", "reason": "too long"}
        ]


def test_what_was_refused_is_planned_again_by_the_next_run_and_the_rest_is_not(database, portal):
    put_customers(database, portal, contact("1"), contact("2"))
    score(database, portal, 0)
    score(database, portal, 1)
    plan(database, portal)
    settle(database, portal, Outcome(ok=True), Outcome(ok=False, reason="locked"))
    assert plan(database, portal, "r2") == 1
    assert [item.customer for item in planned(database, portal, "r2")] == [1]


def test_the_crms_clock_never_goes_back_when_a_write_is_settled(database, portal):
    put_customers(database, portal, contact("1", updated_at=STAMP + timedelta(hours=5)))
    score(database, portal)
    plan(database, portal)
    settle(database, portal, Outcome(ok=True, written_at=STAMP))
    assert rows(database, "SELECT crm_updated_at FROM customers") == [STAMP + timedelta(hours=5)]


def test_planned_cards_come_by_kind_in_the_order_of_numbers(database, portal):
    put_customers(database, portal, *(contact(str(n)) for n in range(5)))
    put_customers(database, portal, company("0"))
    for number in range(6):
        score(database, portal, number)
    plan(database, portal)
    with database.session() as session:
        after = changes.next_planned(session, portal.portal_id, "r1", CONTACT, 1, 2)
        firms = changes.next_planned(session, portal.portal_id, "r1", COMPANY, -1, 9)
    assert [item.customer for item in after] == [2, 3]
    assert [str(item.change.customer) for item in firms] == ["company:0"]


# --- left behind ---------------------------------------------------------------------------------------------------


def test_the_next_run_settles_what_a_killed_one_left(database, portal):
    put_customers(database, portal, contact("1"), contact("2"), contact("3"))
    for number in range(3):
        score(database, portal, number)
    plan(database, portal)
    with database.session() as session:
        scores.start_run(session, portal.portal_id, "r1", "run", STAMP.date(), STAMP)
    execute(database, "UPDATE changes SET state = 'planned'")
    put_customers(database, portal, contact("1", card={**HELD, "updated_at": STAMP}), contact("2", card={"r": 5}))
    with database.session() as session:
        scores.start_run(session, portal.portal_id, "r2", "run", STAMP.date(), STAMP + timedelta(hours=1))
    assert [row[:2] for row in rows(database, STATES, run="r1")] == [
        (0, "written"),
        (1, "superseded"),
        (2, "superseded"),
    ]
    assert rows(database, "SELECT run_id, state FROM runs ORDER BY run_id") == [
        ("r1", "interrupted"),
        ("r2", "running"),
    ]


def test_a_clearing_that_went_through_before_the_kill_counts_as_written(database, portal):
    put_customers(database, portal, contact("1", card={**HELD, "segment_previous": "loyal"}))
    score(database, portal)
    plan(database, portal)
    put_customers(database, portal, contact("1", card={**HELD, "updated_at": STAMP}))
    with database.session() as session:
        scores.start_run(session, portal.portal_id, "r2", "run", STAMP.date(), STAMP)
    assert rows(database, STATES, run="r1") == [(0, "written", None, None)]


# --- our own echo --------------------------------------------------------------------------------------------------


def test_own_writes_tell_what_was_written_since_the_cursor(database, portal):
    put_customers(database, portal, contact("1"), contact("2"))
    put_customers(database, portal, company("1"))
    for number in range(3):
        score(database, portal, number)
    plan(database, portal)
    with database.session() as session:
        mirror.move_cursor(session, portal.portal_id, "customers:contact", "c")
        assert changes.own_writes(session, portal.portal_id, CONTACT, "customers:contact") is None
    now = rows(database, "SELECT moved_at FROM cursors")[0]
    first, last = now + timedelta(seconds=3), now + timedelta(seconds=9)
    settle(database, portal, Outcome(ok=True, written_at=last), Outcome(ok=True, written_at=first), now=now)
    settle(database, portal, Outcome(ok=True), kind=COMPANY, now=now)
    with database.session() as session:
        echo = changes.own_writes(session, portal.portal_id, CONTACT, "customers:contact")
        assert changes.own_writes(session, portal.portal_id, CONTACT, "customers:company") is None
    assert (echo.first_at, echo.last_at, echo.count, echo.stamps) == (first, last, 2, (STAMP,))


def test_writes_long_before_the_cursor_are_no_echo(database, portal):
    put_customers(database, portal, contact("1"))
    score(database, portal)
    plan(database, portal)
    settle(database, portal, Outcome(ok=True), now=at("2026-01-01 00:00"))
    with database.session() as session:
        mirror.move_cursor(session, portal.portal_id, "customers:contact", "c")
        assert changes.own_writes(session, portal.portal_id, CONTACT, "customers:contact") is None


# --- undo ----------------------------------------------------------------------------------------------------------


def test_undo_puts_back_what_stood_there_and_empties_what_was_empty(database, portal):
    put_customers(database, portal, contact("1", card={"r": 9, "hint": "Old."}))
    score(database, portal)
    plan(database, portal)
    settle(database, portal, Outcome(ok=True))
    assert undo(database, portal) == (1, 0)
    values = planned(database, portal, "u1")[0].change.values
    assert (values["r"], values["hint"], values["segment"], values["updated_at"]) == (9, "Old.", None, None)
    settle(database, portal, Outcome(ok=True), run="u1")
    assert rows(database, "SELECT card FROM customers") == [{"r": 9, "hint": "Old."}]


def test_undo_leaves_alone_what_somebody_changed_since(database, portal):
    put_customers(database, portal, contact("1", card={**HELD, "r": 9}), contact("2", card={**HELD, "r": 9, "f": 9}))
    score(database, portal, 0)
    score(database, portal, 1)
    plan(database, portal)
    settle(database, portal, Outcome(ok=True), Outcome(ok=True))
    held = {**HELD, "updated_at": STAMP}
    put_customers(database, portal, contact("1", card={**held, "r": 77, "updated_at": at("2026-03-02 00:00")}))
    put_customers(database, portal, contact("2", card={**held, "r": 77}))
    assert undo(database, portal) == (1, 1)
    change = planned(database, portal, "u1")[0].change
    assert (str(change.customer), change.values["f"], "r" in change.values) == ("contact:2", 9, False)


def test_undo_of_a_refused_or_unknown_run_restores_nothing(database, portal):
    put_customers(database, portal, contact("1"))
    score(database, portal)
    plan(database, portal)
    settle(database, portal, Outcome(ok=False, reason="no"))
    assert undo(database, portal) == (0, 0)
    assert undo(database, portal, "never was", "u2") == (0, 0)


def test_undo_twice_plans_once(database, portal):
    put_customers(database, portal, contact("1", card={"r": 9}))
    score(database, portal)
    plan(database, portal)
    settle(database, portal, Outcome(ok=True))
    assert undo(database, portal) == (1, 0)
    settle(database, portal, Outcome(ok=True), run="u1")
    assert undo(database, portal, "r1", "u2") == (0, 1)


def test_a_card_that_is_gone_is_not_restored(database, portal):
    put_customers(database, portal, contact("1", card={"r": 9}))
    score(database, portal)
    plan(database, portal)
    settle(database, portal, Outcome(ok=True))
    with database.session() as session:
        mirror.mark_customers_gone(session, portal.portal_id, CustomerKind.CONTACT, ["1"])
        assert session.get(CustomerRow, (portal.portal_id, 0)).gone
    assert undo(database, portal) == (0, 1)
