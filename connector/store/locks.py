"""One writer per portal, across processes and machines; a killed writer's lock goes with its connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from connector.errors import LockLost, PortalBusy
from connector.store.database import Database

_NAMESPACE = 7_364
_PATIENCE_S = 6.0


class Held:
    """A portal that is held, as long as the connection behind it lives. Safe to share between threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._is_lost = False

    def check(self) -> None:
        """Raise `LockLost` once the connection has broken: the server has given the portal to others then."""
        with self._lock:
            if not self._is_lost:
                try:
                    self._connection.execute(text("SELECT 1"))
                except SQLAlchemyError:
                    self._is_lost = True  # for good: a new connection would not hold anything
            if self._is_lost:
                raise LockLost("the database let go of this portal while it was worked on: repeat, work is kept")

    def release(self, keys: dict[str, int]) -> None:
        """Let others in."""
        try:
            self.check()
        except LockLost:
            return
        with self._lock:
            self._connection.execute(text("SELECT pg_advisory_unlock(:space, :portal)"), keys)


@contextmanager
def portal_lock(
    database: Database,
    portal_id: int,
    *,
    wait_s: float = _PATIENCE_S,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Held]:
    """Hold the portal. Waits a few seconds (a killed holder's connection may take that long to be noticed).

    Whoever sends something to the CRM checks before that the portal is still held. Raises `PortalBusy`.
    """
    keys = {"space": _NAMESPACE, "portal": portal_id}
    with database.autocommit() as connection:
        deadline = time.monotonic() + wait_s
        while not connection.scalar(text("SELECT pg_try_advisory_lock(:space, :portal)"), keys):
            if time.monotonic() >= deadline:
                raise PortalBusy("another process is working on this portal: wait for it to end and repeat")
            sleep(0.2)
        held = Held(connection)
        try:
            yield held
        finally:
            held.release(keys)


def held_portals(session: Session) -> frozenset[int]:
    """The portals somebody works on at this moment."""
    held = session.scalars(
        text(
            "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2"
            " AND classid::bigint = :space"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ),
        {"space": _NAMESPACE},
    )
    return frozenset(int(portal_id) for portal_id in held)
