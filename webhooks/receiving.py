"""One delivery from its bytes to its answer, whatever server it came through: verify, store, say what to do.

What a client sends gives 2xx or 4xx; when our own side fails the answer is 503 with a time to wait, so that the CRM
sends the event again.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from adapters.records import CRM
from webhooks.deliveries import Delivery, Endpoint, Headers, Inbox, Portals, Secrets
from webhooks.errors import InboxAway, WebhookError
from webhooks.registry import RECEIVERS

RETRY_AFTER_S = 5
TEXT = "text/plain; charset=utf-8"

_KEPT = {
    "CONTENT_TYPE": "content-type",
    "HTTP_X_HUBSPOT_SIGNATURE_V3": "x-hubspot-signature-v3",
    "HTTP_X_HUBSPOT_REQUEST_TIMESTAMP": "x-hubspot-request-timestamp",
    "HTTP_X_HUBSPOT_SIGNATURE": "x-hubspot-signature",
    "HTTP_X_HUBSPOT_SIGNATURE_VERSION": "x-hubspot-signature-version",
}
"""The headers that prove or describe, by their names in a WSGI environment."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the CRM is told: a status and a sentence (empty where all is well); `retry_after` in seconds."""

    status: int
    text: str = ""
    retry_after: int | None = None


ACCEPTED = Answer(200)


class Reception:
    """Takes deliveries in. `clock` gives aware UTC."""

    def __init__(self, inbox: Inbox, portals: Portals, clock: Callable[[], datetime]) -> None:
        self._inbox = inbox
        self._portals = portals
        self.clock = clock

    def receive(self, delivery: Delivery) -> Answer:
        """Verify and store; the answer says 2xx only after the inbox has committed. Raises nothing."""
        crm = delivery.crm.value
        try:
            self._accept(delivery)
        except WebhookError as refusal:
            _log.info("%s: a delivery is refused (%s): %s", crm, type(refusal).__name__, refusal)
            return Answer(refusal.status, str(refusal))
        except InboxAway as away:
            _log.warning("%s: a delivery could not be stored: %s", crm, away)
            return again(away.retry_after)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the event must not be lost: ask for it again
            _log.error("%s: a delivery could not be handled: %s", crm, _where(fault))
            return again(RETRY_AFTER_S)
        return ACCEPTED

    def _accept(self, delivery: Delivery) -> None:
        receiver = RECEIVERS[delivery.crm]
        secrets = self._portals.secrets(delivery.crm, receiver.address(delivery)) or Secrets()
        receiver.verify(delivery, secrets, now=self.clock())
        self._inbox.store(delivery, notices=receiver.notices(delivery))


def again(seconds: int) -> Answer:
    """Our own fault: it shall be sent again."""
    return Answer(503, "not stored, please send it again", seconds)


def delivery_of(
    crm: CRM, endpoint: Endpoint, now: datetime, base: str, target: str, body: bytes, environ: dict[str, Any]
) -> Delivery:
    """A request as receivers take it. `base` is the address under which CRMs reach us, `target` the raw path and query.

    `environ` is WSGI's: from it come the method and the headers that prove or describe.
    """
    return Delivery(
        crm=crm,
        endpoint=endpoint,
        method=environ["REQUEST_METHOD"],
        url=_joined(base, target),
        path=target.partition("?")[0],
        headers=Headers((name, environ[key]) for key, name in _KEPT.items() if environ.get(key)),
        body=body,
        received_at=now,
    )


def _joined(base: str, target: str) -> str:
    """The public base and the raw target; a path of the base that the proxy has kept is not put there twice."""
    base = base.rstrip("/")
    prefix = urlsplit(base).path
    return base.removesuffix(prefix) + target if prefix and target.startswith(f"{prefix}/") else base + target


def _where(fault: Exception) -> str:
    """Kind and place of a fault; its text might hold what a client sent."""
    frame = traceback.extract_tb(fault.__traceback__)[-1]
    return f"{type(fault).__name__} at {frame.filename}:{frame.lineno}"
