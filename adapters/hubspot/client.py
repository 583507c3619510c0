"""HubSpot's endpoints and envelopes: which call, which lane, where the results lie. Knows nothing of our records.

One version for all paths. Sizes and limits, read 2026-11:
https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
and https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from adapters.batches import chunks
from adapters.budget import Budget, Rolling, States
from adapters.contract import PortalAccess
from adapters.errors import CRMError, Malformed, Unavailable
from adapters.hubspot.faults import fault_of
from adapters.oauth import KeptTokens, live_url
from adapters.records import CRM
from adapters.transport import Answer, Call, Signed, Transport

API_VERSION = "2026-09"

CONTACTS, COMPANIES, DEALS, ORDERS = "contacts", "companies", "deals", "orders"
LINE_ITEMS, TASKS, NOTES = "line_items", "tasks", "notes"
CALLS, EMAILS, MEETINGS, COMMUNICATIONS = "calls", "emails", "meetings", "communications"

PAGE = 100
SEARCH_PAGE = 200
BATCH = 100
ASSOCIATION_BATCH = 1000

BURST = Rolling(100, 10.0)
"""The smallest documented burst of any kind of app. `X-HubSpot-RateLimit-Max` tells this account's own."""
INSTALLED_BURST = Rolling(110, 10.0)
"""Of an installed (OAuth) app in each account, whatever the account's subscription."""
SEARCH = Rolling(4, 1.0)
"""Searches are limited to 5 a second, shared by all apps of the account: one is left to the others. That costs
nothing, since pages of a search follow one another and an answer takes longer than a quarter of a second."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """One page of a list or search: `after` is the token of the next one, `at` the moment of the answer by HubSpot."""

    results: list[Json]
    after: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Link:
    """One end of an association. `primary` where HubSpot marks it as the record's own company."""

    to: str
    primary: bool = False


Links = dict[str, list[Link]]
"""Record id → what it is associated with. Records without associations are absent."""

_PRIMARY_TYPES = frozenset({1, 5, 509})
"""contact → company, deal → company, order → company
(https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide, read 2026-11)."""


