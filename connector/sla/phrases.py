"""Short phrases for queues, notices and reports, in Russian and English: a code with its figures becomes words.

Pure. What decides keeps codes and figures; words are made where somebody reads them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from connector.wording import Language, number, plural

_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Said:
    """A reason as `part.code` with what fills it in: numbers, texts, and spans of time."""

    code: str
    facts: Mapping[str, object] = field(default_factory=dict)

    def words(self, language: str) -> str:
        """The phrase. Raises `ValueError` for a code or a language without one."""
        return phrase(self.code, language, **self.facts)


def phrase(code: str, language: str, **facts: object) -> str:
    """The phrase of a code such as `queue.at_risk`. Raises `ValueError` for a code or a language without one."""
    part, _, name = code.partition(".")
    text = _book(Language(language)).get(part, {}).get(name)
    if not isinstance(text, str):
        raise ValueError(f"there is no phrase {code} in {language}")  # noqa: TRY004  # wrong code
    return text.format_map({word: _shown(value, language) for word, value in facts.items()})


def span(length: timedelta, language: str) -> str:
    """Working time as people say it: `35 мин`, `3 ч 05 мин`. Rounded down to minutes; never negative."""
    minutes = max(int(length / timedelta(minutes=1)), 0)
    words = _book(Language(language))["span"]
    if minutes < 60:
        return str(words["minutes"].format(n=minutes))
    return str(words["hours"].format(h=number(minutes // 60, language), m=f"{minutes % 60:02}"))


def age(length: timedelta, language: str) -> str:
    """Time on the wall: minutes and hours up to a day, then days."""
    minutes = int(length / timedelta(minutes=1))
    return span(length, language) if minutes < _DAY_MINUTES else days(minutes // _DAY_MINUTES, language)


def days(count: int, language: str) -> str:
    """`1 день`, `21 days`."""
    return counted("days", count, language)


def counted(word: str, count: int, language: str) -> str:
    """A number with a word of the section `span`, in the form that goes with it."""
    return plural(count, _book(Language(language))["span"][word]).format(n=number(count, language))


def _shown(value: object, language: str) -> str:
    if isinstance(value, timedelta):
        return span(value, language)
    if isinstance(value, int | float):
        return number(value, language, decimals=0 if float(value).is_integer() else 1)
    return str(value)


@cache
def _book(language: Language) -> Mapping[str, Any]:
    return tomllib.loads((files("connector.sla") / f"phrases_{language}.toml").read_text(encoding="utf-8"))
