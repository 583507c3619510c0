"""Codes and tokens that a portal's authorisation server has issued to one app: what lives, what is used up.

The vendors differ in life times, in whether a refresh token dies when it is used, and in words; the bookkeeping is
the same. Using a dead refresh token again is refused and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import RLock
from uuid import uuid4

from sandbox.clock import Clock
from sandbox.web import CutConnection


@dataclass(frozen=True, slots=True)
class Lives:
    """Seconds that each thing lives. `refresh_s` None: for ever."""

    code_s: float
    access_s: int
    refresh_s: float | None


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person agreed to: whose rights, which scopes, and what the code was bound to."""

    user_id: int
    scopes: tuple[str, ...] = ()
    redirect_url: str = ""
    challenge: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """An access token with its refresh token."""

    access: str
    refresh: str
    expires_at: datetime
    refresh_ends_at: datetime | None
    consent: Consent


class Grants:
    """One app's grants in one portal. Safe to share between threads.

    `rotates`: a used refresh token dies. `refreshes` counts successful renewals, `double_refreshes` those refused
    because the refresh token had been used before. The next `loses` renewals are done and their answers lost.
    """

    def __init__(
        self, clock: Clock, lives: Lives, *, rotates: bool, new_access: Callable[[Consent, datetime], str] | None = None
    ) -> None:
        self.lives = lives
        self.rotates = rotates
        self.refreshes = 0
        self.double_refreshes = 0
        self.loses = 0
        self._clock = clock
        self._new_access = new_access or (lambda _consent, _ends: uuid4().hex + uuid4().hex)
        self._codes: dict[str, tuple[Consent, datetime]] = {}
        self._by_access: dict[str, Pair] = {}
        self._by_refresh: dict[str, Pair] = {}
        self._used: set[str] = set()
        self._lock = RLock()

    def new_code(self, consent: Consent) -> str:
        """A single-use code."""
        code = f"def{uuid4().hex}"
        with self._lock:
            self._codes[code] = (consent, self._clock.now() + timedelta(seconds=self.lives.code_s))
        return code

    def redeem(self, code: str) -> Consent | None:
        """What a code stands for; it is used up, whatever comes of it. None for a dead or unknown one."""
        with self._lock:
            consent, ends_at = self._codes.pop(code, (None, None))
        return consent if ends_at is not None and self._clock.now() < ends_at else None

    def issue(self, consent: Consent) -> Pair:
        """A fresh pair."""
        return self._issue(consent, f"ref{uuid4().hex}")

    def refresh(self, token: str) -> Pair | None:
        """A pair for a living refresh token, which dies where they rotate; None for a dead or unknown one.

        Raises `CutConnection` when the answer is to be lost.
        """
        with self._lock:
            now = self._clock.now()
            pair = self._by_refresh.get(token)
            if pair is None or (pair.refresh_ends_at is not None and now >= pair.refresh_ends_at):
                self.double_refreshes += token in self._used
                return None
            self.refreshes += 1
            if self.rotates:
                del self._by_refresh[token]
                self._used.add(token)
            fresh = self.issue(pair.consent) if self.rotates else self._issue(pair.consent, token)
            if self.loses:
                self.loses -= 1
                raise CutConnection
            return fresh

    def pair_of(self, access: str) -> Pair | None:
        """The pair of an access token, expired ones included; None for one that was never issued or is revoked."""
        return self._by_access.get(access)

    def owner_of(self, refresh: str) -> Pair | None:
        """The pair of a living refresh token, without using it."""
        return self._by_refresh.get(refresh)

    def is_live(self, access: str) -> bool:
        """Whether calls with this access token are let in."""
        pair = self.pair_of(access)
        return pair is not None and self._clock.now() < pair.expires_at

    def expire(self) -> None:
        """Every access token's time is over; refresh tokens live on."""
        with self._lock:
            now = self._clock.now()
            for access, pair in self._by_access.items():
                self._by_access[access] = Pair(pair.access, pair.refresh, now, pair.refresh_ends_at, pair.consent)

    def revoke(self, refresh: str) -> None:
        """Kill one refresh token; its access token lives on."""
        with self._lock:
            self._by_refresh.pop(refresh, None)

    def revoke_all(self) -> None:
        """Nothing works any more: the app is gone."""
        with self._lock:
            self._codes.clear()
            self._by_access.clear()
            self._by_refresh.clear()

    def _issue(self, consent: Consent, refresh: str) -> Pair:
        with self._lock:
            now = self._clock.now()
            ends_at = now + timedelta(seconds=self.lives.access_s)
            refresh_ends_at = None if self.lives.refresh_s is None else now + timedelta(seconds=self.lives.refresh_s)
            pair = Pair(self._new_access(consent, ends_at), refresh, ends_at, refresh_ends_at, consent)
            self._by_access[pair.access] = pair
            self._by_refresh[refresh] = pair
            return pair
