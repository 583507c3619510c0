"""`crm.{contact,company,deal}.userfield.*`: custom fields. Refusals come as words with the code ERROR_CORE."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from sandbox.bitrix24.calls import Call, Method, Result
from sandbox.bitrix24.errors import RestError, core, missing, old_not_found
from sandbox.bitrix24.fields import PREFIX
from sandbox.bitrix24.php import as_int, as_list, as_map, is_yes
from sandbox.bitrix24.rows import Element, UserField
from sandbox.bitrix24.state import COMPANY, CONTACT, DEAL, State
from sandbox.bitrix24.table import Table

MAX_NAME = 50
_NAME = re.compile(r"[A-Z0-9_]+")
_TYPES = frozenset(
    {
        *("string", "integer", "double", "boolean", "datetime", "date", "money", "url", "address", "enumeration"),
        *("file", "employee", "crm_status", "iblock_section", "iblock_element", "crm"),
    }
)
_LABELS = ("EDIT_FORM_LABEL", "LIST_COLUMN_LABEL", "LIST_FILTER_LABEL", "ERROR_MESSAGE", "HELP_MESSAGE")
_ENTITIES = {CONTACT: ("contact", "CRM_CONTACT"), COMPANY: ("company", "CRM_COMPANY"), DEAL: ("deal", "CRM_DEAL")}


def _need_admin(call: Call) -> None:
    if not call.state.admin:
        raise RestError("", "Access denied.", 400)


def _given(call: Call) -> dict[str, Any]:
    given = as_map(call.any_case("fields"))
    if not given:
        raise missing("fields")
    return {key.upper(): value for key, value in given.items()}


def _definition(call: Call, entity: str) -> UserField:
    found = call.state.user_fields[entity].get(as_int(call.any_case("id")))
    if found is None:
        raise old_not_found()
    return found


def normal_name(given: Any) -> str:
    """`rfm_r` → `UF_CRM_RFM_R`; raises `RestError` for a name that cannot be."""
    own = str(given or "").strip().upper().removeprefix(PREFIX)
    if not own:
        raise core("The field 'FIELD_NAME' is required.")
    if not _NAME.fullmatch(own):
        raise core("The field name contains invalid characters (allowed: A-Z, 0-9 and _).")
    if len(PREFIX + own) > MAX_NAME:
        raise core(f"The field name is longer than {MAX_NAME} characters.")
    return PREFIX + own


def add_field(entity: str, entity_type: int, call: Call) -> Result:
    """`.add` → the new field's id."""
    _need_admin(call)
    given = _given(call)
    name, kind = normal_name(given.get("FIELD_NAME")), str(given.get("USER_TYPE_ID", ""))
    if kind not in _TYPES and not kind.startswith("rest_"):
        raise core("The field 'USER_TYPE_ID' is not valid.")
    if any(one.name == name for one in call.state.user_fields[entity].values()):
        raise core(f"The field {name} of the object {entity} already exists.")
    definition = _new_field(call, entity, name, kind, given)
    call.state.user_fields[entity][definition.id] = definition
    _table(call, entity_type).fields.add_custom(definition)
    return Result(definition.id)


def _new_field(call: Call, entity: str, name: str, kind: str, given: Mapping[str, Any]) -> UserField:
    multiple = is_yes(given.get("MULTIPLE"))
    if multiple and kind == "boolean":
        raise core("A field of the type boolean cannot be multiple.")
    elements = _new_elements(call.state, as_list(given.get("LIST")), []) if kind == "enumeration" else []
    return UserField(
        id=next(call.state.field_ids),
        created=call.now,
        updated=call.now,
        entity=entity,
        name=name,
        type=kind,
        xml_id=str(given["XML_ID"]) if given.get("XML_ID") else None,
        sort=as_int(given.get("SORT", 100)) or 100,
        multiple=multiple,
        mandatory=is_yes(given.get("MANDATORY")),
        show_filter="Y" if given.get("SHOW_FILTER") not in (None, "", "N") else "N",
        edit_in_list="N" if given.get("EDIT_IN_LIST") == "N" else "Y",
        settings=as_map(given.get("SETTINGS")),
        labels=_labels(given),
        elements=elements,
    )


def _labels(given: Mapping[str, Any]) -> dict[str, Any]:
    """Every label that was given; `LABEL` stands for those that were not."""
    common = given.get("LABEL")
    found = {name: given.get(name, common) for name in _LABELS[:3]} | {name: given.get(name) for name in _LABELS[3:]}
    return {name: label for name, label in found.items() if label not in (None, "")}


def _new_elements(state: State, rows: list[Any], existing: list[Element]) -> list[Element]:
    """New options; raises `RestError` when two of the field would share an XML_ID."""
    made: list[Element] = []
    taken = {one.xml_id for one in existing}
    for place, row in enumerate(as_map(one) for one in rows):
        number = next(state.element_ids)
        xml_id = str(row.get("XML_ID") or f"e{number:032x}")
        if xml_id in taken:
            raise core(f"The option XML_ID '{xml_id}' is not unique.")
        taken.add(xml_id)
        sort = as_int(row.get("SORT", 10 * (place + 1)))
        made.append(
            Element(
                id=number,
                value=str(row.get("VALUE", "")),
                sort=sort,
                is_default=is_yes(row.get("DEF")),
                xml_id=xml_id,
            )
        )
    return made


def _table(call: Call, entity_type: int) -> Table[Any]:
    table = call.state.table(entity_type)
    if table is None:
        raise old_not_found()
    return table


