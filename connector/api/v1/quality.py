"""Data quality with its list of repairs, and methods replayed on the portal's own past."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate

from connector.api.v1.callers import service
from connector.api.v1.routes import Routes
from connector.api.v1.words import (
    Answer,
    Money,
    Question,
    choice,
    counts,
    day,
    listed,
    many,
    money,
    number,
    one,
    record,
    share,
    text,
    whole,
    words,
)
from connector.scores.moments import as_of_moment
from connector.scores.repairs import WORST, repair_list
from connector.scores.replays import Question as Replay
from connector.scores.replays import replay_methods
from connector.scores.run import spoken
from connector.store import overview, portals
from scoring.quality import Cause
from scoring.sufficiency import Base, verdicts

routes = Routes("quality", url_prefix="/api/v1/portals/<portal>", description="Data quality and backtests")
_CAUSES = tuple(str(cause.name).lower() for cause in Cause)
_MOST_METHODS, _MOST_DATES = 5, 12


class QualityAsked(Question):
    """Which customers, in which language."""

    cause = choice("Only customers with this.", *_CAUSES)
    worst = number("How many customers are listed.", 25, 0, 500, load_default=WORST)
    language = choice("Of the sentences; without it the portal's own.", "ru", "en")


class CauseOf(Answer):
    """Something doubtful in the data."""

    cause = choice("Its name.", *_CAUSES)
    customers = whole("Customers whom it touches.", 12)
    weight = whole("Points that it costs where every order is touched.", 65)
    text = text("What is wrong and what repairs it.", "Won deals have no amount: fill it in.")
    if_repaired = fields.String(metadata={"description": "What is assumed when it is repaired."})


class Orphans(Answer):
    """Won orders that belong to nobody."""

    count = whole("How many.", 3)
    newest = listed(fields.String(), "Ids of the newest.")


class Repair(Answer):
    """A customer whose data are worth a repair."""

    customer = text("Kind and id in the CRM.", "company:45")
    quality = whole("0–100.", 35)
    causes = listed(fields.String(), "What is doubtful.")
    code = text("His code.", "155")
    segment = text("His segment.", "at_risk")
    m = one(Money, "His sum.")
    code_if_repaired = text("His code if it were repaired, null where nothing is assumed.", "355", allow_none=True)
    segment_if_repaired = text("His segment then.", "loyal", allow_none=True)


class Quality(Answer):
    """What is doubtful in a portal's data."""

    portal = text("Name of the portal.", "north")
    as_of = day("As of which day.")
    language = choice("Of the sentences.", "ru", "en")
    scored = whole("Scored customers.", 480)
    mean = share("Their mean quality.", 93.5)
    perfect = whole("Without any doubt.", 400)
    softened = whole("So doubtful that their deadlines are doubled.", 7)
    causes = many(CauseOf, "What costs most points first.")
    orders_without_customer = one(Orphans, "Orders that count for nobody.")
    worst = many(Repair, "Whom to repair first.")
    base = counts("What the last scoring had to go on.", {"customers": 480})
    thin = record("What data are too thin for, and what is shown instead: sentences by subject.", {"scores": []})


class BacktestAsked(Question):
    """What to replay."""

    methods = fields.List(
        words("A method that ships, fitted anew on each day, or a version with its thresholds.", "sales5"),
        validate=validate.Length(1, _MOST_METHODS),
        metadata={"description": "Without them the one in force.", "example": ["sales5", "customer360"]},
    )
    dates = fields.List(
        day("A day to replay.", allow_none=False),
        validate=validate.Length(1, _MOST_DATES),
        metadata={"description": "Without them the last six month's or quarter's ends."},
    )
    every = choice("Ends of what.", "month", "quarter", load_default="month")
    horizon = number("Days to look ahead.", 90, 1, 3650, load_default=90)


class Backtest(Answer):
    """Methods side by side: who then bought. Shares are fractions with their intervals; sums are in `currency`."""

    portal = text("Name of the portal.", "north")
    currency = text("Of the sums.", "RUB")
    horizon = whole("Days looked ahead.", 90)
    dates = listed(day("A day.", allow_none=False), "The days that were replayed.")
    seen_the_future = listed(fields.String(), "Versions that were fitted after the first of these days.")
    filtered = listed(fields.String(), "Methods that leave orders out.")
    methods = listed(record("Outcome of a method."), "One for each method: together, stability, day by day.")


@routes.offer("GET", "/quality", scope="read", answer=Quality, query=QualityAsked)
def get_quality(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """Causes of doubt with their customers, the list of repairs, and whether data are enough."""
    opened = service()
    with opened.database.session() as session:
        found = portals.portal_named(session, portal)
        cause = Cause[asked["cause"].upper()] if "cause" in asked else None
        repairs = repair_list(session, found, now=opened.now(), cause=cause, worst=asked["worst"])
        base = overview.last_base(session, found.portal_id)
        language = spoken(asked.get("language") or found.language)
    shown = repairs.as_json(language)
    return {
        **shown,
        "language": language,
        "worst": [{**row, "m": money(row["m"], found.currency)} for row in shown["worst"]],
        "base": base or {},
        "thin": {one.about: one.told(language) for one in (() if base is None else verdicts(Base(**base)))},
    }


@routes.offer("POST", "/backtest", scope="read", answer=Backtest, body=BacktestAsked)
def replay(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """Replay methods as of past days without looking ahead: who then bought, and which method told. Stores nothing."""
    question = Replay(tuple(asked.get("methods", ())), tuple(asked.get("dates", ())), asked["every"], asked["horizon"])
    opened = service()
    with opened.database.session() as session:
        found = portals.portal_named(session, portal)
        moment = as_of_moment(found.time_zone, None, opened.now())
        return replay_methods(session, found, question, moment).as_json()
