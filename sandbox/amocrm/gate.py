"""What stands before every call: host, block, rate, token, tariff, faults. And how each refusal looks.

Order of the checks: an account is found by its host; a blocked integration gets a page instead of JSON on every
call; then the token; then 7 calls a second per integration.
https://www.amocrm.ru/developers/content/api/recommendations
"""

from __future__ import annotations

from collections import deque
from hmac import compare_digest
from uuid import uuid4

import orjson

from sandbox.amocrm.account import Account
from sandbox.amocrm.oauth import AmoOAuth
from sandbox.amocrm.problems import PROBLEM, Problem
from sandbox.clock import Clock
from sandbox.faults import Fault, Faults
from sandbox.limits import Limits, RollingWindow
from sandbox.web import Answer, CutConnection, Request, html_answer

RULE = "integration"  # the name of the limiter below
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_BLOCK_WINDOW_S = 60.0


def documented_limits() -> Limits:
    """7 requests in any second for one integration."""
    return Limits(integration=RollingWindow(7, 1.0))


def problem_answer(problem: Problem) -> Answer:
    """`application/problem+json`."""
    return Answer(problem.status, orjson.dumps(problem.body()), {"Content-Type": f"{PROBLEM}; charset=utf-8"})


class Gate:
    """Lets calls in. `is_blocked` stays until `unblock`, as only the vendor's support lifts it."""

    def __init__(self, account: Account, token: str, clock: Clock, limits: Limits, faults: Faults) -> None:
        self.token = token
        self.limits = limits
        self.faults = faults
        self.is_blocked = False
        self.oauth = AmoOAuth(account, clock)
        self._account = account
        self._clock = clock
        self._refused_at: deque[float] = deque()

    def unblock(self) -> None:
        """What support does on request."""
        self.is_blocked = False
        self._refused_at.clear()

    def about_tokens(self, request: Request) -> Answer | None:
        """The answer to a call about consent or tokens; None when it is about something else, or must not get in."""
        if self.is_blocked or not (self.oauth.is_page(request) or self._is_our_host(request)):
            return None
        return self.oauth.answer(request)

    def refusal(self, request: Request) -> Answer | None:
        """The answer to a call that must not get in, else None."""
        if not self._is_our_host(request):
            return problem_answer(Problem(401, "Account not found"))
        if self.is_blocked:
            return html_answer(403, "403 Forbidden")
        if not self._is_authorized(request):
            return problem_answer(Problem(401, "Unauthorized"))
        if not self.limits.take(RULE, self._clock.monotonic()):
            return self._too_many()
        if request.method != "GET" and not self._account.settings.is_paid:
            return problem_answer(Problem(402, "The account is not paid"))
        return None

    def fault(self, request: Request) -> Fault | None:
        """What goes wrong with this call, drawn once."""
        return self.faults.draw(f"{request.method} {request.path}")

    def fault_before(self, fault: Fault | None) -> Answer | None:
        """The answer when nothing is done. The 403 page means a real block, so the page here is a 502."""
        if fault is Fault.THROTTLE:
            return html_answer(429, "429 Too Many Requests")
        if fault is Fault.SERVER_ERROR:
            return problem_answer(Problem(500, "Internal server error"))
        if fault is Fault.HTML_ERROR:
            return html_answer(502, "502 Bad Gateway")
        return None

    def fault_after(self, fault: Fault | None, answer: Answer) -> Answer:
        """The answer when everything is done; raises `CutConnection` for one that is lost on the wire."""
        if fault is Fault.SLOW:
            self.faults.delay()
        elif fault is Fault.LOST_ANSWER:
            if self.faults.coin():
                raise CutConnection
            return gateway_timeout()
        return answer

    def _is_our_host(self, request: Request) -> bool:
        host = request.headers.get("host", "").rsplit(":", 1)[0]
        if not self.oauth.is_known_host(request):
            return False
        return host in LOOPBACK or host == f"{self._account.settings.subdomain}.amocrm.ru"

    def _is_authorized(self, request: Request) -> bool:
        given = request.headers.get("authorization", "")
        if self.oauth.grants.is_live(given.removeprefix("Bearer ")):
            return True
        return compare_digest(given.encode("utf-8", "replace"), f"Bearer {self.token}".encode())

    def _too_many(self) -> Answer:
        """429; too many of these in a minute and the integration is blocked."""
        now, most = self._clock.monotonic(), self._account.rules.block_after
        self._refused_at.append(now)
        while self._refused_at[0] <= now - _BLOCK_WINDOW_S:
            self._refused_at.popleft()
        self.is_blocked = most is not None and len(self._refused_at) >= most
        return html_answer(429, "429 Too Many Requests")


def gateway_timeout() -> Answer:
    """A proxy that waited no longer."""
    return html_answer(504, "504 Gateway Time-out")


def with_request_id(answer: Answer) -> Answer:
    """Every answer carries `X-Request-Id`, for the vendor's support."""
    return Answer(answer.status, answer.body, {**answer.headers, "X-Request-Id": uuid4().hex})
