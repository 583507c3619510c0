"""Where accepted webhooks are put down while the CRM waits for its answer: one row for a delivery and portal.

Nothing here waits for anybody: a row is only ever added, in one statement on a connection of its own, so that neither
a drain nor a backfill holds an answer up, and a hundred events cost about as much as one. `connector.store.inbox`
gathers the rows by record when a portal is drained.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import ConnStatus, ExecStatus, PGconn
from psycopg.pq import abc as pq
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from adapters.records import CRM
from connector.errors import DatabaseAway
from connector.store.database import Database
from connector.store.models import Portal
from webhooks.deliveries import ChangeNotice, Delivery, Kind, Resource
from webhooks.errors import InboxAway

_WATCHED = frozenset({Resource.CONTACT, Resource.COMPANY, Resource.DEAL, Resource.ORDER, Resource.TASK})
_ACCOUNTS_S = 10.0
_WOKEN_S = 0.9
"""A drain that is asked for begins a second later at the earliest: it finds what is stored until then as well."""
_DELETED, _ERASE = "d", "e"
_GONE = Kind.DELETED
_INSERT = b"INSERT INTO arrivals (portal_id, arrived_at, records, count) VALUES ($1, $2, $3, $4)"
_PREPARED = b"arrive"
_SURE: Mapping[str, Any] = {
    "options": "-c timezone=UTC -c statement_timeout=1500",
    "connect_timeout": 2,
    "keepalives_idle": 10,
    "tcp_user_timeout": 2000,
}
"""A CRM waits for seconds at most: better to ask it to send again."""


class StoredInbox:
    """`webhooks.deliveries.Inbox` on PostgreSQL: returns once the rows are committed.

    `wake` is told which portals have something new, after the commit, and not again for what the same drain finds; a
    wake-up that is lost is made good by the schedule.
    """

    def __init__(self, database: Database, wake: Callable[[int], None]) -> None:
        self._database = database
        self._lines = Lines(database.conninfo)
        self._wake = wake
        self._woken: dict[int, float] = {}
        self._accounts: Mapping[tuple[str, str], int] = {}
        self._read_at = -_ACCOUNTS_S
        self._reading = Lock()

    def store(self, delivery: Delivery, *, notices: Sequence[ChangeNotice]) -> None:
        """See `Inbox.store`. Notices of accounts that are not connected, and echoes of our own writes, are dropped."""
        found = self._words(delivery.crm, notices)
        if not found:
            return
        moment = delivery.received_at.isoformat()
        rows = [(portal_id, moment, " ".join(words), len(words)) for portal_id, words in found.items()]
        try:
            self._lines.put([[str(value).encode() for value in row] for row in rows])
        except psycopg.Error:
            raise InboxAway("the database is away") from None
        for portal_id in found:
            self._woke(portal_id)

    def close(self) -> None:
        """Give the connections back."""
        self._lines.close()

    def _words(self, crm: CRM, notices: Sequence[ChangeNotice]) -> dict[int, dict[str, None]]:
        """By portal, in order: resource:id, and what else of it counts."""
        found: dict[int, dict[str, None]] = {}
        portals = {account: self._portal(crm, account) for account in {notice.account_id for notice in notices}}
        for notice in notices:
            portal_id = portals[notice.account_id]
            if portal_id is None or notice.resource not in _WATCHED or notice.is_echo:
                continue
            more = (_DELETED if notice.kind is _GONE else "") + (_ERASE if notice.erase else "")
            words = found.setdefault(portal_id, {})
            for external_id in (notice.external_id, *notice.merged_ids):
                words[f"{notice.resource}:{external_id}:{more}"] = None
        return found

    def _woke(self, portal_id: int) -> None:
        now = time.monotonic()
        if now - self._woken.get(portal_id, -_WOKEN_S) >= _WOKEN_S:
            self._woken[portal_id] = now
            self._wake(portal_id)

    def _portal(self, crm: CRM, account_id: str) -> int | None:
        """The portal of an account; the list is read again every few seconds, by one thread for all."""
        if time.monotonic() - self._read_at > _ACCOUNTS_S and self._reading.acquire(blocking=not self._accounts):
            try:
                if time.monotonic() - self._read_at > _ACCOUNTS_S:
                    self._read_accounts()
            finally:
                self._reading.release()
        return self._accounts.get((crm.value, account_id))

    def _read_accounts(self) -> None:
        try:
            with self._database.session() as session:
                rows = session.execute(
                    select(Portal.crm, Portal.account_id, Portal.portal_id).where(Portal.state != "disconnected")
                )
                self._accounts = {(row[0], row[1]): row[2] for row in rows}
        except (DatabaseAway, OperationalError):
            raise InboxAway("the database is away") from None
        self._read_at = time.monotonic()


class Lines:
    """Connections that commit each row, as many as are needed at once. Safe to share between threads.

    They speak libpq's own calls: psycopg's cursors would take longer than the server does for one row.
    """

    def __init__(self, conninfo: str) -> None:
        self._conninfo = make_conninfo(conninfo, **_SURE).encode()
        self._idle: deque[pq.PGconn] = deque()

    def put(self, rows: Sequence[Sequence[bytes]]) -> None:
        """Add rows, each on its own. Raises `psycopg.Error`; some may then be there.

        A connection that was idle may be dead, after a restart of the server: then all of them are, and a fresh one
        is tried.
        """
        with suppress(IndexError):
            line = self._idle.pop()  # the last one used: the others may rest
            if self._put(line, rows):
                return
            self.close()
        line = self._fresh()
        if not self._put(line, rows):
            raise psycopg.OperationalError("a row could not be added")

    def close(self) -> None:
        """Close those that are idle."""
        while self._idle:
            self._idle.pop().finish()

    def _put(self, line: pq.PGconn, rows: Sequence[Sequence[bytes]]) -> bool:
        for row in rows:
            if line.exec_prepared(_PREPARED, row).status != ExecStatus.COMMAND_OK:
                line.finish()
                return False
        self._idle.append(line)
        return True

    def _fresh(self) -> pq.PGconn:
        line = PGconn.connect(self._conninfo)
        if line.status != ConnStatus.OK:
            raise psycopg.OperationalError("the server cannot be reached")
        if line.prepare(_PREPARED, _INSERT).status != ExecStatus.COMMAND_OK:
            line.finish()
            raise psycopg.OperationalError("the table of arrivals is not there")
        return line
