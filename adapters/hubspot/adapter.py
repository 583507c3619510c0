"""Keeps the promises of `adapters.contract` for one HubSpot account: reads its records, writes our fields and tasks.

First reading: plain lists by id. Changes: searches by last change, since HubSpot's lists cannot be filtered.
What vanished: the lists of archived records, and a count by the search index for what was erased for good.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import ClassVar, NoReturn

from adapters.batches import chunks, settle_each
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
from adapters.hubspot import schemas
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
    Link,
    results_of,
)
from adapters.hubspot.faults import refusals, unsettled
from adapters.hubspot.places import INDEX_CAP, Mark, Quiet, between, changes_body
from adapters.hubspot.provision import Provision
from adapters.hubspot.schemas import MODIFIED, OBJECTS, SOURCES, Stages, Ties
from adapters.hubspot.tasks import Tasks
from adapters.records import (
    CRM,
    Customer,
    CustomerKind,
    Manager,
    Order,
    OrderLine,
    OrderSource,
    ScoreChange,
    TaskDraft,
    Team,
)
from adapters.transport import Transport

_LISTS_TOGETHER = 4
"""List pages whose line items are read at once, so that the calls of 100 are full ones."""
_BUSY_TRIES = 4
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
        self._tasks = Tasks(self._client)
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
        for payloads, cursor in self._pages(OBJECTS[kind], mark, properties, stamp=stamp):
            yield Page([schemas.customer(kind, payload, refs) for payload in payloads], cursor)

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
        pages = self._pages(
            kind,
            mark,
            _order_properties(kind),
            associations=_ends(kind, lines=lines),
            together=_LISTS_TOGETHER if lines else 1,
        )
        for payloads, cursor in pages:
            yield Page(self._orders_from(kind, payloads, listing=listing, lines=lines), cursor)

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
        ends = _ends(kind, lines=lines)
        ties = self._embedded_ties(kind, payloads, ends) if listing else self._read_ties(kind, payloads, ends)
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

    def _embedded_ties(self, kind: str, payloads: Sequence[Json], ends: Sequence[str]) -> dict[str, Ties]:
        """Associations that came with a list. Of records with more of them than are embedded, all are read."""
        found: dict[str, dict[str, list[Link]]] = {}
        partly: dict[str, list[str]] = {end: [] for end in ends}
        for payload in payloads:
            record_id = schemas.record_id(payload, kind)
            found[record_id], partial_ends = schemas.embedded(payload)
            for end in partial_ends & partly.keys():
                partly[end].append(record_id)
        for end, ids in partly.items():
            if ids:
                for record_id, links in self._client.links(kind, [end], ids)[end].items():
                    found[record_id][end] = links
        return {record_id: _ties(links) for record_id, links in found.items()}

    def _read_ties(self, kind: str, payloads: Sequence[Json], ends: Sequence[str]) -> dict[str, Ties]:
        """Searches and reads by id carry no associations: they are read for the whole page at once."""
        ids = [schemas.record_id(payload, kind) for payload in payloads]
        links = self._client.links(kind, ends, ids)
        return {one: _ties({end: links[end].get(one, []) for end in ends}) for one in ids}

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

    # --- reading pages -----------------------------------------------------------------------------------------

    def _pages(
        self,
        kind: str,
        mark: Mark,
        properties: Sequence[str],
        *,
        associations: Sequence[str] = (),
        together: int = 1,
        stamp: str | None = None,
    ) -> Iterator[tuple[list[Json], Cursor]]:
        if mark.phase == "all":
            return self._listed(kind, mark, properties, associations, together)
        return self._changed(kind, mark, properties, stamp)

    def _listed(
        self, kind: str, mark: Mark, properties: Sequence[str], associations: Sequence[str], together: int
    ) -> Iterator[tuple[list[Json], Cursor]]:
        payloads: list[Json] = []
        held = 0
        while mark.phase == "all":
            page = self._client.list_page(kind, mark.after, properties, associations)
            mark = mark.listed(page)
            payloads += page.results
            held += 1
            if held == together or mark.phase != "all":
                yield payloads, Cursor(mark.text())
                payloads, held = [], 0

    def _changed(
        self, kind: str, mark: Mark, properties: Sequence[str], stamp: str | None
    ) -> Iterator[tuple[list[Json], Cursor]]:
        while True:
            try:
                page = self._client.search(kind, changes_body(mark, MODIFIED[kind], properties, stamp))
            except InvalidValue:
                if stamp is None:
                    raise
                stamp = None  # a person has removed the field: the echo is read then, which is slower and as right
                continue
            newest = schemas.ms(schemas.changed_at(page.results[-1], kind)) if page.results else mark.since
            highest = max((int(schemas.record_id(one, kind)) for one in page.results), default=0)
            mark = mark.searched(page, newest, highest)
            yield page.results, Cursor(mark.text())
            if mark.began is None:
                return

    # --- what vanished -----------------------------------------------------------------------------------------

    def _drift(self, kind: str, known: Sequence[int]) -> Drift:
        """Ids we hold that are archived, merged away or erased.

        Archived records are listed (for 90 days). Erased and merged ones are in no list: where the search index
        counts fewer records than we hold, the gap is narrowed down and the ids in it are read.
        """
        held = set(known)
        if not held:
            return Drift()
        archived = {schemas.record_id(payload, kind) for payload in self._client.list_all(kind, archived=True)}
        gone = {one for one in archived if one.isdecimal() and int(one) in held}
        left = [one for one in known if str(one) not in gone]
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
        return self._tasks.create(drafts)

    def find_tasks(self, drafts: Sequence[TaskDraft]) -> dict[str, str]:
        """See `Sink.find_tasks`."""
        return self._tasks.find(drafts)

    # --- scores ------------------------------------------------------------------------------------------------

    def write_scores(self, changes: Sequence[ScoreChange], fields: FieldMap) -> list[Outcome]:
        """See `Sink.write_scores`. One call for each kind of card among the changes."""
        outcomes: dict[int, Outcome] = {}
        for kind in OBJECTS:
            places = [at for at, change in enumerate(changes) if change.customer.kind is kind]
            send = partial(self._write, kind, fields.of(kind))
            for part in chunks(places, BATCH):
                outcomes.update(zip(part, settle_each([changes[at] for at in part], send), strict=True))
        return [_in_our_words(outcomes[at], fields.of(change.customer.kind)) for at, change in enumerate(changes)]

    def _write(
        self,
        kind: CustomerKind,
        refs: Mapping[str, FieldRef],
        changes: Sequence[ScoreChange],
        tries: int = _BUSY_TRIES,
    ) -> list[Outcome]:
        """One call; cards that another writer holds are sent again, at most `tries` times."""
        body = self._client.update(OBJECTS[kind], [_update(change, refs) for change in changes])
        outcomes = {schemas.record_id(result, kind.value): schemas.kept(result) for result in results_of(body)}
        told = refusals(body)
        busy = tries > 0 and any(refusal.is_busy for refusal in told)
        for refusal in told:
            if not (busy and refusal.is_busy):
                refused = Outcome(ok=False, field=refusal.field, reason=refusal.reason)
                outcomes = {**dict.fromkeys(refusal.ids, refused), **outcomes}
        rest = [change for change in changes if change.customer.external_id not in outcomes]
        if rest and not busy and len(rest) == len(changes):
            raise unsettled(told, len(changes))
        again = settle_each(rest, partial(self._write, kind, refs, tries=tries - busy))
        outcomes.update({change.customer.external_id: one for change, one in zip(rest, again, strict=True)})
        return [outcomes[change.customer.external_id] for change in changes]

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


def _ends(kind: str, *, lines: bool) -> list[str]:
    """What an order is associated with, as far as we ask."""
    return [CONTACTS, COMPANIES, *([DEALS] if kind == ORDERS else []), *([LINE_ITEMS] if lines else [])]


def _ties(links: Mapping[str, Sequence[Link]]) -> Ties:
    return Ties(
        contacts=links.get(CONTACTS, ()),
        companies=links.get(COMPANIES, ()),
        line_items=links.get(LINE_ITEMS, ()),
        deals=links.get(DEALS, ()),
    )


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
