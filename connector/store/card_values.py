"""Card values ↔ their stored JSON form, which compares equal exactly when the values do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from adapters.records import FieldValue

_DECIMALS = frozenset({"m"})
_TIMES = frozenset({"updated_at"})


def to_json(values: Mapping[str, FieldValue]) -> dict[str, Any]:
    """The stored form: decimals as text without trailing zeros, times as UTC text in whole seconds, None kept."""
    return {key: _stored(value) for key, value in values.items()}


def from_json(stored: Mapping[str, Any]) -> dict[str, FieldValue]:
    """Read what `to_json` wrote."""
    return {key: _value(key, value) for key, value in stored.items()}


def _stored(value: FieldValue) -> Any:
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(microsecond=0).isoformat()
    return value


def _value(key: str, stored: Any) -> FieldValue:
    if stored is None:
        return None
    try:
        if key in _DECIMALS:
            return Decimal(str(stored))
        if key in _TIMES:
            return datetime.fromisoformat(str(stored))
    except (ArithmeticError, ValueError):
        return str(stored)
    value: FieldValue = stored
    return value
