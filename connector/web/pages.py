"""The pages' addresses: reads a request, asks the store, fills a template. Changes nothing anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from urllib.parse import quote, urlencode

from flask import Blueprint, Flask, Response, abort, current_app, g, render_template, request
from sqlalchemy.orm import Session

from adapters.fields import zone
from connector.jobs import health, run_alarms, running
from connector.store import overview
from connector.store.database import Database
from connector.store.models import MethodRow, Portal, RunRow
from connector.store.overview import Activity, ScoredCustomer
from connector.web import links, segments, standing, thresholds
from connector.web.texts import Texts
from scoring.methods import MethodVersion
from scoring.quality import SOFTEN_BELOW, causes_in
from scoring.sufficiency import Base, thin, verdicts

PORTALS_A_PAGE = 12
CUSTOMERS_A_PAGE = 25
_BEST_CUSTOMERS = 5
_RUNS = 15
_TASKS = 15
_REFUSALS = 50
_LONGEST_ID = 64
_HIGHEST_PAGE = 10_000_000


@dataclass(frozen=True, slots=True)
class Sources:
    """What pages are made from. `database` opens it at the first call; `clock` gives aware UTC."""

    database: Callable[[], Database]
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Paging:
    """Where a page is among its neighbours. `address` makes the address of another page."""

    page: int
    pages: int
    address: Callable[[int], str]


pages = Blueprint("pages", __name__, template_folder="templates", static_folder="static")


def register(app: Flask, sources: Sources) -> None:
    """Add the pages to an application."""
    app.extensions["pages"] = sources
    app.register_blueprint(pages)


@pages.get("/")
def home() -> str:
    """All portals: how they stand, their segments, their best customers, the latest runs."""
    page = _number("page")
    with _sources().database().session() as session:
        found, total = overview.portals_page(session, page, PORTALS_A_PAGE)
        paging = _paging(page, total, PORTALS_A_PAGE)
        if not total:
            return render_template("empty.html")
        return render_template("home.html", **_home(session, list(found)), paging=paging, total=total)


@pages.get("/favicon.ico")
def icon() -> Response:
    """For those who ask at the old place."""
    return pages.send_static_file("favicon.svg")


@pages.get("/portals/<name>")
def portal(name: str) -> str:
    """One portal, whole."""
    page, order, find = _number("page"), _order(), _find()
    with _sources().database().session() as session:
        shown = overview.portal_named(session, name)
        if shown is None:
            abort(404)
        return render_template("portal.html", **_portal(session, shown, page, order, find))


def _home(session: Session, portals: list[Portal]) -> dict[str, Any]:
    ids = [shown.portal_id for shown in portals]
    totals = overview.segment_totals(session, ids)
    methods = overview.methods_in_force(session, ids)
    best = overview.best_customers(session, ids, _BEST_CUSTOMERS)
    activity = overview.activity(session, ids)
    cards = [
        _portal_card(shown, totals[shown.portal_id], methods.get(shown.portal_id), best[shown.portal_id], activity)
        for shown in portals
    ]
    names = {shown.portal_id: shown for shown in portals}
    runs = [
        {"portal": names[run.portal_id], **_run(run, names[run.portal_id], activity)}
        for run in overview.latest_runs(session, ids, _RUNS)
    ]
    return {"cards": cards, "runs": runs, "sums": _sums(cards)}


def _portal_card(
    shown: Portal,
    totals: list[overview.SegmentTotal],
    method_row: MethodRow | None,
    best: list[ScoredCustomer],
    activity: Activity,
) -> dict[str, Any]:
    texts = _texts()
    method = _version(method_row).method if method_row is not None else None
    view = segments.segments_of(totals, method, shown.currency, texts)
    run = activity.last_counted.get(shown.portal_id)
    return {
        "portal": shown,
        "zone": zone(shown.time_zone),
        "standing": _standing(shown, activity),
        "segments": view,
        "sentence": segments.sentence(view, texts),
        "chart": segments.bar_chart(view, texts),
        "counts": run.counts if run is not None else {},
        "best": [_customer(customer, shown, view) for customer in best],
    }


def _sums(cards: list[dict[str, Any]]) -> dict[str, int]:
    """The figures on top, over the portals of this page."""
    counts = [card["counts"] for card in cards]
    return {
        "known": sum(int(each.get("customers", 0)) for each in counts),
        "scored": sum(card["segments"].customers for card in cards),
        "written": sum(int(each.get("written", 0)) for each in counts),
        "tasks": sum(int(each.get("tasks_created", 0)) for each in counts),
    }


def _portal(session: Session, shown: Portal, page: int, order: overview.Order, find: str | None) -> dict[str, Any]:
    texts = _texts()
    portal_id = shown.portal_id
    method_row = overview.methods_in_force(session, [portal_id]).get(portal_id)
    version = _version(method_row) if method_row is not None else None
    method = version.method if version is not None else None
    view = segments.segments_of(overview.segment_totals(session, [portal_id])[portal_id], method, shown.currency, texts)
    activity = overview.activity(session, [portal_id])
    runs = overview.runs_of(session, portal_id, _RUNS)
    counted = activity.last_counted.get(portal_id)
    return {
        "portal": shown,
        "zone": zone(shown.time_zone),
        "standing": _standing(shown, activity),
        "health": _health(session, shown),
        "progress": _progress(session, shown, texts),
        "segments": view,
        "sentence": segments.sentence(view, texts),
        "chart": segments.shares_chart(view, texts),
        "method": method_row,
        "version": version,
        "ranges": thresholds.score_ranges(version, shown.currency, texts) if version is not None else [],
        "counts": counted.counts if counted is not None else {},
        "thin": _thin(counted, texts),
        "as_of": next((run.as_of for run in runs if run.kind in {"run", "score"}), None),
        "runs": [_run(run, shown, activity) for run in runs],
        "refused": _refused(session, shown, runs),
        "tasks": [
            {"task": task, "url": links.card_url(shown, task.kind, task.external_id)}
            for task in overview.latest_tasks(session, portal_id, _TASKS)
        ],
        **_customers(session, shown, view, page, order, find),
    }


def _customers(
    session: Session,
    shown: Portal,
    view: segments.Segments,
    page: int,
    order: overview.Order,
    find: str | None,
) -> dict[str, Any]:
    """The customers' table: those with an id, or one page of a segment or of all."""
    segment = request.args.get("segment") or None
    sizes = {row.total.segment: row.total.customers for row in view.rows}
    if segment is not None and segment not in sizes:
        abort(404)
    if find is not None:
        found = overview.customer_found(session, shown.portal_id, find)
        total = len(found)
        paging = _paging(page, total, CUSTOMERS_A_PAGE)
    else:
        total = view.customers if segment is None else sizes[segment]
        paging = _paging(page, total, CUSTOMERS_A_PAGE)
        found = overview.customers_page(
            session, shown.portal_id, segment=segment, order=order, page=page, size=CUSTOMERS_A_PAGE, total=total
        )
    return {
        "customers": [_customer(customer, shown, view) for customer in found],
        "customers_total": total,
        "paging": paging,
        "first": (page - 1) * CUSTOMERS_A_PAGE + 1,
        "chosen": {"segment": segment, "order": order, "find": find},
        "orders": overview.ORDERS,
    }


