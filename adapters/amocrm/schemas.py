"""amoCRM's payloads ↔ our records. Plain functions over parsed JSON, no I/O.

Small answers (account, users, fields) are checked by marshmallow; cards and leads come by the hundred thousand and
are translated by hand. Shapes: https://www.amocrm.ru/developers/content/crm_platform/leads-api, …/contacts-api,
…/custom-fields, …/tasks-api, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any

import marshmallow as ma

from adapters.amocrm.client import COMPANIES, CONTACTS, Json
from adapters.contract import FieldRef, FieldType, PortalInfo
from adapters.errors import InvalidValue, Malformed
from adapters.fields import amount, aware, epoch, flag, from_epoch, identifier, plain, whole, zone
from adapters.records import (
    Customer,
    CustomerKind,
    CustomerRef,
    FieldValue,
    Manager,
    ScoreChange,
    TaskDraft,
    Team,
)

ENTITY = {CustomerKind.CONTACT: CONTACTS, CustomerKind.COMPANY: COMPANIES}
CODES = {
    "r": "RFM_R",
    "f": "RFM_F",
    "m": "RFM_M",
    "code": "RFM_CODE",
    "segment": "RFM_SEGMENT",
    "segment_previous": "RFM_PREVIOUS",
    "updated_at": "RFM_UPDATED_AT",
    "method": "RFM_METHOD",
    "quality": "RFM_QUALITY",
    "churn_risk": "RFM_CHURN_RISK",
    "upsell": "RFM_UPSELL",
    "hint": "RFM_HINT",
}
"""Our key → the field's code in amoCRM."""
TYPES = {
    FieldType.INTEGER: "numeric",
    FieldType.DECIMAL: "numeric",
    FieldType.TEXT: "text",
    FieldType.LONG_TEXT: "textarea",
    FieldType.CHOICE: "select",
    FieldType.TIME: "date_time",
    FieldType.FLAG: "checkbox",
}
LONGEST_TEXT = 256
"""`text` values above it are refused (https://github.com/amocrm/amocrm-api-php/issues/224, read 2026-11)."""
_SHORT_TEXTS = frozenset({"code", "segment_previous", "method"})
_FOLLOW_UP = 1
CUSTOMER_MODES = frozenset({"segments", "periodicity"})


# --- account and people ----------------------------------------------------------------------------------------


class _Lenient(ma.Schema):
    class Meta:
        unknown = ma.EXCLUDE


class _TimeSettings(_Lenient):
    timezone = ma.fields.String(load_default=None, allow_none=True)
    timezone_offset = ma.fields.String(load_default=None, allow_none=True)


class _Group(_Lenient):
    id = ma.fields.Integer(required=True)
    name = ma.fields.String(load_default="", allow_none=True)


class _AccountParts(_Lenient):
    users_groups = ma.fields.List(ma.fields.Nested(_Group), load_default=list)
    datetime_settings = ma.fields.Nested(_TimeSettings, load_default=dict)


class _Account(_Lenient):
    id = ma.fields.Integer(required=True)
    name = ma.fields.String(load_default="", allow_none=True)
    currency = ma.fields.String(required=True)
    customers_mode = ma.fields.String(load_default="unavailable", allow_none=True)
    is_api_filter_enabled = ma.fields.Boolean(load_default=False, allow_none=True)
    parts = ma.fields.Nested(_AccountParts, data_key="_embedded", load_default=dict)


class _Rights(_Lenient):
    is_active = ma.fields.Boolean(load_default=True, allow_none=True)
    group_id = ma.fields.Integer(load_default=None, allow_none=True)


class _UserParts(_Lenient):
    groups = ma.fields.List(ma.fields.Nested(_Group), load_default=list)


class _User(_Lenient):
    id = ma.fields.Integer(required=True)
    name = ma.fields.String(load_default="", allow_none=True)
    rights = ma.fields.Nested(_Rights, load_default=dict)
    parts = ma.fields.Nested(_UserParts, data_key="_embedded", load_default=dict)


class _Option(_Lenient):
    id = ma.fields.Integer(required=True)
    value = ma.fields.String(required=True)
    sort = ma.fields.Integer(load_default=0, allow_none=True)
    code = ma.fields.String(load_default=None, allow_none=True)


class _Field(_Lenient):
    id = ma.fields.Integer(required=True)
    name = ma.fields.String(required=True)
    type = ma.fields.String(required=True)
    code = ma.fields.String(load_default=None, allow_none=True)
    group_id = ma.fields.Raw(load_default=None, allow_none=True)
    is_api_only = ma.fields.Boolean(load_default=False, allow_none=True)
    enums = ma.fields.List(ma.fields.Nested(_Option), load_default=list, allow_none=True)


