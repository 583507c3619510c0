"""explain: why one customer has this segment, and what would change it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from adapters.records import CustomerRef
from connector.cli.output import emit, table
from connector.config import Config
from connector.errors import WrongUse
from connector.scores.explanation import Explanation, explain_customer
from connector.scores.telling import tell
from connector.store import portals
from connector.wiring import assemble

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
