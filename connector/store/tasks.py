"""Tasks as rows: planned in one transaction with the moves they answer, sent, settled. None is ever made twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from adapters.records import CustomerKind, CustomerRef, Priority, TaskDraft
from connector.store.models import CustomerRow, MoveRow, RunRow, TaskRow

OPEN_STATES = ("planned", "sending")


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task that has no final word. `sending` means a call may have created it before it was cut off."""

    draft: TaskDraft
    sending: bool


def add_planned(session: Session, rows: Sequence[dict[str, Any]]) -> int:
    """Plan tasks; one that exists already (same key, or same customer, rule and event) is left as it is."""
    if not rows:
        return 0
    before = session.scalar(select(func.count()).select_from(TaskRow).where(TaskRow.portal_id == rows[0]["portal_id"]))
    session.execute(insert(TaskRow).on_conflict_do_nothing(), list(rows))
    after = session.scalar(select(func.count()).select_from(TaskRow).where(TaskRow.portal_id == rows[0]["portal_id"]))
    return int(after or 0) - int(before or 0)


def planned_before(session: Session, portal_id: int, keys: Iterable[str]) -> set[str]:
    """Those of the keys that have a task already."""
    found = session.scalars(select(TaskRow.key).where(TaskRow.portal_id == portal_id, TaskRow.key.in_(list(keys))))
    return set(found)


def title_of(session: Session, portal_id: int, key: str) -> str:
    """A task's title; empty where there is no such task."""
    found = session.scalar(select(TaskRow.title).where(TaskRow.portal_id == portal_id, TaskRow.key == key))
    return found or ""


def titles(session: Session, portal_id: int, keys: Iterable[str]) -> dict[str, str]:
    """The titles of some tasks, by key."""
    found = session.execute(
        select(TaskRow.key, TaskRow.title).where(TaskRow.portal_id == portal_id, TaskRow.key.in_(list(keys)))
    )
    return {row[0]: row[1] for row in found}


def open_tasks(session: Session, portal_id: int, limit: int) -> list[OpenTask]:
    """The oldest tasks without a final word."""
    rows = session.execute(
        select(TaskRow, CustomerRow.kind, CustomerRow.external_id)
        .join(
            CustomerRow,
            (CustomerRow.portal_id == TaskRow.portal_id) & (CustomerRow.number == TaskRow.customer),
        )
        .where(TaskRow.portal_id == portal_id, TaskRow.state.in_(OPEN_STATES))
        .order_by(TaskRow.state.desc(), TaskRow.due_at, TaskRow.key)
        .limit(limit)
    )
    return [
        OpenTask(
            TaskDraft(
                key=task.key,
                customer=CustomerRef(CustomerKind(kind), external_id),
                manager_id=task.manager_id,
                title=task.title,
                body=task.body,
                due_at=task.due_at,
                priority=Priority(task.priority),
            ),
            task.state == "sending",
        )
        for task, kind, external_id in rows
    ]


def any_open(session: Session, portal_id: int, run_id: str) -> bool:
    """Whether a task of a run has no final word."""
    found = select(TaskRow.key).where(
        TaskRow.portal_id == portal_id, TaskRow.state.in_(OPEN_STATES), TaskRow.run_id == run_id
    )
    return session.scalar(found.limit(1)) is not None


def mark_sending(session: Session, portal_id: int, keys: Iterable[str]) -> None:
    """From now on these tasks may exist in the CRM."""
    session.execute(
        update(TaskRow).where(TaskRow.portal_id == portal_id, TaskRow.key.in_(list(keys))).values(state="sending")
    )


def settle(
    session: Session, portal_id: int, key: str, *, external_id: str | None, reason: str | None, now: datetime
) -> None:
    """A task's final word: created with the CRM's id, or refused with the reason."""
    session.execute(
        update(TaskRow)
        .where(TaskRow.portal_id == portal_id, TaskRow.key == key)
        .values(
            state="refused" if reason is not None else "created",
            external_id=external_id,
            reason=reason,
            settled_at=now,
        )
    )


