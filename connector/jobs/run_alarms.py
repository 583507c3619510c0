"""What the last run of a portal tells that is not as usual, against the runs before it.

============  ===================================================================  ===========================
kind          when                                                                 limit in `alarm_limits`
============  ===================================================================  ===========================
refused       the CRM refused more than this share of the last run's cards         refused 0.1
invalid       we stopped more than this share of the cards before sending          invalid 0
moves         more customers changed segment than in past runs: above this many    moves 3
              times their mean, and above three standard deviations
jumps         more than this share changed segment without an event                jumps 0.001
unrefreshed   more than this share has an old score or card (`stale_days`)         unrefreshed 0.05
data_drop     orders or customers known fell by more than this share               data_drop 0.1
zero_rows     nobody was scored, where somebody was before
slow          the run took this many times as long as the mean of past runs        slow 3
cowriter      somebody else changed our fields on more than this share of cards    cowriter 0.01
quota         others use up the account's quota: we are told to slow down though
              we have sent less than this share of what it allows                  quota 0.5
============  ===================================================================  ===========================

A limit of null in the portal's setting `alarm_limits` switches an alarm off. Pure but for the two queries at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, pstdev
from typing import Any

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from connector.errors import WrongUse
from connector.store.alerts import Alarm
from connector.store.models import FactRow, Portal, RunRow
from connector.store.requests import Traffic

PAST_RUNS = 10
_ENOUGH = 4
"""Past runs without which nothing is known of what is usual."""
_FEW_MOVES, _FEW_CARDS = 20, 3
_SIGMAS = 3.0
_SHORT_S = 30.0
_FEW_THROTTLED = 20
_HOURS_S = 7200.0
LIMITS: Mapping[str, float] = {
    "refused": 0.1,
    "invalid": 0.0,
    "moves": 3.0,
    "jumps": 0.001,
    "unrefreshed": 0.05,
    "data_drop": 0.1,
    "slow": 3.0,
    "cowriter": 0.01,
    "quota": 0.5,
}


@dataclass(frozen=True, slots=True)
class History:
    """The newest ended run of a portal, those before it, newest first, and the newest one's sums by (kind, about)."""

    last: RunRow
    past: Sequence[RunRow]
    facts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    jumps: int = 0

    def count(self, name: str) -> int:
        """A figure of the last run."""
        return number(self.last, name)

    def before(self, name: str) -> list[int]:
        """The same of the runs before it."""
        return [number(run, name) for run in self.past]

    def fact(self, kind: str) -> int:
        """A sum of the last run over all it is about."""
        return sum(count for (one, _), count in self.facts.items() if one == kind)


def number(run: RunRow, name: str) -> int:
    """A figure of a run, 0 where it has none."""
    return int(run.counts.get(name) or 0)


def checked(given: Any) -> dict[str, float | None]:
    """A setting `alarm_limits` with the defaults filled in; raises `WrongUse` naming what is wrong with it."""
    names = ", ".join(LIMITS)
    if not isinstance(given, Mapping):
        raise WrongUse(f'alarm_limits takes numbers by name, such as {{"unrefreshed": 0.05}}, of {names}')
    wrong = [
        key
        for key, value in given.items()
        if key not in LIMITS or not (value is None or (type(value) in {int, float} and 0 <= value < 1e6))
    ]
    if wrong:
        raise WrongUse(f"alarm_limits: {', '.join(sorted(wrong))} cannot be so; it takes {names}: 0 or more, or null")
    return {**LIMITS, **given}


def limits_of(portal: Portal) -> dict[str, float | None]:
    """The portal's limits; the default ones where its setting makes no sense."""
    try:
        return checked(portal.settings.get("alarm_limits", {}))
    except WrongUse:
        return dict(LIMITS)


def of_runs(portal: Portal, history: History) -> Iterator[Alarm]:
    """What is wrong with the portal's last run."""
    limits = limits_of(portal)
    for kind, look in _LOOKS.items():
        limit = limits.get(kind, 0.0)
        detail = look(history, limit) if limit is not None else None
        if detail:
            yield Alarm(portal.portal_id, kind, detail=detail)
    limit = limits["data_drop"]
    for what in ("orders", "customers") if limit is not None else ():
        if detail := _dropped(history, what, limit or 0.0):
            yield Alarm(portal.portal_id, "data_drop", what, detail)
    limit = limits["cowriter"]
    for (kind, key), count in history.facts.items():
        is_many = limit is not None and count >= _FEW_CARDS and count > limit * history.count("scored")
        if kind == "cowriter" and is_many:
            yield Alarm(portal.portal_id, kind, key, {"cards": count})


