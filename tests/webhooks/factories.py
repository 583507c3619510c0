"""Deliveries, proofs and stand-ins for the engine: a test says only what matters to it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Flask

from adapters.records import CRM
from webhooks import signatures
from webhooks.blueprint import create_blueprint
from webhooks.deliveries import ChangeNotice, Delivery, Endpoint, Headers, Secrets
from webhooks.errors import InboxAway
from webhooks.receiving import Reception
from webhooks.registry import RECEIVERS

SAMPLES = Path(__file__).parent.parent / "samples"
NOW = datetime.fromtimestamp(1_790_000_000, UTC)
SECRET = "11111111-2222-3333-4444-555555555555"
MEMBER = "0123456789abcdef0123456789abcdef"
PATHS = {
    CRM.HUBSPOT: "/webhooks/hubspot",
    CRM.BITRIX24: "/webhooks/bitrix24",
    CRM.AMOCRM: "/webhooks/amocrm/path-secret",
}
KNOWN = {
    (CRM.HUBSPOT, ""): Secrets((SECRET,)),
    (CRM.BITRIX24, MEMBER): Secrets(("TOKEN",), account_id=MEMBER),
    (CRM.AMOCRM, signatures.fingerprint("path-secret")): Secrets(("path-secret",), account_id="123"),
}


def sample(crm: CRM, name: str) -> tuple[dict[str, str], bytes]:
    """Headers and raw body of a sample."""
    head, _, body = (SAMPLES / crm.value / "webhooks" / f"{name}.http").read_bytes().partition(b"\n\n")
    return dict(line.split(": ", 1) for line in head.decode().splitlines()), body


def delivery(
    crm: CRM,
    body: bytes | str = b"",
    *,
    path: str | None = None,
    headers: Mapping[str, str] | None = None,
    endpoint: Endpoint = Endpoint.EVENTS,
    method: str = "POST",
) -> Delivery:
    """A request to our address for this CRM."""
    target = path or PATHS[crm]
    return Delivery(
        crm=crm,
        endpoint=endpoint,
        method=method,
        url=f"https://app.example.com{target}",
        path=target.partition("?")[0],
        headers=Headers((headers or {}).items()),
        body=body.encode() if isinstance(body, str) else body,
        received_at=NOW,
    )


def sampled(crm: CRM, name: str, *, endpoint: Endpoint = Endpoint.EVENTS) -> Delivery:
    """A sample as a delivery."""
    headers, body = sample(crm, name)
    return delivery(crm, body, headers=headers, endpoint=endpoint)


def signed_headers(body: bytes, *, url: str, secret: str = SECRET, at: datetime = NOW) -> dict[str, str]:
    """HubSpot's headers of version 3, computed here from the formula and not by the code under test."""
    timestamp = str(round(at.timestamp() * 1000))
    digest = hmac.new(secret.encode(), b"POST" + url.encode() + body + timestamp.encode(), hashlib.sha256).digest()
    return {
        "X-HubSpot-Signature-v3": base64.b64encode(digest).decode(),
        "X-HubSpot-Request-Timestamp": timestamp,
        "Content-Type": "application/json",
    }


def token(
    claims: Mapping[str, Any], *, secret: str = SECRET, alg: str = "HS256", digest: str = "sha256", **head: Any
) -> str:
    """A JSON web token; `alg` is what its header says, `digest` what it is really signed with."""

    def part(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    signed = f"{part(json.dumps({'typ': 'JWT', 'alg': alg, **head}).encode())}.{part(json.dumps(claims).encode())}"
    return f"{signed}.{part(hmac.digest(secret.encode(), signed.encode(), digest))}"


@dataclass
class MemoryInbox:
    """Folds by the receiver's key, or is away, or breaks."""

    kept: dict[str, tuple[Delivery, Sequence[ChangeNotice]]] = field(default_factory=dict)
    trouble: Exception | None = None

    def store(self, delivery: Delivery, *, notices: Sequence[ChangeNotice]) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.kept.setdefault(RECEIVERS[delivery.crm].delivery_key(delivery), (delivery, notices))


@dataclass
class MemoryPortals:
    """Knows three portals unless told otherwise."""

    known: Mapping[tuple[CRM, str], Secrets] = field(default_factory=lambda: KNOWN)
    away: bool = False

    def secrets(self, crm: CRM, address: str) -> Secrets | None:
        if self.away:
            raise InboxAway("the database is away", retry_after=7)
        return self.known.get((crm, address))


def application(
    inbox: MemoryInbox, portals: MemoryPortals | None = None, *, at: datetime = NOW, **settings: Any
) -> Flask:
    """A bare Flask application with nothing but our routes."""
    app = Flask("test")
    settings.setdefault("public_url", "https://app.example.com")
    reception = Reception(inbox, portals or MemoryPortals(), lambda: at)
    app.register_blueprint(create_blueprint(reception, **settings))
    return app
