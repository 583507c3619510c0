"""A search request's filters, turned into functions of a record.

Numbers and moments are compared as such, enumerations and booleans letter by letter, all other text without
regard to case; IN and NOT_IN on text find lower-case values only. NEQ and NOT_IN need a value to differ from.
Source: developers.hubspot.com, "Search the CRM", read November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from sandbox.hubspot import body, values
from sandbox.hubspot.account import Account
from sandbox.hubspot.errors import invalid
from sandbox.hubspot.kinds import BY_NAME, Kind
from sandbox.hubspot.records import Record, number_of

Test = Callable[[Record], bool]
Comparable = Decimal | int | str
GROUPS, PER_GROUP, IN_ALL = 5, 6, 18
_FILTER_KEYS = ("propertyName", "operator", "value", "highValue", "values")
_MOMENTS = ("datetime", "date")
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "EQ": lambda have, want: have == want,
    "NEQ": lambda have, want: have != want,
    "LT": lambda have, want: have < want,
    "LTE": lambda have, want: have <= want,
    "GT": lambda have, want: have > want,
    "GTE": lambda have, want: have >= want,
}
_FROM_BELOW = ("GT", "GTE", "EQ", "BETWEEN")


def check_groups(groups: object) -> list[list[Mapping[str, Any]]]:
    """The filters of each group, within HubSpot's numbers; raises 400."""
    if not isinstance(groups, list):
        raise invalid("Invalid input JSON on line 1, column 1: filterGroups must be a list")
    found: list[list[Mapping[str, Any]]] = []
    for group in groups:
        filters = body.check_keys(group, ("filters",), ("filters",))["filters"]
        found.append([body.check_keys(one, _FILTER_KEYS, ("propertyName", "operator")) for one in filters])
    sizes = [len(filters) for filters in found]
    if len(found) > GROUPS or max(sizes, default=0) > PER_GROUP or sum(sizes) > IN_ALL:
        raise invalid(
            f"At most {GROUPS} filterGroups with {PER_GROUP} filters each, {IN_ALL} in all", "TOO_MANY_FILTERS"
        )
    return found


def matcher(account: Account, kind: Kind, groups: Sequence[Sequence[Mapping[str, Any]]]) -> Test:
    """Groups are alternatives, the filters of one group must all hold. No groups: everything."""
    tests = [[_test(account, kind, one) for one in filters] for filters in groups]
    if not tests:
        return lambda _record: True
    return lambda record: any(all(test(record) for test in group) for group in tests)


def changed_from(kind: Kind, groups: Sequence[Sequence[Mapping[str, Any]]]) -> int | None:
    """Epoch ms before which no match can have changed; None when every record must be looked at."""
    lowest: list[int] = []
    for filters in groups:
        found = [
            ms
            for one in filters
            if one["propertyName"] == kind.modified and one["operator"] in _FROM_BELOW
            if (ms := values.read_moment(str(one.get("value")))) is not None
        ]
        if not found:
            return None
        lowest.append(max(found))
    return min(lowest, default=None)


def comparable(account: Account, kind: Kind, name: str) -> Callable[[Record], Comparable | None]:
    """A property's value as it is compared and sorted."""
    if name == kind.modified:
        return lambda record: record.updated_ms
    if name == kind.created:
        return lambda record: record.created_ms
    if name == "hs_object_id":
        return lambda record: Decimal(record.id)
    reading = account.reading(kind, name)
    if reading is None:
        raise invalid(f"Unknown property: {name}", "UNKNOWN_PROPERTY", propertyName=name)
    cast = _caster(account.definitions[kind].live[name].type)

    def read(record: Record) -> Comparable | None:
        text = reading(account, record)
        return None if text is None else cast(text)

    return read


def _caster(type_: str) -> Callable[[str], Comparable | None]:
    if type_ == "number":
        return values.as_number
    if type_ in _MOMENTS:
        return values.read_moment
    return str if type_ in {"enumeration", "bool"} else str.lower


def _test(account: Account, kind: Kind, one: Mapping[str, Any]) -> Test:
    name, operator = one["propertyName"], one["operator"]
    if name.startswith("associations."):
        return _linked(account, kind, one)
    read = comparable(account, kind, name)
    type_ = account.definitions[kind].live[name].type
    if operator in {"HAS_PROPERTY", "NOT_HAS_PROPERTY"}:
        wanted = operator == "HAS_PROPERTY"
        return lambda record: (read(record) is not None) == wanted
    if operator in {"IN", "NOT_IN"}:
        return _among(read, type_, one)
    if operator in {"CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"}:
        return _containing(read, one)
    if operator == "BETWEEN":
        low, high = _wanted(type_, one, "value"), _wanted(type_, one, "highValue")
        return lambda record: (have := read(record)) is not None and bool(low <= have <= high)
    if operator not in _COMPARE:
        raise invalid(f"Unknown operator {operator}", "INVALID_OPERATOR")
    compare, want = _COMPARE[operator], _wanted(type_, one, "value")
    return lambda record: (have := read(record)) is not None and compare(have, want)


def _wanted(type_: str, one: Mapping[str, Any], key: str) -> Any:
    text = one.get(key)
    if not isinstance(text, str) or not text:
        raise invalid(f"{one['operator']} needs {key}", "MISSING_VALUE", propertyName=one["propertyName"])
    value = _caster(type_)(text)
    if value is None:
        raise invalid(f"{text} does not fit {one['propertyName']}", "INVALID_VALUE")
    return value


def _among(read: Callable[[Record], Comparable | None], type_: str, one: Mapping[str, Any]) -> Test:
    given = body.texts(one.get("values"), "values")
    if not given:
        raise invalid(f"{one['operator']} needs values", "MISSING_VALUE", propertyName=one["propertyName"])
    # Text on the record is lowered, the given values are not: an upper-case one finds nothing.
    cast = str if type_ in {"string", "phone_number"} else _caster(type_)
    wanted = {cast(text) for text in given}
    inside = one["operator"] == "IN"
    return lambda record: (have := read(record)) is not None and (have in wanted) == inside


def _containing(read: Callable[[Record], Comparable | None], one: Mapping[str, Any]) -> Test:
    text = _wanted("string", one, "value")
    pattern = re.compile(r"(?<!\w)" + r"\w*".join(map(re.escape, text.split("*"))) + r"(?!\w)")
    inside = one["operator"] == "CONTAINS_TOKEN"

    def test(record: Record) -> bool:
        have = read(record)
        return have is not None and bool(pattern.search(str(have))) == inside

    return test


def _linked(account: Account, kind: Kind, one: Mapping[str, Any]) -> Test:
    target = BY_NAME.get(one["propertyName"].removeprefix("associations."))
    given = one.get("values") or [one.get("value")]
    if target is None or one["operator"] not in {"EQ", "IN"}:
        raise invalid(f"Unknown property: {one['propertyName']}", "UNKNOWN_PROPERTY")
    wanted = {number_of(text) for text in given if isinstance(text, str)}
    return lambda record: not wanted.isdisjoint(account.links.of(kind, record.id, target))
