"""How a HubSpot account is connected: with a token of its own (private app or service key), or by installing our app.

A token of its own is static: it has no expiry that we could renew, and what it may do is set in HubSpot.
An installation is OAuth: https://developers.hubspot.com/docs/api-reference/latest/authentication/manage-oauth-tokens
and https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/oauth/working-with-oauth
(read 2026-11). HubSpot tells nobody when an app is removed: the next renewal is refused with `invalid_grant`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn
from urllib.parse import quote, urlencode, urlsplit

from adapters.budget import Rolling
from adapters.contract import PortalAccess
from adapters.errors import AccessLost, CRMError, Malformed, TokenExpired, Unavailable
from adapters.oauth import (
    LANE,
    Courier,
    Grant,
    OAuthApp,
    Server,
    challenge_of,
    error_code,
    json_of,
    life,
    passing_fault,
    words,
)
from adapters.records import CRM
from adapters.transport import Answer, Call

API_URL = "https://api.hubapi.com"
"""One host for every data centre (https://developers.hubspot.com/docs/api-reference, read 2026-11)."""
_LONGEST_TOKEN = 512
SITE_URL = "https://app.hubspot.com"
EARLY = timedelta(minutes=5)
"""Before the end of an access token, which lives half an hour."""
SCOPES = (
    "oauth",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.objects.companies.read",
    "crm.objects.companies.write",
    "crm.objects.deals.read",
    "crm.objects.owners.read",
    "crm.objects.line_items.read",
    "crm.schemas.contacts.read",
    "crm.schemas.contacts.write",
    "crm.schemas.companies.read",
    "crm.schemas.companies.write",
)
"""`requiredScopes` of the app: the page refuses an installation that names others."""
OPTIONAL_SCOPES = ("settings.currencies.read", "crm.objects.orders.read", "automation", "sales-email-read")
"""`optionalScopes` of the app: an account that cannot grant them drops them silently."""

_VERSION = "2026-09"
_RATE = Rolling(100, 10.0)
"""The token endpoint has a limit of its own that is not documented; what an app may call is the nearest."""
_SITES = re.compile(r"app(-[a-z0-9]+)?\.hubspot\.com")
_DEAD = frozenset({"BAD_REFRESH_TOKEN", "BAD_AUTH_CODE"})
"""The older names, in the field `status` of the same answers."""


class StaticToken:
    """Keeper of a token that never changes."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __repr__(self) -> str:
        """Without the secret."""
        return "StaticToken(***)"

    def current(self) -> str:
        """The token."""
        return self._token

    def renew(self, stale: str) -> NoReturn:  # noqa: ARG002 - the Protocol's word; nothing newer exists
        """Raise `TokenExpired`: only a person can make another."""
        raise TokenExpired("HubSpot does not accept the token: make a new one in HubSpot and connect again", status=401)


def access_from_input(token: str, api_url: str | None = None) -> PortalAccess:
    """What a person pasted → access. Raises `ValueError` with a sentence for that person; sends nothing."""
    words = token.split()
    words = words[1:] if words[:1] == ["Bearer"] else words
    if not words:
        raise ValueError("the HubSpot token is empty")
    if len(words) > 1 or not words[0].isascii() or not words[0].isprintable() or len(words[0]) > _LONGEST_TOKEN:
        raise ValueError("that is not a HubSpot token: copy it whole from the app's Auth page, it has no spaces")
    return PortalAccess(CRM.HUBSPOT, _base(api_url or API_URL), StaticToken(words[0]))


def _base(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        raise ValueError("the HubSpot API address is not a URL") from None
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError(f"the HubSpot API address is not a URL: write it like {API_URL}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("the HubSpot API address must be a plain address, without a name, a password or a query")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


# --- installing our app ----------------------------------------------------------------------------------------


def oauth_app(
    client_id: str, client_secret: str, redirect_url: str, *, api_url: str | None = None, oauth_url: str | None = None
) -> OAuthApp:
    """Our app. `oauth_url` moves consent page and token endpoint together, unless it is one of HubSpot's own pages."""
    api = _base(api_url or API_URL)
    site = _base(oauth_url or SITE_URL)
    is_pinned = not _SITES.fullmatch(urlsplit(site).hostname or "")
    return OAuthApp(
        client_id,
        client_secret,
        redirect_url,
        site_url=site,
        token_url=site if is_pinned else api,
        api_url=api,
        scopes=SCOPES,
        optional_scopes=OPTIONAL_SCOPES,
        is_pinned=is_pinned,
    )


def authorize_url(app: OAuthApp, state: str, *, verifier: str = "") -> str:
    """Where to send the person who installs. With a `verifier` the code is worth nothing to whoever intercepts it."""
    query = {
        "client_id": app.client_id,
        "redirect_uri": app.redirect_url,
        "scope": " ".join(app.scopes),
        "optional_scope": " ".join(app.optional_scopes),
        "state": state,
    }
    if verifier:
        query |= {"code_challenge": challenge_of(verifier), "code_challenge_method": "S256"}
    return f"{app.site_url}/oauth/authorize?{urlencode(query, quote_via=quote)}"


def exchange(app: OAuthApp, courier: Courier, code: str, *, verifier: str = "") -> Grant:
    """The grant behind a code of the consent page. Once only: a code is used up by the attempt.

    Raises `TokenExpired` for a code that is used up or too old, `Transient` for anything else.
    """
    form = {"grant_type": "authorization_code", "redirect_uri": app.redirect_url, "code": code}
    if verifier:
        form["code_verifier"] = verifier
    return _granted(app, courier, form, "HubSpot does not accept the code: start the installation again")


def refresh(app: OAuthApp, courier: Courier, grant: Grant) -> Grant:
    """A new pair. The refresh token is usually the same, but what came back is what counts.

    Raises `TokenExpired` when the app was removed or its grant revoked, `Transient` for anything else.
    """
    form = {"grant_type": "refresh_token", "refresh_token": grant.refresh_token}
    lost = "the app was removed in HubSpot, or its access taken away: install it again"
    return _granted(app, courier, form, lost, known=grant)


def revoke(app: OAuthApp, courier: Courier, grant: Grant) -> None:
    """Make the refresh token worthless; the access token lives on for its minutes, the app stays installed."""
    form = {"token": grant.refresh_token, "token_type_hint": "refresh_token"}
    _ask(app, courier, "/token/revoke", form, "HubSpot does not know the grant any more")


def uninstall(app: OAuthApp, courier: Courier, grant: Grant) -> None:
    """Remove our app from the account, which ends the grant. Super admins get an e-mail; done already is done.

    Raises `TokenExpired` when the access token is not valid (any more): renew it first.

    https://developers.hubspot.com/docs/api-reference/latest/app-management/app-uninstalls/guide (read 2026-11)
    """
    call = Call("DELETE", f"/appinstalls/{_VERSION}/external-install", lane=LANE, label="uninstall")
    server = Server(CRM.HUBSPOT, grant.base_url or app.api_url, _RATE, _uninstall_fault)
    courier.send(server, call, bearer=grant.access_token)


def _granted(
    app: OAuthApp, courier: Courier, form: Mapping[str, str], lost: str, *, known: Grant | None = None
) -> Grant:
    asked_at = courier.now()
    body = _ask(app, courier, "/token", form, lost)
    access, fresh = words(body, "access_token", "refresh_token")
    if known is None and not body.get("hub_id"):
        body = {**_introspected(app, courier, access), **body}
    hub = str(body.get("hub_id") or (known.account_id if known else ""))
    if not hub:
        raise Malformed("HubSpot does not say which account the token is of", path="hub_id")
    return Grant(
        access,
        fresh,
        asked_at,
        asked_at + life(body),
        account_id=hub,
        base_url=app.api_url,
        scopes=_scopes(body) or (known.scopes if known else ()),
        user_id=str(body.get("user_id") or (known.user_id if known else "")),
    )


def _introspected(app: OAuthApp, courier: Courier, access: str) -> dict[str, Any]:
    """The account's facts, which the token endpoint may leave out."""
    form = {"token": access, "token_type_hint": "access_token"}
    found = _ask(app, courier, "/token/introspect", form, "HubSpot does not know the token it has just issued")
    return {name: found[name] for name in ("hub_id", "user_id", "scopes") if name in found}


def _scopes(body: Mapping[str, Any]) -> tuple[str, ...]:
    scopes = body.get("scopes")
    return tuple(str(one) for one in scopes) if isinstance(scopes, list) else ()


def _ask(app: OAuthApp, courier: Courier, path: str, form: Mapping[str, str], lost: str) -> dict[str, Any]:
    """One form to the token endpoint: never a query, never JSON. Not repeated, as the answer may be a new pair."""
    secret = {"client_id": app.client_id, "client_secret": app.client_secret}
    call = Call(
        "POST",
        f"/oauth/{_VERSION}{path}",
        form={**secret, **form},
        lane=LANE,
        repeatable=False,
        label=f"oauth{path}",
    )
    answer = courier.send(Server(CRM.HUBSPOT, app.token_url, _RATE, partial(_fault, lost)), call)
    return json_of(answer)


def _fault(lost: str, call: Call, answer: Answer) -> CRMError | None:  # noqa: ARG001 - one shape for all servers
    """Only `invalid_grant` means that the grant is lost: everything else is asked again later."""
    if answer.status < 300:
        return None
    code = error_code(answer)
    if code == "invalid_grant" or json_of(answer).get("status") in _DEAD:
        return TokenExpired(lost, status=answer.status)
    if code == "invalid_client":
        return Unavailable(
            "HubSpot does not know our app: check HUBSPOT_CLIENT_ID and HUBSPOT_CLIENT_SECRET", status=answer.status
        )
    named = f" ({code})" if code else ""
    return passing_fault("HubSpot", answer) or Unavailable(
        f"HubSpot refuses the token request{named}", status=answer.status
    )


def _uninstall_fault(call: Call, answer: Answer) -> CRMError | None:  # noqa: ARG001 - one shape for all servers
    if answer.status < 300 or answer.status == 404:
        return None
    if answer.status == 401:
        return TokenExpired("HubSpot does not accept the token with which the app is to be removed", status=401)
    if answer.status == 403:
        return AccessLost("HubSpot does not let the app remove itself: remove it in HubSpot", status=answer.status)
    return passing_fault("HubSpot", answer) or Unavailable("HubSpot refuses the removal", status=answer.status)
