"""The re-fit on a schedule: a proposal beside the version in force, once, and an alarm until somebody decides."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.jobs import refit
from connector.jobs.watch import alarms
from connector.scores import run as scoring
from connector.scores import versions
from connector.store import scores
from connector.store.models import Portal
from tests.connector.factories import at, contact, execute, keep_portal, order, put_customers, put_orders, rows

NOW = at("2026-03-01 13:00")
LATER = NOW + timedelta(days=100)


@pytest.fixture
def portal(database):
    """Ten contacts scored by sales5@1, whose orders have grown since."""
    kept = keep_portal(database)
    put_customers(database, kept, *(contact(str(n)) for n in range(1, 11)))
    put_orders(database, kept, *(order(str(n), contact_id=str(n), at=NOW - timedelta(days=n)) for n in range(1, 11)))
    with database.session() as session:
        stored = session.get_one(Portal, kept.portal_id)
        moment = scoring.as_of_moment(stored.time_zone, None, NOW)
        run = scores.start_run(session, kept.portal_id, "r1", "run", moment.day, NOW)
        scoring.score_portal(session, stored, run, moment, None)
    return kept


def states(database):
    return rows(database, "SELECT name || '@' || version, state FROM methods ORDER BY version")


def proposed(database, now=LATER):
    with database.session() as session:
        return [alarm.detail["method"] for alarm in alarms(session, now) if alarm.kind == refit.PROPOSAL]


def test_before_the_term_is_over_nothing_is_proposed(database, portal):
    assert refit.propose(database, portal.portal_id, NOW + timedelta(days=80)) is None
    assert states(database) == [("sales5@1", "published")]


def test_after_a_quarter_new_thresholds_wait_as_a_draft_and_the_old_ones_stay_in_force(database, portal):
    before = rows(database, "SELECT body FROM methods")
    assert refit.propose(database, portal.portal_id, LATER) == "sales5@2"
    assert states(database) == [("sales5@1", "published"), ("sales5@2", "draft")]
    assert rows(database, "SELECT body FROM methods WHERE version = 1") == before
    assert rows(database, "SELECT method FROM portals") == ["sales5@1"]
    assert proposed(database) == ["sales5@2"]
    detail = rows(database, "SELECT detail FROM audit WHERE action = 'method.refit_checked'")[0]
    assert sum(detail["shares"]["r"]) == pytest.approx(1)
    assert detail["before"] != detail["after"]


def test_one_proposal_is_enough(database, portal):
    refit.propose(database, portal.portal_id, LATER)
    assert refit.propose(database, portal.portal_id, LATER + timedelta(days=200)) is None
    assert len(states(database)) == 2


def test_a_decision_ends_the_alarm(database, portal):
    refit.propose(database, portal.portal_id, LATER)
    with database.session() as session:
        stored = session.get_one(Portal, portal.portal_id)
        versions.retire(session, stored, "sales5@2", versions.Act("anna", LATER))
    assert proposed(database) == []


def test_the_same_thresholds_are_noted_and_the_next_term_begins(database, portal):
    put_orders(
        database, portal, *(order(f"again {n}", contact_id=str(n), at=LATER - timedelta(days=n)) for n in range(1, 11))
    )
    execute(database, "DELETE FROM orders WHERE external_id NOT LIKE 'again%'")
    assert refit.propose(database, portal.portal_id, LATER) is None
    assert states(database) == [("sales5@1", "published")]
    assert refit.propose(database, portal.portal_id, LATER + timedelta(days=60)) is None
    assert refit.propose(database, portal.portal_id, LATER + timedelta(days=100)) == "sales5@2"


def test_fixed_borders_are_never_fitted_again(database, portal):
    with database.session() as session:
        stored = session.get_one(Portal, portal.portal_id)
        moment = scoring.as_of_moment(stored.time_zone, None, NOW)
        run = scores.start_run(session, portal.portal_id, "r2", "run", moment.day, NOW)
        scoring.score_portal(session, stored, run, moment, "customer360")
    assert refit.propose(database, portal.portal_id, LATER + timedelta(days=1000)) is None
