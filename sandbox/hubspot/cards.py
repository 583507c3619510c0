"""The cards of a HubSpot account as its record pages show them: property groups, associated deals and tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from decimal import Decimal
from heapq import nlargest
from html.parser import HTMLParser
from itertools import chain
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sandbox.cards import texts
from sandbox.cards.views import (
    CardField,
    CardKind,
    CardLine,
    CardLink,
    CardView,
    Change,
    Choice,
    DealLine,
    DealStatus,
    Deed,
    FieldKind,
    Language,
    Refusal,
    Section,
    TaskLine,
)
from sandbox.hubspot import values
from sandbox.hubspot.account import Account
from sandbox.hubspot.definitions import Definition
from sandbox.hubspot.errors import Refused
from sandbox.hubspot.kinds import COMPANY, CONTACT, DEAL, TASK, Kind
from sandbox.hubspot.records import Record
from sandbox.staff import Staff

if TYPE_CHECKING:
    from sandbox.hubspot.portal import HubSpotPortal

_KINDS: dict[CardKind, Kind] = {"company": COMPANY, "contact": CONTACT}
_FIELD_KINDS: dict[str, FieldKind] = {"number": "number", "enumeration": "choice", "bool": "flag", "datetime": "moment"}
_FLAGS = {"true": ("yes", "Yes"), "false": ("no", "No")}
_LABELS = {
    "hubspot_owner_id": "Owner",
    "firstname": "First name",
    "lastname": "Last name",
    "name": "Company name",
    "phone": "Phone number",
    "country": "Country/Region",
    "createdate": "Create date",
    "lastmodifieddate": "Last modified date",
    "hs_lastmodifieddate": "Last modified date",
    "hs_additional_emails": "Additional email addresses",
}
_HIDDEN = frozenset({"hs_merged_object_ids", "associatedcompanyid", "hs_parent_company_id", "hs_object_id"})


class HubSpotCards:
    """See `sandbox.cards.views.CardDesk`."""

    crm = "hubspot"
    language: Language = "en"

    def __init__(self, portal: HubSpotPortal, lock: AbstractContextManager[object]) -> None:
        self._portal = portal
        self.lock = lock

    @property
    def _account(self) -> Account:
        return self._portal.account

    @property
    def zone(self) -> ZoneInfo:
        """See `CardDesk.zone`."""
        return ZoneInfo(self._account.timezone)

    # --- looking ---------------------------------------------------------------------------------------------

    def ids(self, kind: CardKind) -> Sequence[int]:
        """See `CardDesk.ids`."""
        return self._portal.ids(_KINDS[kind].plural)

    def line(self, kind: CardKind, card_id: int) -> CardLine:
        """See `CardDesk.line`."""
        record = self._account.find(_KINDS[kind], card_id)
        own = (one for one in self._definitions(_KINDS[kind]) if not one.hubspot_defined and one.type == "enumeration")
        noted = next((self._field(_KINDS[kind], one, record).text for one in own), "")
        return CardLine(record.id, _title(record), self._owner(record), noted)

    def view(self, kind: CardKind, card_id: int) -> CardView | None:
        """See `CardDesk.view`. A merged id shows the winner's card, as HubSpot does."""
        type_ = _KINDS[kind]
        record = self._account.records[type_].resolved(card_id)
        if record is None:
            return None
        return CardView(
            kind=kind,
            id=record.id,
            title=_title(record),
            manager=self._owner(record),
            sections=tuple(self._sections(type_, record)),
            deals=tuple(self._deals(type_, record)),
            tasks=tuple(self._tasks(type_, record)),
            linked=tuple(self._linked(kind, record)),
            people=self._people(),
        )

    def _definitions(self, kind: Kind) -> Iterable[Definition]:
        live = self._account.definitions[kind].live.values()
        return (one for one in live if not one.hidden and one.name not in _HIDDEN)

    def _sections(self, kind: Kind, record: Record) -> Iterator[Section]:
        """The account's own groups first."""
        groups = self._account.definitions[kind].groups.values()
        for group in sorted(groups, key=lambda one: one.name == f"{kind.singular}information"):
            shown = [one for one in self._definitions(kind) if one.group == group.name]
            fields = tuple(self._field(kind, one, record) for one in shown)
            if fields:
                yield Section(group.label, fields)

    def _field(self, kind: Kind, definition: Definition, record: Record) -> CardField:
        reading = self._account.reading(kind, definition.name)
        value = (reading(self._account, record) if reading else None) or ""
        choices = self._choices(definition)
        field_kind = "choice" if definition.owner else _FIELD_KINDS.get(definition.type, "text")
        if definition.type == "enumeration" and definition.field_type == "checkbox":
            field_kind = "text"  # several at once: typed with semicolons
        if definition.field_type == "textarea":
            field_kind = "long"
        text, form = self._texts(definition, value, choices)
        return CardField(
            name=definition.name,
            label=_LABELS.get(definition.name, definition.label),
            text=text,
            value=form,
            kind="flag" if definition.field_type == "booleancheckbox" else field_kind,
            choices=choices,
            is_editable=not definition.read_only,
        )

    def _people(self) -> tuple[Choice, ...]:
        active = (owner for owner in self._account.owners.values() if not owner.archived)
        return tuple(Choice(str(owner.id), f"{owner.first_name} {owner.last_name}") for owner in active)

    def _choices(self, definition: Definition) -> tuple[Choice, ...]:
        if definition.owner:
            return self._people()
        return tuple(Choice(str(one["value"]), str(one["label"])) for one in definition.options)

    def _texts(self, definition: Definition, value: str, choices: Sequence[Choice]) -> tuple[str, str]:
        """What the card shows, and what a form begins with."""
        if not value:
            return "", ""
        if definition.owner:
            return self._owner_name(value), value
        labels = {choice.value: choice.label for choice in choices}
        if definition.field_type == "booleancheckbox":
            form, usual = _FLAGS.get(value, ("", value))
            return labels.get(value, usual), form
        if labels:
            return "; ".join(labels.get(one, one) for one in value.split(";")), value
        if definition.type == "datetime":
            at = _at(value)
            return texts.moment(at, self.zone, self.language), texts.form_moment(at, self.zone)
        return (texts.number_or_text(value, self.language) if definition.type == "number" else value), value

    def _owner(self, record: Record) -> str:
        return self._owner_name(record.values.get("hubspot_owner_id", ""))

    def _owner_name(self, owner_id: str) -> str:
        owner = self._account.owners.get(int(owner_id)) if owner_id.isdigit() else None
        if owner is None:
            return owner_id
        return f"{owner.first_name} {owner.last_name}{' (deactivated)' if owner.archived else ''}"

    def _live(self, kind: Kind, record: Record, target: Kind) -> Iterator[Record]:
        for number in self._account.links.of(kind, record.id, target):
            found = self._account.records[target].live(number)
            if found is not None:
                yield found

    def _deals(self, kind: Kind, record: Record) -> Iterator[DealLine]:
        by_close = sorted(self._live(kind, record, DEAL), key=lambda one: (one.values.get("closedate", ""), one.id))
        for deal in reversed(by_close):
            stage = self._account.stages.get(deal.values.get("dealstage", ""))
            status: DealStatus = "open"
            if stage is not None and stage.closed:
                status = "won" if stage.won else "lost"
            amount, closed = deal.values.get("amount"), deal.values.get("closedate")
            currency = deal.values.get("deal_currency_code") or self._account.currency
            yield DealLine(
                id=deal.id,
                name=deal.values.get("dealname", ""),
                stage=stage.label if stage else "",
                status=status,
                amount=texts.money(Decimal(amount) if amount else None, currency, self.language),
                closed=texts.moment(_at(closed), self.zone, self.language) if closed else "",
                manager=self._owner(deal),
            )

    def _tasks(self, kind: Kind, record: Record) -> Iterator[TaskLine]:
        now = self._account.clock.now()
        by_due = sorted(self._live(kind, record, TASK), key=lambda one: (_is_done(one), one.values["hs_timestamp"]))
        for task in by_due:
            due = _at(task.values["hs_timestamp"])
            yield TaskLine(
                id=str(task.id),
                title=task.values.get("hs_task_subject", ""),
                body=_plain(task.values.get("hs_task_body", "")),
                due=texts.moment(due, self.zone, self.language),
                manager=self._owner(task),
                is_done=_is_done(task),
                is_late=not _is_done(task) and due < now,
            )

    def _linked(self, kind: CardKind, record: Record) -> Iterator[CardLink]:
        other: CardKind = "contact" if kind == "company" else "company"
        for found in self._live(_KINDS[kind], record, _KINDS[other]):
            yield CardLink(other, found.id, _title(found))

    def changes(self, count: int) -> Sequence[Change]:
        """See `CardDesk.changes`: the last change of each record, since an account has no feed of its own."""
        kinds = (COMPANY, CONTACT, DEAL, TASK)
        records = chain.from_iterable(
            ((record, kind.singular) for record in self._account.records[kind].by_id.values()) for kind in kinds
        )
        newest = nlargest(count, records, key=lambda pair: (_changed_ms(pair[0]), pair[0].id))
        return [_change(record, kind) for record, kind in newest]

    # --- doing -----------------------------------------------------------------------------------------------

    def edit(self, kind: CardKind, card_id: int, name: str, value: str) -> None:
        """See `CardDesk.edit`."""
        definition = self._account.definitions[_KINDS[kind]].live.get(name)
        if definition is not None and value:
            value = self._typed(definition, value)
        _refusing(lambda: self._portal.edit(_KINDS[kind].plural, card_id, **{name: value}))

    def _typed(self, definition: Definition, value: str) -> str:
        if definition.field_type == "booleancheckbox":
            return {"yes": "true", "no": "false"}.get(value, value)
        if definition.type == "datetime":
            return values.iso(values.to_ms(texts.read_moment(value, self.zone)))
        return value

    def change_deal(self, deal_id: int, deed: Deed) -> None:
        """See `CardDesk.change_deal`."""
        deeds: dict[Deed, Callable[[], None]] = {
            "win": lambda: self._portal.win(deal_id),
            "reopen": lambda: self._portal.reopen(deal_id),
            "delete": lambda: self._portal.delete("deals", deal_id),
        }
        _refusing(deeds[deed])

    def at_desk(self, deed: Callable[[Staff], None]) -> None:
        """See `CardDesk.at_desk`."""
        _refusing(lambda: deed(self._portal.staff))

    def finish_task(self, task_id: str) -> None:
        """See `CardDesk.finish_task`."""
        _refusing(lambda: self._portal.edit("tasks", task_id, hs_task_status="COMPLETED"))


