"""The life of an installed app, with the web process and commands as they are run: every CRM's sandbox over HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from connector.store.database import Database
from connector.store.models import Portal
from sandbox.clock import RealClock
from sandbox.faults import Faults
from sandbox.random_shop import random_shop
from sandbox.server import serve
from tests.acceptance.stage import CRMS, ROOT
from tests.connector.api.bench import Browser, Told, ask

pytestmark = pytest.mark.slow


@dataclass
class Life:
    """A served portal, our web process, and commands on the same database."""

    crm: str
    portal: Any
    url: str
    environ: dict[str, str]
    database: Database

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

    def kept(self) -> Portal:
        with self.database.session() as session:
            return session.query(Portal).one()


@pytest.fixture(params=CRMS)
def life(request, database, database_url, tmp_path) -> Iterator[Life]:
    crm = request.param
    create = import_module(f"sandbox.{crm}").create_portal
    shop = random_shop(5, 40, 120, RealClock().now().date())
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
        environ = {
            **os.environ,
            "DATABASE_URL": database_url,
            "ENCRYPTION_KEYS": "k" * 32,
            "VAR_DIR": str(tmp_path),
            "PUBLIC_URL": url,
            "PORT": str(port),
            "ALLOWED_CRM_HOSTS": ",".join(urlsplit(one).netloc for one in urls),
            "HUBSPOT_API_URL": urls[0],
            f"{crm.upper()}_OAUTH_URL": urls[-1],
            f"{crm.upper()}_CLIENT_ID": portal.oauth.client_id,
            f"{crm.upper()}_CLIENT_SECRET": portal.oauth.client_secret,
        }
        running.callback(_stop, _serving(environ))
        yield Life(crm, portal, url, environ, database)


def test_an_installed_app_lives_through_expiry_loss_removal_and_return(life):
    told = life.install()
    assert told.status == 200, told.text
    name = life.kept().name
    first = life.command("run", name)
    assert first["written"] == first["scored"] > 0

    life.portal.oauth.grants.expire()
    again = life.command("run", name)
    assert (again["written"], again["refused"]) == (0, [])
    assert life.portal.oauth.grants.refreshes == 1
    assert life.portal.double_refreshes == 0

    life.portal.oauth.grants.revoke_all()
    life.command("run", name, check=3)
    portal = life.kept()
    assert portal.state == "paused"
    assert portal.state_reason
    asked = life.portal.requests
    life.command("run", name, check=3)
    assert life.portal.requests == asked

    assert life.install().status == 200
    assert life.kept().state == "active"
    assert life.command("run", name)["written"] == 0

    life.uninstall()
    if life.crm == "hubspot":  # nobody is told: the next call finds out
        life.command("run", name, check=3)
        assert life.kept().state == "paused"
    else:
        assert life.kept().state == "disconnected"
        assert life.kept().access is None
        life.command("run", name, check=2)

    assert life.install().status == 200
    portal = life.kept()
    assert (portal.name, portal.state) == (name, "active")
    assert life.command("run", name)["written"] == 0
    assert life.portal.double_refreshes == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serving(environ: dict[str, str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "connector", "serve"], cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr or ():
        if "serving at" in line:
            return process
    raise AssertionError("the web process did not start")


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stderr is not None:
        process.stderr.close()
