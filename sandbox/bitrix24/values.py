"""Values between the wire and the portal: how each kind of field is written, read, and compared in a filter."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from sandbox.bitrix24.php import as_int, as_list

_WHOLE = re.compile(r"[+-]?\d{1,18}(\.0+)?")


class Kind(StrEnum):
    """What a field holds; the value is the word that `crm.item.fields` uses, up to its last dot."""

    INTEGER = "integer"
    DOUBLE = "double"
    STRING = "string"
    CHAR = "char"  # Y or N, never empty
    FLAG = "boolean"  # a custom yes/no, may be empty
    DATETIME = "datetime"
    DATE = "date"
    ENUM = "enumeration"
    LINK = "crm_entity"  # one id of another object
    USER = "user"
    LINKS = "crm_entities"  # several ids


class BadValue(ValueError):
    """The text is none of what the field takes."""


def iso(moment: int, zone: tzinfo) -> str:
    """ISO 8601 with the portal's offset."""
    return datetime.fromtimestamp(moment, zone).isoformat()


def read_moment(text: Any, zone: tzinfo) -> int:
    """Seconds from ISO, with an offset or in the portal's own time; also `YYYY-MM-DD HH:MM:SS` and a bare day."""
    try:
        moment = datetime.fromisoformat(str(text).strip())
    except ValueError:
        raise BadValue(str(text)) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp())


def read_day(text: Any) -> date:
    """A day; a time behind it is cut off."""
    try:
        return date.fromisoformat(str(text).strip()[:10])
    except ValueError:
        raise BadValue(str(text)) from None


def read_decimal(value: Any) -> Decimal:
    """An exact number."""
    if isinstance(value, bool):
        raise BadValue(str(value))
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise BadValue(str(value)) from None
    if not number.is_finite():
        raise BadValue(str(value))
    return number


def _read_integer(value: Any) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not _WHOLE.fullmatch(text):
        raise BadValue(text)
    return int(text.partition(".")[0])


def _read_text(value: Any) -> str:
    if isinstance(value, list | dict):
        raise BadValue("an array")
    return str(value)


def _read_yes(value: Any) -> bool:
    """Y and N, also 1 and 0 and JSON's own; the words True and False that naive batch encoders send are nothing."""
    known = {"Y": True, "1": True, "N": False, "0": False}
    text = str(int(value)) if isinstance(value, bool) else str(value).strip().upper()
    if text not in known:
        raise BadValue(text)
    return known[text]


def read(kind: Kind, value: Any, zone: tzinfo) -> Any:
    """What the portal stores for a value that came in; None for an empty one. Raises `BadValue`."""
    if kind is Kind.LINKS:
        return tuple(dict.fromkeys(_read_integer(item) for item in as_list(value) if as_int(item)))
    if value in (None, "", []):
        return None
    if kind in {Kind.LINK, Kind.USER, Kind.ENUM}:
        return _read_integer(value) or None
    if kind is Kind.DATETIME:
        return read_moment(value, zone)
    reader: Callable[[Any], Any] = {
        Kind.INTEGER: _read_integer,
        Kind.DOUBLE: read_decimal,
        Kind.CHAR: _read_yes,
        Kind.FLAG: _read_yes,
        Kind.DATE: read_day,
    }.get(kind, _read_text)
    return reader(value)


def number(value: Decimal) -> int | float:
    """PHP's JSON shows a whole float without a fraction."""
    return int(value) if value == value.to_integral_value() else float(value)


def _day(value: date, zone: tzinfo) -> str:
    offset = datetime(value.year, value.month, value.day, 2, tzinfo=zone)
    return offset.isoformat()


Writer = Callable[[Any], Any]


def item_writer(kind: Kind, zone: tzinfo) -> Writer | None:
    """How `crm.item.*` shows a stored value; None where it is shown as it is.

    A custom yes/no that was never set is shown as N. A day comes as a moment at 02:00 of the portal's offset.
    """
    writers: dict[Kind, Writer] = {
        Kind.DOUBLE: lambda value: None if value is None else number(value),
        Kind.CHAR: lambda value: "Y" if value else "N",
        Kind.FLAG: lambda value: "Y" if value else "N",
        Kind.DATETIME: lambda value: None if value is None else iso(value, zone),
        Kind.DATE: lambda value: None if value is None else _day(value, zone),
        Kind.LINKS: list,
    }
    return writers.get(kind)


def old_writer(kind: Kind, zone: tzinfo) -> Writer:
    """How the old methods show it: everything is text, a custom yes/no is 1 or 0."""
    writers: dict[Kind, Writer] = {
        Kind.CHAR: lambda value: "Y" if value else "N",
        Kind.FLAG: lambda value: None if value is None else str(int(value)),
        Kind.DATETIME: lambda value: None if value is None else iso(value, zone),
        Kind.DATE: lambda value: None if value is None else _day(value, zone),
        Kind.DOUBLE: lambda value: None if value is None else format(value, "f"),
        Kind.LINKS: lambda value: [str(item) for item in value],
    }
    return writers.get(kind, lambda value: None if value is None else str(value))


def comparable(kind: Kind, value: Any, zone: tzinfo) -> Any:
    """A filter's value in the form in which the field is stored; None for an empty one. Raises `BadValue`.

    Custom yes/no are compared as numbers, so Y counts as 0 (the documents ask for 1 and 0).
    """
    if kind is Kind.FLAG:
        return bool(as_int(value))
    if value is None or value == "":
        return None
    if kind is Kind.LINKS:
        return _read_integer(value)
    if kind is Kind.STRING:
        return _read_text(value).casefold()
    return read(kind, value, zone)
