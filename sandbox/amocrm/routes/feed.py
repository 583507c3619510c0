"""What hangs on cards: notes and tags.

https://www.amocrm.ru/developers/content/crm_platform/events-and-notes, …/tags-api
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from sandbox.amocrm.calls import Call, hal, made, nothing, page_answer, run_batch
from sandbox.amocrm.problems import choice, missing, unexpected, unsupported, wrong_type
from sandbox.amocrm.query import numbers, ordering, span, window, words
from sandbox.amocrm.router import Route
from sandbox.amocrm.rows import Kind, Note, Tag
from sandbox.amocrm.values import whole_number
from sandbox.amocrm.views import view_note
from sandbox.web import Answer

_TEXT_ONLY = frozenset({"common"})
_SERVICE = frozenset({"service_message", "extended_service_message"})
_OTHER_TYPES = frozenset({"call_in", "call_out", "sms_in", "sms_out", "geolocation", "attachment"})
_KEYS = frozenset(
    {
        "entity_id", "note_type", "params", "created_by", "responsible_user_id", "request_id", "created_at",
        "updated_at", "is_need_to_trigger_digital_pipeline",
    }
)  # fmt: skip


def list_notes(call: Call) -> Answer:
    """Notes of all cards of a type."""
    return _page(call, call.account.notes.values())


def list_notes_of(call: Call) -> Answer:
    """Notes of one card."""
    entity_id = call.number("id")
    return _page(call, (note for note in call.account.notes.values() if note.entity_id == entity_id))


def _page(call: Call, notes: Iterable[Note]) -> Answer:
    at, asked = window(call.query), call.filter
    kept = [note for note in notes if note.entity_type == call.parts["kind"]]
    for name in ("id", "entity_id"):
        if name in asked:
            ids = frozenset(numbers(asked[name]))
            kept = [note for note in kept if getattr(note, name) in ids]
    if "note_type" in asked:
        kept = [note for note in kept if note.note_type in words(asked["note_type"])]
    if "updated_at" in asked:
        when = span(asked["updated_at"])
        kept = [note for note in kept if when.holds(note.updated_at)]
    orders = ((one, down) for one, down in ordering(call.query) if one in {"updated_at", "id"})
    name, falling = next(orders, ("id", False))
    kept.sort(key=lambda note: (getattr(note, name), note.id), reverse=falling)
    views = [view_note(call.account, note, call.base) for note in kept[at.start : at.start + at.limit]]
    return page_answer(call, "notes", views, at, more=len(kept) > at.start + at.limit)


def get_note(call: Call) -> Answer:
    """One note."""
    note = call.account.notes.get(call.number("id"))
    return hal(view_note(call.account, note, call.base)) if note else nothing()


def create_notes(call: Call) -> Answer:
    """POST of an array; on `/{entity}/{id}/notes` the id of the path is meant."""
    kind = cast("Kind", call.parts["kind"])
    of_one = int(call.parts["id"]) if "id" in call.parts else None

    def prepare(item: Mapping[str, Any]) -> dict[str, Any]:
        return _check(call, kind, item, of_one)

    def commit(item: dict[str, Any]) -> dict[str, Any]:
        note = _add(call, kind, item)
        href = f"{call.base}/{kind}/{note.entity_id}/notes/{note.id}"
        return {"id": note.id, "entity_id": note.entity_id, "_links": {"self": {"href": href}}}

    return made(call, "notes", run_batch(call, prepare, commit))


def _check(call: Call, kind: Kind, item: object, of_one: int | None) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        raise wrong_type("", "object")
    for key in item:
        if key not in _KEYS:
            raise unexpected(key)
    entity_id = of_one if of_one is not None else item.get("entity_id")
    if entity_id is None:
        raise missing("entity_id")
    if isinstance(entity_id, bool) or not isinstance(entity_id, int):
        raise wrong_type("entity_id", "int")
    if call.account.card(kind, entity_id) is None:
        raise unsupported("entity_id")
    _check_origin(call, item)
    _check_content(item)
    return {**item, "entity_id": entity_id}


def _check_origin(call: Call, item: Mapping[str, Any]) -> None:
    for key in ("created_by", "responsible_user_id"):
        if item.get(key):
            choice(call.account.users, item[key], key)
    for key in ("created_at", "updated_at"):
        if item.get(key) is not None:
            whole_number(item[key], key)


def _check_content(item: Mapping[str, Any]) -> None:
    note_type, params = item.get("note_type"), item.get("params")
    if str(note_type) not in _TEXT_ONLY | _SERVICE | _OTHER_TYPES:
        raise unsupported("note_type")
    if not isinstance(params, Mapping):
        raise missing("params")
    needed = {"text"} if note_type in _TEXT_ONLY else {"text", "service"} if note_type in _SERVICE else set()
    for key in sorted(needed - set(params)):
        raise missing(f"params.{key}")


def _add(call: Call, kind: Kind, item: Mapping[str, Any]) -> Note:
    account = call.account
    note = Note(
        id=next(account.ids["notes"]),
        entity_type=kind,
        entity_id=item["entity_id"],
        note_type=item["note_type"],
        params=dict(item["params"]),
        created_by=item.get("created_by", account.token_user_id),
        responsible_user_id=item.get("responsible_user_id") or account.token_user_id,
        created_at=item.get("created_at") or account.now(),
        updated_at=item.get("updated_at") or account.now(),
    )
    account.notes[note.id] = note
    event = "common_note_added" if note.note_type in _TEXT_ONLY else "service_note_added"
    account.tell(event, kind, note.entity_id, account.token_user_id, None, {"note": {"id": note.id}})
    return note


def list_tags(call: Call) -> Answer:
    """The tags of an entity type."""
    at = window(call.query)
    rows = list(call.account.tags[cast("Kind", call.parts["kind"])].values())
    if "name" in call.filter:
        rows = [row for row in rows if row.name in words(call.filter["name"])]
    views = [_view_tag(row) for row in rows[at.start : at.start + at.limit]]
    return page_answer(call, "tags", views, at, more=len(rows) > at.start + at.limit)


def create_tags(call: Call) -> Answer:
    """POST of an array; a name that is there already comes back with its id."""
    kind = cast("Kind", call.parts["kind"])

    def prepare(item: object) -> str:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str):
            raise missing("name")
        return name

    return made(call, "tags", run_batch(call, prepare, lambda name: _view_tag(call.account.tag(kind, name))))


def _view_tag(tag: Tag) -> dict[str, Any]:
    return {"id": tag.id, "name": tag.name, "color": None}


ROUTES = (
    Route("GET", "{kind:kind}/notes", list_notes),
    Route("POST", "{kind:kind}/notes", create_notes),
    Route("GET", "{kind:kind}/notes/{id:int}", get_note),
    Route("GET", "{kind:kind}/{id:int}/notes", list_notes_of),
    Route("POST", "{kind:kind}/{id:int}/notes", create_notes),
    Route("GET", "{kind:kind}/tags", list_tags),
    Route("POST", "{kind:kind}/tags", create_tags),
)