class _FieldGroup(_Lenient):
    id = ma.fields.Raw(required=True)
    name = ma.fields.String(required=True)


_ACCOUNT, _USER, _FIELD, _FIELD_GROUP = _Account(), _User(), _Field(), _FieldGroup()


def _load(schema: ma.Schema, payload: Json, what: str) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = schema.load(payload)
    except ma.ValidationError as error:
        raise Malformed(f"amoCRM's {what} is not as documented", path=_path(error.messages, what)) from None
    return loaded


def _path(messages: Any, path: str) -> str:
    while isinstance(messages, dict) and messages:
        key, messages = next(iter(messages.items()))
        path = f"{path}.{key}"
    return path


@dataclass(frozen=True, slots=True)
class Account:
    """What the account is and which options it has bought."""

    info: PortalInfo
    teams: tuple[Team, ...]
    has_filter: bool
    has_customers: bool

    @property
    def zone(self) -> tzinfo:
        """Where the account's days begin."""
        return zone(self.info.time_zone)


def account_of(payload: Json, web_url: str) -> Account:
    """The account; its zone is the IANA name if it has one that we know, else the fixed offset."""
    loaded = _load(_ACCOUNT, payload, "account")
    parts = loaded["parts"]
    info = PortalInfo(
        account_id=str(loaded["id"]),
        name=loaded["name"] or "",
        time_zone=_zone_name(parts.get("datetime_settings", {})),
        currency=loaded["currency"],
        web_url=web_url,
    )
    teams = tuple(Team(str(group["id"]), group["name"] or "") for group in parts.get("users_groups", ()))
    return Account(info, teams, bool(loaded["is_api_filter_enabled"]), loaded["customers_mode"] in CUSTOMER_MODES)


def _zone_name(settings: Mapping[str, Any]) -> str:
    offset = settings.get("timezone_offset")
    names = [settings.get("timezone"), f"UTC{offset}" if offset else None]
    for name in names:
        if name and _is_zone(name):
            return str(name)
    raise Malformed("the account's time zone is not told", path="account._embedded.datetime_settings.timezone")


def _is_zone(name: str) -> bool:
    try:
        zone(name)
    except Malformed:
        return False
    return True


def manager_of(payload: Json, teams: Iterable[Team]) -> Manager:
    """A user. Without a group of his own he is in the account's default group 0, if there is one."""
    loaded = _load(_USER, payload, "user")
    groups = [str(group["id"]) for group in loaded["parts"].get("groups", ())]
    rights = loaded["rights"]
    if not groups:
        own = str(rights.get("group_id") or 0)
        groups = [own] if any(team.external_id == own for team in teams) else []
    return Manager(str(loaded["id"]), loaded["name"] or "", bool(rights.get("is_active", True)), tuple(groups))


# --- custom fields ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Option:
    """A choice of a select field; id 0 for one that is still to be made."""

    id: int
    value: str
    sort: int
    code: str | None


@dataclass(frozen=True, slots=True)
class Field:
    """A custom field as the account has it."""

    id: int
    name: str
    type: str
    code: str | None
    group_id: str | None
    is_api_only: bool
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A tab of a card."""

    id: str
    name: str


def field_of(payload: Json) -> Field:
    """A field. Its options may come as a list or as an object keyed by number."""
    enums = payload.get("enums")
    if isinstance(enums, dict):
        payload = {**payload, "enums": list(enums.values())}
    loaded = _load(_FIELD, payload, "custom_field")
    options = tuple(Option(one["id"], one["value"], one["sort"] or 0, one["code"]) for one in loaded["enums"] or ())
    return Field(
        loaded["id"],
        loaded["name"],
        loaded["type"],
        loaded["code"],
        identifier(loaded["group_id"]),
        bool(loaded["is_api_only"]),
        options,
    )


def group_of(payload: Json) -> Group:
    """A tab; its id is a string."""
    loaded = _load(_FIELD_GROUP, payload, "custom_field_group")
    return Group(str(loaded["id"]), loaded["name"])


# --- cards -----------------------------------------------------------------------------------------------------

_Reader = Callable[[Json], FieldValue]


class CardReader:
    """Reads our fields from a card's `custom_fields_values`, which is null when nothing is filled."""

    def __init__(self, refs: Mapping[str, FieldRef]) -> None:
        self._readers = {int(ref.external_id): (key, _reader(key, ref)) for key, ref in refs.items()}

    def read(self, values: Any) -> dict[str, FieldValue]:
        """Our fields by key; empty ones are absent."""
        card: dict[str, FieldValue] = {}
        for item in values or ():
            known = self._readers.get(item.get("field_id"))
            if known is None or not item.get("values"):
                continue
            value = known[1](item["values"][0])
            if value is not None:
                card[known[0]] = value
        return card


