"""A portal's work on customers, kept going: what people did in the CRM is read back, clocks are looked at, both follow.

Decisions are rows, made in transactions of their own; sending comes after and is repeatable. Killing the process
anywhere and doing it again ends in the same state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from adapters.contract import Adapter
from connector.deadline import NEVER, Deadline
from connector.jobs import telling
from connector.jobs.loop import working_on
from connector.sla import digests, raising, reading, sending, tending
from connector.sla.portal_rules import portal_rules
from connector.sla.tending import Tended
from connector.store import occasions, task_changes, tasks
from connector.store.database import Database
from connector.store.models import Portal
from connector.wiring import Service

_AT_ONCE = 300


@dataclass(slots=True)
class Kept:
    """What came of it. Not `finished` when the deadline came first."""

    decided: Tended = field(default_factory=Tended)
    missed: int = 0
    created: int = 0
    finished: bool = True

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self.decided), "missed": self.missed, "tasks_created": self.created}


def tend_portal(service: Service, portal_id: int, deadline: Deadline = NEVER) -> Kept:
    """Look at what is due and send what follows. Costs a few queries, no lock and no request when nothing is due.

    Raises `CRMError`; what was decided stays decided.
    """
    now = service.now()
    with service.database.session() as session:
        portal = session.get_one(Portal, portal_id)
        name, is_due = portal.name, _is_due(service.database, portal, now)
    if not is_due:
        return Kept()
    with working_on(service, name) as (_, opened):
        kept = decide(service.database, portal_id, now, telling.channels(service.config))
        return _send(service.database, portal_id, opened.adapter, kept, deadline)


def read_back(service: Service, portal_id: int, deadline: Deadline = NEVER) -> Kept:
    """Read what people did to our tasks, and whom they reached, then look at what follows from it."""
    with service.database.session() as session:
        name, any_open = session.get_one(Portal, portal_id).name, occasions.any_open(session, portal_id)
    if not any_open:
        return Kept()
    now = service.now()
    with working_on(service, name) as (_, opened):
        database, adapter = service.database, opened.adapter
        sending.send_changes(database, portal_id, adapter)
        is_read = reading.read_tasks(database, portal_id, adapter, now, deadline) and reading.read_contacts(
            database, portal_id, adapter, now, deadline
        )
        kept = decide(database, portal_id, now, telling.channels(service.config))
        kept = _send(database, portal_id, adapter, kept, deadline)
        kept.finished = kept.finished and is_read
        return kept


def decide(database: Database, portal_id: int, now: datetime, channels: Sequence[str] = ()) -> Kept:
    """Decide all that is due now, some occasions a transaction. Sends nothing."""
    kept = Kept()
    while True:
        with database.session() as session:
            portal = session.get_one(Portal, portal_id)
            found = tending.tend(session, portal, portal_rules(session, portal), now, _AT_ONCE)
        _add(kept.decided, found)
        if found.looked < _AT_ONCE:
            break
    with database.session() as session:
        portal = session.get_one(Portal, portal_id)
        rules = portal_rules(session, portal)
        if digests.is_due(session, portal, rules, now):
            kept.missed = digests.make(session, portal, rules, now, channels)
    return kept


def _is_due(database: Database, portal: Portal, now: datetime) -> bool:
    with database.session() as session:
        if (
            occasions.any_due(session, portal.portal_id, now)
            or task_changes.any_waiting(session, portal.portal_id)
            or tasks.any_open(session, portal.portal_id, tending.RUN)
        ):
            return True
        if portal.settings.get("head_of_sales") is None:
            return False
        return digests.is_due(session, portal, portal_rules(session, portal), now)


def _send(database: Database, portal_id: int, adapter: Adapter, kept: Kept, deadline: Deadline) -> Kept:
    raised = raising.create_tasks(database, portal_id, adapter, lambda _: None, deadline=deadline)
    kept.created = raised.created
    kept.finished = raised.finished and sending.send_changes(database, portal_id, adapter, deadline=deadline)
    return kept


def _add(whole: Tended, part: Tended) -> None:
    for name, value in asdict(part).items():
        setattr(whole, name, getattr(whole, name) + value)
