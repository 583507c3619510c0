"""`/{entity}/custom_fields` and their groups. Only administrators may change them.

https://www.amocrm.ru/developers/content/crm_platform/custom-fields
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from sandbox.amocrm.calls import Call, hal, made, nothing, page_answer, run_batch, run_one, whole_list
from sandbox.amocrm.fields import FieldBook, FieldPlan
from sandbox.amocrm.problems import Invalid, Problem, choice, missing, wrong_type
from sandbox.amocrm.query import ordering, window, words
from sandbox.amocrm.router import Route
from sandbox.amocrm.rows import Field, FieldGroup, Kind
from sandbox.amocrm.values import whole_number
from sandbox.amocrm.views import view_field
from sandbox.web import Answer


def _book(call: Call) -> FieldBook:
    return call.account.books[call.parts["kind"]]


def _admins_only(call: Call) -> None:
    if not call.account.token_is_admin():
        raise Problem(403, "Administrator rights are required")


def list_fields(call: Call) -> Answer:
    """Fields by sort, 50 a page by default; `filter[type]` is not a paid option."""
    return _page(call, _book(call), call.parts["kind"])


def list_catalog_fields(call: Call) -> Answer:
    """The fields of one list."""
    catalog_id = call.number("id")
    if catalog_id not in call.account.catalogs:
        return nothing()
    return _page(call, call.account.catalog_book(catalog_id), f"catalogs/{catalog_id}")


def _page(call: Call, book: FieldBook, entity: str) -> Answer:
    at = window(call.query)
    fields: list[Field] = list(book.fields.values())
    if "type" in call.filter:
        types = frozenset(words(call.filter["type"]))
        fields = [field for field in fields if field.type in types]
    name, falling = next(((one, down) for one, down in ordering(call.query) if one in {"sort", "id"}), ("sort", False))
    fields.sort(key=lambda field: (getattr(field, name), field.id), reverse=falling)
    part = fields[at.start : at.start + at.limit]
    views = [view_field(call.account, field, entity, call.base) for field in part]
    return page_answer(call, "custom_fields", views, at, more=len(fields) > at.start + at.limit, total=len(fields))


def get_field(call: Call) -> Answer:
    """One field."""
    field = _book(call).fields.get(call.number("id"))
    return hal(view_field(call.account, field, call.parts["kind"], call.base)) if field else nothing()


def create_fields(call: Call) -> Answer:
    """POST of an array; codes must be new within the entity and within the call."""
    _admins_only(call)
    book = _book(call)
    codes: set[str] = set()

    def prepare(item: Mapping[str, Any]) -> FieldPlan:
        plan = book.plan_new(item)
        if plan.code is not None and plan.code in codes:
            raise Invalid("NotUnique", "code", "The code is used twice.")
        codes.update([plan.code] if plan.code is not None else [])
        return plan

    def commit(plan: FieldPlan) -> dict[str, Any]:
        return view_field(call.account, book.create(plan), call.parts["kind"], call.base)

    return made(call, "custom_fields", run_batch(call, prepare, commit))


def change_fields(call: Call) -> Answer:
    """PATCH of an array with ids."""
    _admins_only(call)
    book = _book(call)

    def prepare(item: Mapping[str, Any]) -> tuple[Field, FieldPlan]:
        if not isinstance(item, Mapping):
            raise wrong_type("", "object")
        if item.get("id") is None:
            raise missing("id")
        field = choice(book.fields, item["id"], "id")
        return field, book.plan_edit(field, item)

    return made(call, "custom_fields", run_batch(call, prepare, lambda plan: _edit(call, *plan)))


def change_field(call: Call) -> Answer:
    """PATCH of one field."""
    _admins_only(call)
    field = _field(call)
    return hal(run_one(call, lambda item: _book(call).plan_edit(field, item), lambda plan: _edit(call, field, plan)))


def _edit(call: Call, field: Field, plan: FieldPlan) -> dict[str, Any]:
    """Options that were left out are gone, with their values on cards. The answer has options by number."""
    kind = cast("Kind", call.parts["kind"])
    gone = _book(call).edit(field, plan)
    call.account.forget_options(kind, field.id, gone)
    view = view_field(call.account, field, kind, call.base)
    if plan.options is not None:
        view["enums"] = {str(at): option for at, option in enumerate(view["enums"])}
    return view


def delete_field(call: Call) -> Answer:
    """DELETE; values on cards go with it."""
    _admins_only(call)
    field = _field(call)
    if field.is_predefined:
        raise Problem(400, "A predefined field cannot be deleted")
    call.account.forget_field(cast("Kind", call.parts["kind"]), field.id)
    return nothing()


def _field(call: Call) -> Field:
    field = _book(call).fields.get(call.number("id"))
    if field is None:
        raise Problem(404, "Field not found")
    return field


def list_groups(call: Call) -> Answer:
    """The tabs of a card."""
    groups = sorted(_book(call).groups.values(), key=lambda group: group.sort)
    return whole_list(call, "custom_field_groups", [_view_group(call, group) for group in groups])


def create_groups(call: Call) -> Answer:
    """POST of an array of `{name, sort, fields}`."""
    _admins_only(call)
    book = _book(call)

    def commit(item: Mapping[str, Any]) -> dict[str, Any]:
        group_id, sort = f"{call.parts['kind']}_{book.next_id()}", item.get("sort") or len(book.groups) + 1
        group = FieldGroup(group_id, item["name"], sort)
        book.groups[group.id] = group
        _gather(book, group, item.get("fields"))
        return _view_group(call, group)

    return made(call, "custom_field_groups", run_batch(call, lambda item: _check_group(book, item, new=True), commit))


def _check_group(book: FieldBook, item: object, *, new: bool) -> Mapping[str, Any]:
    if not isinstance(item, Mapping):
        raise wrong_type("", "object")
    name = item.get("name")
    if new and not name:
        raise missing("name")
    if name is not None and not isinstance(name, str):
        raise wrong_type("name", "string")
    if item.get("sort") is not None:
        whole_number(item["sort"], "sort")
    field_ids = item.get("fields") or []
    if not isinstance(field_ids, list):
        raise wrong_type("fields", "array")
    for at, field_id in enumerate(field_ids):
        choice(book.fields, field_id, f"fields.{at}")
    return item


def _gather(book: FieldBook, group: FieldGroup, field_ids: object) -> None:
    for field_id in field_ids if isinstance(field_ids, list) else ():
        book.fields[field_id].group_id = group.id


def _view_group(call: Call, group: FieldGroup) -> dict[str, Any]:
    kind = call.parts["kind"]
    return {
        "id": group.id,
        "name": group.name,
        "is_predefined": group.is_predefined,
        "type": kind,
        "entity_type": kind,
        "sort": group.sort,
        "_links": {"self": {"href": f"{call.base}/{kind}/custom_fields/groups/{group.id}"}},
    }


def _group(call: Call) -> FieldGroup | None:
    return _book(call).groups.get(call.parts["group"])


def get_group(call: Call) -> Answer:
    """One tab."""
    group = _group(call)
    return hal(_view_group(call, group)) if group else nothing()


def change_group(call: Call) -> Answer:
    """Rename, move, or gather fields."""
    _admins_only(call)
    book, group = _book(call), _group(call)
    if group is None:
        raise Problem(404, "Group not found")

    def commit(item: Mapping[str, Any]) -> dict[str, Any]:
        group.name, group.sort = item.get("name") or group.name, item.get("sort") or group.sort
        _gather(book, group, item.get("fields"))
        return _view_group(call, group)

    return hal(run_one(call, lambda item: _check_group(book, item, new=False), commit))


def delete_group(call: Call) -> Answer:
    """DELETE; its fields return to the default tab."""
    _admins_only(call)
    book, group = _book(call), _group(call)
    if group is None:
        raise Problem(404, "Group not found")
    if group.is_predefined:
        raise Problem(400, "A predefined group cannot be deleted")
    del book.groups[group.id]
    for field in _fields_of(book, group):
        field.group_id = None
    return nothing()


def _fields_of(book: FieldBook, group: FieldGroup) -> Iterator[Field]:
    return (field for field in book.fields.values() if field.group_id == group.id)


ROUTES = (
    Route("GET", "{kind:kind}/custom_fields", list_fields),
    Route("POST", "{kind:kind}/custom_fields", create_fields),
    Route("PATCH", "{kind:kind}/custom_fields", change_fields),
    Route("GET", "{kind:kind}/custom_fields/{id:int}", get_field),
    Route("PATCH", "{kind:kind}/custom_fields/{id:int}", change_field),
    Route("DELETE", "{kind:kind}/custom_fields/{id:int}", delete_field),
    Route("GET", "{kind:kind}/custom_fields/groups", list_groups),
    Route("POST", "{kind:kind}/custom_fields/groups", create_groups),
    Route("GET", "{kind:kind}/custom_fields/groups/{group}", get_group),
    Route("PATCH", "{kind:kind}/custom_fields/groups/{group}", change_group),
    Route("DELETE", "{kind:kind}/custom_fields/groups/{group}", delete_group),
    Route("GET", "catalogs/{id:int}/custom_fields", list_catalog_fields),
)
