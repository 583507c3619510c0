from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import chain

import pytest

from tests.sandbox.amocrm_caller import NOW, OPENED, SHOP, caller, deal

STAMP = int(NOW.timestamp())


def lead(call, lead_id, **query):
    return call.get(f"leads/{lead_id}", **query)


def test_account_parts_come_only_when_asked_for():
    call = caller()
    bare = call.get("account")
    assert (bare["currency"], bare["current_user_id"], bare["customers_mode"]) == ("RUB", 1, "unavailable")
    assert "_embedded" not in bare
    assert "is_api_filter_enabled" not in bare
    full = call.get("account", with_="datetime_settings,users_groups,task_types,is_api_filter_enabled")
    assert full["is_api_filter_enabled"] is False
    assert full["_embedded"]["datetime_settings"]["timezone"] == "Europe/Moscow"
    assert full["_embedded"]["datetime_settings"]["timezone_offset"] == "+03:00"
    assert [group["id"] for group in full["_embedded"]["users_groups"]] == [0, 3]
    assert [kind["code"] for kind in full["_embedded"]["task_types"]] == ["FOLLOW_UP", "MEETING"]


def test_users_have_rights_and_groups():
    page = caller().get("users", with_="group,role")
    rights = {user["id"]: user["rights"] for user in page["_embedded"]["users"]}
    assert {one: rights[one]["is_admin"] for one in rights} == {1: True, 2: False, 9: False}
    assert {one: rights[one]["is_active"] for one in rights} == {1: True, 2: True, 9: False}
    assert page["_embedded"]["users"][0]["_embedded"]["groups"] == [{"id": 3, "name": "North"}]
    assert page["_total_items"] == 3


def test_users_are_closed_to_an_ordinary_users_token():
    call = caller()
    call.portal.give_token_to(2)
    assert call.problem("GET", "users")["status"] == 403
    assert call.problem("GET", "users/1")["status"] == 403
    assert call.get("account")["current_user_id"] == 2


def test_every_pipeline_closes_with_142_and_143_and_starts_unsorted():
    pipelines = caller().get("leads/pipelines")["_embedded"]["pipelines"]
    assert [one["is_archive"] for one in pipelines] == [False, True]
    for pipeline in pipelines:
        stages = pipeline["_embedded"]["statuses"]
        assert [stage["id"] for stage in stages[-2:]] == [142, 143]
        assert [stage["type"] for stage in stages] == [1] + [0] * (len(stages) - 1)
    assert len({one["_embedded"]["statuses"][0]["id"] for one in pipelines}) == 2


def test_leads_show_money_with_and_without_kopecks():
    assert (lead(caller(), 1)["price"], lead(caller(), 1)["price_with_minor_units"]) == (1500, 1500.5)
    assert "price_with_minor_units" not in lead(caller(has_minor_units=False), 1)


def test_a_price_that_was_never_entered_is_null():
    shown = lead(caller(), 3)
    assert (shown["price"], shown["price_with_minor_units"]) == (None, None)


def test_leads_show_when_they_were_closed_and_why():
    call = caller()
    won, lost, still_open = (lead(call, one, with_="loss_reason") for one in (1, 2, 3))
    assert (won["status_id"], lost["status_id"]) == (142, 143)
    assert won["closed_at"] == int((OPENED + timedelta(days=1, hours=5)).timestamp())
    assert still_open["closed_at"] is None
    assert won["_embedded"]["loss_reason"] == []
    assert lost["_embedded"]["loss_reason"][0]["id"] == lost["loss_reason_id"]


def test_old_closed_leads_lie_in_the_archived_pipeline():
    call = caller()
    assert lead(call, 10)["pipeline_id"] != lead(call, 1)["pipeline_id"]
    assert lead(call, 10)["status_id"] == 142


def test_contacts_and_products_of_a_lead_are_embedded_when_asked_for():
    call = caller()
    assert set(lead(call, 1)["_embedded"]) == {"tags", "companies"}
    full = lead(call, 1, with_="contacts,catalog_elements")["_embedded"]
    assert full["companies"] == [{"id": 101}]
    assert full["contacts"] == [{"id": 102, "is_main": False}, {"id": 101, "is_main": True}]
    assert [(one["id"], one["metadata"]["quantity"]) for one in full["catalog_elements"]] == [(5, 2.5), (6, 2)]


