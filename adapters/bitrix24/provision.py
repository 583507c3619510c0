"""Our custom fields on contacts and companies: what is missing, creating it, and a section for it on the card.

https://apidocs.bitrix24.com/api-reference/crm/contacts/userfield/ (read 2026-11)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from marshmallow import fields

from adapters.bitrix24.client import Client, Command, Listing
from adapters.bitrix24.schemas import ENTITY, FAMILY, NAMES, Loose, load, required
from adapters.contract import FieldMap, FieldRef, FieldSpec, FieldStep, FieldType
from adapters.errors import Conflict, CRMError, Interrupted, Rejected, Unavailable, Unsupported
from adapters.fields import flag
from adapters.records import CustomerKind

log = logging.getLogger("rfm.bitrix24")

_TRIES = 8
TYPES = MappingProxyType(
    {
        FieldType.INTEGER: "integer",
        FieldType.DECIMAL: "double",
        FieldType.TEXT: "string",
        FieldType.LONG_TEXT: "string",
        FieldType.CHOICE: "enumeration",
        FieldType.TIME: "datetime",
        FieldType.FLAG: "boolean",
    }
)
_SETTINGS: Mapping[FieldType, Mapping[str, Any]] = MappingProxyType(
    {
        FieldType.DECIMAL: {"PRECISION": 2},
        FieldType.TEXT: {"ROWS": 1},
        FieldType.LONG_TEXT: {"ROWS": 4},
        FieldType.CHOICE: {"DISPLAY": "LIST", "LIST_HEIGHT": 1},
        FieldType.FLAG: {"DEFAULT_VALUE": 0, "DISPLAY": "CHECKBOX"},
    }
)


class _Element(Loose):
    ID = fields.Raw(required=True)
    VALUE = fields.Raw(load_default="")
    SORT = fields.Raw(load_default=None)
    DEF = fields.Raw(load_default=None)
    XML_ID = fields.Raw(load_default=None)


class _UserField(Loose):
    ID = fields.Raw(required=True)
    FIELD_NAME = fields.Str(required=True)
    USER_TYPE_ID = fields.Str(required=True)
    MULTIPLE = fields.Raw(load_default="N")
    LIST = fields.List(fields.Nested(_Element), load_default=list, allow_none=True)


@dataclass(frozen=True, slots=True)
class UserField:
    """A custom field as the portal holds it. `elements` are a list's rows, to be sent back as they are."""

    id: str
    name: str
    type: str
    multiple: bool
    elements: tuple[Mapping[str, Any], ...]

    def choices(self, spec: FieldSpec) -> dict[str, str]:
        """Value → element id. Found by XML_ID; an element that a person made, by its label."""
        by_code = {str(element["XML_ID"]): str(element["ID"]) for element in self.elements if element["XML_ID"]}
        by_label = {str(element["VALUE"]): str(element["ID"]) for element in self.elements}
        found = {choice.value: by_code.get(choice.value, by_label.get(choice.label)) for choice in spec.choices}
        return {value: element for value, element in found.items() if element is not None}


