"""The page "Delivery": every part of it in both languages, and wrong addresses are refused in words."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from connector.store import alerts, audit
from connector.store.alerts import Alarm
from connector.store.models import CardEventRow, FactRow, LetterRow, MoveRow, RequestRow, RunRow
from connector.web.texts import texts_in
from connector.wording import Language
from tests.connector.web.shop import NOW, add_portal, whole_shop

DAY = NOW.date()


@pytest.fixture
def portal(database):
    with database.session() as session:
        return whole_shop(session)


def fill(database, portal):
    """A day with something of everything."""
    own = {"portal_id": portal.portal_id}
    with database.session() as session:
        run_id, day = session.execute(select(RunRow.run_id, RunRow.as_of)).first()
        for kind, about, why, count in (
            ("moved", "vip>at_risk", "time", 12),
            ("moved", "loyal>vip", "unknown", 3),
            ("written", "", "", 55),
            ("refused", "segment", "locked", 2),
            ("living", "", "", 60),
            ("unrefreshed", "cards", "", 4),
        ):
            session.add(FactRow(**own, run_id=run_id, kind=kind, about=about, why=why, day=day, count=count))
        words = {"as_of": day, "was": "loyal", "now": "vip", "method": "sales5@1", "cause": "unknown"}
        session.add(MoveRow(**own, customer=1, run_id=run_id, kind="segment", **words))
        letter = {"state": "refused", "field": "segment", "reason": "<b>locked</b>", "run_id": run_id}
        session.add(LetterRow(**own, customer=2, first_at=NOW, last_at=NOW, times=3, **letter))
        session.add(CardEventRow(**own, customer=3, field="hint", expected="a", found="b", seen_at=NOW))
        hour = NOW.replace(minute=0, second=0, microsecond=0)
        session.add(RequestRow(**own, hour=hour, operation="contacts list", status="2xx", count=10, ms=1230))
        audit.note(session, portal.portal_id, "cli:anna", "settings.changed", {"window": [365, 180]})
        alerts.settle(session, [Alarm(portal.portal_id, "jumps", detail={"jumps": 3})], NOW)
    return day


@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_part_is_shown_in_the_language_asked_for(database, portal, client, language):
    fill(database, portal)
    answer = client.get(f"/portals/north/delivery?lang={language}")
    page, texts = answer.get_data(as_text=True), texts_in(Language(language))
    assert answer.status_code == 200
    for key in ("moves", "waiting", "hands", "requests", "audit"):
        assert texts(f"delivery.{key}") in page
    for words in ("contacts list", "cli:anna", "settings.changed", "123", "&lt;b&gt;locked", "<code>hint</code>"):
        assert words in page, words
    assert texts("delivery_cause.unknown") in page
    assert {"en": "3 customers changed segment without an event", "ru": "сегмент сменился без события: 3"}[
        language
    ] in page
    assert "delivery." not in page.replace("delivery.page", "")


def test_another_day_has_its_own_figures_and_leads_back(database, portal, client):
    day = fill(database, portal)
    other = (day - timedelta(days=1)).isoformat()
    page = client.get(f"/portals/north/delivery?lang=en&day={other}").get_data(as_text=True)
    assert "Nobody changed segment." in page
    assert f"day={day.isoformat()}" in page


def test_a_portal_without_runs_and_the_way_to_the_page(database, client):
    with database.session() as session:
        add_portal(session)
    assert "/portals/north/delivery" in client.get("/portals/north").get_data(as_text=True)
    assert client.get("/portals/north/delivery").status_code == 200


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/portals/nobody/delivery", 404),
        ("/portals/north/delivery?day=yesterday", 400),
        ("/portals/north/delivery?day=2026-W48-2", 400),
        ("/portals/north/delivery?day=0001-01-01", 200),
        ("/portals/north/delivery?day=9999-12-31", 200),
    ],
)
def test_wrong_addresses_are_refused_in_words(portal, client, address, status):
    assert client.get(address).status_code == status
