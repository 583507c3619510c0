"""The words of the command line (CONTRACT section 5). Parsing only: nothing is opened or sent here."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from datetime import date
from typing import NoReturn

from connector.cli.method_arguments import add_methods
from connector.cli.queue_arguments import add_queue
from connector.errors import WrongUse
from connector.store.api_tokens import SCOPES, checked_scopes
from scoring.quality import Cause

_UNKNOWN = "unrecognized arguments: "
_SECRETIVE = re.compile(r"\w+://[^\s']+|(?<=')[^'\s]{20,}(?=')")


class _Parser(argparse.ArgumentParser):
    """Raises one sentence instead of printing a page of usage."""

    def error(self, message: str) -> NoReturn:
        """See `WrongUse`. The sentence has no URL and no long word of the user's: it may be a secret out of place."""
        if message.startswith(_UNKNOWN):
            unknown = [word.partition("=")[0] for word in message.removeprefix(_UNKNOWN).split()]
            message = _UNKNOWN + " ".join(word if word.startswith("--") else "…" for word in unknown)
        raise WrongUse(f"{_SECRETIVE.sub('…', message)} (see `{self.prog} --help`)")


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date: write it like 2026-11-24") from None
    if day.isoformat() != text:  # the week dates that ISO knows as well, such as 2026-W48-2
        raise argparse.ArgumentTypeError(f"{text!r} is no date: write it like 2026-11-24")
    return day


def parser() -> argparse.ArgumentParser:
    """The whole grammar."""
    common = _Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="one JSON object on the last line of standard output")
    top = _Parser(prog="rfm-connector", description="RFM segments on the cards of amoCRM, Bitrix24 and HubSpot.")
    commands = top.add_subparsers(dest="command", required=True, parser_class=_Parser, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=[common])

    _connect(commands, common)
    add("portals", "list the portals, with state and last sync")
    _portal(add("provision", "create the group and the fields; safe to repeat"), dry_run=True)
    sync = _portal(add("sync", "pull customers, orders and managers"))
    sync.add_argument("--full", action="store_true", help="read everything again, not only what changed")
    score = _portal(add("score", "compute the scores; no network"), dry_run=True)
    _as_of(score)
    write = _portal(add("writeback", "send the differences to the cards"), dry_run=True)
    _force(write)
    _portal(add("tasks", "create the tasks that are due"), dry_run=True)
    run = _portal(add("run", "all of these, in order"), dry_run=True)
    _as_of(run)
    _force(run)
    load = _portal(add("import", "order history from a CSV or XLSX file"))
    load.add_argument("file", metavar="FILE", help="FILE.csv or FILE.xlsx")
    load.add_argument("--only", action="store_true", help="count imported orders only, not the CRM's own")
    load.add_argument("--dry-run", action="store_true", help="check the file and store nothing")
    add_methods(commands, common, _day)
    _analysis(add)
    settings = _portal(add("settings", "show or change a portal's settings"))
    settings.add_argument(
        "changes", nargs="*", metavar="KEY=VALUE", help="set a value (JSON or text); KEY= takes it back"
    )
    undo = _portal(add("undo", "put back the values that a run replaced"))
    undo.add_argument("--run", required=True, metavar="RUN_ID", dest="run_id", help="the run, as `run --json` named it")
    report = _portal(add("report", "what was delivered: who moved and why, what was refused, what is old"))
    report.add_argument("--day", type=_day, metavar="D", help="the day of the runs (default: the last one)")
    refused = _portal(add("refused", "cards that could not be written and wait"), dry_run=True)
    refused.add_argument("--retry", action="store_true", help="try them again now, with today's values")
    audit = _portal(add("audit", "who changed settings, methods and cards"))
    audit.add_argument("--since", type=_day, metavar="D", help="from this day on (default: the newest lines)")
    card = _portal(add("card", "one card: each value with its run, method version, time, and what was there before"))
    card.add_argument("customer", metavar="CUSTOMER", help="such as company:45")
    add_queue(add, _day)
    _tokens(commands, common)
    _portal(add("requests", "what was sent to the portal in the last three days, by hour and operation"))
    leave = _portal(add("disconnect", "stop working on a portal"))
    leave.add_argument("--purge", action="store_true", help="erase everything that is stored of the portal")
    add("serve", "web process: the pages")
    add("worker", "background process: runs, pulls, webhooks' events, schedules")
    demo = add("demo", "sandbox portals, the main job on each of them, and the pages")
    demo.add_argument("--once", action="store_true", help="end after the main job instead of serving pages")
    add("doctor", "check settings, database and every portal, and say what to do")
    add("rotate-keys", "seal stored tokens with the first of ENCRYPTION_KEYS; safe to repeat")
    add("migrate", "bring the database to this version's schema")
    return top


