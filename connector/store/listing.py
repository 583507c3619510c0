"""Long lists read piece by piece: each piece begins after the last row of the one before, by an index.

So the thousandth piece costs what the first does, and rows that come or go meanwhile neither repeat nor hide others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from connector.store.models import (
    AuditRow,
    ChangeRow,
    CustomerRow,
    LetterRow,
    ManagerRow,
    Portal,
    RequestRow,
    RunRow,
    ScoreRow,
    TaskRow,
    TeamRow,
    WorkRow,
)


@dataclass(frozen=True, slots=True)
class CustomerFilter:
    """Which scored customers; None stands for no condition, both ends of a range are within it."""

    kind: str | None = None
    segment: str | None = None
    code: str | None = None
    manager: str | None = None
    team: str | None = None
    churn_risk: bool | None = None
    upsell: bool | None = None
    r_min: int | None = None
    r_max: int | None = None
    f_min: int | None = None
    f_max: int | None = None
    m_min: Decimal | None = None
    m_max: Decimal | None = None
    quality_min: int | None = None
    quality_max: int | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """One scored customer. `number` is his place in the list."""

    number: int
    kind: str
    external_id: str
    gone: bool
    manager_id: str | None
    r: int
    f: int
    m: Decimal
    code: str
    segment: str
    segment_previous: str | None
    method: str
    quality: int
    causes: int
    churn_risk: bool
    upsell: bool
    changed_at: datetime
    orders_total: int
    held_segment: str | None


@dataclass(frozen=True, slots=True)
class ListedTask:
    """A task and where it stands. `key` is also in the CRM's task."""

    key: str
    kind: str
    external_id: str
    rule: str
    title: str
    manager_id: str | None
    priority: str
    due_at: datetime
    raised_on: date
    state: str
    reason: str | None
    crm_id: str | None
    run_id: str


@dataclass(frozen=True, slots=True)
class ListedRecord:
    """One card of a run's plan: what it was to hold, what it held, and what became of it."""

    number: int
    kind: str
    external_id: str
    state: str
    field: str | None
    reason: str | None
    values: dict[str, Any]
    before: dict[str, Any]
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class ListedLetter:
    """A card that could not be written and waits."""

    number: int
    kind: str
    external_id: str
    state: str
    field: str | None
    reason: str | None
    run_id: str
    first_at: datetime
    last_at: datetime
    times: int


def customers_after(
    session: Session, portal_id: int, wanted: CustomerFilter, after: int | None, limit: int
) -> list[Scored]:
    """Scored customers by number, after one of them."""
    members = None if wanted.team is None else _members(session, portal_id, wanted.team)
    query = _filtered(_scored().where(ScoreRow.portal_id == portal_id), wanted, members)
    if after is not None:
        query = query.where(ScoreRow.customer > after)
    return [Scored(*row) for row in session.execute(query.order_by(ScoreRow.customer).limit(limit))]


def customer_row(session: Session, portal_id: int, kind: str, external_id: str) -> CustomerRow | None:
    """A card that is known, scored or not."""
    return session.scalar(
        select(CustomerRow).where(
            CustomerRow.portal_id == portal_id, CustomerRow.kind == kind, CustomerRow.external_id == external_id
        )
    )


def scored_customer(session: Session, portal_id: int, number: int) -> Scored | None:
    """The score of one customer with his card."""
    found = session.execute(_scored().where(ScoreRow.portal_id == portal_id, ScoreRow.customer == number)).first()
    return Scored(*found) if found is not None else None


def portals_after(session: Session, after: str | None, limit: int, *, only: int | None = None) -> Sequence[Portal]:
    """Portals by name; `only` is the id of the one that may be seen."""
    query = select(Portal).order_by(Portal.name).limit(limit)
    if after is not None:
        query = query.where(Portal.name > after)
    if only is not None:
        query = query.where(Portal.portal_id == only)
    return session.scalars(query).all()


