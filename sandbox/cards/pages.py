"""Views → HTML. Pure; every text that comes from a portal goes through `escape`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

from sandbox.cards.deeds import contact_forms, task_forms
from sandbox.cards.frame import PLURAL, ROOT, Frame, card_path
from sandbox.cards.views import (
    CardField,
    CardKind,
    CardLine,
    CardView,
    DealLine,
    Section,
    TaskLine,
)

SHOWN_DEALS = 20


# --- the list ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListView:
    """One page of the list; `page` counts from 1."""

    kind: CardKind
    asked: str
    found: int
    page: int
    pages: int
    lines: Sequence[CardLine]


def list_page(frame: Frame, shown: ListView) -> str:
    """Cards of one kind, with search and paging."""
    title = frame.word(PLURAL[shown.kind])
    search = (
        f'<form class="search" role="search" action="{ROOT}"><input type="hidden" name="kind" value="{shown.kind}">'
        f'<input type="search" name="q" value="{escape(shown.asked)}" placeholder="{frame.word("search")}"'
        f' aria-label="{frame.word("search")}"><button class="main">{frame.word("find")}</button></form>'
    )
    found = _table(frame, ("number", "name", "owner", ""), (_list_row(frame, shown.kind, line) for line in shown.lines))
    table = found if shown.lines else f"<p>{frame.word('nothing')}</p>"
    count = f'<span class="dim">{frame.word("found", count=shown.found)}</span>'
    head = f'<div class="head"><h1>{title}</h1>{count}</div>'
    return frame.page(title, f'{head}{search}<div class="box">{table}</div>{_paging(frame, shown)}', shown.kind)


def _list_row(frame: Frame, kind: CardKind, line: CardLine) -> list[tuple[str, str]]:
    note = f'<span class="tag">{escape(line.note)}</span>' if line.note else ""
    return [
        ("", str(line.id)),
        ("", f'<a href="{card_path(kind, line.id)}">{escape(line.title) or line.id}</a>'),
        ("", escape(line.manager) or frame.word("nobody")),
        ("", note),
    ]


def _paging(frame: Frame, shown: ListView) -> str:
    if shown.pages < 2:
        return ""
    query = {"kind": shown.kind} | ({"q": shown.asked} if shown.asked else {})

    def link(word: str, page: int) -> str:
        if not 1 <= page <= shown.pages:
            return ""
        address = f"{ROOT}?{urlencode({**query, 'page': page})}"
        return f'<a href="{escape(address)}">{frame.word(word)}</a>'

    place = f"<span>{frame.word('page', page=shown.page, pages=shown.pages)}</span>"
    return f'<p class="pages">{link("earlier", shown.page - 1)}{place}{link("later", shown.page + 1)}</p>'


Row = Sequence[tuple[str, str]]


def _table(frame: Frame, heads: Sequence[str], rows: Iterable[Row]) -> str:
    """Cells are (class, HTML); on narrow screens each row becomes a block whose cells carry their heading."""
    labels = [frame.word(head) if head else "" for head in heads]
    top = "".join(
        f"<th{_class('sum' if head == 'amount' else '')}>{label}</th>"
        for head, label in zip(heads, labels, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td{_class(name)} data-label="{label}">{cell}</td>'
            for (name, cell), label in zip(row, labels, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table class="stack"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


# --- one card ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks of a card's page: which field is being edited, whether all deals are shown."""

    edited: str = ""
    all_deals: bool = False
    problem: str = ""


def card_page(frame: Frame, card: CardView, asked: Asked) -> str:
    """A customer's card: header, fields, deals, tasks."""
    alert = f'<p class="alert" role="alert">{escape(asked.problem)}</p>' if asked.problem else ""
    owner = escape(card.manager) or frame.word("nobody")
    head = (
        f'<div class="head"><h1>{escape(card.title) or card.id}</h1>'
        f'<span class="dim">{frame.word(card.kind)} {frame.word("number")} {card.id}</span>'
        f"<span>{frame.word('owner')}: <b>{owner}</b></span></div>"
    )
    left = "".join(_section(frame, card, section, asked.edited) for section in card.sections) + _related(frame, card)
    right = _tasks(frame, card) + _contacts(frame, card) + _deals(frame, card, show_all=asked.all_deals)
    return frame.page(
        card.title, f'{alert}{head}<div class="columns"><div>{left}</div><div>{right}</div></div>', card.kind
    )


def _box(title: str, body: str) -> str:
    return f'<section class="box"><h2>{title}</h2>{body}</section>'


def _section(frame: Frame, card: CardView, section: Section, edited: str) -> str:
    rows = "".join(_field(frame, card, field, is_open=field.name == edited) for field in section.fields)
    return _box(escape(section.title), f"<dl>{rows}</dl>")


def _field(frame: Frame, card: CardView, field: CardField, *, is_open: bool) -> str:
    label, anchor = escape(field.label), escape(f"f-{field.name}")
    if is_open and field.is_editable:
        editor = _editor(frame, card, field)
        return f'<div id="{anchor}"><dt><label for="value">{label}</label></dt><dd>{editor}</dd></div>'
    address = f"{card_path(card.kind, card.id, edit=field.name)}#{anchor}"
    link = f'<a href="{address}" aria-label="{frame.word("edit")}: {label}">{frame.word("edit")}</a>'
    lock = f'<span class="note">{frame.word("api_only")}</span>' if field.is_api_only else ""
    shown = escape(field.text) or '<span class="dim">—</span>'
    return f'<div id="{anchor}"><dt>{label}{link if field.is_editable else lock}</dt><dd>{shown}</dd></div>'


