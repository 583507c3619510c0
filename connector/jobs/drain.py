"""From the inbox to the cards: records that webhooks spoke of are read again and their customers scored anew.

An event costs work for its customers, not for the portal: thresholds are frozen. Records leave the inbox in the
transaction that decides scores, plan and tasks, so a kill before it repeats the reading and a kill after it leaves a
plan, which the next drain takes up again.

A record that cannot be read or scored is looked for by halves and set aside for a day, with the reason; the others go
on. Only where no record at all can be read, the drain fails as a whole and is tried again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from adapters.batches import chunks
from adapters.contract import Adapter, FieldMap, Found
from adapters.errors import ScopeMissing
from adapters.records import CustomerKind, Order, OrderSource
from connector.deadline import NEVER, Deadline
from connector.jobs import loop, steps
from connector.scores import run as scoring_run
from connector.scores.staging import hints_for
from connector.sla import raising
from connector.store import changes, inbox, mirror, mirrored, privacy, scores
from connector.store.database import Database
from connector.store.inbox import Waiting
from connector.store.models import Portal, RunRow
from connector.store.poison import in_words, is_poison
from connector.wiring import Service
from connector.writeback.apply import Applied, apply_plan
from connector.writeback.singly import apply_singly
from webhooks.deliveries import Resource

log = logging.getLogger("rfm.jobs")

_AT_ONCE = 500
_AGAIN = timedelta(days=1)
_MOST_POISON = 8
"""So many records that fail for the first time, and none that does not: the fault is not theirs."""
_KINDS = {Resource.CONTACT: CustomerKind.CONTACT, Resource.COMPANY: CustomerKind.COMPANY}
_SOURCES = {Resource.DEAL: OrderSource.DEALS, Resource.ORDER: OrderSource.ORDERS}


@dataclass(slots=True)
class Drained:
    """What a drain did: records looked at and set aside, customers scored again, cards written, tasks created."""

    records: int = 0
    aside: int = 0
    customers: int = 0
    written: int = 0
    refused: int = 0
    tasks_created: int = 0
    finished: bool = True


def drain_portal(service: Service, portal_id: int, deadline: Deadline = NEVER) -> Drained:
    """Empty a portal's inbox, some hundred records at a time, until the deadline. Raises `CRMError`, `Interruption`."""
    with service.database.session() as session:
        name = session.get_one(Portal, portal_id).name
    with loop.working_on(service, name) as (portal, opened):
        drain = _Drain(service.database, portal.portal_id, opened.adapter)
        while drain.step():
            if deadline.over():
                drain.done.finished = False
                break
        return drain.done


def follow(database: Database, portal_id: int, adapter: Adapter, touched: Iterable[int]) -> Drained:
    """Score customers anew whose records were read already, and write what changed. The caller holds the portal."""
    drain = _Drain(database, portal_id, adapter)
    for some in chunks(sorted(touched), _AT_ONCE):
        drain.follow(some)
    return drain.done


