"""Real worker processes over an emulated portal: killed, they are replaced; told to stop, they hand back their work."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from connector.jobs import schedule
from connector.store.database import Database
from sandbox.random_shop import random_shop
from tests.acceptance.brute import expected_cards
from tests.acceptance.stage import ROOT, Stage, stage
from tests.connector.factories import rows

HOLDER = """
SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 7364 AND a.datname = current_database()
"""
READ = "SELECT 1 FROM cursors HAVING count(*) > 2"
WRITTEN = "SELECT 1 FROM changes WHERE state = 'written' LIMIT 1"
DONE = "SELECT 1 FROM runs WHERE kind = 'run' AND state LIKE 'done%'"
STARTED = (
    "SELECT 1 FROM procrastinate_workers WHERE last_heartbeat > now() - interval '3 seconds' HAVING count(*) >= {}"
)


class Crew:
    """Worker processes by name; the name is what PostgreSQL knows them by."""

    def __init__(self, staged: Stage, database: Database) -> None:
        self._environ = staged.environ
        self._database = database
        self._pause = threading.Event()
        self.working: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        environ = {**self._environ, "PGAPPNAME": name, "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "connector", "worker"]
        self.working[name] = subprocess.Popen(command, env=environ, cwd=ROOT, stderr=subprocess.DEVNULL)

    def kill_holder(self) -> str:
        """Kill -9 whoever works on the portal at this moment."""
        name = self.until(HOLDER)
        process = self.working.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()
        return name

    def until(self, sql: str, most_s: float = 60.0) -> Any:
        """Wait until a query finds something; returns its first value."""
        end = time.monotonic() + most_s
        while time.monotonic() < end:
            with self._database.session() as session:
                found = session.execute(text(sql)).first()
            if found is not None:
                return found[0]
            self._pause.wait(0.02)
        raise AssertionError(f"not within {most_s} s: {sql}")

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Stop one gently; returns its exit status and how long it took."""
        began = time.monotonic()
        process = self.working.pop(name)
        process.send_signal(number)
        return process.wait(60), time.monotonic() - began

    def leave(self) -> None:
        for process in self.working.values():
            process.kill()
            process.wait()


@contextmanager
def crew_of(database_url: str, staged: Stage, *names: str) -> Iterator[tuple[Crew, Database]]:
    """Workers that have started."""
    database = Database(database_url)
    crew = Crew(staged, database)
    try:
        for name in names:
            crew.start(name)
        crew.until(STARTED.format(2 * len(names)))
        yield crew, database
    finally:
        crew.leave()
        database.close()


def ask(database: Database, job: str = "run") -> None:
    with database.session() as session:
        schedule.ask(session, job, 1, datetime.now(UTC))


def check_cards(staged: Stage, shop: Any, now: datetime, crm: str) -> None:
    """Every card has what an independent count wants there."""
    frozen = staged.cli("method", "show", "sales5@1", "--portal", "p")["thresholds"]
    borders = [frozen["r"], frozen["f"], [Decimal(border) for border in frozen["m"]]]
    for (kind, number), one in expected_cards(crm, shop, now, borders=borders).items():
        card = staged.card(kind, number)
        found = (card["r"], card["f"], card["m"], card["code"], card["segment"])
        assert found == (one.r, one.f, one.m, one.code, one.segment), f"{kind}:{number}"


def test_of_two_workers_one_is_killed_and_the_other_finishes_its_run_within_a_minute(database_url, tmp_path):
    now = datetime.now(UTC)
    shop = random_shop(31, 250, 1000, now.date())
    with (
        stage("amocrm", shop, database_url, tmp_path) as staged,
        crew_of(database_url, staged, "first", "second") as (crew, database),
    ):
        ask(database)
        for moment in (READ, WRITTEN):
            crew.until(moment)
            killed = crew.kill_holder()
            at = time.monotonic()
            crew.start(f"{killed} again")
            crew.until(HOLDER)
        crew.until(DONE)
        assert time.monotonic() - at < 60
        assert rows(database, "SELECT state, count(*) FROM runs GROUP BY state") == [("done", 1)]
        assert rows(database, "SELECT count(*) FROM changes WHERE state <> 'written'") == [0]
        markers = Counter(staged.markers())
        assert [marker for marker, count in markers.items() if count > 1] == []
        assert rows(database, "SELECT state, count(*) FROM tasks GROUP BY state") == [("created", len(markers))]
        assert len(markers) > 0
        check_cards(staged, shop, now, "amocrm")
        assert staged.portal.exceeded == 0


def test_told_to_stop_a_worker_hands_its_run_back_and_a_command_may_take_it_over(database_url, tmp_path):
    now = datetime.now(UTC)
    shop = random_shop(32, 300, 1200, now.date())
    with (
        stage("amocrm", shop, database_url, tmp_path) as staged,
        crew_of(database_url, staged, "only") as (crew, database),
    ):
        ask(database)
        crew.until(READ)
        status, seconds = crew.stop("only")
        assert (status, seconds < 20) == (0, True)
        assert rows(database, "SELECT state FROM runs") == ["open"]
        assert rows(database, "SELECT status::text FROM procrastinate_jobs ORDER BY id") == ["succeeded", "todo"]
        assert rows(database, "SELECT count(*) FROM procrastinate_workers") == [0]
        staged.run()
        assert rows(database, "SELECT state FROM runs ORDER BY started_at") == ["interrupted", "done"]
        check_cards(staged, shop, now, "amocrm")
