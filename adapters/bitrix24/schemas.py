"""Bitrix24's payloads ↔ our records. Pure: rows in, records out, and back for what we write.

Rows that come in thousands are read by plain functions, small catalogues by marshmallow schemas.
Field names: https://apidocs.bitrix24.com/api-reference/crm/universal/object-fields.html (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from adapters.contract import FieldRef
from adapters.errors import Malformed, Unsupported
from adapters.fields import amount, aware, decimal, flag, identifier, whole
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
    Team,
)

Row = Mapping[str, Any]

DEAL = 2
FAMILY = MappingProxyType({CustomerKind.CONTACT: "crm.contact", CustomerKind.COMPANY: "crm.company"})
"""Beginnings of the older methods' names."""
ENTITY = MappingProxyType({CustomerKind.CONTACT: 3, CustomerKind.COMPANY: 4})
"""https://apidocs.bitrix24.com/api-reference/crm/data-types.html#object_type (read 2026-11)"""

NAMES = MappingProxyType(
    {
        "r": "UF_CRM_RFM_R",
        "f": "UF_CRM_RFM_F",
        "m": "UF_CRM_RFM_M",
        "code": "UF_CRM_RFM_CODE",
        "segment": "UF_CRM_RFM_SEGMENT",
        "segment_previous": "UF_CRM_RFM_PREVIOUS",
        "updated_at": "UF_CRM_RFM_UPDATED",
        "method": "UF_CRM_RFM_METHOD",
        "quality": "UF_CRM_RFM_QUALITY",
        "churn_risk": "UF_CRM_RFM_CHURN",
        "upsell": "UF_CRM_RFM_UPSELL",
        "hint": "UF_CRM_RFM_HINT",
    }
)
"""Our keys → names of the custom fields; letters only, so that their camelCase form is predictable."""

DEAL_SELECT = (
    "id",
    "categoryId",
    "stageId",
    "stageSemanticId",
    "opportunity",
    "currencyId",
    "companyId",
    "contactId",
    "assignedById",
    "closedate",
    "movedTime",
    "createdTime",
    "updatedTime",
    "isRecurring",
)
ORDER_SELECT = ("id", "dateUpdate")


# ── cards ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _moment(value: Any) -> datetime | str | None:
    try:
        return aware(value, "updated_at")
    except Malformed:
        return str(value)


def _words(value: Any) -> str | None:
    return None if value is None or value in ("", False) else str(value)


_READERS: Mapping[str, Callable[[Any], FieldValue]] = MappingProxyType(
    {
        "r": whole,
        "f": whole,
        "m": amount,
        "updated_at": _moment,
        "quality": whole,
        "churn_risk": flag,
        "upsell": flag,
    }
)


@dataclass(frozen=True, slots=True)
class Card:
    """Our fields on one kind of card in one portal.

    `camel` has the portal's own spelling for `crm.item.*` by key; `upper` the field's original name. `elements`
    maps a list's values to element ids, which differ between portals and between contacts and companies.
    """

    camel: Mapping[str, str] = field(default_factory=dict)
    upper: Mapping[str, str] = field(default_factory=dict)
    elements: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    _values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, refs: Mapping[str, FieldRef], camel_of: Mapping[str, str]) -> Card:
        """From the stored field map and the portal's `crm.item.fields` (original name → camel name)."""
        kept = {key: ref for key, ref in refs.items() if ref.name in camel_of}
        elements = {key: dict(ref.choices) for key, ref in kept.items() if ref.choices}
        return cls(
            {key: camel_of[ref.name] for key, ref in kept.items()},
            {key: ref.name for key, ref in kept.items()},
            elements,
            {key: {element: value for value, element in choices.items()} for key, choices in elements.items()},
        )

    def read(self, row: Row) -> dict[str, FieldValue]:
        """Our values on a card; keys that are empty there are absent."""
        held: dict[str, FieldValue] = {}
        for key, camel in self.camel.items():
            raw = row.get(camel)
            if raw is None:
                raw = row.get(self.upper[key])
                if raw is None:
                    continue
            value = self._value(key, raw)
            if value is not None:
                held[key] = value
        return held

    def shows(self, row: Row, key: str) -> bool:
        """Whether a row has the field at all."""
        return self.camel[key] in row or self.upper[key] in row

    def text(self, key: str, value: FieldValue, zone: tzinfo) -> Any:
        """A value as `crm.item.update` takes it; times with the portal's offset. None is not written this way."""
        if key in self.elements:
            element = self.elements[key].get(str(value))
            if element is None:
                raise Unsupported(f"the list {self.upper[key]} has no option {value}: provision the portal again")
            return element
        if isinstance(value, bool):
            return "Y" if value else "N"
        if isinstance(value, datetime):
            return stamp(value, zone)
        return value

    def _value(self, key: str, raw: Any) -> FieldValue:
        values = self._values.get(key)
        if values is not None:
            element = identifier(raw)
            return None if element is None else values.get(element, element)
        return _READERS.get(key, _words)(raw)


