"""HubSpot's payloads ↔ our records. Plain functions over parsed JSON; nothing is sent here.

Rare payloads (account, owners, pipelines, rates) are checked by marshmallow. Records come by the hundred
thousand and are read by hand: all their values are text or null, and only `id` is required
(https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis, read 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError
from marshmallow import fields as ma

from adapters.contract import FieldRef, Outcome, PortalInfo
from adapters.errors import Malformed
from adapters.fields import amount, aware, decimal, flag, from_epoch, identifier, plain, whole
from adapters.hubspot.client import (
    CALLS,
    COMMUNICATIONS,
    COMPANIES,
    CONTACTS,
    DEALS,
    EMAILS,
    LINE_ITEMS,
    MEETINGS,
    ORDERS,
    Json,
    Link,
)
from adapters.records import (
    Customer,
    CustomerKind,
    CustomerRef,
    FieldValue,
    Manager,
    Order,
    OrderLine,
    OrderSource,
    OrderStatus,
    TaskState,
    Team,
)

OBJECTS: Mapping[CustomerKind, str] = {CustomerKind.CONTACT: CONTACTS, CustomerKind.COMPANY: COMPANIES}
SOURCES: Mapping[OrderSource, str] = {OrderSource.DEALS: DEALS, OrderSource.ORDERS: ORDERS}

MODIFIED: Mapping[str, str] = {
    CONTACTS: "lastmodifieddate",
    COMPANIES: "hs_lastmodifieddate",
    DEALS: "hs_lastmodifieddate",
    ORDERS: "hs_lastmodifieddate",
    **dict.fromkeys((CALLS, EMAILS, MEETINGS, COMMUNICATIONS), "hs_lastmodifieddate"),
}
"""Contacts have a name of their own for it; the other's name finds nothing."""

DEAL_PROPERTIES = (
    "amount",
    "deal_currency_code",
    "closedate",
    "hs_is_closed",
    "hs_is_closed_won",
    "dealstage",
    "pipeline",
    "hubspot_owner_id",
    "createdate",
    "hs_lastmodifieddate",
    "hs_primary_associated_company",
)
ORDER_PROPERTIES = (
    "hs_total_price",
    "hs_currency_code",
    "hs_external_created_date",
    "hs_processed_date",
    "hs_closed_date",
    "hs_createdate",
    "hs_fulfillment_status",
    "hs_pipeline",
    "hs_pipeline_stage",
    "hubspot_owner_id",
    "hs_lastmodifieddate",
)
LINE_PROPERTIES = ("name", "hs_product_id", "quantity", "price", "amount")

ORDER_TIMES = ("hs_external_created_date", "hs_processed_date", "hs_closed_date", "hs_createdate")
"""When an order object counts: the shop's own moment first, HubSpot's last. The first that is filled is taken."""
_CANCELLED = frozenset({"cancelled", "canceled"})


class Shape(Schema):
    """A rare payload."""

    class Meta:
        """HubSpot adds keys freely."""

        unknown = EXCLUDE


class _Account(Shape):
    portalId = ma.Raw(required=True)  # noqa: N815 - HubSpot's word
    timeZone = ma.String(required=True)  # noqa: N815
    companyCurrency = ma.String(required=True)  # noqa: N815
    uiDomain = ma.String(load_default="app.hubspot.com")  # noqa: N815
    portalName = ma.String(load_default=None, allow_none=True)  # noqa: N815


class _OwnerTeam(Shape):
    id = ma.Raw(required=True)
    name = ma.String(load_default="", allow_none=True)
    primary = ma.Boolean(load_default=False, allow_none=True)


class _Owner(Shape):
    id = ma.Raw(required=True)
    email = ma.String(load_default=None, allow_none=True)
    firstName = ma.String(load_default=None, allow_none=True)  # noqa: N815
    lastName = ma.String(load_default=None, allow_none=True)  # noqa: N815
    archived = ma.Boolean(load_default=False, allow_none=True)
    teams = ma.List(ma.Nested(_OwnerTeam), load_default=list, allow_none=True)


