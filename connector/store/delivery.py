"""What runs delivered, as small sums: one row for each kind, subject and reason, whatever the size of the portal.

===========  ======================  =======================  ==================================================
kind         about                   why                      counts
===========  ======================  =======================  ==================================================
moved        `at_risk>sleeping`      cause (`move_causes`)    customers who changed segment
moved        what was and is there   `manager`                cards on which somebody chose another segment
written      –                       –                        cards
refused      field                   the CRM's words          cards
invalid      field                   our words                cards not sent
unsent       –                       –                        cards planned, and superseded by another run
unrefreshed  `scores` or `cards`     –                        scored customers older than the portal allows
cowriter     field                   –                        customers in whose card somebody changed our field
living       –                       –                        scored customers whose card can be written
===========  ======================  =======================  ==================================================

Moves are summed in the transaction of their scores, the rest when the run comes to its end, from rows: doing it again
gives the same. Reasons have their numbers blanked, so that no record can be recognised by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from connector.store.models import CustomerRow, FactRow, MoveRow, RunRow

STALE_DAYS = 8
"""Scores and cards older than this are told, unless the portal's setting `stale_days` says otherwise."""
_AT_THE_END = ("written", "refused", "invalid", "unsent", "unrefreshed", "cowriter", "living")
BY_HAND = "manager"
_WHOLE = frozenset({"run", "writeback"})
"""Runs over all cards."""
_REASONS = 50


@dataclass(frozen=True, slots=True)
class Fact:
    """A sum over one or several runs."""

    kind: str
    about: str
    why: str
    count: int


@dataclass(frozen=True, slots=True)
class Mover:
    """One customer who changed segment. `cause` is None where it was not looked for yet."""

    kind: str
    external_id: str
    was: str
    now: str
    cause: str | None


def sum_up(session: Session, run: RunRow, *, today: date, stale_days: int, now: datetime) -> None:
    """Store what a run delivered. Safe to repeat; costs one look at the run's cards and one at the scores."""
    session.execute(
        delete(FactRow).where(
            FactRow.portal_id == run.portal_id,
            FactRow.run_id == run.run_id,
            FactRow.kind.in_(_AT_THE_END) | (FactRow.why == BY_HAND),
        )
    )
    keys = {
        "portal": run.portal_id,
        "run": run.run_id,
        "day": run.as_of,
        "oldest_day": (today - date(1970, 1, 1)).days - stale_days,
        "oldest": (now - timedelta(days=stale_days)).isoformat(timespec="seconds"),
        "since": _run_before(session, run),
        "most": _REASONS,
        "word": "^[a-z0-9_]{1,40}$",
    }
    for sql in (_CARDS, _COWRITERS, _BY_HAND, _LIVING) if run.kind in _WHOLE else (_CARDS,):
        session.execute(text(sql), keys)


def facts_of(session: Session, portal_id: int, run_ids: Sequence[str]) -> list[Fact]:
    """The sums of some runs together, the largest first within a kind. What stays as it is counts once: the last."""
    standing = ("unrefreshed", "living")
    rows = session.execute(
        select(FactRow.kind, FactRow.about, FactRow.why, func.sum(FactRow.count))
        .where(FactRow.portal_id == portal_id, FactRow.run_id.in_(run_ids), FactRow.kind.not_in(standing))
        .group_by(FactRow.kind, FactRow.about, FactRow.why)
        .order_by(FactRow.kind, func.sum(FactRow.count).desc(), FactRow.about, FactRow.why)
    )
    found = [Fact(kind, about, why, int(count)) for kind, about, why, count in rows]
    last = session.scalar(
        select(func.max(FactRow.run_id)).where(
            FactRow.portal_id == portal_id, FactRow.run_id.in_(run_ids), FactRow.kind == "living"
        )
    )
    rows = session.execute(
        select(FactRow.kind, FactRow.about, FactRow.why, FactRow.count)
        .where(FactRow.portal_id == portal_id, FactRow.run_id == last, FactRow.kind.in_(standing))
        .order_by(FactRow.kind, FactRow.about)
    )
    return [*found, *(Fact(*row) for row in rows)]


def runs_of_day(session: Session, portal_id: int, day: date) -> Sequence[RunRow]:
    """The runs as of a day, oldest first."""
    return session.scalars(
        select(RunRow).where(RunRow.portal_id == portal_id, RunRow.as_of == day).order_by(RunRow.started_at)
    ).all()


def last_day(session: Session, portal_id: int) -> date | None:
    """The newest day that has runs."""
    return session.scalar(select(func.max(RunRow.as_of)).where(RunRow.portal_id == portal_id))


def movers(session: Session, portal_id: int, run_ids: Sequence[str], limit: int) -> list[Mover]:
    """Customers who changed segment in some runs; those without an explanation first."""
    rows = session.execute(
        select(CustomerRow.kind, CustomerRow.external_id, MoveRow.was, MoveRow.now, MoveRow.cause)
        .join(CustomerRow, (CustomerRow.portal_id == portal_id) & (CustomerRow.number == MoveRow.customer))
        .where(MoveRow.portal_id == portal_id, MoveRow.run_id.in_(run_ids), MoveRow.kind == "segment")
        .order_by((MoveRow.cause == "unknown").desc(), MoveRow.was, MoveRow.now, MoveRow.customer)
        .limit(limit)
    )
    return [Mover(*row) for row in rows]