class Client:
    """Calls of one account. Is the transport's dialect as well. Safe to share between threads."""

    crm = CRM.HUBSPOT

    def __init__(self, access: PortalAccess, transport: Transport, states: States, now: Callable[[], datetime]) -> None:
        self._burst = INSTALLED_BURST if isinstance(access.tokens, KeptTokens) else BURST
        self.budget = Budget({"core": self._burst, "search": SEARCH}, states)
        self._access = access
        self._transport = transport
        self._now = now
        self._limit: int | None = None

    @property
    def per_second(self) -> float:
        """What this account's burst, as far as it is known yet, allows in the long run."""
        return (self._limit or self._burst.limit) / self._burst.seconds

    def now(self) -> datetime:
        """Our own clock, aware UTC."""
        return self._now()

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
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return Signed(live_url(self._access) + call.path, headers, call.json)

    def fault(self, call: Call, answer: Answer) -> CRMError | None:
        """See `faults`."""
        return fault_of(call, answer)

    def learn(self, call: Call, answer: Answer) -> None:
        """Take this account's own burst from the headers. Answers of searches carry none."""
        limit = _told_limit(answer.headers)
        if call.lane == "core" and limit is not None and limit != self._limit:
            self._limit = limit
            self.budget.resize("core", limit)

    # --- settings and people -----------------------------------------------------------------------------------

    def account(self) -> Json:
        """Id, time zone, currency and interface domain of the account."""
        return self._get(f"/account-info/{API_VERSION}/details", label="account details")

    def exchange_rates(self) -> list[Json]:
        """The current rate of each additional currency to the company's. Raises where currencies are not enabled."""
        path = f"/settings/currencies/{API_VERSION}/exchange-rates/current"
        return results_of(self._get(path, label="exchange rates"))

    def owners(self, *, archived: bool) -> list[Json]:
        """All owners, or all archived ones."""
        return self._all(f"/crm/owners/{API_VERSION}", [("archived", _bool(archived))], "owners")

    def pipelines(self, kind: str) -> list[Json]:
        """Pipelines of deals or orders with their stages."""
        return results_of(self._get(f"/crm/pipelines/{API_VERSION}/{kind}", label=f"{kind} pipelines"))

    # --- records -----------------------------------------------------------------------------------------------

    def list_page(
        self,
        kind: str,
        after: str | None,
        properties: Iterable[str] = (),
        associations: Iterable[str] = (),
        *,
        archived: bool = False,
        limit: int = PAGE,
    ) -> Batch:
        """One page by ascending id. `properties` must be named on every page, or the later ones come without."""
        query = [("limit", str(limit)), ("archived", _bool(archived))]
        query += [(name, ",".join(words)) for name, words in _named(properties, associations) if words]
        query += [("after", after)] if after else []
        return self._batch(Call("GET", f"/crm/objects/{API_VERSION}/{kind}", query=query, label=f"{kind} list"))

    def list_all(self, kind: str, *, archived: bool) -> Iterator[Json]:
        """Every record of a kind, without properties of its own."""
        after: str | None = None
        while True:
            page = self.list_page(kind, after, archived=archived)
            yield from page.results
            after = page.after
            if after is None:
                return

    def search(self, kind: str, body: Json) -> Batch:
        """One page of a search: at most `SEARCH_PAGE` records, and 10,000 in all pages of one query."""
        return self._batch(_search_call(kind, body))

    def count(self, kind: str, filters: Sequence[Json]) -> int:
        """How many live records match all filters, as far as the search index knows by now."""
        body: Json = {"filterGroups": [{"filters": list(filters)}], "limit": 1}
        return int(self._json(_search_call(kind, body)).get("total") or 0)

    def read(self, kind: str, ids: Sequence[str], properties: Sequence[str]) -> list[Json]:
        """The named records that exist. The order is HubSpot's; a merged id answers with the winner's record."""
        path = f"/crm/objects/{API_VERSION}/{kind}/batch/read"
        return self._post_all(
            [
                Call("POST", path, json={"inputs": _ids(part), "properties": list(properties)}, label=f"{kind} read")
                for part in chunks(ids, BATCH)
            ]
        )

    def update(self, kind: str, inputs: Sequence[Json]) -> Json:
        """Put properties on at most `BATCH` records. 200 or 207; the body has `results` and perhaps `errors`."""
        path = f"/crm/objects/{API_VERSION}/{kind}/batch/update"
        return self._json(Call("POST", path, json={"inputs": list(inputs)}, label=f"{kind} update"))

    def create(self, kind: str, inputs: Sequence[Json]) -> Json:
        """Create at most `BATCH` records. Not repeated when the answer is lost: there is no natural key."""
        path = f"/crm/objects/{API_VERSION}/{kind}/batch/create"
        return self._json(Call("POST", path, json={"inputs": list(inputs)}, label=f"{kind} create", repeatable=False))

    def links(self, start: str, ends: Sequence[str], ids: Sequence[str]) -> dict[str, Links]:
        """Associations of the named records with each kind in `ends`, whole, several calls under way at once."""
        found: dict[str, Links] = {end: {} for end in ends}
        waiting = [(end, [{"id": one} for one in part]) for end in ends for part in chunks(ids, ASSOCIATION_BATCH)]
        while waiting:
            answers = self._transport.send_all([_links_call(start, end, inputs) for end, inputs in waiting], self)
            rest: dict[str, list[dict[str, str]]] = {end: [] for end in ends}
            for (end, _), answer in zip(waiting, answers, strict=True):
                for result in _all_results(answer):
                    more = _gather(found[end], result)
                    rest[end] += [more] if more else []
            waiting = [(end, list(part)) for end, inputs in rest.items() for part in chunks(inputs, ASSOCIATION_BATCH)]
        return found

    # --- workflow actions --------------------------------------------------------------------------------------

    def complete(self, inputs: Sequence[Json]) -> None:
        """End calls of workflow actions that wait; all of them or none."""
        path = f"/automation/actions/callbacks/{API_VERSION}/complete"
        self._transport.send(Call("POST", path, json={"inputs": list(inputs)}, label="callbacks complete"), self)

    # --- property definitions ----------------------------------------------------------------------------------

    def properties(self, kind: str) -> list[Json]:
        """Definitions of all live properties of a kind; not paged."""
        path = f"/crm/properties/{API_VERSION}/{kind}"
        return results_of(self._get(path, [("archived", "false")], label=f"{kind} properties"))

    def groups(self, kind: str) -> list[Json]:
        """Property groups of a kind."""
        return results_of(self._get(f"/crm/properties/{API_VERSION}/{kind}/groups", label=f"{kind} property groups"))

    def create_group(self, kind: str, group: Json) -> None:
        """Make a group. Raises `Conflict` when it exists."""
        self._json(Call("POST", f"/crm/properties/{API_VERSION}/{kind}/groups", json=group, label=f"{kind} group"))

    def create_properties(self, kind: str, definitions: Sequence[Json]) -> Json:
        """Make several properties; an archived one of the same name comes back to life."""
        path = f"/crm/properties/{API_VERSION}/{kind}/batch/create"
        return self._json(Call("POST", path, json={"inputs": list(definitions)}, label=f"{kind} properties create"))

    def create_property(self, kind: str, definition: Json) -> None:
        """Make one. Raises `Conflict` when the name is taken."""
        path = f"/crm/properties/{API_VERSION}/{kind}"
        self._json(Call("POST", path, json=definition, label=f"{kind} property {definition['name']}"))

    def set_options(self, kind: str, name: str, options: Sequence[Json]) -> None:
        """Replace the whole list of options: the caller sends those that exist as well."""
        path = f"/crm/properties/{API_VERSION}/{kind}/{name}"
        self._json(Call("PATCH", path, json={"options": list(options)}, label=f"{kind} property {name}"))

    # --- envelopes ---------------------------------------------------------------------------------------------

    def _get(self, path: str, query: Sequence[tuple[str, str]] = (), *, label: str) -> Json:
        return self._json(Call("GET", path, query=query, label=label))

    def _json(self, call: Call) -> Json:
        return _object(self._transport.send(call, self))

    def _batch(self, call: Call) -> Batch:
        answer = self._transport.send(call, self)
        body = _object(answer)
        return Batch(results_of(body), _next_after(body), _moment(answer) or self._now())

    def _all(self, path: str, query: Sequence[tuple[str, str]], label: str) -> list[Json]:
        found: list[Json] = []
        after: str | None = None
        while True:
            more = [("after", after)] if after else []
            body = self._get(path, [("limit", str(PAGE)), *query, *more], label=label)
            found += results_of(body)
            after = _next_after(body)
            if after is None:
                return found

    def _post_all(self, calls: Sequence[Call]) -> list[Json]:
        return [one for answer in self._transport.send_all(calls, self) for one in _all_results(answer)]


