"""Invented shops of any size for tests and benches: the same seed gives the same shop.

Every oddity that scoring must survive is in: missing, zero and negative amounts, equal values, foreign
currencies with and without a rate, deals of nobody, of a person, of a firm and of several people, deals closed at
the portal's midnight, at both ends of a year's window and in the future, managers who left.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from zoneinfo import ZoneInfo

from sandbox.shop import Company, Contact, Deal, DealStatus, Line, Manager, Product, Shop, Team

RATES: dict[str, Decimal | None] = {"EUR": Decimal("1.0850"), "BRL": None}
_LAST_SECOND = timedelta(days=1) - timedelta(milliseconds=1)
_USUAL = tuple(Decimal(50 * n) for n in range(1, 41))
_FIRST = ("Anna", "Boris", "Chen", "Dana", "Emil", "Fatima", "Goran", "Hanna", "Ivan", "Jana", "Kofi", "Lena")
_LAST = ("Adler", "Berg", "Castro", "Dvorak", "Eriksen", "Fischer", "Garcia", "Horvat", "Ito", "Jansen", "Klein")


def random_shop(
    seed: int,
    customers: int,
    deals: int,
    today: date,
    *,
    timezone: str = "Europe/Moscow",
    company_share: float = 0.4,
    days: int = 900,
    lines: bool = False,
) -> Shop:
    """`customers` buyers (of which `company_share` are firms) and `deals` deals of the last `days` days.

    Ids start at 1 for each kind. With `lines` every deal that has a positive amount gets one to three lines whose
    sum need not equal the amount.
    """
    dice = Random(seed)  # noqa: S311 - repeatable, not secret
    firms = round(customers * company_share)
    opened_at = datetime.combine(today, time(12), UTC) - timedelta(days=days + 30)
    managers = _managers()
    maker = _Deals(dice, today, ZoneInfo(timezone), firms, customers - firms, days, len(managers), lines)
    return Shop(
        timezone=timezone,
        currency="USD",
        teams=(Team(1, "North", 1), Team(2, "South", 2), Team(3, "East")),
        managers=managers,
        products=tuple(Product(n, f"Product {n}", f"SKU-{n}", Decimal(5 * n)) for n in range(1, 21)),
        companies=tuple(
            Company(n, f"Company {n}", _manager(dice, len(managers)), opened_at + timedelta(seconds=n))
            for n in range(1, firms + 1)
        ),
        contacts=tuple(_contact(dice, n, firms, len(managers), opened_at) for n in range(1, customers - firms + 1)),
        deals=tuple(maker.deal(n) for n in range(1, deals + 1)),
        rates=RATES,
    )


def _managers() -> tuple[Manager, ...]:
    """Twelve in three teams; 1 and 2 lead, 12 has left."""
    return tuple(
        Manager(n, _FIRST[n - 1], _LAST[n % len(_LAST)], f"manager{n}@shop.example", 1 + (n - 1) % 3, n != 12)
        for n in range(1, 13)
    )


def _manager(dice: Random, count: int) -> int | None:
    return None if dice.random() < 0.02 else 1 + int(dice.random() * count)


def _contact(dice: Random, number: int, firms: int, managers: int, opened_at: datetime) -> Contact:
    return Contact(
        id=number,
        first_name=_FIRST[number % len(_FIRST)],
        last_name=_LAST[number % len(_LAST)],
        email=f"buyer{number}@mail.example" if number % 10 else None,
        manager_id=_manager(dice, managers),
        created_at=opened_at + timedelta(seconds=number),
        company_id=1 + int(dice.random() * firms) if firms and dice.random() < 0.5 else None,
    )


@dataclass(frozen=True, slots=True)
class _Deals:
    """Rolls one deal after another; a few buyers buy most."""

    dice: Random
    today: date
    zone: ZoneInfo
    firms: int
    people: int
    days: int
    managers: int
    lines: bool

    def deal(self, number: int) -> Deal:
        amount = self._amount()
        status = self._status()
        company_id = self._some(self.firms) if self.dice.random() < 0.6 else None
        contacts = self._contacts(company_id)
        closed_at = self._closed_at()
        return Deal(
            id=number,
            name=f"Deal {number}",
            status=status,
            amount=amount,
            currency=self._currency(),
            company_id=company_id,
            contact_ids=contacts,
            main_contact_id=contacts[-1] if contacts and self.dice.random() < 0.7 else None,
            manager_id=_manager(self.dice, self.managers),
            created_at=closed_at - timedelta(hours=number % 300, minutes=5),
            closed_at=None if status == "open" and number % 3 == 0 else closed_at,
            lines=self._some_lines() if self.lines and amount and amount > 0 else (),
        )

    def _some(self, count: int) -> int | None:
        """An id; low ones come more often, so that frequencies differ."""
        return 1 + int(count * self.dice.random() ** 2) if count else None

    def _status(self) -> DealStatus:
        roll = self.dice.random()
        return "won" if roll < 0.85 else "lost" if roll < 0.92 else "open"

    def _amount(self) -> Decimal | None:
        roll = self.dice.random()
        if roll < 0.03:
            return None
        if roll < 0.04:
            return Decimal(0)
        if roll < 0.4:  # equal values are common in real price lists
            return _USUAL[int(self.dice.random() * len(_USUAL))]
        amount = Decimal(100 + int(self.dice.random() ** 3 * 500_000)) / 100
        return -amount if roll > 0.985 else amount

    def _currency(self) -> str:
        roll = self.dice.random()
        return "USD" if roll < 0.97 else "EUR" if roll < 0.985 else "BRL"

    def _contacts(self, company_id: int | None) -> tuple[int, ...]:
        roll = self.dice.random()
        if roll < (0.3 if company_id else 0.02):
            return ()
        found = [self._some(self.people) for _ in range(1 if roll < 0.9 else 3)]
        return tuple(dict.fromkeys(contact for contact in found if contact is not None))

    def _closed_at(self) -> datetime:
        roll = self.dice.random()
        if roll < 0.02:
            day = self.today - timedelta(days=364 + int(roll * 100))  # 364 and 365: the two sides of the window
        elif roll < 0.025:
            day = self.today + timedelta(days=3)
        else:
            day = self.today - timedelta(days=1 + int(self.dice.random() * self.days))
        return self._at(day, self.dice.random())

    def _at(self, day: date, roll: float) -> datetime:
        midnight = datetime.combine(day, time(), self.zone).astimezone(UTC)
        if roll < 0.03:
            return midnight
        if roll < 0.06:
            return midnight + _LAST_SECOND
        return midnight + timedelta(seconds=int(roll * 86_400))

    def _some_lines(self) -> tuple[Line, ...]:
        products = [1 + int(self.dice.random() * 20) for _ in range(1 + int(self.dice.random() * 3))]
        return tuple(
            Line(n, Decimal(1 + n % 4), Decimal(5 * n), Decimal(n) if n % 5 == 0 else Decimal(0)) for n in products
        )
