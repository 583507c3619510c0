"""Values of custom fields: what is accepted, what is refused and why, and how they read back.

Facts: https://www.amocrm.ru/developers/content/crm_platform/custom-fields and the models of the official PHP
client; the 256 characters of `text` are known from its issue 224. Numbers come in as numbers or strings and
always read as strings; dates come in as unix seconds or RFC 3339 and read as unix seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.amocrm.fields import FieldBook
from sandbox.amocrm.problems import Flaw, Invalid, missing, unexpected, unsupported, wrong_type
from sandbox.amocrm.rows import Field, Option, Stored

LONGEST_TEXT = 256
Values = dict[int, tuple[Stored, ...]]

_FIELD_KEYS = frozenset({"field_id", "field_code", "field_name", "field_type", "values"})
_CHOICES = frozenset({"select", "radiobutton", "multiselect", "category"})
_MANY = frozenset({"multiselect", "multitext"})


def read_values(items: object, book: FieldBook, zone: ZoneInfo) -> Values:
    """What an item's `custom_fields_values` changes; an empty tuple clears the field.

    Raises `Invalid` with every flaw found.
    """
    if items is None:
        return {}
    if not isinstance(items, list):
        raise wrong_type("custom_fields_values", "array")
    changes: Values = {}
    flaws: list[Flaw] = []
    for position, item in enumerate(items):
        try:
            changes.update(_read_field(item, book, zone, f"custom_fields_values.{position}"))
        except Invalid as refusal:
            flaws.extend(refusal.flaws)
    if flaws:
        raise Invalid.together(flaws)
    return changes


def _read_field(item: object, book: FieldBook, zone: ZoneInfo, path: str) -> Values:
    if not isinstance(item, dict):
        raise wrong_type(path, "object")
    for key in item:
        if key not in _FIELD_KEYS:
            raise unexpected(f"{path}.{key}")
    field = _find_field(item, book, path)
    if "values" not in item:
        raise missing(f"{path}.values")
    given = item["values"]
    if given is None:
        return {field.id: ()}
    if not isinstance(given, list) or not given:
        raise wrong_type(f"{path}.values", "non-empty array")
    if len(given) > 1 and field.type not in _MANY:
        raise Invalid("TooMany", f"{path}.values", "This field holds one value.")
    if any(isinstance(value, dict) and value.get("value") == "" for value in given):
        return {}  # an empty string changes nothing: issue 352 of the official client
    if all(value == {"value": None} for value in given):
        return {field.id: ()}
    stored = [_read_value(value, field, zone, f"{path}.values.{at}") for at, value in enumerate(given)]
    return {field.id: tuple(stored)}


def _find_field(item: Mapping[str, Any], book: FieldBook, path: str) -> Field:
    field_id, code = item.get("field_id"), item.get("field_code")
    if field_id is not None:
        if isinstance(field_id, bool) or not isinstance(field_id, int):
            raise wrong_type(f"{path}.field_id", "int")
        field = book.fields.get(field_id)
        if field is None:
            raise unsupported(f"{path}.field_id")
        return field
    if code is None:
        raise missing(f"{path}.field_id")
    field = book.by_code(str(code))
    if field is None:
        raise unsupported(f"{path}.field_code")
    return field


def _read_value(value: object, field: Field, zone: ZoneInfo, path: str) -> Stored:
    if not isinstance(value, dict):
        raise wrong_type(path, "object")
    if field.type in _CHOICES:
        return Stored(enum_id=_read_option(value, field, path).id)
    allowed = {"value", "enum_id", "enum_code"} if field.type == "multitext" else {"value"}
    for key in value:
        if key not in allowed:
            raise unexpected(f"{path}.{key}")
    if value.get("value") is None:
        raise wrong_type(f"{path}.value", "scalar")
    if field.type == "multitext":
        return _read_contact_way(value, field, path)
    reader = _READERS.get(field.type, _any_text)
    return Stored(reader(value["value"], zone, f"{path}.value"))


def _read_option(value: Mapping[str, Any], field: Field, path: str) -> Option:
    options = field.options or []
    if "enum_code" in value and value["enum_code"] is None:
        raise wrong_type(f"{path}.enum_code", "string")
    for key, attribute in (("enum_id", "id"), ("enum_code", "code"), ("value", "value")):
        if key not in value:
            continue
        for option in options:
            if value[key] is not None and getattr(option, attribute) == value[key]:
                return option
        raise unsupported(f"{path}.{key}")
    raise missing(f"{path}.value")


def _read_contact_way(value: Mapping[str, Any], field: Field, path: str) -> Stored:
    text = value["value"]
    if not isinstance(text, str):
        raise wrong_type(f"{path}.value", "string")
    if "enum_id" in value or "enum_code" in value:
        named = {key: value[key] for key in ("enum_id", "enum_code") if key in value}
        return Stored(text, _read_option(named, field, path).id)
    return Stored(text, (field.options or [Option(0, "WORK", 0)])[0].id)


def _text(value: object, _zone: ZoneInfo, path: str) -> str:
    text = _any_text(value, _zone, path)
    if len(text) > LONGEST_TEXT:
        raise Invalid("TooLong", path, f"This value is too long: at most {LONGEST_TEXT} characters.")
    return text


def _any_text(value: object, _zone: ZoneInfo, path: str) -> str:
    if not isinstance(value, str):
        raise wrong_type(path, "string")
    return value


def _number(value: object, _zone: ZoneInfo, path: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise wrong_type(path, "numeric")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise wrong_type(path, "numeric") from None
    if not number.is_finite():
        raise wrong_type(path, "numeric")
    return plain_number(number)


def plain_number(number: Decimal) -> str:
    """`4`, `1.5`: as numbers of every kind read back."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _flag(value: object, _zone: ZoneInfo, path: str) -> bool:
    if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise wrong_type(path, "bool")


