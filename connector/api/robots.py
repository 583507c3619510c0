"""Robots of Bitrix24: proven by the installation's token, put down, and answered through the portal's own token.

What a robot posts is not documented; the keys are those of the vendor's SDK. Nothing of it but the card's number, the
call's token and whether somebody waits is looked at.
"""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from adapters.records import CRM
from connector.api.calls import LARGEST, NAMES, put_down, read_call
from connector.api.hooks import Arrivals
from connector.api.in_json import finished, refusal, told
from connector.api.lazily import ServiceWhenNeeded
from connector.store import hooks
from connector.store.models import Portal
from connector.wiring import Service
from webhooks import forms
from webhooks.blueprint import delivery_of_request
from webhooks.deliveries import Delivery, Endpoint, Secrets
from webhooks.errors import NotAuthentic, Unreadable
from webhooks.registry import RECEIVERS

_LONGEST_TOKEN = 1024
_DOES_NOT_WAIT = "N"
"""Anything else waits, an empty value too."""


def create_blueprint(service: ServiceWhenNeeded, arrivals: Arrivals) -> Blueprint:
    """Route `POST /robots/bitrix24/<code>`, and HEAD for whoever looks whether it is there."""

    def robot(code: str) -> Response:
        if code not in NAMES or "-" in code:
            return refusal(404, "there is no robot of that name")
        if request.method == "HEAD":
            return finished(Response(status=200))
        assembled, now = service(), service().now()
        url = service.config.public_url
        delivery = delivery_of_request(CRM.BITRIX24, Endpoint.ACTION, now, url, max_body=LARGEST)
        portal = _proven(assembled, delivery)
        token = forms.text(delivery.form, "event_token") or ""
        if not token or len(token) > _LONGEST_TOKEN or not token.isprintable():
            raise Unreadable("event_token is missing or no token")
        waits = forms.text(delivery.form, "use_subscription") != _DOES_NOT_WAIT
        put_down(assembled, arrivals, delivery, portal, read_call(assembled, delivery, NAMES[code], token, waits=waits))
        return finished(jsonify(accepted=True))

    blueprint = Blueprint("robots", __name__, url_prefix="/robots")
    blueprint.add_url_rule("/bitrix24/<code>", "bitrix24", told(robot), methods=["POST", "HEAD"])
    return blueprint


def _proven(service: Service, delivery: Delivery) -> Portal:
    receiver = RECEIVERS[CRM.BITRIX24]
    member_id = receiver.address(delivery)
    with service.database.session() as session:
        portal = hooks.portal_of_member(session, member_id)
        secret = hooks.secret_of(portal, service.vault) if portal is not None else ""
    receiver.verify(delivery, Secrets((secret,), account_id=member_id), now=service.now())
    if portal is None:
        raise NotAuthentic("the app is not installed in this portal")
    return portal
