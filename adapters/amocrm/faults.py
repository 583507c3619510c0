"""amoCRM's statuses and `application/problem+json` → our errors.

Meaning of the statuses: https://www.amocrm.ru/developers/content/crm_platform/error-codes, read 2026-11.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson

from adapters.errors import (
    AccessLost,
    BatchRefused,
    Blocked,
    CRMError,
    Gone,
    InvalidValue,
    RateLimited,
    ScopeMissing,
    TokenExpired,
    Unavailable,
    Unpaid,
    Unsupported,
)
from adapters.transport import Answer, Call

_TOO_LARGE = frozenset({HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.GATEWAY_TIMEOUT})
_LONGEST_DETAIL = 200
_SLOW_DOWN_S = (1.0, 2.0, 4.0)
_LONG_PAUSE_S = 300.0


def slow_down(strikes: int) -> float:
    """Seconds to wait after so many 429 in a row. The vendor names no wait and blocks those who hammer.

    https://github.com/amocrm/amocrm-api-php/issues/563, read 2026-11
    """
    return _SLOW_DOWN_S[max(0, strikes - 1)] if strikes <= len(_SLOW_DOWN_S) else _LONG_PAUSE_S


def fault_of(call: Call, answer: Answer, *, strikes: int = 1) -> CRMError | None:
    """The error an answer means, None for a good one. `strikes` is how many 429 in a row this makes."""
    status = answer.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    problem = _problem(answer)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited("amoCRM asks to slow down", status=status, retry_after=slow_down(strikes))
    if status == HTTPStatus.FORBIDDEN:
        return _forbidden(problem, status)
    if status in _TOO_LARGE and _is_bulk_change(call):
        return BatchRefused("amoCRM could not take so many records at once", status=status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Unavailable("amoCRM cannot serve the call now", status=status)
    return _lasting(call, problem, status)


def _is_bulk_change(call: Call) -> bool:
    """A bulk change is harmless to repeat in parts, creating is not."""
    return call.method == "PATCH" and isinstance(call.json, list) and len(call.json) > 1


def _forbidden(problem: dict[str, Any] | None, status: int) -> CRMError:
    """A block is told by a page instead of JSON, on every call, until support lifts it.

    https://github.com/amocrm/amocrm-api-php/issues/434, read 2026-11
    """
    if problem is None:
        return Blocked("amoCRM has blocked our calls to this account: ask its support to lift the block", status=status)
    return ScopeMissing(f"the token's user lacks a right in amoCRM{_said(problem)}", status=status)


def _lasting(call: Call, problem: dict[str, Any] | None, status: int) -> CRMError:
    """What will be refused again unless something changes."""
    if status < HTTPStatus.BAD_REQUEST:
        return AccessLost("the amoCRM account has moved: connect it again under its present address", status=status)
    if status == HTTPStatus.NOT_FOUND and problem is None:
        return AccessLost("there is no amoCRM account at this address: check the account's address", status=status)
    known = _BY_STATUS.get(status)
    if known is not None:
        kind, text = known
        return kind(f"{text}{_said(problem)}", status=status)
    if isinstance(call.json, list):
        return BatchRefused(f"amoCRM refused the batch{_said(problem)}", status=status, bad=_bad(call, problem or {}))
    path, reason = _first_error(problem or {})
    return InvalidValue(reason or f"amoCRM refused the call{_said(problem)}", status=status, field=path)


_BY_STATUS: dict[int, tuple[type[CRMError], str]] = {
    HTTPStatus.UNAUTHORIZED: (TokenExpired, "amoCRM does not accept the token at this address"),
    HTTPStatus.PAYMENT_REQUIRED: (Unpaid, "the amoCRM account is not paid, or its tariff does not include this"),
    HTTPStatus.NOT_FOUND: (Gone, "amoCRM has nothing at this address"),
    HTTPStatus.METHOD_NOT_ALLOWED: (Unsupported, "amoCRM does not offer this call"),
    HTTPStatus.REQUEST_URI_TOO_LONG: (Unsupported, "amoCRM finds the call's address too long"),
    HTTPStatus.TOO_EARLY: (Unsupported, "amoCRM does not offer this function to the account"),
    HTTPStatus.UPGRADE_REQUIRED: (Unsupported, "amoCRM does not offer this function to the account"),
}
"""425 and 426 mean a function that is unavailable or switched off, unlike their names."""


def _problem(answer: Answer) -> dict[str, Any] | None:
    """The problem object, or None when the body is something else, such as a web server's page."""
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _said(problem: dict[str, Any] | None) -> str:
    detail = str((problem or {}).get("detail") or (problem or {}).get("title") or "")[:_LONGEST_DETAIL]
    return f": {detail}" if detail else ""


def _bad(call: Call, problem: dict[str, Any]) -> dict[int, tuple[str | None, str]]:
    """Position in the batch → (path inside the item, reason), found again by `request_id`."""
    positions = {
        str(item.get("request_id", at)) if isinstance(item, dict) else str(at): at for at, item in enumerate(call.json)
    }
    bad: dict[int, tuple[str | None, str]] = {}
    for entry in _entries(problem):
        at = positions.get(str(entry.get("request_id")))
        if at is not None:
            bad[at] = _describe(entry)
    return bad


def _entries(problem: dict[str, Any]) -> list[dict[str, Any]]:
    found = problem.get("validation-errors")
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _describe(entry: dict[str, Any]) -> tuple[str | None, str]:
    errors = entry.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    words = [str(first[key])[:_LONGEST_DETAIL] for key in ("code", "detail") if first.get(key)]
    path = first.get("path")
    return (None if path is None else str(path)), ": ".join(words) or "amoCRM refused it without saying why"


def _first_error(problem: dict[str, Any]) -> tuple[str | None, str]:
    entries = _entries(problem)
    return _describe(entries[0]) if entries else (None, "")
