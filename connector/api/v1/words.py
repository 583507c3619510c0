"""The words of the API: fields of questions and answers, each with what it means and an example.

Answers have every field that is described; questions refuse what is not. Money is a decimal text with its currency
beside it, moments are ISO 8601 in UTC, days are `YYYY-MM-DD` of the portal.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

LARGEST_INT = 2**31 - 1
_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(2199, 12, 31)
_LONGEST = 200
_CENT = Decimal("0.01")


class Moment(fields.Field[Any]):
    """An aware moment, answered in UTC."""

    default_error_messages = {"invalid": "not a moment: write it like 2026-11-24T09:30:00Z"}  # noqa: RUF012

    def _serialize(self, value: Any, attr: str | None, obj: Any, **_: Any) -> str | None:  # noqa: ARG002
        if value is None:
            return None
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
        return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> datetime:  # noqa: ARG002
        try:
            at = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise self.make_error("invalid") from None
        if at.tzinfo is None or not _FIRST_DAY <= at.date() <= _LAST_DAY:
            raise self.make_error("invalid")
        return at


class Day(fields.Field[Any]):
    """A day of the portal."""

    default_error_messages = {"invalid": "not a day from 1970 to 2199: write it like 2026-11-24"}  # noqa: RUF012

    def _serialize(self, value: Any, attr: str | None, obj: Any, **_: Any) -> str | None:  # noqa: ARG002
        return None if value in {None, ""} else str(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> date:  # noqa: ARG002
        try:
            day = date.fromisoformat(value)
        except (TypeError, ValueError):
            raise self.make_error("invalid") from None
        if day.isoformat() != value or not _FIRST_DAY <= day <= _LAST_DAY:
            raise self.make_error("invalid")
        return day


class Amount(fields.Field[Any]):
    """An exact sum as text, such as 1234.50."""

    default_error_messages = {"invalid": "not a sum: write it like 1234.50"}  # noqa: RUF012

    def _serialize(self, value: Any, attr: str | None, obj: Any, **_: Any) -> str | None:  # noqa: ARG002
        if value is None:
            return None
        shown = Decimal(value)
        return format(shown if shown.as_tuple().exponent < -2 else shown.quantize(_CENT), "f")  # type: ignore[operator]

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Decimal:  # noqa: ARG002
        try:
            amount = Decimal(value) if isinstance(value, str) and len(value) <= 30 else Decimal("NaN")
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite() or abs(amount) >= Decimal(10) ** 15 or abs(amount.adjusted()) > 20:
            raise self.make_error("invalid")
        return amount


class Answer(Schema):
    """What is answered: each of its fields is always there, except those told to be `optional`."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """See the class."""
        del field_name
        field_obj.required = not field_obj.metadata.get("x-optional", False)


class Question(Schema):
    """What is asked. A field that is not known is refused, so that a slip of the pen is not silently ignored."""

    class Meta:
        """Options of marshmallow."""

        unknown = RAISE


def text(about: str, example: str | None, **more: Any) -> fields.String:
    """Text of an answer; `allow_none` where the example is None."""
    return fields.String(metadata=_told(about, example), allow_none=more.pop("allow_none", example is None), **more)


def whole(about: str, example: int | None, **more: Any) -> fields.Integer:
    """A whole number."""
    return fields.Integer(metadata=_told(about, example), allow_none=more.pop("allow_none", example is None), **more)


def share(about: str, example: float | None, **more: Any) -> fields.Float:
    """A fraction, or a figure that is none of money."""
    return fields.Float(metadata=_told(about, example), allow_none=more.pop("allow_none", example is None), **more)


def flag(about: str, *, example: bool = False, **more: Any) -> fields.Boolean:
    """Yes or no."""
    return fields.Boolean(metadata=_told(about, example), **more)


def moment(about: str, example: str | None = "2026-11-24T09:30:00Z", **more: Any) -> Moment:
    """A moment, in UTC."""
    return Moment(metadata=_told(about, example), allow_none=more.pop("allow_none", example is None), **more)


def day(about: str, example: str | None = "2026-11-24", **more: Any) -> Day:
    """A day of the portal."""
    return Day(metadata=_told(about, example), allow_none=more.pop("allow_none", example is None), **more)


def amount(about: str, example: str | None = "1234.50", **more: Any) -> Amount:
    """A sum whose currency stands beside it."""
    return Amount(metadata=_told(about, example), allow_none=more.pop("allow_none", example is None), **more)


def choice(about: str, *values: str, **more: Any) -> fields.String:
    """One of some words."""
    return fields.String(metadata=_told(about, values[0]), validate=validate.OneOf(values), **more)


def words(about: str, example: str, *, longest: int = _LONGEST, **more: Any) -> fields.String:
    """Text of a question."""
    return fields.String(metadata=_told(about, example), validate=[validate.Length(1, longest), _without_nul], **more)


def number(about: str, example: int, low: int = 0, high: int = LARGEST_INT, **more: Any) -> fields.Integer:
    """A whole number of a question, within limits."""
    return fields.Integer(metadata=_told(about, example), validate=validate.Range(low, high), **more)


def listed(inner: Any, about: str, **more: Any) -> fields.List[Any]:
    """A list."""
    return fields.List(inner, metadata={"description": about}, **more)


def one(schema: type[Schema], about: str, **more: Any) -> fields.Nested:
    """An object within an object."""
    return fields.Nested(schema, metadata={"description": about}, **more)


def many(schema: type[Schema], about: str, **more: Any) -> fields.List[Any]:
    """A list of objects."""
    return listed(fields.Nested(schema), about, **more)


def counts(about: str, example: Mapping[str, int]) -> fields.Dict:
    """Figures by name."""
    return fields.Dict(keys=fields.String(), values=fields.Integer(), metadata=_told(about, dict(example)))


def anything(about: str, example: Any = None, **more: Any) -> fields.Raw:
    """Any JSON value."""
    return fields.Raw(metadata=_told(about, example), allow_none=True, **more)


def record(about: str, example: Mapping[str, Any] | None = None, **more: Any) -> fields.Dict:
    """An object whose keys are not known beforehand."""
    return fields.Dict(keys=fields.String(), metadata=_told(about, dict(example or {})), **more)


def money(value: Any, currency: str) -> dict[str, Any] | None:
    """A sum for `Money`."""
    return None if value is None else {"amount": value, "currency": currency}


def optional(field: Any) -> Any:
    """A field that some answers do not have."""
    field.metadata["x-optional"] = True
    return field


def _told(about: str, example: Any) -> dict[str, Any]:
    return {"description": about} if example is None else {"description": about, "example": example}


def _without_nul(value: str) -> None:
    if "\0" in value:
        raise ValidationError("the character NUL is not allowed")


class Money(Answer):
    """A sum with its currency."""

    amount = amount("The sum, exact.")
    currency = text("ISO 4217 code.", "RUB")
