"""A neutral shop put into an account: what the vendor's own import would have made of it.

Said aloud, because it is a choice: an account has one currency, so amounts stay the numbers they are, whatever
currency the shop names. Everybody has a responsible user here, so cards of nobody go to the administrator. A tenth
of the closed deals lies in an archived pipeline. No events tell of what was there before.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import count

from sandbox.amocrm.account import Account
from sandbox.amocrm.ordered import Table
from sandbox.amocrm.rows import (
    LOST,
    UNSORTED_STAGE,
    WON,
    Catalog,
    Company,
    Contact,
    Customer,
    Element,
    ElementLink,
    Group,
    Lead,
    LossReason,
    Pipeline,
    Stage,
    Stored,
    Transaction,
    User,
)
from sandbox.amocrm.values import Values, plain_number
from sandbox.shop import Deal, Shop

MAIN_PIPELINE = 7001
OLD_PIPELINE = 7002
PRODUCTS = 2001
FIRST_STAGES = (70_011, 70_012, 70_013)
_REASONS = ("Слишком дорого", "Пропала потребность", "Выбрали других")


def load(account: Account, shop: Shop) -> None:
    """Fill an empty account. The first active manager is the administrator whose token it is."""
    _load_staff(account, shop)
    _load_sales(account)
    _load_products(account, shop)
    _load_companies(account, shop)
    _load_contacts(account, shop)
    _load_leads(account, shop)
    if account.settings.customers_mode in {"segments", "periodicity"}:
        _load_customers(account, shop)


def _stamp(moment: datetime) -> int:
    return int(moment.timestamp())


def _continue_ids(account: Account, kind: str, used: list[int]) -> None:
    account.ids[kind] = count(max(used, default=0) + 1)


def _load_staff(account: Account, shop: Shop) -> None:
    account.groups = {0: Group(0, "Отдел продаж")} | {team.id: Group(team.id, team.name) for team in shop.teams}
    for manager in shop.managers:
        account.users[manager.id] = User(
            manager.id,
            f"{manager.first_name} {manager.last_name}",
            manager.email,
            manager.team_id or 0,
            is_active=manager.active,
        )
    admin_id = min((user.id for user in account.users.values() if user.is_active), default=1)
    admin = account.users.setdefault(admin_id, User(admin_id, "Администратор", "admin@shop.example"))
    admin.is_admin = True
    account.token_user_id = admin_id


def _load_sales(account: Account) -> None:
    closing = [Stage(WON, "Успешно реализовано", 10_000), Stage(LOST, "Закрыто и не реализовано", 11_000)]
    names = ("Первичный контакт", "Переговоры", "Согласование договора")
    working = [Stage(one, name, 20 + at) for at, (one, name) in enumerate(zip(FIRST_STAGES, names, strict=True))]
    incoming, old_incoming = (Stage(one, "Неразобранное", 10, UNSORTED_STAGE) for one in (70_010, 70_020))
    account.pipelines = {
        MAIN_PIPELINE: Pipeline(MAIN_PIPELINE, "Воронка", 1, [incoming, *working, *closing], is_main=True),
        OLD_PIPELINE: Pipeline(
            OLD_PIPELINE, "Старая воронка", 2, [old_incoming, Stage(70_021, "Заявка", 20), *closing], is_archive=True
        ),
    }
    account.loss_reasons = {at: LossReason(at, name, at * 100) for at, name in enumerate(_REASONS, 1)}


def _load_products(account: Account, shop: Shop) -> None:
    account.catalogs[PRODUCTS] = Catalog(PRODUCTS, "Товары", "products", 1)
    book = account.catalog_book(PRODUCTS)
    sku, price = book.define("Артикул", "text", "SKU"), book.define("Цена", "price", "PRICE")
    elements: Table[Element] = Table()
    elements.load(
        {
            product.id: Element(
                product.id,
                PRODUCTS,
                product.name,
                account.now(),
                account.now(),
                {sku.id: (Stored(product.sku),), price.id: (Stored(plain_number(product.price)),)},
            )
            for product in shop.products
        }
    )
    account.elements[PRODUCTS] = elements


def _owner(account: Account, manager_id: int | None) -> int:
    return account.token_user_id if manager_id is None else manager_id


def _reachable(account: Account, kind: str, phone: str | None, email: str | None) -> Values:
    values: Values = {}
    for code, text in (("PHONE", phone), ("EMAIL", email)):
        field = account.books[kind].by_code(code)
        if text and field is not None and field.options:
            values[field.id] = (Stored(text, field.options[0].id),)
    return values


def _load_companies(account: Account, shop: Shop) -> None:
    address = account.books["companies"].by_code("ADDRESS")
    rows = {}
    for company in shop.companies:
        values = _reachable(account, "companies", company.phone, None)
        if company.country and address is not None:
            values[address.id] = (Stored(company.country),)
        rows[company.id] = Company(
            id=company.id,
            name=company.name,
            responsible_user_id=_owner(account, company.manager_id),
            created_at=_stamp(company.created_at),
            updated_at=_stamp(company.created_at),
            values=values,
        )
    account.companies.load(rows)
    _continue_ids(account, "companies", list(rows))


def _load_contacts(account: Account, shop: Shop) -> None:
    rows = {}
    for contact in shop.contacts:
        employer = [] if contact.company_id is None else [contact.company_id]
        rows[contact.id] = Contact(
            id=contact.id,
            name=f"{contact.first_name} {contact.last_name}".strip(),
            first_name=contact.first_name,
            last_name=contact.last_name,
            responsible_user_id=_owner(account, contact.manager_id),
            created_at=_stamp(contact.created_at),
            updated_at=_stamp(contact.created_at),
            values=_reachable(account, "contacts", contact.phone, contact.email),
            company_ids=employer,
        )
        for company_id in employer:
            account.contact_ids_of[company_id][contact.id] = None
    account.contacts.load(rows)
    _continue_ids(account, "contacts", list(rows))


def _load_leads(account: Account, shop: Shop) -> None:
    rows = {deal.id: _lead(account, deal) for deal in shop.deals}
    account.leads.load(rows)
    _continue_ids(account, "leads", list(rows))
    for lead in rows.values():
        if lead.company_id is not None:
            account.lead_ids_of["companies", lead.company_id][lead.id] = None
        for contact_id in lead.contact_ids:
            account.lead_ids_of["contacts", contact_id][lead.id] = None


def _lead(account: Account, deal: Deal) -> Lead:
    created_at = _stamp(deal.created_at)
    closed_at = _stamp(deal.closed_at) if deal.closed_at is not None and deal.status != "open" else None
    is_old = closed_at is not None and deal.id % 10 == 0
    return Lead(
        id=deal.id,
        name=deal.name,
        responsible_user_id=_owner(account, deal.manager_id),
        created_at=created_at,
        updated_at=min(max(created_at, closed_at or 0), account.now()),
        price=deal.amount,
        status_id={"won": WON, "lost": LOST}.get(deal.status, FIRST_STAGES[deal.id % len(FIRST_STAGES)]),
        pipeline_id=OLD_PIPELINE if is_old else MAIN_PIPELINE,
        closed_at=closed_at,
        loss_reason_id=1 + deal.id % len(_REASONS) if deal.status == "lost" else None,
        company_id=deal.company_id,
        contact_ids=list(deal.contact_ids),
        main_contact_id=deal.main_contact_id,
        elements=list(_products(deal)),
    )


def _products(deal: Deal) -> Iterator[ElementLink]:
    """One link per product: an account cannot link the same one twice, so quantities are added."""
    quantities = {line.product_id: line.quantity * 0 for line in deal.lines}
    for line in deal.lines:
        quantities[line.product_id] += line.quantity
    return (ElementLink(PRODUCTS, product_id, quantity) for product_id, quantity in quantities.items())


def _load_customers(account: Account, shop: Shop) -> None:
    """A regular buyer for whoever has won deals, and a transaction for each that has an amount."""
    known: dict[tuple[int | None, int | None], Customer] = {}
    for deal in shop.deals:
        contact_id = None if deal.company_id is not None else deal.main_contact_id
        if deal.status != "won" or deal.closed_at is None or (deal.company_id is None and contact_id is None):
            continue
        buyer = known.get((deal.company_id, contact_id))
        if buyer is None:
            buyer = known[deal.company_id, contact_id] = _customer(account, deal, contact_id)
        if deal.amount is not None:
            at = _stamp(deal.closed_at)
            row = Transaction(deal.id, buyer.id, deal.amount, at, deal.name, at, at)
            account.transactions[row.id] = row


def _customer(account: Account, deal: Deal, contact_id: int | None) -> Customer:
    customer = Customer(
        id=next(account.ids["customers"]),
        name=deal.name,
        responsible_user_id=_owner(account, deal.manager_id),
        created_at=_stamp(deal.created_at),
        updated_at=_stamp(deal.created_at),
        contact_ids=[] if contact_id is None else [contact_id],
        company_id=deal.company_id,
    )
    account.customers.add(customer)
    return customer
