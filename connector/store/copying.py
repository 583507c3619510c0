"""COPY into a per-connection temporary table: the fastest way in, and the first half of every bulk upsert."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from connector.store.database import raw

ANALYZE_FROM = 5000
"""Rows from which on a filled table is worth statistics."""


def copy_into_temp(
    session: Session, table: str, columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Any]]
) -> int:
    """Fill the temporary table `table` (made on first use, emptied at each commit) and return the number of rows.

    What an earlier call of the same transaction left there goes first. `columns` are (name, SQL type). Values may be
    None, str, int, bool, Decimal, aware datetime, dict or list (JSON); PostgreSQL's text has no NUL, so it is left out.
    """
    emptied(session, table, columns)
    count = 0
    names = ", ".join(name for name, _ in columns)
    sql = f"COPY {table} ({names}) FROM STDIN (FORMAT BINARY)"
    with raw(session).cursor() as cursor, cursor.copy(sql.encode()) as copy:
        copy.set_types([kind for _, kind in columns])
        for row in rows:
            copy.write_row([_storable(value) for value in row])
            count += 1
    if count >= ANALYZE_FROM:
        session.execute(text(f"ANALYZE {table}"))
    return count


def emptied(session: Session, table: str, columns: Sequence[tuple[str, str]]) -> None:
    """Make a temporary table, or take out what an earlier use in the same transaction left there."""
    body = ", ".join(f"{name} {kind}" for name, kind in columns)
    create = f"CREATE TEMP TABLE IF NOT EXISTS {table} ({body}) ON COMMIT DELETE ROWS"
    raw(session).execute(f"SET LOCAL client_min_messages = warning; {create}".encode(), prepare=False)
    filled: set[str] = session.info.setdefault("filled", set())
    if table in filled:
        session.execute(text(f"TRUNCATE {table}"))
    filled.add(table)


def _storable(value: Any) -> Any:
    """The value, without what PostgreSQL's text cannot hold."""
    if type(value) is str and "\0" in value:
        return value.replace("\0", "")
    return value
