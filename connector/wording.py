"""Numbers, money, days and plurals in Russian and English, for task texts, hints and pages alike.

Pure: knows no template and no record. Groups of digits and units are set off by a plain space, because these texts
travel through CRMs, some of which turn a no-break space into a plain one and would look changed ever after.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum


class Language(StrEnum):
    """A language we write in."""

    RU = "ru"
    EN = "en"


# A quarter in a row is easier to check than a month in a row.
# fmt: off
_MONTHS = {
    Language.RU: (
        "января", "февраля", "марта",
        "апреля", "мая", "июня",
        "июля", "августа", "сентября",
        "октября", "ноября", "декабря",
    ),
    Language.EN: (
        "January", "February", "March",
        "April", "May", "June",
        "July", "August", "September",
        "October", "November", "December",
    ),
}
# fmt: on
_SIGNS = {"RUB": "₽", "USD": "$", "EUR": "€", "GBP": "£", "KZT": "₸", "UAH": "₴"}


def plural(number: int, forms: Sequence[str]) -> str:
    """The form of a word that goes with a number.

    Three forms are Russian (1 день, 2 дня, 5 дней), two are English (1 day, 2 days). Raises `ValueError`
    for any other count of forms.
    """
    if len(forms) == 2:
        return forms[0] if abs(number) == 1 else forms[1]
    if len(forms) != 3:
        raise ValueError(f"a word has two forms (English) or three (Russian), not {len(forms)}")
    tens, ones = abs(number) % 100, abs(number) % 10
    if 11 <= tens <= 14 or ones == 0 or ones >= 5:
        return forms[2]
    return forms[0] if ones == 1 else forms[1]


def number(value: Decimal | float, language: str, *, decimals: int = 0) -> str:
    """A number as people write it: `1 234,50` in Russian, `1,234.50` in English, rounded half up."""
    exact = Decimal(str(value)).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
    text = f"{exact + 0:,f}"
    return text if Language(language) is Language.EN else text.replace(",", " ").replace(".", ",")


def counted(count: int, forms: Sequence[str], language: str) -> str:
    """A number with its word: `1 234 заказа`, `1,234 orders`."""
    return f"{number(count, language)} {plural(count, forms)}"


def money(amount: Decimal, currency: str, language: str) -> str:
    """An amount with two decimals and its currency: `1 234,50 ₽`, `$1,234.50`, `1,234.50 PLN`."""
    text = number(amount, language, decimals=2)
    sign = _SIGNS.get(currency)
    if Language(language) is Language.EN and sign:
        return f"-{sign}{text[1:]}" if text.startswith("-") else f"{sign}{text}"
    return f"{text} {sign or currency}".rstrip()


def day(value: date, language: str) -> str:
    """`17 мая 2025`, `17 May 2025`."""
    months = _MONTHS[Language(language)]
    return f"{value.day} {months[value.month - 1]} {value.year}"


def day_and_time(moment: datetime, zone: tzinfo, language: str) -> str:
    """`17 мая 2025, 09:05` on the clocks of the zone. The moment has to be aware."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone has no wall time")
    local = moment.astimezone(zone)
    return f"{day(local.date(), language)}, {local:%H:%M}"
