"""What HubSpot does on its own with an app: workflow actions that call it and wait, and its card on a record.

https://developers.hubspot.com/docs/apps/developer-platform/add-features/custom-workflow-actions and
/docs/apps/developer-platform/add-features/ui-extensions/fetching-data (read 2026-11). Signed with v3, as all of it is;
actions are documented with v2, which is what `old` sends.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from itertools import count
from typing import Any
from urllib.parse import urlencode

import orjson

from sandbox.clock import Clock
from sandbox.hubspot import values
from sandbox.hubspot.body import Call
from sandbox.hubspot.errors import invalid, missing_resource, not_found
from sandbox.hubspot.oauth import HubSpotOAuth
from sandbox.posting import Heard, get, post_bytes
from sandbox.web import Answer

_PATIENCE_S = 15.0
_JSON = "application/json"
_WAITING = frozenset({"BLOCK", "ASYNC"})


class Automation:
    """Calls of one account. `waiting` are callbacks that an action has blocked, `ended` what they were told."""

    def __init__(self, clock: Clock, oauth: HubSpotOAuth, portal_id: int, app_id: int) -> None:
        self.waiting: set[str] = set()
        self.ended: dict[str, dict[str, Any]] = {}
        self._clock = clock
        self._oauth = oauth
        self._portal_id = portal_id
        self._app_id = app_id
        self._numbers = count(1)

    def run_action(
        self, url: str, kind: str, record_id: int, *, callback: str | None = None, old: bool = False
    ) -> tuple[str, Heard]:
        """A record reaches the action in a workflow; the callback's id and what the app answered.

        A `callback` repeats an earlier call.
        """
        callback = callback or f"ap-{self._portal_id}-{next(self._numbers)}-0"
        body = orjson.dumps(
            {
                "callbackId": callback,
                "origin": {
                    "portalId": self._portal_id,
                    "actionDefinitionId": 9,
                    "actionDefinitionVersion": 1,
                },
                "context": {"source": "WORKFLOWS", "workflowId": 3},
                "object": {"objectId": record_id, "objectType": kind, "properties": {}},
                "inputFields": {},
            }
        )
        signed = self._v2("POST", url, body) if old else self.signed("POST", url, body)
        heard = post_bytes(url, body, {"Content-Type": _JSON, **signed}, _PATIENCE_S)
        self._note(callback, heard)
        return callback, heard

    def open_card(self, url: str, **query: str) -> Heard:
        """A person opens a record with the app's card: `hubspot.fetch` without a body, through HubSpot."""
        asked = {"portalId": str(self._portal_id), **query}
        signed = self.signed("GET", f"{url}?{urlencode(asked)}", b"")
        return get(url, asked, _PATIENCE_S, signed)

    def signed(self, method: str, url: str, body: bytes) -> dict[str, str]:
        """The headers of a request by HubSpot at this moment."""
        stamp = str(values.to_ms(self._clock.now()))
        text = f"{method}{url}".encode() + body + stamp.encode()
        mac = hmac.digest(self._oauth.client_secret.encode(), text, "sha256")
        return {"X-HubSpot-Signature-v3": base64.b64encode(mac).decode(), "X-HubSpot-Request-Timestamp": stamp}

    def _v2(self, method: str, url: str, body: bytes) -> dict[str, str]:
        text = f"{self._oauth.client_secret}{method}{url}".encode() + body
        return {"X-HubSpot-Signature": hashlib.sha256(text).hexdigest(), "X-HubSpot-Signature-Version": "v2"}

    def _note(self, callback: str, heard: Heard) -> None:
        try:
            told = orjson.loads(heard.body)["outputFields"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return
        if told.get("hs_execution_state") in _WAITING:
            self.waiting.add(callback)
        else:
            self.ended[callback] = told


def complete(call: Call, automation: Automation, rest: tuple[str, ...]) -> Answer:
    """`/automation/actions/callbacks/…/complete`, or one by its id. Raises `Refused`; all are ended, or none."""
    if call.request.method != "POST" or rest[-1:] != ("complete",) or len(rest) > 2:
        raise missing_resource()
    try:
        body = call.request.json()
    except ValueError:
        raise invalid("the body is no JSON") from None
    if not isinstance(body, dict):
        raise invalid("the body is no object")
    inputs = [{"callbackId": rest[0], **body}] if len(rest) == 2 else body.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise invalid("inputs are missing")
    for given in inputs:
        if not isinstance(given.get("outputFields"), Mapping) or not isinstance(given.get("typedOutputs"), Mapping):
            raise invalid("outputFields and typedOutputs are required")
        if given.get("callbackId") not in automation.waiting:
            raise not_found("callback", str(given.get("callbackId")))
    for given in inputs:
        automation.waiting.discard(given["callbackId"])
        automation.ended[given["callbackId"]] = dict(given["outputFields"])
    return Answer(204, b"")
