"""The border of scoring: orders of one portal in, scored customers out. No file, no database, no clock.

Orders are five parallel arrays, because ten million of them must pass in a blink. Whoever holds them in
another shape uses `Orders.from_frame`, which checks every row and says which one is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scoring.errors import BadFrame

if TYPE_CHECKING:
    import pandas as pd

Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

MIN_PLACES = 2
MAX_PLACES = 8
_MOST_DIGITS = 18  # before the point; 2**63 has 19
_COLUMNS = ("customer", "day", "amount")


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """Orders and refunds of one portal, one row each, in any order.

    `customer`: numbers of customers, 0 or more; dense ones are fastest. `day`: days since 1970-01-01 in the
    portal's time zone. `amount`: whole units of 10**-places in the portal's base currency.
    `counts`: True for an order (counts for R and F; amount 0 where the CRM holds none), False for a refund
    (only lowers M; amount 0 or less). None means every row is an order.
    `known`: False where the amount could not be converted: it counts for R and F but not for M. None means
    every amount is known.
    Rows sorted by customer and day are scored fastest; the result never depends on the order of rows.
    """

    customer: Int64
    day: Int32
    amount: Int64
    counts: Bool | None = None
    known: Bool | None = None
    places: int = MIN_PLACES

    def __post_init__(self) -> None:
        """Refuse wrong types and lengths; the values themselves are checked while they are counted."""
        _check_column("customer", self.customer, np.int64, len(self.customer))
        _check_column("day", self.day, np.int32, len(self.customer))
        _check_column("amount", self.amount, np.int64, len(self.customer))
        for name, flags in (("counts", self.counts), ("known", self.known)):
            if flags is not None:
                _check_column(name, flags, np.bool_, len(self.customer))
        if not MIN_PLACES <= self.places <= MAX_PLACES:
            raise BadFrame(f"places must be {MIN_PLACES} to {MAX_PLACES}, not {self.places}", column="amount")

    def __len__(self) -> int:
        """Rows, refunds included."""
        return len(self.customer)

    def rows(self, start: int, stop: int) -> Orders:
        """The rows from `start` up to `stop`, as views."""
        cut = slice(start, stop)
        return Orders(
            self.customer[cut],
            self.day[cut],
            self.amount[cut],
            None if self.counts is None else self.counts[cut],
            None if self.known is None else self.known[cut],
            self.places,
        )

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Orders:
        """Read a frame with columns customer, day, amount and, if some could not be converted, known.

        `customer` are whole numbers, `day` dates, ISO texts or days since 1970-01-01; `amount` Decimal, int,
        text or empty. An empty amount is an order of 0; an amount of 0 or less is a refund. Binary floats
        are refused, because they do not hold cents exactly. Raises `BadFrame` with column and first bad row.
        """
        missing = [name for name in _COLUMNS if name not in frame.columns]
        if missing:
            raise BadFrame(f"the column is missing; needed are {', '.join(_COLUMNS)}", column=missing[0])
        amounts = [_amount(value, row) for row, value in enumerate(frame["amount"])]
        places = max([MIN_PLACES, *(_places(amount, row) for row, amount in enumerate(amounts))])
        known = _flags(frame["known"]) if "known" in frame.columns else None
        return cls(
            customer=np.fromiter(_customers(frame["customer"]), np.int64, len(frame)),
            day=np.fromiter(_days(frame["day"]), np.int32, len(frame)),
            amount=np.fromiter(_units(amounts, places), np.int64, len(frame)),
            counts=np.fromiter((amount is None or amount > 0 for amount in amounts), np.bool_, len(frame)),
            known=known,
            places=places,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Customers:
    """Scored customers, ascending by number; every array has one entry per customer.

    `recency` in days, `frequency` in orders, `monetary` in hundredths of the base currency. `cell` points
    into `codes`, `segment` into `segments`. `method` is the version's label, such as sales5@1. `held` marks those whose
    segment is their previous one and not the code's, for the method's rules of stability; None where nobody could be.
    """

    method: str
    codes: tuple[str, ...]
    segments: tuple[str, ...]
    number: Int64
    recency: Int32
    frequency: Int32
    monetary: Int64
    r_score: Int8
    f_score: Int8
    m_score: Int8
    cell: NDArray[np.int16]
    segment: Int8
    churn_risk: Bool
    upsell: Bool
    held: Bool | None = None

    def __len__(self) -> int:
        """Scored customers."""
        return len(self.number)

    def code(self, position: int) -> str:
        """The code of one customer, such as 545."""
        return self.codes[int(self.cell[position])]

    def segment_of(self, position: int) -> str:
        """The stable value of one customer's segment, such as vip."""
        return self.segments[int(self.segment[position])]

    def money(self, position: int) -> Decimal:
        """M of one customer with two decimals."""
        return Decimal(int(self.monetary[position])).scaleb(-2)

    def counts(self) -> dict[str, int]:
        """How many customers each segment has, empty ones included, in the table's order."""
        found = np.bincount(self.segment, minlength=len(self.segments))
        return {value: int(count) for value, count in zip(self.segments, found, strict=True)}

    def frame(self) -> pd.DataFrame:
        """The customers as a frame for people: texts and Decimals, a second or so for a million rows."""
        import pandas as pd  # noqa: PLC0415 - takes half a second and 45 MB, which no run needs

        return pd.DataFrame(
            {
                "customer": self.number,
                "r": self.recency,
                "f": self.frequency,
                "m": [Decimal(value).scaleb(-2) for value in self.monetary.tolist()],
                "code": np.array(self.codes, dtype=object)[self.cell],
                "segment": np.array(self.segments, dtype=object)[self.segment],
                "method": self.method,
                "churn_risk": self.churn_risk,
                "upsell": self.upsell,
            }
        )


