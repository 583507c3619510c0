"""Request budgets: how many calls a portal may still send, kept so that no vendor limit is ever passed.

The arithmetic is pure: a rule, a state (plain JSON) and a moment give a new state and a wait. Where states
live is a port (`States`), so that several threads, processes and machines can share one portal's budget and
a killed process leaves its consumption behind. Sources of the limits: each adapter's `client.py`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

Answered = TypeVar("Answered")
LaneState = dict[str, Any]
_BASKET_S = 60.0
"""Operating time is counted in minutes, and no call lasts longer than one."""
_GUARD_S = 0.03
"""Added to every window: the vendor's clock and ours read the same second differently."""


@dataclass(frozen=True, slots=True)
class Rolling:
    """At most `limit` calls in any `seconds`.

    A call occupies its place from the moment its answer came (at most `slack` seconds after it was sent), since
    only then is it certain that the vendor has counted it. So jitter on the way cannot push a window over.
    """

    limit: int
    seconds: float
    slack: float = 0.5


@dataclass(frozen=True, slots=True)
class Leaky:
    """A bucket of `capacity` calls that drains by `per_second`; a call that would overflow it waits."""

    capacity: float
    per_second: float


Rule = Rolling | Leaky


@dataclass(frozen=True, slots=True)
class Operating:
    """Execution seconds that one method may use in a window, as the vendor reports them in each answer.

    From `ease` of the budget on calls are spread over the rest of the window; at `stop` the method waits for
    its reset. `stop` leaves room for what is under way.
    """

    budget_s: float
    ease: float = 0.7
    stop: float = 0.88
    full: float = 0.97


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to send one call, or `wait` seconds after which to ask again. `stamp` identifies the place taken."""

    wait: float
    stamp: float


class States(Protocol):
    """Where lane states live. `change` runs `step(state, now)` alone for that lane and stores what it returns."""

    def change(self, lane: str, step: Callable[[LaneState, float], tuple[LaneState, Answered]]) -> Answered:
        """Apply one step atomically; `now` is seconds of one clock that all users of the states share."""
        ...


class LocalStates:
    """States of one process, for tests and one-off calls."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._states: dict[str, LaneState] = {}

    def change(self, lane: str, step: Callable[[LaneState, float], tuple[LaneState, Answered]]) -> Answered:
        """See `States.change`."""
        with self._lock:
            state, answer = step(self._states.get(lane, {}), self._clock())
            self._states[lane] = state
            return answer


def take(rule: Rule, state: LaneState, now: float) -> tuple[LaneState, Grant]:
    """Take a place in a lane if there is one; otherwise leave the state as it is and say how long to wait."""
    paused = float(state.get("paused_until", 0.0)) - now
    if paused > 0:
        return state, Grant(paused, now)
    if isinstance(rule, Leaky):
        return _take_leaky(rule, state, now)
    return _take_rolling(rule, state, now)


def _take_leaky(rule: Leaky, state: LaneState, now: float) -> tuple[LaneState, Grant]:
    level = float(state.get("level", 0.0)) - max(0.0, now - float(state.get("at", now))) * rule.per_second
    level = max(0.0, level)
    over = level + 1.0 - rule.capacity
    if over > 1e-9:
        return state, Grant(over / rule.per_second, now)
    return {**state, "level": level + 1.0, "at": now}, Grant(0.0, now)


def _take_rolling(rule: Rolling, state: LaneState, now: float) -> tuple[LaneState, Grant]:
    limit = int(state.get("limit", rule.limit))
    horizon = now - rule.seconds - _GUARD_S
    stamps = sorted(stamp for stamp in state.get("stamps", []) if stamp > horizon)
    if len(stamps) >= limit:
        return state, Grant(max(1e-3, stamps[len(stamps) - limit] - horizon), now)
    stamp = now
    while stamp in stamps:
        stamp += 1e-6
    return {**state, "stamps": [*stamps, stamp]}, Grant(0.0, stamp)


