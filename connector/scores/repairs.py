"""What to repair in a portal's data, in which order, and which segment a customer would have then.

Reads scores and orders, counts again under the assumptions of `scoring.repair`, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from adapters.fields import zone
from connector.scores.moments import Moment, as_of_moment, day_number
from connector.store import doubts, methods, scores, uncounted
from connector.store.doubts import Doubtful
from connector.store.mirror import Weight
from connector.store.models import UNIT_PLACES, Portal
from connector.store.uncounted import Undated
from scoring.features import summarise
from scoring.frames import Orders
from scoring.methods import Language, MethodVersion, apply
from scoring.quality import Cause, causes_in
from scoring.repair import Doubts, assumption, copies, repaired

WORST = 25
_ORPHANS = 20
_LEAVES_NUMBERS = Cause.SHORT_HISTORY | Cause.MANAGER_MISSING | Cause.MANAGER_INACTIVE | Cause.ORDER_WITHOUT_MANAGER
_CHANGES_NUMBERS = Cause.AMOUNT_ABSENT | Cause.AMOUNT_ZERO | Cause.DATE_MISSING | Cause.DUPLICATE


@dataclass(frozen=True, slots=True)
class Repair:
    """One customer on the list. `repaired_*` follows from the assumptions; None where nothing is assumed."""

    customer: Doubtful
    causes: tuple[Cause, ...]
    repaired_code: str | None
    repaired_segment: str | None

    @property
    def moves(self) -> bool:
        """Whether the segment would be another one."""
        return self.repaired_segment not in {None, self.customer.segment}


@dataclass(frozen=True, slots=True)
class RepairList:
    """A portal's list. `orphans` are won orders that belong to nobody; `chosen` is the cause asked for."""

    portal: str
    as_of: date
    totals: doubts.Totals
    worst: tuple[Repair, ...]
    orphans: uncounted.Orphans
    chosen: Cause | None

    def as_json(self, language: Language) -> dict[str, Any]:
        """Plain values, with the sentences of one language."""
        return {
            "portal": self.portal,
            "as_of": self.as_of.isoformat(),
            "scored": self.totals.scored,
            "mean": str(round(self.totals.mean, 1)),
            "perfect": self.totals.perfect,
            "softened": self.totals.softened,
            "causes": [
                {
                    "cause": str(cause.name).lower(),
                    "customers": count,
                    "weight": cause.weight,
                    "text": cause.text(language),
                    "if_repaired": assumption(cause, language),
                }
                for cause, count in ordered(self.totals.causes.items())
            ],
            "orders_without_customer": {"count": self.orphans.count, "newest": list(self.orphans.ids)},
            "worst": [_plain(repair) for repair in self.worst],
        }


def ordered(counts: Iterable[tuple[Cause, int]]) -> list[tuple[Cause, int]]:
    """What costs most points over all customers first."""
    return sorted(counts, key=lambda pair: (-pair[0].weight * pair[1], pair[0].value))


def repair_list(
    session: Session, portal: Portal, *, now: datetime, cause: Cause | None = None, worst: int = WORST
) -> RepairList:
    """Causes of the last scores, and the customers with the lowest quality, at most `worst` of them."""
    today = as_of_moment(portal.time_zone, None, now).day
    day = scores.last_as_of(session, portal.portal_id)
    moment = as_of_moment(portal.time_zone, min(day, today) if day else None, now)
    found = doubts.doubtful(session, portal.portal_id, cause, worst)
    after = _after_repair(session, portal, moment, found)
    return RepairList(
        portal.name,
        moment.day,
        doubts.totals(session, portal.portal_id),
        tuple(
            Repair(customer, causes_in(customer.causes), *after.get(customer.number, (None, None)))
            for customer in found
        ),
        uncounted.orphans(session, portal, moment.until, _ORPHANS),
        cause,
    )


