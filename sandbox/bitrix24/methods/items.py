"""`crm.item.*`: deals, contacts and companies with typed values under camelCase names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.bitrix24.calls import Call, Method, Result, page
from sandbox.bitrix24.errors import RestError, invalid_value, not_found
from sandbox.bitrix24.fields import Field
from sandbox.bitrix24.php import as_list, as_map, is_yes
from sandbox.bitrix24.query import find, parse_filter, parse_order, start_of
from sandbox.bitrix24.rows import Card, Company, Contact, Deal
from sandbox.bitrix24.state import COMPANY, CONTACT, DEAL
from sandbox.bitrix24.table import Table
from sandbox.bitrix24.values import BadValue, Kind, read

_SCALAR = str | int | float | bool
_CLASSES: Mapping[int, type[Card]] = {DEAL: Deal, CONTACT: Contact, COMPANY: Company}


def _table(call: Call) -> tuple[int, Table[Any]]:
    entity_type = call.whole("entityTypeId")
    table = call.state.table(entity_type)
    if table is None:
        raise not_found("Entity type not found")
    return entity_type, table


def _card(call: Call, table: Table[Any]) -> Any:
    row = table.rows.get(call.whole("id"))
    if row is None:
        raise not_found("Element not found")
    return row


def phones_and_mails(row: Contact | Company) -> list[dict[str, Any]]:
    """The multi-field `fm`."""
    found = [("PHONE", one) for one in row.phones] + [("EMAIL", one) for one in row.emails]
    return [
        {"id": row.id * 10 + place, "typeId": kind, "valueType": "WORK", "value": value}
        for place, (kind, value) in enumerate(found)
    ]


def _names(call: Call, table: Table[Any]) -> Mapping[str, Field]:
    """Camel names; with `useOriginalUfNames` custom fields by their original ones."""
    fields = table.fields
    if not is_yes(call.params.get("useOriginalUfNames")):
        return fields.by_camel
    return {(one.upper if one.custom else one.camel): one for one in fields}


def _shape(call: Call, entity_type: int, table: Table[Any]) -> Any:
    """What makes the JSON of a row, after `select`."""
    asked = [str(name) for name in as_list(call.params.get("select"))]
    whole = not asked or "*" in asked
    original = is_yes(call.params.get("useOriginalUfNames"))
    by_name = _names(call, table)
    wanted = None if whole else [by_name[name].camel for name in asked if name in by_name]
    readers = table.fields.item_readers(wanted)
    if original:
        readers = [(_original(table, name), reader) for name, reader in readers]
    with_fm = whole and entity_type != DEAL

    def shape(row: Any) -> dict[str, Any]:
        item = {name: reader(row) for name, reader in readers}
        if whole:
            item["entityTypeId"] = entity_type
        if with_fm:
            item["fm"] = phones_and_mails(row)
        return item

    return shape


def _original(table: Table[Any], camel: str) -> str:
    field = table.fields.by_camel[camel]
    return field.upper if field.custom else camel


def item_list(call: Call) -> Result:
    """`crm.item.list`."""
    entity_type, table = _table(call)
    names = _names(call, table)
    wanted = parse_filter(table, call.params.get("filter"), names, strict=True)
    order = parse_order(call.params.get("order"), names, strict=True)
    found = find(table, wanted, order, start_of(call.params.get("start")))
    shape = _shape(call, entity_type, table)
    return page({"items": [shape(row) for row in found.rows]}, found)


def item_get(call: Call) -> Result:
    """`crm.item.get`."""
    entity_type, table = _table(call)
    return Result({"item": _shape(call, entity_type, table)(_card(call, table))})


def item_update(call: Call) -> Result:
    """`crm.item.update`: the whole item comes back. Names it does not know are passed over in silence."""
    entity_type, table = _table(call)
    row = _card(call, table)
    values, kept = _read_fields(call, table)
    call.state.write_card(entity_type, row, values, call.now, call.state.user_id)
    item = _shape(call, entity_type, table)(row)
    item.update({name: None for name in kept if name in item})
    return Result({"item": item})


def _read_fields(call: Call, table: Table[Any]) -> tuple[dict[Field, Any], list[str]]:
    """The values to store, and the names of enumerations that were to be emptied.

    Emptying an enumeration through the item methods is shown as done, but the stored value stays
    (bitrix-tools/b24-rest-docs issues 145 and 269).
    """
    values: dict[Field, Any] = {}
    kept: list[str] = []
    by_name = _names(call, table)
    for name, given in call.fields().items():
        field = by_name.get(name)
        if field is None or not field.writable:
            continue
        value = read_value(call, field, given)
        if field.kind is Kind.ENUM and value is None:
            kept.append(name)
        else:
            values[field] = value
    return values, kept


def read_value(call: Call, field: Field, given: Any) -> Any:
    """A value for a field; raises `RestError` when it does not fit."""
    custom = field.custom
    if custom is not None and custom.multiple:
        if isinstance(given, _SCALAR) and given != "":
            raise RestError("100", f"Invalid value for multiple field {field.camel}: an array is expected")
        return as_list(given) or None
    try:
        value = read(field.kind, given, call.state.zone)
    except BadValue as error:
        raise invalid_value(field.upper) from error
    if custom is not None and field.kind is Kind.ENUM and value not in {None, *(one.id for one in custom.elements)}:
        raise invalid_value(field.upper)
    return False if field.kind is Kind.CHAR and value is None else value


def item_add(call: Call) -> Result:
    """`crm.item.add`."""
    entity_type, table = _table(call)
    values, _ = _read_fields(call, table)
    row = new_card(call, entity_type, values, call.fields())
    return Result({"item": _shape(call, entity_type, table)(row)})


def new_card(call: Call, entity_type: int, values: Mapping[Field, Any], given: Mapping[str, Any]) -> Card:
    """Make a card, with its multi-field when there is one, and take it in."""
    state = call.state
    table = state.table(entity_type)
    if table is None:
        raise not_found("Entity type not found")
    row = _CLASSES[entity_type](id=table.next_id(), assigned_by_id=state.user_id, created_by=state.user_id)
    for field, value in values.items():
        field.put(row, value)
    if isinstance(row, Deal):
        stages = state.funnels[row.category_id].stages
        stage = next((one for one in stages if one.status_id == row.stage_id), stages[0])
        row.stage_id, row.semantic = stage.status_id, stage.semantic
    elif isinstance(row, Contact | Company):
        row.phones = _multi(given, "PHONE")
        row.emails = _multi(given, "EMAIL")
    state.add_card(entity_type, row, call.now)
    return row


def _multi(given: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    """Values of one kind from `fm` (item methods) or from the kind's own key (old methods)."""
    typed = [as_map(one) for one in as_list(given.get("fm"))]
    own = [as_map(one) for one in as_list(given.get(kind))]
    found = [one.get("value") for one in typed if one.get("typeId") == kind] + [one.get("VALUE") for one in own]
    return tuple(str(value) for value in found if value)


