"""Tasks made and changed: what is checked, what is kept, which events tell of it.

https://www.amocrm.ru/developers/content/crm_platform/tasks-api
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from sandbox.amocrm.account import TASK_TYPES, Account
from sandbox.amocrm.problems import Flaw, Invalid, choice, missing, too_low, unexpected, unsupported, wrong_type
from sandbox.amocrm.rows import KINDS, Kind, Task
from sandbox.amocrm.values import whole_number

_KEYS = frozenset(
    {
        "id", "text", "complete_till", "entity_id", "entity_type", "task_type_id", "responsible_user_id",
        "duration", "is_completed", "result", "created_by", "updated_by", "created_at", "updated_at",
        "request_id",
    }
)  # fmt: skip
_WHOLE_NUMBERS = ("complete_till", "duration", "created_at", "updated_at")


def check_task(account: Account, item: object, now: Task | None) -> Mapping[str, Any]:
    """The item of a task to be made, or of a change of one, with whole stamps; raises `Invalid` with every flaw."""
    if not isinstance(item, Mapping):
        raise wrong_type("", "object")
    flaws: list[Flaw] = []
    for check in (_check_keys, _check_text, _check_numbers, _check_people, _check_entity):
        try:
            check(account, item, now)
        except Invalid as refusal:
            flaws.extend(refusal.flaws)
    if flaws:
        raise Invalid.together(flaws)
    return {**item, **{key: int(item[key]) for key in _WHOLE_NUMBERS if item.get(key) is not None}}


def _check_keys(_account: Account, item: Mapping[str, Any], now: Task | None) -> None:
    for key in item:
        if key not in _KEYS:
            raise unexpected(key)
    for key in ("text", "complete_till") if now is None else ():
        if item.get(key) in (None, ""):
            raise missing(key)


def _check_text(_account: Account, item: Mapping[str, Any], _now: Task | None) -> None:
    if "text" in item and not isinstance(item["text"], str):
        raise wrong_type("text", "string")
    if "is_completed" in item and not isinstance(item["is_completed"], bool):
        raise wrong_type("is_completed", "bool")
    result = item.get("result")
    if result and not (isinstance(result, Mapping) and isinstance(result.get("text"), str)):
        raise wrong_type("result.text", "string")


def _check_numbers(_account: Account, item: Mapping[str, Any], _now: Task | None) -> None:
    for key in _WHOLE_NUMBERS:
        value = item.get(key)
        if value is None:
            continue
        if whole_number(value, key) < (1 if key == "complete_till" else 0):
            raise too_low(key)


def _check_people(account: Account, item: Mapping[str, Any], _now: Task | None) -> None:
    """Whether the vendor refuses an inactive user is not documented; refusing is expected."""
    if item.get("responsible_user_id") is not None and not account.can_own(item["responsible_user_id"]):
        raise unsupported("responsible_user_id")
    if item.get("task_type_id") is not None:
        choice(TASK_TYPES, item["task_type_id"], "task_type_id")
    for key in ("created_by", "updated_by"):
        if item.get(key):
            choice(account.users, item[key], key)


def _check_entity(account: Account, item: Mapping[str, Any], _now: Task | None) -> None:
    kind, entity_id = item.get("entity_type"), item.get("entity_id")
    if (kind is None) != (entity_id is None):
        raise missing("entity_type" if kind is None else "entity_id")
    if kind is None:
        return
    if kind not in KINDS:
        raise unsupported("entity_type")
    if isinstance(entity_id, bool) or not isinstance(entity_id, int):
        raise wrong_type("entity_id", "int")
    if account.card(cast("Kind", kind), entity_id) is None:
        raise unsupported("entity_id")


def add_task(account: Account, item: Mapping[str, Any], *, by: int) -> Task:
    """Make a checked task."""
    now = account.now()
    result = item.get("result")
    task = Task(
        id=next(account.ids["tasks"]),
        text=item["text"],
        complete_till=item["complete_till"],
        task_type_id=item.get("task_type_id") or 1,
        responsible_user_id=item.get("responsible_user_id") or account.token_user_id,
        entity_type=item.get("entity_type"),
        entity_id=item.get("entity_id"),
        created_by=item.get("created_by", by),
        updated_by=item.get("updated_by", by),
        created_at=item.get("created_at") or now,
        updated_at=item.get("updated_at") or now,
        duration=item.get("duration") or 0,
        is_completed=item.get("is_completed", False),
        result=result["text"] if result else None,
    )
    account.tasks.add(task)
    if task.entity_type is not None and task.entity_id is not None:
        account.task_ids_of[task.entity_type, task.entity_id].append(task.id)
    account.tell("task_added", "tasks", task.id, by)
    return task


def edit_task(account: Account, task: Task, item: Mapping[str, Any], *, by: int) -> None:
    """Apply a checked change, with its events."""
    _move(account, task, item)
    if "text" in item and item["text"] != task.text:
        before, after = ({"task": {"text": text}} for text in (task.text, item["text"]))
        task.text = item["text"]
        account.tell("task_text_changed", "tasks", task.id, by, before, after)
    till = item.get("complete_till")
    if till is not None and till != task.complete_till:
        before, after = ({"task_deadline": {"timestamp": stamp}} for stamp in (task.complete_till, till))
        account.tasks.move(task, "complete_till", till)
        account.tell("task_deadline_changed", "tasks", task.id, by, before, after)
    if item.get("result"):
        task.result = item["result"]["text"]
        account.tell("task_result_added", "tasks", task.id, by)
    if item.get("is_completed") and not task.is_completed:
        account.tell("task_completed", "tasks", task.id, by)
    task.is_completed = item.get("is_completed", task.is_completed)
    for key in ("task_type_id", "responsible_user_id", "duration"):
        if item.get(key) is not None:
            setattr(task, key, item[key])
    task.updated_by = item.get("updated_by", by)
    task.updated_at = item.get("updated_at") or account.now()


def _move(account: Account, task: Task, item: Mapping[str, Any]) -> None:
    if item.get("entity_type") is None:
        return
    if task.entity_type is not None and task.entity_id is not None:
        account.task_ids_of[task.entity_type, task.entity_id].remove(task.id)
    task.entity_type, task.entity_id = item["entity_type"], item["entity_id"]
    account.task_ids_of[item["entity_type"], item["entity_id"]].append(task.id)
