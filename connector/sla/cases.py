"""The portal's occasions as cases for the figures: who worked them, how long the answer took, what they came to.

Orders are those that came while the work was under way.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy.orm import Session

from connector.sla.clock import ClockState, clock_states
from connector.sla.desk import TASK_MINUTES
from connector.sla.events import Clock, Conversation, Event, Kind, in_order, in_utc
from connector.sla.figures import Case, answer_of
from connector.sla.logbook import attempts_in, live_of
from connector.sla.plays import Stop
from connector.sla.policy import WorkClass
from connector.sla.portal_rules import PortalRules
from connector.store import occasions
from connector.store.models import Portal
from connector.store.occasions import Held

STAGES = ("tried", "reached", "bought")


def cases(session: Session, portal: Portal, rules: PortalRules, since: datetime, now: datetime) -> list[Case]:
    """The occasions that began or ended since a moment, as of now."""
    held = occasions.since(session, portal.portal_id, since)
    orders = {line.source for one in held for line in one.log if line.kind == Kind.BOUGHT.value}
    sums = occasions.order_sums(session, portal.portal_id, orders) if orders else {}
    minutes = timedelta(minutes=float(portal.settings.get("task_minutes", TASK_MINUTES)))
    return [_case(one, rules, sums, minutes, now) for one in held]


def _case(held: Held, rules: PortalRules, sums: dict[str, Decimal], minutes: timedelta, now: datetime) -> Case:
    row, live = held.row, live_of(held, rules.portal_key)
    response, spare, met = _answer(clock_states(live.log, now, rules.calendar))
    attempts, reached = attempts_in(live.log), _was_reached(live.log, rules.clocks.least_call_seconds)
    bought = [sums[line.source] for line in held.log if line.source in sums]
    tried = attempts > 0 or any(event.kind is Kind.DONE for event in live.log)
    return Case(
        number=row.customer,
        rule=row.rule,
        work_class=WorkClass(row.work_class),
        manager_id=row.manager_id,
        started_at=row.started_at,
        attempts=attempts,
        contacted=reached,
        response=response,
        spare=spare,
        met=met,
        done=any(event.kind is Kind.DONE and not event.only for event in live.log),
        postponed=sum(event.kind is Kind.POSTPONED for event in live.log),
        refused=row.stop == Stop.REFUSAL.value,
        stage=3 if bought else 2 if reached else int(tried),
        closed=row.ended_at is not None,
        won=bool(bought),
        revenue=sum(bought, Decimal(0)),
        spent=minutes * max(attempts, int(tried)),
    )


def _answer(clocks: dict[Clock, ClockState]) -> tuple[timedelta | None, timedelta | None, bool | None]:
    """Of the first contact; of the soft touch where that is what is timed."""
    clock = clocks.get(Clock.FIRST_CONTACT) or clocks.get(Clock.SOFT_TOUCH)
    return (None, None, None) if clock is None else answer_of(clock)


def _was_reached(log: Iterable[Event], least_call_seconds: int) -> bool:
    talk = Conversation()
    counted = [
        talk.counts(in_utc(event.at), event.contact, least_call_seconds)
        for event in in_order(log)
        if event.contact is not None
    ]
    return any(counted)
