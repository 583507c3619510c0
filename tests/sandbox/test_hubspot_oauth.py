from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from werkzeug.test import Client, TestResponse

from sandbox.clock import ManualClock
from sandbox.hubspot import HubSpotPortal
from tests.sandbox.hubspot_caller import NOW, Caller, new_portal

BACK = "https://rfm.example/callback"
TOKEN = "/oauth/2026-09/token"


class Door:
    """An app at the account's door."""

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock(NOW)
        self.portal: HubSpotPortal = new_portal(clock=self.clock, **options)
        self.web = Client(self.portal.app)
        self.oauth = self.portal.oauth

    def consent(self, **change: str) -> TestResponse:
        query = {"client_id": self.oauth.client_id, "redirect_uri": BACK, "scope": "oauth crm.objects.contacts.read"}
        return self.web.get("/oauth/authorize", query_string={**query, "state": "s", **change})

    def sent_back(self, **change: str) -> dict[str, str]:
        answer = self.consent(**change)
        assert answer.status_code == 302
        return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))

    def ask(self, path: str = TOKEN, **form: str) -> TestResponse:
        secret = {"client_id": self.oauth.client_id, "client_secret": self.oauth.client_secret}
        return self.web.post(path, data={**secret, **form})

    def exchange(self, **change: str) -> TestResponse:
        code = self.sent_back()["code"]
        return self.ask(**{"grant_type": "authorization_code", "redirect_uri": BACK, "code": code, **change})


def test_the_page_agrees_and_sends_back_code_and_state():
    assert Door().sent_back(state="a b")["state"] == "a b"
    assert "state" not in {key for key, _ in parse_qsl(urlsplit(_without_state().headers["Location"]).query)}


def _without_state() -> TestResponse:
    door = Door()
    return door.web.get(
        "/oauth/101/authorize",
        query_string={"client_id": door.oauth.client_id, "redirect_uri": BACK, "scope": "oauth"},
    )


def test_a_refusal_is_sent_back_too():
    door = Door()
    door.oauth.refuses = True
    assert door.sent_back()["error"] == "access_denied"
    assert "code" not in door.sent_back()


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "other"},
        {"scope": "crm.objects.contacts.read"},
        {"redirect_uri": ""},
        {"redirect_uri": "https://e"},
    ],
)
def test_what_does_not_match_the_app_stops_on_the_page(change):
    door = Door()
    door.oauth.redirect_url = BACK
    assert door.consent(**change).status_code == 400


def test_a_required_scope_that_the_account_lacks_blocks_and_an_optional_one_is_dropped():
    door = Door()
    door.oauth.missing = frozenset({"crm.objects.orders.read"})
    assert door.consent(scope="oauth crm.objects.orders.read").status_code == 400
    code = door.sent_back(optional_scope="crm.objects.orders.read settings.currencies.read")["code"]
    pair = door.ask(grant_type="authorization_code", redirect_uri=BACK, code=code).get_json()
    assert pair["scopes"] == ["crm.objects.contacts.read", "oauth", "settings.currencies.read"]


def test_a_code_becomes_a_pair_with_the_hub():
    pair = Door().exchange().get_json()
    assert (pair["hub_id"], pair["expires_in"], pair["token_type"]) == (101, 1800, "bearer")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"code": "forged"}, "BAD_AUTH_CODE"),
        ({"redirect_uri": "https://other"}, "BAD_REDIRECT_URI"),
        ({"client_secret": "wrong"}, "BAD_CLIENT_SECRET"),
        ({"grant_type": "password"}, "BAD_GRANT_TYPE"),
    ],
)
def test_a_wrong_exchange_is_a_400_that_names_what_is_wrong(change, status):
    answer = Door().exchange(**change)
    assert answer.status_code == 400
    assert answer.get_json()["status"] == status


def test_the_token_address_takes_forms_only():
    door = Door()
    words = {"client_id": door.oauth.client_id, "client_secret": door.oauth.client_secret, "grant_type": "x"}
    assert door.web.post(TOKEN, json=words).status_code == 415
    assert door.web.post(TOKEN, query_string=words).status_code == 415
    assert door.web.get(TOKEN).status_code == 401
    assert door.web.post("/oauth/v1/token", data=words).status_code == 401


def test_a_code_bound_to_a_challenge_needs_its_verifier():
    door = Door()
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    bound = {"code_challenge": challenge, "code_challenge_method": "S256"}
    for given, status in (({}, 400), ({"code_verifier": "w" * 43}, 400), ({"code_verifier": verifier}, 200)):
        code = door.sent_back(**bound)["code"]
        answer = door.ask(grant_type="authorization_code", redirect_uri=BACK, code=code, **given)
        assert answer.status_code == status


def test_a_token_lets_in_until_its_end_and_its_scopes_count():
    door = Door()
    pair = door.exchange().get_json()
    api = Caller(door.portal, pair["access_token"])
    assert api.get("/crm/objects/2026-09/contacts").status == 200
    assert api.get("/crm/objects/2026-09/deals").data["category"] == "MISSING_SCOPES"
    door.clock.advance(1800)
    assert api.get("/crm/objects/2026-09/contacts").data["category"] == "EXPIRED_AUTHENTICATION"
    fresh = door.ask(grant_type="refresh_token", refresh_token=pair["refresh_token"]).get_json()
    assert fresh["refresh_token"] == pair["refresh_token"]
    assert Caller(door.portal, fresh["access_token"]).get("/crm/objects/2026-09/contacts").status == 200


def test_introspection_tells_of_living_tokens_only():
    door = Door()
    pair = door.exchange().get_json()
    path = f"{TOKEN}/introspect"
    living = door.ask(path, token=pair["access_token"], token_type_hint="access_token").get_json()
    assert (living["active"], living["hub_id"], living["expires_in"]) == (True, 101, 1800)
    assert door.ask(path, token=pair["refresh_token"], token_type_hint="refresh_token").get_json()["active"]
    door.clock.advance(1800)
    assert door.ask(path, token=pair["access_token"]).get_json() == {"active": False}


def test_a_revoked_refresh_token_is_refused_while_the_access_token_lives_on():
    door = Door()
    pair = door.exchange().get_json()
    assert door.ask(f"{TOKEN}/revoke", token=pair["refresh_token"]).status_code == 204
    refused = door.ask(grant_type="refresh_token", refresh_token=pair["refresh_token"])
    assert refused.get_json()["error"] == "invalid_grant"
    assert Caller(door.portal, pair["access_token"]).get("/crm/objects/2026-09/contacts").status == 200


def test_an_app_removes_itself_and_then_nothing_works():
    door = Door()
    pair = door.exchange().get_json()
    path = "/appinstalls/2026-09/external-install"
    assert Caller(door.portal)("DELETE", path).status == 404
    assert Caller(door.portal, "forged")("DELETE", path).status == 401
    assert Caller(door.portal, pair["access_token"])("DELETE", path).status == 204
    assert Caller(door.portal, pair["access_token"]).get("/crm/objects/2026-09/contacts").status == 401
    assert door.ask(grant_type="refresh_token", refresh_token=pair["refresh_token"]).status_code == 400


def test_an_installed_app_has_a_burst_of_its_own():
    door = Door(limits=True)
    api = Caller(door.portal, door.exchange().get_json()["access_token"])
    answers = [api.get("/account-info/2026-09/details") for _ in range(111)]
    assert [reply.status for reply in answers] == [200] * 110 + [429]
    assert answers[0].headers["X-HubSpot-RateLimit-Max"] == "110"
    assert Caller(door.portal).get("/account-info/2026-09/details").headers["X-HubSpot-RateLimit-Max"] == "100"
