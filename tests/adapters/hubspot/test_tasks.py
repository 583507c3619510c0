from datetime import UTC, datetime

import pytest

from adapters.errors import Interrupted
from adapters.records import CustomerKind, CustomerRef, TaskDraft
from tests.adapters.hubspot.wire import LOST, Wire, adapter, answer, page, record

CREATE = "tasks/batch/create"


class Tasks:
    """Keeps tasks like HubSpot, and loses, refuses or holds what it is told to."""

    def __init__(self, wire, *, lose=0, before=False, refuse=(), hold=0, traces=True, busy=()):
        self.kept = {}
        self.lose, self.before, self.refuse, self.hold = lose, before, set(refuse), hold
        self.traces, self.busy = traces, set(busy)
        wire.on(CREATE, self._create).on("tasks/batch/read", self._read)
        for objects in ("contacts", "companies"):
            wire.on(f"{objects}/tasks/batch/read", lambda call, objects=objects: self._links(call, objects))

    def _create(self, call):
        drafts = call.json["inputs"]
        if self.lose and self.before:
            self.lose -= 1
            return LOST
        if self.hold and len(drafts) > self.hold:
            return answer({"category": "VALIDATION_ERROR"}, 400)
        refused = [one for one in drafts if one["objectWriteTraceId"] in self.refuse | self.busy]
        made = [self._keep(one) for one in drafts if one not in refused]
        errors = [self._error(one["objectWriteTraceId"]) for one in refused]
        self.busy = set()
        if self.lose:
            self.lose -= 1
            return LOST
        return answer(page(*reversed(made), errors=errors), 207 if errors else 201)

    def _error(self, trace):
        category = "CONFLICT" if trace in self.busy else "OBJECT_NOT_FOUND"
        return {"category": category, "context": {"objectWriteTraceId": [trace]}}

    def _keep(self, draft):
        task_id = str(900 + len(self.kept))
        self.kept[task_id] = draft
        body = record(task_id, **draft["properties"])
        return {**body, "objectWriteTraceId": draft["objectWriteTraceId"]} if self.traces else body

    def _links(self, call, objects):
        type_id = {"contacts": 204, "companies": 192}[objects]
        found = []
        for item in call.json["inputs"]:
            own = [key for key, draft in self.kept.items() if self._is_on(draft, item["id"], type_id)]
            if own:
                found.append({"from": {"id": item["id"]}, "to": [{"toObjectId": int(key)} for key in own]})
        return page(*found)

    @staticmethod
    def _is_on(draft, customer_id, type_id):
        link = draft["associations"][0]
        return link["to"]["id"] == customer_id and link["types"][0]["associationTypeId"] == type_id

    def _read(self, call):
        ids = [item["id"] for item in call.json["inputs"]]
        return page(*(record(one, **self.kept[one]["properties"]) for one in ids))

    def keys(self):
        return [draft["objectWriteTraceId"] for draft in self.kept.values()]


@pytest.fixture
def wire():
    return Wire()


