"""What the method routes ask and answer, word by word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from connector.api.v1.pieces import USUAL
from connector.api.v1.segments import Flow
from connector.api.v1.words import (
    Answer,
    Money,
    Question,
    anything,
    choice,
    day,
    flag,
    listed,
    many,
    moment,
    number,
    one,
    record,
    text,
    whole,
    words,
)
from connector.jobs.methods import FLAPPING_DAYS, FLAPPING_LEAST
from connector.store.methods import ALL, MANAGERS, SHADOW, TEAMS
from scoring.methods import method_names

_STATES = ("draft", "reviewed", "published", "retired")


class Shipped(Answer):
    """A method that ships."""

    method = text("Its name.", "sales5")
    bins = whole("Scores on each axis.", 5)
    window = whole("Days in which orders count for F and M.", 365)
    segments = listed(fields.String(), "The best first.")


class ShippedMethods(Answer):
    """The methods that ship."""

    items = many(Shipped, "By their order.")


class Version(Answer):
    """A version of a method on a portal."""

    method = text("Its label, as cards show it.", "sales5@2")
    state = choice("Where it is on its way.", *_STATES)
    in_force = flag("Whether the portal scores with it.")
    digest = text("SHA-256 of its rules and thresholds.", "9f2c…")
    weak = listed(fields.String(), "What is weak about its fit.")
    author = text("Who drafted it.", "token:analyst", allow_none=True)
    reviewer = text("Who reviewed it.", None)
    approver = text("Who published it.", None)
    reason = text("Why.", None)
    origin = text("What it was drafted from.", "sales5", allow_none=True)
    notes = record("Release notes by language.", {"en": "Thresholds of this quarter."})
    effective_from = day("From when on it is in force.", None)
    drafted_at = moment("When.", allow_none=True)
    reviewed_at = moment("When.", None)
    published_at = moment("When.", None)
    retired_at = moment("When.", None)


class Release(Answer):
    """A version let out."""

    method = text("Which version.", "sales5@2")
    scope = choice("To whom.", ALL, MANAGERS, TEAMS, SHADOW)
    ids = listed(fields.String(), "Managers or teams.")
    state = choice("How it stands.", "waiting", "active", "over")
    effective_from = day("From when on.")
    replaced = text("The version before.", None)
    by = text("Who let it out.", "token:analyst")
    at = moment("When.")


class Versions(Answer):
    """A portal's versions and releases."""

    portal = text("Name of the portal.", "north")
    in_force = text("The version it scores with.", "sales5@1", allow_none=True)
    versions = many(Version, "By name and number.")
    releases = many(Release, "The newest first.")


class VersionWhole(Answer):
    """A version, whole."""

    name = text("Name of the method.", "sales5")
    version = whole("Its number.", 2)
    rules = record("Its rules, in the form that drafts take.")
    thresholds = record("Borders by axis.", {"r": [10, 30, 60, 120]})
    row = one(Version, "Where it is on its way.")


class Rules(Answer):
    """Rules of a method."""

    method = text("Its name.", "sales5")
    rules = record("As drafts take them.")


class Meant(Question):
    """A method: one that ships, a version of the portal, or rules."""

    method = fields.String(
        validate=validate.OneOf(method_names()), metadata={"description": "One that ships.", "example": "sales5"}
    )
    rules = record("Rules, as `GET /methods/sales5` shows them.", {"name": "own", "bins": 5})

    @validates_schema
    def exactly_one(self, data: Mapping[str, Any], **_: Any) -> None:
        """Raises `ValidationError`."""
        if sum(name in data for name in ("method", "rules", "version")) != 1:
            raise ValidationError("name exactly one of method, rules and version", "method")


class FitAsked(Question):
    """What to fit."""

    method = fields.String(
        validate=validate.OneOf(method_names()),
        metadata={"description": "The method; without it the one in force.", "example": "sales5"},
    )
    as_of = day("On the orders up to the end of this day.", allow_none=False)


class Fitted(Answer):
    """Thresholds that a fit would give."""

    portal = text("Name of the portal.", "north")
    method = text("The method.", "sales5")
    as_of = day("As of which day.")
    customers = whole("Scored customers.", 480)
    thresholds = record("Borders by axis.", {"r": [10, 30, 60, 120]})
    weak = listed(fields.String(), "What is weak about it.")


class DraftAsked(Meant):
    """What to draft."""

    as_of = day("Fit on the orders up to the end of this day.", allow_none=False)
    thresholds_of = words("Take the thresholds of this version instead of a fit.", "sales5@1")
    note_ru = words("Release note for managers, in Russian.", "Новые границы.", longest=2000)
    note_en = words("Release note for managers, in English.", "New borders.", longest=2000)
    reason = words("Why, for the audit trail.", "quarterly", longest=500)


class Drafted(Version):
    """A draft."""

    portal = text("Name of the portal.", "north")
    thresholds = record("Borders by axis.", {"r": [10, 30, 60, 120]})


class Changed(Version):
    """A version that took a step."""

    portal = text("Name of the portal.", "north")


class ReasonGiven(Question):
    """Why it is done."""

    reason = words("Why, for the audit trail.", "agreed with sales", longest=500)


class PublishAsked(ReasonGiven):
    """To whom a version is let out."""

    scope = choice("To whom: all, some managers or teams first, or as a shadow.", ALL, MANAGERS, TEAMS, SHADOW)
    ids = fields.List(
        words("Id in the CRM.", "7"),
        validate=validate.Length(0, 500),
        metadata={"description": "Managers or teams, where the scope names some.", "example": ["7"]},
    )
    effective_from = day("From this day on; without it at once.", allow_none=False)


