"""Engine, sessions and schema version. One place knows the URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.orm import Session, sessionmaker

from connector.config import Config
from connector.errors import DatabaseAway, Misconfigured, SchemaBehind
from connector.store import audit, embedded, engine_schema

_AWAY = (sa.exc.OperationalError, psycopg.OperationalError)
"""The second one comes from a COPY, which goes past SQLAlchemy."""
_EXAMPLE = "postgresql://user:password@host:5432/name"
_SESSION_OPTIONS = (
    "-c timezone=UTC -c jit=off -c work_mem=64MB -c random_page_cost=1.1"
    # a machine that vanished holds its portals' locks until the server gives its connections up
    " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
)


class Database:
    """Connections to one PostgreSQL. Safe to share between threads, not across a fork."""

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self.url = _psycopg_url(url)
        self.engine = sa.create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=8,
            pool_pre_ping=True,
            connect_args={"options": _SESSION_OPTIONS, "connect_timeout": 10},
        )
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        audit.watch_changes(self._sessions)

    @property
    def conninfo(self) -> str:
        """The URL as the driver takes it, without SQLAlchemy."""
        return self.url.replace("postgresql+psycopg://", "postgresql://", 1)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on an error. Raises `DatabaseAway`."""
        with self._sessions() as session:
            try:
                with session.begin():
                    yield session
            except _AWAY as error:
                raise _away(error) from None

    @contextmanager
    def rehearsal(self) -> Iterator[Session]:
        """A transaction that is always rolled back: what a dry run works in. Raises `DatabaseAway`."""
        try:
            with self._sessions() as session:
                yield session
        except _AWAY as error:
            raise _away(error) from None

    @contextmanager
    def autocommit(self) -> Iterator[sa.Connection]:
        """A connection without a transaction, for advisory locks and the like."""
        try:
            with self.engine.connect() as connection:
                yield connection.execution_options(isolation_level="AUTOCOMMIT")
        except sa.exc.OperationalError as error:
            raise _away(error) from None

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def ensure_schema(self) -> None:
        """Set up an empty database; raise `SchemaBehind` for one with another schema than this version's."""
        found, wanted = self.schema_version(), self.wanted_version()
        if found == wanted and not self._is_engine_behind():
            return
        if found is None and self._is_empty():
            self.migrate()
            return
        raise SchemaBehind(
            "the database has another schema than this version of the connector: run `rfm-connector migrate`"
        )

    def schema_version(self) -> str | None:
        """The revision the database is at, None before the first. Raises `DatabaseAway` or `Misconfigured`."""
        try:
            with self.engine.connect() as connection:
                return MigrationContext.configure(connection).get_current_revision()
        except sa.exc.OperationalError as error:
            raise _away(error) from None
        except sa.exc.ProgrammingError as error:
            raise Misconfigured(f"DATABASE_URL does not work: {_detail(error)}") from None

    def wanted_version(self) -> str | None:
        """The newest revision this version of the code knows."""
        return ScriptDirectory.from_config(self._alembic()).get_current_head()

    def migrate(self, revision: str = "head") -> None:
        """Bring the schema to a revision. Two processes at once: the second waits, then finds nothing to do."""
        with self.autocommit() as connection:
            connection.execute(sa.text("SELECT pg_advisory_lock(hashtext('rfm-connector migrations'))"))
            try:
                if self.schema_version() != self.wanted_version() or revision != "head":
                    command.upgrade(self._alembic(), revision)
                if revision == "head":
                    self._bring_up_engine()
            finally:
                connection.execute(sa.text("SELECT pg_advisory_unlock(hashtext('rfm-connector migrations'))"))

    def downgrade(self, revision: str) -> None:
        """Take the schema back to a revision (`base` drops everything)."""
        command.downgrade(self._alembic(), revision)

    def _is_engine_behind(self) -> bool:
        """Whether a newer engine was installed since the last `migrate`."""
        with self.session() as session:
            return bool(engine_schema.missing(raw(session)))

    def _bring_up_engine(self) -> None:
        with self.session() as session:
            steps = engine_schema.missing(raw(session))
        for step in steps:
            with self.session() as session:
                engine_schema.take(raw(session), step)

    def _is_empty(self) -> bool:
        return not sa.inspect(self.engine).get_table_names()

    def _alembic(self) -> AlembicConfig:
        config = AlembicConfig()
        config.set_main_option("script_location", "migrations:")
        config.set_main_option("path_separator", "os")
        config.attributes["engine"] = self.engine
        return config


def open_database(config: Config, *, pool_size: int = 8) -> Database:
    """The configured database, or the private one in `var/`. Raises `DatabaseAway` or `Misconfigured`."""
    if config.database_url is None:
        return Database(embedded.start(config.var_dir), pool_size=pool_size)
    try:
        port = sa.make_url(_psycopg_url(config.database_url)).port
    except (sa.exc.ArgumentError, ValueError):
        port = -1
    if port is not None and not 0 < port < 65536:
        raise Misconfigured(f"DATABASE_URL is not the address of a database: write it like {_EXAMPLE}")
    return Database(config.database_url, pool_size=pool_size)


def raw(session: Session) -> psycopg.Connection[Any]:
    """The session's own psycopg connection, inside its transaction (COPY needs it)."""
    connection: Any = session.connection().connection.dbapi_connection
    return connection  # type: ignore[no-any-return]


def _psycopg_url(url: str) -> str:
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def _away(error: Exception) -> DatabaseAway:
    return DatabaseAway(f"the database cannot be used: {_detail(error)}")


def _detail(error: Exception) -> str:
    """The first line of what the driver said, without the URL (it may carry a password)."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    lines = str(cause or "").strip().splitlines()
    return lines[0][:160] if lines and "password" not in lines[0] else "see its log"
