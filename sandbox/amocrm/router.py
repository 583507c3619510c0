"""Which handler answers which method and path: 404 for an unknown path, 405 for an unknown method on it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandbox.amocrm.calls import Handler
from sandbox.amocrm.problems import Problem

_HOLE = re.compile(r"\{(\w+)(?::(\w+))?\}")
_SHAPES = {"": r"[^/]+", "int": r"\d+", "kind": "leads|contacts|companies|customers"}


@dataclass(frozen=True, slots=True)
class Route:
    """A method, a path below `/api/v4` with holes such as `{id:int}`, and who answers."""

    method: str
    path: str
    handler: Handler


class Router:
    """Finds a handler; of two paths that both fit, the one named first."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes: dict[str, tuple[re.Pattern[str], dict[str, Handler]]] = {}
        for route in routes:
            pattern = re.compile(f"/api/v4/{_HOLE.sub(_group, route.path)}/?")
            self._routes.setdefault(route.path, (pattern, {}))[1][route.method] = route.handler

    def find(self, method: str, path: str) -> tuple[Handler, Mapping[str, str]]:
        """The handler and what stood in the holes; raises `Problem` 404 or 405."""
        known = False
        for pattern, handlers in self._routes.values():
            match = pattern.fullmatch(path)
            if match is None:
                continue
            known = True
            if method in handlers:
                return handlers[method], match.groupdict()
        if known:
            raise Problem(405, "Method Not Allowed")
        raise Problem(404, "Not Found")


def _group(hole: re.Match[str]) -> str:
    return f"(?P<{hole[1]}>{_SHAPES[hole[2] or '']})"
