"""`event.*`: handlers an app has bound; `sandbox.bitrix24.letters` delivers.

https://apidocs.bitrix24.com/api-reference/events/event-bind.html (read 2026-11). Binding the same address twice is
refused, and an event whose scope the app lacks does not exist for it.
"""

from __future__ import annotations

from typing import Any

from sandbox.bitrix24.calls import Call, Method, Result
from sandbox.bitrix24.errors import RestError, missing

_CRUD = ("ADD", "UPDATE", "DELETE")
_SCOPES: dict[str, str] = {
    **{f"ONCRM{card}{verb}": "crm" for card in ("DEAL", "CONTACT", "COMPANY", "ACTIVITY") for verb in _CRUD},
    "ONCRMDEALMOVETOCATEGORY": "crm",
    **dict.fromkeys(("ONSALEORDERSAVED", "ONSALEBEFOREORDERDELETE", "ONORDERENTITYSAVED", "ONORDERDELETED"), "sale"),
    **dict.fromkeys(("ONPAYMENTENTITYSAVED", "ONPAYMENTDELETED"), "sale"),
    **dict.fromkeys(("ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL"), ""),
}


def bind(call: Call) -> Result:
    """`event.bind`: administrators only, as far as we need it."""
    call.need_admin()
    event, handler = _named(call)
    scope = _SCOPES.get(event)
    if scope is None or (scope and scope not in call.state.scopes):
        raise RestError("ERROR_EVENT_NOT_FOUND", "Event not found", 400)
    if (event, handler) in call.state.handlers:
        raise RestError("ERROR_CORE", "Unable to set event handler: Handler already binded", 400)
    call.state.handlers.append((event, handler))
    return Result(value=True)


def bound(call: Call) -> Result:
    """`event.get`."""
    rows = [{"event": event, "handler": handler, "auth_type": "0", "offline": 0} for event, handler in _all(call)]
    return Result(rows)


def unbind(call: Call) -> Result:
    """`event.unbind`: how many were there."""
    event, handler = _named(call)
    left = [one for one in _all(call) if one != (event, handler)]
    count = len(call.state.handlers) - len(left)
    call.state.handlers[:] = left
    return Result({"count": count})


def _all(call: Call) -> list[tuple[str, str]]:
    return list(call.state.handlers)


def _named(call: Call) -> tuple[str, str]:
    event, handler = (_text(call.any_case(name)) for name in ("event", "handler"))
    if not event or not handler.startswith(("https://", "http://")):
        raise missing("event" if not event else "handler")
    return event.upper(), handler


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


METHODS = (
    Method("event.bind", bind, "", writes=True),
    Method("event.get", bound, ""),
    Method("event.unbind", unbind, "", writes=True),
)
