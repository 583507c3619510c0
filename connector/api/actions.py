"""Workflow actions of HubSpot: proven by signature over the raw request.

`rfm-segment` is answered at once with what is known. `rfm-score` is put down and blocks the workflow until the
customer is scored again; where the account has not granted the scope to end a blocked call, the customer is scored
again soon and the values of now are answered.
https://developers.hubspot.com/docs/apps/developer-platform/add-features/custom-workflow-actions (read 2026-11).
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from adapters.records import CRM
from connector.api.calls import LARGEST, NAMES, is_repeated, put_down, read_call
from connector.api.hooks import Arrivals
from connector.api.in_json import finished, refusal, told
from connector.api.lazily import ServiceWhenNeeded
from connector.grants import app_of
from connector.jobs.answering import values_of
from connector.store import calls, portals
from connector.store.models import Portal
from connector.store.tokens import to_grant
from connector.wiring import Service
from webhooks import readings
from webhooks.blueprint import delivery_of_request
from webhooks.deliveries import Delivery, Endpoint, Secrets
from webhooks.errors import NotAuthentic, Unreadable
from webhooks.registry import RECEIVERS

SCOPE = "automation"
"""Lets us end a blocked call."""
_WAITS = {"hs_execution_state": "BLOCK", "hs_expiration_duration": "P1D"}
_LONGEST_CALLBACK = 255


def create_blueprint(service: ServiceWhenNeeded, arrivals: Arrivals) -> Blueprint:
    """Route `POST /actions/hubspot/<name>`, and HEAD for whoever looks whether it is there."""

    def action(name: str) -> Response:
        if name not in NAMES or "_" in name:
            return refusal(404, "there is no action of that name")
        if request.method == "HEAD":
            return finished(Response(status=200))
        app = app_of(service.config, CRM.HUBSPOT)
        assembled = service()
        now, url = assembled.now(), service.config.public_url
        delivery = delivery_of_request(CRM.HUBSPOT, Endpoint.ACTION, now, url, max_body=LARGEST)
        RECEIVERS[CRM.HUBSPOT].verify(delivery, Secrets((app.client_secret,)), now=now)
        body = _body(delivery)
        portal = _portal(assembled, body)
        waits = NAMES[name] == calls.SCORE and _may_end_calls(assembled, portal)
        call = read_call(assembled, delivery, NAMES[name], body["callbackId"], waits=waits)
        is_over = call.action == calls.SEGMENT or is_repeated(assembled, portal, call)
        if not is_over:
            put_down(assembled, arrivals, delivery, portal, call)
        if waits and not is_over:
            return finished(jsonify(outputFields=_WAITS))
        values = values_of(assembled, portal, call)
        return finished(jsonify(outputFields={"hs_execution_state": "SUCCESS", **values}))

    blueprint = Blueprint("actions", __name__, url_prefix="/actions")
    blueprint.add_url_rule("/hubspot/<name>", "hubspot", told(action), methods=["POST", "HEAD"])
    return blueprint


def _body(delivery: Delivery) -> dict[str, Any]:
    body = delivery.json
    callback = body.get("callbackId") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(callback, str) or not 0 < len(callback) <= _LONGEST_CALLBACK:
        raise Unreadable("the body is no call of a workflow action")
    if not callback.isprintable():
        raise Unreadable("callbackId is no text")
    return body


def _portal(service: Service, body: dict[str, Any]) -> Portal:
    origin = body.get("origin")
    account_id = readings.record_id(origin.get("portalId")) if isinstance(origin, dict) else None
    if account_id is None:
        raise Unreadable("the call names no account")
    with service.database.session() as session:
        portal = portals.portal_of_account(session, CRM.HUBSPOT.value, account_id)
    if portal is None or portal.state == "disconnected":
        raise NotAuthentic("the app is not installed in this account")
    return portal


def _may_end_calls(service: Service, portal: Portal) -> bool:
    grant = to_grant(service.vault.open(portal.access)) if portal.access is not None else None
    return grant is not None and SCOPE in grant.scopes and portal.state == "active"
