from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from adapters.contract import Cursor, Drift, FieldMap, FieldRef, OwnWrites
from adapters.errors import Unsupported
from adapters.hubspot.places import LAG_MS
from adapters.records import CustomerKind, OrderSource, OrderStatus
from tests.adapters.hubspot.wire import NOW, Wire, account, adapter, answer, linked, page, place, record

CONTACT, COMPANY = CustomerKind.CONTACT, CustomerKind.COMPANY
DEALS, ORDERS = OrderSource.DEALS, OrderSource.ORDERS
FIELDS = FieldMap({CONTACT: {"r": FieldRef("rfm_r", "R"), "updated_at": FieldRef("rfm_updated_at", "U")}})
NOW_MS = int(NOW.timestamp() * 1000)
SINCE = Cursor(
    '{"phase": "changes", "after": null, "since": 1790000000000, "began": null, "last_id": null, "quiet": []}'
)
WON = {
    "hs_is_closed_won": "true",
    "hs_is_closed": "true",
    "closedate": "2026-11-01T10:00:00Z",
    "deal_currency_code": "EUR",
}
OPEN = {"hs_is_closed_won": "false", "hs_is_closed": "false", "deal_currency_code": "EUR"}


@pytest.fixture
def wire():
    return Wire().on("details", account())


def ends(*ids):
    return {"results": [{"id": str(one), "type": "deal_to_contact"} for one in ids]}


def test_the_first_reading_is_a_list_with_our_fields_on_every_page(wire):
    wire.on("contacts", page(record(1, rfm_r="3"), after="2"), page(record(2)))
    pages = list(adapter(wire).customers(CONTACT, None, fields=FIELDS))
    assert [[one.ref.external_id for one in each.records] for each in pages] == [["1"], ["2"]]
    assert pages[0].records[0].card == {"r": 3}
    asked = [query["properties"] for query in wire.queries("contacts")]
    assert asked[0] == asked[1]
    assert {"rfm_r", "rfm_updated_at", "lastmodifieddate", "hs_merged_object_ids"} <= set(asked[0].split(","))


def test_a_first_reading_resumes_at_any_of_its_pages(wire):
    wire.on("contacts", page(record(1), after="2"), page(record(2)))
    stored = next(adapter(wire).customers(CONTACT, None)).cursor
    (rest,) = adapter(wire).customers(CONTACT, stored)
    assert [one.ref.external_id for one in rest.records] == ["2"]
    assert wire.queries("contacts")[1]["after"] == "2"
    assert place(rest.cursor)["since"] == NOW_MS - LAG_MS


def test_an_empty_account_gives_one_empty_page_with_a_cursor(wire):
    wire.on("companies", page())
    (only,) = adapter(wire).customers(COMPANY, None)
    assert only.records == []
    assert place(only.cursor)["phase"] == "changes"


@pytest.mark.parametrize(
    ("kind", "objects", "modified"),
    [(CONTACT, "contacts", "lastmodifieddate"), (COMPANY, "companies", "hs_lastmodifieddate")],
)
def test_changes_are_searched_by_the_kind_s_own_change_time(wire, kind, objects, modified):
    wire.on(f"{objects}/search", page(record(1, **{modified: "2026-11-20T10:00:00.000Z"})))
    (only,) = adapter(wire).customers(kind, SINCE)
    body = wire.bodies("search")[0]
    assert body["filterGroups"][0]["filters"] == [
        {"propertyName": modified, "operator": "GTE", "value": "1790000000000"}
    ]
    assert [one.ref.external_id for one in only.records] == ["1"]
    assert place(only.cursor)["since"] == NOW_MS - LAG_MS


