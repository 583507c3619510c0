"""Alerts: what is not as it should be. A row and a log line change when a state changes, never by repetition."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from connector.store.models import AlertRow

log = logging.getLogger("rfm.alerts")
OPEN, CLOSED = "open", "closed"


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
    """Open an alert; returns False when it was open already, with its detail brought up to date."""
    row = session.get(AlertRow, alarm.key)
    if row is None:
        portal_id, kind, about = alarm.key
        row = AlertRow(portal_id=portal_id, kind=kind, about=about, state=CLOSED, since=now)
        session.add(row)
    news = row.state != OPEN
    if news:
        row.state, row.since = OPEN, now
        log.warning("alert opened portal=%d kind=%s about=%s %s", *alarm.key, _words(alarm.detail))
    row.last_at, row.detail = now, dict(alarm.detail)
    return news


def settle(session: Session, alarms: Iterable[Alarm], now: datetime) -> tuple[int, int]:
    """Make the alerts be what was just found: open the new ones, close those that are over. Returns how many of each.

    `alarms` is all that is wrong at this moment.
    """
    found = {alarm.key: alarm for alarm in alarms}
    opened = sum(raise_one(session, alarm, now) for alarm in found.values())
    over = [row for row in open_alerts(session) if (row.portal_id, row.kind, row.about) not in found]
    for row in over:
        log.warning("alert closed portal=%d kind=%s about=%s", row.portal_id, row.kind, row.about)
        row.state, row.since, row.last_at = CLOSED, now, now
    return opened, len(over)


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
