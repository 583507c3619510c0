"""Cards in the mirror: newest wins, numbers are dense, other people's hands are noticed once."""

from __future__ import annotations

import threading
from decimal import Decimal

from adapters.contract import Outcome
from adapters.records import Manager, Team
from connector.store import changes, mirror, mirrored
from connector.store.models import ChangeRow
from tests.connector.factories import (
    COMPANY,
    CONTACT,
    at,
    company,
    contact,
    keep_portal,
    order,
    put_customers,
    put_orders,
    rows,
)

CARD = "SELECT card FROM customers WHERE external_id = '1'"
EVENTS = "SELECT field, expected, found FROM card_events ORDER BY event_id"
OLD, NEW, NEWEST = at("2026-03-01 10:00"), at("2026-03-01 11:00"), at("2026-03-01 12:00")


def written(database, portal, run_id="r1", state="written", **values):
    """A change of customer 0 that a run planned, and what became of it."""
    stored = {"r": 5, "segment": "vip", **values}
    with database.session() as session:
        session.add(
            ChangeRow(portal_id=portal.portal_id, run_id=run_id, customer=0, values=stored, before={}, state=state)
        )


def test_an_older_version_of_a_card_never_overwrites_a_newer_one(database):
    portal = keep_portal(database)
    put_customers(database, portal, contact("1", manager_id="7", updated_at=NEW))
    assert put_customers(database, portal, contact("1", manager_id="8", updated_at=OLD)).changed == 0
    assert rows(database, "SELECT manager_id FROM customers") == ["7"]
    assert put_customers(database, portal, contact("1", manager_id="9", updated_at=NEWEST)).changed == 1
    assert rows(database, "SELECT manager_id FROM customers") == ["9"]


def test_of_two_versions_in_one_page_the_newer_counts(database):
    portal = keep_portal(database)
    put_customers(
        database, portal, contact("1", manager_id="new", updated_at=NEW), contact("1", manager_id="old", updated_at=OLD)
    )
    assert rows(database, "SELECT manager_id FROM customers") == ["new"]


def test_the_same_page_twice_touches_no_row(database):
    portal = keep_portal(database)
    page = [contact(str(n), manager_id="1", updated_at=NEW, card={"r": n, "m": Decimal("12.50")}) for n in range(5)]
    assert put_customers(database, portal, *page).changed == 5
    before = rows(database, "SELECT number, xmin::text FROM customers ORDER BY number")
    assert put_customers(database, portal, *page).changed == 0
    assert rows(database, "SELECT number, xmin::text FROM customers ORDER BY number") == before


def test_numbers_are_dense_whether_a_card_is_read_or_only_named_by_an_order(database):
    portal = keep_portal(database)
    put_orders(database, portal, order("1", contact_id="5"), order("2", company_id="5"), order("3", contact_id="5"))
    put_customers(database, portal, contact("4"), contact("5"))
    put_customers(database, portal, company("5"))
    found = rows(database, "SELECT number, kind, external_id, seen FROM customers ORDER BY number")
    assert [row[0] for row in found] == [0, 1, 2]
    assert {row[1:] for row in found} == {("company", "5", True), ("contact", "5", True), ("contact", "4", True)}
    assert rows(database, "SELECT next_number FROM portals") == [3]


