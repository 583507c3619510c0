"""Our fields in an account: property definitions, their group, and what is missing of them.

https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide, read 2026-11.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from marshmallow import fields as ma

from adapters.contract import Choice, FieldMap, FieldRef, FieldSpec, FieldStep, FieldType
from adapters.errors import BatchRefused, Conflict
from adapters.hubspot.client import Client, Json
from adapters.hubspot.schemas import OBJECTS, Shape, load
from adapters.records import CustomerKind


class _Property(Shape):
    name = ma.String(required=True)
    label = ma.String(load_default="", allow_none=True)
    type = ma.String(required=True)
    fieldType = ma.String(load_default="", allow_none=True)  # noqa: N815
    options = ma.List(ma.Dict(), load_default=list, allow_none=True)


_PROPERTY = _Property()

GROUP: Json = {"name": "rfm", "label": "RFM"}

_TYPES: Mapping[FieldType, tuple[str, str]] = {
    FieldType.INTEGER: ("number", "number"),
    FieldType.DECIMAL: ("number", "number"),
    FieldType.TEXT: ("string", "text"),
    FieldType.LONG_TEXT: ("string", "textarea"),
    FieldType.CHOICE: ("enumeration", "select"),
    FieldType.TIME: ("datetime", "date"),
    FieldType.FLAG: ("bool", "booleancheckbox"),
}
"""https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide, read 2026-11."""
_YES_NO = (Choice("true", "Yes"), Choice("false", "No"))


def property_name(key: str) -> str:
    """Our field key → the property's name, which never changes in HubSpot."""
    return f"rfm_{key}"


def definition(spec: FieldSpec) -> Json:
    """The property to create for a field."""
    kind, field_type = _TYPES[spec.type]
    body: Json = {
        "name": property_name(spec.key),
        "label": spec.label,
        "groupName": GROUP["name"],
        "type": kind,
        "fieldType": field_type,
    }
    choices = _YES_NO if spec.type is FieldType.FLAG else spec.choices
    if choices:
        body["options"] = [_option(choice, at) for at, choice in enumerate(choices)]
    return body


def property_of(payload: Json) -> Json:
    """A checked definition."""
    return load(_PROPERTY, payload, "properties")


def check_type(spec: FieldSpec, found: Json, kind: CustomerKind) -> None:
    """Raise `Conflict` when a property of ours has another type: a person may have made it anew by hand."""
    wanted, field_type = _TYPES[spec.type]
    fits = found["type"] == wanted and not (spec.type is FieldType.CHOICE and found["fieldType"] == "checkbox")
    if spec.type is FieldType.FLAG and found["fieldType"] == field_type:
        fits = True  # HubSpot's older spelling of a yes/no: an enumeration shown as one checkbox
    if not fits:
        raise Conflict(
            f"HubSpot's {kind.value} property {found['name']} is of type {found['type']}/{found['fieldType']}, "
            f"not {wanted}/{field_type}: delete it in HubSpot and provision again",
            field=found["name"],
        )


def missing_options(spec: FieldSpec, found: Json) -> list[Json]:
    """Options that a property still needs; they go behind those that exist."""
    have = {str(option.get("value")) for option in found["options"] or ()}
    wanted = [choice for choice in spec.choices if choice.value not in have]
    return [_option(choice, len(have) + at) for at, choice in enumerate(wanted)]


def field_ref(found: Json, spec: FieldSpec) -> FieldRef:
    """Where a field lives; option values are their own ids."""
    return FieldRef(
        found["name"], found["label"] or spec.label, {choice.value: choice.value for choice in spec.choices}
    )


def _option(choice: Choice, at: int) -> Json:
    return {"label": choice.label, "value": choice.value, "displayOrder": at, "hidden": False}


