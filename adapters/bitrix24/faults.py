"""Bitrix24's statuses and error codes → our error classes. Pure: values in, an error (or None) out.

Codes: https://apidocs.bitrix24.com/error-codes.html, limits: https://apidocs.bitrix24.com/limits.html
(read 2026-11). The code may be a number, empty, or in any letter case, and an error may stand in an answer of
status 200; 302, 403, 500 and limit answers may have an HTML body instead of JSON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adapters.errors import (
    AccessLost,
    Blocked,
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
    Unsupported,
)

REDIRECTS = frozenset({301, 302, 307, 308})
RESET_S = 600.0
"""A spent operating budget is free again after ten minutes at the latest."""
_INTENSITY_S = 2.0
_UNNAMED_S = 10.0

_TOKEN = frozenset({"EXPIRED_TOKEN", "NO_AUTH_FOUND", "INVALID_TOKEN"})
_LOST = frozenset({"APPLICATION_NOT_FOUND", "ERROR_OAUTH", "AUTHORIZATION_ERROR", "PORTAL_DELETED", "NOT_INSTALLED"})
_RIGHTS = frozenset(
    {
        "ACCESS_DENIED",
        "INVALID_CREDENTIALS",
        "INSUFFICIENT_SCOPE",
        "INVALID_SCOPE",
        "USER_ACCESS_ERROR",
        "METHOD_CONFIRM_WAITING",
        "METHOD_CONFIRM_DENIED",
        "ALLOWED_ONLY_INTRANET_USER",
    }
)
_PLANNING = frozenset(
    {
        "ERROR_METHOD_NOT_FOUND",
        "ERROR_MANIFEST_IS_NOT_AVAILABLE",
        "ERROR_BATCH_METHOD_NOT_ALLOWED",
        "ERROR_BATCH_LENGTH_EXCEEDED",
        "WRONG_AUTH_TYPE",
    }
)
_GONE = frozenset({"NOT_FOUND", "OWNER_NOT_FOUND", "ENTITY_NOT_FOUND", "ERROR_NOT_FOUND"})
_BROKEN = frozenset({"INTERNAL_SERVER_ERROR", "ERROR_UNEXPECTED_ANSWER"})
_NUMBERED = re.compile(r"\d{4}(?P<status>\d{3})\d{5}")
"""Codes of the online store's methods: 200040300010 is a 403, 200540400001 a 404
(https://apidocs.bitrix24.com/api-reference/sale/order/sale-order-get.html, read 2026-11)."""
_WORDLESS = frozenset({"", "0", "ERROR_CORE"})
_DENIED = re.compile(r"access (is )?denied|доступ запрещ|недостаточно прав", re.IGNORECASE)
"""The old methods for custom fields have no code for a missing right, only words."""
_TAG = re.compile(r"<[^>]*>")
_SPACE = re.compile(r"\s+")
_REASON_LENGTH = 200

_NEW_WEBHOOK = "Bitrix24 refuses the webhook: create a new inbound webhook in the portal and connect again"


def whole_fault(method: str, status: int, headers: Mapping[str, str], body: Any) -> CRMError | None:
    """The error that a whole answer means, None for a good one. `body` is the parsed JSON, or None for HTML."""
    if isinstance(body, dict) and "error" in body:
        return named_fault(method, body, status=status, reset_s=reset_after(body.get("time")))
    if 200 <= status < 300:
        return None if isinstance(body, dict) else Malformed("Bitrix24 answered with a page, not JSON", status=status)
    return _nameless_fault(status, headers)


def named_fault(method: str, error: Mapping[str, Any], *, status: int, reset_s: float | None = None) -> CRMError:
    """The error that a code means: of a whole answer, or (status 200) of one command of a batch.

    `reset_s` is the wait until the method's operating budget is free again, where the answer told it.
    """
    code = _plain_code(str(error.get("error", "")).upper())
    text = _reason(method, code, error.get("error_description"))
    return (
        _limit_fault(method, code, status, reset_s)
        or _access_fault(method, code, status, text)
        or _other_fault(code, status, text)
    )


def _plain_code(code: str) -> str:
    numbered = _NUMBERED.fullmatch(code)
    named = {"403": "ACCESS_DENIED", "404": "NOT_FOUND"}
    return named.get(numbered["status"], code) if numbered else code


def reset_after(time: Any) -> float | None:
    """Seconds from the answer to the reset of the operating budget, by the portal's own clock."""
    if not isinstance(time, Mapping):
        return None
    reset, finish = time.get("operating_reset_at"), time.get("finish") or time.get("start")
    if not isinstance(reset, int | float) or not isinstance(finish, int | float) or not reset:
        return None
    return min(RESET_S, max(1.0, float(reset) - float(finish)))


def _limit_fault(method: str, code: str, status: int, reset_s: float | None) -> CRMError | None:
    if code == "QUERY_LIMIT_EXCEEDED":
        return RateLimited("Bitrix24 asked to send fewer requests", status=status, retry_after=_INTENSITY_S)
    if code == "OPERATION_TIME_LIMIT":
        return RateLimited(
            f"the portal's operating time for {method} is used up",
            status=status,
            retry_after=RESET_S if reset_s is None else reset_s,
            operation=method,
        )
    if code == "OVERLOAD_LIMIT":
        return Blocked("Bitrix24 has blocked REST for this portal by hand: ask its support", status=status)
    return None


def _access_fault(method: str, code: str, status: int, text: str) -> CRMError | None:
    if code in _TOKEN or (code == "INVALID_CREDENTIALS" and status == 401):
        return TokenExpired(_NEW_WEBHOOK, status=status)
    if code in _LOST:
        return AccessLost(f"the portal is closed to us ({code}): check that it exists and connect again", status=status)
    if code == "PAYMENT_REQUIRED":
        return Unpaid("the portal's plan or subscription does not include REST: it has to be renewed", status=status)
    if code in _RIGHTS or (code in _WORDLESS and _DENIED.search(text)):
        scope = method.partition(".")[0] if code in {"INSUFFICIENT_SCOPE", "INVALID_SCOPE"} else None
        return ScopeMissing(f"a right is missing, let an administrator grant it: {text}", status=status, scope=scope)
    return None


def _other_fault(code: str, status: int, text: str) -> CRMError:
    if code in _PLANNING:
        return Unsupported(f"this portal's Bitrix24 is too old for it, or cannot do it: {text}", status=status)
    if code in _GONE:
        return Gone(f"gone: {text}", status=status)
    if code in _BROKEN or status >= 500:
        return Unavailable(f"Bitrix24 failed: {text}", status=status)
    if status in {401, 404, 429}:
        return _nameless_fault(status, {})
    return Conflict(text, status=status) if "EXIST" in code else InvalidValue(text, status=status)


def _nameless_fault(status: int, headers: Mapping[str, str]) -> CRMError:
    """An answer without JSON: a proxy's page, or the portal's own."""
    if status == 401:
        return TokenExpired(_NEW_WEBHOOK, status=status)
    if status == 404:
        return AccessLost("there is no Bitrix24 REST at this address: check the webhook URL", status=status)
    if status == 429:
        return RateLimited("Bitrix24 asked to slow down", status=status, retry_after=_told(headers) or _UNNAMED_S)
    if status in {400, 405, 410, 422}:
        return InvalidValue("Bitrix24 refused the request without saying why", status=status)
    return Unavailable("Bitrix24 answered with a page instead of data", status=status, retry_after=_told(headers))


def _told(headers: Mapping[str, str]) -> float | None:
    text = str(headers.get("Retry-After", ""))
    return float(text) if text.isdigit() else None


def _reason(method: str, code: str, description: Any) -> str:
    """One line for an operator: method, code and the vendor's own words without markup, cut short."""
    words = _SPACE.sub(" ", _TAG.sub(" ", str(description or ""))).strip()[:_REASON_LENGTH]
    named = f"{method} {code}".strip()
    return f"{named}: {words}" if words else named
