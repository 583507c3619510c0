"""The pages of the work, in both languages, with work and without."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.store.models import OccasionEventRow, OccasionRow, TaskRow
from connector.web.texts import texts_in
from connector.wording import Language
from tests.connector.web.shop import NOW, whole_shop


@pytest.fixture
def portal(database):
    with database.session() as session:
        return whole_shop(session)


def begin(database, portal):
    """Work on customer 1 since an hour ago, due in a minute; the task's title is hostile."""
    started = NOW - timedelta(hours=1)
    own = {"portal_id": portal.portal_id, "customer": 1}
    target = {
        "clock": "first_contact", "amount": 61, "unit": "minutes", "policy": "sla@1", "business_hours": False,
        "warn_left": 0.25, "least_call_seconds": 30, "pauses": [], "grace_minutes": 0, "every_days": None,
        "per_month": None,
    }  # fmt: skip
    words = {"rule": "came_back", "event_key": "run", "priority": "high", "due_at": NOW, "manager_id": None}
    with database.session() as session:
        session.add(
            OccasionRow(
                **own, **words, key="k1", work_class="loyal", big=False, quality=100, playbook="p@2", policy="sla@1",
                task_key="k1", started_at=started, look_at=None,
            )
        )  # fmt: skip
        lines = (("started", {"targets": [target]}), ("raised", {"step": "first"}))
        for number, (kind, body) in enumerate(lines):
            line = {"occasion": "k1", "number": number, "at": started, "kind": kind, "source": kind, "body": body}
            session.add(OccasionEventRow(**own, **line))
        task = {"key": "k1", "run_id": "r", "title": "<b>Call</b>", "body": "", "raised_on": NOW.date()}
        session.add(TaskRow(**own, **words, **task, state="created", external_id="9"))


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_queue_and_the_figures_are_shown_in_the_language_asked_for(database, portal, client, language):
    begin(database, portal)
    texts = texts_in(Language(language))
    answer = client.get(f"/portals/north/queue?lang={language}")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 200
    for words in (texts("work.queue"), texts("work.deeds"), "&lt;b&gt;Call", "<code>k1</code>"):
        assert words in page, words
    assert "<b>Call" not in page
    assert any(texts(f"work_state.{state}") in page for state in ("breached", "at_risk", "running"))
    found = client.get(f"/portals/north/sla?lang={language}&period=month").get_data(as_text=True)
    for words in (texts("work.rules"), texts("work_class.loyal"), "<code>came_back</code>"):
        assert words in found, words


def test_without_work_the_pages_say_so_and_the_portal_leads_to_them(portal, client):
    assert "Nothing waits." in client.get("/portals/north/queue?lang=en").get_data(as_text=True)
    assert "Nothing was worked on" in client.get("/portals/north/sla?lang=en").get_data(as_text=True)
    assert "/portals/north/queue" in client.get("/portals/north").get_data(as_text=True)


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/portals/nobody/queue", 404),
        ("/portals/nobody/sla", 404),
        ("/portals/north/sla?period=year", 400),
        ("/portals/north/queue?manager=%00", 400),
        ("/portals/north/queue?manager=77", 200),
    ],
)
def test_wrong_addresses_are_refused_in_words(portal, client, address, status):
    assert client.get(address).status_code == status
