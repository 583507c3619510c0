"""A method version's life on a portal: draft → reviewed → published → retired, and who it is released to.

Every step is audited with what was before and after. A version never changes: another idea is another draft. What is
published here reaches scores and cards at the next run; rolling back is the same with the version before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from connector.errors import WrongUse
from connector.store import methods, portals
from connector.store.methods import (
    ACTIVE,
    ALL,
    DRAFT,
    MANAGERS,
    OVER,
    PUBLISHED,
    RETIRED,
    REVIEWED,
    SHADOW,
    TEAMS,
    WAITING,
)
from connector.store.models import ManagerRow, MethodRow, Portal, ReleaseRow, TeamRow
from scoring.errors import ScoringError
from scoring.files import read_method
from scoring.methods import Method, MethodVersion, load_method, method_names
from scoring.scales import Thresholds


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something, when, and why."""

    by: str
    now: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Reach:
    """To whom a version is let out, and from which day of the portal on; `ids` of managers or teams."""

    scope: str = ALL
    ids: tuple[str, ...] = ()
    effective_from: date | None = None


@dataclass(frozen=True, slots=True)
class Drafted:
    """What a draft is made of. `notes` are release notes by language, `weak` what is wrong with the fit."""

    method: Method
    thresholds: Thresholds
    origin: str
    weak: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


def method_named(words: str) -> Method:
    """A method that ships, by name, or one of a FILE.toml. Raises `WrongUse`, which names the place in the file."""
    if words in method_names():
        return load_method(words)
    if not words.endswith(".toml") or "\0" in words:
        known = ", ".join(method_names())
        raise WrongUse(f"there is no method {words!r}: name one of {known}, or a file that ends in .toml")
    try:
        return read_method(Path(words))
    except ScoringError as error:
        raise WrongUse(str(error)) from None


def draft(session: Session, portal: Portal, made: Drafted, act: Act) -> MethodRow:
    """Keep a new version of a method as a draft, with the next free number.

    Number 1 of a method that ships is left to the first scoring, which publishes it by itself.
    """
    methods.hold_publishing(session, portal.portal_id)
    name = made.method.name
    taken = methods.last_number(session, portal.portal_id, name)
    number = max(taken, 1 if name in method_names() else 0) + 1
    version = MethodVersion(name, number, made.method, made.thresholds)
    row = MethodRow(
        portal_id=portal.portal_id,
        name=name,
        version=number,
        body=version.to_json(),
        digest=version.digest(),
        weak=list(made.weak),
        state=DRAFT,
        author=act.by,
        reason=act.reason or None,
        origin=made.origin,
        notes=dict(made.notes),
        drafted_at=act.now,
    )
    session.add(row)
    session.flush()
    _note(session, row, "method.drafted", act, before=None, origin=made.origin, weak=list(made.weak))
    return row


def review(session: Session, portal: Portal, label: str, act: Act) -> MethodRow:
    """A second look at a draft. With `four_eyes` not by its author."""
    row = _to_change(session, portal, label)
    if row.state != DRAFT:
        raise WrongUse(f"{label} is {row.state}: only a draft is reviewed")
    _check_eyes(portal, row, act, "reviewed")
    before = row.state
    row.state, row.reviewer, row.reviewed_at = REVIEWED, act.by, act.now
    _note(session, row, "method.reviewed", act, before=before)
    return row


def publish(session: Session, portal: Portal, label: str, reach: Reach, act: Act, today: date) -> ReleaseRow:
    """Approve a version and let it out, to everybody or to some first; or let a draft run as a shadow, unapproved.

    Raises `WrongUse` when it is out already, retired, tampered with, or when `four_eyes` wants another person.
    """
    portal = methods.hold_publishing(session, portal.portal_id)
    row = _found(session, portal, label)
    methods.opened(row)
    reach = _checked(session, portal, reach, today)
    _check_news(session, portal, row, reach)
    if reach.scope != SHADOW:
        _approve(session, portal, row, reach, act)
    return _release(session, portal, label, reach, act, today)


