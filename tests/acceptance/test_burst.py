"""A burst of events while web process and workers are killed at random moments: what was accepted is on the cards.

RFM_EVENTS and RFM_KILLS set how many of each; the CRM sends an event again until it hears 2xx, as CRMs do.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.client import HTTPException
from random import Random
from typing import Any

import pytest

from connector.secrets import Vault
from connector.store import hooks
from sandbox.shop import Deal
from tests.acceptance.brute import expected_cards
from tests.acceptance.life import Life, living, until
from tests.connector.api.bench import FORM, ask

pytestmark = pytest.mark.slow

EVENTS = int(os.environ.get("RFM_EVENTS", "800"))
KILLS = int(os.environ.get("RFM_KILLS", "4"))
SENDERS = 6
WORKERS = ("worker-0", "worker-1")
VICTIMS = (["web"], *([one] for one in WORKERS), [*WORKERS], ["web", *WORKERS])
MINUTE = 60.0
ENDED = "SELECT count(*) FROM runs WHERE kind = 'run' AND state = 'done'"
LEFT = "SELECT count(*) FROM arrivals UNION ALL SELECT count(*) FROM inbox"
HEARTBEATS = "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - interval '2 seconds'"
OFTEN_ALL_UP = 0.7
UNDECIDED = "SELECT count(*) FROM changes WHERE state = 'planned'"


@dataclass
class Sales:
    """What people do to deals, kept in step with the CRM."""

    life: Life
    deals: dict[int, Deal]
    dice: Random = field(default_factory=lambda: Random(17))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def change(self) -> int:
        """Change a deal; returns its id. One at a time, so that the CRM and we see the same last change."""
        with self.lock:
            deal = self.deals[self.dice.choice(list(self.deals))]
            kind = self.dice.random()
            if deal.status != "won":
                moment = datetime.now(UTC).replace(microsecond=0) - timedelta(days=self.dice.randrange(1, 300))
                self.life.portal.win_lead(deal.id, int(moment.timestamp()))
                deal = replace(deal, status="won", closed_at=moment)
            elif kind < 0.2:
                self.life.portal.reopen_lead(deal.id)
                deal = replace(deal, status="open")
            else:
                amount = self.dice.randrange(1, 90_000)
                self.life.portal.set_attributes("leads", deal.id, price=amount)
                deal = replace(deal, amount=Decimal(amount))
            self.deals[deal.id] = deal
            return deal.id


class Burst:
    """The CRM's side: changes deals and posts an event for each, again and again until it is accepted."""

    def __init__(self, life: Life, sales: Sales) -> None:
        portal = life.kept()
        self._url = life.url + hooks.path_of(portal, Vault(("k" * 32,)))
        self._account = portal.account_id
        self._sales = sales
        self._pause = threading.Event()
        self.answers: Counter[int] = Counter()
        self.accepted = 0

    def send(self, count: int, due: Callable[[], float]) -> None:
        """`due` is the share of the events that may be out by now: kills shall fall among them, not after."""
        with ThreadPoolExecutor(SENDERS) as senders:
            for done in [senders.submit(self._one, number / count, due) for number in range(count)]:
                done.result()

    def _one(self, place: float, due: Callable[[], float]) -> None:
        while place > due():
            self._pause.wait(0.05)
        form = f"leads[update][0][id]={self._sales.change()}&account[id]={self._account}".encode()
        while (status := self._post(form)) != 200:
            self.answers[status] += 1
            self._pause.wait(0.2)
        self.answers[status] += 1
        self.accepted += 1

    def _post(self, form: bytes) -> int:
        try:
            return ask("POST", self._url, form, {"Content-Type": FORM}).status
        except (OSError, HTTPException):
            return 0


