"""One method call as a value, and the table of methods that answer it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.bitrix24.errors import RestError, access_denied, missing
from sandbox.bitrix24.php import as_int, as_map
from sandbox.bitrix24.query import Found
from sandbox.bitrix24.state import State


@dataclass(frozen=True, slots=True)
class Call:
    """What a method is asked. `now` is in whole seconds since 1970."""

    state: State
    method: str
    params: dict[str, Any]
    now: int

    def any_case(self, name: str) -> Any:
        """A parameter of an old method, whose outer keys may be in either case."""
        for key in (name, name.upper(), name.lower()):
            if key in self.params:
                return self.params[key]
        return None

    def whole(self, name: str) -> int:
        """A number that the method needs; raises `RestError` when there is none."""
        if self.params.get(name) in (None, ""):
            raise missing(name)
        return as_int(self.params[name])

    def fields(self) -> dict[str, Any]:
        """The values to set, under the lower-case key `fields`; raises `RestError` when there are none."""
        given = as_map(self.params.get("fields"))
        if not given:
            raise missing("fields")
        return given

    def need_admin(self) -> None:
        """Raises `RestError` for an ordinary user."""
        if not self.state.admin:
            raise access_denied()


@dataclass(frozen=True, slots=True)
class Result:
    """What a method says. `total` and `next` stand beside the result in the envelope."""

    value: Any
    total: int | None = None
    next: int | None = None


def page(value: Any, found: Found[Any]) -> Result:
    """A page of a list method."""
    return Result(value, found.total, found.next)


Handler = Callable[[Call], Result]


@dataclass(frozen=True, slots=True)
class Method:
    """A method, the scope it needs ("" for none) and whether it changes the portal."""

    name: str
    handler: Handler
    scope: str
    writes: bool = False


APP_ONLY = frozenset(
    {
        "event.bind", "event.unbind", "event.get", "event.offline.get", "event.offline.list",
        "placement.bind", "placement.unbind", "placement.get", "placement.list",
        "bizproc.robot.add", "bizproc.robot.update", "bizproc.robot.list", "bizproc.robot.delete",
        "bizproc.activity.add", "bizproc.event.send",
        "crm.automation.trigger.add", "crm.automation.trigger.list", "crm.automation.trigger.delete",
        "crm.automation.trigger.execute", "crm.activity.configurable.add", "app.option.set", "app.option.get",
    }
)  # fmt: skip
"""Methods that need an application; a webhook has none."""


def wrong_auth_type() -> RestError:
    """The answer of those methods to a webhook."""
    return RestError("WRONG_AUTH_TYPE", "Current authorization type is denied for this method", 403)


def unknown_method() -> RestError:
    """A misspelt method, or one this portal is too old for."""
    return RestError("ERROR_METHOD_NOT_FOUND", "Method not found!", 404)
