"""Keeps the promises of `adapters.contract` for one Bitrix24 portal that is reached by an inbound webhook or as an app.

`client` moves commands, `schemas` translates rows; here is what to ask for and in which order.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from types import MappingProxyType
from typing import Any, ClassVar

from adapters.batches import chunks
from adapters.bitrix24 import conversations, events, schemas, tasks
from adapters.bitrix24.automations import Bitrix24Automations
from adapters.bitrix24.client import (
    COMMANDS,
    DRAIN_PER_S,
    PAGE,
    Client,
    Command,
    Listing,
    Pace,
    Reply,
    Stretch,
    as_map,
    row_id,
)
from adapters.bitrix24.drift import find_drift
from adapters.bitrix24.provision import Provision
from adapters.bitrix24.schemas import DEAL, ENTITY, Card
from adapters.bitrix24.scores import Scores
from adapters.budget import States
from adapters.contract import (
    Capabilities,
    Cursor,
    Drift,
    FieldMap,
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
    AccessLost,
    Gone,
    Malformed,
    Rejected,
    ScopeMissing,
    Unsupported,
)
from adapters.fields import zone
from adapters.records import (
    CRM,
    Contacted,
    Customer,
    CustomerKind,
    Manager,
    Order,
    OrderLine,
    OrderSource,
    OrderStatus,
    ScoreChange,
    TaskChange,
    TaskDraft,
    TaskState,
    Team,
    TimelineNote,
)
from adapters.transport import Transport

log = logging.getLogger("rfm.bitrix24")

_LAG = timedelta(minutes=5)
"""Changes are read again from so long before the last pull: the portal's writes may become visible late."""
_FIRST_CHANGES = 6
"""Pages in the first hit of a pull of changes, which mostly finds few; the length adapts from there."""
_STORE_PAGES = 10
"""Pages of store orders in one hit: each order costs one more command for its clients and payments."""
_ACTIVITY_PAGES = 6
"""Pages of activities in one hit: each activity costs one more command for what it is bound to."""
_OWNERS = 150