def test_numbers_stay_dense_and_unique_when_readers_insert_at_once(database):
    portal = keep_portal(database)
    start = threading.Barrier(4)

    def read_cards(kind, first):
        start.wait()
        for page in range(6):
            cards = [kind(str(first + page * 10 + n)) for n in range(10)]
            put_customers(database, portal, *cards)

    def read_orders(first):
        start.wait()
        for page in range(6):
            some = range(first + page * 10, first + page * 10 + 10)
            put_orders(database, portal, *(order(str(n), contact_id=str(n), company_id=str(n)) for n in some))

    readers = [
        threading.Thread(target=read_cards, args=(contact, 0)),
        threading.Thread(target=read_cards, args=(company, 0)),
        threading.Thread(target=read_orders, args=(0,)),
        threading.Thread(target=read_orders, args=(30,)),
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    numbers = rows(database, "SELECT number FROM customers ORDER BY number")
    assert numbers == list(range(len(numbers)))
    assert len(numbers) == len(rows(database, "SELECT DISTINCT kind, external_id FROM customers")) == 2 * 90
    assert rows(database, "SELECT next_number FROM portals") == [180]


def test_two_portals_number_their_customers_apart(database):
    first, second = keep_portal(database, "a"), keep_portal(database, "b")
    put_customers(database, first, contact("1"), contact("2"))
    put_customers(database, second, contact("1"))
    assert rows(database, "SELECT portal_id, number FROM customers ORDER BY 1, 2") == [
        (first.portal_id, 0),
        (first.portal_id, 1),
        (second.portal_id, 0),
    ]


def test_a_value_that_a_person_changed_is_an_event_exactly_once(database):
    portal = keep_portal(database)
    put_customers(database, portal, contact("1", updated_at=OLD, card={"r": 5, "segment": "vip"}))
    written(database, portal)
    edited = contact("1", updated_at=NEW, card={"r": 5, "segment": "sleeping"})
    for _ in range(3):
        put_customers(database, portal, edited)
    assert rows(database, EVENTS) == [("segment", "vip", "sleeping")]


def test_a_value_that_a_person_cleared_or_added_is_an_event(database):
    portal = keep_portal(database)
    put_customers(database, portal, contact("1", updated_at=OLD, card={"r": 5, "segment": "vip"}))
    written(database, portal)
    put_customers(database, portal, contact("1", updated_at=NEW, card={"r": 5, "hint": "mine"}))
    assert sorted(rows(database, EVENTS)) == [("hint", None, "mine"), ("segment", "vip", None)]


def test_the_echo_of_our_own_write_is_no_event(database):
    portal = keep_portal(database)
    put_customers(database, portal, contact("1", updated_at=OLD))
    written(database, portal, state="planned", m="12.5", updated_at="2026-03-01T11:00:00+00:00")
    with database.session() as session:
        planned = changes.next_planned(session, portal.portal_id, "r1", CONTACT, -1, 10)
        changes.settle(session, portal.portal_id, "r1", planned, [Outcome(ok=True, written_at=NEW)], NEW)
    echo = {"r": 5, "segment": "vip", "m": Decimal("12.50"), "updated_at": at("2026-03-01 11:00:00.123")}
    put_customers(database, portal, contact("1", updated_at=NEW, card=echo))
    assert rows(database, EVENTS) == []


def test_what_a_killed_run_wrote_without_settling_is_no_event(database):
    portal = keep_portal(database)
    put_customers(database, portal, contact("1", updated_at=OLD, card={"r": 4, "segment": "vip"}))
    written(database, portal, run_id="r0")
    written(database, portal, run_id="r1", state="planned", segment="loyal")
    put_customers(database, portal, contact("1", updated_at=NEW, card={"r": 5, "segment": "loyal"}))
    assert rows(database, EVENTS) == []


def test_a_foreign_value_beside_a_killed_run_is_still_an_event(database):
    portal = keep_portal(database)
    put_customers(database, portal, contact("1", updated_at=OLD, card={"r": 4, "segment": "vip"}))
    written(database, portal, run_id="r0")
    written(database, portal, run_id="r1", state="planned", segment="loyal")
    put_customers(database, portal, contact("1", updated_at=NEW, card={"r": 5, "segment": "sleeping"}))
    assert rows(database, EVENTS) == [("segment", "vip", "sleeping")]


def test_what_stood_on_a_card_before_our_first_write_is_no_event(database):
    portal = keep_portal(database)
    put_customers(database, portal, contact("1", updated_at=OLD, card={"r": 4}))
    put_customers(database, portal, contact("1", updated_at=NEW, card={"r": 9}))
    assert rows(database, EVENTS) == []
    assert rows(database, CARD) == [{"r": 9}]


def test_a_late_older_version_is_no_event(database):
    portal = keep_portal(database)
    put_customers(database, portal, contact("1", updated_at=NEW, card={"segment": "vip"}))
    written(database, portal)
    put_customers(database, portal, contact("1", updated_at=OLD, card={"segment": "loyal"}))
    assert rows(database, EVENTS) == []
    assert rows(database, CARD) == [{"segment": "vip"}]


def test_a_merged_card_is_gone_and_its_orders_are_to_be_read_again(database):
    portal = keep_portal(database)
    put_customers(database, portal, contact("1"), contact("2"))
    put_orders(database, portal, order("9", contact_id="2"))
    put_customers(database, portal, contact("1", merged_ids=("2",)))
    assert rows(database, "SELECT external_id FROM customers WHERE gone") == ["2"]
    with database.session() as session:
        assert mirrored.orders_to_recheck(session, portal.portal_id, order("9").source, CONTACT) == ["9"]
        assert mirrored.orders_to_recheck(session, portal.portal_id, order("9").source, COMPANY) == []
        mirror.recheck_done(session, portal.portal_id, CONTACT)
        assert mirrored.orders_to_recheck(session, portal.portal_id, order("9").source, CONTACT) == []


def test_a_card_that_was_gone_comes_back_when_it_is_seen_again(database):
    portal = keep_portal(database)
    put_customers(database, portal, contact("1", updated_at=NEW))
    with database.session() as session:
        assert mirror.mark_customers_gone(session, portal.portal_id, CONTACT, ["1", "77"]) == 1
        assert mirror.mark_customers_gone(session, portal.portal_id, CONTACT, ["1"]) == 0
        assert mirrored.count_customers(session, portal.portal_id) == 0
        assert list(mirrored.known_customers(session, portal.portal_id, CONTACT)) == []
    put_customers(database, portal, contact("1", updated_at=NEW))
    with database.session() as session:
        assert mirrored.count_customers(session, portal.portal_id) == 1
        assert list(mirrored.known_customers(session, portal.portal_id, CONTACT)) == [1]


def test_more_cards_can_vanish_at_once_than_a_statement_has_parameters(database):
    portal = keep_portal(database)
    put_customers(database, portal, contact("1"))
    with database.session() as session:
        assert mirror.mark_customers_gone(session, portal.portal_id, CONTACT, map(str, range(70_000))) == 1


def test_the_ids_we_know_are_ascending_numbers_without_cards_only_named(database):
    portal = keep_portal(database)
    put_customers(database, portal, contact("10"), contact("9"), contact("100"))
    put_orders(database, portal, order("1", contact_id="50"))
    with database.session() as session:
        assert list(mirrored.known_customers(session, portal.portal_id, CONTACT)) == [9, 10, 100]
        assert mirrored.count_customers(session, portal.portal_id) == 3


def test_cards_that_are_no_buyers_are_not_counted(database):
    portal = keep_portal(database)
    put_customers(database, portal, company("1", is_buyer=False), company("2"))
    with database.session() as session:
        assert mirrored.count_customers(session, portal.portal_id) == 1


def test_staff_that_is_listed_no_more_stays_inactive_and_teams_are_replaced(database):
    portal = keep_portal(database)
    with database.session() as session:
        mirror.store_staff(
            session, portal.portal_id, [Manager("1", "A", team_ids=("t",)), Manager("2", "B")], [Team("t", "T", "1")]
        )
    with database.session() as session:
        mirror.store_staff(session, portal.portal_id, [Manager("2", "Bea", active=False)], [Team("u", "U")])
    assert rows(database, "SELECT external_id, name, active FROM managers ORDER BY 1") == [
        ("1", "A", False),
        ("2", "Bea", False),
    ]
    assert rows(database, "SELECT external_id FROM teams") == ["u"]


def test_a_cursor_is_kept_moved_and_forgotten_by_stream(database):
    portal = keep_portal(database)
    with database.session() as session:
        assert mirror.cursor_of(session, portal.portal_id, "a") is None
        mirror.move_cursor(session, portal.portal_id, "a", "1")
        mirror.move_cursor(session, portal.portal_id, "b", "9")
        mirror.move_cursor(session, portal.portal_id, "a", "2")
    with database.session() as session:
        assert mirror.cursor_of(session, portal.portal_id, "a") == "2"
        mirror.forget_cursors(session, portal.portal_id)
        assert mirror.cursor_of(session, portal.portal_id, "b") is None


def test_text_of_any_kind_survives_the_way_into_the_database(database):
    portal = keep_portal(database)
    nasty = "tab\t, line\n, back\\slash \\N, quote' \", кириллица, 😀"
    put_customers(database, portal, contact("1", manager_id=nasty, card={"hint": nasty, "code": ""}))
    put_customers(database, portal, contact("2", manager_id="nul\x00l"))
    assert rows(database, "SELECT manager_id FROM customers ORDER BY number") == [nasty, "null"]
    assert rows(database, CARD) == [{"hint": nasty, "code": ""}]
