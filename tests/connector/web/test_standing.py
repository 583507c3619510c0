from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from connector.store.models import Portal, RunRow
from connector.store.overview import Activity
from connector.web.links import card_url, is_sandbox
from connector.web.standing import State, standing, state_of
from connector.web.texts import texts_in
from connector.wording import Language
from tests.connector.web.shop import NOW

EN = texts_in(Language.EN)


def portal(**values: Any) -> Portal:
    defaults: dict[str, Any] = {
        "portal_id": 1,
        "crm": "hubspot",
        "name": "north",
        "account_id": "101",
        "host": "api.hubapi.com",
        "web_url": "https://app.hubspot.com",
        "state": "active",
        "time_zone": "Europe/Moscow",
        "last_sync_at": NOW - timedelta(hours=1),
    }
    return Portal(**{**defaults, **values})


def run(state: str, **counts: int) -> Activity:
    row = RunRow(
        portal_id=1, run_id="r", kind="run", as_of=date(2026, 11, 24), state=state, started_at=NOW, counts=counts
    )
    return Activity(last_run={1: row})


@pytest.mark.parametrize(
    ("shown", "activity", "state"),
    [
        (portal(), run("done"), State.FINE),
        (portal(), run("done_with_refusals", refused=3), State.REFUSALS),
        (portal(last_sync_at=NOW - timedelta(days=2)), run("done"), State.FINE),
        (portal(last_sync_at=NOW - timedelta(days=2, seconds=1)), run("done"), State.STALE),
        (portal(last_sync_at=None), Activity(), State.NEVER),
        (portal(), run("interrupted"), State.FAILED),
        (portal(), run("running"), State.FAILED),
        (portal(last_sync_at=None), Activity(working={1}), State.WORKING),
        (portal(), Activity(last_run=run("running").last_run, working={1}), State.WORKING),
        (portal(), Activity(last_run=run("running").last_run, working={2}), State.FAILED),
        (portal(state="paused", state_reason="unpaid"), run("interrupted"), State.PAUSED),
        (portal(state="disconnected"), Activity(working={1}), State.DISCONNECTED),
        (portal(), Activity(access_lost={1: (NOW, "no")}), State.SHUT_OUT),
        (portal(), Activity(access_lost={1: (NOW - timedelta(hours=2), "no")}), State.FINE),
        (portal(info_at=NOW + timedelta(hours=1)), Activity(access_lost={1: (NOW, "no")}), State.FINE),
    ],
)
def test_the_most_important_state_is_shown(shown, activity, state):
    assert state_of(shown, activity, NOW) is state


@pytest.mark.parametrize(
    ("shown", "activity", "words"),
    [
        (portal(last_sync_at=NOW - timedelta(days=5)), Activity(), "5 days ago, on 19 November 2026, 15:00 MSK"),
        (portal(), run("done_with_refusals", refused=1), "refused 1 record in the last run"),
        (portal(), run("interrupted"), "The run of 24 November 2026, 15:00 MSK was cut off"),
        (portal(), Activity(access_lost={1: (NOW, "the token is dead")}), "not let us in: the token is dead"),
        (portal(state="paused", state_reason="unpaid"), Activity(), "acts: unpaid"),
    ],
)
def test_the_sentence_has_what_a_person_needs(shown, activity, words):
    assert words in standing(shown, activity, NOW, EN).text.replace("\u00a0", " ")


def test_every_state_has_words_in_both_languages():
    for language in Language:
        texts = texts_in(language)
        assert all(texts(f"state.{state}") and texts.entries[f"state_text.{state}"] for state in State)


@pytest.mark.parametrize(
    ("values", "kind", "url"),
    [
        ({}, "contact", "https://app.hubspot.com/contacts/101/record/0-1/7"),
        ({}, "company", "https://app.hubspot.com/contacts/101/record/0-2/7"),
        ({"crm": "amocrm", "host": "x.amocrm.ru"}, "contact", "https://x.amocrm.ru/contacts/detail/7"),
        ({"crm": "amocrm", "host": "x.amocrm.ru"}, "company", "https://x.amocrm.ru/companies/detail/7"),
        ({"crm": "bitrix24", "host": "x.bitrix24.ru"}, "company", "https://x.bitrix24.ru/crm/company/details/7/"),
        ({"host": "127.0.0.1:8103"}, "contact", "http://127.0.0.1:8103/sandbox/cards/contact/7"),
        ({"crm": "other", "host": "x.example"}, "contact", None),
    ],
)
def test_a_card_opens_in_its_crm(values, kind, url):
    assert card_url(portal(**values), kind, "7") == url


def test_an_id_cannot_leave_its_place_in_an_address():
    assert (
        card_url(portal(), "contact", "7/../<x>?")
        == "https://app.hubspot.com/contacts/101/record/0-1/7%2F..%2F%3Cx%3E%3F"
    )


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1:8101", True),
        ("[::1]:8101", True),
        ("localhost:9", True),
        ("api.hubapi.com", False),
        ("10.0.0.1", False),
    ],
)
def test_a_sandbox_is_what_answers_on_this_computer(host, local):
    assert is_sandbox(portal(host=host)) is local