def drafts(count):
    kinds = (CustomerKind.CONTACT, CustomerKind.COMPANY)
    at = datetime(2026, 11, 25, 9, tzinfo=UTC)
    return [TaskDraft(f"k{n}", CustomerRef(kinds[n % 2], str(n // 2)), None, "Call", "Why", at) for n in range(count)]


def test_a_hundred_tasks_are_one_call_and_told_apart_by_their_trace(wire):
    hubspot = Tasks(wire)
    outcomes = adapter(wire).create_tasks(drafts(100))
    assert [hubspot.kept[one.external_id]["objectWriteTraceId"] for one in outcomes] == [f"k{n}" for n in range(100)]
    assert len(wire.calls) == 1


def test_without_traces_in_the_answer_tasks_are_told_apart_by_their_mark(wire):
    hubspot = Tasks(wire, traces=False)
    outcomes = adapter(wire).create_tasks(drafts(5))
    assert [hubspot.kept[one.external_id]["objectWriteTraceId"] for one in outcomes] == [f"k{n}" for n in range(5)]


@pytest.mark.parametrize("before", [True, False], ids=["not made", "made"])
@pytest.mark.parametrize("lose", [1, 3])
def test_after_a_lost_answer_no_task_is_missing_and_none_is_there_twice(wire, lose, before):
    hubspot = Tasks(wire, lose=lose, before=before)
    outcomes = adapter(wire).create_tasks(drafts(10))
    assert sorted(hubspot.keys()) == sorted(f"k{n}" for n in range(10))
    assert [hubspot.kept[one.external_id]["objectWriteTraceId"] for one in outcomes] == [f"k{n}" for n in range(10)]


def test_answers_that_stay_lost_are_given_up_without_doubles(wire):
    hubspot = Tasks(wire, lose=99, before=True)
    with pytest.raises(Interrupted):
        adapter(wire).create_tasks(drafts(10))
    assert hubspot.keys() == []
    assert len(wire.bodies(CREATE)) == 4


def test_a_gateway_s_time_out_is_an_answer_lost_too(wire):
    hubspot = Tasks(wire)
    make = hubspot._create
    wire.on(CREATE, lambda call: (make(call), answer({}, 504))[1], make)
    outcomes = adapter(wire).create_tasks(drafts(3))
    assert all(one.ok for one in outcomes)
    assert hubspot.keys() == ["k0", "k1", "k2"]


def test_a_refused_draft_does_not_stop_its_neighbours(wire):
    hubspot = Tasks(wire, refuse={"k1"})
    outcomes = adapter(wire).create_tasks(drafts(3))
    assert [(one.ok, one.reason) for one in outcomes] == [(True, None), (False, "gone"), (True, None)]
    assert hubspot.keys() == ["k0", "k2"]
    assert len(wire.calls) == 1


def test_a_draft_that_was_busy_is_sent_again_alone(wire):
    hubspot = Tasks(wire, busy={"k1"})
    outcomes = adapter(wire).create_tasks(drafts(3))
    assert all(one.ok for one in outcomes)
    assert hubspot.keys() == ["k0", "k2", "k1"]
    assert len(wire.calls) == 2


def test_a_batch_refused_as_a_whole_is_halved(wire):
    hubspot = Tasks(wire, hold=2, refuse={"k5"})
    outcomes = adapter(wire).create_tasks(drafts(7))
    assert [n for n, one in enumerate(outcomes) if not one.ok] == [5]
    assert sorted(hubspot.keys()) == ["k0", "k1", "k2", "k3", "k4", "k6"]


def test_a_whole_refusal_after_a_lost_answer_makes_no_task_twice(wire):
    hubspot = Tasks(wire)
    make, refused = hubspot._create, answer({"category": "VALIDATION_ERROR"}, 400)
    calls = []

    def create(call):
        calls.append(len(call.json["inputs"]))
        if len(calls) == 1:
            hubspot._keep(call.json["inputs"][0])
            return LOST
        return refused if len(call.json["inputs"]) > 1 else make(call)

    wire.on(CREATE, create)
    outcomes = adapter(wire).create_tasks(drafts(4))
    assert all(one.ok for one in outcomes)
    assert sorted(hubspot.keys()) == ["k0", "k1", "k2", "k3"]


def test_unnamed_errors_refuse_only_what_was_not_made(wire):
    hubspot = Tasks(wire)

    def create(call):
        made = [hubspot._keep(one) for one in call.json["inputs"] if one["objectWriteTraceId"] != "k1"]
        errors = [{"category": "VALIDATION_ERROR"}] if len(made) < len(call.json["inputs"]) else []
        return answer(page(*made, errors=errors), 207)

    wire.on(CREATE, create)
    outcomes = adapter(wire).create_tasks(drafts(3))
    assert [one.ok for one in outcomes] == [True, False, True]
    assert "VALIDATION_ERROR" in outcomes[1].reason
    assert sorted(hubspot.keys()) == ["k0", "k2"]


def test_tasks_are_found_by_their_marks_on_their_customers(wire):
    hubspot = Tasks(wire)
    crm = adapter(wire)
    crm.create_tasks(drafts(12)[1:])
    found = crm.find_tasks(drafts(12))
    assert set(found) == {f"k{n}" for n in range(1, 12)}
    assert all(hubspot.kept[task_id]["objectWriteTraceId"] == key for key, task_id in found.items())


def test_a_mark_is_read_whole_and_out_of_html(wire):
    hubspot = Tasks(wire)
    (draft,) = drafts(1)
    crm = adapter(wire)
    crm.create_tasks([draft])
    for text, there in (("<p>Why</p><p>RFM#k0</p>", True), ("RFM#k01", False), ("RFM#", False), (None, False)):
        hubspot.kept["900"]["properties"]["hs_task_body"] = text
        assert (crm.find_tasks([draft]) == {"k0": "900"}) is there


def test_looking_for_nothing_costs_nothing(wire):
    assert adapter(wire).find_tasks([]) == {}
    assert wire.calls == []


def test_the_newest_tasks_are_looked_at_first(wire):
    hubspot = Tasks(wire)
    (draft,) = drafts(1)
    crm = adapter(wire)
    for n in range(250):
        hubspot._keep({**hubspot_draft(draft, f"old{n}")})
    hubspot._keep(hubspot_draft(draft, draft.key))
    assert crm.find_tasks([draft]) == {"k0": "1150"}
    assert len(wire.bodies("objects/2026-09/tasks/batch/read")) == 1


def hubspot_draft(draft, key):
    link = {"to": {"id": draft.customer.external_id}, "types": [{"associationTypeId": 204}]}
    return {"objectWriteTraceId": key, "properties": {"hs_task_body": f"RFM#{key}"}, "associations": [link]}
