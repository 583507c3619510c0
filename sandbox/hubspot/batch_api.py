"""`…/batch/{read,create,update,upsert,archive}`: up to 100 inputs, 207 when some of them fail.

Results come in another order than the inputs, as they may in the real thing. Source: developers.hubspot.com,
"Using object APIs" and "Error handling", read November 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.faults import Fault
from sandbox.hubspot import body, values
from sandbox.hubspot.account import Account
from sandbox.hubspot.body import Call
from sandbox.hubspot.errors import Refused, invalid, missing_resource, not_found
from sandbox.hubspot.kinds import CONTACT, Kind
from sandbox.hubspot.records import Record, number_of
from sandbox.hubspot.view import view
from sandbox.hubspot.writing import CREATE_KEYS, create, prepared
from sandbox.web import Answer, json_answer

Input = Mapping[str, Any]


def batch(call: Call, kind: Kind, operation: str) -> Answer:
    """Any of the batches."""
    operations: Mapping[str, Callable[[Call, Kind], Answer]] = {
        "read": _read,
        "create": _create,
        "update": _update,
        "upsert": _upsert,
        "archive": _archive,
    }
    if call.request.method != "POST" or operation not in operations:
        raise missing_resource()
    return operations[operation](call, kind)


def complete(
    account: Account, results: Sequence[object], errors: Sequence[Mapping[str, Any]] = (), status: int = 200
) -> Answer:
    """The answer to a batch: 207 as soon as there are errors."""
    now = values.iso_full(account.now_ms())
    answer: dict[str, Any] = {
        "status": "COMPLETE",
        "results": list(reversed(results)),
        "startedAt": now,
        "completedAt": now,
    }
    if errors:
        answer |= {"numErrors": len(errors), "errors": list(errors)}
    return json_answer(answer, 207 if errors else status)


def _read(call: Call, kind: Kind) -> Answer:
    data = body.read(call.request, ("inputs", "properties", "propertiesWithHistory", "idProperty"))
    inputs = body.inputs(data, ("id",))
    history = body.texts(data.get("propertiesWithHistory") or [], "propertiesWithHistory")
    if history and len(inputs) > 50:
        raise invalid("At most 50 inputs are read with history.", "BATCH_SIZE_EXCEEDED")
    names = body.texts(data.get("properties") or [], "properties")
    shown = view(call.account, kind, names, history=history)
    find = _finder(call, kind, data.get("idProperty"))
    found, missing = {}, []
    for asked in dict.fromkeys(body.identifier(item["id"]) for item in inputs):
        record = find(asked)
        if record is None:
            missing.append(asked)
        else:
            found[record.id] = shown.show(record)
    return complete(call.account, list(found.values()), _missing(kind, missing))


def _missing(kind: Kind, ids: Sequence[str]) -> list[dict[str, Any]]:
    """One error for all ids that were not found."""
    if not ids:
        return []
    message = f"Could not get some {kind.singular.upper()} objects, they may be deleted or not exist."
    return [Refused(404, "OBJECT_NOT_FOUND", message, context={"ids": ids}).item()]


def _finder(call: Call, kind: Kind, id_property: str | None) -> Callable[[str], Record | None]:
    records = call.account.records[kind]
    if id_property and id_property != "hs_object_id":
        if not records.is_unique(id_property):
            raise invalid(f"{id_property} is not a unique property", "INVALID_ID_PROPERTY")
        return lambda asked: records.resolved(records.holder(id_property, asked) or -1)
    if call.flag("archived"):
        return lambda asked: _archived(records.by_id.get(number_of(asked)))
    return records.resolved


def _archived(record: Record | None) -> Record | None:
    return None if record is None or record.archived_ms is None else record


def _create(call: Call, kind: Kind) -> Answer:
    """Partial success needs a trace id of its own on every input; else a bad input refuses the whole batch."""
    data = body.read(call.request, ("inputs",), ("inputs",))
    inputs = body.inputs(data, CREATE_KEYS, ("properties",))
    traces = [item.get("objectWriteTraceId") for item in inputs]
    if not all(traces) or len(set(traces)) != len(traces):
        for item in inputs:
            prepared(call, kind, item)
        return complete(call.account, [create(call, kind, item) for item in inputs], status=201)
    struck = call.faults.picks(Fault.PARTIAL, len(inputs), call.request.path)
    results, errors = [], []
    for place, item in enumerate(inputs):
        try:
            if place in struck:
                raise _busy()
            results.append(create(call, kind, item))
        except Refused as refused:
            errors.append(refused.about(objectWriteTraceId=str(traces[place])).item())
    return complete(call.account, results, errors, 201)


def _busy() -> Refused:
    return Refused(423, "CONFLICT", "The record is locked by another write, try again later")


def _update(call: Call, kind: Kind) -> Answer:
    data = body.read(call.request, ("inputs",), ("inputs",))
    inputs = body.inputs(data, ("id", "idProperty", "properties", "objectWriteTraceId"), ("id", "properties"))
    ids = [body.identifier(item["id"]) for item in inputs]
    if len(set(ids)) != len(ids):
        raise invalid("Duplicate IDs found in batch input", "DUPLICATE_IDS")
    struck = call.faults.picks(Fault.PARTIAL, len(inputs), call.request.path)
    accepted: list[tuple[Record, dict[str, str], Input]] = []
    errors = []
    for place, (asked, item) in enumerate(zip(ids, inputs, strict=True)):
        try:
            if place in struck:
                raise _busy()
            record = _own(call, kind, asked, item.get("idProperty"))
            kept = call.account.checked(kind, record, body.property_map(item["properties"]))
            accepted.append((record, kept, item))
        except Refused as refused:
            if place not in struck and refused.category not in call.account.behaviour.partial:
                raise
            errors.append(refused.about(ids=asked).item())
    return complete(call.account, [_written(call, kind, *one) for one in accepted], errors)


def _own(call: Call, kind: Kind, asked: str, id_property: str | None) -> Record:
    """A record by its own id: a merged, losing id is not good enough for a batch."""
    records = call.account.records[kind]
    found: str | int | None = asked
    if id_property and id_property != "hs_object_id":
        if not records.is_unique(id_property):
            raise invalid(f"{id_property} is not a unique property", "INVALID_ID_PROPERTY")
        found = records.holder(id_property, asked)
    record = None if found is None else records.live(found)
    if record is None:
        raise not_found(f"{kind.singular} {asked}", asked)
    return record


def _written(call: Call, kind: Kind, record: Record, kept: Mapping[str, str], item: Input) -> dict[str, Any]:
    call.account.update(kind, record, kept, call.author)
    shown = view(call.account, kind, list(kept)).show(record)
    if item.get("objectWriteTraceId"):
        shown["objectWriteTraceId"] = item["objectWriteTraceId"]
    return shown


def _upsert(call: Call, kind: Kind) -> Answer:
    """No partial success: one bad input fails the batch before anything is kept."""
    data = body.read(call.request, ("inputs",), ("inputs",))
    keys = ("id", "idProperty", "properties", "objectWriteTraceId")
    inputs = body.inputs(data, keys, ("id", "idProperty", "properties"))
    records = call.account.records[kind]
    plans = []
    for item in inputs:
        name, key = item["idProperty"], body.identifier(item["id"])
        if not records.is_unique(name) or (kind is CONTACT and name == "hs_object_id"):
            raise invalid(f"{name} is not a unique property", "INVALID_ID_PROPERTY")
        record = records.resolved(records.holder(name, key) or -1)
        given = {name: key, **body.property_map(item["properties"])}
        kept = call.account.checked(kind, record, given)
        if record is None:
            call.account.check_required(kind, kept)
        plans.append((record, kept, item))
    results = []
    for record, kept, item in plans:
        target = record or call.account.create(kind, {}, call.author)
        results.append({**_written(call, kind, target, kept, item), "new": record is None})
    return complete(call.account, results)


def _archive(call: Call, kind: Kind) -> Answer:
    data = body.read(call.request, ("inputs",), ("inputs",))
    for item in body.inputs(data, ("id",)):
        record = call.account.records[kind].live(body.identifier(item["id"]))
        if record is not None:
            call.account.archive(kind, record)
    return Answer(204)