def same(sent: FieldValue, held: FieldValue) -> bool:
    """Whether a card holds what was sent: times to the second, texts but for blanks, "no" also as empty."""
    if isinstance(sent, datetime):
        return isinstance(held, datetime) and sent.replace(microsecond=0) == held.replace(microsecond=0)
    if isinstance(sent, str):
        return isinstance(held, str) and sent.split() == held.split()
    if sent is False or sent is None:
        return not held
    return sent == held


def stamp(moment: datetime, zone: tzinfo) -> str:
    """ISO 8601 with the portal's offset, whole seconds."""
    return moment.astimezone(zone).isoformat(timespec="seconds")


def customer_select(kind: CustomerKind, card: Card) -> list[str]:
    """The fields to ask for; no names, phones or addresses, since nobody here needs them."""
    own = ["isMyCompany"] if kind is CustomerKind.COMPANY else []
    return ["id", "assignedById", "createdTime", "updatedTime", *own, *card.camel.values()]


def customer(kind: CustomerKind, row: Row, card: Card) -> Customer:
    """A row of contacts or companies. The portal's own companies (`isMyCompany`) are no buyers."""
    return Customer(
        ref=CustomerRef(kind, required(row, "id")),
        manager_id=identifier(row.get("assignedById")),
        created_at=aware(row.get("createdTime"), "items[].createdTime"),
        updated_at=aware(row.get("updatedTime"), "items[].updatedTime"),
        card=card.read(row),
        is_buyer=flag(row.get("isMyCompany")) is not True,
    )


def required(row: Row, name: str) -> str:
    """An id that must be there, as text."""
    value = identifier(row.get(name))
    if value is None:
        raise Malformed("a required id is missing", path=f"[].{name}")
    return value


# ── deals ────────────────────────────────────────────────────────────────────────────────────────────────────────

_STATUS = MappingProxyType({"S": OrderStatus.WON, "F": OrderStatus.LOST, "P": OrderStatus.OPEN})


def is_template(row: Row) -> bool:
    """Rows with `isRecurring` are templates from which the portal makes deals."""
    return flag(row.get("isRecurring")) is True


def deal_status(row: Row, semantics: Callable[[], Mapping[str, str]]) -> OrderStatus:
    """From the row, or where it does not tell, from the stage. `semantics` is asked for only then."""
    letter = row.get("stageSemanticId") or semantics().get(str(row.get("stageId")), "P")
    try:
        return _STATUS[str(letter).upper()]
    except KeyError:
        raise Malformed("a stage has unknown semantics", path="items[].stageSemanticId") from None


def deal(row: Row, status: OrderStatus, zone: Callable[[], tzinfo], lines: Sequence[OrderLine] | None) -> Order:
    """A deal. An empty amount may come as null or as 0; which of them means "none" is the portal's setting."""
    return Order(
        source=OrderSource.DEALS,
        external_id=required(row, "id"),
        status=status,
        at=None if status is OrderStatus.OPEN else _closed_at(row, zone),
        amount=decimal(row.get("opportunity"), "items[].opportunity"),
        currency=row.get("currencyId") or None,
        company_id=identifier(row.get("companyId")),
        contact_id=identifier(row.get("contactId")),
        manager_id=identifier(row.get("assignedById")),
        created_at=aware(row.get("createdTime"), "items[].createdTime"),
        updated_at=aware(row.get("updatedTime"), "items[].updatedTime"),
        pipeline_id=None if row.get("categoryId") is None else str(row["categoryId"]),
        stage_id=identifier(row.get("stageId")),
        lines=None if lines is None else tuple(lines),
    )


