"""Single untrusted values → ids, moments and names; None for whatever does not look like one.

What passes here can be stored as text anywhere: no NUL, no control characters, bounded length.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

_ID = re.compile(r"0*([1-9][0-9]{0,17})", re.ASCII)
_ACCOUNT = re.compile(r"[0-9A-Za-z._-]{1,64}", re.ASCII)
_NAME = re.compile(r"[0-9A-Za-z_.:-]{1,200}", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)
_BEYOND = 10**18
"""Ids have at most 18 digits."""
_LATEST_S = 4_102_444_800
"""The year 2100: later "times" are no times."""


def record_id(value: object) -> str | None:
    """A record's number, without leading zeros, as text; it fits 64 bits. 0, negative and `undefined` are none."""
    if type(value) is int:  # the usual case in JSON
        return str(value) if 0 < value < _BEYOND else None
    found = _ID.fullmatch(text(value))
    return found.group(1) if found else None


def account_id(value: object) -> str | None:
    """An account's number or Bitrix24's `member_id`."""
    found = _ACCOUNT.fullmatch(text(value))
    return found.group() if found else None


def name(value: object) -> str | None:
    """An internal name: a property, a field, an event."""
    return value if isinstance(value, str) and _NAME.fullmatch(value) else None


def moment(value: object, *, per_second: int = 1) -> datetime | None:
    """A moment from a unix time in seconds, or in milliseconds with `per_second=1000`."""
    if type(value) is int:
        seconds = value / per_second
    elif isinstance(value, str) and _DIGITS.fullmatch(value):
        seconds = int(value) / per_second
    else:
        return None
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < _LATEST_S else None


def text(value: object) -> str:
    """Text or a whole number as text; empty for anything else, however deep it is nested."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _BEYOND else ""
