"""The engine over CRMs in memory: runs in chunks, what follows from failures, and portals side by side."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import select, text

from adapters.errors import Blocked, Interrupted, Malformed, RateLimited, Unavailable
from adapters.records import CustomerRef
from connector.deadline import Deadline
from connector.errors import DatabaseAway, Interruption, PortalBusy, PortalPaused, UnsafePlan, WrongUse
from connector.jobs import definitions, engine, loop, running, schedule, watch
from connector.jobs.definitions import decide, perform
from connector.store import jobs, scores, work
from connector.store.jobs import QUICK, SLOW
from connector.store.locks import portal_lock
from connector.store.models import Portal, RunRow, WorkRow
from tests.connector.factories import CONTACT, DEALS, connected, execute, rows, stock
from tests.connector.jobs.engine_stage import ask, due, office_of, work_off
from tests.fakes.memory import MemoryCRM

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
JOBS = "SELECT task_name, status::text FROM procrastinate_jobs ORDER BY id"


@pytest.fixture
def crm():
    portal = MemoryCRM(page_size=10)
    stock(portal)
    return portal


@pytest.fixture
def stage(monkeypatch, queue, tmp_path, crm):
    return office_of(monkeypatch, queue, tmp_path, p=crm)


@pytest.fixture
def service(stage):
    return stage[1]


@pytest.fixture
def portal_id(stage):
    return stage[0].ids["p"]


def cards(crm, count=12):
    """What a run decides, moment of writing aside."""
    found = [dict(crm.card(CustomerRef(CONTACT, str(n)))) for n in range(1, count + 1)]
    return [{key: value for key, value in card.items() if key != "updated_at"} for card in found]


def work_of(database, portal_id, job):
    with database.session() as session:
        return session.get_one(WorkRow, (portal_id, job))


# --- a run in chunks -------------------------------------------------------------------------------------------------


def test_a_run_in_the_smallest_chunks_ends_as_a_whole_run_does(monkeypatch, queue, tmp_path, service, portal_id, crm):
    ask(queue, "run", portal_id)
    work_off(service, chunk_s=0.0)
    in_chunks = (cards(crm), sorted(task.marker for task in crm.tasks.values()), dict(rows_of_run(queue)))
    assert len(rows(queue, JOBS)) > 15

    whole = MemoryCRM(page_size=10)
    stock(whole)
    execute(queue, "DELETE FROM portals")
    with connected(monkeypatch, queue, tmp_path, whole) as other:
        loop.run_portal(other, "p")
    assert in_chunks[0] == cards(whole)
    assert len(in_chunks[1]) == len(set(in_chunks[1])) == len(whole.tasks)
    kept = ("scored", "segments", "written", "unchanged", "refused", "tasks_created", "customers", "orders", "method")
    ours = dict(rows_of_run(queue))
    assert {key: in_chunks[2][key] for key in kept} == {key: ours[key] for key in kept}


def rows_of_run(database):
    """The figures of the newest run."""
    found = rows(database, "SELECT counts FROM runs ORDER BY started_at DESC LIMIT 1")[0]
    return found.items()


def test_a_finished_run_leaves_nothing_to_do_and_says_when_it_was_done(queue, service, portal_id):
    ask(queue, "run", portal_id)
    work_off(service)
    row = work_of(queue, portal_id, "run")
    assert (row.asked_at, row.failures, row.stage) == (None, 0, None)
    assert row.done_at is not None
    assert rows(queue, "SELECT state FROM runs") == ["done"]
    perform(service, "run", portal_id, Deadline(15.0))
    assert rows(queue, "SELECT count(*) FROM runs") == [1]


def test_asked_for_many_times_it_is_done_once(queue, service, portal_id):
    for _ in range(5):
        ask(queue, "run", portal_id)
    assert due(queue) == 1
    work_off(service)
    assert rows(queue, "SELECT count(*) FROM runs") == [1]


def test_a_run_that_a_command_did_meanwhile_is_not_done_again(queue, service, portal_id):
    ask(queue, "run", portal_id)
    perform(service, "run", portal_id, Deadline(0.0))
    loop.run_portal(service, "p")
    work_off(service)
    assert sorted(rows(queue, "SELECT state FROM runs")) == ["done", "interrupted"]


def test_how_far_a_run_is_can_be_told(queue, service, portal_id):
    ask(queue, "run", portal_id)
    with queue.session() as session:
        assert running.progress_of(session, portal_id, datetime.now(UTC)) is None
    seen = []
    while due(queue):
        perform(service, "run", portal_id, Deadline(0.0))
        execute(queue, "DELETE FROM procrastinate_jobs WHERE task_name <> 'run' OR status <> 'todo'")
        with queue.session() as session:
            told = running.progress_of(session, portal_id, datetime.now(UTC) + timedelta(seconds=10))
        if told is None:
            break
        seen.append((told.stage, told.percent))
        if told.stage == "write" and 0 < told.done < told.total:
            assert told.remaining_s > 0
    stages = [stage for stage, _ in seen]
    assert [stage for at, stage in enumerate(stages) if at == 0 or stages[at - 1] != stage][-2:] == ["write", "tasks"]
    percents = [percent for stage, percent in seen if stage == "write"]
    assert percents == sorted(percents)
    assert percents[0] < 100


def test_an_open_run_that_lay_for_days_is_begun_anew(queue, service, portal_id):
    ask(queue, "run", portal_id)
    perform(service, "run", portal_id, Deadline(0.0))
    long_ago = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    execute(queue, "UPDATE runs SET counts = counts || jsonb_build_object('moved_at', CAST(:at AS text))", at=long_ago)
    work_off(service)
    assert rows(queue, "SELECT state FROM runs ORDER BY started_at") == ["interrupted", "done"]


def test_events_beside_an_open_run_leave_it_and_its_plan_alone(queue, service, portal_id, crm):
    ask(queue, "run", portal_id)
    while rows(queue, "SELECT count(*) FROM changes WHERE state = 'written'") == [0]:
        perform(service, "run", portal_id, Deadline(0.0))
    planned = rows(queue, "SELECT customer FROM changes WHERE state = 'planned' ORDER BY 1")
    with queue.session() as session:
        scores.start_run(session, portal_id, "event-1", "event", NOW.date(), NOW, beside=planned[:1])
    assert rows(queue, "SELECT state FROM runs WHERE kind = 'run'") == ["open"]
    assert rows(queue, "SELECT customer FROM changes WHERE state = 'planned' ORDER BY 1") == planned[1:]
    work_off(service)
    assert rows(queue, "SELECT state FROM runs WHERE kind = 'run'") == ["done"]
    assert rows(queue, "SELECT count(*) FROM changes WHERE state = 'planned'") == [0]


@pytest.mark.parametrize("job", ["pull", "full"])
def test_a_pull_in_the_smallest_chunks_brings_everything(queue, service, portal_id, job):
    ask(queue, job, portal_id)
    work_off(service, chunk_s=0.0)
    assert rows(queue, "SELECT count(*) FROM customers WHERE seen") == [12]
    assert rows(queue, "SELECT count(*) FROM orders") == [78]
    assert work_of(queue, portal_id, job).done_at is not None
    assert rows(queue, "SELECT last_sync_at IS NOT NULL FROM portals") == [True]


# --- what follows from failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "failures", "wait", "counts", "pauses", "poison"),
    [
        (PortalBusy("x"), 1, (2, 2), False, False, False),
        (PortalPaused("x"), 1, None, False, False, False),
        (Interruption("stopped"), 1, (0, 0), False, False, False),
        (DatabaseAway("x"), 1, (3.7, 5), True, False, False),
        (Interrupted("x"), 1, (3.7, 5), True, False, False),
        (Unavailable("x"), 4, (30, 40), True, False, False),
        (Unavailable("x"), 1000, (675, 900), True, False, False),
        (RateLimited("x", retry_after=3600), 1, (3600, 3600), True, False, False),
        (RateLimited("x", retry_after=1), 3, (15, 20), True, False, False),
        (RateLimited("x", retry_after=1), 99, (22.5, 30), True, False, False),
        (Blocked("x"), 1, None, True, True, False),
        (UnsafePlan("x"), 1, None, True, False, False),
        (WrongUse("x"), 1, None, True, False, False),
        (Malformed("x"), 1, None, True, False, False),
        (KeyError("x"), 1, (3.7, 5), True, False, False),
        (KeyError("x"), 5, None, True, False, True),
    ],
)
def test_the_class_of_an_error_decides(error, failures, wait, counts, pauses, poison):
    found = decide("run", error, failures)
    if wait is None:
        assert found.wait_s is None
    else:
        assert wait[0] <= found.wait_s <= wait[1]
    assert (found.counts, found.pauses, found.is_poison) == (counts, pauses, poison)


@pytest.mark.parametrize("error", [Malformed("x"), KeyError("x"), WrongUse("x")])
def test_a_drain_is_never_given_up(error):
    assert decide("drain", error, 1).wait_s > 20
    assert decide("drain", error, 500).wait_s > 600


def test_a_crm_that_asks_for_time_gets_it_and_other_work_of_the_portal_goes_on(queue, service, portal_id, crm):
    crm.fail("orders", RateLimited("slow down", retry_after=120.0))
    ask(queue, "run", portal_id)
    work_off(service)
    assert due(queue) == 0
    put_off = "SELECT lock, extract(epoch FROM scheduled_at - now()) FROM procrastinate_jobs WHERE status = 'todo'"
    [(line, seconds)] = rows(queue, put_off)
    assert line is None
    assert 100 < seconds <= 120
    assert work_of(queue, portal_id, "run").failures == 1
    ask(queue, "pull", portal_id)
    work_off(service)
    assert work_of(queue, portal_id, "pull").done_at is not None
    execute(queue, "UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")
    work_off(service)
    assert rows(queue, "SELECT state FROM runs") == ["done"]
    assert work_of(queue, portal_id, "run").failures == 0


def test_work_that_gets_on_between_its_failures_is_not_put_off_ever_longer(queue, service, portal_id, crm):
    for _ in range(4):
        crm.fail("orders", Interrupted("no answer"), after=1)
        ask(queue, "pull", portal_id)
        perform(service, "pull", portal_id, Deadline(15.0))
        execute(queue, "DELETE FROM procrastinate_jobs")
    row = work_of(queue, portal_id, "pull")
    assert (row.failures, row.progressed_at is not None) == (1, True)
    crm.fail("managers", *[Interrupted("no answer")] * 9)
    crm.fail("rates", *[Interrupted("no answer")] * 9)
    for _ in range(3):
        perform(service, "pull", portal_id, Deadline(15.0))
        execute(queue, "DELETE FROM procrastinate_jobs")
    assert work_of(queue, portal_id, "pull").failures == 4


def test_a_lost_grant_pauses_the_portal_and_tells_a_person_once(queue, service, portal_id, crm):
    crm.fail("customers", *[Blocked("the vendor blocked us: write to its support")] * 50)
    ask(queue, "run", portal_id)
    work_off(service)
    with queue.session() as session:
        portal = session.get_one(Portal, portal_id)
    assert (portal.state, "write to its support" in portal.state_reason) == ("paused", True)
    assert rows(queue, "SELECT count(*) FROM audit WHERE action = 'portal.paused'") == [1]
    assert rows(queue, "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')") == [0]
    calls = crm.counters.requests
    ask(queue, "pull", portal_id)
    schedule.tick(queue, datetime.now(UTC) + timedelta(days=2))
    work_off(service)
    assert crm.counters.requests == calls
    assert watch.look(queue, datetime.now(UTC))[0] >= 1
    kinds = rows(queue, "SELECT kind FROM alerts WHERE state = 'open' AND portal_id = :portal", portal=portal_id)
    assert kinds == ["paused"]


def test_poison_is_tried_a_few_times_and_ends_failed_and_visible(monkeypatch, queue, service, portal_id):
    def explode(*_):
        raise RuntimeError("a secret of a customer")

    monkeypatch.setitem(definitions.WORKS, "pull", explode)
    ask(queue, "pull", portal_id)
    for _ in range(10):
        execute(queue, "UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")
        work_off(service)
    assert rows(queue, JOBS) == [("pull", "succeeded")] * 4 + [("pull", "failed")]
    row = work_of(queue, portal_id, "pull")
    assert (row.failures, row.asked_at) == (5, None)
    assert row.error.startswith("unexpected RuntimeError at test_engine.py:")
    watch.look(queue, datetime.now(UTC))
    assert rows(queue, "SELECT kind, about FROM alerts WHERE state = 'open' AND portal_id > 0") == [("failed", "pull")]


def test_an_unsafe_plan_stops_the_run_for_a_person_to_look(monkeypatch, queue, service, portal_id):
    def refuse(*_, **__):
        raise UnsafePlan("99 of 100 cards would change their segment")

    monkeypatch.setattr("connector.jobs.steps.check_plan", refuse)
    ask(queue, "run", portal_id)
    work_off(service)
    assert rows(queue, "SELECT state, counts ->> 'reason' FROM runs") == [
        ("stopped", "99 of 100 cards would change their segment")
    ]
    assert rows(queue, "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')") == [0]


def test_a_worker_that_ends_hands_its_chunk_back(queue, service, portal_id):
    ask(queue, "run", portal_id)
    perform(service, "run", portal_id, Deadline(15.0, stopped=lambda: True))
    assert rows(queue, "SELECT state FROM runs") == ["open"]
    assert work_of(queue, portal_id, "run").failures == 0
    work_off(service)
    assert rows(queue, "SELECT state FROM runs") == ["done"]


def test_a_wait_that_the_end_cuts_short_is_no_failure(queue, service, portal_id, crm):
    crm.fail("managers", Interruption("the worker stops; another one goes on"))
    ask(queue, "pull", portal_id)
    perform(service, "pull", portal_id, Deadline(15.0))
    assert work_of(queue, portal_id, "pull").failures == 0
    work_off(service)
    assert work_of(queue, portal_id, "pull").done_at is not None


def test_jobs_of_a_portal_that_is_gone_end_quietly(queue, service, portal_id):
    ask(queue, "run", portal_id)
    execute(queue, "DELETE FROM portals")
    work_off(service)
    assert rows(queue, JOBS) == [("run", "succeeded")]


# --- one writer ------------------------------------------------------------------------------------------------------


def test_while_a_command_works_on_the_portal_its_jobs_wait_and_then_go_on(queue, service, portal_id, crm):
    with portal_lock(queue, portal_id):
        ask(queue, "run", portal_id)
        perform(service, "run", portal_id, Deadline(15.0))
        assert crm.calls["managers"] == 0
        assert rows(queue, "SELECT count(*) FROM runs") == [0]
    waits = "SELECT lock, scheduled_at > now() FROM procrastinate_jobs WHERE status = 'todo'"
    execute(queue, "UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")
    assert rows(queue, waits) == [(f"portal:{portal_id}", False)]
    assert work_of(queue, portal_id, "run").failures == 0
    work_off(service)
    assert rows(queue, "SELECT state FROM runs") == ["done"]


def test_a_command_does_not_get_in_while_a_chunk_is_done(queue, service, portal_id, crm):
    entered, may_end = threading.Event(), threading.Event()
    plain = crm.managers

    def slow():
        entered.set()
        may_end.wait(20)
        return plain()

    crm.managers = slow
    ask(queue, "pull", portal_id)
    job = threading.Thread(target=perform, args=(service, "pull", portal_id, Deadline(15.0)))
    job.start()
    try:
        assert entered.wait(20)
        with pytest.raises(PortalBusy):
            loop.sync_portal(service, "p")
    finally:
        may_end.set()
        job.join()
    loop.sync_portal(service, "p")


def states_of(database, office):
    """The state of each portal's run, by name."""
    with database.session() as session:
        found = {run.portal_id: run.state for run in session.scalars(select(RunRow).where(RunRow.kind == "run"))}
    return {name: found.get(portal_id) for name, portal_id in office.ids.items()}


