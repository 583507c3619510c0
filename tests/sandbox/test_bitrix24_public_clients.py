"""Two public clients, written by others, work against the emulator over real sockets."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit

import aiohttp
import pytest
import requests
from b24pysdk import BitrixWebhook, Client
from b24pysdk.errors import BitrixAPIError
from fast_bitrix24 import BitrixAsync

from sandbox.bitrix24 import create_portal
from sandbox.clock import RealClock
from sandbox.random_shop import random_shop
from sandbox.server import serve
from tests.sandbox.bitrix24_caller import add_enum, big_portal

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def served():
    """A portal of 130 contacts and 420 deals, and its webhook address."""
    portal = big_portal(customers=217, deals=420)
    with serve(portal.app) as server:
        yield portal, portal.connect_url(server.url)


@pytest.fixture
def sdk(served, monkeypatch):
    """The vendor's own client. It insists on https, which the emulator does not speak."""
    plain = requests.post
    monkeypatch.setattr(requests, "post", lambda url, **more: plain(url.replace("https://", "http://"), **more))
    address = urlsplit(served[1])
    _, _, user, secret, _ = address.path.split("/")
    return Client(BitrixWebhook(domain=address.netloc, webhook_token=f"{user}/{secret}"))


@pytest.fixture
def fast(served):
    """fast_bitrix24; its calls run in an event loop of their own."""

    def run(name, *arguments, **more):
        async def work():
            client = BitrixAsync(served[1], verbose=False)
            return await getattr(client, name)(*arguments, **more)

        return asyncio.run(work())

    return run


def test_the_sdk_reads_the_profile(sdk):
    assert sdk.profile().result["ADMIN"] is True


def test_the_sdk_lists_by_offset(sdk, served):
    deals = sdk.crm.deal.list(select=["ID"]).as_list().result
    assert sorted(int(one["ID"]) for one in deals) == served[0].state.deals.ids


def test_the_sdk_lists_in_chains_of_references(sdk, served):
    before = served[0].requests
    deals = list(sdk.crm.deal.list(select=["ID", "TITLE"]).as_list_fast().result)
    assert [int(one["ID"]) for one in deals] == served[0].state.deals.ids
    assert served[0].requests - before == 2


def test_the_sdk_pages_items(sdk, served):
    items = sdk.crm.item.list(entity_type_id=3, select=["id"], order={"id": "ASC"}).as_list().result
    assert [one["id"] for one in items] == served[0].state.contacts.ids


def test_the_sdk_meets_the_documented_refusal_of_upper_case_order(sdk):
    with pytest.raises(BitrixAPIError):
        list(sdk.crm.item.list(entity_type_id=2).as_list_fast().result)


def test_the_sdk_updates_an_item_and_reads_the_operating_time(sdk):
    answer = sdk.crm.item.update(bitrix_id=7, entity_type_id=3, fields={"post": "Buyer"})
    assert answer.result["item"]["post"] == "Buyer"
    assert answer.time.start > 0


def test_the_sdk_sends_batches(sdk):
    asked = {
        "one": sdk.crm.item.get(bitrix_id=1, entity_type_id=2),
        "none": sdk.crm.item.get(bitrix_id=9999, entity_type_id=2),
        "me": sdk.user.current(),
    }
    answer = sdk.call_batch(asked).result
    assert set(answer.result) == {"one", "me"}
    assert answer.result_error["none"]["error"] == "NOT_FOUND"


def test_the_sdk_defines_fields(sdk, served):
    fields = {"FIELD_NAME": "SDK_ONE", "USER_TYPE_ID": "enumeration", "LIST": [{"VALUE": "a", "XML_ID": "a"}]}
    number = sdk.crm.company.userfield.add(fields).result
    found = sdk.crm.company.userfield.get(bitrix_id=number).result
    assert (found["FIELD_NAME"], found["LIST"][0]["XML_ID"]) == ("UF_CRM_SDK_ONE", "a")
    with pytest.raises(BitrixAPIError):
        _ = sdk.crm.company.userfield.add(fields).result


def test_fast_bitrix24_gets_all_rows_of_old_lists(fast, served):
    for method, table in (("crm.deal.list", served[0].state.deals), ("crm.contact.list", served[0].state.contacts)):
        rows = fast("get_all", method, {"select": ["ID"]})
        assert sorted(int(one["ID"]) for one in rows) == table.ids
    assert len(fast("get_all", "user.get")) == len(served[0].state.users)
    assert len(fast("get_all", "crm.status.list")) == 8


def test_fast_bitrix24_meets_the_documented_refusal_of_upper_case_order(fast):
    with pytest.raises(aiohttp.ClientResponseError) as refusal:
        fast("get_all", "crm.item.list", {"entityTypeId": 2})
    assert refusal.value.status == 400


