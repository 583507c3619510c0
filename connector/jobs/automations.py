"""Our robots and tabs in a portal: made sure of at installation, after an update, and daily.

The portal's setting `automations` says how they stand, and for which address of ours and which description they were
registered: another one is registered anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from adapters.contract import Adapter
from adapters.registry import automations_of
from connector.jobs import schedule
from connector.store import calls, portals
from connector.store.models import Portal
from connector.wiring import Service

SETTING = "automations"
_EDITION = "1"
"""Grows when robots or tabs are described otherwise."""


def ensure(service: Service, portal: Portal, adapter: Adapter) -> Mapping[str, str]:
    """Make sure of robots and tabs of a portal that has installed our app; repeatable, by whoever holds its lock.

    Returns by kind an empty text or why the portal does not take it; nothing without PUBLIC_URL or with a pasted
    token. Raises `CRMError` for what is no matter of the portal's plan. Calls left unanswered are asked for again.
    """
    automations = automations_of(adapter)
    if automations is None or not service.config.public_url or not service.has_grant(portal):
        return {}
    base_url = service.config.public_url.rstrip("/")
    edition = hashlib.sha256(f"{_EDITION} {base_url}".encode()).hexdigest()[:12]
    known = portal.settings.get(SETTING, {})
    found = automations.ensure(base_url, renew=known.get("edition") != edition)
    _note(service, portal.portal_id, {"edition": edition, **found})
    return found


def _note(service: Service, portal_id: int, stands: Mapping[str, str]) -> None:
    with service.database.session() as session:
        portal = session.get_one(Portal, portal_id, with_for_update=True)
        if len(stands) > 1 and portal.settings.get(SETTING) != stands:
            portal.settings = {**portal.settings, SETTING: dict(stands)}
            detail = {kind: reason or "on" for kind, reason in stands.items() if kind != "edition"}
            portals.note(session, portal_id, "system", "portal.automations", detail)
        if calls.count_waiting(session, portal_id):
            schedule.ask(session, schedule.ANSWERS, portal_id, service.now())
