"""Customers: their scores, and for one of them the explanation, the history and the card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import fields
from sqlalchemy.orm import Session

from adapters.records import CustomerRef
from connector.api.v1.callers import service
from connector.api.v1.pieces import Piece, list_of, number_place, piece, place
from connector.api.v1.problems import not_found
from connector.api.v1.routes import Routes
from connector.api.v1.words import (
    Answer,
    Money,
    Question,
    amount,
    anything,
    choice,
    day,
    flag,
    listed,
    many,
    moment,
    money,
    number,
    one,
    record,
    share,
    text,
    whole,
    words,
)
from connector.jobs import delivering
from connector.jobs import methods as method_work
from connector.scores.explanation import explain_customer
from connector.scores.run import spoken
from connector.scores.telling import tell
from connector.store import listing, portals
from connector.store.listing import CustomerFilter, Scored
from connector.store.models import CustomerRow, Portal
from scoring.quality import causes_in

routes = Routes("customers", url_prefix="/api/v1/portals/<portal>/customers", description="Customers and their scores")
KINDS = ("contact", "company")


class Filters(Piece):
    """Which customers. Both ends of a range are within it."""

    kind = choice("Only of this kind.", *KINDS)
    segment = words("Only of this segment.", "at_risk")
    code = words("Only with this code.", "155")
    manager = words("Only this manager's: his id in the CRM.", "7")
    team = words("Only this team's: its id in the CRM.", "3")
    churn_risk = flag("Only with this flag so.", example=True)
    upsell = flag("Only with this flag so.", example=True)
    r_min = number("Days since the last order, at least.", 30)
    r_max = number("Days since the last order, at most.", 90)
    f_min = number("Orders in the window, at least.", 1)
    f_max = number("Orders in the window, at most.", 5)
    m_min = amount("Sum in the window, at least.", "1000.00", allow_none=False)
    m_max = amount("Sum in the window, at most.", "50000.00", allow_none=False)
    quality_min = number("Data quality, at least.", 40, 0, 100)
    quality_max = number("Data quality, at most.", 80, 0, 100)


class AsOf(Question):
    """As of which day."""

    as_of = day("As of the end of this day; without it as of the last scoring.", allow_none=False)
    language = choice("Of the sentences; without it the portal's own.", "ru", "en")


class On(Question):
    """On which day."""

    on = day("Only the score at the end of this day.", allow_none=False)


class CustomerView(Answer):
    """A scored customer."""

    customer = text("Kind and id in the CRM.", "company:45")
    gone = flag("Whether the card was deleted in the CRM.")
    manager = text("Id of the manager.", None)
    r = whole("Days from the last order to the day of the scoring.", 12)
    f = whole("Orders in the window.", 4)
    m = one(Money, "Their sum.")
    code = text("Scores of R, F and M.", "545")
    segment = text("The segment.", "loyal")
    segment_previous = text("The one before.", None)
    held_segment = text("What the scores alone would give, where rules of stability hold the segment.", None)
    method = text("Version that scored him.", "sales5@1")
    quality = whole("Data quality 0–100.", 100)
    causes = listed(fields.String(), "What is doubtful in his data.")
    churn_risk = flag("About to be lost.")
    upsell = flag("Buys often and little.")
    orders_total = whole("Orders ever.", 9)
    changed_at = moment("When these values changed.")


class Doubt(Answer):
    """Something doubtful in the data."""

    cause = text("Its name.", "amount_absent")
    weight = whole("Points that it costs where every order is touched.", 65)
    text = text("What is wrong and what repairs it.", "Won deals have no amount: fill it in.")


class CustomerWhole(Answer):
    """A customer that is known, scored or not."""

    customer = text("Kind and id in the CRM.", "company:45")
    gone = flag("Whether the card was deleted in the CRM.")
    manager = text("Id of the manager.", None)
    score = one(CustomerView, "Null for a customer without an order.", allow_none=True)
    doubts = many(Doubt, "What is doubtful in his data, in the portal's language.")


class Border(Answer):
    """The way to another score."""

    distance = anything("How much further: days, orders, or a sum as text.", 12)
    score = whole("The score there.", 4)


class Axis(Answer):
    """One of R, F and M. Numbers of R and F are whole, those of M are sums as text."""

    name = choice("Which.", "r", "f", "m")
    value = anything("What it is.", 12)
    score = whole("Its score.", 5)
    low = anything("The least value with this score, null where there is no end.", 0)
    high = anything("The greatest value with this score, null where there is no end.", 30)
    better = one(Border, "The next better score.", allow_none=True)
    worse = one(Border, "The next worse score.", allow_none=True)


class Contribution(Answer):
    """One order of the history."""

    source = text("deals, orders or import.", "deals")
    external_id = text("Id in the CRM.", "1001")
    on = day("When.")
    kind = choice("What it is.", "order", "no_amount", "no_rate", "refund")
    counted = amount("What it adds to M; null without a rate.", allow_none=True)
    amount = amount("What the CRM says.", allow_none=True)
    currency = text("In which currency.", "USD", allow_none=True)
    in_window = flag("Whether it counts now.", example=True)
    leaves_on = day("From when on it counts no more.")


class Change(Answer):
    """A change of one value alone that leads to another segment."""

    axis = choice("Which value.", "r", "f", "m")
    towards = choice("Which way.", "better", "worse")
    amount = anything("How much: days, orders, or a sum as text.", 2)
    segment = text("Where it leads.", "vip")


class OrderToday(Answer):
    """What an order today would do, from some sum on."""

    amount = amount("From this sum on.")
    code = text("The code then.", "555")
    segment = text("The segment then.", "vip")


class Future(Answer):
    """From a day on, if no order comes."""

    in_days = whole("Days from the as-of day.", 12)
    on = day("The day.")
    r = whole("R then.", 31)
    f = whole("F then.", 3)
    m = amount("M then.")
    code = text("The code then.", "455")
    segment = text("The segment then.", "at_risk")


class Explanation(Answer):
    """Why a customer has this segment, what would change it, and when it changes by itself. Sums are in `currency`."""

    portal = text("Name of the portal.", "north")
    customer = text("Kind and id in the CRM.", "company:45")
    as_of = day("As of which day.")
    method = text("By which version.", "sales5@1")
    bins = whole("Scores on each axis.", 5)
    currency = text("Of all sums here but the orders' own.", "RUB")
    window = whole("Days in which orders count for F and M.", 365)
    code = text("Scores of R, F and M.", "545")
    segment = text("The segment.", "loyal")
    labels = record("The segments for people, by value and language.", {"loyal": {"ru": "Лояльные", "en": "Loyal"}})
    churn_risk = flag("About to be lost.")
    upsell = flag("Buys often and little.")
    axes = many(Axis, "R, F and M with their borders.")
    orders = many(Contribution, "The history, the oldest first.")
    changes = many(Change, "What alone would lead to another segment.")
    order_today = many(OrderToday, "What an order today would do, by its sum.")
    future = many(Future, "What comes if no order comes.")
    by_itself = one(Future, "The next other segment without an order; null if never.", allow_none=True)
    usual_gap = share("Median days between orders, where the method looks at them.", None)
    overdue = flag("Whether the next order is later than usual.")
    overdue_in = whole("Days until it is.", None)
    quality = whole("Data quality 0–100 as stored.", 100, allow_none=True)
    causes = listed(fields.String(), "What is doubtful in his data.")
    stored_code = text("What the card shows.", "545", allow_none=True)
    stored_segment = text("What the card shows.", "loyal", allow_none=True)
    may_hold = flag("Whether the method holds segments back.")
    language = choice("Of the sentences.", "ru", "en")
    sentences = listed(fields.String(), "All of it in words.")


class Past(Answer):
    """A score that held from `since` on, as it was on `day`."""

    since = day("Since when F, M, code and segment were so.")
    day = day("The day.")
    r = whole("R on that day.", 12)
    f = whole("F.", 4)
    m = one(Money, "M.")
    code = text("The code.", "545")
    segment = text("The segment.", "loyal")
    method = text("By which version.", "sales5@1")
    churn_risk = flag("About to be lost.")
    upsell = flag("Buys often and little.")


class History(Answer):
    """Scores of a customer over time."""

    customer = text("Kind and id in the CRM.", "company:45")
    on = day("The day asked for.", None)
    scores = many(Past, "One for each change, the oldest first.")


class CardValue(Answer):
    """A value on the card and where it is from."""

    field = text("Our field.", "segment")
    value = anything("What the card holds.", "loyal")
    by = choice("Whose hand it is.", "us", "others", "unknown")
    written = anything("What we wrote.", "loyal")
    previous = anything("What was there before.", "vip")
    run = text("The run that wrote it.", None)
    method = text("By which version.", None)
    written_at = moment("When.", None)


class Card(Answer):
    """What one card holds."""

    customer = text("Kind and id in the CRM.", "company:45")
    values = many(CardValue, "By field.")


@routes.offer("GET", "", scope="read", answer=list_of(CustomerView, "CustomerPiece"), query=Filters)
def list_customers(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """Scored customers of a portal, by any of segment, scores, quality, manager and team.

    In the order in which the portal came to know them.
    """
    wanted = CustomerFilter(**{name: value for name, value in asked.items() if name not in {"limit", "cursor"}})
    after = place(asked, number_place)
    with service().database.session() as session:
        found = portals.portal_named(session, portal)
        rows = listing.customers_after(session, found.portal_id, wanted, after, asked["limit"] + 1)
    return piece(rows, asked, lambda row: scored_view(row, found.currency), lambda row: [row.number])


@routes.offer("GET", "/<customer>", scope="read", answer=CustomerWhole)
def get_customer(portal: str, customer: str) -> dict[str, Any]:
    """One customer with his score and what is doubtful in his data."""
    with service().database.session() as session:
        found, row = _known(session, portal, customer)
        score = listing.scored_customer(session, found.portal_id, row.number)
    causes = causes_in(score.causes) if score is not None else ()
    language = spoken(found.language)
    return {
        "customer": customer,
        "gone": row.gone,
        "manager": row.manager_id,
        "score": None if score is None else scored_view(score, found.currency),
        "doubts": [
            {"cause": str(cause.name).lower(), "weight": cause.weight, "text": cause.text(language)} for cause in causes
        ],
    }


@routes.offer("GET", "/<customer>/explanation", scope="read", answer=Explanation, query=AsOf)
def explain(asked: Mapping[str, Any], portal: str, customer: str) -> dict[str, Any]:
    """Why a customer has this segment, how far each border is, and what changes it."""
    opened = service()
    with opened.database.session() as session:
        found, row = _known(session, portal, customer)
        ref = CustomerRef.parse(f"{row.kind}:{row.external_id}")
        explained = explain_customer(session, found, ref, now=opened.now(), as_of=asked.get("as_of"))
        language = asked.get("language") or found.language
    return {
        **explained.as_json(),
        "causes": [str(cause.name).lower() for cause in causes_in(explained.causes)],
        "language": language,
        "sentences": tell(explained, language).sentences(),
    }


@routes.offer("GET", "/<customer>/history", scope="read", answer=History, query=On)
def get_history(asked: Mapping[str, Any], portal: str, customer: str) -> dict[str, Any]:
    """A customer's scores over time, with the version that made each."""
    with service().database.session() as session:
        found, _ = _known(session, portal, customer)
    past = method_work.history(service(), portal, customer, asked.get("on"))
    return {**past, "scores": [{**score, "m": money(score["m"], found.currency)} for score in past["scores"]]}


