"""explain and quality: why a customer has this segment, and what to repair in the data."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from adapters.records import CustomerRef
from connector.cli.output import emit, table
from connector.config import Config
from connector.errors import WrongUse
from connector.scores.explanation import Explanation, explain_customer
from connector.scores.repairs import RepairList, ordered, repair_list
from connector.scores.run import spoken
from connector.scores.telling import tell
from connector.store import overview, portals
from connector.wiring import assemble
from scoring.methods import Language
from scoring.quality import Cause
from scoring.repair import assumption
from scoring.sufficiency import Base, verdicts

_ORDERS_SHOWN = 20


def explain(config: Config, words: argparse.Namespace) -> int:
    """The orders behind the code, the borders around it, and when it changes by itself."""
    try:
        ref = CustomerRef.parse(words.customer)
    except ValueError as error:
        raise WrongUse(str(error)) from None
    with assemble(config) as service, service.database.session() as session:
        portal = portals.portal_named(session, words.portal)
        found = explain_customer(session, portal, ref, now=datetime.now(UTC), as_of=words.as_of)
        language = words.language or portal.language
    told = tell(found, language)
    lines = [f"{found.portal}, {found.customer}, as of {found.as_of} with {found.method}", *told.sentences()]
    emit(
        {**found.as_json(), "language": language, "sentences": told.sentences()},
        as_json=words.json,
        text="\n".join([*lines, "", *_tables(found)]),
    )
    return 0


def quality(config: Config, words: argparse.Namespace) -> int:
    """Causes of doubt with their customers, the list of repairs, and whether data are enough."""
    with assemble(config) as service, service.database.session() as session:
        portal = portals.portal_named(session, words.portal)
        cause = None if words.cause is None else Cause[words.cause.upper()]
        found = repair_list(session, portal, now=datetime.now(UTC), cause=cause, worst=words.worst)
        base = overview.last_base(session, portal.portal_id)
        language = spoken(words.language or portal.language)
    judged = () if base is None else verdicts(Base(**base))
    enough: dict[str, list[str]] = {one.about: one.told(language) for one in judged}
    result = {**found.as_json(language), "language": language, "base": base, "thin": enough}
    emit(result, as_json=words.json, text="\n".join(_quality_lines(found, enough, language)))
    return 0


def _quality_lines(found: RepairList, enough: Mapping[str, list[str]], language: Language) -> Iterator[str]:
    totals = found.totals
    yield f"{found.portal}, as of {found.as_of}: {totals.scored} customers, mean quality {totals.mean:.0f} of 100"
    yield f"{totals.perfect} without any doubt, {totals.softened} so doubtful that their deadlines are doubled"
    for cause, count in ordered(totals.causes.items()):
        yield f"{str(cause.name).lower()}: {count} customers. {cause.text(language)} ({assumption(cause, language)})"
    if found.orphans.count:
        shown = ", ".join(found.orphans.ids)
        yield f"orders without a customer: {found.orphans.count}, the newest: {shown}"
    for sentences in enough.values():
        yield from sentences
    if found.worst:
        yield ""
        rows = [
            [
                f"{one.customer.kind}:{one.customer.external_id}",
                str(one.customer.quality),
                f"{one.customer.code} {one.customer.segment}",
                f"{one.repaired_code} {one.repaired_segment}" if one.repaired_code else "–",
                ", ".join(str(cause.name).lower() for cause in one.causes),
            ]
            for one in found.worst
        ]
        yield table(rows, ("customer", "quality", "now", "if repaired", "causes"))


def _tables(found: Explanation) -> Iterator[str]:
    rows = [
        [axis.name.upper(), str(axis.value), str(axis.score), *(_way(border) for border in (axis.better, axis.worse))]
        for axis in found.axes
    ]
    yield table(rows, ("", "value", "score", "to better", "to worse"))
    yield ""
    future = [[f"+{at.in_days}", str(at.on), at.code, at.segment, str(at.f), f"{at.m:.2f}"] for at in found.future]
    yield table(future, ("days", "without an order", "code", "segment", "F", "M"))
    yield ""
    latest = found.orders[-_ORDERS_SHOWN:]
    orders = [
        [str(one.on), one.source, one.external_id, one.kind, _sum(one.counted), "yes" if one.in_window else "no"]
        for one in latest
    ]
    yield table(orders, ("ordered on", "source", "id", "kind", "counted", "in window"))
    if len(found.orders) > len(latest):
        yield f"… and {len(found.orders) - len(latest)} older ones (--json has all)"


def _way(border: object) -> str:
    distance, score = getattr(border, "distance", None), getattr(border, "score", None)
    return "–" if distance is None else f"{distance} → {score}"


def _sum(amount: Decimal | None) -> str:
    return "–" if amount is None else f"{amount:.2f}"
