"""Bitrix24 REST v2 on the wire: commands, batches, chained pages, limits. Knows none of our records.

Calling, batches, paging: https://apidocs.bitrix24.com/settings/how-to-call-rest-api/ (batch.html,
list-methods-pecularities.html, change-domen.html) and /settings/performance/huge-data.html (read 2026-11).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import orjson

from adapters.batches import chunks
from adapters.bitrix24.auth import Address, read_endpoint, read_webhook
from adapters.bitrix24.faults import REDIRECTS, named_fault, reset_after, whole_fault
from adapters.budget import Budget, Leaky, Operating, States
from adapters.contract import PortalAccess
from adapters.errors import CRMError, Malformed, RateLimited, TokenExpired, Transient, Unavailable
from adapters.fields import plain
from adapters.oauth import KeptTokens, live_url
from adapters.records import CRM
from adapters.transport import Answer, Call, Signed, Transport

PAGE = 50
COMMANDS = 50
BUCKET, DRAIN_PER_S = 48, 2.0
"""Documented: a bucket of 50 that drains 2 a second (https://apidocs.bitrix24.com/limits.html, read 2026-11).
Two places are left free for the time that a request is on its way."""
OPERATING_S = 480.0
"""Documented example of the execution seconds that a method may use in ten minutes (same page)."""
_AIM_S = 25.0
"""A request is cut off at 60 s; batches are made so long that they take about this."""
_ROUNDS = 6
_OPEN_AGAIN = "Bitrix24 refuses our app's token: let an administrator open the app in the portal"
_HEADERS = {"Accept": "application/json", "User-Agent": "rfm-connector/0.1"}


@dataclass(frozen=True, slots=True)
class Command:
    """One method with its parameters, alone or inside a batch."""

    method: str
    params: Mapping[str, Any]

    def text(self) -> str:
        """The form that `batch` takes."""
        query = php_query(self.params)
        return f"{self.method}?{query}" if query else self.method


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one command. With `error` set, nothing else counts."""

    result: Any = None
    error: CRMError | None = None
    total: int | None = None

    def good(self) -> Any:
        """The result; raises the error there is."""
        if self.error is not None:
            raise self.error
        return self.result


@dataclass(frozen=True, slots=True)
class Batch:
    """The answer to one `batch`: replies by key (keys may be missing), the portal's time, seconds it took."""

    replies: Mapping[str, Reply]
    at: datetime
    seconds: float


@dataclass(frozen=True, slots=True)
class Listing:
    """A list method with its order. `rows_at` is the key of the rows within the result, empty for the result itself.

    `uncounted`: knows `start=-1`, which saves the portal the counting of all rows. `id_key`: the id's name, which is
    `ID` in older methods.
    """

    method: str
    params: Mapping[str, Any]
    rows_at: str = ""
    uncounted: bool = False
    id_key: str = "id"

    def narrowed(self, filters: Mapping[str, Any], **params: Any) -> Listing:
        """The same listing with more filters and other parameters."""
        return replace(self, params={**self.params, **params, "filter": {**self.params.get("filter", {}), **filters}})

    def after(self, last: int | str) -> Command:
        """The page that follows an id; the listing must be in the order of ids."""
        params = self.narrowed({f">{self.id_key}": last}).params
        return Command(self.method, {**params, "start": -1} if self.uncounted else params)

    def at(self, start: int) -> Command:
        """The page at an offset, with the total."""
        return Command(self.method, {**self.params, "start": start})

    def last_of(self, name: str) -> str:
        """A reference to the last id of a full page that the command `name` of the same batch reads."""
        at = f"[{self.rows_at}]" if self.rows_at else ""
        return f"$result[{name}]{at}[{PAGE - 1}][{self.id_key}]"

    def rows(self, reply: Reply) -> list[dict[str, Any]]:
        """The rows of a page."""
        result = reply.good()
        rows = (as_map(result, self.method).get(self.rows_at) if self.rows_at else result) or []
        if not isinstance(rows, list):
            raise Malformed(f"{self.method} answered without a list", path=self.rows_at)
        return rows


@dataclass(slots=True)
class Pace:
    """How many commands to put into one hit: as many as should take about 25 s, from what the last hit took."""

    length: int = COMMANDS
    most: int = COMMANDS

    def took(self, commands: int, seconds: float) -> None:
        """Learn from a hit. Without a time told, the most that is allowed is tried."""
        self.length = max(1, min(self.most, int(commands * _AIM_S / max(seconds, 0.1))))


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive rows; `last` is the id up to which all are read, `done` says that there are no more."""

    rows: Sequence[dict[str, Any]]
    last: int
    done: bool
    at: datetime
    seconds: float


def php_query(params: Mapping[str, Any]) -> str:
    """A query as PHP's `http_build_query` writes it: brackets for nesting, names and values encoded.

    Nothing is an empty text, since a batch cannot carry null; a bare boolean is 1 or 0.
    """
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in _flat(params, ""))


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}[{key}]" if name else str(key))
    elif isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            yield from _flat(inner, f"{name}[{at}]")
    else:
        yield name, _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    return plain(value) if isinstance(value, Decimal) else str(value)


def as_map(value: Any, path: str) -> dict[str, Any]:
    """A map; PHP writes an empty one as `[]`."""
    if value is None or value == []:
        return {}
    if not isinstance(value, dict):
        raise Malformed("Bitrix24 answered with something else than a map", path=path)
    return value


class Client:
    """One portal's line: Bitrix24's manners for the transport, and batches for the adapter.

    By webhook the URL is the secret; as an app the access token goes in the body. `address` follows a renamed portal.
    `offset` is the portal's own, from its last answer (UTC before the first).
    """

    crm = CRM.BITRIX24

    def __init__(self, access: PortalAccess, transport: Transport, states: States) -> None:
        self._access = access
        self._told = live_url(access)
        self._address = self._read(self._told)
        self.budget = Budget({"core": Leaky(BUCKET, DRAIN_PER_S)}, states, Operating(OPERATING_S))
        self.offset: tzinfo = UTC
        self._transport = transport

    # ── manners ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def address(self) -> Address:
        """Where the portal is now, by a redirect or by what the last renewal of the token told."""
        told = live_url(self._access)
        if told != self._told:
            self._told, self._address = told, self._read(told)
        return self._address

    @property
    def member_id(self) -> str | None:
        """The portal's id that survives a renaming; only an app is told it."""
        tokens = self._access.tokens
        return tokens.grant.account_id if isinstance(tokens, KeptTokens) else None

    @property
    def is_app(self) -> bool:
        """Whether calls are our app's, and not those of a webhook."""
        return self._access.tokens is not None

    def token(self) -> str | None:
        """The app's access token; None for a webhook, whose URL is the secret."""
        return self._access.tokens.current() if self._access.tokens else None

    def renew(self, stale: str) -> None:
        """Ask the keeper for a newer token; a webhook is never renewed: raises `TokenExpired`."""
        if self._access.tokens is None:
            raise TokenExpired("a webhook cannot be renewed: create a new one and connect again")
        self._access.tokens.renew(stale)

    def sign(self, call: Call, token: str | None) -> Signed:
        """The address with the method's name at its end; an app's token in the body, where no log sees it."""
        body = call.json if token is None else {**call.json, "auth": token}
        return Signed(self.address.base_url + call.path, _HEADERS, body)

    def fault(self, call: Call, answer: Answer) -> CRMError | None:
        """See `faults`. After a move (`learn` has followed it) the call may go out again at once."""
        if answer.status in REDIRECTS:
            moved = self._target(call, answer) == self.address
            text = "the portal has moved" if moved else "the portal sends us away: open it in a browser and look"
            return Unavailable(text, status=answer.status, retry_after=0.0 if moved else None)
        fault = whole_fault(call.path, answer.status, answer.headers, _parsed(answer))
        if isinstance(fault, TokenExpired) and self._access.tokens is not None:
            return TokenExpired(_OPEN_AGAIN, status=fault.status)
        return fault

    def learn(self, call: Call, answer: Answer) -> None:
        """Follow a renamed portal; note the operating time that the methods have used."""
        if answer.status in REDIRECTS:
            self._address = self._target(call, answer) or self.address
            return
        body = _parsed(answer)
        if not isinstance(body, dict):
            return
        self.offset = _time_of(body, answer)[0].tzinfo or UTC
        self._note(call.path, body.get("time"))
        result = body.get("result")
        times = result.get("result_time") if isinstance(result, dict) else None
        if call.path == "batch" and isinstance(times, dict):
            for method, time in _latest(call.json["cmd"], times).items():
                self._note(method, time)

    def _note(self, method: str, time: Any) -> None:
        if not isinstance(time, Mapping):
            return
        used, reset_at = time.get("operating"), time.get("operating_reset_at")
        if isinstance(used, int | float) and isinstance(reset_at, int | float) and used > 0:
            self.budget.used(method, float(used), float(reset_at))

    def _read(self, base_url: str) -> Address:
        if self._access.tokens is None:
            return read_webhook(base_url)
        user_id = self._access.tokens.grant.user_id if isinstance(self._access.tokens, KeptTokens) else ""
        return read_endpoint(base_url, user_id)

    def _target(self, call: Call, answer: Answer) -> Address | None:
        """Where a renamed portal lives now. Only an address with our own path counts: a log-in page does not.

        The transport sends nothing to a host that is none of Bitrix24's, wherever a portal points.

        https://apidocs.bitrix24.com/settings/how-to-call-rest-api/change-domen.html (read 2026-11)
        """
        here = self.address
        target = urljoin(here.base_url + call.path, answer.headers.get("Location", ""))
        parts = urlsplit(target)
        if parts.path.removesuffix(".json") != here.path + call.path:
            return None
        try:
            return self._read(f"{parts.scheme}://{parts.netloc}{here.path}")
        except (ValueError, Malformed):
            return None

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────────────

    def call(self, command: Command, *, repeatable: bool = True) -> Reply:
        """One method on its own; raises its error."""
        call = Call(
            "POST",
            command.method,
            json=dict(command.params),
            operations=(command.method,),
            repeatable=repeatable,
            label=command.method,
        )
        body = _parsed(self._send(call))
        if not isinstance(body, dict) or "result" not in body:
            raise Malformed(f"{command.method} answered without a result", path="result")
        return Reply(body["result"], total=_whole(body.get("total")))

    def batch(self, commands: Mapping[str, Command], *, repeatable: bool = True) -> Batch:
        """At most 50 commands in one hit. Some keys may have no reply: Bitrix24 drops them at times."""
        return _read_batch(commands, self._send(_batch_call(commands, repeatable=repeatable)))

    def batch_all(self, commands: Mapping[str, Command], pace: Pace | None = None) -> dict[str, Reply]:
        """Any number of independent, repeatable commands, 50 a hit (or as `pace` says), several hits under way.

        Commands without a reply, or that failed in passing, go out again; what stays so has a `Transient` error.
        """
        pace = pace or Pace()
        replies: dict[str, Reply] = {}
        pending = dict(commands)
        for _ in range(_ROUNDS):
            hits = [dict(part) for part in chunks(list(pending.items()), pace.length)]
            answers = self._transport.send_all([_batch_call(hit, repeatable=True) for hit in hits], self)
            for hit, answer in zip(hits, answers, strict=True):
                batch = _read_batch(hit, answer)
                pace.took(len(hit), batch.seconds)
                if any(isinstance(reply.error, RateLimited) for reply in batch.replies.values()):
                    self._transport.counters.count(throttled=True)
                replies.update(batch.replies)
            pending = {key: command for key, command in pending.items() if self.worth_repeating(replies.get(key))}
            if not pending:
                break
        silent = Reply(error=Unavailable("Bitrix24 left a command of a batch unanswered"))
        return {key: replies.get(key, silent) for key in commands}

    def worth_repeating(self, reply: Reply | None) -> bool:
        """Whether a command is worth sending again; a spent operating budget is noted, so that the next waits."""
        if reply is None:
            return True
        if isinstance(reply.error, RateLimited):
            self.budget.pause("core", reply.error.retry_after or 1.0, reply.error.operation)
        return isinstance(reply.error, Transient)

    def _send(self, call: Call) -> Answer:
        try:
            return self._transport.send(call, self)
        except Unavailable as trouble:
            if trouble.status not in REDIRECTS or trouble.retry_after is None or call.repeatable:
                raise
        return self._transport.send(call, self)  # a move is told before anything is done

    def read_all(self, listings: Mapping[str, Listing], *, guess: Mapping[str, int] | None = None) -> dict[str, Reply]:
        """All rows of several listings, by offsets. `guess` is how many pages one may have: they are asked for at once.

        A reply's result is the list of rows; what could not be read has its error instead.
        """
        pages: dict[str, list[Reply]] = {key: [] for key in listings}
        wanted = {key: range((guess or {}).get(key, 1)) for key in listings}
        while any(wanted.values()):
            names = {f"{key}p{page}": (key, page) for key, more in wanted.items() for page in more}
            replies = self.batch_all({name: listings[key].at(page * PAGE) for name, (key, page) in names.items()})
            for name, (key, _page) in names.items():
                pages[key].append(replies[name])
            wanted = {key: _missing_pages(listing, pages[key]) for key, listing in listings.items()}
        return {key: _joined(listings[key], found) for key, found in pages.items()}

    def rows_by_id(self, listing: Listing, ids: Iterable[str]) -> list[dict[str, Any]]:
        """The rows of the named records, 50 a command; ids that are no numbers are passed over."""
        numbers = sorted({int(text) for text in ids if text.isdecimal()})
        commands = {
            f"i{at}": listing.narrowed({f"@{listing.id_key}": list(part)}).after(0)
            for at, part in enumerate(chunks(numbers, PAGE))
        }
        replies = self.batch_all(commands)
        return [row for key in commands for row in listing.rows(replies[key])]

    # ── chained pages ────────────────────────────────────────────────────────────────────────────────────────

    def walk(self, listing: Listing, after: int, pace: Pace) -> Iterator[Stretch]:
        """All rows above an id, ascending; each stretch is one hit of as many pages of 50 as `pace` says."""
        stalled = 0
        while True:
            stretch = self._stretch(listing, after, pace.length)
            pace.took(pace.length, stretch.seconds)
            stalled = 0 if stretch.done or stretch.last > after else stalled + 1
            if stalled >= _ROUNDS:
                raise Unavailable(f"Bitrix24 leaves {listing.method} unanswered within batches")
            if stalled == 0:
                yield stretch
            if stretch.done:
                return
            after = stretch.last

    def _stretch(self, listing: Listing, after: int, length: int) -> Stretch:
        """One hit in which each page begins at the last id of the page before it.

        `$result[d0][items][49][id]` of a short page is empty, and the next command then reads from the beginning
        again: the chain is cut at the first page that is not full, or that does not ascend.
        """
        commands = {"d0": listing.after(after)}
        for at in range(1, length):
            commands[f"d{at}"] = listing.after(listing.last_of(f"d{at - 1}"))
        batch = self._shrinking(commands)
        rows: list[dict[str, Any]] = []
        last, done = after, False
        for at in range(len(commands)):
            reply = batch.replies.get(f"d{at}")
            if reply is None or self.worth_repeating(reply):
                break
            if reply.error is not None and at > 0:
                break
            raw = listing.rows(reply)
            page = [row for row in raw if row_id(row, listing.method, listing.id_key) > last]
            rows.extend(page)
            last = row_id(page[-1], listing.method, listing.id_key) if page else last
            if len(page) < PAGE:
                done = len(page) == len(raw)
                break
        return Stretch(rows, last, done, batch.at, batch.seconds)

    def _shrinking(self, commands: Mapping[str, Command]) -> Batch:
        """The batch, or its beginning where the whole takes longer than the portal allows (500 or 504)."""
        try:
            return self.batch(commands)
        except Unavailable as trouble:
            if len(commands) == 1 or trouble.status not in {413, 500, 504}:
                raise
        return self._shrinking(dict(list(commands.items())[: max(1, len(commands) // 5)]))


def row_id(row: Mapping[str, Any], path: str, id_key: str = "id") -> int:
    """A row's id as a number."""
    try:
        return int(row[id_key])
    except (KeyError, TypeError, ValueError):
        raise Malformed("a row has no id", path=f"{path}[].{id_key}") from None


def _missing_pages(listing: Listing, pages: Sequence[Reply]) -> range:
    """The pages that the total, or without one a full last page, says are still to come."""
    if any(page.error is not None for page in pages):
        return range(0)
    if pages[0].total is not None:
        return range(len(pages), max(len(pages), math.ceil(pages[0].total / PAGE)))
    unpaged = len(pages) > 1 and pages[-1].result == pages[-2].result
    return range(len(pages), len(pages) + (len(listing.rows(pages[-1])) == PAGE and not unpaged))


def _joined(listing: Listing, pages: Sequence[Reply]) -> Reply:
    error = next((page.error for page in pages if page.error is not None), None)
    if error is not None:
        return Reply(error=error)
    return Reply([row for page in pages for row in listing.rows(page)], total=pages[0].total)


def _batch_call(commands: Mapping[str, Command], *, repeatable: bool) -> Call:
    if len(commands) > COMMANDS:
        raise ValueError("a batch holds at most 50 commands")
    methods = sorted({command.method for command in commands.values()})
    return Call(
        "POST",
        "batch",
        json={"halt": 0, "cmd": {key: command.text() for key, command in commands.items()}},
        operations=("batch", *methods),
        repeatable=repeatable,
        label=f"batch of {len(commands)}: {', '.join(methods)}",
    )


def _read_batch(commands: Mapping[str, Command], answer: Answer) -> Batch:
    body = as_map(_parsed(answer), "batch")
    outer = as_map(body.get("result"), "batch.result")
    good, bad, totals, times = (
        as_map(outer.get(name), f"batch.result.{name}")
        for name in ("result", "result_error", "result_total", "result_time")
    )
    replies: dict[str, Reply] = {}
    for key, command in commands.items():
        if key in bad:
            error = bad[key] if isinstance(bad[key], dict) else {"error": bad[key]}
            reset_s = reset_after(times.get(key) or body.get("time"))
            replies[key] = Reply(error=named_fault(command.method, error, status=200, reset_s=reset_s))
        elif key in good:
            replies[key] = Reply(good[key], total=_whole(totals.get(key)))
    return Batch(replies, *_time_of(body, answer))


def _time_of(body: Mapping[str, Any], answer: Answer) -> tuple[datetime, float]:
    """When the portal began to answer (with its own offset), and the seconds it took."""
    time = as_map(body.get("time"), "time")
    duration = time.get("duration")
    seconds = float(duration) if isinstance(duration, int | float) else 0.0
    try:
        at = datetime.fromisoformat(str(time["date_start"]))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)), seconds
    except (KeyError, ValueError):
        pass
    try:
        return parsedate_to_datetime(str(answer.headers["Date"])), seconds
    except (KeyError, ValueError):
        return datetime.now(UTC), seconds


def _latest(cmd: Mapping[str, str], times: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Method → the report with the most operating time used."""
    latest: dict[str, Mapping[str, Any]] = {}
    for key, time in times.items():
        method = str(cmd.get(key, "")).partition("?")[0]
        used = time.get("operating") if isinstance(time, dict) else None
        if isinstance(used, int | float) and used >= latest.get(method, {}).get("operating", 0):
            latest[method] = time
    return latest


_memo = threading.local()


def _parsed(answer: Answer) -> Any:
    """The JSON of an answer, or None for a page of HTML. Each thread remembers the last: it is asked for thrice."""
    if getattr(_memo, "answer", None) is not answer:
        try:
            _memo.body = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            _memo.body = None
        _memo.answer = answer
    return _memo.body


def _whole(value: Any) -> int | None:
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        return None