def hands(session: Session, portal_id: int, since: datetime) -> list[tuple[str, int, datetime]]:
    """(field, customers, last time) of our fields that somebody else changed since a moment."""
    rows = session.execute(text(_HANDS), {"portal": portal_id, "since": since})
    return [(field, int(count), last) for field, count, last in rows]


def values_of(session: Session, portal_id: int, customer: int) -> dict[str, dict[str, Any]]:
    """Where each value on a card is from: field → value, previous, run, method, written_at; while changes are kept."""
    rows = session.execute(text(_VALUES), {"portal": portal_id, "customer": customer})
    return {
        key: {"value": value, "previous": before, "run": run, "method": method, "written_at": written_at}
        for key, value, before, run, method, written_at in rows
    }


def forget_older(session: Session, before: date) -> int:
    """Drop sums of days before a day."""
    return int(session.execute(delete(FactRow).where(FactRow.day < before)).rowcount)  # type: ignore[attr-defined]


def _run_before(session: Session, run: RunRow) -> datetime:
    """When the last whole run before this one began: what was seen since then is this one's to tell."""
    found = session.scalar(
        select(func.max(RunRow.started_at)).where(
            RunRow.portal_id == run.portal_id, RunRow.started_at < run.started_at, RunRow.kind == "run"
        )
    )
    return found or run.started_at


_INTO = "INSERT INTO delivery_facts (portal_id, run_id, kind, about, why, day, count)"
_CARDS = f"""
{_INTO}
SELECT :portal, :run, kind, about, why, :day, sum(count) FROM (
  SELECT kind, about, CASE WHEN rank <= :most THEN why ELSE '…' END AS why, count FROM (
    SELECT CASE state WHEN 'written' THEN 'written' WHEN 'refused' THEN 'refused' WHEN 'invalid' THEN 'invalid'
                ELSE 'unsent' END AS kind,
           coalesce(field, '') AS about, left(regexp_replace(coalesce(reason, ''), '[0-9]+', '#', 'g'), 200) AS why,
           count(*) AS count, row_number() OVER (PARTITION BY state ORDER BY count(*) DESC) AS rank
    FROM changes WHERE portal_id = :portal AND run_id = :run GROUP BY state, 2, 3
  ) ranked
) folded GROUP BY kind, about, why
"""
_COWRITERS = f"""
{_INTO}
SELECT :portal, :run, 'cowriter', field, '', :day, count(DISTINCT customer)
FROM card_events WHERE portal_id = :portal AND seen_at >= :since GROUP BY field
"""
_BY_HAND = f"""
{_INTO}
SELECT :portal, :run, 'moved', was || '>' || now, 'manager', :day, count(DISTINCT customer) FROM (
  SELECT customer, CASE WHEN expected #>> '{{}}' ~ :word THEN expected #>> '{{}}' ELSE '…' END AS was,
         CASE WHEN found #>> '{{}}' ~ :word THEN found #>> '{{}}' ELSE '…' END AS now
  FROM card_events WHERE portal_id = :portal AND field = 'segment' AND seen_at >= :since
) typed GROUP BY was, now
"""
_LIVING = f"""
{_INTO}
SELECT :portal, :run, k.kind, k.about, '', :day, k.count FROM (
  SELECT count(*) AS living,
         count(*) FILTER (WHERE s.last_day + s.r < :oldest_day) AS scores,
         count(*) FILTER (WHERE s.last_day + s.r >= :oldest_day
           AND coalesce(c.card ->> 'updated_at', '') COLLATE "C" < :oldest) AS cards
  FROM scores s JOIN customers c ON c.portal_id = :portal AND c.number = s.customer
  WHERE s.portal_id = :portal AND c.seen AND NOT c.gone AND c.is_buyer
) a CROSS JOIN LATERAL (VALUES ('living', '', a.living), ('unrefreshed', 'scores', a.scores),
                               ('unrefreshed', 'cards', a.cards)) k(kind, about, count)
WHERE k.count > 0 OR k.kind = 'living'
"""
_HANDS = """
SELECT field, count(DISTINCT customer), max(seen_at) FROM card_events
WHERE portal_id = :portal AND seen_at >= :since GROUP BY field ORDER BY 2 DESC, 1
"""
_VALUES = """
SELECT DISTINCT ON (v.key) v.key, v.value, h.before -> v.key, h.run_id, r.method,
       coalesce(h.written_at, h.settled_at)
FROM runs r
JOIN changes h ON h.portal_id = r.portal_id AND h.run_id = r.run_id AND h.customer = :customer
CROSS JOIN LATERAL jsonb_each(h.values) v
WHERE r.portal_id = :portal AND h.state = 'written'
ORDER BY v.key, h.settled_at DESC, h.run_id DESC
"""
