"""The three addresses that CRMs post events to: the only module here that knows Flask.

Read raw bytes, verify, store, and answer 2xx once the inbox has committed. What a client sends gives 2xx or 4xx; when
our own side fails the answer is 503 with `Retry-After`, so that the CRM sends the event again.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote, urlsplit

from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException

from adapters.records import CRM
from webhooks.deliveries import Delivery, Endpoint, Headers, Inbox, Portals, Secrets
from webhooks.errors import InboxAway, WebhookError
from webhooks.registry import RECEIVERS

MAX_BODY = 4 * 1024 * 1024
"""Bytes. A hundred HubSpot events, or amoCRM's mass change of hundreds of cards, stay far below."""
RETRY_AFTER_S = 5

_KEPT = ("content-type", "x-hubspot-signature-v3", "x-hubspot-request-timestamp", "x-hubspot-signature",
         "x-hubspot-signature-version")  # fmt: skip
_METHODS = ["POST", "HEAD"]
"""Bitrix24's moderation probes every address with HEAD."""

_log = logging.getLogger(__name__)


def create_blueprint(
    inbox: Inbox,
    portals: Portals,
    clock: Callable[[], datetime],
    *,
    public_url: str | None = None,
    max_body: int = MAX_BODY,
) -> Blueprint:
    """Routes `POST /webhooks/hubspot`, `/webhooks/bitrix24` and `/webhooks/amocrm/<secret>`.

    `clock` gives aware UTC. `public_url` is the base under which CRMs reach us, as signatures count it; without it
    the request's own host stands in, which is right only where no proxy is in between. `max_body` is in bytes.
    """
    blueprint = Blueprint("webhooks", __name__, url_prefix="/webhooks")

    def receive(crm: CRM) -> Response:
        if request.method == "HEAD":
            return Response(status=200)
        try:
            delivery = delivery_of_request(crm, Endpoint.EVENTS, clock(), public_url, max_body=max_body)
            _accept(delivery, inbox, portals, clock)
        except HTTPException as refusal:  # too large, or the client went away
            return _answer(refusal.code or 400, refusal.name)
        except WebhookError as refusal:
            _log.info("%s: a delivery is refused (%s): %s", crm.value, type(refusal).__name__, refusal)
            return _answer(refusal.status, str(refusal))
        except InboxAway as away:
            _log.warning("%s: a delivery could not be stored: %s", crm.value, away)
            return _again(away.retry_after)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the event must not be lost: ask for it again
            _log.error("%s: a delivery could not be handled: %s", crm.value, _where(fault))
            return _again(RETRY_AFTER_S)
        return Response(status=200)

    @blueprint.route("/hubspot", methods=_METHODS)
    def hubspot() -> Response:
        """Events of any accounts, signature v3."""
        return receive(CRM.HUBSPOT)

    @blueprint.route("/bitrix24", methods=_METHODS)
    def bitrix24() -> Response:
        """Events of one portal, application token."""
        return receive(CRM.BITRIX24)

    @blueprint.route("/amocrm/<secret>", methods=_METHODS)
    def amocrm(secret: str) -> Response:  # noqa: ARG001 - the receiver reads it from the path
        """Events of one account at its own secret address."""
        return receive(CRM.AMOCRM)

    return blueprint


def _accept(delivery: Delivery, inbox: Inbox, portals: Portals, clock: Callable[[], datetime]) -> None:
    receiver = RECEIVERS[delivery.crm]
    secrets = portals.secrets(delivery.crm, receiver.address(delivery)) or Secrets()
    receiver.verify(delivery, secrets, now=clock())
    inbox.store(delivery, notices=receiver.notices(delivery))


def delivery_of_request(
    crm: CRM, endpoint: Endpoint, now: datetime, public_url: str | None, *, max_body: int = MAX_BODY
) -> Delivery:
    """The request under way as receivers take it; raises werkzeug's `HTTPException` for a body that is too large."""
    request.max_content_length = max_body
    body = request.get_data(parse_form_data=False)
    target = _target()
    return Delivery(
        crm=crm,
        endpoint=endpoint,
        method=request.method,
        url=_joined(public_url or request.host_url, target),
        path=target.partition("?")[0],
        headers=Headers((name, value) for name, value in request.headers if name.lower() in _KEPT),
        body=body,
        received_at=now,
    )


def _target() -> str:
    """Path and query exactly as they were sent: decoding and encoding again would break signatures."""
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or ""
    if raw.startswith("/"):
        return str(raw)
    query = request.query_string.decode("latin-1")
    return quote(request.root_path + request.path) + (f"?{query}" if query else "")


def _joined(base: str, target: str) -> str:
    """The public base and the raw target; a path of the base that the proxy has kept is not put there twice."""
    base = base.rstrip("/")
    prefix = urlsplit(base).path
    return base.removesuffix(prefix) + target if prefix and target.startswith(f"{prefix}/") else base + target


def _answer(status: int, text: str) -> Response:
    return Response(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")


def _again(seconds: int) -> Response:
    answer = _answer(503, "not stored, please send it again")
    answer.headers["Retry-After"] = str(seconds)
    return answer


def _where(fault: Exception) -> str:
    """Kind and place of a fault; its text might hold what a client sent."""
    frame = traceback.extract_tb(fault.__traceback__)[-1]
    return f"{type(fault).__name__} at {frame.filename}:{frame.lineno}"
