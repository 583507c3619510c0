from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal
from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest

from sandbox.cdnow import FIRMS, cdnow_shop
from sandbox.clock import RealClock
from sandbox.datasets import read_rows
from sandbox.faults import Faults
from sandbox.hubspot import create_portal as hubspot_portal
from sandbox.invented import english_name, russian_name
from sandbox.online_retail import online_retail_shop
from sandbox.sales_opportunities import LEFT_THE_FIRM, sales_opportunities_shop
from sandbox.shops import EVERYWHERE, OWN, demo_shops

TODAY = date(2026, 11, 24)
BUILDERS = [sales_opportunities_shop, online_retail_shop, cdnow_shop]


@pytest.fixture(scope="module")
def sales():
    return sales_opportunities_shop(TODAY)


@pytest.fixture(scope="module")
def retail():
    return online_retail_shop(TODAY)


@pytest.fixture(scope="module")
def cds():
    return cdnow_shop(TODAY)


def _won(shop):
    return [deal for deal in shop.deals if deal.status == "won"]


def test_sales_has_the_published_counts_and_the_published_revenue(sales):
    assert Counter(deal.status for deal in sales.deals) == {"won": 4238, "lost": 2473, "open": 2089}
    assert sum(deal.amount for deal in _won(sales)) == 10_005_534
    assert len(sales.companies) == 85


def test_sales_puts_the_misspelt_product_and_country_right(sales):
    sold = Counter(deal.lines[0].product_id for deal in sales.deals)
    names = {product.name: sold[product.id] for product in sales.products}
    assert len(names) == 7
    assert names["GTX Pro"] == sum(
        row["product"] == "GTXPro" for row in read_rows("sales_opportunities", "sales_pipeline")
    )
    assert {company.country for company in sales.companies} >= {"Philippines"}
    assert "Philipines" not in {company.country for company in sales.companies}


def test_sales_agents_are_in_the_team_that_their_manager_leads_within_an_office(sales):
    teams = {team.id: team for team in sales.teams}
    people = {f"{one.first_name} {one.last_name}": one for one in sales.managers}
    for row in read_rows("sales_opportunities", "sales_teams"):
        team = teams[people[row["sales_agent"]].team_id]
        assert team.lead_id == people[row["manager"]].id
        assert people[row["manager"]].team_id == team.id
        assert teams[team.parent_id].name == f"{row['regional_office']} office"


def test_one_agent_with_accounts_has_left(sales):
    (gone,) = [one for one in sales.managers if not one.active]
    assert f"{gone.first_name} {gone.last_name}" == LEFT_THE_FIRM
    assert any(company.manager_id == gone.id for company in sales.companies)


def test_open_deals_without_an_account_stay_without_a_customer(sales):
    loose = [deal for deal in sales.deals if deal.company_id is None]
    assert len(loose) == 1425
    assert {deal.status for deal in loose} == {"open"}
    assert not any(deal.contact_ids for deal in loose)


def test_retail_has_every_invoice_and_credit_note_with_the_sum_of_the_source(retail):
    credit_notes = [deal for deal in _won(retail) if deal.name.startswith("Credit note")]
    assert len(_won(retail)) == 1196
    assert sum(deal.amount for deal in _won(retail)) == Decimal("152745.55")
    assert len(credit_notes) == 123
    assert all(deal.amount < 0 and not deal.lines for deal in credit_notes)


def test_retail_invoice_by_hand(retail):
    deal = min((one for one in _won(retail) if one.amount > 0), key=lambda one: one.id)
    rows = [row for row in read_rows("online_retail", "invoice_lines") if row["InvoiceNo"] == str(deal.id)]
    assert deal.contact_ids == (int(rows[0]["CustomerID"]),)
    assert len(deal.lines) == len(rows)
    assert deal.closed_at.astimezone(ZoneInfo("Europe/London")).strftime("%H:%M:00") == rows[0]["InvoiceDate"][11:]


def test_retail_home_and_export_have_their_own_managers(retail):
    country = {int(row["CustomerID"]): row["Country"] for row in reversed(read_rows("online_retail", "invoice_lines"))}
    team_of = {one.id: one.team_id for one in retail.managers}
    for contact in retail.contacts:
        assert team_of[contact.manager_id] == (1 if country[contact.id] == "United Kingdom" else 2)
    assert {contact.manager_id for contact in retail.contacts} == set(team_of)


def test_cdnow_has_the_purchases_and_the_sum_of_the_source(cds):
    assert len(_won(cds)) == 4868
    assert sum(deal.amount for deal in _won(cds)) == Decimal("179894.27")
    assert min(deal.amount for deal in _won(cds)) > 0
    assert len(cds.contacts) == 736


def test_cdnow_firms_are_the_biggest_buyers_and_single_cds_are_private(cds):
    bought = defaultdict(int)
    for deal in _won(cds):
        bought[deal.contact_ids[0]] += int(deal.lines[0].quantity)
    employed = {contact.id for contact in cds.contacts if contact.company_id}
    assert len(cds.companies) == len(employed) == len(FIRMS) == 20
    assert min(bought[buyer] for buyer in employed) >= max(bought[buyer] for buyer in set(bought) - employed)
    of_employed = [deal for deal in _won(cds) if deal.contact_ids[0] in employed]
    assert all((deal.company_id is None) == (deal.lines[0].quantity == 1) for deal in of_employed)
    assert any(deal.company_id is None for deal in of_employed)


def test_cdnow_card_ids_of_firms_and_people_overlap(cds):
    assert {company.id for company in cds.companies} & {contact.id for contact in cds.contacts}


