"""What scripts can do: settings, methods, runs, plans, retries, undoing, tokens. Each leaves its trace."""

from __future__ import annotations

import pytest

from connector.api.v1.callers import Api as Mine
from connector.api.v1.callers import Throttle, keep
from connector.app import create_app
from connector.jobs import asking, loop
from connector.store import api_tokens
from connector.store.locks import portal_lock
from tests.connector.api.v1.conftest import Caller
from tests.connector.factories import TOKEN, config_for, connected, execute, rows, stock
from tests.fakes.memory import MemoryCRM


@pytest.fixture
def crm():
    portal = MemoryCRM(page_size=50, token=TOKEN)
    stock(portal, 60)
    return portal


@pytest.fixture
def ran(monkeypatch, database, tmp_path, crm):
    """A connected portal p after its first run."""
    with connected(monkeypatch, database, tmp_path, crm) as service:
        loop.run_portal(service, "p")
        yield service


@pytest.fixture
def caller(ran, database, tmp_path, monkeypatch):
    app = create_app(config_for(database, tmp_path))
    mine = app.extensions["api_v1"]
    keep(app.extensions, Mine(mine.service, Throttle(1e9, 10**9), mine.description))
    with database.session() as session:
        portal_id = rows(database, "SELECT portal_id FROM portals")[0]
        issued = api_tokens.issue(session, portal_id, "robot", api_tokens.SCOPES, expires_at=None, now=ran.now())
    yield Caller(app, issued.secret)
    app.extensions["pages"].database().close()


def trail(database, action):
    return rows(database, "SELECT actor, detail FROM audit WHERE action = :a ORDER BY entry_id", a=action)


def test_settings_are_changed_whole_or_not_and_the_trail_names_the_token(north, database):
    answer = north("PATCH", "/portals/north/settings", json={"settings": {"daily_budget": 12, "language": "ru"}})
    assert answer.status_code == 200, answer.text
    assert answer.json["settings"] == {"daily_budget": 12, "language": "ru"}
    assert ("token:tests", {"daily_budget": [None, 12]}) in trail(database, "settings.changed")
    bad = north("PATCH", "/portals/north/settings", json={"settings": {"daily_budget": 3, "max_share": 7}})
    assert bad.status_code == 422
    back = north("PATCH", "/portals/north/settings", json={"settings": {"daily_budget": None}})
    assert back.json["settings"] == {"language": "ru"}


def test_a_run_is_asked_for_once_and_its_work_can_be_followed(north, database):
    first = north.post("/portals/north/runs")
    assert first.status_code == 202
    assert first.json["work"]["state"] == "asked"
    assert north.post("/portals/north/runs").json["work"]["asked_at"] == first.json["work"]["asked_at"]
    assert rows(database, "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'run' AND status = 'todo'") >= [1]
    followed = north("GET", first.headers["Location"].removeprefix("/api/v1")).json["items"]
    assert [one["state"] for one in followed if one["job"] == "run"] == ["asked"]
    assert [actor for actor, _ in trail(database, "run.asked")] == ["token:tests"] * 2


@pytest.mark.parametrize(("state", "status"), [("paused", 409), ("disconnected", 422)])
def test_no_run_is_asked_for_where_nobody_works(north, database, shops, state, status):
    execute(database, "UPDATE portals SET state = :s WHERE portal_id = :p", s=state, p=shops[0])
    assert north.post("/portals/north/runs").status_code == status
    assert rows(database, "SELECT count(*) FROM work") == [0]


def test_a_plan_says_what_would_be_written_and_writes_nothing(caller, crm, database, monkeypatch):
    monkeypatch.setattr(crm, "write_scores", None)
    execute(database, "UPDATE customers SET card = '{}' WHERE number < 5")
    answer = caller.post("/portals/p/plan", {})
    assert answer.status_code == 200, answer.text
    assert answer.json["plan"]["cards"] == 5
    assert answer.json["plan"]["sample"][0]["change"]["segment"][0] is None
    assert rows(database, "SELECT count(*) FROM runs") == [1]
    assert caller.post("/portals/p/plan", {"method": "none"}).status_code == 422
    assert caller.post("/portals/p/plan", {"as_of": "2150-01-01"}).status_code == 422


def test_a_run_is_put_back(caller, crm, database):
    run = rows(database, "SELECT run_id FROM runs")[0]
    before = caller.get(f"/portals/p/runs/{run}").json
    assert before["records"] == {"written": before["figures"]["written"]}
    answer = caller.post(f"/portals/p/runs/{run}/undo")
    assert answer.status_code == 200, answer.text
    assert answer.json["written"] == before["figures"]["written"]
    assert caller.get(f"/portals/p/runs/{answer.json['run_id']}").json["kind"] == "undo"
    assert [actor for actor, _ in trail(database, "run.undone")] == ["token:robot"]
    assert caller.post("/portals/p/runs/none/undo").status_code == 404


def test_a_large_run_is_not_put_back_while_somebody_waits(caller, database, monkeypatch):
    monkeypatch.setattr(asking, "MOST_UNDONE", 3)
    run = rows(database, "SELECT run_id FROM runs")[0]
    answer = caller.post(f"/portals/p/runs/{run}/undo")
    assert (answer.status_code, "undo p" in answer.json["detail"]) == (409, True)
    assert rows(database, "SELECT count(*) FROM runs") == [1]


