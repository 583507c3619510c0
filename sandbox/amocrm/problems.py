"""What amoCRM says when it refuses: `application/problem+json`, and the validation errors inside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

PROBLEM = "application/problem+json"
T = TypeVar("T")


class Problem(Exception):
    """A whole request refused with this status."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail

    def body(self) -> dict[str, Any]:
        """The JSON that goes out."""
        return {
            "title": HTTPStatus(self.status).phrase,
            "type": f"https://httpstatus.es/{self.status}",
            "status": self.status,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong with one item. `path` is in dot notation, without the item's own position."""

    code: str
    path: str
    detail: str

    def view(self) -> dict[str, str]:
        """As `validation-errors` shows it."""
        return {"code": self.code, "path": self.path, "detail": self.detail}


class Invalid(Exception):
    """One item refused."""

    def __init__(self, code: str, path: str, detail: str) -> None:
        super().__init__(detail)
        self.flaws: tuple[Flaw, ...] = (Flaw(code, path, detail),)

    @classmethod
    def together(cls, flaws: Sequence[Flaw]) -> Invalid:
        """One refusal with several reasons."""
        refusal = cls(flaws[0].code, flaws[0].path, flaws[0].detail)
        refusal.flaws = tuple(flaws)
        return refusal


def unsupported(path: str) -> Invalid:
    """A choice that does not exist here."""
    return Invalid("NotSupportedChoice", path, "The value you selected is not a valid choice.")


def choice(options: Mapping[int, T], number: object, path: str) -> T:
    """The option of that number; raises `Invalid` for anything that is none."""
    if isinstance(number, bool) or not isinstance(number, int) or number not in options:
        raise unsupported(path)
    return options[number]


def unexpected(path: str) -> Invalid:
    """A key that cannot be written."""
    return Invalid("FieldNotExpected", path, "This field was not expected.")


def missing(path: str) -> Invalid:
    """A key that must be there."""
    return Invalid("FieldMissing", path, "This field is missing.")


def wrong_type(path: str, wanted: str) -> Invalid:
    """A value of another JSON type, or one that cannot be read as what the field holds."""
    return Invalid("InvalidType", path, f"This value should be of type {wanted}.")


def too_low(path: str) -> Invalid:
    """A number below what is allowed."""
    return Invalid("TooLow", path, "This value should be greater.")


class Refused(Problem):
    """A 400 that names the bad items of a batch by their `request_id`."""

    def __init__(self, refusals: Sequence[tuple[str, Invalid]]) -> None:
        super().__init__(HTTPStatus.BAD_REQUEST, "Request validation failed")
        self.refusals = tuple(refusals)

    def body(self) -> dict[str, Any]:
        """The problem with `validation-errors`."""
        errors = [
            {"request_id": request_id, "errors": [flaw.view() for flaw in refusal.flaws]}
            for request_id, refusal in self.refusals
        ]
        return {"validation-errors": errors, **super().body()}
