"""A keeper in memory, with the promises of the real one, and grants to put into it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from adapters.oauth import Grant

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def grant(number: int = 1, *, at: datetime = NOW, life: timedelta = timedelta(hours=1), **other) -> Grant:
    facts = {"account_id": "7", "base_url": "https://shop.amocrm.ru", **other}
    return Grant(f"access-{number}", f"refresh-{number}", at, at + life, **facts)


class Held:
    def __init__(self, stored: Grant) -> None:
        self.grant = stored

    def keep(self, grant: Grant) -> None:
        self.grant = grant


class MemoryKeeper:
    """`fails` makes so many next commits fail, as a database that went away."""

    def __init__(self, stored: Grant) -> None:
        self.stored = stored
        self.fails = 0
        self._lock = threading.Lock()

    @contextmanager
    def locked(self, portal_id: int) -> Iterator[Held]:
        with self._lock:
            held = Held(self.stored)
            yield held
            if self.fails and held.grant is not self.stored:
                self.fails -= 1
                raise ConnectionError("the database went away")
            self.stored = held.grant


class Vendor:
    """Renews like amoCRM: a refresh token works once. `answers` may hold errors for the next calls."""

    def __init__(self, clock, life: timedelta = timedelta(hours=1)) -> None:
        self.clock = clock
        self.life = life
        self.used: list[str] = []
        self.errors: list[Exception] = []

    def renew(self, old: Grant) -> Grant:
        if self.errors:
            raise self.errors.pop(0)
        assert old.refresh_token not in self.used, "a refresh token was used twice"
        self.used.append(old.refresh_token)
        number = len(self.used) + 1
        now = self.clock.now()
        return replace(
            old,
            access_token=f"access-{number}",
            refresh_token=f"refresh-{number}",
            issued_at=now,
            expires_at=now + self.life,
        )
