"""An app inside the portal, and the vendor's authorisation server beside it: installing, opening, renewing, removing.

https://apidocs.bitrix24.com/settings/oauth/index.html and /api-reference/common/events/ (read 2026-11). The server has
an application of its own (`auth_app`), since it has a host of its own; say where both are served (`served_at`) before
anything is opened. A refresh token dies when it is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hmac import compare_digest
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4
from wsgiref.types import WSGIApplication

import orjson

from sandbox.bitrix24.errors import RestError, access_denied
from sandbox.bitrix24.state import State
from sandbox.clock import Clock
from sandbox.grants import Consent, Grants, Lives, Pair
from sandbox.posting import Heard, post_form
from sandbox.web import Answer, Request, RequestLog, as_wsgi, html_answer

_DAY_S = 86_400
_PATIENCE_S = 10.0


class Bitrix24OAuth:
    """One app in one portal. `grants` counts renewals.

    `redirect_url` is the app's registered handler for codes. `is_present`: the app is in the portal; `is_finished`:
    its installer has called `installFinish`. `is_paid` False: the subscription has ended. `ordinary`: users who are
    no administrators. `blind`: users who may read no card.
    """

    def __init__(self, state: State, clock: Clock) -> None:
        self.client_id = "app.5b1ad1ce00004000.00000001"
        self.client_secret = "sandbox-bitrix24-secret"  # noqa: S105 - the sandbox's own
        self.redirect_url: str | None = None
        self.member_id = "a223c6b3710f85df22e9377d6c4f7553"
        self.application_token = uuid4().hex
        self.version = 1
        self.status = "F"
        self.is_present = False
        self.is_finished = False
        self.is_paid = True
        self.ordinary: set[int] = set()
        self.blind: set[int] = set()
        self.grants = Grants(clock, Lives(code_s=30, access_s=3600, refresh_s=180 * _DAY_S), rotates=True)
        self.auth_log = RequestLog()
        self.auth_app: WSGIApplication = as_wsgi(self.auth_answer, self.auth_log, clock)
        self._state = state
        self._clock = clock
        self._portal_url = "https://sandbox.bitrix24.com"
        self._auth_url = "https://oauth.bitrix.info"

    def served_at(self, portal_url: str, auth_url: str) -> None:
        """Where the portal and its authorisation server are, as they shall be told to the app."""
        self._portal_url, self._auth_url = portal_url.rstrip("/"), auth_url.rstrip("/")

    def renamed(self, portal_url: str) -> None:
        """The portal has another address."""
        self._portal_url = portal_url.rstrip("/")

    @property
    def domain(self) -> str:
        """The portal's host."""
        return urlsplit(self._portal_url).netloc

    @property
    def endpoints(self) -> dict[str, str]:
        """Where the app calls the portal and the authorisation server."""
        return {"client_endpoint": f"{self._portal_url}/rest/", "server_endpoint": f"{self._auth_url}/rest/"}

    # --- what people do ------------------------------------------------------------------------------------------

    def install(self) -> None:
        """An administrator adds the app. What its pages and handlers then hear, say with the methods below."""
        self.is_present, self.is_finished = True, False
        self.application_token = uuid4().hex
        self._state.forget_app()

    def finish(self) -> None:
        """The installer's page calls `BX24.installFinish()`."""
        self.is_finished = True

    def open_page(self, url: str, *, user_id: int | None = None, placement: str = "DEFAULT", **options: str) -> Heard:
        """A person opens a page of the app: the frame posts to it."""
        query = {"DOMAIN": self.domain, "PROTOCOL": "1", "LANG": "ru", "APP_SID": uuid4().hex}
        joint = "&" if urlsplit(url).query else "?"
        form = self.page_form(user_id=user_id, placement=placement, **options)
        return post_form(f"{url}{joint}{urlencode(query)}", form, _PATIENCE_S)

    def run_robot(self, code: str, document: str, *, waits: str = "Y", **change: str) -> Heard:
        """A deal reaches the stage on which an administrator has put our robot: `DEAL_7`."""
        handler = self._state.robots[code]["HANDLER"]
        return post_form(handler, self.robot_form(code, document, waits) | change, _PATIENCE_S)

    def send_event(self, url: str, name: str, **data: str) -> Heard:
        """ONAPPINSTALL or ONAPPUPDATE, with tokens."""
        return post_form(url, self.event_form(name, **data), _PATIENCE_S)

    def uninstall(self, url: str | None = None, *, clean: bool = False) -> Heard:
        """An administrator removes the app: access ends first, then ONAPPUNINSTALL goes out, if somebody listens."""
        self.grants.revoke_all()
        self._state.forget_app()
        self.is_present = self.is_finished = False
        return post_form(url, self.uninstall_form(clean=clean), _PATIENCE_S) if url else Heard(0)

    # --- what goes out -------------------------------------------------------------------------------------------

    def page_form(self, *, user_id: int | None = None, placement: str = "DEFAULT", **options: str) -> dict[str, str]:
        """The body of an opened page, with fresh tokens of whoever opens it."""
        pair = self.grants.issue(self._consent(user_id))
        return {
            "AUTH_ID": pair.access,
            "AUTH_EXPIRES": str(self.grants.lives.access_s),
            "REFRESH_ID": pair.refresh,
            "SERVER_ENDPOINT": self.endpoints["server_endpoint"],
            "APPLICATION_TOKEN": self.application_token,
            "APPLICATION_SCOPE": ",".join(pair.consent.scopes),
            "member_id": self.member_id,
            "status": self.status,
            "PLACEMENT": placement,
            "PLACEMENT_OPTIONS": json.dumps(options) if options else "",
        }

    def robot_form(self, code: str, document: str, waits: str = "Y") -> dict[str, str]:
        """The body of a robot's call. Not documented: these are the keys that the vendor's SDK reads."""
        token = f"{uuid4().hex}|A1|{code}"
        if waits != "N":
            self._state.waiting_robots.add(token)
        word = document.partition("_")[0]
        kind = {"DEAL": "CCrmDocumentDeal", "LEAD": "CCrmDocumentLead"}[word]
        pair = self.grants.issue(self._consent(None))
        return {
            "workflow_id": uuid4().hex,
            "code": code,
            "event_token": token,
            "use_subscription": waits,
            "timeout_duration": "0",
            "ts": str(int(self._clock.now().timestamp())),
            **{f"document_id[{at}]": part for at, part in enumerate(("crm", kind, document))},
            **{f"document_type[{at}]": part for at, part in enumerate(("crm", kind, word))},
            "auth[access_token]": pair.access,
            "auth[domain]": self.domain,
            "auth[client_endpoint]": self.endpoints["client_endpoint"],
            "auth[member_id]": self.member_id,
            "auth[user_id]": str(pair.consent.user_id),
            "auth[application_token]": self.application_token,
        }

    def event_form(self, name: str, **data: str) -> dict[str, str]:
        """The body of an event of the app's life, with fresh tokens of the installing administrator."""
        pair = self.grants.issue(self._consent(None))
        usual = {
            "VERSION": str(self.version),
            "ACTIVE": "Y",
            "INSTALLED": "Y" if self.is_finished else "N",
            "LANGUAGE_ID": "ru",
        }
        auth = {
            "access_token": pair.access,
            "refresh_token": pair.refresh,
            "expires_in": str(self.grants.lives.access_s),
            "scope": ",".join(pair.consent.scopes),
            "status": self.status,
        }
        return self._event(name, usual | data, auth)

    def record_form(self, name: str, record_id: int, number: int) -> dict[str, str]:
        """An event about a record, without tokens: nobody in particular has made the change."""
        form = self._event(name, {}, {})
        return {**form, "event_handler_id": str(number), "data[FIELDS][ID]": str(record_id)}

    def uninstall_form(self, *, clean: bool) -> dict[str, str]:
        """ONAPPUNINSTALL: no tokens, as access is over."""
        return self._event("ONAPPUNINSTALL", {"LANGUAGE_ID": "ru", "CLEAN": "1" if clean else "0"}, {})

    def _event(self, name: str, data: Mapping[str, str], auth: Mapping[str, str]) -> dict[str, str]:
        known = {"domain": self.domain, **self.endpoints, "member_id": self.member_id}
        return {
            "event": name,
            **{f"data[{key}]": value for key, value in data.items()},
            "ts": str(int(self._clock.now().timestamp())),
            **{f"auth[{key}]": value for key, value in {**auth, **known}.items()},
            "auth[application_token]": self.application_token,
        }

    def _consent(self, user_id: int | None) -> Consent:
        return Consent(self._state.user_id if user_id is None else user_id, tuple(sorted(self._state.scopes)))

    # --- the portal's part ---------------------------------------------------------------------------------------

    def page(self, request: Request) -> Answer | None:
        """The portal's consent page, which agrees at once; None for any other path."""
        if request.path.strip("/") != "oauth/authorize":
            return None
        asked = {name: values[-1] for name, values in request.query().items()}
        if asked.get("client_id") != self.client_id or self.redirect_url is None or not self.is_present:
            return html_answer(404, "Application not found")
        told = {
            "code": self.grants.new_code(self._consent(None)),
            "domain": self.domain,
            "member_id": self.member_id,
            "scope": ",".join(sorted(self._state.scopes)),
            "server_domain": urlsplit(self._auth_url).netloc,
        } | ({"state": asked["state"]} if "state" in asked else {})
        return Answer(302, b"", {"Location": f"{self.redirect_url}?{urlencode(told)}"})

    def admitted(self, token: object) -> Pair:
        """The pair of a call with a token; raises `RestError`."""
        if not isinstance(token, str) or not token:
            raise RestError("NO_AUTH_FOUND", "Wrong authorization data", 401)
        if not self.is_present:
            raise RestError("APPLICATION_NOT_FOUND", "Application not found", 401)
        pair = self.grants.pair_of(token)
        if pair is None:
            raise RestError("INVALID_TOKEN", "Unable to get application by token", 401)
        if not self.grants.is_live(token):
            raise RestError("expired_token", "The access token provided has expired.", 401)
        if not self.is_paid:
            raise RestError("PAYMENT_REQUIRED", "Payment required", 401)
        return pair

    def own_answer(self, name: str, pair: Pair) -> Any:
        """What methods about the app and its user answer to the app; None for all others. Raises `RestError`."""
        if name.startswith("crm.item.") and pair.consent.user_id in self.blind:
            raise access_denied()
        if name == "user.admin":
            return self._state.admin and pair.consent.user_id not in self.ordinary
        if name != "app.info":
            return None
        return {
            "ID": 1,
            "CODE": self.client_id,
            "VERSION": self.version,
            "STATUS": self.status,
            "INSTALLED": self.is_finished,
            "PAYMENT_EXPIRED": "N" if self.is_paid else "Y",
            "DAYS": None,
            "LANGUAGE_ID": "ru",
            "LICENSE": "ru_pro100",
            "LICENSE_TYPE": "pro100",
            "LICENSE_FAMILY": "pro",
        }

    # --- the authorisation server --------------------------------------------------------------------------------

    def auth_answer(self, request: Request) -> Answer:
        """The server's answer: tokens, or `app.info` about one."""
        asked = {name: values[-1] for name, values in request.query().items()}
        try:
            if request.path.strip("/") == "oauth/token" and request.method == "GET":
                return _json(200, self._token(asked))
            if request.path.strip("/").removesuffix(".json") == "rest/app.info":
                return _json(200, {"result": self._info(self.admitted(asked.get("auth"))), "time": {}})
        except RestError as error:
            return _json(error.status, error.body())
        return _json(404, RestError("ERROR_METHOD_NOT_FOUND", "Method not found!").body())

    def _token(self, asked: Mapping[str, str]) -> dict[str, Any]:
        given = f"{asked.get('client_id', '')}\n{asked.get('client_secret', '')}"
        if not compare_digest(given.encode(), f"{self.client_id}\n{self.client_secret}".encode()):
            raise RestError("invalid_client", "Invalid client", 400)
        if not self.is_present:
            raise RestError("NOT_INSTALLED", "Application is not installed", 401)
        if not self.is_paid:
            raise RestError("PAYMENT_REQUIRED", "Payment required", 401)
        if asked.get("grant_type") == "refresh_token":
            pair = self.grants.refresh(asked.get("refresh_token", ""))
        elif asked.get("grant_type") == "authorization_code":
            consent = self.grants.redeem(asked.get("code", ""))
            pair = self.grants.issue(consent) if consent else None
        else:
            raise RestError("invalid_request", "Unknown grant type", 400)
        if pair is None:
            raise RestError("invalid_grant", "Invalid grant", 400)
        return {
            "access_token": pair.access,
            "refresh_token": pair.refresh,
            "expires": int(pair.expires_at.timestamp()),
            "expires_in": self.grants.lives.access_s,
            **self.endpoints,
            "domain": urlsplit(self._auth_url).netloc,
            "member_id": self.member_id,
            "scope": ",".join(pair.consent.scopes),
            "status": self.status,
            "user_id": pair.consent.user_id,
        }

    def _info(self, pair: Pair) -> dict[str, Any]:
        scope = ",".join(pair.consent.scopes)
        return {
            "client_id": self.client_id,
            "scope": scope,
            "expires": pair.expires_at.isoformat(),
            "user_id": pair.consent.user_id,
            "install": {
                "installed": self.is_finished,
                "version": self.version,
                "status": self.status,
                "scope": scope,
                "domain": self.domain,
                "uri": self._portal_url,
                "client_endpoint": self.endpoints["client_endpoint"],
                "member_id": self.member_id,
                "member_type": "bitrix24",
            },
        }


def _json(status: int, body: object) -> Answer:
    return Answer(status, orjson.dumps(body), {"Content-Type": "application/json; charset=utf-8"})
