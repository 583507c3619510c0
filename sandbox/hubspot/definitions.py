"""Property definitions and groups of one object type: which exist, what they accept, how they may change.

Source: developers.hubspot.com, "Properties", read November 2026. Option values are compared as they stand, case
and spaces included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.hubspot import values
from sandbox.hubspot.errors import Refused, invalid
from sandbox.hubspot.kinds import Kind

PAIRS: Mapping[str, frozenset[str]] = {
    "number": frozenset({"number", "calculation_equation"}),
    "enumeration": frozenset({"select", "radio", "checkbox", "booleancheckbox", "calculation_equation"}),
    "bool": frozenset({"booleancheckbox", "calculation_equation"}),
    "datetime": frozenset({"date"}),
    "date": frozenset({"date"}),
    "string": frozenset({"text", "textarea", "html", "phonenumber", "file", "calculation_equation"}),
    "phone_number": frozenset({"phonenumber"}),
}
MAX_UNIQUE = 10
MAX_CUSTOM = 1000
_READERS: Mapping[str, Callable[[str], str]] = {
    "number": values.number,
    "datetime": values.moment,
    "date": values.day,
    "bool": values.boolean,
    "email": values.email,
}
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(slots=True)
class Definition:
    """One property. `read_only` values are the portal's own business."""

    name: str
    label: str
    type: str
    field_type: str
    group: str
    description: str = ""
    options: list[dict[str, Any]] = field(default_factory=list)
    hubspot_defined: bool = False
    read_only: bool = False
    unique: bool = False
    hidden: bool = False
    form_field: bool = False
    display_order: int = -1
    owner: bool = False
    created_ms: int = 0
    updated_ms: int = 0
    archived_ms: int | None = None

    def accept(self, text: str, before: str = "") -> str:
        """What is kept for `text`; raises `BadValueError`. "" clears and is accepted everywhere."""
        if self.read_only:
            raise values.BadValueError("READ_ONLY_VALUE", f'"{self.name}" is a read only property')
        if not text:
            return ""
        if self.type == "enumeration" and not self.owner:
            allowed = frozenset(str(option["value"]) for option in self.options)
            return values.option(text, allowed, several=self.field_type == "checkbox", before=before)
        return _READERS.get("email" if self.name == "email" else self.type, values.text_value)(text)

    def body(self) -> dict[str, Any]:
        """As answers show it."""
        body: dict[str, Any] = {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.field_type,
            "groupName": self.group,
            "description": self.description,
            "options": self.options,
            "displayOrder": self.display_order,
            "calculated": self.read_only and self.hubspot_defined,
            "externalOptions": self.owner,
            "hasUniqueValue": self.unique,
            "hidden": self.hidden,
            "formField": self.form_field,
            "hubspotDefined": self.hubspot_defined,
            "archived": self.archived_ms is not None,
            "dataSensitivity": "non_sensitive",
            "createdAt": values.iso_full(self.created_ms),
            "updatedAt": values.iso_full(self.updated_ms),
            "modificationMetadata": {
                "archivable": not self.hubspot_defined,
                "readOnlyDefinition": self.hubspot_defined,
                "readOnlyOptions": self.hubspot_defined,
                "readOnlyValue": self.read_only,
            },
        }
        if self.owner:
            body["referencedObjectType"] = "OWNER"
        if self.archived_ms is not None:
            body["archivedAt"] = values.iso_full(self.archived_ms)
        return body


@dataclass(slots=True)
class Group:
    """A heading under which properties stand."""

    name: str
    label: str
    display_order: int = -1

    def body(self) -> dict[str, Any]:
        """As answers show it."""
        return {"name": self.name, "label": self.label, "displayOrder": self.display_order, "archived": False}


