"""What connects a portal: an inbound webhook, whose URL is the secret, or our app installed in it.

Form of the webhook's URL: https://apidocs.bitrix24.com/local-integrations/local-webhooks.html (read 2026-11).
Installation and OAuth: https://apidocs.bitrix24.com/settings/oauth/index.html, /settings/app-installation/
installation-finish.html and /api-reference/common/events/on-app-install.html (read 2026-11). What the install page and
events are posted comes through a browser or from anybody: nothing of it counts before the authorisation server has
confirmed it (`prove`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from adapters.budget import Rolling
from adapters.contract import PortalAccess
from adapters.errors import AccessLost, CRMError, Malformed, ScopeMissing, TokenExpired, Unavailable, Unpaid
from adapters.hosts import HostRefused
from adapters.oauth import LANE, Courier, Grant, OAuthApp, Server, error_code, json_of, life, passing_fault, words
from adapters.records import CRM
from adapters.transport import Answer, Call

_PATH = re.compile(r"(?P<base>/rest/(?P<user>[0-9]+)/(?P<secret>[A-Za-z0-9_-]+))(/(?P<method>[A-Za-z0-9._]*))?/?")
_EXAMPLE = "https://example.bitrix24.com/rest/1/xxxxxxxxxxxxxxxx/"
AUTH_SERVER = "https://oauth.bitrix.info"
EARLY = timedelta(minutes=5)
"""Before the end of an access token, which lives an hour. Renewing without need may get an app blocked."""

_SERVERS = frozenset({"oauth.bitrix.info", "oauth.bitrix24.tech"})
"""The authorisation servers of the English and of the Russian documents. No other is believed."""
_RATE = Rolling(10, 1.0)
"""No limit is documented."""
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")
_OAUTH_BASE = re.compile(r"/rest/?")
_REMOVED = frozenset({"INVALID_CLIENT", "WRONG_CLIENT", "NOT_INSTALLED", "APPLICATION_NOT_FOUND"})
_DEAD = frozenset({"INVALID_GRANT", "EXPIRED_TOKEN", "INVALID_TOKEN", "NO_AUTH_FOUND"})
_SCOPE = frozenset({"INSUFFICIENT_SCOPE", "INVALID_SCOPE"})


@dataclass(frozen=True, slots=True)
class Address:
    """Where a portal's methods are called. `base_url` ends with a slash; a webhook's is a secret as a whole.

    `user_id` is whose rights count: the webhook's owner, or who installed our app.
    """

    base_url: str = field(repr=False)
    origin: str
    user_id: str

    @property
    def host(self) -> str:
        """Host, with the port where one was given."""
        return urlsplit(self.origin).netloc

    @property
    def path(self) -> str:
        """The webhook's secret part, or the app's `/rest/`; it stays when a portal is renamed."""
        return urlsplit(self.base_url).path


def read_webhook(text: str) -> Address:
    """The webhook in what a person pasted: a method name at the end and a missing slash are put right.

    Raises `ValueError` with a sentence that never repeats the text.
    """
    try:
        parts = urlsplit(text.strip())
        netloc, port = parts.netloc.lower(), parts.port
    except ValueError:
        raise ValueError(f"the webhook is not a URL: copy it whole, it looks like {_EXAMPLE}") from None
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError(f"the webhook is not a URL: copy it whole, it looks like {_EXAMPLE}")
    if "@" in netloc:
        raise ValueError("the webhook URL must not carry a user name or a password")
    if port == 443 and parts.scheme == "https":
        netloc = netloc.removesuffix(":443")
    match = _PATH.fullmatch(parts.path)
    if match is None:
        raise ValueError(f"the URL is no inbound webhook: its path must be like in {_EXAMPLE}")
    origin = f"{parts.scheme}://{netloc}"
    return Address(f"{origin}{match['base']}/", origin, match["user"])


def read_endpoint(text: str, user_id: str) -> Address:
    """The address at which our app calls a portal (`client_endpoint`). Raises `Malformed`."""
    base_url = _endpoint(text)
    return Address(base_url, base_url.removesuffix("/rest/"), user_id)


def access_from_input(webhook_url: str) -> PortalAccess:
    """How to reach the portal whose inbound webhook URL a person pasted; raises `ValueError`."""
    return PortalAccess(CRM.BITRIX24, read_webhook(webhook_url).base_url)


# --- installing our app ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opened:
    """What the portal's frame or an install event posts, believed by nobody yet: see `prove`.

    `domain` is the portal's host, `server` where its authorisation server is said to be. `placement` is empty for an
    event and `DEFAULT` on the app's own page.
    """

    member_id: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    domain: str
    server: str
    application_token: str = field(repr=False, default="")
    scopes: tuple[str, ...] = ()
    language: str = ""
    placement: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the authorisation server has confirmed. `is_installed` is false until `BX24.installFinish()`."""

    grant: Grant
    is_installed: bool
    version: str
    status: str