def whole_number(value: object, path: str) -> int:
    """An int, or a float without a fraction: clients send both for stamps, and PHP makes no difference."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(path, "int")
    return value


def _moment(value: object, _zone: ZoneInfo, path: str) -> int:
    if not isinstance(value, str):
        return whole_number(value, path)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise wrong_type(path, "date-time") from None
    if moment.tzinfo is None:
        raise wrong_type(path, "date-time")
    return int(moment.timestamp())


def _day(value: object, zone: ZoneInfo, path: str) -> int:
    local = datetime.fromtimestamp(_moment(value, zone, path), zone)
    return int(local.replace(hour=0, minute=0, second=0).timestamp())


_READERS: dict[str, Callable[[object, ZoneInfo, str], str | int | bool]] = {
    "text": _text,
    "numeric": _number,
    "monetary": _number,
    "price": _number,
    "checkbox": _flag,
    "date_time": _moment,
    "date": _day,
    "birthday": _day,
}


def view_values(values: Values, book: FieldBook) -> list[dict[str, Any]] | None:
    """As lists and cards show them: None, not an empty array, when nothing is filled."""
    if not values:
        return None
    return [_view_field(book.fields[field_id], stored, book) for field_id, stored in values.items()]


def _view_field(field: Field, stored: Sequence[Stored], book: FieldBook) -> dict[str, Any]:
    return {
        "field_id": field.id,
        "field_name": field.name,
        "field_code": field.code,
        "field_type": field.type,
        "values": view_stored(stored, book),
    }


def view_stored(stored: Sequence[Stored], book: FieldBook) -> list[dict[str, Any]]:
    """The values of one field."""
    return [_view_one(one, book) for one in stored]


def _view_one(one: Stored, book: FieldBook) -> dict[str, Any]:
    if one.enum_id is None:
        return {"value": one.value}
    option = book.options[one.enum_id]
    text = option.value if one.value is None else one.value
    return {"value": text, "enum_id": option.id, "enum_code": option.code}
