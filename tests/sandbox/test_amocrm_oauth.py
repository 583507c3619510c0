from __future__ import annotations

import base64
import hmac
import json
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from sandbox.amocrm import Portal, create_portal
from sandbox.clock import ManualClock
from sandbox.server import serve
from sandbox.web import Answer, Request
from tests.sandbox.amocrm_caller import NOW, SHOP
from tests.sandbox.receiver import Receiver

BACK = "https://rfm.example/callback"
HOST = "sandbox.amocrm.ru"


class Door:
    """An integration at the account's door."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW)
        self.portal: Portal = create_portal(SHOP, clock=self.clock)
        self.oauth = self.portal.oauth
        self.oauth.redirect_url = BACK

    def send(self, method: str, path: str, body: Any = None, *, host: str = HOST, query: str = "", **headers) -> Answer:
        content = b"" if body is None else json.dumps(body).encode()
        return self.portal.handle(Request(method, path, query, {"host": host} | headers, content))

    def sent_back(self, **query: str) -> dict[str, str]:
        answer = self.send("GET", "/oauth", query=urlencode({"client_id": self.oauth.client_id, **query}))
        assert answer.status == 302
        assert answer.headers["Location"].startswith(BACK)
        return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))

    def ask(self, *, host: str = HOST, **words: str) -> Answer:
        ours = {
            "client_id": self.oauth.client_id,
            "client_secret": self.oauth.client_secret,
            "redirect_uri": BACK,
        }
        return self.send("POST", "/oauth2/access_token", {**ours, **words}, host=host)

    def pair(self) -> dict[str, Any]:
        answer = self.ask(grant_type="authorization_code", code=self.sent_back()["code"])
        assert answer.status == 200
        return json.loads(answer.body)

    def refreshed(self, token: str, **other: str) -> Answer:
        return self.ask(grant_type="refresh_token", refresh_token=token, **other)

    def status_of(self, token: str, *, host: str = HOST) -> int:
        return self.send("GET", "/api/v4/account", host=host, authorization=f"Bearer {token}").status


def test_the_page_agrees_and_names_the_account():
    back = Door().sent_back(state="a b", mode="popup")
    assert (back["referer"], back["state"], back["platform"]) == (HOST, "a b", "1")
    assert "from_widget" not in back


def test_a_refusal_is_sent_back_too():
    door = Door()
    door.oauth.refuses = True
    assert door.sent_back(state="s") == {"error": "access_denied", "client_id": door.oauth.client_id, "state": "s"}


def test_an_unknown_integration_has_no_page():
    assert Door().send("GET", "/oauth", query="client_id=other").status == 404


def test_the_token_says_of_whom_it_is_and_where_to_look_for_a_renamed_account():
    door = Door()
    pair = door.pair()
    assert (pair["token_type"], pair["expires_in"]) == ("Bearer", 86_400)
    head, claims, _signature = pair["access_token"].split(".")
    read = [json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, claims)]
    assert read[0]["alg"] == "RS256"
    assert read[1]["account_id"] == door.portal.account.settings.id
    assert read[1]["api_domain"] == HOST
    assert read[1]["aud"] == door.oauth.client_id


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ({"grant_type": "authorization_code", "code": "forged"}, 400),
        ({"grant_type": "authorization_code"}, 400),
        ({"grant_type": "refresh_token", "refresh_token": "forged"}, 401),
        ({"grant_type": "refresh_token", "client_secret": "wrong"}, 401),
        ({"grant_type": "refresh_token", "redirect_uri": f"{BACK}/"}, 401),
        ({}, 400),
    ],
)
def test_a_wrong_request_is_a_problem(words, status):
    answer = Door().ask(**words)
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("application/problem+json")


@pytest.mark.parametrize("body", [None, [], "text", 5])
def test_a_body_that_is_no_object_is_a_problem(body):
    assert Door().send("POST", "/oauth2/access_token", body).status == 400


def test_a_code_works_once():
    door = Door()
    code = door.sent_back()["code"]
    answers = [door.ask(grant_type="authorization_code", code=code).status for _ in range(2)]
    assert answers == [200, 400]


def test_a_token_lets_in_for_a_day_beside_the_long_lived_one():
    door = Door()
    pair = door.pair()
    assert door.status_of(pair["access_token"]) == 200
    door.clock.advance(86_400)
    assert door.status_of(pair["access_token"]) == 401
    assert door.status_of(door.portal.token) == 200


def test_a_refresh_token_used_twice_is_refused_and_counted():
    door = Door()
    old = door.pair()["refresh_token"]
    fresh = json.loads(door.refreshed(old).body)
    assert door.refreshed(old).status == 401
    assert b"has been revoked" in door.refreshed(old).body
    assert door.portal.double_refreshes == 2
    assert door.status_of(fresh["access_token"]) == 200


def test_a_refresh_token_ends_after_three_months():
    door = Door()
    old = door.pair()["refresh_token"]
    door.clock.advance(90 * 86_400)
    assert door.refreshed(old).status == 401
    assert door.portal.double_refreshes == 0


def test_a_renamed_account_is_gone_from_its_host_and_found_by_its_refresh_token():
    door = Door()
    pair = door.pair()
    door.portal.account.settings.subdomain = "renamed"
    door.portal.rename("renamed.amocrm.ru")
    assert door.status_of(pair["access_token"]) == 401
    assert door.refreshed(pair["refresh_token"]).status == 401
    assert door.portal.double_refreshes == 0
    path = "/oauth2/account/current/subdomain"
    assert door.send("GET", path, host="api-b.amocrm.ru").status == 401
    found = door.send("GET", path, host="api-b.amocrm.ru", **{"x-refresh-token": pair["refresh_token"]})
    assert json.loads(found.body)["domain"] == "renamed.amocrm.ru"
    assert door.status_of(pair["access_token"], host="renamed.amocrm.ru") == 200
    assert door.refreshed(pair["refresh_token"], host="renamed.amocrm.ru").status == 200


def test_a_block_hits_the_token_address_too():
    door = Door()
    old = door.pair()["refresh_token"]
    door.portal.block()
    assert door.refreshed(old).status == 403
    door.portal.unblock()
    assert door.refreshed(old).status == 200


def test_installing_the_widget_calls_back_once_without_state_whatever_is_answered():
    door, receiver = Door(), Receiver(status=500)
    with serve(receiver.app) as server:
        door.oauth.redirect_url = f"{server.url}/callback"
        heard = door.oauth.install_widget(HOST)
    assert heard.status == 500
    assert len(receiver.heard) == 1
    assert receiver.heard[0].method == "GET"
    assert (receiver.query["referer"], receiver.query["from_widget"]) == (HOST, "1")
    assert "state" not in receiver.query
    answer = door.ask(
        grant_type="authorization_code", code=receiver.query["code"], redirect_uri=door.oauth.redirect_url
    )
    assert answer.status == 200


def test_installing_the_widget_while_nobody_listens_is_simply_lost():
    door = Door()
    with serve(Receiver().app) as server:
        door.oauth.redirect_url = f"{server.url}/callback"
    assert door.oauth.install_widget(HOST).status == 0


def test_uninstalling_ends_access_and_calls_the_hook_with_a_signature():
    door, receiver = Door(), Receiver()
    pair = door.pair()
    with serve(receiver.app) as server:
        assert door.oauth.uninstall(f"{server.url}/uninstall?x=1").status == 200
    asked = receiver.query
    text = f"{door.oauth.client_id}|{door.portal.account.settings.id}".encode()
    assert asked["signature"] == hmac.new(door.oauth.client_secret.encode(), text, "sha256").hexdigest()
    assert asked["x"] == "1"
    assert door.status_of(pair["access_token"]) == 401
    assert door.refreshed(pair["refresh_token"]).status == 401
    assert door.oauth.uninstall().status == 0
