"""Rotating the keys: everything sealed gets the first one, whatever happens meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import LargeBinary

from adapters.records import CRM
from connector.cli.main import main
from connector.jobs.doctor import examine
from connector.secrets import Vault
from connector.store import codes, keys
from connector.store.models import Base, CallRow, Portal
from tests.connector.factories import at, config_for, keep_portal, rows

OLD, NEW = "the key of last year and long", "the key of this year and long"


@pytest.fixture
def old():
    return Vault((OLD,))


@pytest.fixture
def both():
    return Vault((NEW, OLD))


def stock(database, old, portals=3):
    for number in range(portals):
        keep_portal(
            database,
            f"p{number}",
            access=old.seal({"token": f"t{number}", "url": "https://x"}),
            hook=old.seal({"secret": f"s{number}"}) if number else None,
        )
    with database.session() as session:
        codes.keep(session, CRM.AMOCRM, "code", old.seal({"code": "c"}), at("2026-11-24 10:00"))
        session.add(
            CallRow(
                portal_id=1,
                call_key="k",
                action="score",
                resource="deal",
                external_id="1",
                sealed=old.seal({"token": "event"}),
                asked_at=at("2026-11-24 10:00"),
            )
        )


HASHES = {("api_tokens", "digest")}
"""Columns of bytes that nothing opens again."""


def test_every_sealed_column_of_the_schema_is_rotated():
    sealed = {
        (table.name, column.name)
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    assert sealed - HASHES == {(model.__tablename__, name) for model, name in keys.SEALED}


def test_after_a_rotation_the_old_key_is_needed_no_more(database, old, both):
    stock(database, old)
    assert keys.standing(database, both) == keys.Standing(newest=0, older=7)
    assert keys.rotate(database, both) == 7
    assert keys.standing(database, both) == keys.Standing(newest=7, older=0)
    only = Vault((NEW,))
    assert keys.standing(database, only).is_whole
    sealed = rows(database, "SELECT access FROM portals ORDER BY name")
    assert [only.open(bytes(one))["token"] for one in sealed] == ["t0", "t1", "t2"]


def test_repeating_changes_nothing(database, old, both):
    stock(database, old)
    keys.rotate(database, both)
    before = rows(database, "SELECT access, hook FROM portals ORDER BY name")
    assert keys.rotate(database, both) == 0
    assert rows(database, "SELECT access, hook FROM portals ORDER BY name") == before


def test_a_rotation_that_is_killed_keeps_what_it_has_done_and_goes_on(database, old, both, monkeypatch):
    stock(database, old)
    seal, done = Vault.seal, []

    def dying(self, secret):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(1)
        return seal(self, secret)

    monkeypatch.setattr(Vault, "seal", dying)
    with pytest.raises(KeyboardInterrupt):
        keys.rotate(database, both)
    monkeypatch.setattr(Vault, "seal", seal)
    assert keys.standing(database, both) == keys.Standing(newest=3, older=4)
    assert keys.rotate(database, both) == 4


def test_more_rows_than_a_page_are_all_found(database, old, both, monkeypatch):
    monkeypatch.setattr(keys, "_PAGE", 2)
    stock(database, old, portals=5)
    assert keys.rotate(database, both) == 11
    assert keys.standing(database, both).is_whole


def test_a_token_renewed_meanwhile_is_kept_and_not_overwritten(database, old, both, monkeypatch):
    portal = keep_portal(database, access=old.seal({"token": "before", "url": "u"}))
    everything = keys._all

    def renewed_after_the_look(found):
        for one in everything(found):
            with database.session() as session:
                session.get_one(Portal, portal.portal_id).access = old.seal({"token": "after", "url": "u"})
            yield one

    monkeypatch.setattr(keys, "_all", renewed_after_the_look)
    keys.rotate(database, both)
    (sealed,) = rows(database, "SELECT access FROM portals")
    assert Vault((NEW,)).open(bytes(sealed))["token"] == "after"


def test_what_no_key_opens_is_counted_and_left_alone(database, old):
    stock(database, old)
    before = rows(database, "SELECT access FROM portals ORDER BY name")
    only = Vault((NEW,))
    assert keys.rotate(database, only) == 0
    assert keys.standing(database, only) == keys.Standing(unreadable=7)
    assert rows(database, "SELECT access FROM portals ORDER BY name") == before


@pytest.mark.usefixtures("_loggers_kept")
def test_the_command_says_what_is_left_and_doctor_says_when_to_use_it(database, old, tmp_path, monkeypatch, capsys):
    stock(database, old, portals=1)
    monkeypatch.setenv("DATABASE_URL", database.url)
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    monkeypatch.setenv("ENCRYPTION_KEYS", f"{NEW},{OLD}")
    config = config_for(database, tmp_path)
    finding = _about_keys(config, (NEW, OLD))
    assert not finding.ok
    assert "rotate-keys" in finding.advice
    assert main(["rotate-keys", "--json"]) == 0
    told = capsys.readouterr().out
    assert '"renewed": 3' in told
    assert '"on_older_keys": 0' in told
    assert _about_keys(config, (NEW, OLD)).ok
    monkeypatch.setenv("ENCRYPTION_KEYS", "another key that opens nothing here")
    assert main(["rotate-keys"]) == 1
    assert "3 that no key opens" in capsys.readouterr().out


def _about_keys(config, wanted):
    return next(one for one in examine(replace(config, encryption_keys=wanted)) if one.about == "keys")
