"""An emulated HubSpot account: the gate that every call passes, and what a person in the account can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from threading import RLock
from uuid import uuid4
from wsgiref.types import WSGIApplication

from sandbox.cards.site import with_cards
from sandbox.clock import Clock
from sandbox.deliveries import Postman
from sandbox.faults import Fault, Faults
from sandbox.hubspot import routes, values
from sandbox.hubspot.account import Account
from sandbox.hubspot.automation import Automation
from sandbox.hubspot.body import Call
from sandbox.hubspot.cards import HubSpotCards
from sandbox.hubspot.errors import Refused, missing_scopes, rate_limited
from sandbox.hubspot.kinds import DEFAULT_LINK, KINDS, PRIMARY_LINK, Kind
from sandbox.hubspot.letters import Letters
from sandbox.hubspot.load import load
from sandbox.hubspot.oauth import HubSpotOAuth
from sandbox.hubspot.records import Author, Record
from sandbox.hubspot.routes import Route
from sandbox.hubspot.settings import Behaviour, Pipeline
from sandbox.hubspot.staff import HubSpotStaff
from sandbox.limits import Limits, RollingWindow
from sandbox.shop import Shop
from sandbox.web import Answer, CutConnection, Request, RequestLog, as_wsgi, html_answer, json_answer

BURST, BURST_S = 100, 10.0
INSTALLED_BURST = 110
SEARCHES, SEARCHES_S = 5, 1.0
MAX_URL = 8192
PERSON = Author("CRM_UI", "userId:7001")
GATEWAY_ERRORS = (502, 503, 524)
ALL_SCOPES = frozenset(
    {"oauth", "crm.objects.owners.read", "automation", routes.LETTERS_SCOPE}
    | {
        f"crm.{what}.{kind.plural}.{verb}"
        for kind in KINDS
        for what in ("objects", "schemas")
        for verb in ("read", "write")
    }
)


def documented_limits() -> Limits:
    """100 calls in any 10 seconds, 110 for an installed app, and 5 searches in any second beside them."""
    return Limits(
        burst=RollingWindow(BURST, BURST_S),
        installed=RollingWindow(INSTALLED_BURST, BURST_S),
        search=RollingWindow(SEARCHES, SEARCHES_S),
    )


class HubSpotPortal:
    """One account. `account.behaviour` settles what HubSpot's documents leave open; `scopes` can be narrowed.

    Calls are let in with the static `token`, or with one that `oauth` has issued.
    """

    crm = "hubspot"

    def __init__(self, account: Account, *, limits: Limits, faults: Faults, token: str) -> None:
        self.account = account
        self.limits = limits
        self.faults = faults
        self.token = token
        self.scopes: set[str] = set(ALL_SCOPES)
        self.refusing: str | None = None  # EXPIRED_AUTHENTICATION or INVALID_AUTHENTICATION
        self.log = RequestLog()
        self.oauth = HubSpotOAuth(account.clock, account.portal_id, account.app_id)
        self.postman = Postman()
        about = (account.portal_id, account.app_id)
        self.letters = account.letters = Letters(account.clock, self.oauth, self.postman, *about)
        self.automation = Automation(account.clock, self.oauth, *about)
        self._lock = RLock()
        api = as_wsgi(self._handle, self.log, account.clock)
        self.app: WSGIApplication = with_cards(api, HubSpotCards(self, self._lock))
        self._app_author = Author("INTEGRATION", str(account.app_id), "Connected app")

    # --- counters --------------------------------------------------------------------------------------------

    @property
    def requests(self) -> int:
        """Calls received so far."""
        return self.log.count

    @property
    def exceeded(self) -> int:
        """Calls over the documented limits."""
        return self.limits.exceeded

    @property
    def double_refreshes(self) -> int:
        """Refresh tokens that were used again after their death."""
        return self.oauth.grants.double_refreshes

    @property
    def behaviour(self) -> Behaviour:
        """What tests may settle one way or the other."""
        return self.account.behaviour

    def connect_url(self, server_url: str) -> str:
        """The same: the path begins at the root."""
        return server_url

    # --- the gate --------------------------------------------------------------------------------------------

    def _handle(self, request: Request) -> Answer:
        fault = self.faults.draw(f"{request.method} {request.path}")
        if fault is Fault.SLOW:
            self.faults.delay()
        with self._lock:
            about_tokens = self.oauth.answer(request)
            if about_tokens is not None:
                return about_tokens
            answer = self._refusal(request, fault) or self._counted(request)
        if fault is Fault.LOST_ANSWER:
            if self.faults.coin():
                raise CutConnection
            return html_answer(504, "504 Gateway Time-out")
        return answer

    def _refusal(self, request: Request, fault: Fault | None) -> Answer | None:
        """What stops a call before it is looked at."""
        if len(request.path) + len(request.query_string) > MAX_URL:
            return html_answer(414, "414 URI Too Long")
        category = self.refusing or self._unknown(_bearer(request))
        if category:
            return self._error(Refused(401, category, "Authentication credentials not found or expired."))
        if self.behaviour.moving_s is not None:
            moving = Refused(477, "MIGRATION_IN_PROGRESS", "This account is being moved to another data centre.")
            return json_answer(moving.body(), 477, {"Retry-After": str(self.behaviour.moving_s)})
        return self._struck(fault)

    def _unknown(self, bearer: str) -> str | None:
        """Why a token is not accepted, None when it is."""
        if bearer == self.token or self.oauth.grants.is_live(bearer):
            return None
        return "EXPIRED_AUTHENTICATION" if self.oauth.grants.pair_of(bearer) else "INVALID_AUTHENTICATION"

    def _struck(self, fault: Fault | None) -> Answer | None:
        """What a fault answers instead of the work."""
        if fault is Fault.THROTTLE:
            return self._throttled("TEN_SECONDLY_ROLLING", 1.0, "burst")
        if fault is Fault.SERVER_ERROR:
            return self._error(Refused(500, "INTERNAL_ERROR", "internal error"))
        if fault is Fault.HTML_ERROR:
            return html_answer(GATEWAY_ERRORS[self.requests % len(GATEWAY_ERRORS)], "Bad gateway")
        return None

    def _counted(self, request: Request) -> Answer:
        """The call, if the limits allow it, with the headers that tell how much is left."""
        burst = "burst" if _bearer(request) == self.token else "installed"
        try:
            route = routes.find_route(request.path)
        except Refused as refused:
            return self._with_headers(self._error(refused), burst) if self._take(burst) else self._over(burst)
        name = "search" if route.is_search else burst
        if not self._take(name):
            return self._over(name)
        answer = self._answered(request, route)
        return answer if route.is_search else self._with_headers(answer, burst)

    def _answered(self, request: Request, route: Route) -> Answer:
        try:
            needed = routes.needed_scopes(route, request.method)
            bearer = _bearer(request)
            scopes = self.scopes if bearer == self.token else self.oauth.scopes_of(bearer)
            if needed and scopes.isdisjoint(needed):
                raise missing_scopes(needed)
            call = Call(self.account, request, self._app_author, self.faults, route.dated)
            return routes.answer(call, route, self.automation)
        except Refused as refused:
            return self._error(refused)

    def _take(self, name: str) -> bool:
        return self.limits.take(name, self.account.clock.monotonic())

    def _over(self, name: str) -> Answer:
        policy = "SECONDLY" if name == "search" else "TEN_SECONDLY_ROLLING"
        return self._throttled(policy, self.limits.wait_s(name, self.account.clock.monotonic()), name)

    def _throttled(self, policy: str, wait_s: float, name: str) -> Answer:
        headers = {"Retry-After": str(max(1, round(wait_s + 0.5)))} if self.behaviour.retry_after else {}
        answer = json_answer(rate_limited(policy), 429, headers)
        return answer if policy == "SECONDLY" else self._with_headers(answer, name)

    def _error(self, refused: Refused) -> Answer:
        body = refused.body()
        return json_answer(body, refused.status, {"X-HubSpot-Correlation-Id": str(body["correlationId"])})

    def _with_headers(self, answer: Answer, name: str) -> Answer:
        burst = self.limits.limiters.get(name)
        if not isinstance(burst, RollingWindow):
            return answer
        headers = {
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(round(burst.seconds * 1000)),
            "X-HubSpot-RateLimit-Max": str(burst.calls),
            "X-HubSpot-RateLimit-Remaining": str(burst.remaining(self.account.clock.monotonic())),
            "X-HubSpot-Correlation-Id": str(uuid4()),
        }
        return Answer(answer.status, answer.body, {**headers, **answer.headers})

    # --- what a person sees and does -------------------------------------------------------------------------

    def card(self, kind: str, record_id: int | str) -> dict[str, str]:
        """The values on a record's card, empty ones left out. Raises `Refused` when there is none."""
        type_ = self.account.kind(kind)
        record = self.account.find(type_, record_id)
        readings = ((name, self.account.reading(type_, name)) for name in self.account.definitions[type_].live)
        shown = ((name, read(self.account, record)) for name, read in readings if read is not None)
        return {name: value for name, value in shown if value is not None}

    def ids(self, kind: str) -> list[int]:
        """Live records, ascending."""
        return [record.id for record in self.account.records[self.account.kind(kind)].all_live()]

    def tasks(self) -> list[dict[str, str]]:
        """The cards of all live tasks, oldest first."""
        return [self.card("tasks", number) for number in self.ids("tasks")]

    def linked(self, kind: str, record_id: int, target: str) -> Mapping[int, tuple[int, ...]]:
        """What a record is linked to, with the numbers of the links."""
        return dict(self.account.links.of(self.account.kind(kind), record_id, self.account.kind(target)))

    @property
    def staff(self) -> HubSpotStaff:
        """What people do with tasks and customers; see `sandbox.staff`."""
        return HubSpotStaff(self.account, self._lock, PERSON)

    def edit(self, kind: str, record_id: int | str, **texts: str) -> None:
        """Change a card by hand."""
        with self._lock:
            type_ = self.account.kind(kind)
            record = self.account.find(type_, record_id)
            self.account.update(type_, record, self.account.checked(type_, record, texts), PERSON)

    def add(self, kind: str, **texts: str) -> int:
        """Make a card by hand; returns its id."""
        with self._lock:
            type_ = self.account.kind(kind)
            accepted = self.account.checked(type_, None, texts)
            self.account.check_required(type_, accepted)
            return self.account.create(type_, accepted, PERSON).id

    def link(self, kind: str, record_id: int, target: str, target_id: int) -> None:
        """Join two cards; a company becomes the primary one."""
        with self._lock:
            pair = (self.account.kind(kind), self.account.kind(target))
            self.account.link(PRIMARY_LINK.get(pair) or DEFAULT_LINK[pair], record_id, target_id, PERSON)
            self.account.touch()

    def delete(self, kind: str, record_id: int | str) -> None:
        """Into the recycling bin."""
        self._on_record(kind, record_id, self.account.archive)

    def erase(self, kind: str, record_id: int | str) -> None:
        """For good."""
        self._on_record(kind, record_id, self.account.erase)

    def restore(self, kind: str, record_id: int) -> None:
        """Out of the recycling bin."""
        with self._lock:
            self.account.restore(self.account.kind(kind), record_id)

    def merge(self, kind: str, winner_id: int, loser_id: int) -> None:
        """The loser's id leads to the winner from now on."""
        with self._lock:
            type_ = self.account.kind(kind)
            winner, loser = (self.account.find(type_, number) for number in (winner_id, loser_id))
            self.account.merge(type_, winner, loser, PERSON)

    def win(self, deal_id: int, at: datetime | None = None) -> None:
        """Move a deal to its pipeline's won stage, closed `at` (now)."""
        moment = self.account.clock.now() if at is None else at
        stage = next(stage.id for stage in self._pipeline(deal_id).stages if stage.won)
        self.edit("deals", deal_id, dealstage=stage, closedate=values.iso(values.to_ms(moment)))

    def reopen(self, deal_id: int) -> None:
        """Move a deal back to its pipeline's first stage; its close date stays, as it does in HubSpot."""
        self.edit("deals", deal_id, dealstage=self._pipeline(deal_id).stages[0].id)

    def deactivate_owner(self, owner_id: int) -> None:
        """The user leaves; records go on pointing at the owner."""
        self.account.owners[owner_id].archived = True

    def guard(self, kind: str, record_id: int, code: str = "MISSING_CONDITIONAL_REQUIRED_PROPERTY") -> None:
        """An administrator's rule from now on refuses every write to this record."""
        self.account.guarded[self.account.kind(kind), record_id] = code

    def _pipeline(self, deal_id: int) -> Pipeline:
        pipeline_id = self.card("deals", deal_id)["pipeline"]
        return next(line for line in self.account.deal_pipelines if line.id == pipeline_id)

    def _on_record(self, kind: str, record_id: int | str, action: Callable[[Kind, Record], None]) -> None:
        with self._lock:
            type_ = self.account.kind(kind)
            action(type_, self.account.find(type_, record_id))


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme == "Bearer" else ""


def create_portal(
    shop: Shop,
    *,
    clock: Clock,
    limits: bool | Limits = True,
    faults: Faults,
    token: str,
    orders: int = 0,
    portal_id: int = 101,
    app_id: int = 55,
) -> HubSpotPortal:
    """An account that holds the shop; `orders` won deals (the last ones) have an order object as well."""
    if isinstance(limits, bool):
        limits = documented_limits() if limits else Limits.off()
    account = load(shop, clock, orders=orders, portal_id=portal_id, app_id=app_id)
    return HubSpotPortal(account, limits=limits, faults=faults, token=token)
