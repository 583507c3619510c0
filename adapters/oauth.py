"""OAuth, whatever the CRM: what a grant is, who keeps it, when it is renewed, and the way to an authorisation server.

The vendors' own words (addresses, fields, errors) are in `adapters/<crm>/auth.py`; where grants are stored is a port
(`TokenKeeper`), so that threads, processes and machines agree on one renewal.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import orjson

from adapters.budget import Budget, Rule, States
from adapters.contract import PortalAccess
from adapters.errors import AccessLost, CRMError, Malformed, RateLimited, TokenExpired, Transient, Unavailable
from adapters.hosts import HostPolicy
from adapters.records import CRM
from adapters.transport import Answer, Call, Signed, Transport

log = logging.getLogger("rfm.oauth")

LANE = "oauth"
"""The lane that calls to an authorisation server use; their states are apart from those of a portal's calls."""
_SHARE_OF_LIFE = 4
"""A grant that lives shorter than usual is renewed in its last quarter, or it would be renewed at every call."""
_PAUSE = timedelta(seconds=30)
"""Between tries to renew early, while the old token still works."""
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class OAuthApp:
    """Our registration with one vendor, and where its pages and tokens are.

    `site_url` is where a person consents, `token_url` where tokens are issued (empty where each account issues its
    own), `api_url` the vendor's API (empty likewise). All without a slash at the end. `is_pinned` says that
    `token_url` was set by the operator and overrules what a grant or a page says.
    """

    client_id: str
    client_secret: str = field(repr=False)
    redirect_url: str = ""
    site_url: str = ""
    token_url: str = ""
    api_url: str = ""
    scopes: tuple[str, ...] = ()
    optional_scopes: tuple[str, ...] = ()
    is_pinned: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """What an account has granted: a pair of tokens and the account's facts.

    `account_id` never changes (HubSpot hub id, amoCRM account id, Bitrix24 member id), `base_url` may: it is where
    calls go now. `auth_url` is where the vendor says that this account's grants are looked after. Times are aware UTC.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    issued_at: datetime
    expires_at: datetime
    account_id: str
    base_url: str
    auth_url: str = ""
    scopes: tuple[str, ...] = ()
    user_id: str = ""

    def is_due(self, now: datetime, early: timedelta) -> bool:
        """Whether it should be renewed: `early` before its end, or in the last quarter of a short life."""
        return now >= self.expires_at - min(early, (self.expires_at - self.issued_at) / _SHARE_OF_LIFE)


class Held(Protocol):
    """A portal's grant while nobody else may renew it."""

    @property
    def grant(self) -> Grant:
        """As it is stored now, read after the lock was taken."""
        ...

    def keep(self, grant: Grant) -> None:
        """Replace it. Durable once the block of `TokenKeeper.locked` has ended without an error."""
        ...


class TokenKeeper(Protocol):
    """Where grants are stored."""

    def locked(self, portal_id: int) -> AbstractContextManager[Held]:
        """Hold one portal's grant, alone among all threads, processes and machines.

        Leaving the block commits what was kept and only then lets the next one in; an error in the block, or a
        killed process, leaves the old grant. Raises `AccessLost` for a portal that has none, `Transient` when
        somebody else holds it for too long.
        """
        ...


