"""Robots of Bitrix24 and workflow actions of HubSpot, over HTTP: proven, kept once, answered soon."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from adapters.errors import Unavailable
from connector.deadline import NEVER
from connector.jobs import automations, loop, schedule, subscribing
from connector.jobs.answering import answer_portal
from connector.jobs.definitions import perform
from connector.jobs.retention import forget
from connector.store import calls
from tests.connector.api.bench import ask
from tests.connector.api.test_cards import deal_of, installed, scored
from tests.connector.factories import execute, rows


def answers_asked(database):
    return rows(database, "SELECT asked_at IS NOT NULL FROM work WHERE job = 'answers'") == [True]


def do_answers(stage):
    assert answer_portal(stage.service, stage.kept().portal_id)


@pytest.fixture
def robots(bitrix24):
    return installed(bitrix24)


@pytest.fixture
def workflows(hubspot):
    return installed(hubspot)


# --- Bitrix24 ------------------------------------------------------------------------------------------------------


def test_a_robot_that_waits_is_told_the_score_of_the_deals_customer(robots):
    _, _, segment, code, r, f, m, number = scored(robots)
    oauth, state = robots.portal.oauth, robots.portal.state
    heard = oauth.run_robot("rfm_segment", f"DEAL_{deal_of(robots, number)}")
    assert heard.status == 200, heard.body
    assert answers_asked(robots.database)
    assert len(state.waiting_robots) == 1
    do_answers(robots)
    assert state.waiting_robots == set()
    (told,) = state.robot_answers.values()
    assert told["values"] == {"r": str(r), "f": str(f), "m": f"{m:.2f}", "code": code, "segment": segment}
    assert code in told["log"]


def test_a_robot_that_scores_has_the_deal_read_again_first(robots):
    _, _, _, _, _, _, m, number = scored(robots)
    deal = int(deal_of(robots, number))
    robots.portal.state.deals.rows[deal].opportunity += 1000
    assert robots.portal.oauth.run_robot("rfm_score", f"DEAL_{deal}").status == 200
    do_answers(robots)
    (told,) = robots.portal.state.robot_answers.values()
    assert told["values"]["m"] == f"{m + 1000:.2f}"


def test_a_robot_that_does_not_wait_is_scored_and_told_nothing(robots):
    *_, number = scored(robots)
    heard = robots.portal.oauth.run_robot("rfm_score", f"DEAL_{deal_of(robots, number)}", waits="N")
    assert heard.status == 200
    do_answers(robots)
    assert robots.portal.state.robot_answers == {}
    assert rows(robots.database, "SELECT outcome, sealed FROM calls") == [("nobody waited", None)]


def test_a_robot_on_a_deal_without_a_scored_customer_does_not_hang(robots):
    assert robots.portal.oauth.run_robot("rfm_score", "DEAL_999999").status == 200
    assert robots.portal.oauth.run_robot("rfm_segment", "LEAD_5").status == 200
    do_answers(robots)
    assert robots.portal.state.waiting_robots == set()
    assert [told["values"] for told in robots.portal.state.robot_answers.values()] == [{"segment": ""}] * 2


def test_a_call_that_is_repeated_is_one_and_answered_once(robots):
    *_, number = scored(robots)
    form = robots.portal.oauth.robot_form("rfm_score", f"DEAL_{deal_of(robots, number)}")
    for _ in range(3):
        assert robots.post("/robots/bitrix24/rfm_score", form).status == 200
    assert rows(robots.database, "SELECT count(*) FROM calls") == [1]
    do_answers(robots)
    assert robots.post("/robots/bitrix24/rfm_score", form).status == 200
    do_answers(robots)
    assert len(robots.portal.state.robot_answers) == 1
    assert rows(robots.database, "SELECT outcome FROM calls") == ["answered"]


def test_a_kill_between_the_portals_answer_and_ours_is_no_harm(robots, monkeypatch):
    *_, number = scored(robots)
    robots.portal.oauth.run_robot("rfm_segment", f"DEAL_{deal_of(robots, number)}")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(calls, "answered", killed)
    with pytest.raises(KeyboardInterrupt):
        do_answers(robots)
    monkeypatch.undo()
    do_answers(robots)
    assert len(robots.portal.state.robot_answers) == 1
    (outcome,) = rows(robots.database, "SELECT outcome FROM calls")
    assert "ACCESS_DENIED" in outcome


def test_answers_that_cannot_be_given_now_are_tried_again_and_never_given_up(robots, monkeypatch):
    robots.portal.oauth.run_robot("rfm_segment", "DEAL_1")
    portal_id = robots.kept().portal_id
    real = automations.automations_of

    class Away:
        def answer(self, answers):
            raise Unavailable("the portal is away")

    monkeypatch.setattr("connector.jobs.answering.automations_of", lambda _: Away())
    for _ in range(8):
        perform(robots.service, schedule.ANSWERS, portal_id, NEVER)
    assert answers_asked(robots.database)
    monkeypatch.setattr("connector.jobs.answering.automations_of", real)
    perform(robots.service, schedule.ANSWERS, portal_id, NEVER)
    assert not answers_asked(robots.database)
    assert len(robots.portal.state.robot_answers) == 1


def test_the_token_of_a_call_is_sealed_and_forgotten_when_it_was_answered(robots):
    form = robots.portal.oauth.robot_form("rfm_segment", "DEAL_1")
    robots.post("/robots/bitrix24/rfm_segment", form)
    everything = "".join(rows(robots.database, "SELECT c::text FROM calls c"))
    assert form["event_token"] not in everything
    do_answers(robots)
    assert rows(robots.database, "SELECT sealed FROM calls") == [None]
    forget(robots.database, datetime(2100, 1, 1, tzinfo=UTC))
    assert rows(robots.database, "SELECT count(*) FROM calls") == [0]


def test_a_robot_that_is_not_proven_or_not_ours_is_refused_and_nothing_is_kept(robots):
    form = robots.portal.oauth.robot_form("rfm_score", "DEAL_1")
    for change, status in (
        ({"auth[application_token]": "guessed"}, 403),
        ({"auth[application_token]": ""}, 403),
        ({"auth[member_id]": "0" * 32}, 403),
        ({"auth[member_id]": ""}, 403),
        ({"event_token": ""}, 400),
        ({"event_token": "x" * 2000}, 400),
        ({"event_token": "a\nb"}, 400),
    ):
        told = robots.post("/robots/bitrix24/rfm_score", form | change)
        assert (change, told.status) == (change, status)
    assert robots.post("/robots/bitrix24/rfm_other", form).status == 404
    assert robots.post("/robots/bitrix24/rfm-score", form).status == 404
    assert ask("GET", f"{robots.url}/robots/bitrix24/rfm_score").status == 405
    assert ask("HEAD", f"{robots.url}/robots/bitrix24/rfm_score").status == 200
    assert rows(robots.database, "SELECT count(*) FROM calls") == [0]


def test_robots_and_tabs_are_registered_with_the_installation_and_stay_as_they_are(robots):
    state, base = robots.portal.state, robots.url
    assert {code: one["HANDLER"] for code, one in state.robots.items()} == {
        "rfm_score": f"{base}/robots/bitrix24/rfm_score",
        "rfm_segment": f"{base}/robots/bitrix24/rfm_segment",
    }
    assert set(state.placements) == {
        (f"CRM_{card}_DETAIL_TAB", f"{base}/card/bitrix24") for card in ("CONTACT", "COMPANY", "DEAL")
    }
    before = robots.portal._service.calls.copy()
    subscribing.set_up(robots.service, robots.kept().portal_id)
    new = robots.portal._service.calls - before
    assert not [name for name in new if name.endswith((".add", ".bind", ".update", ".unbind"))]


def test_what_the_portal_has_forgotten_is_registered_again(robots):
    robots.portal.state.forget_app()
    subscribing.set_up(robots.service, robots.kept().portal_id)
    assert set(robots.portal.state.robots) == {"rfm_score", "rfm_segment"}
    assert len(robots.portal.state.placements) == 3


def test_another_address_of_ours_replaces_the_old_one(robots):
    state = robots.portal.state
    moved = replace(robots.service, config=replace(robots.config, public_url="https://new.example"))
    subscribing.set_up(moved, robots.kept().portal_id)
    assert state.robots["rfm_score"]["HANDLER"] == "https://new.example/robots/bitrix24/rfm_score"
    assert {handler for _, handler in state.placements} == {"https://new.example/card/bitrix24"}
    moved.grants.close()


def test_a_portal_that_takes_no_robots_gets_its_tabs_and_the_reason_is_kept(bitrix24):
    bitrix24.portal.state.scopes.discard("bizproc")
    bitrix24.install()
    assert bitrix24.portal.state.robots == {}
    assert len(bitrix24.portal.state.placements) == 3
    stands = bitrix24.kept().settings[automations.SETTING]
    assert "bizproc" in stands["robots"]
    assert stands["tabs"] == ""
    assert bitrix24.kept().state == "active"


def test_calls_left_unanswered_are_asked_for_again_by_the_daily_look(robots):
    robots.portal.oauth.run_robot("rfm_segment", "DEAL_1")
    execute(robots.database, "UPDATE work SET asked_at = NULL")
    execute(robots.database, "DELETE FROM procrastinate_jobs")
    subscribing.set_up(robots.service, robots.kept().portal_id)
    assert answers_asked(robots.database)


# --- HubSpot -------------------------------------------------------------------------------------------------------


def run_action(stage, name, kind, external_id, **more):
    url = f"{stage.url}/actions/hubspot/{name}"
    callback, heard = stage.portal.automation.run_action(url, kind.upper(), int(external_id), **more)
    return callback, heard, json.loads(heard.body)


def test_a_workflow_that_asks_for_the_segment_is_answered_at_once(workflows):
    kind, external_id, segment, code, r, f, m, _ = scored(workflows)
    _, heard, told = run_action(workflows, "rfm-segment", kind, external_id)
    assert heard.status == 200
    assert told["outputFields"] == {
        "hs_execution_state": "SUCCESS",
        "r": r,
        "f": f,
        "m": f"{m:.2f}",
        "code": code,
        "segment": segment,
    }
    assert rows(workflows.database, "SELECT count(*) FROM calls") == [0]


def test_a_workflow_that_scores_waits_until_it_is_told(workflows):
    kind, external_id, segment, code, *_ = scored(workflows)
    callback, heard, told = run_action(workflows, "rfm-score", kind, external_id)
    assert heard.status == 200
    assert told["outputFields"]["hs_execution_state"] == "BLOCK"
    assert workflows.portal.automation.waiting == {callback}
    do_answers(workflows)
    assert workflows.portal.automation.waiting == set()
    ended = workflows.portal.automation.ended[callback]
    assert (ended["hs_execution_state"], ended["segment"], ended["code"]) == ("SUCCESS", segment, code)


def test_a_callback_that_comes_again_waits_once_and_is_answered_at_once_when_it_is_over(workflows):
    kind, external_id, *_, code, _r, _f, _m, _ = scored(workflows)
    callback, _, _ = run_action(workflows, "rfm-score", kind, external_id)
    _, _, again = run_action(workflows, "rfm-score", kind, external_id, callback=callback)
    assert again["outputFields"]["hs_execution_state"] == "BLOCK"
    assert rows(workflows.database, "SELECT count(*) FROM calls") == [1]
    do_answers(workflows)
    _, _, over = run_action(workflows, "rfm-score", kind, external_id, callback=callback)
    assert (over["outputFields"]["hs_execution_state"], over["outputFields"]["code"]) == ("SUCCESS", code)


def test_many_workflow_calls_are_answered_whatever_one_of_them_has_come_to(workflows):
    kind, external_id, *_ = scored(workflows)
    callbacks = [run_action(workflows, "rfm-score", kind, external_id)[0] for _ in range(5)]
    workflows.portal.automation.waiting.discard(callbacks[2])
    do_answers(workflows)
    assert set(workflows.portal.automation.ended) == {*callbacks} - {callbacks[2]}
    assert sorted(rows(workflows.database, "SELECT outcome = 'answered' FROM calls")) == [False] + [True] * 4


def test_without_the_scope_to_end_calls_the_values_of_now_are_answered(hubspot):
    hubspot.portal.oauth.missing = frozenset({"automation"})
    installed(hubspot)
    kind, external_id, segment, *_ = scored(hubspot)
    _, _, told = run_action(hubspot, "rfm-score", kind, external_id)
    assert (told["outputFields"]["hs_execution_state"], told["outputFields"]["segment"]) == ("SUCCESS", segment)
    do_answers(hubspot)
    assert rows(hubspot.database, "SELECT outcome FROM calls") == ["nobody waited"]


def test_the_documented_older_signature_is_taken_and_no_other(workflows):
    kind, external_id, *_ = scored(workflows)
    assert run_action(workflows, "rfm-segment", kind, external_id, old=True)[1].status == 200
    url = f"{workflows.url}/actions/hubspot/rfm-segment"
    body = b'{"callbackId":"c","origin":{"portalId":101},"object":{"objectId":1,"objectType":"CONTACT"}}'
    headers = {"Content-Type": "application/json"}
    signed = workflows.portal.automation.signed("POST", url, body)
    assert ask("POST", url, body, headers | signed).status == 200
    assert ask("POST", url, body, headers).status == 403
    assert ask("POST", url, body + b" ", headers | signed).status == 403
    assert ask("POST", url.replace("segment", "score"), body, headers | signed).status == 403
    late = {**signed, "X-HubSpot-Request-Timestamp": "1700000000000"}
    assert ask("POST", url, body, headers | late).status == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"callbackId":5}', 400),
        (b'{"callbackId":""}', 400),
        (b'{"callbackId":"a\\u0000b","origin":{"portalId":101}}', 400),
        (b'{"callbackId":"c"}', 400),
        (b'{"callbackId":"c","origin":{"portalId":"x"}}', 400),
        (b'{"callbackId":"c","origin":{"portalId":999}}', 403),
        (b"[" * 5000, 400),
    ],
)
def test_a_signed_body_that_is_no_call_is_refused(hubspot, body, status):
    url = f"{hubspot.url}/actions/hubspot/rfm-score"
    assert ask("POST", url, body, hubspot.portal.automation.signed("POST", url, body)).status == status
    assert rows(hubspot.database, "SELECT count(*) FROM calls") == [0]


def test_amocrm_has_no_automations_of_ours_through_the_api(amocrm):
    amocrm.install()
    portal = amocrm.kept()
    with loop.working_on(amocrm.service, portal.name) as (kept, opened):
        assert automations.ensure(amocrm.service, kept, opened.adapter) == {}
