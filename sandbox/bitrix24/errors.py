"""Refusals as the vendor words them. Codes may be text, empty or a number: clients must cope with all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class RestError(Exception):
    """One refusal: `error`, `error_description` and the HTTP status of a call outside a batch."""

    code: str | int
    description: str
    status: int = 400

    def body(self) -> dict[str, str | int]:
        """The JSON that stands for it, both as a whole answer and inside `result_error`."""
        return {"error": self.code, "error_description": self.description}


def missing(name: str) -> RestError:
    """A parameter that the method cannot do without."""
    return RestError("100", f"Could not find value for parameter {{{name}}}")


def not_found(text: str = "Not found") -> RestError:
    """No such record, or no such object type."""
    return RestError("NOT_FOUND", text)


def old_not_found() -> RestError:
    """The same from the old methods, whose code is empty."""
    return RestError("", "Not found")


def invalid_value(field: str) -> RestError:
    """A value that the field cannot hold."""
    return RestError("CRM_FIELD_ERROR_VALUE_NOT_VALID", f'The value of the field "{field}" is not valid')


def access_denied() -> RestError:
    """The user may not."""
    return RestError("ACCESS_DENIED", "Access denied", 403)


def core(text: str) -> RestError:
    """Old methods explain themselves in words only."""
    return RestError("ERROR_CORE", text)
