"""The schema climbs from nothing, matches the models, and comes down again."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from connector.errors import SchemaBehind
from connector.store.database import Database
from connector.store.models import Base


def is_ours(thing, name, kind, reflected, compared):
    """The engine's tables are made by its own package."""
    return kind != "table" or not name.startswith("procrastinate_")


def engine_names(database):
    """Tables, functions and types of the engine."""
    with database.session() as session:
        return set(
            session.scalars(
                text(
                    "SELECT relname FROM pg_class WHERE relname LIKE 'procrastinate%'"
                    " UNION SELECT proname FROM pg_proc WHERE proname LIKE 'procrastinate%'"
                    " UNION SELECT typname FROM pg_type WHERE typname LIKE 'procrastinate%'"
                )
            )
        )


def test_an_empty_database_is_set_up_by_the_first_that_meets_it(empty_database_url):
    database = Database(empty_database_url)
    database.ensure_schema()
    assert database.schema_version() == database.wanted_version()
    database.close()


def test_the_migrations_make_exactly_the_models(own_database):
    with own_database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": is_ours})
        assert compare_metadata(context, Base.metadata) == []


def test_down_and_up_again_leaves_the_same_schema(own_database):
    own_database.downgrade("base")
    assert set(inspect(own_database.engine).get_table_names()) <= {"alembic_version"}
    assert engine_names(own_database) == set()
    own_database.migrate()
    assert set(Base.metadata.tables) <= set(inspect(own_database.engine).get_table_names())


def test_an_older_schema_stops_with_a_word_about_migrate(own_database):
    with own_database.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(SchemaBehind, match="migrate"):
        own_database.ensure_schema()


def test_steps_of_a_newer_engine_are_asked_for_and_taken_once(own_database):
    with own_database.session() as session:
        session.execute(text("DELETE FROM procrastinate_steps WHERE name LIKE '03.03.00_01%'"))
        session.execute(text("DROP FUNCTION procrastinate_fetch_job_v2"))
    with pytest.raises(SchemaBehind, match="migrate"):
        own_database.ensure_schema()
    own_database.migrate()
    own_database.migrate()
    own_database.ensure_schema()
    assert "procrastinate_fetch_job_v2" in engine_names(own_database)


def test_every_key_begins_with_the_portal():
    for table in Base.metadata.tables.values():
        first = next(iter(table.primary_key.columns)).name
        assert first in {"portal_id", "portal_key"}, table.name
