from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sandbox.northwind import northwind_shop
from sandbox.random_shop import random_shop

TODAY = date(2026, 11, 24)


def test_northwind_has_the_published_sums():
    shop = northwind_shop(TODAY)
    gross = sum(line.quantity * line.price for deal in shop.deals for line in deal.lines)
    net = sum(line.quantity * line.price - line.discount for deal in shop.deals for line in deal.lines)
    assert gross == Decimal("1354458.59")
    assert abs(net - Decimal("1265793.04")) < Decimal("0.50")  # each line's discount is rounded to cents here
    assert sum(not deal.name.startswith("Refund") for deal in shop.deals) == 830


def test_northwind_deal_10248_is_worth_440():
    deal = next(deal for deal in northwind_shop(TODAY).deals if deal.id == 10248)
    assert deal.amount == Decimal(440)
    assert len(deal.lines) == 3


def test_northwind_ends_yesterday_in_the_portals_zone():
    shop = northwind_shop(TODAY, timezone="Asia/Vladivostok")
    ordered = [deal for deal in shop.deals if deal.id <= 11077]
    last = max((deal.closed_at - timedelta(days=30) if deal.status == "open" else deal.closed_at) for deal in ordered)
    assert last.astimezone(ZoneInfo(shop.timezone)).date() == TODAY - timedelta(days=1)


def test_northwind_has_the_oddities_of_a_real_portal():
    shop = northwind_shop(TODAY)
    deals = shop.deals
    assert Counter(deal.status for deal in deals)["open"] == 21
    assert any(deal.status == "lost" for deal in deals)
    assert any(deal.amount is None for deal in deals)
    assert any(deal.amount == 0 for deal in deals)
    assert any(deal.amount is not None and deal.amount < 0 for deal in deals)
    assert any(deal.company_id is None and deal.contact_ids for deal in deals)
    assert any(deal.company_id and not deal.contact_ids for deal in deals)
    assert any(len(deal.contact_ids) > 1 and deal.main_contact_id is None for deal in deals)
    assert {deal.currency for deal in deals} == {"USD", "GBP", "BRL"}
    assert (shop.rates["GBP"], shop.rates["BRL"]) == (Decimal("1.25"), None)
    assert [manager.id for manager in shop.managers if not manager.active] == [9]
    assert {team.lead_id for team in shop.teams} == {2, 5}
    assert {company.id for company in shop.companies} & {contact.id for contact in shop.contacts}


def _references(shop):
    companies, contacts = {c.id for c in shop.companies}, {c.id for c in shop.contacts}
    managers, products = {m.id for m in shop.managers}, {p.id for p in shop.products}
    for deal in shop.deals:
        assert deal.company_id in companies | {None}
        assert set(deal.contact_ids) <= contacts
        assert deal.main_contact_id is None or deal.main_contact_id in deal.contact_ids
        assert deal.manager_id in managers | {None}
        assert {line.product_id for line in deal.lines} <= products
        assert deal.created_at.tzinfo is UTC
    assert {c.company_id for c in shop.contacts} <= companies | {None}


def test_every_reference_of_both_shops_leads_somewhere():
    _references(northwind_shop(TODAY))
    _references(random_shop(3, 60, 400, TODAY, lines=True))


def test_random_shop_is_the_same_for_the_same_seed_only():
    assert random_shop(5, 50, 200, TODAY) == random_shop(5, 50, 200, TODAY)
    assert random_shop(5, 50, 200, TODAY) != random_shop(6, 50, 200, TODAY)


def test_random_shop_has_every_oddity():
    shop = random_shop(2, 300, 3000, TODAY)
    deals, zone = shop.deals, ZoneInfo(shop.timezone)
    local = [deal.closed_at.astimezone(zone) for deal in deals if deal.closed_at]
    assert {deal.status for deal in deals} == {"won", "lost", "open"}
    assert {None, Decimal(0)} <= {deal.amount for deal in deals}
    assert any(deal.amount is not None and deal.amount < 0 for deal in deals)
    assert {deal.currency for deal in deals} == {"USD", "EUR", "BRL"}
    assert any(not deal.company_id and not deal.contact_ids for deal in deals)
    assert any(len(deal.contact_ids) == 3 for deal in deals)
    assert any((at.hour, at.minute, at.second, at.microsecond) == (0, 0, 0, 0) for at in local)
    assert any((at.hour, at.minute, at.second, at.microsecond) == (23, 59, 59, 999_000) for at in local)
    ages = {(TODAY - at.date()).days for at in local}
    assert {364, 365} <= ages
    assert min(ages) < 0
    assert max(Counter(deal.amount for deal in deals).values()) > 20


def test_a_shop_of_people_only_has_no_firms():
    shop = random_shop(1, 20, 50, TODAY, company_share=0)
    assert not shop.companies
    assert {deal.company_id for deal in shop.deals} == {None}


def test_random_shop_of_ten_thousand_deals_takes_no_time_to_speak_of():
    started = time.process_time()
    random_shop(1, 5000, 10_000, TODAY)
    assert time.process_time() - started < 2


def test_northwind_moves_with_the_day():
    one, other = northwind_shop(TODAY), northwind_shop(TODAY + timedelta(days=10))
    assert other.deals[0].closed_at - one.deals[0].closed_at == timedelta(days=10)
    assert one.deals[0].closed_at > datetime(2024, 1, 1, tzinfo=UTC)
