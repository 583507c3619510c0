"""The files that HubSpot is given say what the code expects."""

from __future__ import annotations

import json
from pathlib import Path

from adapters.hubspot.auth import OPTIONAL_SCOPES, SCOPES
from adapters.records import CRM
from connector.config import Config
from connector.grants import callback_url

FOLDER = Path(__file__).parents[2] / "marketplace" / "hubspot" / "src" / "app"
BASE = "https://app.example.com"


def config_of(name):
    return json.loads((FOLDER / name).read_text())["config"]


def test_the_app_asks_for_the_scopes_that_the_consent_page_is_given():
    auth = config_of("app-hsmeta.json")["auth"]
    assert auth["requiredScopes"] == list(SCOPES)
    assert auth["optionalScopes"] == list(OPTIONAL_SCOPES)


def test_people_come_back_to_our_address_to_the_letter():
    auth = config_of("app-hsmeta.json")["auth"]
    assert auth["redirectUrls"] == [callback_url(Config(public_url=BASE), CRM.HUBSPOT)]


def test_webhooks_go_to_our_address_and_never_tell_of_our_own_fields():
    webhooks = config_of("webhooks/webhooks-hsmeta.json")
    assert webhooks["settings"]["targetUrl"] == f"{BASE}/webhooks/hubspot"
    subscriptions = webhooks["subscriptions"]["crmObjects"]
    assert not [one for one in subscriptions if one.get("propertyName", "").startswith("rfm_")]
    told = {(one["objectType"], one["subscriptionType"].removeprefix("object.")) for one in subscriptions}
    for kind in ("deal", "order", "contact", "company"):
        assert {(kind, "creation"), (kind, "deletion"), (kind, "restore"), (kind, "propertyChange")} <= told
    assert all(one["active"] for one in subscriptions)
