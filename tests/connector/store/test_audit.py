"""Every change of a portal's row is in the trail with before, after and who did it, whoever forgets to say so."""

from __future__ import annotations

import json

import pytest

from connector.store import audit
from connector.store.models import Portal
from tests.connector.factories import at, keep_portal, rows

ENTRIES = "SELECT actor, action, detail FROM audit ORDER BY entry_id"


@pytest.fixture
def portal(database):
    return keep_portal(database, settings={"window": 365, "lunch": "13:00-14:00"}, method="sales5@1")


def change(database, portal, **values):
    with database.session() as session:
        row = session.get_one(Portal, portal.portal_id)
        for name, value in values.items():
            setattr(row, name, value)


def field(name="f1", **choices):
    return {"id": name, "name": name, "choices": choices}


def test_settings_are_noted_key_by_key_with_before_and_after(database, portal):
    with audit.acting("cli:anna"):
        change(database, portal, settings={"window": 180, "customer": "company"})
    detail = {"window": [365, 180], "customer": [None, "company"], "lunch": ["13:00-14:00", None]}
    assert rows(database, ENTRIES) == [("cli:anna", "settings.changed", detail)]


def test_the_method_the_state_and_the_zone_are_noted_too(database, portal):
    change(database, portal, method="sales5@2", state="paused", time_zone="UTC")
    assert rows(database, ENTRIES) == [
        ("system", "method.changed", {"method": ["sales5@1", "sales5@2"]}),
        ("system", "portal.changed", {"state": ["active", "paused"], "time_zone": ["Europe/Moscow", "UTC"]}),
    ]


@pytest.mark.parametrize(
    "values",
    [
        {"settings": {"window": 365, "lunch": "13:00-14:00"}},
        {"settings": {"window": 365, "lunch": "13:00-14:00", "erase_at": "2026-12-01"}},
        {"last_sync_at": at("2026-11-24 12:00")},
        {"access": b"sealed"},
        {"hook": b"sealed"},
    ],
    ids=lambda values: next(iter(values)),
)
def test_what_is_no_change_for_people_and_what_is_secret_is_not_noted(database, portal, values):
    change(database, portal, **values)
    assert rows(database, ENTRIES) == []


def test_a_change_that_is_rolled_back_leaves_no_note(database, portal):
    with database.rehearsal() as session:
        session.get_one(Portal, portal.portal_id).method = "sales5@2"
        session.flush()
    assert rows(database, ENTRIES) == []


def test_the_schema_of_the_fields_has_a_version_that_counts_up(database, portal):
    first = {"contact": {"r": field("f1"), "segment": field("f2", vip="1")}}
    second = {"contact": {"r": field("f1"), "segment": field("f2", vip="1", new="2")}, "company": {"r": field("f3")}}
    for fields in (first, first, second):
        change(database, portal, fields=json.dumps(fields))
    assert rows(database, ENTRIES) == [
        ("system", "fields.changed", {"schema": 1, "created": ["contact.r", "contact.segment"]}),
        ("system", "fields.changed", {"schema": 2, "created": ["company.r"], "changed": ["contact.segment"]}),
    ]


def test_who_acts_is_put_in_where_a_place_only_knows_that_somebody_does(database, portal):
    with database.session() as session:
        audit.note(session, portal.portal_id, audit.PERSON, "run.undone", {})
        with audit.acting("page"), audit.acting("job:run"):
            audit.note(session, portal.portal_id, audit.SYSTEM, "run.undone", {})
            audit.note(session, portal.portal_id, "hubspot", "portal.installed", {})
    assert [row[0] for row in rows(database, ENTRIES)] == ["cli", "job:run", "hubspot"]


def test_the_newest_lines_come_first_and_none_before_the_day_asked_for(database, portal):
    change(database, portal, state="paused")
    change(database, portal, state="active")
    with database.session() as session:
        found = audit.entries(session, portal.portal_id, limit=1)
        assert [entry.detail for entry in found] == [{"state": ["paused", "active"]}]
        assert audit.entries(session, portal.portal_id, since=at("2100-01-01 00:00")) == []
