"""An installed app and its CRM, as they are run: a served sandbox portal, our processes, one database."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psutil
from sqlalchemy import text

from connector.jobs import schedule
from connector.store.database import Database
from connector.store.models import Portal
from sandbox.clock import RealClock
from sandbox.faults import Faults
from sandbox.random_shop import random_shop
from sandbox.server import serve
from sandbox.shop import Shop
from tests.acceptance.stage import ROOT, Stage
from tests.connector.api.bench import Browser, Told, ask

_POLL_S = 0.1


@dataclass
class Life:
    """A served portal, our web process, and commands on the same database."""

    crm: str
    portal: Any
    url: str
    environ: dict[str, str]
    database: Database
    home: Path
    shop: Shop
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    # --- our processes -----------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """A web process (`web`) or a worker (any other name)."""
        command = "serve" if name == "web" else "worker"
        self.processes[name] = _started(command, self.environ, self.home / f"{name}.log")

    def kill(self, name: str) -> None:
        """kill -9, for the web process with the one that serves in its place."""
        process = self.processes.pop(name)
        for each in (process, *_children(process)):
            with suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)
        process.wait()

    def answers(self) -> bool:
        """Whether the web process takes connections."""
        return _answers(int(self.environ["PORT"]))

    def stop(self) -> None:
        """End them all."""
        for process in self.processes.values():
            _stop(process)

    # --- our side ----------------------------------------------------------------------------------------------

    def command(self, *words: str, check: int = 0) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "connector", *words, "--json"],
            check=False,
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
        )
        assert done.returncode == check, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}
        return found

    def kept(self) -> Portal:
        with self.database.session() as session:
            return session.query(Portal).one()

    def rows(self, sql: str, **keys: Any) -> list[Any]:
        with self.database.session() as session:
            return [row[0] if len(row) == 1 else tuple(row) for row in session.execute(text(sql), keys)]

    def ask(self, job: str, portal_id: int) -> None:
        """What the schedule does when the moment has come."""
        with self.database.session() as session:
            schedule.ask(session, job, portal_id, datetime.now(UTC))

    def is_idle(self) -> bool:
        """Whether nothing of a portal's is asked for, waits or runs."""
        jobs = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing') AND lock IS NOT NULL"
        return self.rows(
            f"{jobs} UNION ALL SELECT count(*) FROM work WHERE asked_at IS NOT NULL AND portal_id > 0"
        ) == [
            0,
            0,
        ]

    # --- what people do ----------------------------------------------------------------------------------------

    def install(self) -> Told:
        """As a person does it in this CRM."""
        oauth = self.portal.oauth
        if self.crm == "bitrix24":
            oauth.install()
            query = urlencode({"DOMAIN": oauth.domain, "PROTOCOL": "1", "LANG": "ru"})
            body = urlencode(oauth.page_form()).encode()
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            told = ask("POST", f"{self.url}/install/bitrix24?{query}", body, kind)
            oauth.finish()
            return told
        browser = Browser()
        told = browser.get(f"{self.url}/oauth/{self.crm}/start")
        while told.status == 302:
            told = browser.get(told.headers["Location"])
        return told

    def uninstall(self) -> None:
        """As a person does it; HubSpot tells nobody."""
        path = {"bitrix24": "/install/bitrix24", "amocrm": "/uninstall/amocrm"}.get(self.crm)
        heard = self.portal.oauth.uninstall(self.url + path) if path else self.portal.oauth.uninstall()
        assert heard is None or heard.status == 200

    def win_deal(self, contact: int, amount: int) -> int:
        """A new deal of a contact, won now; returns its id."""
        if self.crm == "hubspot":
            deal = self.portal.add("deals", dealname="New", amount=str(amount), dealstage=self._first_stage())
            self.portal.link("deals", deal, "contacts", contact)
            self.portal.win(deal)
        elif self.crm == "bitrix24":
            deal = self.portal.add_deal(amount=Decimal(amount), won=True, title="New", contact_ids=(contact,))
        else:
            parts = {"contacts": [{"id": contact}]}
            deal = self.portal.add_card("leads", name="New", price=amount, _embedded=parts)
            self.portal.win_lead(deal)
        return int(deal)

    def _first_stage(self) -> str:
        return str(self.portal.account.deal_pipelines[0].stages[0].id)

    def set_amount(self, deal: int, amount: int) -> None:
        if self.crm == "hubspot":
            self.portal.edit("deals", deal, amount=str(amount))
        elif self.crm == "bitrix24":
            self.portal.edit_card("deal", deal, {"OPPORTUNITY": amount})
        else:
            self.portal.set_attributes("leads", deal, price=amount)

    def give_to(self, contact: int, manager: str) -> None:
        """Another manager takes over a contact."""
        if self.crm == "hubspot":
            self.portal.edit("contacts", contact, hubspot_owner_id=manager)
        elif self.crm == "bitrix24":
            self.portal.edit_card("contact", contact, {"ASSIGNED_BY_ID": int(manager)})
        else:
            self.portal.set_attributes("contacts", contact, responsible_user_id=int(manager))

    @property
    def stage(self) -> Stage:
        """The portal with the words of the other acceptance tests: cards, reopening, deleting, merging."""
        return Stage(self.crm, None, self.portal, "", self.environ)  # type: ignore[arg-type]  # no shop is asked for


def until(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait for something to be true, and return it; fails after so long."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(_POLL_S)
    return found


@contextmanager
def living(
    crm: str, database: Database, database_url: str, home: Path, *, worker: bool = False, workers: int = 0
) -> Iterator[Life]:
    """A portal, our web process, and if wanted workers; all of it is gone afterwards."""
    create = import_module(f"sandbox.{crm}").create_portal
    shop = random_shop(5, 60, 240, RealClock().now().date())
    portal = create(shop, clock=RealClock(), limits=False, faults=Faults.none(), token="sandbox-token")
    with ExitStack() as running:
        urls = [running.enter_context(serve(portal.app)).url]
        if crm == "bitrix24":
            urls.append(running.enter_context(serve(portal.oauth.auth_app)).url)
            portal.oauth.served_at(*urls)
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        if crm != "bitrix24":
            portal.oauth.redirect_url = f"{url}/oauth/{crm}/callback"
        if crm == "hubspot":
            portal.letters.target_url = f"{url}/webhooks/hubspot"
        environ = {
            **os.environ,
            "DATABASE_URL": database_url,
            "ENCRYPTION_KEYS": "k" * 32,
            "VAR_DIR": str(home),
            "PUBLIC_URL": url,
            "PORT": str(port),
            "ALLOWED_CRM_HOSTS": ",".join(urlsplit(one).netloc for one in urls),
            "HUBSPOT_API_URL": urls[0],
            f"{crm.upper()}_OAUTH_URL": urls[-1],
            f"{crm.upper()}_CLIENT_ID": portal.oauth.client_id,
            f"{crm.upper()}_CLIENT_SECRET": portal.oauth.client_secret,
        }
        life = Life(crm, portal, url, environ, database, home, shop)
        running.callback(life.stop)
        for name in ("web", *(f"worker-{number}" for number in range(workers or worker))):
            life.start(name)
        until(life.answers, 60)
        yield life


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _children(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _started(command: str, environ: dict[str, str], heard: Path) -> subprocess.Popen[bytes]:
    with heard.open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "connector", command], cwd=ROOT, env=environ, stderr=log)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
