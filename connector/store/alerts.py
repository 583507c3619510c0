"""Alerts: what is not as it should be. A row and a log line change when a state changes, never by repetition.

Changes of one look at one portal are one notice for each channel, written in the same transaction: a kill neither loses
a notice nor makes another. `connector.jobs.telling` sends them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from connector.store.models import AlertRow, NoticeRow

log = logging.getLogger("rfm.alerts")
OPEN, CLOSED = "open", "closed"
WAITING, SENT, FAILED = "waiting", "sent", "failed"
_SETTLING = 7_367


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something wrong: of which portal (0 is the service), of which kind, about what. No personal data in `detail`."""

    portal_id: int
    kind: str
    about: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[int, str, str]:
        """What makes two looks see the same alarm."""
        return (self.portal_id, self.kind, self.about)


def raise_one(session: Session, alarm: Alarm, now: datetime) -> bool:
    """Open an alert; returns False when it was open already, with its detail brought up to date.

    To be told by `settle`, which finds it opened and not told yet.
    """
    row = session.get(AlertRow, alarm.key)
    if row is None:
        portal_id, kind, about = alarm.key
        row = AlertRow(portal_id=portal_id, kind=kind, about=about, state=CLOSED, since=now, told=CLOSED)
        session.add(row)
    news = row.state != OPEN
    if news:
        row.state, row.since = OPEN, now
        log.warning("alert opened portal=%d kind=%s about=%s %s", *alarm.key, _words(alarm.detail))
    row.last_at, row.detail = now, dict(alarm.detail)
    return news


def settle(session: Session, alarms: Iterable[Alarm], now: datetime, channels: Sequence[str] = ()) -> tuple[int, int]:
    """Make the alerts be what was just found: open the new ones, close those that are over. Returns how many of each.

    `alarms` is all that is wrong at this moment. What changed is to be told through each of `channels`. Two that look
    at once wait for each other here, so that a change is told once.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SETTLING})
    found = {alarm.key: alarm for alarm in alarms}
    opened = [alarm for alarm in found.values() if raise_one(session, alarm, now)]
    over = [row for row in open_alerts(session) if (row.portal_id, row.kind, row.about) not in found]
    changes = [_change(row, OPEN) for row in open_alerts(session) if row.told != OPEN]
    for row in over:
        log.warning("alert closed portal=%d kind=%s about=%s", row.portal_id, row.kind, row.about)
        row.state, row.since, row.last_at = CLOSED, now, now
        changes.append(_change(row, CLOSED))
    _make_notices(session, changes, now, channels)
    return len(opened), len(over)


def tell(session: Session, portal_id: int, change: dict[str, Any], now: datetime, channels: Sequence[str]) -> None:
    """Have something told that is no alarm, such as a digest, through each of the channels."""
    _make_notices(session, [(portal_id, change)], now, channels)


def next_notice(session: Session, now: datetime) -> NoticeRow | None:
    """A notice that is due, held for this transaction, so that nobody else sends it meanwhile."""
    return session.scalar(
        select(NoticeRow)
        .where(NoticeRow.state == WAITING, NoticeRow.due_at <= now)
        .order_by(NoticeRow.due_at, NoticeRow.notice_id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def notices_waiting(session: Session) -> int:
    """Notices that have not reached anybody yet."""
    return session.scalar(select(func.count()).select_from(NoticeRow).where(NoticeRow.state == WAITING)) or 0


def forget_notices(session: Session, before: datetime) -> int:
    """Drop notices made before a moment; those that still wait are too old to be told."""
    return int(session.execute(delete(NoticeRow).where(NoticeRow.made_at < before)).rowcount)  # type: ignore[attr-defined]


def _change(row: AlertRow, state: str) -> tuple[int, dict[str, Any]]:
    """What is to be told of an alert; told with this."""
    row.told = state
    return row.portal_id, {"state": state, "kind": row.kind, "about": row.about, "detail": dict(row.detail)}


def _make_notices(
    session: Session, changes: Sequence[tuple[int, dict[str, Any]]], now: datetime, channels: Sequence[str]
) -> None:
    by_portal: dict[int, list[dict[str, Any]]] = {}
    for portal_id, change in changes:
        by_portal.setdefault(portal_id, []).append(change)
    for portal_id, together in by_portal.items():
        for channel in channels:
            session.add(
                NoticeRow(
                    portal_id=portal_id, channel=channel, changes=together, state=WAITING, made_at=now, due_at=now
                )
            )


def open_alerts(session: Session, portal_id: int | None = None) -> Sequence[AlertRow]:
    """What is wrong now, the oldest first; of one portal, or of all."""
    query = select(AlertRow).where(AlertRow.state == OPEN).order_by(AlertRow.since, AlertRow.portal_id, AlertRow.kind)
    if portal_id is not None:
        query = query.where(AlertRow.portal_id == portal_id)
    return session.scalars(query).all()


def forget_closed(session: Session, before: datetime) -> int:
    """Drop alerts that were over before a moment."""
    return int(
        session.execute(delete(AlertRow).where(AlertRow.state == CLOSED, AlertRow.since < before)).rowcount  # type: ignore[attr-defined]
    )


def _words(detail: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in detail.items())
