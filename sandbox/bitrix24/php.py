"""PHP's ways that a client meets in this API: bracketed queries, one kind of array, loose truth, loose numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

_INTEGER = re.compile(r"\s*[+-]?\d+")


def parse_query(query: str) -> dict[str, Any]:
    """`a[b][]=1&c=2` as nested maps with text values; maps with keys 0..n become lists, as `json_encode` has it."""
    root: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        _put(root, _path(name), value)
    return {name: _collapse(value) for name, value in root.items()}


def _path(name: str) -> list[str]:
    head, bracket, rest = name.partition("[")
    if not bracket or not rest.endswith("]"):
        return [name]
    return [head, *rest[:-1].split("][")]


def _put(root: dict[str, Any], path: list[str], value: str) -> None:
    node = root
    for place, key in enumerate(path):
        name = key if key or place == 0 else _next_index(node)
        if place == len(path) - 1:
            node[name] = value
            return
        if not isinstance(node.get(name), dict):
            node[name] = {}
        node = node[name]


def _next_index(node: Mapping[str, Any]) -> str:
    taken = [int(key) for key in node if key.isdigit()]
    return str(max(taken) + 1 if taken else 0)


def _collapse(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return as_array({key: _collapse(item) for key, item in value.items()})


def as_array(value: Mapping[str, Any]) -> Any:
    """A PHP array as JSON shows it: a list when its keys are 0..n in order (also when it is empty), else a map."""
    if all(key == str(place) for place, key in enumerate(value)):
        return list(value.values())
    return dict(value)


def as_map(value: Any) -> dict[str, Any]:
    """The same array by its keys; a scalar or nothing is the empty one."""
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, list):
        return {str(place): item for place, item in enumerate(value)}
    return {}


def as_list(value: Any) -> list[Any]:
    """The same array by its values; a scalar is an array of one, nothing and empty text are none."""
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list):
        return value
    return [] if value is None or value == "" else [value]


def as_int(value: Any) -> int:
    """PHP's `(int)`: leading digits count, everything else is 0."""
    if isinstance(value, bool | int | float):
        return int(value)
    found = _INTEGER.match(value) if isinstance(value, str) else None
    return int(found.group()) if found else 0


def is_yes(value: Any) -> bool:
    """What old methods take for yes: Y, true, 1 in their many spellings."""
    return value is True or str(value).strip().upper() in {"Y", "1", "TRUE"}