def _editor(frame: Frame, card: CardView, field: CardField) -> str:
    buttons = (
        f'<p><button class="main">{frame.word("save")}</button>'
        f'<a href="{card_path(card.kind, card.id)}">{frame.word("cancel")}</a></p>'
    )
    name = escape(field.name)
    hidden = f'<input type="hidden" name="do" value="edit"><input type="hidden" name="name" value="{name}">'
    return (
        f'<form class="edit" method="post" action="{card_path(card.kind, card.id)}">'
        f"{hidden}{_input(frame, field)}{buttons}</form>"
    )


def _input(frame: Frame, field: CardField) -> str:
    value = escape(field.value)
    if field.kind == "long":
        return f'<textarea id="value" name="value" rows="5" autofocus>{value}</textarea>'
    if field.kind == "choice":
        return _select(frame, field.value, [(one.value, escape(one.label)) for one in field.choices])
    if field.kind == "flag":
        return _select(frame, field.value, [("yes", frame.word("yes")), ("no", frame.word("no"))])
    attributes: dict[str, str] = {"number": 'inputmode="decimal"', "moment": 'type="datetime-local"'}
    return f'<input id="value" name="value" value="{value}" {attributes.get(field.kind, "")} autofocus>'


def _select(frame: Frame, value: str, options: Iterable[tuple[str, str]]) -> str:
    shown = "".join(
        f'<option value="{escape(given)}"{" selected" if given == value else ""}>{label}</option>'
        for given, label in (("", frame.word("clear")), *options)
    )
    return f'<select id="value" name="value" autofocus>{shown}</select>'


def _related(frame: Frame, card: CardView) -> str:
    if not card.linked:
        return ""
    links = "".join(
        f'<li><a href="{card_path(one.kind, one.id)}">{escape(one.title) or one.id}</a>'
        f' <span class="dim">{frame.word(one.kind)}</span></li>'
        for one in card.linked
    )
    return _box(frame.word("related"), f"<ul>{links}</ul>")


def _deed(frame: Frame, card: CardView, deed: str, target: str, word: str) -> str:
    return (
        f'<form class="deed" method="post" action="{card_path(card.kind, card.id)}">'
        f'<input type="hidden" name="do" value="{deed}"><input type="hidden" name="id" value="{escape(target)}">'
        f"<button>{frame.word(word)}</button></form>"
    )


def _deals(frame: Frame, card: CardView, *, show_all: bool) -> str:
    shown = card.deals if show_all else card.deals[:SHOWN_DEALS]
    title = f"{frame.word('deals')} · {len(card.deals)}"
    if not card.deals:
        return _box(title, f'<p class="dim">{frame.word("no_deals")}</p>')
    heads = ("deal", "stage", "amount", "closed", "")
    table = _table(frame, heads, (_deal_row(frame, card, deal) for deal in shown))
    rest = ""
    if len(shown) < len(card.deals):
        address = card_path(card.kind, card.id, deals="all")
        rest = f'<p><a href="{address}">{frame.word("all_deals", count=len(card.deals))}</a></p>'
    return _box(title, table + rest)


def _deal_row(frame: Frame, card: CardView, deal: DealLine) -> Row:
    move = "win" if deal.status == "open" else "reopen"
    deeds = _deed(frame, card, move, str(deal.id), move) + _deed(frame, card, "delete", str(deal.id), "delete")
    facts = f"{frame.word('number')} {deal.id} · {escape(deal.manager) or frame.word('nobody')}"
    return (
        ("", f'<span>{escape(deal.name)}<br><span class="dim">{facts}</span></span>'),
        ("", f'<span class="tag {deal.status}" title="{frame.word(deal.status)}">{escape(deal.stage)}</span>'),
        ("sum", escape(deal.amount)),
        ("when", escape(deal.closed)),
        ("deeds", f"<span>{deeds}</span>"),
    )


def _tasks(frame: Frame, card: CardView) -> str:

    tasks = "".join(_task(frame, card, task) for task in card.tasks) or f'<p class="dim">{frame.word("no_tasks")}</p>'
    return _box(f"{frame.word('tasks')} · {sum(not task.is_done for task in card.tasks)}", tasks)


def _contacts(frame: Frame, card: CardView) -> str:
    return _box(frame.word("conversations"), contact_forms(frame, card))


def _task(frame: Frame, card: CardView, task: TaskLine) -> str:
    state = f'<span class="tag">{frame.word("done")}</span>' if task.is_done else ""
    if task.is_late:
        state = f'<span class="tag late">{frame.word("late")}</span>'
    finish = "" if task.is_done else _deed(frame, card, "finish", task.id, "finish")
    more = "" if task.is_done else task_forms(frame, card, task.id)
    body = f'<div class="body">{escape(task.body)}</div>' if task.body else ""
    owner = escape(task.manager) or frame.word("nobody")
    facts = f"{frame.word('due')}: {escape(task.due)} {state} · {owner} {finish}"
    look = "task done" if task.is_done else "task"
    return f'<div class="{look}"><b>{escape(task.title)}</b><div>{facts}</div>{body}{more}</div>'


def message_page(frame: Frame, text: str) -> str:
    """A sentence and a way back to the lists."""
    return frame.page(text, f'<p class="alert" role="alert">{escape(text)}</p>')
