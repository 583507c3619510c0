"""Keeps the promises of `adapters.contract` for one HubSpot account: reads its records, writes our fields and tasks.

First reading: plain lists by id. Changes: searches by last change, since HubSpot's lists cannot be filtered.
What vanished: the lists of archived records, and a count by the search index for what was erased for good.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import ClassVar

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
    BatchRefused,
    Conflict,
    Interrupted,
    InvalidValue,
    Rejected,
    ScopeMissing,
    Transient,
    Unavailable,
    Unpaid,
    Unsupported,
)
from adapters.hubspot import schemas
from adapters.hubspot.client import (
    BATCH,
    COMPANIES,
    CONTACTS,
    DEALS,
    INDEX_CAP,
    LINE_ITEMS,
    ORDERS,
    TASKS,
    Client,
    Json,
    Link,
    Mark,
    Quiet,
    between,
    changes_body,
    results_of,
)
from adapters.hubspot.faults import Complaint, complaints
from adapters.hubspot.schemas import MODIFIED, OBJECTS, SOURCES, Stages, Ties
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
_TASK_TRIES = 4
_BUSY_TRIES = 4
_NOT_HERE = (ScopeMissing, Unpaid, Rejected)
_MARKER = re.compile(r"RFM#([^\s<>&\"]+)")


def _now() -> datetime:
    return datetime.now(UTC)


class HubSpot:
    """One account. Safe to use from several threads; keeps nothing but answers about the account itself."""

    crm: ClassVar[CRM] = CRM.HUBSPOT

    def __init__(
        self, access: PortalAccess, transport: Transport, states: States, *, now: Callable[[], datetime] = _now
    ) -> None:
        self._client = Client(access, transport, states, now)
        self._account: PortalInfo | None = None
        self._stages: Stages | None = None
        self._capabilities: Capabilities | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Asks once whether order objects can be read: a scope and a product of their own."""
        if self._capabilities is None:
            sources = {OrderSource.DEALS}
            with contextlib.suppress(*_NOT_HERE):
                self._client.list_page(ORDERS, None, limit=1)
                sources.add(OrderSource.ORDERS)
            self._capabilities = Capabilities(
                read_batch=BATCH,
                write_batch=BATCH,
                task_batch=BATCH,
                in_flight=6,
                requests_per_second=self._client.per_second,
                sources=frozenset(sources),
            )
        return self._capabilities

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

    # --- fields ------------------------------------------------------------------------------------------------

    def plan_fields(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> list[FieldStep]:
        """See `Sink.plan_fields`. Raises `Conflict` like `ensure_fields`."""
        steps: list[FieldStep] = []
        for kind in OBJECTS:
            found = self._definitions(kind)
            missing = _missing_specs(kind, specs, found, _stored(known, kind))
            if missing and not self._has_group(kind):
                steps.append(FieldStep(kind, "group", "create", f"property group {schemas.GROUP['name']}"))
            for spec in specs:
                if spec in missing:
                    steps.append(FieldStep(kind, spec.key, "create", f"property {schemas.property_name(spec.key)}"))
                elif more := schemas.missing_options(spec, _find(spec, found, _stored(known, kind)) or {}):
                    options = ", ".join(option["value"] for option in more)
                    steps.append(FieldStep(kind, spec.key, "extend", f"options {options}"))
        return steps

    def ensure_fields(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> FieldMap:
        """See `Sink.ensure_fields`. Property names never change in HubSpot, so they are the ids."""
        return FieldMap({kind: self._ensure_kind(kind, specs, _stored(known, kind)) for kind in OBJECTS})

    def _ensure_kind(
        self, kind: CustomerKind, specs: Sequence[FieldSpec], stored: Mapping[str, FieldRef]
    ) -> dict[str, FieldRef]:
        found = self._definitions(kind)
        missing = _missing_specs(kind, specs, found, stored)
        if missing:
            found = self._create_properties(kind, missing)
            still = _missing_specs(kind, specs, found, stored)
            if still:
                names = ", ".join(schemas.property_name(spec.key) for spec in still)
                raise Conflict(f"HubSpot has taken the {kind.value} properties {names} but does not list them")
        refs: dict[str, FieldRef] = {}
        for spec in specs:
            existing = found[_name(spec, found, stored)]
            more = schemas.missing_options(spec, existing)
            if more:
                # A PATCH replaces the whole list: options that exist are sent along unchanged.
                self._client.set_options(OBJECTS[kind], existing["name"], [*(existing["options"] or ()), *more])
            refs[spec.key] = schemas.field_ref(existing, spec)
        return refs

    def _create_properties(self, kind: CustomerKind, specs: Sequence[FieldSpec]) -> dict[str, Json]:
        """Create in one call; what it refuses, perhaps because another run made it meanwhile, one by one."""
        objects = OBJECTS[kind]
        if not self._has_group(kind):
            with contextlib.suppress(Conflict):
                self._client.create_group(objects, schemas.GROUP)
        with contextlib.suppress(BatchRefused):
            self._client.create_properties(objects, [schemas.definition(spec) for spec in specs])
        found = self._definitions(kind)
        missing = [spec for spec in specs if schemas.property_name(spec.key) not in found]
        for spec in missing:
            with contextlib.suppress(Conflict):
                self._client.create_property(objects, schemas.definition(spec))
        return self._definitions(kind) if missing else found

    def _definitions(self, kind: CustomerKind) -> dict[str, Json]:
        checked = (schemas.property_of(payload) for payload in self._client.properties(OBJECTS[kind]))
        return {each["name"]: each for each in checked}

    def _has_group(self, kind: CustomerKind) -> bool:
        return any(group.get("name") == schemas.GROUP["name"] for group in self._client.groups(OBJECTS[kind]))

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
        outcomes = {schemas.record_id(result, kind.value): _kept(result) for result in results_of(body)}
        refusals = _refusals(body)
        busy = tries > 0 and any(refusal.is_busy for refusal in refusals)
        for refusal in refusals:
            if not (busy and refusal.is_busy):
                outcomes = {**dict.fromkeys(refusal.ids, _refused(refusal)), **outcomes}
        rest = [change for change in changes if change.customer.external_id not in outcomes]
        if rest and not busy and len(rest) == len(changes):
            raise _unsettled(refusals, len(changes))
        again = settle_each(rest, partial(self._write, kind, refs, tries=tries - busy))
        outcomes.update({change.customer.external_id: one for change, one in zip(rest, again, strict=True)})
        return [outcomes[change.customer.external_id] for change in changes]

    # --- tasks -------------------------------------------------------------------------------------------------

    def create_tasks(self, drafts: Sequence[TaskDraft]) -> list[Outcome]:
        """See `Sink.create_tasks`."""
        return [replace(outcome, field=None) for outcome in settle_each(drafts, self._create_surely)]

    def find_tasks(self, drafts: Sequence[TaskDraft]) -> dict[str, str]:
        """See `Sink.find_tasks`. Goes by the customers' associations, since the search index lags; newest first."""
        ids: set[str] = set()
        for kind, objects in OBJECTS.items():
            customers = _once([draft.customer.external_id for draft in drafts if draft.customer.kind is kind])
            if customers:
                links = self._client.links(objects, [TASKS], customers)[TASKS]
                ids |= {link.to for each in links.values() for link in each}
        wanted = {draft.key for draft in drafts}
        found: dict[str, str] = {}
        for part in chunks(sorted(ids, key=schemas.numeric, reverse=True), BATCH):
            for payload in self._client.read(TASKS, part, ("hs_task_body",)):
                key = _key_of(payload)
                if key in wanted:
                    found[key] = schemas.record_id(payload, TASKS)
            if len(found) == len(wanted):
                break
        return found

    def _create_surely(self, drafts: Sequence[TaskDraft]) -> list[Outcome]:
        """Create tasks; after a lost answer look for them and create only those that are missing.

        Raises `BatchRefused` only when none of the drafts exists, so that halving makes none twice.
        """
        done: dict[str, Outcome] = {}
        refusals: list[Complaint] = []
        lost: Transient | None = None
        for _ in range(_TASK_TRIES):
            rest = [draft for draft in drafts if draft.key not in done]
            not_made: frozenset[str] = frozenset()
            try:
                refusals, lost = self._create_once(rest, done), None
                not_made = frozenset(key for refusal in refusals if refusal.is_busy for key in refusal.traces)
            except (Interrupted, Unavailable) as error:
                lost = error
            except BatchRefused:
                if not done:
                    raise
                lost = None
                break
            doubtful = [draft for draft in rest if draft.key not in done and draft.key not in not_made]
            found = self.find_tasks(doubtful) if doubtful else {}
            done.update({key: Outcome(ok=True, external_id=task_id) for key, task_id in found.items()})
            if len(done) == len(drafts):
                break
        return self._rest_settled(drafts, done, refusals, lost)

    def _create_once(self, drafts: Sequence[TaskDraft], done: dict[str, Outcome]) -> list[Complaint]:
        """One call. Enters in `done` what it settles, and returns what it complains of."""
        body = self._client.create(TASKS, [schemas.task(draft) for draft in drafts])
        keys = {draft.key for draft in drafts}
        made = {_key_of(result): _kept(result) for result in results_of(body)}
        refusals = _refusals(body)
        for refusal in refusals:
            if not refusal.is_busy:
                made = {**dict.fromkeys(refusal.traces, Outcome(ok=False, reason=refusal.reason)), **made}
        done.update({key: outcome for key, outcome in made.items() if key in keys})
        return refusals

    def _rest_settled(
        self,
        drafts: Sequence[TaskDraft],
        done: dict[str, Outcome],
        refusals: Sequence[Complaint],
        lost: Transient | None,
    ) -> list[Outcome]:
        """Outcomes of all drafts; those that are still open and do not exist are tried in smaller batches."""
        rest = [draft for draft in drafts if draft.key not in done]
        if rest and lost is not None:
            raise Interrupted("HubSpot does not say whether tasks were created") from lost
        if rest and len(rest) == len(drafts):
            raise _unsettled(refusals, len(drafts))
        again = settle_each(rest, self._create_surely)
        done.update({draft.key: one for draft, one in zip(rest, again, strict=True)})
        return [done[draft.key] for draft in drafts]


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


def _stored(known: FieldMap | None, kind: CustomerKind) -> Mapping[str, FieldRef]:
    return known.of(kind) if known else {}


def _name(spec: FieldSpec, found: Mapping[str, Json], stored: Mapping[str, FieldRef]) -> str:
    """The property that holds a field: the stored one while it exists, else the one that carries our name."""
    ref = stored.get(spec.key)
    return ref.external_id if ref and ref.external_id in found else schemas.property_name(spec.key)


def _find(spec: FieldSpec, found: Mapping[str, Json], stored: Mapping[str, FieldRef]) -> Json | None:
    return found.get(_name(spec, found, stored))


def _missing_specs(
    kind: CustomerKind, specs: Sequence[FieldSpec], found: Mapping[str, Json], stored: Mapping[str, FieldRef]
) -> list[FieldSpec]:
    """Fields without a property. Raises `Conflict` for one whose property has another type."""
    missing: list[FieldSpec] = []
    for spec in specs:
        existing = _find(spec, found, stored)
        if existing is None:
            missing.append(spec)
        else:
            schemas.check_type(spec, existing, kind)
    return missing


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


def _kept(result: Json) -> Outcome:
    return Outcome(ok=True, external_id=schemas.record_id(result, "results"), written_at=schemas.written_at(result))


def _refusals(body: Json) -> list[Complaint]:
    return complaints(body) if body.get("errors") else []


def _refused(refusal: Complaint) -> Outcome:
    return Outcome(ok=False, field=refusal.field, reason=refusal.reason)


def _unsettled(refusals: Sequence[Complaint], items: int) -> BatchRefused:
    """For a batch of which nothing is kept: it is halved, and a single item settled with the reason given."""
    if not refusals:
        return BatchRefused("HubSpot did not say what became of the record")
    first = refusals[0]
    return BatchRefused(first.reason, bad={0: (first.field, first.reason)} if items == 1 else None)


def _key_of(payload: Json) -> str:
    """Our key of a task: the trace id in the answer to its creation, later the mark in its text; empty for others'."""
    trace = payload.get("objectWriteTraceId")
    if trace:
        return str(trace)
    found = _MARKER.search(str((payload.get("properties") or {}).get("hs_task_body") or ""))
    return found.group(1) if found else ""
