"""The self-check says what is wrong and what to do, and a thing that fails hides only what depends on it."""

from __future__ import annotations

import pytest

from adapters.errors import TokenExpired
from connector.config import Config
from connector.jobs import loop
from connector.jobs.doctor import examine
from tests.connector.factories import KEY, TOKEN, config_for, connected, execute, stock
from tests.fakes.memory import MemoryCRM


@pytest.fixture
def crm():
    portal = MemoryCRM(page_size=50)
    stock(portal, 6)
    return portal


@pytest.fixture
def service(monkeypatch, database, tmp_path, crm):
    with connected(monkeypatch, database, tmp_path, crm) as opened:
        yield opened


def findings(config):
    return {finding.about: finding for finding in examine(config)}


def test_an_empty_service_is_healthy_and_told_what_to_do_first(database, tmp_path):
    found = findings(config_for(database, tmp_path))
    assert all(finding.ok for finding in found.values())
    assert list(found) == ["settings", "database", "keys", "portals"]
    assert "connect" in found["portals"].advice


def test_a_portal_that_works_is_healthy_after_its_run(service):
    before = findings(service.config)
    assert (before["p"].ok, before["p fields"].ok, before["p data"].ok) == (True, False, False)
    assert "provision p" in before["p fields"].advice
    loop.run_portal(service, "p")
    after = findings(service.config)
    assert all(finding.ok for finding in after.values()), after
    assert {"p", "p limits", "p staff", "p fields", "p data"} <= set(after)


def test_old_data_and_missing_staff_are_mentioned(database, service, crm):
    loop.run_portal(service, "p")
    execute(database, "UPDATE portals SET last_sync_at = now() - interval '8 days'")
    crm.staff = []
    found = findings(service.config)
    assert not found["p data"].ok
    assert not found["p staff"].ok


def test_a_refused_token_is_one_finding_and_never_shown(service, crm):
    crm.fail("portal", TokenExpired("the token is refused: make a new one"))
    found = findings(service.config)
    assert not found["p"].ok
    assert "connect" in found["p"].advice
    assert TOKEN not in repr(found)


def test_missing_secrets_and_an_unreachable_database_end_the_examination(tmp_path):
    production = Config(public_url="https://rfm.example", var_dir=tmp_path)
    (settings,) = findings(production).values()
    assert not settings.ok
    assert "SECRET_KEY" in settings.found
    assert "ENCRYPTION_KEYS" in settings.found
    away = Config(database_url="postgresql://u:geheim@127.0.0.1:1/x", encryption_keys=(KEY,), var_dir=tmp_path)
    found = findings(away)
    assert list(found) == ["settings", "database"]
    assert not found["database"].ok
    assert "geheim" not in repr(found)


def test_an_older_schema_is_named(own_database, tmp_path):
    execute(own_database, "UPDATE alembic_version SET version_num = '0000'")
    found = findings(config_for(own_database, tmp_path))
    assert "migrate" in found["database"].advice