class Provision:
    """Keeps our fields in one portal."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def plan(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> list[FieldStep]:
        """What is missing on contacts and companies. One request; raises `Conflict` like `ensure_fields`."""
        held = self._user_fields()
        return [
            step
            for kind in CustomerKind
            for spec in specs
            for step in _steps(kind, spec, _find(held[kind], kind, spec, known))
        ]

    def ensure(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> FieldMap:
        """Create what is missing, one call at a time: each alters a table and may take long.

        Where the administrators share one layout of the card, our fields get a section of their own in it.
        """
        held = self._user_fields()
        todo = [
            (kind, spec, at, _find(held[kind], kind, spec, known))
            for kind in CustomerKind
            for at, spec in enumerate(specs)
        ]
        changed = False
        for kind, spec, at, found in todo:
            if _steps(kind, spec, found):
                self._create(kind, spec, at) if found is None else self._extend(kind, spec, found.name)
                changed = True
        if changed:
            held = self._user_fields()
            self._show_section([field_name(spec.key) for spec in specs])
        return FieldMap(
            {kind: {spec.key: _ref(held[kind], kind, spec, known) for spec in specs} for kind in CustomerKind}
        )

    def _user_fields(self) -> dict[CustomerKind, dict[str, UserField]]:
        """All custom fields by name; lists whose elements were left out are asked for one by one."""
        read = self._client.read_all(
            {kind.value: Listing(f"{FAMILY[kind]}.userfield.list", {}) for kind in CustomerKind}
        )
        held = {kind: user_fields(read[kind.value].good()) for kind in CustomerKind}
        bare = {
            f"{kind.value}{found.id}": (kind, Command(f"{FAMILY[kind]}.userfield.get", {"id": found.id}))
            for kind in CustomerKind
            for found in held[kind].values()
            if found.type == "enumeration" and not found.elements and found.name in NAMES.values()
        }
        if bare:
            replies = self._client.batch_all({key: command for key, (_kind, command) in bare.items()})
            for key, (kind, _command) in bare.items():
                held[kind].update(user_fields([replies[key].good()]))
        return held

    def _create(self, kind: CustomerKind, spec: FieldSpec, at: int) -> None:
        """A field may appear although the answer was an error or none came: look before trying again.

        https://apidocs.bitrix24.com/api-reference/crm/contacts/userfield/crm-contact-userfield-add.html (read 2026-11)
        """
        command = Command(f"{FAMILY[kind]}.userfield.add", {"fields": new_field(spec, 1000 + at * 10)})
        self._until(command, lambda: field_name(spec.key) in self._user_fields()[kind])

    def _extend(self, kind: CustomerKind, spec: FieldSpec, name: str) -> None:
        """Add options; those that stand there go along with their ids, unchanged."""

        def missing() -> tuple[UserField, dict[str, str]]:
            found = self._user_fields()[kind][name]
            return found, found.choices(spec)

        found, choices = missing()
        elements = [
            {key: value for key, value in element.items() if value is not None} for element in found.elements
        ] + new_elements(spec, choices, len(found.elements))
        command = Command(f"{FAMILY[kind]}.userfield.update", {"id": found.id, "fields": {"LIST": elements}})
        self._until(command, lambda: len(missing()[1]) == len(spec.choices))

    def _until(self, command: Command, is_done: Callable[[], bool]) -> None:
        for left in reversed(range(_TRIES)):
            try:
                self._client.call(command, repeatable=False)
            except (Interrupted, Unavailable, Rejected) as trouble:
                if is_done():
                    return
                if left == 0 or isinstance(trouble, Rejected):
                    raise
            else:
                return

    def _show_section(self, names: Sequence[str]) -> None:
        """Put our section into the common layout of both cards, if there is one; its other sections stay.

        `null` is the portal's default layout, which `set` would wipe out. Optional: a refusal is only logged.
        https://apidocs.bitrix24.com/api-reference/crm/universal/item-details-configuration/ (read 2026-11)
        """
        for kind in CustomerKind:
            asked = {"entityTypeId": ENTITY[kind], "scope": "C"}
            try:
                layout = self._client.call(Command("crm.item.details.configuration.get", asked)).result
                data = _with_section(layout, names)
                if data is not None:
                    self._client.call(Command("crm.item.details.configuration.set", {**asked, "data": data}))
            except CRMError as refusal:
                log.warning("the section RFM was not put on the %s card: %s", kind.value, refusal)


def user_fields(rows: Any) -> dict[str, UserField]:
    """Rows of `crm.contact.userfield.list`, by name."""
    return {
        row["FIELD_NAME"]: UserField(
            id=required(row, "ID"),
            name=row["FIELD_NAME"],
            type=row["USER_TYPE_ID"],
            multiple=flag(row["MULTIPLE"]) is True,
            elements=tuple(row["LIST"] or ()),
        )
        for row in load(_UserField(), rows, "userfield.list")
    }


def field_name(key: str) -> str:
    """The custom field's name; raises `Unsupported` for a key that has none."""
    try:
        return NAMES[key]
    except KeyError:
        raise Unsupported(f"there is no Bitrix24 field for {key}") from None


