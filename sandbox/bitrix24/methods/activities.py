"""To-dos, the activities they are, and lines of the timeline."""

from __future__ import annotations

from typing import Any

from sandbox.bitrix24.calls import Call, Method, Result, page
from sandbox.bitrix24.errors import RestError, missing, not_found, old_not_found
from sandbox.bitrix24.fields import Field
from sandbox.bitrix24.php import as_int, as_list, as_map
from sandbox.bitrix24.query import PAGE, find, parse_filter, parse_order, start_of
from sandbox.bitrix24.rows import Activity
from sandbox.bitrix24.state import ENTITY_WORDS
from sandbox.bitrix24.values import BadValue, iso, read, read_moment


def _deadline(call: Call) -> int:
    given = call.params.get("deadline")
    if not given:
        raise missing("deadline")
    try:
        return read_moment(given, call.state.zone)
    except BadValue as error:
        raise RestError("WRONG_DATETIME_FORMAT", "Wrong datetime format") from error


def _responsible(call: Call, default: int) -> int:
    """A user of the portal; raises `RestError` for anyone else."""
    given = call.params.get("responsibleId")
    if given in (None, ""):
        return default
    if as_int(given) not in call.state.users:
        raise RestError("100", "Responsible user not found")
    return as_int(given)


def todo_add(call: Call) -> Result:
    """`crm.activity.todo.add` → `{"id": …}`."""
    owner_type, owner_id = call.whole("ownerTypeId"), call.whole("ownerId")
    deadline = _deadline(call)
    owner = call.state.card(owner_type, owner_id)
    if owner is None:
        raise RestError("OWNER_NOT_FOUND", "Element not found")
    state = call.state
    row = state.activities.add(
        Activity(
            id=state.activities.next_id(),
            created=call.now,
            updated=call.now,
            owner_type_id=owner_type,
            owner_id=owner_id,
            subject=str(call.params.get("title") or "To-do"),
            description=str(call.params.get("description") or ""),
            deadline=deadline,
            responsible_id=_responsible(call, state.user_id),
            author_id=state.user_id,
        )
    )
    owner.last_activity = call.now
    return Result({"id": row.id})


def todo_update(call: Call) -> Result:
    """`crm.activity.todo.update`: the deadline is needed again; a finished to-do stays as it is."""
    row = _open_todo(call)
    by_old = call.state.activities.fields.by_old
    values: dict[Field, Any] = {
        by_old["DEADLINE"]: _deadline(call),
        by_old["RESPONSIBLE_ID"]: _responsible(call, row.responsible_id),
        by_old["SUBJECT"]: str(call.params.get("title", row.subject)),
        by_old["DESCRIPTION"]: str(call.params.get("description", row.description)),
    }
    call.state.activities.write(row, values, call.now)
    return Result({"id": row.id})


def _open_todo(call: Call) -> Activity:
    """The to-do that id and owner together name, as long as it is open; raises `RestError`."""
    row = call.state.activities.rows.get(call.whole("id"))
    asked = (call.whole("ownerTypeId"), call.whole("ownerId"))
    if row is None or row.provider_id != "CRM_TODO" or (row.owner_type_id, row.owner_id) != asked:
        raise not_found("Element not found")
    if row.completed:
        raise RestError("CAN_NOT_UPDATE_COMPLETED_TODO", "A completed to-do cannot be changed")
    return row


def todo_update_deadline(call: Call) -> Result:
    """`crm.activity.todo.updateDeadline`: the new deadline is the parameter `value`."""
    row = _open_todo(call)
    if not call.params.get("value"):
        raise missing("value")
    try:
        moment = read_moment(call.params["value"], call.state.zone)
    except BadValue as error:
        raise RestError("WRONG_DATETIME_FORMAT", "Wrong datetime format") from error
    call.state.activities.write(row, {call.state.activities.fields.by_old["DEADLINE"]: moment}, call.now)
    return Result({"id": row.id})


def todo_update_responsible(call: Call) -> Result:
    """`crm.activity.todo.updateResponsibleUser`."""
    row = _open_todo(call)
    if call.params.get("responsibleId") in (None, ""):
        raise missing("responsibleId")
    user = _responsible(call, row.responsible_id)
    call.state.activities.write(row, {call.state.activities.fields.by_old["RESPONSIBLE_ID"]: user}, call.now)
    return Result({"id": row.id})


def binding_list(call: Call) -> Result:
    """`crm.activity.binding.list` → the cards that an activity stands on."""
    row = call.state.activities.rows.get(call.whole("activityId"))
    if row is None:
        raise not_found("Element not found")
    return Result([{"entityTypeId": entity, "entityId": one} for entity, one in row.bindings])


def _shape(call: Call, row: Activity, asked: set[str]) -> dict[str, Any]:
    fields = call.state.activities.fields
    return {field.old: fields.old_value(field, row) for field in fields if not asked or field.old in asked | {"ID"}}


