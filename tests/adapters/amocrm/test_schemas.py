"""Payloads are the examples of https://www.amocrm.ru/developers/content/crm_platform/, cut to what is read."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from adapters.amocrm import schemas
from adapters.amocrm.schemas import CardReader, Option
from adapters.contract import FieldRef
from adapters.errors import InvalidValue, Malformed
from adapters.records import (
    CustomerKind,
    CustomerRef,
    Manager,
    ScoreChange,
    TaskDraft,
    Team,
)

MOSCOW = ZoneInfo("Europe/Moscow")
REFS = {
    "r": FieldRef("1", "R"),
    "m": FieldRef("2", "M"),
    "segment": FieldRef("3", "S", {"vip": "77", "loyal": "78"}),
    "updated_at": FieldRef("4", "U"),
    "churn_risk": FieldRef("5", "C"),
    "hint": FieldRef("6", "H"),
    "method": FieldRef("7", "V"),
}


def account(**more):
    settings = {"timezone": "Europe/Moscow", "timezone_offset": "+03:00"}
    return {
        "id": 1231414,
        "name": "example",
        "currency": "RUB",
        "customers_mode": "segments",
        "is_api_filter_enabled": True,
        "unknown": {},
        "_embedded": {"users_groups": [{"id": 0, "name": "Sales", "uuid": None}], "datetime_settings": settings},
    } | more


def test_an_account():
    found = schemas.account_of(account(), "https://x.amocrm.ru")
    assert (found.info.account_id, found.info.currency, found.info.time_zone) == ("1231414", "RUB", "Europe/Moscow")
    assert found.teams == (Team("0", "Sales"),)
    assert found.has_filter
    assert found.has_customers


@pytest.mark.parametrize("mode", ["unavailable", "disabled", "dynamic", None])
def test_customers_count_only_in_their_two_modes(mode):
    assert not schemas.account_of(account(customers_mode=mode), "").has_customers


def test_an_unknown_zone_name_gives_way_to_the_offset():
    settings = {"timezone": "Mars/Olympus", "timezone_offset": "+05:30"}
    assert schemas.account_of(account(_embedded={"datetime_settings": settings}), "").info.time_zone == "UTC+05:30"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"id": None}, "account.id"),
        ({"currency": None}, "account.currency"),
        ({"_embedded": {}}, "account._embedded.datetime_settings.timezone"),
        ({"_embedded": {"users_groups": [{"name": "x"}]}}, "account._embedded.users_groups.0.id"),
    ],
)
def test_an_account_without_what_is_needed_is_malformed_with_the_path(change, path):
    with pytest.raises(Malformed) as caught:
        schemas.account_of(account(**change), "")
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("user", "manager"),
    [
        (
            {"id": 7, "name": "A", "rights": {"is_active": True}, "_embedded": {"groups": [{"id": 3, "name": "N"}]}},
            Manager("7", "A", True, ("3",)),
        ),
        ({"id": 7, "name": "A", "rights": {"is_active": False, "group_id": None}}, Manager("7", "A", False, ("0",))),
        ({"id": 7, "name": None, "rights": {"group_id": 9}}, Manager("7", "", True, ())),
    ],
)
def test_a_user_and_his_group(user, manager):
    assert schemas.manager_of(user, [Team("0", "Sales"), Team("3", "N")]) == manager


# --- fields ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_object", [False, True])
def test_options_come_as_a_list_or_as_an_object_keyed_by_number(as_object):
    enums = [{"id": 1, "value": "VIP", "sort": 2, "code": "vip"}, {"id": 2, "value": "Old"}]
    payload = {"id": 9, "name": "S", "type": "select", "code": "RFM_SEGMENT", "group_id": "contacts_1", "enums": enums}
    if as_object:
        payload["enums"] = {str(at): one for at, one in enumerate(enums)}
    field = schemas.field_of(payload)
    assert field.options == (Option(1, "VIP", 2, "vip"), Option(2, "Old", 0, None))
    assert field.group_id == "contacts_1"


def test_a_field_without_options_or_tab():
    field = schemas.field_of({"id": 9, "name": "S", "type": "text", "enums": None, "group_id": None})
    assert (field.options, field.group_id, field.code, field.is_api_only) == ((), None, None, False)


# --- cards -----------------------------------------------------------------------------------------------------


def value(field_id: int, **first):
    return {"field_id": field_id, "field_name": "", "field_code": None, "field_type": "", "values": [first]}


@pytest.mark.parametrize("empty", [None, []])
def test_a_card_without_values_is_empty(empty):
    assert CardReader(REFS).read(empty) == {}


def test_our_values_in_our_types():
    values = [
        value(1, value="12"),
        value(2, value="1500.5"),
        value(3, value="Renamed", enum_id=77, enum_code=None),
        value(4, value=1_700_000_000),
        value(5, value=False),
        value(6, value="text"),
        value(999, value="not ours"),
    ]
    assert CardReader(REFS).read(values) == {
        "r": 12,
        "m": Decimal("1500.50"),
        "segment": "vip",
        "updated_at": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        "churn_risk": False,
        "hint": "text",
    }


@pytest.mark.parametrize(
    ("item", "read"),
    [
        (value(1, value="1.5"), {"r": "1.5"}),
        (value(1, value="many"), {"r": "many"}),
        (value(2, value="NaN"), {"m": "NaN"}),
        (value(3, value="Stranger", enum_id=5), {"segment": "Stranger"}),
        (value(4, value="2023-11-15T01:13:20+03:00"), {"updated_at": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)}),
        (value(4, value="soon"), {"updated_at": "soon"}),
        (value(5, value="maybe"), {"churn_risk": "maybe"}),
        (value(6, value=""), {}),
        ({"field_id": 6, "values": None}, {}),
    ],
)
def test_what_does_not_fit_stays_text_so_that_it_differs(item, read):
    assert CardReader(REFS).read([item]) == read


def test_a_customer():
    row = {
        "id": 5,
        "responsible_user_id": 8,
        "created_at": 1_700_000_000,
        "updated_at": 1_700_000_001,
        "custom_fields_values": None,
    }
    customer = schemas.customer_of(row, CustomerKind.COMPANY, CardReader({}))
    assert customer.ref == CustomerRef(CustomerKind.COMPANY, "5")
    assert (customer.manager_id, customer.updated_at.second) == ("8", 21)


def test_a_customer_without_an_id_is_malformed():
    with pytest.raises(Malformed) as caught:
        schemas.customer_of({}, CustomerKind.CONTACT, CardReader({}))
    assert caught.value.path == "contacts.id"


def change(**values):
    return ScoreChange(CustomerRef(CustomerKind.CONTACT, "101"), values)


def test_values_are_written_in_the_vendors_types():
    body, keys = schemas.change_body(
        change(
            r=3,
            m=Decimal("1E+3"),
            segment="vip",
            updated_at=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
            churn_risk=False,
            method="m" * 300,
            hint="h" * 300,
        ),
        REFS,
    )
    assert body["id"] == 101
    assert keys == ["r", "m", "segment", "updated_at", "churn_risk", "method", "hint"]
    assert body["custom_fields_values"] == [
        {"field_id": 1, "values": [{"value": "3"}]},
        {"field_id": 2, "values": [{"value": "1000"}]},
        {"field_id": 3, "values": [{"enum_id": 77}]},
        {"field_id": 4, "values": [{"value": 1_700_000_000}]},
        {"field_id": 5, "values": [{"value": False}]},
        {"field_id": 7, "values": [{"value": "m" * 256}]},
        {"field_id": 6, "values": [{"value": "h" * 300}]},
    ]


def test_none_empties_a_field():
    body, _ = schemas.change_body(change(r=None, hint=""), REFS)
    assert [item["values"] for item in body["custom_fields_values"]] == [None, None]


@pytest.mark.parametrize(("values", "key"), [({"segment": "nobody"}, "segment"), ({"upsell": True}, "upsell")])
def test_what_the_portal_has_no_place_for_is_refused_with_our_key(values, key):
    with pytest.raises(InvalidValue) as caught:
        schemas.change_body(change(**values), REFS)
    assert caught.value.field == key


# --- tasks -----------------------------------------------------------------------------------------------------


def draft(**more):
    values = {
        "key": "vip-12",
        "customer": CustomerRef(CustomerKind.COMPANY, "5"),
        "manager_id": "8",
        "title": "Call",
        "body": "Why",
        "due_at": datetime(2026, 11, 24, 12, 0, tzinfo=UTC),
    }
    return TaskDraft(**(values | more))


def test_a_task_ends_with_its_marker():
    body = schemas.task_body(draft(), MOSCOW)
    assert body == {
        "text": "Call\nWhy\nRFM#vip-12",
        "complete_till": 1_795_521_600,
        "task_type_id": 1,
        "entity_id": 5,
        "entity_type": "companies",
        "responsible_user_id": 8,
        "request_id": "vip-12",
    }
    assert "responsible_user_id" not in schemas.task_body(draft(manager_id=None), MOSCOW)


@pytest.mark.parametrize(("minute", "seconds_off"), [(58, 0), (59, 60)])
def test_a_minute_to_midnight_becomes_two_so_that_the_hour_is_shown(minute, seconds_off):
    due = datetime(2026, 11, 24, 23, minute, tzinfo=MOSCOW)
    assert schemas.task_body(draft(due_at=due), MOSCOW)["complete_till"] == int(due.timestamp()) - seconds_off


def test_a_marker_is_a_whole_word():
    assert "RFM#vip-1" not in schemas.markers_in({"text": "Call\nRFM#vip-12"})
    assert "RFM#vip-12" in schemas.markers_in({"text": "Call\r\nRFM#vip-12 "})
