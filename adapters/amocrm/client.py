"""amoCRM's endpoints and envelopes: which call, which page, where the rows lie. Knows nothing of our records.

Lists are HAL pages numbered from 1: `_embedded.<name>` has the rows, `_links.next` says that there are more, and
204 without a body means that nothing was found. Kommo has the same API at its own hosts.
https://www.amocrm.ru/developers/content/crm_platform/leads-api and siblings, read 2026-11.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from adapters.amocrm.faults import fault_of
from adapters.batches import chunks
from adapters.budget import Budget, Rolling, States
from adapters.contract import PortalAccess
from adapters.errors import AccessLost, CRMError, Gone, Malformed, TokenExpired
from adapters.oauth import KeptTokens, live_url
from adapters.records import CRM
from adapters.transport import Answer, Call, Signed, Transport

RATE = Rolling(7, 1.0)
"""Per integration and account (https://www.amocrm.ru/developers/content/api/recommendations, read 2026-11)."""
PAGE = 250
"""The longest page and the longest array of a bulk call (the same page)."""
TASK_BATCH = 50
"""What the same page advises for bulk calls; creating cannot be repeated blindly, so the smaller size."""
IDS_IN_URL = 50
"""How many ids one URL may name is not documented; with this many it stays short."""

LEADS, CONTACTS, COMPANIES, CUSTOMERS = "leads", "contacts", "companies", "customers"
TRANSACTIONS = "customers/transactions"

Json = dict[str, Any]
Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Listing:
    """One page. `more` says that the list goes on; `at` is the moment of the answer by amoCRM's clock."""

    rows: list[Json]
    more: bool
    at: datetime


class Client:
    """Calls of one account. Is the transport's dialect as well. Safe to share between threads."""

    crm = CRM.AMOCRM

    def __init__(
        self,
        access: PortalAccess,
        transport: Transport,
        states: States,
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget = Budget({"core": RATE}, states)
        self._access = access
        self._transport = transport
        self._now = now
        self._clock = clock
        self._lock = threading.Lock()
        self._sent = threading.local()
        self._strikes = 0
        self._struck_at = float("-inf")

    # --- the dialect -------------------------------------------------------------------------------------------

    def token(self) -> str | None:
        """The token to sign with now."""
        return self._access.tokens.current() if self._access.tokens else None

    def renew(self, stale: str) -> None:
        """Ask the keeper for a newer one."""
        if self._access.tokens:
            self._access.tokens.renew(stale)

    def sign(self, call: Call, token: str | None) -> Signed:
        """Bearer token in the header, nothing else."""
        self._sent.at = self._clock()
        headers = {"Accept": "application/hal+json, application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return Signed(live_url(self._access) + call.path, headers, call.json)

    def fault(self, call: Call, answer: Answer) -> CRMError | None:
        """See `faults`. That one row does not exist is no error, be it said with 204 or with 404.

        No account at its address: for an installation that is no end, since a renewal finds a renamed account.
        """
        fault = fault_of(call, answer, strikes=self._strikes)
        if type(fault) is AccessLost and isinstance(self._access.tokens, KeptTokens):
            return TokenExpired(f"{fault}", status=answer.status)
        return None if isinstance(fault, Gone) and _asks_for_a_row(call) else fault

    def learn(self, call: Call, answer: Answer) -> None:  # noqa: ARG002 - the Protocol's word
        """Count 429 in a row: calls that were under way together when the first came are one strike."""
        with self._lock:
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS:
                self._strikes = 0
            elif self._sent.at > self._struck_at:
                self._strikes += 1
                self._struck_at = self._clock()

    # --- account -----------------------------------------------------------------------------------------------

    def account(self) -> Json:
        """The account with its groups of users, its time settings, and whether lists can be filtered."""
        parts = "users_groups,datetime_settings,is_api_filter_enabled"
        return _object(self._send(_get("account", [("with", parts)])))

    def users(self) -> list[Json]:
        """All users with their groups; administrators only."""
        return self.all("users", "users", [("with", "group")])

    # --- lists -------------------------------------------------------------------------------------------------

    def pages(
        self, path: str, name: str, query: Query, numbers: Iterable[int], *, limit: int | None = None
    ) -> list[Listing]:
        """The pages with these numbers, fetched at once; `limit` where a list's pages are shorter than usual."""
        calls = [_page_call(path, query, number, limit) for number in numbers]
        answers = [self._send(calls[0])] if len(calls) == 1 else self._transport.send_all(calls, self)
        return [self._listing(answer, name) for answer in answers]

    def walk(self, path: str, name: str, query: Query = ()) -> Iterator[Listing]:
        """Page after page to the end of the list."""
        number, more = 1, True
        while more:
            (listing,) = self.pages(path, name, query, [number])
            yield listing
            number, more = number + 1, listing.more

    def all(self, path: str, name: str, query: Query = ()) -> list[Json]:
        """Every row of a list."""
        return [row for listing in self.walk(path, name, query) for row in listing.rows]

    def by_filter(self, path: str, name: str, query: Query, ids: Sequence[str]) -> list[Json] | None:
        """Rows by `filter[id][]`, or None where the filter is ignored: rows that nobody asked for give that away."""
        found: list[Json] = []
        for some in chunks(ids, IDS_IN_URL):
            asked = set(some)
            for listing in self.walk(path, name, [*query, *(("filter[id][]", one) for one in some)]):
                if any(str(row.get("id")) not in asked for row in listing.rows):
                    return None
                found.extend(listing.rows)
        return found

    def one_by_one(self, path: str, query: Query, ids: Sequence[str]) -> list[Json | None]:
        """Each row by its own call, in order; None for what does not exist or cannot be seen (204)."""
        calls = [_get(f"{path}/{one}", query) for one in ids]
        return [_row(answer) for answer in self._transport.send_all(calls, self)]

    # --- changes -----------------------------------------------------------------------------------------------

    def change(self, path: str, name: str, items: Sequence[Json]) -> list[Json]:
        """PATCH of an array. The answer names the rows that were changed, thinly."""
        return self._written("PATCH", path, name, items, repeatable=True)

    def create(self, path: str, name: str, items: Sequence[Json]) -> list[Json]:
        """POST of an array. Not repeated when the answer is lost: there are no idempotency keys."""
        return self._written("POST", path, name, items, repeatable=False)

    def change_one(self, path: str, body: Json) -> None:
        """PATCH of one row: an object, since an array is 405 there.

        https://github.com/amocrm/amocrm-api-php/issues/329, read 2026-11
        """
        self._send(Call("PATCH", f"/api/v4/{path}", json=body, label=f"PATCH {path}"))

    # --- webhooks ----------------------------------------------------------------------------------------------

    def hooks(self, destination: str) -> list[Json]:
        """The subscriptions of one destination: one, or none."""
        return self._listing(self._send(_get("webhooks", [("filter[destination]", destination)])), "webhooks").rows

    def subscribe(self, body: Json) -> None:
        """Subscribe a destination, or replace its events."""
        self._send(Call("POST", "/api/v4/webhooks", json=body, label="POST webhooks"))

    def unsubscribe(self, destination: str) -> None:
        """End a subscription; raises `Gone` when there is none."""
        self._send(Call("DELETE", "/api/v4/webhooks", json={"destination": destination}, label="DELETE webhooks"))

    def _written(self, method: str, path: str, name: str, items: Sequence[Json], *, repeatable: bool) -> list[Json]:
        call = Call(method, f"/api/v4/{path}", json=list(items), repeatable=repeatable, label=f"{method} {path}")
        return self._listing(self._send(call), name).rows

    # --- envelopes ---------------------------------------------------------------------------------------------

    def _send(self, call: Call) -> Answer:
        return self._transport.send(call, self)

    def _listing(self, answer: Answer, name: str) -> Listing:
        at = self._moment(answer)
        if answer.status == HTTPStatus.NO_CONTENT or not answer.body:
            return Listing([], more=False, at=at)
        body = _object(answer)
        embedded = body.get("_embedded")
        rows = embedded.get(name) if isinstance(embedded, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Malformed("amoCRM answered without the list that was asked for", path=f"_embedded.{name}")
        links = body.get("_links")
        more = bool(links.get("next")) if isinstance(links, dict) else len(rows) >= PAGE
        return Listing(rows, more=more and bool(rows), at=at)

    def _moment(self, answer: Answer) -> datetime:
        try:
            return parsedate_to_datetime(answer.headers.get("Date", "")).astimezone(UTC)
        except (TypeError, ValueError):
            return self._now()


def _get(path: str, query: Query = ()) -> Call:
    return Call("GET", f"/api/v4/{path}", query, label=f"GET {path}")


def _page_call(path: str, query: Query, number: int, limit: int | None) -> Call:
    return _get(path, [*query, ("limit", str(limit or PAGE)), ("page", str(number))])


def _asks_for_a_row(call: Call) -> bool:
    return call.method == "GET" and call.path.rpartition("/")[2].isdigit()


def _row(answer: Answer) -> Json | None:
    if answer.status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND} or not answer.body:
        return None
    row = _object(answer)
    return None if row.get("is_deleted") else row


def _object(answer: Answer) -> Json:
    body = answer.json()
    if not isinstance(body, dict):
        raise Malformed("amoCRM answered with something that is no object", status=answer.status)
    return body
