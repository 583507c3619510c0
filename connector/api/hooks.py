"""The engine's side of webhooks: whose secrets prove them, and where they are kept. Ports of `webhooks.deliveries`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from sqlalchemy.exc import OperationalError

from adapters.records import CRM
from connector.errors import ConnectorError, DatabaseAway
from connector.jobs import leaving, schedule
from connector.store import hooks, portals
from connector.store.database import Database
from connector.store.intake import StoredInbox
from connector.wiring import Service
from webhooks.deliveries import ChangeNotice, Delivery, Kind, Resource, Secrets
from webhooks.errors import InboxAway

log = logging.getLogger("rfm.webhooks")

_KNOWN_S = 5.0
_MOST_KNOWN = 10_000
_Finder = Callable[[Service, str], Secrets | None]


class StoredSecrets:
    """`webhooks.deliveries.Portals` over the portals' rows.

    What was found is good for some seconds, so that a burst does not ask the database for each event; a portal that
    left is known that much longer, and nothing is kept for it any more.
    """

    def __init__(self, service: Callable[[], Service]) -> None:
        self._service = service
        self._known: dict[tuple[CRM, str], tuple[Secrets, float]] = {}
        self._lock = Lock()

    def secrets(self, crm: CRM, address: str) -> Secrets | None:
        """See `Portals.secrets`."""
        now = time.monotonic()
        with self._lock:
            secrets, until = self._known.get((crm, address), (None, now))
        if secrets is not None and now < until:
            return secrets
        try:
            found = _FINDERS[crm](self._service(), address)
        except (ConnectorError, OperationalError) as error:
            raise InboxAway(_reason(error)) from None
        if found is not None:
            with self._lock:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known[crm, address] = (found, now + _KNOWN_S)
        return found


def _of_hubspot(service: Service, _: str) -> Secrets | None:
    secret = service.config.hubspot_client_secret
    return Secrets((secret,)) if secret else None


def _of_bitrix24(service: Service, member_id: str) -> Secrets | None:
    with service.database.session() as session:
        portal = hooks.portal_of_member(session, member_id)
        secret = hooks.secret_of(portal, service.vault) if portal is not None else ""
    return Secrets((secret,), account_id=member_id) if secret else None


def _of_amocrm(service: Service, fingerprint: str) -> Secrets | None:
    with service.database.session() as session:
        portal = hooks.portal_of_path(session, fingerprint)
        if portal is None:
            return None
        return Secrets((hooks.secret_of(portal, service.vault),), account_id=portal.account_id)


_FINDERS: Mapping[CRM, _Finder] = {
    CRM.HUBSPOT: _of_hubspot,
    CRM.BITRIX24: _of_bitrix24,
    CRM.AMOCRM: _of_amocrm,
}


class Arrivals:
    """`webhooks.deliveries.Inbox`: records go to the stored inbox, news about our app itself is acted on at once."""

    def __init__(self, service: Callable[[], Service]) -> None:
        self._service = service
        self._lock = Lock()
        self._inbox: StoredInbox | None = None

    def store(self, delivery: Delivery, *, notices: Sequence[ChangeNotice]) -> None:
        """See `Inbox.store`."""
        try:
            service = self._service()
            for notice in notices:
                if notice.resource is Resource.APP and notice.kind is Kind.DELETED:
                    uninstalled(service, delivery.crm, notice.account_id, erase=notice.erase)
        except (ConnectorError, OperationalError) as error:
            raise InboxAway(_reason(error)) from None
        self._stored(service.database).store(delivery, notices=notices)

    def _stored(self, database: Database) -> StoredInbox:
        with self._lock:
            if self._inbox is None:
                self._inbox = StoredInbox(database, lambda portal_id: _wake(database, portal_id))
            return self._inbox


def uninstalled(service: Service, crm: CRM, account_id: str, *, erase: bool) -> None:
    """Our app was removed, which is proven: stop and forget the tokens, and with `erase` all data at once.

    Erasing waits for whoever works on the portal at this moment; it is then done with the next retention.
    """
    now = service.now()
    with service.database.session() as session:
        portal = portals.portal_of_account(session, crm.value, account_id)
        if portal is None:
            return
        leaving.leave(session, portal, now, crm.value, erase=erase)
    if erase:
        leaving.erase_due(service.database, now)


def _wake(database: Database, portal_id: int) -> None:
    """A wake-up that is lost is made good by the next tick: the event itself is stored already."""
    try:
        schedule.wake(database, portal_id)
    except (DatabaseAway, OperationalError) as error:
        log.warning("portal not woken portal=%d reason=%s", portal_id, type(error).__name__)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ConnectorError) else "the database is away"
