"""Fixed-width rows by binary COPY: numpy arrays on our side, no Python object for a row, in either direction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from connector.store.copying import ANALYZE_FROM, emptied
from connector.store.database import raw

Columns = Sequence[tuple[str, str]]
"""(name, SQL type) with a type of `_WIDTHS`."""

_WIDTHS: Mapping[str, str] = {"smallint": ">i2", "integer": ">i4", "bigint": ">i8", "boolean": ">u1"}
_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
_ROWS_AT_ONCE = 100_000


def read_records(
    session: Session, query: str, params: Sequence[Any], columns: Columns, *, chunk_bytes: int = 4 << 20
) -> Iterator[NDArray[Any]]:
    """The rows of a query as structured arrays, some megabytes at a time. No column may be null."""
    dtype = _record(columns)
    buffer = bytearray()
    skip = len(_SIGNATURE)
    sql = f"COPY ({query}) TO STDOUT (FORMAT BINARY)"
    with raw(session).cursor() as cursor, cursor.copy(sql.encode(), params) as copy:
        for piece in copy:
            buffer += piece
            if len(buffer) < chunk_bytes:
                continue
            usable = (len(buffer) - skip) // dtype.itemsize * dtype.itemsize
            if usable <= 0:
                continue
            yield np.frombuffer(bytes(buffer[skip : skip + usable]), dtype)
            del buffer[: skip + usable]
            skip = 0
    usable = (len(buffer) - skip) // dtype.itemsize * dtype.itemsize
    if usable > 0:
        yield np.frombuffer(bytes(buffer[skip : skip + usable]), dtype)


def copy_arrays_into_temp(session: Session, table: str, columns: Columns, arrays: Sequence[NDArray[Any]]) -> int:
    """Fill a temporary table from arrays of equal length, one for each column; returns the number of rows.

    What an earlier call of the same transaction left there goes first.
    """
    emptied(session, table, columns)
    dtype = _record(columns)
    count = len(arrays[0])
    names = ", ".join(name for name, _ in columns)
    sql = f"COPY {table} ({names}) FROM STDIN (FORMAT BINARY)"
    with raw(session).cursor() as cursor, cursor.copy(sql.encode()) as copy:
        copy.write(_SIGNATURE)
        for start in range(0, count, _ROWS_AT_ONCE):
            rows = np.empty(min(_ROWS_AT_ONCE, count - start), dtype)
            rows["fields"] = len(columns)
            for (name, kind), array in zip(columns, arrays, strict=True):
                rows[f"width of {name}"] = np.dtype(_WIDTHS[kind]).itemsize
                rows[name] = array[start : start + len(rows)]
            copy.write(rows.tobytes())
        copy.write(_TRAILER)
    if count >= ANALYZE_FROM:
        session.execute(text(f"ANALYZE {table}"))
    return count


def _record(columns: Columns) -> np.dtype[Any]:
    """A row on the wire: the number of fields, then each field's width and value, high byte first."""
    parts = [("fields", ">i2")]
    for name, kind in columns:
        parts += [(f"width of {name}", ">i4"), (name, _WIDTHS[kind])]
    return np.dtype(parts)
