"""Portals in memory and an engine that works in the test's own process until nothing is due."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from connector import wiring
from connector.jobs import connecting, engine, schedule
from connector.secrets import Vault
from connector.store.database import Database
from connector.store.jobs import QUEUES
from tests.connector.factories import KEY, config_for, rows
from tests.fakes.memory import MemoryCRM

DUE = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND coalesce(scheduled_at, now()) <= now()"


class Office:
    """Portals by name, and who has them open: `most` is how often one portal was open at the same time at most."""

    def __init__(self) -> None:
        self.crms: dict[str, MemoryCRM] = {}
        self.ids: dict[str, int] = {}
        self.order: list[str] = []
        self.most: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()

    def open_portal(self, access: Any, transport: Any, states: Any) -> MemoryCRM:
        crm = self.crms[access.tokens.current()]
        crm.counters = transport.counters
        return crm

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[None]:
        with self._lock:
            self._open[name] += 1
            self.most[name] = max(self.most[name], self._open[name])
            self.order.append(name)
        try:
            yield
        finally:
            with self._lock:
                self._open[name] -= 1


class WatchedService(wiring.Service):
    """A service that tells its office who is open."""

    __slots__ = ("office",)

    @contextlib.contextmanager
    def open(self, access: Any, **more: Any) -> Iterator[wiring.OpenPortal]:
        with self.office.writing(access.tokens.current()), super().open(access, **more) as opened:
            yield opened


def office_of(monkeypatch: Any, database: Database, tmp_path: Any, **crms: MemoryCRM) -> tuple[Office, wiring.Service]:
    """Connect portals in memory under these names; each name is its token too."""
    office = Office()
    monkeypatch.setattr(wiring, "open_portal", office.open_portal)
    service = WatchedService(config_for(database, tmp_path), database, Vault((KEY,)), lock_wait_s=0.2)
    object.__setattr__(service, "office", office)
    for number, (name, crm) in enumerate(crms.items(), start=1):
        crm.info = replace(crm.info, account_id=f"account-{number}", name=name)
        office.crms[name] = crm
        connecting.connect(service, MemoryCRM.crm, name, url="https://api.hubapi.com", token=name)
        office.ids[name] = rows(database, "SELECT portal_id FROM portals WHERE name = :name", name=name)[0]
    office.order.clear()
    office.most.clear()
    return office, service


def ask(database: Database, name: str, portal_id: int) -> None:
    """Ask for work now."""
    with database.session() as session:
        schedule.ask(session, name, portal_id, datetime.now(UTC))


def due(database: Database) -> int:
    """How many jobs could run now."""
    return int(rows(database, DUE)[0])


def work_off(service: wiring.Service, *, chunk_s: float = 15.0, at_once: int = 2, most_s: float = 60.0) -> None:
    """Do everything that is due, successors included; what is put off for later stays."""
    until = time.monotonic() + most_s
    while due(service.database) and time.monotonic() < until:
        asyncio.run(_work_off(service, chunk_s, at_once))


async def _work_off(service: wiring.Service, chunk_s: float, at_once: int) -> None:
    app = engine.application(service, lambda: False, chunk_s=chunk_s)
    async with app.open_async():
        await asyncio.gather(
            *(
                app.run_worker_async(**{**engine.options(queue, at_once), "wait": False, "listen_notify": False})
                for queue in QUEUES
            )
        )
