"""What is not sent because it cannot be right, whatever the CRM would say. Pure.

Looks for our own mistakes only: a vendor's rules are the vendor's to tell, and its refusals are kept apart from these.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from adapters.contract import FieldRef
from adapters.records import FieldValue, ScoreChange

LONGEST = 10_000
"""Characters of a text: our longest hints have some hundred."""
LARGEST = 10**15
"""Figures as large as this are no days, orders, or sums of anybody's."""
_LIST = "segment"


def fault(change: ScoreChange, fields: Mapping[str, FieldRef]) -> tuple[str, str] | None:
    """The first field with something wrong and what it is, None when all can be sent.

    `fields` are those of the card's kind. The reason has no value in it.
    """
    for key, value in change.values.items():
        reason = _reason(value)
        if reason is None and key == _LIST and isinstance(value, str):
            choices = fields[key].choices if key in fields else {}
            reason = "is none of the list's values" if choices and value not in choices else None
        if reason is not None:
            return key, reason
    return None


def _reason(value: FieldValue) -> str | None:
    if isinstance(value, str):
        if len(value) > LONGEST:
            return f"is longer than {LONGEST} characters"
        return "has a character that no card can hold" if "\0" in value or not _is_text(value) else None
    if isinstance(value, datetime):
        return "has no time zone" if value.tzinfo is None else None
    if isinstance(value, bool) or value is None:
        return None
    figure = Decimal(value)
    if not figure.is_finite():
        return "is no number"
    return f"is {LARGEST:.0e} or more" if abs(figure) >= LARGEST else None


def _is_text(value: str) -> bool:
    """Half a surrogate pair cannot be encoded."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