@pytest.mark.parametrize("build", BUILDERS)
def test_the_last_sale_was_yesterday_in_the_shops_zone(build):
    shop = build(TODAY)
    last = max(deal.closed_at for deal in _won(shop))
    assert last.astimezone(ZoneInfo(shop.timezone)).date() == TODAY - timedelta(days=1)
    assert max(deal.created_at for deal in shop.deals).date() < TODAY


@pytest.mark.parametrize("build", BUILDERS)
def test_the_day_of_the_build_moves_everything_and_changes_nothing_else(build):
    shop, later = build(TODAY), build(TODAY + timedelta(days=400))
    assert later.managers == shop.managers
    assert [deal.amount for deal in later.deals] == [deal.amount for deal in shop.deals]
    zone = ZoneInfo(shop.timezone)
    days = {
        after.closed_at.astimezone(zone).date() - before.closed_at.astimezone(zone).date()
        for before, after in zip(_won(shop), _won(later), strict=True)
    }
    assert days == {timedelta(days=400)}


@pytest.mark.parametrize("build", BUILDERS)
def test_every_reference_leads_somewhere_and_lines_make_up_the_amount(build):
    shop = build(TODAY)
    companies, contacts = {one.id for one in shop.companies}, {one.id for one in shop.contacts}
    managers, products = {one.id for one in shop.managers}, {one.id for one in shop.products}
    teams = {one.id for one in shop.teams}
    assert {one.team_id for one in shop.managers} <= teams
    assert {team.lead_id for team in shop.teams} <= managers | {None}
    assert {team.parent_id for team in shop.teams} <= teams | {None}
    assert len({deal.id for deal in shop.deals}) == len(shop.deals)
    for card in (*shop.companies, *shop.contacts):
        assert card.manager_id in managers
    for deal in shop.deals:
        assert deal.company_id in companies | {None}
        assert set(deal.contact_ids) <= contacts
        assert deal.manager_id in managers
        assert deal.closed_at is None or deal.closed_at >= deal.created_at
        assert {line.product_id for line in deal.lines} <= products
        assert all(line.quantity > 0 and line.discount >= 0 for line in deal.lines)
        if deal.lines:
            assert sum(line.quantity * line.price - line.discount for line in deal.lines) == deal.amount


@pytest.mark.parametrize("build", BUILDERS)
def test_some_offers_are_open_so_that_one_can_be_won_by_hand(build):
    shop = build(TODAY)
    open_deals = [deal for deal in shop.deals if deal.status == "open" and (deal.company_id or deal.contact_ids)]
    assert len(open_deals) >= 20


@pytest.mark.parametrize("build", BUILDERS)
def test_people_are_invented(build):
    shop = build(TODAY)
    mails = [one.email for one in (*shop.managers, *shop.contacts)]
    assert all(mail.endswith(".example") for mail in mails)
    assert len(set(mails)) == len(mails)
    phones = [one.phone for one in (*shop.companies, *shop.contacts) if one.phone]
    assert all(phone.startswith(("+44 1632 960", "+1 202 555 01")) for phone in phones)


def test_names_differ_between_neighbours_and_never_change():
    assert english_name(12345) == english_name(12345)
    assert len({english_name(number) for number in range(0, 900, 3)}) > 200


def test_russian_names_agree_in_gender():
    women = {first for first, last in map(russian_name, range(2000)) if last.endswith("а")}
    men = {first for first, last in map(russian_name, range(2000)) if not last.endswith("а")}
    assert (len(women), len(men)) == (17, 17)
    assert all(name[-1] in "ая" for name in women)
    assert {name for name in men if name[-1] in "ая"} == {"Никита"}


def test_each_portal_has_its_own_shop_of_bearable_size():
    shops = demo_shops(TODAY)
    assert set(shops) == set(OWN) == {"amocrm", "bitrix24", "hubspot"}
    for shop in shops.values():
        assert 300 <= len(shop.companies) + len(shop.contacts) <= 1000


def test_one_shop_can_be_put_into_all_portals():
    shops = demo_shops(TODAY, "northwind")
    assert len({id(shop) for shop in shops.values()}) == 1
    assert set(EVERYWHERE) == {"northwind", "cdnow", "online-retail", "sales-opportunities"}


def test_the_hubspot_portal_of_the_retail_shop_holds_its_lines(retail):
    portal = hubspot_portal(retail, clock=RealClock(), faults=Faults.none(), token="t")
    assert len(portal.ids("contacts")) == 523
    assert len(portal.ids("line_items")) == sum(len(deal.lines) for deal in retail.deals)


def test_every_data_set_is_small_and_carries_its_attribution():
    data = files("sandbox") / "data"
    notes = (data / "README.md").read_text(encoding="utf-8")
    for folder in (one for one in data.iterdir() if one.is_dir()):
        assert f"`{folder.name}/`" in notes
        assert all(len(one.read_bytes()) < 400_000 for one in folder.iterdir())
    for words in ("CC BY 4.0", "public domain", "© 2015 Cameron Davidson-Pilon, MIT", "© Microsoft Corporation, MIT"):
        assert words in notes
    licences = {
        "cdnow": "Cameron Davidson-Pilon",
        "northwind": "Microsoft",
        "online_retail": "https://creativecommons.org/licenses/by/4.0/",
        "sales_opportunities": "public domain",
    }
    for folder, words in licences.items():  # these travel with an installed package, the README does not
        assert words in (data / folder / "LICENSE.txt").read_text(encoding="utf-8")
