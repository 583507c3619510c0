"""Rate limits as strict as the vendors': who calls too often is refused, and the refusal is counted.

The limiters hold no clock: the caller passes steady seconds (`Clock.monotonic`).
A refused call takes nothing.
"""

from __future__ import annotations

from collections import defaultdict, deque
from threading import Lock
from typing import Protocol


class Limiter(Protocol):
    """One rule. `exceeded` counts the calls it refused."""

    exceeded: int

    def take(self, now: float, key: str = "") -> bool:
        """Whether one more call is within the rule; if so it is counted."""
        ...

    def wait_s(self, now: float, key: str = "") -> float:
        """Seconds until `take` would say yes, 0 when it would now."""
        ...


class RollingWindow:
    """At most `calls` in any `seconds` (HubSpot's burst, amoCRM's 7 a second)."""

    def __init__(self, calls: int, seconds: float) -> None:
        self.calls = calls
        self.seconds = seconds
        self.exceeded = 0
        self._taken: deque[float] = deque()
        self._lock = Lock()

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0] <= now - self.seconds:
            self._taken.popleft()

    def take(self, now: float, key: str = "") -> bool:  # noqa: ARG002 - one rule for every key
        """Whether the last `seconds` held fewer than `calls`."""
        with self._lock:
            self._forget(now)
            if len(self._taken) >= self.calls:
                self.exceeded += 1
                return False
            self._taken.append(now)
            return True

    def remaining(self, now: float) -> int:
        """Calls still free at this moment."""
        with self._lock:
            self._forget(now)
            return self.calls - len(self._taken)

    def wait_s(self, now: float, key: str = "") -> float:  # noqa: ARG002
        """Seconds until the oldest call leaves the window."""
        with self._lock:
            self._forget(now)
            return 0.0 if len(self._taken) < self.calls else self._taken[0] + self.seconds - now


class LeakyBucket:
    """Holds `capacity` calls and leaks `rate` a second (Bitrix24: 50 and 2). Full means refused."""

    def __init__(self, capacity: int, rate: float) -> None:
        self.capacity = capacity
        self.rate = rate
        self.exceeded = 0
        self._level = 0.0
        self._seen: float | None = None
        self._lock = Lock()

    def _leak(self, now: float) -> None:
        if self._seen is not None:
            self._level = max(0.0, self._level - (now - self._seen) * self.rate)
        self._seen = now

    def take(self, now: float, key: str = "") -> bool:  # noqa: ARG002
        """Whether one more call fits; a hair of float error never refuses."""
        with self._lock:
            self._leak(now)
            if self._level + 1 > self.capacity + 1e-9:
                self.exceeded += 1
                return False
            self._level += 1
            return True

    def wait_s(self, now: float, key: str = "") -> float:  # noqa: ARG002
        """Seconds until one call has leaked out."""
        with self._lock:
            self._leak(now)
            return max(0.0, (self._level + 1 - self.capacity) / self.rate)


class OperatingTime:
    """Each key (method) may work `budget` seconds in any `seconds` (Bitrix24: 480 in 600).

    `take` only asks whether the method is still allowed; `spend` books the time the call then took.
    """

    def __init__(self, budget: float, seconds: float) -> None:
        self.budget = budget
        self.seconds = seconds
        self.exceeded = 0
        self._spent: defaultdict[str, deque[tuple[float, float]]] = defaultdict(deque)
        self._sum: defaultdict[str, float] = defaultdict(float)
        self._lock = Lock()

    def _forget(self, now: float, key: str) -> None:
        spent = self._spent[key]
        while spent and spent[0][0] <= now - self.seconds:
            self._sum[key] -= spent.popleft()[1]
        if not spent:
            self._sum[key] = 0.0

    def take(self, now: float, key: str = "") -> bool:
        """Whether the method has used less than its budget."""
        with self._lock:
            self._forget(now, key)
            if self._sum[key] >= self.budget:
                self.exceeded += 1
                return False
            return True

    def spend(self, now: float, key: str, used_s: float) -> None:
        """Book seconds of work done by a call that began at `now`."""
        with self._lock:
            self._spent[key].append((now, used_s))
            self._sum[key] += used_s

    def operating(self, now: float, key: str) -> float:
        """Seconds used inside the window."""
        with self._lock:
            self._forget(now, key)
            return self._sum[key]

    def frees_s(self, now: float, key: str) -> float:
        """Seconds until the oldest work leaves the window; a whole window when there is none."""
        with self._lock:
            self._forget(now, key)
            spent = self._spent[key]
            return spent[0][0] + self.seconds - now if spent else self.seconds

    def wait_s(self, now: float, key: str = "") -> float:
        """Seconds until enough old work leaves the window."""
        with self._lock:
            self._forget(now, key)
            left, wait = self._sum[key], 0.0
            for at, used in self._spent[key]:
                if left < self.budget:
                    break
                left -= used
                wait = at + self.seconds - now
            return wait


class Limits:
    """The named rules of one portal.

    `enforced=False` never refuses and counts nothing: for benches that measure the client alone.
    """

    def __init__(self, *, enforced: bool = True, **limiters: Limiter) -> None:
        self.enforced = enforced
        self.limiters = limiters

    @classmethod
    def off(cls) -> Limits:
        """No rules at all."""
        return cls(enforced=False)

    def take(self, name: str, now: float, key: str = "") -> bool:
        """Ask one rule; a rule that this portal does not have, or that is not enforced, says yes."""
        limiter = self.limiters.get(name)
        return limiter is None or not self.enforced or limiter.take(now, key)

    def wait_s(self, name: str, now: float, key: str = "") -> float:
        """Seconds until that rule would say yes."""
        limiter = self.limiters.get(name)
        return 0.0 if limiter is None or not self.enforced else limiter.wait_s(now, key)

    @property
    def exceeded(self) -> int:
        """Calls refused by any rule: 0 is the proof that a client kept the vendor's limits."""
        return sum(limiter.exceeded for limiter in self.limiters.values())
