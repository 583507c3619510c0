"""Whether there are data enough: what segments, lifetime value and churn models need, and what is shown instead.

Small portals are scored all the same and marked; nothing here stops a run. The numbers are those that vendors of such
models ask for: 500 buyers and half a year for segments, 1,000 and a year for lifetime value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from scoring.errors import BadFrame
from scoring.features import Summary

Language = Literal["ru", "en"]
RECENT_DAYS = 30
OFTEN = 3
LIFETIME_HORIZON = 365


@dataclass(frozen=True, slots=True)
class Base:
    """What there is. Shares are of all orders; `recent` are customers with an order in the last 30 days.

    `often` customers have 3 orders or more, `repeat` 2 or more. `as_of` and first day give `days`.
    """

    customers: int
    days: int
    recent: int
    repeat: int
    often: int
    orders: int
    without_amount: int

    @classmethod
    def of(cls, summary: Summary, without_amount: int) -> Base:
        """Measure a summary; `without_amount` are orders with no amount or no rate. Raises `BadFrame`."""
        history = summary.history
        if history is None:
            raise BadFrame("how long customers are known is in the history of the summary", column="history")
        if not len(summary):
            return cls(0, 0, 0, 0, 0, 0, 0)
        return cls(
            customers=len(summary),
            days=int(summary.as_of - history.first_day.min()) + 1,
            recent=int((summary.recency < RECENT_DAYS).sum()),
            repeat=int((history.orders_total >= 2).sum()),
            often=int((history.orders_total >= OFTEN).sum()),
            orders=int(history.orders_total.sum()),
            without_amount=without_amount,
        )


@dataclass(frozen=True, slots=True)
class Gate:
    """One need. `name` is a key of the texts; `at_most` turns the comparison round."""

    name: str
    have: int
    need: int
    at_most: bool = False

    @property
    def passed(self) -> bool:
        """Whether it is met."""
        return self.have <= self.need if self.at_most else self.have >= self.need

    def text(self, language: Language) -> str:
        """What there is and what is needed, in a sentence."""
        return _GATES[self.name][language].format(have=self.have, need=self.need)


@dataclass(frozen=True, slots=True)
class Verdict:
    """About one use of the data: segments, lifetime or churn."""

    about: Literal["segments", "lifetime", "churn"]
    gates: tuple[Gate, ...]

    @property
    def enough(self) -> bool:
        """Whether every need is met."""
        return all(gate.passed for gate in self.gates)

    @property
    def missing(self) -> tuple[Gate, ...]:
        """The needs that are not met."""
        return tuple(gate for gate in self.gates if not gate.passed)

    def instead(self, language: Language) -> str:
        """What is shown while data are too thin."""
        return _INSTEAD[self.about][language]

    def told(self, language: Language) -> list[str]:
        """What is shown instead, and each unmet need; nothing where there is enough."""
        return [] if self.enough else [self.instead(language), *(gate.text(language) for gate in self.missing)]


def verdicts(base: Base, *, horizon: int = LIFETIME_HORIZON, churn_window: int = 90) -> tuple[Verdict, ...]:
    """For segments, for lifetime value over `horizon` days, for a churn model over `churn_window` days."""
    missing = Gate("amounts", _percent(base.without_amount, base.orders), 20, at_most=True)
    return (
        Verdict(
            "segments",
            (
                Gate("customers", base.customers, 500),
                Gate("days", base.days, 180),
                Gate("recent", base.recent, 1),
                Gate("often", base.often, 1),
            ),
        ),
        Verdict(
            "lifetime",
            (
                Gate("customers", base.customers, 1000),
                Gate("days", base.days, max(365, horizon * 3 // 2)),
                missing,
            ),
        ),
        Verdict(
            "churn",
            (
                Gate("customers", base.customers, 500),
                Gate("days", base.days, 2 * churn_window),
                Gate("repeat", _percent(base.repeat, base.customers), 50),
            ),
        ),
    )


def thin(found: Iterable[Verdict], language: Language) -> list[str]:
    """What is to be said of segments, if anything: one sentence for what is shown, then the unmet needs."""
    return [text for verdict in found if verdict.about == "segments" for text in verdict.told(language)]


def _percent(part: int, whole: int) -> int:
    """Whole per cent, the part rounded up: a share that is just beyond its limit is never told as within it."""
    return -(-100 * part // whole) if whole else 0


_GATES: dict[str, dict[Language, str]] = {
    "customers": {
        "en": "{have} customers with orders; {need} are needed",
        "ru": "клиентов с заказами: {have}, а нужно {need}",
    },
    "days": {
        "en": "{have} days of history; {need} are needed",
        "ru": "дней истории: {have}, а нужно {need}",
    },
    "recent": {
        "en": "nobody ordered in the last 30 days: the history may have ended, or the sync stopped",
        "ru": "за последние 30 дней никто не заказывал: история кончилась или остановилась синхронизация",
    },
    "often": {
        "en": "nobody has 3 orders or more, so habits cannot be told from chance",
        "ru": "ни у кого нет трёх заказов, поэтому привычку не отличить от случая",
    },
    "repeat": {
        "en": "{have}% of customers ordered twice or more; {need}% are wanted",
        "ru": "дважды и чаще заказали {have} % клиентов, а желательно {need} %",
    },
    "amounts": {
        "en": "{have}% of orders have no amount; at most {need}% may",
        "ru": "без суммы {have} % заказов, а допустимо не больше {need} %",
    },
}
_INSTEAD: dict[str, dict[Language, str]] = {
    "segments": {
        "en": "Segments are computed and shown, but the data are thin: take them as provisional.",
        "ru": "Сегменты посчитаны и показаны, но данных мало: считайте их предварительными.",
    },
    "lifetime": {
        "en": "No forecast of lifetime value is shown: M, the sum in the window, stands in its place.",
        "ru": "Прогноз ценности клиента не показывается: вместо него — M, сумма за окно.",
    },
    "churn": {
        "en": "No probability of churn is shown: the rule by the customer's own rhythm stands in its place.",
        "ru": "Вероятность ухода не показывается: вместо неё — правило по собственному ритму клиента.",
    },
}
