"""Webhooks of installed portals, from the CRM's request to the inbox and the job that drains it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import pytest
from sqlalchemy.exc import OperationalError

from adapters.records import CRM
from connector.api.hooks import Arrivals, StoredSecrets
from connector.errors import DatabaseAway
from connector.jobs import drain, schedule
from connector.store import hooks, inbox
from tests.connector.api.bench import ask
from tests.connector.factories import execute, rows
from webhooks.errors import InboxAway

DEAL = "7"


def post_event(stage, **change):
    """One changed deal, as this CRM tells it."""
    oauth, portal = stage.portal.oauth, stage.kept()
    if stage.crm is CRM.BITRIX24:
        form = {
            "event": "ONCRMDEALUPDATE",
            "data[FIELDS][ID]": DEAL,
            "ts": "1790000000",
            "auth[member_id]": oauth.member_id,
            "auth[application_token]": oauth.application_token,
            **change,
        }
        return stage.post("/webhooks/bitrix24", form)
    if stage.crm is CRM.AMOCRM:
        path = hooks.path_of(portal, stage.service.vault)
        return stage.post(path, {"leads[update][0][id]": DEAL, "account[id]": portal.account_id, **change})
    event = {
        "portalId": int(portal.account_id),
        "objectId": int(DEAL),
        "objectTypeId": "0-3",
        "subscriptionType": "object.propertyChange",
        "propertyName": "amount",
        "occurredAt": 1790000000000,
        **change,
    }
    body, stamp = json.dumps([event]).encode(), str(round(time.time() * 1000))
    text = f"POST{stage.url}/webhooks/hubspot".encode() + body + stamp.encode()
    mac = base64.b64encode(hmac.digest(oauth.client_secret.encode(), text, "sha256")).decode()
    headers = {
        "X-HubSpot-Signature-v3": mac,
        "X-HubSpot-Request-Timestamp": stamp,
        "Content-Type": "application/json",
    }
    return ask("POST", f"{stage.url}/webhooks/hubspot", body, headers)


def gathered(stage):
    """Records in the inbox, with how often they came, after everything that arrived was gathered."""
    with stage.database.session() as session:
        inbox.gather(session, stage.kept().portal_id)
    return rows(stage.database, "SELECT resource, external_id, times FROM inbox")


def test_an_event_is_kept_and_a_drain_is_asked_for(stage):
    stage.install()
    told = post_event(stage)
    assert told.status == 200, told.text
    assert rows(stage.database, "SELECT records, count FROM arrivals") == [(f"deal:{DEAL}:", 1)]
    assert gathered(stage) == [("deal", DEAL, 1)]
    assert schedule.DRAIN in rows(stage.database, "SELECT task_name FROM procrastinate_jobs WHERE status = 'todo'")


def test_events_of_one_record_are_one_piece_of_work_and_drain_away(stage):
    stage.install()
    for _ in range(5):
        assert post_event(stage).status == 200
    assert rows(stage.database, "SELECT count(*) FROM arrivals") == [5]
    done = drain.drain_portal(stage.service, stage.kept().portal_id)
    assert done.records == 1
    assert gathered(stage) == []


def test_events_of_a_portal_that_left_are_refused_or_dropped(stage):
    stage.install()
    execute(stage.database, "UPDATE portals SET state = 'disconnected', access = NULL")
    status = post_event(stage).status
    assert status == (200 if stage.crm is CRM.HUBSPOT else 403)
    assert gathered(stage) == []


@pytest.mark.parametrize("stage", [CRM.AMOCRM], indirect=True)
def test_a_secret_address_is_good_for_its_own_account_only(stage):
    stage.install()
    assert post_event(stage, **{"account[id]": "1"}).status == 403
    assert gathered(stage) == []


def test_a_lost_wake_up_is_no_lost_event(stage, monkeypatch):
    def away(*_words):
        raise DatabaseAway("gone")

    stage.install()
    monkeypatch.setattr(schedule, "wake", away)
    assert post_event(stage).status == 200
    assert gathered(stage) == [("deal", DEAL, 1)]


@pytest.mark.parametrize("trouble", [DatabaseAway("gone"), OperationalError("x", {}, Exception())])
def test_while_the_database_is_away_the_crm_is_asked_to_send_again(trouble):
    def away():
        raise trouble

    with pytest.raises(InboxAway):
        StoredSecrets(away).secrets(CRM.AMOCRM, hashlib.sha256(b"x").hexdigest())
    with pytest.raises(InboxAway):
        Arrivals(away).store(None, notices=[])  # type: ignore[arg-type]


def test_secrets_of_a_burst_are_looked_up_once(amocrm, monkeypatch):
    amocrm.install()
    monkeypatch.setattr("connector.api.hooks._KNOWN_S", 60.0)
    asked = []
    finder = StoredSecrets(lambda: asked.append(1) or amocrm.service)
    address = amocrm.kept().hook_fingerprint
    found = [finder.secrets(CRM.AMOCRM, address) for _ in range(20)]
    assert len(asked) == 1
    assert {one.account_id for one in found} == {amocrm.kept().account_id}
    assert finder.secrets(CRM.AMOCRM, "nobody") is None
    assert finder.secrets(CRM.AMOCRM, "nobody") is None
    assert len(asked) == 3


def test_hubspot_without_a_secret_is_proven_by_nothing(amocrm):
    assert StoredSecrets(lambda: amocrm.service).secrets(CRM.HUBSPOT, "") is None
