"""A shop becomes a Bitrix24 portal.

What the vendor's model forces: stage history begins with the creation; a deal with contacts always has a primary
one (the shop's main contact, else the first attached); `closedate` is a plan that every fifth closed deal missed by
two days, so the day of the sale is the day of the move; seconds are whole; the staff belong to a root department.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sandbox import shop as words
from sandbox.bitrix24.rows import Company, Contact, Deal, Department, ProductRow, StageMove, User
from sandbox.bitrix24.state import Currency, State, funnel

_SEMANTICS = {"won": "S", "lost": "F", "open": "P"}
_MISSED_PLAN = timedelta(days=2)
_CENT_OF_CENT = Decimal("0.0001")


def new_state(shop: words.Shop, now: datetime, scopes: set[str]) -> State:
    """The portal on its first day with us. The webhook belongs to the first active manager, an administrator."""
    users = _users(shop)
    owner = next((one.id for one in users if one.active), users[0].id)
    state = State(zone=ZoneInfo(shop.timezone), user_id=owner, scopes=scopes, base_currency=shop.currency)
    state.users = {one.id: one for one in users}
    state.departments = {one.id: one for one in _departments(shop)}
    state.currencies = list(_currencies(shop))
    state.funnels = {0: funnel(0, "General"), 1: funnel(1, "Repeat sales")}
    born = int(now.timestamp())
    state.companies.load(_companies(shop, owner, born))
    state.contacts.load(_contacts(shop, owner, born))
    state.deals.load(_deal(state, one, owner, born) for one in shop.deals)
    state.moves.load(_moves(state))
    state.product_rows.load(_lines(shop))
    return state


def _users(shop: words.Shop) -> list[User]:
    root = _root_id(shop)
    found = [
        User(
            id=one.id,
            name=one.first_name,
            last_name=one.last_name,
            email=one.email,
            departments=(one.team_id or root,),
            active=one.active,
        )
        for one in shop.managers
    ]
    return found or [User(id=1, name="Portal", last_name="Admin", email="admin@shop.example", departments=(root,))]


def _root_id(shop: words.Shop) -> int:
    return max((team.id for team in shop.teams), default=0) + 1


def _departments(shop: words.Shop) -> Iterator[Department]:
    root = _root_id(shop)
    yield Department(id=root, name="Company")
    for team in shop.teams:
        yield Department(id=team.id, name=team.name, parent=team.parent_id or root, head=team.lead_id)


def _currencies(shop: words.Shop) -> Iterator[Currency]:
    """Rates of a hundred units and of one in turn, as portals have both; a currency without a rate is not listed."""
    yield Currency(shop.currency, Decimal(1))
    rated = [(code, rate) for code, rate in shop.rates.items() if rate is not None]
    for place, (code, rate) in enumerate(rated):
        count = 1 if place % 2 else 100
        yield Currency(code, rate * count, count)


def _companies(shop: words.Shop, owner: int, now: int) -> Iterator[Company]:
    for one in shop.companies:
        created = int(one.created_at.timestamp())
        yield Company(
            id=one.id,
            created=created,
            updated=min(created, now),
            last_activity=created,
            title=one.name,
            assigned_by_id=one.manager_id,
            created_by=owner,
            updated_by=owner,
            type_id="CUSTOMER",
            phones=(one.phone,) if one.phone else (),
        )


def _contacts(shop: words.Shop, owner: int, now: int) -> Iterator[Contact]:
    for one in shop.contacts:
        created = int(one.created_at.timestamp())
        yield Contact(
            id=one.id,
            created=created,
            updated=min(created, now),
            last_activity=created,
            name=one.first_name,
            last_name=one.last_name,
            company_id=one.company_id,
            assigned_by_id=one.manager_id,
            created_by=owner,
            updated_by=owner,
            type_id="CLIENT",
            phones=(one.phone,) if one.phone else (),
            emails=(one.email,) if one.email else (),
        )


def _deal(state: State, one: words.Deal, owner: int, now: int) -> Deal:
    semantic = _SEMANTICS[one.status]
    in_funnel = state.funnels[1 if one.id % 7 == 0 else 0]
    created = int(one.created_at.timestamp())
    closed = int(one.closed_at.timestamp()) if one.closed_at else created
    moved = created if semantic == "P" else closed
    return Deal(
        id=one.id,
        created=created,
        updated=min(max(created, moved), now),
        last_activity=moved,
        title=one.name,
        category_id=in_funnel.id,
        stage_id=in_funnel.stage(semantic).status_id,
        semantic=semantic,
        opportunity=one.amount,
        is_manual_opportunity=not one.lines,
        currency_id=one.currency,
        company_id=one.company_id,
        contact_ids=_primary_first(one),
        assigned_by_id=one.manager_id,
        created_by=owner,
        updated_by=owner,
        moved_by=owner,
        moved=moved,
        begindate=one.created_at.astimezone(state.zone).date(),
        closedate=_plan(one, state),
        type_id="SALE",
    )


def _primary_first(one: words.Deal) -> tuple[int, ...]:
    main = one.main_contact_id
    return one.contact_ids if main is None else (main, *(other for other in one.contact_ids if other != main))


def _plan(one: words.Deal, state: State) -> date | None:
    if one.closed_at is None:
        return None
    missed = one.status != "open" and one.id % 5 == 0
    return (one.closed_at - (_MISSED_PLAN if missed else timedelta())).astimezone(state.zone).date()


def _moves(state: State) -> Iterator[StageMove]:
    """Two lines for a closed deal, one for an open one, numbered in the order of the deals."""
    number = 0
    for deal in state.deals.rows.values():
        first = state.funnels[deal.category_id].first
        number += 1
        yield _move(number, deal, 1, deal.created, first.semantic, first.status_id)
        if deal.semantic != "P":
            number += 1
            yield _move(number, deal, 3, deal.moved, deal.semantic, deal.stage_id)


def _move(number: int, deal: Deal, kind: int, at: int, semantic: str, stage_id: str) -> StageMove:
    return StageMove(
        id=number,
        created=at,
        updated=at,
        kind=kind,
        owner_id=deal.id,
        category_id=deal.category_id,
        semantic=semantic,
        stage_id=stage_id,
    )


def _lines(shop: words.Shop) -> Iterator[ProductRow]:
    names = {product.id: product.name for product in shop.products}
    number = 0
    for deal in shop.deals:
        for line in deal.lines:
            number += 1
            per_piece = (line.discount / line.quantity).quantize(_CENT_OF_CENT) if line.quantity else Decimal(0)
            yield ProductRow(
                id=number,
                owner_id=deal.id,
                product_id=line.product_id,
                product_name=names.get(line.product_id, ""),
                price=line.price - per_piece,
                discount_sum=per_piece,
                quantity=line.quantity,
            )
