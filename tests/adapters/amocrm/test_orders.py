"""Payloads are the examples of https://www.amocrm.ru/developers/content/crm_platform/, cut to what is read."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from adapters.amocrm import orders
from adapters.amocrm.orders import Product
from adapters.records import OrderSource, OrderStatus


def lead(**more):
    return {
        "id": 19619,
        "price": 46333,
        "responsible_user_id": 123321,
        "status_id": 142,
        "pipeline_id": 1300,
        "created_at": 1_453_279_607,
        "updated_at": 1_502_193_501,
        "closed_at": 1_483_005_931,
        "_embedded": {
            "companies": [{"id": 14_520}],
            "contacts": [{"id": 9, "is_main": False}, {"id": 10, "is_main": True}],
        },
    } | more


def test_a_won_lead():
    order = orders.lead_of(lead(), "RUB", None)
    assert (order.source, order.external_id, order.status) == (OrderSource.DEALS, "19619", OrderStatus.WON)
    assert (order.amount, order.currency) == (Decimal(46333), "RUB")
    assert (order.company_id, order.contact_id, order.manager_id) == ("14520", "10", "123321")
    assert (order.pipeline_id, order.stage_id) == ("1300", "142")
    assert order.at == datetime(2016, 12, 29, 10, 5, 31, tzinfo=UTC)
    assert order.lines is None


@pytest.mark.parametrize(("status_id", "status"), [(142, "won"), (143, "lost"), (5, "open"), (None, "open")])
def test_only_142_and_143_are_closed_whatever_the_pipeline(status_id, status):
    assert orders.lead_of(lead(status_id=status_id), "RUB", None).status == status


def test_an_open_lead_has_no_time_though_an_earlier_closing_left_one():
    assert orders.lead_of(lead(status_id=5), "RUB", None).at is None


@pytest.mark.parametrize(
    ("prices", "amount"),
    [
        ({"price": 100}, Decimal(100)),
        ({"price": 100, "price_with_minor_units": 100.55}, Decimal("100.55")),
        ({"price": 100, "price_with_minor_units": None}, Decimal(100)),
        ({"price": -5}, Decimal(-5)),
        ({"price": 0}, Decimal(0)),
        ({"price": 0, "price_with_minor_units": 0.0}, Decimal(0)),
        ({"price": None}, None),
    ],
)
def test_kopecks_count_and_zero_stays_zero(prices, amount):
    assert orders.lead_of(lead(**prices), "RUB", None).amount == amount


@pytest.mark.parametrize(
    ("contacts", "chosen"),
    [
        ([], None),
        (None, None),
        ([{"id": 9, "is_main": False}, {"id": 7, "is_main": False}], "7"),
        ([{"id": 10}, {"id": 9}], "9"),
        ([{"id": 9, "is_main": False}, {"id": 10, "is_main": True}], "10"),
    ],
)
def test_the_main_contact_else_the_lowest(contacts, chosen):
    assert orders.lead_of(lead(_embedded={"contacts": contacts}), "RUB", None).contact_id == chosen


def test_lines_take_the_price_the_lead_names_else_the_usual_one():
    elements = [
        {"id": 1, "metadata": {"quantity": 1.5, "catalog_id": 1077, "price_id": 33}},
        {"id": 1, "metadata": {"quantity": 2, "catalog_id": 1077, "price_id": None}},
        {"id": 2, "metadata": {"quantity": 1, "catalog_id": 1077}},
    ]
    products = {(1077, 1): Product("Tea", {None: Decimal(10), 33: Decimal(9)})}
    order = orders.lead_of(lead(_embedded={"catalog_elements": elements}), "RUB", products)
    assert [(line.name, line.quantity, line.price) for line in order.lines] == [
        ("Tea", Decimal("1.5"), Decimal(9)),
        ("Tea", Decimal(2), Decimal(10)),
        (None, Decimal(1), None),
    ]


def test_a_products_prices_may_be_text_or_numbers():
    row = {
        "name": "Tea",
        "custom_fields_values": [
            {"field_id": 1, "field_code": "SKU", "field_type": "text", "values": [{"value": "T-1"}]},
            {"field_id": 2, "field_code": "PRICE", "field_type": "price", "values": [{"value": "10.50"}]},
            {"field_id": 3, "field_code": None, "field_type": "price", "values": [{"value": 9}]},
        ],
    }
    assert orders.product_of(row) == Product("Tea", {None: Decimal("10.5"), 2: Decimal("10.5"), 3: Decimal(9)})


def test_a_transaction_belongs_to_the_customers_company_and_contact():
    buyer = orders.buyer_of(
        {"id": 1, "responsible_user_id": 4, "_embedded": {"contacts": [{"id": 6, "is_main": True}]}}
    )
    row = {"id": 134643, "price": 123, "completed_at": None, "created_at": 1_700_000_000, "customer_id": 1}
    order = orders.transaction_of(row, "RUB", {"1": buyer}, None)
    assert (order.source, order.status, order.amount) == (OrderSource.ORDERS, OrderStatus.WON, Decimal(123))
    assert (order.company_id, order.contact_id, order.manager_id) == (None, "6", "4")
    assert order.at == order.created_at
