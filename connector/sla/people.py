"""Who gets a customer's task: his manager, else the team lead, else the portal's default manager.

Pure: works on the mirrored managers and teams and the portal's settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from adapters.records import Manager, Team


class Route(StrEnum):
    """Where a task went."""

    MANAGER = "manager"
    TEAM_LEAD = "team_lead"
    DEFAULT_MANAGER = "default_manager"
    NOBODY = "nobody"


class Absence(StrEnum):
    """Why it did not go to the customer's own manager."""

    NOT_SET = "not_set"
    UNKNOWN = "unknown"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Routing:
    """Who gets the task and why; `manager_id` is None only for `Route.NOBODY`."""

    manager_id: str | None
    route: Route
    absence: Absence | None = None

    @property
    def because(self) -> str:
        """Stable words for the audit, such as `manager` or `team_lead:inactive`."""
        return f"{self.route}:{self.absence}" if self.absence else str(self.route)


@dataclass(frozen=True, slots=True)
class People:
    """A portal's staff. `team_leads` (team → manager) are the portal's settings, for CRMs that know no lead."""

    managers: Mapping[str, Manager] = field(default_factory=dict)
    teams: Mapping[str, Team] = field(default_factory=dict)
    team_leads: Mapping[str, str] = field(default_factory=dict)
    default_manager_id: str | None = None

    def route(self, manager_id: str | None) -> Routing:
        """Where a task for a customer of this manager goes. Only active, known people get tasks."""
        if manager_id is not None and self._works(manager_id):
            return Routing(manager_id, Route.MANAGER)
        absence, lead = Absence.NOT_SET, None
        if manager_id is not None:
            manager = self.managers.get(manager_id)
            absence = Absence.UNKNOWN if manager is None else Absence.INACTIVE
            lead = None if manager is None else self._lead_of(manager)
        if lead is not None:
            return Routing(lead, Route.TEAM_LEAD, absence)
        if self._works(self.default_manager_id):
            return Routing(self.default_manager_id, Route.DEFAULT_MANAGER, absence)
        return Routing(None, Route.NOBODY, absence)

    def lead_above(self, manager_id: str | None) -> str | None:
        """The nearest working team lead who is not this manager himself; None where there is none."""
        manager = None if manager_id is None else self.managers.get(manager_id)
        return None if manager is None else next((lead for lead in self._leads(manager) if lead != manager_id), None)

    def works(self, manager_id: str | None) -> bool:
        """Whether somebody is known and active."""
        return self._works(manager_id)

    def _lead_of(self, manager: Manager) -> str | None:
        return next(self._leads(manager), None)

    def _leads(self, manager: Manager) -> Iterator[str]:
        """The working heads of his teams, nearest first, climbing to parent teams; then those from the settings."""
        above = [team_id for own in manager.team_ids for team_id in self._upwards(own)]
        heads = (self.teams[team_id].lead_id for team_id in above if team_id in self.teams)
        named = (self.team_leads.get(team_id) for team_id in above)
        return (lead for lead in (*heads, *named) if lead is not None and self._works(lead))

    def _upwards(self, team_id: str) -> Iterator[str]:
        """The team and its parents, nearest first; a circle of parents ends where it closes."""
        seen: set[str] = set()
        at: str | None = team_id
        while at is not None and at not in seen:
            seen.add(at)
            yield at
            team = self.teams.get(at)
            at = team.parent_id if team else None

    def _works(self, manager_id: str | None) -> bool:
        manager = None if manager_id is None else self.managers.get(manager_id)
        return manager is not None and manager.active


def people_from(settings: Mapping[str, object], managers: Iterable[Manager], teams: Iterable[Team]) -> People:
    """The staff with the settings `team_leads` ({team id: manager id}) and `default_manager` (manager id)."""
    leads = settings.get("team_leads") or {}
    if not isinstance(leads, Mapping):
        raise ValueError("team_leads: a mapping of teams to managers is expected")  # noqa: TRY004  # wrong input
    default = settings.get("default_manager")
    return People(
        managers={manager.external_id: manager for manager in managers},
        teams={team.external_id: team for team in teams},
        team_leads={str(team): str(lead) for team, lead in leads.items()},
        default_manager_id=None if default is None else str(default),
    )
