"""The words of the pages in one language, and numbers, money and times as that language writes them.

Words are data (`translations/*.toml`); the rules of numbers and plurals are `connector.wording`. Pages keep a number
together with its unit, so spaces inside them do not break here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal
from functools import cache
from importlib.resources import files

from connector import wording
from connector.wording import Language

Entry = str | Sequence[str]
NO_BREAK = "\u00a0"


@dataclass(frozen=True, slots=True)
class Texts:
    """One language. A key that is not in the translations raises `KeyError`: the tests find it first."""

    language: Language
    entries: Mapping[str, Entry]

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key such as `portal.method`, with its values filled in."""
        entry = self.entries[key]
        if not isinstance(entry, str):
            raise TypeError(f"{key} goes with a number: use counted()")
        return entry.format_map(values) if values else entry

    def known(self, prefix: str, value: str) -> str:
        """The text for a value out of a list that may grow; a value without a text stands for itself."""
        entry = self.entries.get(f"{prefix}{value}")
        return entry if isinstance(entry, str) else value

    def counted(self, noun: str, count: int) -> str:
        """A number with its word, such as `3 customers`."""
        forms = self.entries[f"count.{noun}"]
        if isinstance(forms, str):
            raise TypeError(f"count.{noun} has no forms")
        form = wording.plural(count, forms)
        return form.format(n=self.number(count)).replace(" ", NO_BREAK)

    def number(self, value: Decimal | float, decimals: int = 0) -> str:
        """`1 234,5` or `1,234.5`."""
        return wording.number(value, self.language, decimals=decimals).replace(" ", NO_BREAK)

    def money(self, amount: Decimal, currency: str) -> str:
        """With two decimals and the currency."""
        return wording.money(amount, currency, self.language).replace(" ", NO_BREAK)

    def percent(self, part: Decimal | int, whole: Decimal | int) -> str:
        """A share in whole per cent; more than nothing is never shown as 0."""
        share = Decimal(part) * 100 / Decimal(whole) if whole else Decimal(0)
        less = "<" if 0 < share < 1 else ""
        shown = self.number(max(share, Decimal(1)) if less else share)
        return f"{less}{shown}%" if self.language is Language.EN else f"{less}{shown}{NO_BREAK}%"

    def day(self, value: date) -> str:
        """`17 May 2025`."""
        return wording.day(value, self.language).replace(" ", NO_BREAK)

    def moment(self, value: datetime, zone: tzinfo, *, named: bool = False) -> str:
        """`17 May 2025, 09:05` on the clocks of a zone; `named` adds which, for pages where several zones meet."""
        suffix = f" {value.astimezone(zone):%Z}" if named else ""
        return f"{wording.day_and_time(value, zone, self.language)}{suffix}".replace(" ", NO_BREAK)

    def listed(self, words: Sequence[str]) -> str:
        """`VIP, Loyal and New`."""
        *rest, last = words
        return f"{', '.join(rest)} {self('segments.and')} {last}" if rest else last


@cache
def texts_in(language: Language) -> Texts:
    """The words of a language."""
    source = files("connector.web").joinpath("translations", f"{language.value}.toml").read_text(encoding="utf-8")
    sections = tomllib.loads(source)
    entries = {f"{section}.{key}": entry for section, words in sections.items() for key, entry in words.items()}
    return Texts(language, entries)


def choose_language(asked: Iterable[str | None], accepted: Iterable[str]) -> Language:
    """The first of the asked-for languages that we write, else the first accepted one (`ru-RU` is `ru`), else English.

    `accepted` is in the order of preference.
    """
    for wish in (*asked, *(tag.partition("-")[0].lower() for tag in accepted)):
        if wish in set(Language):
            return Language(wish)
    return Language.EN
