"""From a path to what answers it, and the scope that it needs. Dated paths and the old v3 and v4 ones.

The version stands in the middle of the path; in a wrong place, or unknown, it is a 404.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sandbox.hubspot import settings_api
from sandbox.hubspot.automation import Automation, complete
from sandbox.hubspot.body import Call
from sandbox.hubspot.errors import missing_resource
from sandbox.hubspot.kinds import BY_NAME, EMAIL
from sandbox.hubspot.links_api import pair_links
from sandbox.hubspot.objects_api import objects
from sandbox.hubspot.properties_api import properties
from sandbox.web import Answer

VERSIONS = ("2026-03", "2026-09")
LETTERS_SCOPE = "sales-email-read"
# The path's beginning before and after the version → its family. An empty second part: the version is dated.
DATED = {
    ("crm", "objects"): "objects",
    ("crm", "properties"): "properties",
    ("crm", "associations"): "associations",
    ("crm", "owners"): "owners",
    ("crm", "pipelines"): "pipelines",
    ("crm", "limits"): "limits",
    ("account-info",): "account-info",
    ("settings", "currencies"): "currencies",
    ("automation", "actions", "callbacks"): "callbacks",
}
OLD = {
    ("crm", "v3", "objects"): "objects",
    ("crm", "v4", "objects"): "objects",
    ("crm", "v3", "properties"): "properties",
    ("crm", "v4", "associations"): "associations",
    ("crm", "v3", "owners"): "owners",
    ("crm", "v3", "pipelines"): "pipelines",
    ("crm", "v3", "limits"): "limits",
    ("account-info", "v3"): "account-info",
    ("settings", "v3", "currencies"): "currencies",
}


@dataclass(frozen=True, slots=True)
class Route:
    """A family of calls, the path behind the version, and whether the version is a date."""

    family: str
    rest: tuple[str, ...]
    dated: bool

    @property
    def is_search(self) -> bool:
        """Search has a limit of its own and no rate headers."""
        return self.family == "objects" and self.rest[1:] == ("search",)


def find_route(path: str) -> Route:
    """Raises 404."""
    parts = tuple(path.strip("/").split("/"))
    for place, part in enumerate(parts[:4]):
        if part in VERSIONS and parts[:place] in DATED:
            return Route(DATED[parts[:place]], parts[place + 1 :], dated=True)
    for length in (3, 2):
        if parts[:length] in OLD:
            return Route(OLD[parts[:length]], parts[length:], dated=False)
    raise missing_resource()


def needed_scopes(route: Route, method: str) -> tuple[str, ...]:
    """Any one of these is enough; none means that every token will do."""
    kind = BY_NAME.get(route.rest[0]) if route.rest else None
    reading = method == "GET" or route.rest[-1:] in {("search",), ("read",)}
    verb = "read" if reading else "write"
    if route.family == "owners":
        return ("crm.objects.owners.read", "automation")
    if route.family == "callbacks":
        return ("automation",)
    if kind is None:
        return ()
    if kind is EMAIL and route.family == "objects" and reading:
        return (LETTERS_SCOPE,)
    words = kind.scope or kind.plural
    extra = ("e-commerce",) if words in {"line_items", "products"} else ()
    if route.family == "properties":
        return (f"crm.schemas.{words}.{verb}", *((f"crm.objects.{words}.read",) if reading else ()), *extra)
    return (f"crm.objects.{words}.{verb}", *extra)


def answer(call: Call, route: Route, automation: Automation) -> Answer:
    """Do it; raises `Refused`."""
    if route.family == "callbacks":
        return complete(call, automation, route.rest)
    settings: dict[str, Callable[[Call, Sequence[str]], Answer]] = {
        "owners": settings_api.owners,
        "pipelines": settings_api.pipelines,
        "currencies": settings_api.currencies,
        "limits": settings_api.limits,
    }
    if route.family in settings:
        return settings[route.family](call, route.rest)
    if route.family == "account-info" and (call.request.method, route.rest) == ("GET", ("details",)):
        return settings_api.details(call)
    if route.family == "associations" and len(route.rest) > 2:
        source, target = (call.account.kind(name) for name in route.rest[:2])
        return pair_links(call, source, target, route.rest[2:])
    if route.family in {"objects", "properties"} and route.rest:
        handler = objects if route.family == "objects" else properties
        return handler(call, call.account.kind(route.rest[0]), route.rest[1:])
    raise missing_resource()
