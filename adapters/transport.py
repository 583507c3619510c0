"""The one way out to a CRM: time-outs, retries by error class, budgets, host check, redacted log, counters.

An adapter's client describes calls (`Call`) and its vendor's manners (`Dialect`); everything that waits or
repeats is here. Nothing above retries, nothing below sleeps.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies

import orjson
import requests
import tenacity
import urllib3
from requests.adapters import HTTPAdapter

from adapters.budget import Budget
from adapters.errors import (
    CRMError,
    Interrupted,
    Malformed,
    RateLimited,
    TimedOut,
    TokenExpired,
    Transient,
)
from adapters.hosts import HostPolicy
from adapters.records import CRM

log = logging.getLogger("rfm.http")
_CONNECTIONS = 16
_PART = 1 << 16
_LARGEST = 64 << 20  # bytes: far above the largest page of any vendor
_ATTEMPTS_AT_SILENCE = 3
_ATTEMPTS_WHEN_LIMITED = 60  # others may use up an account's quota for long


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    `label` goes to logs, so it never has a secret. `operations` are the vendor's method names whose own budgets
    it uses. `repeatable` False means that an unanswered call must be looked for before it is sent again.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    json: Any = None
    form: Mapping[str, str] | None = None
    lane: str = "core"
    operations: tuple[str, ...] = ()
    repeatable: bool = True
    label: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, unread."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The parsed body; raises `Malformed` when it is not JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise Malformed("the CRM answered with something that is not JSON", status=self.status) from None


@dataclass(frozen=True, slots=True)
class Signed:
    """A call ready to be sent."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None


class Dialect(Protocol):
    """A vendor's manners, given by its client module."""

    crm: CRM
    budget: Budget

    def token(self) -> str | None:
        """The token to sign with now, if the vendor uses one."""
        ...

    def renew(self, stale: str) -> None:
        """Get a newer token or raise `TokenExpired`."""
        ...

    def sign(self, call: Call, token: str | None) -> Signed:
        """URL, headers and body of a call. For a call with a JSON body, `Signed.json` replaces `Call.json`."""
        ...

    def fault(self, call: Call, answer: Answer) -> CRMError | None:
        """The error an answer means, or None when it is a good one."""
        ...

    def learn(self, call: Call, answer: Answer) -> None:
        """Take from a good or bad answer what it says about limits."""
        ...


