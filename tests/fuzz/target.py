"""The real application on a real PostgreSQL, and requests that no CRM and no person sends, at every address it has.

What must hold: never an answer above 499, nothing stored without a 2xx, and nothing but events and calls with one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from flask import Flask
from hypothesis import strategies as st
from sqlalchemy import text
from werkzeug.routing import Rule

from connector.app import create_app
from connector.config import Config
from connector.secrets import Vault
from connector.store import hooks
from connector.store.database import Database
from connector.store.models import Base, Portal
from tests.fuzz.hostile import BODIES, DEEP, ENCODED, HEADERS, LARGE, QUERY

PUBLIC, HERE = "https://rfm.example", "http://localhost"
OF_CRMS = ("/oauth/", "/install/", "/webhooks/", "/uninstall/", "/robots/", "/actions/", "/card/")
METHODS = ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS")
SECRET, TOKEN, PATH_SECRET, MEMBER = "hubspot-secret", "application-token", "path-secret", "0123456789abcdef" * 2
KEPT_WITH_2XX = frozenset({"arrivals", "inbox", "calls", "work", "install_codes", "spent_tokens"})
KINDS = ("application/x-www-form-urlencoded", "application/json", "text/plain", "multipart/form-data; boundary=x", "")
NAMED = ("rfm_segment", "rfm_score", "segment", "score", "hubspot", "amocrm", "plotly.min.js", "site.css")
"""What stands in paths where something is found."""
KEY = "a key for fuzzing only, 32 bytes"


@dataclass(frozen=True)
class Request:
    """One request. `proof` asks for what would prove it, so that the body is read: a signature, a token, a path."""

    rule: str
    method: str
    arguments: Mapping[str, str]
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes
    kind: str
    host: str
    proof: str

    @property
    def path(self) -> str:
        """The path with its arguments."""
        made = self.rule
        for name, value in self.arguments.items():
            wanted = PATH_SECRET if name == "secret" and self.proof != "none" else value
            for shape in (f"<{name}>", f"<path:{name}>"):
                made = made.replace(shape, quote(wanted, safe="", errors="replace") or "x")
        return made


def rules_of(app: Flask) -> list[Rule]:
    """Every route."""
    return sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)


def requests(app: Flask) -> st.SearchStrategy[Request]:
    """Requests to every route, each as likely as the others."""
    return st.sampled_from(rules_of(app)).flatmap(requests_to)


def requests_to(rule: Rule) -> st.SearchStrategy[Request]:
    """Requests to one route, most of them under the name and with a method that it answers to."""
    bodies = st.one_of(BODIES, BODIES, QUERY.map(_form), DEEP, ENCODED, LARGE, st.just(b""))
    texts = st.text(max_size=30) | st.sampled_from(["..", "%00", "a" * 2000, *NAMED, *NAMED])
    usual = PUBLIC if rule.rule.startswith(OF_CRMS) else HERE
    own = [method for method in METHODS if method in (rule.methods or ())]
    return st.builds(
        Request,
        rule=st.just(rule.rule),
        method=st.one_of(st.sampled_from(own), st.sampled_from(own), st.sampled_from(METHODS)),
        arguments=st.fixed_dictionaries(dict.fromkeys(sorted(rule.arguments), texts)),
        query=QUERY,
        headers=HEADERS,
        body=bodies,
        kind=st.sampled_from(KINDS),
        host=st.sampled_from([*[usual] * 5, PUBLIC, HERE, "https://evil.example"]),
        proof=st.sampled_from(["none", "right", "right", "old", "twice"]),
    )


def _form(pairs: list[tuple[str, str]]) -> bytes:
    return urlencode(pairs, errors="surrogatepass").encode()


@dataclass
class Target:
    """An application with a portal of each CRM; `seen` counts answers by route and status."""

    app: Flask
    database: Database
    seen: Counter[tuple[str, int]] = field(default_factory=Counter)
    _before: dict[str, int] = field(default_factory=dict)

    def connect(self) -> None:
        """The portals, as an installation leaves them; again if they have left."""
        vault = Vault((KEY,))
        with self.database.session() as session:
            if session.query(Portal).filter(Portal.state == "active").count() == 3:
                return
            session.execute(text("; ".join(f"DELETE FROM {name}" for name in Base.metadata.tables)))
            for crm, account in (("hubspot", "101"), ("bitrix24", MEMBER), ("amocrm", "123")):
                portal = Portal(crm=crm, name=crm, account_id=account, host=f"{crm}.example", time_zone="UTC",
                                currency="USD", language="en", rates={"USD": "1"})  # fmt: skip
                if crm == "bitrix24":
                    hooks.keep_secret(portal, vault, TOKEN)
                elif crm == "amocrm":
                    portal.hook = vault.seal({"secret": PATH_SECRET})
                    portal.hook_fingerprint = hashlib.sha256(PATH_SECRET.encode()).hexdigest()
                session.add(portal)
        self._before = self._stored()

    def fire(self, request: Request) -> int:
        """Send a request and check what must hold; returns the status."""
        self.connect()
        told = self._send(request)
        if request.proof == "twice":
            told = self._send(request)
        self.seen[request.rule, told.status_code] += 1
        assert told.status_code < 500, f"{told.status_code} for {request}"
        stored = self._stored()
        changed = {name for name, count in stored.items() if count != self._before[name]}
        allowed = KEPT_WITH_2XX if told.status_code < 400 or request.proof == "twice" else frozenset()
        is_gone = stored["left"] != self._before["left"] and told.status_code == 200
        assert is_gone or changed <= allowed, f"{changed} stored with {told.status_code} for {request}"
        self._before = stored
        return int(told.status_code)

    def _send(self, request: Request) -> Any:
        query = urlencode(request.query, errors="surrogatepass")
        headers = {
            name: value.encode("latin-1", "replace").decode("latin-1") for name, value in request.headers.items()
        }
        body = self._proven(request, query, headers)
        headers.setdefault("Content-Type", request.kind)
        return self.app.test_client().open(
            f"{request.path}?{query}", method=request.method, headers=headers, data=body, base_url=request.host
        )

    def _proven(self, request: Request, query: str, headers: dict[str, str]) -> bytes:
        """The body with its proof, where the address takes one."""
        if request.proof == "none":
            return request.body
        if "hubspot" in request.rule:
            stamp = str(round((time.time() - (600 if request.proof == "old" else 0)) * 1000))
            url = f"{PUBLIC}{request.path}?{query}"
            message = request.method.encode() + url.encode() + request.body + stamp.encode()
            mac = base64.b64encode(hmac.digest(SECRET.encode(), message, "sha256")).decode()
            headers |= {"X-HubSpot-Signature-v3": mac, "X-HubSpot-Request-Timestamp": stamp}
            headers["Content-Type"] = "application/json"
            return request.body
        proofs = {
            "bitrix24": f"&auth[member_id]={MEMBER}&auth[application_token]={TOKEN}&event=ONCRMDEALUPDATE",
            "amocrm": "&account[id]=123",
        }
        for crm, proof in proofs.items():
            if crm in request.rule and request.body:
                headers["Content-Type"] = KINDS[0]
                return request.body + proof.encode()
        return request.body

    def _stored(self) -> dict[str, int]:
        """How many rows each table has, and how many portals have left."""
        names = sorted(Base.metadata.tables)
        counts = ", ".join(f"(SELECT count(*) FROM {name})" for name in names)
        left = "(SELECT count(*) FROM portals WHERE state <> 'active')"
        with self.database.session() as session:
            row = session.execute(text(f"SELECT {counts}, {left}")).one()
        return dict(zip([*names, "left"], row, strict=True))


def target_on(database: Database, var_dir: Path) -> Target:
    """All three apps set up, with vendors that cannot be reached: whatever needs them must be refused before."""
    config = Config(
        database_url=database.url,
        encryption_keys=(KEY,),
        secret_key="s" * 32,
        var_dir=var_dir,
        public_url=PUBLIC,
        hubspot_client_id="h",
        hubspot_client_secret=SECRET,
        bitrix24_client_id="b",
        bitrix24_client_secret="bs",
        bitrix24_oauth_url="http://127.0.0.1:9",
        amocrm_client_id="a",
        amocrm_client_secret="as",
    )
    return Target(create_app(config, background=lambda work: None), database)
