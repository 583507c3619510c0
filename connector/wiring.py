"""Assembly: settings → database, vault, host policy; a stored portal → an open adapter. Nothing is built at import."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from adapters.contract import Adapter, PortalAccess
from adapters.hosts import HostPolicy, HostRefused
from adapters.oauth import KeptTokens
from adapters.records import CRM
from adapters.registry import access_from_input, open_portal
from adapters.transport import Counters, Transport
from connector.config import Config
from connector.errors import WrongUse
from connector.grants import Grants
from connector.secrets import Vault, vault_of
from connector.store.budgets import SharedStates
from connector.store.database import Database, open_database
from connector.store.models import Portal
from connector.store.requests import RequestLog
from connector.store.tokens import to_grant


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class OpenPortal:
    """A portal that can be called. `counters` has what the calls cost so far."""

    adapter: Adapter
    counters: Counters


@dataclass(frozen=True, slots=True)
class Service:
    """The assembled service. `sleep` is what calls wait with; one that raises cuts a wait short.

    `patience_s` and `attempts` bound how long one call to a CRM waits and how often it is tried, `lock_wait_s` how
    long a portal is waited for that somebody else works on: people are patient, background jobs give way. `now` gives
    aware UTC; `grants` has the ways into portals that installed our app.
    """

    config: Config
    database: Database
    vault: Vault
    sleep: Callable[[float], None] = time.sleep
    patience_s: float = 1800.0
    attempts: int = 6
    lock_wait_s: float = 6.0
    now: Callable[[], datetime] = utc_now
    grants: Grants = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Each service has its own ways into installed portals, by its own settings."""
        object.__setattr__(self, "grants", Grants(self.config, self.database, self.vault, self.now))

    def access_of(self, portal: Portal) -> PortalAccess:
        """The stored way into a portal: a pasted token, or a grant that renews itself.

        Raises `WrongUse` after a disconnect, and `Misconfigured` when our app's settings are gone.
        """
        if portal.access is None:
            raise WrongUse(f"{portal.name} is disconnected: connect it again first")
        kept = self.vault.open(portal.access)
        grant = to_grant(kept)
        if grant is not None:
            return self.grants.access(portal.portal_id, CRM(portal.crm), grant)
        return access_from_input(CRM(portal.crm), url=kept["url"], token=kept["token"])

    def has_grant(self, portal: Portal) -> bool:
        """Whether the portal has installed our app, instead of a person having pasted a token."""
        return portal.access is not None and to_grant(self.vault.open(portal.access)) is not None

    @contextmanager
    def open(
        self,
        access: PortalAccess,
        *,
        attempts: int | None = None,
        portal_id: int | None = None,
        patient: bool = True,
        guard: Callable[[], None] | None = None,
    ) -> Iterator[OpenPortal]:
        """Call a portal for a while, each call at most `attempts` times; `portal_id` has its requests counted.

        `guard` is called before each request and raises when nothing may be sent any more.
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
            if guard is not None:
                limits["guard"] = guard
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
        service = Service(config, database, vault)
        try:
            yield service
        finally:
            service.grants.close()
    finally:
        database.close()


def budget_key(access: PortalAccess) -> str:
    """Whose quota a call uses: the account behind the host. Never a secret, and nothing that a renewal changes."""
    if isinstance(access.tokens, KeptTokens):
        return f"{access.crm.value}:{urlsplit(access.base_url).netloc}:{access.tokens.grant.account_id}"
    token = access.tokens.current() if access.tokens else access.base_url
    fingerprint = hashlib.sha256(token.encode()).hexdigest()[:16]
    return f"{access.crm.value}:{urlsplit(access.base_url).netloc}:{fingerprint}"
