"""Entry point: parses, runs one command, and turns every error into one line and the right exit status."""

from __future__ import annotations

import argparse
import getpass
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import cast

from adapters.errors import CRMError
from connector import logs
from connector.cli.arguments import parser
from connector.cli.output import complain, emit
from connector.config import Config, from_environment
from connector.errors import ConnectorError, WrongUse
from connector.store import audit

DONE, SOME_REFUSED, WRONG_USE, INTERRUPTED = 0, 1, 2, 3
_KILLED_BY_HAND = 130
Command = Callable[[Config, argparse.Namespace], int]

COMMANDS: Mapping[str, str] = {
    "connect": "portal_commands.connect",
    "portals": "portal_commands.portals",
    "provision": "portal_commands.provision",
    "disconnect": "portal_commands.disconnect",
    "settings": "portal_commands.settings",
    "sync": "work_commands.sync",
    "score": "work_commands.score",
    "writeback": "work_commands.writeback",
    "tasks": "work_commands.tasks",
    "run": "work_commands.run",
    "import": "work_commands.load",
    "undo": "work_commands.undo",
    "report": "delivery_commands.report",
    "refused": "delivery_commands.refused",
    "audit": "delivery_commands.audit",
    "card": "delivery_commands.card",
    "requests": "delivery_commands.requests",
    "queue": "queue_commands.queue",
    "sla": "queue_commands.sla",
    "load": "queue_commands.load",
    "token": "token_commands.token",
    "method": "method_commands.method",
    "history": "method_commands.history",
    "explain": "analysis_commands.explain",
    "quality": "analysis_commands.quality",
    "backtest": "backtest_commands.backtest",
    "serve": "service_commands.serve",
    "worker": "service_commands.worker",
    "demo": "service_commands.demo",
    "doctor": "service_commands.doctor",
    "rotate-keys": "keys_commands.rotate",
    "migrate": "service_commands.migrate",
}
"""Where each is; only the one that is asked for is loaded, as all of them together take a second."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status (CONTRACT section 5)."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = parser().parse_args(words)
        config = from_environment(os.environ)
        logs.configure(config.log_level, config.log_format)
        with audit.acting(_person()):
            return function_of(arguments.command)(config, arguments)
    except WrongUse as error:
        complain(str(error))
        return WRONG_USE
    except (ConnectorError, CRMError) as error:
        return _interrupted(words, str(error))
    except KeyboardInterrupt:
        complain("stopped; the next call goes on from here")
        return _KILLED_BY_HAND
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED
    except Exception as error:  # the last wall: people never see a stack trace
        logging.getLogger("rfm").debug("unexpected error", exc_info=True)
        return _interrupted(
            words, f"unexpected {type(error).__name__}: set LOG_LEVEL=DEBUG to see where, and report it; work is kept"
        )


def function_of(name: str) -> Command:
    """The function behind a command."""
    module, function = COMMANDS[name].split(".")
    return cast("Command", getattr(import_module(f"connector.cli.{module}"), function))


def _person() -> str:
    """Who types, for the audit trail."""
    try:
        return f"{audit.PERSON}:{getpass.getuser()}"
    except (KeyError, OSError):  # a container may have no name for its user
        return audit.PERSON


def _interrupted(words: Sequence[str], message: str) -> int:
    complain(message)
    if "--json" in words:
        emit({"error": message, "exit": INTERRUPTED}, as_json=True, text="")
    return INTERRUPTED
