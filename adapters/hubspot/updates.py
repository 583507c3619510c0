"""Bulk updates with an outcome for each record, whatever part of a batch HubSpot refuses, leaves out or has locked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from adapters.batches import chunks, settle_each
from adapters.contract import Outcome
from adapters.hubspot import schemas
from adapters.hubspot.client import BATCH, Client, Json, results_of
from adapters.hubspot.faults import refusals, unsettled

_BUSY_TRIES = 4


def update_each(client: Client, kind: str, inputs: Sequence[Json]) -> list[Outcome]:
    """Put properties on records, `BATCH` a call; `Outcome.field` is HubSpot's name. Each id at most once."""
    send = partial(_update, client, kind)
    return [outcome for part in chunks(inputs, BATCH) for outcome in settle_each(part, send)]


def _update(client: Client, kind: str, inputs: Sequence[Json], tries: int = _BUSY_TRIES) -> list[Outcome]:
    """One call; records that another writer holds are sent again, at most `tries` times."""
    body = client.update(kind, inputs)
    outcomes = {schemas.record_id(result, kind): schemas.kept(result) for result in results_of(body)}
    told = refusals(body)
    busy = tries > 0 and any(refusal.is_busy for refusal in told)
    for refusal in told:
        if not (busy and refusal.is_busy):
            refused = Outcome(ok=False, field=refusal.field, reason=refusal.reason)
            outcomes = {**dict.fromkeys(refusal.ids, refused), **outcomes}
    rest = [one for one in inputs if one["id"] not in outcomes]
    if rest and not busy and len(rest) == len(inputs):
        raise unsettled(told, len(inputs))
    again = settle_each(rest, partial(_update, client, kind, tries=tries - busy))
    outcomes.update({one["id"]: outcome for one, outcome in zip(rest, again, strict=True)})
    return [outcomes[one["id"]] for one in inputs]
