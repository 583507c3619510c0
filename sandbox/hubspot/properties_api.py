"""`/crm/properties/…/{type}`: definitions and groups. The rules are in `definitions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.hubspot import body
from sandbox.hubspot.batch_api import complete
from sandbox.hubspot.body import Call
from sandbox.hubspot.definitions import Definition, Definitions
from sandbox.hubspot.errors import Refused, missing_resource
from sandbox.hubspot.kinds import Kind
from sandbox.web import Answer, json_answer

OPTIONAL = (
    "label",
    "type",
    "fieldType",
    "groupName",
    "description",
    "displayOrder",
    "hidden",
    "formField",
    "options",
    "calculationFormula",
    "numberDisplayHint",
    "textDisplayHint",
    "showCurrencySymbol",
    "currencyPropertyName",
)
CREATE = ("name", *OPTIONAL, "hasUniqueValue", "dataSensitivity", "externalOptions", "referencedObjectType")
GROUP = ("label", "displayOrder")


def properties(call: Call, kind: Kind, rest: Sequence[str]) -> Answer:
    """Whatever stands behind the type in the path."""
    definitions = call.account.definitions[kind]
    if not rest:
        return _all(call, kind, definitions)
    if rest[0] == "groups":
        return _groups(call, definitions, rest[1:])
    if rest[0] == "batch" and len(rest) == 2:
        return _batch(call, kind, definitions, rest[1])
    if len(rest) == 1:
        return _one(call, definitions, rest[0])
    raise missing_resource()


def _create(call: Call, kind: Kind, definitions: Definitions, data: Mapping[str, Any]) -> Definition:
    definition = definitions.create(data, call.account.now_ms())
    if definition.unique:
        call.account.records[kind].make_unique(definition.name)
    call.account.touch()
    return definition


def _all(call: Call, kind: Kind, definitions: Definitions) -> Answer:
    match call.request.method:
        case "GET":
            if call.one("dataSensitivity", "non_sensitive") != "non_sensitive":
                return json_answer({"results": []})
            found = definitions.archived if call.flag("archived") else definitions.live
            return json_answer({"results": [definition.body() for definition in found.values()]})
        case "POST":
            data = body.read(call.request, CREATE)
            return json_answer(_create(call, kind, definitions, data).body(), 201)
        case _:
            raise missing_resource()


def _one(call: Call, definitions: Definitions, name: str) -> Answer:
    match call.request.method:
        case "GET":
            if call.flag("archived") and name in definitions.archived:
                return json_answer(definitions.archived[name].body())
            return json_answer(definitions.find(name).body())
        case "PATCH":
            data = body.read(call.request, OPTIONAL)
            call.account.touch()
            return json_answer(definitions.change(name, data, call.account.now_ms()).body())
        case "DELETE":
            definitions.archive(name, call.account.now_ms())
            call.account.touch()
            return Answer(204)
        case _:
            raise missing_resource()


def _batch(call: Call, kind: Kind, definitions: Definitions, operation: str) -> Answer:
    match (call.request.method, operation):
        case ("POST", "create"):
            data = body.read(call.request, ("inputs",), ("inputs",))
            return _create_many(call, kind, definitions, body.inputs(data, CREATE, ()))
        case ("POST", "read"):
            data = body.read(call.request, ("inputs", "archived", "dataSensitivity"), ("inputs",))
            names = [item["name"] for item in body.inputs(data, ("name",), ("name",))]
            return _read_many(call, definitions, names)
        case ("POST", "archive"):
            data = body.read(call.request, ("inputs",), ("inputs",))
            for item in body.inputs(data, ("name",), ("name",)):
                if item["name"] in definitions.live and item["name"] not in definitions.in_use:
                    definitions.archive(item["name"], call.account.now_ms())
            call.account.touch()
            return Answer(204)
        case _:
            raise missing_resource()


def _create_many(call: Call, kind: Kind, definitions: Definitions, inputs: Sequence[Mapping[str, Any]]) -> Answer:
    results, errors = [], []
    for item in inputs:
        try:
            results.append(_create(call, kind, definitions, item).body())
        except Refused as refused:
            errors.append(refused.about(name=str(item.get("name"))).item())
    return complete(call.account, results, errors, 201)


def _read_many(call: Call, definitions: Definitions, names: Sequence[str]) -> Answer:
    results, errors = [], []
    for name in names:
        try:
            results.append(definitions.find(name).body())
        except Refused as refused:
            errors.append(refused.about(name=name).item())
    return complete(call.account, results, errors)


def _groups(call: Call, definitions: Definitions, rest: Sequence[str]) -> Answer:
    match (call.request.method, *rest):
        case ("GET",):
            return json_answer({"results": [group.body() for group in definitions.groups.values()]})
        case ("POST",):
            data = body.read(call.request, ("name", *GROUP))
            return json_answer(definitions.create_group(data).body(), 201)
        case ("GET", str(name)):
            return json_answer(definitions.find_group(name).body())
        case ("PATCH", str(name)):
            group, data = definitions.find_group(name), body.read(call.request, GROUP)
            group.label = data.get("label", group.label)
            group.display_order = data.get("displayOrder", group.display_order)
            return json_answer(group.body())
        case ("DELETE", str(name)):
            definitions.archive_group(name)
            return Answer(204)
        case _:
            raise missing_resource()