class _Rate(Shape):
    fromCurrencyCode = ma.String(required=True)  # noqa: N815
    toCurrencyCode = ma.String(load_default=None, allow_none=True)  # noqa: N815
    conversionRate = ma.Raw(required=True)  # noqa: N815


class _Stage(Shape):
    id = ma.Raw(required=True)
    metadata = ma.Dict(load_default=dict, allow_none=True)


class _Pipeline(Shape):
    stages = ma.List(ma.Nested(_Stage), required=True)


_ACCOUNT, _OWNER, _RATE, _PIPELINE = _Account(), _Owner(), _Rate(), _Pipeline()


def load(shape: Schema, payload: Any, path: str) -> Json:
    """A checked payload; raises `Malformed` with the path of what is missing or bent."""
    try:
        loaded: Json = shape.load(payload)
    except ValidationError as error:
        where = ".".join([path, *sorted(str(key) for key in error.messages_dict)[:1]])
        raise Malformed(f"HubSpot's answer lacks or bends {where}", path=where) from None
    return loaded


# --- the account -----------------------------------------------------------------------------------------------


def portal_info(payload: Json) -> PortalInfo:
    """The account behind a token."""
    found = load(_ACCOUNT, payload, "account")
    account_id = str(found["portalId"])
    return PortalInfo(
        account_id=account_id,
        name=found["portalName"] or f"HubSpot {account_id}",
        time_zone=found["timeZone"],
        currency=found["companyCurrency"],
        web_url=f"https://{found['uiDomain']}",
    )


def rates_to(base: str, payloads: Iterable[Json]) -> dict[str, Decimal]:
    """Rates towards the company's currency; `conversionRate` is the worth of one unit of the additional currency.

    https://developers.hubspot.com/docs/api-reference/latest/account/settings/multicurrency/guide, read 2026-11.
    """
    rates = {base: Decimal(1)}
    for payload in payloads:
        found = load(_RATE, payload, "rates")
        rate = decimal(found["conversionRate"], "rates.conversionRate")
        if (
            found["toCurrencyCode"] in {None, base}
            and found["fromCurrencyCode"] != base
            and rate is not None
            and rate > 0
        ):
            rates[found["fromCurrencyCode"]] = rate
    return rates


def staff(live: Iterable[Json], archived: Iterable[Json]) -> tuple[list[Manager], list[Team]]:
    """Owners → managers, archived ones inactive, and the teams they name. The primary team comes first."""
    managers: dict[str, Manager] = {}
    teams: dict[str, Team] = {}
    for payloads, listed_live in ((live, True), (archived, False)):
        for payload in payloads:
            found = load(_OWNER, payload, "owners")
            own = sorted(found["teams"] or (), key=lambda team: not team["primary"])
            teams.update({str(team["id"]): Team(str(team["id"]), team["name"] or "") for team in own})
            owner_id = str(found["id"])
            manager = Manager(
                owner_id,
                _full_name(found) or f"HubSpot owner {owner_id}",
                active=listed_live and not found["archived"],
                team_ids=tuple(str(team["id"]) for team in own),
            )
            managers.setdefault(owner_id, manager)
    return list(managers.values()), list(teams.values())


def _full_name(owner: Json) -> str:
    words = [owner["firstName"], owner["lastName"]]
    return " ".join(word for word in words if word) or owner["email"] or ""


@dataclass(frozen=True, slots=True)
class Stages:
    """Closed deal stages of all pipelines; stage ids are unique in an account, labels are not."""

    won: frozenset[str]
    lost: frozenset[str]


def stages_of(pipelines: Iterable[Json]) -> Stages:
    """Won = closed with probability 1, lost = closed with another one."""
    won: set[str] = set()
    lost: set[str] = set()
    for payload in pipelines:
        for stage in load(_PIPELINE, payload, "pipelines")["stages"]:
            metadata = stage["metadata"] or {}
            if flag(metadata.get("isClosed")) is True:
                sure = amount(metadata.get("probability")) == Decimal(1)
                (won if sure else lost).add(str(stage["id"]))
    return Stages(frozenset(won), frozenset(lost))


