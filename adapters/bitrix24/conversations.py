"""Calls, meetings, letters and messages with customers: rows of `crm.activity.list` and what they are bound to.

No subject, text, number or address is selected; `COMMUNICATIONS`, which has them, comes only when it is asked for.
https://apidocs.bitrix24.com/api-reference/crm/timeline/activities/activity-base/crm-activity-list.html and
…/crm-activity-fields.html (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from adapters.bitrix24.client import Client, Command, Listing, row_id
from adapters.bitrix24.schemas import DEAL, ENTITY, required
from adapters.errors import Gone, Malformed
from adapters.fields import aware, flag, identifier
from adapters.records import ContactChannel, Contacted, CustomerKind, CustomerRef

Row = Mapping[str, Any]

TYPES = MappingProxyType({1: ContactChannel.MEETING, 2: ContactChannel.CALL, 4: ContactChannel.LETTER})
"""`crm.enum.activitytype`. 3 is a task, 6 whatever an application or the portal itself provides."""
PROVIDED = 6
MESSENGERS = frozenset({"CRM_SMS", "CRM_WHATSAPP", "CRM_NOTIFICATION", "IMOPENLINES_SESSION"})
"""Providers whose activities are messages: text messages, notifications, open lines (one activity a conversation)."""
_INBOUND = 1
_KINDS = {number: kind for kind, number in ENTITY.items()}
ACTIVITIES = Listing(
    "crm.activity.list",
    {
        "filter": {"@TYPE_ID": [*TYPES, PROVIDED], "!PROVIDER_ID": "CRM_TODO"},
        "select": [
            "ID",
            "TYPE_ID",
            "PROVIDER_ID",
            "DIRECTION",
            "COMPLETED",
            "START_TIME",
            "END_TIME",
            "CREATED",
            "RESPONSIBLE_ID",
        ],
        "order": {"ID": "ASC"},
    },
    uncounted=True,
    id_key="ID",
)
_DEALS = Listing(
    "crm.item.list",
    {"entityTypeId": DEAL, "select": ["id", "companyId", "contactId"], "order": {"id": "ASC"}},
    "items",
    uncounted=True,
)


def contacts(client: Client, rows: Sequence[Row]) -> list[Contacted]:
    """The contacts among a page of activities, each with its customers.

    Bindings are asked for activity by activity, 50 a request: lists do not promise them. What was deleted since the
    page was read has none and is left out.
    """
    found = [row for row in rows if _channel(row) is not None]
    if not found:
        return []
    ids = [row_id(row, "crm.activity.list", "ID") for row in found]
    replies = client.batch_all({f"b{one}": Command("crm.activity.binding.list", {"activityId": one}) for one in ids})
    bound: dict[int, list[tuple[int, str]]] = {}
    for one in ids:
        try:
            bound[one] = _bindings(replies[f"b{one}"].good())
        except Gone:
            continue
    deals = {other for each in bound.values() for entity, other in each if entity == DEAL}
    buyers = _buyers(client, deals)
    return [contacted(row, _customers(bound[one], buyers)) for row, one in zip(found, ids, strict=True) if one in bound]


def contacted(row: Row, customers: tuple[CustomerRef, ...]) -> Contacted:
    """One activity. A call's length is that between its beginning and its end; a missed one has none.

    A call or meeting counts as held once it is ticked off (`COMPLETED`), which telephony does by itself.
    """
    channel = _channel(row)
    begun = aware(row.get("START_TIME"), "crm.activity.list[].START_TIME")
    at = begun or aware(row.get("CREATED"), "crm.activity.list[].CREATED")
    if channel is None or at is None:
        raise Malformed("a contact does not tell when it was", path="crm.activity.list[].START_TIME")
    is_call = channel is ContactChannel.CALL
    seconds = _length(begun, aware(row.get("END_TIME"), "crm.activity.list[].END_TIME")) if is_call else 0
    is_done = flag(row.get("COMPLETED")) is True
    is_written = channel in {ContactChannel.LETTER, ContactChannel.MESSAGE}
    return Contacted(
        external_id=required(row, "ID"),
        channel=channel,
        at=at,
        customer=customers,
        manager_id=identifier(row.get("RESPONSIBLE_ID")),
        inbound=str(row.get("DIRECTION")) == str(_INBOUND),
        completed=is_written or (is_done and (seconds > 0 or not is_call)),
        seconds=seconds,
    )


def _channel(row: Row) -> ContactChannel | None:
    kind = str(row.get("TYPE_ID"))
    if kind == str(PROVIDED):
        return ContactChannel.MESSAGE if row.get("PROVIDER_ID") in MESSENGERS else None
    return TYPES.get(int(kind)) if kind.isdecimal() else None


def _length(begun: datetime | None, ended: datetime | None) -> int:
    if begun is None or ended is None:
        return 0
    return max(0, int((ended - begun).total_seconds()))


def _bindings(result: Any) -> list[tuple[int, str]]:
    """(type of object, id).

    https://apidocs.bitrix24.com/api-reference/crm/timeline/activities/binding/ (read 2026-11)
    """
    rows = result if isinstance(result, list) else []
    return [(row_id(row, "binding", "entityTypeId"), required(row, "entityId")) for row in rows]


def _buyers(client: Client, deal_ids: set[str]) -> dict[str, CustomerRef]:
    """Deal → its company, else its primary contact (CONTRACT 2.2)."""
    buyers: dict[str, CustomerRef] = {}
    for row in client.rows_by_id(_DEALS, deal_ids) if deal_ids else []:
        company, contact = identifier(row.get("companyId")), identifier(row.get("contactId"))
        if company is not None:
            buyers[required(row, "id")] = CustomerRef(CustomerKind.COMPANY, company)
        elif contact is not None:
            buyers[required(row, "id")] = CustomerRef(CustomerKind.CONTACT, contact)
    return buyers


def _customers(bound: Sequence[tuple[int, str]], buyers: Mapping[str, CustomerRef]) -> tuple[CustomerRef, ...]:
    found = {CustomerRef(_KINDS[entity], one) for entity, one in bound if entity in _KINDS}
    found |= {buyers[one] for entity, one in bound if entity == DEAL and one in buyers}
    return tuple(sorted(found))
