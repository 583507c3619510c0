"""The words between receivers and the engine, and the ports that the engine implements.

A delivery is one request as it came; a notice says that one record changed. A notice is a hint, never data:
whoever acts on it reads the record from the CRM first, also when the notice says "deleted".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Protocol

import orjson

from adapters.records import CRM
from webhooks import forms
from webhooks.errors import Unreadable


class Endpoint(StrEnum):
    """What kind of address of ours was called; it decides which proof is asked for."""

    EVENTS = "events"
    ACTION = "action"
    """A robot, a workflow action, an action of the digital pipeline."""
    CARD = "card"
    UNINSTALL = "uninstall"


class Resource(StrEnum):
    """What changed."""

    CONTACT = "contact"
    COMPANY = "company"
    DEAL = "deal"
    ORDER = "order"
    TASK = "task"
    """Of the kind that our adapters create: in Bitrix24 a to-do of the card, not a task of the planner."""
    FIELD = "field"
    APP = "app"
    """Our own installation: created = installed, changed = updated, deleted = uninstalled."""


class Kind(StrEnum):
    """How it changed."""

    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"
    RESTORED = "restored"
    MERGED = "merged"


class Headers(Mapping[str, str]):
    """Headers by name in any case. Of a header sent twice the values stand joined by a comma."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            low = name.lower()
            self._values[low] = f"{self._values[low]}, {value}" if low in self._values else value

    def __getitem__(self, name: str) -> str:
        """The value; raises `KeyError`."""
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        """The names, in lower case."""
        return iter(self._values)

    def __len__(self) -> int:
        """How many."""
        return len(self._values)

    def __repr__(self) -> str:
        """Names only: values may be proofs."""
        return f"Headers({', '.join(self)})"


@dataclass(frozen=True)
class Delivery:
    """One request as it came.

    `url` is the address as the CRM called it: the public scheme and host, the raw path and query. `path` is the raw
    path of it. Both hold amoCRM's secret, so they are no more for logs and tables than the headers are: `crm`,
    `endpoint`, `body`, the content type and `received_at` (aware UTC) are enough for `notices`.
    """

    crm: CRM
    endpoint: Endpoint
    method: str
    url: str = field(repr=False)
    path: str = field(repr=False)
    headers: Headers
    body: bytes = field(repr=False)
    received_at: datetime

    @cached_property
    def form(self) -> forms.Form:
        """The body as a PHP form, parsed once; raises `Unreadable`."""
        return forms.parse(self.body, self.headers.get("content-type", ""))

    @cached_property
    def json(self) -> object:
        """The body as JSON, parsed once; raises `Unreadable`."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise Unreadable("the body is no JSON") from None


@dataclass(frozen=True, slots=True)
class ChangeNotice:
    """One record changed, as the CRM says.

    `account_id` is the CRM's own id of the account (HubSpot portal id, amoCRM account id, Bitrix24 `member_id`).
    `external_id` of `APP` is that of the account, of `MERGED` that of the record which stays, while `merged_ids`
    are those that are no more. `property_name` is the property or field, where the CRM tells it. `actor_id` is the
    user who made the change, where it tells: not a proof, since a token's user also works by hand. `is_echo` is
    true only where the CRM itself marks the change as ours. `erase` asks to forget all data of the record or,
    for `APP`, of the account.
    """

    account_id: str
    resource: Resource
    external_id: str
    kind: Kind
    occurred_at: datetime | None = None
    property_name: str | None = None
    actor_id: str | None = None
    merged_ids: tuple[str, ...] = ()
    is_echo: bool = False
    erase: bool = False


@dataclass(frozen=True, slots=True)
class Secrets:
    """What proves a delivery. Several `values` while they are being rotated: any of them will do, empty ones never.

    `values`: HubSpot and amoCRM's uninstall hook and tokens: client secrets; Bitrix24: application tokens of the
    portal; amoCRM's events: the path secrets of the portal. `account_id` is the only account they are good for
    (None: any). `client_id` is ours at amoCRM, `audience` the scheme and host of our redirect URL there.
    """

    values: tuple[str, ...] = field(repr=False, default=())
    account_id: str | None = None
    client_id: str | None = None
    audience: str | None = None


class Portals(Protocol):
    """Who holds the secrets."""

    def secrets(self, crm: CRM, address: str) -> Secrets | None:
        """The secrets for deliveries to this address, or None when nobody is known by it.

        `address` is what the receiver's own `address` gave: HubSpot: empty, the app's own secret counts; Bitrix24:
        the `member_id`; amoCRM: `signatures.fingerprint` of the secret in the path, by which a table can look it
        up without comparing secrets. Untrusted, but always plain ASCII of at most 64 characters.
        Raises `InboxAway`.
        """
        ...


class Inbox(Protocol):
    """Where accepted deliveries wait."""

    def store(self, delivery: Delivery, *, notices: Sequence[ChangeNotice]) -> None:
        """Keep what a delivery told, durably; returns only after the commit: then the CRM is told that we have it.

        Keeping the same again is harmless: what counts is which records changed. `notices` may be empty, and may
        speak of accounts that we do not know: they are no reason to fail. Raises `InboxAway`.
        """
        ...
