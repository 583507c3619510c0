"""How an amoCRM or Kommo account is connected: with a private integration's long-lived token, or by installing ours.

A long-lived token is shown once and has no refresh token; after it expires or is revoked every call is 401
(https://www.amocrm.ru/developers/content/oauth/step-by-step, read 2026-11).

An installation is OAuth (https://www.amocrm.ru/developers/content/oauth/oauth, read 2026-11): tokens are issued by the
account's own host, a refresh token dies when it is used, and a renamed account is found again by `api_domain`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn
from urllib.parse import quote, urlencode, urlsplit

import orjson

from adapters.budget import Rolling
from adapters.contract import PortalAccess
from adapters.errors import AccessLost, Blocked, CRMError, TokenExpired, Unavailable
from adapters.hosts import HostPolicy, HostRefused
from adapters.oauth import LANE, Courier, Grant, OAuthApp, Server, json_of, life, passing_fault, words
from adapters.records import CRM
from adapters.transport import Answer, Call

_EXAMPLE = "https://example.amocrm.ru"
_LONGEST_TOKEN = 8192
SITE_URL = "https://www.amocrm.ru"
EARLY = timedelta(hours=1)
"""Before the end of an access token, which lives a day."""

_RATE = Rolling(7, 1.0)
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?|\[::1\](:[0-9]{1,5})?")
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?")
_DEAD = re.compile(r"revoked|expired|decrypt|invalid_grant|refresh token|authorization code", re.IGNORECASE)
"""Words of a 400 that means the code or the token; other 400 are about the request."""
_STRANGER = re.compile(r"client authentication|invalid_client", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


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
        raise TokenExpired(
            "amoCRM does not accept the token: make a new long-lived token in the integration and connect again",
            status=401,
        )


def access_from_input(token: str, account_url: str) -> PortalAccess:
    """What a person pasted → access. Raises `ValueError` with a sentence for that person; sends nothing.

    Of the account's address only scheme, host and port count: people copy it from a page they are looking at.
    """
    words = token.split()
    token = " ".join(words[1:] if words[:1] == ["Bearer"] else words)
    if not token:
        raise ValueError("the amoCRM token is empty")
    if not token.isascii() or not token.isprintable() or " " in token or len(token) > _LONGEST_TOKEN:
        raise ValueError("that is not an amoCRM token: copy the long-lived token whole, it has no spaces")
    return PortalAccess(CRM.AMOCRM, _base(account_url), StaticToken(token))


def _base(url: str) -> str:
    text = url.strip()
    if not text:
        raise ValueError(f"the address of the amoCRM account is empty: write it like {_EXAMPLE}")
    if not _SCHEME.match(text):
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise ValueError(f"the address of the amoCRM account is not a URL: write it like {_EXAMPLE}") from None
    if parts.scheme not in {"https", "http"} or not host or any(char.isspace() for char in parts.netloc):
        raise ValueError(f"the address of the amoCRM account is not a URL: write it like {_EXAMPLE}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the address of the amoCRM account must not carry a user name or a password")
    if ":" in host:
        host = f"[{host}]"
    is_default = port is None or (parts.scheme, port) in {("https", 443), ("http", 80)}
    return f"{parts.scheme}://{host}" if is_default else f"{parts.scheme}://{host}:{port}"


# --- installing our integration --------------------------------------------------------------------------------


def oauth_app(client_id: str, client_secret: str, redirect_url: str, *, oauth_url: str | None = None) -> OAuthApp:
    """Our integration. `redirect_url` must be the registered one to the letter, for renewals as well."""
    return OAuthApp(client_id, client_secret, redirect_url, site_url=_base(oauth_url or SITE_URL))


def authorize_url(app: OAuthApp, state: str) -> str:
    """Where to send the person who installs; which account it is to be, he chooses there."""
    query = {"client_id": app.client_id, "state": state, "mode": "popup"}
    return f"{app.site_url}/oauth?{urlencode(query, quote_via=quote)}"


def account_url(referer: str, hosts: HostPolicy) -> str:
    """The account's address from the parameter `referer` of the call back. Raises `HostRefused`.

    Whoever calls us can write anything there, and our secret goes to that host: only amoCRM's and Kommo's own hosts
    pass, and those the operator named. With a scheme or without, vendor's examples have both.
    """
    url = _origin(referer)
    hosts.check(CRM.AMOCRM, url)
    return url


def exchange(app: OAuthApp, courier: Courier, code: str, *, referer: str) -> Grant:
    """The grant behind a code. Once only, within 20 minutes. The call back's `from_widget` proves nothing: this does.

    Raises `HostRefused` for a strange referer, `TokenExpired` for a code that is used up, too old or foreign,
    `Transient` for anything else.
    """
    lost = "amoCRM does not accept the code: install the integration again"
    return _granted(app, courier, _origin(referer), {"grant_type": "authorization_code", "code": code}, lost)


def refresh(app: OAuthApp, courier: Courier, grant: Grant) -> Grant:
    """A new pair; the refresh token of `grant` is dead from then on. Finds a renamed account (`base_url` changes).

    Raises `TokenExpired` when the grant is lost, `Transient` for anything else.
    """
    form = {"grant_type": "refresh_token", "refresh_token": grant.refresh_token}
    lost = "amoCRM has ended our access to the account: install the integration again"
    try:
        return _granted(app, courier, grant.base_url, form, lost, known=grant)
    except TokenExpired:
        moved_to = _present_url(courier, grant)
        if moved_to in {"", grant.base_url}:
            raise
    return _granted(app, courier, moved_to, form, lost, known=replace(grant, base_url=moved_to))


def uninstalled_account(app: OAuthApp, query: Mapping[str, str]) -> str | None:
    """The id of the account that a call of the uninstall hook is about; None when its signature is not right.

    What is signed never changes, so a call can be replayed, even after a new installation: before anything is
    erased, make sure that the grant is dead.
    """
    account_id, client, given = (query.get(name, "") for name in ("account_id", "client_uuid", "signature"))
    mac = hmac.new(app.client_secret.encode(), f"{client}|{account_id}".encode(), "sha256").hexdigest()
    is_ours = hmac.compare_digest(client.encode(), app.client_id.encode())
    is_signed = hmac.compare_digest(mac.encode(), given.lower().encode())
    return account_id if is_ours and is_signed and account_id else None


def _origin(host: str) -> str:
    text = host.strip().lower().removeprefix("https://").removeprefix("http://").removesuffix("/")
    if not _HOST.fullmatch(text):
        raise HostRefused("the address of the amoCRM account is no host name")
    return f"{'http' if _LOOPBACK.fullmatch(text) else 'https'}://{text}"


def _granted(
    app: OAuthApp, courier: Courier, base_url: str, form: Mapping[str, str], lost: str, *, known: Grant | None = None
) -> Grant:
    asked_at = courier.now()
    ours = {"client_id": app.client_id, "client_secret": app.client_secret, "redirect_uri": app.redirect_url}
    call = Call(
        "POST", "/oauth2/access_token", json={**ours, **form}, lane=LANE, repeatable=False, label="oauth2/access_token"
    )
    body = json_of(courier.send(Server(CRM.AMOCRM, base_url, _RATE, partial(_fault, lost)), call))
    access, fresh = words(body, "access_token", "refresh_token")
    claims = _claims(access)
    account_id = str(claims.get("account_id") or (known.account_id if known else ""))
    api_domain = str(claims.get("api_domain") or "")
    scopes = claims.get("scopes")
    return Grant(
        access,
        fresh,
        asked_at,
        asked_at + life(body),
        account_id=account_id or _asked_account(courier, base_url, access),
        base_url=base_url,
        auth_url=_origin(api_domain) if api_domain else (known.auth_url if known else ""),
        scopes=tuple(str(one) for one in scopes) if isinstance(scopes, list) else (),
        user_id=str(claims.get("sub") or ""),
    )


def _claims(token: str) -> dict[str, Any]:
    """What the access token says of itself. It came straight from amoCRM, so its signature need not be checked."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        found = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _asked_account(courier: Courier, base_url: str, access: str) -> str:
    """The account's id where the token does not tell it."""
    call = Call("GET", "/api/v4/account", lane=LANE, label="GET account")
    lost = "amoCRM does not accept the token it has just issued"
    body = json_of(courier.send(Server(CRM.AMOCRM, base_url, _RATE, partial(_fault, lost)), call, bearer=access))
    return words(body, "id")[0]


