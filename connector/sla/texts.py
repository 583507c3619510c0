"""What a task says: what happened, why it matters, the first step, what to offer.

Pure. The words are in `texts_ru.toml` and `texts_en.toml`; this module fills in numbers and days. No text
names a segment, and none invents a deadline.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from connector.sla.people import Absence
from connector.wording import Language, day, money, number, plural

_PARTS = ("happened", "why", "first_step", "offer")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a text may tell about a customer as of a day. `softened` asks for a check of the history.

    `before` and `now` are a signal's figures: orders, an amount, or a usual interval and the silence in days.
    """

    on: date
    recency: int
    frequency: int
    monetary: Decimal
    currency: str
    window_days: int
    quality: int
    softened: bool = False
    absence: Absence | None = None
    before: float | None = None
    now: float | None = None


@dataclass(frozen=True, slots=True)
class TaskText:
    """A title of one line and a body of several."""

    title: str
    body: str


def write_text(rule: str, work_class: str, facts: Facts, language: str) -> TaskText:
    """The text of a rule's task. Raises `ValueError` for a rule or a language without texts."""
    book = _book(Language(language))
    rules: Mapping[str, Mapping[str, str]] = book["rules"]
    text = rules.get(f"{rule}.{work_class}") or rules.get(rule)
    if text is None:
        raise ValueError(f"the rule {rule} has no text in {language}")
    words = book["words"]
    fill = _fill(facts, words, language)
    lines = [f"{words[part]}: {text[part].format_map(fill)}" for part in _PARTS]
    if facts.softened:
        lines.insert(0, words["low_quality"].format(quality=facts.quality))
    lines.append(words["manner"])
    if facts.absence is not None:
        lines.append(book["absence"][facts.absence])
    return TaskText(title=text["title"].format_map(fill), body="\n".join(lines))


def _fill(facts: Facts, words: Mapping[str, Any], language: str) -> dict[str, str]:
    """The placeholders. A customer without orders in the window has a history that says so."""
    window = _counted(facts.window_days, words["window"], language)
    orders = _counted(facts.frequency, words["orders"], language)
    history = words["history"] if facts.frequency else words["no_history"]
    return {
        "ago": _ago(facts.recency, words, language),
        "last_on": day(facts.on - timedelta(days=facts.recency), language),
        "history": history.format(window=window, orders=orders, sum=money(facts.monetary, facts.currency, language)),
        **_figures(facts, words, language),
    }


def _figures(facts: Facts, words: Mapping[str, Any], language: str) -> dict[str, str]:
    """A signal's figures as orders, money and days; each text takes what it speaks of."""
    found = {}
    for name, value in (("before", facts.before), ("now", facts.now)):
        if value is not None:
            found[f"{name}_orders"] = _counted(round(value), words["orders"], language)
            found[f"{name}_sum"] = money(Decimal(str(round(value, 2))), facts.currency, language)
            found[f"{name}_days"] = _counted(round(value), words["days"], language)
    return found


def _ago(days: int, words: Mapping[str, Any], language: str) -> str:
    if days < 2:
        return str(words["yesterday" if days else "today"])
    return _counted(days, words["ago"], language)


def _counted(count: int, forms: list[str], language: str) -> str:
    return plural(count, forms).format(n=number(count, language))


@cache
def _book(language: Language) -> Mapping[str, Any]:
    return tomllib.loads((files("connector.sla") / f"texts_{language}.toml").read_text(encoding="utf-8"))
