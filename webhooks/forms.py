"""PHP's bracket forms: `a[b][0][c]=v` → nested mappings. Bounded in pairs, depth and length of keys.

amoCRM and Bitrix24 post `application/x-www-form-urlencoded` bodies made by PHP's `http_build_query`
(https://www.php.net/manual/en/function.http-build-query.php, read 2026-11-24).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote_to_bytes

from webhooks.errors import Unreadable

Form = Mapping[str, "str | Form"]
"""Branches and texts. Lists are mappings from index to item, so a huge index costs nothing."""

_Tree = dict[str, "str | _Tree"]

MAX_PAIRS = 100_000
"""amoCRM puts a mass change of hundreds of cards with all their fields into one body."""
MAX_DEPTH = 12
"""The deepest documented key, a value of a custom field, has 7 parts."""
MAX_KEY = 512

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART = re.compile(r"\[([^\[\]]*)\]")
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.ASCII | re.IGNORECASE)
_CHARSETS = frozenset({"utf-8", "cp1251", "iso8859-1", "ascii"})
_EMPTY: Form = {}


def parse(body: bytes, content_type: str = "") -> Form:
    """The tree of a form. Raises `Unreadable` when a bound is passed or the text is not in its encoding.

    UTF-8, unless the content type names one of the encodings of old portals. A key that clashes with an
    earlier one of another shape is ignored, as is `a[]` where its next number is taken; the same key again
    replaces the value, as in PHP. Brackets that do not close are a part of the name.
    """
    if body.count(b"&") >= MAX_PAIRS:
        raise Unreadable("the form has too many pairs")
    charset, tree = _charset(content_type), _Tree()
    for pair in body.split(b"&"):
        if pair:
            key, _, value = pair.partition(b"=")
            _plant(tree, _parts(_decoded(key, charset)), _decoded(value, charset))
    return tree


def branch(form: Form, *path: str) -> Form:
    """The branch at a path; empty when there is none."""
    here = form
    for part in path:
        below = here.get(part)
        if below is None or isinstance(below, str):
            return _EMPTY
        here = below
    return here


def text(form: Form, *path: str) -> str | None:
    """The text at a path; None when it is absent or a branch."""
    found = branch(form, *path[:-1]).get(path[-1])
    return found if isinstance(found, str) else None


def rows(form: Form, *path: str) -> Iterator[Form]:
    """The branches below a path, in the order they were sent."""
    for item in branch(form, *path).values():
        if not isinstance(item, str):
            yield item


def _charset(content_type: str) -> str:
    named = _CHARSET.search(content_type)
    if named is None:
        return "utf-8"
    try:
        known = codecs.lookup(named.group(1)).name
    except LookupError:
        return "utf-8"
    return known if known in _CHARSETS else "utf-8"


def _decoded(raw: bytes, charset: str) -> str:
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode(charset)
    except UnicodeDecodeError:
        raise Unreadable(f"the form is not in {charset}") from None


def _parts(key: str) -> list[str]:
    if len(key) > MAX_KEY:
        raise Unreadable("a key of the form is too long")
    found = _KEY.fullmatch(key)
    if found is None:
        return [key]
    parts = [found.group(1), *_PART.findall(found.group(2))]
    if len(parts) > MAX_DEPTH:
        raise Unreadable("a key of the form is too deep")
    return parts


def _plant(tree: _Tree, parts: list[str], value: str) -> None:
    here = tree
    for part in parts[:-1]:
        below = here.setdefault(_step(here, part), {})
        if isinstance(below, str):
            return
        here = below
    last = _step(here, parts[-1])
    if parts[-1] and isinstance(here.get(last, ""), str):
        here[last] = value
    else:
        here.setdefault(last, value)


def _step(here: _Tree, part: str) -> str:
    return part or str(len(here))