class KeptTokens:
    """A portal's access token over a keeper, by `contract.Tokens`. Safe to share between threads.

    A token is renewed `early`, or when the CRM refuses it, by exactly one caller: whoever gets the lock re-reads the
    stored grant and renews only what nobody else has renewed. The new pair is committed before anyone sees it.
    """

    def __init__(
        self,
        keeper: TokenKeeper,
        portal_id: int,
        grant: Grant,
        renewal: Callable[[Grant], Grant],
        *,
        early: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._keeper = keeper
        self._portal_id = portal_id
        self._grant = grant
        self._renewal = renewal
        self._early = early
        self._now = now
        self._lock = threading.Lock()
        self._not_before: datetime | None = None
        self._unsaved: tuple[str, Grant] | None = None

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"KeptTokens(portal {self._portal_id})"

    @property
    def grant(self) -> Grant:
        """The grant as this process last saw it."""
        return self._grant

    def current(self) -> str:
        """The token to use now, renewed if its end is near.

        While the old one works, an authorisation server that is away is asked again later and nobody notices.
        Raises `TokenExpired` when the grant is lost, `Transient` when there is no token that works at this moment.
        """
        grant = self._grant
        if not grant.is_due(self._now(), self._early) or self._is_put_off():
            return grant.access_token
        try:
            return self._newer_than(grant.access_token).access_token
        except Transient as trouble:
            now = self._now()
            if now >= grant.expires_at:
                raise
            log.warning("portal %d: the token is not renewed yet (%s)", self._portal_id, trouble)
            self._not_before = now + _PAUSE
            return grant.access_token

    def renew(self, stale: str) -> str:
        """A token newer than `stale`, which the CRM has refused. Raises as `current` does."""
        return self._newer_than(stale).access_token

    def renew_idle(self, idle: timedelta) -> bool:
        """Renew a grant that is older than `idle`, so that the refresh token of a quiet portal does not run out.

        Says whether it did. Vendors ask not to do this daily: a month is well within their 3 to 6.
        """
        with self._lock:
            grant = self._stored_or_renewed(lambda stored: stored.issued_at + idle <= self._now())
            was, self._grant = self._grant, grant
        return grant.access_token != was.access_token

    def _is_put_off(self) -> bool:
        return self._not_before is not None and self._now() < min(self._not_before, self._grant.expires_at)

    def _newer_than(self, stale: str) -> Grant:
        with self._lock:
            mine = self._grant
            if mine.access_token == stale or mine.is_due(self._now(), self._early):
                self._grant = self._stored_or_renewed(
                    lambda stored: stored.access_token == stale or stored.is_due(self._now(), self._early)
                )
                self._not_before = None
            return self._grant

    def _stored_or_renewed(self, is_stale: Callable[[Grant], bool]) -> Grant:
        """The stored grant, renewed if it `is_stale`. Visible to nobody before its commit."""
        with self._keeper.locked(self._portal_id) as held:
            grant = held.grant
            if is_stale(grant):
                grant = self._fresh(grant)
                held.keep(grant)
        self._unsaved = None
        return grant

    def _fresh(self, grant: Grant) -> Grant:
        """The answer to one renewal. Should its commit fail, the pair is kept here and stored at the next try."""
        if self._unsaved is not None and self._unsaved[0] == grant.refresh_token:
            return self._unsaved[1]
        fresh = self._renewal(grant)
        if fresh.account_id != grant.account_id:
            raise AccessLost("the renewed grant is of another account: connect the portal again")
        self._unsaved = (grant.refresh_token, fresh)
        log.info("portal %d: token renewed", self._portal_id)
        return fresh


def live_url(access: PortalAccess) -> str:
    """Where calls go now: a renewal may have brought the new address of a renamed account."""
    return access.tokens.grant.base_url if isinstance(access.tokens, KeptTokens) else access.base_url


# --- the way to an authorisation server ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Courier:
    """Carries single calls to authorisation servers: a way out, budgets that all processes share, a clock."""

    transport: Transport
    states: States
    now: Callable[[], datetime]

    def send(
        self,
        server: Server,
        call: Call,
        *,
        bearer: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The good answer; raises what `server.fault` makes of a bad one, `HostRefused` for a strange address."""
        return self.transport.send(call, _Manners(server, self.states, bearer, headers or {}))


Fault = Callable[[Call, Answer], CRMError | None]


@dataclass(frozen=True, slots=True)
class Server:
    """One server that issues or checks tokens: its address, its limit, and what its refusals mean."""

    crm: CRM
    base_url: str
    rule: Rule
    fault: Fault


class _Manners:
    """The transport's dialect for one call. Never renews anything: that is what the call itself is for."""

    def __init__(self, server: Server, states: States, bearer: str | None, headers: Mapping[str, str]) -> None:
        self.crm = server.crm
        self.budget = Budget({LANE: server.rule}, states)
        self._server = server
        self._bearer = bearer
        self._headers = headers

    def token(self) -> str | None:
        return None

    def renew(self, stale: str) -> None:
        del stale
        raise TokenExpired("the token is refused")

    def sign(self, call: Call, token: str | None) -> Signed:
        del token
        headers = {"Accept": "application/json", **self._headers}
        if self._bearer is not None:
            headers["Authorization"] = f"Bearer {self._bearer}"
        return Signed(self._server.base_url + call.path, headers, call.json)

    def fault(self, call: Call, answer: Answer) -> CRMError | None:
        return self._server.fault(call, answer)

    def learn(self, call: Call, answer: Answer) -> None:
        """Nothing: these servers tell no limits."""


def courier_transport(hosts: HostPolicy) -> Transport:
    """A transport for couriers: a renewal holds a lock, so it gives up soon and leaves the rest to the next try."""
    return Transport(hosts, patience=20.0, attempts=2, timeout=(5.0, 15.0), in_flight=1)


# --- reading answers -------------------------------------------------------------------------------------------


def json_of(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer, empty for anything else."""
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def error_code(answer: Answer) -> str:
    """The vendor's name of an error; empty when there is none, or when it is no mere name."""
    code = str(json_of(answer).get("error") or "")
    return code if _CODE.fullmatch(code) else ""


def passing_fault(vendor: str, answer: Answer) -> CRMError | None:
    """What may be over a moment later: limits and failures of the server. None for anything else."""
    status = answer.status
    told = str(answer.headers.get("Retry-After", ""))
    wait = float(told) if told.isdigit() else None
    if status == 429:
        return RateLimited(f"{vendor} asks to renew tokens more slowly", status=status, retry_after=wait or _WAIT_S)
    if status >= 500:
        return Unavailable(f"{vendor} cannot renew tokens now", status=status, retry_after=wait)
    if 300 <= status < 400:
        return Unavailable(f"{vendor} sends us away from its token address: check the address", status=status)
    return None


def words(body: Mapping[str, Any], *names: str) -> list[str]:
    """Texts that must be there and not empty; raises `Malformed` with the name of the first that is missing."""
    found = []
    for name in names:
        value = body.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise Malformed("the answer to a token request lacks a field", path=name)
        found.append(str(value))
    return found


def life(body: Mapping[str, Any]) -> timedelta:
    """How long an access token lives, from `expires_in`; raises `Malformed`."""
    (text,) = words(body, "expires_in")
    if not text.isdecimal() or not 0 < int(text) < 10**9:
        raise Malformed("the answer to a token request has no life time", path="expires_in")
    return timedelta(seconds=int(text))


# --- proof key for code exchange (RFC 7636) --------------------------------------------------------------------


def new_verifier() -> str:
    """A secret that stays with us between the start of an installation and the exchange of its code."""
    return secrets.token_urlsafe(48)


def challenge_of(verifier: str) -> str:
    """What of it goes through the browser (method S256)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
