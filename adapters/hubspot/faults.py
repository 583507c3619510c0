"""HubSpot's statuses and error bodies → our errors. Plain functions over an answer; nothing is sent here.

Bodies: every key is optional (https://developers.hubspot.com/docs/api-reference/error-handling, read 2026-11).
The whole text of an error is never passed on: HubSpot repeats refused values in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from adapters.errors import (
    BatchRefused,
    Conflict,
    CRMError,
    Gone,
    InvalidValue,
    Malformed,
    RateLimited,
    ScopeMissing,
    TokenExpired,
    Unavailable,
    Unpaid,
)
from adapters.transport import Answer, Call

NOT_FOUND = "OBJECT_NOT_FOUND"
GONE = "gone"
_DAY_S = 3600.0
_SECOND_S = 1.0
_ROLLING_S = 1.5
_LOCKED_S = 2.0
_MOVING_S = 60.0
_PROPERTY = re.compile(r"^[a-z][a-z0-9_]{0,254}$")
_BUSY = frozenset({"CONFLICT", "LOCKED", "RATE_LIMIT", "RATE_LIMITS", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE"})
_MISSING_PROPERTY = frozenset({"PROPERTY_DOESNT_EXIST", "PROPERTY_NOT_FOUND"})


@dataclass(frozen=True, slots=True)
class Complaint:
    """One error of an answer. `field` is the vendor's property name; `ids` and `traces` say which inputs it means."""

    category: str
    code: str
    reason: str
    field: str | None = None
    ids: tuple[str, ...] = ()
    traces: tuple[str, ...] = ()

    @property
    def is_gone(self) -> bool:
        """Whether the record it speaks of does not exist (any more)."""
        return NOT_FOUND in {self.category, self.code}

    @property
    def is_busy(self) -> bool:
        """Whether the same input may be taken a moment later: another writer holds the record."""
        return not _BUSY.isdisjoint({self.category, self.code})


def fault_of(call: Call, answer: Answer) -> CRMError | None:
    """The error an answer means; None for 2xx, 207 included: its `errors` are read by whoever asked."""
    status = answer.status
    if status < 300:
        return None
    told = _body(answer)
    body = told or {}
    if status == 429:
        return _throttled(answer, body)
    if status >= 500 or (status == 403 and told is None):
        # A page instead of JSON comes from a gateway in front of the API, not from the API.
        return Unavailable("HubSpot cannot serve now", status=status, retry_after=_retry_after(answer))
    if status in {423, 477}:
        return _busy(answer)
    if status < 400:
        return Malformed("HubSpot redirects instead of answering: check the address of its API", status=status)
    return _access(status, body) or _refused(call, status, body)


def complaints(body: Mapping[str, Any]) -> list[Complaint]:
    """The errors listed in a 207 or 4xx body, those hidden as a JSON list inside `message` included."""
    return list(_spread(body, Complaint("", "", "")))


def refusals(body: Mapping[str, Any]) -> list[Complaint]:
    """What a good answer to a batch complains of; none unless it is a 207 with errors."""
    return complaints(body) if body.get("errors") else []


def unsettled(found: Sequence[Complaint], items: int) -> BatchRefused:
    """For a batch of which nothing is kept: it is halved, and a single item settled with the reason given."""
    if not found:
        return BatchRefused("HubSpot did not say what became of the record")
    first = found[0]
    return BatchRefused(first.reason, bad={0: (first.field, first.reason)} if items == 1 else None)


