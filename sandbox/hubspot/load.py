"""A neutral shop → a HubSpot account as it would stand after years of use.

Ids of companies, contacts and deals are the shop's; owners are 4000 and users 7000 above the manager's number, so
that mistaking one for the other shows. Every fourth deal stands in a second pipeline whose stages have numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sandbox.clock import Clock
from sandbox.hubspot import values
from sandbox.hubspot.account import Account
from sandbox.hubspot.kinds import (
    COMPANY,
    CONTACT,
    DEAL,
    DEFAULT_LINK,
    KINDS,
    LINE_ITEM,
    ORDER,
    PRIMARY_LINK,
    PRODUCT,
    Kind,
)
from sandbox.hubspot.records import Record
from sandbox.hubspot.settings import Owner, Pipeline, Stage
from sandbox.shop import Company, Contact, Deal, Line, Manager, Product, Shop

OWNER_BASE, USER_BASE = 4000, 7000
SALES = Pipeline(
    "default",
    "Sales Pipeline",
    (
        Stage("appointmentscheduled", "Appointment scheduled", "0.2", closed=False),
        Stage("contractsent", "Contract sent", "0.9", closed=False),
        Stage("closedwon", "Closed won", "1.0", closed=True),
        Stage("closedlost", "Closed lost", "0.0", closed=True),
    ),
)
REPEAT = Pipeline(
    "998877",
    "Repeat business",
    (
        Stage("998878", "Talking", "0.5", closed=False),
        Stage("998879", "Closed won", "1.0", closed=True),
        Stage("998880", "Closed lost", "0.0", closed=True),
    ),
)
ORDERS = Pipeline(
    "order-pipeline",
    "Order pipeline",
    (Stage("order-open", "Open", "", closed=False), Stage("order-done", "Delivered", "", closed=True)),
)
STAGE_OF = {
    SALES.id: {"won": "closedwon", "lost": "closedlost", "open": "appointmentscheduled"},
    REPEAT.id: {"won": "998879", "lost": "998880", "open": "998878"},
}


def load(shop: Shop, clock: Clock, *, orders: int, portal_id: int, app_id: int) -> Account:
    """Build the account. `orders` is how many won deals have an order object too; with 0 there are no orders."""
    account = Account(
        clock=clock,
        portal_id=portal_id,
        app_id=app_id,
        timezone=shop.timezone,
        currency=shop.currency,
        rates=dict(shop.rates),
        deal_pipelines=(SALES, REPEAT),
        order_pipelines=(ORDERS,),
        owners={owner.id: owner for owner in _owners(shop)},
        kinds=KINDS if orders else tuple(kind for kind in KINDS if kind is not ORDER),
    )
    now_ms = account.now_ms()
    account.created_ms = min([values.to_ms(company.created_at) for company in shop.companies], default=now_ms)
    records = account.records
    records[COMPANY].load(_company(company, now_ms) for company in sorted(shop.companies, key=_by_id))
    records[CONTACT].load((_contact(one, now_ms) for one in sorted(shop.contacts, key=_by_id)), unique=("email",))
    records[PRODUCT].load(_product(product, account.created_ms) for product in sorted(shop.products, key=_by_id))
    records[DEAL].load(_deal(deal, now_ms) for deal in sorted(shop.deals, key=_by_id))
    _link_contacts(account, shop)
    for deal in shop.deals:
        _link_buyers(account, DEAL, deal.id, deal)
    _load_lines(account, shop, now_ms)
    if orders:
        _load_orders(account, shop, orders, now_ms)
    for index in account.indexes.values():
        index.build()
    return account


def _by_id(record: Company | Contact | Deal | Product) -> int:
    return record.id


def _owners(shop: Shop) -> Iterator[Owner]:
    teams = {team.id: team.name for team in shop.teams}
    for manager in shop.managers:
        team = None if manager.team_id is None else (manager.team_id, teams[manager.team_id])
        yield _owner(manager, team)


def _owner(manager: Manager, team: tuple[int, str] | None) -> Owner:
    return Owner(
        id=OWNER_BASE + manager.id,
        user_id=USER_BASE + manager.id,
        email=manager.email,
        first_name=manager.first_name,
        last_name=manager.last_name,
        team=team,
        archived=not manager.active,
    )


def _record(
    record_id: int, now_ms: int, created_at: datetime, changed_at: datetime | None, **texts: str | None
) -> Record:
    created = min(values.to_ms(created_at), now_ms)
    changed = created if changed_at is None else min(max(values.to_ms(changed_at), created), now_ms)
    return Record(record_id, {name: text for name, text in texts.items() if text}, created, changed)


def _owner_id(manager_id: int | None) -> str | None:
    return None if manager_id is None else str(OWNER_BASE + manager_id)


def _company(company: Company, now_ms: int) -> Record:
    return _record(
        company.id,
        now_ms,
        company.created_at,
        None,
        name=company.name,
        phone=company.phone,
        country=company.country,
        hubspot_owner_id=_owner_id(company.manager_id),
    )


def _contact(contact: Contact, now_ms: int) -> Record:
    return _record(
        contact.id,
        now_ms,
        contact.created_at,
        None,
        firstname=contact.first_name,
        lastname=contact.last_name,
        email=contact.email,
        phone=contact.phone,
        hubspot_owner_id=_owner_id(contact.manager_id),
    )


def _product(product: Product, created_ms: int) -> Record:
    texts = {"name": product.name, "hs_sku": product.sku, "price": values.plain(product.price)}
    return Record(product.id, texts, created_ms, created_ms)


def _deal(deal: Deal, now_ms: int) -> Record:
    pipeline = SALES.id if deal.id % 4 else REPEAT.id
    return _record(
        deal.id,
        now_ms,
        deal.created_at,
        deal.closed_at if deal.status != "open" else None,
        dealname=deal.name,
        amount=None if deal.amount is None else values.plain(deal.amount),
        deal_currency_code=deal.currency,
        pipeline=pipeline,
        dealstage=STAGE_OF[pipeline][deal.status],
        closedate=None if deal.closed_at is None else values.iso(values.to_ms(deal.closed_at)),
        hubspot_owner_id=_owner_id(deal.manager_id),
    )


def _link_contacts(account: Account, shop: Shop) -> None:
    primary = PRIMARY_LINK[CONTACT, COMPANY]
    for contact in shop.contacts:
        if contact.company_id is not None:
            account.links.add(primary, contact.id, contact.company_id)


def _link_buyers(account: Account, kind: Kind, record_id: int, deal: Deal) -> None:
    """HubSpot knows no main contact of a deal, only a primary company."""
    if deal.company_id is not None:
        account.links.add(PRIMARY_LINK[kind, COMPANY], record_id, deal.company_id)
    for contact_id in deal.contact_ids:
        account.links.add(DEFAULT_LINK[kind, CONTACT], record_id, contact_id)


def _load_lines(account: Account, shop: Shop, now_ms: int) -> None:
    products = {product.id: product for product in shop.products}
    link = DEFAULT_LINK[DEAL, LINE_ITEM]
    for deal in shop.deals:
        for line in deal.lines:
            record = _line(account.records[LINE_ITEM].next_id(), deal, line, products[line.product_id], now_ms)
            account.records[LINE_ITEM].add(record)
            account.links.add(link, deal.id, record.id)


def _line(number: int, deal: Deal, line: Line, product: Product, now_ms: int) -> Record:
    return _record(
        number,
        now_ms,
        deal.created_at,
        None,
        name=product.name,
        hs_sku=product.sku,
        hs_product_id=str(product.id),
        quantity=values.plain(line.quantity),
        price=values.plain(line.price),
        amount=values.plain(line.quantity * line.price - line.discount),
        hs_total_discount=values.plain(line.discount),
        hs_line_item_currency_code=deal.currency,
    )


def _load_orders(account: Account, shop: Shop, count: int, now_ms: int) -> None:
    sold = [deal for deal in shop.deals if deal.status == "won" and deal.amount and deal.closed_at is not None]
    for number, deal in enumerate(sold[-count:], start=1):
        at = None if deal.closed_at is None else values.iso(values.to_ms(deal.closed_at))
        record = _record(
            number,
            now_ms,
            deal.created_at,
            deal.closed_at,
            hs_order_name=f"Shop order {deal.id}",
            hs_currency_code=deal.currency,
            hs_total_price=None if deal.amount is None else values.plain(deal.amount),
            hs_external_order_id=f"W-{deal.id}",
            hs_external_created_date=at,
            hs_processed_date=at,
            hs_pipeline=ORDERS.id,
            hs_pipeline_stage="order-done",
            hubspot_owner_id=_owner_id(deal.manager_id),
        )
        account.records[ORDER].add(record)
        _link_buyers(account, ORDER, number, deal)
        account.links.add(DEFAULT_LINK[ORDER, DEAL], number, deal.id)