# --- customers -------------------------------------------------------------------------------------------------


def customer_properties(kind: CustomerKind, refs: Mapping[str, FieldRef]) -> tuple[str, ...]:
    """What to ask for on every page: unnamed properties do not come."""
    base = ("hubspot_owner_id", "createdate", MODIFIED[OBJECTS[kind]], "hs_merged_object_ids")
    return (*base, *(ref.external_id for ref in refs.values()))


def customer(kind: CustomerKind, payload: Json, refs: Mapping[str, FieldRef]) -> Customer:
    """One contact or company."""
    record_id, values = record_of(payload, kind.value)
    modified = values.get(MODIFIED[OBJECTS[kind]]) or payload.get("updatedAt")
    merged = str(values.get("hs_merged_object_ids") or "").split(";")
    return Customer(
        ref=CustomerRef(kind, record_id),
        manager_id=identifier(values.get("hubspot_owner_id")),
        created_at=moment_of(values.get("createdate") or payload.get("createdAt"), f"{kind}.createdate"),
        updated_at=moment_of(modified, f"{kind}.lastmodifieddate"),
        card=_card(values, refs),
        merged_ids=tuple(one.strip() for one in merged if one.strip() and one.strip() != record_id),
    )


def _card(values: Json, refs: Mapping[str, FieldRef]) -> dict[str, FieldValue]:
    card: dict[str, FieldValue] = {}
    for key, ref in refs.items():
        value = values.get(ref.external_id)
        if value not in (None, ""):
            card[key] = _READERS.get(key, str)(value)
    return card


def _card_time(value: Any) -> FieldValue:
    try:
        return moment_of(value, "card")
    except Malformed:
        return str(value)


_READERS = {
    "r": whole,
    "f": whole,
    "quality": whole,
    "m": amount,
    "updated_at": _card_time,
    "churn_risk": flag,
    "upsell": flag,
}


def written(value: FieldValue) -> str:
    """A value as HubSpot takes it: always text; empty text clears (null is not valid in the schema)."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return iso_ms(value)
    return plain(value) if isinstance(value, Decimal) else str(value)


def iso_ms(moment: datetime) -> str:
    """`2026-11-22T08:00:00.000Z`, fractions of a millisecond cut."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def ms(moment: datetime) -> int:
    """Unix milliseconds, cut like `iso_ms`."""
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000


# --- orders ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ties:
    """What one deal or order is associated with."""

    contacts: Sequence[Link] = ()
    companies: Sequence[Link] = ()
    line_items: Sequence[Link] = ()
    deals: Sequence[Link] = ()


_SPELLINGS: Mapping[str, str] = {
    "contact": CONTACTS,
    "0-1": CONTACTS,
    "company": COMPANIES,
    "0-2": COMPANIES,
    "deal": DEALS,
    "0-3": DEALS,
    "line items": LINE_ITEMS,
    "line_item": LINE_ITEMS,
    "0-8": LINE_ITEMS,
}
"""HubSpot names the key of embedded associations by the plural, for line items with a space."""


def embedded(payload: Json) -> tuple[dict[str, list[Link]], frozenset[str]]:
    """Associations that a list embeds in a record, by kind, and the kinds that go on beyond what is embedded.

    The same company stands there twice when it is the primary one: as `deal_to_company` and as
    `deal_to_company_unlabeled`.
    """
    found: dict[str, list[Link]] = {}
    partial: set[str] = set()
    for key, part in (payload.get("associations") or {}).items():
        kind = _SPELLINGS.get(key, key)
        ends = part.get("results") or ()
        labelled = any(str(end.get("type") or "").endswith("_unlabeled") for end in ends)
        found[kind] = [Link(str(end["id"]), labelled and _is_primary(end)) for end in ends]
        if ((part.get("paging") or {}).get("next") or {}).get("after"):
            partial.add(kind)
    return found, frozenset(partial)


