"""A CRM in memory that keeps the promises of `adapters.contract`: deterministic, fast, and as nasty as a test wants.

Every change gets the next version number, and a cursor is such a number, so pages come in the order of change and a
record changed while it is read is read again. Nothing here knows the engine.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

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
    PortalInfo,
)
from adapters.errors import Conflict, Malformed, TokenExpired, Unsupported
from adapters.records import (
    CRM,
    Contacted,
    Customer,
    CustomerKind,
    CustomerRef,
    FieldValue,
    Manager,
    Order,
    OrderSource,
    ScoreChange,
    TaskChange,
    TaskDraft,
    TaskState,
    Team,
    TimelineNote,
)
from adapters.transport import Counters

Record = TypeVar("Record")
START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
SMALL = Capabilities(
    read_batch=4,
    write_batch=3,
    task_batch=2,
    in_flight=2,
    requests_per_second=10.0,
    subscribes=True,
    contacts=True,
    sources=frozenset({OrderSource.DEALS, OrderSource.ORDERS}),
)


@dataclass
class Failure:
    """What the next call of a method raises; `done` means that the call was carried out and its answer was lost."""

    error: Exception
    done: bool
    after: int


@dataclass
class Held:
    """A record and the number of its last change."""

    record: Any
    version: int


@dataclass
class MemoryCRM:
    """One portal. `page_size` is how many records a page has."""

    crm: ClassVar[CRM] = CRM.HUBSPOT

    info: PortalInfo = field(
        default_factory=lambda: PortalInfo("acc-1", "Memory", "Europe/Moscow", "RUB", "https://crm.example")
    )
    currencies: dict[str, Decimal] = field(default_factory=lambda: {"RUB": Decimal(1), "EUR": Decimal("100.5")})
    can: Capabilities = SMALL
    page_size: int = 3
    token: str | None = None
    tells_totals: bool = True
    """The token it accepts; None accepts any."""

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._version = 0
        self.counters = Counters()
        self.presented: str | None = None
        self.cards: dict[CustomerKind, dict[str, Held]] = {kind: {} for kind in CustomerKind}
        self.sold: dict[OrderSource, dict[str, Held]] = {source: {} for source in OrderSource}
        self.staff: list[Manager] = []
        self.groups: list[Team] = []
        self.fields: dict[CustomerKind, dict[str, FieldRef]] = {kind: {} for kind in CustomerKind}
        self.foreign_fields: set[tuple[CustomerKind, str]] = set()
        self.refusals: dict[str, tuple[str | None, str]] = {}
        self.task_refusals: dict[str, str] = {}
        self.tasks: dict[str, TaskDraft] = {}
        self.task_states: dict[str, TaskState] = {}
        self.notes: dict[str, TimelineNote] = {}
        self.contacted: dict[str, Held] = {}
        self.subscribed: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.hints: list[OwnWrites | None] = []
        self._failures: dict[str, list[Failure]] = {}

    # --- what people do in the CRM ---------------------------------------------------------------------------------

    def add_customer(self, kind: CustomerKind, external_id: str, **more: Any) -> CustomerRef:
        """A card, or a change to a whole card."""
        ref = CustomerRef(kind, external_id)
        with self._lock:
            self._keep(self.cards[kind], external_id, Customer(ref, **{"manager_id": "1", **more}))
        return ref

    def add_order(self, order: Order) -> None:
        """A deal or an order object, or a change to a whole one."""
        with self._lock:
            self._keep(self.sold[order.source], order.external_id, order)

    def edit_order(self, source: OrderSource, external_id: str, **changes: Any) -> None:
        """Some attributes of an order change."""
        with self._lock:
            self.add_order(replace(self.sold[source][external_id].record, **changes))

    def edit_card(self, ref: CustomerRef, **values: FieldValue) -> None:
        """A person types into our fields; None empties one."""
        with self._lock:
            held = self.cards[ref.kind][ref.external_id].record
            kept = {key: value for key, value in {**held.card, **values}.items() if value is not None}
            self._keep(self.cards[ref.kind], ref.external_id, replace(held, card=kept))

    def card(self, ref: CustomerRef) -> Mapping[str, FieldValue]:
        """Our fields on a card."""
        held: Customer = self.cards[ref.kind][ref.external_id].record
        return held.card

    def delete_customer(self, ref: CustomerRef) -> None:
        """Gone, without a trace in the lists."""
        del self.cards[ref.kind][ref.external_id]

    def delete_order(self, source: OrderSource, external_id: str) -> None:
        """Gone, without a trace in the lists."""
        del self.sold[source][external_id]

    def merge(self, winner: CustomerRef, loser: CustomerRef) -> None:
        """The loser vanishes, its orders go to the winner; the orders do not count as changed."""
        column = f"{loser.kind.value}_id"
        with self._lock:
            del self.cards[loser.kind][loser.external_id]
            for book in self.sold.values():
                for held in book.values():
                    if getattr(held.record, column) == loser.external_id:
                        held.record = replace(held.record, **{column: winner.external_id})
            kept = self.cards[winner.kind][winner.external_id].record
            merged = (*kept.merged_ids, loser.external_id)
            self._keep(self.cards[winner.kind], winner.external_id, replace(kept, merged_ids=merged))

    def close_task(self, external_id: str, result: str = "", at: datetime | None = None) -> None:
        """A person ticks a task off, with a few words."""
        with self._lock:
            self._version += 1
            state = self.task_states[external_id]
            done_at = self._moment() if at is None else at
            self.task_states[external_id] = replace(state, is_done=True, done_at=done_at, result=result)

    def edit_task(self, external_id: str, **changes: Any) -> None:
        """Attributes of a task's state change: `due_at`, `manager_id`, or back to open."""
        with self._lock:
            self._version += 1
            self.task_states[external_id] = replace(self.task_states[external_id], **changes)

    def delete_task(self, external_id: str) -> None:
        """Gone, and not found by its marker any more."""
        del self.tasks[external_id], self.task_states[external_id]

    def add_contact(self, contact: Contacted) -> None:
        """Somebody called, wrote or met, or what is known of it changes."""
        with self._lock:
            self._version += 1
            self.contacted[contact.external_id] = Held(contact, self._version)

    # --- what goes wrong -------------------------------------------------------------------------------------------

    def fail(self, method: str, *errors: Exception, done: bool = False, after: int = 0) -> None:
        """The next calls of a method, or those after `after` good ones, raise these errors, one each."""
        first = [Failure(error, done, after if at == 0 else 0) for at, error in enumerate(errors)]
        self._failures.setdefault(method, []).extend(first)

    # --- Source ----------------------------------------------------------------------------------------------------

    @property
    def capabilities(self) -> Capabilities:
        return self.can

    def portal(self) -> PortalInfo:
        with self._call("portal"):
            return self.info

    def rates(self) -> Mapping[str, Decimal]:
        with self._call("rates"):
            return dict(self.currencies)

    def managers(self) -> tuple[Sequence[Manager], Sequence[Team]]:
        with self._call("managers"):
            return list(self.staff), list(self.groups)

    def customers(
        self,
        kind: CustomerKind,
        since: Cursor | None,
        *,
        fields: FieldMap | None = None,
        own_writes: OwnWrites | None = None,
    ) -> Iterator[Page[Customer]]:
        self.hints.append(own_writes)
        for page in self._pages("customers", self.cards[kind], since):
            yield Page([_seen(customer, fields) for customer in page.records], page.cursor)

    def orders(self, source: OrderSource, since: Cursor | None, *, lines: bool = True) -> Iterator[Page[Order]]:
        for page in self._pages("orders", self.sold[source], since):
            yield Page([_with_lines(order, lines=lines) for order in page.records], page.cursor)

    def customers_by_id(
        self, kind: CustomerKind, ids: Sequence[str], *, fields: FieldMap | None = None
    ) -> Found[Customer]:
        found = self._by_id("customers_by_id", self.cards[kind], ids)
        return Found([_seen(customer, fields) for customer in found.records], found.gone)

    def orders_by_id(self, source: OrderSource, ids: Sequence[str], *, lines: bool = True) -> Found[Order]:
        found = self._by_id("orders_by_id", self.sold[source], ids)
        return Found([_with_lines(order, lines=lines) for order in found.records], found.gone)

    def count(self, stream: CustomerKind | OrderSource) -> int | None:
        self.calls["count"] += 1
        held = self.cards[stream] if isinstance(stream, CustomerKind) else self.sold[stream]
        return len(held) if self.tells_totals else None

    def customer_drift(self, kind: CustomerKind, known: Sequence[int]) -> Drift:
        return self._drift("customer_drift", self.cards[kind], known)

    def order_drift(self, source: OrderSource, known: Sequence[int]) -> Drift:
        return self._drift("order_drift", self.sold[source], known)

    def tasks_by_id(self, ids: Sequence[str]) -> Found[TaskState]:
        with self._call("tasks_by_id"):
            known = self.task_states
            return Found([known[one] for one in ids if one in known], frozenset(ids) - frozenset(known))

    def contacts(self, since: Cursor | None, *, earliest: datetime | None = None) -> Iterator[Page[Contacted]]:
        if not self.can.contacts:
            raise Unsupported("the portal does not let us read calls and letters")
        for page in self._pages("contacts", self.contacted, since):
            late = earliest if since is None else None
            yield Page([one for one in page.records if late is None or one.at >= late], page.cursor)

    # --- Sink ------------------------------------------------------------------------------------------------------

    def plan_fields(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> list[FieldStep]:
        with self._call("plan_fields"):
            return [step for kind in CustomerKind for spec in specs for step in self._steps(kind, spec)]

    def ensure_fields(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> FieldMap:
        with self._call("ensure_fields"):
            for kind in CustomerKind:
                for spec in specs:
                    self._ensure(kind, spec)
            return FieldMap({kind: dict(refs) for kind, refs in self.fields.items()})

    def write_scores(self, changes: Sequence[ScoreChange], fields: FieldMap) -> list[Outcome]:
        assert len(changes) <= self.can.write_batch, "a write carries more than the capabilities allow"
        with self._call("write_scores"):
            return [self._write(change, fields) for change in changes]

    def create_tasks(self, drafts: Sequence[TaskDraft]) -> list[Outcome]:
        assert len(drafts) <= self.can.task_batch, "a call carries more tasks than the capabilities allow"
        with self._call("create_tasks"):
            return [self._create(draft) for draft in drafts]

    def find_tasks(self, drafts: Sequence[TaskDraft]) -> dict[str, str]:
        with self._call("find_tasks"):
            found = {}
            for external_id, task in self.tasks.items():
                found |= {draft.key: external_id for draft in drafts if draft.marker == task.marker}
            return found

    def change_tasks(self, changes: Sequence[TaskChange]) -> list[Outcome]:
        assert len(changes) <= self.can.task_batch, "a call carries more tasks than the capabilities allow"
        with self._call("change_tasks"):
            return [self._change(change) for change in changes]

    def add_notes(self, notes: Sequence[TimelineNote]) -> list[Outcome]:
        assert len(notes) <= self.can.task_batch, "a call carries more notes than the capabilities allow"
        with self._call("add_notes"):
            return [self._add_note(note) for note in notes]

    def find_notes(self, notes: Sequence[TimelineNote]) -> dict[str, str]:
        with self._call("find_notes"):
            held = {note.marker: external_id for external_id, note in self.notes.items()}
            return {note.key: held[note.marker] for note in notes if note.marker in held}

    def subscribe(self, callback_url: str) -> None:
        with self._call("subscribe"):
            self.subscribed.add(callback_url)

    def unsubscribe(self, callback_url: str) -> None:
        with self._call("unsubscribe"):
            self.subscribed.discard(callback_url)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _keep(self, book: dict[str, Held], external_id: str, record: Any) -> None:
        self._version += 1
        book[external_id] = Held(replace(record, updated_at=self._moment()), self._version)

    def _moment(self) -> datetime:
        return START + timedelta(seconds=self._version)

    def _call(self, method: str) -> _Call:
        with self._lock:
            self.calls[method] += 1
            self.counters.count()
            if self.token is not None and self.presented != self.token:
                raise TokenExpired("the token is refused: make a new one", status=401)
            return _Call(self._lock, self._next_failure(method))

    def _next_failure(self, method: str) -> Failure | None:
        waiting = self._failures.get(method, [])
        if not waiting:
            return None
        if waiting[0].after > 0:
            waiting[0].after -= 1
            return None
        return waiting.pop(0)

    def _pages(self, method: str, book: dict[str, Held], since: Cursor | None) -> Iterator[Page[Any]]:
        after = _version_in(since)
        while True:
            with self._call(method):
                newer = sorted((held for held in book.values() if held.version > after), key=lambda held: held.version)
            some = newer[: self.page_size]
            after = some[-1].version if some else after
            yield Page([held.record for held in some], Cursor(json.dumps({"after": after})))
            if len(newer) <= self.page_size:
                return

    def _by_id(self, method: str, book: dict[str, Held], ids: Sequence[str]) -> Found[Any]:
        with self._call(method):
            return Found([book[one].record for one in ids if one in book], frozenset(ids) - frozenset(book))

    def _drift(self, method: str, book: dict[str, Held], known: Sequence[int]) -> Drift:
        with self._call(method):
            held, ours = set(book), {str(number) for number in known}
            return Drift(gone=frozenset(ours - held), unseen=frozenset(held - ours))

    def _steps(self, kind: CustomerKind, spec: FieldSpec) -> list[FieldStep]:
        ref = self.fields[kind].get(spec.key)
        if ref is None:
            return [FieldStep(kind, spec.key, "create", spec.label)]
        missing = [choice.value for choice in spec.choices if choice.value not in ref.choices]
        return [FieldStep(kind, spec.key, "extend", ", ".join(missing))] if missing else []

    def _ensure(self, kind: CustomerKind, spec: FieldSpec) -> None:
        if (kind, spec.key) in self.foreign_fields:
            raise Conflict(f"a field of another type stands in the place of {spec.key}", field=spec.key)
        held = self.fields[kind].get(spec.key)
        choices = dict(held.choices) if held else {}
        for choice in spec.choices:
            choices.setdefault(choice.value, f"option-{len(choices)}")
        self.fields[kind][spec.key] = FieldRef(f"{kind.value}-{spec.key}", spec.label, choices)

    def _write(self, change: ScoreChange, fields: FieldMap) -> Outcome:
        ref = change.customer
        if str(ref) in self.refusals:
            key, reason = self.refusals[str(ref)]
            return Outcome(ok=False, field=key, reason=reason)
        if ref.external_id not in self.cards[ref.kind]:
            return Outcome(ok=False, reason="the card does not exist any more")
        for key, value in change.values.items():
            place = fields.of(ref.kind).get(key)
            if place is None:
                return Outcome(ok=False, field=key, reason="the card has no such field")
            if place.choices and value is not None and value not in place.choices:
                return Outcome(ok=False, field=key, reason="the field has no such option")
        self.edit_card(ref, **change.values)
        return Outcome(ok=True, external_id=ref.external_id, written_at=self._moment())

    def _create(self, draft: TaskDraft) -> Outcome:
        reason = self.task_refusals.get(str(draft.customer))
        if reason is not None:
            return Outcome(ok=False, reason=reason)
        if draft.customer.external_id not in self.cards[draft.customer.kind]:
            return Outcome(ok=False, reason="the card does not exist any more")
        external_id = str(max(map(int, self.tasks), default=0) + 1)
        self.tasks[external_id] = draft
        state = TaskState(external_id, is_done=False, due_at=draft.due_at, manager_id=draft.manager_id)
        self.task_states[external_id] = state
        return Outcome(ok=True, external_id=external_id)

    def _change(self, change: TaskChange) -> Outcome:
        state = self.task_states.get(change.external_id)
        if state is None:
            return Outcome(ok=False, reason="the task does not exist any more")
        wanted = {"due_at": change.due_at, "manager_id": change.manager_id}
        self.edit_task(change.external_id, **{name: value for name, value in wanted.items() if value is not None})
        if change.close and not state.is_done:
            self.close_task(change.external_id, change.result)
        return Outcome(ok=True, external_id=change.external_id)

    def _add_note(self, note: TimelineNote) -> Outcome:
        if note.customer.external_id not in self.cards[note.customer.kind]:
            return Outcome(ok=False, reason="the card does not exist any more")
        external_id = str(len(self.notes) + 1)
        self.notes[external_id] = note
        return Outcome(ok=True, external_id=external_id)


class _Call:
    """One call: alone in the portal, and failing before or after its work when a test wants that."""

    def __init__(self, lock: threading.RLock, failure: Failure | None) -> None:  # type: ignore[valid-type]
        self._lock = lock
        self._failure = failure

    def __enter__(self) -> None:
        if self._failure is not None and not self._failure.done:
            raise self._failure.error
        self._lock.acquire()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._lock.release()
        if self._failure is not None and error is None:
            raise self._failure.error


def _version_in(cursor: Cursor | None) -> int:
    if cursor is None:
        return 0
    try:
        return int(json.loads(cursor)["after"])
    except (ValueError, KeyError, TypeError):
        raise Malformed("a cursor is not one of ours", path="cursor.after") from None


def _seen(customer: Customer, fields: FieldMap | None) -> Customer:
    """As it is read: only fields that the map names, and nothing empty."""
    known = fields.of(customer.ref.kind) if fields else {}
    return replace(customer, card={key: value for key, value in customer.card.items() if key in known})


def _with_lines(order: Order, *, lines: bool) -> Order:
    return order if lines else replace(order, lines=None)
