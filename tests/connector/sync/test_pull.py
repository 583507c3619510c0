"""CRM → mirror, page by page, and what a stop at any point leaves behind."""

from __future__ import annotations

from decimal import Decimal

import pytest

from adapters.contract import FieldSpec, FieldType, PortalInfo
from adapters.errors import Interrupted, ScopeMissing
from adapters.records import CustomerRef, Manager, OrderLine, OrderStatus, Team
from connector.store.models import Portal
from connector.sync.pull import Pull
from tests.connector.factories import (
    COMPANY,
    CONTACT,
    DEALS,
    IMPORT,
    ORDERS,
    at,
    execute,
    keep_portal,
    order,
    put_orders,
    rows,
)
from tests.fakes.memory import MemoryCRM

OWNERS = (
    "SELECT o.external_id, c.external_id FROM orders o LEFT JOIN customers c ON c.portal_id = o.portal_id"
    " AND c.number = o.customer ORDER BY length(o.external_id), o.external_id"
)


@pytest.fixture
def crm():
    portal = MemoryCRM()
    for n in range(1, 8):
        portal.add_customer(CONTACT, str(n))
        portal.add_order(order(str(n), contact_id=str(n)))
    portal.add_customer(COMPANY, "1")
    portal.staff, portal.groups = [Manager("1", "A", team_ids=("t",))], [Team("t", "T")]
    return portal


@pytest.fixture
def portal(database):
    return keep_portal(database, info_at=at("2026-01-01 00:00"))


def pull(database, portal, crm, **more):
    steps = []
    pulled = Pull(database, portal.portal_id, crm, lambda step, done: steps.append((step, done))).run(**more)
    assert sum(done for _, done in steps) == sum(pulled.received.values())
    return pulled


def test_a_first_pull_brings_everything_and_a_second_only_what_changed(database, portal, crm):
    first = pull(database, portal, crm)
    assert first.changed == {"managers": 0, "customers:contact": 7, "customers:company": 1, "orders:deals": 7}
    assert rows(database, "SELECT count(*) FROM orders WHERE customer IS NOT NULL") == [7]
    assert rows(database, "SELECT name FROM managers UNION SELECT name FROM teams ORDER BY 1") == ["A", "T"]
    crm.edit_order(DEALS, "3", amount=Decimal(99))
    crm.add_customer(CONTACT, "8")
    second = pull(database, portal, crm)
    assert second.received == {"managers": 1, "customers:contact": 1, "customers:company": 0, "orders:deals": 1}
    assert second.changed == {"managers": 0, "customers:contact": 1, "customers:company": 0, "orders:deals": 1}
    assert rows(database, "SELECT amount FROM orders WHERE external_id = '3'") == [99]
    assert rows(database, "SELECT last_sync_at IS NOT NULL FROM portals") == [True]


def test_a_full_pull_reads_everything_and_changes_nothing(database, portal, crm):
    pull(database, portal, crm)
    again = pull(database, portal, crm, full=True)
    assert again.received["customers:contact"] == again.received["orders:deals"] == 7
    assert set(again.changed.values()) == {0}


@pytest.mark.parametrize("stream", ["customers", "orders"])
@pytest.mark.parametrize("pages", [0, 1, 2])
def test_a_broken_pull_keeps_its_pages_and_the_next_goes_on_from_there(database, portal, crm, stream, pages):
    crm.page_size = 2
    crm.fail(stream, Interrupted("cut"), after=pages)
    with pytest.raises(Interrupted):
        pull(database, portal, crm)
    table = "customers WHERE seen" if stream == "customers" else "orders"
    kept = rows(database, f"SELECT count(*) FROM {table}")[0]
    assert kept <= 8
    before = crm.calls[stream]
    pull(database, portal, crm)
    assert rows(database, f"SELECT count(*) FROM {table}")[0] == (8 if stream == "customers" else 7)
    whole = 4 + 1 if stream == "customers" else 4
    assert crm.calls[stream] - before <= whole, "stored pages are not read again"
    assert rows(database, "SELECT count(*) FROM orders WHERE customer IS NOT NULL") == [7]


