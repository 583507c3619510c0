"""Why a delivery is refused, sorted by what the sender is told.

::

    WebhookError
    ├── NotAuthentic   403  not proven to come from the CRM for this app or portal
    ├── Stale          403  was authentic, but its time is over (or has not come)
    └── Unreadable     400  not what the CRM sends
    InboxAway          503  our own fault: the sender shall try again

Texts name the rule that was broken, never a secret, a payload or a personal detail.
"""

from __future__ import annotations

from typing import ClassVar


class WebhookError(Exception):
    """Base of the refusals. `status` is the HTTP answer that follows from the class."""

    status: ClassVar[int] = 400


class NotAuthentic(WebhookError):
    """Forged, unsigned, for another app or portal, or we hold no secret to check it with."""

    status = 403


class Stale(WebhookError):
    """A proof outside its time. Somebody replays it, or a clock is wrong."""

    status = 403


class Unreadable(WebhookError):
    """No such body comes from the CRM."""


class InboxAway(Exception):
    """The inbox (or the place of the secrets) cannot be used now. `retry_after` is in seconds."""

    def __init__(self, text: str, *, retry_after: int = 5) -> None:
        super().__init__(text)
        self.retry_after = retry_after
