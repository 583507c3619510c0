from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from werkzeug.test import Client

from sandbox.clock import ManualClock
from sandbox.server import serve
from tests.sandbox import bitrix24_caller as caller
from tests.sandbox.receiver import Receiver

BACK = "https://rfm.example/install/bitrix24"
PORTAL, AUTH = "https://shop.bitrix24.ru", "https://oauth.bitrix.info"


class Door:
    """An app in the portal."""

    def __init__(self) -> None:
        self.clock = ManualClock(caller.NOW)
        self.portal = caller.portal(clock=self.clock)
        self.oauth = self.portal.oauth
        self.oauth.redirect_url = BACK
        self.oauth.served_at(PORTAL, AUTH)
        self.oauth.install()
        self.auth = Client(self.oauth.auth_app)

    def pair(self) -> tuple[str, str]:
        form = self.oauth.page_form()
        return form["AUTH_ID"], form["REFRESH_ID"]

    def call(self, method: str, token: str | None, **params: Any) -> caller.Reply:
        body = orjson.dumps({**params, **({} if token is None else {"auth": token})})
        return caller.send(self.portal, f"/rest/{method}", body=body, media="application/json")

    def ask(self, **words: str) -> tuple[int, dict[str, Any]]:
        ours = {"client_id": self.oauth.client_id, "client_secret": self.oauth.client_secret}
        answer = self.auth.get("/oauth/token/", query_string={**ours, **words})
        return answer.status_code, answer.get_json()

    def info(self, token: str) -> tuple[int, dict[str, Any]]:
        answer = self.auth.get("/rest/app.info", query_string={"auth": token})
        return answer.status_code, answer.get_json()


def test_a_token_in_the_body_in_the_query_or_in_a_form_lets_in():
    door = Door()
    token, _ = door.pair()
    assert door.call("server.time", token).status == 200
    assert caller.send(door.portal, "/rest/server.time.json", verb="GET", query=f"auth={token}").status == 200
    form = f"auth={token}".encode()
    media = "application/x-www-form-urlencoded"
    assert caller.send(door.portal, "/rest/server.time", body=form, media=media).status == 200


def test_batches_work_with_a_token():
    door = Door()
    token, _ = door.pair()
    result = door.call("batch", token, cmd={"a": "user.admin", "b": "crm.deal.list"}).json["result"]
    assert result["result"]["a"] is True
    assert len(result["result"]["b"]) == 4


@pytest.mark.parametrize(
    ("token", "code"),
    [(None, "NO_AUTH_FOUND"), ("", "NO_AUTH_FOUND"), ("invented", "INVALID_TOKEN"), (5, "NO_AUTH_FOUND")],
)
def test_without_a_good_token_nobody_gets_in(token, code):
    reply = Door().call("server.time", token)
    assert (reply.status, reply.json["error"]) == (401, code)


def test_a_token_ends_after_an_hour_and_the_webhook_works_on():
    door = Door()
    token, _ = door.pair()
    door.clock.advance(3600)
    assert door.call("server.time", token).json["error"] == "expired_token"
    assert caller.ask(door.portal, "server.time").status == 200


def test_an_app_is_told_of_itself_and_of_who_opened_it():
    door = Door()
    door.oauth.ordinary = {2}
    mine, _ = door.pair()
    theirs = door.oauth.page_form(user_id=2)["AUTH_ID"]
    assert door.call("user.admin", mine).json["result"] is True
    assert door.call("user.admin", theirs).json["result"] is False
    assert door.call("app.info", mine).json["result"]["INSTALLED"] is False
    door.oauth.finish()
    assert door.call("app.info", mine).json["result"]["INSTALLED"] is True


def test_methods_of_apps_are_closed_to_webhooks_only():
    door = Door()
    token, _ = door.pair()
    assert caller.error(door.portal, "placement.list") == (403, "WRONG_AUTH_TYPE")
    assert "CRM_DEAL_DETAIL_TAB" in door.call("placement.list", token).json["result"]


def test_the_authorisation_server_vouches_for_a_token():
    door = Door()
    token, _ = door.pair()
    status, body = door.info(token)
    assert status == 200
    assert body["result"]["client_id"] == door.oauth.client_id
    install = body["result"]["install"]
    assert (install["member_id"], install["domain"]) == (door.oauth.member_id, "shop.bitrix24.ru")
    assert install["client_endpoint"] == f"{PORTAL}/rest/"
    assert door.info("invented") == (
        401,
        {"error": "INVALID_TOKEN", "error_description": "Unable to get application by token"},
    )


def test_the_authorisation_server_has_nothing_else():
    assert Door().auth.get("/rest/crm.deal.list").status_code == 404


