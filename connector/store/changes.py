"""The plan of a write-back: desired values against what each card holds, one row per card that differs.

Planned rows are the outbox: each is settled on its own, with what stood there before, so a run can be undone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, exists, func, select, text
from sqlalchemy.orm import Session

from adapters.contract import Outcome, OwnWrites
from adapters.records import CustomerKind, CustomerRef, ScoreChange
from connector.store import letters
from connector.store.card_diff import COUNTED, DIFFERENCES, hint_records
from connector.store.card_values import from_json, to_json
from connector.store.copying import copy_into_temp
from connector.store.models import ChangeRow, CustomerRow, RunRow


@dataclass(frozen=True, slots=True)
class Planned:
    """One card of a plan."""

    customer: int
    change: ScoreChange
    before: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PlanSize:
    """What a plan would touch. `resegmented` counts cards whose segment was set and becomes another."""

    cards: int
    contacts: int
    companies: int
    fields: int
    resegmented: int
    labelled: int
    scored: int


def make_plan(
    session: Session,
    portal_id: int,
    run_id: str,
    hints: Mapping[str, str],
    stamp: datetime,
    *,
    only: Sequence[int] | None = None,
) -> int:
    """Store the plan of a run: every scored, living card that holds other values. Returns the number of cards.

    `hints` maps segments, or `label:segment`, to the text for the card; `stamp` is the `updated_at` that changed cards
    get. `only` names the customers to look at; None looks at all.
    """
    keys: dict[str, Any] = {"portal": portal_id, "run": run_id, "hints": hint_records(hints), **_stamp(stamp)}
    these = ""
    if only is not None:
        these, keys["only"] = " WHERE d.customer = ANY(:only)", list(only)
    sql = (
        "INSERT INTO changes (portal_id, run_id, customer, values, before)"
        f" SELECT :portal, :run, d.customer, d.values || CAST(:stamp AS jsonb), d.before FROM ({DIFFERENCES}) d{these}"
        " ON CONFLICT (portal_id, run_id, customer) DO NOTHING"
    )
    return int(session.execute(text(sql), keys).rowcount)  # type: ignore[attr-defined]


def preview(
    session: Session, portal_id: int, hints: Mapping[str, str], limit: int, *, only: Sequence[int] | None = None
) -> list[tuple[CustomerRef, dict[str, Any], dict[str, Any]]]:
    """The first cards of the plan that would be made now: (customer, values, before); `only` as for the plan."""
    keys: dict[str, Any] = {"portal": portal_id, "hints": hint_records(hints), "limit": limit}
    these = ""
    if only is not None:
        these, keys["only"] = " WHERE d.customer = ANY(:only)", list(only)
    rows = session.execute(
        text(
            f"SELECT c.kind, c.external_id, d.values, d.before FROM ({DIFFERENCES}) d"
            f" JOIN customers c ON c.portal_id = :portal AND c.number = d.customer{these}"
            " ORDER BY d.customer LIMIT :limit"
        ),
        keys,
    )
    return [(CustomerRef(CustomerKind(kind), ext), values, before) for kind, ext, values, before in rows]


def plan_size(session: Session, portal_id: int, hints: Mapping[str, str]) -> PlanSize:
    """The size of the plan that would be made now."""
    row = session.execute(text(COUNTED), {"portal": portal_id, "hints": hint_records(hints)}).one()
    return _sized(session, portal_id, row)


def stored_size(session: Session, portal_id: int, run_id: str) -> PlanSize:
    """The size of the plan that a run has stored."""
    row = session.execute(text(_STORED), {"portal": portal_id, "run": run_id}).one()
    return _sized(session, portal_id, row)


def _sized(session: Session, portal_id: int, row: Row[Any]) -> PlanSize:
    scored, labelled = session.execute(
        text(
            "SELECT (SELECT count(*) FROM scores s WHERE s.portal_id = :portal),"
            " (SELECT count(*) FROM customers k WHERE k.portal_id = :portal AND k.card ? 'segment' AND NOT k.gone)"
        ),
        {"portal": portal_id},
    ).one()
    cards, contacts, companies, fields, resegmented = map(int, row)
    return PlanSize(cards, contacts, companies, fields, resegmented, labelled=int(labelled), scored=int(scored))


def scored_living(session: Session, portal_id: int) -> int:
    """Scored cards that can be written."""
    found = session.scalar(
        text(
            "SELECT count(*) FROM scores s JOIN customers c ON c.portal_id = s.portal_id AND c.number = s.customer"
            " WHERE s.portal_id = :portal AND c.seen AND NOT c.gone AND c.is_buyer"
        ),
        {"portal": portal_id},
    )
    return int(found or 0)


def next_planned(
    session: Session, portal_id: int, run_id: str, kind: CustomerKind, after: int, limit: int
) -> list[Planned]:
    """Planned cards of one kind in a run with a customer number above `after`, ascending."""
    rows = session.execute(
        select(ChangeRow.customer, ChangeRow.values, ChangeRow.before, CustomerRow.external_id)
        .join(
            CustomerRow,
            (CustomerRow.portal_id == ChangeRow.portal_id) & (CustomerRow.number == ChangeRow.customer),
        )
        .where(
            ChangeRow.portal_id == portal_id,
            ChangeRow.run_id == run_id,
            ChangeRow.state == "planned",
            ChangeRow.customer > after,
            _of_kind(kind),
        )
        .order_by(ChangeRow.customer)
        .limit(limit)
    )
    return [
        Planned(number, ScoreChange(CustomerRef(kind, external_id), from_json(values)), before)
        for number, values, before, external_id in rows
    ]


def settle(
    session: Session,
    portal_id: int,
    run_id: str,
    planned: Sequence[Planned],
    outcomes: Sequence[Outcome],
    now: datetime,
) -> tuple[int, int]:
    """Give each change its final word and note on the mirror what the card now holds. Returns (written, refused).

    What was refused waits among the dead letters until a later run has it accepted.
    """
    rows: list[tuple[Any, ...]] = [
        (
            item.customer,
            "written" if outcome.ok else "refused",
            outcome.field,
            outcome.reason,
            outcome.written_at,
            to_json(item.change.values),
        )
        for item, outcome in zip(planned, outcomes, strict=True)
    ]
    _settle(session, portal_id, run_id, rows, now)
    written = sum(outcome.ok for outcome in outcomes)
    return written, len(outcomes) - written


def settle_invalid(
    session: Session, portal_id: int, run_id: str, faults: Mapping[int, tuple[str | None, str]], now: datetime
) -> None:
    """The final word on changes that we do not send: customer → (field, reason). They wait among the dead letters."""
    rows: list[tuple[Any, ...]] = [
        (customer, "invalid", field, reason, None, {}) for customer, (field, reason) in faults.items()
    ]
    _settle(session, portal_id, run_id, rows, now)


def _settle(session: Session, portal_id: int, run_id: str, rows: Sequence[tuple[Any, ...]], now: datetime) -> None:
    copy_into_temp(
        session,
        "incoming_outcomes",
        (
            ("customer", "integer"),
            ("state", "text"),
            ("field", "text"),
            ("reason", "text"),
            ("written_at", "timestamptz"),
            ("card", "jsonb"),
        ),
        rows,
    )
    keys = {"portal": portal_id, "run": run_id, "now": now}
    session.execute(
        text(
            "UPDATE changes h SET state = i.state, field = i.field, reason = i.reason, written_at = i.written_at,"
            " settled_at = :now FROM incoming_outcomes i"
            " WHERE h.portal_id = :portal AND h.run_id = :run AND h.customer = i.customer"
        ),
        keys,
    )
    session.execute(
        text(
            "UPDATE customers c SET card = jsonb_strip_nulls(c.card || i.card),"
            " crm_updated_at = greatest(c.crm_updated_at, i.written_at) FROM incoming_outcomes i"
            " WHERE c.portal_id = :portal AND c.number = i.customer AND i.state = 'written'"
        ),
        keys,
    )
    letters.settle(session, portal_id, run_id, now, some_wait=any(row[1] != "written" for row in rows))


def customers_planned(session: Session, portal_id: int) -> list[int]:
    """Customers of changes without a final word that a killed process left; those of an open run are its own work."""
    is_open = exists().where(
        RunRow.portal_id == ChangeRow.portal_id, RunRow.run_id == ChangeRow.run_id, RunRow.state == "open"
    )
    return list(
        session.scalars(
            select(ChangeRow.customer)
            .where(ChangeRow.portal_id == portal_id, ChangeRow.state == "planned", ~is_open)
            .distinct()
        )
    )


def progress(session: Session, portal_id: int, run_id: str) -> dict[str, int]:
    """How many changes of a run there are in each state."""
    rows = session.execute(
        select(ChangeRow.state, func.count())
        .where(ChangeRow.portal_id == portal_id, ChangeRow.run_id == run_id)
        .group_by(ChangeRow.state)
    )
    return {row[0]: row[1] for row in rows}


def refusals(session: Session, portal_id: int, run_id: str) -> list[dict[str, str | None]]:
    """What the CRM refused in a run: customer, field, reason."""
    return _ended(session, portal_id, run_id, "refused")


def invalid(session: Session, portal_id: int, run_id: str) -> list[dict[str, str | None]]:
    """What we did not send in a run because it could not be right: customer, field, reason."""
    return _ended(session, portal_id, run_id, "invalid")


def _ended(session: Session, portal_id: int, run_id: str, state: str) -> list[dict[str, str | None]]:
    rows = session.execute(
        select(CustomerRow.kind, CustomerRow.external_id, ChangeRow.field, ChangeRow.reason)
        .join(
            CustomerRow,
            (CustomerRow.portal_id == ChangeRow.portal_id) & (CustomerRow.number == ChangeRow.customer),
        )
        .where(ChangeRow.portal_id == portal_id, ChangeRow.run_id == run_id, ChangeRow.state == state)
        .order_by(ChangeRow.customer)
    )
    return [{"customer": f"{kind}:{ext}", "field": field, "reason": reason} for kind, ext, field, reason in rows]


def own_writes(session: Session, portal_id: int, kind: CustomerKind, stream: str) -> OwnWrites | None:
    """Our card writes since the stream's cursor was stored (and a quarter of an hour before, for lag windows)."""
    row = session.execute(
        text(
            "SELECT min(coalesce(h.written_at, h.settled_at)), max(coalesce(h.written_at, h.settled_at)),"
            " count(DISTINCT h.customer), array_agg(DISTINCT h.values ->> 'updated_at')"
            " FROM changes h JOIN customers c ON c.portal_id = h.portal_id AND c.number = h.customer"
            " JOIN cursors k ON k.portal_id = h.portal_id AND k.stream = :stream"
            " WHERE h.portal_id = :portal AND h.state = 'written' AND (c.kind = :kind) IS TRUE"
            " AND h.settled_at >= k.moved_at - interval '15 minutes'"
        ),
        {"portal": portal_id, "kind": kind.value, "stream": stream},
    ).one()
    first, last, count, stamps = row
    if not count:
        return None
    return OwnWrites(first, last, count, tuple(datetime.fromisoformat(stamp) for stamp in stamps if stamp))


