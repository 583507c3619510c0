"""The audit trail: who did what to settings, methods and cards, each change with what was there before and after.

Changes to a portal's row are noted here by themselves, in the transaction that makes them, whoever makes them: no place
that changes one can forget it. What else happens is noted by those who do it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import event, func, inspect, select
from sqlalchemy.orm import Session, sessionmaker

from connector.store.models import AuditRow, Portal

SYSTEM, PERSON = "system", "cli"
"""Who acts when nobody has said so: our own work, and a person where that is all that is known."""
FIELDS_CHANGED = "fields.changed"
_ACTOR: ContextVar[str | None] = ContextVar("actor", default=None)
_WATCHED = ("name", "state", "time_zone", "currency", "language")
_NOTED_ELSEWHERE = frozenset({"erase_at", "webhooks"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the trail. `detail` has pairs [before, after] for what changed."""

    at: datetime
    actor: str
    action: str
    detail: Mapping[str, Any]


@contextmanager
def acting(actor: str) -> Iterator[None]:
    """Who acts from here on, in this thread: `cli:anna`, `page`, `job:run`."""
    token = _ACTOR.set(actor)
    try:
        yield
    finally:
        _ACTOR.reset(token)


def actor() -> str:
    """Who acts in this thread, `cli` where nobody has said so."""
    return _ACTOR.get() or PERSON


def note(session: Session, portal_id: int, actor: str, action: str, detail: Mapping[str, Any]) -> None:
    """Add to the trail. SYSTEM and PERSON become exact where it is known who acts. No secret, no personal data."""
    by = (_ACTOR.get() or actor) if actor in {SYSTEM, PERSON} else actor
    session.add(AuditRow(portal_id=portal_id, actor=by, action=action, detail=dict(detail)))


def entries(session: Session, portal_id: int, *, since: datetime | None = None, limit: int = 1000) -> list[Entry]:
    """The newest lines of a portal's trail, newest first."""
    query = select(AuditRow).where(AuditRow.portal_id == portal_id).order_by(AuditRow.entry_id.desc()).limit(limit)
    if since is not None:
        query = query.where(AuditRow.at >= since)
    return [Entry(row.at, row.actor, row.action, row.detail) for row in session.scalars(query)]


def last_day_of(session: Session, portal_id: int, action: str, method: str) -> date | None:
    """The last day (`on` of the detail) for which an action was noted about a method version."""
    found = session.scalar(
        select(func.max(AuditRow.detail["on"].astext)).where(
            AuditRow.portal_id == portal_id,
            AuditRow.action == action,
            AuditRow.detail["method"].astext == method,
        )
    )
    return date.fromisoformat(found) if found else None


def watch_changes(sessions: sessionmaker[Session]) -> None:
    """Have every change to a portal's row noted by the sessions that are made from here on."""
    event.listen(sessions, "before_flush", _before_flush)


def _before_flush(session: Session, _: object, __: object) -> None:
    for row in list(session.dirty):
        if isinstance(row, Portal):
            for action, detail in _changes(session, row):
                actor = _ACTOR.get() or SYSTEM
                session.add(AuditRow(portal_id=row.portal_id, actor=actor, action=action, detail=detail))


def _changes(session: Session, portal: Portal) -> Iterator[tuple[str, dict[str, Any]]]:
    if pair := _pair(portal, "settings"):
        before, after = ({k: v for k, v in one.items() if k not in _NOTED_ELSEWHERE} for one in pair)
        keys = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
        if keys:
            yield "settings.changed", {key: [before.get(key), after.get(key)] for key in keys}
    if (pair := _pair(portal, "method")) and pair[0]:  # the first one is noted when it is published
        yield "method.changed", {"method": list(pair)}
    if pair := _pair(portal, "fields"):
        detail = _schema_change(*pair)
        if detail:
            yield FIELDS_CHANGED, {"schema": _schema_number(session, portal.portal_id), **detail}
    changed = {name: list(pair) for name in _WATCHED if (pair := _pair(portal, name)) and pair[0]}
    if changed:
        yield "portal.changed", changed


def _pair(portal: Portal, name: str) -> tuple[Any, Any] | None:
    """What an attribute was and is, None where it is the same."""
    history = inspect(portal).attrs[name].history
    if not history.added:
        return None
    before = history.deleted[0] if history.deleted else None
    return (before, history.added[0]) if before != history.added[0] else None


def _schema_number(session: Session, portal_id: int) -> int:
    """The version of the fields' schema after this change: 1 for the first."""
    with session.no_autoflush:
        earlier = session.scalar(
            select(func.count()).where(AuditRow.portal_id == portal_id, AuditRow.action == FIELDS_CHANGED)
        )
    return int(earlier or 0) + 1


def _schema_change(before: str | None, after: str | None) -> dict[str, Sequence[str]]:
    """Fields that came, went or changed, as `contact.segment`."""
    old, new = _fields(before), _fields(after)
    found = {
        "created": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": sorted(key for key in old.keys() & new.keys() if old[key] != new[key]),
    }
    return {word: keys for word, keys in found.items() if keys}


def _fields(stored: str | None) -> dict[str, Any]:
    kinds = json.loads(stored) if stored else {}
    return {f"{kind}.{key}": ref for kind, refs in kinds.items() for key, ref in refs.items()}
