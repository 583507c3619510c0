"""What the pages show, read in a fixed number of queries: sums and paging are done by the database.

Nothing here changes a row. Every function takes the caller's session, so that a page is one consistent reading.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import ColumnElement, UnaryExpression, func, literal, select, text
from sqlalchemy.orm import Session

from connector.store.locks import held_portals
from connector.store.models import (
    AuditRow,
    ChangeRow,
    CustomerRow,
    ManagerRow,
    MethodRow,
    Portal,
    RunRow,
    ScoreRow,
    TaskRow,
)

Order = Literal["m", "r", "f", "quality", "customer"]
ORDERS: tuple[Order, ...] = ("m", "r", "f", "quality", "customer")
"""By what the customers' table can be sorted; each has its useful direction and ends with the customer's number."""


@dataclass(frozen=True, slots=True)
class SegmentTotal:
    """One segment of a portal. `money` is the sum of M, in the portal's currency; means are over its customers."""

    segment: str
    customers: int
    money: Decimal
    recency: Decimal
    frequency: Decimal
    quality: Decimal
    churn_risk: int
    upsell: int


@dataclass(frozen=True, slots=True)
class ScoredCustomer:
    """One line of the customers' table."""

    kind: str
    external_id: str
    gone: bool
    r: int
    f: int
    m: Decimal
    code: str
    segment: str
    segment_previous: str | None
    quality: int
    causes: int
    churn_risk: bool
    upsell: bool


