"""One database for all tests of the connector, emptied between them: fresh ones would take most of the time."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text

from connector.store.database import Database
from connector.store.models import Base
from tests import conftest as shared

_EMPTY = "; ".join(f"DELETE FROM {name}" for name in Base.metadata.tables)


@pytest.fixture(scope="session")
def _connector_database(postgres_url: str, template_database: str) -> Iterator[Database]:
    name = f"rfm_connector_{uuid.uuid4().hex[:12]}"
    shared._execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    opened = Database(shared._server(postgres_url, name))
    yield opened
    opened.close()
    with contextlib.suppress(psycopg.Error):
        shared._execute(postgres_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def database(_connector_database: Database) -> Database:
    """An open database with the schema and not a row in it."""
    with _connector_database.session() as session:
        session.execute(text(_EMPTY))
    return _connector_database


@pytest.fixture
def own_database(database_url: str) -> Iterator[Database]:
    """A database that the test may spoil."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def _loggers_kept() -> Iterator[None]:
    """The command line sets up logging for its process; the test process gets its own back."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