def _customer(customer: ScoredCustomer, shown: Portal, view: segments.Segments) -> dict[str, Any]:
    was = customer.segment_previous
    return {
        "row": customer,
        "url": links.card_url(shown, customer.kind, customer.external_id),
        "segment": view.row_of(customer.segment),
        "was": view.label_of(was) if was is not None else None,
        "doubtful": customer.quality < SOFTEN_BELOW,
        "causes": [cause.text(_texts().language.value) for cause in causes_in(customer.causes)],
    }


def _thin(run: RunRow | None, texts: Texts) -> list[str]:
    """What the newest run with figures found too little of."""
    base = run.counts.get("base") if run is not None else None
    return thin(verdicts(Base(**base)), texts.language.value) if base else []


def _run(run: RunRow, shown: Portal, activity: Activity) -> dict[str, Any]:
    state = "interrupted" if standing.was_cut_off(run, activity) else run.state
    return {"run": run, "zone": zone(shown.time_zone), "state": state, "counts": run.counts}


def _refused(session: Session, shown: Portal, runs: Any) -> dict[str, Any] | None:
    """What the newest run with refusals was refused, None when there was none lately."""
    run = next((run for run in runs if run.counts.get("refused")), None)
    if run is None:
        return None
    rows = overview.refusals_of(session, shown.portal_id, run.run_id, _REFUSALS)
    return {
        "run": run,
        "count": max(int(run.counts["refused"]), len(rows)),
        "rows": [{"row": row, "url": links.card_url(shown, row.kind, row.external_id)} for row in rows],
    }