def _closed_at(row: Row, zone: Callable[[], tzinfo]) -> datetime | None:
    """When the deal came to its last stage; without it the planned day, whose clock part means nothing."""
    moved = aware(row.get("movedTime"), "items[].movedTime")
    if moved is not None:
        return moved
    day = str(row.get("closedate") or "")[:10]
    if not day:
        return None
    try:
        return datetime.combine(date.fromisoformat(day), time(), zone()).astimezone(UTC)
    except ValueError:
        raise Malformed("a date is not ISO 8601", path="items[].closedate") from None


def product_row(row: Row) -> OrderLine:
    """A product row. Discounts are per piece; `price` is after the discount, `priceNetto` before it."""
    quantity = decimal(row.get("quantity"), "productRows[].quantity")
    quantity = Decimal(1) if quantity is None else quantity
    off = decimal(row.get("discountSum"), "productRows[].discountSum") or Decimal(0)
    price = decimal(row.get("priceNetto"), "productRows[].priceNetto")
    if price is None:
        final = decimal(row.get("price"), "productRows[].price")
        price = None if final is None else final + off
    return OrderLine(
        product_id=identifier(row.get("productId")),
        name=row.get("productName") or None,
        quantity=quantity,
        price=price,
        discount=off * quantity if off else None,
    )


# ── orders of the online store ───────────────────────────────────────────────────────────────────────────────────


def store_order(row: Row, deal_id: str | None, *, lines: bool) -> Order:
    """The answer of `sale.order.get`: won when paid and not cancelled; returned payments lower the amount."""
    payments = [payment for payment in row.get("payments") or [] if isinstance(payment, Mapping)]
    status = _order_status(row)
    price = decimal(row.get("price"), "order.price")
    returned = sum((_sum(payment) for payment in payments if _is_return(payment)), Decimal(0))
    clients = [client for client in row.get("clients") or [] if isinstance(client, Mapping)]
    return Order(
        source=OrderSource.ORDERS,
        external_id=required(row, "id"),
        status=status,
        at=_paid_at(row, payments) if status is OrderStatus.WON else None,
        amount=None if price is None else price - returned,
        currency=row.get("currency") or None,
        company_id=identifier(row.get("companyId")) or _client(clients, ENTITY[CustomerKind.COMPANY]),
        contact_id=_client(clients, ENTITY[CustomerKind.CONTACT]),
        manager_id=identifier(row.get("responsibleId")),
        created_at=aware(row.get("dateInsert"), "order.dateInsert"),
        updated_at=aware(row.get("dateUpdate"), "order.dateUpdate"),
        stage_id=identifier(row.get("statusId")),
        deal_id=deal_id,
        lines=tuple(_basket_line(item) for item in row.get("basketItems") or []) if lines else None,
    )


def _order_status(row: Row) -> OrderStatus:
    if flag(row.get("canceled")) is True:
        return OrderStatus.LOST
    return OrderStatus.WON if flag(row.get("payed")) is True else OrderStatus.OPEN


def _is_return(payment: Row) -> bool:
    return payment.get("isReturn") not in (None, "", "N", False, 0)


def _sum(payment: Row) -> Decimal:
    return decimal(payment.get("sum"), "order.payments[].sum") or Decimal(0)


def _paid_at(row: Row, payments: Sequence[Row]) -> datetime | None:
    """The payment that completed the order, else the day it was placed."""
    paid = [aware(payment.get("datePaid"), "order.payments[].datePaid") for payment in payments]
    moments = [moment for moment in paid if moment is not None]
    return max(moments) if moments else aware(row.get("dateInsert"), "order.dateInsert")


def _client(clients: Sequence[Row], entity: int) -> str | None:
    own = [client for client in clients if str(client.get("entityTypeId")) == str(entity)]
    main = next((client for client in own if flag(client.get("isPrimary")) is True), own[0] if own else {})
    return identifier(main.get("entityId"))


