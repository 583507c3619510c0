"""What each portal tells its app by itself: only what was asked for, about the right record, and provably."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, date, datetime
from importlib import import_module
from pathlib import Path

import pytest

from adapters.records import CRM
from sandbox.clock import RealClock
from sandbox.faults import Faults
from sandbox.hubspot.letters import subscriptions_of
from sandbox.random_shop import random_shop
from sandbox.server import serve
from tests.sandbox.receiver import Receiver
from webhooks.deliveries import Delivery, Endpoint, Headers, Secrets
from webhooks.registry import RECEIVERS

PATIENCE_S = 10.0
APP_FILE = Path(__file__).parents[2] / "marketplace/hubspot/src/app/webhooks/webhooks-hsmeta.json"
DEAL_EVENTS = ["add_lead", "update_lead", "delete_lead", "status_lead", "responsible_lead", "delete_contact"]


def portal_of(crm):
    create = import_module(f"sandbox.{crm}").create_portal
    shop = random_shop(3, 10, 20, date(2026, 11, 24))
    return create(shop, clock=RealClock(), limits=False, faults=Faults.none(), token="t")


@contextmanager
def listening(crm):
    """A portal whose app listens: the portal, the receiver, and the receiver's address."""
    receiver, portal = Receiver(), portal_of(crm)
    with serve(receiver.app) as server:
        url = f"{server.url}/hook/secret"
        if crm == "amocrm":
            subscribe_amocrm(portal, url)
        elif crm == "bitrix24":
            events = ("ONCRMDEALADD", "ONCRMDEALUPDATE", "ONCRMDEALDELETE", "ONCRMCONTACTDELETE", "ONCRMCONTACTUPDATE")
            portal.state.handlers += [(event, url) for event in events]
        else:
            portal.letters.target_url = url
        yield portal, receiver, url


def subscribe_amocrm(portal, url):
    from sandbox.amocrm.rows import Hook  # noqa: PLC0415 - only this portal has rows of hooks

    portal.account.hooks[1] = Hook(1, url, DEAL_EVENTS, 10, 0, 0, 0)


def heard(portal, receiver):
    assert portal.postman.wait(PATIENCE_S)
    found, receiver.heard[:] = list(receiver.heard), []
    return found


def notices(crm, portal, requests, url):
    """What our own receivers read, after they have proven each request."""
    receiver, found = RECEIVERS[CRM(crm)], []
    for request in requests:
        headers = Headers(request.headers.items())
        delivery = Delivery(
            CRM(crm), Endpoint.EVENTS, "POST", url, "/webhooks/amocrm/secret", headers, request.body, datetime.now(UTC)
        )
        receiver.verify(delivery, secrets_of(crm, portal), now=datetime.now(UTC))
        found += [(one.resource.value, one.external_id, one.kind.value) for one in receiver.notices(delivery)]
    return found


def secrets_of(crm, portal):
    if crm == "hubspot":
        return Secrets((portal.oauth.client_secret,))
    if crm == "bitrix24":
        return Secrets((portal.oauth.application_token,), account_id=portal.oauth.member_id)
    return Secrets(("secret",), account_id=str(portal.account.settings.id))


def deal_of(crm, portal):
    if crm == "hubspot":
        return portal.ids("deals")[0]
    return next(iter(portal.state.deals.rows)) if crm == "bitrix24" else next(iter(portal.account.leads)).id


def delete_deal(crm, portal, deal):
    if crm == "hubspot":
        portal.delete("deals", deal)
    elif crm == "bitrix24":
        portal.delete_deal(deal)
    else:
        portal.delete_leads([deal])


def edit_amount(crm, portal, deal):
    if crm == "hubspot":
        portal.edit("deals", deal, amount="77")
    elif crm == "bitrix24":
        portal.edit_card("deal", deal, {"OPPORTUNITY": 77})
    else:
        portal.set_attributes("leads", deal, price=77)


@pytest.mark.parametrize("crm", ["amocrm", "bitrix24", "hubspot"])
def test_a_changed_and_a_deleted_deal_are_told_and_proven(crm):
    with listening(crm) as (portal, receiver, url):
        deal = deal_of(crm, portal)
        edit_amount(crm, portal, deal)
        assert ("deal", str(deal), "changed") in notices(crm, portal, heard(portal, receiver), url)
        delete_deal(crm, portal, deal)
        assert ("deal", str(deal), "deleted") in notices(crm, portal, heard(portal, receiver), url)


@pytest.mark.parametrize("crm", ["amocrm", "bitrix24", "hubspot"])
def test_merged_contacts_are_told(crm):
    with listening(crm) as (portal, receiver, url):
        kind = {"hubspot": "contacts"}.get(crm)
        ids = portal.ids("contacts") if kind else sorted(contacts_of(crm, portal))
        if kind:
            portal.merge("contacts", ids[0], ids[1])
        else:
            portal.merge_contacts(ids[0], ids[1])
        told = notices(crm, portal, heard(portal, receiver), url)
        wanted = ("contact", str(ids[0]), "merged") if kind else ("contact", str(ids[1]), "deleted")
        assert wanted in told


def contacts_of(crm, portal):
    return portal.state.contacts.rows if crm == "bitrix24" else [one.id for one in portal.account.contacts]


@pytest.mark.parametrize("crm", ["amocrm", "bitrix24", "hubspot"])
def test_a_silent_postman_loses_what_happens_meanwhile_and_nothing_else(crm):
    with listening(crm) as (portal, receiver, _):
        portal.postman.is_silent = True
        edit_amount(crm, portal, deal_of(crm, portal))
        portal.postman.is_silent = False
        assert heard(portal, receiver) == []
        delete_deal(crm, portal, deal_of(crm, portal))
        assert len(heard(portal, receiver)) == 1


def test_nobody_who_did_not_ask_is_told():
    for crm in ("amocrm", "bitrix24", "hubspot"):
        portal = portal_of(crm)
        edit_amount(crm, portal, deal_of(crm, portal))
        assert portal.postman.wait(PATIENCE_S)
        assert not portal.postman.heard


def test_hubspot_tells_what_the_apps_file_asks_for_together_and_names_our_own_writes():
    with listening("hubspot") as (portal, receiver, _):
        portal.letters.subscriptions = subscriptions_of(json.loads(APP_FILE.read_text(encoding="utf-8")))
        deal = portal.ids("deals")[0]
        portal.edit("deals", deal, amount="78", dealname="Another name")
        events = [event for request in heard(portal, receiver) for event in json.loads(request.body)]
        assert [(event["propertyName"], event["changeSource"]) for event in events] == [("amount", "CRM_UI")]


def test_hubspot_tells_of_an_erased_person_twice():
    with listening("hubspot") as (portal, receiver, _):
        portal.erase("contacts", portal.ids("contacts")[0])
        events = [event for request in heard(portal, receiver) for event in json.loads(request.body)]
        assert {event["subscriptionType"] for event in events} == {"object.deletion", "contact.privacyDeletion"}


def test_an_answer_that_does_not_come_is_counted_and_the_next_letter_goes_out():
    with listening("bitrix24") as (portal, receiver, _):
        portal.state.handlers.insert(0, ("ONCRMDEALUPDATE", "http://127.0.0.1:9/nobody"))
        edit_amount("bitrix24", portal, deal_of("bitrix24", portal))
        assert len(heard(portal, receiver)) == 1
        assert portal.postman.heard == {0: 1, 200: 1}