def runs_before(
    session: Session, portal_id: int, before: str | None, limit: int, *, kind: str | None = None
) -> Sequence[RunRow]:
    """Runs, the newest first: their ids sort by time."""
    query = select(RunRow).where(RunRow.portal_id == portal_id).order_by(RunRow.run_id.desc()).limit(limit)
    if before is not None:
        query = query.where(RunRow.run_id < before)
    if kind is not None:
        query = query.where(RunRow.kind == kind)
    return session.scalars(query).all()


def run_of(session: Session, portal_id: int, run_id: str) -> RunRow | None:
    """One run."""
    return session.get(RunRow, (portal_id, run_id))


def record_counts(session: Session, portal_id: int, run_id: str) -> dict[str, int] | None:
    """Cards of a run's plan by what became of them; None where there is no such run."""
    if run_of(session, portal_id, run_id) is None:
        return None
    rows = session.execute(
        select(ChangeRow.state, func.count())
        .where(ChangeRow.portal_id == portal_id, ChangeRow.run_id == run_id)
        .group_by(ChangeRow.state)
    )
    return {state: int(count) for state, count in rows}


def records_after(
    session: Session, portal_id: int, run_id: str, after: int | None, limit: int, *, state: str | None = None
) -> list[ListedRecord]:
    """Cards of a run's plan by the customer's number, while changes are kept."""
    change = ChangeRow
    query = (
        select(
            change.customer,
            CustomerRow.kind,
            CustomerRow.external_id,
            change.state,
            change.field,
            change.reason,
            change.values,
            change.before,
            change.settled_at,
        )
        .join(CustomerRow, (CustomerRow.portal_id == portal_id) & (CustomerRow.number == change.customer))
        .where(change.portal_id == portal_id, change.run_id == run_id)
        .order_by(change.customer)
        .limit(limit)
    )
    if after is not None:
        query = query.where(change.customer > after)
    if state is not None:
        query = query.where(change.state == state)
    return [ListedRecord(*row) for row in session.execute(query)]


def tasks_before(
    session: Session,
    portal_id: int,
    before: tuple[date, str] | None,
    limit: int,
    *,
    state: str | None = None,
    manager: str | None = None,
) -> list[ListedTask]:
    """Tasks, those raised last first."""
    query: Any = (
        select(
            TaskRow.key,
            CustomerRow.kind,
            CustomerRow.external_id,
            TaskRow.rule,
            TaskRow.title,
            TaskRow.manager_id,
            TaskRow.priority,
            TaskRow.due_at,
            TaskRow.raised_on,
            TaskRow.state,
            TaskRow.reason,
            TaskRow.external_id,
            TaskRow.run_id,
        )
        .join(CustomerRow, (CustomerRow.portal_id == portal_id) & (CustomerRow.number == TaskRow.customer))
        .where(TaskRow.portal_id == portal_id)
        .order_by(TaskRow.raised_on.desc(), TaskRow.key.desc())
        .limit(limit)
    )
    if before is not None:
        day, key = before
        query = query.where(TaskRow.raised_on <= day, tuple_(TaskRow.raised_on, TaskRow.key) < tuple_(day, key))
    if state is not None:
        query = query.where(TaskRow.state == state)
    if manager is not None:
        query = query.where(TaskRow.manager_id == manager)
    return [ListedTask(*row) for row in session.execute(query)]


def letters_after(session: Session, portal_id: int, after: int | None, limit: int) -> list[ListedLetter]:
    """Cards that wait, by the customer's number."""
    query: Any = (
        select(
            LetterRow.customer,
            CustomerRow.kind,
            CustomerRow.external_id,
            LetterRow.state,
            LetterRow.field,
            LetterRow.reason,
            LetterRow.run_id,
            LetterRow.first_at,
            LetterRow.last_at,
            LetterRow.times,
        )
        .join(CustomerRow, (CustomerRow.portal_id == portal_id) & (CustomerRow.number == LetterRow.customer))
        .where(LetterRow.portal_id == portal_id)
        .order_by(LetterRow.customer)
        .limit(limit)
    )
    if after is not None:
        query = query.where(LetterRow.customer > after)
    return [ListedLetter(*row) for row in session.execute(query)]