def _present_url(courier: Courier, grant: Grant) -> str:
    """Where a renamed account lives now, by its refresh token, which this does not use up; empty when nobody knows."""
    if not grant.auth_url:
        return ""
    call = Call("GET", "/oauth2/account/current/subdomain", lane=LANE, label="GET subdomain")
    server = Server(CRM.AMOCRM, grant.auth_url, _RATE, partial(_fault, "amoCRM does not know the account any more"))
    try:
        answer = courier.send(server, call, headers={"X-Refresh-Token": grant.refresh_token})
    except AccessLost:
        return ""
    domain = str(json_of(answer).get("domain") or "")
    return _origin(domain) if domain else ""


def _fault(lost: str, call: Call, answer: Answer) -> CRMError | None:  # noqa: ARG001 - one shape for all servers
    """401 is a dead code or token, or no account at this host (404 likewise); a page with 403 is a block."""
    status = answer.status
    if status < 300:
        return None
    body = json_of(answer)
    said = " ".join(str(body.get(name) or "") for name in ("hint", "detail", "title"))
    if status == 403 and not body:
        return Blocked("amoCRM has blocked our calls: ask its support to lift the block", status=status)
    is_about_token = status in {401, 404} or (status == 400 and _DEAD.search(said) is not None)
    if is_about_token and not _STRANGER.search(said):
        return TokenExpired(lost, status=status)
    return passing_fault("amoCRM", answer) or Unavailable(
        f"amoCRM refuses the token request ({status}): check AMOCRM_CLIENT_ID, AMOCRM_CLIENT_SECRET and the address"
        " of the call back",
        status=status,
    )
