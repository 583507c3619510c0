"""`/tasks`: no DELETE, no priority, no protection against doubles.

https://www.amocrm.ru/developers/content/crm_platform/tasks-api
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sandbox.amocrm.account import Account
from sandbox.amocrm.calls import Call, hal, made, nothing, page_answer, run_batch, run_one
from sandbox.amocrm.problems import Problem, choice, wrong_type
from sandbox.amocrm.query import Tree, numbers, ordering, span, window, words
from sandbox.amocrm.router import Route
from sandbox.amocrm.rows import KINDS, Task
from sandbox.amocrm.tasks import add_task, check_task, edit_task
from sandbox.amocrm.views import view_task
from sandbox.web import Answer

Test = Callable[[Task], bool]


def list_tasks(call: Call) -> Answer:
    """Tasks by id, `created_at` or `complete_till`; these filters are not a paid option."""
    account, at = call.account, window(call.query)
    tests = list(_tests(call.filter))
    name, falling = next(
        ((one, down) for one, down in ordering(call.query) if account.tasks.orderable(one)), ("id", False)
    )
    if call.filter:
        found = [task for task in _candidates(account, call.filter) if all(test(task) for test in tests)]
        found.sort(key=lambda task: (getattr(task, name), task.id), reverse=falling)
        rows = found[at.start : at.start + at.limit + 1]
    else:
        rows = account.tasks.page(name, at.start, at.limit + 1, falling=falling)
    views = [view_task(account, task, call.base) for task in rows[: at.limit]]
    return page_answer(call, "tasks", views, at, more=len(rows) > at.limit)


def _candidates(account: Account, asked: Tree) -> Iterable[Task]:
    """The tasks of the entities asked for, when the filter names some; raises `Problem` 400 for ids alone."""
    if "entity_id" not in asked:
        return account.tasks
    kind = asked.get("entity_type")
    if kind not in KINDS:
        raise Problem(400, "filter[entity_id] needs filter[entity_type]")
    ids = dict.fromkeys(numbers(asked["entity_id"]))
    return [account.tasks.rows[task] for one in ids for task in account.task_ids_of.get((kind, one), ())]


def _tests(asked: Tree) -> Iterable[Test]:
    for name, attribute in (
        ("id", "id"),
        ("responsible_user_id", "responsible_user_id"),
        ("created_by", "created_by"),
        ("task_type", "task_type_id"),
        ("task_type_id", "task_type_id"),
    ):
        if name in asked:
            yield _one_of(attribute, frozenset(numbers(asked[name])))
    if "is_completed" in asked:
        done = words(asked["is_completed"]) == ["1"]
        yield lambda task: task.is_completed is done
    if "entity_type" in asked:
        kinds = frozenset(words(asked["entity_type"]))
        yield lambda task: task.entity_type in kinds
    if "updated_at" in asked:
        when = span(asked["updated_at"])
        yield lambda task: when.holds(task.updated_at)


def _one_of(attribute: str, ids: frozenset[int]) -> Test:
    return lambda task: getattr(task, attribute) in ids


def get_task(call: Call) -> Answer:
    """One task."""
    task = call.account.tasks.rows.get(call.number("id"))
    return hal(view_task(call.account, task, call.base)) if task else nothing()


def create_tasks(call: Call) -> Answer:
    """POST of an array; `request_id` is echoed and means nothing else."""

    def prepare(item: Mapping[str, Any]) -> Mapping[str, Any]:
        return check_task(call.account, item, None)

    def commit(item: Mapping[str, Any]) -> dict[str, Any]:
        task = add_task(call.account, item, by=call.account.token_user_id)
        return {"id": task.id, "_links": {"self": {"href": f"{call.base}/tasks/{task.id}"}}}

    return made(call, "tasks", run_batch(call, prepare, commit))


def change_tasks(call: Call) -> Answer:
    """PATCH of an array with ids."""
    account = call.account

    def prepare(item: Mapping[str, Any]) -> tuple[Task, Mapping[str, Any]] | None:
        if not isinstance(item, Mapping):
            raise wrong_type("", "object")
        if account.rules.unknown_id == "absent" and isinstance(item.get("id"), int):
            task = account.tasks.rows.get(item["id"])
            return None if task is None else (task, check_task(account, item, task))
        task = choice(account.tasks.rows, item.get("id"), "id")
        return task, check_task(account, item, task)

    return made(call, "tasks", run_batch(call, prepare, lambda plan: _edit(call, *plan)))


def change_task(call: Call) -> Answer:
    """PATCH of one task."""
    task = call.account.tasks.rows.get(call.number("id"))
    if task is None:
        call.item()
        raise Problem(404, "Task not found")
    return hal(run_one(call, lambda item: check_task(call.account, item, task), lambda item: _edit(call, task, item)))


def _edit(call: Call, task: Task, item: Mapping[str, Any]) -> dict[str, Any]:
    edit_task(call.account, task, item, by=call.account.token_user_id)
    href = f"{call.base}/tasks/{task.id}"
    return {"id": task.id, "updated_at": task.updated_at, "_links": {"self": {"href": href}}}


ROUTES = (
    Route("GET", "tasks", list_tasks),
    Route("POST", "tasks", create_tasks),
    Route("PATCH", "tasks", change_tasks),
    Route("GET", "tasks/{id:int}", get_task),
    Route("PATCH", "tasks/{id:int}", change_task),
)
