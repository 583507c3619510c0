"""Data quality of a customer's history, 0 to 100: how far R, F and M can be trusted, and what lowers it.

Every cause takes off its weight, times the share of orders it touches, rounded up: a history with nothing to
object to has 100, any other less. Below 40 the SLA is softened and the history is to be checked (CONTRACT 8).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntFlag
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scoring.errors import BadFrame
from scoring.frames import Bool, Int8, Int32

BEST = 100
SOFTEN_BELOW = 40
SHORT_HISTORY_DAYS = 90
LONG_OPEN_DAYS = 180
_AT_ONCE = 1 << 16


class Cause(IntFlag):
    """Why a history is doubted. The numbers are stored: never change or reuse one."""

    AMOUNT_ABSENT = 1
    AMOUNT_ZERO = 2
    NO_RATE = 4
    ORDER_WITHOUT_MANAGER = 8
    BULK_DAY = 16
    SHORT_HISTORY = 32
    MANAGER_MISSING = 64
    MANAGER_INACTIVE = 128
    DATE_MISSING = 256
    DUPLICATE = 512
    LONG_OPEN = 1024

    @property
    def weight(self) -> int:
        """Points taken off when every order is touched."""
        return _WEIGHTS[self]

    def text(self, language: Literal["ru", "en"]) -> str:
        """What is wrong and what would repair it, in a sentence."""
        return _TEXTS[self][language]


# Without any known amount M says nothing: 65 alone brings a history below 40.
_WEIGHTS = {
    Cause.AMOUNT_ABSENT: 65,
    Cause.AMOUNT_ZERO: 30,
    Cause.NO_RATE: 65,
    Cause.ORDER_WITHOUT_MANAGER: 10,
    Cause.BULK_DAY: 30,
    Cause.SHORT_HISTORY: 10,
    Cause.MANAGER_MISSING: 15,
    Cause.MANAGER_INACTIVE: 10,
    Cause.DATE_MISSING: 40,
    Cause.DUPLICATE: 25,
    Cause.LONG_OPEN: 10,
}
_TEXTS: dict[Cause, dict[Literal["ru", "en"], str]] = {
    Cause.AMOUNT_ABSENT: {
        "ru": "В выигранных сделках не указана сумма: заполните её.",
        "en": "Won deals have no amount: fill it in.",
    },
    Cause.AMOUNT_ZERO: {
        "ru": "В сделках указана сумма 0, они не считаются заказами: проверьте суммы.",
        "en": "Deals have the amount 0 and are not counted as orders: check the amounts.",
    },
    Cause.NO_RATE: {
        "ru": "Для валюты заказов нет курса, суммы не вошли в M: задайте курс в CRM.",
        "en": "The orders' currency has no rate, so their amounts are not in M: set the rate in the CRM.",
    },
    Cause.ORDER_WITHOUT_MANAGER: {
        "ru": "У заказов нет ответственного: укажите, кто их вёл.",
        "en": "Orders have no manager: say who handled them.",
    },
    Cause.BULK_DAY: {
        "ru": "Много заказов закрыто в один день, похоже на загрузку: проверьте даты.",
        "en": "Many orders were closed on one day, which looks like an import: check the dates.",
    },
    Cause.SHORT_HISTORY: {
        "ru": "Пока один заказ и меньше 90 дней истории: оценка предварительная.",
        "en": "One order and less than 90 days of history so far: the scores are provisional.",
    },
    Cause.MANAGER_MISSING: {
        "ru": "У клиента нет ответственного: назначьте менеджера.",
        "en": "The customer has no manager: assign one.",
    },
    Cause.MANAGER_INACTIVE: {
        "ru": "Ответственный за клиента больше не работает: переназначьте клиента.",
        "en": "The customer's manager is no longer active: reassign the customer.",
    },
    Cause.DATE_MISSING: {
        "ru": "У выигранных сделок нет даты закрытия, поэтому они не считаются: укажите её.",
        "en": "Won deals have no closing date and so are not counted: fill it in.",
    },
    Cause.DUPLICATE: {
        "ru": "Есть заказы с тем же днём и той же суммой: если покупка одна, удалите лишний.",
        "en": "Orders share their day and amount: if it was one purchase, delete the other.",
    },
    Cause.LONG_OPEN: {
        "ru": f"Сделки открыты дольше {LONG_OPEN_DAYS} дней: закройте их как выигранные или проигранные.",
        "en": f"Deals have been open for more than {LONG_OPEN_DAYS} days: close them as won or lost.",
    },
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Facts:
    """What is known of each customer's history; arrays in the order of the customers, None where not looked at.

    `orders_total`: orders up to the as-of day, 1 or more. `days_since_first`: of the first of them.
    `amounts_absent`, `without_rate`, `without_manager`, `on_bulk_day`: how many of them are touched.
    `duplicates`: those that repeat the day and amount of another. `amounts_zero`: deals with an explicit amount of 0,
    which are no orders; nor are `dates_missing`, won deals without a date, and `long_open`, deals that were opened more
    than `LONG_OPEN_DAYS` before. The flags speak of the card.
    """

    orders_total: Int32
    days_since_first: Int32
    amounts_absent: Int32 | None = None
    amounts_zero: Int32 | None = None
    without_rate: Int32 | None = None
    without_manager: Int32 | None = None
    on_bulk_day: Int32 | None = None
    duplicates: Int32 | None = None
    dates_missing: Int32 | None = None
    long_open: Int32 | None = None
    manager_missing: Bool | None = None
    manager_inactive: Bool | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """The score 0 to 100 of each customer, and a `Cause` mask of what lowered it."""

    score: Int8
    causes: NDArray[np.uint16]


def assess(facts: Facts) -> Quality:
    """Score every customer. Raises `BadFrame` where counts contradict each other."""
    count = len(facts.orders_total)
    score, causes = np.empty(count, dtype=np.int8), np.empty(count, dtype=np.uint16)
    for start in range(0, count, _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        score[some], causes[some] = _assess(_part(facts, some))
    return Quality(score, causes)


def _part(facts: Facts, some: slice) -> Facts:
    arrays: dict[str, Any] = {one.name: getattr(facts, one.name) for one in fields(facts)}
    parts: dict[str, Any] = {name: None if array is None else array[some] for name, array in arrays.items()}
    return replace(facts, **parts)


def _assess(facts: Facts) -> tuple[Int8, NDArray[np.uint16]]:
    total = facts.orders_total.astype(np.int64)
    if len(total) and int(total.min()) < 1:
        raise BadFrame("only customers with an order have a quality", column="orders_total")
    lost = np.zeros(len(total), dtype=np.int64)
    causes = np.zeros(len(total), dtype=np.uint16)
    for cause, (touched, of) in _shares(facts, total).items():
        if touched is None:
            continue
        if len(touched) != len(total) or bool(((touched < 0) | (touched > of)).any()):
            raise BadFrame("the counts do not fit the orders", column=cause.name or "cause")
        lost -= -cause.weight * touched.astype(np.int64) // of
        causes |= np.where(touched > 0, np.uint16(cause.value), np.uint16(0))
    return np.maximum(0, BEST - lost).astype(np.int8), causes


def causes_in(mask: int) -> tuple[Cause, ...]:
    """The causes of one customer's mask, heaviest first."""
    return tuple(sorted(Cause(mask), key=lambda cause: -cause.weight))