def of_quota(portal: Portal, traffic: Traffic, last: RunRow | None) -> Alarm | None:
    """Somebody else uses up the account's quota; our own budget never passes it, so that we alone are not throttled."""
    limit = limits_of(portal)["quota"]
    pace = float((last.counts.get("pace") if last is not None else None) or 0)
    if limit is None or not pace or traffic.throttled < _FEW_THROTTLED:
        return None
    if traffic.requests >= limit * pace * _HOURS_S:
        return None
    return Alarm(portal.portal_id, "quota", detail={"throttled": traffic.throttled, "requests": traffic.requests})


def histories(session: Session, only: Sequence[int] | None = None) -> dict[int, History]:
    """What is known of each portal that has an ended run, in two queries; `only` names the portals."""
    these = (RunRow.kind == "run", RunRow.state.in_(("done", "done_with_refusals")))
    ranked = (
        select(
            RunRow.portal_id,
            RunRow.run_id,
            func.row_number().over(partition_by=RunRow.portal_id, order_by=RunRow.started_at.desc()).label("rank"),
        )
        .where(*these, *([] if only is None else [RunRow.portal_id.in_(only)]))
        .subquery()
    )
    rows = session.scalars(
        select(RunRow)
        .join(ranked, (RunRow.portal_id == ranked.c.portal_id) & (RunRow.run_id == ranked.c.run_id))
        .where(ranked.c.rank <= PAST_RUNS + 1)
        .order_by(RunRow.portal_id, RunRow.started_at.desc())
    ).all()
    runs: dict[int, list[RunRow]] = {}
    for row in rows:
        runs.setdefault(row.portal_id, []).append(row)
    last = [(portal_id, found[0].run_id) for portal_id, found in runs.items()]
    facts: dict[int, dict[tuple[str, str], int]] = {portal_id: {} for portal_id in runs}
    jumps: dict[int, int] = {}
    for fact in _facts(session, last):
        key = (fact.kind, fact.about)
        facts[fact.portal_id][key] = facts[fact.portal_id].get(key, 0) + fact.count
        if fact.kind == "moved" and fact.why == "unknown":
            jumps[fact.portal_id] = jumps.get(fact.portal_id, 0) + fact.count
    return {
        portal_id: History(found[0], found[1:], facts[portal_id], jumps.get(portal_id, 0))
        for portal_id, found in runs.items()
    }


def _facts(session: Session, last: Sequence[tuple[int, str]]) -> Sequence[FactRow]:
    return session.scalars(select(FactRow).where(tuple_(FactRow.portal_id, FactRow.run_id).in_(last))).all()


def _share_of(name: str) -> Callable[[History, float], dict[str, Any] | None]:
    def look(history: History, limit: float) -> dict[str, Any] | None:
        found, of = history.count(name), history.count("written") + history.count("refused") + history.count("invalid")
        return {name: found, "of": of} if found and found > limit * of else None

    return look


def _moves(history: History, limit: float) -> dict[str, Any] | None:
    """Shares, because the number of customers changes as well."""
    moved, scored = history.count("moved"), history.count("scored")
    past = [number(run, "moved") / number(run, "scored") for run in history.past if number(run, "scored")]
    if len(past) < _ENOUGH or moved < _FEW_MOVES or not scored:
        return None
    share, mean = moved / scored, fmean(past)
    usual = max(limit * mean, mean + _SIGMAS * pstdev(past))
    return {"moved": moved, "share": round(share, 4), "usual": round(mean, 4)} if share > usual else None


def _jumps(history: History, limit: float) -> dict[str, Any] | None:
    found = history.jumps
    return {"jumps": found} if found > limit * history.count("scored") else None


def _unrefreshed(history: History, limit: float) -> dict[str, Any] | None:
    found, living = history.fact("unrefreshed"), history.fact("living")
    return {"unrefreshed": found, "of": living} if found and found > limit * living else None


def _zero_rows(history: History, _: float) -> dict[str, Any] | None:
    return {"scored": 0, "before": history.before("scored")[0]} if _fell_to_nothing(history) else None


def _fell_to_nothing(history: History) -> bool:
    return history.count("scored") == 0 and any(history.before("scored")[:1])


def _slow(history: History, limit: float) -> dict[str, Any] | None:
    past = [float(run.counts.get("seconds") or 0) for run in history.past]
    seconds = float(history.last.counts.get("seconds") or 0)
    if len(past) < _ENOUGH:
        return None
    mean = fmean(past)
    is_slow = seconds > limit * mean and seconds - mean > _SHORT_S
    return {"seconds": round(seconds), "usual": round(mean)} if is_slow else None


def _dropped(history: History, what: str, limit: float) -> dict[str, Any] | None:
    before = history.before(what)[:1]
    if not before or history.count(what) >= before[0] * (1 - limit):
        return None
    return {"now": history.count(what), "before": before[0]}


_LOOKS: Mapping[str, Callable[[History, float], dict[str, Any] | None]] = {
    "refused": _share_of("refused"),
    "invalid": _share_of("invalid"),
    "moves": _moves,
    "jumps": _jumps,
    "unrefreshed": _unrefreshed,
    "zero_rows": _zero_rows,
    "slow": _slow,
}
