"""Payloads ↔ records. The payloads follow the examples of HubSpot's guides, with invented values."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from time import perf_counter

import pytest

from adapters.contract import Choice, FieldRef, FieldSpec, FieldType
from adapters.errors import Conflict, Malformed
from adapters.hubspot import provision, schemas
from adapters.hubspot.client import Link
from adapters.hubspot.schemas import Stages, Ties
from adapters.hubspot.tasks import task
from adapters.records import CustomerKind, CustomerRef, Order, OrderStatus, Priority, TaskDraft
from tests.adapters.hubspot.wire import account, record

CONTACT = CustomerKind.CONTACT
KEYS = ("r", "f", "m", "code", "segment", "segment_previous", "updated_at", "method", "quality", "churn_risk", "upsell")
REFS = {key: FieldRef(f"rfm_{key}", key) for key in (*KEYS, "hint")}
STAGES = Stages(won=frozenset({"closedwon"}), lost=frozenset({"closedlost"}))
AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def won(**values):
    return {"hs_is_closed_won": "true", "hs_is_closed": "true", "closedate": "2026-11-01T10:00:00Z", **values}


def a_deal(ties=None, stages=None, currency="EUR", **values) -> Order:
    return schemas.deal(record(7, **values), ties or Ties(), stages=stages, currency=currency)


def test_the_account_gives_zone_currency_and_address_of_its_pages():
    info = schemas.portal_info(account(portalName="Shop", other="ignored"))
    assert (info.account_id, info.name, info.time_zone, info.currency) == ("101", "Shop", "Europe/Berlin", "EUR")
    assert info.web_url == "https://app-eu1.hubspot.com"
    assert schemas.portal_info(account()).name == "HubSpot 101"


@pytest.mark.parametrize("missing", ["portalId", "timeZone", "companyCurrency"])
def test_an_account_without_what_we_need_is_malformed_with_its_path(missing):
    payload = account()
    del payload[missing]
    with pytest.raises(Malformed) as error:
        schemas.portal_info(payload)
    assert error.value.path == f"account.{missing}"


def test_rates_are_those_towards_the_company_currency():
    rates = [
        {"fromCurrencyCode": "USD", "toCurrencyCode": "EUR", "conversionRate": 0.92, "visibleInUI": True},
        {"fromCurrencyCode": "GBP", "conversionRate": "1.17"},
        {"fromCurrencyCode": "EUR", "toCurrencyCode": "EUR", "conversionRate": 2},
        {"fromCurrencyCode": "USD", "toCurrencyCode": "GBP", "conversionRate": 0.8},
        {"fromCurrencyCode": "BRL", "toCurrencyCode": "EUR", "conversionRate": 0},
    ]
    assert schemas.rates_to("EUR", rates) == {"EUR": Decimal(1), "USD": Decimal("0.92"), "GBP": Decimal("1.17")}


def test_owners_become_managers_archived_ones_inactive_and_the_primary_team_first():
    teams = [{"id": "1", "name": "North", "primary": False}, {"id": "2", "name": "South", "primary": True}]
    live = [{"id": "41", "firstName": "Anna", "lastName": "Berg", "email": "a@shop.example", "teams": teams}]
    archived = [{"id": "42", "email": "gone@shop.example", "archived": True, "userId": None}, {"id": "43"}]
    managers, found_teams = schemas.staff(live, archived)
    assert [(one.external_id, one.name, one.active, one.team_ids) for one in managers] == [
        ("41", "Anna Berg", True, ("2", "1")),
        ("42", "gone@shop.example", False, ()),
        ("43", "HubSpot owner 43", False, ()),
    ]
    assert {(team.external_id, team.name) for team in found_teams} == {("1", "North"), ("2", "South")}


def test_a_card_is_read_in_our_types():
    payload = record(
        "101",
        hubspot_owner_id="41",
        createdate="2026-01-02T03:04:05.678Z",
        lastmodifieddate="2026-02-02T03:04:05.678Z",
        hs_merged_object_ids="55;56",
        rfm_r="12.0",
        rfm_f="3",
        rfm_m="1234.50",
        rfm_code="545",
        rfm_segment="vip",
        rfm_segment_previous="",
        rfm_updated_at="2026-11-22T08:00:00Z",
        rfm_method="sales5@1",
        rfm_quality=None,
        rfm_churn_risk="false",
        rfm_upsell="true",
    )
    found = schemas.customer(CONTACT, payload, REFS)
    assert found.ref == CustomerRef(CONTACT, "101")
    assert found.manager_id == "41"
    assert found.created_at == datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
    assert found.updated_at == datetime(2026, 2, 2, 3, 4, 5, 678000, UTC)
    assert found.merged_ids == ("55", "56")
    assert found.card == {
        "r": 12,
        "f": 3,
        "m": Decimal("1234.5"),
        "code": "545",
        "segment": "vip",
        "updated_at": AT,
        "method": "sales5@1",
        "churn_risk": False,
        "upsell": True,
    }


def test_what_a_person_wrote_into_our_fields_stays_text_so_that_it_differs():
    card = schemas.customer(CONTACT, record(1, rfm_r="many", rfm_m="NaN", rfm_updated_at="soon"), REFS).card
    assert card == {"r": "many", "m": "NaN", "updated_at": "soon"}


def test_times_come_as_iso_text_or_as_milliseconds():
    iso = schemas.customer(CONTACT, record(1, rfm_updated_at="2026-11-22T08:00:00.123Z"), REFS).card["updated_at"]
    unix = schemas.customer(CONTACT, record(1, rfm_updated_at="1795334400123"), REFS).card["updated_at"]
    assert iso == unix == AT + timedelta(milliseconds=123)


def test_a_record_without_an_id_is_malformed_with_its_path():
    with pytest.raises(Malformed) as error:
        schemas.customer(CONTACT, {"properties": {}}, REFS)
    assert error.value.path == "contact.id"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0, "0"),
        (True, "true"),
        (False, "false"),
        (Decimal("1E+3"), "1000"),
        (Decimal("10.50"), "10.50"),
        (datetime(2026, 11, 22, 9, 0, 0, 999999, timezone(timedelta(hours=1))), "2026-11-22T08:00:00.999Z"),
        ("vip", "vip"),
    ],
)
def test_values_are_written_as_text(value, text):
    assert schemas.written(value) == text


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"hs_is_closed_won": "true", "hs_is_closed": "true"}, OrderStatus.WON),
        ({"hs_is_closed_won": "true"}, OrderStatus.WON),
        ({"hs_is_closed_won": "false", "hs_is_closed": "true"}, OrderStatus.LOST),
        ({"hs_is_closed_won": "false", "hs_is_closed": "false"}, OrderStatus.OPEN),
        ({"dealstage": "closedwon"}, OrderStatus.WON),
        ({"dealstage": "closedlost"}, OrderStatus.LOST),
        ({"dealstage": "closedlost", "hs_is_closed_won": "false"}, OrderStatus.LOST),
        ({"dealstage": "appointment"}, OrderStatus.OPEN),
        ({}, OrderStatus.OPEN),
    ],
)
def test_a_deal_is_won_lost_or_open_by_its_own_word_else_by_its_stage(values, status):
    assert a_deal(stages=STAGES, **values).status is status


def test_stages_are_won_when_closed_with_certainty():
    stage = {"displayOrder": 0, "label": "x"}
    payload = {
        "id": "default",
        "stages": [
            {**stage, "id": "a", "metadata": {"isClosed": "true", "probability": "1.0"}},
            {**stage, "id": "b", "metadata": {"isClosed": "true", "probability": "0.0"}},
            {**stage, "id": "c", "metadata": {"isClosed": "false", "probability": "1.0"}},
            {**stage, "id": "d", "metadata": None},
        ],
    }
    assert schemas.stages_of([payload]) == Stages(won=frozenset({"a"}), lost=frozenset({"b"}))


def test_an_open_deal_has_no_time_although_its_expected_close_is_filled():
    assert a_deal(hs_is_closed="false", hs_is_closed_won="false", closedate="2027-01-01T00:00:00Z").at is None
    assert a_deal(**won()).at == datetime(2026, 11, 1, 10, tzinfo=UTC)


def test_an_empty_amount_is_not_zero():
    assert a_deal(**won(amount="")).amount is None
    assert a_deal(**won(amount="0")).amount == 0
    assert a_deal(**won(amount="-12.30")).amount == Decimal("-12.30")


def test_a_deal_without_a_currency_is_in_the_account_s_own():
    assert a_deal(**won(deal_currency_code="USD")).currency == "USD"
    assert a_deal(**won(deal_currency_code=None)).currency == "EUR"


@pytest.mark.parametrize(
    ("companies", "named", "company"),
    [
        ([], None, None),
        ([Link("9"), Link("10", primary=True)], None, "10"),
        ([Link("9"), Link("10", primary=True)], "9", "10"),
        ([Link("9"), Link("10")], "10", "10"),
        ([Link("9"), Link("10")], "77", "9"),
        ([Link("10"), Link("9")], None, "9"),
        ([], "77", None),
    ],
)
def test_the_company_is_the_primary_one_else_the_named_else_the_lowest(companies, named, company):
    found = a_deal(Ties(companies=companies), **won(hs_primary_associated_company=named))
    assert found.company_id == company


def test_the_main_contact_is_the_lowest_id_by_number():
    assert a_deal(Ties(contacts=[Link("101"), Link("99"), Link("100")]), **won()).contact_id == "99"


def test_embedded_associations_tell_the_primary_company_by_standing_there_twice():
    ends = [
        {"id": "9", "type": "deal_to_company_unlabeled"},
        {"id": "10", "type": "deal_to_company"},
        {"id": "10", "type": "deal_to_company_unlabeled"},
    ]
    links, partly = schemas.embedded(record(7, associations={"companies": {"results": ends}}))
    assert [link.to for link in links["companies"] if link.primary] == ["10"]
    assert partly == frozenset()


def test_without_unlabeled_types_no_embedded_company_is_called_primary():
    ends = [{"id": "10", "type": "deal_to_company"}, {"id": "9", "type": "deal_to_company"}]
    links, _ = schemas.embedded(record(7, associations={"companies": {"results": ends}}))
    assert not any(link.primary for link in links["companies"])


@pytest.mark.parametrize("key", ["line items", "line_items", "0-8"])
def test_embedded_line_items_are_known_by_any_of_their_names_and_tell_when_there_are_more(key):
    part = {"results": [{"id": "1", "type": "deal_to_line_item"}], "paging": {"next": {"after": "2"}}}
    links, partly = schemas.embedded(record(7, associations={key: part}))
    assert [link.to for link in links["line_items"]] == ["1"]
    assert partly == {"line_items"}


def an_order(**values) -> Order:
    return schemas.order_object(record(5, **values), Ties(deals=[Link("30"), Link("7")]), currency="EUR")


def test_an_order_object_counts_from_the_shop_s_own_moment():
    times = {
        "hs_external_created_date": "2026-10-01T00:00:00Z",
        "hs_processed_date": "2026-10-02T00:00:00Z",
        "hs_createdate": "2026-10-04T00:00:00Z",
    }
    assert an_order(**times).at == datetime(2026, 10, 1, tzinfo=UTC)
    assert an_order(hs_processed_date="2026-10-02T00:00:00Z", hs_createdate="2026-10-04T00:00:00Z").at.day == 2
    assert an_order().at == datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


def test_an_order_object_is_tied_to_its_deal_and_lost_when_cancelled():
    found = an_order(hs_total_price="99.90", hs_currency_code="USD")
    assert (found.status, found.deal_id, found.amount, found.currency) == (
        OrderStatus.WON,
        "7",
        Decimal("99.90"),
        "USD",
    )
    assert an_order(hs_fulfillment_status="Cancelled").status is OrderStatus.LOST


def test_a_line_s_discount_is_what_its_net_sum_falls_short():
    line = schemas.order_line(record(1, name="Tea", hs_product_id="5", quantity="3", price="10", amount="27"))
    assert (line.product_id, line.name, line.quantity, line.price, line.discount) == ("5", "Tea", 3, 10, 3)
    bare = schemas.order_line(record(1, price="10", amount="10"))
    assert (bare.product_id, bare.quantity, bare.discount) == (None, 1, None)


SEGMENT = FieldSpec("segment", FieldType.CHOICE, "RFM: segment", (Choice("vip", "VIP"), Choice("loyal", "Loyal")))


@pytest.mark.parametrize(
    ("type_", "wanted"),
    [
        (FieldType.INTEGER, ("number", "number")),
        (FieldType.DECIMAL, ("number", "number")),
        (FieldType.TEXT, ("string", "text")),
        (FieldType.LONG_TEXT, ("string", "textarea")),
        (FieldType.TIME, ("datetime", "date")),
        (FieldType.FLAG, ("bool", "booleancheckbox")),
    ],
)
def test_each_of_our_types_has_a_pair_that_hubspot_allows(type_, wanted):
    body = provision.definition(FieldSpec("x", type_, "X"))
    assert (body["type"], body["fieldType"]) == wanted
    assert (body["name"], body["label"], body["groupName"]) == ("rfm_x", "X", "rfm")


def test_options_carry_stable_values_and_a_flag_has_yes_and_no():
    assert [(one["value"], one["label"]) for one in provision.definition(SEGMENT)["options"]] == [
        ("vip", "VIP"),
        ("loyal", "Loyal"),
    ]
    flag = provision.definition(FieldSpec("upsell", FieldType.FLAG, "Upsell"))
    assert [one["value"] for one in flag["options"]] == ["true", "false"]


@pytest.mark.parametrize(
    ("type_", "found"),
    [
        (FieldType.INTEGER, ("string", "text")),
        (FieldType.CHOICE, ("string", "text")),
        (FieldType.CHOICE, ("enumeration", "checkbox")),
        (FieldType.TIME, ("date", "date")),
        (FieldType.FLAG, ("string", "text")),
    ],
)
def test_a_property_of_another_type_is_a_conflict_that_names_it_and_what_to_do(type_, found):
    existing = provision.property_of({"name": "rfm_x", "label": "X", "type": found[0], "fieldType": found[1]})
    with pytest.raises(Conflict, match=r"rfm_x.*delete it"):
        provision.check_type(FieldSpec("x", type_, "X"), existing, CONTACT)


@pytest.mark.parametrize(
    ("type_", "found"),
    [
        (FieldType.LONG_TEXT, ("string", "text")),
        (FieldType.CHOICE, ("enumeration", "radio")),
        (FieldType.FLAG, ("enumeration", "booleancheckbox")),
    ],
)
def test_a_property_that_only_looks_different_is_taken(type_, found):
    existing = provision.property_of({"name": "rfm_x", "type": found[0], "fieldType": found[1]})
    provision.check_type(FieldSpec("x", type_, "X"), existing, CONTACT)


def test_only_missing_options_are_added_behind_the_others():
    existing = provision.property_of(
        {"name": "rfm_segment", "type": "enumeration", "options": [{"value": "vip", "label": "Best"}, {"value": "own"}]}
    )
    assert provision.missing_options(SEGMENT, existing) == [
        {"label": "Loyal", "value": "loyal", "displayOrder": 2, "hidden": False}
    ]


def draft(**changes) -> TaskDraft:
    values = {"key": "k1", "customer": CustomerRef(CONTACT, "101"), "manager_id": "41", "title": "Call", "body": "Why"}
    return TaskDraft(**{**values, "due_at": AT, "priority": Priority.HIGH, **changes})


def test_a_task_is_due_at_the_moment_and_ends_with_its_mark():
    body = task(draft())
    assert body["objectWriteTraceId"] == "k1"
    assert body["properties"] == {
        "hs_timestamp": "2026-11-22T08:00:00.000Z",
        "hs_task_subject": "Call",
        "hs_task_body": "Why\n\nRFM#k1",
        "hs_task_status": "NOT_STARTED",
        "hs_task_priority": "HIGH",
        "hs_task_type": "TODO",
        "hubspot_owner_id": "41",
    }


@pytest.mark.parametrize(("kind", "type_id"), [(CONTACT, 204), (CustomerKind.COMPANY, 192)])
def test_a_task_hangs_on_the_customer_s_card(kind, type_id):
    (link,) = task(draft(customer=CustomerRef(kind, "9")))["associations"]
    assert link["to"] == {"id": "9"}
    assert link["types"] == [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}]


def test_a_task_without_a_manager_leaves_the_owner_to_hubspot():
    assert "hubspot_owner_id" not in task(draft(manager_id=None))["properties"]


def test_a_page_of_cards_takes_a_few_milliseconds():
    payload = record(
        "101", lastmodifieddate="2026-02-02T03:04:05.678Z", rfm_r="12", rfm_m="1", rfm_updated_at="2026-11-22T08:00:00Z"
    )
    fastest = min(_timed(lambda: [schemas.customer(CONTACT, payload, REFS) for _ in range(100)]) for _ in range(5))
    assert fastest < 0.02


def _timed(work) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started
