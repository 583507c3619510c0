"""Everything that is stored sealed, and sealing it anew under the first of ENCRYPTION_KEYS.

A row is one transaction, under the row's own lock, as a renewal of its token is: so neither loses the other's work,
and a kill loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, inspect, select, tuple_, update

from connector.errors import Misconfigured
from connector.secrets import Vault
from connector.store.database import Database
from connector.store.models import Base, CallRow, InstallCodeRow, Portal

SEALED: tuple[tuple[type[Base], str], ...] = (
    (Portal, "access"),
    (Portal, "hook"),
    (InstallCodeRow, "sealed"),
    (CallRow, "sealed"),
)
"""Tables and columns with secrets."""
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Standing:
    """How many stored secrets the first key opens, how many an older one, and how many none."""

    newest: int = 0
    older: int = 0
    unreadable: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether the older keys are needed no more."""
        return not self.older and not self.unreadable


def standing(database: Database, vault: Vault) -> Standing:
    """Look at every secret. Changes nothing."""
    counts = {True: 0, False: 0, None: 0}
    for _, _, _, sealed in _all(database):
        counts[_is_newest(vault, sealed)] += 1
    return Standing(counts[True], counts[False], counts[None])


def rotate(database: Database, vault: Vault) -> int:
    """Seal what an older key opens under the first one; returns how many. Safe to repeat, and beside running work.

    What no key opens stays as it is. Raises `DatabaseAway`; what was done stays done.
    """
    return sum(
        _renewed(database, vault, table, name, key)
        for table, name, key, sealed in _all(database)
        if _is_newest(vault, sealed) is False
    )


def _all(database: Database) -> Iterator[tuple[Table, str, Sequence[Any], bytes]]:
    """(table, column, primary key, sealed) of every secret, in pages: no transaction stays open meanwhile."""
    for model, name in SEALED:
        table = inspect(model).local_table
        assert isinstance(table, Table)  # noqa: S101 - says it to the type checker
        columns = list(table.primary_key.columns)
        after: tuple[Any, ...] | None = None
        while True:
            page = select(*columns, table.c[name]).where(table.c[name].is_not(None)).order_by(*columns).limit(_PAGE)
            if after is not None:
                page = page.where(tuple_(*columns) > after)
            with database.session() as session:
                found = session.execute(page).all()
            for row in found:
                yield table, name, tuple(row[:-1]), row[-1]
            if len(found) < _PAGE:
                break
            after = tuple(found[-1][:-1])


def _renewed(database: Database, vault: Vault, table: Table, name: str, key: Sequence[Any]) -> bool:
    """One row, as it is by now; whether it was changed."""
    here = [column == value for column, value in zip(table.primary_key.columns, key, strict=True)]
    with database.session() as session:
        sealed = session.scalar(select(table.c[name]).where(*here).with_for_update())
        if sealed is None or _is_newest(vault, sealed) is not False:
            return False
        session.execute(update(table).where(*here).values({name: vault.renew(sealed)}))
    return True


def _is_newest(vault: Vault, sealed: bytes) -> bool | None:
    """None when no key opens it."""
    try:
        return vault.is_newest(sealed)
    except Misconfigured:
        return None
