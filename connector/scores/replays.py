"""Methods replayed on a portal's own past: which of them told apart who would buy. Reads orders, changes nothing.

Amounts are converted with today's rates, and orders that were deleted since are not there: the past is seen as it is
known now. Cards that are gone now are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from connector.errors import WrongUse
from connector.scores.moments import EPOCH, Moment, day_number
from connector.scores.run import method_wanted
from connector.store import methods, scores
from connector.store.mirror import Weight
from connector.store.models import UNIT_PLACES, Portal
from scoring.backtest import Contender, Flag, Group, Outcome, Replay, Share, Snapshot, backtest
from scoring.errors import ScoringError
from scoring.filters import Filters
from scoring.frames import Orders

DAYS = 6
_LEAST_PAST = 90
_EVERY = {"month": 1, "quarter": 3}


@dataclass(frozen=True, slots=True)
class Question:
    """What to replay. `methods` empty means the one in force; `dates` empty means the ends of the last months."""

    methods: tuple[str, ...] = ()
    dates: tuple[date, ...] = ()
    every: str = "month"
    horizon: int = 90


@dataclass(frozen=True, slots=True)
class Contest:
    """Replays side by side. `labels` have each contender's segments for people, by value and language.

    `seen` are frozen versions whose thresholds were fitted on a day after the first that is replayed: they knew more
    than they should. `sifted` are methods that leave orders out, also of what followed.
    """

    portal: str
    currency: str
    dates: tuple[date, ...]
    horizon: int
    replays: tuple[Replay, ...]
    seen: tuple[str, ...]
    sifted: tuple[str, ...]

    def label(self, replay: Replay, segment: str, language: str) -> str:
        """A segment for people."""
        found = replay.contender.method.segment(segment).label
        return found["ru"] if language == "ru" else found["en"]

    def as_json(self) -> dict[str, Any]:
        """Plain values: shares as fractions, money as text."""
        return {
            "portal": self.portal,
            "currency": self.currency,
            "horizon": self.horizon,
            "dates": [day.isoformat() for day in self.dates],
            "seen_the_future": list(self.seen),
            "filtered": list(self.sifted),
            "methods": [_replay(replay) for replay in self.replays],
        }


def replay_methods(session: Session, portal: Portal, question: Question, moment: Moment) -> Contest:
    """Replay the methods asked for up to a moment. Raises `WrongUse` where nothing could be learnt."""
    if question.horizon < 1:
        raise WrongUse("the horizon must be a day or more")
    contenders = [_contender(session, portal, name) for name in question.methods or (_in_force(session, portal),)]
    whole = _orders(session, portal, moment, None)
    if not len(whole):
        raise WrongUse(f"{portal.name} has no orders to replay: run `sync {portal.name}` first")
    dates = _dates(question, whole)
    days = [day_number(day) for day in dates]
    try:
        replays = _replays(session, portal, moment, whole, contenders, days, question.horizon)
    except ScoringError as error:
        raise WrongUse(f"{portal.name} cannot be replayed: {error}") from None
    return Contest(
        portal.name,
        portal.currency,
        dates,
        question.horizon,
        replays,
        tuple(_seen(session, portal, contenders, dates[0])),
        tuple(one.label for one in contenders if one.method.filters.of_store),
    )


def _in_force(session: Session, portal: Portal) -> str:
    return method_wanted(session, portal, None)[0].name


def _contender(session: Session, portal: Portal, name: str) -> Contender:
    """`sales5` is fitted anew on each day, `sales5@1` keeps the thresholds it was published with."""
    if "@" not in name:
        return Contender(name, method_wanted(session, portal, name)[0])
    row = methods.row_of(session, portal.portal_id, name)
    if row is None:
        raise WrongUse(f"{portal.name} has no version {name}: see `method list {portal.name}`")
    return Contender.frozen(methods.opened(row))


def _seen(session: Session, portal: Portal, contenders: Sequence[Contender], first: date) -> Iterator[str]:
    for one in contenders:
        row = methods.row_of(session, portal.portal_id, one.label) if one.thresholds is not None else None
        if row is not None and one.method.limits is None and row.drafted_at.date() > first:
            yield one.label


def _replays(
    session: Session,
    portal: Portal,
    moment: Moment,
    whole: Orders,
    contenders: Sequence[Contender],
    days: Sequence[int],
    horizon: int,
) -> tuple[Replay, ...]:
    """All that read the same orders together; whoever sifts in the store gets orders of his own."""
    plain = [one for one in contenders if not one.method.filters.of_store]
    found = dict(zip([one.label for one in plain], backtest(whole, plain, dates=days, horizon=horizon), strict=True))
    for one in contenders:
        if one.method.filters.of_store:
            orders = _orders(session, portal, moment, one.method.filters)
            (found[one.label],) = backtest(orders, [one], dates=days, horizon=horizon)
    return tuple(found[one.label] for one in contenders)


def _orders(session: Session, portal: Portal, moment: Moment, filters: Filters | None) -> Orders:
    """All orders of living customers, sorted by customer and day."""
    flags = scores.customer_flags(session, portal.portal_id)
    parts = []
    for rows in scores.read_orders(session, portal.portal_id, moment.number, moment.until, filters=filters):
        met = rows.customer < len(flags)
        keep = met & ((flags[np.minimum(rows.customer, len(flags) - 1)] & scores.SCORABLE) > 0)
        parts.append([column[keep] for column in (rows.customer, rows.day, rows.units, rows.weight)])
    if not parts:
        return Orders(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64), places=UNIT_PLACES)
    customer, day, units, weight = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    unknown = (weight == Weight.NO_RATE) | (weight == Weight.REFUND_NO_RATE)
    return Orders(customer.astype(np.int64), day, units, weight < Weight.REFUND, ~unknown, UNIT_PLACES)


def _dates(question: Question, orders: Orders) -> tuple[date, ...]:
    first, last = (EPOCH + timedelta(days=int(day)) for day in (orders.day.min(), orders.day.max()))
    latest = last - timedelta(days=question.horizon)
    if question.dates:
        wanted = tuple(sorted(set(question.dates)))
        late = [day for day in wanted if day > latest]
        if late:
            raise WrongUse(
                f"{question.horizon} days after {late[0]} are not over: the last order is of {last}, so the last day to"
                f" replay is {latest}"
            )
        if wanted[-1] < first:
            raise WrongUse(f"nobody had ordered yet: the first order is of {first}")
        return wanted
    found = [day for day in _ends(latest, _EVERY[question.every]) if (day - first).days >= _LEAST_PAST]
    if not found:
        raise WrongUse(
            f"the history from {first} to {last} is too short: a replay needs {_LEAST_PAST} days before and"
            f" {question.horizon} days after; try a shorter --horizon, or --dates"
        )
    return tuple(sorted(found))


def _ends(latest: date, months: int) -> Iterator[date]:
    """The last days of months (1) or quarters (3) up to `latest`, the newest first."""
    end = latest + timedelta(days=1)
    for _ in range(DAYS):
        end = end.replace(day=1) - timedelta(days=1)
        while end.month % months:
            end = end.replace(day=1) - timedelta(days=1)
        yield end


def _replay(replay: Replay) -> dict[str, Any]:
    together = replay.together
    return {
        "method": replay.contender.label,
        "frozen": replay.contender.thresholds is not None,
        "together": None if together is None else _outcome(together),
        "stability": [round(value, 4) for value in replay.stability],
        "days": [_snapshot(snapshot) for snapshot in replay.snapshots],
    }


def _snapshot(snapshot: Snapshot) -> dict[str, Any]:
    as_of = EPOCH + timedelta(days=snapshot.as_of)
    return {
        "as_of": as_of.isoformat(),
        "thresholds": dict(snapshot.thresholds.spec()),
        **_outcome(snapshot.outcome),
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "customers": outcome.customers,
        "auc": _rounded(outcome.auc),
        "auc_interval": None if outcome.auc_interval is None else [_rounded(end) for end in outcome.auc_interval],
        "segments": [_group(group) for group in outcome.segments],
        "scores": {axis: [_group(group) for group in groups] for axis, groups in outcome.scores.items()},
        "flags": [_flag(flag) for flag in outcome.flags],
        "violations": [
            {"scale": one.scale, "better": one.better, "worse": one.worse, "certain": one.certain}
            for one in outcome.violations
        ],
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "customers": group.customers,
        "buyers": group.buyers,
        "purchase_rate": _share(group.bought),
        "churn_rate": _share(group.churned),
        "orders": group.orders,
        "revenue": str(Decimal(group.revenue).scaleb(-2)),
    }


def _flag(flag: Flag) -> dict[str, Any]:
    return {
        "flag": flag.name,
        "customers": flag.customers,
        "marked": flag.marked,
        "came_true": flag.true,
        "precision": _share(flag.precision),
        "recall": _share(flag.recall),
        "base": _share(flag.base),
        "lift": _rounded(flag.lift),
    }


def _share(share: Share) -> dict[str, float | None]:
    low, high = share.interval
    return {"value": _rounded(share.value), "low": _rounded(low), "high": _rounded(high)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