def activity_list(call: Call) -> Result:
    """`crm.activity.list`: text values."""
    table = call.state.activities
    wanted = parse_filter(table, call.any_case("filter"), table.fields.by_old, strict=False)
    order = parse_order(call.any_case("order"), table.fields.by_old, strict=False)
    found = find(table, wanted, order, start_of(call.any_case("start")))
    asked = {str(name) for name in as_list(call.any_case("select"))} - {"*"}
    return page([_shape(call, row, asked) for row in found.rows], found)


def _activity(call: Call) -> Activity:
    row = call.state.activities.rows.get(as_int(call.any_case("id")))
    if row is None:
        raise old_not_found()
    return row


def activity_get(call: Call) -> Result:
    """`crm.activity.get`."""
    return Result(_shape(call, _activity(call), set()))


def activity_update(call: Call) -> Result:
    """`crm.activity.update`; `COMPLETED` Y is the way to finish a to-do."""
    row, table = _activity(call), call.state.activities
    values: dict[Field, Any] = {}
    for name, given in as_map(call.any_case("fields")).items():
        field = table.fields.by_old.get(name)
        if field is None or not field.writable:
            continue
        try:
            values[field] = read(field.kind, given, call.state.zone)
        except BadValue as error:
            raise RestError("", f"Invalid value of {name}") from error
    table.write(row, values, call.now)
    return Result(True)


def activity_delete(call: Call) -> Result:
    """`crm.activity.delete`."""
    call.state.activities.remove(_activity(call))
    return Result(True)


def comment_add(call: Call) -> Result:
    """`crm.timeline.comment.add` → the comment's id. Object words are lower case."""
    given = call.fields()
    word, owner_id = str(given.get("ENTITY_TYPE", "")), as_int(given.get("ENTITY_ID"))
    numbers = {name: number for number, name in ENTITY_WORDS.items()}
    if word not in numbers or call.state.card(numbers[word], owner_id) is None:
        raise RestError("", "Owner was not found.")
    if not given.get("COMMENT"):
        raise RestError("", "Empty comment message.")
    comments = call.state.comments
    comments.append(
        {"id": len(comments) + 1, "entityType": word, "entityId": owner_id, "comment": str(given["COMMENT"])}
    )
    return Result(len(comments))


def comment_list(call: Call) -> Result:
    """`crm.timeline.comment.list`: text values; an element has to be named by both its keys."""
    asked = as_map(call.any_case("filter"))
    owner = {"ENTITY_ID": str(asked.get("ENTITY_ID") or ""), "ENTITY_TYPE": str(asked.get("ENTITY_TYPE") or "")}
    if not all(owner.values()):
        raise RestError("", "ENTITY_ID and ENTITY_TYPE are required in the filter.")
    rows = [{name: str(one[key]) for name, key in _COMMENT.items()} for one in call.state.comments]
    found = [row for row in rows if owner.items() <= row.items()]
    if str(as_map(call.any_case("order")).get("ID") or "").upper() == "DESC":
        found.reverse()
    names = {str(name) for name in as_list(call.any_case("select"))} - {"*"}
    start = max(0, as_int(call.any_case("start") or 0))
    shown = [{name: row[name] for name in row if not names or name in names | {"ID"}} for row in found]
    following = start + PAGE if start + PAGE < len(found) else None
    return Result(shown[start : start + PAGE], len(found), following)


def log_message_add(call: Call) -> Result:
    """`crm.timeline.logmessage.add`."""
    given = call.fields()
    owner_type, owner_id = as_int(given.get("entityTypeId")), as_int(given.get("entityId"))
    if call.state.card(owner_type, owner_id) is None:
        raise RestError("OWNER_NOT_FOUND", "Element not found")
    for name in ("title", "text", "iconCode"):
        if not given.get(name):
            raise missing(name)
    messages = call.state.log_messages
    message = {
        "id": len(messages) + 1,
        "created": iso(call.now, call.state.zone),
        "authorId": call.state.user_id,
        "title": str(given["title"]),
        "text": str(given["text"]),
        "iconCode": str(given["iconCode"]),
    }
    messages.append({**message, "entityTypeId": owner_type, "entityId": owner_id})
    return Result({"logMessage": message})


_COMMENT = {"ID": "id", "ENTITY_ID": "entityId", "ENTITY_TYPE": "entityType", "COMMENT": "comment"}
METHODS = (
    Method("crm.activity.todo.add", todo_add, "crm", writes=True),
    Method("crm.activity.todo.update", todo_update, "crm", writes=True),
    Method("crm.activity.todo.updatedeadline", todo_update_deadline, "crm", writes=True),
    Method("crm.activity.todo.updateresponsibleuser", todo_update_responsible, "crm", writes=True),
    Method("crm.activity.binding.list", binding_list, "crm"),
    Method("crm.activity.list", activity_list, "crm"),
    Method("crm.activity.get", activity_get, "crm"),
    Method("crm.activity.update", activity_update, "crm", writes=True),
    Method("crm.activity.delete", activity_delete, "crm", writes=True),
    Method("crm.timeline.comment.add", comment_add, "crm", writes=True),
    Method("crm.timeline.comment.list", comment_list, "crm"),
    Method("crm.timeline.logmessage.add", log_message_add, "crm", writes=True),
)
