"""A card in neutral words, texts ready to be shown, and what a portal must offer so that its cards can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Literal, Protocol

from sandbox.staff import Staff

CardKind = Literal["company", "contact"]
KINDS: tuple[CardKind, ...] = ("company", "contact")
FieldKind = Literal["text", "long", "number", "choice", "flag", "moment"]
DealStatus = Literal["won", "lost", "open"]
Deed = Literal["win", "reopen", "delete"]
Language = Literal["en", "ru"]


class Refusal(Exception):
    """The CRM does not take what a person typed or pressed; the text says why."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An option: what a form sends, and what people read."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class CardField:
    """One field. `text` is what the card shows ("" for an empty one), `value` what an edit form begins with.

    A moment's `value` is `YYYY-MM-DDTHH:MM` in the portal's zone, a flag's is `yes`, `no` or "".
    """

    name: str
    label: str
    text: str
    value: str
    kind: FieldKind = "text"
    choices: tuple[Choice, ...] = ()
    is_editable: bool = True
    is_api_only: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """Fields under one heading, as the CRM groups them."""

    title: str
    fields: tuple[CardField, ...]


@dataclass(frozen=True, slots=True)
class DealLine:
    """A deal of the customer. `amount` "" means that none was entered."""

    id: int
    name: str
    stage: str
    status: DealStatus
    amount: str
    closed: str
    manager: str


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A task on the card. `id` is what `CardDesk.finish_task` takes."""

    id: str
    title: str
    body: str
    due: str
    manager: str
    is_done: bool
    is_late: bool


@dataclass(frozen=True, slots=True)
class CardLink:
    """Another card that belongs to this one: the employer, or the people of a firm."""

    kind: CardKind
    id: int
    title: str


@dataclass(frozen=True, slots=True)
class CardView:
    """One card. Deals newest first, tasks open ones first and the most pressing of them on top."""

    kind: CardKind
    id: int
    title: str
    manager: str
    sections: tuple[Section, ...]
    deals: tuple[DealLine, ...] = ()
    tasks: tuple[TaskLine, ...] = ()
    linked: tuple[CardLink, ...] = ()
    people: tuple[Choice, ...] = ()
    """Who can be given a task."""


@dataclass(frozen=True, slots=True)
class CardLine:
    """A card in the list. `note` is its first custom choice, such as a segment."""

    id: int
    title: str
    manager: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that changed in the portal, as far as it keeps track."""

    kind: str
    id: int
    what: str
    at: datetime


def staff_number(task_id: str) -> int:
    """What `Staff` calls a task of a card; 0 for one that it does not handle (Bitrix24's tasks beside its to-dos)."""
    number = task_id.removeprefix("t")
    return int(number) if number.isascii() and number.isdigit() and len(number) <= 18 else 0


class CardDesk(Protocol):
    """A portal as its cards need it. Callers hold `lock` around every call and all that they make of its answer."""

    @property
    def crm(self) -> str:
        """`amocrm`, `bitrix24` or `hubspot`."""
        ...

    @property
    def language(self) -> Language:
        """What the pages around the cards speak."""
        ...

    @property
    def lock(self) -> AbstractContextManager[object]:
        """The portal's own, held while it answers a call."""
        ...

    def ids(self, kind: CardKind) -> Sequence[int]:
        """All cards of a kind, ascending."""
        ...

    def line(self, kind: CardKind, card_id: int) -> CardLine:
        """A card for the list; the id is one of `ids`."""
        ...

    def view(self, kind: CardKind, card_id: int) -> CardView | None:
        """The whole card, None when it is gone."""
        ...

    def edit(self, kind: CardKind, card_id: int, name: str, value: str) -> None:
        """Type a value into a field, "" empties it. Raises `Refusal`."""
        ...

    def change_deal(self, deal_id: int, deed: Deed) -> None:
        """What a person does to a deal. Raises `Refusal`."""
        ...

    @property
    def zone(self) -> tzinfo:
        """The portal's own, in which forms tell moments."""
        ...

    def at_desk(self, deed: Callable[[Staff], None]) -> None:
        """Let somebody of the staff do something. Raises `Refusal`."""
        ...

    def finish_task(self, task_id: str) -> None:
        """Tick a task off. Raises `Refusal`."""
        ...

    def changes(self, count: int) -> Sequence[Change]:
        """The last `count` changes, newest first."""
        ...
