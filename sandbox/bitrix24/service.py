"""From an HTTP request to an answer: address, credential, limits, faults, envelope."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from hmac import compare_digest
from threading import RLock
from typing import Any

import orjson

from sandbox.bitrix24.batch import commands_of, run_batch
from sandbox.bitrix24.calls import APP_ONLY, Call, Method, Result, unknown_method, wrong_auth_type
from sandbox.bitrix24.errors import RestError
from sandbox.bitrix24.oauth import Bitrix24OAuth
from sandbox.bitrix24.php import parse_query
from sandbox.bitrix24.state import State
from sandbox.clock import Clock
from sandbox.faults import Fault, Faults
from sandbox.grants import Pair
from sandbox.limits import Limits, OperatingTime
from sandbox.web import Answer, CutConnection, LogEntry, Request, RequestLog, html_answer


class MaskedLog(RequestLog):
    """The request log with the webhook's secret starred, since it stands in every path."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self._secret = secret

    def add(self, entry: LogEntry) -> None:
        """Append one."""
        super().add(replace(entry, path=entry.path.replace(self._secret, "***")))


@dataclass(frozen=True, slots=True)
class Costs:
    """Simulated seconds of work that one command books on its method's operating time."""

    read_s: float = 0.02
    write_s: float = 0.3
    methods: Mapping[str, float] = field(default_factory=dict)

    def of(self, method: Method) -> float:
        """Seconds for one call of this method."""
        return self.methods.get(method.name, self.write_s if method.writes else self.read_s)


