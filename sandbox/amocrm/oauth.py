"""amoCRM's side of OAuth: the consent page, the account's token address, a renamed account, and hooks of installing.

https://www.amocrm.ru/developers/content/oauth/oauth and /oauth/step-by-step (read 2026-11). The consent page agrees at
once. A refresh token dies when it is used, and the account is found by its host, which may be renamed.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from datetime import datetime
from hmac import compare_digest
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import orjson

from sandbox.amocrm.account import Account
from sandbox.amocrm.problems import PROBLEM
from sandbox.clock import Clock
from sandbox.grants import Consent, Grants, Lives, Pair
from sandbox.posting import Heard, get
from sandbox.web import Answer, Request, html_answer, json_answer

_DAY_S = 86_400
_HOOK_S = 3.0
_WIDGET_S = 10.0


class AmoOAuth:
    """One integration in one account. `grants` counts renewals.

    `redirect_url` is the registered call back, compared to the letter with every token request; None until it is set.
    `host` is the account's present address; None takes whatever host a call names. `refuses`: the next consents are
    refused.
    """

    def __init__(self, account: Account, clock: Clock) -> None:
        self.client_id = "5b1ad1ce-0000-4000-8000-00000000c11e"
        self.client_secret = "sandbox-amocrm-secret"  # noqa: S105 - the sandbox's own
        self.redirect_url: str | None = None
        self.host: str | None = None
        self.refuses = False
        lives = Lives(code_s=20 * 60, access_s=_DAY_S, refresh_s=90 * _DAY_S)
        self.grants = Grants(clock, lives, rotates=True, new_access=self._jwt)
        self._account = account
        self._clock = clock
        self._api_domain = ""

    def is_known_host(self, request: Request) -> bool:
        """Whether the account is at the host that was called."""
        return self.host is None or request.headers.get("host", "") == self.host

    def is_page(self, request: Request) -> bool:
        """Whether it is a call to what all accounts share: the consent page and the search for a renamed account."""
        return request.path.strip("/") in {"oauth", "oauth2/account/current/subdomain"}

    def answer(self, request: Request) -> Answer | None:
        """The answer to a call about consent or tokens, None when it is about something else."""
        handlers = {
            ("GET", "oauth"): self._consent,
            ("POST", "oauth2/access_token"): self._token,
            ("GET", "oauth2/account/current/subdomain"): self._subdomain,
        }
        handler = handlers.get((request.method, request.path.strip("/")))
        return handler(request) if handler else None

    def install_widget(self, host: str) -> Heard:
        """A person installs the widget: amoCRM's server calls back, without state, waits 3 seconds, never repeats."""
        code = self.grants.new_code(Consent(self._account.token_user_id, ("crm",)))
        told = {"code": code, "referer": self.host or host, "client_id": self.client_id, "from_widget": "1"}
        return get(self.redirect_url or "", {**told, "platform": "1"}, _HOOK_S)

    def uninstall(self, hook_url: str | None = None) -> Heard:
        """A person removes the integration: all tokens die, and the hook is called if there is one."""
        self.grants.revoke_all()
        return get(hook_url, self.signed(), _HOOK_S) if hook_url else Heard(0)

    def open_widget(self, url: str, *, host: str, token: str | None = None, **query: str) -> Heard:
        """A person opens a card with our widget: `$authorizedAjax` from the account's page."""
        headers = {"X-Auth-Token": token or self.widget_token(), "Origin": f"https://{host}"}
        return get(url, query, _WIDGET_S, headers)

    def widget_token(self, **claims: object) -> str:
        """The one-time token that amoCRM makes for the widget's call (HS256, the integration's secret, 30 minutes)."""
        now, redirect = int(self._clock.now().timestamp()), urlsplit(self.redirect_url or "")
        told = {
            "iss": f"https://{self.host or self._api_domain}",
            "aud": f"{redirect.scheme}://{redirect.netloc}",
            "jti": uuid4().hex,
            "iat": now,
            "nbf": now,
            "exp": now + 1800,
            "account_id": self._account.settings.id,
            "subdomain": (self.host or self._api_domain).partition(".")[0],
            "client_uuid": self.client_id,
            "user_id": self._account.token_user_id,
            "is_admin": True,
            **claims,
        }
        signed = ".".join((_part(orjson.dumps({"typ": "JWT", "alg": "HS256"})), _part(orjson.dumps(told))))
        return f"{signed}.{_part(hmac.digest(self.client_secret.encode(), signed.encode(), 'sha256'))}"

    def signed(self) -> dict[str, str]:
        """What the uninstall hook carries; it is the same every time."""
        account_id = str(self._account.settings.id)
        text = f"{self.client_id}|{account_id}".encode()
        signature = hmac.new(self.client_secret.encode(), text, "sha256").hexdigest()
        return {"account_id": account_id, "client_uuid": self.client_id, "signature": signature}

    def _consent(self, request: Request) -> Answer:
        asked = {name: values[-1] for name, values in request.query().items()}
        if asked.get("client_id") != self.client_id or self.redirect_url is None:
            return html_answer(404, "The integration does not exist")
        about = {"client_id": self.client_id} | ({"state": asked["state"]} if "state" in asked else {})
        if self.refuses:
            return self._back({"error": "access_denied", **about})
        self._api_domain = request.headers.get("host", "")
        code = self.grants.new_code(Consent(self._account.token_user_id, ("crm",)))
        return self._back({"code": code, "referer": self.host or self._api_domain, "platform": "1", **about})

    def _back(self, query: Mapping[str, str]) -> Answer:
        return Answer(302, b"", {"Location": f"{self.redirect_url}?{urlencode(query)}"})

    def _token(self, request: Request) -> Answer:
        try:
            body = request.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return _problem(400, "The request body is not valid")
        if not self._is_ours(body):
            return _problem(401, "Client authentication failed", "Check the client id, its secret and the redirect URI")
        self._api_domain = self._api_domain or request.headers.get("host", "")
        if body.get("grant_type") == "refresh_token":
            pair = self.grants.refresh(str(body.get("refresh_token")))
            return self._pair(pair) if pair else _problem(401, "The refresh token is invalid", "Token has been revoked")
        consent = self.grants.redeem(str(body.get("code"))) if body.get("grant_type") == "authorization_code" else None
        if consent is None:
            return _problem(400, "The authorization code is invalid", "Authorization code has been revoked")
        return self._pair(self.grants.issue(consent))

    def _is_ours(self, body: Mapping[str, object]) -> bool:
        wanted = "\n".join((self.client_id, self.client_secret, self.redirect_url or ""))
        given = "\n".join(str(body.get(name)) for name in ("client_id", "client_secret", "redirect_uri"))
        return compare_digest(wanted.encode(), given.encode())

    def _pair(self, pair: Pair) -> Answer:
        return json_answer(
            {
                "token_type": "Bearer",
                "expires_in": self.grants.lives.access_s,
                "access_token": pair.access,
                "refresh_token": pair.refresh,
                "server_time": int(self._clock.now().timestamp()),
            }
        )

    def _subdomain(self, request: Request) -> Answer:
        if self.grants.owner_of(request.headers.get("x-refresh-token", "")) is None:
            return _problem(401, "The refresh token is invalid", "Token has been revoked")
        host = self.host or request.headers.get("host", "")
        found = {"id": self._account.settings.id, "subdomain": host.partition(".")[0], "domain": host}
        return json_answer({**found, "top_level_domain": "ru"})

    def _jwt(self, consent: Consent, ends_at: datetime) -> str:
        """Shaped like amoCRM's; its signature means nothing, as nobody outside can check amoCRM's either."""
        now = int(self._clock.now().timestamp())
        claims = {
            "aud": self.client_id,
            "jti": uuid4().hex,
            "iat": now,
            "nbf": now,
            "exp": int(ends_at.timestamp()),
            "sub": str(consent.user_id),
            "grant_type": "",
            "account_id": self._account.settings.id,
            "base_domain": "amocrm.ru",
            "version": 2,
            "scopes": list(consent.scopes),
            "hash_uuid": uuid4().hex,
            "api_domain": self._api_domain,
        }
        head = {"typ": "JWT", "alg": "RS256", "jti": claims["jti"]}
        return ".".join((_part(orjson.dumps(head)), _part(orjson.dumps(claims)), _part(uuid4().bytes)))


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _problem(status: int, detail: str, hint: str = "") -> Answer:
    body = {"hint": hint, "title": "Bad request", "type": "https://developers.amocrm.ru/v3/errors/OAuthProblemJson"}
    return Answer(status, orjson.dumps({**body, "status": status, "detail": detail}), {"Content-Type": PROBLEM})
