"""What an analyst does with methods on a portal, for the command line, the pages and scripts alike.

Everything returns plain values. Nothing here sends a request that changes a CRM: cards follow at the next run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from adapters.records import CustomerKind, CustomerRef
from connector.errors import WrongUse
from connector.scores import run as scoring_run
from connector.scores import versions
from connector.scores.moments import Moment, as_of_moment, day_number
from connector.scores.versions import Act, Drafted, Reach
from connector.store import audit, methods, mirrored, portals, score_history, stages
from connector.store.models import Portal
from connector.wiring import Service
from scoring.errors import ScoringError
from scoring.files import read_spec
from scoring.methods import Method, MethodVersion, load_method, method_names, parse_method
from scoring.parsing import parse_draft
from scoring.schemes import claims, prove

FLAPPING_DAYS, FLAPPING_LEAST = 30, 3


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts, as the audit trail names him, and why."""

    by: str | None = None
    reason: str = ""

    def act(self, now: datetime) -> Act:
        """At a moment."""
        return Act(self.by or audit.actor(), now, self.reason)


def listed(service: Service, name: str | None) -> dict[str, Any]:
    """The methods that ship, and a portal's versions with its releases."""
    found: dict[str, Any] = {"shipped": [_shipped(one) for one in method_names()], "versions": [], "releases": []}
    if name is not None:
        with service.database.session() as session:
            portal = portals.portal_named(session, name)
            rows = methods.rows_of(session, portal.portal_id)
            found["versions"] = [versions.view(row, portal) for row in rows]
            found["releases"] = releases(session, portal)
            found["in_force"] = portal.method
    found["published"] = [row for row in found["versions"] if row["state"] == methods.PUBLISHED]
    return found


def releases(session: Session, portal: Portal) -> list[dict[str, Any]]:
    """Every release of a portal, the newest first."""
    return [
        {
            "method": row.method,
            "scope": row.scope,
            "ids": list(row.ids),
            "state": row.state,
            "effective_from": row.effective_from.isoformat(),
            "replaced": row.replaced,
            "by": row.made_by,
            "at": row.made_at.isoformat(),
        }
        for row in methods.releases(session, portal.portal_id)
    ]


def rules(words: str) -> dict[str, Any]:
    """A method that ships, or one of a FILE.toml, whole."""
    return versions.method_named(words).spec()


def shown(service: Service, words: str, name: str | None) -> dict[str, Any]:
    """A version of a portal, whole, with its row: `sales5@2`."""
    if name is None:
        raise WrongUse("a version belongs to a portal: write `method show sales5@1 --portal N`")
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
        row = methods.row_of(session, portal.portal_id, words)
        if row is None:
            raise WrongUse(f"{name} has no version {words!r}: see `method list {name}`")
        version = methods.opened(row)
        return {
            "name": version.name,
            "version": version.version,
            "method": version.method.spec(),
            "thresholds": version.thresholds.spec(),
            "row": versions.view(row, portal),
        }


def proven(path: str) -> dict[str, Any]:
    """What is to be said of a file's segment table: gaps, overlaps, unknown codes, inversions; nothing raises here.

    Raises `WrongUse` only for a file that cannot be read as a method at all.
    """
    try:
        return {"file": path, **_proof(read_spec(Path(path)))}
    except ScoringError as error:
        raise WrongUse(f"{Path(path).name}: {error}") from None
    except ValueError as error:
        raise WrongUse(f"{path!r} is no file: {error}") from None