def test_what_waits_is_tried_again(caller, crm, database):
    execute(database, "UPDATE customers SET card = '{}' WHERE number = 1")
    execute(
        database,
        "INSERT INTO dead_letters SELECT portal_id, number, 'refused', 'segment', 'busy', 'r0', now(), now(), 1"
        " FROM customers WHERE number = 1",
    )
    assert len(caller.get("/portals/p/refused").json["items"]) == 1
    answer = caller.post("/portals/p/refused/retry")
    assert answer.status_code == 200, answer.text
    assert answer.json["written"] == 1
    assert caller.get("/portals/p/refused").json["items"] == []


def test_a_portal_that_somebody_works_on_is_busy(caller, database):
    portal_id = rows(database, "SELECT portal_id FROM portals")[0]
    with portal_lock(database, portal_id):
        answer = caller.post("/portals/p/plan", {})
    assert (answer.status_code, answer.headers["Retry-After"]) == (409, "5")


def test_a_method_goes_its_whole_way(caller, database):
    rules = caller.get("/methods/sales5").json["rules"]
    assert caller.post("/methods/prove", {"rules": rules}).json["sound"]
    assert caller.post("/portals/p/methods/fit", {}).json["thresholds"]["r"]
    rules["window"] = 180
    seen = caller.post("/portals/p/methods/simulate", {"rules": rules})
    assert seen.status_code == 200, seen.text
    made = caller.post("/portals/p/methods", {"rules": rules, "note_en": "Half a year.", "reason": "season"})
    assert made.status_code == 201, made.text
    label = made.json["method"]
    assert (label, made.json["author"], made.json["state"]) == ("sales5@2", "token:robot", "draft")
    assert made.json["notes"]["en"] == "Half a year."
    diff = caller.get("/portals/p/methods/sales5@1/diff", {"other": label}).json["differences"]
    assert any(one["where"].endswith("window") for one in diff)
    assert caller.post(f"/portals/p/methods/{label}/review", {}).json["state"] == "reviewed"
    out = caller.post(f"/portals/p/methods/{label}/publish", {"reason": "agreed"})
    assert out.status_code == 200, out.text
    assert (out.json["in_force"], out.json["replaced"]) == (label, "sales5@1")
    assert caller.get("/portals/p/methods").json["in_force"] == label
    assert caller.get(f"/portals/p/methods/{label}").json["rules"]["window"] == 180
    back = caller.post("/portals/p/methods/rollback", {})
    assert (back.json["in_force"], back.json["called_back"]) == ("sales5@1", label)
    assert caller.post(f"/portals/p/methods/{label}/retire", {}).json["state"] == "retired"
    assert caller.post(f"/portals/p/methods/{label}/publish", {}).status_code == 422
    assert {actor for actor, _ in trail(database, "method.published")} <= {"token:robot", "system", "cli"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"method": "sales5", "rules": {}},
        {"rules": {}},
        {"rules": {"name": "x"}},
        {"rules": {"name": "sales5", "bins": 5, "segments": [{"value": 1}]}},
        {"method": "/etc/passwd"},
        {"method": "method.toml"},
    ],
)
def test_a_draft_that_makes_no_sense_is_refused_and_no_file_is_read(north, database, body):
    assert north.post("/portals/north/methods", body).status_code == 422
    assert rows(database, "SELECT count(*) FROM methods WHERE state = 'draft'") == [0]


def test_a_backtest_of_a_short_history_says_why_not(north):
    answer = north.post("/portals/north/backtest", {"horizon": 200})
    assert answer.status_code == 422
    assert "too short" in answer.json["detail"]
    given = {"dates": ["2026-07-01"], "horizon": 30}
    answer = north.post("/portals/north/backtest", given)
    assert answer.status_code == 200, answer.text
    assert answer.json["dates"] == ["2026-07-01"]


def test_tokens_are_made_listed_and_revoked(app, north, database):
    made = north.post("/portals/north/tokens", {"name": "warehouse", "scopes": ["run", "read"]})
    assert made.status_code == 201, made.text
    assert made.json["scopes"] == ["read", "run"]
    assert Caller(app, made.json["token"]).get("/portals/north").status_code == 200
    listed = north.get("/portals/north/tokens")
    assert {one["name"] for one in listed.json["items"]} == {"tests", "warehouse"}
    assert made.json["token"] not in listed.text
    assert north("DELETE", f"/portals/north/tokens/{made.json['id']}").json["state"] == "revoked"
    assert Caller(app, made.json["token"]).get("/portals/north").status_code == 401
    assert north("DELETE", "/portals/north/tokens/none").status_code == 404
    assert [actor for actor, _ in trail(database, "token.revoked")] == ["token:tests"]


def test_nobody_gives_what_he_lacks(app, shops, token_for):
    clerk = Caller(app, token_for(shops[0], ["admin"]))
    answer = clerk.post("/portals/north/tokens", {"name": "more", "scopes": ["admin", "methods"]})
    assert (answer.status_code, "'methods'" in answer.json["detail"]) == (403, True)
    assert clerk.post("/portals/north/tokens", {"name": "same", "scopes": ["admin"]}).status_code == 201
