"""Request bodies, checked as strictly as HubSpot's schemas: an unknown key or a wrong type is a 400."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.faults import Faults
from sandbox.hubspot.account import Account
from sandbox.hubspot.errors import invalid
from sandbox.hubspot.records import Author, number_of
from sandbox.web import Request

BATCH = 100
_TEXTS = (
    "objectWriteTraceId query idProperty name label type fieldType groupName description propertyName operator value"
    " highValue associationCategory direction referencedObjectType calculationFormula"
)
_LISTS = "associations filterGroups filters sorts inputs types options values propertiesWithHistory"
_NUMBERS = "displayOrder associationTypeId limit"
_FLAGS = "hidden formField hasUniqueValue externalOptions archived"
_TYPES: Mapping[str, type] = {
    key: type_
    for keys, type_ in ((_TEXTS, str), (_LISTS, list), (_NUMBERS, int), (_FLAGS, bool))
    for key in keys.split()
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way through the emulator. `dated` is false on the old v3 and v4 paths."""

    account: Account
    request: Request
    author: Author
    faults: Faults
    dated: bool = True

    def one(self, name: str, default: str = "") -> str:
        """A query parameter."""
        return self.request.query().get(name, [default])[-1]

    def many(self, name: str) -> list[str]:
        """A list parameter: repeated, or with commas."""
        return [part.strip() for value in self.request.query().get(name, []) for part in value.split(",") if part]

    def flag(self, name: str) -> bool:
        """A true/false parameter; raises 400."""
        text = self.one(name, "false").lower()
        if text not in {"true", "false"}:
            raise invalid(f"{name} must be true or false")
        return text == "true"

    def count(self, name: str, default: int, most: int) -> int:
        """A page size; raises 400 when it is none, or too large."""
        text = self.one(name, str(default))
        if not 0 < number_of(text) <= most:
            raise invalid(f"{name} must be between 1 and {most}", "INVALID_PAGE_SIZE")
        return int(text)

    def cursor(self) -> int:
        """`after`; raises 400 when it was not ours."""
        text = self.one("after", "0") or "0"
        return offset(text)


def check_keys(data: object, allowed: Iterable[str], required: Iterable[str] = ()) -> Mapping[str, Any]:
    """`data` as an object with only `allowed` keys, all `required` ones, and values of the right type.

    A null stands for an absent key.
    """
    if not isinstance(data, dict):
        raise invalid("Invalid input JSON on line 1, column 1: Cannot deserialize value: an object was expected")
    unknown = sorted(set(data) - set(allowed))
    if unknown:
        raise invalid(f'Invalid input JSON on line 1, column 1: Unrecognized field "{unknown[0]}"')
    given = {key: value for key, value in data.items() if value is not None}
    missing = [name for name in required if name not in given]
    if missing:
        raise invalid(f"Invalid input JSON on line 1, column 1: Some required fields were not set: {missing}")
    wrong = [key for key, value in given.items() if key in _TYPES and type(value) is not _TYPES[key]]
    if wrong:
        raise invalid(f'Invalid input JSON on line 1, column 1: Cannot deserialize value of "{wrong[0]}"')
    return given


def read(request: Request, allowed: Iterable[str], required: Iterable[str] = ()) -> Mapping[str, Any]:
    """The body as such an object."""
    return check_keys(parsed(request), allowed, required)


def parsed(request: Request) -> Any:
    """The body as JSON; raises 400."""
    try:
        return request.json()
    except ValueError:
        raise invalid("Invalid input JSON on line 1, column 1: Unexpected character") from None


def inputs(
    data: Mapping[str, Any], allowed: Iterable[str], required: Iterable[str] = ("id",), most: int = BATCH
) -> list[Mapping[str, Any]]:
    """The `inputs` of a batch, each checked; raises 400 for more than `most`."""
    given = data.get("inputs")
    if not isinstance(given, list):
        raise invalid("Invalid input JSON on line 1, column 1: Some required fields were not set: [inputs]")
    if len(given) > most:
        raise invalid(
            f"The maximum number of inputs supported in a batch request is {most}. Received {len(given)}.",
            "BATCH_SIZE_EXCEEDED",
        )
    return [check_keys(item, allowed, required) for item in given]


def offset(after: object) -> int:
    """A cursor, which is a number in text; raises 400."""
    number = number_of(str(after))
    if number < 0:
        raise invalid("The given after cursor is not valid", "INVALID_AFTER")
    return number


def texts(value: object, what: str) -> list[str]:
    """A list of texts."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise invalid(f"Invalid input JSON on line 1, column 1: {what} must be a list of strings")
    return value


def identifier(value: object) -> str:
    """An id: text, or a whole number."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise invalid("Invalid input JSON on line 1, column 1: id must be a string")


def property_map(value: object) -> dict[str, str]:
    """Property values: a map from text to text, nothing else (null is not in the schema)."""
    if not isinstance(value, dict):
        raise invalid("Invalid input JSON on line 1, column 1: properties must be an object")
    for name, text in value.items():
        if not isinstance(text, str):
            raise invalid(
                f"Invalid input JSON on line 1, column 1: Cannot deserialize value of type `java.lang.String` "
                f'for "{name}"'
            )
    return value
