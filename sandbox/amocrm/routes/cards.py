"""`/leads`, `/contacts`, `/companies`: lists, single cards, creating and changing.

https://www.amocrm.ru/developers/content/crm_platform/leads-api, …/contacts-api, …/companies-api
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import Any

from sandbox.amocrm.account import Account
from sandbox.amocrm.calls import Call, hal, made, nothing, page_answer, run_batch, run_one
from sandbox.amocrm.changes import CardChange, apply_change, create_card, read_change
from sandbox.amocrm.filters import matching
from sandbox.amocrm.problems import Problem, missing, unsupported, wrong_type
from sandbox.amocrm.query import Window, address, included, ordering, window
from sandbox.amocrm.router import Route
from sandbox.amocrm.rows import Card, Kind
from sandbox.amocrm.values import view_stored
from sandbox.amocrm.views import view_card, view_trash
from sandbox.web import Answer

CHANGEABLE: tuple[Kind, ...] = ("leads", "contacts", "companies")


def list_cards(kind: Kind, call: Call) -> Answer:
    """A page of cards in the order asked for, by id when none is."""
    at, wanted = window(call.query), included(call.query)
    if kind == "leads" and "only_deleted" in wanted:
        return _trash_page(call, at)
    rows = _select(call, kind, at)
    views = [view_card(call.account, kind, card, wanted, call.base) for card in rows[: at.limit]]
    return page_answer(call, kind, views, at, more=len(rows) > at.limit)


def _select(call: Call, kind: Kind, at: Window) -> list[Card]:
    """One card more than the page holds, to know whether there is a next one."""
    table = call.account.table(kind)
    name, falling = next(((name, down) for name, down in ordering(call.query) if table.orderable(name)), ("id", False))
    searched = call.query.get("query")
    filtered = call.filter if call.account.settings.is_api_filter_enabled else {}
    if not searched and not filtered:
        return table.page(name, at.start, at.limit + 1, falling=falling)
    ids = _kept_ids(call, kind, name, falling=falling)
    return [table.rows[one] for one in islice(ids, at.start, at.start + at.limit + 1)]


def _kept_ids(call: Call, kind: Kind, name: str, *, falling: bool) -> list[int]:
    """Ids of a filtered list in order; kept until a card of this kind changes, for the pages that follow."""
    account, table = call.account, call.account.table(kind)
    asked = address(kind, call.query, Window(1, 1))
    version, ids = account.found.get(asked, (-1, []))
    if version == table.version:
        return ids
    filtered = call.filter if account.settings.is_api_filter_enabled else {}
    found = list(matching(account, kind, filtered))
    if call.query.get("query"):
        found = [card for card in found if _mentions(account, kind, card, str(call.query["query"]).lower())]
    found.sort(key=lambda card: (getattr(card, name), card.id), reverse=falling)
    ids = [card.id for card in found]
    account.found = {asked: (table.version, ids)}
    return ids


def _mentions(account: Account, kind: Kind, card: Card, text: str) -> bool:
    if text in card.name.lower():
        return True
    book = account.books[kind]
    return any(text in str(view["value"]).lower() for one in card.values.values() for view in view_stored(one, book))


def _trash_page(call: Call, at: Window) -> Answer:
    trash = call.account.leads.hidden()
    part = trash[at.start : at.start + at.limit]
    views = [view_trash(call.account, lead) for lead in part]
    return page_answer(call, "leads", views, at, more=len(trash) > at.start + at.limit)


def get_card(kind: Kind, call: Call) -> Answer:
    """One card; a missing or deleted one is 204."""
    card = call.account.card(kind, call.number("id"))
    if card is None:
        return nothing()
    return hal(view_card(call.account, kind, card, included(call.query), call.base))


def create_cards(kind: Kind, call: Call) -> Answer:
    """POST of an array."""
    account = call.account

    def commit(change: CardChange) -> dict[str, Any]:
        card = create_card(account, kind, change, by=account.token_user_id)
        return {"id": card.id, "_links": _self(call, kind, card)}

    return made(call, kind, run_batch(call, lambda item: read_change(account, kind, item, None), commit))


def change_cards(kind: Kind, call: Call) -> Answer:
    """PATCH of an array; answers are thin."""
    done = run_batch(call, partial(_prepare, call.account, kind), partial(_commit, call, kind))
    return made(call, kind, done)


def change_card(kind: Kind, call: Call) -> Answer:
    """PATCH of one card; a missing one is 404."""
    card = call.account.card(kind, call.number("id"))
    if card is None:
        call.item()
        raise Problem(404, "Entity not found")
    body: dict[str, Any] = run_one(
        call, lambda item: (card, read_change(call.account, kind, item, card)), partial(_commit, call, kind)
    )
    return hal(body)


def _prepare(account: Account, kind: Kind, item: object) -> tuple[Card, CardChange] | None:
    card_id = item.get("id") if isinstance(item, Mapping) else None
    if card_id is None:
        raise missing("id")
    if isinstance(card_id, bool) or not isinstance(card_id, int):
        raise wrong_type("id", "int")
    card = account.card(kind, card_id)
    if card is None:
        if account.rules.unknown_id == "absent":
            return None
        raise unsupported("id")
    return card, read_change(account, kind, item, card)


def _commit(call: Call, kind: Kind, plan: tuple[Card, CardChange]) -> dict[str, Any]:
    card, change = plan
    apply_change(call.account, kind, card, change, by=call.account.token_user_id)
    return {"id": card.id, "updated_at": card.updated_at, "_links": _self(call, kind, card)}


def _self(call: Call, kind: Kind, card: Card) -> dict[str, Any]:
    return {"self": {"href": f"{call.base}/{kind}/{card.id}"}}


ROUTES = tuple(
    route
    for kind in CHANGEABLE
    for route in (
        Route("GET", kind, partial(list_cards, kind)),
        Route("POST", kind, partial(create_cards, kind)),
        Route("PATCH", kind, partial(change_cards, kind)),
        Route("GET", f"{kind}/{{id:int}}", partial(get_card, kind)),
        Route("PATCH", f"{kind}/{{id:int}}", partial(change_card, kind)),
    )
)
