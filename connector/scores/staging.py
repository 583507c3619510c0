"""Which version scores whom: the one in force, one that is let out to some managers' customers first, and a shadow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from connector.store import methods, stages
from connector.store.methods import ACTIVE, ALL, MANAGERS, SHADOW, TEAMS, WAITING
from connector.store.models import Portal
from scoring.hints import hint
from scoring.methods import Language, MethodVersion


@dataclass(frozen=True, slots=True)
class Staging:
    """`some` scores the customers of `managers`, `live` all the others; `shadow` scores everybody beside."""

    live: MethodVersion
    some: MethodVersion | None = None
    managers: tuple[str, ...] = ()
    shadow: MethodVersion | None = None

    @property
    def versions(self) -> tuple[MethodVersion, ...]:
        """The versions whose scores stand on cards, the one in force first."""
        return (self.live,) if self.some is None else (self.live, self.some)

    def chosen(
        self, session: Session, portal_id: int, numbers: NDArray[np.int64], *, few: bool = False
    ) -> NDArray[np.bool_]:
        """Which of these customers `some` scores; `few` asks for them alone."""
        if self.some is None:
            return np.zeros(len(numbers), np.bool_)
        only: Sequence[int] | None = numbers.tolist() if few else None
        return np.isin(numbers, stages.customers_of_managers(session, portal_id, self.managers, only))


def staging_of(session: Session, portal: Portal, live: MethodVersion) -> Staging:
    """Who is scored by what on a portal now. Raises `WrongUse` for a version whose text was tampered with."""
    some: MethodVersion | None = None
    shadow: MethodVersion | None = None
    managers: tuple[str, ...] = ()
    for release in methods.releases(session, portal.portal_id, ACTIVE):
        if release.scope == ALL or release.method == live.label:
            continue
        row = methods.row_of(session, portal.portal_id, release.method)
        if row is None:
            continue
        if release.scope == SHADOW:
            shadow = methods.opened(row)
        elif release.scope in {MANAGERS, TEAMS}:
            some = methods.opened(row)
            ids = list(release.ids)
            if release.scope == TEAMS:
                ids = stages.managers_of_teams(session, portal.portal_id, ids)
            managers = tuple(ids)
    return Staging(live, some, managers, shadow)


def versions_out(session: Session, portal: Portal) -> list[MethodVersion]:
    """Versions that are let out beside the one in force, or will be: cards must be ready for their segments."""
    labels = {
        release.method
        for release in methods.releases(session, portal.portal_id, WAITING, ACTIVE)
        if release.scope in {MANAGERS, TEAMS} or (release.scope == ALL and release.state == WAITING)
    }
    rows = [methods.row_of(session, portal.portal_id, label) for label in sorted(labels - {portal.method})]
    return [methods.opened(row) for row in rows if row is not None]


def versions_written(session: Session, portal: Portal, live: MethodVersion) -> list[MethodVersion]:
    """Versions by which stored scores may be: the one in force, then all others that were ever published."""
    rows = [row for row in methods.rows_of(session, portal.portal_id) if row.published_at is not None]
    return [live, *(methods.opened(row) for row in rows if row.label != live.label)]


def hints_for(versions: Sequence[MethodVersion], language: str) -> Mapping[str, str]:
    """Segment → hint for the card, in the portal's language.

    Where cards may hold scores by several versions each has its own, under `label:segment`.
    """
    if len(versions) == 1:
        return hints_of(versions[0], language)
    return {
        f"{version.label}:{segment}": text
        for version in versions
        for segment, text in hints_of(version, language).items()
    }


def hints_of(version: MethodVersion, language: str) -> dict[str, str]:
    """Segment → hint for the card, in the portal's language."""
    spoken: Language = "ru" if language == "ru" else "en"
    return {segment.value: hint(version.method, segment.value, spoken) for segment in version.method.segments}
