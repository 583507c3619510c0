"""A British web shop for gifts: 523 private buyers, their invoices and credit notes of a year.

From "Online Retail" (`sandbox/data/README.md`, which tells how the subset was cut): customers, invoices with day and
hour, lines, prices, countries. Decided here: a cancellation is a won deal with a negative amount and no lines, as
shops book refunds in a CRM. Invented, because the source has none: names and addresses, phone numbers, a staff of
five in two teams (buyers in the United Kingdom, buyers abroad), offers still open.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sandbox.datasets import Calendar, Row, read_rows
from sandbox.invented import british_phone, english_name, offers
from sandbox.shop import Contact, Deal, Line, Manager, Product, Shop, Team

SET = "online_retail"
LAST_DAY = date(2011, 12, 8)
HOME = "United Kingdom"
TEAMS = (Team(1, "Home customers", lead_id=1), Team(2, "Export", lead_id=4))
MANAGERS = tuple(
    Manager(number, first, last, f"{first}.{last}@giftshop.example".lower(), team)
    for number, first, last, team in (
        (1, "Harriet", "Lindqvist", 1),
        (2, "Marcus", "Oyelaran", 1),
        (3, "Priya", "Castellane", 1),
        (4, "Tobias", "Wrenfield", 2),
        (5, "Ines", "Valcourt", 2),
    )
)
_CREDIT_NOTES = 10_000_000


def online_retail_shop(today: date, *, timezone: str = "Europe/London") -> Shop:
    """The shop on the morning of `today`: 1,073 invoices and 123 credit notes, the last of them yesterday's."""
    calendar = Calendar(LAST_DAY, today, ZoneInfo(timezone))
    rows = read_rows(SET, "invoice_lines")
    products = tuple(_products(rows))
    by_customer = _grouped(rows, "CustomerID")
    managers = {int(customer): _manager_id(int(customer), found[0]) for customer, found in by_customer.items()}
    invoices = list(_deals(rows, {product.sku: product.id for product in products}, managers, calendar))
    return Shop(
        timezone=timezone,
        currency="GBP",
        teams=TEAMS,
        managers=MANAGERS,
        products=products,
        contacts=tuple(_contacts(by_customer, managers, calendar)),
        deals=(*invoices, *offers(invoices, calendar.at(LAST_DAY, 18 * 60))),
    )


def _grouped(rows: Sequence[Row], column: str) -> dict[str, list[Row]]:
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[column]].append(row)
    return groups


def _products(rows: Sequence[Row]) -> Iterator[Product]:
    """One for each stock code, its case folded, under its most frequent description and at its latest price."""
    names: defaultdict[str, Counter[str]] = defaultdict(Counter)
    prices: dict[str, Decimal] = {}
    for row in rows:
        code = row["StockCode"].upper()
        names[code][row["Description"].strip()] += 1
        prices[code] = Decimal(row["UnitPrice"])
    for number, (code, count) in enumerate(sorted(names.items()), 1):
        yield Product(number, min(count, key=lambda name: (-count[name], name)), code, prices[code])


def _manager_id(customer_id: int, row: Row) -> int:
    team = 1 if row["Country"] == HOME else 2
    staff = [manager.id for manager in MANAGERS if manager.team_id == team]
    return staff[customer_id // 3 % len(staff)]


def _at(row: Row, calendar: Calendar) -> datetime:
    moment = datetime.fromisoformat(row["InvoiceDate"])
    return calendar.at(moment.date(), (moment - datetime.combine(moment.date(), time())) // timedelta(minutes=1))


def _contacts(
    by_customer: Mapping[str, Sequence[Row]], managers: Mapping[int, int], calendar: Calendar
) -> Iterator[Contact]:
    """Since an hour before the first invoice."""
    for customer, rows in by_customer.items():
        number = int(customer)
        first, last = english_name(number)
        yield Contact(
            id=number,
            first_name=first,
            last_name=last,
            email=f"{first}.{last}.{number}@post.example".lower(),
            manager_id=managers[number],
            created_at=min(_at(row, calendar) for row in rows) - timedelta(hours=1),
            phone=british_phone(number),
        )


def _deals(
    rows: Sequence[Row], products: Mapping[str, int], managers: Mapping[int, int], calendar: Calendar
) -> Iterator[Deal]:
    for invoice, lines in _grouped(rows, "InvoiceNo").items():
        customer = int(lines[0]["CustomerID"])
        is_credit = invoice.startswith("C")
        at = min(_at(row, calendar) for row in lines)
        number = int(invoice.removeprefix("C"))
        yield Deal(
            id=_CREDIT_NOTES + number if is_credit else number,
            name=f"{'Credit note' if is_credit else 'Invoice'} {invoice}",
            status="won",
            amount=sum((Decimal(row["Quantity"]) * Decimal(row["UnitPrice"]) for row in lines), Decimal(0)),
            currency="GBP",
            company_id=None,
            contact_ids=(customer,),
            main_contact_id=customer,
            manager_id=managers[customer],
            created_at=at - timedelta(minutes=20),
            closed_at=at,
            lines=() if is_credit else tuple(_line(row, products) for row in lines),
        )


def _line(row: Row, products: Mapping[str, int]) -> Line:
    return Line(products[row["StockCode"].upper()], Decimal(row["Quantity"]), Decimal(row["UnitPrice"]))
