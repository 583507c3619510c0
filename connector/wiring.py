"""Assembly: settings → database, vault, host policy; a stored portal → an open adapter. Nothing is built at import."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from adapters.contract import Adapter, PortalAccess
from adapters.hosts import HostPolicy
from adapters.records import CRM
from adapters.registry import access_from_input, open_portal
from adapters.transport import Counters, Transport
from connector.config import Config
from connector.errors import WrongUse
from connector.secrets import Vault, vault_of
from connector.store.budgets import SharedStates
from connector.store.database import Database, open_database
from connector.store.models import Portal


@dataclass(frozen=True, slots=True)
class OpenPortal:
    """A portal that can be called. `counters` has what the calls cost so far."""

    adapter: Adapter
    counters: Counters


@dataclass(frozen=True, slots=True)
class Service:
    """The assembled service. `sleep` is what calls wait with; one that raises cuts a wait short."""

    config: Config
    database: Database
    vault: Vault
    sleep: Callable[[float], None] = time.sleep

    def access_of(self, portal: Portal) -> PortalAccess:
        """The stored way into a portal; raises `WrongUse` after a disconnect."""
        if portal.access is None:
            raise WrongUse(f"{portal.name} is disconnected: connect it again first")
        kept = self.vault.open(portal.access)
        return access_from_input(CRM(portal.crm), url=kept["url"], token=kept["token"])

    @contextmanager
    def open(self, access: PortalAccess, *, attempts: int = 6) -> Iterator[OpenPortal]:
        """Call a portal for a while, each call at most `attempts` times.

        Raises `HostRefused` for an address that may not be called.
        """
        hosts = HostPolicy(self.config.allowed_crm_hosts)
        hosts.check(access.crm, access.base_url)
        transport = Transport(hosts, attempts=attempts, sleep=self.sleep)
        states = SharedStates(self.database, budget_key(access))
        try:
            yield OpenPortal(open_portal(access, transport, states), transport.counters)
        finally:
            transport.close()
            states.close()


@contextmanager
def assemble(config: Config) -> Iterator[Service]:
    """The service on a database with the right schema. Raises `DatabaseAway`, `SchemaBehind`, `Misconfigured`."""
    vault = vault_of(config)
    database = open_database(config)
    try:
        database.ensure_schema()
        yield Service(config, database, vault)
    finally:
        database.close()


def budget_key(access: PortalAccess) -> str:
    """Whose quota a call uses: the account behind the host, without the secret."""
    token = access.tokens.current() if access.tokens else access.base_url
    fingerprint = hashlib.sha256(token.encode()).hexdigest()[:16]
    return f"{access.crm.value}:{urlsplit(access.base_url).netloc}:{fingerprint}"
