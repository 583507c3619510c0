"""A portal that answers from a function, over `responses`: for what the emulator never does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import responses

from adapters.bitrix24.auth import access_from_input
from adapters.bitrix24.client import Client
from adapters.budget import LocalStates
from adapters.hosts import HostPolicy
from adapters.transport import Transport

HOST = "https://shop.bitrix24.ru"
BASE = f"{HOST}/rest/1/hush/"
TIME = {"start": 1.0, "finish": 1.1, "duration": 0.1, "date_start": "2026-11-24T12:00:00+03:00"}
Answering = Callable[[str, dict[str, str]], Any]


def transport(clock: list[float]) -> Transport:
    """Waits by moving the clock."""

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    return Transport(HostPolicy(), sleep=sleep, clock=lambda: clock[0], patience=7200.0)


def client(clock: list[float] | None = None) -> Client:
    moments = clock if clock is not None else [1000.0]
    return Client(access_from_input(BASE), transport(moments), LocalStates(lambda: moments[0]))


def batches(mock: responses.RequestsMock, answer: Answering, *, base: str = BASE) -> list[dict[str, str]]:
    """Answer each command of each batch with what `answer(method, params)` returns; None leaves the key out.

    Returns the batches seen, each as key → command.
    """
    seen: list[dict[str, str]] = []

    def reply(request: Any) -> tuple[int, dict[str, str], str]:
        cmd = json.loads(request.body)["cmd"]
        seen.append(cmd)
        outer: dict[str, Any] = {"result": {}, "result_error": {}, "result_total": {}, "result_time": {}}
        for key, command in cmd.items():
            method, _, query = command.partition("?")
            found = answer(method, dict(parse_qsl(query, keep_blank_values=True)))
            if isinstance(found, dict) and "error" in found:
                outer["result_error"][key] = found
            elif found is not None:
                outer["result"][key] = found
        shown = {name: value or [] for name, value in outer.items()}
        return 200, {}, json.dumps({"result": shown, "time": TIME})

    mock.add_callback(responses.POST, base + "batch", reply)
    return seen