def _basket_line(item: Row) -> OrderLine:
    quantity = decimal(item.get("quantity"), "order.basketItems[].quantity")
    quantity = Decimal(1) if quantity is None else quantity
    off = decimal(item.get("discountPrice"), "order.basketItems[].discountPrice") or Decimal(0)
    price = decimal(item.get("price"), "order.basketItems[].price")
    return OrderLine(
        product_id=identifier(item.get("productId")),
        name=item.get("name") or None,
        quantity=quantity,
        price=None if price is None else price + off,
        discount=off * quantity if off else None,
    )


# ── catalogues ───────────────────────────────────────────────────────────────────────────────────────────────────


class Loose(Schema):
    """Unknown keys are passed over."""

    class Meta:
        """Of the schema."""

        unknown = EXCLUDE


class _User(Loose):
    ID = fields.Raw(required=True)
    ACTIVE = fields.Raw(load_default=True)
    NAME = fields.Raw(load_default=None)
    LAST_NAME = fields.Raw(load_default=None)
    UF_DEPARTMENT = fields.Raw(load_default=None)


class _Department(Loose):
    ID = fields.Raw(required=True)
    NAME = fields.Raw(load_default=None)
    PARENT = fields.Raw(load_default=None)
    UF_HEAD = fields.Raw(load_default=None)


class _Currency(Loose):
    CURRENCY = fields.Str(required=True)
    AMOUNT = fields.Raw(load_default=None)
    AMOUNT_CNT = fields.Raw(load_default=None)
    BASE = fields.Raw(load_default=None)


def load(schema: Schema, rows: Any, path: str) -> list[dict[str, Any]]:
    """Checked rows of a catalogue; raises `Malformed` with the place of the first bad one."""
    try:
        loaded: list[dict[str, Any]] = schema.load(rows if isinstance(rows, list) else [rows], many=True)
    except ValidationError as error:
        at, bad = next(iter(dict(error.messages_dict).items()))
        inner = next(iter(bad), "") if isinstance(bad, dict) else ""
        raise Malformed("a row of a catalogue is not as documented", path=f"{path}[{at}].{inner}") from None
    return loaded


def managers(rows: Any) -> list[Manager]:
    """Rows of `user.get`."""
    return [
        Manager(
            external_id=required(row, "ID"),
            name=" ".join(str(part) for part in (row["NAME"], row["LAST_NAME"]) if part) or str(row["ID"]),
            active=flag(row["ACTIVE"]) is not False,
            team_ids=_ids(row["UF_DEPARTMENT"]),
        )
        for row in load(_User(), rows, "user.get")
    ]


def _ids(value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    return tuple(found for found in map(identifier, listed) if found is not None)


def teams(rows: Any) -> list[Team]:
    """Rows of `department.get`; `UF_HEAD` is there only when it is set."""
    return [
        Team(
            external_id=required(row, "ID"),
            name=str(row["NAME"] or row["ID"]),
            lead_id=identifier(row["UF_HEAD"]),
            parent_id=identifier(row["PARENT"]),
        )
        for row in load(_Department(), rows, "department.get")
    ]


def rates(rows: Any, base: str | None) -> tuple[str, dict[str, Decimal]]:
    """The base currency, and what one unit of each currency is worth in it (`AMOUNT` / `AMOUNT_CNT`)."""
    worth: dict[str, Decimal] = {}
    for row in load(_Currency(), rows, "crm.currency.list"):
        if base is None and flag(row["BASE"]) is True:
            base = row["CURRENCY"]
        units = decimal(row["AMOUNT_CNT"], "crm.currency.list[].AMOUNT_CNT") or Decimal(1)
        price = decimal(row["AMOUNT"], "crm.currency.list[].AMOUNT")
        if price:
            worth[row["CURRENCY"]] = price / units
    if not base:
        raise Malformed("the portal names no base currency", path="crm.currency.list[].BASE")
    return base, {**worth, base: Decimal(1)}


def stage_semantics(rows: Sequence[Row]) -> dict[str, str]:
    """`STATUS_ID` of each deal stage → S, F or P."""
    return {
        str(row.get("STATUS_ID")): str(row.get("SEMANTICS") or "P")
        for row in rows
        if str(row.get("ENTITY_ID", "")).startswith("DEAL_STAGE")
    }
