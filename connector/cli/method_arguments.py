"""The words of `method …` and `history`. Parsing only."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import date
from typing import Any


def add_methods(commands: Any, common: argparse.ArgumentParser, day: Callable[[str], date]) -> None:
    """Add both commands; `day` reads a date."""
    parser = type(common)
    method = commands.add_parser("method", help="draft, compare, publish and roll back methods")
    actions: Any = method.add_subparsers(dest="action", required=True, parser_class=parser, metavar="ACTION")

    def add(action: str, text: str, *positional: tuple[str, str, str]) -> argparse.ArgumentParser:
        one: argparse.ArgumentParser = actions.add_parser(action, help=text, description=text, parents=[common])
        for name, shown, told in positional:
            one.add_argument(name, metavar=shown, help=told)
        return one

    portal = ("portal", "N", "name of the portal")
    label = ("label", "NAME@V", "a version, such as sales5@2")
    rules = ("method", "METHOD", "a method that ships, a FILE.toml, or a version such as sales5@2")
    add("list", "the methods that ship, and a portal's versions").add_argument("portal", nargs="?", metavar="N")
    show = add("show", "one method or version, whole", rules)
    show.add_argument("--portal", metavar="N")
    fit = add("fit", "the thresholds that a fit on today's data would give; stores nothing", portal)
    _as_of(fit, day)
    fit.add_argument("--method", metavar="X", help="the method (default: the one in force, at first sales5)")
    _draft(add("draft", "keep a draft, fitted on today's data", portal, rules), day)
    simulate = add("simulate", "what a draft would change: moves, cards, quota, tasks; changes nothing", portal, rules)
    _as_of(simulate, day)
    simulate.add_argument("--limit", type=_count, default=20, metavar="COUNT", help="how many customers are listed")
    simulate.add_argument("--html", metavar="FILE", help="write the report as a page with a Sankey diagram")
    _person(add("review", "note that a draft was reviewed", portal, label))
    _publish(add("publish", "approve a version and let it out; cards follow at the next run", portal, label), day)
    _person(add("rollback", "one step back; cards follow at the next run", portal))
    _person(add("retire", "put a version away that nobody scores with", portal, label))
    add("prove", "gaps, overlaps and inversions of a file's segment table", ("file", "FILE", "FILE.toml"))
    add(
        "diff",
        "where two versions of a portal differ",
        portal,
        ("one", "NAME@V", "a version"),
        ("other", "NAME@V", "another"),
    )
    stability = add("stability", "who changes segment again and again, what it costs, and who is held", portal)
    stability.add_argument("--days", type=_count, default=30, metavar="COUNT", help="days looked at (30)")
    stability.add_argument("--least", type=_count, default=3, metavar="COUNT", help="changes that count as many (3)")
    flows = add("flows", "who went from which segment to which between two days", portal)
    flows.add_argument("--from", dest="first", type=day, required=True, metavar="D")
    flows.add_argument("--to", dest="last", type=day, required=True, metavar="D")
    text = "a customer's scores over time, with the version that made each"
    past = commands.add_parser("history", help=text, description=text, parents=[common])
    past.add_argument("portal", metavar="N", help="name of the portal")
    past.add_argument("customer", metavar="CUSTOMER", help="company:45 or contact:123")
    past.add_argument("--on", type=day, metavar="D", help="as it was at the end of this day")


def _draft(command: argparse.ArgumentParser, day: Callable[[str], date]) -> None:
    _as_of(command, day)
    command.add_argument("--thresholds-of", metavar="NAME@V", help="take the thresholds of this version; no fit")
    command.add_argument("--note-ru", metavar="TEXT", help="release note for managers, in Russian")
    command.add_argument("--note-en", metavar="TEXT", help="release note for managers, in English")
    _person(command)


def _publish(command: argparse.ArgumentParser, day: Callable[[str], date]) -> None:
    command.add_argument("--effective-from", type=day, metavar="D", help="in force from this day of the portal on")
    reach = command.add_mutually_exclusive_group()
    reach.add_argument("--to-teams", type=_ids, metavar="T1,T2", help="to the customers of these teams first")
    reach.add_argument("--to-managers", type=_ids, metavar="M1,M2", help="to the customers of these managers first")
    reach.add_argument("--shadow", action="store_true", help="score beside the version in force; write nothing")
    _person(command)


def _as_of(command: argparse.ArgumentParser, day: Callable[[str], date]) -> None:
    command.add_argument("--as-of", type=day, metavar="D", help="the orders up to the end of this day (YYYY-MM-DD)")


def _person(command: argparse.ArgumentParser) -> None:
    command.add_argument("--by", type=_name, metavar="PERSON", help="who does it (default: the user of this computer)")
    command.add_argument("--reason", default="", metavar="TEXT", help="why, for the audit trail")


def _ids(text: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not found or "\0" in text:
        raise argparse.ArgumentTypeError("write ids with commas between them, such as 7,12")
    return found


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 100000")
    return int(text)


def _name(text: str) -> str:
    name = text.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise argparse.ArgumentTypeError("write a name, such as anna or anna@firm.example")
    return name
