"""What was sent to each portal, hour by hour: operations, kinds of answers, time. Never a payload or a record's id."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from connector.errors import DatabaseAway
from connector.store.database import Database
from connector.store.models import RequestRow

_EVERY_S = 10.0
_NUMBER = re.compile(r"\d+")
_LONGEST = 60
NO_ANSWER = "none"
THROTTLED = "429"
_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)
"""The hour of the sums of what is forgotten."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests of a portal since some moment, and how many of them were answered with "slow down"."""

    portal_id: int
    requests: int
    throttled: int
    failed: int


@dataclass(frozen=True, slots=True)
class HourOf:
    """Requests of one operation with one kind of answer in an hour, and how long one took in the mean."""

    hour: datetime
    operation: str
    status: str
    count: int
    mean_ms: int


class RequestLog:
    """Counts requests of one portal and stores the sums now and then, and when it is closed.

    A killed process takes the last seconds with it: these are figures, not accounts. Safe to share between threads.
    """

    def __init__(self, database: Database, portal_id: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._portal_id = portal_id
        self._clock = clock
        self._lock = threading.Lock()
        self._stored_at = clock()
        self._sums: dict[tuple[datetime, str, str], tuple[int, int]] = {}

    def note(self, operation: str, status: str, seconds: float) -> None:
        """Count one request; `status` is a kind of answer such as `2xx`."""
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        key = (hour, operation_name(operation), status)
        with self._lock:
            count, ms = self._sums.get(key, (0, 0))
            self._sums[key] = (count + 1, ms + round(seconds * 1000))
            due = self._clock() - self._stored_at > _EVERY_S
        if due:
            self.close()

    def close(self) -> None:
        """Store what was counted; while the database is away it is kept for later."""
        with self._lock:
            sums, self._sums = self._sums, {}
            self._stored_at = self._clock()
        if not sums:
            return
        try:
            with self._database.session() as session:
                _add(session, self._portal_id, sums)
        except DatabaseAway:
            with self._lock:
                for key, (count, ms) in sums.items():
                    before = self._sums.get(key, (0, 0))
                    self._sums[key] = (before[0] + count, before[1] + ms)


def operation_name(label: str) -> str:
    """The label of a call without what differs from call to call: lists after a colon, and numbers."""
    return _NUMBER.sub("#", label.split(":", 1)[0].split("?", 1)[0])[:_LONGEST]


def traffic(session: Session, since: datetime) -> list[Traffic]:
    """Sums by portal over the hours from `since` on."""
    throttled = func.coalesce(func.sum(RequestRow.count).filter(RequestRow.status == THROTTLED), 0)
    failed = func.coalesce(func.sum(RequestRow.count).filter(RequestRow.status.in_(["5xx", NO_ANSWER])), 0)
    rows = session.execute(
        select(RequestRow.portal_id, func.sum(RequestRow.count), throttled, failed)
        .where(RequestRow.hour >= since)
        .group_by(RequestRow.portal_id)
        .order_by(RequestRow.portal_id)
    )
    return [Traffic(portal_id, int(all_), int(slow), int(bad)) for portal_id, all_, slow, bad in rows]


def hourly(session: Session, portal_id: int, since: datetime, limit: int = 5000) -> list[HourOf]:
    """A portal's requests from the hour of a moment on, newest hour first."""
    rows = session.scalars(
        select(RequestRow)
        .where(RequestRow.portal_id == portal_id, RequestRow.hour >= since.replace(minute=0, second=0, microsecond=0))
        .order_by(RequestRow.hour.desc(), RequestRow.count.desc(), RequestRow.operation, RequestRow.status)
        .limit(limit)
    )
    return [HourOf(row.hour, row.operation, row.status, row.count, round(row.ms / row.count)) for row in rows]


def totals(session: Session) -> list[tuple[int, str, int]]:
    """(portal, kind of answer, requests) since the portal was connected. Never falls."""
    rows = session.execute(
        select(RequestRow.portal_id, RequestRow.status, func.sum(RequestRow.count))
        .group_by(RequestRow.portal_id, RequestRow.status)
        .order_by(RequestRow.portal_id, RequestRow.status)
    )
    return [(portal_id, status, int(count)) for portal_id, status, count in rows]


def fold_older(session: Session, before: datetime) -> int:
    """Turn the hours before a moment into one sum for each portal and kind of answer; returns how many rows went."""
    old = (RequestRow.hour < before, RequestRow.hour > _BEFORE_ALL)
    sums = session.execute(
        select(RequestRow.portal_id, RequestRow.status, func.sum(RequestRow.count), func.sum(RequestRow.ms))
        .where(*old)
        .group_by(RequestRow.portal_id, RequestRow.status)
    )
    for portal_id, status, count, ms in sums.all():
        _add(session, portal_id, {(_BEFORE_ALL, "", status): (int(count), int(ms))})
    return int(session.execute(delete(RequestRow).where(*old)).rowcount)  # type: ignore[attr-defined]


def _add(session: Session, portal_id: int, sums: dict[tuple[datetime, str, str], tuple[int, int]]) -> None:
    statement = insert(RequestRow)
    # one order for all writers, so that two of them never wait for each other
    rows = [
        {"portal_id": portal_id, "hour": hour, "operation": operation, "status": status, "count": count, "ms": ms}
        for (hour, operation, status), (count, ms) in sorted(sums.items())
    ]
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["portal_id", "hour", "operation", "status"],
            set_={
                "count": RequestRow.count + statement.excluded.count,
                "ms": RequestRow.ms + statement.excluded.ms,
            },
        ),
        rows,
    )
