"""The words of queue, sla and load."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import date

from connector.sla.acting import ACTIONS, Result
from connector.sla.figures import Period

Add = Callable[[str, str], argparse.ArgumentParser]


def add_queue(add: Add, day: Callable[[str], date]) -> None:
    """Add the three commands to a grammar."""
    queue = _portal(add("queue", "what every manager does first, and doing it"))
    queue.add_argument("action", nargs="?", choices=ACTIONS, metavar="ACTION", help="done, postpone or reassign")
    queue.add_argument("key", nargs="?", metavar="KEY", help="the task, as the queue shows it")
    queue.add_argument("--manager", metavar="ID", help="only this manager's, by the CRM's id")
    queue.add_argument("--top", type=_top, metavar="X", help="only the first X of everybody")
    queue.add_argument("--result", choices=[*Result], help="what came of it (done)")
    queue.add_argument("--reason", metavar="TEXT", help="why (postpone and reassign need one)")
    queue.add_argument("--until", type=day, metavar="D", help="the day until which it is put off (postpone)")
    queue.add_argument("--to", metavar="ID", help="who gets it (reassign)")
    sla = _portal(add("sla", "how the work goes: figures by class and manager, report cards of the rules"))
    sla.add_argument("--period", choices=[*Period], default=Period.WEEK, help="week or month (default: week)")
    _portal(add("load", "the load ahead: what will be late, whether a month's work fits, what to change"))


def _portal(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("portal", metavar="N", help="name of the portal")
    return command


def _top(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of tasks: write one from 1 on")
    return int(text)
