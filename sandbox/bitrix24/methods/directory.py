"""Funnels, stages and their history, currencies."""

from __future__ import annotations

from typing import Any

from sandbox.bitrix24.calls import Call, Method, Result, page
from sandbox.bitrix24.errors import not_found
from sandbox.bitrix24.php import as_list, as_map
from sandbox.bitrix24.query import find, parse_filter, parse_order, start_of
from sandbox.bitrix24.state import DEAL, Funnel, Stage

_SEMANTICS = {"P": (None, "process"), "S": ("S", "success"), "F": ("F", "failure")}


def categories(call: Call) -> Result:
    """`crm.category.list`: the funnels; the default one has id 0."""
    if call.whole("entityTypeId") != DEAL:
        raise not_found("Entity type not found")
    rows = [
        {
            "id": one.id,
            "name": one.name,
            "sort": 100 * (place + 1),
            "entityTypeId": DEAL,
            "isDefault": "Y" if one.id == 0 else "N",
        }
        for place, one in enumerate(call.state.funnels.values())
    ]
    return Result({"categories": rows}, total=len(rows))


def _status(place: int, funnel: Funnel, stage: Stage) -> dict[str, Any]:
    semantics, extra = _SEMANTICS[stage.semantic]
    return {
        "ID": str(place),
        "ENTITY_ID": f"DEAL_STAGE_{funnel.id}" if funnel.id else "DEAL_STAGE",
        "STATUS_ID": stage.status_id,
        "NAME": stage.name,
        "NAME_INIT": "",
        "SORT": str(stage.sort),
        "SYSTEM": "Y" if stage.semantic != "P" else "N",
        "CATEGORY_ID": str(funnel.id),
        "COLOR": "",
        "SEMANTICS": semantics,
        "EXTRA": {"SEMANTICS": extra, "COLOR": ""},
    }


def statuses(call: Call) -> Result:
    """`crm.status.list`: the stages of every funnel, all in one answer."""
    wanted = {key.upper().lstrip("="): value for key, value in as_map(call.any_case("filter")).items()}
    pairs = [(one, stage) for one in call.state.funnels.values() for stage in one.stages]
    rows = [_status(place + 1, one, stage) for place, (one, stage) in enumerate(pairs)]
    kept = [
        row
        for row in rows
        if all(str(row.get(key)) in {str(one) for one in as_list(value)} for key, value in wanted.items())
    ]
    return Result(kept, total=len(kept))


def stage_history(call: Call) -> Result:
    """`crm.stagehistory.list` for deals."""
    if call.whole("entityTypeId") != DEAL:
        raise not_found("Entity type not found")
    table = call.state.moves
    names = table.fields.by_old
    wanted = parse_filter(table, call.any_case("filter"), names, strict=False)
    order = parse_order(call.any_case("order"), names, strict=False)
    found = find(table, wanted, order, start_of(call.any_case("start")))
    asked = {str(name) for name in as_list(call.any_case("select"))} - {"*"}
    readers = [
        (table.fields.by_camel[name].upper, reader)
        for name, reader in table.fields.item_readers()
        if not asked or table.fields.by_camel[name].upper in asked | {"ID"}
    ]
    return page({"items": [{name: reader(row) for name, reader in readers} for row in found.rows]}, found)


def currencies(call: Call) -> Result:
    """`crm.currency.list`: everything as text; `total` is always 0."""
    rows = [
        {
            "CURRENCY": one.code,
            "AMOUNT_CNT": str(one.count),
            "AMOUNT": f"{one.amount:.4f}",
            "SORT": str(100 * (place + 1)),
            "BASE": "Y" if one.code == call.state.base_currency else "N",
            "FULL_NAME": one.code,
            "LID": "en",
            "FORMAT_STRING": "#",
        }
        for place, one in enumerate(call.state.currencies)
    ]
    return Result(rows, total=0)


def base_currency(call: Call) -> Result:
    """`crm.currency.base.get`."""
    return Result(call.state.base_currency)


METHODS = (
    Method("crm.category.list", categories, "crm"),
    Method("crm.status.list", statuses, "crm"),
    Method("crm.stagehistory.list", stage_history, "crm"),
    Method("crm.currency.list", currencies, "crm"),
    Method("crm.currency.base.get", base_currency, "crm"),
)