def _shares(facts: Facts, total: NDArray[np.int64]) -> dict[Cause, tuple[Int32 | Bool | None, NDArray[np.int64]]]:
    """Per cause how many are touched, and of how many."""
    one = np.ones_like(total)
    zeros, undated, open_ = (
        0 if counts is None else counts for counts in (facts.amounts_zero, facts.dates_missing, facts.long_open)
    )
    short = (total == 1) & (facts.days_since_first < SHORT_HISTORY_DAYS)
    return {
        Cause.AMOUNT_ABSENT: (facts.amounts_absent, total),
        Cause.AMOUNT_ZERO: (facts.amounts_zero, total + zeros),
        Cause.NO_RATE: (facts.without_rate, total),
        Cause.ORDER_WITHOUT_MANAGER: (facts.without_manager, total),
        Cause.BULK_DAY: (facts.on_bulk_day, total),
        Cause.SHORT_HISTORY: (short, one),
        Cause.MANAGER_MISSING: (facts.manager_missing, one),
        Cause.MANAGER_INACTIVE: (facts.manager_inactive, one),
        Cause.DATE_MISSING: (facts.dates_missing, total + undated),
        Cause.DUPLICATE: (facts.duplicates, total),
        Cause.LONG_OPEN: (facts.long_open, total + open_),
    }
