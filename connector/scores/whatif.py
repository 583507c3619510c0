"""What another version would do: the same orders scored by two versions, as arrays, and who would move where.

Nothing is stored. A million customers take seconds: nothing here looks at a customer by himself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from connector.scores.counting import count_portal, counts_alike
from connector.scores.moments import Moment
from connector.scores.steadying import previous_of
from connector.store import scores, stages
from connector.store.models import Portal
from scoring.frames import Bool, Customers, Int64
from scoring.methods import MethodVersion, apply

NOBODY = -1
"""Stands for no score in the arrays."""


@dataclass(frozen=True, slots=True)
class Mover:
    """One customer who would change segment; None where there is no score."""

    customer: str
    was: str | None
    now: str | None
    code_was: str | None
    code_now: str | None
    m: int


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Two versions on the same orders, one entry in every array for each customer that either scores.

    `was` and `now` point into the segments of `live` and `draft`, `NOBODY` for no score. `moved`: whose segment would
    have another value; new and lost scores count. `cards` counts what would be written by kind, `only_label` those of
    them on which nothing but the version changes.
    """

    live: MethodVersion
    draft: MethodVersion
    number: Int64
    was: Int64
    now: Int64
    code_was: Int64
    code_now: Int64
    m: Int64
    moved: Bool
    churn_on: int
    churn_off: int
    upsell_on: int
    upsell_off: int
    cards: Mapping[str, int]
    only_label: int

    def flows(self) -> list[tuple[str | None, str | None, int]]:
        """From segment, to segment, customers; the largest first. Those who stay are among them."""
        left, right = self.live.method.segments, self.draft.method.segments
        width = len(right) + 1
        counts = np.bincount((self.was + 1) * width + (self.now + 1), minlength=1)
        found = []
        for place in np.flatnonzero(counts):
            a, b = int(place) // width - 1, int(place) % width - 1
            found.append((left[a].value if a >= 0 else None, right[b].value if b >= 0 else None, int(counts[place])))
        return sorted(found, key=lambda flow: (-flow[2], flow[0] or "", flow[1] or ""))


def compare(
    session: Session, portal: Portal, moment: Moment, live: MethodVersion, draft: MethodVersion, *, is_now: bool
) -> Comparison:
    """Score a portal's orders as of a moment by both. `is_now`: rules of stability see what customers are today."""
    flags = scores.customer_flags(session, portal.portal_id)
    counted = count_portal(session, portal.portal_id, moment, live.method, flags)
    other = counted
    if not counts_alike(live.method, draft.method):
        other = count_portal(session, portal.portal_id, moment, draft.method, flags)
    before = previous_of(session, portal.portal_id, live, counted, moment) if is_now else None
    old = apply(live, counted.summary, before)
    before = previous_of(session, portal.portal_id, draft, other, moment) if is_now else None
    new = apply(draft, other.summary, before)
    return _compared(session, portal, live, draft, old, new)


def movers(session: Session, portal: Portal, found: Comparison, limit: int) -> list[Mover]:
    """The customers with the largest sums among those who would change segment."""
    places = np.flatnonzero(found.moved)
    best = places[np.argsort(-found.m[places], kind="stable")[:limit]]
    refs = stages.refs_of(session, portal.portal_id, found.number[best].tolist())
    left, right = found.live.method, found.draft.method
    shown = []
    for at in best.tolist():
        a, b = int(found.was[at]), int(found.now[at])
        shown.append(
            Mover(
                customer=refs[int(found.number[at])],
                was=left.segments[a].value if a >= 0 else None,
                now=right.segments[b].value if b >= 0 else None,
                code_was=left.grid.codes[int(found.code_was[at])] if a >= 0 else None,
                code_now=right.grid.codes[int(found.code_now[at])] if b >= 0 else None,
                m=int(found.m[at]),
            )
        )
    return shown


def _compared(
    session: Session, portal: Portal, live: MethodVersion, draft: MethodVersion, old: Customers, new: Customers
) -> Comparison:
    number = np.union1d(old.number, new.number)
    here, there = np.searchsorted(number, old.number), np.searchsorted(number, new.number)

    def spread(places: NDArray[np.intp], values: NDArray[Any], empty: int) -> Int64:
        whole = np.full(len(number), empty, np.int64)
        whole[places] = values
        return whole

    was, now = spread(here, old.segment, NOBODY), spread(there, new.segment, NOBODY)
    code_was, code_now = spread(here, old.cell, NOBODY), spread(there, new.cell, NOBODY)
    churn = spread(here, old.churn_risk, 0), spread(there, new.churn_risk, 0)
    upsell = spread(here, old.upsell, 0), spread(there, new.upsell, 0)
    money = spread(here, old.monetary, 0)
    money[there] = new.monetary
    both = (was >= 0) & (now >= 0)
    moved = _in_draft(live, draft)[was] != now
    alike = both & ~moved & (churn[0] == churn[1]) & (upsell[0] == upsell[1])
    alike &= (code_was == code_now) if live.method.grid.codes == draft.method.grid.codes else False
    kinds = stages.contacts_among(session, portal.portal_id, new.number)
    contacts = int(np.count_nonzero(kinds))
    return Comparison(
        live=live,
        draft=draft,
        number=number,
        was=was,
        now=now,
        code_was=code_was,
        code_now=code_now,
        m=money,
        moved=moved,
        churn_on=_turned(both, *churn),
        churn_off=_turned(both, *reversed(churn)),
        upsell_on=_turned(both, *upsell),
        upsell_off=_turned(both, *reversed(upsell)),
        cards={"contact": contacts, "company": len(new.number) - contacts},
        only_label=int(np.count_nonzero(alike)),
    )


def _turned(both: Bool, was: Int64, now: Int64) -> int:
    return int(np.count_nonzero(both & (was == 0) & (now != 0)))


def _in_draft(live: MethodVersion, draft: MethodVersion) -> Int64:
    """For each segment of `live` its place in `draft`; the last entry is that of nobody, whose place is -1."""
    values = [segment.value for segment in draft.method.segments]
    places = [values.index(one.value) if one.value in values else NOBODY - 1 for one in live.method.segments]
    return np.array([*places, NOBODY], np.int64)