def item_delete(call: Call) -> Result:
    """`crm.item.delete`."""
    entity_type, table = _table(call)
    call.state.delete_card(entity_type, _card(call, table))
    return Result([])


def item_fields(call: Call) -> Result:
    """`crm.item.fields`."""
    _, table = _table(call)
    return Result({"fields": {name: _describe(field) for name, field in _names(call, table).items()}})


def _describe(field: Field) -> dict[str, Any]:
    custom = field.custom
    described: dict[str, Any] = {
        "type": custom.type if custom else str(field.kind),
        "isRequired": False,
        "isReadOnly": not field.writable,
        "isImmutable": False,
        "isMultiple": bool(custom and custom.multiple) or field.kind is Kind.LINKS,
        "isDynamic": custom is not None,
        "title": title_of(field),
        "upperName": field.upper,
    }
    if custom is not None and field.kind is Kind.ENUM:
        described["items"] = [{"ID": str(one.id), "VALUE": one.value} for one in custom.elements]
    return described


def title_of(field: Field) -> str:
    """The label that people see."""
    label = field.custom.labels.get("EDIT_FORM_LABEL") if field.custom else None
    if isinstance(label, Mapping):
        label = next(iter(label.values()), None)
    return str(label or field.upper)


METHODS = (
    Method("crm.item.list", item_list, "crm"),
    Method("crm.item.get", item_get, "crm"),
    Method("crm.item.fields", item_fields, "crm"),
    Method("crm.item.update", item_update, "crm", writes=True),
    Method("crm.item.add", item_add, "crm", writes=True),
    Method("crm.item.delete", item_delete, "crm", writes=True),
)