def test_fast_bitrix24_calls_many_items_in_batches(fast, served):
    updates = [{"entityTypeId": 3, "id": number, "fields": {"post": f"p{number}"}} for number in range(1, 76)]
    before = served[0].requests
    answers = fast("call", "crm.item.update", updates)
    assert {one["id"]: one["post"] for one in answers} == {number: f"p{number}" for number in range(1, 76)}
    assert served[0].requests - before == 2


def test_fast_bitrix24_gets_by_id(fast):
    rows = fast("get_by_ID", "crm.deal.get", [1, 2, 3])
    assert [rows[str(number)]["ID"] for number in (1, 2, 3)] == ["1", "2", "3"]


def test_fast_bitrix24_sends_batches_and_raw_calls(fast, served):
    enum = add_enum(served[0], "contact", "vip")
    command = f"crm.item.update?entityTypeId=3&id=9&fields[ufCrmRfmSegment]={enum['vip']}"
    assert fast("call_batch", {"halt": 0, "cmd": {"a": command}})["a"]["item"]["ufCrmRfmSegment"] == enum["vip"]
    page = fast("call", "crm.item.list", {"entityTypeId": 3, "filter": {">id": 100}, "start": -1}, raw=True)
    assert page["result"]["items"][0]["id"] == 101


def test_a_public_client_keeps_the_documented_limits():
    portal = create_portal(random_shop(7, 20, 420, date(2026, 3, 1)), clock=RealClock(), limits=True)
    with serve(portal.app) as server:

        async def work():
            client = BitrixAsync(portal.connect_url(server.url), verbose=False)
            return await client.get_all("crm.deal.list", {"select": ["ID"]})

        assert len(asyncio.run(work())) == 420
    assert portal.calls["crm.deal.list"] == 9
    assert portal.exceeded == 0


def test_both_clients_list_calls_and_the_sdk_their_bindings(fast, sdk, served):
    served[0].staff.call("contact", 5, 80, inbound=True)
    served[0].staff.meet("contact", 5)
    asked = {"TYPE_ID": 2, "OWNER_TYPE_ID": 3, "OWNER_ID": 5}
    names = ["ID", "PROVIDER_ID", "DIRECTION", "COMPLETED", "START_TIME", "END_TIME"]
    (call,) = fast("get_all", "crm.activity.list", {"filter": asked, "select": names})
    assert (call["PROVIDER_ID"], call["DIRECTION"], call["COMPLETED"]) == ("VOXIMPLANT_CALL", "1", "Y")
    (same,) = sdk.crm.activity.list(filter=asked, select=names).as_list().result
    assert same == call
    bound = sdk.crm.activity.binding.list(activity_id=int(call["ID"])).result
    assert bound == [{"entityTypeId": 3, "entityId": 5}]


def test_fast_bitrix24_moves_a_to_do_and_gives_it_to_somebody_else(fast, served):
    due = datetime(2026, 12, 1, 7, tzinfo=UTC)
    owner = {"ownerTypeId": 3, "ownerId": 7}
    made = fast("call", "crm.activity.todo.add", {**owner, "deadline": due.isoformat(), "title": "Call"}, raw=True)
    todo = {"id": made["result"]["id"], **owner}
    later = due + timedelta(days=1)
    fast("call", "crm.activity.todo.updateDeadline", {**todo, "value": later.isoformat()}, raw=True)
    user = max(served[0].state.users)
    fast("call", "crm.activity.todo.updateResponsibleUser", {**todo, "responsibleId": user}, raw=True)
    held = served[0].state.activities.rows[todo["id"]]
    assert (held.responsible_id, held.deadline) == (user, int(later.timestamp()))
    served[0].staff.close_task(todo["id"], "Agreed")
    with pytest.raises(aiohttp.ClientResponseError):
        fast("call", "crm.activity.todo.updateDeadline", {**todo, "value": due.isoformat()}, raw=True)


def test_comments_are_listed_by_their_card(sdk):
    made = sdk.crm.timeline.comment.add({"ENTITY_ID": 9, "ENTITY_TYPE": "contact", "COMMENT": "Seen"}).result
    asked = {"ENTITY_ID": 9, "ENTITY_TYPE": "contact"}
    rows = sdk.crm.timeline.comment.list(filter=asked, select=["ID", "COMMENT"]).as_list().result
    assert {"ID": str(made), "COMMENT": "Seen"} in rows
    with pytest.raises(BitrixAPIError):
        _ = sdk.crm.timeline.comment.list(filter={"ENTITY_ID": 9}, select=["ID"]).as_list().result