def _refusing(deed: Callable[[], None]) -> None:
    try:
        deed()
    except Refused as refused:
        raise Refusal(refused.message) from refused


def _title(record: Record) -> str:
    words = record.values
    return words.get("name") or f"{words.get('firstname', '')} {words.get('lastname', '')}".strip()


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _is_done(task: Record) -> bool:
    return task.values.get("hs_task_status") == "COMPLETED"


def _changed_ms(record: Record) -> int:
    return max(record.updated_ms, record.archived_ms or 0)


def _change(record: Record, kind: str) -> Change:
    what = "created" if record.updated_ms == record.created_ms else "changed"
    if record.archived_ms is not None:
        what = "deleted"
    return Change(kind, record.id, what, values.EPOCH + timedelta(milliseconds=_changed_ms(record)))


class _Words(HTMLParser):
    """Collects the text of a task's body, a line for each block."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        """Keep it."""
        self.parts.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A break, or the start of a list's line."""
        del attrs
        self.parts.append({"br": "\n", "li": "\n• "}.get(tag, ""))

    def handle_endtag(self, tag: str) -> None:
        """The end of a block."""
        self.parts.append("\n" if tag in {"p", "div", "ul", "ol"} else "")


def _plain(html: str) -> str:
    words = _Words()
    words.feed(html)
    words.close()
    return "".join(words.parts).strip()
