"""What people can do on a card beside its fields: forms for tasks and for contacts, and what they mean to the staff."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from html import escape

from sandbox.cards.frame import Frame, card_path
from sandbox.cards.views import CardKind, CardView, Choice, staff_number
from sandbox.staff import Staff

_MOST_SECONDS = 86_400


def task_forms(frame: Frame, card: CardView, task_id: str) -> str:
    """Close with a result, move, give away, delete; nothing for a task that the staff does not handle."""
    if not staff_number(task_id):
        return ""
    result = f'<input name="result" required aria-label="{frame.word("result")}" placeholder="{frame.word("result")}">'
    due = f'<input name="due" type="datetime-local" required aria-label="{frame.word("new_due")}">'
    people = _select("to", frame.word("to"), [(one.value, escape(one.label)) for one in card.people])
    rows = [("close", result, "finish"), ("move", due, "move"), ("give", people, "give"), ("drop", "", "delete")]
    forms = "".join(_form(frame, card, deed, inputs, word, task_id) for deed, inputs, word in rows)
    return f"<details><summary>{frame.word('more')}</summary>{forms}</details>"


def contact_forms(frame: Frame, card: CardView) -> str:
    """A call of so many seconds, a message, a letter, a meeting."""
    way = _select("way", frame.word("ours"), [("out", frame.word("ours")), ("in", frame.word("theirs"))])
    seconds = (
        f'<input name="seconds" type="number" min="0" max="{_MOST_SECONDS}" value="60" required '
        f'aria-label="{frame.word("seconds")}">'
    )
    held = _select("held", frame.word("held"), [("yes", frame.word("held")), ("no", frame.word("missed"))])
    rows = [("call", seconds + way), ("message", way), ("letter", way), ("meet", held)]
    return "".join(_form(frame, card, deed, inputs, deed) for deed, inputs in rows)


def _form(frame: Frame, card: CardView, deed: str, inputs: str, word: str, target: str = "") -> str:
    named = f'<input type="hidden" name="id" value="{escape(target)}">' if target else ""
    return (
        f'<form class="deed" method="post" action="{card_path(card.kind, card.id)}">'
        f'<input type="hidden" name="do" value="{deed}">{named}{inputs}<button>{frame.word(word)}</button></form>'
    )


def _select(name: str, label: str, options: list[tuple[str, str]]) -> str:
    shown = "".join(f'<option value="{escape(value)}">{text}</option>' for value, text in options)
    return f'<select name="{name}" aria-label="{label}">{shown}</select>'


def deed_of(
    place: tuple[CardKind, int], form: Mapping[str, str], zone: tzinfo, people: tuple[Choice, ...]
) -> Callable[[Staff], None] | None:
    """What a form asks of the staff, None when it is none of ours."""
    task = staff_number(form.get("id", ""))
    match form:
        case {"do": "close", "result": result} if task:
            return lambda staff: staff.close_task(task, result.strip())
        case {"do": "move", "due": due} if task and (moment := _moment(due, zone)):
            return lambda staff: staff.move_task(task, moment)
        case {"do": "give", "to": to} if task and to in {one.value for one in people}:
            return lambda staff: staff.give_task(task, int(to))
        case {"do": "drop"} if task:
            return lambda staff: staff.delete_task(task)
    return _contact(place, form)


def _contact(place: tuple[CardKind, int], form: Mapping[str, str]) -> Callable[[Staff], None] | None:
    kind, card_id = place
    inbound = form.get("way") == "in"
    match form:
        case {"do": "call", "seconds": text, "way": "in" | "out"} if (seconds := _seconds(text)) is not None:
            return lambda staff: staff.call(kind, card_id, seconds, inbound=inbound)
        case {"do": "message", "way": "in" | "out"}:
            return lambda staff: staff.message(kind, card_id, inbound=inbound)
        case {"do": "letter", "way": "in" | "out"}:
            return lambda staff: staff.letter(kind, card_id, inbound=inbound)
        case {"do": "meet", "held": "yes" | "no" as held}:
            return lambda staff: staff.meet(kind, card_id, held=held == "yes")
    return None


def _seconds(text: str) -> int | None:
    whole = text.isascii() and text.isdigit() and len(text) <= 6
    return int(text) if whole and int(text) <= _MOST_SECONDS else None


def _moment(text: str, zone: tzinfo) -> datetime | None:
    """What a form's `datetime-local` says, in the portal's zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else None