def _is_primary(end: Json) -> bool:
    kind = str(end.get("type") or "")
    return kind.endswith("_to_company") or "primary" in kind


def deal(payload: Json, ties: Ties, *, stages: Stages | None, currency: str | None) -> Order:
    """One deal. `stages` serve where it does not say itself whether it is closed, `currency` where it has none."""
    record_id, values = record_of(payload, "deal")
    stage = identifier(values.get("dealstage"))
    status = _deal_status(values, stage, stages)
    total = decimal(values.get("amount"), "deal.amount")
    return Order(
        source=OrderSource.DEALS,
        external_id=record_id,
        status=status,
        at=None if status is OrderStatus.OPEN else moment_of(values.get("closedate"), "deal.closedate"),
        amount=total,
        currency=values.get("deal_currency_code") or currency,
        company_id=_company(ties.companies, identifier(values.get("hs_primary_associated_company"))),
        contact_id=_lowest(ties.contacts),
        manager_id=identifier(values.get("hubspot_owner_id")),
        created_at=moment_of(values.get("createdate") or payload.get("createdAt"), "deal.createdate"),
        updated_at=moment_of(values.get("hs_lastmodifieddate") or payload.get("updatedAt"), "deal.hs_lastmodifieddate"),
        pipeline_id=identifier(values.get("pipeline")),
        stage_id=stage,
    )


def tells_closed(payload: Json) -> bool:
    """Whether a deal says itself that it is won, or that it is closed or not."""
    values = payload.get("properties") or {}
    won = flag(values.get("hs_is_closed_won"))
    return won is True or (won is False and isinstance(flag(values.get("hs_is_closed")), bool))


def is_won(order: Order) -> bool:
    """Whether it counts, so that its lines are worth reading."""
    return order.status is OrderStatus.WON


def _deal_status(values: Json, stage: str | None, stages: Stages | None) -> OrderStatus:
    won, closed = flag(values.get("hs_is_closed_won")), flag(values.get("hs_is_closed"))
    if not isinstance(won, bool):
        won = stages is not None and stage in stages.won
    if not isinstance(closed, bool):
        closed = stages is not None and stage in stages.won | stages.lost
    if won:
        return OrderStatus.WON
    return OrderStatus.LOST if closed else OrderStatus.OPEN


def order_object(payload: Json, ties: Ties, *, currency: str | None) -> Order:
    """One order object: it counts from the moment in `ORDER_TIMES`, whatever its stage, unless it was cancelled."""
    record_id, values = record_of(payload, "order")
    moments = [values.get(name) for name in ORDER_TIMES] + [payload.get("createdAt")]
    cancelled = str(values.get("hs_fulfillment_status") or "").casefold() in _CANCELLED
    return Order(
        source=OrderSource.ORDERS,
        external_id=record_id,
        status=OrderStatus.LOST if cancelled else OrderStatus.WON,
        at=moment_of(next((moment for moment in moments if moment), None), "order.time"),
        amount=decimal(values.get("hs_total_price"), "order.hs_total_price"),
        currency=values.get("hs_currency_code") or currency,
        company_id=_company(ties.companies, None),
        contact_id=_lowest(ties.contacts),
        manager_id=identifier(values.get("hubspot_owner_id")),
        created_at=moment_of(values.get("hs_createdate") or payload.get("createdAt"), "order.hs_createdate"),
        updated_at=moment_of(
            values.get("hs_lastmodifieddate") or payload.get("updatedAt"), "order.hs_lastmodifieddate"
        ),
        pipeline_id=identifier(values.get("hs_pipeline")),
        stage_id=identifier(values.get("hs_pipeline_stage")),
        deal_id=_lowest(ties.deals),
    )


