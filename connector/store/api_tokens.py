"""Tokens of scripts: what each may do, on which portal, until when. The token itself is shown once and never kept.

A token is `rfm_<id>_<secret>`: the id finds the row, the secret is 256 random bits, and the row has the SHA-256 of
the whole. A fast hash is right for what nobody can guess; the comparison takes the same time wherever it fails.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from connector.errors import WrongUse
from connector.store import audit
from connector.store.models import ApiTokenRow, Portal

READ, RUN, METHODS, SETTINGS, ADMIN = "read", "run", "methods", "settings", "admin"
SCOPES = (READ, RUN, METHODS, SETTINGS, ADMIN)
"""What a token may do. `admin` also opens the audit trail and the tokens themselves; no scope includes another."""
SERVICE = 0
"""Instead of a portal's id: all portals."""
_TOKEN = re.compile(r"rfm_([0-9a-f]{12})_([\w-]{43})", re.ASCII)
_LONGEST_NAME = 100
_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """A new token. `secret` is the whole of it, to be shown once."""

    row: ApiTokenRow
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose token was shown. `portal` is the name of its only portal, None for all of them."""

    portal_id: int
    token_id: str
    name: str
    portal: str | None
    scopes: frozenset[str]


def checked_scopes(words: Iterable[str]) -> tuple[str, ...]:
    """Scopes in their order, each once. Raises `WrongUse` for none and for unknown ones."""
    given = {word.strip() for word in words if word.strip()}
    unknown = sorted(given - set(SCOPES))
    if unknown or not given:
        what = f"{', '.join(unknown)} is no scope" if unknown else "a token without a scope may do nothing"
        raise WrongUse(f"{what}: choose among {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in given)


def issue(
    session: Session, portal_id: int, name: str, scopes: Iterable[str], *, expires_at: datetime | None, now: datetime
) -> Issued:
    """Make a token of a portal, or of `SERVICE`. Raises `WrongUse`; noted in the audit trail without the secret."""
    name, allowed = name.strip(), checked_scopes(scopes)
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise WrongUse(f"a token takes a name of up to {_LONGEST_NAME} letters that says who uses it")
    if expires_at is not None and expires_at <= now:
        raise WrongUse(f"a token that has expired by {expires_at:%Y-%m-%d %H:%M} UTC is of no use")
    token_id = secrets.token_hex(6)
    secret = f"rfm_{token_id}_{secrets.token_urlsafe(32)}"
    row = ApiTokenRow(
        portal_id=portal_id,
        token_id=token_id,
        name=name,
        digest=_digest(secret),
        scopes=list(allowed),
        created_at=now,
        created_by=audit.actor(),
        expires_at=expires_at,
        last_used_at=None,
        revoked_at=None,
    )
    session.add(row)
    detail = {"token": token_id, "name": name, "scopes": list(allowed)}
    if expires_at is not None:
        detail["expires_at"] = expires_at.isoformat(timespec="seconds")
    audit.note(session, portal_id, audit.PERSON, "token.created", detail)
    session.flush()
    return Issued(row, secret)


def of_portal(session: Session, portal_id: int) -> Sequence[ApiTokenRow]:
    """The tokens of a portal, or of `SERVICE`, the newest first; those that are over are among them."""
    return session.scalars(
        select(ApiTokenRow)
        .where(ApiTokenRow.portal_id == portal_id)
        .order_by(ApiTokenRow.created_at.desc(), ApiTokenRow.token_id)
    ).all()


def revoke(session: Session, portal_id: int, token_id: str, now: datetime) -> ApiTokenRow | None:
    """Make a token worthless from now on; None where the portal has no such token. Safe to repeat."""
    if "\0" in token_id:
        return None
    row = session.get(ApiTokenRow, (portal_id, token_id), with_for_update=True)
    if row is not None and row.revoked_at is None:
        row.revoked_at = now
        audit.note(session, portal_id, audit.PERSON, "token.revoked", {"token": token_id, "name": row.name})
    return row


def holder_of(session: Session, shown: str, now: datetime) -> Holder | None:
    """Who shows a token; None for anything that is no token in force. One query; its use is noted once a minute."""
    parts = _TOKEN.fullmatch(shown)
    if parts is None:
        return None
    found = session.execute(
        select(ApiTokenRow, Portal.name)
        .outerjoin(Portal, Portal.portal_id == ApiTokenRow.portal_id)
        .where(ApiTokenRow.token_id == parts[1])
    ).one_or_none()
    row: ApiTokenRow | None = found[0] if found is not None else None
    same = hmac.compare_digest(row.digest if row is not None else bytes(32), _digest(shown))
    if row is None or not same or not is_in_force(row, now):
        return None
    if row.last_used_at is None or row.last_used_at < now - _NOTED_EVERY:
        _note_use(session, row, now)
    return Holder(row.portal_id, row.token_id, row.name, found[1] if found else None, frozenset(row.scopes))


def is_in_force(row: ApiTokenRow, now: datetime) -> bool:
    """Whether it was neither revoked nor is over."""
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > now)


def view(row: ApiTokenRow, now: datetime) -> dict[str, Any]:
    """A token as plain values, without anything that opens a door."""
    state = "revoked" if row.revoked_at is not None else "active" if is_in_force(row, now) else "expired"
    moments = {name: getattr(row, name) for name in ("created_at", "expires_at", "last_used_at", "revoked_at")}
    return {
        "id": row.token_id,
        "name": row.name,
        "scopes": list(row.scopes),
        "state": state,
        "created_by": row.created_by,
        **{name: at.isoformat(timespec="seconds") if at is not None else None for name, at in moments.items()},
    }


def _digest(shown: str) -> bytes:
    return hashlib.sha256(shown.encode()).digest()


def _note_use(session: Session, row: ApiTokenRow, now: datetime) -> None:
    """By a statement of its own, so that calls side by side do not wait for each other's answers."""
    session.execute(
        update(ApiTokenRow)
        .where(
            ApiTokenRow.portal_id == row.portal_id,
            ApiTokenRow.token_id == row.token_id,
            or_(ApiTokenRow.last_used_at.is_(None), ApiTokenRow.last_used_at < now - _NOTED_EVERY),
        )
        .values(last_used_at=now)
    )