def audit_before(
    session: Session, portal_id: int, before: int | None, limit: int, *, since: datetime | None = None
) -> Sequence[AuditRow]:
    """The audit trail of a portal (0: of the service), the newest line first."""
    query = select(AuditRow).where(AuditRow.portal_id == portal_id).order_by(AuditRow.entry_id.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditRow.entry_id < before)
    if since is not None:
        query = query.where(AuditRow.at >= since)
    return session.scalars(query).all()


def requests_before(
    session: Session, portal_id: int, before: tuple[datetime, str, str] | None, limit: int, *, since: datetime
) -> Sequence[RequestRow]:
    """Sums of what was sent to a portal, the newest hour first."""
    key = tuple_(RequestRow.hour, RequestRow.operation, RequestRow.status)
    query = (
        select(RequestRow)
        .where(RequestRow.portal_id == portal_id, RequestRow.hour >= since)
        .order_by(RequestRow.hour.desc(), RequestRow.operation.desc(), RequestRow.status.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(key < tuple_(*before))
    return session.scalars(query).all()


def work_of(session: Session, portal_id: int) -> Sequence[WorkRow]:
    """Background work of a portal, by name."""
    return session.scalars(select(WorkRow).where(WorkRow.portal_id == portal_id).order_by(WorkRow.job)).all()


def managers_after(session: Session, portal_id: int, after: str | None, limit: int) -> Sequence[ManagerRow]:
    """Staff by their id in the CRM."""
    query = select(ManagerRow).where(ManagerRow.portal_id == portal_id).order_by(ManagerRow.external_id).limit(limit)
    return session.scalars(query if after is None else query.where(ManagerRow.external_id > after)).all()


def teams_after(session: Session, portal_id: int, after: str | None, limit: int) -> Sequence[TeamRow]:
    """Teams by their id in the CRM."""
    query = select(TeamRow).where(TeamRow.portal_id == portal_id).order_by(TeamRow.external_id).limit(limit)
    return session.scalars(query if after is None else query.where(TeamRow.external_id > after)).all()


def _scored() -> Any:
    score, card = ScoreRow, CustomerRow
    found: Any = select(
        score.customer,
        card.kind,
        card.external_id,
        card.gone,
        card.manager_id,
        score.r,
        score.f,
        score.m,
        score.code,
        score.segment,
        score.segment_previous,
        score.method,
        score.quality,
        score.causes,
        score.churn_risk,
        score.upsell,
        score.changed_at,
        score.orders_total,
        score.held_segment,
    ).join(card, (card.portal_id == score.portal_id) & (card.number == score.customer))
    return found


_RANGES = ("r", "f", "m", "quality")
_EQUAL = ("segment", "code", "churn_risk", "upsell")


def _members(session: Session, portal_id: int, team: str) -> Sequence[str]:
    return session.scalars(
        select(ManagerRow.external_id).where(ManagerRow.portal_id == portal_id, ManagerRow.team_ids.contains([team]))
    ).all()


def _filtered(query: Any, wanted: CustomerFilter, members: Sequence[str] | None) -> Any:
    columns: Any = ScoreRow.__table__.c
    for name in _EQUAL:
        if (value := getattr(wanted, name)) is not None:
            query = query.where(columns[name] == value)
    for name in _RANGES:
        if (least := getattr(wanted, f"{name}_min")) is not None:
            query = query.where(columns[name] >= least)
        if (most := getattr(wanted, f"{name}_max")) is not None:
            query = query.where(columns[name] <= most)
    if wanted.kind is not None:
        query = query.where(CustomerRow.kind == wanted.kind)
    if wanted.manager is not None:
        query = query.where(CustomerRow.manager_id == wanted.manager)
    if members is not None:
        query = query.where(CustomerRow.manager_id.in_(members))
    return query
