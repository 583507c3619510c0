import pytest

from adapters.budget import LocalStates
from adapters.errors import Malformed, Unavailable
from adapters.hubspot.auth import access_from_input
from adapters.hubspot.client import API_VERSION, Client, Link
from adapters.transport import Call
from tests.adapters.hubspot.wire import NOW, Wire, answer, linked, page, record


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def states():
    return LocalStates(clock=lambda: 0.0)


@pytest.fixture
def client(wire, states):
    return Client(access_from_input("pat-secret", "https://api.hubapi.com"), wire, states, lambda: NOW)


def room(client, lane="core"):
    """How many calls the lane grants at one moment."""
    granted = 0
    while client.budget.ask(lane).wait <= 0:
        granted += 1
    return granted


def test_a_call_is_signed_with_the_token_in_the_header_only(client):
    signed = client.sign(Call("POST", "/crm/x", json={"a": 1}), client.token())
    assert signed.url == "https://api.hubapi.com/crm/x"
    assert signed.headers["Authorization"] == "Bearer pat-secret"
    assert signed.json == {"a": 1}


def test_every_path_carries_the_one_version(client, wire):
    for end in ("details", "current", "owners/2026-09", "deals", "contacts", "search", "read", "update", "create"):
        wire.on(end, page())
    wire.on("groups", page()).on("rfm_x", {})
    client.account()
    client.exchange_rates()
    client.owners(archived=False)
    client.pipelines("deals")
    client.list_page("contacts", None)
    client.search("contacts", {})
    client.read("contacts", ["1"], [])
    client.update("contacts", [])
    client.create("tasks", [])
    client.links("deals", ["contacts"], ["1"])
    client.properties("contacts")
    client.groups("contacts")
    client.set_options("contacts", "rfm_x", [])
    assert len(wire.calls) == 13
    assert all(f"/{API_VERSION}" in call.path for call in wire.calls)


def test_only_searches_use_the_search_lane(client, wire):
    wire.on("search", page(total=3)).on("contacts", page())
    client.search("contacts", {})
    client.count("contacts", [])
    client.list_page("contacts", None)
    assert [call.lane for call in wire.calls] == ["search", "search", "core"]


def test_the_burst_is_the_smallest_documented_one_until_the_account_tells_its_own(client, wire):
    assert room(client) == 100


@pytest.mark.parametrize(
    ("most", "interval", "limit"),
    [("190", "10000", 190), ("50", "10000", 50), ("100", "20000", 50), ("20", "1000", 20)],
)
def test_the_burst_follows_the_headers_and_never_exceeds_them(client, wire, most, interval, limit):
    headers = {"X-HubSpot-RateLimit-Max": most, "X-HubSpot-RateLimit-Interval-Milliseconds": interval}
    wire.on("details", answer({}, **headers))
    client.account()
    assert room(client) == limit
    assert client.per_second == limit / 10


def test_headers_of_searches_and_nonsense_change_nothing(client, wire):
    wire.on("search", answer(page(), **{"X-HubSpot-RateLimit-Max": "5"})).on(
        "details", answer({}, **{"X-HubSpot-RateLimit-Max": "many"}), answer({}, **{"X-HubSpot-RateLimit-Max": "0"})
    )
    client.search("contacts", {})
    client.account()
    client.account()
    assert room(client) == 100


def test_one_search_of_five_in_a_second_is_left_to_other_apps(client):
    assert room(client, "search") == 4


def test_properties_are_asked_for_on_every_page_and_the_next_link_is_not_trusted(client, wire):
    wire.on("contacts", page(record(1), after="102"), page(record(103)))
    first = client.list_page("contacts", None, ["email", "rfm_r"], ["companies"])
    client.list_page("contacts", first.after, ["email", "rfm_r"], ["companies"])
    assert wire.queries("contacts") == [
        {"limit": "100", "archived": "false", "properties": "email,rfm_r", "associations": "companies"},
        {"limit": "100", "archived": "false", "properties": "email,rfm_r", "associations": "companies", "after": "102"},
    ]


def test_the_moment_of_an_answer_is_hubspot_s_own(client, wire):
    wire.on("contacts", page())
    assert client.list_page("contacts", None).at == NOW


def test_reads_by_id_go_in_hundreds_and_take_absent_records_as_absent(client, wire):
    missing = {"category": "OBJECT_NOT_FOUND", "context": {"ids": ["9"]}}
    wire.on("read", answer(page(record(1), errors=[missing]), 207))
    assert len(client.read("contacts", [str(n) for n in range(250)], ["email"])) == 3
    assert [len(body["inputs"]) for body in wire.bodies("read")] == [100, 100, 50]


def test_a_read_that_failed_in_part_is_not_taken_for_absence(client, wire):
    wire.on("read", answer(page(errors=[{"category": "CONFLICT", "context": {"ids": ["9"]}}]), 207))
    with pytest.raises(Unavailable):
        client.read("contacts", ["9"], [])


def test_links_are_gathered_over_pages_of_single_records(client, wire):
    more = {"from": {"id": "1"}, "to": [{"toObjectId": 5}], "paging": {"next": {"after": "6"}}}
    first = page(more, {"from": {"id": "2"}, "to": [{"toObjectId": "8"}]})
    wire.on("contacts/batch/read", first, linked(_1=[6]))
    found = client.links("deals", ["contacts"], ["1", "2", "3"])["contacts"]
    assert found == {"1": [Link("5"), Link("6")], "2": [Link("8")]}
    assert wire.bodies("read")[1] == {"inputs": [{"id": "1", "after": "6"}]}


def test_links_are_read_a_thousand_at_a_time_and_for_each_kind(client, wire):
    wire.on("read", page())
    client.links("deals", ["contacts", "companies"], [str(n) for n in range(1500)])
    sizes = [(call.path.split("/")[5], len(call.json["inputs"])) for call in wire.calls]
    assert sizes == [("contacts", 1000), ("contacts", 500), ("companies", 1000), ("companies", 500)]


@pytest.mark.parametrize(
    "types",
    [
        [{"category": "HUBSPOT_DEFINED", "typeId": 341}, {"category": "HUBSPOT_DEFINED", "typeId": 5}],
        [{"category": "HUBSPOT_DEFINED", "typeId": 509, "label": None}],
        [{"category": "HUBSPOT_DEFINED", "typeId": 777, "label": "Primary"}],
    ],
)
def test_the_primary_link_is_known_by_its_number_or_label(client, wire, types):
    wire.on("read", linked(_1=[{"toObjectId": 9, "associationTypes": types}]))
    assert client.links("deals", ["companies"], ["1"])["companies"]["1"] == [Link("9", primary=True)]


def test_no_links_at_all_is_no_error_in_either_of_hubspot_s_ways(client, wire):
    none = {"category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND"}
    wire.on("read", answer(page(errors=[none]), 207))
    assert client.links("deals", ["contacts"], ["1"]) == {"contacts": {}}


@pytest.mark.parametrize("body", [{}, {"results": None}, {"results": {"a": 1}}, []])
def test_an_answer_without_results_is_malformed(client, wire, body):
    wire.on("contacts", body)
    with pytest.raises(Malformed):
        client.list_page("contacts", None)


def test_only_the_creation_of_records_may_not_be_sent_twice(client, wire):
    wire.on("create", page()).on("update", page())
    client.create("tasks", [])
    client.update("contacts", [])
    assert [call.repeatable for call in wire.calls] == [False, True]
