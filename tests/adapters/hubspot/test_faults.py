"""Statuses and bodies → errors. Bodies after the examples in HubSpot's "Error handling" and "Usage guidelines"."""

import pytest

from adapters.errors import (
    BatchRefused,
    Conflict,
    Gone,
    InvalidValue,
    Malformed,
    RateLimited,
    ScopeMissing,
    TokenExpired,
    Unavailable,
    Unpaid,
)
from adapters.hubspot.faults import complaints, fault_of
from adapters.transport import Answer, Call
from tests.adapters.hubspot.wire import answer

GET = Call("GET", "/crm/objects/2026-09/contacts", label="contacts list")
PAGE = Answer(403, {}, b"<html><h1>403 Forbidden</h1></html>")


def update(*inputs):
    return Call("POST", "/crm/objects/2026-09/contacts/batch/update", json={"inputs": list(inputs)})


def rate_limit(policy, **headers):
    body = {"status": "error", "message": "You have reached your limit.", "errorType": "RATE_LIMIT"}
    return answer({**body, "policyName": policy}, 429, **headers)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (answer({}, 400), InvalidValue),
        (answer({"category": "EXPIRED_AUTHENTICATION"}, 401), TokenExpired),
        (answer({}, 402), Unpaid),
        (answer({"category": "MISSING_SCOPES"}, 403), ScopeMissing),
        (PAGE, Unavailable),
        (answer({}, 404), Gone),
        (answer({}, 409), Conflict),
        (answer({}, 423), Unavailable),
        (rate_limit("TEN_SECONDLY_ROLLING"), RateLimited),
        (answer({}, 477), Unavailable),
        (answer({}, 301), Malformed),
        *[(Answer(status, {}, b"<html>"), Unavailable) for status in (500, 502, 503, 504, 521, 524)],
    ],
)
def test_a_status_becomes_the_class_that_says_what_to_do(given, wanted):
    fault = fault_of(GET, given)
    assert type(fault) is wanted
    assert fault.status == given.status


@pytest.mark.parametrize("status", [200, 201, 204, 207])
def test_two_hundreds_are_no_fault_even_when_some_inputs_failed(status):
    assert fault_of(GET, answer({"errors": [{"category": "CONFLICT"}]}, status)) is None


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (rate_limit("TEN_SECONDLY_ROLLING"), 1.5),
        (rate_limit("SECONDLY"), 1.0),
        (rate_limit("DAILY"), 3600.0),
        (answer({"category": "RATE_LIMITS", "message": "You have reached your secondly limit."}, 429), 1.0),
        (rate_limit("TEN_SECONDLY_ROLLING", **{"Retry-After": "7"}), 7.0),
        (rate_limit("SECONDLY", **{"Retry-After": "soon"}), 1.0),
        (answer({}, 423), 2.0),
        (answer({}, 423, **{"Retry-After": "5"}), 5.0),
        (answer({}, 477), 60.0),
        (answer({}, 477, **{"Retry-After": "86400"}), 86400.0),
        (answer({}, 503), None),
        (answer({}, 503, **{"Retry-After": "3"}), 3.0),
    ],
)
def test_the_wait_is_the_one_asked_for_or_that_of_the_policy(given, seconds):
    assert fault_of(GET, given).retry_after == seconds


def test_a_missing_scope_is_named():
    body = {
        "category": "MISSING_SCOPES",
        "errors": [{"context": {"requiredGranularScopes": ["crm.schemas.contacts.write"]}}],
    }
    fault = fault_of(GET, answer(body, 403))
    assert fault.scope == "crm.schemas.contacts.write"
    assert "crm.schemas.contacts.write" in str(fault)


HIDDEN = (
    'Property values were not valid: [{"isValid":false,"message":"vup was not one of the allowed options",'
    '"error":"INVALID_OPTION","name":"rfm_segment"}]'
)


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"message": HIDDEN}, "rfm_segment", "INVALID_OPTION"),
        ({"errors": [{"code": "INVALID_INTEGER", "context": {"propertyName": ["rfm_r"]}}]}, "rfm_r", "INVALID_INTEGER"),
        ({"errors": [{"code": "INVALID_INTEGER", "in": "rfm_r"}]}, "rfm_r", "INVALID_INTEGER"),
        ({"context": {"propertyName": ["rfm_f"]}, "message": "no [{ json"}, "rfm_f", ""),
        (
            {"errors": [{"category": "X", "errors": [{"code": "DEEP", "context": {"propertyName": ["rfm_m"]}}]}]},
            "rfm_m",
            "DEEP",
        ),
        ({}, None, ""),
    ],
)
def test_the_offending_property_is_found_wherever_hubspot_hides_it(body, field, code):
    found = complaints({"category": "VALIDATION_ERROR", **body})
    assert [(one.field, one.code) for one in found] == [(field, code)]


def test_what_an_inner_error_leaves_out_comes_from_the_outer_one():
    inner = {"code": "MISSING_CONDITIONAL_REQUIRED_PROPERTY"}
    found = complaints({"category": "VALIDATION_ERROR", "context": {"ids": ["7"]}, "errors": [inner]})
    assert (found[0].category, found[0].ids) == ("VALIDATION_ERROR", ("7",))


def test_reasons_never_repeat_refused_values():
    fault = fault_of(GET, answer({"message": HIDDEN, "category": "VALIDATION_ERROR"}, 400))
    assert "vup" not in str(fault)
    assert fault.field == "rfm_segment"


def test_a_refused_batch_names_the_inputs_that_the_answer_names():
    body = {"category": "OBJECT_NOT_FOUND", "context": {"ids": ["2"]}}
    fault = fault_of(update({"id": "1"}, {"id": "2"}, {"id": "3"}), answer(body, 404))
    assert type(fault) is BatchRefused
    assert fault.bad == {1: (None, "gone")}


def test_a_property_that_is_gone_refuses_only_the_inputs_that_have_it():
    body = {"message": '[{"isValid":false,"name":"rfm_hint","error":"PROPERTY_DOESNT_EXIST"}]'}
    inputs = [{"id": "1", "properties": {"rfm_r": "1"}}, {"id": "2", "properties": {"rfm_hint": "x"}}]
    fault = fault_of(update(*inputs), answer(body, 400))
    assert list(fault.bad) == [1]
    assert fault.bad[1][0] == "rfm_hint"
    assert "provision" in fault.bad[1][1]


def test_a_refused_batch_of_unknown_cause_names_nobody_so_that_it_is_halved():
    fault = fault_of(update({"id": "1"}, {"id": "2"}), answer({"message": HIDDEN}, 400))
    assert fault.bad == {}


def test_the_only_input_of_a_batch_is_the_refused_one():
    fault = fault_of(update({"id": "1"}), answer({"message": HIDDEN}, 400))
    assert fault.bad[0][0] == "rfm_segment"


def test_a_refused_batch_read_is_no_refusal_of_records():
    call = Call("POST", "/crm/objects/2026-09/contacts/batch/read", json={"inputs": [{"id": "1"}]})
    assert type(fault_of(call, answer({}, 400))) is InvalidValue
