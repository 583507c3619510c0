"""The twelve fields: what they are, that they exist, and when that must be looked at again."""

from __future__ import annotations

import pytest

from adapters.contract import FieldMap, FieldType
from adapters.errors import Conflict
from connector.jobs import card_fields
from connector.store import mirror
from connector.store.models import Portal
from scoring.methods import load_method
from tests.connector.factories import COMPANY, CONTACT, execute, keep_portal, rows
from tests.fakes.memory import MemoryCRM

KEYS = (
    "r",
    "f",
    "m",
    "code",
    "segment",
    "segment_previous",
    "updated_at",
    "method",
    "quality",
    "churn_risk",
    "upsell",
    "hint",
)


def reread(database):
    with database.session() as session:
        return session.query(Portal).one()


def test_the_fields_are_those_of_the_contract():
    specs = card_fields.field_specs([load_method("sales5")], "en")
    assert tuple(spec.key for spec in specs) == KEYS
    assert {spec.key: spec.type for spec in specs if spec.key in {"m", "segment", "updated_at", "upsell", "hint"}} == {
        "m": FieldType.DECIMAL,
        "segment": FieldType.CHOICE,
        "updated_at": FieldType.TIME,
        "upsell": FieldType.FLAG,
        "hint": FieldType.LONG_TEXT,
    }
    assert all(spec.label.startswith("RFM") for spec in specs)


@pytest.mark.parametrize("method", ["sales5", "customer360", "octolis6"])
def test_the_segment_field_offers_every_segment_and_labels_are_translated(method):
    def segment(language):
        return next(spec for spec in card_fields.field_specs([load_method(method)], language) if spec.key == "segment")

    english, russian = segment("en"), segment("ru")
    wanted = {one.value for one in load_method(method).segments}
    assert {choice.value for choice in english.choices} == {choice.value for choice in russian.choices} == wanted
    assert english.label != russian.label


def test_fields_are_created_remembered_and_not_checked_again_the_same_day(database):
    portal, crm, method = keep_portal(database), MemoryCRM(), load_method("sales5")
    assert card_fields.fields_ready(portal, method) is None
    assert len(card_fields.plan_fields(database, portal, crm, method)) == 24
    fields = card_fields.ensure_fields(database, portal, crm, method)
    assert set(fields.of(COMPANY)) == set(fields.of(CONTACT)) == set(KEYS)
    stored = reread(database)
    assert card_fields.fields_ready(stored, method) == fields == FieldMap.from_json(stored.fields)
    assert card_fields.plan_fields(database, stored, crm, method) == []
    execute(database, "UPDATE portals SET fields_checked_at = now() - interval '21 hours'")
    assert card_fields.fields_ready(reread(database), method) is None


def test_a_method_with_other_segments_needs_another_look(database):
    portal, crm = keep_portal(database), MemoryCRM()
    card_fields.ensure_fields(database, portal, crm, load_method("sales5"))
    stored = reread(database)
    assert card_fields.fields_ready(stored, load_method("customer360")) is None
    card_fields.ensure_fields(database, stored, crm, load_method("customer360"))
    options = set(crm.fields[CONTACT]["segment"].choices)
    assert options >= {segment.value for name in ("sales5", "customer360") for segment in load_method(name).segments}


def test_a_field_of_another_type_in_our_place_stops_and_nothing_is_remembered(database):
    portal, crm = keep_portal(database), MemoryCRM()
    crm.foreign_fields.add((CONTACT, "m"))
    with pytest.raises(Conflict):
        card_fields.ensure_fields(database, portal, crm, load_method("sales5"))
    assert rows(database, "SELECT fields FROM portals") == [None]


def test_cards_read_before_their_fields_were_known_are_read_again(database):
    """Otherwise cards that hold our values from an earlier installation would all be written anew."""
    portal, crm = keep_portal(database), MemoryCRM()
    with database.session() as session:
        mirror.move_cursor(session, portal.portal_id, "customers:contact", "c")
        mirror.move_cursor(session, portal.portal_id, "orders:deals", "o")
    card_fields.ensure_fields(database, portal, crm, load_method("sales5"))
    assert rows(database, "SELECT stream FROM cursors") == ["orders:deals"]
    with database.session() as session:
        mirror.move_cursor(session, portal.portal_id, "customers:contact", "c")
    card_fields.ensure_fields(database, reread(database), crm, load_method("customer360"))
    assert rows(database, "SELECT stream FROM cursors ORDER BY 1") == ["customers:contact", "orders:deals"]
