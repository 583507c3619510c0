"""Codes and statuses as the vendor's page of error codes lists them (read 2026-11)."""

from __future__ import annotations

import pytest

from adapters import errors
from adapters.bitrix24.faults import named_fault, reset_after, whole_fault

ERRORS = [
    (503, "QUERY_LIMIT_EXCEEDED", errors.RateLimited),
    (503, "OVERLOAD_LIMIT", errors.Blocked),
    (429, "OPERATION_TIME_LIMIT", errors.RateLimited),
    (500, "INTERNAL_SERVER_ERROR", errors.Unavailable),
    (500, "ERROR_UNEXPECTED_ANSWER", errors.Unavailable),
    (500, "PORTAL_DELETED", errors.AccessLost),
    (410, "PORTAL_DELETED", errors.AccessLost),
    (401, "expired_token", errors.TokenExpired),
    (401, "NO_AUTH_FOUND", errors.TokenExpired),
    (401, "INVALID_CREDENTIALS", errors.TokenExpired),
    (401, "INVALID_TOKEN", errors.TokenExpired),
    (401, "SOMETHING_NEW", errors.TokenExpired),
    (401, "METHOD_CONFIRM_WAITING", errors.ScopeMissing),
    (401, "APPLICATION_NOT_FOUND", errors.AccessLost),
    (401, "PAYMENT_REQUIRED", errors.Unpaid),
    (403, "ACCESS_DENIED", errors.ScopeMissing),
    (403, "INVALID_CREDENTIALS", errors.ScopeMissing),
    (403, "insufficient_scope", errors.ScopeMissing),
    (403, "WRONG_AUTH_TYPE", errors.Unsupported),
    (404, "ERROR_METHOD_NOT_FOUND", errors.Unsupported),
    (405, "ERROR_BATCH_METHOD_NOT_ALLOWED", errors.Unsupported),
    (400, "ERROR_BATCH_LENGTH_EXCEEDED", errors.Unsupported),
    (400, "NOT_FOUND", errors.Gone),
    (400, "OWNER_NOT_FOUND", errors.Gone),
    (400, "200540400001", errors.Gone),
    (400, 200040300010, errors.ScopeMissing),
    (400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", errors.InvalidValue),
    (400, "ERROR_CORE", errors.InvalidValue),
    (400, 100, errors.InvalidValue),
    (400, "", errors.InvalidValue),
    (200, 0, errors.InvalidValue),
]


@pytest.mark.parametrize(("status", "code", "expected"), ERRORS)
def test_a_code_becomes_the_class_that_says_what_to_do(status, code, expected):
    fault = whole_fault("crm.item.list", status, {}, {"error": code, "error_description": "words"})
    assert type(fault) is expected
    assert fault.status == status


@pytest.mark.parametrize(("code", "words"), [("", "Access denied."), ("ERROR_CORE", "<br>Доступ запрещен")])
def test_old_methods_tell_a_missing_right_in_words(code, words):
    error = {"error": code, "error_description": words}
    assert type(named_fault("crm.contact.userfield.add", error, status=400)) is errors.ScopeMissing


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, errors.Malformed),
        (400, errors.InvalidValue),
        (401, errors.TokenExpired),
        (403, errors.Unavailable),
        (404, errors.AccessLost),
        (429, errors.RateLimited),
        (500, errors.Unavailable),
        (502, errors.Unavailable),
        (503, errors.Unavailable),
        (504, errors.Unavailable),
    ],
)
def test_a_page_of_html_is_judged_by_its_status(status, expected):
    assert type(whole_fault("batch", status, {}, None)) is expected


def test_a_good_answer_is_no_fault():
    assert whole_fault("batch", 200, {}, {"result": []}) is None


def test_a_spent_method_names_itself_and_its_reset():
    time = {"start": 1767000000.0, "finish": 1767000001.5, "operating_reset_at": 1767000091, "operating": 481}
    fault = whole_fault("crm.item.update", 429, {}, {"error": "OPERATION_TIME_LIMIT", "time": time})
    assert isinstance(fault, errors.RateLimited)
    assert (fault.operation, fault.retry_after) == ("crm.item.update", 89.5)


def test_without_a_told_reset_a_spent_method_rests_ten_minutes():
    fault = named_fault("crm.item.update", {"error": "OPERATION_TIME_LIMIT"}, status=200)
    assert isinstance(fault, errors.RateLimited)
    assert fault.retry_after == 600.0


def test_only_the_throttling_of_all_requests_spares_the_single_method():
    fault = named_fault("batch", {"error": "QUERY_LIMIT_EXCEEDED"}, status=503)
    assert isinstance(fault, errors.RateLimited)
    assert fault.operation is None


def test_a_missing_scope_is_told_from_a_refused_record():
    scope = named_fault("department.get", {"error": "insufficient_scope"}, status=200)
    record = named_fault("crm.item.update", {"error": "ACCESS_DENIED"}, status=200)
    assert isinstance(scope, errors.ScopeMissing)
    assert isinstance(record, errors.ScopeMissing)
    assert (scope.scope, record.scope) == ("department", None)


def test_the_vendors_words_are_cleaned_and_cut():
    words = "<b>Field</b>\n too long " + "x" * 500
    text = str(named_fault("crm.item.update", {"error": "ERROR_CORE", "error_description": words}, status=400))
    assert text.startswith("crm.item.update ERROR_CORE: Field too long xxx")
    assert len(text) < 240


@pytest.mark.parametrize("time", [None, [], {}, {"operating_reset_at": 0, "finish": 1}, {"operating_reset_at": 5}])
def test_no_reset_is_read_where_none_is_told(time):
    assert reset_after(time) is None
