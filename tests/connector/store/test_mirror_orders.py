"""Orders in the mirror: whose they are, on which day, how much, and what each counts as."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest

from adapters.fields import zone
from adapters.records import OrderLine, OrderStatus
from connector.store import mirror, mirrored
from connector.store.mirror import Weight
from connector.store.models import Portal
from tests.connector.factories import (
    COMPANY,
    CONTACT,
    DEALS,
    IMPORT,
    ORDERS,
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

OWNERS = (
    "SELECT o.external_id, c.kind || ':' || c.external_id FROM orders o"
    " LEFT JOIN customers c ON c.portal_id = o.portal_id AND c.number = o.customer ORDER BY o.external_id"
)
COUNTED = "SELECT external_id, units, weight FROM orders ORDER BY external_id"
DERIVED = "SELECT source, external_id, customer, day, units, weight FROM orders ORDER BY 1, 2"
EPOCH = date(1970, 1, 1)


def again(database, portal):
    """Derive everything from scratch; returns how many rows changed."""
    with database.session() as session:
        return mirror.derive_all(session, session.get_one(Portal, portal.portal_id))


def tie(database, portal):
    with database.session() as session:
        mirror.untie(session, session.get_one(Portal, portal.portal_id))


# --- whose ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "both", "only_company", "only_contact"),
    [
        ("company_or_contact", "company:7", "company:7", "contact:5"),
        ("company", "company:7", "company:7", None),
        ("contact", "contact:5", None, "contact:5"),
    ],
)
def test_the_setting_says_who_owns_an_order(database, rule, both, only_company, only_contact):
    portal = keep_portal(database, settings={"customer": rule})
    put_orders(
        database,
        portal,
        order("a", company_id="7", contact_id="5"),
        order("b", company_id="7"),
        order("c", contact_id="5"),
        order("d", contact_id=None),
    )
    assert rows(database, OWNERS) == [("a", both), ("b", only_company), ("c", only_contact), ("d", None)]


def test_an_order_of_a_card_not_read_yet_is_his_from_the_start(database):
    portal = keep_portal(database)
    put_orders(database, portal, order("a", contact_id="5"))
    put_customers(database, portal, contact("4"), contact("5"))
    assert rows(database, OWNERS) == [("a", "contact:5")]
    assert again(database, portal) == 0


@pytest.mark.parametrize("status", [OrderStatus.LOST, OrderStatus.OPEN])
def test_an_order_that_is_not_won_belongs_to_nobody_and_a_reopened_one_leaves(database, status):
    portal = keep_portal(database)
    put_orders(database, portal, order("a"))
    put_orders(database, portal, order("a", status=status))
    assert rows(database, OWNERS) == [("a", None)]
    put_orders(database, portal, order("a"))
    assert rows(database, OWNERS) == [("a", "contact:1")]


def test_a_won_order_without_a_time_does_not_count(database):
    portal = keep_portal(database)
    put_orders(database, portal, order("a", at=None))
    assert rows(database, "SELECT customer, day FROM orders") == [(None, None)]


def test_a_deleted_order_leaves_the_history_and_returns_when_seen_again(database):
    portal = keep_portal(database)
    put_orders(database, portal, order("a"), order("b"))
    with database.session() as session:
        assert mirror.mark_orders_gone(session, portal.portal_id, DEALS, ["a"]) == 1
        assert mirrored.count_orders(session, portal.portal_id) == 1
        assert list(mirrored.known_orders(session, portal.portal_id, DEALS)) == []
    assert rows(database, OWNERS) == [("a", None), ("b", "contact:1")]
    assert again(database, portal) == 0
    put_orders(database, portal, order("a"))
    assert rows(database, OWNERS) == [("a", "contact:1"), ("b", "contact:1")]


def test_more_orders_can_vanish_at_once_than_a_statement_has_parameters(database):
    portal = keep_portal(database)
    put_orders(database, portal, order("5"))
    with database.session() as session:
        assert mirror.mark_orders_gone(session, portal.portal_id, DEALS, map(str, range(70_000))) == 1


# --- when ----------------------------------------------------------------------------------------------------------

ZONES = ("Europe/Moscow", "UTC", "UTC+03:00", "UTC-09:30", "America/New_York", "Asia/Kathmandu", "Pacific/Apia")


@pytest.mark.parametrize("name", ZONES)
def test_the_day_is_the_portals_own_around_midnight_and_across_changes_of_the_clock(database, name):
    portal = keep_portal(database, time_zone=name)
    here = zone(name)
    nights = [
        date(2026, 1, 1),
        date(2026, 3, 8),
        date(2026, 3, 29),
        date(2026, 10, 25),
        date(2026, 11, 1),
        date(2011, 12, 31),
    ]
    moments = [
        datetime(night.year, night.month, night.day, tzinfo=here).astimezone(UTC) + step
        for night in nights
        for step in (
            timedelta(microseconds=-1),
            timedelta(0),
            timedelta(hours=1),
            timedelta(hours=3),
            timedelta(hours=25),
        )
    ]
    numbers = count(1)
    put_orders(database, portal, *(order(str(next(numbers)), at=moment) for moment in moments))
    found = rows(database, "SELECT day FROM orders ORDER BY external_id::int")
    assert found == [(moment.astimezone(here).date() - EPOCH).days for moment in moments]


def test_another_time_zone_moves_the_days(database):
    portal = keep_portal(database, time_zone="UTC")
    put_orders(database, portal, order("a", at=at("2026-03-01 22:00")), order("b", at=at("2026-03-01 12:00")))
    execute(database, "UPDATE portals SET time_zone = 'Asia/Tokyo'")
    assert again(database, portal) == 1
    assert rows(database, "SELECT day - 20513 FROM orders ORDER BY external_id") == [1, 0]


def test_a_quote_in_a_time_zone_stays_inside_its_literal():
    assert mirror.sql_zone("UTC+03:00'; DROP TABLE orders; --").count("'") == 2
    assert mirror.sql_zone("Europe/Mos'cow").count("'") == 2


# --- how much ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "currency", "units", "weight"),
    [
        ("10", "RUB", 10_000_000, Weight.ORDER),
        ("10", None, 10_000_000, Weight.ORDER),
        ("0.000001", "RUB", 1, Weight.ORDER),
        ("0.0000004", "RUB", 0, Weight.ORDER),
        ("9007199254.740993", "RUB", 9_007_199_254_740_993, Weight.ORDER),
        ("3999999999999.999999", "RUB", 3_999_999_999_999_999_999, Weight.ORDER),
        ("4000000000000", "RUB", 0, Weight.NO_RATE),
        ("1e15", "RUB", 0, Weight.NO_RATE),
        ("1e300", "RUB", 0, Weight.NO_RATE),
        ("2", "EUR", 201_000_000, Weight.ORDER),
        ("0.0000000099", "EUR", 1, Weight.ORDER),
        ("2", "USD", 0, Weight.NO_RATE),
        ("-1e15", "RUB", 0, Weight.REFUND_NO_RATE),
        ("-2.50", "RUB", -2_500_000, Weight.REFUND),
        ("-2.50", "USD", 0, Weight.REFUND_NO_RATE),
        ("0", "RUB", 0, Weight.REFUND),
        (None, "RUB", 0, Weight.NO_AMOUNT),
        (None, "USD", 0, Weight.NO_AMOUNT),
    ],
)
def test_an_amount_is_exact_in_the_base_currency_or_known_to_be_unknown(database, amount, currency, units, weight):
    portal = keep_portal(database, rates={"RUB": "1", "EUR": "100.5"})
    put_orders(database, portal, order("a", amount=None if amount is None else Decimal(amount), currency=currency))
    assert rows(database, COUNTED) == [("a", units, weight)]


def test_a_rate_that_changes_changes_the_amounts_in_that_currency_only(database):
    portal = keep_portal(database, rates={"RUB": "1", "EUR": "100"})
    put_orders(database, portal, order("a"), order("b", currency="EUR"), order("c", currency="USD"))
    execute(database, """UPDATE portals SET rates = '{"RUB": "1", "EUR": "90.123456", "USD": "80"}'""")
    assert again(database, portal) == 2
    assert rows(database, COUNTED) == [
        ("a", 10_000_000, Weight.ORDER),
        ("b", 901_234_560, Weight.ORDER),
        ("c", 800_000_000, Weight.ORDER),
    ]


def test_a_zero_counts_as_no_amount_where_the_portal_says_so(database):
    portal = keep_portal(database, settings={"zero_amount": "absent"})
    put_orders(database, portal, order("a", amount=Decimal(0)), order("b", amount=Decimal(-1)))
    assert rows(database, COUNTED) == [("a", 0, Weight.NO_AMOUNT), ("b", -1_000_000, Weight.REFUND)]


# --- which sources -------------------------------------------------------------------------------------------------


def test_only_the_sources_in_the_settings_count(database):
    portal = keep_portal(database)
    put_orders(database, portal, order("deal"))
    put_orders(database, portal, order("file", source=IMPORT), source=IMPORT)
    assert rows(database, OWNERS) == [("deal", "contact:1"), ("file", None)]
    execute(database, """UPDATE portals SET settings = '{"order_sources": ["import"]}'""")
    again(database, portal)
    assert rows(database, OWNERS) == [("deal", None), ("file", "contact:1")]
    execute(database, """UPDATE portals SET settings = '{"order_sources": ["deals", "import"]}'""")
    again(database, portal)
    assert rows(database, OWNERS) == [("deal", "contact:1"), ("file", "contact:1")]


def test_an_order_tied_to_a_deal_counts_once_as_long_as_the_deal_counts(database):
    portal = keep_portal(database, settings={"order_sources": ["deals", "orders"]})
    put_orders(database, portal, order("deal"), order("lost", status=OrderStatus.LOST))
    tied = (
        order("w", source=ORDERS, deal_id="deal"),
        order("x", source=ORDERS, deal_id="lost"),
        order("y", source=ORDERS, deal_id="never seen"),
        order("z", source=ORDERS),
    )
    put_orders(database, portal, *tied, source=ORDERS)
    tie(database, portal)
    mine = "contact:1"
    assert rows(database, OWNERS) == [
        ("deal", mine),
        ("lost", None),
        ("w", None),
        ("x", mine),
        ("y", mine),
        ("z", mine),
    ]
    put_orders(database, portal, order("deal", status=OrderStatus.OPEN), order("lost"))
    tie(database, portal)
    assert rows(database, OWNERS) == [
        ("deal", None),
        ("lost", mine),
        ("w", mine),
        ("x", None),
        ("y", mine),
        ("z", mine),
    ]


def test_a_tied_order_read_again_is_unchanged(database):
    portal = keep_portal(database, settings={"order_sources": ["deals", "import"]})
    put_orders(database, portal, order("deal"))
    file = order("row", source=IMPORT, deal_id="deal")
    put_orders(database, portal, file, source=IMPORT)
    tie(database, portal)
    assert put_orders(database, portal, file, source=IMPORT).changed == 0


def test_a_tie_needs_no_second_source_to_be_harmless(database):
    portal = keep_portal(database)
    put_orders(database, portal, order("deal", deal_id="deal"))
    tie(database, portal)
    assert rows(database, OWNERS) == [("deal", "contact:1")]


# --- how they are stored -------------------------------------------------------------------------------------------


def test_the_same_orders_again_touch_no_row(database):
    portal = keep_portal(database)
    line = OrderLine("p", "Soap", Decimal("2.50"), Decimal("4.00"))
    page = [order(str(n), amount=Decimal("12.50"), created_at=at("2026-01-01 00:00"), lines=(line,)) for n in range(4)]
    assert put_orders(database, portal, *page) == mirror.Stored(4, 4)
    stamps = "SELECT xmin::text FROM orders UNION ALL SELECT xmin::text FROM order_lines ORDER BY 1"
    before = rows(database, stamps)
    equal = [order(str(n), amount=Decimal("12.5"), created_at=at("2026-01-01 00:00"), lines=(line,)) for n in range(4)]
    assert put_orders(database, portal, *equal) == mirror.Stored(4, 0)
    assert rows(database, stamps) == before
    assert put_orders(database, portal, *page[:1], order("9")) == mirror.Stored(2, 1)


def test_lines_are_replaced_and_kept_when_they_were_not_read(database):
    portal = keep_portal(database)
    soap, tea = OrderLine("1", "Soap", Decimal(1), Decimal(5)), OrderLine("2", "Tea", Decimal(3), None, Decimal(1))
    held = "SELECT external_id, position, name FROM order_lines ORDER BY 1, 2"
    put_orders(database, portal, order("a", lines=(soap, tea)), order("b", lines=(tea,)))
    assert rows(database, held) == [("a", 0, "Soap"), ("a", 1, "Tea"), ("b", 0, "Tea")]
    put_orders(database, portal, order("a", lines=(tea,)), order("b", lines=None))
    assert rows(database, held) == [("a", 0, "Tea"), ("b", 0, "Tea")]
    put_orders(database, portal, order("a", lines=()), order("b", lines=(soap,)))
    assert rows(database, held) == [("b", 0, "Soap")]


def test_several_pages_in_one_transaction_do_not_see_each_other(database):
    portal = keep_portal(database)
    soap = OrderLine("1", "Soap", Decimal(1), Decimal(5))
    with database.session() as session:
        stored = session.get_one(Portal, portal.portal_id)
        first = mirror.store_orders(session, stored, DEALS, [order("1", lines=(soap,)), order("2")])
        second = mirror.store_orders(session, stored, DEALS, [order("2", lines=(soap, soap)), order("3")])
        mirror.store_customers(session, portal.portal_id, CONTACT, [contact("1")])
        mirror.store_customers(session, portal.portal_id, COMPANY, [company("1")])
    assert (first.changed, second.changed) == (2, 1)
    assert rows(database, "SELECT external_id, count(*) FROM order_lines GROUP BY 1 ORDER BY 1") == [("1", 1), ("2", 2)]
    assert rows(database, "SELECT kind, external_id FROM customers ORDER BY 1") == [("company", "1"), ("contact", "1")]


def test_an_empty_page_changes_nothing(database):
    portal = keep_portal(database)
    assert put_orders(database, portal) == mirror.Stored(0, 0)
    with database.session() as session:
        assert mirror.store_customers(session, portal.portal_id, CONTACT, []) == mirror.Stored(0, 0)


def test_deriving_again_equals_a_fresh_insert(database):
    """Whatever the settings, computing the derived columns later gives what storing gives at once."""
    settings = {"order_sources": ["import", "deals"], "customer": "contact", "zero_amount": "absent"}
    rates = {"USD": "1", "EUR": "1.1"}
    amounts = [None, Decimal(0), Decimal(-3), Decimal("7.77"), Decimal("1e15")]
    some = [
        order(
            str(n),
            amount=amounts[n % 5],
            currency=("USD", "EUR", "XXX")[n % 3],
            at=at("2026-03-01 20:30") + timedelta(hours=n),
            contact_id=str(n % 4) if n % 7 else None,
            company_id=str(n % 3) if n % 2 else None,
            status=list(OrderStatus)[n % 3] if n % 5 else OrderStatus.WON,
        )
        for n in range(60)
    ]
    fresh = keep_portal(database, "fresh", time_zone="UTC+03:00", currency="USD", settings=settings, rates=rates)
    later = keep_portal(database, "later")
    for portal in (fresh, later):
        put_orders(database, portal, *some)
    execute(
        database,
        "UPDATE portals l SET time_zone = f.time_zone, currency = f.currency, settings = f.settings, rates = f.rates"
        " FROM portals f WHERE l.name = 'later' AND f.name = 'fresh'",
    )
    assert again(database, later) > 0
    of_one = DERIVED.replace("FROM orders", "FROM orders WHERE portal_id = :portal")
    assert rows(database, of_one, portal=later.portal_id) == rows(database, of_one, portal=fresh.portal_id)
    assert again(database, later) == again(database, fresh) == 0