class Published(Answer):
    """What follows from letting a version out."""

    portal = text("Name of the portal.", "north")
    method = text("Which version.", "sales5@2")
    state = text("Its state now.", "published", allow_none=True)
    scope = choice("To whom.", ALL, MANAGERS, TEAMS, SHADOW)
    ids = listed(fields.String(), "Managers or teams.")
    effective_from = day("From when on.")
    begins = choice("Whether it has begun.", "active", "waiting", "over")
    in_force = text("The version that the portal scores with.", "sales5@2", allow_none=True)
    replaced = text("The version before.", "sales5@1", allow_none=True)


class RolledBack(Answer):
    """What a step back did."""

    portal = text("Name of the portal.", "north")
    scope = choice("What was taken back.", ALL, MANAGERS, TEAMS, SHADOW)
    ids = listed(fields.String(), "Managers or teams whom it was for.")
    called_back = text("The version that was taken back.", "sales5@2")
    in_force = text("The version that the portal scores with.", "sales5@1", allow_none=True)


class SimulateAsked(Meant):
    """What to compare with the version in force."""

    version = words("A version of the portal.", "sales5@2")
    as_of = day("On the orders up to the end of this day.", allow_none=False)
    limit = number("How many movers are listed.", 20, 0, USUAL, load_default=20)


class Mover(Answer):
    """A customer who would change segment."""

    customer = text("Kind and id in the CRM.", "company:45")
    was = text("Segment now.", "loyal", allow_none=True)
    now = text("Segment then.", "vip", allow_none=True)
    code_was = text("Code now.", "344", allow_none=True)
    code_now = text("Code then.", "445", allow_none=True)
    m = one(Money, "His sum.")


class Side(Answer):
    """A segment's size under one of the versions."""

    segment = text("The segment.", "loyal")
    label = record("For people, by language.", {"en": "Loyal"})
    work = text("The class whose deadlines apply.", "loyal")
    customers = whole("How many.", 120)


class Sides(Answer):
    """Segments under either version."""

    live = many(Side, "Under the version in force.")
    draft = many(Side, "Under the other.")


class WhatIf(Answer):
    """What another version would do. Nothing is stored."""

    portal = text("Name of the portal.", "north")
    as_of = day("As of which day.")
    live = text("The version in force.", "sales5@1")
    draft = text("What it was compared with.", "sales5@2")
    weak = listed(fields.String(), "What is weak about the other's fit.")
    customers = whole("Customers whom either scores.", 480)
    moved = whole("Customers whose segment would be another.", 31)
    flows = many(Flow, "Who would go where.")
    segments = one(Sides, "Sizes.")
    flags = record("Flags that would be turned on and off.", {"upsell": {"on": 3, "off": 1}})
    cards = record("Cards to write, and their price in requests and minutes of quota.", {"cards": 480})
    work = record("Tasks and hours that it would cause.", {"tasks_at_once": 12})
    movers = many(Mover, "The largest of those who would move.")


class Difference(Answer):
    """One place where two versions differ."""

    where = text("The path.", "thresholds.r[0]")
    one = anything("In the one.", 10)
    other = anything("In the other.", 14)


class Differences(Answer):
    """Where two versions differ."""

    portal = text("Name of the portal.", "north")
    one = text("The one.", "sales5@1")
    other = text("The other.", "sales5@2")
    differences = many(Difference, "Place by place.")


class DiffAsked(Question):
    """With which version."""

    other = words("The other version.", "sales5@2", required=True)


class ProveAsked(Question):
    """Rules to prove."""

    rules = record("Rules of a method, or a bare segment table.", {"name": "own"}, required=True)


class Inversion(Answer):
    """A better code in a worse segment."""

    code = text("The better code.", "445")
    segment = text("Its segment.", "promising")
    lower_code = text("The worse code.", "344")
    lower_segment = text("Its segment.", "loyal")


class Proof(Answer):
    """What is to be said of a segment table."""

    sound = flag("Whether each code has exactly one segment.", example=True)
    codes = whole("Codes of the grid.", 125)
    missing = listed(fields.String(), "Codes without a segment.")
    overlaps = record("Codes with several, and which.", {"445": ["vip", "loyal"]})
    off_grid = listed(fields.String(), "Codes that are not on the grid.", attribute="unknown", data_key="unknown")
    inversions = many(Inversion, "Better codes that rank lower.")


class StabilityAsked(Question):
    """Over how many days."""

    days = number("Days looked at.", 30, 1, 1100, load_default=FLAPPING_DAYS)
    least = number("Changes that count as many.", 3, 1, 1000, load_default=FLAPPING_LEAST)
    limit = number("Customers listed.", 20, 0, USUAL, load_default=20)


class Flapper(Answer):
    """A customer who changed segment often."""

    customer = text("Kind and id in the CRM.", "company:45")
    changes = whole("How often.", 4)
    segments = listed(fields.String(), "Through which segments.")
    tasks = whole("Tasks that it raised.", 2)


class Stability(Answer):
    """Who changes segment again and again, and what it costs."""

    portal = text("Name of the portal.", "north")
    days = whole("Days looked at.", 30)
    least = whole("Changes that count as many.", 3)
    customers = whole("Customers with so many.", 5)
    changes = whole("Their changes.", 17)
    wasted_tasks = whole("Tasks raised by them.", 9)
    worst = many(Flapper, "Those with most.")
    held = many(Flow, "Segment in force, and what the scores alone would give.")
    shadow = many(Flow, "Segment in force, and what the shadow gives.")
