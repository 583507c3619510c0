"""How long a piece of work may go on: asked after each page and batch, so that work is handed on instead of cut off."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf

_LOOK_S = 1.0


def _nobody() -> bool:
    return False


class Deadline:
    """Over after `most` seconds, and from `least` seconds on as soon as `wanted()` says that somebody waits.

    `wanted` may ask the database, so it is asked at most once a second. `stopped` is asked each time: the process
    wants to end.
    """

    def __init__(
        self,
        most: float,
        *,
        least: float = 0.0,
        wanted: Callable[[], bool] = _nobody,
        stopped: Callable[[], bool] = _nobody,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._started = self._looked = clock()
        self._most = most
        self._least = least
        self._wanted = wanted
        self._stopped = stopped
        self._over = False

    def over(self) -> bool:
        """Whether to stop here. Once it is over it stays so."""
        self._over = self._over or self._is_over()
        return self._over

    def _is_over(self) -> bool:
        now = self._clock()
        if self._stopped() or now - self._started >= self._most:
            return True
        if now - self._started < self._least or now - self._looked < _LOOK_S:
            return False
        self._looked = now
        return self._wanted()


NEVER = Deadline(inf)
"""For those who do all of it at once."""