def written_cards(session: Session, portal_id: int, run_id: str, kind: CustomerKind) -> list[str]:
    """Living cards of one kind that a run wrote."""
    return list(
        session.scalars(
            select(CustomerRow.external_id)
            .join(
                ChangeRow,
                (ChangeRow.portal_id == CustomerRow.portal_id) & (ChangeRow.customer == CustomerRow.number),
            )
            .where(
                ChangeRow.portal_id == portal_id,
                ChangeRow.run_id == run_id,
                ChangeRow.state == "written",
                _of_kind(kind),
                CustomerRow.gone.is_(False),
            )
            .order_by(CustomerRow.number)
        )
    )


def plan_undo(session: Session, portal_id: int, run_id: str, undo_run: str) -> tuple[int, int]:
    """Plan to put back what a run replaced; returns (cards to restore, cards left alone).

    A field is put back only where the card still holds what that run wrote: later hands and later runs win.
    """
    keys = {"portal": portal_id, "run": run_id, "undo": undo_run}
    total = session.scalar(
        text("SELECT count(*) FROM changes WHERE portal_id = :portal AND run_id = :run AND state = 'written'"), keys
    )
    planned = int(session.execute(text(_UNDO), keys).rowcount)  # type: ignore[attr-defined]
    return planned, int(total or 0) - planned


