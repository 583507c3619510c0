"""`POST /crm/objects/…/{type}/search`: an offset into at most 10,000 results, from an index that lags.

The list of matches is kept until something changes, so that reading page after page costs one page each.
Source: developers.hubspot.com, "Search the CRM", read November 2026.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from sandbox.hubspot import body, filters
from sandbox.hubspot.account import Account
from sandbox.hubspot.body import Call
from sandbox.hubspot.errors import invalid
from sandbox.hubspot.kinds import Kind
from sandbox.hubspot.records import Record
from sandbox.hubspot.view import view
from sandbox.web import Answer, json_answer

CAP = 10_000
PAGE = 200
BODY_CHARACTERS = 3000


def search(call: Call, kind: Kind) -> Answer:
    """One page of matches."""
    if len(call.request.body.decode("utf-8", "replace")) > BODY_CHARACTERS:
        raise invalid(f"The request body is longer than {BODY_CHARACTERS} characters", "REQUEST_TOO_LARGE")
    data = body.read(call.request, ("filterGroups", "sorts", "query", "properties", "limit", "after"))
    start, limit = _offset(data.get("after")), _limit(data.get("limit", 10))
    if start + limit > CAP:
        raise invalid(f"Paging through more than {CAP} results is not supported", "PAGING_LIMIT_EXCEEDED")
    account = call.account
    ids = _matches(account, kind, data)
    shown = view(account, kind, body.texts(data.get("properties") or [], "properties"))
    index = account.indexes[kind]
    records = [record for number in ids[start : start + limit] if (record := index.seen(number)) is not None]
    answer: dict[str, Any] = {"total": len(ids), "results": [shown.show(record) for record in records]}
    if start + limit < len(ids):
        answer["paging"] = {"next": {"after": str(start + limit)}}
    return json_answer(answer)


def _offset(after: object) -> int:
    return 0 if after is None or after == "" else body.offset(after)


def _limit(given: object) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= PAGE:
        raise invalid(f"limit must be between 0 and {PAGE}", "INVALID_LIMIT")
    return given


def _matches(account: Account, kind: Kind, data: Mapping[str, Any]) -> list[int]:
    if account.indexes[kind].refresh(account.clock.monotonic()):
        account.touch()
    asked = {name: data.get(name) for name in ("filterGroups", "sorts", "query")}
    key = (kind, orjson.dumps(asked, option=orjson.OPT_SORT_KEYS))
    ids = account.memory.get(key, account.version)
    if ids is None:
        ids = _find(account, kind, data)
        account.memory.put(key, account.version, ids)
    return ids


def _find(account: Account, kind: Kind, data: Mapping[str, Any]) -> list[int]:
    groups = filters.check_groups(data.get("filterGroups") or [])
    matches = filters.matcher(account, kind, groups)
    since = filters.changed_from(kind, groups)
    index = account.indexes[kind]
    candidates: Iterable[Record] = index.everything() if since is None else index.changed_since(since)
    found = [record for record in candidates if matches(record)]
    if data.get("query"):
        found = _containing(account, kind, found, str(data["query"]))
    return [record.id for record in _sorted(account, kind, found, data.get("sorts") or [])]


def _containing(account: Account, kind: Kind, found: Sequence[Record], text: str) -> list[Record]:
    """Free text is looked for in the default properties."""
    shown = view(account, kind, kind.defaults)
    wanted = text.lower()
    return [
        record for record in found if any(wanted in (read(account, record) or "").lower() for _, read in shown.readings)
    ]


def _sorted(account: Account, kind: Kind, found: list[Record], sorts: object) -> list[Record]:
    """By one rule; records without the value come last. Without a rule: by id."""
    if not isinstance(sorts, list) or len(sorts) > 1:
        raise invalid("Only one sort is supported", "INVALID_SORT")
    found.sort(key=lambda record: record.id)
    if not sorts:
        return found
    name, descending = _sort_rule(sorts[0])
    read = filters.comparable(account, kind, name)
    having = [(value, record) for record in found if (value := read(record)) is not None]
    having.sort(key=lambda pair: pair[0], reverse=descending)
    return [record for _, record in having] + [record for record in found if read(record) is None]


def _sort_rule(sort: object) -> tuple[str, bool]:
    """Both forms: an object, and a text with a minus for descending."""
    if isinstance(sort, str):
        return sort.removeprefix("-"), sort.startswith("-")
    rule = body.check_keys(sort, ("propertyName", "direction"), ("propertyName",))
    direction = rule.get("direction", "ASCENDING")
    if direction not in {"ASCENDING", "DESCENDING"}:
        raise invalid("direction must be ASCENDING or DESCENDING", "INVALID_SORT")
    return str(rule["propertyName"]), direction == "DESCENDING"