def test_the_page_agrees_and_sends_back_a_code_that_lives_thirty_seconds():
    door = Door()
    codes = []
    for _ in range(2):
        query = f"client_id={door.oauth.client_id}&state=s"
        answer = caller.send(door.portal, "/oauth/authorize/", verb="GET", query=query)
        back = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
        assert (back["state"], back["member_id"], back["domain"]) == ("s", door.oauth.member_id, "shop.bitrix24.ru")
        codes.append(back["code"])
    status, pair = door.ask(grant_type="authorization_code", code=codes[0])
    assert status == 200
    assert pair["client_endpoint"] == f"{PORTAL}/rest/"
    assert pair["domain"] == "oauth.bitrix.info"
    assert door.ask(grant_type="authorization_code", code=codes[0])[1]["error"] == "invalid_grant"
    door.clock.advance(30)
    assert door.ask(grant_type="authorization_code", code=codes[1])[1]["error"] == "invalid_grant"


def test_an_unknown_app_has_no_page():
    assert caller.send(Door().portal, "/oauth/authorize/", verb="GET", query="client_id=other").status == 404


def test_a_refresh_token_used_twice_is_refused_and_counted():
    door = Door()
    _, old = door.pair()
    status, fresh = door.ask(grant_type="refresh_token", refresh_token=old)
    assert (status, fresh["expires_in"]) == (200, 3600)
    assert fresh["expires"] == int(door.clock.now().timestamp()) + 3600
    assert door.ask(grant_type="refresh_token", refresh_token=old) == (
        400,
        {"error": "invalid_grant", "error_description": "Invalid grant"},
    )
    assert door.portal.double_refreshes == 1
    assert door.call("server.time", fresh["access_token"]).status == 200


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"grant_type": "password"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "invented"}, "invalid_grant"),
    ],
)
def test_a_wrong_request_is_a_400(words, error):
    status, body = Door().ask(**{"grant_type": "refresh_token", **words})
    assert (status, body["error"]) == (400, error)


def test_a_portal_that_stopped_paying_is_told_apart():
    door = Door()
    token, refresh = door.pair()
    door.oauth.is_paid = False
    assert door.ask(grant_type="refresh_token", refresh_token=refresh)[1]["error"] == "PAYMENT_REQUIRED"
    assert door.call("server.time", token).json["error"] == "PAYMENT_REQUIRED"


def test_opening_a_page_posts_query_and_body():
    door, receiver = Door(), Receiver()
    with serve(receiver.app) as server:
        heard = door.oauth.open_page(f"{server.url}/install?x=1", placement="CRM_DEAL_DETAIL_TAB", ID="5")
    assert (heard.status, heard.body) == (200, "heard")
    assert (receiver.query["DOMAIN"], receiver.query["x"]) == ("shop.bitrix24.ru", "1")
    form = receiver.form
    assert form["member_id"] == door.oauth.member_id
    assert form["SERVER_ENDPOINT"] == f"{AUTH}/rest/"
    assert form["PLACEMENT_OPTIONS"] == '{"ID": "5"}'
    assert door.info(form["AUTH_ID"])[0] == 200


def test_events_carry_tokens_and_the_removal_does_not():
    door, receiver = Door(), Receiver()
    with serve(receiver.app) as server:
        door.oauth.send_event(server.url, "ONAPPINSTALL")
        installed = receiver.form
        door.oauth.send_event(server.url, "ONAPPUPDATE", PREVIOUS_VERSION="1", VERSION="2")
        updated = receiver.form
        door.oauth.uninstall(server.url, clean=True)
        removed = receiver.form
    assert installed["event"] == "ONAPPINSTALL"
    assert installed["data[INSTALLED]"] == "N"
    assert installed["auth[application_token]"] == door.oauth.application_token
    assert (updated["data[VERSION]"], updated["data[PREVIOUS_VERSION]"]) == ("2", "1")
    assert removed["data[CLEAN]"] == "1"
    assert removed["auth[member_id]"] == door.oauth.member_id
    assert "auth[access_token]" not in removed
    assert "auth[refresh_token]" not in removed


def test_a_removed_app_has_no_access_and_comes_back_as_the_same_portal_with_new_secrets():
    door = Door()
    token, refresh = door.pair()
    member, secret = door.oauth.member_id, door.oauth.application_token
    assert door.oauth.uninstall().status == 0
    assert door.call("server.time", token).json["error"] == "APPLICATION_NOT_FOUND"
    assert door.ask(grant_type="refresh_token", refresh_token=refresh)[1]["error"] == "NOT_INSTALLED"
    door.oauth.install()
    assert door.oauth.member_id == member
    assert door.oauth.application_token != secret
    assert door.call("server.time", token).json["error"] == "INVALID_TOKEN"
    assert door.call("server.time", door.pair()[0]).status == 200


def test_a_renamed_portal_sends_away_and_is_told_by_the_next_renewal():
    door = Door()
    token, refresh = door.pair()
    door.portal.rename("https://other.bitrix24.ru")
    reply = door.call("server.time", token)
    assert (reply.status, reply.headers["Location"]) == (302, "https://other.bitrix24.ru/rest/server.time")
    pair = door.ask(grant_type="refresh_token", refresh_token=refresh)[1]
    assert pair["client_endpoint"] == "https://other.bitrix24.ru/rest/"