def rollback(session: Session, portal: Portal, act: Act) -> dict[str, Any]:
    """One step back: a release to some, a shadow or one that waits is called back; else the version before returns.

    Scores and cards follow at the next run. Raises `WrongUse` when there is nothing to go back to.
    """
    portal = methods.hold_publishing(session, portal.portal_id)
    out = methods.releases(session, portal.portal_id, WAITING, ACTIVE)
    partial = next((one for one in out if one.scope != ALL or one.state == WAITING), None)
    if partial is not None:
        _end(session, partial, act)
        return _rolled(session, portal, act, partial, portal.method)
    last = out[0] if out else None
    if last is None or last.replaced is None:
        raise WrongUse(f"{portal.name} has no version to go back to: {portal.method or 'nothing'} is the first")
    row = methods.row_of(session, portal.portal_id, last.replaced)
    if row is None or row.state != PUBLISHED:
        raise WrongUse(f"{last.replaced} cannot return: it is {row.state if row else 'gone'}")
    methods.opened(row)
    _end(session, last, act)
    portal.method = last.replaced
    return _rolled(session, portal, act, last, last.replaced)


def retire(session: Session, portal: Portal, label: str, act: Act) -> MethodRow:
    """Put a version away for good: a draft that is not wanted, or a published one that nobody scores with."""
    row = _to_change(session, portal, label)
    out = {one.method for one in methods.releases(session, portal.portal_id, WAITING, ACTIVE) if one.scope != ALL}
    if portal.method == label or label in out:
        raise WrongUse(f"{label} is in use: publish another version, or roll back, before it is retired")
    if row.state == RETIRED:
        raise WrongUse(f"{label} is retired already")
    before = row.state
    row.state, row.retired_at = RETIRED, act.now
    _note(session, row, "method.retired", act, before=before)
    return row


def put_in_force(session: Session, portal: Portal, label: str, act: Act, today: date) -> None:
    """Note that a run scores everybody with a version from now on (the first one, or one asked for by name)."""
    if portal.method == label:
        return
    _replace_live(session, portal, label, act, today, by=act.by)


def first_published(
    session: Session, portal: Portal, method: Method, thresholds: Thresholds, weak: Sequence[str], act: Act
) -> MethodVersion:
    """Publish a method by itself, without a draft: the first scoring does (CONTRACT section 3).

    With `four_eyes` only where nothing was published yet; later every version is approved by a person.
    """
    if portal.settings.get("four_eyes") and methods.ever_published(session, portal.portal_id):
        raise WrongUse(
            f"{method.name} was never published on {portal.name}, and four_eyes wants a second person: draft it with"
            f" `method draft {portal.name} {method.name}`, then publish it"
        )
    taken = methods.last_number(session, portal.portal_id, method.name)
    is_free = methods.row_of(session, portal.portal_id, f"{method.name}@1") is None
    number = 1 if is_free else taken + 1
    version = MethodVersion(method.name, number, method, thresholds)
    session.add(
        MethodRow(
            portal_id=portal.portal_id,
            name=method.name,
            version=number,
            body=version.to_json(),
            digest=version.digest(),
            weak=list(weak),
            state=PUBLISHED,
            author=act.by,
            approver=act.by,
            origin="first scoring",
            drafted_at=act.now,
            published_at=act.now,
        )
    )
    portals.note(session, portal.portal_id, "system", "method.published", {"method": version.label, "weak": list(weak)})
    return version


def activate_due(session: Session, portal: Portal, now: datetime, today: date) -> list[str]:
    """Let releases begin whose day has come; returns their labels. To be called by a run before it scores."""
    begun = []
    for release in reversed(methods.releases(session, portal.portal_id, WAITING)):
        if release.effective_from > today:
            continue
        act = Act("system", now)
        release.state = ACTIVE
        if release.scope == ALL:
            _end_others(session, portal, release, act)
            release.replaced, portal.method = portal.method, release.method
        detail = {"method": release.method, "scope": release.scope, "ids": list(release.ids)}
        portals.note(session, portal.portal_id, "system", "method.in_force", detail)
        begun.append(release.method)
    return begun


