"""The emulator against `amocrm-api`, a client that outsiders wrote for the real thing.

It knows only https and its own token store; both are redirected here and nowhere else.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from amocrm.v2 import Company, Contact, Lead, Pipeline, Task, User, custom_field, filters, interaction, tokens
from amocrm.v2.account import Account, AccountInteraction
from amocrm.v2.entity.custom_field import CustomFieldModel
from amocrm.v2.entity.events import Event
from amocrm.v2.exceptions import NotFound, UnAuthorizedException, ValidationError

from sandbox.amocrm import create_portal
from sandbox.clock import ManualClock
from sandbox.server import serve
from tests.sandbox.amocrm_caller import NOW, SHOP, Caller, add_fields


class RfmContact(Contact):
    recency = custom_field.NumericCustomField("R", code="RFM_R")
    segment = custom_field.SelectCustomField("RFM segment", code="RFM_SEGMENT")
    phone = custom_field.ContactPhoneField("Телефон")
    at_risk = custom_field.CheckboxCustomField("Risk", code="RFM_CHURN_RISK")


@pytest.fixture
def portal(monkeypatch):
    one = create_portal(SHOP, clock=ManualClock(NOW), limits=False)
    store = tokens.MemoryTokensStorage()
    store.save_tokens(one.token, "none")
    monkeypatch.setattr(tokens.default_token_manager, "_storage", store)
    monkeypatch.setattr(tokens.default_token_manager, "subdomain", "sandbox")
    monkeypatch.setattr(tokens.TokenManager, "_is_expire", staticmethod(lambda _token: False))
    with serve(one.app) as server:
        monkeypatch.setattr(interaction.BaseInteraction, "_get_url", lambda _self, path: f"{server.url}/api/v4/{path}")
        yield one


def read_account():
    return Account(data=AccountInteraction().get(include=Account._get_embedded_fields()))


def fields(portal):
    add_fields(Caller(portal, portal.account.clock))


def test_account(portal):
    account = read_account()
    assert (account.subdomain, account.customers_mode) == ("sandbox", "unavailable")
    assert account.is_loss_reason_enabled is True


def test_leads_with_their_contacts_company_and_stage(portal):
    leads = {lead.id: lead for lead in Lead.objects.all()}
    assert sorted(leads) == [1, 2, 3, 10]
    assert [contact.id for contact in leads[1].contacts] == [102, 101]
    assert leads[1].status.name == "Успешно реализовано"
    assert leads[1].closed_at == datetime.fromtimestamp(SHOP.deals[0].closed_at.timestamp(), UTC).replace(tzinfo=None)
    assert leads[3].closed_at is None


def test_lists_are_paged_to_the_end(portal):
    for number in range(300):
        portal.add_card("companies", name=f"Firm {number}")
    before = portal.requests
    assert len(list(Company.objects.all())) == 302
    assert portal.requests - before == 2


def test_contacts_with_their_company(portal):
    contact = Contact.objects.get(101)
    assert (contact.first_name, contact.company.name) == ("Dana", "Firm")
    assert [one.id for one in Contact.objects.filter(query="eriksen")] == [102, 103]
    with pytest.raises(NotFound):
        Contact.objects.get(999)


def test_pipelines_and_users(portal):
    assert [(one.name, one.is_archive) for one in Pipeline.objects.all()] == [
        ("Воронка", False),
        ("Старая воронка", True),
    ]
    assert {user.email: user.is_active for user in User.objects.all()}["chen@shop.example"] is False


def test_custom_fields_are_listed(portal):
    fields(portal)
    codes = {field.code: field.type for field in CustomFieldModel.get_for(Contact.objects.get(101))}
    assert codes["RFM_SEGMENT"] == "select"
    assert codes["PHONE"] == "multitext"


def test_a_contacts_fields_are_written_and_read(portal):
    fields(portal)
    contact = RfmContact.objects.get(101)
    contact.recency = 12
    contact.segment = "VIP"
    contact.at_risk = True
    contact.save()
    assert portal.card_values("contacts", 101) == {
        "PHONE": "+70000000002",
        "EMAIL": "dana@mail.example",
        "RFM_R": "12",
        "RFM_SEGMENT": "vip",
        "RFM_CHURN_RISK": True,
    }
    again = RfmContact.objects.get(101)
    assert (again.recency, again.segment.value, again.at_risk, again.phone) == (12.0, "VIP", True, "+70000000002")


def test_a_refused_value_raises_its_validation_error(portal):
    fields(portal)
    contact = RfmContact.objects.get(102)
    contact.segment = "Nobody"
    with pytest.raises(ValidationError):
        contact.save()
    assert portal.card_values("contacts", 102) == {}


def test_a_task_is_made_found_on_its_card_and_closed(portal):
    contact = Contact.objects.get(101)
    due = (NOW + timedelta(hours=4)).astimezone()
    contact.tasks.add(Task(text="Call", complete_till=due, task_type_id=1))
    (task,) = contact.tasks
    assert task.complete_till == (NOW + timedelta(hours=4)).replace(tzinfo=None)
    assert portal.tasks("contacts", 101)[0]["id"] == task.id
    task.is_completed = True
    task.save()
    assert portal.tasks()[0]["is_completed"] is True
    assert list(Task.objects.filter(filters=[filters.SingleFilter("is_completed")(0)])) == []


def test_events_are_read(portal):
    portal.win_lead(3)
    (event,) = Event.objects.filter(filters=[filters.SingleListFilter("type")("lead_status_changed")])
    assert event.value_after == {"id": 142, "pipeline_id": 7001}


def test_a_refused_token_raises(portal):
    tokens.default_token_manager._storage.save_tokens("revoked", "none")
    with pytest.raises(UnAuthorizedException):
        read_account()


def test_a_call_is_read_from_its_cards_notes(portal):
    portal.staff.call("contact", 101, 75, inbound=True)
    (note,) = Contact.objects.get(101).notes.objects.all()
    assert (note.note_type, note.duration) == ("call_in", 75)


def test_a_task_that_people_closed_is_closed_for_the_client_too(portal):
    contact = Contact.objects.get(101)
    contact.tasks.add(Task(text="Call", complete_till=(NOW + timedelta(hours=4)).astimezone(), task_type_id=1))
    portal.staff.close_task(1, "Agreed")
    portal.staff.move_task(1, NOW + timedelta(days=2))
    (task,) = contact.tasks
    assert (task.is_completed, task.result) == (True, "Agreed")
    assert task.complete_till == (NOW + timedelta(days=2)).replace(tzinfo=None)
    portal.staff.delete_task(1)
    assert list(Task.objects.all()) == []


def test_chats_are_read_from_the_events(portal):
    portal.staff.message("contact", 101, inbound=True)
    portal.staff.message("contact", 101)
    asked = [filters.SingleListFilter("type")("incoming_chat_message")]
    (event,) = Event.objects.filter(filters=asked)
    assert (event.type, event.entity_id) == ("incoming_chat_message", 101)