def _body(answer: Answer) -> dict[str, Any] | None:
    """The JSON object of an answer, None when it is anything else."""
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _retry_after(answer: Answer) -> float | None:
    """`Retry-After` in seconds; HubSpot sends it with 477 and, by connector teams' word, with 429."""
    try:
        return max(0.0, float(answer.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


def _throttled(answer: Answer, body: Mapping[str, Any]) -> RateLimited:
    """A 429 without `Retry-After` waits by its policy.

    The ten seconds roll, and our own budget keeps within them: place that others took comes back bit by bit, so a
    short wait will do, and as many tries as the transport makes outlast a whole window.
    """
    policy = str(body.get("policyName") or body.get("message") or "").upper()
    if "DAILY" in policy:
        wait = _DAY_S
    elif "SECONDLY" in policy and "TEN_SECONDLY" not in policy:
        wait = _SECOND_S
    else:
        wait = _ROLLING_S
    told = _retry_after(answer)
    return RateLimited("HubSpot asks to slow down", status=429, retry_after=wait if told is None else told)


def _busy(answer: Answer) -> Unavailable:
    """423: the records are locked by heavy writes, wait 2 s or more. 477: the account moves to another data centre."""
    told = _retry_after(answer)
    if answer.status == 423:
        return Unavailable("HubSpot has locked the records", status=423, retry_after=max(_LOCKED_S, told or 0.0))
    return Unavailable(
        "the HubSpot account is being moved", status=477, retry_after=_MOVING_S if told is None else told
    )


def _access(status: int, body: Mapping[str, Any]) -> CRMError | None:
    if status == 401:
        return TokenExpired("HubSpot does not accept the token: connect the account again", status=status)
    if status == 402:
        return Unpaid("the HubSpot account's subscription does not allow this", status=status)
    if status == 403:
        scope = _missing_scope(body)
        wanted = f": grant {scope}" if scope else ""
        return ScopeMissing(f"the HubSpot token lacks a scope{wanted}", status=status, scope=scope)
    return None


def _missing_scope(body: Mapping[str, Any]) -> str | None:
    for error in _items(body.get("errors")):
        context = error.get("context") if isinstance(error, Mapping) else None
        if isinstance(context, Mapping):
            for key in ("requiredGranularScopes", "requiredScopes"):
                scopes = [str(scope) for scope in _items(context.get(key))]
                if scopes:
                    return ", ".join(scopes)
    return None


def _refused(call: Call, status: int, body: Mapping[str, Any]) -> CRMError:
    found = complaints(body)
    first = found[0]
    inputs = call.json.get("inputs") if isinstance(call.json, dict) else None
    if inputs is not None and not call.path.endswith("/batch/read"):
        return BatchRefused(first.reason, status=status, bad=_bad(inputs, found))
    if status == 404:
        return Gone(f"HubSpot does not know {call.label or call.path}", status=status, field=first.field)
    if status == 409:
        return Conflict(first.reason, status=status, field=first.field)
    return InvalidValue(first.reason, status=status, field=first.field)


def _bad(inputs: Sequence[Mapping[str, Any]], found: Sequence[Complaint]) -> dict[int, tuple[str | None, str]]:
    """Positions that the complaints point at: by id, by trace id, or by a property that the portal does not have.

    Where a single input was sent, all complaints are about it.
    """
    bad: dict[int, tuple[str | None, str]] = {}
    for at, item in enumerate(inputs):
        for complaint in found:
            if _means(complaint, item):
                bad[at] = (complaint.field, complaint.reason)
                break
    if len(inputs) == 1:
        bad.setdefault(0, (found[0].field, found[0].reason))
    return bad


def _means(complaint: Complaint, item: Mapping[str, Any]) -> bool:
    if complaint.ids or complaint.traces:
        return str(item.get("id")) in complaint.ids or str(item.get("objectWriteTraceId")) in complaint.traces
    return complaint.code in _MISSING_PROPERTY and complaint.field in (item.get("properties") or {})


def _spread(error: Mapping[str, Any], above: Complaint) -> Iterator[Complaint]:
    """An error, or the more exact ones inside it; what these leave out they take from the one `above` them."""
    context = error.get("context")
    context = context if isinstance(context, Mapping) else {}
    category = str(error.get("category") or above.category)
    code = str(error.get("error") or error.get("code") or above.code)
    field = _field(error, context) or above.field
    ids = tuple(str(one) for one in _items(context.get("ids"))) or above.ids
    traces = tuple(str(one) for one in _items(context.get("objectWriteTraceId"))) or above.traces
    own = Complaint(category, code, _reason(category, code, field), field, ids, traces)
    inner = [one for one in _items(error.get("errors")) if isinstance(one, Mapping)]
    inner = inner or list(_hidden(str(error.get("message") or "")))
    if not inner:
        yield own
    for one in inner:
        yield from _spread(one, own)


def _hidden(message: str) -> Iterator[Mapping[str, Any]]:
    """`Property values were not valid: [{"isValid":false,"name":…,"error":…}]` → the list's objects."""
    start = message.find("[{")
    if start < 0:
        return
    try:
        listed = orjson.loads(message[start : message.rfind("]") + 1])
    except orjson.JSONDecodeError:
        return
    yield from (item for item in _items(listed) if isinstance(item, Mapping))


def _field(error: Mapping[str, Any], context: Mapping[str, Any]) -> str | None:
    places = [error.get("name"), *_items(context.get("propertyName")), error.get("in")]
    return next((str(name) for name in places if name and _PROPERTY.match(str(name))), None)


def _reason(category: str, code: str, field: str | None) -> str:
    if NOT_FOUND in {category, code}:
        return GONE
    if code in _MISSING_PROPERTY:
        return f"HubSpot has no property {field or 'of that name'}: provision the portal again"
    what = " ".join(word for word in (category, code) if word) or "no reason given"
    return f"HubSpot refuses {field or 'the record'} ({what})"


def _items(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
