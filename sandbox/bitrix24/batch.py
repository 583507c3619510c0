"""`batch`: up to 50 commands in one hit, later ones may use the results of earlier ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.bitrix24.calls import Result
from sandbox.bitrix24.errors import RestError
from sandbox.bitrix24.php import as_array, as_int, as_map, is_yes, parse_query

MAX_COMMANDS = 50
_REFERENCE = re.compile(r"\$result((?:\[[^\[\]]*\])+)")
_KEY = re.compile(r"\[([^\[\]]*)\]")
Run = Callable[[str, dict[str, Any]], tuple[Result, dict[str, Any]]]
"""Runs one method by name: its result and its `time` block. Raises `RestError`."""


@dataclass(slots=True)
class _Outcome:
    """The five maps of the answer, by the commands' keys."""

    result: dict[str, Any] = field(default_factory=dict)
    result_error: dict[str, Any] = field(default_factory=dict)
    result_total: dict[str, Any] = field(default_factory=dict)
    result_next: dict[str, Any] = field(default_factory=dict)
    result_time: dict[str, Any] = field(default_factory=dict)

    def keep(self, key: str, answer: Result, time: dict[str, Any]) -> None:
        self.result[key] = answer.value
        self.result_time[key] = time
        if answer.total is not None:
            self.result_total[key] = answer.total
        if answer.next is not None:
            self.result_next[key] = answer.next

    def without(self, keys: set[str]) -> dict[str, Any]:
        """As PHP shows it: an empty map is `[]`, a map with keys 0..n is a list."""
        maps = {
            "result": self.result,
            "result_error": self.result_error,
            "result_total": self.result_total,
            "result_next": self.result_next,
            "result_time": self.result_time,
        }
        return {
            name: as_array({key: value for key, value in found.items() if key not in keys})
            for name, found in maps.items()
        }


def commands_of(params: Mapping[str, Any]) -> dict[str, str]:
    """The commands by key; raises `RestError` for more than 50."""
    commands = {key: str(command) for key, command in as_map(params.get("cmd")).items()}
    if len(commands) > MAX_COMMANDS:
        raise RestError("ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded", 400)
    return commands


def run_batch(
    commands: Mapping[str, str],
    halt: Any,
    run: Run,
    *,
    refused: frozenset[int] = frozenset(),
    dropped: frozenset[int] = frozenset(),
) -> dict[str, Any]:
    """Run the commands in order. Those at the places `refused` fail undone, those at `dropped` lose their answer."""
    outcome = _Outcome()
    stops = is_yes(halt) or as_int(halt) > 0
    for place, (key, command) in enumerate(commands.items()):
        try:
            runs = _fails if place in refused else run
            outcome.keep(key, *_run_command(command, outcome.result, runs))
        except RestError as error:
            outcome.result_error[key] = error.body()
            if stops:
                break
    keys = list(commands)
    return outcome.without({keys[place] for place in dropped})


def _fails(_name: str, _params: dict[str, Any]) -> tuple[Result, dict[str, Any]]:
    raise RestError("INTERNAL_SERVER_ERROR", "Internal server error", 500)


def _run_command(command: str, results: Mapping[str, Any], run: Run) -> tuple[Result, dict[str, Any]]:
    name, _, query = command.partition("?")
    method = name.strip().lower()
    if method == "batch":
        raise RestError("ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage", 405)
    params = {key: _resolve(value, results) for key, value in parse_query(query).items()}
    return run(method, params)


def _resolve(value: Any, results: Mapping[str, Any]) -> Any:
    """Put earlier results in the place of `$result[key][path]`; a missing one becomes empty text."""
    if isinstance(value, dict):
        return {key: _resolve(item, results) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, results) for item in value]
    if not isinstance(value, str) or "$result" not in value:
        return value
    alone = _REFERENCE.fullmatch(value)
    if alone:
        found = _look_up(alone.group(1), results)
        return "" if found is None else found
    return _REFERENCE.sub(lambda reference: _as_text(_look_up(reference.group(1), results)), value)


def _look_up(path: str, results: Mapping[str, Any]) -> Any:
    node: Any = results
    for key in _KEY.findall(path):
        node = as_map(node).get(key)
    return node


def _as_text(value: Any) -> str:
    return "" if value is None or isinstance(value, list | dict) else str(value)