def _standing(shown: Portal, activity: Activity) -> standing.Standing:
    return standing.standing(shown, activity, _sources().clock(), _texts())


def _progress(session: Session, shown: Portal, texts: Texts) -> str:
    """How far the open run is, in a sentence; empty when none is open."""
    told = running.progress_of(session, shown.portal_id, _sources().clock())
    if told is None:
        return ""
    stage = texts(f"progress.{told.stage}")
    if told.total is None or told.percent is None:
        return texts("progress.untold", stage=stage, done=texts.number(told.done))
    facts = {"stage": stage, "done": texts.number(told.done), "total": texts.number(told.total)}
    facts["percent"] = texts.number(told.percent, 1)
    if told.remaining_s is None:
        return texts("progress.share", **facts)
    return texts("progress.left", **facts, minutes=texts.number(max(1, round(told.remaining_s / 60))))


def _health(session: Session, shown: Portal) -> dict[str, Any] | None:
    history = run_alarms.histories(session, [shown.portal_id]).get(shown.portal_id)
    return health.view(shown, history, _sources().clock())


def _version(row: MethodRow) -> MethodVersion:
    return MethodVersion.from_json(row.body)


def _number(name: str) -> int:
    """A page number of the query, 1 when it is not given; anything that is no such number is a wrong address."""
    given = request.args.get(name)
    if given is None:
        return 1
    if not (given.isascii() and given.isdigit()) or not 1 <= int(given[:9]) <= _HIGHEST_PAGE or len(given) > 8:
        abort(400)
    return int(given)


def _order() -> overview.Order:
    given = request.args.get("order") or overview.ORDERS[0]
    if given not in overview.ORDERS:
        abort(400)
    return given


def _find() -> str | None:
    """The id looked for, without the kind in front, which is how it is printed elsewhere (`contact:12`)."""
    given = (request.args.get("find") or "").strip()
    for kind in ("contact:", "company:"):
        given = given.removeprefix(kind)
    if "\0" in given or len(given) > _LONGEST_ID:
        abort(400)
    return given or None


def _paging(page: int, total: int, size: int) -> Paging:
    """Raises 404 for a page beyond the last one; the first one always exists."""
    last = max(1, -(-total // size))
    if page > last:
        abort(404)
    return Paging(page, last, _address)


def _address(page: int) -> str:
    """This address with another page, and the rest of its query kept."""
    kept = {name: value for name, value in request.args.items() if name not in {"page", "lang"}}
    query = urlencode({**kept, "page": page} if page > 1 else kept)
    path = quote(request.path)
    return f"{path}?{query}" if query else path


def _texts() -> Texts:
    return cast("Texts", g.texts)


def _sources() -> Sources:
    return cast("Sources", current_app.extensions["pages"])