def results_of(body: Any) -> list[Json]:
    """The records in an envelope; raises `Malformed` when there is no list of them."""
    results = body.get("results") if isinstance(body, dict) else None
    if not isinstance(results, list):
        raise Malformed("HubSpot's answer has no list of results", path="results")
    return results


def _all_results(answer: Answer) -> list[Json]:
    """The results of a batch read. Inputs that do not exist, or have no links, are listed as errors of a 207.

    Any other error means that nothing is known of its input, which must not look like absence.
    """
    body = _object(answer)
    if any(not _is_absence(error) for error in body.get("errors") or ()):
        raise Unavailable("HubSpot answered only a part of a batch", status=answer.status)
    return results_of(body)


def _is_absence(error: Any) -> bool:
    text = f"{error.get('category')} {error.get('subCategory')}" if isinstance(error, Mapping) else ""
    return "NOT_FOUND" in text or "NO_ASSOCIATIONS" in text


def marked(types: Iterable[Any]) -> bool:
    """Whether the association types of a batch read have the primary one among them."""
    return any(
        isinstance(one, Mapping)
        and (one.get("typeId") in _PRIMARY_TYPES or str(one.get("label") or "").casefold() == "primary")
        for one in types
    )


def _object(answer: Answer) -> Json:
    if answer.status == 204 or not answer.body:
        return {}
    body = answer.json()
    if not isinstance(body, dict):
        raise Malformed("HubSpot's answer is not a JSON object", status=answer.status)
    return body


def _next_after(body: Mapping[str, Any]) -> str | None:
    """The next page's token; `paging.next.link` is not used, since it may show an older path."""
    following = (body.get("paging") or {}).get("next") or {}
    after = following.get("after")
    return None if after in (None, "") else str(after)


def _moment(answer: Answer) -> datetime | None:
    """HubSpot's own clock, from the `Date` header."""
    try:
        return parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return None


def _told_limit(headers: Mapping[str, str]) -> int | None:
    """Calls per ten seconds that the headers allow, rounded down."""
    try:
        most = int(headers["X-HubSpot-RateLimit-Max"])
        interval_ms = int(headers.get("X-HubSpot-RateLimit-Interval-Milliseconds") or 10_000)
    except (KeyError, ValueError):
        return None
    if most <= 0 or interval_ms <= 0:
        return None
    return max(1, int(most * min(1.0, BURST.seconds * 1000 / interval_ms)))


def _search_call(kind: str, body: Json) -> Call:
    path = f"/crm/objects/{API_VERSION}/{kind}/search"
    return Call("POST", path, json=body, lane="search", label=f"{kind} search")


def _links_call(start: str, end: str, inputs: Sequence[Mapping[str, str]]) -> Call:
    path = f"/crm/associations/{API_VERSION}/{start}/{end}/batch/read"
    return Call("POST", path, json={"inputs": list(inputs)}, label=f"{start} to {end}")


def _gather(found: Links, result: Json) -> dict[str, str] | None:
    """Add one record's links; the input for its next page, if there is one. Paging is per record, not per call."""
    start = str((result.get("from") or {}).get("id") or "")
    targets = result.get("to")
    if not start or not isinstance(targets, list):
        raise Malformed("an association has no ends", path="results[].from.id")
    found.setdefault(start, []).extend(
        Link(str(one["toObjectId"]), marked(one.get("associationTypes") or ()))
        for one in targets
        if "toObjectId" in one
    )
    after = _next_after(result)
    return {"id": start, "after": after} if after else None


def _named(properties: Iterable[str], associations: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
    return [("properties", tuple(properties)), ("associations", tuple(associations))]


def _ids(ids: Sequence[str]) -> list[dict[str, str]]:
    return [{"id": one} for one in ids]


def _bool(value: bool) -> str:  # noqa: FBT001 - the value itself is the subject
    return "true" if value else "false"
