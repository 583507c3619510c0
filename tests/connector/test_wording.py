from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from connector.wording import counted, day, day_and_time, money, number, plural

DAYS = ("день", "дня", "дней")
ORDERS = ("order", "orders")


@pytest.mark.parametrize(
    ("count", "word"),
    [
        (0, "дней"), (1, "день"), (2, "дня"), (4, "дня"), (5, "дней"), (10, "дней"), (11, "дней"), (12, "дней"),
        (14, "дней"), (20, "дней"), (21, "день"), (22, "дня"), (25, "дней"), (100, "дней"), (101, "день"),
        (111, "дней"), (112, "дней"), (122, "дня"), (1001, "день"), (1011, "дней"), (-1, "день"), (-11, "дней"),
    ],
)  # fmt: skip
def test_russian_has_three_plurals(count, word):
    assert plural(count, DAYS) == word


@pytest.mark.parametrize(("count", "word"), [(0, "orders"), (1, "order"), (2, "orders"), (21, "orders"), (-1, "order")])
def test_english_has_two(count, word):
    assert plural(count, ORDERS) == word


def test_a_word_with_another_count_of_forms_is_refused():
    with pytest.raises(ValueError, match="not 1"):
        plural(1, ("день",))


@pytest.mark.parametrize(
    ("value", "decimals", "russian", "english"),
    [
        (Decimal("1234.5"), 2, "1 234,50", "1,234.50"),
        (Decimal("1234567.005"), 2, "1 234 567,01", "1,234,567.01"),
        (Decimal("-1234.5"), 2, "-1 234,50", "-1,234.50"),
        (Decimal("-0.001"), 2, "0,00", "0.00"),
        (999, 0, "999", "999"),
        (1000, 0, "1 000", "1,000"),
        (2.5, 0, "3", "3"),
        (0.125, 1, "0,1", "0.1"),
        (Decimal("1E+3"), 0, "1 000", "1,000"),
    ],
)
def test_numbers_are_grouped_and_rounded_half_up(value, decimals, russian, english):
    assert number(value, "ru", decimals=decimals) == russian
    assert number(value, "en", decimals=decimals) == english


@pytest.mark.parametrize(
    ("amount", "currency", "russian", "english"),
    [
        ("1234.5", "RUB", "1 234,50 ₽", "₽1,234.50"),
        ("1234.5", "USD", "1 234,50 $", "$1,234.50"),
        ("-7", "EUR", "-7,00 €", "-€7.00"),
        ("1234.5", "PLN", "1 234,50 PLN", "1,234.50 PLN"),
        ("0", "", "0,00", "0.00"),
    ],
)
def test_money_has_two_decimals_and_its_currency(amount, currency, russian, english):
    assert money(Decimal(amount), currency, "ru") == russian
    assert money(Decimal(amount), currency, "en") == english


def test_a_count_takes_its_word_along():
    assert counted(1234, ("заказ", "заказа", "заказов"), "ru") == "1 234 заказа"
    assert counted(1234, ORDERS, "en") == "1,234 orders"


def test_days_are_written_out():
    assert [day(date(2025, month, 3), "ru").split()[1] for month in (1, 3, 5, 8, 12)] == [
        "января", "марта", "мая", "августа", "декабря",
    ]  # fmt: skip
    assert day(date(2025, 5, 17), "ru") == "17 мая 2025"
    assert day(date(2025, 5, 17), "en") == "17 May 2025"


def test_moments_are_shown_on_the_portals_clocks():
    moment = datetime(2025, 5, 16, 22, 5, tzinfo=UTC)
    assert day_and_time(moment, ZoneInfo("Europe/Moscow"), "ru") == "17 мая 2025, 01:05"
    assert day_and_time(moment, UTC, "en") == "16 May 2025, 22:05"
    with pytest.raises(ValueError, match="time zone"):
        day_and_time(moment.replace(tzinfo=None), UTC, "en")


def test_another_language_is_refused():
    with pytest.raises(ValueError, match="de"):
        number(1, "de")