@dataclass(frozen=True, slots=True)
class Task:
    """A task and where it stands. `manager` is the name, or the id where the name is not known."""

    kind: str
    external_id: str
    title: str
    manager: str | None
    priority: str
    due_at: datetime
    raised_on: date
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record the CRM refused in a run. `field` is None where the whole record was refused, `task` for a task."""

    kind: str
    external_id: str
    field: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Activity:
    """What goes on in portals, by portal id.

    The newest run and the newest with figures, the ids worked on at this moment, the last loss of access and why.
    """

    last_run: Mapping[int, RunRow] = field(default_factory=dict)
    last_counted: Mapping[int, RunRow] = field(default_factory=dict)
    working: Collection[int] = ()
    access_lost: Mapping[int, tuple[datetime, str]] = field(default_factory=dict)


def portals_page(session: Session, page: int, size: int) -> tuple[Sequence[Portal], int]:
    """Portals by name, page 1 first, and how many there are in all."""
    total = session.scalar(select(func.count()).select_from(Portal)) or 0
    rows = session.scalars(select(Portal).order_by(Portal.name).offset((page - 1) * size).limit(size)).all()
    return rows, total


def portal_named(session: Session, name: str) -> Portal | None:
    """The portal of that name, or None."""
    return session.scalar(select(Portal).where(Portal.name == name)) if "\0" not in name else None


def segment_totals(session: Session, portal_ids: Sequence[int]) -> dict[int, list[SegmentTotal]]:
    """The segments of each portal, in no order. One pass over the scores."""
    rows = session.execute(
        select(
            ScoreRow.portal_id,
            ScoreRow.segment,
            func.count(),
            func.sum(ScoreRow.m),
            func.avg(ScoreRow.r),
            func.avg(ScoreRow.f),
            func.avg(ScoreRow.quality),
            func.count().filter(ScoreRow.churn_risk),
            func.count().filter(ScoreRow.upsell),
        )
        .where(ScoreRow.portal_id.in_(portal_ids))
        .group_by(ScoreRow.portal_id, ScoreRow.segment)
    )
    found: dict[int, list[SegmentTotal]] = {portal_id: [] for portal_id in portal_ids}
    for portal_id, *values in rows:
        found[portal_id].append(SegmentTotal(*values))
    return found


def methods_in_force(session: Session, portal_ids: Sequence[int]) -> dict[int, MethodRow]:
    """The published version each portal scores with; portals without one are left out."""
    rows = session.scalars(
        select(MethodRow)
        .join(Portal, Portal.portal_id == MethodRow.portal_id)
        .where(
            MethodRow.portal_id.in_(portal_ids),
            Portal.method == func.concat(MethodRow.name, "@", MethodRow.version),
        )
    )
    return {row.portal_id: row for row in rows}


def best_customers(session: Session, portal_ids: Sequence[int], count: int) -> dict[int, list[ScoredCustomer]]:
    """The customers with the largest M of each portal."""
    best = (
        select(ScoreRow.customer)
        .where(ScoreRow.portal_id == Portal.portal_id)
        .order_by(ScoreRow.m.desc(), ScoreRow.customer)
        .limit(count)
        .correlate(Portal)
        .lateral("best")
    )
    rows = session.execute(
        _customer_columns(Portal.__table__.c.portal_id)
        .select_from(Portal)
        .join(best, text("true"))
        .join(ScoreRow, (ScoreRow.portal_id == Portal.portal_id) & (ScoreRow.customer == best.c.customer))
        .join(CustomerRow, (CustomerRow.portal_id == Portal.portal_id) & (CustomerRow.number == best.c.customer))
        .where(Portal.portal_id.in_(portal_ids))
        .order_by(ScoreRow.m.desc(), ScoreRow.customer)
    )
    found: dict[int, list[ScoredCustomer]] = {portal_id: [] for portal_id in portal_ids}
    for portal_id, *values in rows:
        found[portal_id].append(ScoredCustomer(*values))
    return found


def customers_page(
    session: Session, portal_id: int, *, segment: str | None, order: Order, page: int, size: int, total: int
) -> list[ScoredCustomer]:
    """One page of `total` scored customers, page 1 first; `segment` None means all of them.

    The page's numbers are found first, in the narrow table, and only they are joined with the cards. A page of the
    second half is counted from the end, so that the last one costs no more than the first.
    """
    wanted = select(ScoreRow.customer).where(ScoreRow.portal_id == portal_id)
    if segment is not None:
        wanted = wanted.where(ScoreRow.segment == segment)
    before, after = (page - 1) * size, max(0, total - page * size)
    from_end = after < before
    numbers = (
        wanted.order_by(*_ordering(order, backwards=from_end))
        .offset(after if from_end else before)
        .limit(min(size, max(0, total - before)))
        .subquery("numbers")
    )
    rows = session.execute(
        _customer_columns()
        .select_from(numbers)
        .join(ScoreRow, (ScoreRow.portal_id == portal_id) & (ScoreRow.customer == numbers.c.customer))
        .join(CustomerRow, (CustomerRow.portal_id == portal_id) & (CustomerRow.number == numbers.c.customer))
        .order_by(*_ordering(order))
    )
    return [ScoredCustomer(*row) for row in rows]


def customer_found(session: Session, portal_id: int, external_id: str) -> list[ScoredCustomer]:
    """The scored company and contact with this id in the CRM, if there are."""
    rows = session.execute(
        _customer_columns()
        .select_from(CustomerRow)
        .join(ScoreRow, (ScoreRow.portal_id == portal_id) & (ScoreRow.customer == CustomerRow.number))
        .where(
            CustomerRow.portal_id == portal_id,
            CustomerRow.kind.in_(("company", "contact")),
            CustomerRow.external_id == external_id,
        )
        .order_by(CustomerRow.kind)
    )
    return [ScoredCustomer(*row) for row in rows]


def runs_of(session: Session, portal_id: int, count: int) -> Sequence[RunRow]:
    """The newest runs of a portal, newest first."""
    return session.scalars(
        select(RunRow).where(RunRow.portal_id == portal_id).order_by(RunRow.started_at.desc()).limit(count)
    ).all()


def latest_runs(session: Session, portal_ids: Sequence[int], count: int) -> Sequence[RunRow]:
    """The newest runs of several portals together, newest first."""
    return session.scalars(
        select(RunRow).where(RunRow.portal_id.in_(portal_ids)).order_by(RunRow.started_at.desc()).limit(count)
    ).all()


def refusals_of(session: Session, portal_id: int, run_id: str, count: int) -> list[Refusal]:
    """Records and tasks the CRM refused in a run, the first of them."""
    cards = select(ChangeRow.customer, ChangeRow.field.label("field"), ChangeRow.reason.label("reason")).where(
        ChangeRow.portal_id == portal_id, ChangeRow.run_id == run_id, ChangeRow.state == "refused"
    )
    tasks = select(TaskRow.customer, literal("task"), TaskRow.reason).where(
        TaskRow.portal_id == portal_id, TaskRow.run_id == run_id, TaskRow.state == "refused"
    )
    refused = cards.union_all(tasks).subquery("refused")
    rows = session.execute(
        select(CustomerRow.kind, CustomerRow.external_id, refused.c.field, refused.c.reason)
        .join(CustomerRow, (CustomerRow.portal_id == portal_id) & (CustomerRow.number == refused.c.customer))
        .order_by(refused.c.customer)
        .limit(count)
    )
    return [Refusal(*row) for row in rows]


def latest_tasks(session: Session, portal_id: int, count: int) -> list[Task]:
    """The tasks raised last, the most pressing first within a day."""
    rows = session.execute(
        select(
            CustomerRow.kind,
            CustomerRow.external_id,
            TaskRow.title,
            func.coalesce(ManagerRow.name, TaskRow.manager_id),
            TaskRow.priority,
            TaskRow.due_at,
            TaskRow.raised_on,
            TaskRow.state,
            TaskRow.reason,
        )
        .join(CustomerRow, (CustomerRow.portal_id == portal_id) & (CustomerRow.number == TaskRow.customer))
        .outerjoin(ManagerRow, (ManagerRow.portal_id == portal_id) & (ManagerRow.external_id == TaskRow.manager_id))
        .where(TaskRow.portal_id == portal_id)
        .order_by(TaskRow.raised_on.desc(), TaskRow.due_at, TaskRow.key)
        .limit(count)
    )
    return [Task(*row) for row in rows]


def activity(session: Session, portal_ids: Sequence[int]) -> Activity:
    """What goes on in these portals."""
    newest = (
        select(RunRow)
        .where(RunRow.portal_id.in_(portal_ids))
        .order_by(RunRow.portal_id, RunRow.started_at.desc())
        .distinct(RunRow.portal_id)
    )
    lost = session.execute(
        select(AuditRow.portal_id, AuditRow.at, AuditRow.detail)
        .where(AuditRow.portal_id.in_(portal_ids), AuditRow.action == "portal.access_lost")
        .order_by(AuditRow.portal_id, AuditRow.entry_id.desc())
        .distinct(AuditRow.portal_id)
    )
    return Activity(
        last_run={run.portal_id: run for run in session.scalars(newest)},
        last_counted={run.portal_id: run for run in session.scalars(newest.where(RunRow.counts.has_key("customers")))},
        working=held_portals(session),
        access_lost={portal_id: (at, str(detail.get("reason", ""))) for portal_id, at, detail in lost},
    )


def last_base(session: Session, portal_id: int) -> dict[str, int] | None:
    """What the last scoring of a whole portal had to go on (`scoring.sufficiency.Base`), None before the first."""
    found = session.scalar(
        select(RunRow.counts["base"])
        .where(RunRow.portal_id == portal_id, RunRow.counts.has_key("base"))
        .order_by(RunRow.started_at.desc())
        .limit(1)
    )
    return found or None


def _customer_columns(*first: ColumnElement[Any]) -> Any:
    return select(
        *first,
        CustomerRow.kind,
        CustomerRow.external_id,
        CustomerRow.gone,
        ScoreRow.r,
        ScoreRow.f,
        ScoreRow.m,
        ScoreRow.code,
        ScoreRow.segment,
        ScoreRow.segment_previous,
        ScoreRow.quality,
        ScoreRow.causes,
        ScoreRow.churn_risk,
        ScoreRow.upsell,
    )


def _ordering(order: Order, *, backwards: bool = False) -> tuple[UnaryExpression[Any], ...]:
    """Largest sums, most orders, longest silence, worst quality first; then by number, so that no two are equal."""
    falling = {"m": ScoreRow.m, "f": ScoreRow.f, "r": ScoreRow.r}
    number = ScoreRow.customer.desc() if backwards else ScoreRow.customer.asc()
    if order in falling:
        column: Any = falling[order]
        return (column.asc() if backwards else column.desc(), number)
    if order == "quality":
        return (ScoreRow.quality.desc() if backwards else ScoreRow.quality.asc(), number)
    return (number,)
