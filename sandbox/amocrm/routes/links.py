"""Links between entities: `/{entity}/links`, `/{entity}/{id}/links`, `link` and `unlink`.

https://www.amocrm.ru/developers/content/crm_platform/entity-links-api
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from sandbox.amocrm.calls import Call, hal, nothing, run_batch
from sandbox.amocrm.links import Target, link_rows, read_target, tell_link, tie, untie
from sandbox.amocrm.problems import Problem
from sandbox.amocrm.query import numbers
from sandbox.amocrm.router import Route
from sandbox.amocrm.rows import Card, Kind
from sandbox.web import Answer


def links_of_one(call: Call) -> Answer:
    """Everything one card is tied to."""
    return _answer(call, [call.number("id")])


def links_of_many(call: Call) -> Answer:
    """The same for several cards; `filter[entity_id]` is required."""
    if "entity_id" not in call.filter:
        raise Problem(400, "filter[entity_id] is required")
    return _answer(call, numbers(call.filter["entity_id"]))


def _answer(call: Call, ids: Iterable[int]) -> Answer:
    kind = cast("Kind", call.parts["kind"])
    cards = (call.account.card(kind, one) for one in ids)
    rows = [row for card in cards if card is not None for row in link_rows(call.account, kind, card)]
    kept = [row for row in rows if _wanted(call, row)]
    return hal({"_links": {"self": {"href": call.url}}, "_embedded": {"links": kept}}) if kept else nothing()


def _wanted(call: Call, row: dict[str, Any]) -> bool:
    """`to_entity_id` and `to_entity_type` work only together."""
    asked = call.filter
    if "to_catalog_id" in asked:
        metadata = row["metadata"] or {}
        return metadata.get("catalog_id") in numbers(asked["to_catalog_id"])
    if "to_entity_id" in asked and "to_entity_type" in asked:
        same = row["to_entity_type"] == asked["to_entity_type"]
        return same and row["to_entity_id"] in numbers(asked["to_entity_id"])
    return True


def link(call: Call) -> Answer:
    """Tie a card to others; answers the links made."""
    made = _change(call, tie, "entity_linked")
    return hal({"_links": {"self": {"href": call.url}}, "_embedded": {"links": made}})


def unlink(call: Call) -> Answer:
    """Untie; 204."""
    _change(call, untie, "entity_unlinked")
    return nothing()


def _change(call: Call, change: Callable[..., None], event: str) -> list[dict[str, Any]]:
    account, kind = call.account, cast("Kind", call.parts["kind"])
    card = account.card(kind, call.number("id"))
    if card is None:
        raise Problem(404, "Entity not found")
    found: Card = card

    def commit(target: Target) -> dict[str, Any]:
        change(account, kind, found, target)
        tell_link(account, event, kind, found, target, account.token_user_id)
        rows = link_rows(account, kind, found)
        same = (row for row in rows if (row["to_entity_type"], row["to_entity_id"]) == (target.kind, target.id))
        return next(same, {})

    return run_batch(call, lambda row: read_target(account, kind, row), commit)


ROUTES = (
    Route("GET", "{kind:kind}/links", links_of_many),
    Route("GET", "{kind:kind}/{id:int}/links", links_of_one),
    Route("POST", "{kind:kind}/{id:int}/link", link),
    Route("POST", "{kind:kind}/{id:int}/unlink", unlink),
)
