"""Rows of `crm.activity.list` → contacts. Rows after the vendor's page (read 2026-11), ids and times our own."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.bitrix24.conversations import ACTIVITIES, contacted
from adapters.errors import Malformed
from adapters.records import CustomerKind, CustomerRef, TaskChange, TaskDraft

BEGUN, ENDED = "2026-11-20T13:00:00+03:00", "2026-11-20T13:01:30+03:00"


def row(**values):
    base = {"ID": "20", "TYPE_ID": "2", "PROVIDER_ID": "VOXIMPLANT_CALL", "DIRECTION": "2", "COMPLETED": "Y"}
    return {**base, "START_TIME": BEGUN, "END_TIME": ENDED, "CREATED": ENDED, "RESPONSIBLE_ID": "505", **values}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, ("call", False, True, 90)),
        ({"DIRECTION": "1"}, ("call", True, True, 90)),
        ({"DIRECTION": "1", "COMPLETED": "N", "END_TIME": BEGUN}, ("call", True, False, 0)),
        ({"COMPLETED": "Y", "END_TIME": BEGUN}, ("call", False, False, 0)),
        ({"COMPLETED": "Y", "END_TIME": None}, ("call", False, False, 0)),
        ({"TYPE_ID": "1", "PROVIDER_ID": "CRM_MEETING"}, ("meeting", False, True, 0)),
        ({"TYPE_ID": "1", "PROVIDER_ID": "CRM_MEETING", "COMPLETED": "N"}, ("meeting", False, False, 0)),
        ({"TYPE_ID": "4", "DIRECTION": "1", "COMPLETED": "N"}, ("letter", True, True, 0)),
        ({"TYPE_ID": "6", "PROVIDER_ID": "CRM_SMS"}, ("message", False, True, 0)),
        ({"TYPE_ID": "6", "PROVIDER_ID": "IMOPENLINES_SESSION", "DIRECTION": "1"}, ("message", True, True, 0)),
    ],
)
def test_what_each_activity_tells(values, told):
    one = contacted(row(**values), ())
    assert (one.channel.value, one.inbound, one.completed, one.seconds) == told
    assert (one.external_id, one.manager_id, one.at) == ("20", "505", datetime(2026, 11, 20, 10, tzinfo=UTC))


def test_without_a_time_it_is_malformed_and_the_error_says_where():
    with pytest.raises(Malformed) as caught:
        contacted(row(START_TIME=None, CREATED=None), ())
    assert caught.value.path


def test_no_text_and_no_address_is_selected():
    assert not {"SUBJECT", "DESCRIPTION", "COMMUNICATIONS", "SETTINGS", "*"} & set(ACTIVITIES.params["select"])


def test_our_own_to_dos_are_no_contacts_and_a_quiet_reading_costs_one_request(bench):
    card = CustomerRef(CustomerKind.CONTACT, str(bench.portal.state.contacts.ids[0]))
    due = datetime(2026, 11, 27, tzinfo=UTC)
    bench.adapter.create_tasks([TaskDraft("k1", card, None, "Call", "Why", due)])
    bench.portal.staff.call("contact", int(card.external_id), 45)
    bench.clock.advance(1000)
    pages = list(bench.adapter.contacts(None))
    assert [one.seconds for page in pages for one in page.records] == [45]
    bench.clock.advance(3600)
    before = bench.portal.requests
    assert [one for page in bench.adapter.contacts(pages[-1].cursor) for one in page.records] == []
    assert bench.portal.requests - before == 1


def test_more_activities_than_a_hit_reads_are_read_whole_from_any_page(bench):
    card = bench.portal.state.contacts.ids[0]
    for at in range(730):
        bench.portal.staff.call("contact", card, at + 1)
    pages = list(bench.adapter.contacts(None))
    wanted = {one.external_id for page in pages for one in page.records}
    assert len(wanted) == 730
    assert len(pages) > 2
    for cut in range(len(pages)):
        later = {one.external_id for page in bench.adapter.contacts(pages[cut].cursor) for one in page.records}
        assert {one.external_id for page in pages[: cut + 1] for one in page.records} | later == wanted
    assert bench.portal.exceeded == 0


def test_a_call_on_a_merged_contact_counts_for_the_one_that_took_it_over(bench):
    winner, loser = bench.portal.state.contacts.ids[:2]
    bench.portal.staff.call("contact", loser, 45)
    bench.portal.merge_contacts(winner, loser)
    (one,) = [one for page in bench.adapter.contacts(None) for one in page.records]
    assert one.customer == (CustomerRef(CustomerKind.CONTACT, str(winner)),)


def test_a_finished_to_do_is_not_moved_and_the_reason_is_told(bench):
    card = CustomerRef(CustomerKind.CONTACT, str(bench.portal.state.contacts.ids[0]))
    due = datetime(2026, 11, 27, tzinfo=UTC)
    (made,) = bench.adapter.create_tasks([TaskDraft("k1", card, None, "Call", "Why", due)])
    bench.portal.staff.close_task(int(made.external_id))
    late = datetime(2026, 11, 29, tzinfo=UTC)
    (moved,) = bench.adapter.change_tasks([TaskChange(made.external_id, card, due_at=late)])
    assert not moved.ok
    assert moved.reason
    (closed,) = bench.adapter.change_tasks([TaskChange(made.external_id, card, due_at=due, close=True)])
    assert closed.ok
