"""Keeps the promises of `adapters.contract` for one Bitrix24 portal that is reached by an inbound webhook.

`client` moves commands, `schemas` translates rows; here is what to ask for and in which order.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from math import ceil
from types import MappingProxyType
from typing import Any, ClassVar

from adapters.batches import chunks, settle_each
from adapters.bitrix24 import schemas
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
from adapters.bitrix24.schemas import DEAL, ENTITY, Card, UserField
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
    AccessLost,
    Conflict,
    CRMError,
    Gone,
    Interrupted,
    Malformed,
    Rejected,
    ScopeMissing,
    Transient,
    Unavailable,
    Unsupported,
)
from adapters.fields import aware, identifier, zone
from adapters.records import (
    CRM,
    Customer,
    CustomerKind,
    CustomerRef,
    Manager,
    Order,
    OrderLine,
    OrderSource,
    OrderStatus,
    ScoreChange,
    TaskDraft,
    Team,
)
from adapters.transport import Transport

log = logging.getLogger("rfm.bitrix24")

_LAG = timedelta(minutes=5)
"""Changes are read again from so long before the last pull: the portal's writes may become visible late."""
_FIRST_CHANGES = 6
"""Pages in the first hit of a pull of changes, which mostly finds few; the length adapts from there."""
_STORE_PAGES = 10
"""Pages of store orders in one hit: each order costs one more command for its clients and payments."""
_OWNERS = 150
_TRIES = 8
_OLD = MappingProxyType({CustomerKind.CONTACT: "crm.contact", CustomerKind.COMPANY: "crm.company"})

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
        self._stages: dict[str, str] | None = None
        self._zone: tzinfo | None = None
        self._rows_per_deal = 1.0
        self._writing = Pace()

    @property
    def capabilities(self) -> Capabilities:
        """The same for every portal: 50 commands in a batch, 50 rows in a command."""
        return Capabilities(
            read_batch=COMMANDS * PAGE,
            write_batch=COMMANDS,
            task_batch=COMMANDS,
            in_flight=2,
            requests_per_second=DRAIN_PER_S,
            sources=frozenset({OrderSource.DEALS, OrderSource.ORDERS}),
        )

    # ── the portal and its people ────────────────────────────────────────────────────────────────────────────

    def portal(self) -> PortalInfo:
        """The portal behind the webhook, named by its host. One request."""
        webhook = self._client.webhook
        replies = self._client.batch_all(
            {
                "base": Command("crm.currency.base.get", {}),
                "currencies": Command("crm.currency.list", {}),
                "time": Command("server.time", {}),
                "user": Command("user.get", {"FILTER": {"ID": webhook.user_id}}),
            }
        )
        base = _rates(replies)[0]
        time_zone = self._time_zone(replies["time"], replies["user"])
        self._zone = zone(time_zone)
        host = self._client.webhook.host
        return PortalInfo(host, host, time_zone, base, self._client.webhook.origin)

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
        rows = self._rows_by_id(self._customer_listing(kind, card), ids)
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
        return Card.of(refs, self._camel_names(kind)) if refs else Card()

    def _camel_names(self, kind: CustomerKind) -> dict[str, str]:
        """Original name of a custom field → its name in `crm.item.*`, which cannot be computed safely.

        https://apidocs.bitrix24.com/api-reference/crm/universal/crm-item-fields.html (read 2026-11)
        """
        if kind not in self._camel:
            asked = {each.value: Command("crm.item.fields", {"entityTypeId": ENTITY[each]}) for each in CustomerKind}
            replies = self._client.batch_all(asked)
            for each in CustomerKind:
                found = as_map(as_map(replies[each.value].good(), "crm.item.fields").get("fields"), "fields")
                self._camel[each] = {
                    str(info.get("upperName") or camel): camel
                    for camel, info in found.items()
                    if isinstance(info, dict)
                }
        return self._camel[kind]

    def _walk(self, listing: Listing, since: Cursor | None, changed: str) -> Iterator[tuple[_Place, Stretch]]:
        place = _Place.read(since)
        most = COMMANDS if listing.uncounted else _STORE_PAGES
        pace = Pace(most if place.since is None else min(most, _FIRST_CHANGES), most)
        for stretch in self._client.walk(place.narrow(listing, changed), place.last, pace):
            place = place.after(stretch)
            yield place, stretch

    def _rows_by_id(self, listing: Listing, ids: Iterable[str]) -> list[dict[str, Any]]:
        numbers = sorted({int(text) for text in ids if text.isdecimal()})
        commands = {
            f"i{at}": listing.narrowed({"@id": list(part)}).after(0) for at, part in enumerate(chunks(numbers, PAGE))
        }
        replies = self._client.batch_all(commands)
        return [row for key in commands for row in listing.rows(replies[key])]

    # ── orders ───────────────────────────────────────────────────────────────────────────────────────────────

    def orders(self, source: OrderSource, since: Cursor | None, *, lines: bool = True) -> Iterator[Page[Order]]:
        """Deals, or orders of the online store, in ascending ids. Lines are read for won deals only."""
        for place, stretch in self._walk(_listing_of(source), since, _CHANGED[source]):
            yield Page(self._orders_in(source, stretch.rows, lines=lines), place.cursor())

    def orders_by_id(self, source: OrderSource, ids: Sequence[str], *, lines: bool = True) -> Found[Order]:
        """The named deals or orders. Templates of repeated deals are none, so they count as gone."""
        rows = self._rows_by_id(_listing_of(source), ids)
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

    def customer_drift(self, kind: CustomerKind, known: Sequence[int]) -> Drift:
        """One request when nothing vanished; up to 2,450 ids are read, of more only ranges with another count."""
        return self._drift(
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
        return self._drift(listing, known)

    def _drift(self, listing: Listing, known: Sequence[int]) -> Drift:
        if len(known) <= (COMMANDS - 1) * PAGE:
            return _difference(known, self._ids_after(listing, 0, len(known)))
        parts = chunks(known, ceil(len(known) / (COMMANDS - 1)))
        lows = [0, *(part[-1] for part in parts[:-1])]
        ranges = {
            f"r{at}": (listing.narrowed({">id": low, "<=id": part[-1]}), part)
            for at, (low, part) in enumerate(zip(lows, parts, strict=True))
        }
        counts = self._client.batch_all(
            {key: within.at(0) for key, (within, _part) in ranges.items()}
            | {"above": listing.narrowed({">id": known[-1]}).at(0)}
        )
        totals = {key: _total(listing, reply) for key, reply in counts.items()}
        drift = self._drift_within(
            {key: found for key, found in ranges.items() if totals[key] != len(found[1])}, totals
        )
        above = self._ids_after(listing, known[-1], totals["above"]) if totals["above"] else set()
        return Drift(self._confirmed(listing, drift.gone), drift.unseen | _difference((), above).unseen)

    def _drift_within(self, ranges: Mapping[str, tuple[Listing, Sequence[int]]], totals: Mapping[str, int]) -> Drift:
        """Read the ids of the ranges whose count differs from what we hold."""
        guess = {key: max(1, ceil(totals[key] / PAGE)) for key in ranges}
        read = self._client.read_all({key: within for key, (within, _part) in ranges.items()}, guess=guess)
        found = [_difference(part, _ids(read[key].good())) for key, (_within, part) in ranges.items()]
        return Drift(
            frozenset().union(*(drift.gone for drift in found)), frozenset().union(*(drift.unseen for drift in found))
        )

    def _ids_after(self, listing: Listing, after: int, expected: int) -> set[int]:
        pace = Pace(min(COMMANDS, expected // PAGE + 1))
        return {number for stretch in self._client.walk(listing, after, pace) for number in _ids(stretch.rows)}

    def _confirmed(self, listing: Listing, gone: frozenset[str]) -> frozenset[str]:
        """Ids that are really gone: pages by offset shift when somebody deletes a record meanwhile."""
        if not gone:
            return gone
        return gone - {str(number) for number in _ids(self._rows_by_id(listing, gone))}

    # ── fields ───────────────────────────────────────────────────────────────────────────────────────────────

    def plan_fields(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> list[FieldStep]:
        """What is missing on contacts and companies. One request; raises `Conflict` like `ensure_fields`."""
        held = self._user_fields()
        return [
            step
            for kind in CustomerKind
            for spec in specs
            for step in _steps(kind, spec, _find(held[kind], kind, spec, known))
        ]

    def ensure_fields(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> FieldMap:
        """Create what is missing, one call at a time: each alters a table and may take long.

        Where the administrators share one layout of the card, our fields get a section of their own in it.
        """
        held = self._user_fields()
        todo = [
            (kind, spec, at, _find(held[kind], kind, spec, known))
            for kind in CustomerKind
            for at, spec in enumerate(specs)
        ]
        changed = False
        for kind, spec, at, found in todo:
            if _steps(kind, spec, found):
                self._create(kind, spec, at) if found is None else self._extend(kind, spec, found.name)
                changed = True
        if changed:
            held = self._user_fields()
            self._camel.clear()
            self._show_section([schemas.field_name(spec.key) for spec in specs])
        return FieldMap(
            {kind: {spec.key: _ref(held[kind], kind, spec, known) for spec in specs} for kind in CustomerKind}
        )

    def _user_fields(self) -> dict[CustomerKind, dict[str, UserField]]:
        """All custom fields by name; lists whose elements were left out are asked for one by one."""
        read = self._client.read_all({kind.value: Listing(f"{_OLD[kind]}.userfield.list", {}) for kind in CustomerKind})
        held = {kind: schemas.user_fields(read[kind.value].good()) for kind in CustomerKind}
        bare = {
            f"{kind.value}{found.id}": (kind, Command(f"{_OLD[kind]}.userfield.get", {"id": found.id}))
            for kind in CustomerKind
            for found in held[kind].values()
            if found.type == "enumeration" and not found.elements and found.name in schemas.NAMES.values()
        }
        if bare:
            replies = self._client.batch_all({key: command for key, (_kind, command) in bare.items()})
            for key, (kind, _command) in bare.items():
                held[kind].update(schemas.user_fields([replies[key].good()]))
        return held

    def _create(self, kind: CustomerKind, spec: FieldSpec, at: int) -> None:
        """A field may appear although the answer was an error or none came: look before trying again.

        https://apidocs.bitrix24.com/api-reference/crm/contacts/userfield/crm-contact-userfield-add.html (read 2026-11)
        """
        command = Command(f"{_OLD[kind]}.userfield.add", {"fields": schemas.new_field(spec, 1000 + at * 10)})
        self._until(command, lambda: schemas.field_name(spec.key) in self._user_fields()[kind])

    def _extend(self, kind: CustomerKind, spec: FieldSpec, name: str) -> None:
        """Add options; those that stand there go along with their ids, unchanged."""

        def missing() -> tuple[UserField, dict[str, str]]:
            found = self._user_fields()[kind][name]
            return found, found.choices(spec)

        found, choices = missing()
        elements = [
            {key: value for key, value in element.items() if value is not None} for element in found.elements
        ] + schemas.new_elements(spec, choices, len(found.elements))
        command = Command(f"{_OLD[kind]}.userfield.update", {"id": found.id, "fields": {"LIST": elements}})
        self._until(command, lambda: len(missing()[1]) == len(spec.choices))

    def _until(self, command: Command, is_done: Callable[[], bool]) -> None:
        for left in reversed(range(_TRIES)):
            try:
                self._client.call(command, repeatable=False)
            except (Interrupted, Unavailable, Rejected) as trouble:
                if is_done():
                    return
                if left == 0 or isinstance(trouble, Rejected):
                    raise
            else:
                return

    def _show_section(self, names: Sequence[str]) -> None:
        """Put our section into the common layout of both cards, if there is one; its other sections stay.

        `null` is the portal's default layout, which `set` would wipe out. Optional: a refusal is only logged.
        https://apidocs.bitrix24.com/api-reference/crm/universal/item-details-configuration/ (read 2026-11)
        """
        for kind in CustomerKind:
            asked = {"entityTypeId": ENTITY[kind], "scope": "C"}
            try:
                layout = self._client.call(Command("crm.item.details.configuration.get", asked)).result
                data = _with_section(layout, names)
                if data is not None:
                    self._client.call(Command("crm.item.details.configuration.set", {**asked, "data": data}))
            except CRMError as refusal:
                log.warning("the section RFM was not put on the %s card: %s", kind.value, refusal)

    # ── scores ───────────────────────────────────────────────────────────────────────────────────────────────

    def write_scores(self, changes: Sequence[ScoreChange], fields: FieldMap) -> list[Outcome]:
        """Put values on up to 50 cards in one request; emptying fields costs a second one.

        Bitrix24 ignores unknown names silently, so each card's answer is compared with what was sent.
        """
        return settle_each(changes, lambda part: self._write(part, fields))

    def _write(self, changes: Sequence[ScoreChange], fields: FieldMap) -> list[Outcome]:
        writes = {at: self._plan_write(change, fields) for at, change in enumerate(changes)}
        good = {at: write for at, write in writes.items() if isinstance(write, _Write)}
        try:
            replies = self._client.batch_all({f"c{at}": write.clear for at, write in good.items() if write.clear})
            sent = {f"w{at}": write.update for at, write in good.items() if _is_good(replies.get(f"c{at}"))}
            replies.update(self._client.batch_all(sent, self._writing))
        except Unavailable as trouble:
            raise _cut(trouble) from trouble
        return [
            write if isinstance(write, Outcome) else write.outcome(replies.get(f"w{at}") or replies[f"c{at}"])
            for at, write in writes.items()
        ]

    def _plan_write(self, change: ScoreChange, fields: FieldMap) -> _Write | Outcome:
        card = self._card(change.customer.kind, fields)
        for key in change.values:
            if key not in card.camel:
                reason = f"the field {schemas.NAMES.get(key, key)} is not on the card: provision the portal again"
                return Outcome(ok=False, external_id=change.customer.external_id, field=key, reason=reason)
        try:
            return _Write(change, card, *_commands(change, card, self._client.offset))
        except Unsupported as gap:
            return Outcome(ok=False, external_id=change.customer.external_id, field="segment", reason=str(gap))

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────

    def create_tasks(self, drafts: Sequence[TaskDraft]) -> list[Outcome]:
        """To-dos on the customers' cards, 50 in one request. Bitrix24's to-dos know no priority.

        What a lost answer leaves open is looked for by its marker before it is sent again.
        """
        return [outcome for part in chunks(drafts, COMMANDS) for outcome in self._create_tasks(part)]

    def _create_tasks(self, drafts: Sequence[TaskDraft]) -> list[Outcome]:
        made: dict[int, Outcome] = {}
        trouble: Transient | None = None
        for left in reversed(range(_TRIES + 1)):
            pending = {at: draft for at, draft in enumerate(drafts) if at not in made}
            if trouble is not None:
                found = self.find_tasks(list(pending.values()))
                made |= {at: Outcome(ok=True, external_id=found[d.key]) for at, d in pending.items() if d.key in found}
                pending = {at: draft for at, draft in pending.items() if at not in made}
            if not pending:
                return [made[at] for at in range(len(drafts))]
            if left:
                trouble = self._send_tasks(pending, made)
        raise trouble or Unavailable("Bitrix24 leaves new to-dos unanswered")

    def _send_tasks(self, pending: Mapping[int, TaskDraft], made: dict[int, Outcome]) -> Transient | None:
        """One attempt. Puts what is settled into `made`; returns the trouble that leaves the others open."""
        commands = {f"t{at}": _todo(draft, self._client.offset) for at, draft in pending.items()}
        try:
            replies = self._client.batch(commands, repeatable=False).replies
        except (Interrupted, Unavailable) as lost:
            return lost
        trouble: Transient | None = None
        for at in pending:
            reply = replies.get(f"t{at}")
            if reply is None or self._client.worth_repeating(reply):
                error = reply.error if reply is not None else None
                trouble = error if isinstance(error, Transient) else Unavailable("Bitrix24 left a to-do unanswered")
            else:
                made[at] = _task_outcome(reply)
        return trouble

    def find_tasks(self, drafts: Sequence[TaskDraft]) -> dict[str, str]:
        """To-dos that carry the drafts' markers; one command for each customer, finished ones included."""
        customers = sorted({draft.customer for draft in drafts})
        names = {customer: f"a{at}" for at, customer in enumerate(customers)}
        read = self._client.read_all({name: _todos_of(customer) for customer, name in names.items()})
        return {
            draft.key: task_id
            for draft in drafts
            if (task_id := _marked(read[names[draft.customer]].good(), draft.marker)) is not None
        }


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


def _total(listing: Listing, reply: Reply) -> int:
    reply.good()
    if reply.total is None:
        raise Malformed(f"{listing.method} answered without a total", path="result_total")
    return reply.total


def _ids(rows: Iterable[Mapping[str, Any]]) -> set[int]:
    return {row_id(row, "items") for row in rows if not schemas.is_template(row)}


def _difference(known: Sequence[int], held: set[int]) -> Drift:
    ours = set(known)
    return Drift(frozenset(map(str, ours - held)), frozenset(map(str, held - ours)))


def _find(
    held: Mapping[str, UserField], kind: CustomerKind, spec: FieldSpec, known: FieldMap | None
) -> UserField | None:
    """Our field by its stored id, else by its name, which nobody can change; raises `Conflict`."""
    stored = known.of(kind).get(spec.key) if known is not None else None
    by_id = (found for found in held.values() if stored is not None and found.id == stored.external_id)
    found = next(by_id, None) or held.get(schemas.field_name(spec.key))
    if found is not None and (found.type != schemas.TYPES[spec.type] or found.multiple):
        is_now = f"{found.type}, multiple" if found.multiple else found.type
        raise Conflict(
            f"the {kind.value} field {found.name} is of type {is_now}, not {schemas.TYPES[spec.type]}: "
            "delete it in the CRM settings and provision again"
        )
    return found


def _steps(kind: CustomerKind, spec: FieldSpec, found: UserField | None) -> list[FieldStep]:
    if found is None:
        return [FieldStep(kind, spec.key, "create", schemas.field_name(spec.key))]
    missing = [choice.value for choice in spec.choices if choice.value not in found.choices(spec)]
    return [FieldStep(kind, spec.key, "extend", f"{found.name}: {', '.join(missing)}")] if missing else []


def _ref(held: Mapping[str, UserField], kind: CustomerKind, spec: FieldSpec, known: FieldMap | None) -> FieldRef:
    found = _find(held, kind, spec, known)
    if found is None or _steps(kind, spec, found):
        raise Unavailable(
            f"the {kind.value} field {schemas.field_name(spec.key)} has not appeared yet: provision again"
        )
    return FieldRef(found.id, found.name, found.choices(spec))


def _with_section(layout: Any, names: Sequence[str]) -> list[dict[str, Any]] | None:
    """The layout with our section, or None when there is nothing to add or no common layout."""
    if not isinstance(layout, list) or not layout or not all(isinstance(section, dict) for section in layout):
        return None
    shown = {element.get("name") for section in layout for element in section.get("elements") or []}
    ours = [{"name": name, "optionFlags": 1} for name in names if name not in shown]
    if not ours:
        return None
    if not any(section.get("name") == "rfm" for section in layout):
        return [*layout, {"name": "rfm", "title": "RFM", "type": "section", "elements": ours}]
    return [
        {**section, "elements": [*(section.get("elements") or []), *ours]} if section.get("name") == "rfm" else section
        for section in layout
    ]


@dataclass(frozen=True, slots=True)
class _Write:
    """One card's write: `clear` empties fields, `update` sets values or, where there are none, reads the card back."""

    change: ScoreChange
    card: Card
    clear: Command | None
    update: Command

    def outcome(self, reply: Reply) -> Outcome:
        card_id = self.change.customer.external_id
        error = reply.error
        if isinstance(error, Rejected | ScopeMissing) and getattr(error, "scope", None) is None:
            return Outcome(ok=False, external_id=card_id, field=self._named_in(str(error)), reason=str(error))
        row = as_map(as_map(reply.good(), "crm.item.update").get("item"), "item")
        held = self.card.read(row)
        for key, value in self.change.values.items():
            if not self.card.shows(row, key) or not schemas.same(value, held.get(key)):
                reason = f"Bitrix24 did not take the value of {self.card.upper[key]}"
                return Outcome(ok=False, external_id=card_id, field=key, reason=reason)
        return Outcome(ok=True, external_id=card_id, written_at=aware(row.get("updatedTime"), "item.updatedTime"))

    def _named_in(self, text: str) -> str | None:
        names = ((key, name) for key in self.change.values for name in (self.card.camel[key], self.card.upper[key]))
        found = max((pair for pair in names if pair[1] in text), key=lambda pair: len(pair[1]), default=None)
        return found[0] if found else None


def _commands(change: ScoreChange, card: Card, offset: tzinfo) -> tuple[Command | None, Command]:
    """Emptying goes through the old method with "": `crm.item.update` shows null and keeps the value.

    https://github.com/bitrix-tools/b24-rest-docs/issues/145 and 269 (read 2026-11). The old method's answer is a
    bare true, so the card is read back.
    """
    kind, card_id = change.customer.kind, change.customer.external_id
    emptied = {card.upper[key]: "" for key, value in change.values.items() if value is None}
    values = {
        card.camel[key]: card.text(key, value, offset) for key, value in change.values.items() if value is not None
    }
    params = {"entityTypeId": ENTITY[kind], "id": card_id}
    quiet = {"REGISTER_SONET_EVENT": "N"}
    clear = Command(f"{_OLD[kind]}.update", {"id": card_id, "fields": emptied, "params": quiet}) if emptied else None
    if not values:
        return clear, Command("crm.item.get", params)
    return clear, Command("crm.item.update", {**params, "fields": values})


def _is_good(reply: Reply | None) -> bool:
    return reply is None or reply.error is None


def _cut(trouble: Unavailable) -> Unavailable:
    """A batch cut off at 60 s ends in a 500: told as 504, so that it is halved.

    https://apidocs.bitrix24.com/limits.html (read 2026-11)
    """
    if trouble.status != 500:
        return trouble
    return Unavailable(str(trouble), status=504, retry_after=trouble.retry_after)


def _todo(draft: TaskDraft, offset: tzinfo) -> Command:
    """A deadline without a zone, as in the vendor's example, would be read in the portal's: ours says its offset.

    https://apidocs.bitrix24.com/api-reference/crm/timeline/activities/todo/crm-activity-todo-add.html (read 2026-11)
    """
    fields: dict[str, Any] = {
        "ownerTypeId": ENTITY[draft.customer.kind],
        "ownerId": draft.customer.external_id,
        "deadline": schemas.stamp(draft.due_at, offset),
        "title": draft.title,
        "description": f"{draft.body}\n\n{draft.marker}",
    }
    if draft.manager_id is not None:
        fields["responsibleId"] = draft.manager_id
    return Command("crm.activity.todo.add", fields)


def _task_outcome(reply: Reply) -> Outcome:
    if isinstance(reply.error, Rejected | ScopeMissing) and getattr(reply.error, "scope", None) is None:
        return Outcome(ok=False, reason=str(reply.error))
    result = reply.good()
    made = identifier(result.get("id") if isinstance(result, dict) else result or None)
    if made is None:
        return Outcome(ok=False, reason="Bitrix24 did not create the to-do and did not say why")
    return Outcome(ok=True, external_id=made)


def _todos_of(customer: CustomerRef) -> Listing:
    owner = {"OWNER_TYPE_ID": ENTITY[customer.kind], "OWNER_ID": customer.external_id, "PROVIDER_ID": "CRM_TODO"}
    params = {"filter": owner, "select": ["ID", "SUBJECT", "DESCRIPTION"], "order": {"ID": "DESC"}}
    return Listing("crm.activity.list", params)


def _marked(rows: Sequence[Mapping[str, Any]], marker: str) -> str | None:
    """The to-do whose text has the marker itself, not a longer one that begins like it."""
    pattern = re.compile(re.escape(marker) + r"(?![\w:./-])")
    for row in rows:
        if pattern.search(f"{row.get('SUBJECT') or ''}\n{row.get('DESCRIPTION') or ''}"):
            return identifier(row.get("ID"))
    return None
