"""The three addresses that CRMs post events to: the only module here that knows Flask.

Read raw bytes, hand them to `webhooks.receiving`, and give its answer. Most requests are answered before they come
here, in the same way, by `webhooks.lane`.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException

from adapters.records import CRM
from webhooks.deliveries import Delivery, Endpoint
from webhooks.receiving import ACCEPTED, TEXT, Answer, Reception, delivery_of

MAX_BODY = 4 * 1024 * 1024
"""Bytes. A hundred HubSpot events, or amoCRM's mass change of hundreds of cards, stay far below."""

_METHODS = ["POST", "HEAD"]
"""Bitrix24's moderation probes every address with HEAD."""


def create_blueprint(reception: Reception, *, public_url: str | None = None, max_body: int = MAX_BODY) -> Blueprint:
    """Routes `POST /webhooks/hubspot`, `/webhooks/bitrix24` and `/webhooks/amocrm/<secret>`.

    `public_url` is the base under which CRMs reach us, as signatures count it; without it the request's own host
    stands in, which is right only where no proxy is in between. `max_body` is in bytes.
    """
    blueprint = Blueprint("webhooks", __name__, url_prefix="/webhooks")

    def receive(crm: CRM) -> Response:
        if request.method == "HEAD":
            return _told(ACCEPTED)
        try:
            delivery = delivery_of_request(crm, Endpoint.EVENTS, reception.clock(), public_url, max_body=max_body)
        except HTTPException as refusal:  # too large, or the client went away
            return _told(Answer(refusal.code or 400, refusal.name))
        return _told(reception.receive(delivery))

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


def delivery_of_request(
    crm: CRM, endpoint: Endpoint, now: datetime, public_url: str | None, *, max_body: int = MAX_BODY
) -> Delivery:
    """The request under way as receivers take it; raises werkzeug's `HTTPException` for a body that is too large."""
    request.max_content_length = max_body
    body = request.get_data(parse_form_data=False)
    return delivery_of(crm, endpoint, now, public_url or request.host_url, _target(), body, request.environ)


def _target() -> str:
    """Path and query exactly as they were sent: decoding and encoding again would break signatures."""
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or ""
    if raw.startswith("/"):
        return str(raw)
    query = request.query_string.decode("latin-1")
    return quote(request.root_path + request.path) + (f"?{query}" if query else "")


def _told(answer: Answer) -> Response:
    if not answer.text:
        return Response(status=answer.status)
    response = Response(f"{answer.text}\n", status=answer.status, content_type=TEXT)
    if answer.retry_after is not None:
        response.headers["Retry-After"] = str(answer.retry_after)
    return response
