"""The command line in this process: words in, exit status and both outputs out."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.budget import LocalStates
from adapters.transport import Transport
from connector import wiring
from connector.cli import main
from tests.connector.factories import KEY, TOKEN, plug, stock
from tests.fakes.memory import MemoryCRM

SETTINGS = (
    "DATABASE_URL",
    "ENCRYPTION_KEYS",
    "VAR_DIR",
    "LOG_LEVEL",
    "PUBLIC_URL",
    "HUBSPOT_API_URL",
    "ALLOWED_CRM_HOSTS",
)


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What the last line of standard output says."""
        return json.loads(self.out.splitlines()[-1])

    def assert_wrong_use(self) -> None:
        """Exit 2: one line on standard error, and nothing on standard output."""
        assert self.status == 2, self
        assert self.out == ""
        assert len(self.err.splitlines()) == 1, self.err
        assert "Traceback" not in self.err


class Clock:
    """The time of limits and retries, which passes by sleeping only."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC).timestamp()

    def __call__(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


class States(LocalStates):
    """A budget by the test's clock."""

    def close(self) -> None:
        """Nothing to give back."""


@pytest.fixture
def cli(monkeypatch, database, tmp_path, capsys):
    """Runs commands on the test's database; the portal behind every token is `crm` where a test has one."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", database.url)
    monkeypatch.setenv("ENCRYPTION_KEYS", KEY)
    monkeypatch.setenv("VAR_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    clock = Clock()
    monkeypatch.setattr(
        wiring, "Transport", lambda hosts, **more: Transport(hosts, **{**more, "sleep": clock.sleep, "clock": clock})
    )
    monkeypatch.setattr(wiring, "SharedStates", lambda *_: States(clock))

    def run(*words: str) -> Said:
        capsys.readouterr()
        status = main(words)
        said = capsys.readouterr()
        assert TOKEN not in said.out + said.err
        return Said(status, said.out, said.err)

    yield run
    root.handlers, root.level = handlers, level


@pytest.fixture
def crm(monkeypatch):
    """The portal behind every token."""
    portal = MemoryCRM(page_size=50, token=TOKEN)
    stock(portal, 8)
    plug(monkeypatch, portal)
    return portal


@pytest.fixture
def connected(cli, crm):
    """The command line with a portal named p."""
    assert cli("connect", "hubspot", "--name", "p", "--token", TOKEN).status == 0
    return cli