def _shape(definition: UserField) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "ID": str(definition.id),
        "ENTITY_ID": definition.entity,
        "FIELD_NAME": definition.name,
        "USER_TYPE_ID": definition.type,
        "XML_ID": definition.xml_id,
        "SORT": str(definition.sort),
        "MULTIPLE": "Y" if definition.multiple else "N",
        "MANDATORY": "Y" if definition.mandatory else "N",
        "SHOW_FILTER": definition.show_filter,
        "SHOW_IN_LIST": "Y",
        "EDIT_IN_LIST": definition.edit_in_list,
        "IS_SEARCHABLE": "N",
        "SETTINGS": definition.settings or [],
    }
    if definition.type == "enumeration":
        ordered = sorted(definition.elements, key=lambda one: (one.sort, one.id))
        shown["LIST"] = [
            {
                "ID": str(one.id),
                "SORT": str(one.sort),
                "VALUE": one.value,
                "DEF": "Y" if one.is_default else "N",
                "XML_ID": one.xml_id,
            }
            for one in ordered
        ]
    return shown


def _label_in(label: Any, language: str) -> Any:
    return label.get(language) if isinstance(label, Mapping) else label


def list_fields(entity: str, call: Call) -> Result:
    """`.list`: labels come only with the filter LANG."""
    wanted = {key.upper().lstrip("="): value for key, value in as_map(call.any_case("filter")).items()}
    language = wanted.pop("LANG", None)
    rows: list[dict[str, Any]] = []
    for definition in call.state.user_fields[entity].values():
        shown = _shape(definition)
        if any(str(shown.get(key)) not in {str(one) for one in as_list(value)} for key, value in wanted.items()):
            continue
        if language:
            shown |= {name: _label_in(definition.labels.get(name), str(language)) for name in _LABELS}
        rows.append(shown)
    return Result(rows, total=len(rows))


def get_field(entity: str, call: Call) -> Result:
    """`.get`: with the labels in every language."""
    definition = _definition(call, entity)
    labels = {name: definition.labels[name] for name in _LABELS if name in definition.labels}
    return Result(_shape(definition) | labels)


def update_field(entity: str, entity_type: int, call: Call) -> Result:
    """`.update`: name and type stay as they are; a label replaces all its languages."""
    _need_admin(call)
    definition = _definition(call, entity)
    given = _given(call)
    if "LIST" in given and definition.type == "enumeration":
        _change_elements(call, definition, entity_type, as_list(given["LIST"]))
    definition.labels.update({name: given[name] for name in _LABELS if given.get(name)})
    if "SORT" in given:
        definition.sort = as_int(given["SORT"])
    if "MANDATORY" in given:
        definition.mandatory = is_yes(given["MANDATORY"])
    if "XML_ID" in given:
        definition.xml_id = str(given["XML_ID"])
    if "SHOW_FILTER" in given:
        definition.show_filter = "Y" if given["SHOW_FILTER"] not in ("", "N") else "N"
    return Result(True)


def _change_elements(call: Call, definition: UserField, entity_type: int, rows: list[Any]) -> None:
    """Rows with an ID change or delete (`DEL` Y) that option, the others are added; options not named stay."""
    changes = [as_map(row) for row in rows]
    by_id = {one.id: one for one in definition.elements}
    gone = {as_int(row["ID"]) for row in changes if row.get("ID") and is_yes(row.get("DEL"))}
    kept = [one for one in definition.elements if one.id not in gone]
    added = _new_elements(call.state, [row for row in changes if not row.get("ID")], kept)
    for row in changes:
        element = by_id.get(as_int(row.get("ID")))
        if element is None or element.id in gone:
            continue
        element.value = str(row.get("VALUE", element.value))
        element.sort = as_int(row.get("SORT", element.sort))
        element.xml_id = str(row.get("XML_ID", element.xml_id))
        element.is_default = is_yes(row.get("DEF", element.is_default))
    definition.elements = kept + added
    if gone:
        _forget_values(_table(call, entity_type), definition.name, gone)


def _forget_values(table: Table[Any], name: str, gone: set[int] | None = None) -> None:
    """Values of a deleted field, or those that are deleted options, vanish without the card counting as changed."""
    for row in table.rows.values():
        if row.uf and name in row.uf and (gone is None or row.uf[name] in gone):
            row.uf = {key: value for key, value in row.uf.items() if key != name}


def delete_field(entity: str, entity_type: int, call: Call) -> Result:
    """`.delete`: the field goes with all its values, for ever."""
    _need_admin(call)
    definition = _definition(call, entity)
    del call.state.user_fields[entity][definition.id]
    table = _table(call, entity_type)
    table.fields.remove_custom(definition.name)
    _forget_values(table, definition.name)
    return Result(True)


def _family(entity_type: int, word: str, entity: str) -> tuple[Method, ...]:
    name = f"crm.{word}.userfield"
    return (
        Method(f"{name}.add", partial(add_field, entity, entity_type), "crm", writes=True),
        Method(f"{name}.list", partial(list_fields, entity), "crm"),
        Method(f"{name}.get", partial(get_field, entity), "crm"),
        Method(f"{name}.update", partial(update_field, entity, entity_type), "crm", writes=True),
        Method(f"{name}.delete", partial(delete_field, entity, entity_type), "crm", writes=True),
    )


METHODS = tuple(method for number, (word, entity) in _ENTITIES.items() for method in _family(number, word, entity))
