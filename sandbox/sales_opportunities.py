"""A firm that sells computer hardware to 85 companies, with offices, teams and their managers.

From "CRM Sales Opportunities" (`sandbox/data/README.md`): accounts, agents, their managers and offices, products,
and 8,800 opportunities with their days and values. Two spellings of the source are put right (`GTXPro`,
`Philipines`). Decided here: a sale at less than the list price has a discount; lost and open deals carry the list
price, since in a CRM that is what was hoped for; an account belongs to the agent who won most of its deals; one
agent has left. Invented: the people at the accounts, phone numbers, times of day, the first day of deals in
prospecting, the time zone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sandbox.datasets import Calendar, Row, read_rows
from sandbox.invented import american_phone, english_name, minute
from sandbox.shop import Company, Contact, Deal, DealStatus, Line, Manager, Product, Shop, Team

SET = "sales_opportunities"
FIRST_DAY, LAST_DAY = date(2016, 10, 20), date(2017, 12, 31)
PEOPLE_PER_ACCOUNT = 3
LEFT_THE_FIRM = "Corliss Cosme"
_SPELLING = {"GTXPro": "GTX Pro", "Philipines": "Philippines"}
_STATUS: dict[str, DealStatus] = {"Won": "won", "Lost": "lost", "Engaging": "open", "Prospecting": "open"}
_MORNING, _AFTERNOON = (9 * 60, 4 * 60), (13 * 60, 5 * 60)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Ids by the source's names. Team leads come first, so that the first user of a portal is one."""

    managers: Mapping[str, int]
    accounts: Mapping[str, int]
    products: Mapping[str, int]


def sales_opportunities_shop(today: date, *, timezone: str = "America/New_York") -> Shop:
    """The firm on the morning of `today`: 4,238 deals won, 2,473 lost, 2,089 open, the last closed yesterday."""
    calendar = Calendar(LAST_DAY, today, ZoneInfo(timezone))
    staff, accounts, pipeline = (
        read_rows(SET, "sales_teams"),
        read_rows(SET, "accounts"),
        read_rows(SET, "sales_pipeline"),
    )
    products = tuple(_products())
    leads = list(dict.fromkeys(row["manager"] for row in staff))
    people = [*leads, *(row["sales_agent"] for row in staff)]
    numbers = _Numbers(
        managers={name: number for number, name in enumerate(people, 1)},
        accounts={row["account"]: number for number, row in enumerate(accounts, 101)},
        products={product.name: product.id for product in products},
    )
    companies = tuple(_companies(accounts, numbers, _main_sellers(pipeline), calendar))
    return Shop(
        timezone=timezone,
        currency="USD",
        teams=tuple(_teams(staff, leads)),
        managers=tuple(_managers(staff, leads, numbers)),
        products=products,
        companies=companies,
        contacts=tuple(_contacts(companies)),
        deals=tuple(_deals(pipeline, numbers, {product.id: product.price for product in products}, calendar)),
    )


def _spelt(text: str) -> str:
    return _SPELLING.get(text, text)


def _products() -> Iterator[Product]:
    for number, row in enumerate(read_rows(SET, "products"), 1):
        yield Product(number, row["product"], row["product"].replace(" ", "-").upper(), Decimal(row["sales_price"]))


def _teams(staff: Sequence[Row], leads: Sequence[str]) -> Iterator[Team]:
    """A team for each manager inside the department of his office."""
    offices = list(dict.fromkeys(row["regional_office"] for row in staff))
    office_of = {row["manager"]: len(leads) + 1 + offices.index(row["regional_office"]) for row in staff}
    for number, lead in enumerate(leads, 1):
        yield Team(number, f"Team {lead}", lead_id=number, parent_id=office_of[lead])
    for number, office in enumerate(offices, len(leads) + 1):
        yield Team(number, f"{office} office")


def _managers(staff: Sequence[Row], leads: Sequence[str], numbers: _Numbers) -> Iterator[Manager]:
    team_of = {lead: number for number, lead in enumerate(leads, 1)}
    team_of |= {row["sales_agent"]: team_of[row["manager"]] for row in staff}
    for name, number in numbers.managers.items():
        first, _, last = name.partition(" ")
        email = f"{first}.{last}@hardware.example".lower()
        yield Manager(number, first, last, email, team_of[name], active=name != LEFT_THE_FIRM)


def _main_sellers(pipeline: Sequence[Row]) -> dict[str, str]:
    """Who won most deals of each account; the first name in the alphabet wins a tie."""
    won: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in pipeline:
        if row["deal_stage"] == "Won":
            won[row["account"]][row["sales_agent"]] += 1
    return {account: min(count, key=lambda who: (-count[who], who)) for account, count in won.items()}


def _companies(
    accounts: Sequence[Row], numbers: _Numbers, sellers: Mapping[str, str], calendar: Calendar
) -> Iterator[Company]:
    opened_at = calendar.at(FIRST_DAY - timedelta(days=1), 9 * 60)
    for row in accounts:
        name, number = row["account"], numbers.accounts[row["account"]]
        yield Company(
            id=number,
            name=name[0].upper() + name[1:],
            manager_id=numbers.managers[sellers[name]],
            created_at=opened_at + timedelta(minutes=number),
            phone=american_phone(number),
            country=_spelt(row["office_location"]),
        )


def _people_of(company_id: int) -> tuple[int, ...]:
    return tuple(company_id * 10 + place for place in range(PEOPLE_PER_ACCOUNT))


def _contacts(companies: Sequence[Company]) -> Iterator[Contact]:
    for company in companies:
        for number in _people_of(company.id):
            first, last = english_name(number)
            yield Contact(
                id=number,
                first_name=first,
                last_name=last,
                email=f"{first}.{last}.{number}@account{company.id}.example".lower(),
                manager_id=company.manager_id,
                created_at=company.created_at + timedelta(minutes=number % 10),
                company_id=company.id,
            )


def _deals(
    pipeline: Sequence[Row], numbers: _Numbers, prices: Mapping[int, Decimal], calendar: Calendar
) -> Iterator[Deal]:
    for number, row in enumerate(pipeline, 1):
        product_id = numbers.products[_spelt(row["product"])]
        status, price = _STATUS[row["deal_stage"]], prices[product_id]
        amount = Decimal(row["close_value"]) if status == "won" else price
        company_id = numbers.accounts.get(row["account"])
        people = () if company_id is None else _people_of(company_id)
        contact = people[number % len(people)] if people else None
        yield Deal(
            id=number,
            name=f"{_spelt(row['product'])} {row['opportunity_id']}",
            status=status,
            amount=amount,
            currency="USD",
            company_id=company_id,
            contact_ids=() if contact is None else (contact,),
            main_contact_id=contact,
            manager_id=numbers.managers[row["sales_agent"]],
            created_at=calendar.at(_begun_on(row, number), minute(number, *_MORNING)),
            closed_at=_closed_at(row, number, calendar),
            lines=(Line(product_id, Decimal(1), max(price, amount), max(price - amount, Decimal(0))),),
        )


def _begun_on(row: Row, number: int) -> date:
    """Prospecting has no day in the source: one of the last thirty."""
    return date.fromisoformat(row["engage_date"]) if row["engage_date"] else LAST_DAY - timedelta(days=number % 30)


def _closed_at(row: Row, number: int, calendar: Calendar) -> datetime | None:
    if not row["close_date"]:
        return None
    return calendar.at(date.fromisoformat(row["close_date"]), minute(number, *_AFTERNOON))
