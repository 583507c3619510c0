"""One score run: orders as of a day → R, F, M → a method version → score rows and moves. No network.

Works inside the caller's transaction, so that a dry run can roll everything back and a killed run leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from connector.errors import WrongUse
from connector.scores import versions
from connector.scores.arrays import joined, score_arrays, taken
from connector.scores.counting import (
    Counted,
    count_customers,
    count_portal,
    counts_alike,
    numbers_array,
)
from connector.scores.moments import EPOCH, Moment, as_of_moment
from connector.scores.staging import Staging, hints_of, staging_of
from connector.scores.steadying import previous_of
from connector.scores.versions import Act
from connector.store import methods, scores, stages
from connector.store.models import Portal, RunRow
from connector.store.score_arrays import ScoreArrays, store_scores
from scoring.errors import ScoringError, UnknownMethod
from scoring.methods import Fit, Language, Method, MethodVersion, apply, fit, load_method, method_names
from scoring.scales import Thresholds
from scoring.sufficiency import Base

__all__ = [
    "EPOCH", "Moment", "Scored", "as_of_moment", "check_method", "check_method_of", "current_version", "fit_portal",
    "fitted", "hints_of", "method_wanted", "score_customers", "score_portal", "spoken",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scored:
    """What a score run found. `published` is true when this run published the method; `weak` says why the fit is.

    `versions` are all that scored somebody, `version` first. `held` counts customers whom the method's rules of
    stability keep in their segment. `base` is what there was to score on, enough or not.
    """

    version: MethodVersion
    published: bool
    weak: tuple[str, ...]
    scored: int
    moved: int
    segments: dict[str, int]
    versions: tuple[MethodVersion, ...]
    held: int
    base: Base


def check_method(name: str | None) -> None:
    """Raise `WrongUse` for a method that does not ship."""
    if name is not None and name not in method_names():
        raise WrongUse(f"there is no method {name!r} (there are: {', '.join(method_names())})")


def check_method_of(session: Session, portal: Portal, name: str | None) -> None:
    """Raise `WrongUse` for a method that neither ships nor was published on the portal."""
    if name is None or name in method_names():
        return
    if "\0" in name or scores.published(session, portal.portal_id, name) is None:
        own = {row.name for row in methods.rows_of(session, portal.portal_id) if row.state == methods.PUBLISHED}
        known = ", ".join([*method_names(), *sorted(own - set(method_names()))])
        raise WrongUse(f"there is no method {name!r} (there are: {known})")


def score_portal(session: Session, portal: Portal, run: RunRow, moment: Moment, method_name: str | None) -> Scored:
    """Score every customer of a portal and store the result. Publishes a fit where no version is published yet.

    The portal's row is changed to the method used, so that the next run without a name uses it again. Releases whose
    day has come begin here.
    """
    today = as_of_moment(portal.time_zone, None, run.started_at).day
    versions.activate_due(session, portal, run.started_at, today)
    method, version = method_wanted(session, portal, method_name)
    flags = scores.customer_flags(session, portal.portal_id)
    counted = count_portal(session, portal.portal_id, moment, version.method if version else method, flags)
    weak: tuple[str, ...] = ()
    published = version is None and len(counted.summary) > 0
    act = Act("system", run.started_at)
    if version is None:
        version, weak = _first_version(session, portal, method, counted, act)
    if version.version:
        versions.put_in_force(session, portal, version.label, act, today)
        run.method = version.label
    staging = staging_of(session, portal, version)
    whole = _Whole(session, portal.portal_id, moment, flags, [(version.method, counted)])
    found = joined(list(whole.parts(staging)))
    scored, moved = store_scores(session, portal.portal_id, run, version.label, found)
    if staging.shadow is not None:
        _shadow(session, portal, moment, staging.shadow, whole.counted(staging.shadow.method))
    held = 0 if found.held is None else int(np.count_nonzero(found.held >= 0))
    return Scored(version, published, weak, scored, moved, _sizes(found), staging.versions, held, counted.base)


def score_customers(
    session: Session, portal: Portal, run: RunRow, moment: Moment, version: MethodVersion, customers: Sequence[int]
) -> Staging:
    """Score some customers again with frozen thresholds; costs what they cost, whatever the size of the portal.

    Equal to what a run over the whole portal would give them. Returns by which versions it was done.
    """
    numbers = numbers_array(customers)
    staging = staging_of(session, portal, version)
    chosen = staging.chosen(session, portal.portal_id, numbers, few=True)
    parts = []
    for one, these in ((version, numbers[~chosen]), (staging.some, numbers[chosen])):
        if one is not None and len(these):
            counted = count_customers(session, portal.portal_id, moment, one.method, these)
            parts.append(_scored_by(session, portal.portal_id, one, counted, moment, these))
    run.method = version.label
    if parts:
        store_scores(session, portal.portal_id, run, version.label, joined(parts), only=numbers.tolist())
    if staging.shadow is not None:
        counted = count_customers(session, portal.portal_id, moment, staging.shadow.method, numbers)
        _shadow(session, portal, moment, staging.shadow, counted, numbers)
    return staging


def fit_portal(session: Session, portal: Portal, moment: Moment, name: str | None) -> tuple[Method, Fit, int]:
    """A fresh fit of a method on a portal's customers, and on how many; stores nothing.

    Raises `WrongUse` when there is nobody to fit on.
    """
    method, _ = method_wanted(session, portal, name)
    found, customers = fitted(session, portal, moment, method)
    return method, found, customers


def fitted(session: Session, portal: Portal, moment: Moment, method: Method) -> tuple[Fit, int]:
    """A fit of these rules on a portal's customers, and on how many. Raises `WrongUse` when there is nobody."""
    flags = scores.customer_flags(session, portal.portal_id)
    counted = count_portal(session, portal.portal_id, moment, method, flags)
    return _fitted(portal, method, counted), len(counted.summary)