def order_line(payload: Json) -> OrderLine:
    """One line item. `amount` is net of the discount, which is what it falls short of quantity × price."""
    _, values = record_of(payload, "line_item")
    quantity = decimal(values.get("quantity"), "line_item.quantity") or Decimal(1)
    price = decimal(values.get("price"), "line_item.price")
    net = decimal(values.get("amount"), "line_item.amount")
    discount = None if price is None or net is None else quantity * price - net
    return OrderLine(
        product_id=identifier(values.get("hs_product_id")),
        name=values.get("name") or None,
        quantity=quantity,
        price=price,
        discount=discount or None,
    )


def task_state(payload: Json) -> TaskState:
    """One task. Any status but COMPLETED is open: HubSpot's own texts name more of them than its documents.

    https://developers.hubspot.com/docs/api-reference/latest/crm/activities/tasks/guide, read 2026-11.
    """
    task_id, values = record_of(payload, "task")
    is_done = values.get("hs_task_status") == "COMPLETED"
    closed = values.get("hs_task_completion_date") or values.get("hs_lastmodifieddate")
    return TaskState(
        external_id=task_id,
        is_done=is_done,
        done_at=moment_of(closed, "task.hs_task_completion_date") if is_done else None,
        due_at=moment_of(values.get("hs_timestamp"), "task.hs_timestamp"),
        manager_id=identifier(values.get("hubspot_owner_id")),
    )


def buyer_of(ties: Ties) -> CustomerRef | None:
    """Whose a deal is: its company's, else its main contact's (CONTRACT 2.2), else nobody's."""
    company, contact = _company(ties.companies, None), _lowest(ties.contacts)
    if company is not None:
        return CustomerRef(CustomerKind.COMPANY, company)
    return None if contact is None else CustomerRef(CustomerKind.CONTACT, contact)


def _company(links: Sequence[Link], named: str | None) -> str | None:
    """The company named on the order: its primary one, else the lowest id (CONTRACT 2.2 asks for one)."""
    primary = [link for link in links if link.primary]
    if not primary and named in {link.to for link in links}:
        return named
    return _lowest(primary or links)


def _lowest(links: Sequence[Link]) -> str | None:
    return min((link.to for link in links), key=numeric, default=None)


def numeric(record_id: str) -> tuple[int, str]:
    """Sorts record ids as numbers; anything else comes last, as text."""
    return (int(record_id), "") if record_id.isdecimal() else (1 << 63, record_id)


# --- common to all records -------------------------------------------------------------------------------------


def record_id(payload: Json, path: str) -> str:
    """A record's id, always text."""
    return record_of(payload, path)[0]


def changed_at(payload: Json, kind: str) -> datetime:
    """When a record last changed; the key that searches go by. Raises `Malformed` when HubSpot does not tell."""
    values = payload.get("properties") or {}
    moment = moment_of(values.get(MODIFIED[kind]) or payload.get("updatedAt"), f"{kind}.{MODIFIED[kind]}")
    if moment is None:
        raise Malformed("a changed record does not tell when it changed", path=f"{kind}.{MODIFIED[kind]}")
    return moment


def kept(payload: Json) -> Outcome:
    """The good outcome of a write, from the record that its answer shows."""
    changed = moment_of(payload.get("updatedAt"), "results.updatedAt")
    return Outcome(ok=True, external_id=record_id(payload, "results"), written_at=changed)


def record_of(payload: Json, path: str) -> tuple[str, Json]:
    """A record's id and its properties; raises `Malformed` when there is no id."""
    found = payload.get("id")
    if found in (None, ""):
        raise Malformed("a record has no id", path=f"{path}.id")
    return str(found), payload.get("properties") or {}


def moment_of(value: Any, path: str) -> datetime | None:
    """Searches and lists answer in ISO 8601; older properties may come as unix milliseconds."""
    text = str(value) if value is not None else ""
    return from_epoch(text, path, per_second=1000) if text.lstrip("-").isdecimal() else aware(text, path)