def new_field(spec: FieldSpec, sort: int) -> dict[str, Any]:
    """The body that creates a field: labels in both languages, shown in filters, never mandatory.

    https://apidocs.bitrix24.com/api-reference/crm/contacts/userfield/crm-contact-userfield-add.html (read 2026-11)
    """
    label = {"ru": spec.label, "en": spec.label}
    body: dict[str, Any] = {
        "FIELD_NAME": field_name(spec.key),
        "USER_TYPE_ID": TYPES[spec.type],
        "XML_ID": field_name(spec.key),
        "SORT": sort,
        "MULTIPLE": "N",
        "MANDATORY": "N",
        "SHOW_FILTER": "Y",
        "LABEL": spec.label,
        "EDIT_FORM_LABEL": label,
        "LIST_COLUMN_LABEL": label,
        "LIST_FILTER_LABEL": label,
    }
    if spec.type in _SETTINGS:
        body["SETTINGS"] = dict(_SETTINGS[spec.type])
    if spec.choices:
        body["LIST"] = new_elements(spec, {}, 0)
    return body


def new_elements(spec: FieldSpec, held: Mapping[str, str], after: int) -> list[dict[str, Any]]:
    """The list's elements that are missing; `after` is how many stand there already."""
    missing = [choice for choice in spec.choices if choice.value not in held]
    return [
        {"VALUE": choice.label, "XML_ID": choice.value, "SORT": (after + at) * 10, "DEF": "N"}
        for at, choice in enumerate(missing, start=1)
    ]


def _find(
    held: Mapping[str, UserField], kind: CustomerKind, spec: FieldSpec, known: FieldMap | None
) -> UserField | None:
    """Our field by its stored id, else by its name, which nobody can change; raises `Conflict`."""
    stored = known.of(kind).get(spec.key) if known is not None else None
    by_id = (found for found in held.values() if stored is not None and found.id == stored.external_id)
    found = next(by_id, None) or held.get(field_name(spec.key))
    if found is not None and (found.type != TYPES[spec.type] or found.multiple):
        is_now = f"{found.type}, multiple" if found.multiple else found.type
        raise Conflict(
            f"the {kind.value} field {found.name} is of type {is_now}, not {TYPES[spec.type]}: "
            "delete it in the CRM settings and provision again"
        )
    return found


def _steps(kind: CustomerKind, spec: FieldSpec, found: UserField | None) -> list[FieldStep]:
    if found is None:
        return [FieldStep(kind, spec.key, "create", field_name(spec.key))]
    missing = [choice.value for choice in spec.choices if choice.value not in found.choices(spec)]
    return [FieldStep(kind, spec.key, "extend", f"{found.name}: {', '.join(missing)}")] if missing else []


def _ref(held: Mapping[str, UserField], kind: CustomerKind, spec: FieldSpec, known: FieldMap | None) -> FieldRef:
    found = _find(held, kind, spec, known)
    if found is None or _steps(kind, spec, found):
        raise Unavailable(f"the {kind.value} field {field_name(spec.key)} has not appeared yet: provision again")
    return FieldRef(found.id, found.name, found.choices(spec))


def _with_section(layout: Any, names: Sequence[str]) -> list[dict[str, Any]] | None:
    """The layout with our section, or None when there is nothing to add or no common layout."""
    if not isinstance(layout, list) or not layout or not all(isinstance(section, dict) for section in layout):
        return None
    shown = {element.get("name") for section in layout for element in section.get("elements") or []}
    ours = [{"name": name, "optionFlags": 1} for name in names if name not in shown]
    if not ours:
        return None
    if not any(section.get("name") == "rfm" for section in layout):
        return [*layout, {"name": "rfm", "title": "RFM", "type": "section", "elements": ours}]
    return [
        {**section, "elements": [*(section.get("elements") or []), *ours]} if section.get("name") == "rfm" else section
        for section in layout
    ]
