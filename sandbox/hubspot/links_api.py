"""Associations: of one record below `/crm/objects/…`, and batches below `/crm/associations/…`.

Source: developers.hubspot.com, "Associate records", read November 2026. `toObjectId` is a number on the dated
paths, as in the guide's examples, and a text on the old v4 paths, as in the specification.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.hubspot import body
from sandbox.hubspot.batch_api import complete
from sandbox.hubspot.body import Call
from sandbox.hubspot.errors import Refused, invalid, missing_resource, not_found
from sandbox.hubspot.kinds import DEFAULT_LINK, LINK_BY_ID, LINK_TYPES, Kind, LinkType
from sandbox.hubspot.records import number_of
from sandbox.hubspot.writing import link_type
from sandbox.web import Answer, json_answer

READ_BATCH = 1000
CREATE_BATCH = 2000
Pair = tuple[LinkType, int, int]


def record_links(call: Call, kind: Kind, record_id: str, rest: Sequence[str]) -> Answer:
    """`/crm/objects/…/{type}/{id}/associations/…`."""
    record = call.account.find(kind, record_id)
    match (call.request.method, *rest):
        case ("GET", str(target)):
            other = call.account.kind(target)
            limit = call.count("limit", 500, 500)
            links, after = _page(call, kind, record.id, other, start=call.cursor(), limit=limit)
            return json_answer({"results": links, **_paging(after)})
        case ("PUT", "default", str(target), str(target_id)):
            other = call.account.kind(target)
            _put(call, [(_default(kind, other), record.id, _existing(call, other, target_id))])
            return json_answer({"status": "COMPLETE", "results": []})
        case ("PUT", str(target), str(target_id)):
            other = call.account.kind(target)
            specs = body.parsed(call.request)
            if not isinstance(specs, list) or not specs:
                raise invalid("Invalid input JSON on line 1, column 1: a list of types was expected")
            to = _existing(call, other, target_id)
            _replace(call, [link_type(spec, kind, other) for spec in specs], record.id, to)
            return json_answer({"fromObjectId": record.id, "toObjectId": to, "labels": []}, 201)
        case ("DELETE", str(target), str(target_id)):
            call.account.links.remove(kind, record.id, call.account.kind(target), number_of(target_id))
            call.account.touch()
            return Answer(204)
        case _:
            raise missing_resource()


def pair_links(call: Call, source: Kind, target: Kind, rest: Sequence[str]) -> Answer:
    """`/crm/associations/…/{from}/{to}/…`."""
    operations: Mapping[tuple[str, ...], Callable[[Call, Kind, Kind], Answer]] = {
        ("GET", "labels"): _labels,
        ("POST", "batch", "read"): _read,
        ("POST", "batch", "create"): _create,
        ("POST", "batch", "associate", "default"): _create_default,
        ("POST", "batch", "archive"): _archive,
        ("POST", "batch", "labels", "archive"): _archive_labels,
    }
    operation = operations.get((call.request.method, *rest))
    if operation is None:
        raise missing_resource()
    return operation(call, source, target)


def _page(
    call: Call, source: Kind, record_id: int, target: Kind, *, start: int, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    linked = call.account.live_links(source, record_id, target)
    ids = sorted(other for other in linked if other >= start)
    shown = [
        {
            "toObjectId": other if call.dated else str(other),
            "associationTypes": [
                {"category": "HUBSPOT_DEFINED", "typeId": number, "label": LINK_BY_ID[number].label}
                for number in linked[other]
            ],
        }
        for other in ids[:limit]
    ]
    return shown, (ids[limit] if len(ids) > limit else None)


def _paging(after: int | None) -> dict[str, Any]:
    return {} if after is None else {"paging": {"next": {"after": str(after)}}}


def _read(call: Call, source: Kind, target: Kind) -> Answer:
    data = body.read(call.request, ("inputs",), ("inputs",))
    results, errors = [], []
    for item in body.inputs(data, ("id", "after"), most=READ_BATCH):
        asked = body.identifier(item["id"])
        number, start = number_of(asked), body.offset(item.get("after") or "0")
        limit = call.account.behaviour.association_page
        links, after = _page(call, source, number, target, start=start, limit=limit)
        if links:
            results.append({"from": {"id": asked}, "to": links, **_paging(after)})
        elif call.account.behaviour.no_links_is_error:
            errors.append(_no_links(source, target, asked).item())
    return complete(call.account, results, errors)


def _no_links(source: Kind, target: Kind, asked: str) -> Refused:
    return Refused(
        404,
        "OBJECT_NOT_FOUND",
        f"No {target.singular} is associated with {source.singular} {asked}.",
        sub_category="crm.associations.NO_ASSOCIATIONS_FOUND",
        context={"fromObjectId": (asked,)},
    )


def _existing(call: Call, kind: Kind, record_id: object) -> int:
    asked = body.identifier(record_id)
    record = call.account.records[kind].live(asked)
    if record is None:
        raise not_found(f"{kind.singular} {asked}", asked)
    return record.id


def _ends(call: Call, source: Kind, target: Kind, item: Mapping[str, Any]) -> tuple[int, int]:
    start = body.check_keys(item["from"], ("id",), ("id",))
    end = body.check_keys(item["to"], ("id",), ("id",))
    return _existing(call, source, start["id"]), _existing(call, target, end["id"])


def _default(source: Kind, target: Kind) -> LinkType:
    link = DEFAULT_LINK.get((source, target))
    if link is None:
        raise invalid(f"{source.plural} and {target.plural} cannot be associated", "INVALID_ASSOCIATION_TYPE")
    return link


def _put(call: Call, pairs: Sequence[Pair]) -> None:
    for link, source_id, target_id in pairs:
        call.account.link(link, source_id, target_id, call.author)
    call.account.touch()


def _replace(call: Call, links: Sequence[LinkType], one: int, other: int) -> None:
    """Writing labels replaces the set; all `links` join the same two types."""
    call.account.links.remove(links[0].source, one, links[0].target, other)
    _put(call, [(link, one, other) for link in links])


def _create(call: Call, source: Kind, target: Kind) -> Answer:
    data = body.read(call.request, ("inputs",), ("inputs",))
    planned = []
    for item in body.inputs(data, ("from", "to", "types"), ("from", "to", "types"), CREATE_BATCH):
        one, other = _ends(call, source, target, item)
        if not item["types"]:
            raise invalid("At least one association type is needed", "INVALID_ASSOCIATION_TYPE")
        planned.append((one, other, [link_type(spec, source, target) for spec in item["types"]]))
    for one, other, links in planned:
        _replace(call, links, one, other)
    return complete(call.account, [_created(source, one, target, other) for one, other, _ in planned], status=201)


def _created(source: Kind, one: int, target: Kind, other: int) -> dict[str, Any]:
    return {
        "fromObjectTypeId": source.type_id,
        "fromObjectId": one,
        "toObjectTypeId": target.type_id,
        "toObjectId": other,
        "labels": [],
    }


def _create_default(call: Call, source: Kind, target: Kind) -> Answer:
    data = body.read(call.request, ("inputs",), ("inputs",))
    link = _default(source, target)
    items = body.inputs(data, ("from", "to"), ("from", "to"), CREATE_BATCH)
    pairs = [(link, *_ends(call, source, target, item)) for item in items]
    _put(call, pairs)
    return complete(call.account, [_created(source, one, target, other) for _, one, other in pairs])


def _list_of(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise invalid('Invalid input JSON on line 1, column 1: Cannot deserialize value of "to"')
    return value


def _archive(call: Call, source: Kind, target: Kind) -> Answer:
    data = body.read(call.request, ("inputs",), ("inputs",))
    for item in body.inputs(data, ("from", "to"), ("from", "to"), CREATE_BATCH):
        one = body.identifier(body.check_keys(item["from"], ("id",), ("id",))["id"])
        for end in _list_of(item["to"]):
            other = body.identifier(body.check_keys(end, ("id",), ("id",))["id"])
            call.account.links.remove(source, number_of(one), target, number_of(other))
    call.account.touch()
    return Answer(204)


def _archive_labels(call: Call, source: Kind, target: Kind) -> Answer:
    data = body.read(call.request, ("inputs",), ("inputs",))
    for item in body.inputs(data, ("from", "to", "types"), ("from", "to", "types"), CREATE_BATCH):
        one, other = _ends(call, source, target, item)
        for spec in item["types"]:
            call.account.links.remove_label(link_type(spec, source, target), one, other)
    call.account.touch()
    return Answer(204)


def _labels(_call: Call, source: Kind, target: Kind) -> Answer:
    found = [link for link in LINK_TYPES if link.source is source and link.target is target]
    shown = [{"category": "HUBSPOT_DEFINED", "typeId": link.type_id, "label": link.label} for link in found]
    return json_answer({"results": shown})
