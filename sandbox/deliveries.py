"""What a portal tells its apps about changes: sent from a thread of its own, in order, each once and not again.

The vendors try again for hours; a sandbox does not, so that a test can lose an event by being away, or by `is_silent`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Lock, Thread

from sandbox.posting import Heard

log = logging.getLogger("sandbox.deliveries")

Letter = Callable[[], Heard]
"""Sends one delivery and hears the answer."""


class Postman:
    """Delivers letters. `is_silent` True loses what happens from now on; `heard` counts answers by status (0: none)."""

    def __init__(self) -> None:
        self.is_silent = False
        self.heard: Counter[int] = Counter()
        self._letters: SimpleQueue[Letter] = SimpleQueue()
        self._lock = Lock()
        self._is_walking = False

    def take(self, letter: Letter) -> None:
        """Have it delivered soon; whoever changed something does not wait for it."""
        if self.is_silent:
            return
        with self._lock:
            if not self._is_walking:
                self._is_walking = True
                Thread(target=self._walk, name="deliveries", daemon=True).start()
        self._letters.put(letter)

    def wait(self, timeout_s: float) -> bool:
        """Until everything taken so far is delivered; False when that takes too long."""
        done = Event()

        def mark() -> Heard:
            done.set()
            return Heard(-1)

        with self._lock:
            if not self._is_walking:
                return True
        self._letters.put(mark)
        return done.wait(timeout_s)

    def _walk(self) -> None:
        while True:
            letter = self._letters.get()
            try:
                status = letter().status
            except Exception:
                log.exception("a delivery could not be made")
                status = 0
            if status >= 0:
                self.heard[status] += 1
