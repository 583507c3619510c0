"""The pages that explain: why a customer has this segment, and what is doubtful in the data. They change nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

from flask import Blueprint, Flask, abort, current_app, g, render_template, request
from sqlalchemy.orm import Session

from adapters.records import CustomerKind, CustomerRef
from connector.errors import WrongUse
from connector.scores.explanation import Axis, Border, Contribution, Explanation, explain_customer
from connector.scores.repairs import Repair, ordered, repair_list
from connector.scores.telling import tell
from connector.store import overview
from connector.store.models import MethodRow, Portal
from connector.store.overview import SegmentTotal
from connector.web import links, segments
from connector.web.pages import Sources
from connector.web.texts import Texts
from scoring.methods import Language, Method, MethodVersion
from scoring.quality import SOFTEN_BELOW, Cause, causes_in
from scoring.repair import assumption
from scoring.sufficiency import Base, verdicts

_ORDERS = 50
_WORST = 100
_LONGEST_ID = 64
_SCALE = 100.0

analysis = Blueprint("analysis", __name__)


@dataclass(frozen=True, slots=True)
class ScaleView:
    """An axis as a picture: boxes for the scores, best last, and where in its box (0 to 100) the value stands."""

    axis: Axis
    label: str
    value: str
    scores: Sequence[int]
    place: float
    better: str | None
    worse: str | None


def register(app: Flask) -> None:
    """Add the pages to an application that has the other pages."""
    app.register_blueprint(analysis)


@analysis.get("/portals/<name>/customers/<kind>/<external_id>")
def customer(name: str, kind: str, external_id: str) -> str:
    """One customer, explained as of the last scoring."""
    if kind not in set(CustomerKind) or "\0" in external_id or len(external_id) > _LONGEST_ID:
        abort(404)
    sources = _sources()
    with sources.database().session() as session:
        portal = _portal(session, name)
        ref = CustomerRef(CustomerKind(kind), external_id)
        try:
            found = explain_customer(session, portal, ref, now=sources.clock())
        except WrongUse:
            abort(404)
        return render_template("customer.html", **_customer(session, portal, ref, found))


@analysis.get("/portals/<name>/quality")
def quality(name: str) -> str:
    """The list of repairs: causes, whom they concern, and which segment would follow; `?cause=` for one of them."""
    sources, cause = _sources(), _cause()
    with sources.database().session() as session:
        portal = _portal(session, name)
        found = repair_list(session, portal, now=sources.clock(), cause=cause, worst=_WORST)
        base = overview.last_base(session, portal.portal_id)
        language = _language()
        named = [one for item in found.worst for one in (item.customer.segment, item.repaired_segment)]
        view = _segments(session, portal, named)
        return render_template(
            "quality.html",
            portal=portal,
            found=found,
            causes=[
                {
                    "name": _name(one),
                    "customers": count,
                    "weight": one.weight,
                    "text": one.text(language),
                    "assumed": assumption(one, language),
                }
                for one, count in ordered(found.totals.causes.items())
            ],
            chosen=None if cause is None else _name(cause),
            worst=[_repair(repair, portal, view) for repair in found.worst],
            verdicts=() if base is None else verdicts(Base(**base)),
        )


def _customer(session: Session, portal: Portal, ref: CustomerRef, found: Explanation) -> dict[str, Any]:
    texts = _texts()
    language = _language()
    view = _segments(session, portal, (stop.segment for stop in found.future))
    told = tell(found, language)
    latest = list(reversed(found.orders))
    return {
        "portal": portal,
        "ref": ref,
        "url": links.card_url(portal, ref.kind.value, ref.external_id),
        "found": found,
        "told": told,
        "segment": view.row_of(found.segment),
        "doubtful": found.quality is not None and found.quality < SOFTEN_BELOW,
        "scales": [_scale(axis, found, texts) for axis in found.axes],
        "future": [{"stop": stop, "segment": view.row_of(stop.segment)} for stop in found.future],
        "causes": [
            {"text": one.text(language), "assumed": assumption(one, language)} for one in causes_in(found.causes)
        ],
        "orders": [_order(order, portal, texts) for order in latest[:_ORDERS]],
        "older": max(0, len(latest) - _ORDERS),
    }


def _scale(axis: Axis, found: Explanation, texts: Texts) -> ScaleView:
    return ScaleView(
        axis,
        texts(f"customer.axis_{axis.name}"),
        _shown(axis.name, axis.value, found, texts),
        range(1, found.bins + 1),
        _place(axis),
        _way(axis.name, axis.better, found, texts),
        _way(axis.name, axis.worse, found, texts),
    )


def _place(axis: Axis) -> float:
    """From the worse end of the box to the better one; the middle where the box has no end."""
    if axis.low is None or axis.high is None:
        return _SCALE / 2
    share = (float(axis.value) - float(axis.low) + 0.5) / (float(axis.high) - float(axis.low) + 1)
    return _SCALE * min(1.0, max(0.0, 1 - share if axis.name == "r" else share))


def _way(axis: str, border: Border | None, found: Explanation, texts: Texts) -> str | None:
    if border is None:
        return None
    return texts("customer.way", distance=_shown(axis, border.distance, found, texts), score=border.score)


def _shown(axis: str, value: Any, found: Explanation, texts: Texts) -> str:
    if axis == "m":
        return texts.money(value, found.currency)
    return texts.counted("days" if axis == "r" else "orders", int(value))


def _order(order: Contribution, portal: Portal, texts: Texts) -> dict[str, Any]:
    return {
        "order": order,
        "kind": texts(f"customer.order_{order.kind}"),
        "counted": None if order.counted is None else texts.money(order.counted, portal.currency),
    }


def _repair(repair: Repair, portal: Portal, view: segments.Segments) -> dict[str, Any]:
    language = _language()
    return {
        "row": repair.customer,
        "url": links.card_url(portal, repair.customer.kind, repair.customer.external_id),
        "segment": view.row_of(repair.customer.segment),
        "repaired": None if repair.repaired_segment is None else view.row_of(repair.repaired_segment),
        "code": repair.repaired_code,
        "moves": repair.moves,
        "doubtful": repair.customer.quality < SOFTEN_BELOW,
        "causes": [one.text(language) for one in repair.causes],
    }


def _segments(session: Session, portal: Portal, named: Iterable[str | None]) -> segments.Segments:
    """The method's segments with their colours, and those `named` of other methods; sizes are of no interest here."""
    row = overview.methods_in_force(session, [portal.portal_id]).get(portal.portal_id)
    nothing = Decimal(0)
    known = [SegmentTotal(one, 0, nothing, nothing, nothing, nothing, 0, 0) for one in dict.fromkeys(named) if one]
    return segments.segments_of(known, _method(row), portal.currency, _texts())


def _method(row: MethodRow | None) -> Method | None:
    return None if row is None else MethodVersion.from_json(row.body).method


def _name(cause: Cause) -> str:
    return str(cause.name).lower()


def _cause() -> Cause | None:
    given = request.args.get("cause")
    if not given:
        return None
    names = {_name(cause): cause for cause in Cause}
    if given not in names:
        abort(404)
    return names[given]


def _portal(session: Session, name: str) -> Portal:
    found = overview.portal_named(session, name)
    if found is None:
        abort(404)
    return found


def _texts() -> Texts:
    return cast("Texts", g.texts)


def _language() -> Language:
    return "ru" if _texts().language.value == "ru" else "en"


def _sources() -> Sources:
    return cast("Sources", current_app.extensions["pages"])
