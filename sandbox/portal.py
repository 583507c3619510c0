"""What every emulated portal offers to its users: an application to serve, and counters to look at.

Each vendor's package exposes
`create_portal(shop, *, clock, limits: bool | Limits = True, faults, token) -> Portal`. For `limits` True means
the vendor's documented ones, False none; or give rules of your own under the vendor's names. State is inspected
and changed (as a person in the CRM would) through methods of the vendor's own portal class.
"""

from __future__ import annotations

from typing import Protocol
from wsgiref.types import WSGIApplication

from sandbox.faults import Faults
from sandbox.limits import Limits
from sandbox.staff import Staff
from sandbox.web import RequestLog


class Portal(Protocol):
    """One emulated account."""

    @property
    def crm(self) -> str:
        """`amocrm`, `bitrix24` or `hubspot`."""
        ...

    @property
    def app(self) -> WSGIApplication:
        """Give it to `sandbox.server.serve`."""
        ...

    @property
    def token(self) -> str:
        """The credential that this portal accepts."""
        ...

    @property
    def requests(self) -> int:
        """Calls received so far, refused ones included."""
        ...

    @property
    def exceeded(self) -> int:
        """Calls over the documented limit."""
        ...

    @property
    def limits(self) -> Limits:
        """The rules in force."""
        ...

    @property
    def faults(self) -> Faults:
        """What goes wrong here; can be switched at any time."""
        ...

    @property
    def log(self) -> RequestLog:
        """The calls received."""
        ...

    @property
    def staff(self) -> Staff:
        """What people do with tasks and customers."""
        ...

    def connect_url(self, server_url: str) -> str:
        """The address that `connect` takes, for a portal served at `server_url` (Bitrix24: the webhook)."""
        ...
