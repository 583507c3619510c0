"""`tasks.task.*` (version 2): UPPER names go in, camelCase text comes out, nothing found is an empty list."""

from __future__ import annotations

from typing import Any

from sandbox.bitrix24.calls import Call, Method, Result, page
from sandbox.bitrix24.errors import RestError, core, missing
from sandbox.bitrix24.fields import Field
from sandbox.bitrix24.php import as_int, as_list, as_map
from sandbox.bitrix24.query import Filter, find, parse_filter, parse_order, start_of
from sandbox.bitrix24.rows import Task
from sandbox.bitrix24.values import BadValue, read

COMPLETED = 5
_CRM = "UF_CRM_TASK"


def _given(call: Call) -> dict[str, Any]:
    given = as_map(call.params.get("fields"))
    if not given:
        raise missing("fields")
    return given


def _values(call: Call, given: dict[str, Any]) -> dict[Field, Any]:
    by_old = call.state.tasks.fields.by_old
    values: dict[Field, Any] = {}
    for name, value in given.items():
        field = by_old.get(name)
        if field is None or not field.writable:
            continue
        try:
            values[field] = read(field.kind, value, call.state.zone)
        except BadValue as error:
            raise core(f"The value of {name} is not valid.") from error
    return values


def task_add(call: Call) -> Result:
    """`tasks.task.add`: a title and a responsible user are needed."""
    given, state = _given(call), call.state
    title, responsible = str(given.get("TITLE") or ""), as_int(given.get("RESPONSIBLE_ID"))
    if not title:
        raise core("The task title is not specified.")
    if responsible not in state.users:
        raise core("The responsible person is not specified or does not exist.")
    row = Task(id=state.tasks.next_id(), title=title, created=call.now, updated=call.now, created_by=state.user_id)
    for field, value in _values(call, given).items():
        if value is not None:
            field.put(row, value)
    row.crm = tuple(str(one) for one in as_list(given.get(_CRM)))
    return Result({"task": _shape(call, state.tasks.add(row), set())})


def _shape(call: Call, row: Task, asked: set[str]) -> dict[str, Any]:
    """Text under camelCase names; the ties to the CRM come only when they are asked for."""
    fields = call.state.tasks.fields
    whole = not asked or "*" in asked
    shown: dict[str, Any] = {
        field.camel: fields.old_value(field, row)
        for field in fields
        if field.old != "REAL_STATUS" and (whole or field.old in asked | {"ID"})
    }
    if _CRM in asked:
        shown["ufCrmTask"] = list(row.crm)
    return shown


def _asked(call: Call) -> set[str]:
    return {str(name).upper() for name in as_list(call.params.get("select"))}


def task_get(call: Call) -> Result:
    """`tasks.task.get`: a task that does not exist is `[]` with status 200."""
    row = call.state.tasks.rows.get(call.whole("taskId"))
    return Result([] if row is None else {"task": _shape(call, row, _asked(call))})


def task_list(call: Call) -> Result:
    """`tasks.task.list`."""
    table = call.state.tasks
    given = as_map(call.any_case("filter"))
    wanted = parse_filter(table, given, table.fields.by_old, strict=False)
    ties = {str(one) for key in (_CRM, f"={_CRM}", f"@{_CRM}") for one in as_list(given.get(key))}
    if ties:
        wanted = Filter(wanted.conditions, (lambda row: not ties.isdisjoint(row.crm),))
    order = parse_order(call.any_case("order"), table.fields.by_old, strict=False)
    found = find(table, wanted, order, start_of(call.any_case("start")))
    return page({"tasks": [_shape(call, row, _asked(call)) for row in found.rows]}, found)


def _task(call: Call) -> Task:
    row = call.state.tasks.rows.get(call.whole("taskId"))
    if row is None:
        raise RestError("1048582", "The task was not found or access was denied.")
    return row


def task_update(call: Call) -> Result:
    """`tasks.task.update`."""
    row, given = _task(call), _given(call)
    call.state.tasks.write(row, _values(call, given), call.now)
    if _CRM in given:
        row.crm = tuple(str(one) for one in as_list(given[_CRM]))
    return Result({"task": _shape(call, row, set())})


def task_complete(call: Call) -> Result:
    """`tasks.task.complete`."""
    row, table = _task(call), call.state.tasks
    table.write(row, {table.fields.by_old["STATUS"]: COMPLETED}, call.now)
    return Result({"task": _shape(call, row, set())})


METHODS = (
    Method("tasks.task.add", task_add, "task", writes=True),
    Method("tasks.task.get", task_get, "task"),
    Method("tasks.task.list", task_list, "task"),
    Method("tasks.task.update", task_update, "task", writes=True),
    Method("tasks.task.complete", task_complete, "task", writes=True),
)
