"""The fields of each object under their three names.

`camelCase` in item methods, `UPPER` in their field lists, and the old methods' own `UPPER`, which differs for some.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import tzinfo
from operator import attrgetter
from typing import Any

from sandbox.bitrix24.rows import Row, UserField
from sandbox.bitrix24.values import Kind, item_writer, old_writer

CUSTOM_KINDS = {
    "integer": Kind.INTEGER,
    "double": Kind.DOUBLE,
    "boolean": Kind.FLAG,
    "datetime": Kind.DATETIME,
    "date": Kind.DATE,
    "enumeration": Kind.ENUM,
}
"""Custom types with a form of their own; the others (string, money, url, address…) are kept as text."""
_MIXED = re.compile(r"(?=.*\d)(?=.*[A-Z])")
PREFIX = "UF_CRM_"


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One field. `attr` names the row's attribute that a write sets; an empty one cannot be written."""

    camel: str
    upper: str
    old: str
    kind: Kind
    get: Callable[[Any], Any]
    attr: str = ""
    custom: UserField | None = None

    @property
    def writable(self) -> bool:
        """Whether a client may set it."""
        return bool(self.attr) or self.custom is not None

    def put(self, row: Row, value: Any) -> None:
        """Set it, without any index being told."""
        if self.custom is None:
            setattr(row, self.attr, value)
        else:
            row.uf = {**(row.uf or {}), self.custom.name: value}


def camel_of(upper: str) -> str:
    """`CATEGORY_ID` → `categoryId`."""
    head, *rest = upper.lower().split("_")
    return head + "".join(part.capitalize() for part in rest)


def custom_camel(name: str) -> str:
    """The item methods' name of `UF_CRM_…`.

    Where a part mixes letters and digits, or the rest is a number, only the prefix changes
    (`UF_CRM_3_DIGIT10` → `ufCrm_3_DIGIT10`).
    """
    rest = name.removeprefix(PREFIX)
    parts = rest.split("_")
    if rest.isdigit() or any(_MIXED.search(part) for part in parts):
        return f"ufCrm_{rest}"
    return "ufCrm" + "".join(part.capitalize() for part in parts)


def plain(upper: str, kind: Kind, attr: str, *, old: str = "", writable: bool = True) -> Field:
    """A field that is an attribute of its row."""
    return Field(camel_of(upper), upper, old or upper, kind, attrgetter(attr), attr if writable else "")


def derived(upper: str, kind: Kind, get: Callable[[Any], Any], *, old: str = "") -> Field:
    """A field that follows from others."""
    return Field(camel_of(upper), upper, old or upper, kind, get)


def custom(definition: UserField, taken: Iterable[str]) -> Field:
    """A custom field; when its camel name is taken it keeps its original one."""
    name = definition.name
    camel = custom_camel(name)

    def get(row: Row) -> Any:
        return row.uf.get(name) if row.uf else None

    kind = CUSTOM_KINDS.get(definition.type, Kind.STRING)
    return Field(name if camel in set(taken) else camel, name, name, kind, get, custom=definition)


class Fields:
    """The fields of one object, standard ones first. Custom ones come and go."""

    def __init__(self, standard: Iterable[Field], zone: tzinfo) -> None:
        self.zone = zone
        self.by_camel: dict[str, Field] = {}
        self.by_upper: dict[str, Field] = {}
        self.by_old: dict[str, Field] = {}
        self._item: dict[str, Callable[[Any], Any]] = {}
        for field in standard:
            self.add(field)

    def __iter__(self) -> Iterator[Field]:
        """In the order of definition."""
        return iter(self.by_camel.values())

    def add(self, field: Field) -> None:
        """Take in one field."""
        self.by_camel[field.camel] = self.by_upper[field.upper] = self.by_old[field.old] = field
        self._item[field.camel] = self._item_reader(field)

    def add_custom(self, definition: UserField) -> None:
        """Take in a custom field."""
        self.add(custom(definition, self.by_camel))

    def remove_custom(self, name: str) -> None:
        """Forget a custom field."""
        field = self.by_upper.pop(name)
        del self.by_camel[field.camel], self.by_old[field.old], self._item[field.camel]

    def _item_reader(self, field: Field) -> Callable[[Any], Any]:
        if field.kind is Kind.LINK:
            return _link_reader(field.get)
        write, get = item_writer(field.kind, self.zone), field.get
        return get if write is None else lambda row: write(get(row))

    def item_readers(self, names: Iterable[str] | None = None) -> list[tuple[str, Callable[[Any], Any]]]:
        """What makes a JSON item of a row; unknown names are left out, the id always comes."""
        if names is None:
            return list(self._item.items())
        wanted = {"id", *names}
        return [(name, reader) for name, reader in self._item.items() if name in wanted]

    def old_value(self, field: Field, row: Row) -> Any:
        """The field as old methods show it."""
        return old_writer(field.kind, self.zone)(field.get(row))


def _link_reader(get: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A missing link is 0 on records with an even id and null on the others: portals show both."""

    def read_link(row: Row) -> int | None:
        linked = get(row)
        return linked if linked is not None or row.id % 2 else 0

    return read_link
