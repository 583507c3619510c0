"""A short turn of the fuzz target, and that it reaches every route there is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import text

from connector.store.database import Database
from tests.fuzz.target import HERE, METHODS, Request, requests_to, rules_of, target_on


@pytest.fixture
def target(database: Database, tmp_path):
    made = target_on(database, tmp_path)
    yield made
    made.app.extensions["pages"].database().close()


def test_hostile_requests_do_no_harm_at_any_route(target):
    rules = rules_of(target.app)
    for rule in rules:

        @settings(max_examples=6, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(request=requests_to(rule))
        def attack(request: Request) -> None:
            target.fire(request)

        attack()
    assert {path for path, _ in target.seen} == {rule.rule for rule in target.app.url_map.iter_rules()}
    assert {method for rule in rules for method in rule.methods} <= set(METHODS)


@pytest.mark.parametrize("kind", ["fails", "stores"])
def test_the_target_notices_what_fails_and_what_is_stored(target, kind):
    @target.app.post("/harm/<kind>")
    def harm(kind: str) -> tuple[str, int]:
        if kind == "stores":
            with target.database.session() as session:
                session.execute(text("UPDATE portals SET state = 'paused' WHERE crm = 'hubspot'"))
        return "", 500 if kind == "fails" else 400

    harmless = Request("/healthz", "GET", {}, [], {}, b"", "", HERE, "none")
    assert target.fire(harmless) == 200
    with pytest.raises(AssertionError, match=kind[:4] if kind == "stores" else "500"):
        target.fire(replace(harmless, rule="/harm/<kind>", method="POST", arguments={"kind": kind}))
