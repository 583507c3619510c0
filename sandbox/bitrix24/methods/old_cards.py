"""`crm.deal.*`, `crm.contact.*`, `crm.company.*`: the same cards in the old form, UPPER names and text values."""

from __future__ import annotations

from functools import partial
from typing import Any

from sandbox.bitrix24.calls import Call, Method, Result, page
from sandbox.bitrix24.errors import missing, old_not_found
from sandbox.bitrix24.fields import Field
from sandbox.bitrix24.methods.items import new_card, read_value, title_of
from sandbox.bitrix24.php import as_int, as_list, as_map
from sandbox.bitrix24.query import find, parse_filter, parse_order, start_of
from sandbox.bitrix24.rows import Card, Company, Contact
from sandbox.bitrix24.state import ENTITY_WORDS
from sandbox.bitrix24.table import Table
from sandbox.bitrix24.values import Kind

_HIDDEN = {"CONTACT_IDS", "COMPANY_IDS", "CREATED_TIME", "UPDATED_TIME"}


def _table(call: Call, entity_type: int) -> Table[Any]:
    table = call.state.table(entity_type)
    if table is None:
        raise old_not_found()
    return table


def _card(call: Call, entity_type: int) -> Any:
    row = call.state.card(entity_type, as_int(call.any_case("id")))
    if row is None:
        raise old_not_found()
    return row


def _given(call: Call) -> dict[str, Any]:
    given = as_map(call.any_case("fields"))
    if not given:
        raise missing("fields")
    return given


def old_list(entity_type: int, call: Call) -> Result:
    """`crm.{deal,contact,company}.list`."""
    table = _table(call, entity_type)
    names = table.fields.by_old
    wanted = parse_filter(table, call.any_case("filter"), names, strict=False)
    order = parse_order(call.any_case("order"), names, strict=False)
    found = find(table, wanted, order, start_of(call.any_case("start")))
    asked = [str(name) for name in as_list(call.any_case("select"))] or ["*"]
    chosen = [field for field in table.fields if _is_chosen(field, asked)]
    return page([_shape(table, row, chosen, asked) for row in found.rows], found)


def _is_chosen(field: Field, asked: list[str]) -> bool:
    if field.old in _HIDDEN:
        return False
    if field.custom:
        return "UF_*" in asked or field.old in asked
    return "*" in asked or field.old in asked or field.old == "ID"


def _shape(table: Table[Any], row: Card, chosen: list[Field], asked: list[str]) -> dict[str, Any]:
    shown = {field.old: table.fields.old_value(field, row) for field in chosen}
    if isinstance(row, Contact | Company):
        for kind, values in (("PHONE", row.phones), ("EMAIL", row.emails)):
            if kind in asked and values:
                shown[kind] = [
                    {"ID": str(row.id * 10 + place), "VALUE_TYPE": "WORK", "VALUE": value, "TYPE_ID": kind}
                    for place, value in enumerate(values)
                ]
    return shown


def old_get(entity_type: int, call: Call) -> Result:
    """`crm.{deal,contact,company}.get`: everything, custom fields and phones too."""
    row = _card(call, entity_type)
    table = _table(call, entity_type)
    chosen = [field for field in table.fields if field.old not in _HIDDEN]
    return Result(_shape(table, row, chosen, ["PHONE", "EMAIL"]))


def _values(call: Call, table: Table[Any]) -> dict[Field, Any]:
    values: dict[Field, Any] = {}
    for name, given in _given(call).items():
        field = table.fields.by_old.get(name)
        if field is None or not field.writable:
            continue
        if field.kind is Kind.FLAG:
            values[field] = None if given in (None, "") else bool(as_int(given))  # Y counts as 0 here
        else:
            values[field] = read_value(call, field, given)
    return values


def old_update(entity_type: int, call: Call) -> Result:
    """`crm.{deal,contact,company}.update`; unlike the item methods it really empties a field."""
    row = _card(call, entity_type)
    values = _values(call, _table(call, entity_type))
    call.state.write_card(entity_type, row, values, call.now, call.state.user_id)
    return Result(True)


def old_add(entity_type: int, call: Call) -> Result:
    """`crm.{deal,contact,company}.add`."""
    values = _values(call, _table(call, entity_type))
    return Result(new_card(call, entity_type, values, _given(call)).id)


def old_delete(entity_type: int, call: Call) -> Result:
    """`crm.{deal,contact,company}.delete`."""
    call.state.delete_card(entity_type, _card(call, entity_type))
    return Result(True)


def old_fields(entity_type: int, call: Call) -> Result:
    """`crm.{deal,contact,company}.fields`."""
    shown: dict[str, Any] = {}
    for field in _table(call, entity_type).fields:
        if field.old in _HIDDEN:
            continue
        shown[field.old] = {
            "type": field.custom.type if field.custom else str(field.kind),
            "isRequired": False,
            "isReadOnly": not field.writable,
            "isMultiple": bool(field.custom and field.custom.multiple),
            "isDynamic": field.custom is not None,
            "title": title_of(field),
        }
        if field.custom is not None and field.kind is Kind.ENUM:
            shown[field.old]["items"] = [{"ID": str(one.id), "VALUE": one.value} for one in field.custom.elements]
    return Result(shown)


def _family(entity_type: int, word: str) -> tuple[Method, ...]:
    return (
        Method(f"crm.{word}.list", partial(old_list, entity_type), "crm"),
        Method(f"crm.{word}.get", partial(old_get, entity_type), "crm"),
        Method(f"crm.{word}.fields", partial(old_fields, entity_type), "crm"),
        Method(f"crm.{word}.update", partial(old_update, entity_type), "crm", writes=True),
        Method(f"crm.{word}.add", partial(old_add, entity_type), "crm", writes=True),
        Method(f"crm.{word}.delete", partial(old_delete, entity_type), "crm", writes=True),
    )


METHODS = tuple(method for number, word in ENTITY_WORDS.items() for method in _family(number, word))
