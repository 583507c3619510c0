"""Our application and one CRM's sandbox, each served on loopback, that speak to each other as they would outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from adapters.records import CRM
from connector.app import create_app
from connector.config import Config
from connector.deadline import NEVER
from connector.jobs import definitions, schedule
from connector.secrets import Vault
from connector.store.database import Database
from connector.store.models import Portal
from connector.wiring import Service, utc_now
from sandbox.clock import RealClock
from sandbox.faults import Faults
from sandbox.random_shop import random_shop
from sandbox.server import serve
from tests.connector.factories import KEY, rows

FORM = "application/x-www-form-urlencoded"


class Later:
    """Work that the application wants done after its answer; done when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []

    def __call__(self, work: Callable[[], object]) -> None:
        self.waiting.append(work)

    def do(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()


@dataclass(frozen=True)
class Told:
    """An HTTP answer."""

    status: int
    text: str
    headers: dict[str, str]


@dataclass
class Browser:
    """Follows nothing by itself and keeps cookies, each for its path."""

    cookies: dict[str, tuple[str, str]] = field(default_factory=dict)

    def get(self, url: str) -> Told:
        parts = urlsplit(url)
        sent = "; ".join(
            f"{name}={value}" for name, (value, path) in self.cookies.items() if parts.path.startswith(path)
        )
        told = ask("GET", url, headers={"Cookie": sent} if sent else {})
        for cookie in told.headers.get("Set-Cookie", "").split("\n"):
            pair, *attributes = [part.strip() for part in cookie.split(";")]
            name, _, value = pair.partition("=")
            if name:
                path = next((one[5:] for one in attributes if one.startswith("Path=")), "/")
                self.cookies[name] = (value, path)
                if "Max-Age=0" in attributes:
                    del self.cookies[name]
        return told


def ask(method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Told:
    """One request over HTTP."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        found: dict[str, str] = {}
        for name, value in answer.getheaders():
            found[name] = f"{found[name]}\n{value}" if name in found else value
        return Told(answer.status, text, found)
    finally:
        connection.close()


@dataclass
class Bench:
    """A CRM and our application. `url` is ours, `crm_url` the CRM's; `later` has what is done after answers."""

    crm: CRM
    portal: Any
    url: str
    crm_url: str
    config: Config
    database: Database
    service: Service
    later: Later
    browser: Browser = field(default_factory=Browser)

    @property
    def grants(self) -> Any:
        return self.portal.oauth.grants

    def install(self) -> Told:
        """A person installs the app, as this CRM has it, and everything that follows is done."""
        if self.crm is CRM.BITRIX24:
            self.portal.oauth.install()
            told = self.open_page()
            self.portal.oauth.finish()
        else:
            told = self.walk(f"/oauth/{self.crm.value}/start")
        self.later.do()
        self.set_up()
        return told

    def set_up(self) -> None:
        """What a worker does at once after an installation."""
        for portal_id in rows(self.database, "SELECT portal_id FROM work WHERE job = 'setup' AND asked_at IS NOT NULL"):
            definitions.perform(self.service, schedule.SETUP, portal_id, NEVER)

    def walk(self, path: str) -> Told:
        """Open one of our addresses and follow it to the CRM and back."""
        told = self.browser.get(self.url + path)
        while told.status == 302:
            told = self.browser.get(told.headers["Location"])
        return told

    def open_page(self, *, query: dict[str, str] | None = None, **change: str) -> Told:
        """A person opens Bitrix24's page of our app; `change` is what else stands in the form."""
        oauth = self.portal.oauth
        asked = {"DOMAIN": oauth.domain, "PROTOCOL": "1", "LANG": "ru", "APP_SID": "1", **(query or {})}
        return self.post(f"/install/bitrix24?{urlencode(asked)}", {**oauth.page_form(), **change})

    def post(self, path: str, form: dict[str, str] | bytes, content_type: str = FORM) -> Told:
        body = form if isinstance(form, bytes) else urlencode(form).encode()
        return ask("POST", self.url + path, body, {"Content-Type": content_type})

    def kept(self) -> Portal:
        """The one portal that is stored."""
        with self.database.session() as session:
            return session.query(Portal).one()

    def audit(self) -> list[str]:
        return rows(self.database, "SELECT action FROM audit ORDER BY entry_id")

    def is_empty(self) -> bool:
        """Whether nothing at all was stored of anybody."""
        tables = ("portals", "audit", "arrivals", "inbox", "install_codes", "work")
        return all(rows(self.database, f"SELECT count(*) FROM {table}") == [0] for table in tables)


def settings(crm: CRM, portal: Any, *urls: str, **more: Any) -> dict[str, Any]:
    """Our registration with the sandbox, as settings."""
    return {
        f"{crm.value}_client_id": portal.oauth.client_id,
        f"{crm.value}_client_secret": portal.oauth.client_secret,
        f"{crm.value}_oauth_url": urls[-1],
        "allowed_crm_hosts": frozenset(urlsplit(url).netloc for url in urls),
        **more,
    }


@contextmanager
def bench(crm: CRM, database: Database, var_dir: Path, *, clock: Callable[[], datetime] = utc_now) -> Iterator[Bench]:
    """Both of them, served."""
    today = RealClock().now().date()
    create = import_module(f"sandbox.{crm.value}").create_portal
    portal = create(
        random_shop(7, 24, 80, today), clock=RealClock(), limits=False, faults=Faults.none(), token="sandbox-token"
    )
    later, held = Later(), _Held()
    with ExitStack() as running:
        there = running.enter_context(serve(portal.app))
        urls = [there.url]
        if crm is CRM.BITRIX24:
            urls.append(running.enter_context(serve(portal.oauth.auth_app)).url)
            portal.oauth.served_at(*urls)
        ours = running.enter_context(serve(held))
        config = Config(
            database_url=database.url,
            encryption_keys=(KEY,),
            var_dir=var_dir,
            public_url=ours.url,
            hubspot_api_url=there.url,
            **settings(crm, portal, *urls),
        )
        if crm is not CRM.BITRIX24:
            portal.oauth.redirect_url = f"{ours.url}/oauth/{crm.value}/callback"
        held.app = create_app(config, clock=clock, background=later)
        running.callback(held.app.extensions["pages"].database().close)
        service = Service(config, database, Vault((KEY,)), now=clock)
        running.callback(service.grants.close)
        yield Bench(crm, portal, ours.url, there.url, config, database, service, later)


class _Held:
    """An application that is made once its address is known."""

    app: Any = None

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.app(environ, start_response)
