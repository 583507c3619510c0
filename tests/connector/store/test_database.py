"""Sessions, rehearsals and what is said when the database is away."""

from __future__ import annotations

from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import text

from connector.config import Config
from connector.errors import DatabaseAway, Misconfigured, PortalPaused, UnknownPortal, WrongUse
from connector.store import portals
from connector.store.copying import copy_into_temp
from connector.store.database import Database, open_database, raw
from connector.store.models import AuditRow, Portal
from tests.connector.factories import (
    contact,
    dump,
    execute,
    keep_portal,
    order,
    put_customers,
    put_orders,
    rows,
)

COUNT = "SELECT count(*) FROM audit"


def note(session):
    session.add(AuditRow(portal_id=1, actor="a", action="b", detail={}))
    session.flush()


def broken(session):
    note(session)
    return 1 / 0


def test_a_session_commits_at_its_end_and_takes_everything_back_on_an_error(database):
    with database.session() as session:
        note(session)
    with pytest.raises(ZeroDivisionError), database.session() as session:
        broken(session)
    assert rows(database, COUNT) == [1]


def test_a_rehearsal_leaves_nothing_behind(database):
    with database.rehearsal() as session:
        note(session)
        assert session.scalar(text(COUNT)) == 1
    assert rows(database, COUNT) == [0]


def test_autocommit_keeps_each_statement(database):
    with database.autocommit() as connection:
        connection.execute(text("INSERT INTO audit (portal_id, actor, action, detail) VALUES (1, 'a', 'b', '{}')"))
        connection.rollback()
    assert rows(database, COUNT) == [1]


@pytest.mark.parametrize("way", ["session", "rehearsal", "autocommit"])
def test_an_unreachable_database_is_named_in_one_sentence_without_its_password(way):
    database = Database("postgresql://rfm:topsecret@127.0.0.1:1/none")
    with pytest.raises(DatabaseAway) as caught, getattr(database, way)() as opened:
        opened.execute(text("SELECT 1"))
    assert "topsecret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(DatabaseAway):
        database.schema_version()


@pytest.mark.parametrize("way", ["session", "rehearsal"])
def test_a_connection_that_breaks_during_a_copy_is_a_database_that_is_away(database, way):
    @contextmanager
    def killed_in_a_copy():
        with getattr(database, way)() as session:
            pid = raw(session).info.backend_pid

            def lines():
                yield ("1",)
                execute(database, "SELECT pg_terminate_backend(:pid)", pid=pid)
                for _ in range(200_000):
                    yield ("1",)

            yield copy_into_temp(session, "broken", [("x", "text")], lines())

    with pytest.raises(DatabaseAway), killed_in_a_copy():
        pass


@pytest.mark.parametrize(
    "url", ["postgresql://u:geheim@h:port/d", "postgresql://u:geheim@[::1/d", "postgresql://u:geheim@h:99999999/d"]
)
def test_a_malformed_url_is_a_wrong_setting_and_is_not_repeated(url, tmp_path):
    with pytest.raises(Misconfigured, match="DATABASE_URL") as caught:
        open_database(Config(database_url=url, var_dir=tmp_path))
    assert "geheim" not in str(caught.value)


def test_an_option_that_the_driver_does_not_know_is_a_wrong_setting(database):
    odd = Database(f"{database.url}{'&' if '?' in database.url else '?'}sslmodus=1")
    with pytest.raises(Misconfigured, match="sslmodus"):
        odd.schema_version()


@pytest.mark.parametrize("prefix", ["postgres://", "postgresql://", "postgresql+psycopg://"])
def test_every_usual_spelling_of_the_url_works(database, prefix):
    spelt = Database(prefix + database.url.removeprefix("postgresql+psycopg://"))
    with spelt.session() as session:
        assert session.scalar(text("SELECT 1")) == 1
    spelt.close()


def test_times_come_back_in_utc(database):
    with database.session() as session:
        assert session.scalar(text("SHOW timezone")) == "UTC"


def test_a_copy_says_how_many_rows_it_took(database):
    with database.session() as session:
        columns = [("a", "integer"), ("b", "jsonb"), ("c", "boolean")]
        some = [(n, {"x": [n, None, "ü\t\\"]}, n % 2 == 0) for n in range(5001)]
        assert copy_into_temp(session, "sample", columns, some) == 5001
        assert session.scalar(text("SELECT count(*) FROM sample WHERE c")) == 2501
        assert session.scalar(text("SELECT b FROM sample WHERE a = 7")) == {"x": [7, None, "ü\t\\"]}
        assert copy_into_temp(session, "sample", columns, []) == 0
        assert session.scalar(text("SELECT count(*) FROM sample")) == 0
        assert isinstance(raw(session), psycopg.Connection)


# --- portals -------------------------------------------------------------------------------------------------------


def test_an_unknown_portal_is_answered_with_those_there_are(database):
    with database.session() as session, pytest.raises(UnknownPortal, match="none is connected"):
        portals.portal_named(session, "p")
    keep_portal(database, "b")
    keep_portal(database, "a")
    with database.session() as session:
        with pytest.raises(UnknownPortal, match="a, b"):
            portals.working_portal(session, "p")
        assert [portal.name for portal in portals.all_portals(session)] == ["a", "b"]


def test_only_an_active_portal_is_worked_on(database):
    portal = keep_portal(database)
    with database.session() as session:
        assert portals.working_portal(session, "p").portal_id == portal.portal_id
    execute(database, "UPDATE portals SET state = 'paused', state_reason = 'the token expired'")
    with database.session() as session, pytest.raises(PortalPaused, match="the token expired"):
        portals.working_portal(session, "p")
    execute(database, "UPDATE portals SET state = 'disconnected'")
    with database.session() as session, pytest.raises(WrongUse, match="connect it again"):
        portals.working_portal(session, "p")


def test_erasing_a_portal_takes_every_row_of_it_and_no_other(database):
    for name in ("gone", "stays"):
        portal = keep_portal(database, name)
        put_customers(database, portal, contact("1"))
        put_orders(database, portal, order("1", lines=()))
        with database.session() as session:
            portals.note(session, portal.portal_id, "cli", "x", {})
        execute(database, "INSERT INTO budgets VALUES (:key, 'core', '{}')", key=name)
    before = dump(database)
    with database.session() as session:
        portals.erase(session, portals.portal_named(session, "gone"), "gone")
    after = dump(database)
    assert all(len(after[table]) * 2 == len(lines) for table, lines in before.items() if lines)
    assert rows(database, "SELECT name FROM portals") == ["stays"]
    with database.session() as session:
        assert portals.portal_of_account(session, "hubspot", "account of gone") is None
        assert isinstance(portals.portal_of_account(session, "hubspot", "account of stays"), Portal)
