"""Sends a small plan card by card: what is left to do when a batch fails for a reason that only one card may have."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from adapters.contract import Adapter, FieldMap, Outcome
from adapters.records import CustomerKind
from connector.store import changes
from connector.store.changes import Planned
from connector.store.database import Database
from connector.store.poison import in_words, is_poison
from connector.writeback.apply import Applied

_AT_ONCE = 100
_MOST_POISON = 8
"""So many cards that fail, and none that does not: the fault is not theirs."""


def apply_singly(database: Database, portal_id: int, run_id: str, adapter: Adapter, fields: FieldMap) -> Applied:
    """Send what is left of a plan; a card that makes the CRM or us stumble is settled as refused, with the reason.

    Raises what is about more than one card, also when all cards stumble; the rest stays planned.
    """
    applied = Applied()
    for item in _planned(database, portal_id, run_id):
        try:
            outcomes = adapter.write_scores([item.change], fields)
        except Exception as error:
            if not is_poison(error) or (not applied.written and applied.refused >= _MOST_POISON):
                raise
            outcomes = [Outcome(ok=False, reason=in_words(error))]
        with database.session() as session:
            written, refused = changes.settle(session, portal_id, run_id, [item], outcomes, datetime.now(UTC))
        applied.written += written
        applied.refused += refused
    return applied


def _planned(database: Database, portal_id: int, run_id: str) -> Iterator[Planned]:
    for kind in CustomerKind:
        after = -1
        while True:
            with database.session() as session:
                found = changes.next_planned(session, portal_id, run_id, kind, after, _AT_ONCE)
            if not found:
                break
            after = found[-1].customer
            yield from found
