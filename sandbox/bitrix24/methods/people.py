"""Users and departments: old methods, ids as text."""

from __future__ import annotations

import re
from typing import Any

from sandbox.bitrix24.calls import Call, Method, Result
from sandbox.bitrix24.php import as_int, as_list, as_map, is_yes
from sandbox.bitrix24.query import PAGE
from sandbox.bitrix24.rows import Department, User
from sandbox.bitrix24.state import State

_OPERATOR = re.compile(r"(>=|<=|!=|=|!|>|<|@|%)?(.+)")


def _user(state: State, user: User) -> dict[str, Any]:
    """What the granted scope shows: `user_brief` has neither mail nor phone."""
    shown: dict[str, Any] = {
        "ID": str(user.id),
        "XML_ID": str(user.id),
        "ACTIVE": user.active,
        "NAME": user.name,
        "LAST_NAME": user.last_name,
        "SECOND_NAME": "",
        "WORK_POSITION": user.position,
        "UF_DEPARTMENT": list(user.departments),
        "TIME_ZONE": str(state.zone),
        "USER_TYPE": "employee",
    }
    if state.scopes & {"user", "user_basic"}:
        shown["EMAIL"] = user.email
    return shown


def _passes(row: dict[str, Any], key: str, value: Any) -> bool:
    matched = _OPERATOR.fullmatch(key.upper())
    operator, name = (matched.group(1) or "=", matched.group(2)) if matched else ("=", key.upper())
    held = row.get(name)
    if name not in row:
        return True
    if name == "ACTIVE":
        return bool(held) == is_yes(value)
    if operator in {">", ">=", "<", "<="}:
        return _in_range(as_int(held), operator, value)
    wanted = {str(one) for one in as_list(value)}
    same = bool(wanted & {str(one) for one in as_list(held)})
    return not same if operator.startswith("!") else same


def _in_range(held: int, operator: str, value: Any) -> bool:
    if value in (None, ""):
        return True
    bound = as_int(value)
    return {">": held > bound, ">=": held >= bound, "<": held < bound, "<=": held <= bound}[operator]


def _paged(rows: list[dict[str, Any]], start: Any) -> Result:
    """Ordinary paging; these methods do not know `start` -1."""
    begin = max(0, as_int(start))
    after = begin + PAGE
    return Result(rows[begin:after], len(rows), after if after < len(rows) else None)


def users(call: Call) -> Result:
    """`user.get`: dismissed people too, unless the filter ACTIVE says otherwise."""
    wanted = as_map(call.any_case("FILTER"))
    wanted |= {key: call.params[key] for key in ("ID", "ACTIVE", "UF_DEPARTMENT", "EMAIL") if key in call.params}
    rows = [_user(call.state, one) for one in call.state.users.values()]
    kept = [row for row in rows if all(_passes(row, key, value) for key, value in wanted.items())]
    descending = str(call.any_case("ORDER") or "ASC").upper() == "DESC"
    kept.sort(key=lambda row: int(row["ID"]), reverse=descending)
    return _paged(kept, call.any_case("start"))


def current_user(call: Call) -> Result:
    """`user.current`."""
    return Result(_user(call.state, call.state.users[call.state.user_id]))


def is_admin(call: Call) -> Result:
    """`user.admin`."""
    return Result(call.state.admin)


def profile(call: Call) -> Result:
    """`profile`: who the webhook belongs to."""
    user = call.state.users[call.state.user_id]
    return Result(
        {
            "ID": str(user.id),
            "ADMIN": call.state.admin,
            "NAME": user.name,
            "LAST_NAME": user.last_name,
            "PERSONAL_GENDER": "",
            "TIME_ZONE": str(call.state.zone),
        }
    )


def _department(one: Department) -> dict[str, Any]:
    shown: dict[str, Any] = {"ID": str(one.id), "NAME": one.name, "SORT": 500}
    if one.parent is not None:
        shown["PARENT"] = str(one.parent)
    if one.head is not None:
        shown["UF_HEAD"] = str(one.head)
    return shown


def departments(call: Call) -> Result:
    """`department.get`: conditions stand among the parameters; `UF_HEAD` is there only when set."""
    rows = [_department(one) for one in sorted(call.state.departments.values(), key=lambda one: one.id)]
    known = re.compile(r"[><=!@%]*(ID|PARENT|UF_HEAD|NAME)", re.IGNORECASE)
    wanted = {key: value for key, value in call.params.items() if known.fullmatch(key)}
    full = [{"PARENT": None, "UF_HEAD": None, **row} for row in rows]
    kept = [
        row
        for row, whole in zip(rows, full, strict=True)
        if all(_passes(whole, key, value) for key, value in wanted.items())
    ]
    return _paged(kept, call.any_case("start"))


METHODS = (
    Method("profile", profile, ""),
    Method("user.admin", is_admin, ""),
    Method("user.current", current_user, ""),
    Method("user.get", users, "user"),
    Method("department.get", departments, "department"),
)
