"""What the engine asks of a CRM: Protocols and the values they exchange. Providers inherit nothing.

Promises that `tests/contract` checks for every CRM and for the in-memory one:

1. Storing a page together with its cursor and resuming from that cursor loses nothing, at any page.
   A reader that goes newest-first moves the cursor only on its last page.
2. The same page twice changes nothing.
3. An id asked for is either in `records` or in `gone`.
4. `write_scores`, `create_tasks`, `change_tasks` and `add_notes` return one outcome per item, in the same order;
   one refused record does not fail its neighbours.
5. No call carries more than `capabilities` allows.
6. Times are aware UTC, money is `Decimal` with a currency beside it.
7. Unknown payload fields are ignored; a missing required one raises `Malformed` with its path.
8. Nothing here sleeps or logs a secret: the transport waits and redacts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Generic, NewType, Protocol, TypeVar

from adapters.records import (
    CRM,
    Contacted,
    Customer,
    CustomerKind,
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

Record = TypeVar("Record")
Cursor = NewType("Cursor", str)
"""Opaque to the engine: each adapter writes and reads its own (JSON text)."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Record]):
    """Some records and the cursor from which to go on once they are stored. May be empty."""

    records: Sequence[Record]
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Found(Generic[Record]):
    """Answer to a question by ids: what exists now, and which of the ids are gone."""

    records: Sequence[Record]
    gone: frozenset[str]


@dataclass(frozen=True, slots=True)
class Drift:
    """Where the mirror and the CRM disagree on which records exist.

    `gone`: ids we hold that the CRM does not. `unseen`: ids the CRM holds that we do not.
    """

    gone: frozenset[str] = frozenset()
    unseen: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class OwnWrites:
    """Our own card writes since the cursor was stored, so that their echo need not be read again.

    `first_at` and `last_at` bound them by the CRM's clock; `count` is the number of distinct cards of that
    kind; `stamps` are the values of the `updated_at` field that they carry. A hint: an adapter that cannot
    use it reads the echo, which is slower and equally right.
    """

    first_at: datetime
    last_at: datetime
    count: int
    stamps: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What THIS portal can do and how much at a time: tariff and installed options count."""

    read_batch: int
    write_batch: int
    task_batch: int
    in_flight: int
    """Requests worth having under way at once, so that latency is not the brake."""
    requests_per_second: float
    """What the portal's limits allow in the long run; plans are priced with it."""
    sources: frozenset[OrderSource] = frozenset({OrderSource.DEALS})
    order_lines: bool = True
    change_filter: bool = True
    """False where "changed since" must be read newest-first (amoCRM without the paid filter option)."""
    subscribes: bool = False
    """Whether webhooks are asked for through the API: not by a Bitrix24 webhook, not in HubSpot (the app's files)."""
    contacts: bool = False
    """Whether calls, messages, letters and meetings can be read. Otherwise `contacts` raises `Unsupported`."""


@dataclass(frozen=True, slots=True)
class PortalInfo:
    """The account behind a token. `time_zone` is an IANA name or a fixed offset such as `UTC+03:00`."""

    account_id: str
    name: str
    time_zone: str
    currency: str
    web_url: str