def test_an_answer_that_was_lost_after_the_last_page_costs_one_empty_page(database, portal, crm):
    crm.fail("customer_drift", Interrupted("cut"))
    with pytest.raises(Interrupted):
        pull(database, portal, crm)
    assert pull(database, portal, crm).received["customers:contact"] == 0


def test_the_first_error_of_any_stream_is_raised(database, portal, crm):
    crm.fail("managers", ScopeMissing("users may not be read"))
    with pytest.raises(ScopeMissing):
        pull(database, portal, crm)


def test_deleted_records_leave_and_restored_ones_return(database, portal, crm):
    pull(database, portal, crm)
    kept = crm.sold[DEALS]["2"].record
    crm.delete_order(DEALS, "2")
    crm.delete_customer(CustomerRef(CONTACT, "5"))
    pulled = pull(database, portal, crm)
    assert pulled.gone == {"orders:deals": 1, "customers:contact": 1}
    assert rows(database, "SELECT external_id FROM customers WHERE gone") == ["5"]
    assert rows(database, "SELECT external_id FROM orders WHERE gone AND customer IS NULL") == ["2"]
    crm.add_order(kept)
    crm.add_customer(CONTACT, "5")
    pull(database, portal, crm)
    assert rows(database, "SELECT count(*) FROM customers WHERE gone") == [0]
    assert rows(database, "SELECT count(*) FROM orders WHERE customer IS NOT NULL AND NOT gone") == [7]


def test_the_orders_of_a_merged_customer_go_to_the_one_who_stays_though_they_did_not_change(database, portal, crm):
    pull(database, portal, crm)
    crm.merge(CustomerRef(CONTACT, "1"), CustomerRef(CONTACT, "2"))
    pull(database, portal, crm)
    assert rows(database, OWNERS)[:3] == [("1", "1"), ("2", "1"), ("3", "3")]
    assert rows(database, "SELECT count(*) FROM customers WHERE recheck") == [0]


def test_a_merge_is_followed_even_when_the_pull_breaks_before_the_orders_were_read_again(database, portal, crm):
    pull(database, portal, crm)
    crm.merge(CustomerRef(CONTACT, "1"), CustomerRef(CONTACT, "2"))
    crm.fail("orders_by_id", Interrupted("cut"))
    with pytest.raises(Interrupted):
        pull(database, portal, crm)
    pull(database, portal, crm)
    assert rows(database, OWNERS)[1] == ("2", "1")


def test_records_that_no_reading_showed_are_fetched_by_their_ids(database, portal, crm):
    pull(database, portal, crm)
    crm.add_customer(CONTACT, "50")
    crm.cards[CONTACT]["50"].version = 0
    crm.add_order(order("50", contact_id="50"))
    crm.sold[DEALS]["50"].version = 0
    pull(database, portal, crm)
    assert rows(database, OWNERS)[-1] == ("50", "50")
    assert rows(database, "SELECT seen FROM customers WHERE external_id = '50'") == [True]


def test_only_the_sources_of_the_portal_are_read(database, portal, crm):
    crm.add_order(order("9", source=ORDERS))
    pull(database, portal, crm)
    assert rows(database, "SELECT DISTINCT source FROM orders") == ["deals"]
    execute(database, """UPDATE portals SET settings = '{"order_sources": ["orders", "import"]}'""")
    before = crm.calls["orders"]
    pull(database, portal, crm)
    assert rows(database, "SELECT DISTINCT source FROM orders ORDER BY 1") == ["deals", "orders"]
    assert crm.calls["orders"] == before + 1


