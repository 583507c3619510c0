"""Creating a record with its first links: everything is checked before anything is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.hubspot import body
from sandbox.hubspot.account import Account
from sandbox.hubspot.body import Call
from sandbox.hubspot.errors import invalid, not_found
from sandbox.hubspot.kinds import LINK_BY_ID, Kind, LinkType
from sandbox.hubspot.view import view

CREATE_KEYS = ("properties", "associations", "objectWriteTraceId")


def link_type(spec: object, source: Kind, target: Kind | None = None) -> LinkType:
    """The link that `{"associationCategory": …, "associationTypeId": …}` means; raises 400."""
    data = body.check_keys(spec, ("associationCategory", "associationTypeId"), ("associationTypeId",))
    link = LINK_BY_ID.get(data["associationTypeId"]) if data.get("associationCategory") == "HUBSPOT_DEFINED" else None
    if link is None or link.source is not source or target not in {None, link.target}:
        raise invalid(
            f"Association type {data['associationTypeId']} does not start at {source.singular}"
            f"{'' if target is None else f' and end at {target.singular}'}",
            "INVALID_ASSOCIATION_TYPE",
        )
    return link


def checked_links(account: Account, kind: Kind, given: object) -> list[tuple[LinkType, int]]:
    """The `associations` of a create: their types fit and their targets exist."""
    if not isinstance(given, list):
        raise invalid("Invalid input JSON on line 1, column 1: associations must be a list")
    found: list[tuple[LinkType, int]] = []
    for item in given:
        data = body.check_keys(item, ("to", "types"), ("to", "types"))
        to = body.identifier(body.check_keys(data["to"], ("id",), ("id",))["id"])
        for spec in data["types"]:
            link = link_type(spec, kind)
            target = account.records.get(link.target)
            record = None if target is None else target.live(to)
            if record is None:
                raise not_found(f"{link.target.singular} {to}", to)
            found.append((link, record.id))
    return found


def prepared(call: Call, kind: Kind, data: Mapping[str, Any]) -> tuple[dict[str, str], list[tuple[LinkType, int]]]:
    """The values and links of a create, checked; nothing is kept yet."""
    accepted = call.account.checked(kind, None, body.property_map(data["properties"]))
    call.account.check_required(kind, accepted)
    return accepted, checked_links(call.account, kind, data.get("associations", []))


def create(call: Call, kind: Kind, data: Mapping[str, Any]) -> dict[str, Any]:
    """One record; the answer shows what was written, and the trace id if one was sent."""
    accepted, links = prepared(call, kind, data)
    record = call.account.create(kind, accepted, call.author)
    for link, target in links:
        call.account.link(link, record.id, target, call.author)
    shown = view(call.account, kind, list(accepted)).show(record)
    if data.get("objectWriteTraceId"):
        shown["objectWriteTraceId"] = data["objectWriteTraceId"]
    return shown
