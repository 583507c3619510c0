"""One call of the API: what a handler is given, how it answers, and how batches are run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sandbox.amocrm.account import Account
from sandbox.amocrm.problems import Invalid, Problem, Refused
from sandbox.amocrm.query import Tree, Window, address
from sandbox.faults import Fault, Faults
from sandbox.web import Answer, Request, json_answer

HAL = "application/hal+json"
BATCH = 250
Plan = TypeVar("Plan")


class GatewayTimeout(Exception):
    """The proxy gave up; how much was done the client must find out."""


@dataclass(frozen=True, slots=True)
class Call:
    """A checked, admitted call. `base` is the address of `/api/v4` as the client reached it."""

    account: Account
    faults: Faults
    request: Request
    base: str
    query: Tree
    parts: Mapping[str, str]

    @property
    def url(self) -> str:
        """This call's address, without the query."""
        return self.base + self.request.path.removeprefix("/api/v4")

    @property
    def filter(self) -> Tree:
        """The tree under `filter`."""
        asked = self.query.get("filter")
        return asked if isinstance(asked, dict) else {}

    def number(self, name: str) -> int:
        """A whole number from the path."""
        return int(self.parts[name])

    def json(self) -> Any:
        """The body; raises `Problem` 400 when it is no JSON."""
        try:
            return self.request.json()
        except ValueError:
            raise Problem(400, "Invalid JSON") from None

    def items(self) -> list[Any]:
        """The body of a call on a collection: an array of 1 to 250 items."""
        body = self.json()
        if not isinstance(body, list) or not body:
            raise Problem(400, "A non-empty array is expected")
        if len(body) > BATCH:
            raise Problem(400, f"Too many items: at most {BATCH}")
        return body

    def item(self) -> Mapping[str, Any]:
        """The body of a call on one row: an object; an array is refused with 405 (issue 329)."""
        body = self.json()
        if isinstance(body, list):
            raise Problem(405, "Method Not Allowed")
        if not isinstance(body, dict):
            raise Problem(400, "An object is expected")
        return body


Handler = Callable[[Call], Answer]


def hal(data: Mapping[str, Any], status: int = 200) -> Answer:
    """An answer with a body."""
    return json_answer(data, status, media=HAL)


def nothing() -> Answer:
    """204: nothing found, or nothing to say."""
    return Answer(204)


def page_answer(
    call: Call,
    name: str,
    rows: Sequence[Mapping[str, Any]],
    at: Window,
    *,
    more: bool,
    total: int | None = None,
) -> Answer:
    """A page of a list, with `next` when there is one; an empty page is 204."""
    if not rows:
        return nothing()
    links = {"self": {"href": address(call.url, call.query, at)}}
    if more:
        links["next"] = {"href": address(call.url, call.query, Window(at.page + 1, at.limit))}
    body: dict[str, Any] = {"_page": at.page, "_links": links, "_embedded": {name: rows}}
    if total is not None:
        body |= {"_total_items": total, "_page_count": -(-total // at.limit)}
    return hal(body)


def whole_list(call: Call, name: str, rows: Sequence[Mapping[str, Any]]) -> Answer:
    """A list without pages."""
    links = {"self": {"href": call.url}}
    return hal({"_total_items": len(rows), "_links": links, "_embedded": {name: rows}})


def made(call: Call, name: str, rows: Iterable[Mapping[str, Any]]) -> Answer:
    """What a write on a collection answers."""
    return hal({"_links": {"self": {"href": call.url}}, "_embedded": {name: list(rows)}})


def run_batch(
    call: Call,
    prepare: Callable[[Mapping[str, Any]], Plan | None],
    commit: Callable[[Plan], dict[str, Any]],
) -> list[dict[str, Any]]:
    """Check every item, then apply.

    `prepare` raises `Invalid` for a bad item and returns None for one that is silently left out. The rules of
    the account say whether bad items refuse the batch or only themselves; they are named by `request_id`, the
    position by default. A partial failure struck by chance applies a part and ends in 504.
    """
    items = call.items()
    plans: list[tuple[int, Any, Plan]] = []
    refusals: list[tuple[str, Invalid]] = []
    for position, item in enumerate(items):
        request_id = item.get("request_id", str(position)) if isinstance(item, dict) else str(position)
        try:
            plan = prepare(item)
        except Invalid as refusal:
            refusals.append((str(request_id), refusal))
        else:
            if plan is not None:
                plans.append((position, request_id, plan))
    if refusals and call.account.rules.bad_item == "whole":
        raise Refused(refusals)
    lost = call.faults.picks(Fault.PARTIAL, len(items), f"{call.request.method} {call.request.path}")
    done = [{**commit(plan), "request_id": request_id} for position, request_id, plan in plans if position not in lost]
    if lost:
        raise GatewayTimeout
    if refusals:
        raise Refused(refusals)
    return done


def run_one(call: Call, prepare: Callable[[Mapping[str, Any]], Plan], commit: Callable[[Plan], Any]) -> Any:
    """Check and apply the one item of a call on a row."""
    item = call.item()
    try:
        plan = prepare(item)
    except Invalid as refusal:
        raise Refused([("0", refusal)]) from refusal
    return commit(plan)