def test_an_order_object_stops_counting_while_its_deal_counts(database, portal, crm):
    execute(database, """UPDATE portals SET settings = '{"order_sources": ["deals", "orders"]}'""")
    crm.add_order(order("9", source=ORDERS, deal_id="1"))
    counted = (
        "SELECT source || external_id FROM orders WHERE customer IS NOT NULL AND external_id IN ('1', '9') ORDER BY 1"
    )
    pull(database, portal, crm)
    assert rows(database, counted) == ["deals1"]
    crm.edit_order(DEALS, "1", status=OrderStatus.OPEN)
    pull(database, portal, crm)
    assert rows(database, counted) == ["orders9"]


def test_an_imported_order_stops_counting_when_its_deal_arrives(database, portal, crm):
    execute(database, """UPDATE portals SET settings = '{"order_sources": ["deals", "import"]}'""")
    put_orders(database, portal, order("row", source=IMPORT, deal_id="1"), source=IMPORT)
    assert rows(database, "SELECT count(*) FROM orders WHERE customer IS NOT NULL") == [1]
    pull(database, portal, crm)
    assert rows(database, "SELECT external_id FROM orders WHERE source = 'import' AND customer IS NULL") == ["row"]


def test_rates_are_read_every_time_and_orders_follow_them(database, portal, crm):
    crm.edit_order(DEALS, "1", currency="EUR", amount=Decimal(2))
    units = "SELECT units FROM orders WHERE external_id = '1'"
    pull(database, portal, crm)
    assert rows(database, units) == [201_000_000]
    crm.currencies["EUR"] = Decimal(90)
    pull(database, portal, crm)
    assert rows(database, units) == [180_000_000]


def test_the_accounts_zone_and_currency_are_asked_once_a_day_and_orders_follow_them(database, portal, crm):
    crm.edit_order(DEALS, "1", at=at("2026-03-01 22:00"))
    days = "SELECT day - 20513 FROM orders WHERE external_id = '1'"
    pull(database, portal, crm)
    assert rows(database, days) == [1]
    crm.info = PortalInfo("acc-1", "Memory", "UTC", "RUB", "https://crm.example")
    pull(database, portal, crm)
    assert (rows(database, days), crm.calls["portal"]) == ([1], 1)
    execute(database, "UPDATE portals SET info_at = now() - interval '21 hours'")
    pull(database, portal, crm)
    assert (rows(database, days), crm.calls["portal"]) == ([0], 2)


def test_the_portals_own_zone_wins_over_the_accounts(database, portal, crm):
    execute(database, """UPDATE portals SET settings = '{"time_zone": "Asia/Tokyo"}'""")
    pull(database, portal, crm)
    assert rows(database, "SELECT time_zone FROM portals") == ["Asia/Tokyo"]


def test_our_fields_are_read_from_the_cards_once_it_is_known_where_they_are(database, portal, crm):
    fields = crm.ensure_fields([FieldSpec("r", FieldType.INTEGER, "R")], None)
    crm.edit_card(CustomerRef(CONTACT, "1"), r=7, foreign="x")
    with database.session() as session:
        session.get_one(Portal, portal.portal_id).fields = fields.to_json()
    pull(database, portal, crm)
    assert rows(database, "SELECT card FROM customers WHERE kind = 'contact' AND external_id = '1'") == [{"r": 7}]


def test_lines_are_left_out_where_the_portal_does_not_want_them(database, portal, crm):
    crm.edit_order(DEALS, "1", lines=(OrderLine("p", "Tea", Decimal(1), Decimal(1)),))
    execute(database, """UPDATE portals SET settings = '{"order_lines": false}'""")
    pull(database, portal, crm)
    assert rows(database, "SELECT count(*) FROM order_lines") == [0]
    execute(database, "UPDATE portals SET settings = '{}'")
    pull(database, portal, crm, full=True)
    assert rows(database, "SELECT name FROM order_lines") == ["Tea"]


def test_a_pull_that_finds_nothing_new_costs_a_handful_of_calls(database, portal, crm):
    pull(database, portal, crm)
    before = crm.calls.total()
    pull(database, portal, crm)
    assert crm.calls.total() - before <= 8
