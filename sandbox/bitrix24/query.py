"""Filters, order and paging of the list methods: prefixes, nested logic, 50 rows a page, `start` as an offset or -1.

Answers come from the cheapest index, so that a page behind `>id` costs the same in a small and in a huge portal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic

from sandbox.bitrix24.errors import RestError
from sandbox.bitrix24.fields import Field
from sandbox.bitrix24.php import as_int, as_list, as_map
from sandbox.bitrix24.table import R, Table
from sandbox.bitrix24.values import BadValue, Kind, comparable

PAGE = 50
_PREFIX = re.compile(r"(!=%|!%=|>=|<=|!=|!@|!%|=%|%=|=|!|>|<|@|%)?(.*)", re.DOTALL)
_LIKE = {"=%", "%=", "!=%", "!%="}
Test = Callable[[Any], bool]
Names = Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class Found(Generic[R]):
    """One page. `total` and `next` as the envelope shows them; None is left out."""

    rows: Sequence[R]
    total: int | None = None
    next: int | None = None


@dataclass(frozen=True, slots=True)
class _Condition:
    field: Field
    operator: str
    values: tuple[Any, ...]
    test: Test


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that must all hold, and groups that are tested row by row."""

    conditions: tuple[_Condition, ...] = ()
    groups: tuple[Test, ...] = field(default=())

    def holds(self, row: Any) -> bool:
        """Whether the row is wanted."""
        return all(condition.test(row) for condition in self.conditions) and all(test(row) for test in self.groups)

    @property
    def only_ids(self) -> bool:
        """Whether nothing but a range of ids is asked for, so that counting needs no look at the rows."""
        return not self.groups and all(
            condition.field.camel == "id" and condition.operator in _RANGE for condition in self.conditions
        )


_RANGE = {">", ">=", "<", "<="}


def parse_filter(table: Table[R], given: Any, names: Names, *, strict: bool) -> Filter:
    """Understand a filter.

    With `strict` (item methods) an unknown field is an error and groups are understood; old methods ignore both.
    """
    conditions: list[_Condition] = []
    groups: list[Test] = []
    for key, value in as_map(given).items():
        if strict and key.isdigit():
            groups.append(_group(table, value, names))
        elif key.upper() != "LOGIC":
            found = _condition(table, key, value, names, strict=strict)
            if found is not None:
                conditions.append(found)
    whole = Filter(tuple(conditions), tuple(groups))
    if strict and str(as_map(given).get("logic", "AND")).upper() == "OR":
        return Filter(groups=(_any_of(whole),))
    return whole


def _any_of(whole: Filter) -> Test:
    tests = [*(condition.test for condition in whole.conditions), *whole.groups]
    return lambda row: any(test(row) for test in tests)


def _group(table: Table[R], value: Any, names: Names) -> Test:
    return parse_filter(table, value, names, strict=True).holds


def _condition(table: Table[R], key: str, value: Any, names: Names, *, strict: bool) -> _Condition | None:
    matched = _PREFIX.fullmatch(key)
    operator, name = (matched.group(1) or "=", matched.group(2)) if matched else ("=", key)
    found = names.get(name)
    if found is None:
        if strict:
            raise RestError("100", f"Invalid filter: field '{name}' is not allowed in filter")
        return None
    values = tuple(as_list(value)) if isinstance(value, list | dict) else (value,)
    if operator in _RANGE and values and values[0] in ("", None):
        return None  # an empty bound bounds nothing: what a lost $result reference turns into
    return _compile(table, found, operator, values)


def _compile(table: Table[R], field: Field, operator: str, values: tuple[Any, ...]) -> _Condition:
    try:
        if operator in _LIKE or operator in {"%", "!%"}:
            wanted: tuple[Any, ...] = tuple(str(value).casefold() for value in values)
        else:
            wanted = tuple(comparable(field.kind, value, table.fields.zone) for value in values)
    except BadValue as error:
        raise RestError("100", f"Invalid filter: value of '{field.camel}' is not valid") from error
    negative = operator.startswith("!")
    bare = operator.removeprefix("!").replace("=%", "%=") if operator in _LIKE else operator.removeprefix("!")
    test = _test(field, bare or "=", wanted)
    if negative:
        return _Condition(field, operator, wanted, lambda row: not test(row))
    return _Condition(field, operator, wanted, test)


def _test(field: Field, operator: str, wanted: tuple[Any, ...]) -> Test:
    get = field.get
    if operator in _RANGE:
        return _range_test(get, operator, wanted[0] if wanted else None)
    if operator == "%":
        return lambda row: any(value in str(get(row) or "").casefold() for value in wanted)
    if operator == "%=":
        patterns = [_like(value) for value in wanted]
        return lambda row: any(one.fullmatch(str(get(row) or "").casefold()) for one in patterns)
    return _equal_test(field, frozenset(wanted))


def _range_test(get: Callable[[Any], Any], operator: str, bound: Any) -> Test:
    def compare(value: Any) -> bool:
        if operator == ">":
            return bool(value > bound)
        if operator == ">=":
            return bool(value >= bound)
        return bool(value < bound if operator == "<" else value <= bound)

    return lambda row: (value := get(row)) is not None and compare(value)


def _like(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("%")), re.DOTALL)


def _equal_test(field: Field, wanted: frozenset[Any]) -> Test:
    get = field.get
    if field.kind is Kind.LINKS:
        return lambda row: not wanted.isdisjoint(get(row)) or (None in wanted and not get(row))
    if field.kind is Kind.STRING:
        return lambda row: _folded(get(row)) in wanted
    if field.kind is Kind.FLAG:
        return lambda row: bool(get(row)) in wanted
    return lambda row: get(row) in wanted


