"""Which orders a method counts.

What the arrays tell (days, amounts) is sifted here; whoever reads the orders from a store applies the rest (sources,
pipelines, stages, products) there. An order that is filtered out does not exist for the method: not for R either.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import numpy as np

from scoring.errors import BadMethod
from scoring.frames import Bool, Int32, Orders
from scoring.reading import Entry

SOURCES = ("deals", "orders", "import")
_LISTS = ("sources", "pipelines", "stages", "products", "without_products")
_KEYS = (*_LISTS, "min_amount", "max_amount", "without_periods", "without_seasons")
_SEASON_DAY = re.compile(r"(\d\d)-(\d\d)")
_EPOCH = date(1970, 1, 1)
_LEAP_YEAR = 2000


@dataclass(frozen=True, slots=True)
class Period:
    """Days that do not count, both ends included, and why."""

    first: date
    last: date
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Season:
    """Days of every year that do not count, as (month, day), both ends included; it may pass over New Year."""

    first: tuple[int, int]
    last: tuple[int, int]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Filters:
    """Empty means everything counts. `pipelines`, `stages` and `products` are the CRM's ids (products: or SKUs).

    Amounts are in the portal's base currency, both ends included, and concern orders with a known amount:
    refunds always lower M, an order without a rate always counts for R and F. `products` keeps orders with at
    least one of them, `without_products` drops orders that have nothing else.
    """

    sources: tuple[str, ...] = ()
    pipelines: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    without_products: tuple[str, ...] = ()
    min_amount: Decimal | None = None
    max_amount: Decimal | None = None
    without_periods: tuple[Period, ...] = ()
    without_seasons: tuple[Season, ...] = ()

    @property
    def of_store(self) -> bool:
        """Whether something must be sifted where orders are read, because arrays do not tell it."""
        return any(getattr(self, name) for name in _LISTS)

    @property
    def of_arrays(self) -> bool:
        """Whether `keep` would drop anything."""
        limits = self.min_amount is not None or self.max_amount is not None
        return limits or bool(self.without_periods or self.without_seasons)

    def keep(self, orders: Orders) -> Bool:
        """Which rows count, by their days and amounts."""
        kept = self.keep_days(orders.day)
        checked = np.ones(len(orders), dtype=np.bool_) if orders.counts is None else orders.counts.copy()
        if orders.known is not None:
            checked &= orders.known
        if self.min_amount is not None:
            least = int(self.min_amount.scaleb(orders.places).to_integral_value(ROUND_CEILING))
            kept &= ~checked | (orders.amount >= least)
        if self.max_amount is not None:
            most = int(self.max_amount.scaleb(orders.places).to_integral_value(ROUND_FLOOR))
            kept &= ~checked | (orders.amount <= most)
        return kept

    def keep_days(self, day: Int32) -> Bool:
        """Which days (since 1970-01-01, in the portal's time zone) count."""
        kept = np.ones(len(day), dtype=np.bool_)
        for period in self.without_periods:
            kept &= (day < (period.first - _EPOCH).days) | (day > (period.last - _EPOCH).days)
        if self.without_seasons and len(day):
            in_year = _month_and_day(day)
            for season in self.without_seasons:
                low, high = (month * 100 + number for month, number in (season.first, season.last))
                inside = (in_year >= low, in_year <= high)
                kept &= ~(inside[0] & inside[1] if low <= high else inside[0] | inside[1])
        return kept

    def sift(self, orders: Orders) -> Orders:
        """The orders that count; the same object when nothing can be dropped."""
        if not self.of_arrays:
            return orders
        kept = self.keep(orders)
        return Orders(
            orders.customer[kept],
            orders.day[kept],
            orders.amount[kept],
            None if orders.counts is None else orders.counts[kept],
            None if orders.known is None else orders.known[kept],
            orders.places,
        )

    def spec(self) -> dict[str, Any]:
        """The written form; what is empty is left out, and the whole if nothing is filtered."""
        found: dict[str, Any] = {name: list(getattr(self, name)) for name in _LISTS if getattr(self, name)}
        for name in ("min_amount", "max_amount"):
            if (amount := getattr(self, name)) is not None:
                found[name] = str(amount)
        if self.without_periods:
            found["without_periods"] = [
                {"first": p.first.isoformat(), "last": p.last.isoformat()} | _reason(p.reason)
                for p in self.without_periods
            ]
        if self.without_seasons:
            found["without_seasons"] = [
                {"first": _written(s.first), "last": _written(s.last)} | _reason(s.reason) for s in self.without_seasons
            ]
        return {"filters": found} if found else {}


def parse_filters(entry: Entry) -> Filters:
    """The table [filters] of a method file."""
    entry.only(_KEYS)
    sources = entry.texts("sources")
    for place, source in enumerate(sources):
        if source not in SOURCES:
            entry.refuse(f"sources[{place}]", f"must be one of {', '.join(SOURCES)}, not {source!r}")
    least, most = (_amount(entry, key) for key in ("min_amount", "max_amount"))
    if least is not None and most is not None and least > most:
        entry.refuse("max_amount", f"must not be below min_amount, which is {least}")
    return Filters(
        sources=sources,
        pipelines=entry.texts("pipelines"),
        stages=entry.texts("stages"),
        products=entry.texts("products"),
        without_products=entry.texts("without_products"),
        min_amount=least,
        max_amount=most,
        without_periods=tuple(_period(part) for part in entry.entries("without_periods")),
        without_seasons=tuple(_season(part) for part in entry.entries("without_seasons")),
    )


def _amount(entry: Entry, key: str) -> Decimal | None:
    if key not in entry:
        return None
    amount = entry.number(key)
    if amount < 0:
        entry.refuse(key, f"must be 0 or more, not {amount}: refunds are not filtered")
    normal = amount.normalize()
    return normal.quantize(Decimal(1)) if normal == normal.to_integral_value() else normal


def _period(entry: Entry) -> Period:
    entry.only(("first", "last", "reason"))
    first, last = entry.day("first"), entry.day("last")
    if first > last:
        entry.refuse("last", f"must not be before first, which is {first}")
    return Period(first, last, entry.text("reason") if "reason" in entry else "")


def _season(entry: Entry) -> Season:
    entry.only(("first", "last", "reason"))
    reason = entry.text("reason") if "reason" in entry else ""
    return Season(_season_day(entry, "first"), _season_day(entry, "last"), reason)


def _season_day(entry: Entry, key: str) -> tuple[int, int]:
    match = _SEASON_DAY.fullmatch(entry.text(key))
    if match is None:
        entry.refuse(key, f"must be month and day such as 12-20, not {entry.values[key]!r}")
    month, day = int(match[1]), int(match[2])
    try:
        date(_LEAP_YEAR, month, day)
    except ValueError as error:
        raise BadMethod(f"there is no day {match[0]} in a year", key=entry.where(key)) from error
    return month, day


def _month_and_day(day: Int32) -> Int32:
    """Month x 100 + day of the month, through a table over the days there are: numpy has no calendar fields."""
    low = int(day.min())
    days = np.arange(low, int(day.max()) + 1).astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    month = months.astype(np.int64) % 12 + 1
    number = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
    table: Int32 = (month * 100 + number).astype(np.int32)
    found: Int32 = table[day - np.int32(low)]
    return found


def _reason(reason: str) -> dict[str, str]:
    return {"reason": reason} if reason else {}


def _written(day: tuple[int, int]) -> str:
    return f"{day[0]:02}-{day[1]:02}"
