"""Nothing that a client sends breaks the emulator: it is done, or it is refused in the vendor's shape."""

from __future__ import annotations

import copy

import pytest

from sandbox.amocrm import Rules
from tests.sandbox.amocrm_caller import SEGMENT_FIELD, add_fields, caller, value

ODD = [None, [], {}, [1], {"a": 1}, "x", "", -1, 1.5, 10**15, True, "²", "--5"]
BODIES = {
    ("PATCH", "contacts"): [
        {
            "id": 101,
            "name": "A",
            "first_name": "A",
            "responsible_user_id": 1,
            "created_by": 0,
            "updated_by": 1,
            "created_at": 5,
            "updated_at": 5,
            "custom_fields_values": [value("RFM_R", 1), {"field_id": 700_001, "values": [{"value": "x"}]}],
            "tags_to_add": [{"name": "a"}],
            "tags_to_delete": [{"id": 1}],
            "_embedded": {"tags": [{"name": "a"}]},
            "request_id": "k",
        }
    ],
    ("PATCH", "leads"): [
        {"id": 1, "price": 5, "status_id": 143, "pipeline_id": 7001, "closed_at": 5, "loss_reason_id": 1}
    ],
    ("POST", "leads"): [
        {
            "name": "N",
            "_embedded": {
                "contacts": [{"id": 101, "is_main": True}],
                "companies": [{"id": 101}],
                "catalog_elements": [{"id": 5, "metadata": {"catalog_id": 2001, "quantity": 1}}],
            },
        }
    ],
    ("PATCH", "contacts/101"): {"name": "A", "custom_fields_values": [value("RFM_SEGMENT", {"enum_code": "vip"})]},
    ("POST", "contacts/custom_fields"): [SEGMENT_FIELD | {"code": "OTHER", "group_id": "default", "sort": 1}],
    ("PATCH", "contacts/custom_fields"): [{"id": 700_001, "name": "A", "sort": 1}],
    ("POST", "contacts/custom_fields/groups"): [{"name": "RFM", "sort": 1, "fields": [700_001]}],
    ("POST", "tasks"): [
        {
            "text": "x",
            "complete_till": 5,
            "entity_type": "contacts",
            "entity_id": 101,
            "responsible_user_id": 1,
            "task_type_id": 1,
            "duration": 5,
            "is_completed": True,
            "result": {"text": "y"},
            "created_at": 5,
        }
    ],
    ("PATCH", "tasks"): [{"id": 1, "text": "x", "complete_till": 5}],
    ("POST", "contacts/notes"): [{"entity_id": 101, "note_type": "common", "params": {"text": "x"}}],
    ("POST", "contacts/tags"): [{"name": "x"}],
    ("POST", "leads/1/link"): [{"to_entity_id": 101, "to_entity_type": "contacts", "metadata": {"is_main": True}}],
    ("POST", "webhooks"): {"destination": "https://app.example/h", "settings": ["add_lead"], "sort": 1},
}
LISTS = (
    "leads",
    "contacts",
    "companies",
    "tasks",
    "events",
    "contacts/custom_fields",
    "contacts/custom_fields/groups",
    "contacts/notes",
    "contacts/tags",
    "webhooks",
)
QUERIES = [
    "filter[{key}]={odd}",
    "filter[{key}][]={odd}",
    "filter[{key}][from]={odd}&filter[{key}][to]={odd}",
    "filter[{key}][0][pipeline_id]={odd}",
    "filter[{key}][{odd}][]=1",
    "order[{key}]={odd}",
]
KEYS = [
    "id",
    "entity_id",
    "entity_type",
    "updated_at",
    "statuses",
    "custom_fields_values",
    "type",
    "created_at",
    "price",
]


def paths(node, at=()):
    yield at
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, below in inner:
        yield from paths(below, (*at, key))


def with_odd(body, path, odd):
    if not path:
        return odd
    out = copy.deepcopy(body)
    node = out
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = odd
    return out


@pytest.mark.parametrize("rules", [Rules(), Rules(bad_item="partial", unknown_id="absent")], ids=["strict", "lenient"])
@pytest.mark.parametrize(("method", "path"), list(BODIES))
def test_odd_bodies_are_answered(method, path, rules):
    body = BODIES[method, path]
    for place in paths(body):
        for odd in ODD:
            call = caller(rules=rules)
            add_fields(call)
            call.write("POST", "tasks", [{"text": "x", "complete_till": 5}])
            call.write("POST", "contacts/tags", [{"name": "a"}])
            answer = call.send(method, path, with_odd(body, place, odd))
            assert answer.status in {200, 201, 400, 404, 405}, (place, odd, answer.body)
            for kind in LISTS:
                assert call.send("GET", kind, query="with=contacts").status in {200, 204}, (place, odd)


@pytest.mark.parametrize(
    "path", ["leads", "contacts", "tasks", "events", "leads/links", "contacts/custom_fields", "contacts/notes"]
)
def test_odd_queries_are_answered(path):
    call = caller(is_api_filter_enabled=True)
    for shape in QUERIES:
        for key in KEYS:
            for odd in ("", "x", "-1", "²", "--5", "1,2", "9" * 5000, "[", "]"):
                answer = call.send("GET", path, query=shape.format(key=key, odd=odd))
                assert answer.status in {200, 204, 400}, (shape, key, odd)
