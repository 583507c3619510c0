"""Methods of a portal: seen, fitted, compared, drafted, approved, let out and taken back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.api.v1.callers import service
from connector.api.v1.method_words import (
    Changed,
    DiffAsked,
    Differences,
    DraftAsked,
    Drafted,
    FitAsked,
    Fitted,
    Proof,
    ProveAsked,
    PublishAsked,
    Published,
    ReasonGiven,
    RolledBack,
    Rules,
    ShippedMethods,
    SimulateAsked,
    Stability,
    StabilityAsked,
    Versions,
    VersionWhole,
    WhatIf,
)
from connector.api.v1.problems import not_found
from connector.api.v1.routes import Routes
from connector.api.v1.words import (
    money,
)
from connector.jobs import loop, whatif
from connector.jobs import methods as work
from connector.jobs.methods import Person
from connector.scores.versions import Reach
from connector.store import methods as stored
from connector.store import portals
from connector.store.methods import ALL
from scoring.methods import Method, method_names

routes = Routes("methods", url_prefix="/api/v1", description="Methods, their versions and releases")
_OF_PORTAL = "/portals/<portal>/methods"


@routes.offer("GET", "/methods", scope="read", answer=ShippedMethods)
def list_shipped() -> dict[str, Any]:
    """The methods that ship."""
    return {"items": work.listed(service(), None)["shipped"]}


@routes.offer("GET", "/methods/<method>", scope="read", answer=Rules)
def get_shipped(method: str) -> dict[str, Any]:
    """The rules of a method that ships, in the form that drafts take."""
    if method not in method_names():
        raise not_found("method")
    return {"method": method, "rules": work.rules(method)}


@routes.offer("POST", "/methods/prove", scope="read", answer=Proof, body=ProveAsked)
def prove(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Gaps, overlaps and inversions of a segment table. Stores nothing."""
    return work.proven_rules(asked["rules"])


@routes.offer("GET", _OF_PORTAL, scope="read", answer=Versions)
def list_versions(portal: str) -> dict[str, Any]:
    """A portal's versions and releases."""
    return {"portal": portal, **work.listed(service(), portal)}


@routes.offer("POST", f"{_OF_PORTAL}/fit", scope="read", answer=Fitted, body=FitAsked)
def fit(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """The thresholds that a fit would give. Stores nothing."""
    return loop.fit_method(service(), portal, as_of=asked.get("as_of"), method=asked.get("method"))


@routes.offer("POST", f"{_OF_PORTAL}/simulate", scope="read", answer=WhatIf, body=SimulateAsked)
def simulate(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """What another version or other rules would change: moves, cards, quota, tasks. Stores nothing."""
    if "version" in asked:
        _check_version(portal, asked["version"])
    meant = asked["version"] if "version" in asked else _meant(asked)
    found = whatif.simulate(service(), portal, meant, as_of=asked.get("as_of"), limit=asked["limit"])
    with service().database.session() as session:
        currency = portals.portal_named(session, portal).currency
    movers = [{**mover, "m": money(mover["m"], currency)} for mover in found["movers"]]
    return {**found, "flows": _flows(found["flows"]), "movers": movers}


@routes.offer("POST", _OF_PORTAL, scope="methods", answer=Drafted, status=201, body=DraftAsked)
def draft(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """Keep a draft of a method that ships or of given rules, fitted on today's data."""
    notes = {name: asked[f"note_{name}"] for name in ("ru", "en") if f"note_{name}" in asked}
    return work.draft(
        service(),
        portal,
        _meant(asked),
        _person(asked),
        as_of=asked.get("as_of"),
        thresholds_of=asked.get("thresholds_of"),
        notes=notes,
    )


@routes.offer("POST", f"{_OF_PORTAL}/rollback", scope="methods", answer=RolledBack, body=ReasonGiven)
def roll_back(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """One step back: the last release is ended. Cards follow at the next run."""
    return work.rollback(service(), portal, _person(asked))


@routes.offer("GET", f"{_OF_PORTAL}/stability", scope="read", answer=Stability, query=StabilityAsked)
def get_stability(asked: Mapping[str, Any], portal: str) -> dict[str, Any]:
    """Who changes segment again and again, what it costs, and who is held."""
    found = work.stability(service(), portal, days=asked["days"], least=asked["least"], limit=asked["limit"])
    return {**found, "held": _flows(found["held"]), "shadow": _flows(found["shadow"])}


@routes.offer("GET", f"{_OF_PORTAL}/<version>", scope="read", answer=VersionWhole)
def get_version(portal: str, version: str) -> dict[str, Any]:
    """A version, whole."""
    _check_version(portal, version)
    found = work.shown(service(), version, portal)
    return {**found, "rules": found["method"]}


@routes.offer("GET", f"{_OF_PORTAL}/<version>/diff", scope="read", answer=Differences, query=DiffAsked)
def diff(asked: Mapping[str, Any], portal: str, version: str) -> dict[str, Any]:
    """Where two versions differ."""
    _check_version(portal, version)
    return work.compared(service(), portal, version, asked["other"])


@routes.offer("POST", f"{_OF_PORTAL}/<version>/review", scope="methods", answer=Changed, body=ReasonGiven)
def review(asked: Mapping[str, Any], portal: str, version: str) -> dict[str, Any]:
    """Note that a draft was reviewed."""
    _check_version(portal, version)
    return work.review(service(), portal, version, _person(asked))


@routes.offer("POST", f"{_OF_PORTAL}/<version>/publish", scope="methods", answer=Published, body=PublishAsked)
def publish(asked: Mapping[str, Any], portal: str, version: str) -> dict[str, Any]:
    """Approve a version and let it out to all, to some first, or as a shadow. Cards follow at the next run."""
    _check_version(portal, version)
    reach = Reach(asked.get("scope", ALL), tuple(asked.get("ids", ())), asked.get("effective_from"))
    return work.publish(service(), portal, version, reach, _person(asked))


@routes.offer("POST", f"{_OF_PORTAL}/<version>/retire", scope="methods", answer=Changed, body=ReasonGiven)
def retire(asked: Mapping[str, Any], portal: str, version: str) -> dict[str, Any]:
    """Put a version away that nobody scores with."""
    _check_version(portal, version)
    return work.retire(service(), portal, version, _person(asked))


def _meant(asked: Mapping[str, Any]) -> str | Method:
    return work.method_of(asked["rules"]) if "rules" in asked else str(asked["method"])


def _person(asked: Mapping[str, Any]) -> Person:
    """The token acts; the audit trail knows its name."""
    return Person(reason=asked.get("reason", ""))


def _check_version(portal: str, label: str) -> None:
    """Raise `Refused` (404) for a version that the portal does not have."""
    with service().database.session() as session:
        found = portals.portal_named(session, portal)
        if stored.row_of(session, found.portal_id, label) is None:
            raise not_found("version")


def _flows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`from` and `to` are no names of Python."""
    return [{"was": row["from"], "now": row["to"], "customers": row["customers"]} for row in rows]
