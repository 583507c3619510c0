"""HubSpot's side of OAuth: the consent page, the token endpoint, introspection, revocation, uninstalling.

https://developers.hubspot.com/docs/api-reference/latest/authentication/manage-oauth-tokens (read 2026-11). The consent
page agrees at once, as a hurried administrator would. Nothing is pushed when a person removes the app.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from hmac import compare_digest
from urllib.parse import parse_qs, urlencode

from sandbox.clock import Clock
from sandbox.grants import Consent, Grants, Lives, Pair
from sandbox.web import Answer, Request, html_answer, json_answer

VERSIONS = ("2026-03", "2026-09")
INSTALLER = 7001
_FORM = "application/x-www-form-urlencoded"
_NO_BODY = b""


class HubSpotOAuth:
    """One app in one account. `grants` counts renewals; the attributes settle what HubSpot leaves open.

    `redirect_url`: what the app is registered with; None takes what the consent page is given. `names_hub`: whether
    the token answer tells `hub_id`. `refuses`: the next consents are refused. `missing`: scopes that the account
    cannot grant. `grants.rotates`: whether a refresh token dies when it is used.
    """

    def __init__(self, clock: Clock, hub_id: int, app_id: int) -> None:
        self.client_id = "sandbox-hubspot-app"
        self.client_secret = "sandbox-hubspot-secret"  # noqa: S105 - the sandbox's own
        self.redirect_url: str | None = None
        self.required: frozenset[str] = frozenset({"oauth"})
        self.missing: frozenset[str] = frozenset()
        self.names_hub = True
        self.refuses = False
        self.grants = Grants(clock, Lives(code_s=60, access_s=1800, refresh_s=None), rotates=False)
        self._clock = clock
        self._hub_id = hub_id
        self._app_id = app_id

    def answer(self, request: Request) -> Answer | None:
        """The answer to a call about consent or tokens, None when it is about something else."""
        parts = tuple(request.path.strip("/").split("/"))
        if parts[0] != "oauth":
            return self._uninstall(request) if _is_uninstall(request, parts) else None
        if parts[-1] == "authorize" and len(parts) in {2, 3}:
            return self._consent(request, parts[1:-1])
        is_post = request.method == "POST" and len(parts) > 2 and parts[1] in VERSIONS
        handler = self._handlers().get(parts[2:]) if is_post else None
        return self._asked(request, handler) if handler else None

    def uninstall(self) -> None:
        """A person removes the app in HubSpot: all tokens die, and nobody is told."""
        self.grants.revoke_all()

    def scopes_of(self, access: str) -> frozenset[str]:
        """What was granted with a token."""
        pair = self.grants.pair_of(access)
        return frozenset(pair.consent.scopes) if pair else frozenset()

    def _handlers(self) -> Mapping[tuple[str, ...], Callable[[Mapping[str, str]], Answer]]:
        return {
            ("token",): self._token,
            ("token", "introspect"): self._introspect,
            ("token", "revoke"): self._revoke,
        }

    def _asked(self, request: Request, handler: Callable[[Mapping[str, str]], Answer]) -> Answer:
        """A form with our app's secret; never a query, never JSON."""
        if request.headers.get("content-type", "").partition(";")[0].strip() != _FORM:
            return _error("invalid_request", "BAD_CONTENT_TYPE", 415)
        form = {name: values[-1] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()}
        return handler(form) if self._is_our_app(form) else _error("invalid_client", "BAD_CLIENT_SECRET")

    def _consent(self, request: Request, account: tuple[str, ...]) -> Answer:
        asked = {name: values[-1] for name, values in request.query().items()}
        back = asked.get("redirect_uri", "")
        if account not in {(), (str(self._hub_id),)} or asked.get("client_id") != self.client_id:
            return html_answer(400, "The app could not be found")
        if not back or self.redirect_url not in {None, back}:
            return html_answer(400, "The redirect URL does not match the app's")
        scopes = frozenset(asked.get("scope", "").split())
        if not self.required <= scopes or scopes & self.missing:
            return html_answer(400, "The scopes do not match the app's, or the account cannot grant them")
        echo = {"state": asked["state"]} if "state" in asked else {}
        if self.refuses:
            return _redirect(back, {"error": "access_denied", "error_description": "The user refused", **echo})
        granted = scopes | (frozenset(asked.get("optional_scope", "").split()) - self.missing)
        challenge = asked.get("code_challenge", "") if asked.get("code_challenge_method") == "S256" else ""
        consent = Consent(INSTALLER, tuple(sorted(granted)), back, challenge)
        return _redirect(back, {"code": self.grants.new_code(consent), **echo})

    def _token(self, form: Mapping[str, str]) -> Answer:
        if form.get("grant_type") == "refresh_token":
            pair = self.grants.refresh(form.get("refresh_token", ""))
            return self._pair(pair) if pair else _error("invalid_grant", "BAD_REFRESH_TOKEN")
        if form.get("grant_type") != "authorization_code":
            return _error("unsupported_grant_type", "BAD_GRANT_TYPE")
        consent = self.grants.redeem(form.get("code", ""))
        if consent is None:
            return _error("invalid_grant", "BAD_AUTH_CODE")
        if form.get("redirect_uri") != consent.redirect_url:
            return _error("invalid_request", "BAD_REDIRECT_URI")
        if consent.challenge and _challenge(form.get("code_verifier", "")) != consent.challenge:
            return _error("invalid_grant", "BAD_CODE_VERIFIER")
        return self._pair(self.grants.issue(consent))

    def _pair(self, pair: Pair) -> Answer:
        facts = {"hub_id": self._hub_id, "scopes": list(pair.consent.scopes), "user_id": pair.consent.user_id}
        body = {
            "token_type": "bearer",
            "access_token": pair.access,
            "refresh_token": pair.refresh,
            "expires_in": self.grants.lives.access_s,
            "token_use": "access_token",
        }
        return json_answer(body | (facts if self.names_hub else {}))

    def _introspect(self, form: Mapping[str, str]) -> Answer:
        token = form.get("token", "")
        is_access = form.get("token_type_hint") != "refresh_token"
        pair = self.grants.pair_of(token) if is_access else self.grants.owner_of(token)
        if pair is None or (is_access and not self.grants.is_live(token)):
            return json_answer({"active": False})
        left = int((pair.expires_at - self._clock.now()).total_seconds())
        return json_answer(
            {
                "active": True,
                "token": token,
                "hub_id": self._hub_id,
                "user_id": pair.consent.user_id,
                "app_id": self._app_id,
                "client_id": self.client_id,
                "hub_domain": "shop.example",
                "scopes": list(pair.consent.scopes),
                "expires_in": left,
                "token_use": "access_token" if is_access else "refresh_token",
                "token_type": "bearer",
            }
        )

    def _revoke(self, form: Mapping[str, str]) -> Answer:
        self.grants.revoke(form.get("token", ""))
        return Answer(204, _NO_BODY)

    def _uninstall(self, request: Request) -> Answer | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not self.grants.is_live(token):
            return None
        self.uninstall()
        return Answer(204, _NO_BODY)

    def _is_our_app(self, form: Mapping[str, str]) -> bool:
        given = f"{form.get('client_id', '')}\n{form.get('client_secret', '')}"
        return compare_digest(given.encode(), f"{self.client_id}\n{self.client_secret}".encode())


def _is_uninstall(request: Request, parts: tuple[str, ...]) -> bool:
    is_path = len(parts) == 3 and parts[0] == "appinstalls" and parts[2] == "external-install"
    return is_path and parts[1] in VERSIONS and request.method == "DELETE"


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _redirect(back: str, query: Mapping[str, str]) -> Answer:
    joint = "&" if "?" in back else "?"
    return Answer(302, _NO_BODY, {"Location": f"{back}{joint}{urlencode(query)}"})


def _error(error: str, status: str, http: int = 400) -> Answer:
    body = {"error": error, "error_description": status.lower(), "status": status, "message": status.lower()}
    return json_answer(body, http)
