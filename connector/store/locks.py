"""One writer per portal, across processes and machines; a killed writer's lock goes with its connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import text
from sqlalchemy.orm import Session

from connector.errors import PortalBusy
from connector.store.database import Database

_NAMESPACE = 7_364
_PATIENCE_S = 6.0


@contextmanager
def portal_lock(
    database: Database,
    portal_id: int,
    *,
    wait_s: float = _PATIENCE_S,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold the portal. Waits a few seconds (a killed holder's connection may take that long to be noticed).

    Raises `PortalBusy`.
    """
    keys = {"space": _NAMESPACE, "portal": portal_id}
    with database.autocommit() as connection:
        deadline = time.monotonic() + wait_s
        while not connection.scalar(text("SELECT pg_try_advisory_lock(:space, :portal)"), keys):
            if time.monotonic() >= deadline:
                raise PortalBusy("another process is working on this portal: wait for it to end and repeat")
            sleep(0.2)
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:space, :portal)"), keys)


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
