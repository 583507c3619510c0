"""The main job over the CRM in memory: the whole loop, its rehearsal, its stops, and undoing it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from adapters.errors import Blocked, Interrupted, TokenExpired
from adapters.records import CustomerRef, OrderStatus
from connector.errors import PortalPaused, UnknownPortal, UnsafePlan, WrongUse
from connector.jobs import loop, steps
from tests.connector.factories import (
    CONTACT,
    DEALS,
    connected,
    dump,
    execute,
    order,
    rows,
    stock,
)
from tests.fakes.memory import MemoryCRM

MIRROR = ("customers", "orders", "order_lines", "managers", "teams", "cursors", "budgets", "portals")


def ref(number):
    return CustomerRef(CONTACT, str(number))


@pytest.fixture
def crm():
    portal = MemoryCRM(page_size=30)
    stock(portal)
    return portal


@pytest.fixture
def service(monkeypatch, database, tmp_path, crm):
    with connected(monkeypatch, database, tmp_path, crm) as opened:
        yield opened


def run(service, **more):
    return loop.run_portal(service, "p", **more)


def as_if_yesterday(database):
    """All that happened so far happened a day ago."""
    execute(database, "UPDATE tasks SET raised_on = raised_on - 1")
    execute(database, "UPDATE runs SET started_at = started_at - interval '1 day'")


# --- a run ---------------------------------------------------------------------------------------------------------


def test_a_first_run_puts_the_scores_on_every_card(database, service, crm):
    report = run(service)
    assert (report.customers, report.orders, report.scored) == (12, 78, 12)
    assert (report.written, report.unchanged, report.refused) == (12, 0, [])
    assert sum(report.segments.values()) == 12
    assert (report.method, report.published) == ("sales5@1", True)
    best = crm.card(ref(12))
    assert (best["r"], best["f"], best["m"], best["segment"], best["code"]) == (0, 12, Decimal(144), "vip", "555")
    assert best["hint"]
    assert "segment_previous" not in best
    assert rows(database, "SELECT state, counts ->> 'written' FROM runs") == [("done", "12")]


def test_a_second_run_finds_nothing_to_do(database, service, crm):
    first = run(service)
    writes, tasks = crm.calls["write_scores"], dict(crm.tasks)
    second = run(service)
    assert (second.written, second.unchanged, second.tasks_created, second.moved) == (0, 12, 0, 0)
    assert second.requests < first.requests
    assert crm.calls["write_scores"] == writes
    assert crm.tasks == tasks
    assert rows(database, "SELECT count(*) FROM card_events") == [0]


def test_the_report_has_what_the_contract_promises(service):
    words = set(run(service).as_json())
    needed = (
        "portal as_of method customers orders scored segments written unchanged refused tasks_created requests"
        " throttled seconds run_id"
    )
    assert words >= {*needed.split()}


def test_the_requests_of_the_report_are_those_that_were_sent(service, crm):
    before = crm.calls.total()
    assert run(service).requests == crm.calls.total() - before


def test_a_new_order_reaches_the_card_and_what_a_person_typed_is_noticed_and_put_right(database, service, crm):
    run(service)
    crm.add_order(order("900", contact_id="1", amount=Decimal(500), at=datetime.now(UTC) - timedelta(seconds=5)))
    crm.edit_card(ref(2), segment="vip")
    crm.edit_card(ref(3), hint=None)
    right = dict(
        rows(database, "SELECT c.external_id, s.segment FROM scores s JOIN customers c ON c.number = s.customer")
    )
    report = run(service)
    assert (crm.card(ref(1))["f"], crm.card(ref(1))["m"]) == (2, Decimal(501))
    assert crm.card(ref(2))["segment"] == right["2"] != "vip"
    assert crm.card(ref(3))["hint"]
    assert report.written == 3
    events = rows(database, "SELECT field, found FROM card_events ORDER BY field")
    assert events == [("hint", None), ("segment", "vip")]
    run(service)
    assert rows(database, "SELECT count(*) FROM card_events") == [2]


def test_a_change_of_segment_shows_the_one_before_and_raises_its_task(database, service, crm):
    run(service)
    as_if_yesterday(database)
    best = ref(12)
    for number in range(67, 79):
        crm.edit_order(DEALS, str(number), status=OrderStatus.OPEN)
    crm.add_order(order("901", contact_id="12", amount=Decimal(9000), at=datetime.now(UTC) - timedelta(days=200)))
    crm.add_order(order("902", contact_id="12", amount=Decimal(9000), at=datetime.now(UTC) - timedelta(days=201)))
    report = run(service)
    card = crm.card(best)
    assert (card["segment"], card["segment_previous"], report.moved >= 1) == ("at_risk", "vip", True)
    raised = rows(
        database,
        "SELECT t.state FROM tasks t JOIN customers c ON c.number = t.customer"
        " WHERE c.external_id = '12' AND t.run_id = :run AND t.event_key = :run",
        run=report.run_id,
    )
    assert raised == ["created"]
    assert rows(database, "SELECT count(*) FROM moves WHERE NOT handled") == [0]


def test_a_first_run_raises_no_event_tasks_and_keeps_the_daily_budget(database, monkeypatch, tmp_path):
    crm = MemoryCRM(page_size=500)
    stock(crm, 40)
    with connected(monkeypatch, database, tmp_path, crm) as service:
        report = run(service)
        again = run(service)
    by_manager = rows(database, "SELECT count(*) FROM tasks GROUP BY manager_id")
    assert report.tasks_created == sum(by_manager) == len(crm.tasks)
    assert max(by_manager) <= 10
    assert rows(database, "SELECT count(*) FROM moves") == [0]
    assert again.tasks_created == 0


def test_a_task_has_the_customers_manager_and_our_marker(database, service, crm):
    run(service)
    keys = rows(database, "SELECT key FROM tasks WHERE state = 'created'")
    assert sorted(task.key for task in crm.tasks.values()) == sorted(keys)
    for task in crm.tasks.values():
        assert task.manager_id == ("1" if int(task.customer.external_id) % 2 else "2")


# --- refusals ------------------------------------------------------------------------------------------------------


def test_a_refused_card_is_listed_and_tried_again_by_the_next_run(service, crm):
    crm.refusals = {"contact:5": ("segment", "read only")}
    first = run(service)
    assert first.refused == [{"customer": "contact:5", "field": "segment", "reason": "read only"}]
    assert first.written == 11
    crm.refusals = {}
    second = run(service)
    assert (second.written, second.refused) == (1, [])


def test_a_refused_task_is_listed_and_not_tried_for_ever(service, crm):
    crm.task_refusals = {f"contact:{n}": "the manager is blocked" for n in range(1, 13)}
    first = run(service)
    assert {row["field"] for row in first.refused} == {"task"}
    assert first.tasks_created == 0
    calls = crm.calls["create_tasks"]
    assert run(service).refused == []
    assert crm.calls["create_tasks"] == calls


# --- dry run -------------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_all_and_leaves_no_trace(database, service, crm):
    before = dump(database, *MIRROR)
    report = run(service, dry_run=True)
    assert (report.scored, report.published, report.written, report.tasks_created) == (12, True, 0, 0)
    plan = report.plan
    assert (plan["cards"], plan["contacts"], plan["companies"]) == (12, 12, 0)
    assert plan["requests"] == 4
    assert len(plan["new_fields"]) == 24
    assert plan["tasks"] > 0
    assert plan["sample"][0]["change"]["segment"][0] is None
    assert dump(database, *MIRROR) == before
    assert rows(database, "SELECT method, fields, first_run_at FROM portals") == [(None, None, None)]
    assert not {"ensure_fields", "write_scores", "create_tasks"} & set(crm.calls)
    assert crm.tasks == {}


def test_a_dry_run_tells_exactly_what_the_run_then_does(service, crm):
    shown = run(service, dry_run=True)
    done = run(service)
    assert shown.plan["cards"] == done.written
    assert shown.plan["tasks"] == done.tasks_created
    assert shown.segments == done.segments
    after = run(service, dry_run=True)
    assert (after.plan["cards"], after.plan["tasks"], after.plan["new_fields"], after.unchanged) == (0, 0, [], 12)


def test_a_dry_run_between_runs_leaves_no_trace_either(database, service, crm):
    run(service)
    crm.add_order(order("900", contact_id="1", amount=Decimal(500), at=datetime.now(UTC)))
    before = dump(database, *MIRROR)
    assert run(service, dry_run=True).plan["cards"] >= 1
    assert dump(database, *MIRROR) == before


# --- wrong words ---------------------------------------------------------------------------------------------------


def test_wrong_words_are_refused_before_anything_is_asked(database, service, crm):
    before, calls = dump(database), crm.calls.total()
    tomorrow = datetime.now(UTC).date() + timedelta(days=2)
    for words in ({"method": "best"}, {"as_of": tomorrow}):
        for job in (loop.run_portal, loop.score_portal):
            with pytest.raises(WrongUse):
                job(service, "p", **words)
    with pytest.raises(WrongUse):
        loop.fit_method(service, "p", as_of=tomorrow, method=None)
    for job in (loop.run_portal, loop.sync_portal, loop.score_portal, loop.write_portal, loop.raise_tasks):
        with pytest.raises(UnknownPortal):
            job(service, "nobody")
    with pytest.raises(WrongUse, match="no run"):
        loop.undo_run(service, "p", "20990101T000000-abcdef")
    assert (dump(database), crm.calls.total()) == (before, calls)


def test_what_needs_scores_says_so_where_there_are_none(service, crm):
    for job in (loop.write_portal, loop.raise_tasks):
        with pytest.raises(WrongUse, match="score p"):
            job(service, "p")
    assert not {"ensure_fields", "write_scores", "create_tasks"} & set(crm.calls)


def test_a_portal_that_waits_for_a_person_is_not_worked_on(database, service):
    execute(database, "UPDATE portals SET state = 'paused', state_reason = 'unpaid'")
    with pytest.raises(PortalPaused, match="unpaid"):
        run(service)


# --- unsafe plans --------------------------------------------------------------------------------------------------


def test_an_unsafe_plan_takes_back_scores_moves_and_tasks_until_it_is_forced(database, monkeypatch, tmp_path):
    crm = MemoryCRM(page_size=500)
    stock(crm, 60)
    with connected(monkeypatch, database, tmp_path, crm) as service:
        run(service)
        as_if_yesterday(database)
        decided = ("scores", "moves", "changes", "tasks", "runs", "methods")
        kept = {name: lines for name, lines in dump(database).items() if name in decided}
        writes = crm.calls["write_scores"]
        with pytest.raises(UnsafePlan, match="60 of 60"):
            run(service, method="customer360")
        assert {name: lines for name, lines in dump(database).items() if name in decided} == kept
        assert rows(database, "SELECT method FROM portals") == ["sales5@1"]
        assert crm.calls["write_scores"] == writes
        forced = run(service, method="customer360", force=True)
        assert (forced.written, forced.method) == (60, "customer360@1")


# --- stops ---------------------------------------------------------------------------------------------------------

STOPS = ("ensure_fields", "rates", "managers", "customers", "orders", "customer_drift", "write_scores", "create_tasks")


@pytest.mark.parametrize("lost", [False, True], ids=["not carried out", "answer lost"])
@pytest.mark.parametrize("method", STOPS)
def test_a_run_that_was_cut_off_is_finished_by_the_next(database, service, crm, method, lost):
    crm.fail(method, Interrupted("cut"), done=lost, after=1 if method in {"write_scores", "create_tasks"} else 0)
    with pytest.raises(Interrupted):
        run(service)
    run(service)
    quiet = run(service)
    assert (quiet.written, quiet.unchanged, quiet.tasks_created) == (0, 12, 0)
    assert all(crm.card(ref(n))["method"] == "sales5@1" for n in range(1, 13))
    markers = [task.marker for task in crm.tasks.values()]
    assert len(markers) == len(set(markers)) > 0
    assert rows(database, "SELECT count(*) FROM card_events") == [0]
    assert rows(database, "SELECT count(*) FROM changes WHERE state = 'planned'") == [0]
    assert rows(database, "SELECT count(*) FROM tasks WHERE state <> 'created'") == [0]


def test_a_process_that_dies_after_a_write_and_before_settling_it_does_no_harm(database, service, crm, monkeypatch):
    class Killed(BaseException):
        pass

    def dies(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("connector.store.changes.settle", dies)
        with pytest.raises(Killed):
            run(service)
    assert any(crm.card(ref(n)) for n in range(1, 13))
    run(service)
    assert run(service).written == 0
    assert rows(database, "SELECT count(*) FROM card_events") == [0]
    assert set(rows(database, "SELECT state FROM changes")) <= {"written", "superseded"}


def test_a_lost_grant_is_noted_and_the_next_run_may_try_again(database, service, crm):
    for error in (TokenExpired("the token is refused"), Blocked("the account is blocked")):
        crm.fail("rates", error)
        with pytest.raises(type(error)):
            run(service)
    assert rows(
        database, "SELECT detail ->> 'reason' FROM audit WHERE action = 'portal.access_lost' ORDER BY entry_id"
    ) == [
        "the token is refused",
        "the account is blocked",
    ]
    assert run(service).written == 12


# --- the steps alone -----------------------------------------------------------------------------------------------


def test_the_steps_one_by_one_do_what_a_run_does(database, service, crm):
    synced = loop.sync_portal(service, "p")
    assert (synced.customers, synced.orders, synced.run_id) == (12, 78, "")
    before = crm.calls.total()
    scored = loop.score_portal(service, "p")
    assert (scored.scored, scored.published, crm.calls.total()) == (12, True, before)
    shown = loop.write_portal(service, "p", dry_run=True)
    assert (shown.plan["cards"], crm.calls["write_scores"]) == (12, 0)
    written = loop.write_portal(service, "p")
    assert (written.written, written.scored, written.method) == (12, 12, "sales5@1")
    assert loop.write_portal(service, "p").written == 0
    planned = loop.raise_tasks(service, "p", dry_run=True).plan["tasks"]
    raised = loop.raise_tasks(service, "p")
    assert planned == raised.tasks_created == len(crm.tasks) > 0
    assert loop.raise_tasks(service, "p").tasks_created == 0
    assert run(service).written == 0


def test_whoever_goes_step_by_step_gets_event_tasks_from_the_second_time_on(database, service, crm):
    for _ in range(2):
        loop.sync_portal(service, "p")
        loop.score_portal(service, "p")
        loop.write_portal(service, "p")
        loop.raise_tasks(service, "p")
        as_if_yesterday(database)
        for number in range(67, 79):
            crm.edit_order(DEALS, str(number), at=datetime.now(UTC) - timedelta(days=200))
    moved = rows(database, "SELECT was, now FROM moves WHERE kind = 'segment' AND handled")
    assert ("vip", "at_risk") in moved
    assert rows(
        database,
        "SELECT count(*) FROM tasks t JOIN customers c ON c.number = t.customer WHERE c.external_id = '12'"
        " AND t.event_key IN (SELECT run_id FROM moves)",
    ) == [1]


def test_a_score_of_an_earlier_day_sees_nothing_later(service):
    today = datetime.now(UTC).date()
    loop.sync_portal(service, "p")
    earlier = loop.score_portal(service, "p", as_of=today - timedelta(days=60))
    assert earlier.as_of == (today - timedelta(days=60)).isoformat()
    assert earlier.scored < 12


def test_a_dry_score_changes_nothing(database, service):
    loop.sync_portal(service, "p")
    before = dump(database)
    assert loop.score_portal(service, "p", dry_run=True).scored == 12
    assert dump(database) == before


def test_a_fit_shows_its_thresholds_and_why_it_is_weak(database, service):
    loop.sync_portal(service, "p")
    before = dump(database)
    found = loop.fit_method(service, "p", as_of=None, method=None)
    assert (found["method"], found["customers"], len(found["thresholds"]["f"])) == ("sales5", 12, 4)
    assert found["weak"] == ["only 12 customers have orders; at least 50 are needed"]
    assert dump(database) == before


# --- undo ----------------------------------------------------------------------------------------------------------


def test_undo_puts_back_the_cards_of_a_run_and_the_next_run_writes_them_again(database, service, crm):
    crm.edit_card(ref(1), foreign="mine")
    first = run(service)
    undone = loop.undo_run(service, "p", first.run_id)
    assert (undone.written, undone.plan) == (12, {"cards": 12, "left_alone": 0, "run": first.run_id})
    assert dict(crm.card(ref(1))) == {"foreign": "mine"}
    assert dict(crm.card(ref(12))) == {}
    assert run(service).written == 12


def test_undo_of_a_second_run_restores_the_first_ones_values(database, service, crm):
    run(service)
    before = {n: dict(crm.card(ref(n))) for n in range(1, 13)}
    crm.add_order(order("900", contact_id="1", amount=Decimal(500), at=datetime.now(UTC)))
    second = run(service)
    assert dict(crm.card(ref(1))) != before[1]
    loop.undo_run(service, "p", second.run_id)
    assert {n: dict(crm.card(ref(n))) for n in range(1, 13)} == before


def test_undo_twice_and_undo_of_an_undo_are_safe(service, crm):
    first = run(service)
    undone = loop.undo_run(service, "p", first.run_id)
    assert loop.undo_run(service, "p", first.run_id).written == 0
    back = loop.undo_run(service, "p", undone.run_id)
    assert back.written == 12
    assert crm.card(ref(12))["segment"] == "vip"


def test_undo_leaves_alone_what_a_person_changed_since(service, crm):
    first = run(service)
    crm.edit_card(ref(3), segment="vip")
    loop.sync_portal(service, "p")
    loop.undo_run(service, "p", first.run_id)
    assert crm.card(ref(3))["segment"] == "vip"
    assert "r" not in crm.card(ref(3))


def test_run_ids_are_sortable_by_time_and_unique():
    now = datetime(2026, 3, 1, 10, tzinfo=UTC)
    ids = {loop.new_run_id(now) for _ in range(50)}
    assert len(ids) == 50
    assert max(ids) < loop.new_run_id(now + timedelta(seconds=1))
    assert date.fromisoformat(min(ids)[:8]) == now.date()


def test_runs_of_one_second_are_in_the_order_of_their_beginnings():
    moment = datetime(2026, 11, 24, 12, tzinfo=UTC)
    ids = [steps.new_run_id(moment + timedelta(microseconds=n)) for n in (0, 1, 15, 16, 999_999)]
    assert ids == sorted(ids)
    assert len({steps.new_run_id(moment) for _ in range(20)}) == 20