def _analysis(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    explain = _portal(add("explain", "why a customer has this segment, and what would change it"))
    explain.add_argument("customer", metavar="CUSTOMER", help="company:45 or contact:123")
    explain.add_argument("--as-of", type=_day, metavar="D", help="as of the end of this day (default: last scoring)")
    explain.add_argument("--language", choices=["ru", "en"], help="default: the portal's own")
    quality = _portal(add("quality", "what is doubtful in a portal's data, whom it concerns, and what to repair first"))
    quality.add_argument(
        "--cause", choices=[str(cause.name).lower() for cause in Cause], help="only customers with this"
    )
    quality.add_argument(
        "--worst", type=_few, default=25, metavar="COUNT", help="how many customers to list (up to 1000)"
    )
    quality.add_argument("--language", choices=["ru", "en"], help="default: the portal's own")
    replay = _portal(add("backtest", "replay methods on the portal's own past: who then bought, and which method told"))
    replay.add_argument("--methods", type=_words, default=(), metavar="A,B", help="such as sales5,customer360,sales5@1")
    replay.add_argument(
        "--dates", type=_days, default=(), metavar="D,D", help="days to replay, such as 2025-01-31,2025-02-28"
    )
    replay.add_argument(
        "--every", choices=["month", "quarter"], default="month", help="else the last six ends of these"
    )
    replay.add_argument("--horizon", type=_horizon, default=90, metavar="DAYS", help="days to look ahead (default: 90)")
    replay.add_argument("--out", metavar="FILE.html", help="write the report with charts here")
    replay.add_argument("--language", choices=["ru", "en"], help="default: the portal's own")


def _tokens(commands: argparse._SubParsersAction[_Parser], common: _Parser) -> None:
    text = "tokens for scripts that call the API"
    token = commands.add_parser("token", help=text, description=text)
    token.add_argument("portal", nargs="?", metavar="N", help="name of the portal that the token is good for")
    token.add_argument("--all", action="store_true", help="instead of a portal: tokens of the whole service")
    actions = token.add_subparsers(dest="action", required=True, parser_class=_Parser, metavar="ACTION")

    def add(action: str, text: str) -> argparse.ArgumentParser:
        one: argparse.ArgumentParser = actions.add_parser(action, help=text, description=text, parents=[common])
        return one

    create = add("create", "make a token; it is shown once")
    create.add_argument("--name", required=True, metavar="X", help="who uses it, such as warehouse or anna")
    create.add_argument(
        "--scope", required=True, type=_scopes, metavar="S1,S2", help=f"what it may do: {', '.join(SCOPES)}"
    )
    create.add_argument("--expires", type=_day, metavar="D", help="the last day it is good for (default: no end)")
    add("list", "the tokens, with their rights, ends and last uses")
    add("revoke", "make a token worthless at once").add_argument("id", metavar="ID", help="as `token … list` shows it")


def _scopes(text: str) -> list[str]:
    try:
        return list(checked_scopes(text.split(",")))
    except WrongUse as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _connect(commands: argparse._SubParsersAction[_Parser], common: _Parser) -> None:
    connect = commands.add_parser("connect", help="connect a portal with a token")
    crms = connect.add_subparsers(dest="crm", required=True, parser_class=_Parser, metavar="CRM")

    def add(crm: str, text: str) -> argparse.ArgumentParser:
        one: argparse.ArgumentParser = crms.add_parser(crm, help=text, description=text, parents=[common])
        one.add_argument("--name", required=True, help="what the portal is called in the other commands")
        one.add_argument("--language", choices=["ru", "en"], help="language of labels, hints and tasks")
        one.add_argument("--time-zone", help="the portal's time zone, where the CRM's own is not the right one")
        return one

    hubspot = add("hubspot", "HubSpot, with a private app's token")
    hubspot.add_argument("--token", required=True)
    hubspot.add_argument("--api-url", default="", help="another address of the API (sandbox)")
    bitrix24 = add("bitrix24", "Bitrix24, with an inbound webhook")
    bitrix24.add_argument("--webhook-url", required=True)
    amocrm = add("amocrm", "amoCRM or Kommo, with a long-lived token")
    amocrm.add_argument("--token", required=True)
    amocrm.add_argument("--account-url", required=True)


def _portal(command: argparse.ArgumentParser, *, dry_run: bool = False) -> argparse.ArgumentParser:
    command.add_argument("portal", metavar="N", help="name of the portal")
    if dry_run:
        command.add_argument("--dry-run", action="store_true", help="show what would be done; change nothing")
    return command


def _as_of(command: argparse.ArgumentParser) -> None:
    command.add_argument("--as-of", type=_day, metavar="D", help="score as of the end of this day (YYYY-MM-DD)")
    command.add_argument("--method", metavar="X", help="the method (default: the one in force, at first sales5)")


def _sample(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--cards", type=_count, default=20, metavar="COUNT", help="how many cards a dry run shows (all: every one)"
    )


def _count(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of cards: write a number, or all")
    return int(text)


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if not words or len(set(words)) != len(words):
        raise argparse.ArgumentTypeError("write different names with commas between them")
    return words


def _days(text: str) -> tuple[date, ...]:
    return tuple(_day(word) for word in _words(text))


def _horizon(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 4 or not 1 <= int(text) <= 3650:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days from 1 to 3650")
    return int(text)


def _few(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 4 or int(text) > 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1000")
    return int(text)


def _force(command: argparse.ArgumentParser) -> None:
    command.add_argument("--force", action="store_true", help="write even if too many cards change their segment")
