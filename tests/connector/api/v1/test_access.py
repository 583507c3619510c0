"""Who gets in: tokens, scopes, ends, revoking, limits, and the words of refusals."""

from __future__ import annotations

from datetime import timedelta

import pytest
from werkzeug.test import TestResponse

from connector.api.v1 import callers
from connector.api.v1.callers import Throttle
from connector.app import create_app
from connector.config import Config
from connector.store import api_tokens
from tests.connector.api.v1.conftest import Caller
from tests.connector.factories import KEY, execute, rows
from tests.connector.web.shop import NOW

PROBLEM = "application/problem+json"


def assert_problem(answer: TestResponse, status: int, kind: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.mimetype == PROBLEM
    assert answer.json["type"] == f"urn:rfm-connector:problem:{kind}"
    assert answer.json["status"] == status
    assert answer.json["title"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer rfm_x", "Bearer rfm_\u00e9"])
def test_without_a_token_the_challenge_is_told(app, shops, given):
    headers = {} if given is None else {"Authorization": given}
    answer = app.test_client().get("/api/v1/portals", headers=headers)
    assert_problem(answer, 401, "no-token")
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="rfm-connector"')


def test_another_secret_for_a_known_id_is_refused(app, shops, token_for):
    token = token_for(shops[0])
    forged = token[:-1] + ("A" if token[-1] != "A" else "B")
    answer = Caller(app, forged).get("/portals")
    assert_problem(answer, 401, "no-token")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_only_the_hash_is_kept(database, shops, token_for):
    token = token_for(shops[0])
    kept = "\n".join(rows(database, "SELECT t::text FROM api_tokens t") + rows(database, "SELECT a::text FROM audit a"))
    assert token.split("_")[1] in kept
    assert token.split("_", 2)[2] not in kept


def test_a_token_that_is_over_or_revoked_opens_nothing(app, database, shops, token_for):
    over = token_for(shops[0], now=NOW - timedelta(days=2), expires_at=NOW - timedelta(seconds=1))
    assert_problem(Caller(app, over).get("/portals"), 401, "no-token")
    last = token_for(shops[0], expires_at=NOW + timedelta(seconds=1))
    assert Caller(app, last).get("/portals").status_code == 200
    with database.session() as session:
        assert api_tokens.revoke(session, shops[0], last.split("_")[1], NOW) is not None
    assert_problem(Caller(app, last).get("/portals"), 401, "no-token")


def test_the_missing_scope_is_named(app, shops, token_for):
    reader = Caller(app, token_for(shops[0], ["read"]))
    assert reader.get("/portals").status_code == 200
    answer = reader.post("/portals/north/runs")
    assert_problem(answer, 403, "missing-scope")
    assert "'run'" in answer.json["detail"]
    assert 'scope="run"' in answer.headers["WWW-Authenticate"]


def test_a_portal_that_is_not_there_looks_as_one_of_another(app, shops, token_for):
    north = Caller(app, token_for(shops[0]))
    other, none = north.get("/portals/south"), north.get("/portals/nowhere")
    assert_problem(other, 404, "not-found")
    assert other.json == none.json


def test_a_token_of_one_portal_lists_only_this_one(north, everything):
    assert [one["portal"] for one in north.get("/portals").json["items"]] == ["north"]
    assert [one["portal"] for one in everything.get("/portals").json["items"]] == ["north", "south"]
    assert {one["portal"] for one in north.get("/alerts").json["items"]} == {"north"}
    assert {one["portal"] for one in everything.get("/alerts").json["items"]} == {"north", "south"}


def test_use_is_noted_once_a_minute(app, database, shops, token_for):
    caller = Caller(app, token_for(shops[0]))
    caller.get("/portals")
    execute(database, "UPDATE api_tokens SET last_used_at = :at", at=NOW - timedelta(seconds=30))
    caller.get("/portals")
    assert rows(database, "SELECT last_used_at FROM api_tokens") == [NOW - timedelta(seconds=30)]
    execute(database, "UPDATE api_tokens SET last_used_at = :at", at=NOW - timedelta(seconds=90))
    caller.get("/portals")
    assert rows(database, "SELECT last_used_at FROM api_tokens") == [NOW]


def test_each_token_has_a_limit_of_its_own(app, shops, token_for):
    now = [100.0]
    mine = app.extensions["api_v1"]
    callers.keep(app.extensions, callers.Api(mine.service, Throttle(2.0, 3, clock=lambda: now[0]), mine.description))
    one, other = Caller(app, token_for(shops[0])), Caller(app, token_for(shops[0]))
    assert [one.get("/portals").status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = one.get("/portals")
    assert_problem(answer, 429, "too-many-requests")
    assert answer.headers["Retry-After"] == "1"
    assert other.get("/portals").status_code == 200
    now[0] += 0.5
    assert [one.get("/portals").status_code for _ in range(2)] == [200, 429]


def test_a_throttle_forgets_rather_than_grows(monkeypatch):
    monkeypatch.setattr(callers, "_MOST_REMEMBERED", 3)
    throttle = Throttle(1.0, 1, clock=lambda: 0.0)
    assert [throttle.wait_s(str(n)) for n in range(9)] == [0.0] * 9
    assert len(throttle._levels) <= 4


@pytest.mark.parametrize(
    ("more", "status", "kind"),
    [
        ({"data": b"x" * 300_000, "content_type": "application/json"}, 413, "too-large"),
        ({"data": b"a=1", "content_type": "application/x-www-form-urlencoded"}, 415, "not-json"),
        ({"data": b"{", "content_type": "application/json"}, 400, "unreadable"),
        ({"data": b"[" * 100_000, "content_type": "application/json"}, 400, "unreadable"),
        ({"data": b'{"settings": {"method": "a\\u0000"}}', "content_type": "application/json"}, 400, "unreadable"),
        ({"data": b'{"settings": {"method": "\\ud800"}}', "content_type": "application/json"}, 400, "unreadable"),
        ({"data": b'{"settings": {"max_share": NaN}}', "content_type": "application/json"}, 400, "unreadable"),
        ({"json": {"settings": {"nonsense": 1}}}, 422, "invalid"),
        ({"json": {"settings": {"daily_budget": "many"}}}, 422, "invalid"),
        ({"json": {"settings": {"max_share": 2}}}, 422, "invalid"),
        ({"json": {"settings": {}}}, 422, "invalid"),
        ({"json": {}}, 422, "invalid"),
        ({"json": []}, 422, "invalid"),
    ],
)
def test_a_body_that_makes_no_sense_changes_nothing(north, database, more, status, kind):
    before = rows(database, "SELECT settings::text FROM portals ORDER BY name")
    assert_problem(north("PATCH", "/portals/north/settings", **more), status, kind)
    assert rows(database, "SELECT settings::text FROM portals ORDER BY name") == before


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "query.limit"),
        ("limit=501", "query.limit"),
        ("limit=many", "query.limit"),
        ("cursor=x", "query.cursor"),
        ("cursor=WyJ4Il0", "query.cursor"),
        ("cursor=WzFlOTld", "query.cursor"),
        ("segmet=vip", "query.segmet"),
        ("r_min=99999999999", "query.r_min"),
        ("m_min=NaN", "query.m_min"),
        ("m_min=1e99", "query.m_min"),
        ("manager=%00", "query.manager"),
        ("kind=deal", "query.kind"),
    ],
)
def test_a_question_that_makes_no_sense_has_its_field_named(north, query, field):
    answer = north.get(f"/portals/north/customers?{query}")
    assert_problem(answer, 422, "invalid")
    assert [one["field"] for one in answer.json["errors"]] == [field]