def test_a_company_and_a_contact_may_share_a_number():
    call = caller()
    assert call.get("companies/101")["name"] == "Firm"
    assert call.get("contacts/101")["name"] == "Dana Dvorak"


def test_custom_fields_are_null_when_nothing_is_filled():
    call = caller()
    assert call.get("contacts/102")["custom_fields_values"] is None
    phone, mail = call.get("contacts/101")["custom_fields_values"]
    assert (phone["field_code"], phone["values"][0]["value"], phone["values"][0]["enum_code"]) == (
        "PHONE",
        "+70000000002",
        "WORK",
    )
    assert mail["field_type"] == "multitext"


def test_reverse_links_are_embedded_when_asked_for():
    call = caller()
    assert call.get("contacts/102", with_="leads")["_embedded"]["leads"] == [{"id": 1}, {"id": 2}, {"id": 10}]
    company = call.get("companies/101", with_="leads,contacts")["_embedded"]
    assert (company["leads"], company["contacts"]) == ([{"id": 1}], [{"id": 101}])
    assert call.get("contacts/101")["_embedded"]["companies"] == [{"id": 101}]


def test_cards_of_nobody_belong_to_the_administrator():
    assert caller().get("companies/102")["responsible_user_id"] == 1


def test_a_missing_card_is_204_without_a_body():
    for path in ("leads/999", "contacts/999", "companies/999", "tasks/999", "events/NONE"):
        answer = caller().send("GET", path)
        assert (answer.status, answer.body) == (204, b"")


def test_pages_follow_next_until_it_is_gone_and_then_come_empty():
    shop = replace(SHOP, deals=tuple(deal(n) for n in range(1, 121)))
    call = caller(shop)
    first = call.get("leads")
    assert len(first["_embedded"]["leads"]) == 50
    assert "_total_items" not in first
    seen, query = [], "limit=50&page=1"
    while query:
        page = call.ask("leads", query)
        seen += [row["id"] for row in page["_embedded"]["leads"]]
        query = page["_links"].get("next", {}).get("href", "?").partition("?")[2]
    assert seen == list(range(1, 121))
    assert call.ask("leads", "limit=50&page=4") is None


def test_a_full_last_page_has_no_next():
    shop = replace(SHOP, deals=tuple(deal(n) for n in range(1, 51)))
    assert "next" not in caller(shop).get("leads")["_links"]


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("order[id]=desc", [10, 3, 2, 1]),
        ("order[created_at]=asc", [1, 2, 3, 10]),
        ("order[updated_at]=desc", [1, 10, 3, 2]),
        ("order[price]=desc", [1, 2, 3, 10]),
    ],
)
def test_leads_are_ordered_as_asked_and_unknown_orders_are_ignored(order, ids):
    call = caller()
    call.portal.set_attributes("leads", 1, name="Changed")
    assert call.ids("leads", order) == ids


def test_order_by_change_has_no_gaps_between_its_pages():
    call = caller(replace(SHOP, deals=tuple(deal(n) for n in range(1, 31))))
    pages = [call.ids("leads", f"order[updated_at]=desc&limit=10&page={n}") for n in (1, 2, 3)]
    assert [len(page) for page in pages] == [10, 10, 10]
    assert [*chain.from_iterable(pages)] == list(range(30, 0, -1))