def oauth_app(client_id: str, client_secret: str, *, oauth_url: str | None = None) -> OAuthApp:
    """Our app. Its pages are registered with Bitrix24, so no address of ours is ever sent."""
    token_url = (oauth_url or AUTH_SERVER).strip().rstrip("/")
    is_pinned = (urlsplit(token_url).hostname or "") not in _SERVERS
    return OAuthApp(client_id, client_secret, token_url=token_url, is_pinned=is_pinned)


def authorize_url(app: OAuthApp, state: str, *, portal: str) -> str:
    """Where to send a person from pages of ours outside the portal. Raises `ValueError` when `portal` is no host."""
    host = portal.strip().lower()
    if not _HOST.fullmatch(host):
        raise ValueError("the portal's address is no host name: write it like example.bitrix24.com")
    query = urlencode({"client_id": app.client_id, "state": state}, quote_via=quote)
    return f"https://{host}/oauth/authorize/?{query}"


def read_page(query: Mapping[str, str], form: Mapping[str, str]) -> Opened:
    """What the frame posts when a page of ours is opened. Raises `ValueError` for anything else; proves nothing.

    https://apidocs.bitrix24.com/settings/oauth/simple-way.html (read 2026-11)
    """
    return Opened(
        member_id=_word(form, "member_id"),
        access_token=_word(form, "AUTH_ID"),
        refresh_token=_word(form, "REFRESH_ID"),
        expires_in=_seconds(form.get("AUTH_EXPIRES")),
        domain=_portal_host(query.get("DOMAIN") or form.get("DOMAIN")),
        server=form.get("SERVER_ENDPOINT", ""),
        application_token=form.get("APPLICATION_TOKEN", ""),
        scopes=_scopes(form.get("APPLICATION_SCOPE")),
        language=query.get("LANG", "")[:8],
        placement=form.get("PLACEMENT") or "DEFAULT",
    )


def read_event(form: Mapping[str, str]) -> Opened:
    """The `auth[…]` of ONAPPINSTALL or ONAPPUPDATE. Raises `ValueError` for anything else; proves nothing."""
    return Opened(
        member_id=_word(form, "auth[member_id]"),
        access_token=_word(form, "auth[access_token]"),
        refresh_token=_word(form, "auth[refresh_token]"),
        expires_in=_seconds(form.get("auth[expires_in]")),
        domain=_portal_host(form.get("auth[domain]")),
        server=form.get("auth[server_endpoint]", ""),
        application_token=form.get("auth[application_token]", ""),
        scopes=_scopes(form.get("auth[scope]")),
        language=form.get("data[LANGUAGE_ID]", "")[:8],
    )


def prove(app: OAuthApp, courier: Courier, opened: Opened) -> Proof:
    """Ask the authorisation server whose token was posted, and believe only what it says.

    Raises `HostRefused` for a server that is none of Bitrix24's, `AccessLost` when the token is of another portal or
    app or of none, `Transient` when the server cannot be asked now.
    """
    base = _server(app, opened.server)
    asked_at = courier.now()
    call = Call("GET", "/rest/app.info", query=[("auth", opened.access_token)], lane=LANE, label="app.info")
    lost = "Bitrix24 does not confirm who opened the page: open the app from the portal again"
    body = json_of(courier.send(Server(CRM.BITRIX24, base, _RATE, partial(_fault, lost)), call))
    info = _map(body.get("result", body), "result")
    install = _map(info.get("install"), "result.install")
    client, user = words(info, "client_id", "user_id")
    member, endpoint = words(install, "member_id", "client_endpoint")
    home = _endpoint(endpoint)
    domains = {str(install.get("domain") or "").lower(), urlsplit(home).netloc.removesuffix(":443")}
    if client != app.client_id or member != opened.member_id or opened.domain not in domains:
        raise AccessLost("the page was opened with a token of another portal or app")
    grant = Grant(
        opened.access_token,
        opened.refresh_token,
        asked_at,
        asked_at + timedelta(seconds=opened.expires_in),
        account_id=member,
        base_url=home,
        auth_url=base,
        scopes=_scopes(info.get("scope")) or opened.scopes,
        user_id=user,
    )
    is_installed = install.get("installed") in {True, "Y", "1"}
    return Proof(grant, is_installed, str(install.get("version") or ""), str(install.get("status") or ""))


def is_admin(courier: Courier, grant: Grant) -> bool:
    """Whether the grant's user is an administrator: only such a grant sees all records, so only such a one is kept."""
    call = Call("POST", "user.admin", json={"auth": grant.access_token}, lane=LANE, label="user.admin")
    lost = "Bitrix24 does not accept the token of the person who opened the page"
    body = json_of(courier.send(Server(CRM.BITRIX24, grant.base_url, _RATE, partial(_fault, lost)), call))
    return body.get("result") is True


def exchange(app: OAuthApp, courier: Courier, code: str) -> Grant:
    """The grant behind a code, which lives 30 seconds. Once only.

    Raises `TokenExpired` for a code that is used up or too old, `Transient` for what may be over a moment later.
    """
    lost = "Bitrix24 does not accept the code: start again"
    return _granted(app, courier, app.token_url, {"grant_type": "authorization_code", "code": code}, lost)


