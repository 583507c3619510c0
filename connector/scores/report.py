"""The delivery report of a day or of one run: who moved and why, what is old, what was refused, who else writes.

Reads sums that runs have left (`store.delivery`), so that it costs the same whatever the size of the portal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from connector.store import delivery, letters, requests
from connector.store.delivery import Fact, Mover
from connector.store.models import Portal, RunRow
from connector.store.move_causes import UNKNOWN

_MOVERS = 50
_LOOK_BACK = timedelta(days=7)
_QUOTA_HOURS = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Move:
    """Customers who went from one segment to another for one cause."""

    was: str
    now: str
    cause: str
    customers: int


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """The figures of a day. `hands` are (field, customers, last time) of the last week. Terms: `store.delivery`."""

    day: date
    runs: Sequence[RunRow]
    moves: Sequence[Move]
    movers: Sequence[Mover]
    facts: Sequence[Fact]
    hands: Sequence[tuple[str, int, datetime]]
    waiting: int
    stale_days: int
    throttled: int
    requests: int

    def total(self, kind: str, about: str | None = None) -> int:
        """The sum of one kind, over all it is about or of one thing."""
        return sum(fact.count for fact in self.facts if fact.kind == kind and about in {None, fact.about})

    def of_kind(self, kind: str) -> list[Fact]:
        """The sums of one kind."""
        return [fact for fact in self.facts if fact.kind == kind]

    @property
    def moved(self) -> int:
        """Customers who changed segment."""
        return sum(move.customers for move in self.moves)

    @property
    def jumps(self) -> int:
        """Those of them without an event."""
        return sum(move.customers for move in self.moves if move.cause == UNKNOWN)

    def by_cause(self) -> dict[str, int]:
        """Customers who changed segment, by cause, the largest first."""
        found: dict[str, int] = {}
        for move in self.moves:
            found[move.cause] = found.get(move.cause, 0) + move.customers
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "day": self.day.isoformat(),
            "runs": [run.run_id for run in self.runs],
            "moved": self.moved,
            "by_cause": self.by_cause(),
            "jumps": self.jumps,
            "moves": [
                {"from": move.was, "to": move.now, "cause": move.cause, "customers": move.customers}
                for move in self.moves
            ],
            "customers": [
                {"customer": f"{one.kind}:{one.external_id}", "from": one.was, "to": one.now, "cause": one.cause}
                for one in self.movers
            ],
            "written": self.total("written"),
            "refused": _reasons(self.of_kind("refused")),
            "invalid": _reasons(self.of_kind("invalid")),
            "waiting": self.waiting,
            "unrefreshed": {
                "days": self.stale_days,
                "scores": self.total("unrefreshed", "scores"),
                "cards": self.total("unrefreshed", "cards"),
                "of": self.total("living"),
            },
            "cowriters": [
                {"field": field, "customers": count, "last_at": at.isoformat(timespec="seconds")}
                for field, count, at in self.hands
            ],
            "quota": {"requests": self.requests, "throttled": self.throttled},
        }


def delivery_report(session: Session, portal: Portal, day: date | None, now: datetime) -> DeliveryReport | None:
    """The report of a day of the portal, or of the last day with runs; None before the first run."""
    day = day or delivery.last_day(session, portal.portal_id)
    if day is None:
        return None
    runs = delivery.runs_of_day(session, portal.portal_id, day)
    ids = [run.run_id for run in runs]
    facts = delivery.facts_of(session, portal.portal_id, ids)
    depth = sum(count for one, _, count in letters.depths(session) if one == portal.portal_id)
    traffic = [one for one in requests.traffic(session, now - _QUOTA_HOURS) if one.portal_id == portal.portal_id]
    return DeliveryReport(
        day=day,
        runs=runs,
        moves=_moves(facts),
        movers=delivery.movers(session, portal.portal_id, ids, _MOVERS),
        facts=facts,
        hands=delivery.hands(session, portal.portal_id, now - _LOOK_BACK),
        waiting=depth,
        stale_days=int(portal.settings.get("stale_days", delivery.STALE_DAYS)),
        throttled=sum(one.throttled for one in traffic),
        requests=sum(one.requests for one in traffic),
    )


def _moves(facts: Sequence[Fact]) -> list[Move]:
    found = []
    for fact in facts:
        if fact.kind == "moved":
            was, _, now = fact.about.partition(">")
            found.append(Move(was, now, fact.why, fact.count))
    return found


def _reasons(facts: Sequence[Fact]) -> list[dict[str, Any]]:
    return [{"field": fact.about or None, "reason": fact.why, "cards": fact.count} for fact in facts]
