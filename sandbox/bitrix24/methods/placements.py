"""`placement.*`: the places where an app shows pages of its own.

https://apidocs.bitrix24.com/api-reference/widgets/placement-bind.html (read 2026-11).
"""

from __future__ import annotations

from typing import Any

from sandbox.bitrix24.calls import Call, Method, Result
from sandbox.bitrix24.errors import RestError, missing

_CARDS = ("CONTACT", "COMPANY", "DEAL", "LEAD")
_PLACES = {f"CRM_{card}_DETAIL_TAB": "crm" for card in _CARDS} | {"LEFT_MENU": ""}
"""Place → the scope it needs besides `placement`."""
_MOST = 50


def bind(call: Call) -> Result:
    """`placement.bind`: administrators only. The same pair twice is refused."""
    call.need_admin()
    place, handler = _named(call)
    scope = _PLACES.get(place)
    if scope is None or (scope and scope not in call.state.scopes):
        raise RestError("ERROR_PLACEMENT_NOT_FOUND", "Placement not found")
    if not handler.startswith(("https://", "http://")):
        raise RestError("ERROR_UNSUPPORTED_PROTOCOL", "Unsupported placement handler protocol")
    if (place, handler) in call.state.placements:
        raise RestError("ERROR_CORE", "Unable to set placement handler: Handler already binded")
    if len(call.state.placements) >= _MOST:
        raise RestError("ERROR_PLACEMENT_MAX_COUNT", "Too many placements", 200)
    call.state.placements[place, handler] = {"TITLE": call.any_case("title"), "LANG_ALL": call.any_case("lang_all")}
    return Result(value=True)


def bound(call: Call) -> Result:
    """`placement.get`: this app's."""
    rows = [
        {
            "placement": place,
            "userId": 0,
            "handler": handler,
            "options": [],
            "title": told["TITLE"],
            "description": "",
            "langAll": told["LANG_ALL"],
        }
        for (place, handler), told in call.state.placements.items()
    ]
    return Result(rows)


def listed(call: Call) -> Result:
    """`placement.list`: places there are."""
    return Result([place for place, scope in _PLACES.items() if not scope or scope in call.state.scopes])


def unbind(call: Call) -> Result:
    """`placement.unbind`: how many were there; without a handler all of the place."""
    call.need_admin()
    place, handler = _named(call)
    gone = [pair for pair in call.state.placements if pair[0] == place and handler in {"", pair[1]}]
    for pair in gone:
        del call.state.placements[pair]
    return Result({"count": len(gone)})


def _named(call: Call) -> tuple[str, str]:
    place, handler = (_text(call.any_case(name)) for name in ("placement", "handler"))
    if not place:
        raise missing("PLACEMENT")
    return place.upper(), handler


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


METHODS = (
    Method("placement.bind", bind, "placement", writes=True),
    Method("placement.get", bound, "placement"),
    Method("placement.list", listed, "placement"),
    Method("placement.unbind", unbind, "placement", writes=True),
)
