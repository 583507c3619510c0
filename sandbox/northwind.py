"""The Northwind wholesaler as a shop whose last order was yesterday.

Customers, managers, products, orders, lines and their sums are the data set's own (`sandbox/data/README.md`).
Invented here, always the same way: times of day, e-mail addresses, a second contact at every fifth customer,
every eighth customer without a firm, and the oddities of `_ODD` that real portals have.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from importlib.resources import files
from zoneinfo import ZoneInfo

from sandbox.shop import Company, Contact, Deal, Line, Manager, Product, Shop, Team

Row = Mapping[str, str]

LAST_ORDER = date(1998, 5, 6)
LEADS = {5: "Europe", 2: "Americas"}  # employees who lead, and their teams
LEFT_THE_FIRM = 9
CURRENCIES = {"UK": "GBP", "Brazil": "BRL"}
RATES: dict[str, Decimal | None] = {"GBP": Decimal("1.25"), "BRL": None}
_CENT = Decimal("0.01")
# An order whose number is divisible by the first number is odd in this way.
_ODD = {"lost": 23, "no amount": 53, "zero": 97, "refunded": 89, "no contact": 7}


@dataclass(frozen=True, slots=True)
class _Buyer:
    """One Northwind customer as a firm, as a person, or both."""

    company_id: int | None
    contact_ids: tuple[int, ...]
    currency: str


def northwind_shop(today: date, *, timezone: str = "Europe/Moscow") -> Shop:
    """The shop as it stands on the morning of `today`: 830 orders of 89 buyers over 22 months, 21 still open."""
    zone = ZoneInfo(timezone)
    orders, customers = _rows("orders"), _rows("customers")
    opened_at = _moment(_shifted(date(1996, 6, 1), today), 9 * 60, zone)
    sellers = _main_sellers(orders)
    buyers = dict(_buyers(customers))
    return Shop(
        timezone=timezone,
        currency="USD",
        teams=tuple(Team(lead, name, lead) for lead, name in LEADS.items()),
        managers=tuple(_managers()),
        products=tuple(
            Product(int(row["ProductID"]), row["ProductName"], f"NW-{row['ProductID']}", Decimal(row["UnitPrice"]))
            for row in _rows("products")
        ),
        companies=tuple(_companies(customers, buyers, sellers, opened_at)),
        contacts=tuple(_contacts(customers, buyers, sellers, opened_at)),
        deals=tuple(_deals(orders, buyers, today, zone)),
        rates=RATES,
    )


def _rows(name: str) -> list[Row]:
    text = (files("sandbox") / "data" / "northwind" / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _shifted(day: date, today: date) -> date:
    return day + (today - timedelta(days=1) - LAST_ORDER)


def _day(text: str) -> date:
    month, day, year = text.split("/")
    return date(int(year), int(month), int(day))


def _moment(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    return (datetime.combine(day, time(), zone) + timedelta(minutes=minutes)).astimezone(UTC)


def _divides(odd: str, order_id: int) -> bool:
    return order_id % _ODD[odd] == 0


def _managers() -> Iterator[Manager]:
    for row in _rows("employees"):
        number, boss = int(row["EmployeeID"]), int(row["ReportsTo"] or 0)
        yield Manager(
            id=number,
            first_name=row["FirstName"],
            last_name=row["LastName"],
            email=f"{row['FirstName']}.{row['LastName']}@northwind.example".lower(),
            team_id=number if number in LEADS else boss,
            active=number != LEFT_THE_FIRM,
        )


def _main_sellers(orders: Sequence[Row]) -> dict[str, int]:
    """Who sold most often to each customer; the lowest number wins a tie."""
    sold: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for row in orders:
        sold[row["CustomerID"]][int(row["EmployeeID"])] += 1
    return {customer: min(count, key=lambda who: (-count[who], who)) for customer, count in sold.items()}


def _buyers(customers: Sequence[Row]) -> Iterator[tuple[str, _Buyer]]:
    for place, row in enumerate(customers, start=1):
        number = 1000 + place
        contacts = (number,) if place % 5 else (number, 2000 + place)
        currency = CURRENCIES.get(row["Country"], "USD")
        yield row["CustomerID"], _Buyer(None if place % 8 == 0 else number, contacts, currency)


def _companies(
    customers: Sequence[Row], buyers: Mapping[str, _Buyer], sellers: Mapping[str, int], opened_at: datetime
) -> Iterator[Company]:
    for row in customers:
        buyer = buyers[row["CustomerID"]]
        if buyer.company_id is not None:
            yield Company(
                id=buyer.company_id,
                name=row["CompanyName"],
                manager_id=sellers.get(row["CustomerID"]),
                created_at=opened_at + timedelta(minutes=buyer.company_id),
                phone=row["Phone"] or None,
                country=row["Country"] or None,
            )


def _contacts(
    customers: Sequence[Row], buyers: Mapping[str, _Buyer], sellers: Mapping[str, int], opened_at: datetime
) -> Iterator[Contact]:
    for row in customers:
        buyer = buyers[row["CustomerID"]]
        first, _, last = row["ContactName"].partition(" ")
        for place, number in enumerate(buyer.contact_ids):
            who = (first, last) if place == 0 else ("Accounts", last)
            yield Contact(
                id=number,
                first_name=who[0],
                last_name=who[1],
                email=f"{'accounts' if place else 'orders'}@{row['CustomerID'].lower()}.example",
                manager_id=sellers.get(row["CustomerID"]),
                created_at=opened_at + timedelta(minutes=number),
                company_id=buyer.company_id,
                phone=row["Phone"] or None,
            )


def _lines() -> dict[int, tuple[Line, ...]]:
    lines: defaultdict[int, list[Line]] = defaultdict(list)
    for row in _rows("order_details"):
        quantity, price = Decimal(row["Quantity"]), Decimal(row["UnitPrice"])
        discount = (quantity * price * Decimal(row["Discount"])).quantize(_CENT, ROUND_HALF_UP)
        lines[int(row["OrderID"])].append(Line(int(row["ProductID"]), quantity, price, discount))
    return {order: tuple(found) for order, found in lines.items()}


def _deals(orders: Sequence[Row], buyers: Mapping[str, _Buyer], today: date, zone: ZoneInfo) -> Iterator[Deal]:
    lines = _lines()
    for row in orders:
        deal = _deal(row, buyers[row["CustomerID"]], lines[int(row["OrderID"])], today, zone)
        yield deal
        if _divides("refunded", deal.id) and deal.status == "won" and deal.amount:
            yield _refund(deal, deal.amount)


def _deal(row: Row, buyer: _Buyer, lines: tuple[Line, ...], today: date, zone: ZoneInfo) -> Deal:
    number = int(row["OrderID"])
    ordered_at = _moment(_shifted(_day(row["OrderDate"]), today), 9 * 60 + number * 7 % 540, zone)
    contacts = () if _divides("no contact", number) and buyer.company_id is not None else buyer.contact_ids
    is_open = not row["ShippedDate"]
    total = sum((line.quantity * line.price - line.discount for line in lines), Decimal(0))
    amount = Decimal(0) if _divides("zero", number) else total.quantize(_CENT, ROUND_HALF_UP)
    return Deal(
        id=number,
        name=f"Order {number}",
        status="open" if is_open else "lost" if _divides("lost", number) else "won",
        amount=None if _divides("no amount", number) else amount,
        currency=buyer.currency,
        company_id=buyer.company_id,
        contact_ids=contacts,
        main_contact_id=contacts[0] if contacts and number % 2 else None,
        manager_id=int(row["EmployeeID"]),
        created_at=ordered_at - timedelta(days=1 + number % 9, minutes=number % 60),
        closed_at=ordered_at + timedelta(days=30) if is_open else ordered_at,
        lines=lines,
    )


def _refund(deal: Deal, amount: Decimal) -> Deal:
    """A tenth given back the day after."""
    later = (deal.closed_at or deal.created_at) + timedelta(days=1)
    return Deal(
        id=deal.id + 10_000,
        name=f"Refund of order {deal.id}",
        status="won",
        amount=-(amount / 10).quantize(_CENT, ROUND_HALF_UP),
        currency=deal.currency,
        company_id=deal.company_id,
        contact_ids=deal.contact_ids,
        main_contact_id=deal.main_contact_id,
        manager_id=deal.manager_id,
        created_at=later,
        closed_at=later,
    )
