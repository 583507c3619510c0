"""Reading a parsed method file: each value is checked, and each refusal names the key and what is allowed there.

The same file comes from TOML (days are dates, numbers with a point are Decimal) and from stored JSON (both are
texts), so both forms are taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, NoReturn

from scoring.errors import BadMethod


@dataclass(frozen=True, slots=True)
class Entry:
    """A table of the file and where it stands, such as segments[3]; all readers raise `BadMethod`."""

    values: Mapping[str, Any]
    path: str = ""

    def __contains__(self, key: str) -> bool:
        """Whether the key is given; a null of JSON counts as not given."""
        return self.values.get(key) is not None

    def where(self, key: str) -> str:
        """The full path of a key."""
        return f"{self.path}.{key}" if self.path else key

    def refuse(self, key: str, text: str) -> NoReturn:
        """Raise with the key's full path."""
        raise BadMethod(text, key=self.where(key) if key else self.path)

    def only(self, allowed: Sequence[str]) -> None:
        """Refuse keys that mean nothing here, and guess what was meant."""
        for key in self.values:
            if key not in allowed:
                near = get_close_matches(str(key), allowed, n=1)
                guess = f"; did you mean {near[0]!r}?" if near else ""
                self.refuse(str(key), f"there is no such key; allowed are {', '.join(allowed)}{guess}")

    def need(self, key: str, allowed: str) -> Any:
        """The raw value; refuses its absence."""
        if key not in self:
            self.refuse(key, f"is missing; needed is {allowed}")
        return self.values[key]

    def whole(self, key: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        return _whole(self.need(key, f"a whole number from {low} to {high}"), self.where(key), low, high)

    def wholes(self, key: str, low: int, high: int) -> tuple[int, ...]:
        """A list of whole numbers."""
        found = self.listed(key, f"a list of whole numbers from {low} to {high}")
        return tuple(_whole(value, f"{self.where(key)}[{i}]", low, high) for i, value in enumerate(found))

    def text(self, key: str) -> str:
        """A text that is not empty."""
        return _text(self.need(key, "a text"), self.where(key))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; an absent key is an empty list."""
        if key not in self:
            return ()
        found = self.listed(key, "a list of texts")
        return tuple(_text(value, f"{self.where(key)}[{i}]") for i, value in enumerate(found))

    def flag(self, key: str) -> bool:
        """True or false; an absent key is false."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            self.refuse(key, f"must be true or false, not {value!r}")
        return value

    def one_of(self, key: str, allowed: Sequence[str]) -> str:
        """One of some words."""
        value = self.need(key, f"one of {', '.join(allowed)}")
        if value not in allowed:
            self.refuse(key, f"must be one of {', '.join(allowed)}, not {value!r}")
        return str(value)

    def number(self, key: str) -> Decimal:
        """An exact number: whole, with a point in TOML, or as a text."""
        value = self.need(key, "a number")
        try:
            found = Decimal(str(value))
        except InvalidOperation:
            self.refuse(key, f"must be a number, not {value!r}")
        if isinstance(value, bool) or not found.is_finite():
            self.refuse(key, f"must be a number, not {value!r}")
        return found

    def day(self, key: str) -> date:
        """A day such as 2026-03-31."""
        value = self.need(key, "a day such as 2026-03-31")
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        try:
            return date.fromisoformat(value)
        except (TypeError, ValueError):
            self.refuse(key, f"must be a day such as 2026-03-31, not {value!r}")

    def listed(self, key: str, allowed: str) -> Sequence[Any]:
        """A list of anything."""
        value = self.need(key, allowed)
        if not isinstance(value, list | tuple):
            self.refuse(key, f"must be {allowed}, not {value!r}")
        return value

    def entry(self, key: str) -> Entry:
        """A table below this one; an absent key is an empty table."""
        value = self.values.get(key)
        if value is None:
            return Entry({}, self.where(key))
        if not isinstance(value, Mapping):
            self.refuse(key, f"must be a table, not {value!r}")
        return Entry(value, self.where(key))

    def entries(self, key: str) -> tuple[Entry, ...]:
        """A list of tables; an absent key is an empty list."""
        if key not in self:
            return ()
        found = self.listed(key, "a list of tables")
        for place, value in enumerate(found):
            if not isinstance(value, Mapping):
                self.refuse(f"{key}[{place}]", f"must be a table, not {value!r}")
        return tuple(Entry(value, f"{self.where(key)}[{place}]") for place, value in enumerate(found))


def _whole(value: Any, where: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadMethod(f"must be a whole number from {low} to {high}, not {value!r}", key=where)
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadMethod(f"must be a text, not {value!r}", key=where)
    return value