def _check_column(name: str, values: object, dtype: type[np.generic], rows: int) -> None:
    if not isinstance(values, np.ndarray) or values.dtype != dtype or values.ndim != 1:
        raise BadFrame(f"must be a flat array of {dtype.__name__}", column=name)
    if len(values) != rows:
        raise BadFrame(f"has {len(values)} rows, customer has {rows}", column=name)


def _customers(column: Iterable[object]) -> Iterable[int]:
    for row, value in enumerate(column):
        if not isinstance(value, int | np.integer) or isinstance(value, bool):
            raise BadFrame("a customer's number must be a whole number", column="customer", row=row)
        if not 0 <= value < 2**63:
            raise BadFrame("a customer's number must be 0 or more", column="customer", row=row)
        yield int(value)


def _days(column: Iterable[object]) -> Iterable[int]:
    for row, value in enumerate(column):
        yield _day(value, row)


def _day(value: object, row: int) -> int:
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        if not _since_epoch(date.min) <= value <= _since_epoch(date.max):
            raise BadFrame("the day lies outside the calendar", column="day", row=row)
        return int(value)
    if _is_missing(value):
        raise BadFrame("the day is missing", column="day", row=row)
    if isinstance(value, datetime) and value.tzinfo is not None:
        raise BadFrame("cut moments to days of the portal's time zone first", column="day", row=row)
    try:
        return _since_epoch(date.fromisoformat(value) if isinstance(value, str) else value)
    except (TypeError, ValueError) as error:
        raise BadFrame("a day is a date, YYYY-MM-DD or days since 1970-01-01", column="day", row=row) from error


def _is_missing(value: object) -> bool:
    """None, or what pandas has in its place; told by name, because pandas is not loaded here."""
    return value is None or type(value).__name__ in {"NaTType", "NAType"}


def _since_epoch(value: object) -> int:
    if not isinstance(value, date):
        raise TypeError("not a date")
    return value.toordinal() - date(1970, 1, 1).toordinal()


def _amount(value: object, row: int) -> Decimal | None:
    if _is_missing(value) or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, Decimal | int | np.integer | str):
        raise BadFrame("an amount is Decimal, int, text or empty", column="amount", row=row)
    try:
        amount = Decimal(value if isinstance(value, str | Decimal) else int(value))
    except InvalidOperation as error:
        raise BadFrame("the amount is not a number", column="amount", row=row) from error
    if not amount.is_finite():
        raise BadFrame("the amount is not finite", column="amount", row=row)
    return amount


def _places(amount: Decimal | None, row: int) -> int:
    """Decimals that the amount really uses, counted on its digits, because Decimal arithmetic may round."""
    if not amount:
        return 0
    if amount.adjusted() > _MOST_DIGITS:
        raise BadFrame("the amount is too large", column="amount", row=row)
    _, digits, exponent = amount.as_tuple()
    zeros = next(count for count, digit in enumerate(reversed(digits)) if digit)
    places = -(int(exponent) + zeros)
    if places > MAX_PLACES:
        raise BadFrame(f"the amount has more than {MAX_PLACES} decimals", column="amount", row=row)
    return places


def _units(amounts: Sequence[Decimal | None], places: int) -> Iterable[int]:
    for row, amount in enumerate(amounts):
        units = int(Fraction(amount or 0) * 10**places)
        if not -(2**63) < units < 2**63:
            raise BadFrame("the amount is too large", column="amount", row=row)
        yield units


def _flags(column: Iterable[object]) -> Bool:
    values = list(column)
    for row, value in enumerate(values):
        if not isinstance(value, bool | np.bool_):
            raise BadFrame("must be true or false", column="known", row=row)
    return np.array(values, dtype=np.bool_)
