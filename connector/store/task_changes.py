"""What our tasks in the CRM have to become, and notes for cards, as rows: planned once, sent in order, settled."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from adapters.records import CustomerKind, CustomerRef
from connector.store.models import CustomerRow, TaskChangeRow, TaskRow

CHANGE, NOTE = "change", "note"
_DECIDED = ("created", "refused")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A change or a note that was not sent. `task_id` is the CRM's; None where it holds no such task."""

    change_id: int
    what: str
    source: str
    ref: CustomerRef
    body: Mapping[str, Any]
    task_id: str | None


def plan(
    session: Session,
    portal_id: int,
    what: str,
    source: str,
    *,
    task_key: str,
    customer: int,
    body: Mapping[str, Any],
    now: datetime,
) -> None:
    """Have it sent; what has the same source is sent once only."""
    row = {
        "portal_id": portal_id,
        "source": source,
        "task_key": task_key,
        "customer": customer,
        "what": what,
        "body": dict(body),
        "made_at": now,
    }
    session.execute(insert(TaskChangeRow).values(row).on_conflict_do_nothing())


def waiting(session: Session, portal_id: int, what: str, limit: int) -> list[Waiting]:
    """The oldest that can be sent now: of each task the first only, and none of a task that is still to be made."""
    first = (
        select(func.min(TaskChangeRow.change_id))
        .where(TaskChangeRow.portal_id == portal_id, TaskChangeRow.state == "planned", TaskChangeRow.what == what)
        .group_by(TaskChangeRow.task_key)
    )
    rows = session.execute(
        select(TaskChangeRow, CustomerRow.kind, CustomerRow.external_id, TaskRow.external_id)
        .join(
            CustomerRow,
            (CustomerRow.portal_id == TaskChangeRow.portal_id) & (CustomerRow.number == TaskChangeRow.customer),
        )
        .join(TaskRow, (TaskRow.portal_id == TaskChangeRow.portal_id) & (TaskRow.key == TaskChangeRow.task_key))
        .where(TaskChangeRow.portal_id == portal_id, TaskChangeRow.change_id.in_(first), TaskRow.state.in_(_DECIDED))
        .order_by(TaskChangeRow.change_id)
        .limit(limit)
    )
    return [
        Waiting(row.change_id, row.what, row.source, CustomerRef(CustomerKind(kind), external_id), row.body, task_id)
        for row, kind, external_id, task_id in rows
    ]


def tasks_waiting(session: Session, portal_id: int) -> set[str]:
    """Keys of the tasks that the CRM does not hold yet as they are meant to be."""
    found = session.scalars(
        select(TaskChangeRow.task_key).where(
            TaskChangeRow.portal_id == portal_id, TaskChangeRow.state == "planned", TaskChangeRow.what == CHANGE
        )
    )
    return set(found)


def any_waiting(session: Session, portal_id: int) -> bool:
    """Whether something is to be sent."""
    found = select(TaskChangeRow.change_id).where(
        TaskChangeRow.portal_id == portal_id, TaskChangeRow.state == "planned"
    )
    return session.scalar(found.limit(1)) is not None


def settle(
    session: Session, portal_id: int, change_id: int, *, external_id: str | None, reason: str | None, now: datetime
) -> None:
    """The final word: sent, or refused with the reason."""
    session.execute(
        update(TaskChangeRow)
        .where(TaskChangeRow.portal_id == portal_id, TaskChangeRow.change_id == change_id)
        .values(state="sent" if reason is None else "refused", external_id=external_id, reason=reason, settled_at=now)
    )


def give_up_closed(session: Session, portal_id: int, task_keys: Collection[str], now: datetime) -> None:
    """Drop what was to be done to tasks that a person closed or deleted meanwhile."""
    session.execute(
        update(TaskChangeRow)
        .where(
            TaskChangeRow.portal_id == portal_id,
            TaskChangeRow.task_key.in_(task_keys),
            TaskChangeRow.state == "planned",
            TaskChangeRow.what == CHANGE,
        )
        .values(state="refused", reason="the task was closed in the CRM", settled_at=now)
    )


def of_task(session: Session, portal_id: int, task_key: str) -> Sequence[TaskChangeRow]:
    """What was done to a task and said about it, in order."""
    return session.scalars(
        select(TaskChangeRow)
        .where(TaskChangeRow.portal_id == portal_id, TaskChangeRow.task_key == task_key)
        .order_by(TaskChangeRow.change_id)
    ).all()
