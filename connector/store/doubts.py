"""Which stored scores rest on doubtful data: causes counted, and the customers who need a repair most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from connector.store.models import CustomerRow, ScoreRow
from scoring.quality import BEST, SOFTEN_BELOW, Cause

REPAIRABLE = ~Cause.SHORT_HISTORY


@dataclass(frozen=True, slots=True)
class Totals:
    """Of all scored customers.

    `causes` says how many customers each touches; those that touch none are left out. `perfect` have nothing to object
    to, `softened` are below the border at which deadlines are doubled.
    """

    scored: int
    mean: Decimal
    perfect: int
    softened: int
    causes: Mapping[Cause, int]


@dataclass(frozen=True, slots=True)
class Doubtful:
    """One customer with causes, as stored. `money` is M."""

    number: int
    kind: str
    external_id: str
    gone: bool
    method: str
    code: str
    segment: str
    money: Decimal
    quality: int
    causes: int


def totals(session: Session, portal_id: int) -> Totals:
    """One pass over the scores."""
    touched = [func.count().filter(ScoreRow.causes.op("&")(cause.value) != 0) for cause in Cause]
    row = session.execute(
        select(
            func.count(),
            func.coalesce(func.avg(ScoreRow.quality), 0),
            func.count().filter(ScoreRow.quality == BEST),
            func.count().filter(ScoreRow.quality < SOFTEN_BELOW),
            *touched,
        ).where(ScoreRow.portal_id == portal_id)
    ).one()
    scored, mean, perfect, softened, *counts = row
    causes = {cause: int(count) for cause, count in zip(Cause, counts, strict=True) if count}
    return Totals(int(scored), Decimal(mean), int(perfect), int(softened), causes)


def doubtful(session: Session, portal_id: int, cause: Cause | None, count: int) -> list[Doubtful]:
    """The customers with the lowest quality, of equal ones the largest first.

    `cause` None means any that a person can repair: a short history is repaired by time alone.
    """
    chosen = select(ScoreRow.customer).where(ScoreRow.portal_id == portal_id)
    wanted = ScoreRow.causes.op("&")((REPAIRABLE if cause is None else cause).value) != 0
    numbers = (
        chosen.where(wanted).order_by(ScoreRow.quality, ScoreRow.m.desc(), ScoreRow.customer).limit(count).subquery()
    )
    rows: Any = session.execute(
        select(
            ScoreRow.customer,
            CustomerRow.kind,
            CustomerRow.external_id,
            CustomerRow.gone,
            ScoreRow.method,
            ScoreRow.code,
            ScoreRow.segment,
            ScoreRow.m,
            ScoreRow.quality,
            ScoreRow.causes,
        )
        .join(numbers, ScoreRow.customer == numbers.c.customer)
        .join(CustomerRow, (CustomerRow.portal_id == portal_id) & (CustomerRow.number == ScoreRow.customer))
        .where(ScoreRow.portal_id == portal_id)
        .order_by(ScoreRow.quality, ScoreRow.m.desc(), ScoreRow.customer)
    )
    return [Doubtful(*row) for row in rows]
