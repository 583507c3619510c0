"""amoCRM and Kommo as the engine sees them: keeps the promises of `adapters.contract`, with what this CRM has.

What it has not: totals and cursors in lists, filters of cards (a paid option that is silently ignored where it is
missing), keys against doubles, priorities of tasks, currencies beside the account's own.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

from adapters.amocrm import hooks, pages, provision, tasks
from adapters.amocrm.catalogs import Catalogs
from adapters.amocrm.changes import Change, Changes
from adapters.amocrm.client import (
    CUSTOMERS,
    LEADS,
    PAGE,
    RATE,
    TASK_BATCH,
    TRANSACTIONS,
    Client,
    Json,
    Listing,
)
from adapters.amocrm.conversations import Conversations
from adapters.amocrm.orders import Buyer, buyer_of, lead_of, transaction_of
from adapters.amocrm.pages import Echo, Place
from adapters.amocrm.provision import Layout, Wanted
from adapters.amocrm.schemas import (
    ENTITY,
    Account,
    CardReader,
    account_of,
    change_body,
    customer_of,
    field_of,
    group_of,
    manager_of,
)
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
    CRMError,
    Interrupted,
    InvalidValue,
    Malformed,
    ScopeMissing,
    Unavailable,
    Unsupported,
)
from adapters.fields import epoch
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
from adapters.transport import Transport

BY_ID = ("order[id]", "asc")
NEWEST_FIRST = ("order[updated_at]", "desc")
_IN_FLIGHT = 8
_TRIES = 5
_GONE = "the card does not exist any more"


class AmoCRM:
    """One account. Safe to share between threads."""

    crm: ClassVar[CRM] = CRM.AMOCRM

    def __init__(
        self,
        access: PortalAccess,
        transport: Transport,
        states: States,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = Client(access, transport, states, now=now)
        self._conversations = Conversations(self._client)
        self._web_url = access.base_url
        self._lock = threading.Lock()
        self._known_account: Account | None = None
        self._just_listed: set[str] | None = None
        """Ids of a complete reading of transactions, kept for the one look at vanished ones that follows it."""

    # --- the account -------------------------------------------------------------------------------------------

    def _account(self) -> Account:
        """The account as read last; one request the first time."""
        with self._lock:
            if self._known_account is None:
                self._known_account = account_of(self._client.account(), self._web_url)
            return self._known_account

    @property
    def capabilities(self) -> Capabilities:
        """What this account has bought; one request the first time."""
        account = self._account()
        return Capabilities(
            read_batch=PAGE,
            write_batch=PAGE,
            task_batch=TASK_BATCH,
            in_flight=_IN_FLIGHT,
            requests_per_second=RATE.limit / RATE.seconds,
            sources=frozenset({OrderSource.DEALS, *([OrderSource.ORDERS] if account.has_customers else [])}),
            change_filter=account.has_filter,
            subscribes=True,
            contacts=True,
        )

    def portal(self) -> PortalInfo:
        """The account behind the token, read anew."""
        with self._lock:
            self._known_account = None
        return self._account().info

    def rates(self) -> Mapping[str, Decimal]:
        """The account's one currency: amoCRM converts nothing."""
        return {self._account().info.currency: Decimal(1)}

    def count(self, stream: CustomerKind | OrderSource) -> None:
        """None: lists tell no totals."""

    def managers(self) -> tuple[Sequence[Manager], Sequence[Team]]:
        """All users and their groups. Only an administrator's token may read them."""
        teams = self._account().teams
        try:
            users = self._client.users()
        except ScopeMissing as error:
            raise ScopeMissing(
                "amoCRM shows its users only to administrators: connect with a token of an administrator",
                status=error.status,
                scope="users",
            ) from error
        return [manager_of(user, teams) for user in users], list(teams)

    # --- cards -------------------------------------------------------------------------------------------------

    def customers(
        self,
        kind: CustomerKind,
        since: Cursor | None,
        *,
        fields: FieldMap | None = None,
        own_writes: OwnWrites | None = None,
    ) -> Iterator[Page[Customer]]:
        """Cards by id from the beginning, or changed ones newest first: then only the last page moves the cursor."""
        refs = fields.of(kind) if fields else {}
        reader = CardReader(refs)

        stamps = {epoch(stamp) for stamp in own_writes.stamps} if own_writes else set()

        def is_ours(row: Json) -> bool:
            stamp = reader.read(row.get("custom_fields_values")).get("updated_at")
            return isinstance(stamp, datetime) and epoch(stamp) in stamps

        for rows, cursor in self._rows(ENTITY[kind], (), since, Echo.of(own_writes), is_ours):
            yield Page([customer_of(row, kind, reader) for row in rows], cursor)

    def customers_by_id(
        self, kind: CustomerKind, ids: Sequence[str], *, fields: FieldMap | None = None
    ) -> Found[Customer]:
        """Cards as they are now: by filter where the account has bought it, else one call for each."""
        reader = CardReader(fields.of(kind) if fields else {})
        rows = self._rows_by_id(ENTITY[kind], (), ids)
        return Found([customer_of(row, kind, reader) for row in rows.values()], frozenset(ids) - rows.keys())

    def customer_drift(self, kind: CustomerKind, known: Sequence[int]) -> Drift:
        """Found by rank, since lists tell no totals: see `pages.drift_of`."""
        return pages.drift_of(known, self._reader(ENTITY[kind], [BY_ID]))

    # --- orders ------------------------------------------------------------------------------------------------

    def orders(self, source: OrderSource, since: Cursor | None, *, lines: bool = True) -> Iterator[Page[Order]]:
        """Leads of all pipelines, archived ones too, or all transactions of amoCRM's own customers.

        Transactions have no date filter, so their "changes" are all of them, each time.
        """
        if source is OrderSource.ORDERS:
            yield from self._transactions(since, lines=lines)
            return
        currency = self._account().info.currency
        products = Catalogs(self._client) if lines else None
        is_everything = Place.of(since).is_backfill
        for rows, cursor in self._rows(LEADS, _lead_parts(lines=lines), since, None, lambda _row: False):
            known = products.of(rows, whole_lists=is_everything) if products else None
            yield Page([lead_of(row, currency, known) for row in rows], cursor)

    def orders_by_id(self, source: OrderSource, ids: Sequence[str], *, lines: bool = True) -> Found[Order]:
        """Leads or transactions as they are now."""
        currency = self._account().info.currency
        catalogs = Catalogs(self._client) if lines else None
        if source is OrderSource.ORDERS:
            self._need_customers()
            rows = self._transactions_by_id(ids)
            buyers = self._buyers() if rows else {}
            products = catalogs.of(rows.values()) if catalogs else None
            orders = [transaction_of(row, currency, buyers, products) for row in rows.values()]
        else:
            rows = self._rows_by_id(LEADS, _lead_parts(lines=lines), ids)
            products = catalogs.of(rows.values()) if catalogs else None
            orders = [lead_of(row, currency, products) for row in rows.values()]
        return Found(orders, frozenset(ids) - rows.keys())

    def order_drift(self, source: OrderSource, known: Sequence[int]) -> Drift:
        """By rank for leads. Transactions keep their place when they are deleted, so all of them are read."""
        if source is not OrderSource.ORDERS:
            return pages.drift_of(known, self._reader(LEADS, [BY_ID]))
        self._need_customers()
        present, self._just_listed = self._just_listed, None
        if present is None:
            rows = self._client.all(TRANSACTIONS, "transactions")
            present = {str(row["id"]) for row in rows if not row.get("is_deleted")}
        held = set(map(str, known))
        return Drift(gone=frozenset(held - present), unseen=frozenset(present - held))

    def _transactions(self, since: Cursor | None, *, lines: bool) -> Iterator[Page[Order]]:
        self._need_customers()
        currency = self._account().info.currency
        catalogs = Catalogs(self._client) if lines else None
        buyers = self._buyers()
        place = Place.of(since)
        start = place if place.is_backfill else Place()
        read = self._reader(TRANSACTIONS, [], "transactions")
        listed: set[str] = set()
        for rows, reached in pages.read_all(read, start):
            present = [row for row in rows if not row.get("is_deleted")]
            listed.update(str(row["id"]) for row in present)
            if start.page == 1 and not reached.is_backfill:
                self._just_listed = listed
            products = catalogs.of(present, whole_lists=True) if catalogs else None
            yield Page([transaction_of(row, currency, buyers, products) for row in present], reached.cursor())

    def _transactions_by_id(self, ids: Sequence[str]) -> dict[str, Json]:
        asked = set(ids)
        rows = self._client.by_filter(TRANSACTIONS, "transactions", (), list(asked))
        if rows is None:
            rows = self._client.all(TRANSACTIONS, "transactions")
        return {str(row["id"]): row for row in rows if str(row["id"]) in asked and not row.get("is_deleted")}

    def _buyers(self) -> dict[str, Buyer]:
        rows = self._client.all(CUSTOMERS, CUSTOMERS, [("with", "contacts,companies")])
        return {str(row["id"]): buyer_of(row) for row in rows}

    def _need_customers(self) -> None:
        if not self._account().has_customers:
            raise Unsupported(
                "amoCRM's customers are switched off in this account: switch them on, or take deals as orders"
            )

    # --- rows --------------------------------------------------------------------------------------------------

    def _reader(self, path: str, query: Sequence[tuple[str, str]], name: str = "") -> pages.Read:
        def read(numbers: Iterable[int]) -> list[Listing]:
            return self._client.pages(path, name or path, query, numbers)

        return read

    def _rows(
        self,
        path: str,
        parts: Sequence[tuple[str, str]],
        since: Cursor | None,
        echo: Echo | None,
        is_ours: Callable[[Json], bool],
    ) -> Iterator[tuple[list[Json], Cursor]]:
        """Everything, or what changed, with the cursor to store after each page."""
        place = Place.of(since)
        if place.is_backfill:
            for rows, reached in pages.read_all(self._reader(path, [*parts, BY_ID]), place):
                yield rows, reached.cursor()
            return
        query = [*parts, NEWEST_FIRST]
        if self._account().has_filter:
            # Not relied upon: where the option has ended it is ignored, and the walk stops by itself.
            first = place.threshold if echo is None else min(place.threshold, echo.first - 1)
            query.append(("filter[updated_at][from]", str(first)))
        changes = pages.Changes(self._reader(path, query), place.threshold, echo, is_ours)
        for rows, is_last in changes.pages():
            yield rows, (Place(0, 0, max(place.since, changes.at)) if is_last else place).cursor()

    def _rows_by_id(self, path: str, parts: Sequence[tuple[str, str]], ids: Sequence[str]) -> dict[str, Json]:
        """Rows by id. Lists without the paid option ignore the filter: what was not asked for gives that away."""
        asked = list(dict.fromkeys(ids))
        if len(asked) > 1 and self._account().has_filter:
            rows = self._client.by_filter(path, path, parts, asked)
            if rows is not None:
                return {str(row["id"]): row for row in rows if not row.get("is_deleted")}
        found = self._client.one_by_one(path, parts, asked)
        return {one: row for one, row in zip(asked, found, strict=True) if row is not None}

    # --- fields ------------------------------------------------------------------------------------------------

    def plan_fields(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> list[FieldStep]:
        """What `ensure_fields` would do; reads only."""
        found: list[FieldStep] = []
        for kind in CustomerKind:
            layout = self._layout(kind)
            found.extend(provision.steps(layout, provision.match(layout, specs, known), known))
        return found

    def ensure_fields(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> FieldMap:
        """Tab, fields and options on contacts and companies, and where they are. Needs an administrator's token."""
        try:
            return FieldMap({kind: self._ensured(kind, specs, known) for kind in CustomerKind})
        except ScopeMissing as error:
            raise ScopeMissing(
                "amoCRM lets only administrators make fields: connect with a token of an administrator",
                status=error.status,
                scope="custom_fields",
            ) from error

    def _layout(self, kind: CustomerKind) -> Layout:
        path = f"{ENTITY[kind]}/custom_fields"
        fields = [field_of(row) for row in self._client.all(path, "custom_fields")]
        groups = [group_of(row) for row in self._client.all(f"{path}/groups", "custom_field_groups")]
        return Layout(kind, fields, groups)

    def _ensured(
        self, kind: CustomerKind, specs: Sequence[FieldSpec], known: FieldMap | None
    ) -> Mapping[str, FieldRef]:
        """Look, add what is missing, look again: so a lost answer or a half-done batch makes nothing twice."""
        refused: defaultdict[str, set[str]] = defaultdict(set)
        trouble: CRMError | None = None
        for _ in range(_TRIES):
            layout = self._layout(kind)
            wanted = provision.match(layout, specs, known)
            if not provision.steps(layout, wanted, known):
                return provision.refs(kind, wanted, known)
            try:
                self._provision(layout, wanted, known, refused)
            except (Interrupted, Unavailable) as error:
                trouble = error
        raise trouble or Malformed("amoCRM does not keep the fields that were made", path="custom_fields")

    def _provision(
        self, layout: Layout, wanted: Sequence[Wanted], known: FieldMap | None, refused: defaultdict[str, set[str]]
    ) -> None:
        """One try. `refused` has, by our key, the parts of a field that amoCRM would not let carry our code."""
        path = f"{ENTITY[layout.kind]}/custom_fields"
        missing = [(at, one.spec) for at, one in enumerate(wanted) if one.field is None]
        if missing:
            group_id = self._group_id(layout)
            bodies = [provision.new_field(spec, at, group_id, refused[spec.key]) for at, spec in missing]
            try:
                self._client.create(path, "custom_fields", bodies)
            except BatchRefused as refusal:
                provision.note_refused(refusal, [spec.key for _, spec in missing], refused)
        for one in wanted:
            options = provision.missing_options(one, layout.kind, known)
            if one.field is not None and options:
                body = provision.extended(one.field, options, refused[one.spec.key])
                try:
                    self._client.change_one(f"{path}/{one.field.id}", body)
                except InvalidValue as error:
                    provision.note_code(one.spec.key, error.field, str(error), refused)

    def _group_id(self, layout: Layout) -> str:
        group = layout.group()
        if group is not None:
            return group.id
        body = {"name": provision.GROUP, "sort": len(layout.groups) + 1}
        rows = self._client.create(f"{ENTITY[layout.kind]}/custom_fields/groups", "custom_field_groups", [body])
        if not rows or not rows[0].get("id"):
            raise Malformed("amoCRM made a tab without an id", path="_embedded.custom_field_groups.id")
        return str(rows[0]["id"])

    # --- writing -----------------------------------------------------------------------------------------------

    def write_scores(self, changes: Sequence[ScoreChange], fields: FieldMap) -> list[Outcome]:
        """One bulk change for contacts and one for companies. Absolute values: repeating is harmless."""
        settled: dict[int, Outcome] = {}
        for kind in CustomerKind:
            items: list[Change] = []
            for at, change in enumerate(changes):
                if change.customer.kind is kind:
                    try:
                        items.append(Change(at, *change_body(change, fields.of(kind))))
                    except InvalidValue as error:
                        settled[at] = Outcome(ok=False, field=error.field, reason=str(error))
            outcomes = Changes(self._client, ENTITY[kind], _GONE).send(items)
            settled |= {item.at: outcome for item, outcome in zip(items, outcomes, strict=True)}
        return [settled[at] for at in range(len(changes))]

    # --- tasks -------------------------------------------------------------------------------------------------

    def create_tasks(self, drafts: Sequence[TaskDraft]) -> list[Outcome]:
        """One bulk call. After anything but a clean answer tasks are looked for before they are made again."""
        return tasks.create(self._client, drafts, self._account().zone)

    def find_tasks(self, drafts: Sequence[TaskDraft]) -> dict[str, str]:
        """Looks through all tasks of the drafts' cards, finished ones too, for the markers."""
        return tasks.find(self._client, drafts)

    def tasks_by_id(self, ids: Sequence[str]) -> Found[TaskState]:
        """See `Source.tasks_by_id`; 50 ids a call."""
        return tasks.states(self._client, ids)

    def change_tasks(self, changes: Sequence[TaskChange]) -> list[Outcome]:
        """See `Sink.change_tasks`; one bulk change."""
        return tasks.change(self._client, changes, self._account().zone)

    def add_notes(self, notes: Sequence[TimelineNote]) -> list[Outcome]:
        """See `Sink.add_notes`: one bulk call for contacts and one for companies."""
        return tasks.add_notes(self._client, notes)

    def find_notes(self, notes: Sequence[TimelineNote]) -> dict[str, str]:
        """See `Sink.find_notes`."""
        return tasks.find_notes(self._client, notes)

    # --- contacts with customers -------------------------------------------------------------------------------

    def contacts(self, since: Cursor | None, *, earliest: datetime | None = None) -> Iterator[Page[Contacted]]:
        """See `Source.contacts` and `Conversations`. No meetings: amoCRM has no such records."""
        return self._conversations.read(since, earliest)

    # --- webhooks ----------------------------------------------------------------------------------------------

    def subscribe(self, callback_url: str) -> None:
        """See `hooks`."""
        hooks.subscribe(self._client, callback_url)

    def unsubscribe(self, callback_url: str) -> None:
        """See `hooks`."""
        hooks.unsubscribe(self._client, callback_url)


def _lead_parts(*, lines: bool) -> list[tuple[str, str]]:
    return [("with", "contacts,catalog_elements" if lines else "contacts")]
