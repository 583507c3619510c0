import orjson
import pytest

from adapters.amocrm.client import Client
from adapters.amocrm.faults import fault_of, slow_down
from adapters.budget import LocalStates
from adapters.contract import PortalAccess
from adapters.errors import (
    AccessLost,
    BatchRefused,
    Blocked,
    Gone,
    InvalidValue,
    RateLimited,
    ScopeMissing,
    TokenExpired,
    Unavailable,
    Unpaid,
    Unsupported,
)
from adapters.records import CRM
from adapters.transport import Answer, Call

GET = Call("GET", "/api/v4/contacts")
PATCH = Call("PATCH", "/api/v4/contacts", json=[{"id": 1, "request_id": "0"}, {"id": 2, "request_id": "1"}])
PATCH_ONE = Call("PATCH", "/api/v4/contacts", json=[{"id": 1, "request_id": "0"}])
POST = Call("POST", "/api/v4/tasks", json=[{"request_id": "a"}, {"request_id": "b"}], repeatable=False)
PAGE = b"<html><body>nginx</body></html>"


def problem(status: int, **more) -> Answer:
    body = {"title": "Bad Request", "type": f"https://httpstatus.es/{status}", "status": status, "detail": "why"} | more
    return Answer(status, {"Content-Type": "application/problem+json"}, orjson.dumps(body))


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_good_answers_are_no_fault(status):
    assert fault_of(GET, Answer(status, {}, b"")) is None


@pytest.mark.parametrize(
    ("call", "answer", "kind"),
    [
        (GET, problem(400), InvalidValue),
        (GET, problem(401), TokenExpired),
        (GET, problem(402), Unpaid),
        (GET, problem(403), ScopeMissing),
        (GET, Answer(403, {}, PAGE), Blocked),
        (GET, problem(404), Gone),
        (GET, Answer(404, {}, PAGE), AccessLost),
        (GET, Answer(301, {"Location": "https://other.amocrm.ru"}, b""), AccessLost),
        (GET, problem(405), Unsupported),
        (GET, Answer(414, {}, PAGE), Unsupported),
        (GET, problem(425), Unsupported),
        (GET, problem(426), Unsupported),
        (GET, Answer(429, {}, PAGE), RateLimited),
        (GET, problem(500), Unavailable),
        (GET, Answer(502, {}, PAGE), Unavailable),
        (GET, Answer(503, {}, PAGE), Unavailable),
        (GET, Answer(504, {}, PAGE), Unavailable),
        (PATCH, Answer(504, {}, PAGE), BatchRefused),
        (PATCH, Answer(413, {}, PAGE), BatchRefused),
        (PATCH_ONE, Answer(504, {}, PAGE), Unavailable),
        (PATCH_ONE, Answer(413, {}, PAGE), Unavailable),
        (POST, Answer(504, {}, PAGE), Unavailable),
        (PATCH, problem(400), BatchRefused),
        (PATCH, problem(422), BatchRefused),
        (POST, problem(400), BatchRefused),
    ],
)
def test_each_answer_means_what_to_do(call, answer, kind):
    fault = fault_of(call, answer)
    assert type(fault) is kind
    assert fault.status == answer.status


def test_a_refused_batch_names_its_bad_items_by_request_id():
    errors = [
        {
            "request_id": "b",
            "errors": [{"code": "NotSupportedChoice", "path": "entity_id", "detail": "no valid choice"}],
        }
    ]
    fault = fault_of(POST, problem(400, **{"validation-errors": errors}))
    assert fault.bad == {1: ("entity_id", "NotSupportedChoice: no valid choice")}


@pytest.mark.parametrize("errors", [None, [], "x", [None], [{"request_id": "zz", "errors": []}], [{"errors": 5}]])
def test_validation_errors_of_another_shape_name_nobody(errors):
    assert fault_of(POST, problem(400, **{"validation-errors": errors})).bad == {}


def test_a_single_refusal_tells_the_field():
    errors = [{"request_id": "0", "errors": [{"code": "InvalidType", "path": "enums.0.value", "detail": "d"}]}]
    call = Call("PATCH", "/api/v4/contacts/custom_fields/1", json={"enums": []})
    fault = fault_of(call, problem(400, **{"validation-errors": errors}))
    assert (fault.field, str(fault)) == ("enums.0.value", "InvalidType: d")


@pytest.mark.parametrize(("strikes", "wait"), [(0, 1), (1, 1), (2, 2), (3, 4), (4, 300), (9, 300)])
def test_waits_double_and_after_three_in_a_row_there_is_a_long_pause(strikes, wait):
    assert slow_down(strikes) == wait


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_calls_that_were_under_way_together_are_one_strike_and_a_good_answer_forgives_all():
    clock = Clock()
    client = Client(PortalAccess(CRM.AMOCRM, "https://x.amocrm.ru"), None, LocalStates(), now=None, clock=clock)
    waits = []

    def struck(sent_at: float, at: float, status: int = 429) -> None:
        clock.now = sent_at
        client.sign(GET, "t")
        clock.now = at
        answer = Answer(status, {}, b"")
        client.learn(GET, answer)
        fault = client.fault(GET, answer)
        waits.append(fault.retry_after if fault else 0)

    struck(0.0, 0.2)
    struck(0.1, 0.3)
    struck(1.3, 1.4)
    struck(3.5, 3.6)
    struck(8.0, 8.1)
    struck(400.0, 400.1, status=200)
    struck(401.0, 401.1)
    assert waits == [1, 1, 2, 4, 300, 0, 1]


def test_that_a_row_does_not_exist_is_no_error():
    client = Client(PortalAccess(CRM.AMOCRM, "https://x.amocrm.ru"), None, LocalStates(), now=None)
    row = Call("GET", "/api/v4/contacts/77")
    assert client.fault(row, problem(404)) is None
    assert isinstance(client.fault(GET, problem(404)), Gone)
    assert isinstance(client.fault(row, Answer(404, {}, PAGE)), AccessLost)


def test_a_fault_never_repeats_a_page_or_a_long_text():
    fault = fault_of(PATCH, problem(400, detail="x" * 5000))
    assert len(str(fault)) < 300
