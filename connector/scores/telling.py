"""An explanation in plain sentences, Russian or English. Pure: facts in, words out; the words are in `words_*.toml`.

The sentences are for the manager and the analyst. They change every day, so they are shown and never written to a card.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from connector import wording
from connector.scores.explanation import Change, Explanation, Future
from connector.wording import Language
from scoring.quality import BEST, causes_in


@dataclass(frozen=True, slots=True)
class Told:
    """Sentences by what they are about: the numbers, what time does, what an order does, what else would change it."""

    numbers: tuple[str, ...]
    by_itself: tuple[str, ...]
    order_today: tuple[str, ...]
    changes: tuple[str, ...]
    doubts: tuple[str, ...]

    def sentences(self) -> list[str]:
        """All of them, in this order."""
        return [*self.numbers, *self.by_itself, *self.order_today, *self.changes, *self.doubts]


def tell(found: Explanation, language: str) -> Told:
    """Everything that is known, in sentences."""
    words = _Words(found, Language(language))
    return Told(
        tuple(words.numbers()),
        tuple(words.by_itself()),
        tuple(words.order_today()),
        tuple(words.changes()),
        tuple(words.doubts()),
    )


class _Words:
    """Sentences about one customer in one language."""

    def __init__(self, found: Explanation, language: Language) -> None:
        self._found = found
        self._language = language
        self._book = _book(language)

    def numbers(self) -> list[str]:
        found = self._found
        r, f, m = found.axes
        last = found.as_of - timedelta(days=int(r.value))
        since = found.as_of - timedelta(days=found.window - 1)
        told = [
            self._say(
                "code", code=found.code, r=r.score, f=f.score, m=m.score, bins=found.bins,
                segment=self._label(found.segment),
            ),
            self._say("last", day=self._day(last), days=self._days(int(r.value))) if r.value
            else self._say("last_today", day=self._day(last)),
            self._say(
                "window" if f.value else "window_empty",
                window=self._days(found.window),
                since=self._day(since),
                orders=self._counted("orders", int(f.value)),
                money=self._money(Decimal(m.value)),
            ),
        ]  # fmt: skip
        return told + self._contributions(Decimal(m.value))

    def _contributions(self, total: Decimal) -> list[str]:
        """The largest order, refunds, and what is not in M."""
        told = []
        counted = [(one.counted or Decimal(0), one.on) for one in self._found.in_window if one.kind == "order"]
        if len(counted) > 1:
            most, on = max(counted)
            share = wording.number(most * 100 / total, self._language) if total > 0 else ""
            percent = f"{share}%" if self._language is Language.EN else f"{share} %"
            whole = total > 0 and most <= total
            told.append(
                self._say(
                    "largest_share" if whole else "largest", day=self._day(on), money=self._money(most), share=percent
                )
            )
        refunds = sum((one.counted or Decimal(0) for one in self._found.in_window if one.kind == "refund"), Decimal(0))
        if refunds:
            told.append(self._say("refunds", money=self._money(-refunds)))
        unknown = sum(one.kind == "no_rate" for one in self._found.in_window)
        if unknown:
            told.append(self._say("unknown_amounts", orders=self._counted("orders", unknown)))
        return told

    def by_itself(self) -> list[str]:
        found = self._found
        stop = found.by_itself
        told = [self._say("by_itself_never") if stop is None else self._say_stop(stop)]
        if found.overdue and found.usual_gap is not None:
            told.append(self._say("overdue", gap=self._gap(found.usual_gap)))
        elif found.overdue_in and found.usual_gap is not None:
            told.append(self._say("overdue_in", gap=self._gap(found.usual_gap), days=self._days(found.overdue_in)))
        if found.may_hold and stop is not None:
            told.append(self._say("steady"))
        return told

    def _say_stop(self, stop: Future) -> str:
        """Why then: R passed its border on that day, or else something left the window."""
        before = [at for at in self._found.future if at.in_days < stop.in_days][-1]
        silent = _r_score(stop.code, self._found.bins) != _r_score(before.code, self._found.bins)
        return self._say(
            "by_itself_silence" if silent else "by_itself_leaving",
            segment=self._label(stop.segment),
            days=self._days(stop.in_days),
            day=self._day(stop.on),
            silence=self._days(stop.r),
            left=self._day(stop.on - timedelta(days=self._found.window)),
        )

    def order_today(self) -> list[str]:
        first, *more = self._found.order_today
        same = first.segment == self._found.segment
        label = self._label(first.segment)
        if not more:
            return [self._say("order_same" if same else "order_moves", segment=label)]
        key = "order_same_below" if same else "order_moves_below"
        told = [self._say(key, segment=label, money=self._money(more[0].amount))]
        return told + [
            self._say("order_from", segment=self._label(one.segment), money=self._money(one.amount)) for one in more
        ]

    def changes(self) -> list[str]:
        """Single changes that the sentences before have not told: silence is told by the day it ends."""
        return [self._say_change(change) for change in self._found.changes if change.axis + change.towards != "rworse"]

    def _say_change(self, change: Change) -> str:
        fill: dict[str, str] = {"segment": self._label(change.segment)}
        if change.axis == "m":
            fill["money"] = self._money(Decimal(change.amount))
        elif change.axis == "f":
            noun = "more_orders" if change.towards == "better" else "orders"
            fill["orders"] = self._counted(noun, int(change.amount))
        else:
            fill["days"] = self._days(int(change.amount))
        return self._say(f"step_{change.axis}_{change.towards}", **fill)

    def doubts(self) -> list[str]:
        found = self._found
        told = []
        if found.quality == BEST:
            told.append(self._say("quality_best"))
        elif found.quality is not None:
            causes = [cause.text(self._language.value) for cause in causes_in(found.causes)]
            told.append(" ".join([self._say("quality", quality=found.quality), *causes]))
        stored = found.stored_segment
        if stored is not None and (stored, found.stored_code) != (found.segment, found.code):
            told.append(self._say("held", segment=self._label(stored), code=found.stored_code))
        return told

    def _say(self, key: str, **values: object) -> str:
        text: str = self._book["say"][key]
        return text.format_map(values)

    def _counted(self, noun: str, count: int) -> str:
        forms: Sequence[str] = self._book["count"][noun]
        return wording.plural(count, forms).format(n=wording.number(count, self._language))

    def _days(self, count: int) -> str:
        return self._counted("days", count)

    def _gap(self, days: float) -> str:
        """Half days are possible: in Russian they take the form of two."""
        if days == int(days):
            return self._days(int(days))
        return wording.plural(2, self._book["count"]["days"]).format(n=wording.number(days, self._language, decimals=1))

    def _day(self, on: date) -> str:
        return wording.day(on, self._language)

    def _money(self, amount: Decimal) -> str:
        return wording.money(amount, self._found.currency, self._language)

    def _label(self, segment: str) -> str:
        known = self._found.labels.get(segment)
        return known[self._language.value] if known else segment


def _r_score(code: str, bins: int) -> str:
    return code.split("-", 1)[0] if bins > 9 else code[:1]


@cache
def _book(language: Language) -> Mapping[str, Any]:
    text = files("connector.scores").joinpath(f"words_{language.value}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
