"""Grants of installed apps, sealed in `portals.access`; the one place where a pair of tokens is replaced.

A pair is replaced under a lock on the portal's row, in a transaction of its own: commit and release are one step, so
whoever waited reads the new pair. amoCRM's and Bitrix24's refresh tokens die when they are used, so a crash between
the vendor's answer and this commit loses the grant: the row still has the old pair, the next renewal is refused
with `AccessLost`, and a person has to let our app in again. Nothing shorter than that moment is possible without the
vendor's help.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import psycopg
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from adapters.errors import AccessLost, Unavailable
from adapters.oauth import Grant
from connector.secrets import Vault
from connector.store.database import Database
from connector.store.models import Portal

KIND = "oauth"
_PATIENCE_MS = 45_000
"""Longer than a renewal may take with all its tries."""


class HeldGrant:
    """See `adapters.oauth.Held`."""

    def __init__(self, session: Session, vault: Vault, portal_id: int, grant: Grant) -> None:
        self._session = session
        self._vault = vault
        self._portal_id = portal_id
        self._grant = grant

    @property
    def grant(self) -> Grant:
        """The pair as it is stored, or as it was replaced in this block."""
        return self._grant

    def keep(self, grant: Grant) -> None:
        """Replace the pair; sealed with the newest key."""
        sealed = self._vault.seal(to_kept(grant))
        self._session.execute(update(Portal).where(Portal.portal_id == self._portal_id).values(access=sealed))
        self._grant = grant


class StoredTokens:
    """The `TokenKeeper` over PostgreSQL. Safe to share between threads, not across a fork.

    Threads of one process wait for each other before they take a connection, so that a hundred of them need one.
    """

    def __init__(self, database: Database, vault: Vault, *, patience_ms: int = _PATIENCE_MS) -> None:
        self._database = database
        self._vault = vault
        self._patience_ms = patience_ms
        self._guard = threading.Lock()
        self._locks: dict[int, threading.Lock] = {}

    @contextmanager
    def locked(self, portal_id: int) -> Iterator[HeldGrant]:
        """See `TokenKeeper.locked`. Raises `DatabaseAway` too; what was kept is then not stored.

        The caller must not hold a transaction that has touched the portal's row: it would wait for itself, until
        `Unavailable` ends that.
        """
        with self._one_thread(portal_id), self._database.session() as session:
            yield HeldGrant(session, self._vault, portal_id, self._read(session, portal_id))

    @contextmanager
    def _one_thread(self, portal_id: int) -> Iterator[None]:
        with self._guard:
            lock = self._locks.setdefault(portal_id, threading.Lock())
        if not lock.acquire(timeout=self._patience_ms / 1000):
            raise Unavailable("another thread has been renewing the portal's token for too long")
        try:
            yield
        finally:
            lock.release()

    def _read(self, session: Session, portal_id: int) -> Grant:
        session.execute(text("SELECT set_config('lock_timeout', :wait, true)"), {"wait": f"{self._patience_ms}ms"})
        query = select(Portal.access).where(Portal.portal_id == portal_id).with_for_update()
        try:
            sealed = session.scalar(query)
        except OperationalError as error:
            if isinstance(error.orig, psycopg.errors.LockNotAvailable):
                raise Unavailable("another process has been renewing the portal's token for too long") from None
            raise
        grant = to_grant(self._vault.open(sealed)) if sealed is not None else None
        if grant is None:
            raise AccessLost("the portal is disconnected: connect it again")
        return grant


def to_kept(grant: Grant) -> dict[str, str]:
    """The texts that are sealed as a portal's access. `url` and `token` stand where a pasted token has them."""
    return {
        "kind": KIND,
        "url": grant.base_url,
        "token": grant.access_token,
        "refresh_token": grant.refresh_token,
        "issued_at": grant.issued_at.isoformat(),
        "expires_at": grant.expires_at.isoformat(),
        "account_id": grant.account_id,
        "auth_url": grant.auth_url,
        "scopes": " ".join(grant.scopes),
        "user_id": grant.user_id,
    }


def to_grant(kept: Mapping[str, str]) -> Grant | None:
    """The grant in an opened access; None for a token that a person pasted."""
    if kept.get("kind") != KIND:
        return None
    return Grant(
        access_token=kept["token"],
        refresh_token=kept["refresh_token"],
        issued_at=datetime.fromisoformat(kept["issued_at"]),
        expires_at=datetime.fromisoformat(kept["expires_at"]),
        account_id=kept["account_id"],
        base_url=kept["url"],
        auth_url=kept["auth_url"],
        scopes=tuple(kept["scopes"].split()),
        user_id=kept["user_id"],
    )
