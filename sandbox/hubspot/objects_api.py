"""`/crm/objects/…/{type}`: one record, lists, merge and deletion. Batches and search have their own modules.

Source: developers.hubspot.com, "Using object APIs", read November 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.hubspot import body
from sandbox.hubspot.batch_api import batch
from sandbox.hubspot.body import Call
from sandbox.hubspot.errors import Refused, invalid, missing_resource, not_found
from sandbox.hubspot.kinds import COMPANY, CONTACT, DEAL, Kind
from sandbox.hubspot.links_api import record_links
from sandbox.hubspot.records import Record, number_of
from sandbox.hubspot.search_api import search
from sandbox.hubspot.view import View, view
from sandbox.hubspot.writing import CREATE_KEYS, create
from sandbox.web import Answer, json_answer

PAGE = 100
PAGE_WITH_HISTORY = 50
MERGEABLE = (CONTACT, COMPANY, DEAL)


def objects(call: Call, kind: Kind, rest: Sequence[str]) -> Answer:
    """Whatever stands behind the type in the path."""
    operations: Mapping[tuple[str, ...], Callable[[Call, Kind], Answer]] = {
        ("GET",): _list,
        ("POST",): _create,
        ("POST", "search"): search,
        ("POST", "merge"): _merge,
        ("POST", "gdpr-delete"): _erase,
    }
    method = call.request.method
    operation = operations.get((method, *rest))
    if operation is not None:
        return operation(call, kind)
    if len(rest) == 2 and rest[0] == "batch":
        return batch(call, kind, rest[1])
    if len(rest) > 1 and rest[1] == "associations":
        return record_links(call, kind, rest[0], rest[2:])
    if len(rest) == 1:
        return _one(call, kind, rest[0])
    raise missing_resource()


def _asked(call: Call, kind: Kind) -> View:
    return view(
        call.account,
        kind,
        call.many("properties"),
        history=call.many("propertiesWithHistory"),
        linked=[call.account.kind(name) for name in call.many("associations")],
    )


def _list(call: Call, kind: Kind) -> Answer:
    shown = _asked(call, kind)
    most = PAGE_WITH_HISTORY if call.many("propertiesWithHistory") else PAGE
    limit = call.count("limit", 10, most)
    found, after = call.account.records[kind].page(call.cursor(), limit, archived=call.flag("archived"))
    answer: dict[str, Any] = {"results": [shown.show(record) for record in found]}
    if after is not None:
        # The link names an old path on purpose: HubSpot's does too.
        link = f"https://api.hubapi.com/crm/v3/objects/{kind.plural}?after={after}"
        answer["paging"] = {"next": {"after": str(after), "link": link}}
    return json_answer(answer)


def _one(call: Call, kind: Kind, record_id: str) -> Answer:
    match call.request.method:
        case "GET":
            return json_answer(_asked(call, kind).show(_addressed(call, kind, record_id)))
        case "PATCH":
            return _update(call, kind, _addressed(call, kind, record_id))
        case "DELETE":
            record = call.account.records[kind].live(record_id)
            if record is not None:  # archiving what is gone is no error
                call.account.archive(kind, record)
            return Answer(204)
        case _:
            raise Refused(405, "VALIDATION_ERROR", "Method not allowed")


def _addressed(call: Call, kind: Kind, record_id: str) -> Record:
    name = call.one("idProperty")
    records = call.account.records[kind]
    if name and name != "hs_object_id":
        if not records.is_unique(name):
            raise invalid(f"{name} is not a unique property", "INVALID_ID_PROPERTY")
        return call.account.find(kind, records.holder(name, record_id) or record_id + "?")
    if call.flag("archived"):
        record = records.by_id.get(number_of(record_id))
        if record is None or record.archived_ms is None:
            raise not_found(kind.singular, record_id)
        return record
    return call.account.find(kind, record_id)


def _create(call: Call, kind: Kind) -> Answer:
    data = body.read(call.request, CREATE_KEYS, ("properties",))
    return json_answer(create(call, kind, data), 201)


def _update(call: Call, kind: Kind, record: Record) -> Answer:
    data = body.read(call.request, ("properties", "objectWriteTraceId"), ("properties",))
    accepted = call.account.checked(kind, record, body.property_map(data["properties"]))
    call.account.update(kind, record, accepted, call.author)
    return json_answer(view(call.account, kind, list(accepted)).show(record))


def _merge(call: Call, kind: Kind) -> Answer:
    if kind not in MERGEABLE:
        raise missing_resource()
    data = body.read(call.request, ("primaryObjectId", "objectIdToMerge"), ("primaryObjectId", "objectIdToMerge"))
    winner = call.account.find(kind, body.identifier(data["primaryObjectId"]))
    loser = call.account.find(kind, body.identifier(data["objectIdToMerge"]))
    if winner is loser:
        raise invalid("Cannot merge a record with itself")
    call.account.merge(kind, winner, loser, call.author)
    return json_answer(view(call.account, kind, ()).show(winner))


def _erase(call: Call, kind: Kind) -> Answer:
    if kind is not CONTACT:
        raise missing_resource()
    data = body.read(call.request, ("objectId", "idProperty"), ("objectId",))
    records = call.account.records[CONTACT]
    asked = body.identifier(data["objectId"])
    found = records.holder("email", asked) if data.get("idProperty") == "email" else asked
    record = None if found is None else records.live(found)
    if record is not None:
        call.account.erase(CONTACT, record)
    return Answer(204)
