"""Our registrations with the vendors, and the ways into portals that have installed our app.

Tokens renew themselves here and nowhere else. The threads of one process share one set of tokens a portal, so that
they renew together; processes and machines agree by the lock in `store.tokens`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from threading import Lock

from adapters.contract import PortalAccess
from adapters.hosts import HostPolicy
from adapters.oauth import Courier, Grant, KeptTokens, OAuthApp, courier_transport
from adapters.records import CRM
from adapters.registry import installed_access, oauth_app
from connector.config import Config
from connector.errors import Misconfigured
from connector.secrets import Vault
from connector.store.budgets import SharedStates
from connector.store.database import Database
from connector.store.tokens import StoredTokens

_WITHOUT_CALL_BACK = frozenset({CRM.BITRIX24})
"""Bitrix24 keeps the addresses of our pages itself and never asks for one."""


def callback_url(config: Config, crm: CRM) -> str:
    """Where a vendor sends people back to; the registered address must be the same to the letter."""
    return f"{(config.public_url or '').rstrip('/')}/oauth/{crm.value}/callback"


def app_of(config: Config, crm: CRM) -> OAuthApp:
    """Our registration with a vendor. Raises `Misconfigured` naming every setting that is missing."""
    client_id, client_secret, oauth_url = {
        CRM.HUBSPOT: (config.hubspot_client_id, config.hubspot_client_secret, config.hubspot_oauth_url),
        CRM.BITRIX24: (config.bitrix24_client_id, config.bitrix24_client_secret, config.bitrix24_oauth_url),
        CRM.AMOCRM: (config.amocrm_client_id, config.amocrm_client_secret, config.amocrm_oauth_url),
    }[crm]
    wanted = {f"{crm.name}_CLIENT_ID": client_id, f"{crm.name}_CLIENT_SECRET": client_secret}
    if crm not in _WITHOUT_CALL_BACK:
        wanted["PUBLIC_URL"] = config.public_url
    missing = [name for name, value in wanted.items() if not value]
    if missing:
        raise Misconfigured(f"the app for {crm.value} is not set up: set {', '.join(missing)}")
    return oauth_app(
        crm,
        client_id or "",
        client_secret or "",
        redirect_url=callback_url(config, crm),
        api_url=config.hubspot_api_url,
        oauth_url=oauth_url,
    )


class Grants:
    """What a process holds open to renew tokens: for each vendor one way to its authorisation server."""

    def __init__(self, config: Config, database: Database, vault: Vault, now: Callable[[], datetime]) -> None:
        self._config = config
        self._database = database
        self._now = now
        self._keeper = StoredTokens(database, vault)
        self._lock = Lock()
        self._couriers: dict[CRM, tuple[Courier, SharedStates]] = {}
        self._known: dict[int, PortalAccess] = {}

    def courier(self, crm: CRM) -> Courier:
        """The way to a vendor's authorisation server, with a budget that all processes share."""
        with self._lock:
            if crm not in self._couriers:
                transport = courier_transport(HostPolicy(self._config.allowed_crm_hosts))
                states = SharedStates(self._database, f"oauth:{crm.value}")
                self._couriers[crm] = (Courier(transport, states, self._now), states)
            return self._couriers[crm][0]

    def access(self, portal_id: int, crm: CRM, grant: Grant) -> PortalAccess:
        """How to reach a portal whose stored grant this is. Raises `Misconfigured`; sends nothing yet."""
        with self._lock:
            known = self._known.get(portal_id)
            if known is not None and isinstance(known.tokens, KeptTokens) and known.tokens.grant == grant:
                return known
        app, courier = app_of(self._config, crm), self.courier(crm)
        access = installed_access(crm, app, courier, self._keeper, portal_id, grant)
        with self._lock:
            self._known[portal_id] = access
        return access

    def close(self) -> None:
        """Give the connections back; what is asked for afterwards opens them again."""
        with self._lock:
            for courier, states in self._couriers.values():
                courier.transport.close()
                states.close()
            self._couriers.clear()
            self._known.clear()