class Provision:
    """Makes and finds our properties in one account."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def plan(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> list[FieldStep]:
        """See `Sink.plan_fields`. Raises `Conflict` like `ensure`."""
        steps: list[FieldStep] = []
        for kind in OBJECTS:
            found = self._definitions(kind)
            missing = _missing_specs(kind, specs, found, _stored(known, kind))
            if missing and not self._has_group(kind):
                steps.append(FieldStep(kind, "group", "create", f"property group {GROUP['name']}"))
            for spec in specs:
                if spec in missing:
                    steps.append(FieldStep(kind, spec.key, "create", f"property {property_name(spec.key)}"))
                elif more := missing_options(spec, _find(spec, found, _stored(known, kind)) or {}):
                    options = ", ".join(option["value"] for option in more)
                    steps.append(FieldStep(kind, spec.key, "extend", f"options {options}"))
        return steps

    def ensure(self, specs: Sequence[FieldSpec], known: FieldMap | None) -> FieldMap:
        """See `Sink.ensure_fields`. Property names never change in HubSpot, so they are the ids."""
        return FieldMap({kind: self._ensure_kind(kind, specs, _stored(known, kind)) for kind in OBJECTS})

    def _ensure_kind(
        self, kind: CustomerKind, specs: Sequence[FieldSpec], stored: Mapping[str, FieldRef]
    ) -> dict[str, FieldRef]:
        found = self._definitions(kind)
        missing = _missing_specs(kind, specs, found, stored)
        if missing:
            found = self._create_properties(kind, missing)
            still = _missing_specs(kind, specs, found, stored)
            if still:
                names = ", ".join(property_name(spec.key) for spec in still)
                raise Conflict(f"HubSpot has taken the {kind.value} properties {names} but does not list them")
        refs: dict[str, FieldRef] = {}
        for spec in specs:
            existing = found[_name(spec, found, stored)]
            more = missing_options(spec, existing)
            if more:
                # A PATCH replaces the whole list: options that exist are sent along unchanged.
                self._client.set_options(OBJECTS[kind], existing["name"], [*(existing["options"] or ()), *more])
            refs[spec.key] = field_ref(existing, spec)
        return refs

    def _create_properties(self, kind: CustomerKind, specs: Sequence[FieldSpec]) -> dict[str, Json]:
        """Create in one call; what it refuses, perhaps because another run made it meanwhile, one by one."""
        objects = OBJECTS[kind]
        if not self._has_group(kind):
            with contextlib.suppress(Conflict):
                self._client.create_group(objects, GROUP)
        with contextlib.suppress(BatchRefused):
            self._client.create_properties(objects, [definition(spec) for spec in specs])
        found = self._definitions(kind)
        missing = [spec for spec in specs if property_name(spec.key) not in found]
        for spec in missing:
            with contextlib.suppress(Conflict):
                self._client.create_property(objects, definition(spec))
        return self._definitions(kind) if missing else found

    def _definitions(self, kind: CustomerKind) -> dict[str, Json]:
        checked = (property_of(payload) for payload in self._client.properties(OBJECTS[kind]))
        return {each["name"]: each for each in checked}

    def _has_group(self, kind: CustomerKind) -> bool:
        return any(group.get("name") == GROUP["name"] for group in self._client.groups(OBJECTS[kind]))


def _stored(known: FieldMap | None, kind: CustomerKind) -> Mapping[str, FieldRef]:
    return known.of(kind) if known else {}


def _name(spec: FieldSpec, found: Mapping[str, Json], stored: Mapping[str, FieldRef]) -> str:
    """The property that holds a field: the stored one while it exists, else the one that carries our name."""
    ref = stored.get(spec.key)
    return ref.external_id if ref and ref.external_id in found else property_name(spec.key)


def _find(spec: FieldSpec, found: Mapping[str, Json], stored: Mapping[str, FieldRef]) -> Json | None:
    return found.get(_name(spec, found, stored))


def _missing_specs(
    kind: CustomerKind, specs: Sequence[FieldSpec], found: Mapping[str, Json], stored: Mapping[str, FieldRef]
) -> list[FieldSpec]:
    """Fields without a property. Raises `Conflict` for one whose property has another type."""
    missing: list[FieldSpec] = []
    for spec in specs:
        existing = _find(spec, found, stored)
        if existing is None:
            missing.append(spec)
        else:
            check_type(spec, existing, kind)
    return missing
