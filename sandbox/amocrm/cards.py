"""The cards of an amoCRM account: tabs of fields, deals, tasks, people and firms, in the account's language."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sandbox.amocrm.account import Account
from sandbox.amocrm.fields import DEFAULT_GROUP
from sandbox.amocrm.problems import Invalid
from sandbox.amocrm.rows import LOST, WON, Card, Contact, Field, Kind, Lead, Task
from sandbox.amocrm.values import view_stored
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
from sandbox.staff import Staff

if TYPE_CHECKING:
    from sandbox.amocrm.portal import Portal

_KINDS: dict[CardKind, Kind] = {"company": "companies", "contact": "contacts"}
_STATUS: dict[int, DealStatus] = {WON: "won", LOST: "lost"}
_FIELD_KINDS: dict[str, FieldKind] = {
    "numeric": "number",
    "monetary": "number",
    "checkbox": "flag",
    "select": "choice",
    "radiobutton": "choice",
    "date_time": "moment",
    "date": "moment",
    "birthday": "moment",
    "textarea": "long",
}
NAME, OWNER = "name", "responsible_user_id"


class AmoCards:
    """See `sandbox.cards.views.CardDesk`. The person at the desk is the administrator whose token it is."""

    crm = "amocrm"
    language: Language = "ru"

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    @property
    def lock(self) -> AbstractContextManager[object]:
        """See `CardDesk.lock`."""
        return self._portal.lock

    @property
    def _account(self) -> Account:
        return self._portal.account

    @property
    def zone(self) -> ZoneInfo:
        """See `CardDesk.zone`."""
        return self._account.settings.zone

    # --- looking ---------------------------------------------------------------------------------------------

    def ids(self, kind: CardKind) -> Sequence[int]:
        """See `CardDesk.ids`."""
        return sorted(card.id for card in self._account.table(_KINDS[kind]))

    def line(self, kind: CardKind, card_id: int) -> CardLine:
        """See `CardDesk.line`."""
        card, fields = self._account.table(_KINDS[kind]).rows[card_id], self._account.books[_KINDS[kind]].fields
        own = (one for one in fields.values() if not one.is_predefined and one.type == "select")
        noted = next((self._field(_KINDS[kind], one, card).text for one in own), "")
        return CardLine(card.id, card.name, self._user(card.responsible_user_id), noted)

    def view(self, kind: CardKind, card_id: int) -> CardView | None:
        """See `CardDesk.view`."""
        card = self._account.card(_KINDS[kind], card_id)
        if card is None:
            return None
        return CardView(
            kind=kind,
            id=card.id,
            title=card.name,
            manager=self._user(card.responsible_user_id),
            sections=tuple(self._sections(_KINDS[kind], card)),
            deals=tuple(self._deals(_KINDS[kind], card_id)),
            tasks=tuple(self._tasks(_KINDS[kind], card_id)),
            linked=tuple(self._linked(card)),
            people=self._people(),
        )

    def _people(self) -> tuple[Choice, ...]:
        active = (user for user in self._account.users.values() if user.is_active)
        return tuple(Choice(str(user.id), user.name) for user in active)

    def _sections(self, kind: Kind, card: Card) -> Iterator[Section]:
        """The tabs that somebody added first, each with its fields in their order; the main tab last."""
        book = self._account.books[kind]
        for group in sorted(book.groups.values(), key=lambda one: (one.is_predefined, one.sort)):
            fields = [one for one in book.fields.values() if (one.group_id or DEFAULT_GROUP) == group.id]
            shown = tuple(self._field(kind, one, card) for one in sorted(fields, key=lambda one: (one.sort, one.id)))
            heads = self._heads(card) if group.id == DEFAULT_GROUP else ()
            if shown or heads:
                yield Section(group.name, (*heads, *shown))

    def _heads(self, card: Card) -> tuple[CardField, ...]:
        choices = self._people()
        owner = card.responsible_user_id
        return (
            CardField(NAME, "Название", card.name, card.name),
            CardField(OWNER, "Ответственный", self._user(owner), str(owner), kind="choice", choices=choices),
        )

    def _field(self, kind: Kind, field: Field, card: Card) -> CardField:
        stored = view_stored(card.values.get(field.id, ()), self._account.books[kind])
        found = [self._texts(field, one["value"]) for one in stored]
        is_choice = _FIELD_KINDS.get(field.type) == "choice"
        return CardField(
            name=field.code or str(field.id),
            label=field.name,
            text=", ".join(text for text, _ in found),
            value=found[0][1] if found else "",
            kind=_FIELD_KINDS.get(field.type, "text"),
            choices=tuple(Choice(one.value, one.value) for one in field.options or []) if is_choice else (),
            is_editable=not field.is_api_only and len(found) < 2 and field.type != "multiselect",
            is_api_only=field.is_api_only,
        )

    def _texts(self, field: Field, value: Any) -> tuple[str, str]:
        """What the card shows, and what a form begins with."""
        field_kind = _FIELD_KINDS.get(field.type)
        if field_kind == "flag":
            return ("Да", "yes") if value else ("Нет", "no")
        if field_kind == "moment":
            at = datetime.fromtimestamp(int(value), UTC)
            return texts.moment(at, self.zone, self.language), texts.form_moment(at, self.zone)
        if field_kind == "number":
            return texts.number_or_text(str(value), self.language), str(value)
        return str(value), str(value)

    def _user(self, user_id: int) -> str:
        user = self._account.users.get(user_id)
        if user is None:
            return f"№ {user_id}"
        return user.name if user.is_active else f"{user.name} (отключён)"

    def _deals(self, kind: Kind, card_id: int) -> Iterator[DealLine]:
        leads = [self._account.leads.rows[one] for one in self._account.lead_ids_of.get((kind, card_id), ())]
        live = [lead for lead in leads if not lead.is_deleted]
        for lead in sorted(live, key=lambda one: (one.closed_at or one.created_at, one.id), reverse=True):
            closed = None if lead.closed_at is None else datetime.fromtimestamp(lead.closed_at, UTC)
            yield DealLine(
                id=lead.id,
                name=lead.name,
                stage=self._stage(lead),
                status=_STATUS.get(lead.status_id, "open"),
                amount=texts.money(lead.price, self._account.settings.currency, self.language),
                closed="" if closed is None else texts.moment(closed, self.zone, self.language),
                manager=self._user(lead.responsible_user_id),
            )

    def _stage(self, lead: Lead) -> str:
        stages = self._account.pipelines[lead.pipeline_id].stages
        return next((stage.name for stage in stages if stage.id == lead.status_id), str(lead.status_id))

    def _tasks(self, kind: Kind, card_id: int) -> Iterator[TaskLine]:
        tasks = [self._account.tasks.rows[one] for one in self._account.task_ids_of.get((kind, card_id), ())]
        for task in sorted(tasks, key=lambda one: (one.is_completed, one.complete_till, one.id)):
            title, _, body = task.text.partition("\n")
            due = datetime.fromtimestamp(task.complete_till, UTC)
            yield TaskLine(
                id=str(task.id),
                title=title,
                body=self._result(task, body.strip()),
                due=texts.moment(due, self.zone, self.language),
                manager=self._user(task.responsible_user_id),
                is_done=task.is_completed,
                is_late=not task.is_completed and due < self._account.clock.now(),
            )

    def _result(self, task: Task, body: str) -> str:
        return f"{body}\n→ {task.result}".strip() if task.result else body

    def _linked(self, card: Card) -> Iterator[CardLink]:
        if isinstance(card, Contact):
            kind, ids = "companies", list(card.company_ids)
        else:
            kind, ids = "contacts", list(self._account.contact_ids_of.get(card.id, ()))
        for one in ids:
            found = self._account.table("companies" if kind == "companies" else "contacts").listed(one)
            if found is not None:
                yield CardLink("company" if kind == "companies" else "contact", found.id, found.name)

    def changes(self, count: int) -> Sequence[Change]:
        """See `CardDesk.changes`: the account's own history, in the vendor's words."""
        found = self._account.history.find({}, 0, count)
        return [
            Change(one.entity_type, one.entity_id, one.type, datetime.fromtimestamp(one.created_at, UTC))
            for one in found
        ]

    # --- doing -----------------------------------------------------------------------------------------------

    def edit(self, kind: CardKind, card_id: int, name: str, value: str) -> None:
        """See `CardDesk.edit`."""
        user_id = self._account.token_user_id
        if name in {NAME, OWNER}:
            given: Any = int(value) if name == OWNER and value.isdecimal() else value
            _refusing(lambda: self._portal.set_attributes(_KINDS[kind], card_id, user_id=user_id, **{name: given}))
            return
        field = self._named(_KINDS[kind], name)
        typed = self._typed(field, value) if value else None
        given = {field.code or field.name: typed}
        _refusing(lambda: self._portal.edit_card(_KINDS[kind], card_id, given, user_id=user_id))

    def _named(self, kind: Kind, name: str) -> Field:
        book = self._account.books[kind]
        field = book.by_code(name) or (book.fields.get(int(name)) if name.isdecimal() else None)
        if field is None:
            raise Refusal(f"Поля {name} нет")
        return field

    def _typed(self, field: Field, value: str) -> Any:
        field_kind = _FIELD_KINDS.get(field.type)
        if field_kind == "flag":
            return value == "yes"
        if field_kind == "moment":
            return int(texts.read_moment(value, self.zone).timestamp())
        return value

    def change_deal(self, deal_id: int, deed: Deed) -> None:
        """See `CardDesk.change_deal`."""
        user_id = self._account.token_user_id
        deeds: dict[Deed, Callable[[], None]] = {
            "win": lambda: self._portal.win_lead(deal_id, user_id=user_id),
            "reopen": lambda: self._portal.reopen_lead(deal_id, user_id=user_id),
            "delete": lambda: self._portal.delete_leads([deal_id], user_id=user_id),
        }
        _refusing(deeds[deed])

    def at_desk(self, deed: Callable[[Staff], None]) -> None:
        """See `CardDesk.at_desk`."""
        _refusing(lambda: deed(self._portal.staff))

    def finish_task(self, task_id: str) -> None:
        """See `CardDesk.finish_task`."""
        number = int(task_id) if task_id.isdecimal() else 0
        if number not in self._account.tasks.rows:
            raise Refusal(f"Задачи {task_id} нет")
        self._portal.complete_task(number, "Сделано", user_id=self._account.token_user_id)


def _refusing(deed: Callable[[], None]) -> None:
    try:
        deed()
    except Invalid as refused:
        raise Refusal("; ".join(f"{flaw.path}: {flaw.detail}" for flaw in refused.flaws)) from refused
    except (LookupError, PermissionError) as refused:
        raise Refusal(str(refused)) from refused
