"""Shared fixtures: one PostgreSQL for the whole run, a fresh database with our schema for each test that asks."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from connector.store.database import Database
from connector.store.embedded import server_in

# suites that several test modules share: their assertions shall speak as those of a test module do
pytest.register_assert_rewrite("tests.contract.suite", "tests.contract.work")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The server given by DATABASE_URL, or an embedded one that is removed afterwards."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield given
        return
    # a short path: the socket lies in it, and socket paths are short
    home = Path(tempfile.mkdtemp(prefix="rfmpg"))
    home.chmod(0o755)
    server = server_in(home / "pg")
    try:
        yield server.get_uri()
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def _server(url: str, name: str) -> str:
    base, _, query = url.partition("?")
    return base.rsplit("/", 1)[0] + "/" + name + (f"?{query}" if query else "")


def _execute(url: str, *statements: str) -> None:
    with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://"), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> Iterator[str]:
    """A migrated database to copy from: faster than migrating for every test."""
    name = f"rfm_template_{uuid.uuid4().hex[:12]}"
    _execute(postgres_url, f"CREATE DATABASE {name}")
    database = Database(_server(postgres_url, name))
    database.migrate()
    database.close()
    yield name
    _execute(postgres_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """The URL of a fresh database with the schema."""
    name = f"rfm_test_{uuid.uuid4().hex[:12]}"
    _execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    try:
        yield _server(postgres_url, name)
    finally:
        with contextlib.suppress(psycopg.Error):
            _execute(postgres_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """The URL of a fresh database without any table."""
    name = f"rfm_empty_{uuid.uuid4().hex[:12]}"
    _execute(postgres_url, f"CREATE DATABASE {name}")
    try:
        yield _server(postgres_url, name)
    finally:
        with contextlib.suppress(psycopg.Error):
            _execute(postgres_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open database with the schema."""
    opened = Database(database_url)
    yield opened
    opened.close()