def _folded(value: str | None) -> str | None:
    return value.casefold() if value else None


def parse_order(given: Any, names: Names, *, strict: bool) -> list[tuple[Field, bool]]:
    """Fields with True for descending. An unknown one is an error 100 for item methods, nothing for old ones."""
    order: list[tuple[Field, bool]] = []
    for name, direction in as_map(given).items():
        found = names.get(name)
        if found is not None:
            order.append((found, str(direction).upper() == "DESC"))
        elif strict:
            raise RestError("100", f"Invalid order: field '{name}' is not allowed in order")
    return order


@dataclass(frozen=True, slots=True)
class _Span:
    """Places in the ordered ids of a table."""

    low: int
    high: int


def find(table: Table[R], wanted: Filter, order: Sequence[tuple[Field, bool]], start: int) -> Found[R]:
    """One page of the rows that `wanted` holds for, by id unless `order` says else.

    `start` -1 does not count: total 0 and no next. Otherwise it is the offset of the first row.
    """
    span = _span(table, wanted)
    by_id = not order or order[0][0].camel == "id"
    descending = by_id and bool(order) and order[0][1]
    if by_id and start < 0:
        rows = islice(filter(wanted.holds, _candidates(table, wanted, span, descending=descending)), PAGE)
        return Found(list(rows), 0)
    if by_id and wanted.only_ids:
        return _slice(table, span, start, descending=descending)
    matching = list(filter(wanted.holds, _candidates(table, wanted, span, descending=descending, whole=True)))
    if not by_id:
        _sort(matching, order)
    if start < 0:
        return Found(matching[:PAGE], 0)
    return page_of(matching, start)


def page_of(rows: Sequence[R], start: int) -> Found[R]:
    """A page of rows that are all known."""
    after = start + PAGE
    return Found(rows[start:after], len(rows), after if after < len(rows) else None)


def _slice(table: Table[R], span: _Span, start: int, *, descending: bool) -> Found[R]:
    total = max(0, span.high - span.low)
    if descending:
        ids = table.ids[max(span.low, span.high - start - PAGE) : max(span.low, span.high - start)][::-1]
    else:
        ids = table.ids[span.low + start : min(span.high, span.low + start + PAGE)]
    after = start + PAGE
    return Found([table.rows[row_id] for row_id in ids], total, after if after < total else None)


def _span(table: Table[R], wanted: Filter) -> _Span:
    low, high = 0, len(table.ids)
    for condition in wanted.conditions:
        if condition.field.camel != "id" or condition.operator not in _RANGE:
            continue
        bound = condition.values[0]
        if condition.operator == ">":
            low = max(low, table.place_after(bound))
        elif condition.operator == ">=":
            low = max(low, table.place_of(bound))
        elif condition.operator == "<":
            high = min(high, table.place_of(bound))
        else:
            high = min(high, table.place_after(bound))
    return _Span(low, high)


def _candidates(table: Table[R], wanted: Filter, span: _Span, *, descending: bool, whole: bool = False) -> Iterator[R]:
    """Rows among which are all wanted ones, in the order of their ids, from the cheapest index."""
    ids = _few_ids(table, wanted, span, whole=whole)
    if ids is None:
        places = range(span.high - 1, span.low - 1, -1) if descending else range(span.low, span.high)
        return (table.rows[table.ids[place]] for place in places)
    return (table.rows[row_id] for row_id in sorted(ids, reverse=descending) if row_id in table.rows)


def _few_ids(table: Table[R], wanted: Filter, span: _Span, *, whole: bool) -> Iterable[int] | None:
    for condition in wanted.conditions:
        if condition.operator in {"=", "@"}:
            if condition.field.camel == "id":
                return {value for value in condition.values if value is not None}
            if None not in condition.values and condition.field.camel in _LINKED:
                return _linked(table, condition)
    return _recent_ids(table, wanted, span, whole=whole)


_LINKED = {"contactId", "contactIds", "companyId", "ownerId"}


def _linked(table: Table[R], condition: _Condition) -> set[int]:
    name = "contactIds" if condition.field.camel == "contactId" else condition.field.camel
    return set().union(*(table.by_link.get((name, value), ()) for value in condition.values))


def _recent_ids(table: Table[R], wanted: Filter, span: _Span, *, whole: bool) -> list[int] | None:
    """Ids changed since the asked moment, when sorting them is cheaper than walking on from the lowest id."""
    bounds = [
        condition.values[0]
        for condition in wanted.conditions
        if condition.field.camel in _CHANGED and condition.operator in {">", ">="}
    ]
    size = max(0, span.high - span.low)
    begin = table.changed_from(max(bounds)) if bounds else 0
    recent = len(table.stamps) - begin
    walk = size if whole else min(size, PAGE * len(table.ids) // (recent + 1))
    if not bounds or recent > walk:
        return None
    return [row_id for _, row_id in table.stamps[begin:]]


_CHANGED = {"updatedTime", "lastUpdated", "changedDate", "dateUpdate"}


def rows_of(rows: Sequence[R], wanted: Filter, start: int) -> Found[R]:
    """A page of a ready list that has no table of its own; -1 does not count, as in `find`."""
    matching = [row for row in rows if wanted.holds(row)]
    return Found(matching[:PAGE], 0) if start < 0 else page_of(matching, start)


def _sort(rows: list[R], order: Sequence[tuple[Field, bool]]) -> None:
    for found, descending in reversed(order):
        get = found.get
        rows.sort(key=lambda row: ((value := get(row)) is not None, value), reverse=descending)


def start_of(value: Any) -> int:
    """The offset that was asked for; anything below 0 means "do not count"."""
    return max(-1, as_int(value))
