"""How far several runs are, side by side on standard error: moving lines on a terminal, else one line at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

_PHASES = {"cards": "writing cards", "tasks": "creating tasks"}
_READING = "reading"


class Board(Protocol):
    """Told what each run does. Safe to call from several threads."""

    def advance(self, name: str, step: str, done: int, total: int | None) -> None:
        """`done` more records of a step; `total` where it is known."""
        ...

    def finish(self, name: str, error: str | None) -> None:
        """The run is over."""
        ...


@contextmanager
def board(names: Sequence[str]) -> Iterator[Board]:
    """A line for every name."""
    if not sys.stderr.isatty():
        yield _Plain()
        return
    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description:18}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[doing]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield _Moving(bars, names)


class _Plain:
    def advance(self, name: str, step: str, done: int, total: int | None) -> None:
        """Nothing until the end."""

    def finish(self, name: str, error: str | None) -> None:
        print(f"{name}: {error or 'done'}", file=sys.stderr, flush=True)  # noqa: T201 - lines for people


class _Moving:
    """A bar pulses while a run reads, because nobody knows how much there is; it fills while cards are written."""

    def __init__(self, bars: Progress, names: Sequence[str]) -> None:
        self._bars = bars
        self._lock = Lock()
        self._done: dict[tuple[str, str], int] = {}
        self._lines: dict[str, TaskID] = {name: bars.add_task(name, total=None, doing="connecting") for name in names}

    def advance(self, name: str, step: str, done: int, total: int | None) -> None:
        phase = _PHASES.get(step, _READING)
        with self._lock:
            count = self._done.get((name, phase), 0) + done
            self._done[name, phase] = count
            if total is not None:
                self._bars.update(self._lines[name], total=total, completed=0)
            if phase == _READING:
                self._bars.update(self._lines[name], doing=f"{phase}: {count} records")
            else:
                self._bars.update(self._lines[name], doing=f"{phase}: {count}", completed=count)

    def finish(self, name: str, error: str | None) -> None:
        with self._lock:
            line = self._lines[name]
            self._bars.update(line, total=1, completed=1 if error is None else 0, doing=error or "done")
            self._bars.stop_task(line)
