"""The schema climbs from nothing, matches the models, and comes down again."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from connector.errors import SchemaBehind
from connector.store.database import Database
from connector.store.models import Base


def test_an_empty_database_is_set_up_by_the_first_that_meets_it(empty_database_url):
    database = Database(empty_database_url)
    database.ensure_schema()
    assert database.schema_version() == database.wanted_version()
    database.close()


def test_the_migrations_make_exactly_the_models(own_database):
    with own_database.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []


def test_down_and_up_again_leaves_the_same_schema(own_database):
    own_database.downgrade("base")
    assert set(inspect(own_database.engine).get_table_names()) <= {"alembic_version"}
    own_database.migrate()
    assert set(Base.metadata.tables) <= set(inspect(own_database.engine).get_table_names())


def test_an_older_schema_stops_with_a_word_about_migrate(own_database):
    with own_database.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(SchemaBehind, match="migrate"):
        own_database.ensure_schema()


def test_every_key_begins_with_the_portal():
    for table in Base.metadata.tables.values():
        first = next(iter(table.primary_key.columns)).name
        assert first in {"portal_id", "portal_key"}, table.name