def _unchanged(customer: Doubtful) -> tuple[str, str] | tuple[None, None]:
    """The same code and segment where no cause touches R, F and M, else nothing that could be assumed."""
    harmless = not customer.causes & ~_LEAVES_NUMBERS.value
    return (customer.code, customer.segment) if harmless else (None, None)


def _after_repair(
    session: Session, portal: Portal, moment: Moment, customers: Sequence[Doubtful]
) -> dict[int, tuple[str, str]]:
    """Number → code and segment under the assumptions, for those of whom something is assumed."""
    found: dict[int, tuple[str, str]] = {}
    for label in {customer.method for customer in customers}:
        row = methods.row_of(session, portal.portal_id, label)
        numbers = [
            customer.number
            for customer in customers
            if customer.method == label and customer.causes & _CHANGES_NUMBERS.value
        ]
        if row is not None and numbers:
            found |= _scored_again(session, portal, moment, methods.opened(row), sorted(numbers))
    return found


def _scored_again(
    session: Session, portal: Portal, moment: Moment, version: MethodVersion, numbers: list[int]
) -> dict[int, tuple[str, str]]:
    method = version.method
    rows = list(
        scores.read_orders(session, portal.portal_id, moment.number, moment.until, only=numbers, filters=method.filters)
    )
    if not rows:
        return {}
    customer, day, units, weight = (
        np.concatenate([getattr(some, name) for some in rows]) for name in ("customer", "day", "units", "weight")
    )
    unknown = (weight == Weight.NO_RATE) | (weight == Weight.REFUND_NO_RATE)
    orders = Orders(customer.astype(np.int64), day, units, weight < Weight.REFUND, ~unknown, UNIT_PLACES)
    undated = uncounted.undated_of(session, portal, moment.until, numbers)
    again = repaired(
        orders,
        Doubts(
            absent=weight == Weight.NO_AMOUNT,
            zero=(weight == Weight.REFUND) & (units == 0),
            copies=copies(customer, day, units),
            undated=_dated(portal, undated) if undated else None,
        ),
    )
    summary = summarise(method.filters.sift(again), as_of=moment.number, window=method.window)
    scored = apply(version, summary)
    return {int(number): (scored.code(at), scored.segment_of(at)) for at, number in enumerate(summary.number.tolist())}


def _dated(portal: Portal, undated: Sequence[Undated]) -> Orders:
    """As orders on the day they were opened; where that is not known either, on a day far before any window."""
    here = zone(portal.time_zone)
    days = [day_number(deal.opened_at.astimezone(here).date()) if deal.opened_at else 0 for deal in undated]
    amounts = [_units(portal, deal) for deal in undated]
    return Orders(
        np.array([deal.customer for deal in undated], np.int64),
        np.array(days, np.int32),
        np.array([amount or 0 for amount in amounts], np.int64),
        np.array([deal.amount is None or deal.amount > 0 for deal in undated], np.bool_),
        np.array([amount is not None for amount in amounts], np.bool_),
        UNIT_PLACES,
    )


def _units(portal: Portal, deal: Undated) -> int | None:
    """In the base currency, None without a rate; no amount is 0."""
    if deal.amount is None:
        return 0
    same = deal.currency in {None, portal.currency}
    rate = Decimal(1) if same else _rate(portal, str(deal.currency))
    if rate is None:
        return None
    return int((deal.amount * rate).scaleb(UNIT_PLACES).to_integral_value(ROUND_HALF_UP))


def _rate(portal: Portal, currency: str) -> Decimal | None:
    found = portal.rates.get(currency)
    return None if found is None else Decimal(str(found))


def _plain(repair: Repair) -> dict[str, Any]:
    customer = repair.customer
    return {
        "customer": f"{customer.kind}:{customer.external_id}",
        "quality": customer.quality,
        "causes": [str(cause.name).lower() for cause in repair.causes],
        "code": customer.code,
        "segment": customer.segment,
        "m": str(customer.money),
        "code_if_repaired": repair.repaired_code,
        "segment_if_repaired": repair.repaired_segment,
    }
