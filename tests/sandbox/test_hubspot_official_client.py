"""HubSpot's own Python client reads and writes the emulator as it would the real thing."""

from __future__ import annotations

import pytest
from hubspot import HubSpot
from hubspot.crm.associations.v4 import BatchInputPublicFetchAssociationsBatchRequest
from hubspot.crm.companies import ApiException, BatchInputSimplePublicObjectBatchInput
from hubspot.crm.deals import PublicObjectSearchRequest
from hubspot.crm.objects.communications import PublicObjectSearchRequest as CommunicationSearch
from hubspot.crm.objects.emails import ApiException as LettersRefused
from hubspot.crm.objects.notes import SimplePublicObjectInputForCreate as NoteInput
from hubspot.crm.objects.tasks import SimplePublicObjectInputForCreate
from hubspot.crm.properties import BatchInputPropertyCreate, PropertyCreate, PropertyGroupCreate

from sandbox.server import serve
from tests.sandbox.hubspot_caller import TOKEN, new_portal


@pytest.fixture
def portal():
    return new_portal(limits=True)


@pytest.fixture
def client(portal):
    with serve(portal.app) as server:
        client = HubSpot(access_token=TOKEN)
        client.config["host"] = server.url
        client.config["api_key"] = None
        yield client


def test_it_reads_all_deals_page_by_page(client, portal):
    deals = client.crm.deals.get_all(properties=["amount", "hs_is_closed_won"])
    assert [int(deal.id) for deal in deals] == portal.ids("deals")
    assert deals[0].properties["hs_is_closed_won"] == "true"
    assert portal.exceeded == 0


def test_it_searches(client, portal):
    request = PublicObjectSearchRequest(
        filter_groups=[{"filters": [{"propertyName": "hs_is_closed_won", "operator": "EQ", "value": "true"}]}],
        sorts=["hs_lastmodifieddate"],
        properties=["closedate"],
        limit=100,
        after="0",
    )
    page = client.crm.deals.search_api.do_search(public_object_search_request=request)
    assert page.total == sum(portal.card("deals", n)["hs_is_closed_won"] == "true" for n in portal.ids("deals"))
    assert len(page.results) == 100
    assert page.paging.next.after == "100"


def test_it_defines_fields_and_writes_them_in_a_batch(client, portal):
    group = PropertyGroupCreate(name="rfm", label="RFM", display_order=-1)
    client.crm.properties.groups_api.create("companies", property_group_create=group)
    field = PropertyCreate(name="rfm_r", label="R", type="number", field_type="number", group_name="rfm")
    made = client.crm.properties.batch_api.create(
        "companies", batch_input_property_create=BatchInputPropertyCreate(inputs=[field])
    )
    assert [one.name for one in made.results] == ["rfm_r"]
    inputs = [{"id": str(number), "properties": {"rfm_r": "5"}} for number in portal.ids("companies")]
    answer = client.crm.companies.batch_api.update(BatchInputSimplePublicObjectBatchInput(inputs=inputs))
    assert answer.status == "COMPLETE"
    assert all(portal.card("companies", number)["rfm_r"] == "5" for number in portal.ids("companies"))
    with pytest.raises(ApiException) as refused:
        client.crm.companies.batch_api.update(
            BatchInputSimplePublicObjectBatchInput(inputs=[{"id": "1001", "properties": {"rfm_r": "five"}}])
        )
    assert refused.value.status == 400


def test_it_understands_a_207(client):
    inputs = [{"id": "1001", "properties": {"name": "A"}}, {"id": "5", "properties": {"name": "B"}}]
    answer = client.crm.companies.batch_api.update(BatchInputSimplePublicObjectBatchInput(inputs=inputs))
    assert answer.num_errors == 1
    assert answer.errors[0].category == "OBJECT_NOT_FOUND"


def test_it_reads_links(client, portal):
    request = BatchInputPublicFetchAssociationsBatchRequest(inputs=[{"id": "10250"}])
    answer = client.crm.associations.v4.batch_api.get_page("deals", "companies", request)
    [to] = answer.results[0].to
    assert int(to.to_object_id) in portal.linked("deals", 10250, "companies")
    assert {kind.type_id for kind in to.association_types} == {5, 341}


def test_it_makes_a_task(client, portal):
    task = SimplePublicObjectInputForCreate(
        properties={"hs_timestamp": "2026-11-25T09:00:00.000Z", "hs_task_subject": "Call"},
        associations=[
            {
                "to": {"id": "1001"},
                "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}],
            }
        ],
    )
    made = client.crm.objects.tasks.basic_api.create(simple_public_object_input_for_create=task)
    assert portal.linked("tasks", int(made.id), "contacts") == {1001: (204,)}


def test_it_reads_owners_and_pipelines(client):
    owners = client.crm.owners.get_all()
    assert [owner.id for owner in owners] == [str(4000 + n) for n in range(1, 9)]
    assert owners[0].teams[0].name == "Americas"
    pipelines = client.crm.pipelines.pipelines_api.get_all("deals")
    assert [line.id for line in pipelines.results] == ["default", "998877"]


def test_it_reads_a_call_a_letter_and_a_meeting(client, portal):
    portal.staff.call("contact", 1001, 65, inbound=True)
    portal.staff.letter("contact", 1001, inbound=True)
    portal.staff.meet("company", 1001)
    names = ["hs_call_duration", "hs_call_direction", "hs_call_status"]
    (call,) = client.crm.objects.calls.basic_api.get_page(properties=names).results
    told = {name: call.properties[name] for name in names}
    assert told == {"hs_call_duration": "65000", "hs_call_direction": "INBOUND", "hs_call_status": "COMPLETED"}
    (letter,) = client.crm.objects.emails.basic_api.get_page(properties=["hs_email_direction"]).results
    assert letter.properties["hs_email_direction"] == "INCOMING_EMAIL"
    (meeting,) = client.crm.objects.meetings.basic_api.get_page(properties=["hs_meeting_outcome"]).results
    request = BatchInputPublicFetchAssociationsBatchRequest(inputs=[{"id": meeting.id}])
    (found,) = client.crm.associations.v4.batch_api.get_page("meetings", "companies", request).results
    assert (int(found.to[0].to_object_id), found.to[0].association_types[0].type_id) == (1001, 188)


def test_it_searches_messages(client, portal):
    portal.staff.message("contact", 1001)
    channel = "hs_communication_channel_type"
    request = CommunicationSearch(
        filter_groups=[{"filters": [{"propertyName": channel, "operator": "EQ", "value": "SMS"}]}],
        properties=["hs_timestamp"],
        limit=10,
        after="0",
    )
    assert client.crm.objects.communications.search_api.do_search(public_object_search_request=request).total == 1


def test_it_makes_a_note(client, portal):
    note = NoteInput(
        properties={"hs_timestamp": "2026-11-25T09:00:00.000Z", "hs_note_body": "Seen"},
        associations=[
            {"to": {"id": "1001"}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}]}
        ],
    )
    made = client.crm.objects.notes.basic_api.create(simple_public_object_input_for_create=note)
    assert portal.linked("notes", int(made.id), "contacts") == {1001: (202,)}


def test_letters_need_a_scope_of_their_own(client, portal):
    portal.scopes.discard("sales-email-read")
    with pytest.raises(LettersRefused) as refused:
        client.crm.objects.emails.basic_api.get_page()
    assert refused.value.status == 403
