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
_SENDERS: Mapping[str, str] = {
    "smallint": "int2send",
    "integer": "int4send",
    "bigint": "int8send",
    "boolean": "boolsend",
}
_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
_ROWS_AT_ONCE = 20_000


def read_blocks(
    session: Session, query: str, params: Mapping[str, Any], columns: Columns, *, numbers: int, block: int
) -> Iterator[NDArray[Any]]:
    """The rows of a query as structured arrays, one for each block of keys from 0 to `numbers` that has any.

    The query names its columns as `columns` does and keeps its key from `block.low` up to, not including,
    `block.high`; its order is kept within a block. No column may be null.

    The server packs a block into one value: row by row, the client would spend most of the time on the protocol.
    """
    dtype = np.dtype([(name, _WIDTHS[kind]) for name, kind in columns])
    packed = " || ".join(f"{_SENDERS[kind]}(q.{name})" for name, kind in columns)
    sql = (
        f"COPY (SELECT x.packed FROM (SELECT low, low + %(block)s AS high FROM"
        " generate_series(0, %(numbers)s - 1, %(block)s) low) block"
        f" CROSS JOIN LATERAL (SELECT string_agg({packed}, '') AS packed FROM ({query}) q) x) TO STDOUT (FORMAT BINARY)"
    )
    given = {**params, "block": block, "numbers": numbers}
    with raw(session).cursor() as cursor, cursor.copy(sql.encode(), given) as copy:
        copy.set_types(["bytea"])
        for (value,) in copy.rows():
            if value is not None:
                yield np.frombuffer(value, dtype)


def copy_arrays_into_temp(
    session: Session, table: str, columns: Columns, arrays: Sequence[NDArray[Any]], places: NDArray[np.int64]
) -> None:
    """Fill a temporary table from arrays of equal length, one for each column: the entries at `places`.

    What an earlier call of the same transaction left there goes first.
    """
    emptied(session, table, columns)
    dtype = _record(columns)
    names = ", ".join(name for name, _ in columns)
    sql = f"COPY {table} ({names}) FROM STDIN (FORMAT BINARY)"
    with raw(session).cursor() as cursor, cursor.copy(sql.encode()) as copy:
        copy.write(_SIGNATURE)
        for start in range(0, len(places), _ROWS_AT_ONCE):
            some = places[start : start + _ROWS_AT_ONCE]
            rows = np.empty(len(some), dtype)
            rows["fields"] = len(columns)
            for (name, kind), array in zip(columns, arrays, strict=True):
                rows[f"width of {name}"] = np.dtype(_WIDTHS[kind]).itemsize
                rows[name] = array[some]
            copy.write(rows.tobytes())
        copy.write(_TRAILER)
    if len(places) >= ANALYZE_FROM:
        session.execute(text(f"ANALYZE {table}"))


def _record(columns: Columns) -> np.dtype[Any]:
    """A row on the wire: the number of fields, then each field's width and value, high byte first."""
    parts = [("fields", ">i2")]
    for name, kind in columns:
        parts += [(f"width of {name}", ">i4"), (name, _WIDTHS[kind])]
    return np.dtype(parts)