class TestFilters:
    def test_they_are_silently_ignored_where_the_option_is_off(self):
        call = caller()
        assert call.ids("leads", "filter[id][]=1") == [1, 2, 3, 10]
        assert call.ids("contacts", f"filter[updated_at][from]={STAMP}") == [101, 102, 103]

    @pytest.mark.parametrize(
        ("query", "ids"),
        [
            ("filter[id][]=10&filter[id][]=1&filter[id][]=77", [1, 10]),
            ("filter[statuses][0][pipeline_id]=7001&filter[statuses][0][status_id]=142", [1]),
            ("filter[pipeline_id][]=7002", [10]),
            (f"filter[updated_at][from]={STAMP}", [3]),
            (f"filter[updated_at][to]={STAMP - 1}", [1, 2, 10]),
            ("filter[price][from]=1501", []),
            ("filter[closed_at][from]=1", [1, 2, 10]),
            ("filter[responsible_user_id][]=1&order[id]=desc", [10, 3, 2, 1]),
        ],
    )
    def test_they_work_where_it_is_on(self, query, ids):
        call = caller(is_api_filter_enabled=True)
        call.portal.set_attributes("leads", 3, name="Changed")
        assert call.ids("leads", query) == ids

    def test_a_change_between_two_calls_is_seen(self):
        call = caller()
        call.portal.switch_api_filter(on=True)
        query = f"filter[updated_at][from]={STAMP}"
        assert call.ids("contacts", query) == []
        call.portal.set_attributes("contacts", 102, name="Changed")
        assert call.ids("contacts", query) == [102]

    def test_pages_of_a_filtered_list_fit_together(self):
        call = caller(replace(SHOP, deals=tuple(deal(n) for n in range(1, 31))), is_api_filter_enabled=True)
        pages = [call.ids("leads", f"filter[price][from]=1&limit=12&page={n}") for n in (1, 2, 3, 4)]
        assert [*chain.from_iterable(pages)] == list(range(1, 31))

    def test_query_searches_names_and_phones_without_the_option(self):
        call = caller()
        assert call.ids("contacts", "query=eriksen") == [102, 103]
        assert call.ids("contacts", "query=70000000002") == [101]


class TestTrash:
    def test_deleted_leads_leave_lists_and_cards_and_show_in_the_trash(self):
        call = caller()
        call.portal.delete_leads([1])
        assert call.ids("leads") == [2, 3, 10]
        assert call.send("GET", "leads/1").status == 204
        (row,) = call.ask("leads", "with=only_deleted")["_embedded"]["leads"]
        filled = {key: row[key] for key in row if row[key] is not None}
        assert filled.pop("_embedded") == {"tags": [], "companies": []}
        assert filled == {"id": 1, "is_deleted": True, "updated_at": STAMP, "updated_by": 0, "account_id": 31415926}

    def test_only_the_trash_is_shown_then(self):
        call = caller()
        assert call.ask("leads", "with=only_deleted") is None

    def test_restored_leads_return_with_their_ids_and_a_new_stamp(self):
        call = caller()
        call.portal.delete_leads([1, 2])
        call.clock.advance(60)
        call.portal.restore_leads([1])
        assert call.ids("leads") == [1, 3, 10]
        assert call.ids("leads", "order[updated_at]=desc")[0] == 1
        assert call.get("leads/1")["updated_at"] == STAMP + 60

    def test_a_deleted_leads_contact_no_longer_lists_it(self):
        call = caller()
        call.portal.delete_leads([1])
        assert call.get("contacts/101", with_="leads")["_embedded"]["leads"] == []


class TestMerging:
    def test_the_loser_disappears_and_its_leads_are_the_winners(self):
        call = caller()
        call.portal.merge_contacts(103, 102)
        assert call.ids("contacts") == [101, 103]
        assert call.send("GET", "contacts/102").status == 204
        assert call.get("contacts/103", with_="leads")["_embedded"]["leads"] == [{"id": n} for n in (3, 1, 2, 10)]
        moved = call.get("leads/2", with_="contacts")
        assert moved["_embedded"]["contacts"] == [{"id": 103, "is_main": True}]
        assert call.get("contacts/103")["updated_at"] == STAMP

    def test_a_side_contact_stays_a_side_contact(self):
        call = caller()
        call.portal.merge_contacts(103, 102)
        both = call.get("leads/1", with_="contacts")["_embedded"]["contacts"]
        assert both == [{"id": 101, "is_main": True}, {"id": 103, "is_main": False}]

    def test_a_deleted_contact_leaves_its_leads(self):
        call = caller()
        call.portal.delete_contact(102)
        assert call.get("leads/2", with_="contacts")["_embedded"]["contacts"] == []
        call.portal.delete_company(101)
        assert call.get("leads/1")["_embedded"]["companies"] == []
        assert call.get("contacts/101")["_embedded"]["companies"] == []


