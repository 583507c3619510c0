"""Payloads after the vendor's guides of calls, e-mails, meetings and communications (read 2026-11), times our own."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.errors import Malformed, ScopeMissing
from adapters.hubspot.conversations import contacted
from adapters.records import ContactChannel, CustomerKind, CustomerRef
from tests.adapters.hubspot.test_against_sandbox import running
from tests.adapters.hubspot.wire import record

AT = "2026-11-20T10:00:00.000Z"
MOMENT = datetime(2026, 11, 20, 10, tzinfo=UTC)
WHO = (CustomerRef(CustomerKind.CONTACT, "1"),)
AS_SENT = ("letter", False, True, 0)


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        ("calls", {"hs_call_direction": "INBOUND", "hs_call_status": "COMPLETED", "hs_call_duration": "61500"},
         ("call", True, True, 61)),
        ("calls", {"hs_call_direction": "OUTBOUND", "hs_call_status": "NO_ANSWER", "hs_call_duration": "12000"},
         ("call", False, False, 12)),
        ("calls", {"hs_call_status": "MISSED"}, ("call", False, False, 0)),
        ("emails", {"hs_email_direction": "EMAIL", "hs_email_status": "SENT"}, AS_SENT),
        ("emails", {"hs_email_direction": "FORWARDED_EMAIL"}, AS_SENT),
        ("emails", {"hs_email_direction": "EMAIL", "hs_email_status": "BOUNCED"}, ("letter", False, False, 0)),
        ("emails", {"hs_email_direction": "INCOMING_EMAIL"}, ("letter", True, True, 0)),
        ("meetings", {"hs_meeting_outcome": "COMPLETED"}, ("meeting", False, True, 0)),
        ("meetings", {"hs_meeting_outcome": "NO_SHOW"}, ("meeting", False, False, 0)),
        ("meetings", {}, ("meeting", False, False, 0)),
        ("communications", {"hs_communication_channel_type": "WHATS_APP"}, ("message", False, True, 0)),
    ],
)  # fmt: skip
def test_what_each_kind_tells(kind, values, told):
    one = contacted(kind, record("7", hs_timestamp=AT, hubspot_owner_id="4001", **values), WHO)
    assert (one.channel.value, one.inbound, one.completed, one.seconds) == told
    assert (one.external_id, one.at, one.manager_id, one.customer) == (f"{kind}:7", MOMENT, "4001", WHO)


def test_a_meeting_is_when_it_begins():
    payload = record("7", hs_timestamp="2026-11-01T00:00:00Z", hs_meeting_start_time=AT)
    assert contacted("meetings", payload, ()).at == MOMENT


def test_without_a_time_it_is_malformed_and_the_error_says_where():
    with pytest.raises(Malformed) as caught:
        contacted("calls", {"id": "7", "properties": {}}, ())
    assert caught.value.path == "calls.hs_timestamp"


def test_letters_that_may_not_be_read_keep_their_place_until_they_may():
    with running(customers=12, deals=30) as run:
        card = run.portal.ids("contacts")[0]
        run.portal.staff.letter("contact", card, inbound=True)
        run.portal.staff.call("contact", card, 40)
        run.clock.advance(1000)
        run.portal.scopes.discard("sales-email-read")
        pages = list(run.crm.contacts(None))
        assert [one.channel for page in pages for one in page.records] == [ContactChannel.CALL]
        run.clock.advance(30 * 86400)
        run.portal.scopes.add("sales-email-read")
        later = [one for page in run.crm.contacts(pages[-1].cursor) for one in page.records]
        assert [(one.channel, one.inbound) for one in later] == [(ContactChannel.LETTER, True)]


def test_a_token_that_may_read_none_of_them_is_told_so():
    with running(customers=12, deals=30) as run:
        run.portal.scopes -= {"sales-email-read", "crm.objects.contacts.read"}
        with pytest.raises(ScopeMissing):
            list(run.crm.contacts(None))


def test_a_reading_with_nothing_new_costs_one_search_for_each_kind():
    with running(customers=12, deals=30) as run:
        run.portal.staff.call("contact", run.portal.ids("contacts")[0], 40)
        run.clock.advance(1000)
        cursor = list(run.crm.contacts(None))[-1].cursor
        run.clock.advance(3600)
        before = run.portal.requests
        assert [one for page in run.crm.contacts(cursor) for one in page.records] == []
        assert run.portal.requests - before == 4
