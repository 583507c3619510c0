"""Payload text ↔ value, the same way for every CRM: times, money, numbers, flags.

Every reader raises `Malformed` with the path it was given, never with what stood there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapters.errors import Malformed

_TRUE = frozenset({"true", "1", "y", "yes"})
_FALSE = frozenset({"false", "0", "n", "no"})


def zone(name: str) -> tzinfo:
    """The time zone of an IANA name or of a fixed offset such as `UTC+03:00`; raises `Malformed`."""
    if name.startswith(("UTC+", "UTC-")):
        try:
            hours, minutes = name[4:].split(":")
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            return timezone(offset if name[3] == "+" else -offset)
        except ValueError:
            raise Malformed(f"{name!r} is no time zone", path="time_zone") from None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Malformed(f"{name!r} is no time zone", path="time_zone") from None


def aware(value: Any, path: str) -> datetime | None:
    """A moment from ISO 8601 text with an offset, or None when empty."""
    if value in (None, "", 0, "0"):
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise Malformed("a time is not ISO 8601", path=path) from None
    if moment.tzinfo is None:
        raise Malformed("a time has no offset", path=path)
    return moment.astimezone(UTC)


def from_epoch(value: Any, path: str, *, per_second: int = 1) -> datetime | None:
    """A moment from unix seconds (or milliseconds with `per_second=1000`), or None when empty."""
    if value in (None, "", 0, "0"):
        return None
    try:
        return datetime.fromtimestamp(int(value) / per_second, UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        raise Malformed("a time is not a unix time", path=path) from None


def epoch(moment: datetime) -> int:
    """Unix seconds of an aware moment, fractions cut."""
    return int(moment.timestamp())


def decimal(value: Any, path: str) -> Decimal | None:
    """An exact number from text or a JSON number, or None when empty. Never through binary fractions of text."""
    if value is None or value == "":
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise Malformed("a number is not a number", path=path) from None
    if not number.is_finite():
        raise Malformed("a number is not finite", path=path)
    return number


def whole(value: Any) -> int | str | None:
    """A card's whole number; other text stays text so that it differs from any number."""
    if value is None or value == "":
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return str(value)
    return int(number) if number.is_finite() and number == number.to_integral_value() else str(value)


def amount(value: Any) -> Decimal | str | None:
    """A card's number with decimals; other text stays text."""
    if value is None or value == "":
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return str(value)
    return number if number.is_finite() else str(value)


def flag(value: Any) -> bool | str | None:
    """A card's yes/no in any of the vendors' spellings; other text stays text."""
    if value is None or value == "":
        return None
    text = str(value).lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    return str(value)


def plain(number: Decimal) -> str:
    """A number as the CRMs read it: no exponent, no thousands separator."""
    return format(number, "f")


def identifier(value: Any) -> str | None:
    """An id as text, or None for the vendors' many spellings of "none" (null, 0, "0", "")."""
    if value in (None, "", 0, "0", False):
        return None
    return str(value)