class TestLinks:
    def test_the_main_contact_reads_as_main_contact(self):
        rows = caller().get("leads/1/links")["_embedded"]["links"]
        ends = {(row["to_entity_type"], row["to_entity_id"]): row["metadata"] for row in rows}
        assert ends["contacts", 101] == {"main_contact": True}
        assert ends["contacts", 102] == {"main_contact": False}
        assert ends["companies", 101] is None
        assert ends["catalog_elements", 5]["quantity"] == 2.5

    def test_many_cards_are_asked_at_once_and_must_be_named(self):
        call = caller()
        rows = call.ask("leads/links", "filter[entity_id][]=2&filter[entity_id][]=3")["_embedded"]["links"]
        assert [(row["entity_id"], row["to_entity_id"]) for row in rows] == [(2, 102), (3, 103)]
        assert call.problem("GET", "leads/links")["status"] == 400

    def test_linking_and_unlinking_moves_the_stamp(self):
        call = caller()
        body = [{"to_entity_id": 103, "to_entity_type": "contacts", "metadata": {"is_main": True}}]
        call.write("POST", "leads/2/link", body)
        shown = call.get("leads/2", with_="contacts")
        assert shown["_embedded"]["contacts"] == [{"id": 102, "is_main": False}, {"id": 103, "is_main": True}]
        assert shown["updated_at"] == STAMP
        assert call.send("POST", "leads/2/unlink", body).status == 204
        assert call.get("leads/2", with_="contacts")["_embedded"]["contacts"] == [{"id": 102, "is_main": True}]

    def test_a_lead_has_one_company(self):
        call = caller()
        call.write("POST", "leads/1/link", [{"to_entity_id": 102, "to_entity_type": "companies"}])
        assert call.get("leads/1")["_embedded"]["companies"] == [{"id": 102}]
        assert call.get("companies/101", with_="leads")["_embedded"]["leads"] == []

    def test_contacts_cannot_be_linked_to_leads_from_their_side(self):
        body = [{"to_entity_id": 1, "to_entity_type": "leads"}]
        assert caller().flaws("POST", "contacts/101/link", body) == {("0", "NotSupportedChoice", "to_entity_type")}


class TestCatalogs:
    def test_products_carry_their_price_as_a_string(self):
        call = caller()
        (catalog,) = call.ask("catalogs", "filter[type]=products")["_embedded"]["catalogs"]
        rows = call.get(f"catalogs/{catalog['id']}/elements")["_embedded"]["elements"]
        values = {field["field_code"]: field["values"][0]["value"] for field in rows[0]["custom_fields_values"]}
        assert values == {"SKU": "TEA-1", "PRICE": "12.5"}
        assert call.ids(f"catalogs/{catalog['id']}/elements", "filter[id][]=6") == [6]
        assert call.ids(f"catalogs/{catalog['id']}/elements", "query=tea") == [5]

    def test_an_unknown_list_is_204(self):
        assert caller().send("GET", "catalogs/1/elements").status == 204


class TestCustomers:
    def test_they_are_402_or_empty_unless_switched_on(self):
        assert caller().problem("GET", "customers")["status"] == 402
        assert caller(customers_mode="disabled").send("GET", "customers/transactions").status == 204

    def test_transactions_are_the_won_deals_of_each_buyer(self):
        call = caller(customers_mode="segments")
        rows = call.get("customers/transactions")["_embedded"]["transactions"]
        assert [(row["id"], row["price"], row["customer_id"]) for row in rows] == [(1, 1500.5, 1), (10, 1500.5, 2)]
        firm = call.get("customers/1", with_="companies,contacts")
        assert firm["_embedded"]["companies"] == [{"id": 101}]
        assert (firm["ltv"], firm["purchases_count"]) == (1500, 1)
        assert call.ids("customers/2/transactions") == [10]

    def test_there_is_no_filter_by_date(self):
        call = caller(customers_mode="segments")
        assert call.ids("customers/transactions", f"filter[completed_at][from]={STAMP}") == [1, 10]


def test_amounts_stay_the_numbers_they_are_whatever_the_currency():
    call = caller(replace(SHOP, deals=(deal(1, currency="USD", amount=Decimal("-20.25")),)))
    shown = lead(call, 1)
    assert (shown["price"], shown["price_with_minor_units"]) == (-20, -20.25)
