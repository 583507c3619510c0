"""The account's change history: `GET /api/v4/events`.

Facts: https://www.amocrm.ru/developers/content/crm_platform/events-and-notes and `EventsFilter` of the official
PHP client. Retention is not documented; here each type keeps its last `KEPT_PER_TYPE` events.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Any

from sandbox.amocrm.problems import Problem
from sandbox.amocrm.query import Span, Tree, numbers, span, words
from sandbox.amocrm.rows import Stored

KEPT_PER_TYPE = 50_000
ANY_CUSTOM_FIELD = "custom_field_value_changed"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MOST_IDS = 100
_MOST_ENTITIES = 10

ENTITY_TYPES = tuple(
    f"{entity}_{what}" for entity in ("lead", "contact", "company") for what in ("added", "deleted", "restored")
)
TYPES = (
    *ENTITY_TYPES, "customer_added", "customer_deleted", "lead_status_changed", "customer_status_changed",
    "transaction_added", "sale_field_changed", "ltv_field_changed", "name_field_changed", ANY_CUSTOM_FIELD,
    "entity_responsible_changed", "entity_linked", "entity_unlinked", "entity_tag_added", "entity_tag_deleted",
    "entity_merged", "task_added", "task_deleted", "task_completed", "task_type_changed", "task_text_changed",
    "task_deadline_changed", "task_result_added", "common_note_added", "common_note_deleted",
    "service_note_added", "incoming_chat_message", "outgoing_chat_message",
)  # fmt: skip

Value = tuple[Mapping[str, Any], ...]
Values = tuple[Stored, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """One change. `entity_type` is singular. `serial` rises with every event of the account.

    A change of a custom field keeps the values as they are stored, in `stored_before` and `stored_after`: a
    bulk write makes very many of these, and few are ever looked at.
    """

    serial: int
    type: str
    entity_type: str
    entity_id: int
    created_by: int
    created_at: int
    before: Value = ()
    after: Value = ()
    field_id: int | None = None
    stored_before: Values = ()
    stored_after: Values = ()

    @property
    def id(self) -> str:
        """A ULID: ten characters of time, sixteen of serial."""
        return _base32(self.created_at * 1000, 10) + _base32(self.serial, 16)


def _base32(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, rest = divmod(number, 32)
        digits.append(_CROCKFORD[rest])
    return "".join(reversed(digits))


class History:
    """Events by type, each list in order of time."""

    def __init__(self) -> None:
        self._by_type: dict[str, list[Event]] = {}
        self._serial = 0

    def add(
        self,
        kind: str,
        entity: tuple[str, int],
        *,
        by: int,
        at: int,
        before: Value = (),
        after: Value = (),
    ) -> None:
        """Write one down; `at` never falls."""
        self._keep(Event(self._next(), kind, entity[0], entity[1], by, at, before, after))

    def add_field_change(
        self, field_id: int, entity: tuple[str, int], before: Values, after: Values, *, by: int, at: int
    ) -> None:
        """Write down that a custom field changed."""
        kind = f"custom_field_{field_id}_value_changed"
        self._keep(
            Event(self._next(), kind, *entity, by, at, field_id=field_id, stored_before=before, stored_after=after)
        )

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def _keep(self, event: Event) -> None:
        events = self._by_type.setdefault(event.type, [])
        events.append(event)
        if len(events) > KEPT_PER_TYPE * 2:
            del events[:KEPT_PER_TYPE]

    def find(self, asked: Tree, start: int, count: int) -> list[Event]:
        """`count` events from position `start` of those that match the filter, newest first.

        Raises `Problem` 400 for a filter that the vendor refuses.
        """
        wanted = _conditions(asked)
        when = span(asked["created_at"]) if "created_at" in asked else Span(None, None)
        lists = [_cut(events, when) for events in self._lists(asked)]
        newest = merge(*(reversed(events) for events in lists), key=lambda event: event.serial, reverse=True)
        return list(islice((event for event in newest if all(ok(event) for ok in wanted)), start, start + count))

    def by_id(self, event_id: str) -> Event | None:
        """One event."""
        for events in self._by_type.values():
            for event in events:
                if event.id == event_id:
                    return event
        return None

    def _lists(self, asked: Tree) -> Iterator[list[Event]]:
        if "type" not in asked:
            yield from self._by_type.values()
            return
        types = set(words(asked["type"]))
        for kind, events in self._by_type.items():
            if kind in types or (ANY_CUSTOM_FIELD in types and _is_custom_field(kind)):
                yield events


def _is_custom_field(kind: str) -> bool:
    return kind.startswith("custom_field_") and kind.endswith("_value_changed")


def _cut(events: list[Event], when: Span) -> list[Event]:
    low = 0 if when.low is None else bisect_left(events, when.low, key=lambda event: event.created_at)
    high = len(events) if when.high is None else bisect_right(events, when.high, key=lambda event: event.created_at)
    return events[low:high]


def _conditions(asked: Tree) -> list[Callable[[Event], bool]]:
    tests: list[Callable[[Event], bool]] = []
    entities = words(asked["entity"]) if "entity" in asked else []
    if entities:
        tests.append(lambda event: event.entity_type in entities)
    if "entity_id" in asked:
        ids = frozenset(_at_most(numbers(asked["entity_id"]), _MOST_ENTITIES, "entity_id"))
        if len(entities) != 1:
            raise Problem(400, "filter[entity_id] needs exactly one filter[entity]")
        tests.append(lambda event: event.entity_id in ids)
    if "created_by" in asked:
        authors = frozenset(_at_most(numbers(asked["created_by"]), _MOST_ENTITIES, "created_by"))
        tests.append(lambda event: event.created_by in authors)
    if "id" in asked:
        event_ids = frozenset(_at_most(words(asked["id"]), _MOST_IDS, "id"))
        tests.append(lambda event: event.id in event_ids)
    for side in ("before", "after"):
        tests.extend(_value_conditions(asked.get(f"value_{side}"), side))
    return tests


def _value_conditions(asked: object, side: str) -> Iterator[Callable[[Event], bool]]:
    if not isinstance(asked, Mapping):
        return
    stages = asked.get("leads_statuses")
    if isinstance(stages, Mapping):
        pairs = {_pair(stage) for stage in stages.values() if isinstance(stage, Mapping)}
        yield lambda event: any(
            (value["lead_status"]["pipeline_id"], value["lead_status"]["id"]) in pairs
            for value in getattr(event, side)
            if "lead_status" in value
        )
    if "responsible_user_id" in asked:
        users = frozenset(numbers(asked["responsible_user_id"]))
        yield lambda event: any(value.get("responsible_user", {}).get("id") in users for value in getattr(event, side))


def _pair(stage: Mapping[str, object]) -> tuple[int, int]:
    pipeline, status = numbers(stage.get("pipeline_id", "")), numbers(stage.get("status_id", ""))
    return (pipeline or [-1])[0], (status or [-1])[0]


def _at_most(asked: list[Any], most: int, name: str) -> Iterable[Any]:
    if len(asked) > most:
        raise Problem(400, f"filter[{name}] takes at most {most} values")
    return asked
