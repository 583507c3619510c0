"""What a portal says about itself and its methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sandbox.bitrix24.calls import APP_ONLY, Call, Handler, Method, Result
from sandbox.bitrix24.values import iso


def server_time(call: Call) -> Result:
    """`server.time`."""
    return Result(iso(call.now, call.state.zone))


def scopes(call: Call) -> Result:
    """`scope`: what this webhook may do."""
    return Result(sorted(call.state.scopes))


def app_info(call: Call) -> Result:
    """`app.info` of a webhook: no application, but the portal's plan."""
    return Result(
        {
            "SCOPE": sorted(call.state.scopes),
            "LICENSE": "en_pro100",
            "LICENSE_TYPE": "pro100",
            "LICENSE_FAMILY": "pro",
            "LANGUAGE_ID": "en",
        }
    )


def feature(_call: Call) -> Result:
    """`feature.get`: neither the extended offline queue nor connectors are on this plan."""
    return Result({"value": "N"})


def methods(known: Sequence[str]) -> tuple[Method, ...]:
    """The methods about methods, for a portal that has those of `known`."""
    own = ("app.info", "batch", "feature.get", "method.get", "methods", "scope", "server.time")
    names = sorted({*known, *own})
    return (
        Method("server.time", server_time, ""),
        Method("scope", scopes, ""),
        Method("app.info", app_info, ""),
        Method("feature.get", feature, ""),
        Method("methods", _constant(names), ""),
        Method("method.get", _method_get(frozenset(names)), ""),
    )


def _constant(names: Sequence[str]) -> Handler:
    return lambda _call: Result(list(names))


def _method_get(names: frozenset[str]) -> Callable[[Call], Result]:
    def method_get(call: Call) -> Result:
        name = str(call.params.get("name", "")).lower()
        return Result({"isExisting": name in names | APP_ONLY, "isAvailable": name in names})

    return method_get
