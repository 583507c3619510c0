"""Segments of a portal, now or as of a day, and who went from which to which between two days."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from connector.api.v1.callers import service
from connector.api.v1.problems import FieldError, Refused
from connector.api.v1.routes import Routes
from connector.api.v1.words import (
    Answer,
    Money,
    Question,
    day,
    many,
    money,
    one,
    share,
    text,
    whole,
)
from connector.jobs import methods as method_work
from connector.scores.moments import as_of_moment, day_number
from connector.store import methods, overview, portals, score_history, scores
from connector.store.models import Portal

routes = Routes("segments", url_prefix="/api/v1/portals/<portal>", description="Segments and moves")


class SegmentsAsOf(Question):
    """As of which day."""

    as_of = day("As of the end of this day; without it the scores of now.", allow_none=False)


class Between(Question):
    """Two days."""

    first = day("The end of this day,", "2026-10-31", required=True, allow_none=False, data_key="from")
    last = day("and of this one.", required=True, allow_none=False, data_key="to")


class Segment(Answer):
    """One segment."""

    segment = text("Its value on the cards.", "loyal")
    label_ru = text("For people, in Russian.", "Лояльные", allow_none=True)
    label_en = text("For people, in English.", "Loyal", allow_none=True)
    customers = whole("Scored customers in it.", 120)
    customers_share = share("Of all scored customers, 0–1.", 0.24)
    revenue = one(Money, "Sum of their M.")
    revenue_share = share("Of the sum of all M, 0–1; null where that is not above 0.", 0.31, allow_none=True)


class Segments(Answer):
    """The segments of a portal."""

    portal = text("Name of the portal.", "north")
    as_of = day("As of which day; null before the first scoring.", None)
    method = text("The version in force.", "sales5@1", allow_none=True)
    customers = whole("Scored customers.", 500)
    revenue = one(Money, "Sum of all M.")
    segments = many(Segment, "The largest first.")


class Flow(Answer):
    """Customers who went from one segment to another, or stayed."""

    was = text("Segment on the first day; null for no score.", "loyal", allow_none=True, data_key="from")
    now = text("Segment on the last day; null for no score.", "at_risk", allow_none=True, data_key="to")
    customers = whole("How many.", 17)


class Moves(Answer):
    """Who went where between two days."""

    portal = text("Name of the portal.", "north")
    first = day("The end of this day,", data_key="from")
    last = day("and of this one.", data_key="to")
    flows = many(Flow, "The largest first; those who stay are among them.")


@routes.offer("GET", "/segments", scope="read", answer=Segments, query=SegmentsAsOf)
def list_segments(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """Segments with customers, revenue and shares, now or as of a day."""
    opened, as_of = service(), asked.get("as_of")
    with opened.database.session() as session:
        found = portals.portal_named(session, portal)
        if as_of is not None:
            as_of_moment(found.time_zone, as_of, opened.now())
            sums = score_history.totals_on(session, found.portal_id, day_number(as_of))
        else:
            totals = overview.segment_totals(session, [found.portal_id])[found.portal_id]
            sums = {one.segment: (one.customers, one.money) for one in totals}
            as_of = scores.last_as_of(session, found.portal_id)
        labels = _labels(session, found)
    customers, revenue = sum(count for count, _ in sums.values()), sum((m for _, m in sums.values()), Decimal(0))
    ordered = sorted(sums.items(), key=lambda item: (-item[1][0], item[0]))
    return {
        "portal": portal,
        "as_of": as_of,
        "method": found.method,
        "customers": customers,
        "revenue": money(revenue, found.currency),
        "segments": [
            {
                "segment": segment,
                "label_ru": labels.get(segment, {}).get("ru"),
                "label_en": labels.get(segment, {}).get("en"),
                "customers": count,
                "customers_share": round(count / customers, 4),
                "revenue": money(of, found.currency),
                "revenue_share": round(float(of / revenue), 4) if revenue > 0 else None,
            }
            for segment, (count, of) in ordered
        ],
    }


@routes.offer("GET", "/moves", scope="read", answer=Moves, query=Between)
def list_moves(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """How many customers went from which segment to which between two days."""
    first, last = asked["first"], asked["last"]
    if first > last:
        message = f"{first} is after {last}"
        raise Refused(422, f"query.from: {message}", errors=[FieldError("query.from", message)])
    found = method_work.segments_between(service(), portal, first, last)
    flows = [{"was": flow["from"], "now": flow["to"], "customers": flow["customers"]} for flow in found["flows"]]
    return {"portal": portal, "first": first, "last": last, "flows": flows}


def _labels(session: Session, portal: Portal) -> dict[str, dict[str, str]]:
    """Segments for people, of the version in force."""
    row = methods.row_of(session, portal.portal_id, portal.method or "")
    if row is None:
        return {}
    return {
        segment.value: {str(language): label for language, label in segment.label.items()}
        for segment in methods.opened(row).method.segments
    }
