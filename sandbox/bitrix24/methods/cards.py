"""The card itself: its layout, and who is twice there."""

from __future__ import annotations

import re
from typing import Any

from sandbox.bitrix24.calls import Call, Method, Result
from sandbox.bitrix24.errors import RestError, not_found
from sandbox.bitrix24.php import as_int, as_list, as_map
from sandbox.bitrix24.state import COMPANY, CONTACT, ENTITY_WORDS

_KINDS = {CONTACT: "CONTACT", COMPANY: "COMPANY"}
_MOST = 20
_NOISE = re.compile(r"[^\d]")


def _place(call: Call) -> tuple[int, str, int]:
    """The layout that is meant: of which cards, common or personal, whose."""
    entity_type = call.whole("entityTypeId")
    if entity_type not in ENTITY_WORDS:
        raise not_found("Entity type not found")
    scope = str(call.params.get("scope") or "P").upper()
    if scope not in {"P", "C"}:
        raise RestError("100", "Invalid scope")
    owner = as_int(call.params.get("userId")) or call.state.user_id
    return entity_type, scope, 0 if scope == "C" else owner


def layout_get(call: Call) -> Result:
    """`crm.item.details.configuration.get`: null for a layout nobody has changed."""
    return Result(call.state.layouts.get(_place(call)))


def layout_set(call: Call) -> Result:
    """`crm.item.details.configuration.set` replaces the whole layout; the common one is the administrator's."""
    place = _place(call)
    if place[1] == "C":
        call.need_admin()
    sections = [as_map(one) for one in as_list(call.params.get("data"))]
    if not sections or any(one.get("type") != "section" or not one.get("name") for one in sections):
        raise RestError("100", "There are no data to write")
    call.state.layouts[place] = call.params["data"]
    return Result(True)


def duplicates(call: Call) -> Result:
    """`crm.duplicate.findbycomm`: at most 20 ids of each kind of card; nothing is `[]`."""
    kind = str(call.params.get("type", "")).upper()
    values = [str(one) for one in as_list(call.params.get("values"))]
    if kind not in {"PHONE", "EMAIL"} or not values:
        raise RestError("", "Communication type is not defined" if kind not in {"PHONE", "EMAIL"} else "No values")
    wanted = {_normal(kind, one) for one in values[:_MOST]}
    only = str(call.params.get("entity_type") or "").upper()
    found: dict[str, list[int]] = {}
    for entity_type, word in _KINDS.items():
        if only in {"", word}:
            ids = _holders(call, entity_type, kind, wanted)
            if ids:
                found[word] = ids
    return Result(found or [])


def _normal(kind: str, value: str) -> str:
    return _NOISE.sub("", value) if kind == "PHONE" else value.strip().casefold()


def _holders(call: Call, entity_type: int, kind: str, wanted: set[str]) -> list[int]:
    table = call.state.table(entity_type)
    ids: list[int] = []
    for row_id in table.ids if table is not None else ():
        row: Any = call.state.card(entity_type, row_id)
        if wanted & {_normal(kind, one) for one in (row.phones if kind == "PHONE" else row.emails)}:
            ids.append(row_id)
            if len(ids) == _MOST:
                break
    return ids


def merge(call: Call) -> Result:
    """`crm.entity.mergeBatch`: the first id stays, the others disappear."""
    params = as_map(call.params.get("params"))
    entity_type = as_int(params.get("entityTypeId"))
    cards = [call.state.card(entity_type, as_int(one)) for one in as_list(params.get("entityIds"))]
    known = [one for one in cards if one is not None]
    if entity_type not in _KINDS or len(known) != len(cards) or len(known) < 2:
        return Result({"STATUS": "ERROR", "ENTITY_IDS": as_list(params.get("entityIds"))})
    call.state.merge(entity_type, known[0], known[1:], call.now)
    return Result({"STATUS": "SUCCESS", "ENTITY_IDS": [one.id for one in known]})


METHODS = (
    Method("crm.item.details.configuration.get", layout_get, "crm"),
    Method("crm.item.details.configuration.set", layout_set, "crm", writes=True),
    Method("crm.duplicate.findbycomm", duplicates, "crm"),
    Method("crm.entity.mergebatch", merge, "crm", writes=True),
)