@routes.offer("GET", "/<customer>/card", scope="read", answer=Card)
def get_card(portal: str, customer: str) -> dict[str, Any]:
    """What the card holds, and of each value who wrote it, when, and what it replaced."""
    with service().database.session() as session:
        _known(session, portal, customer)
    found = delivering.card(service(), portal, customer)
    nothing = dict.fromkeys(("written", "previous", "run", "method", "written_at"))
    return {"customer": customer, "values": [{**nothing, **value} for value in found["values"]]}


def scored_view(row: Scored, currency: str) -> dict[str, Any]:
    """A score for `CustomerView`."""
    names = (
        *("gone", "r", "f", "code", "segment", "segment_previous", "held_segment", "method", "quality"),
        *("churn_risk", "upsell", "orders_total", "changed_at"),
    )
    return {
        **{name: getattr(row, name) for name in names},
        "customer": f"{row.kind}:{row.external_id}",
        "manager": row.manager_id,
        "m": money(row.m, currency),
        "causes": [str(cause.name).lower() for cause in causes_in(row.causes)],
    }


def _known(session: Session, portal: str, customer: str) -> tuple[Portal, CustomerRow]:
    """The customer of a path; raises `Refused` (404)."""
    found = portals.portal_named(session, portal)
    kind, _, external_id = customer.partition(":")
    row = listing.customer_row(session, found.portal_id, kind, external_id) if kind in KINDS and external_id else None
    if row is None:
        raise not_found("customer")
    return found, row
