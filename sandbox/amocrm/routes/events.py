"""`/events`: what happened, newest first, 100 a page at most.

https://www.amocrm.ru/developers/content/crm_platform/events-and-notes
"""

from __future__ import annotations

from typing import Any

from sandbox.amocrm.calls import Call, hal, nothing, page_answer, whole_list
from sandbox.amocrm.events import TYPES, Event
from sandbox.amocrm.query import window
from sandbox.amocrm.router import Route
from sandbox.amocrm.rows import SINGULAR, Stored
from sandbox.web import Answer

LONGEST = 100
_PLURAL = {singular: plural for plural, singular in SINGULAR.items()}
_TYPE_NUMBERS = {"text": 1, "numeric": 2, "checkbox": 3, "select": 4, "multiselect": 5, "date": 6, "multitext": 8}


def list_events(call: Call) -> Answer:
    """A page of events; filters as arrays or with commas. Not a paid option."""
    at = window(call.query, LONGEST)
    found = call.account.history.find(call.filter, at.start, at.limit + 1)
    views = [_view(call, event) for event in found[: at.limit]]
    return page_answer(call, "events", views, at, more=len(found) > at.limit)


def get_event(call: Call) -> Answer:
    """One event."""
    event = call.account.history.by_id(call.parts["id"])
    return hal(_view(call, event)) if event else nothing()


def list_types(call: Call) -> Answer:
    """The names of all types."""
    return whole_list(call, "events_types", [{"key": name, "type": 1, "lang": name} for name in TYPES])


def _view(call: Call, event: Event) -> dict[str, Any]:
    href = f"{call.base}/{_PLURAL[event.entity_type]}/{event.entity_id}"
    return {
        "id": event.id,
        "type": event.type,
        "entity_id": event.entity_id,
        "entity_type": event.entity_type,
        "created_by": event.created_by,
        "created_at": event.created_at,
        "value_after": list(event.after) or [_view_value(call, event, one) for one in event.stored_after],
        "value_before": list(event.before) or [_view_value(call, event, one) for one in event.stored_before],
        "account_id": call.account.settings.id,
        "_links": {"self": {"href": f"{call.base}/events/{event.id}"}},
        "_embedded": {"entity": {"id": event.entity_id, "_links": {"self": {"href": href}}}},
    }


def _view_value(call: Call, event: Event, one: Stored) -> dict[str, Any]:
    """A field or an option that is gone by now shows what is left of it."""
    book = call.account.books[_PLURAL[event.entity_type]]
    field = book.fields.get(event.field_id or 0)
    option = book.options.get(one.enum_id or 0)
    text = option.value if option is not None and one.value is None else one.value
    value = {
        "field_id": event.field_id,
        "field_type": _TYPE_NUMBERS.get(field.type, 1) if field else 1,
        "enum_id": one.enum_id,
        "text": None if text is None else str(text),
    }
    return {"custom_field_value": value}


ROUTES = (
    Route("GET", "events", list_events),
    Route("GET", "events/types", list_types),
    Route("GET", "events/{id}", get_event),
)
