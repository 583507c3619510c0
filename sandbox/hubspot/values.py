"""Text that a client writes → text that HubSpot keeps, or the code with which it refuses. Plain functions."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000
MAX_TEXT = 65_536
_NUMBER = re.compile(r"-?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_INTEGER = re.compile(r"-?\d+")


class BadValueError(Exception):
    """The value is not accepted; `code` is HubSpot's word for why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def to_ms(moment: datetime) -> int:
    """Epoch milliseconds, exactly."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def iso(ms: int) -> str:
    """As HubSpot writes moments: no fraction when the second is whole."""
    return iso_full(ms) if ms % 1000 else (EPOCH + timedelta(milliseconds=ms)).isoformat()[:-6] + "Z"


def iso_full(ms: int) -> str:
    """As HubSpot writes `createdAt` and `updatedAt`: always with milliseconds."""
    return (EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")[:-6] + "Z"


def read_moment(text: str) -> int | None:
    """Epoch ms from "1790000000000" or ISO with a zone; None when it is neither."""
    if _INTEGER.fullmatch(text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) == len("2026-01-01"):
        moment = moment.replace(tzinfo=UTC)
    return None if moment.tzinfo is None else to_ms(moment)


def number(text: str) -> str:
    """A number in HubSpot's own format: "12.0" comes back as "12"."""
    if not _NUMBER.fullmatch(text):
        raise BadValueError("INVALID_INTEGER", f"{text} was not a valid number.")
    return plain(Decimal(text))


def plain(value: Decimal) -> str:
    """No exponent, no trailing zeros."""
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"", "-0", "-"} else text


def moment(text: str) -> str:
    """A datetime: epoch ms or ISO with a zone."""
    ms = read_moment(text) if "T" in text or _INTEGER.fullmatch(text) else None
    if ms is None:
        raise BadValueError("INVALID_DATE", f"{text} was not a valid long.")
    return iso(ms)


def day(text: str) -> str:
    """A date: "2026-11-22", or ms at midnight UTC exactly."""
    ms = read_moment(text)
    if ms is None or "T" in text or ms % DAY_MS:
        raise BadValueError("INVALID_DATE", f"{text} is at a time other than midnight UTC.")
    return iso(ms)[:10]


def boolean(text: str) -> str:
    """The texts "true" and "false", nothing else."""
    if text not in {"true", "false"}:
        raise BadValueError("INVALID_OPTION", f"{text} was not one of the allowed options: [true, false]")
    return text


def option(text: str, allowed: frozenset[str], *, several: bool, before: str) -> str:
    """Option values, case and spaces as defined. With `several`: "a;b", and ";c" adds to what was there."""
    chosen = text.strip(";").split(";") if several else [text]
    for value in chosen:
        if value not in allowed:
            listed = ", ".join(sorted(allowed))
            raise BadValueError("INVALID_OPTION", f"{value} was not one of the allowed options: [{listed}]")
    if several and text.startswith(";") and before:
        return ";".join(dict.fromkeys([*before.split(";"), *chosen]))
    return ";".join(chosen)


def text_value(text: str) -> str:
    """Text of bearable length."""
    if len(text) > MAX_TEXT:
        raise BadValueError("INVALID_STRING", f"A text is at most {MAX_TEXT} characters long.")
    return text


def email(text: str) -> str:
    """An e-mail address, lower case."""
    if not _EMAIL.fullmatch(text):
        raise BadValueError("INVALID_EMAIL", f"Email address {text} is invalid")
    return text.lower()


def as_number(text: str) -> Decimal | None:
    """For comparisons; None when it is no number."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return None
