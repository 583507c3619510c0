"""An amoCRM account served over HTTP."""

from __future__ import annotations

from wsgiref.types import WSGIApplication

from sandbox.amocrm.account import Account, CustomersMode, Rules, Settings
from sandbox.amocrm.calls import Call, GatewayTimeout
from sandbox.amocrm.cards import AmoCards
from sandbox.amocrm.desk import Desk
from sandbox.amocrm.gate import LOOPBACK, Gate, documented_limits, gateway_timeout, problem_answer, with_request_id
from sandbox.amocrm.letters import Letters
from sandbox.amocrm.loading import load
from sandbox.amocrm.oauth import AmoOAuth
from sandbox.amocrm.problems import Problem
from sandbox.amocrm.query import tree
from sandbox.amocrm.router import Router
from sandbox.amocrm.routes import account, cards, catalogs, customers, events, feed, fields, hooks, links, tasks
from sandbox.amocrm.staff import AmoStaff
from sandbox.cards.site import with_cards
from sandbox.clock import Clock
from sandbox.deliveries import Postman
from sandbox.faults import Faults
from sandbox.limits import Limits
from sandbox.shop import Shop
from sandbox.web import Answer, Request, RequestLog, as_wsgi

_SUBJECTS = (account, cards, catalogs, customers, events, feed, fields, hooks, links, tasks)
ROUTER = Router([route for subject in _SUBJECTS for route in subject.ROUTES])


class Portal(Desk):
    """One account. Its settings and open rules stand in `account`; what people do there, in `Desk`."""

    crm = "amocrm"

    def __init__(self, state: Account, gate: Gate) -> None:
        super().__init__(state)
        self.gate = gate
        self.log = RequestLog()
        self.postman = Postman()
        state.told = Letters(state, self.postman).tell
        self.app: WSGIApplication = with_cards(as_wsgi(self.handle, self.log, state.clock), AmoCards(self))

    @property
    def token(self) -> str:
        """The long-lived token that this account accepts."""
        return self.gate.token

    @property
    def requests(self) -> int:
        """Calls received so far, refused ones included."""
        return self.log.count

    @property
    def exceeded(self) -> int:
        """Calls above 7 in a second."""
        return self.gate.limits.exceeded

    @property
    def limits(self) -> Limits:
        """The rules in force."""
        return self.gate.limits

    @property
    def faults(self) -> Faults:
        """What goes wrong here."""
        return self.gate.faults

    @property
    def oauth(self) -> AmoOAuth:
        """The integration that can be installed here, beside the long-lived token."""
        return self.gate.oauth

    @property
    def double_refreshes(self) -> int:
        """Refresh tokens that were used again after their death."""
        return self.oauth.grants.double_refreshes

    @property
    def staff(self) -> AmoStaff:
        """What people do with tasks and customers; see `sandbox.staff`."""
        return AmoStaff(self.account, self.lock)

    def rename(self, host: str) -> None:
        """Move the account to another host: at the old one it is not found any more."""
        self.oauth.host = host

    @property
    def rules(self) -> Rules:
        """What the documents leave open; settable at any time."""
        return self.account.rules

    def connect_url(self, server_url: str) -> str:
        """The account's address."""
        return server_url

    def block(self) -> None:
        """Answer every call with a 403 page from now on, as after too many 429."""
        self.gate.is_blocked = True

    def unblock(self) -> None:
        """What the vendor's support does on request."""
        self.gate.unblock()

    def handle(self, request: Request) -> Answer:
        """The answer to one call. Calls are worked on one after another."""
        return with_request_id(self._admit(request))

    def _admit(self, request: Request) -> Answer:
        with self.lock:
            refusal = self.gate.about_tokens(request) or self.gate.refusal(request)
        if refusal is not None:
            return refusal
        fault = self.gate.fault(request)
        failure = self.gate.fault_before(fault)
        if failure is not None:
            return failure
        with self.lock:
            answer = self._work(request)
        return self.gate.fault_after(fault, answer)

    def _work(self, request: Request) -> Answer:
        try:
            handler, parts = ROUTER.find(request.method, request.path)
            query = tree(request.query_string)
            return handler(Call(self.account, self.faults, request, _base(request), query, parts))
        except Problem as problem:
            return problem_answer(problem)
        except GatewayTimeout:
            return gateway_timeout()


def _base(request: Request) -> str:
    host = request.headers.get("host", "")
    scheme = "http" if host.rsplit(":", 1)[0] in LOOPBACK else "https"
    return f"{scheme}://{host}/api/v4"


def create_portal(
    shop: Shop,
    *,
    clock: Clock,
    limits: bool | Limits = True,
    faults: Faults | None = None,
    token: str = "amocrm-long-lived-token",  # noqa: S107 - a sandbox's own
    subdomain: str = "sandbox",
    customers_mode: CustomersMode = "unavailable",
    is_api_filter_enabled: bool = False,
    has_minor_units: bool = True,
    rules: Rules | None = None,
) -> Portal:
    """An account filled from a shop, ready to be served.

    `limits` True means the documented 7 calls a second, False none.
    """
    settings = Settings(
        subdomain=subdomain,
        currency=shop.currency,
        timezone=shop.timezone,
        customers_mode=customers_mode,
        is_api_filter_enabled=is_api_filter_enabled,
        has_minor_units=has_minor_units,
    )
    state = Account(settings, clock, rules=rules or Rules())
    load(state, shop)
    in_force = limits if isinstance(limits, Limits) else documented_limits() if limits else Limits.off()
    return Portal(state, Gate(state, token, clock, in_force, faults or Faults.none()))