def test_changes_page_by_time_so_that_records_changed_meanwhile_do_not_slip_past(wire):
    first = page(
        record(1, lastmodifieddate="2026-11-20T10:00:00.000Z"),
        record(2, lastmodifieddate="2026-11-20T10:00:01.500Z"),
        after="200",
    )
    wire.on("search", first, page(record(2, lastmodifieddate="2026-11-20T10:00:01.500Z")))
    pages = list(adapter(wire).customers(CONTACT, SINCE))
    assert len(pages) == 2
    second = wire.bodies("search")[1]
    assert "after" not in second
    at = int(datetime(2026, 11, 20, 10, 0, 1, 500000, UTC).timestamp() * 1000)
    assert second["filterGroups"][0]["filters"][0]["value"] == str(at)


def test_changes_resume_at_any_of_their_pages(wire):
    wire.on("search", page(record(1, lastmodifieddate="2026-11-20T10:00:00.000Z"), after="200"), page())
    stored = next(adapter(wire).customers(CONTACT, SINCE)).cursor
    list(adapter(wire).customers(CONTACT, stored))
    values = [body["filterGroups"][0]["filters"][0]["value"] for body in wire.bodies("search")]
    assert values == ["1790000000000", str(int(datetime(2026, 11, 20, 10, tzinfo=UTC).timestamp() * 1000))]


def own_writes(last_at=NOW):
    return OwnWrites(NOW - timedelta(minutes=1), last_at, 100, (NOW - timedelta(minutes=2),))


def test_the_echo_of_own_writes_is_kept_out_of_this_reading_and_the_next(wire):
    wire.on("search", page())
    crm = adapter(wire)
    (only,) = crm.customers(CONTACT, SINCE, fields=FIELDS, own_writes=own_writes())
    (_,) = crm.customers(CONTACT, only.cursor, fields=FIELDS)
    for body in wire.bodies("search"):
        operators = {one["operator"] for group in body["filterGroups"] for one in group["filters"]}
        assert "NOT_HAS_PROPERTY" in operators


def test_a_removed_stamp_field_makes_the_echo_be_read(wire):
    unknown = answer({"category": "VALIDATION_ERROR", "message": "Unknown property"}, 400)
    wire.on("search", unknown, page())
    list(adapter(wire).customers(CONTACT, SINCE, fields=FIELDS, own_writes=own_writes()))
    assert [len(body["filterGroups"]) for body in wire.bodies("search")] == [4, 1]


def test_asked_ids_are_either_there_or_gone_and_a_merged_one_is_gone(wire):
    missing = {"category": "OBJECT_NOT_FOUND", "context": {"ids": ["3"]}}
    winner = record(1, hs_merged_object_ids="2")
    wire.on("read", answer(page(winner, winner, errors=[missing]), 207))
    found = adapter(wire).customers_by_id(CONTACT, ["1", "2", "3", "1"])
    assert [one.ref.external_id for one in found.records] == ["1"]
    assert found.gone == {"2", "3"}
    assert wire.bodies("read")[0]["inputs"] == [{"id": "1"}, {"id": "2"}, {"id": "3"}]


def test_deals_come_with_their_links_in_the_list_itself(wire):
    wire.on("deals", page(record(7, amount="10.5", associations={"contacts": ends(101, 99)}, **WON)))
    (only,) = adapter(wire).orders(DEALS, None, lines=False)
    (deal,) = only.records
    assert (deal.status, deal.amount, deal.contact_id, deal.lines) == (OrderStatus.WON, Decimal("10.5"), "99", None)
    assert wire.queries("deals")[0]["associations"] == "contacts,companies"
    assert len(wire.calls) == 1


def test_links_beyond_what_a_list_embeds_are_read_in_full(wire):
    more = {**ends(101), "paging": {"next": {"after": "102"}}}
    wire.on("deals", page(record(7, associations={"contacts": more}, **WON), record(8, **WON)))
    wire.on("deals/contacts/batch/read", linked(_7=[101, 55]))
    (only,) = adapter(wire).orders(DEALS, None, lines=False)
    assert [deal.contact_id for deal in only.records] == ["55", None]
    assert wire.bodies("batch/read") == [{"inputs": [{"id": "7"}]}]