_DEALS = Listing(
    "crm.item.list",
    {"entityTypeId": DEAL, "select": list(schemas.DEAL_SELECT), "order": {"id": "ASC"}},
    "items",
    uncounted=True,
)
_STORE_ORDERS = Listing("sale.order.list", {"select": list(schemas.ORDER_SELECT), "order": {"id": "ASC"}}, "orders")
_USERS = Listing("user.get", {"sort": "ID", "order": "ASC"})
_DEPARTMENTS = Listing("department.get", {"sort": "ID", "order": "ASC"})
_STAGES = Listing("crm.status.list", {})


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a reading stands.

    `since` None reads all rows, otherwise those changed since (by the portal's clock); `last` is the id read up
    to; `began` is when this reading began, from which the next one reads changes.
    """

    since: str | None = None
    last: int = 0
    began: str | None = None

    @classmethod
    def read(cls, cursor: Cursor | None) -> _Place:
        if cursor is None:
            return cls()
        try:
            stored = json.loads(cursor)
            return cls(stored.get("since"), int(stored.get("last", 0)), stored.get("began"))
        except (ValueError, TypeError, AttributeError):
            raise Malformed("a stored cursor is not one of Bitrix24's", path="cursor") from None

    def narrow(self, listing: Listing, changed: str) -> Listing:
        if self.since is None:
            return listing
        since = datetime.fromisoformat(self.since) - _LAG
        return listing.narrowed({f">={changed}": since.isoformat(timespec="seconds")})

    def after(self, stretch: Stretch) -> _Place:
        began = self.began or stretch.at.isoformat(timespec="seconds")
        if stretch.done:
            return _Place(since=began)
        return _Place(self.since, stretch.last, began)

    def cursor(self) -> Cursor:
        phase = "all" if self.since is None else "changes"
        return Cursor(json.dumps({"phase": phase, "since": self.since, "last": self.last, "began": self.began}))


class Bitrix24:
    """One portal. Holds nothing that is worth keeping: names of fields and stages, asked for once."""

    crm: ClassVar[CRM] = CRM.BITRIX24

    def __init__(self, access: PortalAccess, transport: Transport, states: States) -> None:
        self._client = Client(access, transport, states)
        self._camel: dict[CustomerKind, dict[str, str]] = {}
        self._sought: set[str] = set()
        self._stages: dict[str, str] | None = None
        self._zone: tzinfo | None = None
        self._rows_per_deal = 1.0
        self._provision = Provision(self._client)
        self._scores = Scores(self._client, self._card)

    @property
    def automations(self) -> Bitrix24Automations:
        """Robots and tabs; only an app may have them."""
        return Bitrix24Automations(self._client)

    @property
    def capabilities(self) -> Capabilities:
        """The same for every portal: 50 commands in a batch, 50 rows in a command. An app may bind events besides."""
        return Capabilities(
            read_batch=COMMANDS * PAGE,
            write_batch=COMMANDS,
            task_batch=COMMANDS,
            in_flight=2,
            requests_per_second=DRAIN_PER_S,
            sources=frozenset({OrderSource.DEALS, OrderSource.ORDERS}),
            subscribes=self._client.is_app,
            contacts=True,
        )

    # ── the portal and its people ────────────────────────────────────────────────────────────────────────────

    def portal(self) -> PortalInfo:
        """The portal, named by its host, and for an app identified by `member_id`. One request."""
        replies = self._client.batch_all(
            {
                "base": Command("crm.currency.base.get", {}),
                "currencies": Command("crm.currency.list", {}),
                "time": Command("server.time", {}),
                "user": Command("user.get", {"FILTER": {"ID": self._client.address.user_id}}),
            }
        )
        base = _rates(replies)[0]
        time_zone = self._time_zone(replies["time"], replies["user"])
        self._zone = zone(time_zone)
        here = self._client.address
        return PortalInfo(self._client.member_id or here.host, here.host, time_zone, base, here.origin)

    def rates(self) -> Mapping[str, Decimal]:
        """Current rates of the portal; it keeps no history of them. One request."""
        replies = self._client.batch_all(
            {"base": Command("crm.currency.base.get", {}), "currencies": Command("crm.currency.list", {})}
        )
        return _rates(replies)[1]

    def managers(self) -> tuple[Sequence[Manager], Sequence[Team]]:
        """Users, dismissed ones included, and departments. Without the scope `department` there are no teams."""
        read = self._client.read_all({"users": _USERS, "teams": _DEPARTMENTS})
        people = schemas.managers(read["users"].good())
        try:
            teams = schemas.teams(read["teams"].good())
        except (ScopeMissing, Unsupported, Rejected) as refusal:
            log.warning("no teams are known: %s", refusal)
            teams = []
        return people, teams

    def _time_zone(self, time: Reply, user: Reply) -> str:
        """The zone of the webhook's user where its clock shows the portal's time, else the portal's bare offset."""
        told = time.result if time.error is None else None
        now = datetime.fromisoformat(told) if isinstance(told, str) else datetime.now(self._client.offset)
        offset = now.utcoffset() or timedelta()
        rows = user.result if user.error is None and isinstance(user.result, list) else []
        name = str(rows[0].get("TIME_ZONE") or "") if rows and isinstance(rows[0], dict) else ""
        try:
            if name and now.astimezone(zone(name)).utcoffset() == offset:
                return name
        except Malformed:
            log.warning("the webhook's user has an unknown time zone")
        minutes = abs(int(offset.total_seconds())) // 60
        return f"UTC{'-' if offset < timedelta() else '+'}{minutes // 60:02}:{minutes % 60:02}"

    def _portal_zone(self) -> tzinfo:
        if self._zone is None:
            self.portal()
        return self._zone or UTC

    # ── customers ────────────────────────────────────────────────────────────────────────────────────────────

    def customers(
        self,
        kind: CustomerKind,
        since: Cursor | None,
        *,
        fields: FieldMap | None = None,
        own_writes: OwnWrites | None = None,
    ) -> Iterator[Page[Customer]]:
        """Cards in ascending ids, up to 2,500 a page and request.

        The echo of our own writes is read: it costs one request for each 2,500 cards, no more than filtering it.
        """
        del own_writes
        card = self._card(kind, fields)
        listing = self._customer_listing(kind, card)
        for place, stretch in self._walk(listing, since, "updatedTime"):
            yield Page([schemas.customer(kind, row, card) for row in stretch.rows], place.cursor())

    def customers_by_id(
        self, kind: CustomerKind, ids: Sequence[str], *, fields: FieldMap | None = None
    ) -> Found[Customer]:
        """The named cards, 50 a command and 2,500 a request."""
        card = self._card(kind, fields)
        rows = self._client.rows_by_id(self._customer_listing(kind, card), ids)
        records = [schemas.customer(kind, row, card) for row in rows]
        return Found(records, frozenset(ids) - {record.ref.external_id for record in records})

    def _customer_listing(self, kind: CustomerKind, card: Card) -> Listing:
        params = {
            "entityTypeId": ENTITY[kind],
            "select": schemas.customer_select(kind, card),
            "order": {"id": "ASC"},
        }
        return Listing("crm.item.list", params, "items", uncounted=True)

    def _card(self, kind: CustomerKind, fields: FieldMap | None) -> Card:
        refs = fields.of(kind) if fields is not None else {}
        return Card.of(refs, self._camel_names(kind, {ref.name for ref in refs.values()})) if refs else Card()

    def _camel_names(self, kind: CustomerKind, wanted: set[str]) -> dict[str, str]:
        """Original name of a custom field → its name in `crm.item.*`, which cannot be computed safely.

        Asked for again when a name is wanted that was not there: another process may have created it.

        https://apidocs.bitrix24.com/api-reference/crm/universal/crm-item-fields.html (read 2026-11)
        """
        missing = wanted - set(self._camel.get(kind, ())) - self._sought
        if missing:
            asked = {each.value: Command("crm.item.fields", {"entityTypeId": ENTITY[each]}) for each in CustomerKind}
            replies = self._client.batch_all(asked)
            for each in CustomerKind:
                found = as_map(as_map(replies[each.value].good(), "crm.item.fields").get("fields"), "fields")
                self._camel[each] = {
                    str(info.get("upperName") or camel): camel
                    for camel, info in found.items()
                    if isinstance(info, dict)
                }
            self._sought |= missing
        return self._camel.get(kind, {})

    def _walk(
        self, listing: Listing, since: Cursor | None, changed: str, *, most: int = COMMANDS
    ) -> Iterator[tuple[_Place, Stretch]]:
        place = _Place.read(since)
        most = most if listing.uncounted else _STORE_PAGES
        pace = Pace(most if place.since is None else min(most, _FIRST_CHANGES), most)
        for stretch in self._client.walk(place.narrow(listing, changed), place.last, pace):
            place = place.after(stretch)
            yield place, stretch

    # ── orders ───────────────────────────────────────────────────────────────────────────────────────────────

    def orders(self, source: OrderSource, since: Cursor | None, *, lines: bool = True) -> Iterator[Page[Order]]:
        """Deals, or orders of the online store, in ascending ids. Lines are read for won deals only."""
        for place, stretch in self._walk(_listing_of(source), since, _CHANGED[source]):
            yield Page(self._orders_in(source, stretch.rows, lines=lines), place.cursor())

    def orders_by_id(self, source: OrderSource, ids: Sequence[str], *, lines: bool = True) -> Found[Order]:
        """The named deals or orders. Templates of repeated deals are none, so they count as gone."""
        rows = self._client.rows_by_id(_listing_of(source), ids)
        records = self._orders_in(source, rows, lines=lines)
        return Found(records, frozenset(ids) - {record.external_id for record in records})

    def _orders_in(self, source: OrderSource, rows: Sequence[dict[str, Any]], *, lines: bool) -> list[Order]:
        if source is OrderSource.DEALS:
            return self._deals(rows, lines=lines)
        return self._store_orders([row_id(row, "orders") for row in rows], lines=lines)

    def _deals(self, rows: Sequence[dict[str, Any]], *, lines: bool) -> list[Order]:
        deals = [(row, schemas.deal_status(row, self._semantics)) for row in rows if not schemas.is_template(row)]
        won = [row_id(row, "items") for row, status in deals if status is OrderStatus.WON]
        sold = self._lines(won) if lines else {}
        return [schemas.deal(row, status, self._portal_zone, sold.get(str(row["id"]))) for row, status in deals]

    def _semantics(self) -> Mapping[str, str]:
        if self._stages is None:
            self._stages = schemas.stage_semantics(self._client.read_all({"s": _STAGES})["s"].good())
        return self._stages

    def _lines(self, deal_ids: Sequence[int]) -> dict[str, list[OrderLine]]:
        """Product rows by deal; each deal asked for is in it. So many pages are asked for as the last deals had.

        This method refuses parameters it does not know, so there are only filter, order and start.
        https://apidocs.bitrix24.com/api-reference/crm/universal/product-rows/crm-item-productrow-list.html
        (read 2026-11)
        """
        sold: dict[str, list[OrderLine]] = {str(deal_id): [] for deal_id in deal_ids}
        groups = {f"g{at}": list(part) for at, part in enumerate(chunks(deal_ids, _OWNERS))}
        guess = _generous({key: round(len(group) * self._rows_per_deal / PAGE) for key, group in groups.items()})
        read = self._client.read_all({key: _product_rows(group) for key, group in groups.items()}, guess=guess)
        for key in groups:
            for row in read[key].good():
                sold.setdefault(str(row.get("ownerId")), []).append(schemas.product_row(row))
        if deal_ids:
            self._rows_per_deal = sum(map(len, sold.values())) / len(deal_ids)
        return sold

    def _store_orders(self, ids: Sequence[int], *, lines: bool) -> list[Order]:
        """Orders whole: 49 of them and the deals they are tied to make one request."""
        commands: dict[str, Command] = {}
        for at, part in enumerate(chunks(ids, COMMANDS - 1)):
            commands.update({f"o{order_id}": Command("sale.order.get", {"id": order_id}) for order_id in part})
            tied = {"@orderId": list(part), "=ownerTypeId": DEAL}
            commands[f"e{at}"] = Command("crm.orderentity.list", {"filter": tied, "start": -1})
        replies = self._client.batch_all(commands)
        deals = _tied_deals(reply for key, reply in replies.items() if key.startswith("e"))
        orders = []
        for order_id in ids:
            try:
                answer = as_map(replies[f"o{order_id}"].good(), "sale.order.get")
            except Gone:
                continue
            row = as_map(answer.get("order"), "order")
            orders.append(schemas.store_order(row, deals.get(str(order_id)), lines=lines))
        return orders

    # ── what vanished ────────────────────────────────────────────────────────────────────────────────────────

    def count(self, stream: CustomerKind | OrderSource) -> int | None:
        """See `Source.count`. One request, the only one that has the portal count."""
        listing = _listing_of(stream) if isinstance(stream, OrderSource) else self._customer_listing(stream, Card())
        return self._client.call(listing.narrowed({}, select=["id"]).at(0)).total

    def customer_drift(self, kind: CustomerKind, known: Sequence[int]) -> Drift:
        """One request when nothing vanished; up to 2,450 ids are read, of more only ranges with another count."""
        return find_drift(
            self._client,
            Listing(
                "crm.item.list",
                {"entityTypeId": ENTITY[kind], "select": ["id"], "order": {"id": "ASC"}},
                "items",
                uncounted=True,
            ),
            known,
        )

    def order_drift(self, source: OrderSource, known: Sequence[int]) -> Drift:
        """The same for deals (without the templates of repeated ones) or store orders."""
        listing = _listing_of(source)
        if source is OrderSource.DEALS:
            listing = listing.narrowed({"!=isRecurring": "Y"}, select=["id", "isRecurring"])
        return find_drift(self._client, listing, known)

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

    def plan_fields(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> list[FieldStep]:
        """See `Provision.plan`."""
        return self._provision.plan(specs, known)

    def ensure_fields(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> FieldMap:
        """See `Provision.ensure`."""
        self._camel.clear()
        self._sought.clear()
        return self._provision.ensure(specs, known)

    def write_scores(self, changes: Sequence[ScoreChange], fields: FieldMap) -> list[Outcome]:
        """See `Scores.write`."""
        return self._scores.write(changes, fields)

    def create_tasks(self, drafts: Sequence[TaskDraft]) -> list[Outcome]:
        """See `Keyed.create`."""
        return tasks.todos(self._client).create(drafts)

    def find_tasks(self, drafts: Sequence[TaskDraft]) -> dict[str, str]:
        """See `Keyed.find`; finished to-dos included."""
        return tasks.todos(self._client).find(drafts)

    def tasks_by_id(self, ids: Sequence[str]) -> Found[TaskState]:
        """See `tasks.states`."""
        return tasks.states(self._client, ids)

    def change_tasks(self, changes: Sequence[TaskChange]) -> list[Outcome]:
        """See `tasks.change`."""
        return tasks.change(self._client, changes)

    def add_notes(self, notes: Sequence[TimelineNote]) -> list[Outcome]:
        """See `Keyed.create`: comments in the timeline."""
        return tasks.notes(self._client).create(notes)

    def find_notes(self, notes: Sequence[TimelineNote]) -> dict[str, str]:
        """See `Keyed.find`."""
        return tasks.notes(self._client).find(notes)

    # ── contacts with customers ──────────────────────────────────────────────────────────────────────────────

    def contacts(self, since: Cursor | None, *, earliest: datetime | None = None) -> Iterator[Page[Contacted]]:
        """See `Source.contacts` and `conversations`: activities by ascending id, some hundreds a page."""
        start = since
        if since is None and earliest is not None:
            start = _Place(since=(earliest + _LAG).isoformat(timespec="seconds")).cursor()
        for place, stretch in self._walk(conversations.ACTIVITIES, start, "LAST_UPDATED", most=_ACTIVITY_PAGES):
            yield Page(conversations.contacts(self._client, stretch.rows), place.cursor())

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────

    def subscribe(self, callback_url: str) -> None:
        """See `events`; for a webhook the portal answers `Unsupported`."""
        events.subscribe(self._client, callback_url)

    def unsubscribe(self, callback_url: str) -> None:
        """See `events`."""
        events.unsubscribe(self._client, callback_url)


_CHANGED = MappingProxyType({OrderSource.DEALS: "updatedTime", OrderSource.ORDERS: "dateUpdate"})


def _listing_of(source: OrderSource) -> Listing:
    if source is OrderSource.DEALS:
        return _DEALS
    if source is OrderSource.ORDERS:
        return _STORE_ORDERS
    raise Unsupported("imported orders are not read from Bitrix24")


def _rates(replies: Mapping[str, Reply]) -> tuple[str, dict[str, Decimal]]:
    base = replies["base"]
    if base.error is not None and not isinstance(base.error, Unsupported):
        raise base.error
    return schemas.rates(replies["currencies"].good(), str(base.result) if base.result else None)


def _product_rows(deal_ids: Sequence[int]) -> Listing:
    params = {"filter": {"=ownerType": "D", "=ownerId": list(deal_ids)}, "order": {"id": "ASC"}}
    return Listing("crm.item.productrow.list", params, "productRows")


def _generous(guess: Mapping[str, int]) -> dict[str, int]:
    """Guessed pages, and as many more as the last hit has room for: that saves most second looks."""
    pages = {key: max(1, count) for key, count in guess.items()}
    spare = -sum(pages.values()) % COMMANDS
    share, rest = divmod(spare, len(pages)) if pages else (0, 0)
    return {key: count + share + (at < rest) for at, (key, count) in enumerate(pages.items())}


def _tied_deals(replies: Iterable[Reply]) -> dict[str, str]:
    """Order → deal. Who may not read the ties still gets the orders."""
    tied: dict[str, str] = {}
    for reply in replies:
        if isinstance(reply.error, AccessLost | Unsupported):
            log.warning("orders are not tied to deals: %s", reply.error)
            continue
        for row in as_map(reply.good(), "crm.orderentity.list").get("orderEntity") or []:
            if str(row.get("ownerTypeId", DEAL)) == str(DEAL):
                tied[str(row.get("orderId"))] = str(row.get("ownerId"))
    return tied
