"""What is refused waits and is tried again; each move has its cause; the report says so."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from adapters.records import CustomerRef
from connector.errors import WrongUse
from connector.jobs import delivering, loop
from connector.jobs.steps import Report, Steps, silent
from connector.scores.report import delivery_report
from connector.scores.report_texts import report_text
from connector.store.models import Portal, RunRow
from tests.connector.factories import CONTACT, connected, execute, order, rows, stock
from tests.fakes.memory import MemoryCRM

LETTERS = "SELECT customer, state, reason, times FROM dead_letters ORDER BY customer"
MOVED = "SELECT about, why, count FROM delivery_facts WHERE kind = 'moved' ORDER BY 1, 2"


@pytest.fixture
def crm():
    crm = MemoryCRM()
    stock(crm)
    return crm


@pytest.fixture
def service(monkeypatch, database, tmp_path, crm):
    with connected(monkeypatch, database, tmp_path, crm) as service:
        yield service


def report_of(service):
    with service.database.session() as session:
        portal = session.scalars(select(Portal)).one()
        return portal, delivery_report(session, portal, None, service.now())


# --- refused ---------------------------------------------------------------------------------------------------------


def test_a_refused_card_is_tried_at_every_run_until_the_crm_takes_it(service, crm):
    crm.refusals["contact:3"] = ("segment", "field is locked")
    assert len(loop.run_portal(service, "p").refused) == 1
    number = rows(service.database, "SELECT customer FROM dead_letters")[0]
    assert rows(service.database, LETTERS) == [(number, "refused", "field is locked", 1)]
    assert len(loop.run_portal(service, "p").refused) == 1
    assert rows(service.database, LETTERS) == [(number, "refused", "field is locked", 2)]
    del crm.refusals["contact:3"]
    assert loop.run_portal(service, "p").written == 1
    assert rows(service.database, LETTERS) == []


def test_what_waits_is_listed_tried_dry_and_tried_alone(service, crm):
    crm.refusals |= {"contact:3": ("segment", "locked"), "contact:4": (None, "gone?")}
    loop.run_portal(service, "p")
    found = delivering.refused(service, "p")
    assert (found["depth"], found["refused"], found["invalid"]) == (2, 2, 0)
    assert [(one["customer"], one["field"], one["times"]) for one in found["waiting"]] == [
        ("contact:3", "segment", 1),
        ("contact:4", None, 1),
    ]
    calls = crm.calls["write_scores"]
    plan = delivering.retry(service, "p", dry_run=True).plan
    assert (plan["cards"], crm.calls["write_scores"] - calls) == (2, 0)
    crm.refusals.clear()
    report = delivering.retry(service, "p")
    assert (report.written, report.refused) == (2, [])
    assert delivering.refused(service, "p")["waiting"] == []
    delivering.retry(service, "p")
    assert rows(service.database, "SELECT count(*) FROM runs WHERE kind = 'retry'") == [1]


def test_a_letter_whose_card_came_right_by_itself_is_dropped_by_the_next_run(service, crm):
    crm.refusals["contact:3"] = (None, "locked")
    loop.run_portal(service, "p")
    execute(service.database, "UPDATE customers SET gone = true WHERE external_id = '3'")
    loop.write_portal(service, "p")
    assert rows(service.database, LETTERS) == []


def test_a_value_that_cannot_be_right_is_not_sent_and_told_apart(service, crm):
    loop.run_portal(service, "p")
    execute(service.database, "UPDATE scores SET m = 'NaN' WHERE customer = 1")
    calls = crm.calls["write_scores"]
    report = loop.write_portal(service, "p")
    assert (len(report.invalid), report.refused, crm.calls["write_scores"]) == (1, [], calls)
    assert (report.invalid[0]["field"], report.invalid[0]["reason"]) == ("m", "is no number")
    assert rows(service.database, "SELECT state FROM dead_letters") == ["invalid"]
    assert rows(service.database, "SELECT kind, about, count FROM delivery_facts WHERE kind = 'invalid'") == [
        ("invalid", "m", 1)
    ]


def test_records_that_could_not_be_read_are_listed_and_tried_again_at_once(service):
    loop.run_portal(service, "p")
    execute(
        service.database,
        "INSERT INTO inbox"
        " (portal_id, resource, external_id, is_deletion, first_at, last_at, times, not_before, reason)"
        " SELECT portal_id, 'deal', '77', false, now(), now(), 1, now() + interval '1 day', 'odd' FROM portals",
    )
    assert [(one["record"], one["reason"]) for one in delivering.refused(service, "p")["unread"]] == [
        ("deal:77", "odd")
    ]
    delivering.retry(service, "p", dry_run=True)
    assert rows(service.database, "SELECT not_before > now() FROM inbox") == [True]
    delivering.retry(service, "p")
    assert rows(service.database, "SELECT not_before > now() FROM inbox") == [False]


# --- causes ----------------------------------------------------------------------------------------------------------


def test_days_that_pass_move_customers_by_time(service):
    today = service.now().date()
    loop.run_portal(service, "p", as_of=today - timedelta(days=100))
    loop.run_portal(service, "p", force=True)
    causes = {cause for _, cause, _ in rows(service.database, MOVED)}
    assert causes == {"time"}
    assert rows(service.database, "SELECT count(*) FROM moves WHERE cause IS NULL AND kind = 'segment'") == [0]


def test_an_order_moves_its_customer_by_order(service, crm):
    loop.run_portal(service, "p")
    sleeper = rows(
        service.database,
        "SELECT external_id FROM customers c JOIN scores s ON s.customer = c.number"
        " WHERE segment = 'sleeping' ORDER BY 1",
    )[0]
    crm.add_order(order("900", contact_id=sleeper, amount=Decimal(1), at=service.now() - timedelta(hours=1)))
    loop.run_portal(service, "p")
    found = rows(
        service.database,
        "SELECT cause FROM moves m JOIN customers c ON c.number = m.customer"
        " WHERE c.external_id = :id AND m.kind = 'segment'",
        id=sleeper,
    )
    assert found == ["order"]


def test_a_move_behind_our_back_is_a_jump(service):
    loop.run_portal(service, "p")
    execute(service.database, "UPDATE scores SET segment = 'vip', f = f + 7 WHERE segment = 'sleeping'")
    loop.run_portal(service, "p", force=True)
    assert {cause for _, cause, _ in rows(service.database, MOVED)} == {"unknown"}
    _, report = report_of(service)
    assert report.jumps == report.moved > 0
    assert report.movers[0].cause == "unknown"


def test_orders_that_count_otherwise_since_then_move_by_data(service):
    loop.run_portal(service, "p")
    execute(
        service.database,
        "UPDATE orders SET units = units * 1000 WHERE customer IN"
        " (SELECT customer FROM scores WHERE segment IN ('promising', 'sleeping'))",
    )
    execute(
        service.database,
        "INSERT INTO audit (portal_id, at, actor, action, detail)"
        " SELECT portal_id, now(), 'system', 'orders.derived', '{}' FROM portals",
    )
    execute(service.database, "UPDATE orders SET crm_updated_at = '2020-01-01', created_at = '2020-01-01'")
    loop.score_portal(service, "p")
    assert {cause for _, cause, _ in rows(service.database, MOVED)} == {"data"}


def test_another_version_moves_by_method_and_another_method_is_only_counted(service):
    loop.run_portal(service, "p")
    execute(service.database, "UPDATE scores SET method = 'sales5@0', segment = 'vip' WHERE segment = 'sleeping'")
    loop.run_portal(service, "p", force=True)
    assert {cause for _, cause, _ in rows(service.database, MOVED)} == {"method"}
    before = rows(service.database, "SELECT count(*) FROM moves")
    loop.run_portal(service, "p", method="octolis6", force=True)
    assert rows(service.database, "SELECT count(*) FROM moves") == before
    assert {cause for _, cause, _ in rows(service.database, MOVED)} == {"method"}


def test_a_segment_chosen_by_hand_on_a_card_is_told_as_the_managers(service, crm):
    loop.run_portal(service, "p")
    was = crm.card(CustomerRef(CONTACT, "5"))["segment"]
    chosen = "vip" if was != "vip" else "sleeping"
    crm.edit_card(CustomerRef(CONTACT, "5"), segment=chosen)
    loop.run_portal(service, "p")
    assert (f"{was}>{chosen}", "manager", 1) in rows(service.database, MOVED)
    assert crm.card(CustomerRef(CONTACT, "5"))["segment"] == was
    assert ("cowriter", "segment", 1) in rows(
        service.database, "SELECT kind, about, count FROM delivery_facts WHERE kind = 'cowriter'"
    )


# --- sums and words --------------------------------------------------------------------------------------------------


def test_summing_up_again_gives_the_same(service, crm):
    crm.refusals["contact:3"] = ("segment", "record 4711 is locked")
    loop.run_portal(service, "p")
    sums = "SELECT kind, about, why, count FROM delivery_facts ORDER BY 1, 2, 3"
    first = rows(service.database, sums)
    run_id = rows(service.database, "SELECT run_id FROM runs")[0]
    step = Steps(service, Report("p", run_id), service.now(), silent)
    with service.database.session() as session:
        portal = session.scalars(select(Portal)).one()
        step._sum_up(session, portal, session.get_one(RunRow, (portal.portal_id, run_id)))
    assert rows(service.database, sums) == first
    assert ("refused", "segment", "record # is locked", 1) in first


@pytest.mark.parametrize(
    ("language", "words"), [("ru", "Отклонила CRM: 1 карточка"), ("en", "Refused by the CRM: 1 card")]
)
def test_the_report_speaks_the_portals_language(service, crm, language, words):
    crm.refusals["contact:3"] = ("segment", "locked")
    loop.run_portal(service, "p")
    _, report = report_of(service)
    text = report_text("p", report, language)
    assert words in text
    assert "{" not in text
    assert report.as_json()["unrefreshed"]["of"] == 12


def test_an_old_score_and_an_unwritten_card_are_told_as_not_refreshed(service, crm):
    crm.refusals["contact:3"] = (None, "locked")
    loop.run_portal(service, "p")
    _, report = report_of(service)
    assert (report.total("unrefreshed", "scores"), report.total("unrefreshed", "cards")) == (0, 1)
    loop.run_portal(service, "p", as_of=service.now().date() - timedelta(days=20), force=True)
    facts = rows(
        service.database,
        "SELECT about, count FROM delivery_facts WHERE kind = 'unrefreshed'"
        " AND run_id = (SELECT max(run_id) FROM runs)",
    )
    assert [about for about, _ in facts] == ["scores"]


def test_a_card_tells_where_each_value_is_from_and_who_changed_it_since(service, crm):
    run = loop.run_portal(service, "p").run_id
    found = delivering.card(service, "p", "contact:5")
    by_field = {value["field"]: value for value in found["values"]}
    assert (by_field["segment"]["run"], by_field["segment"]["method"], by_field["segment"]["by"]) == (
        run,
        "sales5@1",
        "us",
    )
    assert by_field["segment"]["previous"] is None
    crm.edit_card(CustomerRef(CONTACT, "5"), hint="my own words")
    loop.sync_portal(service, "p")
    hint = {value["field"]: value for value in delivering.card(service, "p", "contact:5")["values"]}["hint"]
    assert (hint["by"], hint["value"]) == ("others", "my own words")


@pytest.mark.parametrize("words", ["5", "deal:5", "contact:999"])
def test_a_card_that_is_none_is_refused(service, words):
    with pytest.raises(WrongUse):
        delivering.card(service, "p", words)
