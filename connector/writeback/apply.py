"""Sends a stored plan: batch after batch, several under way at once, each card settled on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime

from adapters.batches import chunks
from adapters.contract import Adapter, FieldMap, Outcome
from adapters.records import CustomerKind
from connector.deadline import NEVER, Deadline
from connector.errors import UnsafePlan
from connector.store import changes
from connector.store.changes import Planned, PlanSize
from connector.store.database import Database
from connector.store.models import Portal
from connector.writeback.validity import fault

_SMALL = 50
_ALLOWED_SHARE = 0.9


@dataclass(slots=True)
class Applied:
    """Cards written, refused by the CRM, and not sent by us. Not `finished` when the deadline came first."""

    written: int = 0
    refused: int = 0
    invalid: int = 0
    finished: bool = True


def check_plan(portal: Portal, size: PlanSize, *, force: bool) -> None:
    """Refuse a plan that moves too large a share of the labelled cards to another segment at once.

    R changes daily on every card, so not the number of cards counts but how many would change their segment: that
    many at once mean a wrong method, a wrong time zone or lost orders, not customers. Setting `max_share` (0..1,
    default 0.9); a first run, small plans (under 50 cards) and `force` pass. Raises `UnsafePlan`.
    """
    allowed = float(portal.settings.get("max_share", _ALLOWED_SHARE))
    if force or portal.first_run_at is None or size.resegmented < _SMALL:
        return
    if size.resegmented > allowed * size.labelled:
        raise UnsafePlan(
            f"{size.resegmented} of {size.labelled} cards would change their segment, more than the allowed share of"
            f" {allowed:g}: look at --dry-run, then repeat with --force"
        )


def apply_plan(
    database: Database,
    portal_id: int,
    run_id: str,
    adapter: Adapter,
    fields: FieldMap,
    progress: Callable[[int], None],
    *,
    deadline: Deadline = NEVER,
) -> Applied:
    """Send what is planned in a run and settle it, until the deadline. Stopping is always safe: values are absolute.

    Raises the first `CRMError` that is about more than one card; cards not settled by then stay planned.
    """
    applied = Applied()
    in_flight = adapter.capabilities.in_flight
    batches = _batches(database, portal_id, run_id, adapter.capabilities.write_batch, fields, applied)
    errors: list[BaseException] = []
    with ThreadPoolExecutor(max_workers=in_flight, thread_name_prefix="write") as pool:
        under_way: dict[Future[list[Outcome]], list[Planned]] = {}
        for batch in batches:
            aware = copy_context()  # so that what the thread logs names the portal and the run
            future = pool.submit(aware.run, adapter.write_scores, [item.change for item in batch], fields)
            under_way[future] = batch
            while len(under_way) >= in_flight:
                errors += _settle_some(database, portal_id, run_id, under_way, applied, progress)
            applied.finished = not deadline.over()
            if errors or not applied.finished:
                break
        while under_way:
            errors += _settle_some(database, portal_id, run_id, under_way, applied, progress)
    if errors:
        raise errors[0]
    return applied


def _batches(
    database: Database, portal_id: int, run_id: str, size: int, fields: FieldMap, applied: Applied
) -> Iterator[list[Planned]]:
    """Batches of one kind of card after the other: a mixed batch would cost a request for each kind.

    What cannot be right is settled here and not sent.
    """
    for kind in CustomerKind:
        after = -1
        while True:
            with database.session() as session:
                planned = changes.next_planned(session, portal_id, run_id, kind, after, size * 8)
            if not planned:
                break
            after = planned[-1].customer
            faults = {item.customer: why for item in planned if (why := fault(item.change, fields.of(kind)))}
            if faults:
                with database.session() as session:
                    changes.settle_invalid(session, portal_id, run_id, faults, datetime.now(UTC))
                applied.invalid += len(faults)
                planned = [item for item in planned if item.customer not in faults]
            yield from (list(chunk) for chunk in chunks(planned, size))


def _settle_some(
    database: Database,
    portal_id: int,
    run_id: str,
    under_way: dict[Future[list[Outcome]], list[Planned]],
    applied: Applied,
    progress: Callable[[int], None],
) -> list[BaseException]:
    """Settle the batches that are answered; returns the errors of those that failed as a whole."""
    done, _ = wait(under_way, return_when=FIRST_COMPLETED)
    errors: list[BaseException] = []
    for future in done:
        batch, error = under_way.pop(future), future.exception()
        if error is not None:
            errors.append(error)
            continue
        with database.session() as session:
            written, refused = changes.settle(session, portal_id, run_id, batch, future.result(), datetime.now(UTC))
        applied.written += written
        applied.refused += refused
        progress(len(batch))
    return errors
