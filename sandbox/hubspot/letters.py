"""Webhooks of the app: arrays of events, signed with v3 over address, body and time.

https://developers.hubspot.com/docs/apps/developer-platform/add-features/configure-webhooks and
/docs/apps/developer-platform/build-apps/authentication/request-validation (read 2026-11). What is asked for stands in
the app's files, and is the same for every account.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from threading import Lock
from typing import Any

import orjson

from sandbox.clock import Clock
from sandbox.deliveries import Postman
from sandbox.hubspot import values
from sandbox.hubspot.kinds import Kind
from sandbox.hubspot.oauth import HubSpotOAuth
from sandbox.hubspot.records import Author
from sandbox.posting import Heard, post_bytes

MOST = 100
_PATIENCE_S = 5.0
_OWNER = "hubspot_owner_id"
USUAL: frozenset[tuple[str, str, str]] = frozenset(
    {(f"object.{what}", kind, "") for kind in ("contact", "company", "deal", "order") for what in
     ("creation", "deletion", "merge", "restore", "associationChange")}
    | {("object.propertyChange", kind, _OWNER) for kind in ("contact", "company", "deal", "order")}
    | {("object.propertyChange", "deal", name) for name in
       ("amount", "deal_currency_code", "closedate", "dealstage", "pipeline")}
    | {("contact.privacyDeletion", "", "")}
)  # fmt: skip
"""Type, object, property: what an app asks for that counts deals."""


def subscriptions_of(file: Mapping[str, Any]) -> frozenset[tuple[str, str, str]]:
    """What the parsed `webhooks-hsmeta.json` of an app asks for."""
    lists = file["config"]["subscriptions"].values()
    rows = [row for rows in lists for row in rows if row.get("active")]
    return frozenset((row["subscriptionType"], row.get("objectType", ""), row.get("propertyName", "")) for row in rows)


class Letters:
    """What HubSpot posts to the app. `target_url` None: the app has no webhooks."""

    def __init__(self, clock: Clock, oauth: HubSpotOAuth, postman: Postman, portal_id: int, app_id: int) -> None:
        self.target_url: str | None = None
        self.subscriptions = USUAL
        self._clock = clock
        self._oauth = oauth
        self._postman = postman
        self._about = {"portalId": portal_id, "appId": app_id, "subscriptionId": 12, "attemptNumber": 0}
        self._waiting: list[dict[str, Any]] = []
        self._lock = Lock()

    def tell(self, what: str, kind: Kind, record_id: int, author: Author, **more: Any) -> None:
        """Post `object.<what>` of a record, if it is asked for."""
        self._add((f"object.{what}", kind.singular, str(more.get("propertyName", ""))), kind, record_id, author, more)

    def tell_privacy(self, kind: Kind, record_id: int, author: Author) -> None:
        """A person was erased for good: the deletion is told as well."""
        self.tell("deletion", kind, record_id, author)
        self._add((f"{kind.singular}.privacyDeletion", "", ""), kind, record_id, author, {})

    def _add(
        self, asked: tuple[str, str, str], kind: Kind, record_id: int, author: Author, more: Mapping[str, Any]
    ) -> None:
        if self.target_url is None or self._postman.is_silent or asked not in self.subscriptions:
            return
        moment = values.to_ms(self._clock.now())
        event = {**self._about, "eventId": moment, "occurredAt": moment, "subscriptionType": asked[0]}
        event |= {"objectId": record_id, "objectTypeId": kind.type_id, "changeSource": author.source_type}
        with self._lock:
            self._waiting.append({**event, "sourceId": author.source_id, **more})
        self._postman.take(self._send)

    def _send(self) -> Heard:
        """What waits, together: the letters of events that went with an earlier one have nothing to do."""
        with self._lock:
            events, self._waiting[:MOST] = self._waiting[:MOST], []
        if not events or self.target_url is None:
            return Heard(-1)
        body, stamp = orjson.dumps(events), str(values.to_ms(self._clock.now()))
        text = f"POST{self.target_url}".encode() + body + stamp.encode()
        mac = base64.b64encode(hmac.digest(self._oauth.client_secret.encode(), text, "sha256")).decode()
        headers = {
            "Content-Type": "application/json",
            "X-HubSpot-Signature-v3": mac,
            "X-HubSpot-Request-Timestamp": stamp,
        }
        return post_bytes(self.target_url, body, headers, _PATIENCE_S)
