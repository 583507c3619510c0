"""Query strings as PHP reads them (`filter[id][]=1`), paging, orders, and the envelope of a list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from sandbox.amocrm.problems import Problem

_PART = re.compile(r"[^\[\]]+|(?<=\[)(?=\])")
_WHOLE = re.compile(r"-?[0-9]{1,18}")
Tree = dict[str, Any]

DEFAULT_PAGE = 50
LONGEST_PAGE = 250


def tree(query_string: str) -> Tree:
    """`a[b][]=1&a[b][]=2` becomes `{"a": {"b": {"0": "1", "1": "2"}}}`; a clash of shapes: the later wins."""
    out: Tree = {}
    for key, value in parse_qsl(query_string, keep_blank_values=True):
        parts = _PART.findall(key) or [key]
        node = out
        for part in parts[:-1]:
            name = part or str(len(node))
            below = node.get(name)
            if not isinstance(below, dict):
                below = node[name] = {}
            node = below
        node[parts[-1] or str(len(node))] = value
    return out


def words(node: object) -> list[str]:
    """A list written as an array or with commas: both forms are met in the documents."""
    if isinstance(node, Mapping):
        return [word for value in node.values() for word in words(value)]
    return [word for word in str(node).split(",") if word]


def numbers(node: object) -> list[int]:
    """`words` that are whole numbers; anything else matches nothing, so it is kept as -1."""
    return [-1 if (number := whole(word)) is None else number for word in words(node)]


@dataclass(frozen=True, slots=True)
class Span:
    """A closed range of stamps or sums, open where None."""

    low: int | None
    high: int | None

    def holds(self, stamp: float | None) -> bool:
        """Whether it lies inside; nothing lies outside."""
        if stamp is None:
            return False
        return (self.low is None or stamp >= self.low) and (self.high is None or stamp <= self.high)


def span(node: object) -> Span:
    """`[from]`/`[to]`, or `FROM,TO`, or one number that means from."""
    if isinstance(node, Mapping):
        return Span(whole(node.get("from")), whole(node.get("to")))
    low, _, high = str(node).partition(",")
    return Span(whole(low), whole(high))


def whole(word: object) -> int | None:
    """A whole number written in digits, else None."""
    return int(word) if isinstance(word, str) and _WHOLE.fullmatch(word) else None


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list is asked for."""

    page: int
    limit: int

    @property
    def start(self) -> int:
        """Rows before the page."""
        return (self.page - 1) * self.limit


def window(query: Tree, longest: int = LONGEST_PAGE) -> Window:
    """`page` and `limit`; raises `Problem` 400 for what is no positive number or above the longest page."""
    default = min(DEFAULT_PAGE, longest)
    page, limit = _positive(query, "page", 1), _positive(query, "limit", default)
    if limit > longest:
        raise Problem(400, f"Invalid limit: at most {longest}")
    return Window(page, limit)


def _positive(query: Tree, name: str, default: int) -> int:
    if name not in query:
        return default
    number = whole(query[name])
    if number is None or number < 1:
        raise Problem(400, f"Invalid {name}: a positive number is expected")
    return number


def ordering(query: Tree) -> Iterator[tuple[str, bool]]:
    """Orders asked for, as (name, falling)."""
    asked = query.get("order")
    if isinstance(asked, Mapping):
        for name, direction in asked.items():
            yield name, str(direction).lower() == "desc"


def included(query: Tree) -> frozenset[str]:
    """The words of `with`."""
    return frozenset(word.strip() for word in words(query.get("with", "")))


def flat(node: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The tree back as pairs for a query string."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from flat(value, f"{prefix}[{key}]" if prefix else str(key))
    else:
        yield prefix, str(node)


def address(url: str, query: Tree, at: Window) -> str:
    """The same list at another page."""
    pairs = dict(flat(query)) | {"page": str(at.page), "limit": str(at.limit)}
    return f"{url}?{urlencode(pairs)}"
