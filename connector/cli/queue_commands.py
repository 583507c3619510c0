"""queue, sla, load: what to do first and doing it, how the work goes, and whether it can be done at all."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, time
from typing import Any

from adapters.fields import zone
from connector.cli.output import emit, table
from connector.config import Config
from connector.errors import WrongUse
from connector.jobs import queueing
from connector.sla.acting import POSTPONE, Action, Result
from connector.sla.figures import Period
from connector.store import portals
from connector.wiring import Service, assemble

_SHOWN = 60


def queue(config: Config, words: argparse.Namespace) -> int:
    """The list "do first", or something done to one of its tasks."""
    with assemble(config) as service:
        if words.action is None:
            found = queueing.queue(service, words.portal, manager=words.manager, top=words.top)
            emit(found, as_json=words.json, text=_queue_text(found))
        else:
            done = queueing.act(service, words.portal, _action(service, words))
            emit(done, as_json=words.json, text=f"{words.key}: {words.action}")
    return 0


def sla(config: Config, words: argparse.Namespace) -> int:
    """Figures of the work, report cards of the rules, and which rules are heard."""
    with assemble(config) as service:
        found = queueing.figures(service, words.portal, period=Period(words.period))
    emit(found, as_json=words.json, text=_figures_text(found))
    return 0


def load(config: Config, words: argparse.Namespace) -> int:
    """The load ahead."""
    with assemble(config) as service:
        found = queueing.load(service, words.portal)
    emit(found, as_json=words.json, text=_load_text(found))
    return 0


def _action(service: Service, words: argparse.Namespace) -> Action:
    if not words.key:
        raise WrongUse(f"say which task: `queue {words.portal} {words.action} KEY`")
    until = None
    if words.until is not None:
        with service.database.session() as session:
            here = zone(portals.portal_named(session, words.portal).time_zone)
        until = datetime.combine(words.until, time(9), here).astimezone(UTC)
    return Action(
        what=words.action,
        key=words.key,
        reason=words.reason or "",
        result=Result(words.result) if words.result else None,
        until=until if words.action == POSTPONE else None,
        to=words.to,
    )


def _queue_text(found: dict[str, Any]) -> str:
    lines = []
    for one in found["managers"]:
        lines.append(f"{one['name']} ({len(one['tasks'])})")
        for task in one["tasks"]:
            lines.append(f"  {task['position']:>3}. {task['task']}  {task['customer']:<18}  {task['title'][:_SHOWN]}")
            lines.append(f"       {'; '.join(task['reasons'])}")
    return "\n".join(lines) or "nothing waits"


def _figures_text(found: dict[str, Any]) -> str:
    rows = [
        [
            cell["start"],
            cell["class"] or "–",
            cell["name"] or "–",
            str(cell["cases"]),
            _percent(cell["contact_share"]),
            _percent(cell["met_share"]),
            _plain(cell["median_response"]),
            _percent(cell["conversion"]),
            _plain(cell["revenue"]),
        ]
        for cell in found["cells"]
    ]
    header = ("from", "class", "manager", "cases", "reached", "in time", "minutes", "bought", "revenue")
    cards = [
        [
            card["rule"],
            *(str(card[word]) for word in ("created", "done", "postponed", "contact", "won")),
            card["verdict"],
        ]
        for card in found["rules"]
    ]
    card_header = ("rule", "tasks", "done", "put off", "reached", "bought", "verdict")
    if not rows:
        return "nothing was worked on in the last quarter"
    said = [f"{voice['said']}" for voice in found["notices"] if voice["sent"]]
    return "\n".join([table(rows, header), "", table(cards, card_header), *said])


def _load_text(found: dict[str, Any]) -> str:
    rows = [
        [
            one["name"],
            str(one["day"]),
            str(one["tasks"]),
            f"{one['needed']:.0f}",
            f"{one['minutes']:.0f}",
            str(one["breaches"]),
        ]
        for one in found["days"]
    ]
    header = ("manager", "day", "tasks due", "minutes needed", "minutes there", "late")
    month = found["month"]
    lines = [table(rows, header)] if rows else ["no task is open"]
    lines.append(f"a month's touches need {month['hours_needed']} hours; there are {month['hours_there']}")
    return "\n".join([*lines, *(f"  {text}" for text in month["proposals"])])


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _plain(value: Any) -> str:
    return "–" if value is None else str(value)
