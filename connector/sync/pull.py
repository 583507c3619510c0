"""Copies what a CRM holds into the mirror: staff, rates, cards, orders, and what has vanished.

Each page and its cursor are committed together, so stopping at any point is safe and running again re-reads at
most one page plus the lag window. The streams of a portal are read side by side: their limits are shared, their
latencies add up otherwise.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from adapters.batches import chunks
from adapters.contract import Adapter, Cursor, FieldMap, Page
from adapters.errors import ScopeMissing
from adapters.records import CustomerKind, Order, OrderSource
from connector.deadline import NEVER, Deadline
from connector.store import changes, mirror, mirrored
from connector.store.database import Database
from connector.store.models import Portal

_INFO_AGE = timedelta(hours=20)
_BY_ID = 500
_FIRST_LOOK = 5000
"""Changed rows after which the tables are looked over for the first time."""
MOST_TOUCHED = 2_000
"""Customers that a pull tells one by one; beyond, all of them are meant."""
_AHEAD = 4
"""Pages fetched ahead of the one that is being stored; one only before a deadline, since they would be for nothing."""
_READ, _END = "read", "end"
Progress = Callable[[str, int], None]
"""Called with a stream's name and the number of records just stored."""
Step = Callable[[Deadline], bool]
"""One step of a pull; returns whether all of it is done."""


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


def _whole(work: Callable[[], None]) -> Step:
    """A step that is done whole whatever the deadline says."""

    def step(_: Deadline) -> bool:
        work()
        return True

    return step


class _Reading:
    """The pages of a stream until the deadline, or until another stream failed.

    Stops only after a page that moved the cursor: a reader that goes newest-first moves it on its last page, and
    stopped before that it would begin again for ever.
    """

    def __init__(
        self, pages: Iterator[Page[Any]], cursor: str | None, failed: threading.Event, deadline: Deadline
    ) -> None:
        self._pages = pages
        self._cursor = cursor
        self._failed = failed
        self._deadline = deadline
        self.finished = False

    def __iter__(self) -> Iterator[Page[Any]]:
        for page in _fetched_ahead(self._pages, _AHEAD if self._deadline is NEVER else 1):
            yield page
            moved, self._cursor = page.cursor != self._cursor, page.cursor
            if self._failed.is_set() or (moved and self._deadline.over()):
                return
        self.finished = True


def _fetched_ahead(pages: Iterator[Page[Any]], ahead: int) -> Iterator[Page[Any]]:
    """The pages in their order; up to `ahead` further ones are fetched while one is being stored.

    An error comes after the pages before it.
    """
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead")
    try:
        coming = deque(pool.submit(next, pages, None) for _ in range(ahead))
        while (page := coming.popleft().result()) is not None:
            coming.append(pool.submit(next, pages, None))
            yield page
    finally:
        pool.shutdown(cancel_futures=True)