class Counters:
    """What a run cost: `requests` sent to the CRM, and answers that told us to slow down (`throttled`)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests = 0
        self.throttled = 0

    def count(self, *, throttled: bool = False) -> None:
        """Count one request, or one telling-off."""
        with self._lock:
            if throttled:
                self.throttled += 1
            else:
                self.requests += 1


def _unwatched(label: str, status: str, seconds: float) -> None:
    """Nobody wants to know."""


def _unguarded() -> None:
    """Nothing forbids sending."""


class Transport:
    """Sends calls. Safe to share between threads; one per portal and process.

    `patience` bounds in seconds how long one call may wait for budgets and retries: a command line is
    patient, a background job gives its place back instead (`RateLimited` with `retry_after`). `watch` is told of
    each request its label, the kind of answer (`2xx`, `429` for any that told us to slow down, `none`) and the seconds
    it took. `guard` is called before each request and raises when nothing may be sent any more.
    """

    def __init__(
        self,
        hosts: HostPolicy,
        *,
        patience: float = 1800.0,
        attempts: int = 6,
        timeout: tuple[float, float] = (5.0, 65.0),
        in_flight: int = 8,
        watch: Callable[[str, str, float], None] = _unwatched,
        guard: Callable[[], None] = _unguarded,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counters = Counters()
        logging.getLogger("urllib3.connectionpool").setLevel(logging.WARNING)  # it logs paths: webhook secrets
        self._hosts = hosts
        self._patience = patience
        self._attempts = attempts
        self._timeout = timeout
        self._watch = watch
        self._guard = guard
        self._sleep = sleep
        self._clock = clock
        self._session = requests.Session()
        self._session.trust_env = False
        pool = HTTPAdapter(pool_connections=_CONNECTIONS, pool_maxsize=_CONNECTIONS)
        self._session.mount("https://", pool)
        self._session.mount("http://", pool)
        self._pool = ThreadPoolExecutor(max_workers=in_flight, thread_name_prefix="crm")

    def send(self, call: Call, dialect: Dialect) -> Answer:
        """The good answer to a call, after as many tries as its error class allows.

        Raises the `CRMError` that the last try ended with.
        """
        deadline = self._clock() + self._patience
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: _may_repeat(call, error)),
            wait=_wait_as_told,
            stop=lambda state: self._is_over(state, deadline),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self._try_with_token, call, dialect, deadline)

    def send_all(self, calls: Iterable[Call], dialect: Dialect) -> list[Answer]:
        """The answers to independent calls, in their order, several under way at once."""
        return list(self._pool.map(lambda call: self.send(call, dialect), calls))

    def close(self) -> None:
        """Let connections and threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._session.close()

    def _is_over(self, state: tenacity.RetryCallState, deadline: float) -> bool:
        error = state.outcome.exception() if state.outcome else None
        most = self._attempts
        if isinstance(error, RateLimited):
            most = _ATTEMPTS_WHEN_LIMITED
        elif isinstance(error, TimedOut):
            most = min(most, _ATTEMPTS_AT_SILENCE)
        return state.attempt_number >= most or self._clock() + state.upcoming_sleep > deadline

    def _try_with_token(self, call: Call, dialect: Dialect, deadline: float) -> Answer:
        token = dialect.token()
        try:
            return self._try_once(call, dialect, token, deadline)
        except TokenExpired:
            if token is None:
                raise
            dialect.renew(token)
            return self._try_once(call, dialect, dialect.token(), deadline)

    def _try_once(self, call: Call, dialect: Dialect, token: str | None, deadline: float) -> Answer:
        grant = self._granted(call, dialect, deadline)
        started = self._clock()
        try:
            answer = self._exchange(call, dialect, token)
        except Interrupted:
            self._watch(call.label or call.path, "none", self._clock() - started)
            raise
        finally:
            dialect.budget.answer(call.lane, grant)
        log.debug(
            "%s %s → %s in %d ms",
            dialect.crm.value,
            call.label or call.path,
            answer.status,
            (self._clock() - started) * 1000,
        )
        dialect.learn(call, answer)
        fault = dialect.fault(call, answer)
        kind = "429" if isinstance(fault, RateLimited) else f"{answer.status // 100}xx"
        self._watch(call.label or call.path, kind, self._clock() - started)
        if isinstance(fault, RateLimited):
            self.counters.count(throttled=True)
            dialect.budget.pause(call.lane, fault.retry_after or 1.0, fault.operation)
        if fault is not None:
            raise fault
        return answer

    def _granted(self, call: Call, dialect: Dialect, deadline: float) -> Any:
        while True:
            grant = dialect.budget.ask(call.lane, call.operations)
            if grant.wait <= 0:
                return grant
            if self._clock() + grant.wait > deadline:
                raise RateLimited("the CRM's limit leaves no room for now", retry_after=grant.wait)
            self._sleep(grant.wait)

    def _exchange(self, call: Call, dialect: Dialect, token: str | None) -> Answer:
        signed = dialect.sign(call, token)
        self._hosts.check(dialect.crm, signed.url)
        self._guard()
        self.counters.count()
        body = None if signed.json is None else orjson.dumps(signed.json)
        headers = dict(signed.headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            response = self._session.request(
                call.method,
                signed.url,
                params=list(call.query) or None,
                data=body if body is not None else call.form,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                proxies=_proxies(signed.url),
                stream=True,
            )
            content = _whole(response, within=2 * self._timeout[1])
        except (requests.ReadTimeout, TimeoutError) as error:
            raise TimedOut(f"{dialect.crm.value} did not answer in time ({type(error).__name__})") from None
        except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
            raise Interrupted(f"{dialect.crm.value} did not answer ({type(error).__name__})") from None
        except requests.RequestException as error:
            raise Interrupted(f"the call to {dialect.crm.value} broke ({type(error).__name__})") from None
        return Answer(response.status_code, response.headers, content)


def _whole(response: requests.Response, *, within: float) -> bytes:
    """The body, as it comes in; one that is endless or drips for longer than `within` seconds is given up.

    A time-out of the socket only bounds the wait for the next byte. Raises `Malformed`, `TimeoutError` and what
    urllib3 raises.
    """
    until = time.monotonic() + within
    body = bytearray()
    with response:
        while part := response.raw.read1(_PART, decode_content=True):
            body += part
            if len(body) > _LARGEST:
                raise Malformed(f"the answer is larger than {_LARGEST >> 20} MB", status=response.status_code)
            if time.monotonic() > until:
                raise TimeoutError
    return bytes(body)


def _proxies(url: str) -> dict[str, str]:
    """The machine's proxies, never for loopback."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.startswith("127.") or host == "::1":
        return {}
    return getproxies()


def _may_repeat(call: Call, error: BaseException) -> bool:
    if isinstance(error, RateLimited):
        return True
    return isinstance(error, Transient) and call.repeatable


def _wait_as_told(state: tenacity.RetryCallState) -> float:
    """The wait the CRM asked for, else doubling from half a second to 30, with jitter."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, RateLimited):
        return 0.0  # the lane is paused already, for as long as the CRM asked
    told = error.retry_after if isinstance(error, Transient) else None
    if told is not None:
        return told
    doubling = min(30.0, 0.25 * 2.0**state.attempt_number)
    return doubling * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, guards nothing
