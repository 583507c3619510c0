"""An early web shop for CDs with 736 regular buyers, every one of whom bought first in the same three months.

From the CDNOW sample (`sandbox/data/README.md`, which tells how the subset was cut): buyers, days, numbers of CDs,
sums in dollars. Decided here: the twenty biggest buyers by CDs are firms, whose purchases of a single CD are their
buyer's own. Invented, because the source has none: names of people and firms, e-mail addresses, a staff of six in two
teams, times of day, offers still open, the time zone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_UP, Decimal
from zoneinfo import ZoneInfo

from sandbox.datasets import Calendar, Row, read_rows
from sandbox.invented import minute, offers, russian_name
from sandbox.shop import Company, Contact, Deal, Line, Manager, Product, Shop, Team

SET = "cdnow"
LAST_DAY = date(1998, 6, 30)
FIRMS = (
    "Кафе «Второй куплет»", "Клуб «Нижний этаж»", "Студия «Ползвука»", "Школа танцев «Раз-два-три»", "Бар «Медный кот»",
    "Театр «Картонный мост»", "Радиокружок «Волна-7»", "Гостиница «У семи ветров»", "Библиотека «Тихий час»",
    "Каток «Синий лёд»", "Музей «Эхо»", "Салон «Патефон и Ко»", "Лагерь «Сосновый бор-2»", "Кинозал «Белый экран»",
    "Ателье «Нота»", "Ресторан «Белый рояль-9»", "Фитнес-зал «Темп»", "Оркестр «Медь»", "Паб «Старый винил»",
    "Кофейня «Бемоль»",
)  # fmt: skip
TEAMS = (Team(1, "Розница", lead_id=1), Team(2, "Постоянные покупатели", lead_id=4))
MANAGERS = tuple(
    Manager(number, first, last, f"manager{number}@disk.example", team)
    for number, first, last, team in (
        (1, "Инга", "Северинова", 1),
        (2, "Марат", "Листвянский", 1),
        (3, "Злата", "Подгорная", 1),
        (4, "Савва", "Крутояров", 2),
        (5, "Римма", "Ольховская", 2),
        (6, "Платон", "Заречный", 2),
    )
)
CD = Product(1, "Компакт-диск", "CD", Decimal("14.96"))
_CENT = Decimal("0.01")
_DAY_START, _DAY_LENGTH = 9 * 60, 9 * 60


@dataclass(frozen=True, slots=True)
class _Buyers:
    """Who is responsible for each buyer, and which buyer orders for which firm."""

    manager_of: Mapping[int, int]
    firm_of: Mapping[int, int]


def cdnow_shop(today: date, *, timezone: str = "Europe/Moscow") -> Shop:
    """The shop on the morning of `today`: 4,868 purchases of a year and a half, the last of them yesterday's."""
    calendar = Calendar(LAST_DAY, today, ZoneInfo(timezone))
    rows = read_rows(SET, "purchases")
    firm_of = {buyer: number for number, buyer in enumerate(_biggest(rows), 1)}
    first_on = {_buyer(row): _day(row) for row in reversed(rows)}
    buyers = _Buyers({buyer: 1 + place % len(MANAGERS) for place, buyer in enumerate(first_on)}, firm_of)
    opened_at = {buyer: calendar.at(day, _DAY_START - 60) for buyer, day in first_on.items()}
    deals = tuple(_deals(rows, buyers, calendar))
    return Shop(
        timezone=timezone,
        currency="USD",
        teams=TEAMS,
        managers=MANAGERS,
        products=(CD,),
        companies=tuple(
            Company(number, FIRMS[number - 1], buyers.manager_of[buyer], opened_at[buyer])
            for buyer, number in firm_of.items()
        ),
        contacts=tuple(_contacts(buyers, opened_at)),
        deals=(*deals, *offers(deals, calendar.at(LAST_DAY, 18 * 60))),
    )


def _buyer(row: Row) -> int:
    return int(row["sample_id"])


def _day(row: Row) -> date:
    return datetime.strptime(row["date"], "%Y%m%d").date()  # noqa: DTZ007 - a day without an hour has no zone


def _biggest(rows: Sequence[Row]) -> list[int]:
    """As many buyers as there are names of firms, by CDs bought; the lower id wins a tie."""
    bought: Counter[int] = Counter()
    for row in rows:
        bought[_buyer(row)] += int(row["number_of_cds"])
    return sorted(bought, key=lambda buyer: (-bought[buyer], buyer))[: len(FIRMS)]


def _contacts(buyers: _Buyers, opened_at: Mapping[int, datetime]) -> Iterator[Contact]:
    for buyer, manager_id in sorted(buyers.manager_of.items()):
        first, last = russian_name(buyer)
        yield Contact(
            id=buyer,
            first_name=first,
            last_name=last,
            email=f"buyer{buyer}@post.example",
            manager_id=manager_id,
            created_at=opened_at[buyer],
            company_id=buyers.firm_of.get(buyer),
        )


def _deals(rows: Sequence[Row], buyers: _Buyers, calendar: Calendar) -> Iterator[Deal]:
    for number, row in enumerate(rows, 1):
        buyer, count, amount = _buyer(row), int(row["number_of_cds"]), Decimal(row["dollar_value"])
        at = calendar.at(_day(row), minute(number, _DAY_START, _DAY_LENGTH))
        yield Deal(
            id=number,
            name=f"Заказ {number}",
            status="won",
            amount=amount,
            currency="USD",
            company_id=buyers.firm_of.get(buyer) if count > 1 else None,
            contact_ids=(buyer,),
            main_contact_id=buyer,
            manager_id=buyers.manager_of[buyer],
            created_at=at - timedelta(minutes=30),
            closed_at=at,
            lines=_lines(count, amount),
        )


def _lines(count: int, amount: Decimal) -> tuple[Line, ...]:
    """The price of a CD rounded up; the discount brings the line back to the sum paid."""
    price = (amount / count).quantize(_CENT, ROUND_UP)
    return (Line(CD.id, Decimal(count), price, count * price - amount),)
