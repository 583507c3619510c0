"""Refusals in HubSpot's words: a status, a category, and the body in which it hides the details."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4


@dataclass(frozen=True, slots=True)
class ValueProblem:
    """One property value that was not accepted."""

    name: str
    code: str
    message: str


class Refused(Exception):
    """An error answer. `details` go into `errors`, `context` beside them."""

    def __init__(
        self,
        status: int,
        category: str,
        message: str,
        *,
        sub_category: str | None = None,
        context: Mapping[str, Sequence[str]] | None = None,
        details: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.category = category
        self.message = message
        self.sub_category = sub_category
        self.context = dict(context or {})
        self.details = tuple(details)

    def body(self) -> dict[str, Any]:
        """The whole answer, with a fresh correlation id."""
        return {**self.item(), "correlationId": str(uuid4())}

    def item(self) -> dict[str, Any]:
        """The same as an entry of a 207 answer's `errors`."""
        body: dict[str, Any] = {"status": "error", "message": self.message, "category": self.category}
        if self.sub_category:
            body["subCategory"] = self.sub_category
        if self.context:
            body["context"] = {name: list(values) for name, values in self.context.items()}
        if self.details:
            body["errors"] = list(self.details)
        return body

    def about(self, **context: str) -> Refused:
        """The same refusal, naming the input it is about."""
        named = {**self.context, **{name: [value] for name, value in context.items()}}
        return Refused(
            self.status,
            self.category,
            self.message,
            sub_category=self.sub_category,
            context=named,
            details=self.details,
        )


def invalid(message: str, code: str | None = None, **context: str) -> Refused:
    """400 VALIDATION_ERROR."""
    named = {name: (value,) for name, value in context.items()}
    details: tuple[Mapping[str, Any], ...] = ()
    if code:
        details = ({"message": message, "code": code, "context": {k: list(v) for k, v in named.items()}},)
    return Refused(400, "VALIDATION_ERROR", message, context=named, details=details)


def invalid_values(problems: Iterable[ValueProblem], portal_id: int) -> Refused:
    """400 whose message carries a JSON list, as HubSpot writes it."""
    found = list(problems)
    listed = [
        {
            "isValid": False,
            "message": problem.message,
            "error": problem.code,
            "name": problem.name,
            "localizedErrorMessage": problem.message,
            "portalId": portal_id,
        }
        for problem in found
    ]
    return Refused(
        400,
        "VALIDATION_ERROR",
        f"Property values were not valid: {json.dumps(listed, ensure_ascii=False)}",
        details=tuple(
            {"message": problem.message, "code": problem.code, "context": {"propertyName": [problem.name]}}
            for problem in found
        ),
    )


def not_found(what: str, record_id: str) -> Refused:
    """404 for a record."""
    return Refused(
        404,
        "OBJECT_NOT_FOUND",
        f"Object not found.  objectId are usually numeric. {what}",
        sub_category="OBJECT_NOT_FOUND",
        context={"ids": (record_id,)},
    )


def missing_resource() -> Refused:
    """404 for a path that does not exist."""
    return Refused(404, "OBJECT_NOT_FOUND", "resource not found")


def missing_scopes(scopes: Sequence[str]) -> Refused:
    """403; any one of `scopes` would do."""
    message = "This app hasn't been granted all required scopes to make this call."
    detail = {
        "message": "One or more of the following scopes are required.",
        "context": {"requiredGranularScopes": list(scopes)},
    }
    return Refused(403, "MISSING_SCOPES", message, details=(detail,))


def rate_limited(policy: str) -> dict[str, str]:
    """The body of a 429."""
    return {
        "status": "error",
        "message": f"You have reached your {policy.lower()} limit.",
        "errorType": "RATE_LIMIT",
        "policyName": policy,
        "correlationId": str(uuid4()),
    }