def current_version(session: Session, portal: Portal) -> MethodVersion | None:
    """The version in force on a portal, None before the first. Raises `WrongUse` where its text was tampered with."""
    if portal.method is None:
        return None
    row = methods.row_of(session, portal.portal_id, portal.method)
    if row is None:
        raise WrongUse(f"{portal.name} scores with {portal.method}, which is not stored: put it back from a backup")
    return methods.opened(row)


def method_wanted(session: Session, portal: Portal, name: str | None) -> tuple[Method, MethodVersion | None]:
    """The method asked for, else the one in force, else the default; with its version, if one is published.

    A name stands for its version in force, else for its newest published one.
    """
    version = current_version(session, portal)
    if version is not None and name in {None, version.name}:
        return version.method, version
    chosen = name or str(portal.settings.get("method", method_names()[0]))
    row = scores.published(session, portal.portal_id, chosen)
    if row is not None:
        version = methods.opened(row)
        return version.method, version
    try:
        method = load_method(chosen)
    except UnknownMethod as error:
        raise WrongUse(str(error)) from None
    window = portal.settings.get("window")
    return (method.with_window(int(window)) if window else method), None


def spoken(language: str) -> Language:
    """The language of texts for a portal."""
    return "ru" if language == "ru" else "en"


class _Whole:
    """A run over a whole portal: what was counted once is used by every version that counts alike."""

    def __init__(
        self,
        session: Session,
        portal_id: int,
        moment: Moment,
        flags: NDArray[np.int16],
        known: list[tuple[Method, Counted]],
    ) -> None:
        self._session = session
        self._portal_id = portal_id
        self._moment = moment
        self._flags = flags
        self._known = known

    def parts(self, staging: Staging) -> Iterator[ScoreArrays]:
        """Scores of everybody, each customer by his version."""
        live = self._scored(staging.live)
        if staging.some is None:
            yield live
            return
        yield taken(live, ~staging.chosen(self._session, self._portal_id, live.customer))
        some = self._scored(staging.some)
        yield taken(some, staging.chosen(self._session, self._portal_id, some.customer))

    def counted(self, method: Method) -> Counted:
        """What this method counts."""
        for other, found in self._known:
            if counts_alike(method, other):
                return found
        found = count_portal(self._session, self._portal_id, self._moment, method, self._flags)
        self._known.append((method, found))
        return found

    def _scored(self, version: MethodVersion) -> ScoreArrays:
        return _scored_by(self._session, self._portal_id, version, self.counted(version.method), self._moment)


def _scored_by(
    session: Session,
    portal_id: int,
    version: MethodVersion,
    counted: Counted,
    moment: Moment,
    only: NDArray[np.int64] | None = None,
) -> ScoreArrays:
    previous = previous_of(session, portal_id, version, counted, moment, only)
    return score_arrays(apply(version, counted.summary, previous), version, counted)


def _shadow(
    session: Session,
    portal: Portal,
    moment: Moment,
    version: MethodVersion,
    counted: Counted,
    only: NDArray[np.int64] | None = None,
) -> None:
    """Keep what the version would give beside the live scores; nobody's card shows it."""
    found = apply(version, counted.summary)
    columns: list[NDArray[Any]] = [found.number, found.cell, found.segment, found.churn_risk, found.upsell]
    stages.store_shadow(
        session,
        portal.portal_id,
        version.label,
        moment.number,
        columns,
        found.codes,
        found.segments,
        None if only is None else only.tolist(),
    )


def _fitted(portal: Portal, method: Method, counted: Counted) -> Fit:
    try:
        return fit(method, counted.summary)
    except ScoringError as error:
        raise WrongUse(f"{portal.name} cannot be scored yet: {error}") from None


def _first_version(
    session: Session, portal: Portal, method: Method, counted: Counted, act: Act
) -> tuple[MethodVersion, tuple[str, ...]]:
    """The fit, published; where nobody can be scored yet, a version 0 that is kept nowhere."""
    if not len(counted.summary):
        nothing = method.limits or Thresholds(*((0,) * (method.bins - 1) for _ in range(3)))
        return MethodVersion(method.name, 0, method, nothing), ()
    found = _fitted(portal, method, counted)
    weak = tuple(weakness.text(spoken(portal.language)) for weakness in found.weak)
    return versions.first_published(session, portal, method, found.thresholds, weak, act), weak


def _sizes(found: ScoreArrays) -> dict[str, int]:
    counts = np.bincount(found.segment, minlength=len(found.segments)).tolist()
    return dict(zip(found.segments, counts, strict=True))