class FieldType(StrEnum):
    """Type of a card field, mapped by each adapter to the vendor's own."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    TEXT = "text"
    LONG_TEXT = "long_text"
    CHOICE = "choice"
    TIME = "time"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Choice:
    """An option of a `CHOICE` field: `value` is stable and latin, the label is for people."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """A field we keep on contact and company cards, labelled in the portal's language."""

    key: str
    type: FieldType
    label: str
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldRef:
    """Where a field lives in one portal: the vendor's id or name, and its options (value → vendor's id)."""

    external_id: str
    name: str
    choices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Our field keys → the portal's fields, for each kind of card. Stored with the portal as JSON."""

    fields: Mapping[CustomerKind, Mapping[str, FieldRef]]

    def of(self, kind: CustomerKind) -> Mapping[str, FieldRef]:
        """The fields of one kind of card; empty when it has none."""
        return self.fields.get(kind, {})

    def to_json(self) -> str:
        """The stored form."""
        return json.dumps(
            {
                kind.value: {
                    key: {"id": ref.external_id, "name": ref.name, "choices": dict(ref.choices)}
                    for key, ref in refs.items()
                }
                for kind, refs in self.fields.items()
            },
            ensure_ascii=False,
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> FieldMap:
        """Read what `to_json` wrote."""
        return cls(
            {
                CustomerKind(kind): {key: FieldRef(ref["id"], ref["name"], ref["choices"]) for key, ref in refs.items()}
                for kind, refs in json.loads(text).items()
            }
        )


@dataclass(frozen=True, slots=True)
class FieldStep:
    """One thing `ensure_fields` would do: `create` a field or group, `extend` its options, `rename` nothing."""

    kind: CustomerKind
    key: str
    action: str
    detail: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The final word on one item of a bulk write.

    `written_at` is the record's own change time after the write, where the CRM tells it. `field` is our key.
    """

    ok: bool
    external_id: str | None = None
    written_at: datetime | None = None
    field: str | None = None
    reason: str | None = None


class Tokens(Protocol):
    """Keeper of one portal's access token."""

    def current(self) -> str:
        """The token to use now."""
        ...

    def renew(self, stale: str) -> str:
        """A token newer than `stale`; raises `TokenExpired` when there is no way to get one."""
        ...


@dataclass(frozen=True, slots=True)
class PortalAccess:
    """How to reach one portal. For a Bitrix24 webhook the base URL itself is the secret."""

    crm: CRM
    base_url: str = field(repr=False)
    tokens: Tokens | None = field(repr=False, default=None)


class Source(Protocol):
    """Reading."""

    def portal(self) -> PortalInfo:
        """The account behind the token; also the check that the token works."""
        ...

    def rates(self) -> Mapping[str, Decimal]:
        """Currency code → how much one unit is worth in the base currency, as the portal holds it now.

        Has the base currency itself with 1. Currencies without a rate are absent.
        """
        ...

    def count(self, stream: CustomerKind | OrderSource) -> int | None:
        """How many cards or orders there are, as the CRM tells it in one request; None where it tells no totals."""
        ...

    def managers(self) -> tuple[Sequence[Manager], Sequence[Team]]:
        """All staff, inactive ones included, and their teams."""
        ...

    def customers(
        self,
        kind: CustomerKind,
        since: Cursor | None,
        *,
        fields: FieldMap | None = None,
        own_writes: OwnWrites | None = None,
    ) -> Iterator[Page[Customer]]:
        """All cards of one kind (`since` None), or those changed since the cursor."""
        ...

    def orders(self, source: OrderSource, since: Cursor | None, *, lines: bool = True) -> Iterator[Page[Order]]:
        """All deals or order objects in any state, or those changed since the cursor."""
        ...

    def customers_by_id(
        self, kind: CustomerKind, ids: Sequence[str], *, fields: FieldMap | None = None
    ) -> Found[Customer]:
        """The current state of the named cards."""
        ...

    def orders_by_id(self, source: OrderSource, ids: Sequence[str], *, lines: bool = True) -> Found[Order]:
        """The current state of the named deals or order objects."""
        ...

    def customer_drift(self, kind: CustomerKind, known: Sequence[int]) -> Drift:
        """Which cards vanished or were never seen; `known` are the ids we hold, ascending."""
        ...

    def order_drift(self, source: OrderSource, known: Sequence[int]) -> Drift:
        """The same for deals or order objects."""
        ...

    def tasks_by_id(self, ids: Sequence[str]) -> Found[TaskState]:
        """The current state of the named tasks (ids from `create_tasks`); deleted ones are `gone`."""
        ...

    def contacts(self, since: Cursor | None, *, earliest: datetime | None = None) -> Iterator[Page[Contacted]]:
        """All contacts with customers (`since` None), or those entered or changed since the cursor.

        With `earliest` (aware) the first reading leaves out what was last touched before it; later readings pass it
        over. A contact comes again when it changes, such as a call that ends. Raises `Unsupported` where
        `capabilities.contacts` is false.
        """
        ...


class Sink(Protocol):
    """Writing. Values are absolute, so that repeating is harmless."""

    def plan_fields(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> list[FieldStep]:
        """What `ensure_fields` would do now; sends nothing that changes the CRM."""
        ...

    def ensure_fields(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> FieldMap:
        """Create the group and the fields that are missing, add missing options, and say where all are.

        Safe to repeat. Finds a field again by stored id, then by code, then by name. Never removes an
        option, never changes a type; a field of another type in our place raises `Conflict`.
        """
        ...

    def write_scores(self, changes: Sequence[ScoreChange], fields: FieldMap) -> list[Outcome]:
        """Put values on at most `write_batch` cards of any kinds.

        A batch that the CRM refuses as a whole is halved until the bad record stands alone. Raises
        `Transient` or `AccessLost` when nothing is known of the whole; repeating is then harmless.
        """
        ...

    def create_tasks(self, drafts: Sequence[TaskDraft]) -> list[Outcome]:
        """Create at most `task_batch` tasks. After a lost answer it looks for them before it repeats."""
        ...

    def find_tasks(self, drafts: Sequence[TaskDraft]) -> dict[str, str]:
        """Task key → the CRM's id, for those of the drafts that already exist (found by `marker`)."""
        ...

    def change_tasks(self, changes: Sequence[TaskChange]) -> list[Outcome]:
        """Change at most `task_batch` of our tasks, each named once. Absolute values: repeating is harmless.

        A task that is closed already stays as it is: asked to close it is done, asked for anything else as well it
        may be refused. Raises `Transient` or `AccessLost` when nothing is known of the whole.
        """
        ...

    def add_notes(self, notes: Sequence[TimelineNote]) -> list[Outcome]:
        """Put at most `task_batch` notes on cards. After a lost answer it looks for them before it repeats."""
        ...

    def find_notes(self, notes: Sequence[TimelineNote]) -> dict[str, str]:
        """Note key → the CRM's id, for those of the notes that already exist (found by `marker`)."""
        ...


class Hooks(Protocol):
    """Webhooks, where `capabilities.subscribes`; elsewhere both raise `Unsupported`."""

    def subscribe(self, callback_url: str) -> None:
        """Have events posted to this address: what is missing is added, what was switched off is switched on.

        Safe to repeat; sends no change where nothing is missing. Raises `AccessLost` or `Rejected` where the portal's
        plan has no webhooks: changes are then found by pulling.
        """
        ...

    def unsubscribe(self, callback_url: str) -> None:
        """Have no more events posted there. Safe to repeat."""
        ...


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """What a robot or a workflow action that waits is told.

    `token` is the CRM's own of the call, `values` are the outputs by name, `text` is for the automation's log.
    """

    token: str = field(repr=False)
    values: Mapping[str, str | int]
    text: str


class Automations(Protocol):
    """Our part in the CRM's own automation and on its cards (`registry.automations_of`); not every CRM has one."""

    def ensure(self, base_url: str, *, renew: bool) -> Mapping[str, str]:
        """Have robots and tabs registered that call us under this address: what is missing is added.

        Safe to repeat; sends no change where nothing is missing. `renew` describes anew what is there already, whose
        address cannot be read. Returns, by what was looked at, empty text or why the portal does not take it.
        """
        ...

    def answer(self, answers: Sequence[CallAnswer]) -> list[Outcome]:
        """Tell waiting calls what came of them: one outcome each, in order; a call that is over is refused.

        An answer given twice is refused the second time, and does no harm.
        """
        ...


class Adapter(Source, Sink, Hooks, Protocol):
    """A CRM, whole."""

    crm: ClassVar[CRM]

    @property
    def capabilities(self) -> Capabilities:
        """What this portal can do; may cost one request the first time."""
        ...
