"""`bizproc.*`: robots that an app has registered, and the answers of those that wait.

https://apidocs.bitrix24.com/api-reference/bizproc/bizproc-robot/index.html and
https://apidocs.bitrix24.com/api-reference/bizproc/bizproc-activity/bizproc-event-send.html (read 2026-11). A robot is
run by `Bitrix24OAuth.run_robot`; nothing runs by itself.
"""

from __future__ import annotations

import re
from typing import Any

from sandbox.bitrix24.calls import Call, Method, Result
from sandbox.bitrix24.errors import RestError, access_denied, missing
from sandbox.bitrix24.php import as_map

_CODE = re.compile(r"[A-Za-z0-9._-]+")
_PROPERTY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TYPES = frozenset({"bool", "date", "datetime", "double", "file", "int", "select", "string", "text", "user"})
_DOCUMENTS = frozenset({"CCrmDocumentLead", "CCrmDocumentDeal"})
"""Of those that we have: contacts and companies take no robots."""


def add(call: Call) -> Result:
    """`bizproc.robot.add`."""
    call.need_admin()
    code = _code(call)
    if code in call.state.robots:
        raise RestError("ERROR_ACTIVITY_ALREADY_INSTALLED", "Activity or Robot already installed!")
    call.state.robots[code] = _checked(call.params)
    return Result(value=True)


def update(call: Call) -> Result:
    """`bizproc.robot.update`: what is named in `FIELDS` is replaced."""
    call.need_admin()
    code, fields = _code(call), as_map(call.any_case("fields"))
    if code not in call.state.robots:
        raise RestError("ERROR_ACTIVITY_NOT_FOUND", "Activity or Robot not found!")
    if not fields:
        raise missing("FIELDS")
    call.state.robots[code] = _checked({**call.state.robots[code], **fields})
    return Result(value=True)


def listed(call: Call) -> Result:
    """`bizproc.robot.list`: codes."""
    call.need_admin()
    return Result(sorted(call.state.robots))


def delete(call: Call) -> Result:
    """`bizproc.robot.delete`."""
    call.need_admin()
    if call.state.robots.pop(_code(call), None) is None:
        raise RestError("ERROR_ACTIVITY_NOT_FOUND", "Activity or Robot not found!")
    return Result(value=True)


def send(call: Call) -> Result:
    """`bizproc.event.send`: once for each call that waits."""
    token = call.any_case("event_token")
    waiting = call.state.waiting_robots
    if not isinstance(token, str) or token not in waiting:
        raise access_denied()
    waiting.remove(token)
    call.state.robot_answers[token] = {
        "values": as_map(call.any_case("return_values")),
        "log": str(call.any_case("log_message") or ""),
    }
    return Result(value=True)


def _code(call: Call) -> str:
    code = call.any_case("code")
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise RestError("ERROR_ACTIVITY_VALIDATION_FAILURE", "Wrong activity code!")
    return code


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    handler = given.get("HANDLER")
    if not isinstance(handler, str) or "://" not in handler:
        raise RestError("ERROR_WRONG_HANDLER_URL", "Wrong handler URL")
    if not handler.startswith(("https://", "http://")):
        raise RestError("ERROR_UNSUPPORTED_PROTOCOL", "Unsupported event handler protocol")
    if not given.get("NAME"):
        raise RestError("ERROR_ACTIVITY_VALIDATION_FAILURE", "Empty activity NAME!")
    for kind in ("PROPERTIES", "RETURN_PROPERTIES"):
        for name, described in as_map(given.get(kind)).items():
            if not _PROPERTY.fullmatch(str(name)) or as_map(described).get("Type") not in _TYPES:
                raise RestError("ERROR_ACTIVITY_VALIDATION_FAILURE", f"Wrong property: {name}")
    document = given.get("DOCUMENT_TYPE")
    parts = list(document.values()) if isinstance(document, dict) else document
    if parts is not None and (not isinstance(parts, list) or len(parts) != 3 or parts[1] not in _DOCUMENTS):
        raise RestError("ERROR_ACTIVITY_VALIDATION_FAILURE", "Wrong DOCUMENT_TYPE")
    return {key: value for key, value in given.items() if key not in {"auth", "CODE"}}


METHODS = (
    Method("bizproc.robot.add", add, "bizproc", writes=True),
    Method("bizproc.robot.update", update, "bizproc", writes=True),
    Method("bizproc.robot.list", listed, "bizproc"),
    Method("bizproc.robot.delete", delete, "bizproc", writes=True),
    Method("bizproc.event.send", send, "bizproc", writes=True),
)