class Definitions:
    """All properties and groups of one object type."""

    def __init__(self, kind: Kind, own: Iterable[Definition]) -> None:
        self.kind = kind
        self.live: dict[str, Definition] = {definition.name: definition for definition in own}
        self.archived: dict[str, Definition] = {}
        self.in_use: set[str] = set()  # properties that a list, workflow or form uses
        name = f"{kind.singular}information"
        self.groups: dict[str, Group] = {name: Group(name, f"{kind.singular.title()} information", 0)}

    @property
    def custom(self) -> int:
        """How many live properties are not HubSpot's own."""
        return sum(not definition.hubspot_defined for definition in self.live.values())

    def find(self, name: str) -> Definition:
        """A live property; raises 404."""
        try:
            return self.live[name]
        except KeyError:
            raise Refused(
                404, "OBJECT_NOT_FOUND", f'Property "{name}" does not exist', sub_category="Properties.NOT_FOUND"
            ) from None

    def find_group(self, name: str) -> Group:
        """A group; raises 404."""
        try:
            return self.groups[name]
        except KeyError:
            raise Refused(404, "OBJECT_NOT_FOUND", f'Property group "{name}" does not exist') from None

    def create(self, data: Mapping[str, Any], now_ms: int) -> Definition:
        """Add one, or restore an archived one of that name. Raises 400 and 409."""
        name = data.get("name", "")
        _check_create(data, self.groups)
        if name in self.live:
            raise Refused(
                409,
                "OBJECT_ALREADY_EXISTS",
                f'A property named "{name}" already exists.',
                sub_category="Properties.PROPERTY_WITH_NAME_EXISTS",
                context={"name": (name,)},
            )
        unique = bool(data.get("hasUniqueValue"))
        if unique and sum(d.unique for d in self.live.values()) >= MAX_UNIQUE:
            raise invalid(f"At most {MAX_UNIQUE} properties with unique values are allowed.")
        if self.custom >= MAX_CUSTOM:
            raise invalid("The limit of custom properties is reached.", "PROPERTY_LIMIT_REACHED")
        self.archived.pop(name, None)
        definition = Definition(
            name=name,
            label=data["label"],
            type=data["type"],
            field_type=data["fieldType"],
            group=data["groupName"],
            description=data.get("description", ""),
            options=_options(data.get("options", [])),
            unique=unique,
            hidden=bool(data.get("hidden", False)),
            form_field=bool(data.get("formField", False)),
            display_order=data.get("displayOrder", -1),
            owner=data.get("referencedObjectType") == "OWNER",
            created_ms=now_ms,
            updated_ms=now_ms,
        )
        self.live[name] = definition
        return definition

    def change(self, name: str, data: Mapping[str, Any], now_ms: int) -> Definition:
        """PATCH: what is given replaces what was, the whole list of options included."""
        definition = self.find(name)
        if definition.hubspot_defined and set(data) - {"options"}:
            raise invalid(f'Property "{name}" is defined by HubSpot', "READ_ONLY_DEFINITION", name=name)
        kept_type, kept_field = data.get("type", definition.type), data.get("fieldType", definition.field_type)
        _check_pair(kept_type, kept_field)
        if "groupName" in data and data["groupName"] not in self.groups:
            raise invalid(f'Property group "{data["groupName"]}" does not exist', "GROUP_DOES_NOT_EXIST")
        options = _options(data["options"]) if "options" in data else definition.options
        definition.type, definition.field_type, definition.options = kept_type, kept_field, options
        definition.label = data.get("label", definition.label)
        definition.description = data.get("description", definition.description)
        definition.group = data.get("groupName", definition.group)
        definition.hidden = bool(data.get("hidden", definition.hidden))
        definition.form_field = bool(data.get("formField", definition.form_field))
        definition.display_order = data.get("displayOrder", definition.display_order)
        definition.updated_ms = now_ms
        return definition

    def archive(self, name: str, now_ms: int) -> None:
        """Take it away; its values stay and come back with it."""
        definition = self.find(name)
        if definition.hubspot_defined:
            raise invalid(f'Property "{name}" cannot be archived', "READ_ONLY_DEFINITION", name=name)
        if name in self.in_use:
            raise Refused(
                400,
                "VALIDATION_ERROR",
                f'Property "{name}" is in use',
                sub_category="Properties.CANNOT_DELETE_PROPERTY_IN_USE",
            )
        definition.archived_ms = now_ms
        self.archived[name] = self.live.pop(name)

    def create_group(self, data: Mapping[str, Any]) -> Group:
        """Add a group; 409 when it exists."""
        name = _needed(data, "name")
        _check_name(name)
        if name in self.groups:
            raise Refused(
                409,
                "OBJECT_ALREADY_EXISTS",
                f'A property group named "{name}" already exists.',
                sub_category="Properties.GROUP_WITH_NAME_EXISTS",
                context={"name": (name,)},
            )
        self.groups[name] = Group(name, _needed(data, "label"), data.get("displayOrder", -1))
        return self.groups[name]

    def archive_group(self, name: str) -> None:
        """Take a group away; 400 while live properties stand in it."""
        self.find_group(name)
        if any(definition.group == name for definition in self.live.values()):
            raise Refused(
                400,
                "VALIDATION_ERROR",
                f'Property group "{name}" has active properties',
                sub_category="Properties.GROUP_WITH_ACTIVE_PROPERTIES",
            )
        del self.groups[name]


