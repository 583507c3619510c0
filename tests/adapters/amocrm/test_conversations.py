"""Notes and events → contacts. Payloads after the vendor's pages of notes, calls and events (read 2026-11)."""

from __future__ import annotations

import pytest

from adapters.amocrm.conversations import EVENTS_PAGE
from adapters.errors import Malformed
from adapters.records import ContactChannel, CustomerKind, CustomerRef, TimelineNote


def heard(bench, since=None):
    return [one for page in bench.adapter.contacts(since) for one in page.records]


def note(bench, note_type, **params):
    """A note that an integration wrote on the first contact."""
    card = bench.portal.account.contacts.page("id", 0, 1)[0].id
    bench.portal.staff._note("contact", card, note_type, params)
    return card


@pytest.mark.parametrize(
    ("note_type", "params", "told"),
    [
        ("call_in", {"duration": 61, "call_status": 4}, ("call", True, True, 61)),
        ("call_out", {"duration": "61"}, ("call", False, True, 61)),
        ("call_out", {"duration": 0}, ("call", False, False, 0)),
        ("call_out", {"duration": None}, ("call", False, False, 0)),
        ("call_out", {"duration": 25, "call_status": 6}, ("call", False, False, 25)),
        ("call_in", {"duration": 25, "call_status": "4"}, ("call", True, True, 25)),
        ("sms_in", {"text": "x"}, ("message", True, True, 0)),
        ("sms_out", {"text": "x"}, ("message", False, True, 0)),
        ("amomail_message", {"income": True}, ("letter", True, True, 0)),
        ("amomail_message", {}, ("letter", False, True, 0)),
    ],
)
def test_what_each_note_tells(bench, note_type, params, told):
    note(bench, note_type, **params)
    (one,) = heard(bench)
    assert (one.channel.value, one.inbound, one.completed, one.seconds) == told


@pytest.mark.parametrize("note_type", ["common", "service_message", "attachment", "geolocation"])
def test_other_notes_are_no_contacts(bench, note_type):
    note(bench, note_type, text="called him")
    assert heard(bench) == []


def test_whose_call_it_was_is_said_by_the_note_before_its_author(bench):
    users = [user.id for user in bench.portal.account.users.values() if user.is_active]
    note(bench, "call_out", duration=30, call_responsible=users[-1])
    assert heard(bench)[0].manager_id == str(users[-1])


def test_a_note_without_a_time_is_malformed_and_the_error_says_where(bench):
    note(bench, "call_in", duration=3)
    next(iter(bench.portal.account.notes.values())).created_at = 0
    with pytest.raises(Malformed) as caught:
        heard(bench)
    assert caught.value.path == "notes.created_at"


def test_events_are_asked_for_only_where_the_account_has_them(bench, monkeypatch):
    card = note(bench, "call_in", duration=30)
    bench.portal.staff.message("contact", card)
    monkeypatch.setattr("sandbox.amocrm.routes.events.TYPES", ("lead_added",))
    assert [one.channel for one in heard(bench)] == [ContactChannel.CALL]
    assert not any(entry.path.endswith("/events") for entry in bench.portal.log.entries)


def test_chats_longer_than_a_page_are_read_whole_from_any_page(bench):
    card = bench.portal.account.contacts.page("id", 0, 1)[0].id
    for at in range(2 * EVENTS_PAGE + 30):
        bench.portal.staff.message("contact", card, inbound=at % 2 == 0)
        bench.clock.advance(1)
    pages = list(bench.adapter.contacts(None))
    wanted = {one.external_id for page in pages for one in page.records}
    assert len(wanted) == 2 * EVENTS_PAGE + 30
    bench.portal.staff.message("contact", card)  # while we stood still
    bench.clock.advance(1000)
    for cut in range(len(pages)):
        later = {one.external_id for one in heard(bench, pages[cut].cursor)}
        before = {one.external_id for page in pages[: cut + 1] for one in page.records}
        assert len(wanted - before - later) == 0
        following = list(bench.adapter.contacts(pages[cut].cursor))[-1].cursor
        assert len(before | later | {one.external_id for one in heard(bench, following)}) == len(wanted) + 1


def test_a_reading_with_nothing_new_costs_one_request_for_each_list(bench):
    note(bench, "call_in", duration=30)
    bench.clock.advance(1000)
    cursor = list(bench.adapter.contacts(None))[-1].cursor
    bench.clock.advance(3600)
    found, cost = bench.cost(lambda: heard(bench, cursor))
    assert (found, cost) == ([], 4)


def test_a_change_of_a_task_that_asks_for_nothing_sends_nothing(bench):
    assert bench.cost(lambda: bench.adapter.change_tasks([]))[1] <= 1  # the account, once


def test_notes_start_no_automation(bench, monkeypatch):
    sent = []
    send = bench.adapter._client.create
    monkeypatch.setattr(bench.adapter._client, "create", lambda *call: sent.append(call[2]) or send(*call))
    card = str(bench.portal.account.contacts.page("id", 0, 1)[0].id)
    bench.adapter.add_notes([TimelineNote("k1", CustomerRef(CustomerKind.CONTACT, card), "Words", bench.clock.now())])
    ((body,),) = sent
    assert body["is_need_to_trigger_digital_pipeline"] is False
    assert (body["note_type"], body["params"]) == ("service_message", {"service": "RFM", "text": "Words\nRFM#k1"})
