"""The head of sales' digest of a day's missed deadlines: once a working day, told through the outbox of alerts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta

from sqlalchemy.orm import Session

from connector.sla.clock import clock_states
from connector.sla.escalation import Watched, digest
from connector.sla.logbook import class_now, live_of
from connector.sla.policy import WorkClass
from connector.sla.portal_rules import PortalRules
from connector.store import alerts, occasions, sla_notices
from connector.store.models import Portal
from connector.store.occasions import Held

KIND = "deadlines"
_LOOKS_BACK = timedelta(days=10)


def is_due(session: Session, portal: Portal, rules: PortalRules, now: datetime) -> bool:
    """Whether the digest of this working day is to be made."""
    day = now.astimezone(rules.calendar.zone).date()
    until = datetime.combine(day, time(rules.escalation.digest_hour), rules.calendar.zone)
    if now < until or not rules.calendar.hours_on(day) or not rules.people.works(rules.escalation.head_of_sales):
        return False
    last = sla_notices.last_digest(session, portal.portal_id)
    return last is None or last < until


def make(session: Session, portal: Portal, rules: PortalRules, now: datetime, channels: Sequence[str]) -> int:
    """Make the digest and have it told; returns how many deadlines were missed. A day without any is noted as well."""
    last = sla_notices.last_digest(session, portal.portal_id)
    held = occasions.since(session, portal.portal_id, (last or now) - _LOOKS_BACK)
    held += [
        one for one in occasions.all_open(session, portal.portal_id) if one.row.key not in {o.row.key for o in held}
    ]
    found = digest(
        [_watched(one, rules, now) for one in held], rules.people, rules.escalation, rules.calendar, now, last
    )
    day = now.astimezone(rules.calendar.zone).date()
    until = datetime.combine(day, time(rules.escalation.digest_hour), rules.calendar.zone)
    row = {
        "portal_id": portal.portal_id,
        "key": f"digest:{day.isoformat()}",
        "tier": sla_notices.DIGEST,
        "recipient": rules.escalation.head_of_sales or "",
        "rule": "",
        "made_at": now,
        "until": until,
    }
    if not sla_notices.add(session, row) or found is None:
        return 0
    detail = {"missed": len(found.missed), "open": sum(one.is_open for one in found.missed)}
    change = {"state": alerts.OPEN, "kind": KIND, "about": day.isoformat(), "detail": detail}
    alerts.tell(session, portal.portal_id, change, now, channels)
    return len(found.missed)


def _watched(held: Held, rules: PortalRules, now: datetime) -> Watched:
    live = live_of(held, rules.portal_key)
    return Watched(
        key=held.row.key,
        customer=held.ref,
        rule=held.row.rule,
        work_class=class_now(live.log, WorkClass(held.row.work_class)),
        manager_id=held.row.manager_id,
        clocks=tuple(clock_states(live.log, now, rules.calendar).values()),
    )