def answered(rule: Rule, state: LaneState, stamp: float, now: float) -> LaneState:
    """Note that the answer to the call that took `stamp` has come."""
    if isinstance(rule, Leaky):
        return state
    stamps = list(state.get("stamps", []))
    if stamp in stamps:
        stamps.remove(stamp)
        moved = max(stamp, min(now, stamp + rule.slack))
        while moved in stamps:
            moved += 1e-6
        stamps.append(moved)
    return {**state, "stamps": stamps}


def paused(state: LaneState, until: float) -> LaneState:
    """Send nothing in this lane before `until`. A pause is never shortened."""
    return {**state, "paused_until": max(until, float(state.get("paused_until", 0.0)))}


def probed(rule: Operating, state: LaneState, now: float) -> tuple[LaneState, float]:
    """Seconds to wait before the next call of a method; after a reset, leave for one call only.

    A reset takes only the oldest minute off the sum (https://apidocs.bitrix24.com/limits.html, read 2026-11), and how
    much that was is told by the next answer. So one call goes first, and none before the second reset where the
    sum might not leave room for it.
    """
    reset_at, used = float(state.get("reset_at", 0.0)), float(state.get("used", 0.0))
    if now < reset_at or used < rule.stop * rule.budget_s:
        return state, operating_wait(rule, state, now)
    is_tight = used + float(state.get("cost", 0.0)) > rule.full * rule.budget_s
    until = max(reset_at + _BASKET_S if is_tight else 0.0, float(state.get("paused_until", 0.0)))
    if now < until:
        return state, until - now
    return {**state, "reset_at": now + _BASKET_S}, 0.0


def operating_wait(rule: Operating, state: LaneState, now: float) -> float:
    """Seconds to wait before the next call of a method, from what the last answers reported."""
    reset_at = float(state.get("reset_at", 0.0))
    if now >= reset_at:
        return max(0.0, float(state.get("paused_until", 0.0)) - now)
    share = float(state.get("used", 0.0)) / rule.budget_s
    if share >= rule.stop:
        return reset_at - now
    waits = [float(state.get("paused_until", 0.0)) - now]
    if share >= rule.ease:
        next_at = float(state.get("last_at", 0.0)) + (reset_at - now) * (share - rule.ease) / 10
        waits.append(next_at - now)
    return max(0.0, *waits)


@dataclass(frozen=True, slots=True)
class Budget:
    """One portal's lanes over shared states. Never sleeps: the transport does."""

    lanes: Mapping[str, Rule]
    states: States
    operating: Operating | None = None

    def ask(self, lane: str, operations: tuple[str, ...] = ()) -> Grant:
        """Leave to send one call in `lane` that will run `operations`."""
        if self.operating is not None:
            wait = max((self._operating_wait(name) for name in set(operations)), default=0.0)
            if wait > 0:
                return Grant(wait, 0.0)
        rule = self.lanes[lane]
        return self.states.change(lane, lambda state, now: take(rule, state, now))

    def answer(self, lane: str, grant: Grant) -> None:
        """The answer came, or the call was given up."""
        rule = self.lanes[lane]
        if isinstance(rule, Rolling):
            self.states.change(lane, lambda state, now: (answered(rule, state, grant.stamp, now), None))

    def pause(self, lane: str, seconds: float, operation: str | None = None) -> None:
        """The vendor said to slow down: a whole lane, or one method when `operation` names it."""
        key = lane if operation is None else f"op:{operation}"
        self.states.change(key, lambda state, now: (paused(state, now + seconds), None))

    def resize(self, lane: str, limit: int) -> None:
        """The vendor told this portal's real limit."""
        self.states.change(lane, lambda state, _now: ({**state, "limit": limit}, None))

    def used(self, operation: str, seconds: float, reset_at: float) -> None:
        """The vendor reported a method's operating time so far, and the unix time of its reset."""

        def step(state: LaneState, now: float) -> tuple[LaneState, None]:
            cost = max(seconds - float(state.get("used", seconds)), 0.9 * float(state.get("cost", 0.0)))
            return {**state, "used": seconds, "reset_at": reset_at, "last_at": now, "cost": cost}, None

        self.states.change(f"op:{operation}", step)

    def _operating_wait(self, operation: str) -> float:
        rule = self.operating
        if rule is None:
            return 0.0

        return self.states.change(f"op:{operation}", lambda state, now: probed(rule, state, now))
