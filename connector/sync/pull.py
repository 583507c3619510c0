"""Copies what a CRM holds into the mirror: staff, rates, cards, orders, and what has vanished.

Each page and its cursor are committed together, so stopping at any point is safe and running again re-reads at
most one page plus the lag window. The streams of a portal are read side by side: their limits are shared, their
latencies add up otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.batches import chunks
from adapters.contract import Adapter, Cursor, FieldMap, Page
from adapters.errors import ScopeMissing
from adapters.records import CustomerKind, OrderSource
from connector.store import changes, mirror
from connector.store.database import Database
from connector.store.models import Portal

_INFO_AGE = timedelta(hours=20)
_BY_ID = 500
Progress = Callable[[str, int], None]
"""Called with a stream's name and the number of records just stored."""


@dataclass(slots=True)
class Pulled:
    """What a pull brought: records received, records changed and records found gone, by stream."""

    received: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)

    def add(self, stream: str, received: int, changed: int) -> None:
        """Count a page."""
        self.received[stream] = self.received.get(stream, 0) + received
        self.changed[stream] = self.changed.get(stream, 0) + changed


class Pull:
    """One pull of one portal. The caller holds the portal's lock."""

    def __init__(self, database: Database, portal_id: int, adapter: Adapter, progress: Progress) -> None:
        self._database = database
        self._portal_id = portal_id
        self._adapter = adapter
        self._progress = progress
        self._stop = threading.Event()
        self.pulled = Pulled()

    def run(self, *, full: bool = False) -> Pulled:
        """Bring the mirror up to date; `full` reads everything again. Raises the first `CRMError` of any stream."""
        portal = self._refresh_portal(full=full)
        fields = FieldMap.from_json(portal.fields) if portal.fields else None
        lines = self._adapter.capabilities.order_lines and bool(portal.settings.get("order_lines", True))
        sources = [OrderSource(name) for name in mirror.order_sources(portal) if name != OrderSource.IMPORT.value]
        self._side_by_side(
            [
                self._read_staff,
                *(lambda kind=kind: self._read_customers(kind, fields) for kind in CustomerKind),
                *(lambda source=source: self._read_orders(source, lines) for source in sources),
            ]
        )
        for kind in CustomerKind:
            self._reconcile_customers(kind, fields, sources, lines=lines)
        for source in sources:
            self._reconcile_orders(source, lines=lines)
        with self._database.session() as session:
            portal = session.get_one(Portal, self._portal_id)
            mirror.untie(session, portal)
            portal.last_sync_at = datetime.now(UTC)
        return self.pulled

    def _refresh_portal(self, *, full: bool) -> Portal:
        """Rates at every pull, the account's zone and currency once a day; derive orders again if any changed."""
        with self._database.session() as session:
            portal = session.get_one(Portal, self._portal_id)
            due = portal.info_at is None or datetime.now(UTC) - portal.info_at > _INFO_AGE
        info = self._adapter.portal() if due else None
        rates = {currency: format(rate, "f") for currency, rate in self._adapter.rates().items()}
        with self._database.session() as session:
            portal = session.get_one(Portal, self._portal_id)
            before = (portal.time_zone, portal.currency, portal.rates)
            if info is not None:
                portal.time_zone = str(portal.settings.get("time_zone") or info.time_zone)
                portal.currency = info.currency
                portal.info_at = datetime.now(UTC)
            portal.rates = rates
            session.flush()
            if before != (portal.time_zone, portal.currency, portal.rates):
                mirror.derive_all(session, portal)
            if full:
                mirror.forget_cursors(session, self._portal_id)
        return portal

    def _side_by_side(self, readers: Sequence[Callable[[], None]]) -> None:
        """Run the readers at once; when one fails the others end after their page, and its error is raised."""
        with ThreadPoolExecutor(max_workers=len(readers), thread_name_prefix="pull") as pool:
            futures = [pool.submit(reader) for reader in readers]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            if any(future.exception() for future in done):
                self._stop.set()
        for future in futures:
            future.result()

    def _read_staff(self) -> None:
        managers, teams = self._adapter.managers()
        with self._database.session() as session:
            mirror.store_staff(session, self._portal_id, managers, teams)
        self.pulled.add("managers", len(managers), 0)
        self._progress("managers", len(managers))

    def _read_customers(self, kind: CustomerKind, fields: FieldMap | None) -> None:
        stream = f"customers:{kind.value}"
        with self._database.session() as session:
            cursor = mirror.cursor_of(session, self._portal_id, stream)
            echo = changes.own_writes(session, self._portal_id, kind, stream)
        pages = self._adapter.customers(kind, Cursor(cursor) if cursor else None, fields=fields, own_writes=echo)
        for page in self._until_stopped(pages):
            with self._database.session() as session:
                stored = mirror.store_customers(session, self._portal_id, kind, page.records)
                mirror.move_cursor(session, self._portal_id, stream, page.cursor)
            self._count(stream, stored)

    def _read_orders(self, source: OrderSource, lines: bool) -> None:  # noqa: FBT001 - bound in `run`
        """Orders with their lines; without, where the token may not read lines: scores do not need them."""
        try:
            self._read_order_pages(source, lines=lines)
        except ScopeMissing:
            if not lines:
                raise
            self._read_order_pages(source, lines=False)

    def _read_order_pages(self, source: OrderSource, *, lines: bool) -> None:
        stream = f"orders:{source.value}"
        with self._database.session() as session:
            cursor = mirror.cursor_of(session, self._portal_id, stream)
        pages = self._adapter.orders(source, Cursor(cursor) if cursor else None, lines=lines)
        for page in self._until_stopped(pages):
            with self._database.session() as session:
                portal = session.get_one(Portal, self._portal_id)
                stored = mirror.store_orders(session, portal, source, page.records)
                mirror.move_cursor(session, self._portal_id, stream, page.cursor)
            self._count(stream, stored)

    def _until_stopped(self, pages: Iterator[Page[Any]]) -> Iterator[Page[Any]]:
        for page in pages:
            yield page
            if self._stop.is_set():
                return

    def _count(self, stream: str, stored: mirror.Stored) -> None:
        self.pulled.add(stream, stored.received, stored.changed)
        self._progress(stream, stored.received)

    def _reconcile_customers(
        self, kind: CustomerKind, fields: FieldMap | None, sources: Sequence[OrderSource], *, lines: bool
    ) -> None:
        """Cards that vanished leave; the orders that named them are read again, because cards are often merged."""
        stream = f"customers:{kind.value}"
        with self._database.session() as session:
            known = mirror.known_customers(session, self._portal_id, kind)
        drift = self._adapter.customer_drift(kind, known)
        for ids in chunks(sorted(drift.unseen), _BY_ID):
            found = self._adapter.customers_by_id(kind, list(ids), fields=fields)
            with self._database.session() as session:
                self._count(stream, mirror.store_customers(session, self._portal_id, kind, found.records))
        if drift.gone:
            with self._database.session() as session:
                mirror.mark_customers_gone(session, self._portal_id, kind, drift.gone)
            self.pulled.gone[stream] = len(drift.gone)
        for source in sources:
            with self._database.session() as session:
                ids = mirror.orders_to_recheck(session, self._portal_id, source, kind)
            self._reread_orders(source, ids, lines=lines)
        with self._database.session() as session:
            mirror.recheck_done(session, self._portal_id, kind)

    def _reconcile_orders(self, source: OrderSource, *, lines: bool) -> None:
        stream = f"orders:{source.value}"
        with self._database.session() as session:
            known = mirror.known_orders(session, self._portal_id, source)
        drift = self._adapter.order_drift(source, known)
        if drift.gone:
            with self._database.session() as session:
                mirror.mark_orders_gone(session, self._portal_id, source, drift.gone)
            self.pulled.gone[stream] = len(drift.gone)
        self._reread_orders(source, sorted(drift.unseen), lines=lines)

    def _reread_orders(self, source: OrderSource, ids: Sequence[str], *, lines: bool) -> None:
        for some in chunks(ids, _BY_ID):
            found = self._adapter.orders_by_id(source, list(some), lines=lines)
            with self._database.session() as session:
                portal = session.get_one(Portal, self._portal_id)
                stored = mirror.store_orders(session, portal, source, found.records)
                mirror.mark_orders_gone(session, self._portal_id, source, found.gone)
            self._count(f"orders:{source.value}", stored)
