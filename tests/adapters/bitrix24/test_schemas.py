"""Rows shaped like the examples in the vendor's documentation (https://apidocs.bitrix24.com, read 2026-11)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from adapters.bitrix24 import provision, schemas
from adapters.bitrix24.schemas import Card, same
from adapters.contract import Choice, FieldRef, FieldSpec, FieldType
from adapters.errors import Malformed, Unsupported
from adapters.fields import zone
from adapters.records import CustomerKind, OrderLine, OrderStatus

MOSCOW = timezone(timedelta(hours=3))
REFS = {
    "r": FieldRef("1", "UF_CRM_RFM_R"),
    "m": FieldRef("2", "UF_CRM_RFM_M"),
    "segment": FieldRef("3", "UF_CRM_RFM_SEGMENT", {"vip": "417", "at_risk": "418"}),
    "updated_at": FieldRef("4", "UF_CRM_RFM_UPDATED"),
    "churn_risk": FieldRef("5", "UF_CRM_RFM_CHURN"),
    "hint": FieldRef("6", "UF_CRM_RFM_HINT"),
}
CAMEL = {
    "UF_CRM_RFM_R": "ufCrmRfmR",
    "UF_CRM_RFM_M": "ufCrmRfmM",
    "UF_CRM_RFM_SEGMENT": "ufCrmRfmSegment",
    "UF_CRM_RFM_UPDATED": "ufCrmRfmUpdated",
    "UF_CRM_RFM_CHURN": "ufCrmRfmChurn",
    "UF_CRM_RFM_HINT": "ufCrmRfmHint",
}
CARD = Card.of(REFS, CAMEL)
DEAL = {
    "id": 12,
    "categoryId": 0,
    "stageId": "WON",
    "stageSemanticId": "S",
    "opportunity": 1000.1,
    "currencyId": "RUB",
    "companyId": 45,
    "contactId": 0,
    "assignedById": 1,
    "closedate": "2026-03-08T02:00:00+02:00",
    "movedTime": "2026-03-01T10:00:00+03:00",
    "createdTime": "2026-02-01T10:00:00+03:00",
    "updatedTime": "2026-03-01T10:00:01+03:00",
    "isRecurring": "N",
}


def _deal(**changed):
    row = {**DEAL, **changed}
    return schemas.deal(row, schemas.deal_status(row, dict), lambda: zone("Europe/Moscow"), None)


@pytest.mark.parametrize(
    ("raw", "held"),
    [
        ({"ufCrmRfmR": 5}, {"r": 5}),
        ({"ufCrmRfmR": 0}, {"r": 0}),
        ({"UF_CRM_RFM_R": "5"}, {"r": 5}),
        ({"ufCrmRfmR": None, "ufCrmRfmM": None, "ufCrmRfmHint": "", "ufCrmRfmSegment": 0}, {}),
        ({"ufCrmRfmM": 1234.5}, {"m": Decimal("1234.5")}),
        ({"ufCrmRfmM": "1234.50"}, {"m": Decimal("1234.50")}),
        ({"ufCrmRfmSegment": 417}, {"segment": "vip"}),
        ({"ufCrmRfmSegment": "418"}, {"segment": "at_risk"}),
        ({"ufCrmRfmSegment": 999}, {"segment": "999"}),
        ({"ufCrmRfmUpdated": "2026-03-01T10:00:00+03:00"}, {"updated_at": datetime(2026, 3, 1, 7, tzinfo=UTC)}),
        ({"ufCrmRfmUpdated": "yesterday"}, {"updated_at": "yesterday"}),
        ({"ufCrmRfmChurn": "Y"}, {"churn_risk": True}),
        ({"ufCrmRfmChurn": "0"}, {"churn_risk": False}),
        ({"ufCrmRfmChurn": True}, {"churn_risk": True}),
        ({"ufCrmRfmHint": "call"}, {"hint": "call"}),
    ],
)
def test_a_card_is_read_in_our_types(raw, held):
    assert CARD.read(raw) == held


def test_a_field_that_the_portal_lost_is_not_on_the_card():
    card = Card.of(REFS, {"UF_CRM_RFM_R": "ufCrmRfmR"})
    assert list(card.camel) == ["r"]


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("r", 5, 5),
        ("m", Decimal("1234.50"), Decimal("1234.50")),
        ("segment", "vip", "417"),
        ("churn_risk", True, "Y"),
        ("churn_risk", False, "N"),
        ("updated_at", datetime(2026, 3, 1, 7, 0, 0, 999, tzinfo=UTC), "2026-03-01T10:00:00+03:00"),
    ],
)
def test_a_value_is_written_as_item_update_takes_it(key, value, text):
    assert CARD.text(key, value, MOSCOW) == text


def test_a_segment_without_an_option_is_not_written():
    with pytest.raises(Unsupported):
        CARD.text("segment", "lost", MOSCOW)


@pytest.mark.parametrize(
    ("sent", "held", "equal"),
    [
        (5, 5, True),
        (5, None, False),
        (Decimal("1234.50"), Decimal("1234.5"), True),
        ("call  him\n", "call him", True),
        ("call", None, False),
        (False, None, True),
        (True, None, False),
        (None, None, True),
        (None, "left", False),
        (datetime(2026, 3, 1, microsecond=5, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC), True),
        (datetime(2026, 3, 1, tzinfo=UTC), "yesterday", False),
    ],
)
def test_what_counts_as_taken(sent, held, equal):
    assert same(sent, held) is equal


def test_a_contact_is_read():
    row = {"id": 12, "assignedById": 7, "createdTime": "2026-03-01T10:00:00+03:00", "ufCrmRfmR": 5, "newField": {}}
    customer = schemas.customer(CustomerKind.CONTACT, row, CARD)
    assert str(customer.ref) == "contact:12"
    assert (customer.manager_id, customer.card, customer.is_buyer) == ("7", {"r": 5}, True)
    assert customer.created_at == datetime(2026, 3, 1, 7, tzinfo=UTC)


def test_the_portals_own_company_is_no_buyer():
    row = {"id": "4", "isMyCompany": "Y"}
    assert not schemas.customer(CustomerKind.COMPANY, row, Card()).is_buyer


def test_a_row_without_an_id_is_malformed():
    with pytest.raises(Malformed) as broken:
        schemas.customer(CustomerKind.CONTACT, {"assignedById": 1}, Card())
    assert broken.value.path == "[].id"


def test_a_won_deal_counts_from_its_move():
    order = _deal()
    assert order.at == datetime(2026, 3, 1, 7, tzinfo=UTC)
    assert (order.status, order.amount, order.currency) == (OrderStatus.WON, Decimal("1000.1"), "RUB")
    assert (order.company_id, order.contact_id, order.pipeline_id, order.stage_id) == ("45", None, "0", "WON")


def test_without_a_move_the_planned_day_counts_from_the_portals_midnight():
    assert _deal(movedTime=None).at == datetime(2026, 3, 7, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"stageSemanticId": "F"}, OrderStatus.LOST),
        ({"stageSemanticId": "P"}, OrderStatus.OPEN),
        ({"stageSemanticId": None}, OrderStatus.OPEN),
    ],
)
def test_the_stage_says_how_a_deal_stands(changed, status):
    assert _deal(**changed).status is status


def test_an_open_deal_has_no_time():
    assert _deal(stageSemanticId="P").at is None


def test_without_semantics_on_the_row_the_stage_is_asked():
    stages = schemas.stage_semantics(
        [
            {"ENTITY_ID": "DEAL_STAGE_1", "STATUS_ID": "C1:WON", "SEMANTICS": "S"},
            {"ENTITY_ID": "DEAL_STAGE", "STATUS_ID": "NEW", "SEMANTICS": None},
            {"ENTITY_ID": "SOURCE", "STATUS_ID": "CALL", "SEMANTICS": None},
        ]
    )
    assert stages == {"C1:WON": "S", "NEW": "P"}
    assert schemas.deal_status({"stageId": "C1:WON"}, lambda: stages) is OrderStatus.WON


@pytest.mark.parametrize(
    ("opportunity", "amount"),
    [
        (0, Decimal(0)),
        (None, None),
        ("", None),
        (-5, Decimal(-5)),
        ("1000.10", Decimal("1000.10")),
        (0.1, Decimal("0.1")),
    ],
)
def test_an_empty_amount_is_none_and_zero_stays_zero(opportunity, amount):
    assert _deal(opportunity=opportunity).amount == amount


@pytest.mark.parametrize("bad", [{"movedTime": "1.3.2026"}, {"opportunity": "much"}, {"stageSemanticId": "X"}])
def test_a_broken_deal_is_malformed(bad):
    with pytest.raises(Malformed):
        _deal(**bad)


@pytest.mark.parametrize(("flag", "template"), [("Y", True), ("N", False), (None, False), (True, True)])
def test_templates_are_told_from_deals(flag, template):
    assert schemas.is_template({"isRecurring": flag}) is template


def test_a_product_row_has_its_net_price_and_the_discount_of_the_whole_line():
    row = {
        "productId": 9,
        "productName": "Chair",
        "price": 90,
        "priceNetto": 100,
        "quantity": 2,
        "discountSum": 10,
        "taxRate": None,
    }
    line = OrderLine("9", "Chair", Decimal(2), Decimal(100), Decimal(20))
    assert schemas.product_row(row) == line
    assert schemas.product_row({**row, "priceNetto": None}) == line


def test_a_free_text_row_has_no_product():
    assert schemas.product_row({"productId": 0, "productName": "Work", "price": 5}).product_id is None


ORDER = {
    "id": 236,
    "price": 980,
    "currency": "USD",
    "payed": "Y",
    "canceled": "N",
    "companyId": 0,
    "responsibleId": 1,
    "dateInsert": "2024-02-28T17:36:55+02:00",
    "dateUpdate": "2024-02-28T17:37:11+02:00",
    "clients": [
        {"entityId": 8, "entityTypeId": 3, "isPrimary": "N"},
        {"entityId": 6, "entityTypeId": 3, "isPrimary": "Y"},
        {"entityId": 2, "entityTypeId": "4", "isPrimary": "Y"},
    ],
    "payments": [
        {"sum": 980, "paid": "Y", "datePaid": "2024-03-01T12:00:00+02:00", "isReturn": "N"},
        {"sum": 80.5, "paid": "N", "datePaid": None, "isReturn": "Y"},
    ],
    "basketItems": [{"productId": 348, "name": "T-Shirt", "price": 980, "quantity": 1, "discountPrice": 0}],
}


def test_a_paid_order_counts_from_its_payment_less_what_was_returned():
    order = schemas.store_order(ORDER, "77", lines=True)
    assert (order.status, order.amount, order.deal_id) == (OrderStatus.WON, Decimal("899.5"), "77")
    assert (order.company_id, order.contact_id) == ("2", "6")
    assert order.at == datetime(2024, 3, 1, 10, tzinfo=UTC)
    assert order.lines == (OrderLine("348", "T-Shirt", Decimal(1), Decimal(980)),)


@pytest.mark.parametrize(
    ("changed", "status"),
    [({"canceled": "Y"}, OrderStatus.LOST), ({"payed": "N"}, OrderStatus.OPEN)],
)
def test_cancelled_and_unpaid_orders_are_not_won(changed, status):
    order = schemas.store_order({**ORDER, **changed}, None, lines=False)
    assert (order.status, order.at, order.lines) == (status, None, None)


def test_an_order_paid_without_a_payment_counts_from_its_day():
    order = schemas.store_order({**ORDER, "payments": []}, None, lines=False)
    assert order.at == datetime(2024, 2, 28, 15, 36, 55, tzinfo=UTC)


def test_people_and_departments_are_read():
    rows = [
        {"ID": "1", "ACTIVE": True, "NAME": "Anna", "LAST_NAME": "Berg", "UF_DEPARTMENT": [1, 5], "EMAIL": "x"},
        {"ID": "2", "ACTIVE": False, "NAME": "", "LAST_NAME": None, "UF_DEPARTMENT": False},
    ]
    anna, nobody = schemas.managers(rows)
    assert (anna.external_id, anna.name, anna.active, anna.team_ids) == ("1", "Anna Berg", True, ("1", "5"))
    assert (nobody.name, nobody.active, nobody.team_ids) == ("2", False, ())
    root, sales = schemas.teams(
        [{"ID": "1", "NAME": "All"}, {"ID": "5", "NAME": "Sales", "PARENT": "1", "UF_HEAD": "7"}]
    )
    assert (root.lead_id, root.parent_id, sales.lead_id, sales.parent_id) == (None, None, "7", "1")


def test_a_catalogue_row_without_its_key_names_the_place():
    with pytest.raises(Malformed) as broken:
        schemas.managers([{"ID": "1"}, {"NAME": "Anna"}])
    assert broken.value.path == "user.get[1].ID"


def test_rates_are_exact_quotients():
    rows = [
        {"CURRENCY": "RUB", "AMOUNT": "1.0000", "AMOUNT_CNT": "1", "BASE": "Y"},
        {"CURRENCY": "KZT", "AMOUNT": "18.5", "AMOUNT_CNT": "100", "BASE": "N"},
        {"CURRENCY": "XXX", "AMOUNT": "1", "AMOUNT_CNT": "3", "BASE": "N"},
        {"CURRENCY": "YYY", "AMOUNT": "0", "AMOUNT_CNT": "1", "BASE": "N"},
    ]
    base, worth = schemas.rates(rows, None)
    third = Decimal("0.3333333333333333333333333333")
    assert (base, worth) == ("RUB", {"RUB": Decimal(1), "KZT": Decimal("0.185"), "XXX": third})


def test_a_portal_without_a_base_currency_is_malformed():
    with pytest.raises(Malformed):
        schemas.rates([], None)


def test_a_list_field_is_created_with_stable_codes():
    spec = FieldSpec("segment", FieldType.CHOICE, "Segment", (Choice("vip", "VIP"), Choice("loyal", "Loyal")))
    body = provision.new_field(spec, 100)
    assert (body["FIELD_NAME"], body["USER_TYPE_ID"], body["MANDATORY"]) == ("UF_CRM_RFM_SEGMENT", "enumeration", "N")
    assert [(row["VALUE"], row["XML_ID"]) for row in body["LIST"]] == [("VIP", "vip"), ("Loyal", "loyal")]
    assert body["EDIT_FORM_LABEL"] == {"ru": "Segment", "en": "Segment"}


def test_options_are_found_by_code_and_a_persons_own_by_its_label():
    rows = [
        {
            "ID": "3",
            "FIELD_NAME": "UF_CRM_RFM_SEGMENT",
            "USER_TYPE_ID": "enumeration",
            "MULTIPLE": "N",
            "LIST": [
                {"ID": "417", "VALUE": "Renamed", "XML_ID": "vip", "SORT": "10", "DEF": "N"},
                {"ID": "418", "VALUE": "Loyal", "XML_ID": "8f14e45f", "SORT": "20", "DEF": "N"},
            ],
        }
    ]
    spec = FieldSpec(
        "segment", FieldType.CHOICE, "S", (Choice("vip", "VIP"), Choice("loyal", "Loyal"), Choice("new", "New"))
    )
    assert provision.user_fields(rows)["UF_CRM_RFM_SEGMENT"].choices(spec) == {"vip": "417", "loyal": "418"}


def test_a_key_without_a_field_is_our_own_mistake():
    with pytest.raises(Unsupported):
        provision.field_name("mood")
