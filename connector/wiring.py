"""Assembly: settings → database, vault, host policy; a stored portal → an open adapter. Nothing is built at import."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from adapters.contract import Adapter, PortalAccess
from adapters.hosts import HostPolicy, HostRefused
from adapters.records import CRM
from adapters.registry import access_from_input, open_portal
from adapters.transport import Counters, Transport
from connector.config import Config
from connector.errors import WrongUse
from connector.secrets import Vault, vault_of
from connector.store.budgets import SharedStates
from connector.store.database import Database, open_database
from connector.store.models import Portal
from connector.store.requests import RequestLog


@dataclass(frozen=True, slots=True)
class OpenPortal:
    """A portal that can be called. `counters` has what the calls cost so far."""

    adapter: Adapter
    counters: Counters


@dataclass(frozen=True, slots=True)
class Service:
    """The assembled service. `sleep` is what calls wait with; one that raises cuts a wait short.

    `patience_s` and `attempts` bound how long one call to a CRM waits and how often it is tried, `lock_wait_s` how
    long a portal is waited for that somebody else works on: people are patient, background jobs give way.
    """

    config: Config
    database: Database
    vault: Vault
    sleep: Callable[[float], None] = time.sleep
    patience_s: float = 1800.0
    attempts: int = 6
    lock_wait_s: float = 6.0

    def access_of(self, portal: Portal) -> PortalAccess:
        """The stored way into a portal; raises `WrongUse` after a disconnect."""
        if portal.access is None:
            raise WrongUse(f"{portal.name} is disconnected: connect it again first")
        kept = self.vault.open(portal.access)
        return access_from_input(CRM(portal.crm), url=kept["url"], token=kept["token"])

    @contextmanager
    def open(
        self, access: PortalAccess, *, attempts: int | None = None, portal_id: int | None = None, patient: bool = True
    ) -> Iterator[OpenPortal]:
        """Call a portal for a while, each call at most `attempts` times; `portal_id` has its requests counted.

        Somebody who waits at a terminal for a first answer is not `patient`: 20 seconds must do.

        Raises `WrongUse` for an address that may not be called.
        """
        hosts = HostPolicy(self.config.allowed_crm_hosts)
        try:
            hosts.check(access.crm, access.base_url)
        except HostRefused as error:
            raise WrongUse(str(error)) from None
        with ExitStack() as leaving:
            limits: dict[str, Any] = {"patience": self.patience_s, "attempts": attempts or self.attempts}
            if portal_id is not None:
                log = RequestLog(self.database, portal_id)
                leaving.callback(log.close)
                limits["watch"] = log.note
            if not patient:
                limits["timeout"] = (5.0, 20.0)
            transport = Transport(hosts, sleep=self.sleep, **limits)
            leaving.callback(transport.close)
            states = SharedStates(self.database, budget_key(access))
            leaving.callback(states.close)
            yield OpenPortal(open_portal(access, transport, states), transport.counters)


@contextmanager
def assemble(config: Config, *, pool_size: int = 8) -> Iterator[Service]:
    """The service on a database with the right schema. Raises `DatabaseAway`, `SchemaBehind`, `Misconfigured`."""
    vault = vault_of(config)
    database = open_database(config, pool_size=pool_size)
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