def _needed(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value:
        raise invalid(f"Invalid input JSON: some required fields were not set: [{key}]", "REQUIRED_FIELD")
    return value


def _order(value: object) -> int:
    if not isinstance(value, int):
        raise invalid('Invalid input JSON on line 1, column 1: Cannot deserialize value of "displayOrder"')
    return value


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise invalid("Names are lower-case letters, digits and underscores, beginning with a letter.", "INVALID_NAME")


def _check_pair(type_: str, field_type: str) -> None:
    if type_ not in PAIRS:
        raise invalid(f'"{type_}" is not a property type', "INVALID_TYPE")
    if field_type not in PAIRS[type_]:
        raise invalid(f'fieldType "{field_type}" does not fit type "{type_}"', "INVALID_FIELD_TYPE")


def _check_create(data: Mapping[str, Any], groups: Mapping[str, Group]) -> None:
    for key in ("name", "label", "type", "fieldType", "groupName"):
        _needed(data, key)
    _check_name(data["name"])
    _check_pair(data["type"], data["fieldType"])
    if data["groupName"] not in groups:
        raise invalid(f'Property group "{data["groupName"]}" does not exist', "GROUP_DOES_NOT_EXIST")
    options = _options(data.get("options", []))
    choice = data["type"] == "enumeration" and data["fieldType"] != "calculation_equation"
    if choice and not options and not data.get("externalOptions"):
        raise invalid("An enumeration needs options.", "INVALID_OPTIONS")
    booleans = sorted(option["value"] for option in options)
    if data["type"] == "bool" and booleans != ["false", "true"]:
        raise invalid("A boolean has exactly the options true and false.", "INVALID_OPTIONS")
    if options and data["type"] not in {"enumeration", "bool"}:
        raise invalid(f'Type "{data["type"]}" takes no options.', "INVALID_OPTIONS")


def _options(given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if not all(isinstance(option, Mapping) for option in given):
        raise invalid("Invalid input JSON on line 1, column 1: options must be objects")
    options = [
        {
            "label": _needed(option, "label"),
            "value": _needed(option, "value"),
            "description": option.get("description", ""),
            "displayOrder": _order(option.get("displayOrder", -1)),
            "hidden": bool(option.get("hidden", False)),
        }
        for option in given
    ]
    for key in ("label", "value"):
        if len({option[key] for option in options}) != len(options):
            raise invalid(f"Property option {key}s must be unique.", "DUPLICATE_OPTION")
    return options


def choices(pairs: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Options from (value, label), in order."""
    return _options([{"value": v, "label": t, "displayOrder": n} for n, (v, t) in enumerate(pairs)])
