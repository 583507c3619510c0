"""The cards of a Bitrix24 portal: fields as the common layout places them, deals, to-dos and tied tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from heapq import nlargest
from typing import TYPE_CHECKING, Any

from sandbox.bitrix24.errors import RestError
from sandbox.bitrix24.fields import Field
from sandbox.bitrix24.methods.items import title_of
from sandbox.bitrix24.php import as_list, as_map
from sandbox.bitrix24.rows import Activity, Company, Contact, Deal, Task
from sandbox.bitrix24.state import COMPANY, CONTACT, DEAL, ENTITY_WORDS, State
from sandbox.bitrix24.table import Table
from sandbox.bitrix24.values import Kind
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
    from sandbox.bitrix24.portal import Portal

_TYPES: dict[CardKind, int] = {"company": COMPANY, "contact": CONTACT}
_PREFIXES: dict[CardKind, str] = {"company": "CO_", "contact": "C_"}
_STATUS: dict[str, DealStatus] = {"S": "won", "F": "lost", "P": "open"}
_FIELD_KINDS: dict[Kind, FieldKind] = {
    Kind.INTEGER: "number",
    Kind.DOUBLE: "number",
    Kind.DATETIME: "moment",
    Kind.ENUM: "choice",
    Kind.USER: "choice",
    Kind.CHAR: "flag",
    Kind.FLAG: "flag",
}
_STANDARD: dict[CardKind, dict[str, str]] = {
    "company": {
        "TITLE": "Название компании",
        "ASSIGNED_BY_ID": "Ответственный",
        "TYPE_ID": "Тип компании",
        "INDUSTRY": "Сфера деятельности",
        "REVENUE": "Годовой оборот",
        "COMMENTS": "Комментарий",
        "CREATED_TIME": "Создано",
        "UPDATED_TIME": "Изменено",
    },
    "contact": {
        "NAME": "Имя",
        "LAST_NAME": "Фамилия",
        "POST": "Должность",
        "ASSIGNED_BY_ID": "Ответственный",
        "TYPE_ID": "Тип контакта",
        "COMMENTS": "Комментарий",
        "CREATED_TIME": "Создано",
        "UPDATED_TIME": "Изменено",
    },
}
_ABOUT: dict[CardKind, str] = {"company": "О компании", "contact": "О контакте"}
_COMPLETED = 5
_SHORT = 20  # a single-line field of more characters is edited in several lines


class Bitrix24Cards:
    """See `sandbox.cards.views.CardDesk`."""

    crm = "bitrix24"
    language: Language = "ru"

    def __init__(self, portal: Portal, lock: AbstractContextManager[object], now: Callable[[], datetime]) -> None:
        self._portal = portal
        self._now = now
        self.lock = lock

    @property
    def _state(self) -> State:
        return self._portal.state

    @property
    def zone(self) -> tzinfo:
        """See `CardDesk.zone`."""
        return self._state.zone

    def _table(self, kind: CardKind) -> Table[Any]:
        return self._state.companies if kind == "company" else self._state.contacts

    # --- looking ---------------------------------------------------------------------------------------------

    def ids(self, kind: CardKind) -> Sequence[int]:
        """See `CardDesk.ids`."""
        return self._table(kind).ids

    def line(self, kind: CardKind, card_id: int) -> CardLine:
        """See `CardDesk.line`."""
        row, fields = self._table(kind).rows[card_id], self._table(kind).fields
        own = (one for one in fields if one.custom is not None and one.kind is Kind.ENUM)
        noted = next((self._field(kind, one, row).text for one in own), "")
        return CardLine(row.id, _title(row), self._user(row.assigned_by_id), noted)

    def view(self, kind: CardKind, card_id: int) -> CardView | None:
        """See `CardDesk.view`."""
        row = self._table(kind).rows.get(card_id)
        if row is None:
            return None
        return CardView(
            kind=kind,
            id=row.id,
            title=_title(row),
            manager=self._user(row.assigned_by_id),
            sections=tuple(self._sections(kind, row)),
            deals=tuple(self._deals(kind, row.id)),
            tasks=tuple(self._tasks(kind, row.id)),
            linked=tuple(self._linked(kind, row)),
            people=self._people(),
        )

    def _sections(self, kind: CardKind, row: Any) -> Iterator[Section]:
        """What the common layout names, else the vendor's own two sections: the object's, and «Ещё» for the rest."""
        fields = {one.upper: one for one in self._table(kind).fields}
        custom = {name: one for name, one in fields.items() if one.custom is not None}
        placed: set[str] = set()
        for section in map(as_map, as_list(self._state.layouts.get((_TYPES[kind], "C", 0)))):
            named = [as_map(element).get("name") for element in as_list(section.get("elements"))]
            shown = [custom[name] for name in named if name in custom]
            placed |= {one.upper for one in shown}
            if shown:
                yield Section(str(section.get("title") or section.get("name")), self._fields(kind, shown, row))
        rest = sorted((one for name, one in custom.items() if name not in placed), key=_sort)
        if rest:
            yield Section("Ещё", self._fields(kind, rest, row))
        standard = [fields[name] for name in _STANDARD[kind]]
        own = (*self._fields(kind, standard, row), *_reachable(row))
        yield Section(_ABOUT[kind], own)

    def _fields(self, kind: CardKind, fields: Iterable[Field], row: Any) -> tuple[CardField, ...]:
        return tuple(self._field(kind, one, row) for one in fields)

    def _field(self, kind: CardKind, field: Field, row: Any) -> CardField:
        value = field.get(row)
        text, form = self._texts(field, value)
        field_kind = _FIELD_KINDS.get(field.kind, "text")
        is_long = field_kind == "text" and (len(form) > _SHORT or "\n" in form) and field.custom is not None
        return CardField(
            name=field.upper,
            label=_STANDARD[kind].get(field.upper) or title_of(field),
            text=text,
            value=form,
            kind="long" if is_long else field_kind,
            choices=self._choices(field),
            is_editable=field.writable and not (field.custom is not None and field.custom.multiple),
        )

    def _people(self) -> tuple[Choice, ...]:
        active = (user for user in self._state.users.values() if user.active)
        return tuple(Choice(str(user.id), f"{user.name} {user.last_name}") for user in active)

    def _choices(self, field: Field) -> tuple[Choice, ...]:
        if field.kind is Kind.USER:
            return self._people()
        elements = field.custom.elements if field.custom is not None else []
        return tuple(Choice(one.xml_id, one.value) for one in elements)

    def _texts(self, field: Field, value: Any) -> tuple[str, str]:
        """What the card shows, and what a form begins with."""
        if value is None:
            return "", ""
        if isinstance(value, bool):
            return ("Да", "yes") if value else ("Нет", "no")
        if isinstance(value, Decimal):
            return texts.number(value, self.language), f"{value:f}"
        return self._other_texts(field, value)

    def _other_texts(self, field: Field, value: Any) -> tuple[str, str]:
        if field.kind is Kind.USER:
            return self._user(value), str(value)
        if field.kind is Kind.ENUM and field.custom is not None:
            chosen = next((one for one in field.custom.elements if one.id == value), None)
            return (chosen.value, chosen.xml_id) if chosen else (str(value), "")
        if field.kind is Kind.DATETIME:
            at = datetime.fromtimestamp(value, UTC)
            return texts.moment(at, self.zone, self.language), texts.form_moment(at, self.zone)
        shown = texts.number(Decimal(value), self.language) if isinstance(value, int) else str(value)
        return shown, str(value)

    def _user(self, user_id: int | None) -> str:
        user = self._state.users.get(user_id or 0)
        if user is None:
            return "" if user_id is None else f"№ {user_id}"
        return f"{user.name} {user.last_name}{'' if user.active else ' (уволен)'}"

    def _deals(self, kind: CardKind, card_id: int) -> Iterator[DealLine]:
        link = ("companyId" if kind == "company" else "contactIds", card_id)
        deals = [self._state.deals.rows[one] for one in self._state.deals.by_link.get(link, ())]
        for deal in sorted(deals, key=lambda one: (one.moved, one.id), reverse=True):
            stages = self._state.funnels[deal.category_id].stages
            yield DealLine(
                id=deal.id,
                name=deal.title or "",
                stage=next((one.name for one in stages if one.status_id == deal.stage_id), deal.stage_id),
                status=_STATUS[deal.semantic],
                amount=texts.money(deal.opportunity, deal.currency_id, self.language),
                closed=self._closed(deal),
                manager=self._user(deal.assigned_by_id),
            )

    def _closed(self, deal: Deal) -> str:
        """The day of the move for what is closed, the plan for what is not."""
        if deal.semantic != "P":
            return texts.moment(datetime.fromtimestamp(deal.moved, UTC), self.zone, self.language)
        return deal.closedate.strftime("%d.%m.%Y") if isinstance(deal.closedate, date) else ""

    def _tasks(self, kind: CardKind, card_id: int) -> list[TaskLine]:
        todos = self._portal.todos(kind, card_id)
        tie = f"{_PREFIXES[kind]}{card_id}"
        tied = [task for task in self._state.tasks.rows.values() if tie in task.crm]
        lines = [(one.completed, one.deadline, self._todo(one)) for one in todos]
        lines += [(one.status == _COMPLETED, one.deadline or 0, self._task(one)) for one in tied]
        return [line for _done, _due, line in sorted(lines, key=lambda each: each[:2])]

    def _todo(self, todo: Activity) -> TaskLine:
        who = todo.responsible_id
        return self._line(f"t{todo.id}", todo.subject, todo.description, todo.deadline, who, is_done=todo.completed)

    def _task(self, task: Task) -> TaskLine:
        is_done, who = task.status == _COMPLETED, task.responsible_id
        return self._line(f"k{task.id}", task.title, task.description, task.deadline, who, is_done=is_done)

    def _line(self, number: str, title: str, body: str, due: int | None, who: int, *, is_done: bool) -> TaskLine:
        at = None if due is None else datetime.fromtimestamp(due, UTC)
        return TaskLine(
            id=number,
            title=title,
            body=body,
            due="" if at is None else texts.moment(at, self.zone, self.language),
            manager=self._user(who),
            is_done=is_done,
            is_late=at is not None and not is_done and at < self._now(),
        )

    def _linked(self, kind: CardKind, row: Any) -> Iterator[CardLink]:
        if kind == "contact":
            firm = self._state.companies.rows.get(row.company_id)
            if firm is not None:
                yield CardLink("company", firm.id, _title(firm))
            return
        for number in sorted(self._state.contacts.by_link.get(("companyId", row.id), ())):
            yield CardLink("contact", number, _title(self._state.contacts.rows[number]))

    def changes(self, count: int) -> Sequence[Change]:
        """See `CardDesk.changes`: the last change of each card and to-do; what is deleted leaves no trace."""
        state = self._state
        tables: list[tuple[str, Table[Any]]] = [(ENTITY_WORDS[one], self._of(one)) for one in (COMPANY, CONTACT, DEAL)]
        tables.append(("task", state.activities))
        found = [(at, number, word, table) for word, table in tables for at, number in table.stamps[-count:]]
        newest = nlargest(count, found, key=lambda each: each[:2])
        return [_change(word, table.rows[number], at) for at, number, word, table in newest]

    def _of(self, entity_type: int) -> Table[Any]:
        tables: Mapping[int, Table[Any]] = {
            COMPANY: self._state.companies,
            CONTACT: self._state.contacts,
            DEAL: self._state.deals,
        }
        return tables[entity_type]

    # --- doing -----------------------------------------------------------------------------------------------

    def edit(self, kind: CardKind, card_id: int, name: str, value: str) -> None:
        """See `CardDesk.edit`."""
        field = self._table(kind).fields.by_upper.get(name)
        if field is None or not field.writable:
            raise Refusal(f"Поле {name} изменить нельзя")
        given = self._typed(field, value)
        _refusing(lambda: self._portal.edit_card(kind, card_id, {name: given}))

    def _typed(self, field: Field, value: str) -> Any:
        if not value:
            return None
        if field.kind in {Kind.CHAR, Kind.FLAG}:
            return {"yes": "Y", "no": "N"}.get(value, value)
        if field.kind is Kind.DATETIME:
            return texts.read_moment(value, self.zone).isoformat()
        if field.kind is Kind.USER and value not in {choice.value for choice in self._choices(field)}:
            raise Refusal(f"Сотрудник {value} здесь не работает")
        return value

    def change_deal(self, deal_id: int, deed: Deed) -> None:
        """See `CardDesk.change_deal`."""
        if deal_id not in self._state.deals.rows:
            raise Refusal(f"Сделки {deal_id} нет")
        deeds: dict[Deed, Callable[[int], None]] = {
            "win": self._portal.win_deal,
            "reopen": self._portal.reopen_deal,
            "delete": self._portal.delete_deal,
        }
        deeds[deed](deal_id)

    def at_desk(self, deed: Callable[[Staff], None]) -> None:
        """See `CardDesk.at_desk`."""
        _refusing(lambda: deed(self._portal.staff))

    def finish_task(self, task_id: str) -> None:
        """See `CardDesk.finish_task`: `t` and the number of a to-do, `k` and that of a task."""
        number = int(task_id[1:]) if task_id[1:].isdecimal() else 0
        if task_id.startswith("t") and number in self._state.activities.rows:
            self._portal.finish_todo(number)
        elif task_id.startswith("k") and number in self._state.tasks.rows:
            self._portal.finish_task(number)
        else:
            raise Refusal(f"Задачи {task_id} нет")


def _refusing(deed: Callable[[], None]) -> None:
    try:
        deed()
    except RestError as refused:
        raise Refusal(refused.description) from refused
    except (StopIteration, LookupError):
        raise Refusal("Такого варианта нет") from None


def _title(row: Company | Contact) -> str:
    if isinstance(row, Company):
        return row.title or ""
    return f"{row.name or ''} {row.last_name or ''}".strip()


def _sort(field: Field) -> tuple[int, int]:
    return (field.custom.sort, field.custom.id) if field.custom is not None else (0, 0)


def _reachable(row: Company | Contact) -> Iterator[CardField]:
    for name, label, found in (("PHONE", "Телефон", row.phones), ("EMAIL", "E-mail", row.emails)):
        if found:
            text = ", ".join(found)
            yield CardField(name, label, text, text, is_editable=False)


def _change(word: str, row: Any, at: int) -> Change:
    what = "created" if row.created == row.updated else "changed"
    return Change(word, row.id, what, datetime.fromtimestamp(at, UTC))
