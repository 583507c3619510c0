"""Which records vanished: counts of id ranges against the ids we hold, then the ids where they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any

from adapters.batches import chunks
from adapters.bitrix24.client import COMMANDS, PAGE, Client, Listing, Pace, Reply, row_id
from adapters.bitrix24.schemas import is_template
from adapters.contract import Drift
from adapters.errors import Malformed


def find_drift(client: Client, listing: Listing, known: Sequence[int]) -> Drift:
    """One request when nothing vanished: up to 2,450 ids are read, of more only ranges with another count."""
    if len(known) <= (COMMANDS - 1) * PAGE:
        return _difference(known, _ids_after(client, listing, 0, len(known)))
    parts = chunks(known, ceil(len(known) / (COMMANDS - 1)))
    lows = [0, *(part[-1] for part in parts[:-1])]
    ranges = {
        f"r{at}": (listing.narrowed({">id": low, "<=id": part[-1]}), part)
        for at, (low, part) in enumerate(zip(lows, parts, strict=True))
    }
    counts = client.batch_all(
        {key: within.at(0) for key, (within, _part) in ranges.items()}
        | {"above": listing.narrowed({">id": known[-1]}).at(0)}
    )
    totals = {key: _total(listing, reply) for key, reply in counts.items()}
    drift = _drift_within(client, {key: found for key, found in ranges.items() if totals[key] != len(found[1])}, totals)
    above = _ids_after(client, listing, known[-1], totals["above"]) if totals["above"] else set()
    return Drift(_confirmed(client, listing, drift.gone), drift.unseen | _difference((), above).unseen)


def _drift_within(
    client: Client, ranges: Mapping[str, tuple[Listing, Sequence[int]]], totals: Mapping[str, int]
) -> Drift:
    """Read the ids of the ranges whose count differs from what we hold."""
    guess = {key: max(1, ceil(totals[key] / PAGE)) for key in ranges}
    read = client.read_all({key: within for key, (within, _part) in ranges.items()}, guess=guess)
    found = [_difference(part, _ids(read[key].good())) for key, (_within, part) in ranges.items()]
    return Drift(
        frozenset().union(*(drift.gone for drift in found)), frozenset().union(*(drift.unseen for drift in found))
    )


def _ids_after(client: Client, listing: Listing, after: int, expected: int) -> set[int]:
    pace = Pace(min(COMMANDS, expected // PAGE + 1))
    return {number for stretch in client.walk(listing, after, pace) for number in _ids(stretch.rows)}


def _confirmed(client: Client, listing: Listing, gone: frozenset[str]) -> frozenset[str]:
    """Ids that are really gone: pages by offset shift when somebody deletes a record meanwhile."""
    if not gone:
        return gone
    return gone - {str(number) for number in _ids(client.rows_by_id(listing, gone))}


def _total(listing: Listing, reply: Reply) -> int:
    reply.good()
    if reply.total is None:
        raise Malformed(f"{listing.method} answered without a total", path="result_total")
    return reply.total


def _ids(rows: Iterable[Mapping[str, Any]]) -> set[int]:
    return {row_id(row, "items") for row in rows if not is_template(row)}


def _difference(known: Sequence[int], held: set[int]) -> Drift:
    ours = set(known)
    return Drift(frozenset(map(str, ours - held)), frozenset(map(str, held - ours)))