def _reader(key: str, ref: FieldRef) -> _Reader:
    if key == "segment":
        by_id = {option: value for value, option in ref.choices.items()}
        return lambda item: _choice(item, by_id)
    convert: Callable[[Any], FieldValue] = _CONVERTERS.get(key, text_of)
    return lambda item: convert(item.get("value"))


def _choice(item: Json, by_id: Mapping[str, str]) -> str | None:
    value = by_id.get(str(item.get("enum_id")))
    return value if value is not None else text_of(item.get("value"))


def text_of(value: Any) -> str | None:
    """A text that is there."""
    return None if value in (None, "") else str(value)


def _time(value: Any) -> FieldValue:
    """Unix seconds; older answers had text."""
    try:
        return from_epoch(value, "date_time") if isinstance(value, int) else aware(value, "date_time")
    except Malformed:
        return str(value)


_CONVERTERS: dict[str, Callable[[Any], FieldValue]] = {
    "r": whole,
    "f": whole,
    "m": amount,
    "quality": whole,
    "updated_at": _time,
    "churn_risk": flag,
    "upsell": flag,
}


def customer_of(row: Json, kind: CustomerKind, reader: CardReader) -> Customer:
    """A contact or a company."""
    path = ENTITY[kind]
    return Customer(
        CustomerRef(kind, id_of(row, path)),
        manager_id=identifier(row.get("responsible_user_id")),
        created_at=from_epoch(row.get("created_at"), f"{path}.created_at"),
        updated_at=from_epoch(row.get("updated_at"), f"{path}.updated_at"),
        card=reader.read(row.get("custom_fields_values")),
    )


def id_of(row: Json, path: str) -> str:
    """The id every row has; raises `Malformed` with its path."""
    found = identifier(row.get("id"))
    if found is None:
        raise Malformed("a row of amoCRM has no id", path=f"{path}.id")
    return found


def change_body(change: ScoreChange, refs: Mapping[str, FieldRef]) -> tuple[Json, list[str]]:
    """The item of a bulk change, and our keys in the order of its values, by which a refusal's path is read.

    Raises `InvalidValue` with our key for what this portal has no place for.
    """
    keys = list(change.values)
    values = [_field_body(key, change.values[key], refs.get(key)) for key in keys]
    return {"id": int(change.customer.external_id), "custom_fields_values": values}, keys


def _field_body(key: str, value: FieldValue, ref: FieldRef | None) -> Json:
    """None empties a field: `values` null, as the official client sends it. An empty string would be ignored."""
    if ref is None:
        raise InvalidValue("the portal has no such field yet: provision it", field=key)
    values = None if value in (None, "") else [_value_body(key, value, ref)]
    return {"field_id": int(ref.external_id), "values": values}


def _value_body(key: str, value: FieldValue, ref: FieldRef) -> Json:
    if key == "segment":
        option = ref.choices.get(str(value))
        if option is None:
            raise InvalidValue("the portal's field has no such option yet: provision it", field=key)
        return {"enum_id": int(option)}
    if isinstance(value, bool):
        return {"value": value}
    if isinstance(value, datetime):
        return {"value": epoch(value)}
    if isinstance(value, Decimal):
        return {"value": plain(value)}
    text = str(value)
    return {"value": text[:LONGEST_TEXT] if key in _SHORT_TEXTS else text}


# --- tasks -----------------------------------------------------------------------------------------------------


def task_body(draft: TaskDraft, account_zone: tzinfo) -> Json:
    """The item that creates a task. There is no priority in amoCRM; the marker closes the text."""
    body: Json = {
        "text": "\n".join(part for part in (draft.title, draft.body, draft.marker) if part),
        "complete_till": deadline(draft.due_at, account_zone),
        "task_type_id": _FOLLOW_UP,
        "entity_id": int(draft.customer.external_id),
        "entity_type": ENTITY[draft.customer.kind],
        "request_id": draft.key,
    }
    if draft.manager_id is not None:
        body["responsible_user_id"] = int(draft.manager_id)
    return body


def deadline(due_at: datetime, account_zone: tzinfo) -> int:
    """23:59 of the account's day would be shown as "all day" and lose its hour, so it becomes 23:58.

    https://www.amocrm.ru/developers/content/crm_platform/tasks-api, read 2026-11
    """
    local = due_at.astimezone(account_zone)
    return epoch(due_at) - (60 if (local.hour, local.minute) == (23, 59) else 0)


def markers_in(row: Json) -> set[str]:
    """The words of a task's text: a marker is one of them."""
    return set(str(row.get("text") or "").split())