def forget_older(session: Session, portal_id: int, before: datetime) -> int:
    """Drop settled changes from before a moment: every card changes daily, and undo is for recent runs."""
    return int(
        session.execute(
            delete(ChangeRow).where(ChangeRow.portal_id == portal_id, ChangeRow.settled_at < before)
        ).rowcount  # type: ignore[attr-defined]
    )


def _of_kind(kind: CustomerKind) -> ColumnElement[bool]:
    """A condition on joined cards that leads into no index.

    To a planner without statistics (a first run, say) the index by kind and id looks as good as the one by number, but
    gives every card of the kind for each row.
    """
    return (CustomerRow.kind == kind.value).is_(True)


def _stamp(moment: datetime) -> dict[str, str]:
    return {"stamp": json.dumps(to_json({"updated_at": moment}))}


_STORED = """
SELECT count(*),
       count(*) FILTER (WHERE c.kind = 'contact'),
       count(*) FILTER (WHERE c.kind = 'company'),
       coalesce(sum((SELECT count(*) FROM jsonb_object_keys(h.values - 'updated_at'))), 0),
       count(*) FILTER (WHERE h.values ? 'segment' AND h.before ->> 'segment' IS NOT NULL)
FROM changes h JOIN customers c ON c.portal_id = h.portal_id AND c.number = h.customer
WHERE h.portal_id = :portal AND h.run_id = :run
"""

_UNDO = """
INSERT INTO changes (portal_id, run_id, customer, values, before)
SELECT :portal, :undo, h.customer, x.values, x.before
FROM changes h
JOIN customers c ON c.portal_id = :portal AND c.number = h.customer AND NOT c.gone
CROSS JOIN LATERAL (
  SELECT jsonb_object_agg(v.key, NULLIF(h.before -> v.key, 'null'::jsonb)) AS values,
         jsonb_object_agg(v.key, c.card -> v.key) AS before
  FROM jsonb_each(h.values) v
  WHERE NULLIF(c.card -> v.key, 'null'::jsonb) IS NOT DISTINCT FROM NULLIF(v.value, 'null'::jsonb)
    AND NULLIF(h.before -> v.key, 'null'::jsonb) IS DISTINCT FROM NULLIF(v.value, 'null'::jsonb)
) x
WHERE h.portal_id = :portal AND h.run_id = :run AND h.state = 'written' AND x.values IS NOT NULL
ON CONFLICT (portal_id, run_id, customer) DO NOTHING
"""