class _Drain:
    """One drain of one locked portal."""

    def __init__(self, database: Database, portal_id: int, adapter: Adapter) -> None:
        self._database = database
        self._portal_id = portal_id
        self._adapter = adapter
        self.done = Drained()

    def step(self) -> bool:
        """Look at the records that wait longest; returns whether there were any."""
        with self._database.session() as session:
            inbox.gather(session, self._portal_id)
            batch = inbox.waiting(session, self._portal_id, _AT_ONCE)
            left_behind = not batch and changes.customers_planned(session, self._portal_id)
        if batch:
            self._look_through(batch)
        elif left_behind:
            self._send(self._look_at([]))
        return bool(batch)

    def follow(self, touched: Sequence[int]) -> None:
        """Decide and send, without reading."""
        with self._database.session() as session:
            run_id = self._decide(session, [], touched)
        self._send(run_id)
        self.done.customers += len(touched)

    def _look_through(self, batch: Sequence[Waiting]) -> None:
        """All at once; where that fails, halves, until each record that does not go is alone."""
        parts, good, fresh = [batch], 0, 0
        poison: list[tuple[Waiting, Exception]] = []
        while parts:
            part = parts.pop()
            try:
                run_id = self._look_at(part)
            except Exception as error:
                if not is_poison(error):
                    raise
                if len(part) > 1:
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                    continue
                fresh += not part[0].was_aside
                if not good and fresh > _MOST_POISON:
                    raise
                poison.append((part[0], error))
            else:
                good += len(part)
                self._send(run_id)
        for one, fault in poison:
            self._set_aside(one, in_words(fault))

    def _set_aside(self, one: Waiting, reason: str) -> None:
        words = (self._portal_id, one.resource.value, one.external_id, reason)
        log.warning("record set aside portal=%d resource=%s id=%s reason=%s", *words)
        with self._database.session() as session:
            inbox.set_aside(session, self._portal_id, one, reason, datetime.now(UTC) + _AGAIN)
        self.done.aside += 1

    def _look_at(self, batch: Sequence[Waiting]) -> str | None:
        """Read records and decide what follows for their customers; returns the run to send, if there is one."""
        with self._database.session() as session:
            portal = session.get_one(Portal, self._portal_id)
            left_behind = changes.customers_planned(session, self._portal_id)
            before = self._customers_of(session, batch)
            vanished = mirrored.has_vanished(session, self._portal_id)
        fields = FieldMap.from_json(portal.fields) if portal.fields else None
        if self._read_cards(batch, fields) or vanished:
            with self._database.session() as session:
                rechecked = self._to_recheck(session, portal)
        else:
            rechecked = {}
        found = self._read_orders(portal, batch, rechecked)
        with self._database.session() as session:
            handed_on = self._store_orders(session, found, rechecked)
            touched = sorted({*before, *handed_on, *self._customers_of(session, batch), *left_behind})
            run_id = self._decide(session, batch, touched)
        self.done.records += len(batch)
        self.done.customers += len(touched)
        return run_id

    def _read_cards(self, batch: Sequence[Waiting], fields: FieldMap | None) -> bool:
        """Read the cards among the records; returns whether there were any."""
        any_card = False
        for resource, kind in _KINDS.items():
            ids = [one.external_id for one in batch if one.resource is resource]
            if not ids:
                continue
            any_card = True
            found = self._adapter.customers_by_id(kind, ids, fields=fields)
            with self._database.session() as session:
                mirror.store_customers(session, self._portal_id, kind, found.records)
                mirror.mark_customers_gone(session, self._portal_id, kind, found.gone)
        return any_card

    def _to_recheck(self, session: Session, portal: Portal) -> dict[OrderSource, list[str]]:
        """By source, the orders of cards that vanished: somebody else has them now, or nobody."""
        return {
            source: [
                external_id
                for kind in CustomerKind
                for external_id in mirrored.orders_to_recheck(session, self._portal_id, source, kind)
            ]
            for source in _SOURCES.values()
            if source.value in mirror.order_sources(portal)
        }

    def _read_orders(
        self, portal: Portal, batch: Sequence[Waiting], rechecked: Mapping[OrderSource, Sequence[str]]
    ) -> dict[OrderSource, Found[Order]]:
        """The orders among the records, and those to look at again, by source."""
        lines = self._adapter.capabilities.order_lines and bool(portal.settings.get("order_lines", True))
        found = {}
        for resource, source in _SOURCES.items():
            if source.value in mirror.order_sources(portal):
                ids = [one.external_id for one in batch if one.resource is resource]
                wanted = list(dict.fromkeys([*ids, *rechecked.get(source, ())]))
                if wanted:
                    found[source] = self._orders(source, wanted, lines=lines)
        return found

    def _store_orders(
        self,
        session: Session,
        found: Mapping[OrderSource, Found[Order]],
        rechecked: Mapping[OrderSource, Sequence[str]],
    ) -> set[int]:
        """Store what was read; returns the customers who have the orders of vanished cards now."""
        portal = session.get_one(Portal, self._portal_id)
        handed_on: set[int] = set()
        for source, read in found.items():
            mirror.store_orders(session, portal, source, read.records)
            mirror.mark_orders_gone(session, self._portal_id, source, read.gone)
            again = rechecked.get(source, ())
            handed_on |= mirrored.customers_of_orders(session, self._portal_id, source, again)
        if rechecked:
            for kind in CustomerKind:
                mirror.recheck_done(session, self._portal_id, kind)
        mirror.untie(session, portal)
        return handed_on

    def _orders(self, source: OrderSource, ids: Sequence[str], *, lines: bool) -> Found[Order]:
        """Orders with their lines; without, where the token may not read lines: scores do not need them."""
        try:
            return self._adapter.orders_by_id(source, ids, lines=lines)
        except ScopeMissing:
            if not lines:
                raise
            return self._adapter.orders_by_id(source, ids, lines=False)

    def _customers_of(self, session: Session, batch: Sequence[Waiting]) -> set[int]:
        """Numbers of the customers that the records are, or belong to as the mirror has it now."""
        found: set[int] = set()
        for resource, kind in _KINDS.items():
            ids = [one.external_id for one in batch if one.resource is resource]
            found |= mirrored.numbers_of(session, self._portal_id, kind, ids)
        for resource, source in _SOURCES.items():
            ids = [one.external_id for one in batch if one.resource is resource]
            found |= mirrored.customers_of_orders(session, self._portal_id, source, ids)
        return found

    def _decide(self, session: Session, batch: Sequence[Waiting], touched: Sequence[int]) -> str | None:
        """Scores, plan, news and the emptied inbox in one transaction; None where nothing was published yet."""
        portal = session.get_one(Portal, self._portal_id)
        version = scoring_run.current_version(session, portal)
        for one in batch:
            if one.erase and one.resource in _KINDS:
                privacy.erase_customer(session, self._portal_id, _KINDS[one.resource], one.external_id)
        inbox.taken(session, self._portal_id, batch)
        if version is None or not touched:
            return None
        now = datetime.now(UTC)
        moment = scoring_run.as_of_moment(portal.time_zone, None, now)
        run_id = steps.new_run_id(now)
        run = scores.start_run(
            session, self._portal_id, run_id, "event", moment.day, now, beside=touched, method=version.label
        )
        staging = scoring_run.score_customers(session, portal, run, moment, version, touched)
        hints = hints_for(staging.versions, portal.language)
        planned = changes.make_plan(session, self._portal_id, run.run_id, hints, now, only=touched)
        raised = raising.plan_news(session, portal, run, version, touched, now=now, beside=staging.versions[1:])
        if not planned and not raised:
            _drop(session, run)
            return None
        return run.run_id

    def _send(self, run_id: str | None) -> None:
        with self._database.session() as session:
            fields = session.get_one(Portal, self._portal_id).fields
        if run_id is not None and fields is not None:
            self._apply(run_id, FieldMap.from_json(fields))

    def _apply(self, run_id: str, fields: FieldMap) -> None:
        applied = self._written(run_id, fields)
        raised = raising.create_tasks(self._database, self._portal_id, self._adapter, _quiet)
        self.done.written += applied.written
        self.done.refused += applied.refused
        self.done.tasks_created += raised.created
        with self._database.session() as session:
            run = session.get_one(RunRow, (self._portal_id, run_id))
            run.state = "done" if not applied.refused else "done_with_refusals"
            run.finished_at = datetime.now(UTC)
            run.counts = {
                "written": applied.written,
                "refused": applied.refused,
                "tasks_created": raised.created,
            }

    def _written(self, run_id: str, fields: FieldMap) -> Applied:
        """Send the plan; where that fails because of a card, card by card, so that the others are written."""
        try:
            return apply_plan(self._database, self._portal_id, run_id, self._adapter, fields, _quiet)
        except Exception as error:
            if not is_poison(error):
                raise
            apply_singly(self._database, self._portal_id, run_id, self._adapter, fields)
        with self._database.session() as session:  # what went out before the failure counts as well
            states = changes.progress(session, self._portal_id, run_id)
        return Applied(states.get("written", 0), states.get("refused", 0))


def _drop(session: Session, run: RunRow) -> None:
    """A run that changes nothing is no run: most events are echoes and changes that scores do not depend on."""
    session.delete(run)


def _quiet(_: int) -> None:
    """No progress is shown."""