def test_lines_are_read_for_won_deals_only_and_for_several_pages_at_once(wire):
    items = {"results": [{"id": "31", "type": "deal_to_line_item"}, {"id": "30", "type": "deal_to_line_item"}]}
    wire.on(
        "deals",
        page(record(1, associations={"line items": items}, **WON), after="2"),
        page(record(2, associations={"line items": {"results": [{"id": "32"}]}}, **OPEN), after="3"),
        page(record(3, **WON)),
    )
    wire.on("line_items/batch/read", page(record(31, name="B", quantity="1"), record(30, name="A", quantity="2")))
    (only,) = adapter(wire).orders(DEALS, None)
    lines = {deal.external_id: deal.lines for deal in only.records}
    assert [line.name for line in lines["1"]] == ["A", "B"]
    assert (lines["2"], lines["3"]) == (None, ())
    assert [body["inputs"] for body in wire.bodies("line_items/batch/read")] == [[{"id": "30"}, {"id": "31"}]]


def test_a_line_item_that_is_gone_is_left_out(wire):
    wire.on("deals", page(record(1, associations={"line_items": ends(30)}, **WON)))
    wire.on("line_items/batch/read", page())
    (only,) = adapter(wire).orders(DEALS, None)
    assert only.records[0].lines == ()


def test_changed_deals_get_their_links_from_one_read_for_each_kind(wire):
    wire.on("deals/search", page(record(7, **WON, hs_primary_associated_company="9"), record(8, **WON)))
    wire.on("contacts/batch/read", linked(_7=[101, 99]))
    primary = {"toObjectId": "12", "associationTypes": [{"typeId": 5}]}
    wire.on("companies/batch/read", linked(_7=[9, 10], _8=[11, primary]))
    (only,) = adapter(wire).orders(DEALS, SINCE, lines=False)
    assert [(deal.company_id, deal.contact_id) for deal in only.records] == [("9", "99"), ("12", None)]
    assert len(wire.calls) == 3


def test_no_changed_deals_cost_one_request(wire):
    wire.on("deals/search", page())
    list(adapter(wire).orders(DEALS, SINCE))
    assert len(wire.calls) == 1


def test_stages_are_asked_for_once_and_only_by_deals_that_do_not_tell(wire):
    stages = [{"id": "s9", "metadata": {"isClosed": "true", "probability": "1.0"}}]
    wire.on("pipelines/2026-09/deals", page({"id": "p", "stages": stages}))
    silent = {"dealstage": "s9", "deal_currency_code": "EUR", "closedate": "2026-11-01T10:00:00Z"}
    wire.on("objects/2026-09/deals", page(record(1, **WON), after="2"), page(record(2, **silent), record(3, **silent)))
    deals = [deal for each in adapter(wire).orders(DEALS, None, lines=False) for deal in each.records]
    assert [deal.status for deal in deals] == [OrderStatus.WON] * 3
    assert len(wire.bodies("pipelines/2026-09/deals")) == 1


def test_the_account_is_asked_for_its_currency_once_and_only_if_a_deal_has_none(wire):
    bare = {key: value for key, value in WON.items() if key != "deal_currency_code"}
    wire.on("deals", page(record(1, **WON), after="2"), page(record(2, **bare), record(3, **bare)))
    deals = [deal for each in adapter(wire).orders(DEALS, None, lines=False) for deal in each.records]
    assert [deal.currency for deal in deals] == ["EUR"] * 3
    assert len(wire.bodies("details")) == 1


def test_order_objects_are_tied_to_their_deals(wire):
    values = {"hs_total_price": "20", "hs_currency_code": "EUR", "hs_processed_date": "2026-10-01T00:00:00Z"}
    wire.on("orders", page(record(5, associations={"deals": ends(70), "contacts": ends(1)}, **values)))
    (only,) = adapter(wire).orders(ORDERS, None, lines=False)
    (order,) = only.records
    assert (order.source, order.deal_id, order.contact_id, order.amount) == (ORDERS, "70", "1", 20)
    assert wire.queries("orders")[0]["associations"] == "contacts,companies,deals"


