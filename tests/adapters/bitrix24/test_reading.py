"""Reading, against the emulated portal with its documented limits."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from adapters.contract import Cursor, Drift, FieldMap, FieldRef
from adapters.errors import AccessLost, Malformed, ScopeMissing, TokenExpired, Unsupported
from adapters.records import CustomerKind, CustomerRef, OrderSource, OrderStatus, ScoreChange
from sandbox.bitrix24 import create_portal
from sandbox.faults import Fault
from sandbox.random_shop import random_shop
from sandbox.server import serve
from tests.adapters.bitrix24.conftest import SPECS, open_bench

CONTACT, COMPANY = CustomerKind.CONTACT, CustomerKind.COMPANY
DEALS, ORDERS = OrderSource.DEALS, OrderSource.ORDERS


def _ids(pages):
    return [record.ref.external_id for page in pages for record in page.records]


def test_the_portal_introduces_itself_in_one_request(bench):
    info = bench.adapter.portal()
    host = bench.url.split("/")[2]
    assert (info.account_id, info.name, info.web_url) == (host, host, f"http://{host}")
    assert (info.currency, info.time_zone) == ("USD", "Europe/Moscow")
    assert bench.portal.requests == 1


def test_the_portal_is_asked_once_how_much_there_is(bench):
    before = bench.portal.requests
    state = bench.portal.state
    assert bench.adapter.count(CustomerKind.CONTACT) == len(state.contacts.rows)
    assert bench.adapter.count(CustomerKind.COMPANY) == len(state.companies.rows)
    assert bench.adapter.count(OrderSource.DEALS) == len(state.deals.rows)
    assert bench.portal.requests == before + 3


def test_without_the_users_scope_the_time_zone_is_the_portals_offset(bench):
    bench.portal.grant("crm")
    assert bench.adapter.portal().time_zone == "UTC+03:00"


def test_a_wrong_secret_is_lost_access_and_is_not_repeated_in_the_error(bench):
    bench.url = bench.url.replace(bench.portal.token, "hushhush")
    with pytest.raises(TokenExpired) as lost:
        bench.another().portal()
    assert "hush" not in str(lost.value)


def test_a_portal_closed_by_the_vendor_is_not_hammered(bench):
    bench.portal.block("OVERLOAD_LIMIT", 503)
    with pytest.raises(AccessLost):
        bench.adapter.portal()
    assert bench.portal.requests == 1


def test_rates_have_the_base_currency(bench):
    assert bench.adapter.rates() == {"USD": Decimal(1), "EUR": Decimal("1.0850")}


def test_people_come_with_dismissed_ones_and_departments_with_their_heads(bench):
    bench.portal.deactivate_user(3)
    people, teams = bench.adapter.managers()
    assert {person.external_id for person in people if not person.active} >= {"3"}
    assert {team.name: team.lead_id for team in teams} == {"North": "1", "South": "2", "East": None, "Company": None}
    assert bench.portal.requests == 1


def test_without_the_scope_of_departments_there_are_no_teams(bench):
    bench.portal.grant("crm", "user")
    people, teams = bench.adapter.managers()
    assert people
    assert teams == []


def test_without_the_scope_of_users_a_person_is_told(bench):
    bench.portal.grant("crm")
    with pytest.raises(ScopeMissing) as missing:
        bench.adapter.managers()
    assert missing.value.scope == "user"


@pytest.mark.parametrize(("kind", "count"), [(CONTACT, 180), (COMPANY, 120)])
def test_all_cards_are_read_once_in_one_request(bench, kind, count):
    pages = list(bench.adapter.customers(kind, None))
    assert sorted(map(int, _ids(pages))) == list(range(1, count + 1))
    assert bench.portal.requests == 1


def test_a_backfill_goes_on_at_any_page_and_then_reads_what_changed_since_it_began(bench):
    cursor, seen = None, []
    for _ in range(3):  # each time the process dies after one short page
        page = next(_short_pages(bench.another(), CONTACT, cursor, length=1))
        seen += _ids([page])
        cursor = page.cursor
        bench.clock.advance(60)
    bench.portal.edit_card("contact", 2, {"ASSIGNED_BY_ID": 5})
    rest = list(bench.another().customers(CONTACT, cursor))
    assert sorted(map(int, seen + _ids(rest))) == list(range(1, 181))
    changes = list(bench.another().customers(CONTACT, rest[-1].cursor))
    assert [(r.ref.external_id, r.manager_id) for page in changes for r in page.records] == [("2", "5")]


def _short_pages(adapter, kind, cursor, *, length):
    real = adapter._client.walk

    def short(listing, after, pace):
        pace.length = pace.most = length
        return real(listing, after, pace)

    adapter._client.walk = short
    return adapter.customers(kind, cursor)


def test_a_pull_with_nothing_new_is_one_request_and_moves_the_cursor(bench):
    cursor = list(bench.adapter.customers(CONTACT, None))[-1].cursor
    bench.clock.advance(3600)
    before = bench.portal.requests
    pages = list(bench.adapter.customers(CONTACT, cursor))
    assert (_ids(pages), bench.portal.requests - before) == ([], 1)
    assert pages[-1].cursor != cursor


def test_a_change_within_the_lag_is_read_again(bench):
    cursor = list(bench.adapter.customers(CONTACT, None))[-1].cursor
    bench.portal.edit_card("contact", 9, {"ASSIGNED_BY_ID": 5})
    bench.clock.advance(200)
    pages = list(bench.adapter.customers(CONTACT, cursor))
    assert _ids(list(bench.adapter.customers(CONTACT, pages[-1].cursor))) == _ids(pages) == ["9"]


def test_a_foreign_cursor_is_malformed(bench):
    with pytest.raises(Malformed):
        list(bench.adapter.customers(CONTACT, Cursor("[1]")))


def test_cards_are_found_by_id_or_named_as_gone(bench):
    found = bench.adapter.customers_by_id(CONTACT, ["5", "7", "999999", "no-id"])
    assert sorted(record.ref.external_id for record in found.records) == ["5", "7"]
    assert found.gone == {"999999", "no-id"}


def test_the_own_company_is_no_buyer(bench):
    own = bench.portal.add_company("We", is_my_company=True)
    found = bench.adapter.customers_by_id(COMPANY, [str(own), "1"])
    assert {record.ref.external_id: record.is_buyer for record in found.records} == {str(own): False, "1": True}


def test_the_values_on_a_card_are_read_in_our_types(bench):
    fields = bench.provisioned()
    bench.portal.edit_card("contact", 3, {"UF_CRM_RFM_R": 9, "UF_CRM_RFM_SEGMENT": "vip", "UF_CRM_RFM_M": "10.50"})
    (record,) = bench.adapter.customers_by_id(CONTACT, ["3"], fields=fields).records
    assert {key: record.card.get(key) for key in ("r", "segment", "m", "hint")} == {
        "r": 9,
        "segment": "vip",
        "m": Decimal("10.5"),
        "hint": None,
    }


def test_a_field_that_an_administrator_deleted_is_simply_empty(bench):
    gone = FieldMap({CONTACT: {"r": FieldRef("77777", "UF_CRM_RFM_GONE")}})
    (record,) = bench.adapter.customers_by_id(CONTACT, ["3"], fields=gone).records
    assert record.card == {}


# ── deals and orders ─────────────────────────────────────────────────────────────────────────────────────────────


def _deals(bench, cursor=None, *, lines=True):
    return [order for page in bench.adapter.orders(DEALS, cursor, lines=lines) for order in page.records]


def test_deals_come_as_the_shop_made_them(bench):
    shop = random_shop(11, 300, 700, date(2026, 11, 24), lines=True)
    orders = {int(order.external_id): order for order in _deals(bench)}
    assert len(orders) == 700
    for deal in shop.deals:
        order = orders[deal.id]
        assert order.status.value == deal.status
        assert (order.amount or None) == (deal.amount or None)  # none entered may be shown as 0
        main = deal.main_contact_id or next(iter(deal.contact_ids), None)  # Bitrix24 takes the first for the main one
        assert order.contact_id == (None if main is None else str(main))
        assert order.company_id == (str(deal.company_id) if deal.company_id else None)
        if deal.status == "won":
            assert order.at == deal.closed_at.replace(microsecond=0)
            assert order.lines is not None
            assert len(order.lines) == len(deal.lines)
            assert {line.price for line in order.lines} == {line.price for line in deal.lines}
        else:
            assert order.lines is None


def test_lines_cost_little_more_than_their_rows(bench):
    _deals(bench)
    with_lines = bench.portal.requests
    _deals(bench, lines=False)
    assert with_lines <= 3
    assert bench.portal.requests - with_lines == 1


def test_a_won_lost_or_reopened_deal_is_among_the_changes(bench):
    bench.clock.advance(86400)  # the shop's last deals are of this very day
    cursor = list(bench.adapter.orders(DEALS, None, lines=False))[-1].cursor
    won = next(order for order in _deals(bench, lines=False) if order.status is OrderStatus.WON)
    bench.clock.advance(3600)
    bench.portal.reopen_deal(int(won.external_id))
    (changed,) = _deals(bench, cursor)
    assert (changed.external_id, changed.status, changed.at) == (won.external_id, OrderStatus.OPEN, None)


def test_templates_are_no_deals_but_gone_by_id(bench):
    template = bench.portal.add_deal(amount=Decimal(5), won=True, is_recurring=True)
    assert str(template) not in {order.external_id for order in _deals(bench)}
    assert bench.adapter.orders_by_id(DEALS, [str(template), "1"]).gone == {str(template)}


def test_a_deal_of_another_funnel_is_won_there(bench):
    deal_id = bench.portal.add_deal(amount=Decimal(70), won=True, contact_ids=(4, 5), company_id=None)
    (order,) = bench.adapter.orders_by_id(DEALS, [str(deal_id)]).records
    assert (order.status, order.amount, order.contact_id) == (OrderStatus.WON, Decimal(70), "4")
    assert order.at == datetime(2026, 11, 24, 9, tzinfo=UTC)


def test_store_orders_come_with_client_payment_and_deal(bench):
    for number in range(1, 121):
        bench.portal.add_order(Decimal(number), contact_id=number, deal_id=number if number <= 60 else None)
    before = bench.portal.requests
    pages = list(bench.adapter.orders(ORDERS, None))
    orders = {order.external_id: order for page in pages for order in page.records}
    assert len(orders) == 120
    assert (orders["60"].amount, orders["60"].contact_id, orders["60"].deal_id) == (Decimal(60), "60", "60")
    assert orders["61"].deal_id is None
    assert all(order.status is OrderStatus.WON for order in orders.values())
    assert bench.portal.requests - before == 1 + 3
    assert [order for page in bench.adapter.orders(ORDERS, pages[-1].cursor) for order in page.records]
    bench.clock.advance(3600)
    last = list(bench.adapter.orders(ORDERS, pages[-1].cursor))[-1].cursor
    assert not [order for page in bench.adapter.orders(ORDERS, last) for order in page.records]
    assert bench.adapter.orders_by_id(ORDERS, ["5", "5000"]).gone == {"5000"}


def test_store_orders_without_their_scope_are_refused_with_its_name(bench):
    bench.portal.grant("crm", "user")
    with pytest.raises(ScopeMissing) as missing:
        list(bench.adapter.orders(ORDERS, None))
    assert missing.value.scope == "sale"


def test_imported_orders_are_not_the_portals(bench):
    with pytest.raises(Unsupported):
        list(bench.adapter.orders(OrderSource.IMPORT, None))


# ── what vanished ────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_vanished_costs_one_request(bench):
    known = list(range(1, 181))
    assert bench.adapter.customer_drift(CONTACT, known) == Drift()
    assert bench.portal.requests == 1


def test_vanished_and_unseen_cards_are_found_by_id(bench):
    bench.portal.delete("contact", 5)
    bench.portal.delete("contact", 180)
    new = bench.portal.add_contact("New")
    known = [number for number in range(1, 181) if number != 77]
    assert bench.adapter.customer_drift(CONTACT, known) == Drift(frozenset({"5", "180"}), frozenset({"77", str(new)}))


def test_templates_are_no_drift(bench):
    bench.portal.add_deal(amount=Decimal(5), won=True, is_recurring=True)
    bench.portal.delete_deal(13)
    assert bench.adapter.order_drift(DEALS, list(range(1, 701))) == Drift(frozenset({"13"}), frozenset())


def test_store_orders_drift_too(bench):
    for number in range(1, 60):
        bench.portal.add_order(Decimal(number))
    assert bench.adapter.order_drift(ORDERS, [*range(1, 59), 999]) == Drift(frozenset({"999"}), frozenset({"59"}))


@pytest.fixture
def large(clock, faults):
    portal = create_portal(random_shop(2, 6000, 10, date(2026, 11, 24), company_share=0.0), clock=clock, faults=faults)
    with serve(portal.app) as server:
        yield open_bench(portal, clock, server.url)


def test_in_a_large_portal_only_ranges_with_another_count_are_read(large):
    known = list(range(1, 6001))
    assert large.adapter.customer_drift(CONTACT, known) == Drift()
    assert large.portal.requests == 1
    large.portal.delete("contact", 4000)
    large.portal.delete("contact", 6000)
    new = large.portal.add_contact("New")
    before = large.portal.requests
    drift = large.adapter.customer_drift(CONTACT, [number for number in known if number != 10])
    assert drift == Drift(frozenset({"4000", "6000"}), frozenset({"10", str(new)}))
    assert large.portal.requests - before <= 4


def test_under_faults_everything_is_read_exactly_and_no_limit_is_passed(large):
    for fault in Fault:
        large.portal.faults.switch(fault, 0.1)
    fields = large.adapter.ensure_fields(SPECS, None)
    assert sorted(map(int, _ids(large.adapter.customers(CONTACT, None, fields=fields)))) == list(range(1, 6001))
    assert large.adapter.customer_drift(CONTACT, range(1, 6001)) == Drift()
    assert large.portal.exceeded == 0
    assert sum(large.portal.faults.counts.values()) > 0


def test_reading_6000_cards_takes_three_requests(large):
    assert len(_ids(large.adapter.customers(CONTACT, None))) == 6000
    assert large.portal.requests == 3


def test_the_echo_of_our_own_writes_costs_one_request_for_each_2500_cards(bench):
    fields = bench.provisioned()
    cursor = list(bench.adapter.customers(CONTACT, None, fields=fields))[-1].cursor
    bench.clock.advance(3600)
    changes = [ScoreChange(CustomerRef(CONTACT, str(number)), {"r": 3}) for number in range(1, 181)]
    for start in range(0, 180, 50):
        bench.adapter.write_scores(changes[start : start + 50], fields)
    before = bench.portal.requests
    assert len(_ids(bench.adapter.customers(CONTACT, cursor, fields=fields))) == 180
    assert bench.portal.requests - before == 1
