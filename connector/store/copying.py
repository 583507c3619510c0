"""COPY into a per-connection temporary table: the fastest way in, and the first half of every bulk upsert."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from connector.store.database import raw

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": None})
_CHUNK_ROWS = 2000
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
    with raw(session).cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN".encode()) as copy:
        lines: list[str] = []
        for row in rows:
            lines.append("\t".join([_field(value) for value in row]))
            count += 1
            if len(lines) >= _CHUNK_ROWS:
                copy.write("\n".join(lines) + "\n")
                lines.clear()
        if lines:
            copy.write("\n".join(lines) + "\n")
    if count >= ANALYZE_FROM:
        session.execute(text(f"ANALYZE {table}"))
    return count


def emptied(session: Session, table: str, columns: Sequence[tuple[str, str]]) -> None:
    """Make a temporary table, or take out what an earlier use in the same transaction left there."""
    session.execute(text("SET LOCAL client_min_messages = warning"))
    body = ", ".join(f"{name} {kind}" for name, kind in columns)
    session.execute(text(f"CREATE TEMP TABLE IF NOT EXISTS {table} ({body}) ON COMMIT DELETE ROWS"))
    filled: set[str] = session.info.setdefault("filled", set())
    if table in filled:
        session.execute(text(f"TRUNCATE {table}"))
    filled.add(table)


def _field(value: Any) -> str:
    if value is None:
        return "\\N"
    kind = type(value)
    if kind is str:
        return str(value if value.isalnum() else value.translate(_ESCAPES))
    if kind is bool:
        return "t" if value else "f"
    if kind is datetime:
        return str(value.isoformat())
    if kind is dict or kind is list:
        return str(json.dumps(value, ensure_ascii=False)).translate(_ESCAPES)
    return str(value)