def test_orders_by_id_are_whole_or_gone(wire):
    wire.on("deals/batch/read", page(record(7, **WON)))
    wire.on("contacts/batch/read", linked(_7=[101])).on("companies/batch/read", page()).on(
        "deals/line_items/batch/read", page()
    )
    found = adapter(wire).orders_by_id(DEALS, ["7", "8"])
    assert [(deal.external_id, deal.contact_id, deal.lines) for deal in found.records] == [("7", "101", ())]
    assert found.gone == {"8"}


def test_imported_orders_are_none_of_hubspot_s(wire):
    with pytest.raises(Unsupported):
        list(adapter(wire).orders(OrderSource.IMPORT, None))


def test_archived_records_that_we_hold_are_gone(wire):
    wire.on("contacts", page(record(2), record(9), after="10"), page(record(5)))
    wire.on("search", page(total=2))
    assert adapter(wire).customer_drift(CONTACT, [1, 2, 3, 5]) == Drift(gone=frozenset({"2", "5"}))
    assert [query["archived"] for query in wire.queries("contacts")] == ["true", "true"]


def test_nothing_held_costs_nothing(wire):
    assert adapter(wire).order_drift(DEALS, []) == Drift()
    assert wire.calls == []


class Index:
    """Counts and reads like HubSpot, for the live ids given."""

    def __init__(self, live):
        self.live = live

    def count(self, call):
        low, high = (int(one["value"]) for one in call.json["filterGroups"][0]["filters"])
        return page(total=sum(low <= one <= high for one in self.live))

    def read(self, call):
        return page(*(record(item["id"]) for item in call.json["inputs"] if int(item["id"]) in self.live))


@pytest.mark.parametrize("lost", [{1}, {5000}, {777, 778, 4242}])
def test_records_erased_for_good_are_found_by_counting(wire, lost):
    index = Index(set(range(1, 5001)) - lost)
    wire.on("deals", page()).on("search", index.count).on("read", index.read)
    assert adapter(wire).order_drift(DEALS, range(1, 5001)).gone == {str(one) for one in lost}
    assert len(wire.calls) < 45


def test_a_count_that_stops_at_the_index_s_cap_tells_nothing(wire):
    wire.on("deals", page()).on("search", page(total=10_000))
    assert adapter(wire).order_drift(DEALS, range(1, 20_001)) == Drift()
    assert len(wire.calls) == 2


def test_an_index_that_cannot_be_asked_leaves_what_the_archive_tells(wire):
    wire.on("deals", page(record(2))).on("search", answer({"category": "VALIDATION_ERROR"}, 400))
    assert adapter(wire).order_drift(DEALS, [1, 2]).gone == {"2"}


def test_rates_need_a_scope_and_fall_back_to_the_account_s_own_currency(wire):
    for refusal in (answer({"category": "MISSING_SCOPES"}, 403), answer({}, 404), answer({}, 402)):
        wire.on("current", refusal)
        assert adapter(wire).rates() == {"EUR": 1}
    wire.on("current", page({"fromCurrencyCode": "USD", "toCurrencyCode": "EUR", "conversionRate": 0.92}))
    assert adapter(wire).rates() == {"EUR": 1, "USD": Decimal("0.92")}


def test_both_lists_of_owners_are_read_to_their_end(wire):
    def owners(call):
        asked = dict(call.query)
        first = "41" if asked["archived"] == "false" else "51"
        return page({"id": str(int(first) + 1)}) if "after" in asked else page({"id": first}, after="x")

    wire.on("owners/2026-09", owners)
    managers, teams = adapter(wire).managers()
    assert [(one.external_id, one.active) for one in managers] == [
        ("41", True),
        ("42", True),
        ("51", False),
        ("52", False),
    ]
    assert teams == []


def test_capabilities_cost_no_request(wire):
    crm = adapter(wire)
    assert crm.capabilities.sources == {DEALS, ORDERS}
    assert crm.capabilities.write_batch == crm.capabilities.task_batch == 100
    assert wire.calls == []