def refresh(app: OAuthApp, courier: Courier, grant: Grant) -> Grant:
    """A new pair; the refresh token of `grant` is dead from then on. `base_url` follows a renamed portal.

    Asks the authorisation server that the grant names, if it is one of Bitrix24's, and never the portal. Raises
    `AccessLost` when the grant is lost, the app removed or not paid, `Transient` for anything else.
    """
    query = {"grant_type": "refresh_token", "refresh_token": grant.refresh_token}
    lost = "Bitrix24 has ended our access to the portal: let an administrator open the app there"
    return _granted(app, courier, _server(app, grant.auth_url), query, lost)


def _granted(app: OAuthApp, courier: Courier, base: str, query: Mapping[str, str], lost: str) -> Grant:
    asked_at = courier.now()
    ours = {"client_id": app.client_id, "client_secret": app.client_secret}
    pairs = list({**query, **ours}.items())
    call = Call("GET", "/oauth/token/", query=pairs, lane=LANE, repeatable=False, label="oauth/token")
    body = json_of(courier.send(Server(CRM.BITRIX24, base, _RATE, partial(_fault, lost)), call))
    access, fresh, member, endpoint = words(body, "access_token", "refresh_token", "member_id", "client_endpoint")
    return Grant(
        access,
        fresh,
        asked_at,
        asked_at + life(body),
        account_id=member,
        base_url=_endpoint(endpoint),
        auth_url=_named_server(app, str(body.get("server_endpoint") or "")) or base,
        scopes=_scopes(body.get("scope")),
        user_id=str(body.get("user_id") or ""),
    )


def _server(app: OAuthApp, endpoint: str) -> str:
    """The authorisation server to ask: the one set by the operator, else the one named, if it is Bitrix24's."""
    named = _named_server(app, endpoint)
    if endpoint and not named:
        raise HostRefused("the authorisation server is none of Bitrix24's")
    return app.token_url if app.is_pinned or not named else named


def _named_server(app: OAuthApp, endpoint: str) -> str:
    """The origin of an endpoint that may be believed, else nothing."""
    try:
        parts = urlsplit(endpoint.strip().lower())
        _ = parts.port
    except ValueError:
        return ""
    origin = f"{parts.scheme}://{parts.netloc}"
    is_vendors = parts.scheme == "https" and parts.netloc in _SERVERS
    return origin if is_vendors or origin == app.token_url else ""


def _endpoint(text: str) -> str:
    """`https://{portal}/rest/`, to which a method's name is added."""
    parts = urlsplit(text.strip())
    if parts.scheme not in {"https", "http"} or not parts.hostname or not _OAUTH_BASE.fullmatch(parts.path):
        raise Malformed("Bitrix24 names no address for calls", path="client_endpoint")
    return f"{parts.scheme}://{parts.netloc.lower()}/rest/"


def _portal_host(text: str | None) -> str:
    host = (text or "").strip().lower().removeprefix("https://").removeprefix("http://").rstrip("/")
    host = host.removesuffix(":443").removesuffix(":80")
    if not _HOST.fullmatch(host):
        raise ValueError("the portal's address is no host name")
    return host


def _word(form: Mapping[str, str], name: str) -> str:
    value = form.get(name, "").strip()
    if not value or len(value) > 1024 or not value.isascii() or not value.isprintable():
        raise ValueError(f"{name} is missing or no token")
    return value


def _seconds(text: str | None) -> int:
    value = (text or "").strip()
    if not value.isdecimal() or not 0 < int(value) <= 86_400:
        raise ValueError("the life time of the token is missing")
    return int(value)


def _scopes(value: Any) -> tuple[str, ...]:
    return tuple(part.strip() for part in str(value or "").split(",") if part.strip())


def _map(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed("Bitrix24's answer about our app has another shape", path=path)
    return value


def _fault(lost: str, call: Call, answer: Answer) -> CRMError | None:  # noqa: ARG001 - one shape for all servers
    """By the error's name, which may stand in an answer of status 200.

    https://apidocs.bitrix24.com/settings/oauth/error-codes.html (read 2026-11)
    """
    status, code = answer.status, error_code(answer)
    if status < 300 and not code:
        return None
    name = code.upper()
    if name in _DEAD:
        return TokenExpired(lost, status=status)
    if name in _REMOVED:
        return AccessLost(f"our app is not installed in the portal ({code}): install it again", status=status)
    if name == "PAYMENT_REQUIRED":
        return Unpaid("the portal's plan or subscription has ended: it has to be renewed", status=status)
    if name in _SCOPE:
        return ScopeMissing("the app asks for more than the portal has granted: accept its new version", status=status)
    named = f" ({code})" if code else ""
    return passing_fault("Bitrix24", answer) or Unavailable(f"Bitrix24 refuses the token request{named}", status=status)
