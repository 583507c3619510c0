"""What goes wrong between a client and a CRM, on demand and repeatable from a seed.

A fault changes only the answer, or refuses before anything is done: it never corrupts a portal's state. After
`max_consecutive` failures in a row of the same call (`key`) the next one is let through, so a client that
retries always gets there.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from random import Random
from threading import Lock


class Fault(StrEnum):
    """The kinds. How each looks on the wire is the vendor's business."""

    THROTTLE = "throttle"  # told to slow down although within the limit; nothing done
    SERVER_ERROR = "server_error"  # 5xx; nothing done
    HTML_ERROR = "html_error"  # 403 or 502 with a page instead of JSON; nothing done
    LOST_ANSWER = "lost_answer"  # everything done, but the connection is cut or a gateway answers 504
    SLOW = "slow"  # done, late
    PARTIAL = "partial"  # some items of a batch refused
    DROP_BATCH_KEYS = "drop_batch_keys"  # some commands of a batch have no answer (Bitrix24)


_WHOLE = (Fault.THROTTLE, Fault.SERVER_ERROR, Fault.HTML_ERROR, Fault.LOST_ANSWER, Fault.SLOW)


class Faults:
    """Draws faults. `counts` has the number of times each kind struck."""

    def __init__(
        self,
        rates: Mapping[Fault, float],
        *,
        seed: int = 0,
        max_consecutive: int = 2,
        slow_s: float = 0.05,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rates: dict[Fault, float] = dict(rates)
        self.max_consecutive = max_consecutive
        self.slow_s = slow_s
        self.counts: Counter[Fault] = Counter()
        self._sleep = sleep
        self._random = Random(seed)  # noqa: S311 - repeatable, not secret
        self._forced: Counter[Fault] = Counter()
        self._in_a_row: dict[str, int] = {}
        self._lock = Lock()

    @classmethod
    def none(cls) -> Faults:
        """Nothing goes wrong, unless `force` or `switch` says so later."""
        return cls({})

    @classmethod
    def all(cls, seed: int, rate: float = 0.05) -> Faults:
        """Every kind, each with the same probability per call (or per batch)."""
        return cls(dict.fromkeys(Fault, rate), seed=seed)

    def switch(self, fault: Fault, rate: float) -> None:
        """Set one kind's probability, 0 to switch it off."""
        self.rates[fault] = rate

    def force(self, fault: Fault, times: int = 1) -> None:
        """Let it strike at the next `times` occasions, whatever its rate and however many there were before."""
        with self._lock:
            self._forced[fault] += times

    def draw(self, key: str = "") -> Fault | None:
        """At most one fault for a whole call named `key` (method and path will do).

        `SLOW` is only told: call `delay` for it.
        """
        with self._lock:
            forced = next((kind for kind in _WHOLE if self._is_forced(kind)), None)
            if forced is not None:
                return forced
            fault = next((kind for kind in _WHOLE if self._strikes(kind)), None)
            return self._admit(fault, key, failing=fault is not Fault.SLOW)

    def picks(self, fault: Fault, count: int, key: str = "") -> frozenset[int]:
        """Positions within a batch of `count` that a struck batch loses: about a third, at least one."""
        with self._lock:
            if not count:
                return frozenset()
            if not self._is_forced(fault):
                struck = fault if self._strikes(fault) else None
                if self._admit(struck, f"{fault}:{key}", failing=True) is None:
                    return frozenset()
            return frozenset(self._random.sample(range(count), max(1, count // 3)))

    def delay(self) -> None:
        """Be slow for real, `slow_s` seconds."""
        self._sleep(self.slow_s)

    def coin(self) -> bool:
        """An even choice, for faults that have two faces (cut or 504, 403 or 502)."""
        with self._lock:
            return self._random.random() < 0.5

    def _is_forced(self, fault: Fault) -> bool:
        if not self._forced[fault]:
            return False
        self._forced[fault] -= 1
        self.counts[fault] += 1
        return True

    def _strikes(self, fault: Fault) -> bool:
        rate = self.rates.get(fault, 0.0)
        return rate > 0 and self._random.random() < rate

    def _admit(self, fault: Fault | None, key: str, *, failing: bool) -> Fault | None:
        if fault is None or not failing:
            self._in_a_row.pop(key, None)
        elif self._in_a_row.get(key, 0) >= self.max_consecutive:
            self._in_a_row.pop(key)
            return None
        else:
            self._in_a_row[key] = self._in_a_row.get(key, 0) + 1
        if fault is not None:
            self.counts[fault] += 1
        return fault