def created_in(session: Session, portal_id: int, run_id: str) -> int:
    """Tasks of a run that the CRM holds."""
    return (
        session.scalar(
            select(func.count())
            .select_from(TaskRow)
            .where(TaskRow.portal_id == portal_id, TaskRow.run_id == run_id, TaskRow.state == "created")
        )
        or 0
    )


def refusals(session: Session, portal_id: int, run_id: str) -> list[dict[str, str | None]]:
    """Tasks of a run that the CRM refused, as customer, field, reason."""
    rows = session.execute(
        select(CustomerRow.kind, CustomerRow.external_id, TaskRow.reason)
        .join(
            CustomerRow,
            (CustomerRow.portal_id == TaskRow.portal_id) & (CustomerRow.number == TaskRow.customer),
        )
        .where(TaskRow.portal_id == portal_id, TaskRow.run_id == run_id, TaskRow.state == "refused")
        .order_by(TaskRow.customer)
    )
    return [{"customer": f"{kind}:{ext}", "field": "task", "reason": reason} for kind, ext, reason in rows]


def unhandled_moves(session: Session, portal_id: int, only: Sequence[int] | None = None) -> Sequence[MoveRow]:
    """Moves no task was considered for yet, oldest first; `only` names the customers."""
    statement = (
        select(MoveRow)
        .where(MoveRow.portal_id == portal_id, MoveRow.handled.is_(False))
        .order_by(MoveRow.as_of, MoveRow.run_id, MoveRow.customer)
    )
    if only is not None:
        statement = statement.where(MoveRow.customer.in_(only))
    return session.scalars(statement).all()


def moves_handled(session: Session, portal_id: int, only: Sequence[int] | None = None) -> None:
    """All moves read so far have got their tasks, in this same transaction."""
    statement = update(MoveRow).where(MoveRow.portal_id == portal_id, MoveRow.handled.is_(False)).values(handled=True)
    if only is not None:
        statement = statement.where(MoveRow.customer.in_(only))
    session.execute(statement)


def last_raised(session: Session, portal_id: int) -> dict[tuple[int, str], date]:
    """The last day on which each customer got a task of each rule."""
    rows = session.execute(
        select(TaskRow.customer, TaskRow.rule, func.max(TaskRow.raised_on))
        .where(TaskRow.portal_id == portal_id)
        .group_by(TaskRow.customer, TaskRow.rule)
    )
    return {(customer, rule): on for customer, rule, on in rows}


def raised_in_month(session: Session, portal_id: int, on: date) -> dict[tuple[int, str], int]:
    """How many tasks of each rule each customer got in the calendar month of `on`."""
    rows = session.execute(
        select(TaskRow.customer, TaskRow.rule, func.count())
        .where(
            TaskRow.portal_id == portal_id,
            func.date_trunc("month", TaskRow.raised_on) == func.date_trunc("month", text("CAST(:on AS date)")),
        )
        .group_by(TaskRow.customer, TaskRow.rule),
        {"on": on},
    )
    return {(customer, rule): count for customer, rule, count in rows}


def raised_today(
    session: Session, portal_id: int, on: date, since: datetime, rules: Iterable[str]
) -> dict[str | None, int]:
    """How many tasks of these rules each manager got on an as-of day, or by runs since a moment (the real day's)."""
    recent = select(RunRow.run_id).where(RunRow.portal_id == portal_id, RunRow.started_at >= since)
    rows = session.execute(
        select(TaskRow.manager_id, func.count())
        .where(
            TaskRow.portal_id == portal_id,
            or_(TaskRow.raised_on == on, TaskRow.run_id.in_(recent)),
            TaskRow.rule.in_(list(rules)),
        )
        .group_by(TaskRow.manager_id)
    )
    return {row[0]: row[1] for row in rows}
