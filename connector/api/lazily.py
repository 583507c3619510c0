"""The assembled service for a web process: made at the first call that needs it, as the database may be away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from threading import Lock

from connector.config import Config
from connector.secrets import vault_of
from connector.store.database import Database
from connector.wiring import Service


class ServiceWhenNeeded:
    """Makes the service once for all threads. A failure is not kept: the next call tries again."""

    def __init__(self, config: Config, database: Callable[[], Database], clock: Callable[[], datetime]) -> None:
        self.config = config
        self._database = database
        self._clock = clock
        self._lock = Lock()
        self._service: Service | None = None

    def __call__(self) -> Service:
        """The service; raises `DatabaseAway`, `SchemaBehind` or `Misconfigured`."""
        database = self._database()
        with self._lock:
            if self._service is None:
                self._service = Service(self.config, database, vault_of(self.config), now=self._clock)
            return self._service