def test_no_portal_ever_has_two_writers(monkeypatch, queue, tmp_path):
    crms = {"first": MemoryCRM(page_size=10), "second": MemoryCRM(page_size=10)}
    for crm in crms.values():
        stock(crm, 4)
    office, service = office_of(monkeypatch, queue, tmp_path, **crms)
    for portal_id in office.ids.values():
        for job in ("run", "pull", "full", "drain"):
            ask(queue, job, portal_id)
    threads = [threading.Thread(target=work_off, args=(service,), kwargs={"chunk_s": 0.0, "at_once": 4}) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(office.most) == {"first": 1, "second": 1}
    assert states_of(queue, office) == {"first": "done", "second": "done"}


def test_with_one_place_for_all_a_dead_portal_and_a_huge_one_let_a_third_have_its_turn(monkeypatch, queue, tmp_path):
    dead, huge, third = MemoryCRM(), MemoryCRM(page_size=2), MemoryCRM(page_size=10)
    stock(huge, 7)
    stock(third, 4)
    dead.fail("rates", *[Interrupted("no answer")] * 1000)
    office, service = office_of(monkeypatch, queue, tmp_path, dead=dead, huge=huge, third=third)
    for name in ("dead", "huge", "third"):
        for job in ("run", "pull", "full"):
            ask(queue, job, office.ids[name])
    work_off(service, chunk_s=0.0, at_once=1)
    assert states_of(queue, office) == {"dead": "open", "huge": "done", "third": "done"}
    turns = [at for at, name in enumerate(office.order) if name == "third"]
    between = [later - earlier - 1 for earlier, later in pairwise(turns)]
    assert max(between) <= 6
    assert turns[-1] < max(at for at, name in enumerate(office.order) if name == "huge")


# --- the queue -------------------------------------------------------------------------------------------------------


def begin(database, *, worker_silent_s):
    """A worker took the oldest job and was last heard of so long ago."""
    sql = "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - make_interval(secs => :s)) RETURNING id"
    with database.session() as session:
        worker = session.scalar(text(sql), {"s": worker_silent_s})
        return session.execute(
            text("SELECT id FROM procrastinate_fetch_job_v2(NULL, :worker)"), {"worker": worker}
        ).scalar()


def heal(database, most_deaths=20):
    with database.session() as session:
        return [(one.job, one.is_given_up) for one in jobs.heal(session, timedelta(seconds=10), most_deaths)]


def test_a_job_exists_exactly_if_the_transaction_that_asked_for_it_is_committed(queue):
    def ask_and_fail():
        with queue.session() as session:
            jobs.defer(session, "run", 1, queue=SLOW)
            raise KeyError

    with pytest.raises(KeyError):
        ask_and_fail()
    assert due(queue) == 0
    with queue.session() as session:
        assert jobs.defer(session, "run", 1, queue=SLOW)
        assert not jobs.defer(session, "run", 1, queue=SLOW)
        assert jobs.defer(session, "run", 2, queue=SLOW)
        assert jobs.defer(session, "pull", 1, queue=SLOW)
    assert rows(queue, "SELECT task_name, args::text, lock FROM procrastinate_jobs ORDER BY id") == [
        ("run", '{"portal_id": 1}', "portal:1"),
        ("run", '{"portal_id": 2}', "portal:2"),
        ("pull", '{"portal_id": 1}', "portal:1"),
    ]


def test_two_who_ask_at_the_same_time_get_one_job_and_both_their_transactions(queue):
    barrier = threading.Barrier(4)
    answers = []

    def one(at):
        barrier.wait()
        with queue.session() as session:
            work.ask(session, at, "pull", NOW)
            answers.append(jobs.defer(session, "drain", 1, queue=QUICK))

    threads = [threading.Thread(target=one, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False, False, False, True]
    assert rows(queue, "SELECT count(*) FROM work") == [4]


def test_jobs_of_a_dead_worker_go_back_and_those_of_a_living_one_stay(queue):
    with queue.session() as session:
        jobs.defer(session, "run", 1, queue=SLOW)
        jobs.defer(session, "run", 2, queue=SLOW)
    begin(queue, worker_silent_s=60)
    begin(queue, worker_silent_s=1)
    assert heal(queue) == [("run", False)]
    assert rows(queue, "SELECT status::text, attempts FROM procrastinate_jobs ORDER BY id") == [
        ("todo", 1),
        ("doing", 0),
    ]
    assert heal(queue) == []


def test_jobs_of_a_worker_that_was_forgotten_go_back_too(queue):
    with queue.session() as session:
        jobs.defer(session, "run", 1, queue=SLOW)
    begin(queue, worker_silent_s=0)
    execute(queue, "DELETE FROM procrastinate_workers")
    assert heal(queue) == [("run", False)]


def test_killed_after_it_asked_for_its_successor_a_job_does_not_fork_the_chain(queue):
    with queue.session() as session:
        jobs.defer(session, "run", 1, queue=SLOW)
    begin(queue, worker_silent_s=60)
    with queue.session() as session:
        assert jobs.defer(session, "run", 1, queue=SLOW)
    heal(queue)
    assert rows(queue, JOBS) == [("run", "aborted"), ("run", "todo")]
    assert begin(queue, worker_silent_s=0) is not None


def test_what_kills_its_workers_is_given_up_and_told(queue, service, portal_id):
    ask(queue, "run", portal_id)
    for _ in range(engine.MOST_DEATHS):
        begin(queue, worker_silent_s=60)
        engine.heal(queue, NOW)
    assert rows(queue, JOBS) == [("run", "failed")]
    row = work_of(queue, portal_id, "run")
    assert (row.asked_at, "died" in row.error) == (None, True)
    schedule.tick(queue, datetime.now(UTC))
    assert rows(queue, JOBS) == [("run", "failed")]


def test_somebody_waits_only_when_a_job_of_the_portal_is_due(queue):
    def waits(portal_id):
        with queue.session() as session:
            return jobs.somebody_waits(session, portal_id)

    with queue.session() as session:
        jobs.defer(session, "run", 1, queue=SLOW)
    begin(queue, worker_silent_s=0)
    assert not waits(1)
    with queue.session() as session:
        jobs.defer(session, "pull", 1, queue=SLOW, wait_s=60.0)
    assert not waits(1)
    with queue.session() as session:
        jobs.defer(session, "drain", 1, queue=QUICK)
    assert (waits(1), waits(2)) == (True, False)


def test_ended_jobs_are_forgotten_by_age_and_failed_ones_kept_longer(queue):
    for name in ("run", "pull", "drain"):
        with queue.session() as session:
            jobs.defer(session, name, 1, queue=SLOW)
    execute(queue, "UPDATE procrastinate_jobs SET status = 'succeeded' WHERE task_name = 'run'")
    execute(queue, "UPDATE procrastinate_jobs SET status = 'failed' WHERE task_name = 'pull'")
    execute(queue, "UPDATE procrastinate_events SET at = now() - interval '1 day'")
    with queue.session() as session:
        assert jobs.forget_finished(session, succeeded=timedelta(hours=6), failed=timedelta(days=30)) == 1
    assert rows(queue, JOBS) == [("pull", "failed"), ("drain", "todo")]


def test_a_deadline_is_over_by_time_by_the_stop_and_when_somebody_waits_for_long_enough():
    clock, waiting, stopped = [0.0], [False], [False]
    deadline = Deadline(15, least=3, wanted=lambda: waiting[0], stopped=lambda: stopped[0], clock=lambda: clock[0])
    waiting[0] = True
    clock[0] = 2.9
    assert not deadline.over()
    clock[0] = 4.0
    assert deadline.over()
    waiting[0] = False
    assert deadline.over()
    late = Deadline(15, clock=lambda: clock[0])
    clock[0] += 14.9
    assert not late.over()
    clock[0] += 0.2
    assert late.over()
    stopped[0] = True
    assert Deadline(15, stopped=lambda: stopped[0]).over()


def first_pull(queue, service, portal_id):
    """The progress of a first run after each of its chunks, as far as it reads."""
    ask(queue, "run", portal_id)
    seen = []
    while due(queue):
        perform(service, "run", portal_id, Deadline(0.0))
        execute(queue, "DELETE FROM procrastinate_jobs WHERE task_name <> 'run' OR status <> 'todo'")
        with queue.session() as session:
            told = running.progress_of(session, portal_id, datetime.now(UTC) + timedelta(seconds=10))
        if told is None or told.stage != "pull":
            return seen
        seen.append(told)
    raise AssertionError("the run did not come to its end")


def test_a_backfill_tells_its_share_and_the_time_that_remains(queue, service, portal_id, crm):
    total = sum(len(held) for held in [*crm.cards.values(), crm.sold[DEALS]])
    seen = first_pull(queue, service, portal_id)
    assert {told.total for told in seen} == {total}
    percents = [told.percent for told in seen]
    assert percents == sorted(percents)
    assert 0 < percents[0] < 100 == percents[-1]
    assert seen[0].remaining_s > seen[-1].remaining_s == 0
    assert crm.calls["count"] == 3
    loop.run_portal(service, "p")
    ask(queue, "run", portal_id)
    work_off(service)
    assert crm.calls["count"] == 3


def test_where_the_crm_tells_no_totals_a_backfill_says_how_much_it_has_read(queue, service, portal_id, crm):
    crm.tells_totals = False
    seen = first_pull(queue, service, portal_id)
    assert {(told.total, told.percent, told.remaining_s) for told in seen} == {(None, None, None)}
    assert seen[-1].done > seen[0].done > 0
