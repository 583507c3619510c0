"""Long lists in pieces: `limit` says how much, `cursor` where to go on, `next` is the cursor of the piece that follows.

A cursor is the place of the last row, in base64; whoever writes one himself gets a list from that place on, or 422.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

import orjson
from marshmallow import ValidationError, fields

from connector.api.v1.problems import FieldError, Refused
from connector.api.v1.words import Answer, Day, Moment, Question, many, number, words

MOST, USUAL = 500, 100
_LONGEST = 1000
Row = TypeVar("Row")


class Piece(Question):
    """Which piece of a list."""

    limit = number("How many at most.", 100, 1, MOST, load_default=USUAL)
    cursor = words("`next` of the piece before; without it the list begins.", "WzQyXQ", longest=_LONGEST)


def list_of(schema: type[Answer], name: str) -> type[Answer]:
    """The answer that has one piece of a list."""
    following = fields.String(
        allow_none=True,
        metadata={"description": "Ask again with this as `cursor`; null at the end of the list.", "example": "WzQyXQ"},
    )
    made = type(name, (Answer,), {"items": many(schema, "The rows of this piece."), "next": following})
    made.__doc__ = f"A piece of a list of `{schema.__name__}`."
    return made


def place(asked: Mapping[str, Any], *kinds: Callable[[Any], Any]) -> Any:
    """The place that the cursor names, None without one: one value, or a tuple of as many as there are `kinds`.

    Raises `Refused` (422) for what is no cursor of this list.
    """
    given = asked.get("cursor")
    if given is None:
        return None
    try:
        values = orjson.loads(base64.urlsafe_b64decode(given.encode() + b"=" * (-len(given) % 4)))
        found = tuple(kind(value) for kind, value in zip(kinds, list(values), strict=True))
    except (binascii.Error, ValueError, TypeError, ValidationError):
        raise _wrong() from None
    if any(isinstance(value, str) and "\0" in value for value in found):
        raise _wrong()
    return found if len(found) > 1 else found[0]


def text_place(value: Any) -> str:
    """A place that is a text."""
    if not isinstance(value, str):
        raise TypeError
    return value


def whole_place(value: Any) -> int:
    """A place that is a number that the database can hold."""
    if type(value) is not int or not -(2**63) < value < 2**63:
        raise TypeError
    return value


def number_place(value: Any) -> int:
    """A place that is a customer's number."""
    if whole_place(value) != max(-1, min(value, 2**31 - 1)):
        raise TypeError
    return int(value)


def day_place(value: Any) -> date:
    """A place that is a day."""
    found: date = Day().deserialize(value)
    return found


def moment_place(value: Any) -> datetime:
    """A place that is a moment."""
    found: datetime = Moment().deserialize(value)
    return found


def piece(
    rows: Sequence[Row], asked: Mapping[str, Any], shown: Callable[[Row], Any], key: Callable[[Row], Sequence[Any]]
) -> dict[str, Any]:
    """An answer for `list_of`, of `rows` that were read with one more than the limit; `key` is the place of a row."""
    limit = asked["limit"]
    kept = rows[:limit]
    following = None
    if len(rows) > limit:
        place_of = orjson.dumps(list(key(kept[-1])))
        following = base64.urlsafe_b64encode(place_of).decode().rstrip("=")
    return {"items": [shown(row) for row in kept], "next": following}


def _wrong() -> Refused:
    message = "this is no cursor of this list: take `next` of the piece before"
    return Refused(422, message, errors=[FieldError("query.cursor", message)])
