"""Keeps the promises of `adapters.contract` for one HubSpot account: reads its records, writes our fields and tasks.

First reading: plain lists by id. Changes: searches by last change, since HubSpot's lists cannot be filtered.
What vanished: the lists of archived records, and a count by the search index for what was erased for good.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar, NoReturn

from adapters.budget import States
from adapters.contract import (
    Capabilities,
    Cursor,
    Drift,
    FieldMap,
    FieldRef,
    FieldSpec,
    FieldStep,
    Found,
    Outcome,
    OwnWrites,
    Page,
    PortalAccess,
    PortalInfo,
)
from adapters.errors import (
    InvalidValue,
    Rejected,
    ScopeMissing,
    Unpaid,
    Unsupported,
)
from adapters.hubspot import schemas, tasks
from adapters.hubspot.automations import HubSpotAutomations
from adapters.hubspot.client import (
    BATCH,
    COMPANIES,
    CONTACTS,
    DEALS,
    LINE_ITEMS,
    ORDERS,
    Client,
    Json,
)
from adapters.hubspot.conversations import Conversations
from adapters.hubspot.pages import Pages
from adapters.hubspot.places import INDEX_CAP, Mark, Quiet, between
from adapters.hubspot.provision import Provision
from adapters.hubspot.schemas import OBJECTS, SOURCES, Stages, Ties
from adapters.hubspot.updates import update_each
from adapters.records import (
    CRM,
    Contacted,
    Customer,
    CustomerKind,
    Manager,
    Order,
    OrderLine,
    OrderSource,
    ScoreChange,
    TaskChange,
    TaskDraft,
    TaskState,
    Team,
    TimelineNote,
)
from adapters.transport import Transport

_LISTS_TOGETHER = 4
"""List pages whose line items are read at once, so that the calls of 100 are full ones."""
_NOT_HERE = (ScopeMissing, Unpaid, Rejected)


def _now() -> datetime:
    return datetime.now(UTC)


class HubSpot:
    """One account. Safe to use from several threads; keeps nothing but answers about the account itself."""

    crm: ClassVar[CRM] = CRM.HUBSPOT

    def __init__(
        self, access: PortalAccess, transport: Transport, states: States, *, now: Callable[[], datetime] = _now
    ) -> None:
        self._client = Client(access, transport, states, now)
        self._provision = Provision(self._client)
        self._pages = Pages(self._client)
        self._account: PortalInfo | None = None
        self._stages: Stages | None = None

    @property
    def automations(self) -> HubSpotAutomations:
        """Answers to workflow actions; the actions themselves and the card are in the app's files."""
        return HubSpotAutomations(self._client)

    @property
    def capabilities(self) -> Capabilities:
        """Sends nothing. Whether order objects can be read (a scope and a product of their own) shows when they are."""
        return Capabilities(
            read_batch=BATCH,
            write_batch=BATCH,
            task_batch=BATCH,
            in_flight=6,
            requests_per_second=self._client.per_second,
            sources=frozenset({OrderSource.DEALS, OrderSource.ORDERS}),
            contacts=True,
        )

    # --- the account -------------------------------------------------------------------------------------------

    def portal(self) -> PortalInfo:
        """See `Source.portal`. Asks HubSpot each time."""
        self._account = schemas.portal_info(self._client.account())
        return self._account

    def rates(self) -> Mapping[str, Decimal]:
        """See `Source.rates`. An account without further currencies refuses the question: only its own is left."""
        found: list[Json] = []
        with contextlib.suppress(*_NOT_HERE):
            found = self._client.exchange_rates()
        return schemas.rates_to(self._known_account().currency, found)

    def managers(self) -> tuple[Sequence[Manager], Sequence[Team]]:
        """See `Source.managers`. Archived owners are inactive; records may still point at them."""
        return schemas.staff(self._client.owners(archived=False), self._client.owners(archived=True))

    def _known_account(self) -> PortalInfo:
        return self._account or self.portal()

    def _known_stages(self) -> Stages:
        if self._stages is None:
            self._stages = schemas.stages_of(self._client.pipelines(DEALS))
        return self._stages

    # --- customers ---------------------------------------------------------------------------------------------

    def customers(
        self,
        kind: CustomerKind,
        since: Cursor | None,
        *,
        fields: FieldMap | None = None,
        own_writes: OwnWrites | None = None,
    ) -> Iterator[Page[Customer]]:
        """See `Source.customers`.

        The echo of `own_writes` is left out by the search itself, and stays out while the index's lag would bring
        it back. A card that a person changed after the last of them is read.
        """
        refs = fields.of(kind) if fields else {}
        mark = Mark.read(since)
        if own_writes and own_writes.stamps:
            mark = mark.hushed(_quiet(own_writes))
        stamp = refs["updated_at"].external_id if "updated_at" in refs else None
        properties = schemas.customer_properties(kind, refs)
        for payloads, reached in self._pages.read(OBJECTS[kind], mark, properties, stamp=stamp):
            yield Page([schemas.customer(kind, payload, refs) for payload in payloads], Cursor(reached.text()))

    def customers_by_id(
        self, kind: CustomerKind, ids: Sequence[str], *, fields: FieldMap | None = None
    ) -> Found[Customer]:
        """See `Source.customers_by_id`. A merged id is gone; the record that took it over comes with the others."""
        refs = fields.of(kind) if fields else {}
        payloads = self._client.read(OBJECTS[kind], _once(ids), schemas.customer_properties(kind, refs))
        records = {one.ref.external_id: one for one in (schemas.customer(kind, each, refs) for each in payloads)}
        return Found(list(records.values()), frozenset(ids) - records.keys())

    def count(self, stream: CustomerKind | OrderSource) -> int | None:
        """See `Source.count`: what the search index knows. One search."""
        kind = OBJECTS[stream] if isinstance(stream, CustomerKind) else _object_of(stream)
        return self._client.count(kind, [{"propertyName": "hs_object_id", "operator": "GT", "value": "0"}])

    def customer_drift(self, kind: CustomerKind, known: Sequence[int]) -> Drift:
        """See `Source.customer_drift`. New records come with the changes, so none are `unseen`."""
        return self._drift(OBJECTS[kind], known)

    # --- orders ------------------------------------------------------------------------------------------------

    def orders(self, source: OrderSource, since: Cursor | None, *, lines: bool = True) -> Iterator[Page[Order]]:
        """See `Source.orders`. Lines are read for won orders only: no other is counted."""
        kind = _object_of(source)
        mark = Mark.read(since)
        listing = mark.phase == "all"
        pages = self._pages.read(
            kind,
            mark,
            _order_properties(kind),
            associations=_ends(kind, lines=lines),
            together=_LISTS_TOGETHER if lines else 1,
        )
        for payloads, reached in pages:
            found = self._orders_from(kind, payloads, listing=listing, lines=lines)
            yield Page(found, Cursor(reached.text()))

    def orders_by_id(self, source: OrderSource, ids: Sequence[str], *, lines: bool = True) -> Found[Order]:
        """See `Source.orders_by_id`."""
        kind = _object_of(source)
        payloads = self._client.read(kind, _once(ids), _order_properties(kind))
        records = self._orders_from(kind, payloads, listing=False, lines=lines)
        return Found(records, frozenset(ids) - {order.external_id for order in records})

    def order_drift(self, source: OrderSource, known: Sequence[int]) -> Drift:
        """See `Source.order_drift`."""
        return self._drift(_object_of(source), known)

    def _orders_from(self, kind: str, payloads: Sequence[Json], *, listing: bool, lines: bool) -> list[Order]:
        if not payloads:
            return []
        ties = self._pages.ties(kind, payloads, _ends(kind, lines=lines), listing=listing)
        orders = [self._order(kind, payload, ties[schemas.record_id(payload, kind)]) for payload in payloads]
        return self._with_lines(orders, ties) if lines else orders

    def _order(self, kind: str, payload: Json, ties: Ties) -> Order:
        values = payload.get("properties") or {}
        currency = values.get("deal_currency_code" if kind == DEALS else "hs_currency_code")
        base = None if currency else self._known_account().currency
        if kind == ORDERS:
            return schemas.order_object(payload, ties, currency=base)
        stages = None if schemas.tells_closed(payload) else self._known_stages()
        return schemas.deal(payload, ties, stages=stages, currency=base)

    def _with_lines(self, orders: Sequence[Order], ties: Mapping[str, Ties]) -> list[Order]:
        wanted = {
            order.external_id: sorted({link.to for link in ties[order.external_id].line_items}, key=schemas.numeric)
            for order in orders
            if schemas.is_won(order)
        }
        ids = _once([one for own in wanted.values() for one in own])
        payloads = self._client.read(LINE_ITEMS, ids, schemas.LINE_PROPERTIES) if ids else []
        lines = {schemas.record_id(payload, LINE_ITEMS): schemas.order_line(payload) for payload in payloads}
        return [_lined(order, wanted.get(order.external_id), lines) for order in orders]

    # --- what vanished -----------------------------------------------------------------------------------------

    def _drift(self, kind: str, known: Sequence[int]) -> Drift:
        """Ids we hold that are archived, merged away or erased.

        Archived records are listed (for 90 days). Erased and merged ones are in no list: where the search index
        counts fewer records than we hold, the gap is narrowed down and the ids in it are read.
        """
        if not known:
            return Drift()
        archived = {schemas.record_id(payload, kind) for payload in self._client.list_all(kind, archived=True)}
        gone = {one for one in archived if one.isdecimal() and _holds(known, int(one))}
        left = [one for one in known if str(one) not in gone] if gone else known
        # A search that cannot be asked by id tells nothing; the archive has told what it can.
        with contextlib.suppress(InvalidValue):
            gone |= self._missing(kind, left)
        return Drift(gone=frozenset(gone))

    def _missing(self, kind: str, held: Sequence[int]) -> set[str]:
        """Those of `held` (ascending) that cannot be read, by halving ranges that hold too few records."""
        if not held:
            return set()
        counted = self._client.count(kind, between(held[0], held[-1]))
        lacking = len(held) - counted
        if lacking <= 0 or counted == INDEX_CAP:
            return set()
        if len(held) <= BATCH or lacking * BATCH >= len(held):
            ids = [str(one) for one in held]
            found = {schemas.record_id(payload, kind) for payload in self._client.read(kind, ids, ())}
            return set(ids) - found
        middle = len(held) // 2
        return self._missing(kind, held[:middle]) | self._missing(kind, held[middle:])

    # --- fields and tasks --------------------------------------------------------------------------------------

    def plan_fields(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> list[FieldStep]:
        """See `Sink.plan_fields`. Raises `Conflict` like `ensure_fields`."""
        return self._provision.plan(specs, known)

    def ensure_fields(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> FieldMap:
        """See `Sink.ensure_fields`. Property names never change in HubSpot, so they are the ids."""
        return self._provision.ensure(specs, known)

    def create_tasks(self, drafts: Sequence[TaskDraft]) -> list[Outcome]:
        """See `Sink.create_tasks`."""
        return tasks.tasks(self._client).create(drafts)

    def find_tasks(self, drafts: Sequence[TaskDraft]) -> dict[str, str]:
        """See `Sink.find_tasks`."""
        return tasks.tasks(self._client).find(drafts)

    def tasks_by_id(self, ids: Sequence[str]) -> Found[TaskState]:
        """See `Source.tasks_by_id`."""
        return tasks.states(self._client, ids)

    def change_tasks(self, changes: Sequence[TaskChange]) -> list[Outcome]:
        """See `Sink.change_tasks`."""
        return tasks.change(self._client, changes)

    def add_notes(self, notes: Sequence[TimelineNote]) -> list[Outcome]:
        """See `Sink.add_notes`."""
        return tasks.notes(self._client).create(notes)

    def find_notes(self, notes: Sequence[TimelineNote]) -> dict[str, str]:
        """See `Sink.find_notes`."""
        return tasks.notes(self._client).find(notes)

    # --- contacts with customers -------------------------------------------------------------------------------

    def contacts(self, since: Cursor | None, *, earliest: datetime | None = None) -> Iterator[Page[Contacted]]:
        """See `Source.contacts` and `Conversations.read`."""
        return Conversations(self._pages).read(since, earliest)

    # --- scores ------------------------------------------------------------------------------------------------

    def write_scores(self, changes: Sequence[ScoreChange], fields: FieldMap) -> list[Outcome]:
        """See `Sink.write_scores`. One call for each kind of card among the changes."""
        outcomes: dict[int, Outcome] = {}
        for kind in OBJECTS:
            places = [at for at, change in enumerate(changes) if change.customer.kind is kind]
            inputs = [_update(changes[at], fields.of(kind)) for at in places]
            outcomes.update(zip(places, update_each(self._client, OBJECTS[kind], inputs), strict=True))
        return [_in_our_words(outcomes[at], fields.of(change.customer.kind)) for at, change in enumerate(changes)]

    # --- webhooks ----------------------------------------------------------------------------------------------

    def subscribe(self, callback_url: str) -> NoReturn:
        """Raise `Unsupported`: a project app's webhooks are in its files (`marketplace/hubspot`), for all accounts.

        https://developers.hubspot.com/docs/apps/developer-platform/add-features/configure-webhooks (read 2026-11)
        """
        del callback_url
        raise Unsupported("HubSpot takes webhooks from the app's files, not by a call")

    def unsubscribe(self, callback_url: str) -> NoReturn:
        """Raise `Unsupported`, see `subscribe`."""
        del callback_url
        raise Unsupported("HubSpot takes webhooks from the app's files, not by a call")


def _object_of(source: OrderSource) -> str:
    if source not in SOURCES:
        raise Unsupported(f"HubSpot holds no orders of the kind {source.value}")
    return SOURCES[source]


def _order_properties(kind: str) -> tuple[str, ...]:
    return schemas.DEAL_PROPERTIES if kind == DEALS else schemas.ORDER_PROPERTIES


def _holds(ascending: Sequence[int], number: int) -> bool:
    at = bisect_left(ascending, number)
    return at < len(ascending) and ascending[at] == number


def _ends(kind: str, *, lines: bool) -> list[str]:
    """What an order is associated with, as far as we ask."""
    return [CONTACTS, COMPANIES, *([DEALS] if kind == ORDERS else []), *([LINE_ITEMS] if lines else [])]


def _lined(order: Order, ids: Sequence[str] | None, lines: Mapping[str, OrderLine]) -> Order:
    return order if ids is None else replace(order, lines=tuple(lines[one] for one in ids if one in lines))


def _quiet(own: OwnWrites) -> Quiet:
    stamps = [schemas.ms(stamp) for stamp in own.stamps]
    return Quiet(schemas.ms(own.last_at), min(stamps), max(stamps))


def _once(ids: Sequence[str]) -> list[str]:
    """Each id once: HubSpot refuses a batch that names one twice."""
    return list(dict.fromkeys(ids))


def _update(change: ScoreChange, refs: Mapping[str, FieldRef]) -> Json:
    missing = change.values.keys() - refs.keys()
    if missing:
        raise Unsupported(f"the portal is not provisioned with {', '.join(sorted(missing))}")
    properties = {refs[key].external_id: schemas.written(value) for key, value in change.values.items()}
    return {"id": change.customer.external_id, "properties": properties}


def _in_our_words(outcome: Outcome, refs: Mapping[str, FieldRef]) -> Outcome:
    """The vendor's property name → our key; a property of others stays in the reason only."""
    keys = {ref.external_id: key for key, ref in refs.items()}
    return outcome if outcome.field is None else replace(outcome, field=keys.get(outcome.field))
