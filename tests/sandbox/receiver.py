"""Stands for the connector: remembers what a CRM's server sends it, answers as it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from sandbox.clock import RealClock
from sandbox.web import Answer, Request, RequestLog, as_wsgi


@dataclass
class Receiver:
    status: int = 200
    heard: list[Request] = field(default_factory=list)

    @property
    def app(self):
        return as_wsgi(self._hear, RequestLog(), RealClock())

    def _hear(self, request: Request) -> Answer:
        self.heard.append(request)
        return Answer(self.status, b"heard")

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.heard[-1].query_string, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.heard[-1].body.decode(), keep_blank_values=True))
