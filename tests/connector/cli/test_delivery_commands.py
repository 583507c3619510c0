"""report, refused, audit, card and requests as people and scripts call them."""

from __future__ import annotations

import getpass

import pytest

from adapters.records import CustomerRef
from tests.connector.factories import CONTACT, execute, rows


@pytest.fixture
def run_once(connected, crm):
    crm.refusals["contact:3"] = ("segment", "locked")
    connected("run", "p")
    return connected


@pytest.mark.parametrize(
    "words",
    [
        ("report", "p"),
        ("report", "p", "--day", "2020-01-01"),
        ("refused", "p"),
        ("refused", "p", "--dry-run"),
        ("audit", "p"),
        ("audit", "p", "--since", "2026-01-01"),
        ("card", "p", "contact:5"),
        ("requests", "p"),
        ("portals",),
    ],
    ids=" ".join,
)
def test_every_command_has_words_and_one_json_object(run_once, words):
    said = run_once(*words)
    assert (said.status, said.out.strip() != "") == (0, True)
    assert len(run_once(*words, "--json").out.splitlines()) == 1


def test_the_report_counts_what_was_written_and_what_was_refused(run_once):
    found = run_once("report", "p", "--json").json
    assert (found["written"], found["waiting"], found["unrefreshed"]["of"]) == (7, 1, 8)
    assert found["refused"] == [{"field": "segment", "reason": "locked", "cards": 1}]
    assert found["invalid"] == []
    assert "Refused by the CRM: 1 card" in run_once("report", "p").out


def test_before_the_first_run_the_report_says_so(connected):
    assert "no run yet" in connected("report", "p").out


def test_what_waits_is_tried_again_with_the_exit_status_of_a_run(run_once, crm):
    assert run_once("refused", "p", "--json").json["waiting"][0]["customer"] == "contact:3"
    assert run_once("refused", "p", "--retry").status == 1
    assert run_once("refused", "p", "--json").json["waiting"][0]["times"] == 2
    crm.refusals.clear()
    said = run_once("refused", "p", "--retry", "--json")
    assert (said.status, said.json["written"]) == (0, 1)
    assert run_once("refused", "p").out.strip() == "nothing waits"


def test_the_trail_names_who_typed_and_what_was_there_before(run_once):
    run_once("settings", "p", "window=100")
    run_once("settings", "p", "window=200")
    newest = run_once("audit", "p", "--json").json["entries"][0]
    assert (newest["action"], newest["detail"]) == ("settings.changed", {"window": [100, 200]})
    assert newest["actor"] == f"cli:{getpass.getuser()}"
    actions = {entry["action"] for entry in run_once("audit", "p", "--json").json["entries"]}
    assert {"portal.connected", "fields.changed", "method.published", "cards.written"} <= actions


def test_a_card_says_where_each_value_is_from(run_once, crm):
    run_id = rows_of_run(run_once)
    values = {one["field"]: one for one in run_once("card", "p", "contact:5", "--json").json["values"]}
    assert (values["segment"]["run"], values["segment"]["method"], values["segment"]["previous"]) == (
        run_id,
        "sales5@1",
        None,
    )
    crm.edit_card(CustomerRef(CONTACT, "5"), hint="by hand")
    run_once("sync", "p")
    values = {one["field"]: one for one in run_once("card", "p", "contact:5", "--json").json["values"]}
    assert (values["hint"]["by"], values["hint"]["value"]) == ("others", "by hand")
    assert run_once("card", "p", "deal:5").status == 2


def rows_of_run(run_once):
    return run_once("report", "p", "--json").json["runs"][0]


def test_requests_are_told_by_hour_and_operation(run_once, database):
    execute(
        database,
        "INSERT INTO request_log (portal_id, hour, operation, status, count, ms)"
        " SELECT portal_id, date_trunc('hour', now()), 'contacts list', '2xx', 4, 1000 FROM portals",
    )
    found = run_once("requests", "p", "--json").json["requests"]
    assert [(one["operation"], one["status"], one["count"], one["mean_ms"]) for one in found] == [
        ("contacts list", "2xx", 4, 250)
    ]
    assert rows(database, "SELECT count(*) FROM request_log") == [1]


def test_portals_tell_their_health(run_once):
    [portal] = run_once("portals", "--json").json["portals"]
    assert set(portal["health"]) == {"score", "band", "parts"}
    assert 0 <= portal["health"]["score"] < 100


def test_an_undo_of_the_settings_that_make_no_sense_is_refused(run_once):
    said = run_once("settings", "p", 'alarm_limits={"jumps": "many"}')
    assert (said.status, "jumps" in said.err) == (2, True)
    assert run_once("settings", "p", "stale_days=0").status == 2
    assert run_once("settings", "p", 'alarm_limits={"jumps": null}', "stale_days=3").status == 0
