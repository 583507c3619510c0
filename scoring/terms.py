"""What a method says beside the arithmetic: whom it is for, how often it runs, when it is fitted again, its notes."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, cast, get_args

from scoring.reading import Entry

CustomerLevel = Literal["company_or_contact", "company", "contact"]
MarketName = Literal["b2b", "b2c"]
Cycle = Literal["daily", "weekly", "monthly"]
SlaClass = Literal["calendar", "business"]
Refit = Literal["quarterly", "monthly", "half_yearly", "yearly", "never"]
Language = Literal["ru", "en"]

DEFAULT_WINDOW = 365
KEYS = ("customer", "currency", "market", "cycle", "sla", "refit", "notes")
_MONTHS: Mapping[Refit, int] = {"monthly": 1, "quarterly": 3, "half_yearly": 6, "yearly": 12}
_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Market:
    """Defaults for a kind of trade. `sla`: whether terms given in hours are calendar or business hours."""

    window: int
    cycle: Cycle
    sla: SlaClass


MARKETS: Mapping[MarketName, Market] = {
    "b2b": Market(window=730, cycle="weekly", sla="business"),
    "b2c": Market(window=DEFAULT_WINDOW, cycle="daily", sla="calendar"),
}


@dataclass(frozen=True, slots=True)
class Terms:
    """The method's terms. None means that the portal's own setting holds.

    `currency` is what the method's fixed limits of M are meant in; a portal of another base currency is warned.
    `notes` are the release notes for managers, by language.
    """

    customer: CustomerLevel | None = None
    currency: str | None = None
    market: MarketName | None = None
    cycle: Cycle | None = None
    sla: SlaClass | None = None
    refit: Refit = "quarterly"
    notes: Mapping[Language, str] = field(default_factory=dict)

    @property
    def runs(self) -> Cycle | None:
        """How often the method wants to be run: its own word, else its market's."""
        return self.cycle or (MARKETS[self.market].cycle if self.market else None)

    @property
    def counts_hours(self) -> SlaClass | None:
        """How terms in hours are counted: its own word, else its market's."""
        return self.sla or (MARKETS[self.market].sla if self.market else None)

    def refit_on(self, published_on: date) -> date | None:
        """The day from which a new fit should be proposed; None if never. A fit never changes a published version."""
        months = _MONTHS.get(self.refit)
        if months is None:
            return None
        year, month = divmod(published_on.year * 12 + published_on.month - 1 + months, 12)
        _, last = monthrange(year, month + 1)
        return date(year, month + 1, min(published_on.day, last))

    def spec(self) -> dict[str, Any]:
        """The written form; what is at its default is left out."""
        words = {"customer": self.customer, "currency": self.currency, "market": self.market}
        words |= {"cycle": self.cycle, "sla": self.sla, "refit": None if self.refit == "quarterly" else self.refit}
        spec: dict[str, Any] = {key: word for key, word in words.items() if word is not None}
        return spec | ({"notes": dict(self.notes)} if self.notes else {})


def parse_terms(file: Entry) -> Terms:
    """The terms of a method file."""
    currency = file.text("currency") if "currency" in file else None
    if currency is not None and not _CURRENCY.fullmatch(currency):
        file.refuse("currency", f"must be three capital letters such as RUB, not {currency!r}")
    notes = file.entry("notes")
    notes.only(get_args(Language))
    return Terms(
        customer=cast("CustomerLevel | None", _word(file, "customer", get_args(CustomerLevel))),
        currency=currency,
        market=cast("MarketName | None", _word(file, "market", get_args(MarketName))),
        cycle=cast("Cycle | None", _word(file, "cycle", get_args(Cycle))),
        sla=cast("SlaClass | None", _word(file, "sla", get_args(SlaClass))),
        refit=cast("Refit", _word(file, "refit", get_args(Refit)) or "quarterly"),
        notes={cast("Language", language): notes.text(language) for language in notes.values},
    )


def default_window(market: str | None) -> int:
    """Days of F and M where the file does not say."""
    return MARKETS[cast("MarketName", market)].window if market else DEFAULT_WINDOW


def _word(file: Entry, key: str, allowed: tuple[str, ...]) -> str | None:
    return file.one_of(key, allowed) if key in file else None