def proven_rules(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The same of rules that are no file."""
    try:
        return _proof(_exact(spec))
    except ScoringError as error:
        raise WrongUse(f"the rules: {error}") from None


def method_of(spec: Mapping[str, Any]) -> Method:
    """A method of rules that are no file, as `Method.spec` gives them. Raises `WrongUse`, which names the place."""
    try:
        return parse_method(_exact(spec))
    except ScoringError as error:
        raise WrongUse(f"the rules: {error}") from None


def _exact(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Rules with exact numbers, as files have them."""
    found: dict[str, Any] = json.loads(json.dumps(spec, default=str), parse_float=Decimal)
    return found


def _proof(spec: Mapping[str, Any]) -> dict[str, Any]:
    table = parse_draft(spec)
    proof = prove(table.grid, claims(table.grid, table.rules), precedence=table.precedence, ranks=table.ranks)
    if proof.partition and "axes" not in spec:
        parse_method(spec)
    return {
        "codes": len(table.grid.codes),
        "sound": proof.partition,
        "missing": list(proof.missing),
        "overlaps": {code: list(owners) for code, owners in proof.overlaps.items()},
        "unknown": list(proof.unknown),
        "inversions": [asdict(one) for one in proof.inversions],
    }


def compared(service: Service, name: str, one: str, other: str) -> dict[str, Any]:
    """Where two versions of a portal differ."""
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
        left, right = (version_named(session, portal, label) for label in (one, other))
    return {"portal": name, "one": one, "other": other, "differences": versions.differences(left, right)}


def draft(
    service: Service,
    name: str,
    words: str | Method,
    person: Person,
    *,
    as_of: date | None = None,
    thresholds_of: str | None = None,
    notes: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Keep a draft of a method that ships, of a file or of given rules.

    Fitted on today's data, or with another version's thresholds.
    """
    now = service.now()
    method, origin = _meant(words)
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
        made = _made(session, portal, method, as_of_moment(portal.time_zone, as_of, now), thresholds_of)
        told: dict[str, str] = {str(language): text for language, text in method.terms.notes.items()}
        made = Drafted(made.method, made.thresholds, origin, made.weak, told | dict(notes or {}))
        row = versions.draft(session, portal, made, person.act(now))
        return {"portal": name, **versions.view(row, portal), "thresholds": made.thresholds.spec()}


def review(service: Service, name: str, label: str, person: Person) -> dict[str, Any]:
    """Note that a draft was reviewed."""
    return _changed(service, name, lambda session, portal, act: versions.review(session, portal, label, act), person)


def retire(service: Service, name: str, label: str, person: Person) -> dict[str, Any]:
    """Put a version away."""
    return _changed(service, name, lambda session, portal, act: versions.retire(session, portal, label, act), person)


def publish(service: Service, name: str, label: str, reach: Reach, person: Person) -> dict[str, Any]:
    """Approve a version and let it out; the answer says what follows."""
    now = service.now()
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
        today = as_of_moment(portal.time_zone, None, now).day
        release = versions.publish(session, portal, label, reach, person.act(now), today)
        row = methods.row_of(session, portal.portal_id, label)
        found = {
            "portal": name,
            "method": label,
            "state": row.state if row is not None else None,
            "scope": release.scope,
            "ids": list(release.ids),
            "effective_from": release.effective_from.isoformat(),
            "begins": release.state,
            "in_force": portal.method,
            "replaced": release.replaced,
            "next": f"run {name}",
        }
        if release.scope == methods.SHADOW:
            found["next"] = f"score {name}"
    return found


def rollback(service: Service, name: str, person: Person) -> dict[str, Any]:
    """One step back."""
    now = service.now()
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
        found = versions.rollback(session, portal, person.act(now))
        if found["scope"] == methods.SHADOW:
            stages.drop_shadow(session, portal.portal_id)
    return {"portal": name, **found, "next": f"run {name}"}


def history(service: Service, name: str, customer: str, on: date | None) -> dict[str, Any]:
    """A customer's scores over time, or as they were on a day."""
    ref = _ref(customer)
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
        numbers = mirrored.numbers_of(session, portal.portal_id, ref.kind, [ref.external_id])
        if not numbers:
            raise WrongUse(f"{name} does not know {customer}")
        (number,) = numbers
        if on is not None:
            past = score_history.score_on(session, portal.portal_id, number, day_number(on))
            scores = [] if past is None else [past]
        else:
            scores = score_history.changes_of(session, portal.portal_id, number)
    return {
        "portal": name,
        "customer": customer,
        "on": str(on) if on else None,
        "scores": [_past(one) for one in scores],
    }


def segments_between(service: Service, name: str, first: date, last: date) -> dict[str, Any]:
    """How many customers went from which segment to which between two days (P-23)."""
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
        flows = score_history.flows(session, portal.portal_id, day_number(first), day_number(last))
    return {
        "portal": name,
        "from": first.isoformat(),
        "to": last.isoformat(),
        "flows": _flows((was, now, count) for (was, now), count in flows.items()),
    }


def stability(
    service: Service, name: str, *, days: int = FLAPPING_DAYS, least: int = FLAPPING_LEAST, limit: int = 20
) -> dict[str, Any]:
    """Who changes segment again and again, what it cost in tasks, and who is held where the scores alone would not."""
    now = service.now()
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
        today = day_number(as_of_moment(portal.time_zone, None, now).day)
        found = score_history.flapping(session, portal.portal_id, today - days + 1, today, least=least, limit=limit)
        held = stages.held_segments(session, portal.portal_id)
        shadow = stages.shadow_flows(session, portal.portal_id)
    return {
        "portal": name,
        "days": days,
        "least": least,
        "customers": found.customers,
        "changes": found.changes,
        "wasted_tasks": found.tasks,
        "worst": [
            {
                "customer": f"{one.kind}:{one.external_id}",
                "changes": one.changes,
                "segments": list(one.segments),
                "tasks": one.tasks,
            }
            for one in found.worst
        ],
        "held": _flows((segment, by_code, count) for (segment, by_code), count in held.items()),
        "shadow": _flows((was, would, count) for (was, would), count in shadow.items()),
    }


def version_named(session: Session, portal: Portal, label: str) -> MethodVersion:
    """A version of a portal in any state. Raises `WrongUse`."""
    row = methods.row_of(session, portal.portal_id, label)
    if row is None:
        raise WrongUse(f"{portal.name} has no version {label!r}: see `method list {portal.name}`")
    return methods.opened(row)


def candidate(
    session: Session, portal: Portal, words: str | Method, moment: Moment
) -> tuple[MethodVersion, tuple[str, ...]]:
    """The version that is meant: a label, or rules fitted as of a moment, with what is weak about the fit."""
    if isinstance(words, str) and "@" in words:
        row = methods.row_of(session, portal.portal_id, words)
        return version_named(session, portal, words), tuple(row.weak) if row is not None else ()
    made = _made(session, portal, _meant(words)[0], moment, None)
    number = methods.last_number(session, portal.portal_id, made.method.name) + 1
    return MethodVersion(made.method.name, number, made.method, made.thresholds), made.weak


def _meant(words: str | Method) -> tuple[Method, str]:
    """The method that is meant, and where it is from."""
    return (words, "rules") if isinstance(words, Method) else (versions.method_named(words), words)


def _made(session: Session, portal: Portal, method: Method, moment: Moment, thresholds_of: str | None) -> Drafted:
    window = portal.settings.get("window")
    if window and method.name in method_names() and method == load_method(method.name):
        method = method.with_window(int(window))
    if thresholds_of is not None:
        other = version_named(session, portal, thresholds_of)
        if other.method.bins != method.bins:
            raise WrongUse(f"{thresholds_of} has {other.method.bins} scores, and {method.name} has {method.bins}")
        return Drafted(method, other.thresholds, "")
    found, _ = scoring_run.fitted(session, portal, moment, method)
    weak = tuple(weakness.text(scoring_run.spoken(portal.language)) for weakness in found.weak)
    return Drafted(method, found.thresholds, "", weak)


def _changed(
    service: Service, name: str, change: Callable[[Session, Portal, Act], Any], person: Person
) -> dict[str, Any]:
    with service.database.session() as session:
        portal = portals.portal_named(session, name)
        row = change(session, portal, person.act(service.now()))
        return {"portal": name, **versions.view(row, portal)}


def _shipped(name: str) -> dict[str, Any]:
    method = load_method(name)
    return {
        "method": name,
        "bins": method.bins,
        "window": method.window,
        "segments": [segment.value for segment in method.segments],
    }


def _ref(words: str) -> CustomerRef:
    kind, _, external_id = words.partition(":")
    if kind not in {*CustomerKind} or not external_id or "\0" in external_id:
        raise WrongUse(f"{words!r} is no customer: write company:45 or contact:123")
    return CustomerRef(CustomerKind(kind), external_id)


def _past(score: score_history.PastScore) -> dict[str, Any]:
    epoch = date(1970, 1, 1).toordinal()
    return {
        "day": date.fromordinal(epoch + score.day).isoformat(),
        "since": date.fromordinal(epoch + score.since).isoformat(),
        **{key: getattr(score, key) for key in ("r", "f", "m", "code", "segment", "method", "churn_risk", "upsell")},
    }


def _flows(flows: Any) -> list[dict[str, Any]]:
    rows: Sequence[tuple[str | None, str | None, int]] = sorted(
        flows, key=lambda flow: (-flow[2], flow[0] or "", flow[1] or "")
    )
    return [{"from": was, "to": now, "customers": count} for was, now, count in rows]
