"""Method versions and their releases as rows: found, checked against their digest, put on their way.

Nothing here changes a body: a version says for ever what it said when it was drafted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import date, datetime
from functools import lru_cache

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from connector.errors import WrongUse
from connector.store.models import MethodRow, Portal, ReleaseRow
from scoring.errors import ScoringError
from scoring.methods import MethodVersion

DRAFT, REVIEWED, PUBLISHED, RETIRED = "draft", "reviewed", "published", "retired"
ALL, MANAGERS, TEAMS, SHADOW = "all", "managers", "teams", "shadow"
WAITING, ACTIVE, OVER = "waiting", "active", "over"
_PUBLISHING = 7_366


def opened(row: MethodRow) -> MethodVersion:
    """The version a row holds. Raises `WrongUse` when its text is not the one it was stored with."""
    return _opened(row.body, row.digest, row.label)


def row_of(session: Session, portal_id: int, label: str, *, lock: bool = False) -> MethodRow | None:
    """The row of a label such as sales5@2; None when there is none. `lock` holds it until the transaction's end."""
    name, _, number = label.partition("@")
    if not (number.isascii() and number.isdigit()) or len(number) > 9 or "\0" in name:
        return None
    return session.get(MethodRow, (portal_id, name, int(number)), with_for_update=lock or None, populate_existing=lock)


def rows_of(session: Session, portal_id: int) -> Sequence[MethodRow]:
    """Every version of every method in every state, by name and number."""
    return session.scalars(
        select(MethodRow).where(MethodRow.portal_id == portal_id).order_by(MethodRow.name, MethodRow.version)
    ).all()


def newest(session: Session, portal_id: int, name: str, states: Collection[str]) -> MethodRow | None:
    """The newest version of a method in one of these states."""
    return session.scalar(
        select(MethodRow)
        .where(MethodRow.portal_id == portal_id, MethodRow.name == name, MethodRow.state.in_(states))
        .order_by(MethodRow.version.desc())
        .limit(1)
    )


def last_number(session: Session, portal_id: int, name: str) -> int:
    """The highest number given to a version of a method, 0 before the first."""
    found = session.scalar(
        select(func.max(MethodRow.version)).where(MethodRow.portal_id == portal_id, MethodRow.name == name)
    )
    return int(found or 0)


def ever_published(session: Session, portal_id: int) -> bool:
    """Whether a version of any method was published on the portal."""
    query = select(MethodRow.name).where(MethodRow.portal_id == portal_id, MethodRow.published_at.is_not(None))
    return session.scalar(query.limit(1)) is not None


def hold_publishing(session: Session, portal_id: int) -> Portal:
    """Let nobody else publish on the portal until the transaction's end, and read the portal as it is now.

    Raises `WrongUse` when somebody else is about it at this moment.
    """
    keys = {"space": _PUBLISHING, "portal": portal_id}
    if not session.scalar(text("SELECT pg_try_advisory_xact_lock(:space, :portal)"), keys):
        raise WrongUse("somebody else is publishing on this portal at this moment: look at `method list` and repeat")
    return session.get_one(Portal, portal_id, with_for_update=True, populate_existing=True)


def add_release(
    session: Session,
    portal_id: int,
    label: str,
    scope: str,
    ids: Sequence[str],
    *,
    effective_from: date,
    state: str,
    replaced: str | None,
    by: str,
    now: datetime,
) -> ReleaseRow:
    """Keep that a version was let out."""
    row = ReleaseRow(
        portal_id=portal_id,
        method=label,
        scope=scope,
        ids=list(ids),
        effective_from=effective_from,
        state=state,
        replaced=replaced,
        made_by=by,
        made_at=now,
    )
    session.add(row)
    session.flush()
    return row


def releases(session: Session, portal_id: int, *states: str) -> Sequence[ReleaseRow]:
    """The portal's releases in these states (all of them without any), the newest first."""
    query = select(ReleaseRow).where(ReleaseRow.portal_id == portal_id).order_by(ReleaseRow.release_id.desc())
    return session.scalars(query.where(ReleaseRow.state.in_(states)) if states else query).all()


def proposals(session: Session) -> Sequence[MethodRow]:
    """Drafts that the service itself proposed and nobody has decided about."""
    query = select(MethodRow).where(MethodRow.state.in_((DRAFT, REVIEWED)), MethodRow.author == "system")
    return session.scalars(query.order_by(MethodRow.portal_id, MethodRow.name, MethodRow.version)).all()


@lru_cache(maxsize=256)
def _opened(body: str, digest: str, label: str) -> MethodVersion:
    """Read once for all runs and events of the process: a version never changes."""
    if hashlib.sha256(body.encode()).hexdigest() != digest:
        raise WrongUse(
            f"the stored text of {label} is not what was published (its digest differs): put it back from a backup,"
            " or publish another version"
        )
    try:
        version = MethodVersion.from_json(body)
    except ScoringError as error:
        raise WrongUse(f"the stored text of {label} cannot be read: {error}") from None
    if version.label != label:
        raise WrongUse(f"the row of {label} holds {version.label}: put it back from a backup")
    return version
