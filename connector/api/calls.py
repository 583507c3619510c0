"""What robots of Bitrix24 and workflow actions of HubSpot have in common: a proven call is put down and answered soon.

Its record goes into the inbox first and the call beside it, so that a repeated request finds both; only then is the
CRM told that we have it. Nothing is computed while the CRM waits.
"""

from __future__ import annotations

from collections.abc import Mapping

from connector.api.hooks import Arrivals
from connector.jobs import schedule
from connector.store import calls
from connector.store.calls import Call
from connector.store.models import Portal
from connector.wiring import Service
from webhooks.deliveries import Delivery, Resource
from webhooks.registry import RECEIVERS
from webhooks.signatures import fingerprint

NAMES: Mapping[str, str] = {
    "rfm_score": calls.SCORE,
    "rfm_segment": calls.SEGMENT,
    "rfm-score": calls.SCORE,
    "rfm-segment": calls.SEGMENT,
}
"""The last part of the address → what is asked for."""
LARGEST = 256 * 1024
_NONE = "0"
"""Instead of the id of a record that is neither contact, company nor deal: it has no score."""


def read_call(service: Service, delivery: Delivery, action: str, token: str, *, waits: bool) -> Call:
    """A proven delivery as a call. Raises `Unreadable`."""
    notices = RECEIVERS[delivery.crm].notices(delivery)
    resource, external_id = (notices[0].resource, notices[0].external_id) if notices else (Resource.DEAL, _NONE)
    sealed = service.vault.seal({"token": token}) if waits else None
    return Call(fingerprint(token), action, resource, external_id, sealed)


def put_down(service: Service, arrivals: Arrivals, delivery: Delivery, portal: Portal, call: Call) -> None:
    """Keep a call and ask for its answer. Raises `InboxAway` and `DatabaseAway`; safe to repeat."""
    if call.action == calls.SCORE:
        arrivals.store(delivery, notices=RECEIVERS[delivery.crm].notices(delivery))
    with service.database.session() as session:
        if calls.keep(session, portal.portal_id, call, service.now()) and portal.state == "active":
            schedule.ask(session, schedule.ANSWERS, portal.portal_id, service.now())


def is_repeated(service: Service, portal: Portal, call: Call) -> bool:
    """Whether the call has been answered already."""
    with service.database.session() as session:
        return calls.is_answered(session, portal.portal_id, call.call_key)