@dataclass
class Service:
    """Answers requests. `calls` counts executed methods, those inside batches too."""

    state: State
    methods: Mapping[str, Method]
    secret: str
    clock: Clock
    limits: Limits
    faults: Faults
    costs: Costs
    block: RestError | None = None
    moved_to: str | None = None
    calls: Counter[str] = field(default_factory=Counter)
    lock: RLock = field(default_factory=RLock)
    oauth: Bitrix24OAuth = field(init=False)

    def __post_init__(self) -> None:
        """The app that can be installed, beside the webhook."""
        self.oauth = Bitrix24OAuth(self.state, self.clock)

    def handle(self, request: Request) -> Answer:
        """The answer to one request; raises `CutConnection` when a fault loses it."""
        if self.moved_to is not None and request.headers.get("host", "") != _host(self.moved_to):
            return self._moved(request)
        page = self.oauth.page(request)
        if page is not None:
            return page
        params = _params(request)
        try:
            name, app = self._authorised_method(request.path, params)
            self._admit(name)
        except RestError as error:
            return _error(error)
        fault = self.faults.draw(name)
        if fault in _UNDONE:
            return self._fail(fault)
        answer = self._answer(name, params, app)
        if fault is Fault.LOST_ANSWER:
            return self._lose(name)
        if fault is Fault.SLOW:
            self.faults.delay()
        return answer

    def _moved(self, request: Request) -> Answer:
        query = f"?{request.query_string}" if request.query_string else ""
        page = html_answer(302, "Found")
        return replace(page, headers={**page.headers, "Location": f"{self.moved_to}{request.path}{query}"})

    def _authorised_method(self, path: str, params: Mapping[str, Any]) -> tuple[str, Pair | None]:
        """`/rest/{user}/{secret}/{method}`, or `/rest/{method}` with an app's token among the parameters.

        The app's pair for the second form. Raises `RestError` for anything else.
        """
        parts = path.strip("/").split("/")
        if parts[0] != "rest" or len(parts) < 2:
            raise unknown_method()
        if len(parts) == 2:
            app = self.oauth.admitted(params.get("auth"))
            if self.block is not None:
                raise self.block
            return parts[1].lower().removesuffix(".json"), app
        right_user = parts[1] == str(self.state.user_id)
        if not (compare_digest(parts[2].encode(), self.secret.encode()) and right_user):
            raise RestError("INVALID_CREDENTIALS", "Invalid request credentials", 401)
        if self.block is not None:
            raise self.block
        return "/".join(parts[3:]).lower().removesuffix(".json"), None

    def _admit(self, name: str) -> None:
        """The two limits that refuse a request before anything is done; raises `RestError`."""
        now = self.clock.monotonic()
        if not self.limits.take("bucket", now):
            raise RestError("QUERY_LIMIT_EXCEEDED", "Too many requests", 503)
        self._check_operating(name)

    def _check_operating(self, name: str) -> None:
        if not self.limits.take("operating", self.clock.monotonic(), name):
            raise RestError("OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.", 429)

    def _fail(self, fault: Fault | None) -> Answer:
        if fault is Fault.THROTTLE:
            return _error(RestError("QUERY_LIMIT_EXCEEDED", "Too many requests", 503))
        if fault is Fault.SERVER_ERROR:
            return _error(RestError("INTERNAL_SERVER_ERROR", "Internal server error", 500))
        return html_answer(403, "Forbidden") if self.faults.coin() else html_answer(502, "Bad Gateway")

    def _lose(self, name: str) -> Answer:
        """Done, but nobody hears of it. A field that takes over a minute to create ends in a plain 500."""
        if name.endswith((".userfield.add", ".userfield.delete")):
            return _error(RestError("INTERNAL_SERVER_ERROR", "Internal server error", 500))
        if self.faults.coin():
            raise CutConnection
        return html_answer(504, "Gateway Time-out")

    def _answer(self, name: str, params: dict[str, Any], app: Pair | None) -> Answer:
        begun = self.clock.now()
        try:
            with self.lock:
                if name == "batch":
                    value, extra, time = self._batch(params, app), {}, self._time(begun, "batch")
                else:
                    result, time = self._run(name, params, app)
                    value, extra = result.value, _paging(result)
                return _json(200, {"result": value, **extra, "time": time})
        except RestError as error:
            return _error(error)

    def _batch(self, params: dict[str, Any], app: Pair | None) -> dict[str, Any]:
        commands = commands_of(params)
        self.calls["batch"] += 1
        return run_batch(
            commands,
            params.get("halt"),
            lambda name, inner: self._run_nested(name, inner, app),
            refused=self.faults.picks(Fault.PARTIAL, len(commands), "batch"),
            dropped=self.faults.picks(Fault.DROP_BATCH_KEYS, len(commands), "batch"),
        )

    def _run_nested(self, name: str, params: dict[str, Any], app: Pair | None) -> tuple[Result, dict[str, Any]]:
        self._check_operating(name)
        return self._run(name, params, app)

    def _run(self, name: str, params: dict[str, Any], app: Pair | None) -> tuple[Result, dict[str, Any]]:
        """One method with its `time` block; raises `RestError`."""
        method = self._method(name, app)
        begun = self.clock.now()
        self.calls[name] += 1
        self._spend(method)
        own = self.oauth.own_answer(name, app) if app else None
        call = Call(self.state, name, params, int(begun.timestamp()))
        result = method.handler(call) if own is None else Result(own)
        return result, self._time(begun, name)

    def _method(self, name: str, app: Pair | None) -> Method:
        if name in APP_ONLY and app is None:
            raise wrong_auth_type()
        method = self.methods.get(name)
        if method is None:
            raise unknown_method()
        if method.scope and method.scope not in self.state.scopes:
            text = "The request requires higher privileges than provided by the webhook token"
            raise RestError("insufficient_scope", text, 403)
        return method

    def _operating(self) -> OperatingTime | None:
        rule = self.limits.limiters.get("operating")
        return rule if isinstance(rule, OperatingTime) else None

    def _spend(self, method: Method) -> None:
        rule = self._operating()
        if rule is not None:
            rule.spend(self.clock.monotonic(), method.name, self.costs.of(method))

    def _time(self, begun: datetime, name: str) -> dict[str, Any]:
        """The block `time`. `operating` is the method's sum in the window, as after this call."""
        ended = self.clock.now()
        took = (ended - begun).total_seconds()
        block: dict[str, Any] = {
            "start": begun.timestamp(),
            "finish": ended.timestamp(),
            "duration": took,
            "processing": took,
            "date_start": _whole(begun, self.state.zone),
            "date_finish": _whole(ended, self.state.zone),
        }
        rule = self._operating()
        if rule is not None:
            now = self.clock.monotonic()
            block["operating_reset_at"] = int(ended.timestamp() + rule.frees_s(now, name)) + 1
            block["operating"] = round(rule.operating(now, name), 6)
        return block


_UNDONE = {Fault.THROTTLE, Fault.SERVER_ERROR, Fault.HTML_ERROR}


def _host(base: str) -> str:
    return base.partition("://")[2].strip("/")


def _whole(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).replace(microsecond=0).isoformat()


def _paging(result: Result) -> dict[str, int]:
    found = {"total": result.total, "next": result.next}
    return {name: value for name, value in found.items() if value is not None}


def _params(request: Request) -> dict[str, Any]:
    """Query and body together. A body whose type is not named, or is broken, brings nothing, as in PHP."""
    params = parse_query(request.query_string)
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == "application/json":
        try:
            body = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            return params
        return {**params, **body} if isinstance(body, dict) else params
    if media == "application/x-www-form-urlencoded":
        return {**params, **parse_query(request.body.decode("utf-8", "replace"))}
    return params


def _json(status: int, body: object) -> Answer:
    return Answer(status, orjson.dumps(body), {"Content-Type": "application/json; charset=utf-8"})


def _error(error: RestError) -> Answer:
    return _json(error.status, error.body())