class Pull:
    """One pull of one portal. The caller holds the portal's lock."""

    def __init__(self, database: Database, portal_id: int, adapter: Adapter, progress: Progress) -> None:
        self._database = database
        self._portal_id = portal_id
        self._adapter = adapter
        self._progress = progress
        self._stop = threading.Event()
        self._growth = threading.Lock()
        self._grown, self._look_at = 0, _FIRST_LOOK
        self.pulled = Pulled()
        self.touched: set[int] | None = None
        """Set it to a set: customers whose orders were read or went are put there by number, until they are many."""

    def run(self, *, full: bool = False) -> Pulled:
        """Bring the mirror up to date; `full` reads everything again. Raises the first `CRMError` of any stream."""
        self.go_on(None, full=full)
        return self.pulled

    def expected(self) -> int | None:
        """How many records a first pull will read; None where there was one already, or the CRM tells no totals."""
        portal = self._portal()
        if portal.last_sync_at is not None:
            return None
        streams: list[CustomerKind | OrderSource] = [*CustomerKind, *self._sources(portal)]
        with ThreadPoolExecutor(max_workers=len(streams), thread_name_prefix="count") as pool:
            counts = list(pool.map(self._adapter.count, streams))
        return sum(count for count in counts if count is not None) if None not in counts else None

    def _sources(self, portal: Portal) -> list[OrderSource]:
        names = mirror.order_sources(portal)
        return [OrderSource(name) for name in names if name != OrderSource.IMPORT.value]

    def go_on(self, stage: str | None, *, full: bool = False, deadline: Deadline = NEVER) -> str | None:
        """Pull from a stage (None: the first) to the deadline; returns the stage to go on with, None at the end.

        Each call gets something done, however short the deadline. `full` counts at the first stage only.
        """
        portal = self._refresh_portal(full=full) if stage is None else self._portal()
        steps = self._steps(portal, with_staff=stage is None)
        names = list(steps)
        for at in range(names.index(stage) if stage in steps else 0, len(names)):
            if not steps[names[at]](deadline):
                return names[at]
            if deadline.over() and at + 1 < len(names):
                return names[at + 1]
        return None

    def _steps(self, portal: Portal, *, with_staff: bool) -> dict[str, Step]:
        """Read all streams, then look for what vanished from each, then tie up; every step may be repeated."""
        fields = FieldMap.from_json(portal.fields) if portal.fields else None
        lines = self._adapter.capabilities.order_lines and bool(portal.settings.get("order_lines", True))
        sources = self._sources(portal)

        def read(deadline: Deadline) -> bool:
            readers: list[Callable[[], bool]] = [self._read_staff] if with_staff else []
            readers += [partial(self._read_customers, kind, fields, deadline) for kind in CustomerKind]
            readers += [partial(self._read_orders, source, deadline, lines=lines) for source in sources]
            return self._side_by_side(readers)

        steps: dict[str, Step] = {_READ: read}
        for kind in CustomerKind:
            reconcile = partial(self._reconcile_customers, kind, fields, sources, lines=lines)
            steps[f"customers:{kind.value}"] = _whole(reconcile)
        for source in sources:
            steps[f"orders:{source.value}"] = _whole(partial(self._reconcile_orders, source, lines=lines))
        return {**steps, _END: _whole(self._tie_up)}

    def _portal(self) -> Portal:
        with self._database.session() as session:
            return session.get_one(Portal, self._portal_id)

    def _tie_up(self) -> None:
        with self._database.session() as session:
            portal = session.get_one(Portal, self._portal_id)
            mirror.untie(session, portal)
            portal.last_sync_at = datetime.now(UTC)

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

    def _side_by_side(self, readers: Sequence[Callable[[], bool]]) -> bool:
        """Run the readers at once; when one fails the others end after their page, and its error is raised.

        Returns whether all of them came to their end.
        """
        with ThreadPoolExecutor(max_workers=len(readers), thread_name_prefix="pull") as pool:
            futures = [pool.submit(reader) for reader in readers]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            if any(future.exception() for future in done):
                self._stop.set()
        finished = [future.result() for future in futures]
        return all(finished)

    def _read_staff(self) -> bool:
        managers, teams = self._adapter.managers()
        with self._database.session() as session:
            mirror.store_staff(session, self._portal_id, managers, teams)
        self.pulled.add("managers", len(managers), 0)
        self._progress("managers", len(managers))
        return True

    def _read_customers(self, kind: CustomerKind, fields: FieldMap | None, deadline: Deadline) -> bool:
        stream = f"customers:{kind.value}"
        with self._database.session() as session:
            cursor = mirror.cursor_of(session, self._portal_id, stream)
            echo = changes.own_writes(session, self._portal_id, kind, stream)
        pages = self._adapter.customers(kind, Cursor(cursor) if cursor else None, fields=fields, own_writes=echo)
        reading = _Reading(pages, cursor, self._stop, deadline)
        for page in reading:
            with self._database.session() as session:
                stored = mirror.store_customers(session, self._portal_id, kind, page.records)
                mirror.move_cursor(session, self._portal_id, stream, page.cursor)
            self._count(stream, stored)
            self._grow(stored.changed)
        return reading.finished

    def _read_orders(self, source: OrderSource, deadline: Deadline, *, lines: bool) -> bool:
        """Orders with their lines; without, where the token may not read lines: scores do not need them."""
        try:
            return self._read_order_pages(source, deadline, lines=lines)
        except ScopeMissing:
            if not lines:
                raise
            return self._read_order_pages(source, deadline, lines=False)

    def _read_order_pages(self, source: OrderSource, deadline: Deadline, *, lines: bool) -> bool:
        stream = f"orders:{source.value}"
        with self._database.session() as session:
            cursor = mirror.cursor_of(session, self._portal_id, stream)
        pages = self._adapter.orders(source, Cursor(cursor) if cursor else None, lines=lines)
        reading = _Reading(pages, cursor, self._stop, deadline)
        for page in reading:
            with self._database.session() as session, self._watching(session, source, page.records):
                portal = session.get_one(Portal, self._portal_id)
                stored = mirror.store_orders(session, portal, source, page.records)
                mirror.move_cursor(session, self._portal_id, stream, page.cursor)
            self._count(stream, stored)
            self._grow(stored.changed)
        return reading.finished

    @contextmanager
    def _watching(self, session: Session, source: OrderSource, orders: Sequence[Order]) -> Iterator[None]:
        """Note who had these orders before and who has them afterwards."""
        if self.touched is None or len(self.touched) > MOST_TOUCHED:
            yield
            return
        ids = [order.external_id for order in orders]
        before = mirrored.customers_of_orders(session, self._portal_id, source, ids)
        yield
        self.touched |= before | mirrored.customers_of_orders(session, self._portal_id, source, ids)

    def _grow(self, rows: int) -> None:
        """Have the tables looked over whenever a backfill has doubled them: pages outrun the database's own rhythm."""
        with self._growth:
            self._grown += rows
            if self._grown < self._look_at:
                return
            self._look_at = 2 * self._grown
        with self._database.session() as session:
            mirror.refresh_statistics(session)

    def _count(self, stream: str, stored: mirror.Stored) -> None:
        self.pulled.add(stream, stored.received, stored.changed)
        self._progress(stream, stored.received)

    def _reconcile_customers(
        self, kind: CustomerKind, fields: FieldMap | None, sources: Sequence[OrderSource], *, lines: bool
    ) -> None:
        """Cards that vanished leave; the orders that named them are read again, because cards are often merged."""
        stream = f"customers:{kind.value}"
        with self._database.session() as session:
            known = mirrored.known_customers(session, self._portal_id, kind)
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
                ids = mirrored.orders_to_recheck(session, self._portal_id, source, kind)
            self._reread_orders(source, ids, lines=lines)
        with self._database.session() as session:
            mirror.recheck_done(session, self._portal_id, kind)

    def _reconcile_orders(self, source: OrderSource, *, lines: bool) -> None:
        stream = f"orders:{source.value}"
        with self._database.session() as session:
            known = mirrored.known_orders(session, self._portal_id, source)
        drift = self._adapter.order_drift(source, known)
        if drift.gone:
            with self._database.session() as session:
                if self.touched is not None:
                    self.touched |= mirrored.customers_of_orders(session, self._portal_id, source, sorted(drift.gone))
                mirror.mark_orders_gone(session, self._portal_id, source, drift.gone)
            self.pulled.gone[stream] = len(drift.gone)
        self._reread_orders(source, sorted(drift.unseen), lines=lines)

    def _reread_orders(self, source: OrderSource, ids: Sequence[str], *, lines: bool) -> None:
        for some in chunks(ids, _BY_ID):
            found = self._adapter.orders_by_id(source, list(some), lines=lines)
            with self._database.session() as session, self._watching(session, source, found.records):
                portal = session.get_one(Portal, self._portal_id)
                stored = mirror.store_orders(session, portal, source, found.records)
                mirror.mark_orders_gone(session, self._portal_id, source, found.gone)
            self._count(f"orders:{source.value}", stored)