class Killer:
    """Kills web, worker or both at random moments until the burst is over, and starts them again."""

    def __init__(self, life: Life, kills: int) -> None:
        self._life = life
        self._dice = Random(23)
        self._pause = threading.Event()
        self.left = self.kills = kills
        self.lost_grants = 0

    def share(self) -> float:
        """Of the kills, those that are done or next."""
        return (self.kills - self.left + 1) / self.kills

    def work(self) -> None:
        """Until no kill is left."""
        while self.left:
            self._pause.wait(self._dice.uniform(0.3, 2.5))
            if self._dice.random() < OFTEN_ALL_UP:  # else in the middle of a start
                until(self._is_all_up, MINUTE)
            victims = self._dice.choice(VICTIMS)
            for name in victims:
                self._life.kill(name)
            self.left -= 1
            self._life.portal.oauth.grants.expire()
            for name in victims:
                self._life.start(name)

    def _is_all_up(self) -> bool:
        return self._life.rows(HEARTBEATS)[0] >= 2 * len(WORKERS) and self._life.answers()

    def repair(self) -> bool:
        """Whether a kill came between a renewed pair and its keeping: a person then installs the app again."""
        if self._life.kept().state != "paused":
            return False
        self.lost_grants += 1
        until(self._life.answers, MINUTE)
        assert self._life.install().status == 200
        return True


@pytest.fixture
def life(database, database_url, tmp_path) -> Iterator[Life]:
    with living("amocrm", database, database_url, tmp_path, workers=len(WORKERS)) as alive:
        assert alive.install().status == 200
        until(lambda: alive.rows(ENDED)[0] > 0 and alive.is_idle(), MINUTE)
        alive.portal.postman.is_silent = True  # the test posts itself, and again where it was not heard
        yield alive


def is_drained(life: Life) -> bool:
    return life.rows(LEFT) == [0, 0] and life.rows(UNDECIDED) == [0]


def test_every_event_accepted_while_processes_are_killed_is_on_the_cards_and_nothing_is_done_twice(life):
    sales = Sales(life, {deal.id: deal for deal in life.shop.deals})
    burst, killer = Burst(life, sales), Killer(life, KILLS)
    began = time.monotonic()
    killing = threading.Thread(target=killer.work)
    killing.start()
    try:
        burst.send(EVENTS, killer.share)
    finally:
        killing.join()
    assert burst.accepted == EVENTS
    assert killer.left == 0
    sent = time.monotonic()
    until(lambda: is_drained(life) or killer.repair(), MINUTE + EVENTS / 50)
    until(lambda: is_drained(life), MINUTE)
    drained = time.monotonic()
    print(f"{EVENTS} events and {KILLS} kills in {sent - began:.0f} s, answers {dict(burst.answers)}, then drained in")
    print(f"{drained - sent:.0f} s; renewals {life.portal.oauth.grants.refreshes}, grants lost {killer.lost_grants}")
    check_cards(life, sales)
    check_tasks(life)
    assert life.portal.double_refreshes <= killer.lost_grants
    assert life.portal.oauth.grants.refreshes > 0


def check_cards(life: Life, sales: Sales) -> None:
    frozen = life.command("method", "show", "sales5@1", "--portal", life.kept().name)["thresholds"]
    borders: list[Any] = [frozen["r"], frozen["f"], [Decimal(border) for border in frozen["m"]]]
    shop = replace(life.shop, deals=tuple(sales.deals.values()))
    wanted = expected_cards("amocrm", shop, datetime.now(UTC), borders=borders)
    assert len(wanted) > 30
    wrong = []
    for (kind, number), one in wanted.items():
        card = life.stage.card(kind, number)
        found = tuple(card.get(key) for key in ("r", "f", "m", "code", "segment"))
        if found != (one.r, one.f, one.m, one.code, one.segment):
            wrong.append((kind, number, found, one))
    assert wrong == []


def check_tasks(life: Life) -> None:
    markers = Counter(life.stage.markers())
    assert [marker for marker, count in markers.items() if count > 1] == []
    assert life.rows("SELECT count(*) - count(DISTINCT (customer, rule, event_key)) FROM tasks") == [0]
