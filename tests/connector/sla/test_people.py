from __future__ import annotations

import pytest

from adapters.records import Manager, Team
from connector.sla.people import Absence, People, Route, Routing, people_from

ANNA = Manager("1", "Anna", team_ids=("10",))
GONE = Manager("2", "Gone", active=False, team_ids=("10",))
HEAD = Manager("3", "Head", team_ids=("10",))
DIRECTOR = Manager("4", "Director", team_ids=("1",))
SPARE = Manager("5", "Spare")


def people(*managers: Manager, teams: tuple[Team, ...] = (), **settings: object) -> People:
    return people_from(settings, managers, teams)


def test_a_task_goes_to_the_customers_own_manager_while_he_works():
    assert people(ANNA, HEAD).route("1") == Routing("1", Route.MANAGER)
    assert people(ANNA).route("1").because == "manager"


def test_the_department_head_takes_over_from_an_inactive_manager():
    found = people(GONE, HEAD, SPARE, teams=(Team("10", "Sales", lead_id="3"),), default_manager="5").route("2")
    assert found == Routing("3", Route.TEAM_LEAD, Absence.INACTIVE)
    assert found.because == "team_lead:inactive"


@pytest.mark.parametrize("lead_id", [None, "2", "99"])
def test_a_department_without_a_working_head_asks_the_department_above(lead_id):
    teams = (Team("10", "Sales", lead_id=lead_id, parent_id="1"), Team("1", "Company", lead_id="4"))
    assert people(GONE, DIRECTOR, teams=teams).route("2").manager_id == "4"


def test_the_nearest_head_of_several_teams_is_asked_first():
    both = Manager("2", "Gone", active=False, team_ids=("10", "11"))
    teams = (Team("10", "Sales"), Team("11", "Export", lead_id="3"))
    assert people(both, HEAD, teams=teams).route("2").manager_id == "3"


def test_departments_in_a_circle_end_the_climb():
    teams = (Team("10", "A", parent_id="11"), Team("11", "B", parent_id="10"))
    assert people(GONE, SPARE, teams=teams, default_manager="5").route("2").manager_id == "5"


def test_the_settings_name_the_lead_where_the_crm_knows_none():
    found = people(GONE, HEAD, teams=(Team("10", "Group"),), team_leads={"10": "3"}).route("2")
    assert found == Routing("3", Route.TEAM_LEAD, Absence.INACTIVE)
    assert people(GONE, HEAD, team_leads={10: 3}).route("2").manager_id == "3"


def test_the_crms_own_head_goes_before_the_one_in_the_settings():
    teams = (Team("10", "Sales", parent_id="1"), Team("1", "Company", lead_id="4"))
    assert people(GONE, HEAD, DIRECTOR, teams=teams, team_leads={"10": "3"}).route("2").manager_id == "4"


@pytest.mark.parametrize(
    ("manager_id", "absence"), [(None, Absence.NOT_SET), ("77", Absence.UNKNOWN), ("2", Absence.INACTIVE)]
)
def test_the_default_manager_takes_what_no_lead_takes(manager_id, absence):
    found = people(GONE, SPARE, teams=(Team("10", "Group"),), default_manager=5).route(manager_id)
    assert found == Routing("5", Route.DEFAULT_MANAGER, absence)


@pytest.mark.parametrize("default", [None, "2", "99"])
def test_without_a_working_default_nobody_takes_it(default):
    assert people(GONE, default_manager=default).route("2") == Routing(None, Route.NOBODY, Absence.INACTIVE)


def test_leads_that_are_no_mapping_are_refused():
    with pytest.raises(ValueError, match="team_leads"):
        people(team_leads=["3"])
