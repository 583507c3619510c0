"""First-time set-up of a portal, and the daily look whether it still stands: fields, webhooks, robots and tabs.

Vendors forget webhooks: Bitrix24 at every update of our app, amoCRM after a hundred bad answers. Everything here may
be repeated, and sends no change where nothing is missing. A portal whose plan has no webhooks is no failure: its
changes are found by pulling, and the reason is kept.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from adapters.contract import Adapter
from adapters.errors import CRMError, Rejected, ScopeMissing, Unpaid, Unsupported
from connector.jobs import automations
from connector.jobs.loop import working_on
from connector.jobs.steps import fields_for
from connector.store import hooks, portals
from connector.store.models import Portal
from connector.wiring import Service

log = logging.getLogger("rfm.install")

SETTING = "webhooks"
"""Setting of a portal that says how its webhooks stand: `on`, or the reason why there are none."""
ON = "on"
_NOT_HERE = (ScopeMissing, Unpaid, Unsupported, Rejected)


@dataclass(frozen=True, slots=True)
class SetUp:
    """How a portal stands. `webhooks` is `on`, the reason why there are none, or empty where none are asked for."""

    fields: int
    webhooks: str


def set_up(service: Service, portal_id: int) -> SetUp:
    """Make sure of a portal's fields, webhooks, robots and tabs. Raises `CRMError`, `Interruption` and `WrongUse`."""
    with service.database.session() as session:
        name = session.get_one(Portal, portal_id).name
    with working_on(service, name) as (portal, opened):
        fields = fields_for(service, portal, opened.adapter, None)
        webhooks = subscribe(service, portal, opened.adapter)
        automations.ensure(service, portal, opened.adapter)
        return SetUp(sum(len(refs) for refs in fields.fields.values()), webhooks)


def subscribe(service: Service, portal: Portal, adapter: Adapter) -> str:
    """Have the portal's events posted to us. Returns `on`, why not, or nothing where they are not asked for.

    Raises `CRMError` for what is no matter of the portal's plan.
    """
    url = callback_of(service, portal)
    if not url or not adapter.capabilities.subscribes:
        return ""
    try:
        adapter.subscribe(url)
    except _NOT_HERE as error:
        return _noted(service, portal.portal_id, str(error))
    return _noted(service, portal.portal_id, ON)


def unsubscribe(service: Service, portal: Portal, adapter: Adapter) -> bool:
    """Have no more events posted, as far as the CRM lets us; returns whether it did."""
    url = callback_of(service, portal)
    if not url or not adapter.capabilities.subscribes:
        return False
    try:
        adapter.unsubscribe(url)
    except CRMError as error:
        log.warning("webhooks not ended portal=%d reason=%s", portal.portal_id, error)
        return False
    return True


def callback_of(service: Service, portal: Portal) -> str:
    """Where the portal's events are to be posted; empty without PUBLIC_URL. amoCRM's has a secret in it."""
    if not service.config.public_url:
        return ""
    with service.database.session() as session:
        kept = session.get_one(Portal, portal.portal_id, with_for_update=True)
        return service.config.public_url.rstrip("/") + hooks.path_of(kept, service.vault)


def _noted(service: Service, portal_id: int, state: str) -> str:
    """Keep how webhooks stand; what changed goes to the audit trail."""
    with service.database.session() as session:
        portal = session.get_one(Portal, portal_id, with_for_update=True)
        if portal.settings.get(SETTING) != state:
            portal.settings = {**portal.settings, SETTING: state}
            action = "portal.webhooks_on" if state == ON else "portal.webhooks_off"
            portals.note(session, portal_id, "system", action, {} if state == ON else {"reason": state})
    return state