@pytest.mark.parametrize("path", ["/nowhere", "/portals/north/nowhere", "/portals/north/customers/deal:1",
                                  "/portals/north/customers/contact:99", "/portals/north/runs/none",
                                  "/portals/north/methods/sales5@9", "/portals/no%00rth", "/methods/none"])  # fmt: skip
def test_what_is_not_there_is_a_problem_in_json(north, path):
    assert_problem(north.get(path), 404, "not-found")


def test_a_wrong_method_says_which_are_right(north):
    answer = north("DELETE", "/portals/north/settings")
    assert_problem(answer, 405, "wrong-method")
    assert "PATCH" in answer.headers["Allow"]


def test_without_a_database_it_says_when_to_ask_again_and_no_address(tmp_path):
    away = "postgresql://nobody:hidden-word@127.0.0.1:1/none"
    app = create_app(Config(database_url=away, var_dir=tmp_path, encryption_keys=(KEY,)))
    answer = Caller(app, "rfm_" + "a" * 12 + "_" + "b" * 43).get("/portals")
    assert_problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert "hidden-word" not in answer.text
    assert "127.0.0.1" not in answer.text


def test_a_fault_of_ours_tells_nothing_of_the_code(north, monkeypatch):
    def broken(*_words, **_more):
        raise ZeroDivisionError("a secret of the code")

    monkeypatch.setattr("connector.store.listing.portals_after", broken)
    answer = north.get("/portals")
    assert_problem(answer, 500, "our-fault")
    assert "secret" not in answer.text


def test_it_answers_under_the_public_name_too(database, tmp_path, shops, token_for):
    words = {"public_url": "https://rfm.example", "secret_key": "s" * 32}
    config = Config(database_url=database.url, var_dir=tmp_path, encryption_keys=(KEY,), **words)
    app = create_app(config, clock=lambda: NOW)
    headers = {"Authorization": f"Bearer {token_for(shops[0])}", "Host": "rfm.example"}
    assert app.test_client().get("/api/v1/portals", headers=headers).status_code == 200
    answer = app.test_client().get("/api/v1/portals", headers={**headers, "Host": "else.example"})
    assert_problem(answer, 421, "wrong-host")
    app.extensions["pages"].database().close()
