"""The description against the application: whatever fits it is answered as it says, whatever does not is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS
from schemathesis.core.failures import FailureGroup

EXAMPLES = 15
REAL = {"portal": "north", "customer": "contact:3", "run": "r1", "version": "sales5@1", "method": "sales5"}
"""What there is; four cases of five are about it, the others about anything."""
CHOSEN = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
          "negative_data_rejection", "response_headers_conformance")  # fmt: skip


@pytest.mark.slow
def test_generated_requests_are_answered_as_described(app, everything):
    app.wsgi_app = _asked_from_here(app.wsgi_app)
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
    checks = [check for check in CHECKS.get_all() if check.__name__ in CHOSEN]
    assert len(checks) == len(CHOSEN)
    failures: dict[str, str] = {}
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 40
    for operation in operations:
        try:
            _exercise(operation, everything.token, checks)
        except (FailureGroup, AssertionError) as error:
            failures[operation.label] = str(error)[:2000]
    assert not failures, json.dumps(failures, indent=1, ensure_ascii=False)


def _exercise(operation: Any, token: str, checks: list[Any]) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), real=st.integers(0, 4))
    def exercise(case: Any, real: int) -> None:
        for name in case.path_parameters or {}:
            if real and name in REAL:
                case.path_parameters[name] = REAL[name]
        case.call_and_validate(checks=checks, headers={"Authorization": f"Bearer {token}"})

    exercise()


def _asked_from_here(application: Any) -> Any:
    """The way in without a socket says nothing of where it comes from."""

    def asked(environ: dict[str, Any], start: Any) -> Any:
        return application({**environ, "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"}, start)

    return asked