def view(row: MethodRow, portal: Portal) -> dict[str, Any]:
    """A version's row as plain values, without its body."""
    moments = {
        name: moment.isoformat() if moment is not None else None
        for name, moment in (
            ("drafted_at", row.drafted_at),
            ("reviewed_at", row.reviewed_at),
            ("published_at", row.published_at),
            ("retired_at", row.retired_at),
        )
    }
    return {
        "method": row.label,
        "state": row.state,
        "in_force": portal.method == row.label,
        "digest": row.digest,
        "weak": list(row.weak),
        "author": row.author,
        "reviewer": row.reviewer,
        "approver": row.approver,
        "reason": row.reason,
        "origin": row.origin,
        "notes": dict(row.notes),
        "effective_from": str(row.effective_from) if row.effective_from else None,
        **moments,
    }


def differences(one: MethodVersion, other: MethodVersion) -> list[dict[str, Any]]:
    """Where two versions differ: the path of each value, and what it is in either; None where it is not there."""
    left, right = ({**json.loads(version.to_json()), "name": None, "version": None} for version in (one, other))
    return [
        {"where": path, "one": a, "other": b} for path, a, b in _differences("", left, right) if path != "method.name"
    ]


def _differences(path: str, one: Any, other: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        found = []
        for key in sorted({*one, *other}):
            where = f"{path}.{key}" if path else str(key)
            found += _differences(where, one.get(key), other.get(key))
        return found
    if path == "method.segments" and isinstance(one, list) and isinstance(other, list):
        named = [{str(segment["value"]): segment for segment in segments} for segments in (one, other)]
        return _differences(path, *named)
    return [] if one == other else [(path, one, other)]


def _found(session: Session, portal: Portal, label: str) -> MethodRow:
    row = methods.row_of(session, portal.portal_id, label, lock=True)
    if row is None:
        raise WrongUse(f"{portal.name} has no version {label!r}: see `method list {portal.name}`")
    return row


def _to_change(session: Session, portal: Portal, label: str) -> MethodRow:
    methods.hold_publishing(session, portal.portal_id)
    return _found(session, portal, label)


def _check_eyes(portal: Portal, row: MethodRow, act: Act, what: str) -> None:
    if portal.settings.get("four_eyes") and row.author == act.by:
        raise WrongUse(
            f"{row.label} was made by {act.by}, and four_eyes wants it {what} by another person: say who with --by"
        )


def _checked(session: Session, portal: Portal, reach: Reach, today: date) -> Reach:
    """The reach with its day filled in. Raises `WrongUse` for staff that is not there and for days gone by."""
    if reach.effective_from is not None and reach.effective_from < today:
        raise WrongUse(f"--effective-from {reach.effective_from} is past: the portal's today is {today}")
    if reach.scope in {MANAGERS, TEAMS}:
        table = ManagerRow if reach.scope == MANAGERS else TeamRow
        known = set(session.scalars(select(table.external_id).where(table.portal_id == portal.portal_id)))
        unknown = sorted(set(reach.ids) - known)
        if unknown or not reach.ids:
            named = ", ".join(unknown) or "nobody"
            raise WrongUse(f"{portal.name} has no {reach.scope} {named} (there are: {', '.join(sorted(known)) or '–'})")
        if portal.method is None:
            raise WrongUse(f"{portal.name} has no version for the others yet: run `score {portal.name}` first")
    return Reach(reach.scope, reach.ids, reach.effective_from or today)


def _check_news(session: Session, portal: Portal, row: MethodRow, reach: Reach) -> None:
    """What is out already to the same people is refused: of two that publish at once, one did it."""
    if row.state == RETIRED:
        raise WrongUse(f"{row.label} is retired: make another draft")
    if reach.scope != SHADOW and portal.method == row.label:
        who = f" (approved by {row.approver})" if row.approver else ""
        raise WrongUse(f"{row.label} is published and in force already{who}")
    for out in methods.releases(session, portal.portal_id, WAITING, ACTIVE):
        same = (out.method, out.scope, sorted(out.ids)) == (row.label, reach.scope, sorted(reach.ids))
        if same and (out.scope != ALL or out.state == WAITING):
            raise WrongUse(f"{row.label} is out in this way already: {out.made_by} did it on {out.made_at:%Y-%m-%d}")


def _approve(session: Session, portal: Portal, row: MethodRow, reach: Reach, act: Act) -> None:
    if row.state == PUBLISHED:
        return
    _check_eyes(portal, row, act, "approved")
    before = row.state
    row.state, row.approver, row.published_at = PUBLISHED, act.by, act.now
    row.effective_from = reach.effective_from
    if act.reason:
        row.reason = act.reason
    _note(session, row, "method.published", act, before=before, weak=list(row.weak))


def _release(session: Session, portal: Portal, label: str, reach: Reach, act: Act, today: date) -> ReleaseRow:
    day = reach.effective_from or today
    before = portal.method
    if reach.scope == ALL and day <= today:
        release = _replace_live(session, portal, label, act, day, by=act.by)
    else:
        for other in methods.releases(session, portal.portal_id, WAITING, ACTIVE):
            if (other.scope == SHADOW) is (reach.scope == SHADOW) and (other.scope != ALL or other.state == WAITING):
                _end(session, other, act)
        release = methods.add_release(
            session,
            portal.portal_id,
            label,
            reach.scope,
            reach.ids,
            effective_from=day,
            state=ACTIVE if day <= today else WAITING,
            replaced=before,
            by=act.by,
            now=act.now,
        )
    detail = {
        "method": label,
        "scope": reach.scope,
        "ids": list(reach.ids),
        "effective_from": day.isoformat(),
        "before": before,
        "after": portal.method,
        "reason": act.reason,
    }
    portals.note(session, portal.portal_id, act.by, "method.released", detail)
    return release


def _replace_live(session: Session, portal: Portal, label: str, act: Act, day: date, *, by: str) -> ReleaseRow:
    """Everybody gets this version; releases to some, a shadow of it and those that wait are over."""
    release = methods.add_release(
        session,
        portal.portal_id,
        label,
        ALL,
        (),
        effective_from=day,
        state=ACTIVE,
        replaced=portal.method,
        by=by,
        now=act.now,
    )
    _end_others(session, portal, release, act)
    portal.method = label
    return release


def _end_others(session: Session, portal: Portal, release: ReleaseRow, act: Act) -> None:
    """What a release to all makes pointless: releases to some, and shadows of the same version.

    Earlier releases to all stay as they are: they are the way back.
    """
    for other in methods.releases(session, portal.portal_id, WAITING, ACTIVE):
        is_way_back = other.scope == ALL and other.state == ACTIVE
        is_other_shadow = other.scope == SHADOW and other.method != release.method
        if other is not release and not is_way_back and not is_other_shadow:
            _end(session, other, act)


def _end(session: Session, release: ReleaseRow, act: Act) -> None:
    release.state, release.ended_at = OVER, act.now
    session.flush()


def _rolled(
    session: Session, portal: Portal, act: Act, release: ReleaseRow, now_in_force: str | None
) -> dict[str, Any]:
    detail = {
        "called_back": release.method,
        "scope": release.scope,
        "ids": list(release.ids),
        "in_force": now_in_force,
        "reason": act.reason,
    }
    portals.note(session, portal.portal_id, act.by, "method.rolled_back", detail)
    return detail


def _note(session: Session, row: MethodRow, action: str, act: Act, *, before: str | None, **more: Any) -> None:
    detail = {"method": row.label, "before": before, "after": row.state, "reason": act.reason, **more}
    portals.note(session, row.portal_id, act.by, action, detail)
